//! Tests the role that the template gives the function: it is enough for S3, and each permission in it is
//! needed.

use std::collections::BTreeSet;
use std::sync::Arc;

use devstack::lambda::Outcome;
use devstack::s3::policy::{Permission, Policy};
use devstack::s3::{Action, Fault, Request};
use devstack::stack::{BUCKET, function_keys};
use serde_json::Value;

use super::reader::deploy_by_secret;
use crate::harness::moto::{self, Moto};
use crate::harness::{Harness, HarnessBuilder, bad_key, long_sample, moment, sample, sample_with};

/// The key that encrypts what is written.
const KMS_KEY: &str = "arn:aws:kms:ca-central-1:123456789012:key/11111111-2222-3333-4444-555555555555";

/// Returns a harness whose function has only these permissions.
fn limited(policy: Policy) -> HarnessBuilder {
    Harness::builder()
        .known_keys(function_keys().with_policy(policy))
        .env("COPY_IAM_ROLE", "default")
        .env("S3_KMS_KEY_ID", KMS_KEY)
        .env("STATUS_PAGE", "on")
}

/// Returns the policy of the role in a stack that uses a secret.
async fn policy() -> Policy {
    let moto = moto::start().await;
    let secret = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:x";
    let key = format!("S3KmsKeyArn={KMS_KEY}");
    let deployed = deploy_by_secret(&moto, 5439, "analytics", secret, &[&key]).await;
    policy_of(&moto, &deployed).await
}

/// Returns the policy of a stack's role, as CloudFormation created it.
pub async fn policy_of(moto: &Moto, deployed: &Value) -> Policy {
    // moto keeps the policy as a Python value, with None for `AWS::NoValue`.
    let read = "
import ast
names = boto('iam').list_role_policies(RoleName=sys.argv[1])['PolicyNames']
policies = [boto('iam').get_role_policy(RoleName=sys.argv[1], PolicyName=name)['PolicyDocument'] for name in names]
policy = next(policy for policy in policies if 'StageAndSettle' in str(policy))
policy = ast.literal_eval(policy) if isinstance(policy, str) else policy
print(json.dumps({**policy, 'Statement': [statement for statement in policy['Statement'] if statement]}))";
    let policy = moto.python(read, &[deployed["made"]["LoaderRole"].as_str().unwrap()]).await;
    serde_json::from_value(policy).unwrap()
}

/// Runs a bad archive, its correction, a large archive whose first upload fails, `status` and `check`.
/// Returns the function's requests to S3, or how it failed.
async fn everything(policy: Policy) -> Result<Vec<Request>, String> {
    let harness = limited(policy).start().await;
    let a = harness.put("a", &sample_with("analytics_group.csv", "a,b\n1,2\n"), 10);
    harness.stack.s3.set_tags_and_key(BUCKET, &a, &[("class", "personal data")], None).unwrap();
    let report = done(harness.invoke(&a).await)?;
    assert_eq!(report["incomplete_markers"], serde_json::json!([]), "a right to tags is missing");
    harness.put("a", &sample(4, 9), 20);
    done(harness.invoke(&a).await)?;
    let b = harness.put("b", &long_sample(7, 40_000_000), 30);
    harness.stack.s3.inject(Fault::on("PutObject", ".00002.csv", Action::Refuse(503, "SlowDown".to_owned())));
    assert!(done(harness.invoke(&b).await).unwrap_err().starts_with("Retryable."));
    harness.stack.s3.clear_faults();
    done(harness.invoke(&b).await)?;
    // Redshift refuses a row, whose text is read back from the staged file.
    harness.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
    let text = "id,name,active,site_key\n1,a,maybe,k\n";
    let c = harness.put("c", &sample_with("analytics_group.csv", text), 40);
    done(harness.invoke(&c).await)?;
    assert_eq!(harness.error_json("c")["problems"][0]["text"], "maybe");
    harness.admin("GRANT SELECT ON pg_catalog.svv_columns TO PUBLIC").await;
    for command in ["check", "status"] {
        let (output, _directory) = harness.command(&[command, harness.config_file().to_str().unwrap()]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let own = function_keys().access_key_id;
    Ok(harness
        .stack
        .s3
        .requests()
        .into_iter()
        .filter(|request| request.access_key_id.as_ref() == Some(&own))
        .collect())
}

fn done(outcome: Outcome) -> Result<Value, String> {
    match outcome {
        Outcome::Ok(answer) => Ok(answer["reports"][0].clone()),
        Outcome::Failed { error_type, message } => Err(format!("{error_type}: {message}")),
    }
}

/// S3 answers 403 for a missing object, because the role may list only certain prefixes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_no_missing_right() {
    let policy = policy().await;
    for (operation, prefix) in [("GetObject", "client/"), ("CopyObject", "processed/good/")] {
        let harness = Arc::new(limited(policy.clone()).start().await);
        let a = harness.put("a", &sample(1, 5), 10);
        let weak = Arc::downgrade(&harness);
        let removed = move || weak.upgrade().unwrap().stack.s3.empty_bucket(BUCKET);
        harness.stack.s3.inject(Fault::on(operation, prefix, Action::RunBefore(Arc::new(removed))).times(1));
        let failure = done(harness.invoke(&a).await).unwrap_err();
        assert!(failure.starts_with("Retryable.SourceChanged"), "{operation}: {failure}");
        done(harness.invoke(&a).await).unwrap();
    }

    // The script left bad markers without a reason.
    let harness = limited(policy).start().await;
    harness.put("a", b"no archive", 10);
    harness.stack.s3.put_at(BUCKET, &bad_key("a"), b"no archive", moment(20)).unwrap();
    let (output, _directory) = harness.command(&["status", harness.config_file().to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("is marked bad without an error.json"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_may_do_what_the_function_does_and_little_more() {
    let policy = policy().await;
    let requests = everything(policy.clone()).await.unwrap();
    // A request for a missing marker gets this answer if the role may list only certain prefixes.
    let is_refused = |request: &&Request| request.status == Some(403) && request.operation != "HeadObject";
    let refused: Vec<&Request> = requests.iter().filter(is_refused).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let used_permissions: BTreeSet<Permission> =
        requests.into_iter().flat_map(|request| request.required_permissions).collect();
    let in_s3: Vec<_> = policy
        .statement
        .iter()
        .filter(|statement| {
            statement
                .action
                .texts()
                .iter()
                .any(|action| action.starts_with("s3:") || action.starts_with("kms:"))
        })
        .collect();
    assert_eq!(in_s3.len(), 6);
    for statement in in_s3 {
        let used: Vec<&Permission> =
            used_permissions.iter().filter(|permission| statement.allows(permission)).collect();
        // Objects above 5 GB are copied in parts.
        for action in statement.action.texts().iter().filter(|action| **action != "s3:AbortMultipartUpload") {
            assert!(
                used.iter().any(|permission| permission.action == action),
                "{}: {action} is for nothing",
                statement.sid
            );
        }
        for resource in statement.resource.texts() {
            let covered =
                |permission: &&Permission| permission.resource.starts_with(resource.trim_end_matches('*'));
            assert!(used.iter().any(covered), "{}: {resource} is for nothing", statement.sid);
        }
        let without = Policy {
            statement: policy.statement.iter().filter(|other| other.sid != statement.sid).cloned().collect(),
            ..policy.clone()
        };
        if statement.sid == "WriteStatusPage" {
            // A page that cannot be written does not make a run fail.
            everything(without).await.unwrap();
            continue;
        }
        let failure = everything(without).await.expect_err(&statement.sid);
        assert!(failure.starts_with("Deployment."), "{}: {failure}", statement.sid);
        println!("without {}: {failure}", statement.sid);
    }
}
