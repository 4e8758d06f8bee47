//! Tests the template's container task: the command, with the function's variables, for what the function
//! leaves to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use devstack::lambda::{self, Lambda, Outcome};
use devstack::s3::Credentials;
use devstack::stack::function_keys;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::reader::deploy_by_secret;
use crate::harness::{Harness, PROGRAM, moto, sample, temporary};

const FURTHER: [&str; 3] = [
    "TaskImage=123456789012.dkr.ecr.ca-central-1.amazonaws.com/loader:1",
    "SubnetIds=subnet-0a",
    "SecurityGroupIds=sg-0a",
];

/// The function's and the task's settings, as CloudFormation created them.
struct Deployed {
    function: BTreeMap<String, String>,
    container: Value,
    /// The rule's pattern for large uploads.
    pattern: Value,
}

impl Deployed {
    async fn new(moto: &moto::Moto, harness: &Harness) -> Self {
        let secret = "print(json.dumps(boto('secretsmanager').create_secret(Name='first', SecretString=sys.argv[1])['ARN']))";
        let secret = moto.python(secret, &[devstack::stack::LOADER_PASSWORD]).await;
        let port = harness.stack.redshift.port();
        let deployed =
            deploy_by_secret(moto, port, &harness.stack.database, secret.as_str().unwrap(), &FURTHER).await;
        let read = "
function = boto('lambda').get_function_configuration(FunctionName=sys.argv[1])['Environment']['Variables']
task = boto('ecs').describe_task_definition(taskDefinition=sys.argv[2])['taskDefinition']
rules = boto('events').list_rules()['Rules']
rule = next(rule for rule in rules if 'TaskRule' in rule['Name'])
print(json.dumps({'function': function, 'container': task['containerDefinitions'][0], 'pattern': json.loads(rule['EventPattern'])}))";
        let function = deployed["outputs"]["FunctionName"].as_str().unwrap();
        let task = deployed["made"]["Task"].as_str().unwrap();
        let read = moto.python(read, &[function, task]).await;
        Self {
            function: serde_json::from_value(read["function"].clone()).unwrap(),
            container: read["container"].clone(),
            pattern: read["pattern"].clone(),
        }
    }

    fn task(&self) -> BTreeMap<String, String> {
        let variables = self.container["environment"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        variables.iter().map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
    }
}

/// Serves credentials as the agent of ECS does for a task (Amazon ECS Developer Guide, "Task IAM role").
async fn credentials(keys: Credentials) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = format!("http://{}/credentials", listener.local_addr().unwrap());
    let body = json!({
        "AccessKeyId": keys.access_key_id,
        "SecretAccessKey": keys.secret_access_key,
        "Token": keys.session_token,
        "Expiration": "2099-01-01T00:00:00Z",
        "RoleArn": "arn:aws:iam::123456789012:role/loader",
    })
    .to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_function_leaves_the_task_loads_with_what_waits_behind_it() {
    let moto = moto::start().await;
    let mut harness = Harness::builder().appending().start().await;
    let deployed = Deployed::new(&moto, &harness).await;
    let (mut function, task) = (deployed.function.clone(), deployed.task());
    let most = function.remove("LEAVE_TO_TASK_BYTES").unwrap();
    // The function writes the page, not the task.
    assert_eq!(function.remove("STATUS_PAGE").as_deref(), Some("on"));
    let mut shared = task.clone();
    shared.retain(|_, value| !value.is_empty());
    assert!(shared.remove("AWS_REGION").is_some());
    assert_eq!(shared, function);

    // Here, the function's limit of 2 GiB is a kilobyte.
    assert_eq!(most, "2147483648");
    harness.environment.push(("LEAVE_TO_TASK_BYTES".to_owned(), "1000".to_owned()));
    harness.lambda = Lambda::start(lambda::Options::new(PROGRAM, harness.environment.clone())).await.unwrap();
    let small = harness.put("a", &sample(1, 1), 10);
    assert!(Harness::report(harness.invoke(&small).await)["left_to_task"].is_null());
    let before = harness.tables().await;
    let large = harness.put("b", &sample(2, 300), 20);
    let behind = harness.put("c", &sample(3, 1), 30);
    for archive in [&large, &behind] {
        let report = Harness::report(harness.invoke(archive).await);
        assert_eq!(report["left_to_task"], large);
        assert_eq!(report["not_processed"][0], large);
    }
    assert!(harness.is_unsettled("b") && harness.is_unsettled("c"));
    assert_eq!(harness.tables().await, before);
    // The task does not find an archive by its key alone.
    let by_key = json!({"dataset": "cmslite_user_group_metadata", "key": large, "accept_shrink": true});
    let Outcome::Failed { error_type, message } = harness.lambda.invoke(by_key).await else {
        panic!("it ended well")
    };
    assert_eq!(error_type, "Deployment.NotAgain");
    assert!(message.contains("the container task or the command"), "{message}");

    // The task runs with its variables and its command, with local servers in place of AWS.
    let directory = temporary();
    let command: Vec<String> = serde_json::from_value(deployed.container["command"].clone()).unwrap();
    let in_image = harness.config_dir.path().display().to_string();
    let command: Vec<String> = command.iter().map(|word| word.replace("/config.d", &in_image)).collect();
    let given = |name: &str| harness.environment.iter().find(|(known, _)| known == name).unwrap().1.clone();
    let mut program = Command::new(PROGRAM);
    program.args(command).current_dir(directory.path()).env_clear().envs(&task);
    program.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials(function_keys()).await);
    for name in ["AWS_ENDPOINT_URL", "PGSSLROOTCERT"] {
        program.env(name, given(name));
    }
    for service in ["AWS_ENDPOINT_URL_SNS", "AWS_ENDPOINT_URL_SECRETS_MANAGER"] {
        program.env(service, moto.endpoint());
    }
    let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{log}");
    assert!(harness.is_good("b") && harness.is_good("c"));
    assert_eq!(harness.rows("user_group").await.len(), 302);
    let counted: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{') && line.contains("_aws"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [counted] = counted.as_slice() else { panic!("{log}") };
    assert_eq!((&counted["ArchivesLoaded"], &counted["QueueLength"]), (&json!(2), &json!(0)));
    assert!(Path::new(&directory.path().join("logs")).is_dir());
}

/// moto evaluates the pattern as EventBridge does.
#[tokio::test(flavor = "multi_thread")]
async fn the_task_is_started_for_what_the_function_leaves() {
    let moto = moto::start().await;
    let harness = Harness::start().await;
    let deployed = Deployed::new(&moto, &harness).await;
    let matches = "
from moto.events.models import EventPattern
pattern = EventPattern.load(sys.argv[1])
print(json.dumps([pattern.matches_event(event) for event in json.loads(sys.argv[2])]))";
    let event = |size: u64, key: &str| {
        let sampled = include_str!("../../events/eventbridge-object-created.json");
        let mut event: Value = serde_json::from_str(sampled).unwrap();
        event["detail"]["object"]["size"] = json!(size);
        event["detail"]["object"]["key"] = json!(key);
        event
    };
    let most: u64 = deployed.function["LEAVE_TO_TASK_BYTES"].parse().unwrap();
    let archive = "client/cmslite_gdx/cms-analytics-csv_1.tgz";
    let events = json!([
        event(most, archive),
        event(most + 1, archive),
        event(most + 1, &format!("processed/good/{archive}")),
    ]);
    let started = moto.python(matches, &[&deployed.pattern.to_string(), &events.to_string()]).await;
    assert_eq!(started, json!([false, true, false]));
}
