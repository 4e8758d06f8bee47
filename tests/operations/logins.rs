//! Tests the logins of the template: each gives the function the one permission that it needs, for exactly
//! one target, and only one login is possible.

use std::collections::BTreeSet;

use devstack::lambda::Outcome;
use devstack::redshift_api::{CLUSTER, RedshiftApi, WORKGROUP, WORKGROUP_ID};
use devstack::s3::policy::{Permission, Policy, Statement};
use devstack::stack::LOADER;
use serde_json::{Value, json};

use super::permissions::policy_of;
use super::reader::deploy_with;
use crate::harness::{Harness, cases, moto, sample};
use crate::iam_logins::{Kind, Place, by_iam, start};

/// Returns the parameters that differ between the logins.
fn parameters(kind: Kind, place: Place) -> Vec<String> {
    let login = match kind {
        Kind::ClusterAsUser => vec![format!("RedshiftCluster={CLUSTER}"), format!("RedshiftUser={LOADER}")],
        Kind::ClusterAsRole => vec![format!("RedshiftCluster={CLUSTER}"), "RedshiftUser=".to_owned()],
        Kind::Workgroup => {
            vec![format!("RedshiftWorkgroup={WORKGROUP}"), format!("RedshiftWorkgroupId={WORKGROUP_ID}")]
        }
    };
    let place = match place {
        Place::Given => vec!["RedshiftHost=localhost".to_owned()],
        Place::Asked => Vec::new(),
    };
    [login, place].concat()
}

/// Returns the statements about logins.
fn about_logins(policy: &Policy) -> Vec<&Statement> {
    let is_one = |action: &String| action.starts_with("redshift") || action.starts_with("secretsmanager:");
    policy.statement.iter().filter(|statement| statement.action.texts().iter().any(is_one)).collect()
}

/// Creates a stack, whose function loads with the permissions of its role and its variables. Without any one
/// of the permissions, it does not.
async fn has_what_it_needs(kind: Kind, place: Place, sids: &[&str]) {
    let moto = moto::start().await;
    let api = RedshiftApi::start().await.unwrap();
    let harness = start(by_iam(kind, place, &api), &api).await;
    let all =
        [parameters(kind, place), vec![format!("RedshiftDatabase={}", harness.stack.database)]].concat();
    let deployed = deploy_with(&moto, &all).await;
    assert_eq!(deployed["outputs"]["RoleName"], deployed["made"]["LoaderRole"]);

    // The template's variables are those of the function in this test.
    let variables = "print(json.dumps(boto('lambda').get_function_configuration(FunctionName=sys.argv[1])['Environment']['Variables']))";
    let variables = moto.python(variables, &[deployed["outputs"]["FunctionName"].as_str().unwrap()]).await;
    let of_login = |name: &str| name.starts_with("PG") || name == "pgpass" || name.starts_with("REDSHIFT_");
    let given: BTreeSet<(&str, Option<&str>)> = variables
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| of_login(name) && *name != "PGPORT")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let known: BTreeSet<(&str, Option<&str>)> = harness
        .environment
        .iter()
        .filter(|(name, _)| of_login(name) && !["PGPORT", "PGSSLROOTCERT"].contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), Some(value.as_str())))
        .collect();
    assert_eq!(given, known);
    assert_eq!(variables.get("PGPORT").is_some(), place == Place::Given, "{variables}");

    let policy = policy_of(&moto, &deployed).await;
    let found: Vec<&str> = about_logins(&policy).iter().map(|statement| statement.sid.as_str()).collect();
    assert_eq!(found, sids);
    // Each of the permissions is needed, and all of them together are enough.
    let archive = harness.put("a", &sample(1, 5), 1);
    for sid in sids {
        let mut without = policy.clone();
        without.statement.retain(|statement| statement.sid != *sid);
        api.restrict(without);
        let Outcome::Failed { error_type, message } = harness.invoke(&archive).await else {
            panic!("{sid} is for nothing")
        };
        assert_eq!(error_type, "Deployment.LoginNotGiven", "{message}");
    }
    api.restrict(policy.clone());
    Harness::report(harness.invoke(&archive).await);
    let used: Vec<Permission> = api
        .requests()
        .into_iter()
        .filter(|request| request.status == 200)
        .flat_map(|request| request.required_permissions)
        .collect();
    for statement in about_logins(&policy) {
        for (action, resource) in statement
            .action
            .texts()
            .iter()
            .flat_map(|action| statement.resource.texts().iter().map(move |resource| (action, resource)))
        {
            let is_used = |used: &Permission| used.action == action && used.resource == *resource;
            assert!(used.iter().any(is_used), "{}: {action} on {resource} is for nothing", statement.sid);
        }
    }
}

cases! {
    async a_login_by_iam_has_the_rights_that_it_needs: has_what_it_needs {
        as_a_user(Kind::ClusterAsUser, Place::Given, &["LogInAsUser"]);
        as_a_user_where_the_api_says(Kind::ClusterAsUser, Place::Asked, &["LogInAsUser", "FindCluster"]);
        as_the_role(Kind::ClusterAsRole, Place::Given, &["LogInAsRole"]);
        as_the_role_where_the_api_says(Kind::ClusterAsRole, Place::Asked, &["LogInAsRole", "FindCluster"]);
        of_a_workgroup(Kind::Workgroup, Place::Given, &["LogInToWorkgroup"]);
        of_a_workgroup_where_the_api_says(Kind::Workgroup, Place::Asked, &["LogInToWorkgroup", "FindWorkgroup"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_a_secret_has_no_right_to_redshifts_api() {
    let moto = moto::start().await;
    let secret = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:x";
    let parameters = ["RedshiftHost=h", "RedshiftDatabase=d", &format!("PasswordSecretArn={secret}")];
    let deployed = deploy_with(&moto, &parameters.map(str::to_owned)).await;
    let policy = policy_of(&moto, &deployed).await;
    let [statement] = about_logins(&policy)[..] else { panic!("{policy:?}") };
    assert_eq!(statement.action.texts(), ["secretsmanager:GetSecretValue"]);
    assert_eq!(statement.resource.texts(), [secret]);
}

/// Parameters, and the message about them.
type Case = (&'static [(&'static str, &'static str)], Option<&'static str>);

/// CloudFormation checks parameters by rules before it creates anything (CloudFormation User Guide, "Rules").
#[tokio::test(flavor = "multi_thread")]
async fn one_login_is_asked_for_and_only_one() {
    const SECRET: (&str, &str) = ("PasswordSecretArn", "arn");
    const HOST: (&str, &str) = ("RedshiftHost", "h");
    const CLUSTER: (&str, &str) = ("RedshiftCluster", "analytics");
    const WORKGROUP: (&str, &str) = ("RedshiftWorkgroup", "analytics-wg");
    const ID: (&str, &str) = ("RedshiftWorkgroupId", WORKGROUP_ID);
    const NO_USER: (&str, &str) = ("RedshiftUser", "");
    const TASK: (&str, &str) = ("TaskImage", "image");
    const SUBNETS: (&str, &str) = ("SubnetIds", "subnet-0a,subnet-0b");
    let cases: &[Case] = &[
        (&[SECRET, HOST], None),
        (&[CLUSTER], None),
        (&[CLUSTER, HOST], None),
        (&[CLUSTER, NO_USER], None),
        (&[WORKGROUP, ID], None),
        (&[], Some("One of PasswordSecretArn")),
        (&[HOST], Some("One of PasswordSecretArn")),
        (&[SECRET, HOST, CLUSTER], Some("One of PasswordSecretArn")),
        (&[SECRET, HOST, WORKGROUP, ID], Some("One of PasswordSecretArn")),
        (&[CLUSTER, WORKGROUP, ID], Some("One of PasswordSecretArn")),
        (&[SECRET, HOST, CLUSTER, WORKGROUP, ID], Some("One of PasswordSecretArn")),
        (&[SECRET], Some("RedshiftHost is needed")),
        (&[SECRET, HOST, NO_USER], Some("RedshiftUser is needed")),
        (&[WORKGROUP], Some("RedshiftWorkgroupId is needed")),
        (&[SECRET, HOST, TASK], Some("needs subnets")),
        (&[SECRET, HOST, TASK, SUBNETS], None),
    ];
    let given: Vec<Value> = cases
        .iter()
        .map(|(parameters, _)| {
            parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
        })
        .collect();
    let judge = "
from samtranslator.yaml_helper import yaml_parse
template = yaml_parse(open(sys.argv[1], encoding='utf-8').read())
defaults = {name: parameter.get('Default', '') for name, parameter in template['Parameters'].items()}
def value(node, given):
    if not isinstance(node, dict):
        return node
    (function, argument), = node.items()
    if function == 'Ref':
        return given[argument]
    arguments = [value(each, given) for each in argument]
    return {'Fn::Not': lambda: not arguments[0], 'Fn::Equals': lambda: arguments[0] == arguments[1],
            'Fn::And': lambda: all(arguments), 'Fn::Or': lambda: any(arguments),
            'Fn::Contains': lambda: arguments[1] in arguments[0].split(',')}[function]()
def told(parameters):
    given = {**defaults, **parameters}
    # Each of them is valued: a function that CloudFormation does not take in Rules is unknown here too.
    judged = [(value(rule.get('RuleCondition', True), given), value(assertion['Assert'], given), assertion['AssertDescription'])
              for rule in template['Rules'].values() for assertion in rule['Assertions']]
    return [text for applies, holds, text in judged if applies and not holds]
print(json.dumps([told(parameters) for parameters in json.loads(sys.argv[2])]))";
    let moto = moto::start().await;
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml");
    let told = moto.python(judge, &[template, &json!(given).to_string()]).await;
    for ((parameters, wanted), told) in cases.iter().zip(told.as_array().unwrap()) {
        let told: Vec<&str> = told.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        match wanted {
            None => assert!(told.is_empty(), "{parameters:?}: {told:?}"),
            Some(word) => assert!(told.len() == 1 && told[0].contains(word), "{parameters:?}: {told:?}"),
        }
    }
}
