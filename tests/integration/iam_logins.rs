//! Tests IAM logins: no password is stored, a login is requested when it is needed and kept until shortly
//! before it expires, and errors say what to do.

use devstack::lambda::Outcome;
use devstack::redshift::Options;
use devstack::redshift_api::{CLUSTER, Fault, ROLE, RedshiftApi, WORKGROUP};
use devstack::stack::{LOADER, LOADER_PASSWORD};
use serde_json::json;

use crate::deployment::is_for_the_operator;
use crate::faults::{fails, recovers};
use crate::harness::{Harness, HarnessBuilder, cases, key, moto, sample};

/// Who gives the login out, and as whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ClusterAsUser,
    ClusterAsRole,
    Workgroup,
}

/// Whether the address is among the variables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Given,
    Asked,
}

use Kind::{ClusterAsRole, ClusterAsUser, Workgroup};
use Place::{Asked, Given};

impl Kind {
    /// The call that gives a login out, and the one that tells the address.
    fn calls(self) -> (&'static str, &'static str) {
        match self {
            ClusterAsUser => ("GetClusterCredentials", "DescribeClusters"),
            ClusterAsRole => ("GetClusterCredentialsWithIAM", "DescribeClusters"),
            Workgroup => ("GetCredentials", "GetWorkgroup"),
        }
    }

    /// The user that stands before the password.
    pub fn user(self) -> String {
        match self {
            ClusterAsUser => format!("IAM:{LOADER}"),
            ClusterAsRole | Workgroup => format!("IAMR:{ROLE}"),
        }
    }
}

/// The user that stands for the role is in the database; nobody sends its own password.
fn with_the_role(options: &mut Options) {
    options.users.push((format!("IAMR:{ROLE}"), "none-that-anybody-sends".to_owned()));
}

/// A function without a password.
pub fn by_iam(kind: Kind, place: Place, api: &RedshiftApi) -> HarnessBuilder {
    let builder = Harness::builder().appending().redshift(with_the_role).env("pgpass", "");
    let builder = match kind {
        ClusterAsUser => builder.env("REDSHIFT_CLUSTER", CLUSTER),
        ClusterAsRole => builder.env("REDSHIFT_CLUSTER", CLUSTER).env("PGUSER", ""),
        Workgroup => builder.env("REDSHIFT_WORKGROUP", WORKGROUP).env("PGUSER", ""),
    };
    let builder = match kind {
        ClusterAsUser | ClusterAsRole => builder.env("AWS_ENDPOINT_URL_REDSHIFT", api.endpoint()),
        Workgroup => builder.env("AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS", api.endpoint()),
    };
    match place {
        Given => builder,
        Asked => builder.env("PGHOST", "").env("PGPORT", ""),
    }
}

/// Starts it, and lets the role's user do what the loader's may.
pub async fn start(builder: HarnessBuilder, api: &RedshiftApi) -> Harness {
    let harness = builder.start().await;
    api.serve(&harness.stack.redshift);
    harness.admin(&format!("GRANT {LOADER} TO \"IAMR:{ROLE}\"")).await;
    harness
}

async fn started(kind: Kind, place: Place) -> (RedshiftApi, Harness) {
    let api = RedshiftApi::start().await.unwrap();
    let harness = start(by_iam(kind, place, &api), &api).await;
    (api, harness)
}

/// The operations that were asked for.
fn asked(api: &RedshiftApi) -> Vec<String> {
    api.requests().into_iter().map(|request| request.operation).collect()
}

/// Three archives are loaded by a function that stays: it asks once, not before it must, for no more than it needs.
async fn loads(kind: Kind, place: Place) {
    let (api, harness) = started(kind, place).await;
    // An event that needs no Redshift.
    let ignored = harness.lambda.invoke(json!({"Service": "Amazon S3", "Event": "s3:TestEvent"})).await;
    assert!(matches!(ignored, Outcome::Ok(_)), "{ignored:?}");
    assert_eq!(api.requests(), []);
    for (name, seed, seconds) in [("a", 1, 1), ("b", 2, 2), ("c", 3, 3)] {
        Harness::report(harness.invoke(&harness.put(name, &sample(seed, 5), seconds)).await);
    }
    assert_eq!(harness.rows("user_group").await.len(), 15);
    let (gives, locates) = kind.calls();
    match place {
        Given => assert_eq!(asked(&api), [gives]),
        Asked => assert_eq!(asked(&api), [locates, gives]),
    }
    let request = api.requests().pop().unwrap();
    let mut parameters: Vec<(&str, &str)> =
        request.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    parameters.sort_unstable();
    let database = harness.stack.database.as_str();
    let expected = match kind {
        ClusterAsUser => vec![("ClusterIdentifier", CLUSTER), ("DbName", database), ("DbUser", LOADER)],
        ClusterAsRole => vec![("ClusterIdentifier", CLUSTER), ("DbName", database)],
        Workgroup => vec![("dbName", database), ("workgroupName", WORKGROUP)],
    };
    assert_eq!(parameters, expected);
    let logins = harness.stack.redshift.logins();
    assert!(logins.len() > 2 && logins.iter().all(|login| *login == (kind.user(), true)), "{logins:?}");
}

cases! {
    async no_password_is_needed: loads {
        a_cluster_as_a_user(ClusterAsUser, Given);
        a_cluster_as_a_user_where_the_api_says(ClusterAsUser, Asked);
        a_cluster_as_the_role(ClusterAsRole, Given);
        a_cluster_as_the_role_where_the_api_says(ClusterAsRole, Asked);
        a_workgroup(Workgroup, Given);
        a_workgroup_where_the_api_says(Workgroup, Asked);
    }
}

/// `AWS_ENDPOINT_URL` is for every service that has no URL of its own.
async fn is_found_at_the_endpoint_of_all(kind: Kind) {
    let api = RedshiftApi::start().await.unwrap();
    let s3 = Harness::start().await;
    let builder = by_iam(kind, Asked, &api)
        .s3_endpoint(s3.stack.s3.endpoint())
        .env("AWS_ENDPOINT_URL_REDSHIFT", "")
        .env("AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS", "")
        .env("AWS_ENDPOINT_URL_S3", s3.stack.s3.endpoint())
        .env("AWS_ENDPOINT_URL", api.endpoint());
    let harness = start(builder, &api).await;
    s3.put("a", &sample(1, 5), 1);
    Harness::report(harness.sweep().await);
    assert_eq!(harness.rows("user_group").await.len(), 5);
    assert_eq!(api.requests().len(), 2);
}

cases! {
    async the_api_is_asked_where_the_variables_say: is_found_at_the_endpoint_of_all {
        of_a_cluster(ClusterAsUser);
        of_a_workgroup(Workgroup);
    }
}

/// What ends within a minute is not sent by a later session; nothing is asked again while it is good.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_to_end_is_renewed_before_it_is_sent() {
    let (api, harness) = started(ClusterAsUser, Asked).await;
    api.set_lifetime(50);
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let sessions = harness.stack.redshift.logins().len();
    assert_eq!(asked(&api), ["DescribeClusters", "GetClusterCredentials"].repeat(sessions));
    api.set_lifetime(900);
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 5), 2)).await);
    Harness::report(harness.invoke(&harness.put("c", &sample(3, 5), 3)).await);
    assert_eq!(asked(&api).len(), 2 * (sessions + 1));
    assert!(harness.stack.redshift.logins().iter().all(|(_, accepted)| *accepted));
}

/// The password is over when it comes, as where clocks differ: it is sent once, and another time another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_over_is_sent_once() {
    let (api, harness) = started(ClusterAsUser, Given).await;
    api.set_lifetime(-1);
    let words = [
        "refused the login of user IAM:cmslite_loader with the password of IAM for the cluster analytics (REDSHIFT_CLUSTER), valid until 2",
        "CREATE USER \"cmslite_loader\" PASSWORD DISABLE",
        "clock",
    ];
    fails(&harness, "Deployment.LoginRefused", &words).await;
    let user = ClusterAsUser.user();
    assert_eq!(harness.stack.redshift.logins(), [(user.clone(), false)]);
    fails(&harness, "Deployment.LoginRefused", &words).await;
    assert_eq!(harness.stack.redshift.logins(), [(user.clone(), false), (user, false)]);
    assert_eq!(asked(&api).len(), 2);
    api.set_lifetime(900);
    recovers(&harness).await;
}

/// Redshift no longer takes what it took, as after it was restored: the next one is tried once.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_replaced_once_and_never_sent_again() {
    let (api, harness) = started(ClusterAsUser, Given).await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 5), 1)).await);
    let refused =
        |harness: &Harness| harness.stack.redshift.logins().iter().filter(|(_, accepted)| !accepted).count();
    harness.stack.redshift.set_password(&ClusterAsUser.user(), "another-one");
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 5), 2)).await);
    assert_eq!((refused(&harness), asked(&api).len()), (1, 2));

    // The API gives the same password again.
    harness.stack.redshift.set_password(&ClusterAsUser.user(), "another-one");
    let c = harness.put("c", &sample(3, 5), 3);
    api.fix_password(Some("always-the-same"));
    for _ in 0..3 {
        let Outcome::Failed { error_type, message } = harness.invoke(&c).await else { panic!("it loaded") };
        assert_eq!((error_type.as_str(), refused(&harness)), ("Deployment.LoginRefused", 3), "{message}");
    }
    api.fix_password(None);
    Harness::report(harness.invoke(&c).await);
    assert_eq!(harness.rows("user_group").await.len(), 15);
}

/// The API refuses an operation.
async fn is_refused(
    kind: Kind,
    operation: &'static str,
    refusal: (u16, &'static str),
    error_type: &str,
    words: &[&str],
) {
    let (api, harness) = started(kind, Asked).await;
    api.inject(Fault::new(operation, refusal));
    fails(&harness, error_type, words).await;
    assert_eq!(harness.stack.redshift.logins(), []);
    // Nothing that lasts is asked twice.
    if error_type.starts_with("Deployment.") {
        assert_eq!(asked(&api).iter().filter(|asked| *asked == operation).count(), 1);
    }
    api.clear_faults();
    recovers(&harness).await;
}

const NOT_GIVEN: &str = "Deployment.LoginNotGiven";
const UNAVAILABLE: &str = "Retryable.LoginUnavailable";

cases! {
    async what_lasts_is_for_the_operator_and_what_passes_is_not: is_refused {
        no_right_to_a_login(
            ClusterAsUser, "GetClusterCredentials", (403, "AccessDenied"), NOT_GIVEN,
            &["AccessDenied", "redshift:GetClusterCredentials on dbuser:analytics/cmslite_loader and dbname:analytics/test_"],
        );
        no_right_to_a_login_as_the_role(
            ClusterAsRole, "GetClusterCredentialsWithIAM", (403, "AccessDenied"), NOT_GIVEN,
            &["redshift:GetClusterCredentialsWithIAM on dbname:analytics/test_"],
        );
        no_right_to_a_login_of_a_workgroup(
            Workgroup, "GetCredentials", (400, "AccessDeniedException"), NOT_GIVEN,
            &["AccessDeniedException", "redshift-serverless:GetCredentials on workgroup/ID", "id and not its name"],
        );
        no_right_to_the_address(
            ClusterAsUser, "DescribeClusters", (403, "AccessDenied"), NOT_GIVEN,
            &["set PGHOST, or let the role redshift:DescribeClusters on cluster:analytics"],
        );
        no_right_to_the_address_of_a_workgroup(
            Workgroup, "GetWorkgroup", (400, "AccessDeniedException"), NOT_GIVEN,
            &["set PGHOST, or let the role redshift-serverless:GetWorkgroup"],
        );
        no_such_cluster(
            ClusterAsUser, "GetClusterCredentials", (404, "ClusterNotFound"), NOT_GIVEN,
            &["does not exist in region ca-central-1", "REDSHIFT_CLUSTER and AWS_REGION"],
        );
        no_such_workgroup(
            Workgroup, "GetCredentials", (404, "ResourceNotFoundException"), NOT_GIVEN,
            &["does not exist in region ca-central-1", "REDSHIFT_WORKGROUP and AWS_REGION"],
        );
        what_the_api_does_not_take(
            Workgroup, "GetCredentials", (400, "ValidationException"), NOT_GIVEN, &["ValidationException"],
        );
        keys_that_have_ended(
            ClusterAsUser, "DescribeClusters", (403, "ExpiredToken"), NOT_GIVEN, &["ExpiredToken"],
        );
        throttling_of_a_cluster(
            ClusterAsUser, "GetClusterCredentials", (400, "Throttling"), UNAVAILABLE, &["Throttling"],
        );
        throttling_of_a_workgroup(
            Workgroup, "GetWorkgroup", (400, "ThrottlingException"), UNAVAILABLE, &["ThrottlingException"],
        );
        a_failure_within(
            ClusterAsRole, "DescribeClusters", (500, "InternalFailure"), UNAVAILABLE, &["the endpoint of the cluster analytics"],
        );
        a_failure_within_serverless(
            Workgroup, "GetCredentials", (500, "InternalServerException"), UNAVAILABLE, &["a login to the workgroup analytics-wg"],
        );
        no_service(ClusterAsUser, "GetClusterCredentials", (503, "ServiceUnavailable"), UNAVAILABLE, &["ServiceUnavailable"]);
    }
}

/// Nobody listens there, as where a subnet has no way to the API.
async fn is_not_reached(kind: Kind) {
    let api = RedshiftApi::start().await.unwrap();
    let builder = by_iam(kind, Given, &api);
    let builder = match kind {
        ClusterAsUser | ClusterAsRole => builder.env("AWS_ENDPOINT_URL_REDSHIFT", "http://127.0.0.1:1"),
        Workgroup => builder.env("AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS", "http://127.0.0.1:1"),
    };
    fails(&start(builder, &api).await, UNAVAILABLE, &["Redshift's API did not return a login"]).await;
}

cases! {
    async an_api_that_is_not_reached_passes: is_not_reached {
        of_a_cluster(ClusterAsUser);
        of_a_workgroup(Workgroup);
    }
}

/// A cluster that is being made has no endpoint yet.
async fn has_no_endpoint(kind: Kind, words: &[&str]) {
    let (api, harness) = started(kind, Asked).await;
    api.set_status("creating");
    fails(&harness, UNAVAILABLE, words).await;
    api.set_status("available");
    recovers(&harness).await;
}

cases! {
    async what_is_being_made_is_waited_for: has_no_endpoint {
        a_cluster(ClusterAsUser, &["no endpoint of the cluster analytics: it is creating"]);
        a_workgroup(Workgroup, &["no endpoint of the workgroup analytics-wg: it is CREATING"]);
    }
}

fn with_cluster() -> HarnessBuilder {
    Harness::builder().env("REDSHIFT_CLUSTER", CLUSTER)
}

cases! {
    async logins_that_contradict_each_other_are_refused_at_start: is_for_the_operator {
        a_cluster_and_a_workgroup(
            with_cluster().env("REDSHIFT_WORKGROUP", WORKGROUP),
            "Deployment.Configuration",
            &["REDSHIFT_CLUSTER and REDSHIFT_WORKGROUP are both set", "keep the one"],
        );
        a_password_beside_it(
            with_cluster(),
            "Deployment.Configuration",
            &["REDSHIFT_CLUSTER is a login by IAM", "pgpass is set too: remove one of them"],
        );
        a_secret_beside_it(
            with_cluster().env("pgpass", "").env("PGPASS_SECRET_ID", "s"),
            "Deployment.Configuration",
            &["PGPASS_SECRET_ID is set too: remove one of them"],
        );
        a_user_of_a_workgroup(
            Harness::builder().env("pgpass", "").env("REDSHIFT_WORKGROUP", WORKGROUP),
            "Deployment.Configuration",
            &["remove PGUSER"],
        );
    }
}

/// `check` says how it logs in and until when; whatever it says or logs, no password is in it.
#[tokio::test(flavor = "multi_thread")]
async fn check_says_until_when_the_login_is_good_and_nothing_says_the_password() {
    let api = RedshiftApi::start().await.unwrap();
    let builder = by_iam(ClusterAsUser, Asked, &api)
        .env("RUST_LOG", "trace")
        .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
        .env("RUST_BACKTRACE", "1");
    let harness = start(builder, &api).await;
    let (output, _) = harness.command(&["check", harness.config_file().to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&output.stdout);
    let words = [
        "as IAM:cmslite_loader, with the password of IAM for the cluster analytics (REDSHIFT_CLUSTER), valid until 20",
        "TLS, certificate and host name verified",
    ];
    for word in words {
        assert!(output.status.success() && told.contains(word), "{word} is not in {told}");
    }
    harness.put("a", &sample(1, 5), 1);
    let (loaded, log) = harness.command(&["load", harness.config_file().to_str().unwrap()]).await;
    let log = std::fs::read_to_string(log.path().join("logs/cmslite_user_data_to_redshift.log")).unwrap();
    Harness::report(harness.invoke(&harness.put("b", &sample(2, 5), 2)).await);
    let said = [
        told.into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
        String::from_utf8_lossy(&loaded.stderr).into_owned(),
        log,
        harness.log().await,
    ];
    assert_eq!(asked(&api).iter().filter(|operation| *operation == "GetClusterCredentials").count(), 3);
    for text in said {
        assert!(!text.contains("temporary-Passw0rd"), "{text}");
    }
}

/// A second opinion on the wire: moto's Redshift, which draws passwords at random.
#[tokio::test(flavor = "multi_thread")]
async fn moto_gives_a_login_and_an_address() {
    let moto = moto::start().await;
    let drawn = "
import urllib.request
boto('redshift').create_cluster(ClusterIdentifier=sys.argv[1], NodeType='ra3.large', MasterUsername='admin', MasterUserPassword='Passw0rdOfAdmin')
again = lambda: urllib.request.urlopen(urllib.request.Request(boto('redshift').meta.endpoint_url + '/moto-api/seed?a=42', method='POST')).read()
again()
given = boto('redshift').get_cluster_credentials(ClusterIdentifier=sys.argv[1], DbUser=sys.argv[2], DbName='analytics')
again()
print(json.dumps([given['DbUser'], given['DbPassword']]))";
    let given = moto.python(drawn, &[CLUSTER, LOADER]).await;
    let (user, password) = (given[0].as_str().unwrap(), given[1].as_str().unwrap());
    let builder = || {
        Harness::builder()
            .env("pgpass", "")
            .env("REDSHIFT_CLUSTER", CLUSTER)
            .env("AWS_ENDPOINT_URL_REDSHIFT", moto.endpoint())
    };
    let harness = builder().start().await;
    harness.stack.redshift.set_password(user, password);
    assert_eq!(user, ClusterAsUser.user());
    harness.put("a", &sample(3, 50), 1);
    recovers(&harness).await;
    assert_eq!(harness.stack.redshift.logins()[0], (user.to_owned(), true));

    // Its cluster has an address in a domain of moto's.
    let elsewhere = builder().env("PGHOST", "").start().await;
    fails(
        &elsewhere,
        "Retryable.ConnectionLost",
        &["cannot connect to Redshift at analytics.", ".ca-central-1.redshift.amazonaws.com:"],
    )
    .await;
    let absent = builder().env("REDSHIFT_CLUSTER", "absent").start().await;
    fails(&absent, NOT_GIVEN, &["does not exist in region", "check REDSHIFT_CLUSTER"]).await;
    let log = harness.log().await;
    assert!(!log.contains(password) && !log.contains(LOADER_PASSWORD));
    assert!(harness.is_good("a"), "{}", key("a"));
}

/// The stand-in of the API, read by boto3, which has AWS's own description of requests and answers.
#[tokio::test(flavor = "multi_thread")]
async fn boto3_reads_what_the_stand_in_says() {
    let (moto, api) = (moto::start().await, RedshiftApi::start().await.unwrap());
    let harness = start(Harness::builder().redshift(with_the_role), &api).await;
    let code = "
import datetime
from botocore.exceptions import ClientError
endpoint, cluster, workgroup, database, user = sys.argv[1:]
client = lambda name: boto3.client(name, region_name='ca-central-1', endpoint_url=endpoint, aws_access_key_id='id', aws_secret_access_key='key')
redshift, serverless = client('redshift'), client('redshift-serverless')
def refused(call):
    try:
        call()
    except ClientError as error:
        return [error.response['Error']['Code'], error.response['ResponseMetadata']['HTTPStatusCode']]
def login(answer, user, password, expiration):
    left = answer[expiration] - datetime.datetime.now(datetime.timezone.utc)
    return [answer[user], answer[password] != '', 800 < left.total_seconds() <= 900]
query, json_form = ('DbUser', 'DbPassword', 'Expiration'), ('dbUser', 'dbPassword', 'expiration')
print(json.dumps([
    login(redshift.get_cluster_credentials(ClusterIdentifier=cluster, DbName=database, DbUser=user), *query),
    login(redshift.get_cluster_credentials(ClusterIdentifier=cluster, DbName=database, DbUser=user, AutoCreate=True), *query),
    login(redshift.get_cluster_credentials_with_iam(ClusterIdentifier=cluster, DbName=database), *query),
    login(serverless.get_credentials(workgroupName=workgroup, dbName=database), *json_form),
    redshift.describe_clusters(ClusterIdentifier=cluster)['Clusters'][0]['Endpoint'],
    serverless.get_workgroup(workgroupName=workgroup)['workgroup']['endpoint'],
    refused(lambda: redshift.describe_clusters(ClusterIdentifier='absent')),
    refused(lambda: serverless.get_workgroup(workgroupName='absent')),
]))";
    let arguments = [&api.endpoint(), CLUSTER, WORKGROUP, harness.stack.database.as_str(), LOADER];
    let port = harness.stack.redshift.port();
    let expected = json!([
        [format!("IAM:{LOADER}"), true, true],
        [format!("IAMA:{LOADER}"), true, true],
        [format!("IAMR:{ROLE}"), true, true],
        [format!("IAMR:{ROLE}"), true, true],
        {"Address": "localhost", "Port": port},
        {"address": "localhost", "port": port},
        ["ClusterNotFound", 404],
        ["ResourceNotFoundException", 404],
    ]);
    assert_eq!(moto.python(code, &arguments).await, expected);
}
