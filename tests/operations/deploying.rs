//! Tests how uploads to an existing bucket are announced: the commands of docs/how-to/deploy.md, and the
//! template's rule.

use devstack::stack::BUCKET;
use serde_json::{Value, json};

use super::page::Section;
use super::reader::Reader;
use crate::harness::{Harness, SHIPPED, expected, key, members, sample};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_an_existing_bucket_reaches_the_function() {
    let mut reader = Reader::start(SHIPPED).await;
    let mut section = Section::of("how-to/deploy.md", "5. The bucket");
    let prepare = "
boto('s3').create_bucket(Bucket=sys.argv[1], CreateBucketConfiguration={'LocationConstraint': 'ca-central-1'})
rules = [rule['Name'] for rule in boto('events').list_rules()['Rules']]
rule = next(rule for rule in rules if 'UploadRule' in rule)
targets = boto('events').list_targets_by_rule(Rule=rule)['Targets']
# moto would run the function in Docker, for the schedule's rule too, which it takes for one of any event; a queue hears in its place.
for name in rules:
    boto('events').remove_targets(Rule=name, Ids=[target['Id'] for target in targets])
boto('events').put_targets(Rule=rule, Targets=[{'Id': 'heard', 'Arn': sys.argv[2]}])
print(json.dumps(targets))";
    let queue = reader.moto.queue("uploads").await;
    let targets = reader.moto.python(prepare, &[BUCKET, &queue]).await;
    let function = reader.outputs["FunctionName"].as_str().unwrap();
    assert!(
        targets.as_array().unwrap().len() == 1
            && targets[0]["Arn"].as_str().unwrap().ends_with(&format!(":function:{function}")),
        "{targets}"
    );

    let upload = "
for name in sys.argv[2:]:
    boto('s3').put_object(Bucket=sys.argv[1], Key=name, Body=b'x')
print('null')";
    // EventBridge's events have the unchanged key, and S3's own notifications form-encode it. moto does the
    // same.
    let archive = key("2024-03-01 ü+");
    let staged = format!("processed/batch/{archive}");
    reader.moto.python(upload, &[BUCKET, &archive]).await;
    assert_eq!(reader.moto.drain("uploads").await, Vec::<Value>::new());
    for name in ["put-bucket-notification-configuration", "put-bucket-lifecycle-configuration"] {
        reader.run(&section.take(name).replace("BUCKET", BUCKET)).await;
    }
    let rules = "print(json.dumps([rule['ID'] for rule in boto('s3').get_bucket_lifecycle_configuration(Bucket=sys.argv[1])['Rules']]))";
    assert_eq!(
        reader.moto.python(rules, &[BUCKET]).await,
        json!(["StagedFiles", "Leases", "UnfinishedUploads"])
    );
    reader.moto.python(upload, &[BUCKET, &archive, &staged, "client/other/x.tgz"]).await;
    let heard = reader.moto.drain("uploads").await;
    let [event] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(
        (&event["detail-type"], &event["detail"]["object"]["key"]),
        (&json!("Object Created"), &json!(archive))
    );
    let sampled: Value =
        serde_json::from_str(include_str!("../../events/eventbridge-object-created.json")).unwrap();
    for part in ["source", "detail-type", "version"] {
        assert_eq!(event[part], sampled[part], "{part}");
    }

    reader.harness.put("2024-03-01 ü+", &sample(1, 8), 10);
    Harness::report(reader.harness.lambda.invoke(event.clone()).await);
    assert_eq!(reader.harness.tables().await, expected(&members(1, 8)));
}
