//! Tests uploads that are announced through SQS or SNS: the template's resources, and messages of moto.

use std::collections::BTreeSet;

use devstack::lambda::{Queue, QueueOptions, eventually};
use devstack::stack::BUCKET;
use serde_json::{Value, json};

use super::page::Section;
use super::reader::deploy_by_secret;
use crate::harness::{HANGS_AFTER, Harness, key, moto, sample};

const SECRET: &str = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:x";

/// Reads the queue, its mapping, the function and its role from moto. The arguments are their names.
const READ: &str = "
import ast
queue, dead, function, role = sys.argv[1:]
def attributes(url):
    return boto('sqs').get_queue_attributes(QueueUrl=url, AttributeNames=['All'])['Attributes']
as_json = lambda document: ast.literal_eval(document) if isinstance(document, str) else document
policies = [boto('iam').get_role_policy(RoleName=role, PolicyName=name)['PolicyDocument'] for name in boto('iam').list_role_policies(RoleName=role)['PolicyNames']]
print(json.dumps({
    'queue': attributes(queue),
    'dead': attributes(dead)['QueueArn'],
    'mappings': [{name: value for name, value in mapping.items() if name not in ('LastModified',)} for mapping in boto('lambda').list_event_source_mappings(FunctionName=function)['EventSourceMappings']],
    'function': boto('lambda').get_function(FunctionName=function)['Configuration']['Timeout'],
    'reserved': boto('lambda').get_function_concurrency(FunctionName=function).get('ReservedConcurrentExecutions'),
    'rights': [statement for policy in policies for statement in as_json(policy)['Statement'] if statement and 'sqs' in str(statement)],
}, default=str))";

fn number(value: &Value) -> u64 {
    value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok()).unwrap()
}

/// Tests the template's queue: who may send, how long a message is hidden, and where it ends. Then the
/// document's command, an upload, and moto's own messages load the archive.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_reaches_the_function_through_the_templates_queue() {
    let moto = moto::start().await;
    let deployed = deploy_by_secret(&moto, 5439, "analytics", SECRET, &["Trigger=Sqs"]).await;
    let made = &deployed["made"];
    assert!(made["UploadRule"].is_null() && made["Bucket"].is_null(), "{made}");
    let name = |resource: &str| made[resource].as_str().unwrap();
    let arguments = [name("UploadEvents"), name("FailedEvents"), name("Loader"), name("LoaderRole")];
    let found = moto.python(READ, &arguments).await;

    let queue = &found["queue"];
    let arn = deployed["outputs"]["UploadEventsQueueArn"].as_str().unwrap();
    assert_eq!(queue["QueueArn"], arn);
    let [mapping] = found["mappings"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!(mapping["EventSourceArn"], arn);
    assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{mapping}");
    let template = include_str!("../../template.yaml");
    let said = |name: &str| {
        let (_, value) = template.split_once(&format!("{name}: ")).unwrap();
        value.lines().next().unwrap().parse::<u64>().unwrap()
    };
    let most_timeout = said("MaxValue");
    assert_eq!((number(&found["function"]), most_timeout), (900, 900));
    let hidden = number(&queue["VisibilityTimeout"]);
    assert!(hidden >= 6 * most_timeout + said("MaximumBatchingWindowInSeconds"), "{hidden}");
    assert!(number(&found["reserved"]) >= said("MaximumConcurrency"), "{found}");
    let redrive: Value = serde_json::from_str(queue["RedrivePolicy"].as_str().unwrap()).unwrap();
    assert!(
        redrive["deadLetterTargetArn"] == found["dead"] && number(&redrive["maxReceiveCount"]) >= 5,
        "{redrive}"
    );
    assert_eq!(queue["SqsManagedSseEnabled"].as_str().unwrap().to_lowercase(), "true");

    let statements = deployed["queue_policies"]["UploadEventsPolicy"].as_array().unwrap();
    let [allowed] =
        statements.iter().filter(|statement| statement["Effect"] == "Allow").collect::<Vec<_>>()[..]
    else {
        panic!("{statements:?}")
    };
    assert_eq!(allowed["Principal"], json!({"Service": "s3.amazonaws.com"}));
    assert_eq!(
        (&allowed["Action"], &allowed["Resource"]),
        (&json!("sqs:SendMessage"), &json!({"Fn::GetAtt": ["UploadEvents", "Arn"]}))
    );
    let account =
        json!({"Fn::If": ["UsesOtherAccountsBucket", {"Ref": "BucketAccountId"}, {"Ref": "AWS::AccountId"}]});
    let conditions = json!({
        "ArnEquals": {"aws:SourceArn": {"Fn::Sub": "arn:${AWS::Partition}:s3:::${BucketName}"}},
        "StringEquals": {"aws:SourceAccount": account},
    });
    assert_eq!(allowed["Condition"], conditions);

    // The permissions with which Lambda receives messages, for this queue only.
    let rights = found["rights"].as_array().unwrap();
    let of_queue: Vec<&Value> = rights.iter().filter(|right| right["Resource"] == arn).collect();
    let actions: BTreeSet<&str> = of_queue
        .iter()
        .flat_map(|right| right["Action"].as_array().unwrap().iter().filter_map(Value::as_str))
        .collect();
    assert_eq!(
        actions,
        BTreeSet::from(["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"])
    );
    assert!(
        rights.iter().all(|right| right["Resource"] == arn || right["Sid"] == "KeepFailedEvents"),
        "{rights:?}"
    );

    // moto would run the function in Docker.
    let prepare = "
boto('lambda').delete_event_source_mapping(UUID=sys.argv[2])
boto('s3').create_bucket(Bucket=sys.argv[1], CreateBucketConfiguration={'LocationConstraint': 'ca-central-1'})
print('null')";
    moto.python(prepare, &[BUCKET, mapping["UUID"].as_str().unwrap()]).await;
    let command =
        Section::of("how-to/deploy.md", "With a queue").take("put-bucket-notification-configuration");
    run(&moto, &command.replace("BUCKET", BUCKET).replace("QUEUE_ARN", arn)).await;
    let upload = "
for name in sys.argv[2:]:
    boto('s3').put_object(Bucket=sys.argv[1], Key=name, Body=b'x')
print('null')";
    let archive = key("2024-03-01 ü+");
    let staged = format!("processed/batch/{archive}");
    moto.python(upload, &[BUCKET, &archive, &staged, "client/other/x.tgz"]).await;
    let told = moto.drain(arn.rsplit(':').next().unwrap()).await;
    let created = |event: &&Value| {
        event["Records"][0]["eventName"].as_str().is_some_and(|name| name.starts_with("ObjectCreated"))
    };
    assert_eq!(told.iter().filter(created).count(), 1, "{told:?}");
    loads(&told.iter().map(Value::to_string).collect::<Vec<_>>()).await;
}

/// Runs the AWS command line against moto.
async fn run(moto: &moto::Moto, command: &str) {
    let script = format!(
        "aws() {{ {} --endpoint-url {} \"$@\"; }}\n{command}",
        moto::aws().display(),
        moto.endpoint()
    );
    let bash = tokio::process::Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .envs([
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
            ("AWS_DEFAULT_REGION", "ca-central-1"),
        ])
        .envs([("HOME", "/nonexistent".to_owned()), ("PATH", std::env::var("PATH").unwrap_or_default())])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(HANGS_AFTER, bash).await.expect("the command hangs").unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Checks that messages with these bodies load their archive once.
async fn loads(bodies: &[String]) {
    let harness = Harness::builder().appending().start().await;
    harness.put("2024-03-01 ü+", &sample(1, 8), 10);
    let queue = Queue::new(QueueOptions::default());
    for body in bodies {
        queue.send(body.clone());
    }
    let _mapping = harness.lambda.map(&queue);
    eventually(HANGS_AFTER, || queue.is_empty()).await.unwrap();
    assert_eq!(queue.dead_letters(), Vec::<String>::new(), "{bodies:?}");
    assert_eq!(harness.ledger().await, [key("2024-03-01 ü+")], "{bodies:?}");
}

/// SNS's envelope in a queue, and its raw delivery, as moto creates them.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_sns_in_a_queue_load_with_and_without_raw_delivery() {
    let moto = moto::start().await;
    let publish = "
topic = boto('sns').create_topic(Name='uploads')['TopicArn']
for queue, raw in zip(sys.argv[2:], ('false', 'true')):
    boto('sns').subscribe(TopicArn=topic, Protocol='sqs', Endpoint=queue, Attributes={'RawMessageDelivery': raw})
boto('sns').publish(TopicArn=topic, Message=sys.argv[1], Subject='Amazon S3 Notification')
print('null')";
    let event = Harness::event(&key("2024-03-01 ü+")).to_string();
    let queues = [moto.queue("wrapped").await, moto.queue("raw").await];
    moto.python(publish, &[&event, &queues[0], &queues[1]]).await;
    let (wrapped, raw) = (moto.drain("wrapped").await, moto.drain("raw").await);
    assert!(wrapped[0]["TopicArn"].is_string() && raw[0]["Records"].is_array(), "{wrapped:?} {raw:?}");
    loads(&[wrapped[0].to_string(), raw[0].to_string()]).await;
}

/// With a topic, only that topic may invoke the function.
#[tokio::test(flavor = "multi_thread")]
async fn the_templates_topic_may_invoke_the_function() {
    let moto = moto::start().await;
    let parameters = ["Trigger=Sns", "UploadTopicName=exports"];
    let deployed = deploy_by_secret(&moto, 5439, "analytics", SECRET, &parameters).await;
    assert!(deployed["made"]["UploadRule"].is_null() && deployed["made"]["UploadEvents"].is_null());
    let read = "print(json.dumps(json.loads(boto('lambda').get_policy(FunctionName=sys.argv[1])['Policy'])['Statement']))";
    let statements = moto.python(read, &[deployed["made"]["Loader"].as_str().unwrap()]).await;
    let of_sns = |statement: &&Value| statement["Principal"]["Service"] == "sns.amazonaws.com";
    let of_sns: Vec<&Value> = statements.as_array().unwrap().iter().filter(of_sns).collect();
    let topic = "arn:aws:sns:ca-central-1:123456789012:exports";
    assert!(of_sns.len() == 1 && of_sns[0].to_string().contains(topic), "{statements}");
    assert!(
        deployed["left_out"].as_array().unwrap().contains(&json!("UploadTopicSubscription")),
        "{deployed}"
    );
}
