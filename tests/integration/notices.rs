//! Tests messages about bad archives: each is sent once, and an archive is bad even if its message cannot be
//! sent.

use std::net::TcpListener;
use std::sync::Arc;

use devstack::lambda::Outcome;
use devstack::s3::{Action, Fault};
use devstack::stack::{self, BUCKET};

use crate::harness::moto::{self, Moto};
use crate::harness::{HANGS_AFTER, Harness, bad_key, sample, sample_with};

/// A topic in moto, with a queue that hears it.
pub async fn topic(moto: &Moto) -> String {
    let topic = moto
        .python("print(json.dumps(boto('sns').create_topic(Name='notices')['TopicArn']))", &[])
        .await
        .as_str()
        .unwrap()
        .to_owned();
    moto.hear(&topic).await;
    topic
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_archive_is_told_once_with_its_reasons() {
    let moto = moto::start().await;
    let builder = Harness::builder()
        .appending()
        .env("AWS_ENDPOINT_URL_SNS", moto.endpoint())
        .env("BAD_ARCHIVE_TOPIC_ARN", topic(&moto).await);
    let harness = builder.start().await;
    Harness::report(harness.invoke(&harness.put("good", &sample(1, 5), 1)).await);
    assert_eq!(moto.heard().await, []);

    let rows = "1,\"name, é\"\n".repeat(30);
    let bad = harness.put(
        "bad ü+",
        &sample_with("analytics_group.csv", format!("id,name,active,site_key\n{rows}")),
        2,
    );
    let report = Harness::report(harness.invoke(&bad).await);
    Harness::report(harness.invoke(&bad).await);
    let told_now = moto.heard().await;
    let [(subject, body)] = told_now.as_slice() else { panic!("{told_now:?}") };
    assert_eq!(subject, "Bad archive in cmslite_user_group_metadata: cms-analytics-csv_bad ?+.tgz");
    assert!(
        body.contains(&format!(
            "Archive: s3://{BUCKET}/{bad} (ETag {})\n",
            report["bad"][0]["etag"].as_str().unwrap()
        )),
        "{body}"
    );
    assert!(body.contains(&format!("Reasons: s3://{BUCKET}/{}.error.json\n", bad_key("bad ü+"))), "{body}");
    assert!(body.contains("upload it again under the same name"), "{body}");
    assert_eq!(body.matches("\n- analytics_group.csv, line ").count(), 20, "{body}");
    let found = report["bad"][0]["problems_found"].as_u64().unwrap();
    assert!(
        body.contains(&format!("Problems found: {found}\n"))
            && (found == 20 || body.ends_with(&format!("and {} more\n", found - 20))),
        "{body}"
    );
    for problem in report["bad"][0]["problems"].as_array().unwrap() {
        assert!(body.contains(problem["reason"].as_str().unwrap()), "{body}");
    }

    // The command tells as the function does.
    harness.put("by hand", b"no archive", 3);
    let (output, _directory) = harness.command(&["load", harness.config_file().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1));
    let told = moto.heard().await;
    assert!(
        told.len() == 1
            && told[0].0.ends_with("cms-analytics-csv_by hand.tgz")
            && told[0].1.contains("not a sound gzip file"),
        "{told:?}"
    );

    // A function that cannot set the marker has told already, and notes it: nobody tells again.
    harness.stack.s3.inject(Fault::on("CopyObject", "", Action::Refuse(503, "SlowDown".to_owned())));
    let unsettled = harness.put("unsettled", b"no archive", 4);
    assert!(
        matches!(harness.invoke(&unsettled).await, Outcome::Failed { .. })
            && harness.is_unsettled("unsettled")
    );
    assert!(matches!(harness.invoke(&unsettled).await, Outcome::Failed { .. }));
    assert_eq!(moto.heard().await.len(), 1);
    harness.stack.s3.clear_faults();
    Harness::report(harness.invoke(&unsettled).await);
    assert!(harness.is_bad("unsettled"));
    assert_eq!(moto.heard().await, []);

    // The same bytes uploaded again after their marker are told of again: somebody believes them to be corrected.
    let later = chrono::Utc::now() + chrono::TimeDelta::seconds(5);
    harness.stack.s3.put_at(BUCKET, &unsettled, b"no archive", later).unwrap();
    Harness::report(harness.invoke(&unsettled).await);
    assert_eq!(moto.heard().await.len(), 1);
    for secret in [
        stack::LOADER_PASSWORD,
        &stack::function_keys().secret_access_key,
        &stack::function_keys().session_token.unwrap(),
    ] {
        assert!(!body.contains(secret));
    }
}

/// Who explains an archive tells of it. Where that function died in between, the next one does.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_whose_explainer_died_is_told_of_by_the_next_run() {
    let moto = moto::start().await;
    let builder = Harness::builder()
        .appending()
        .env("AWS_ENDPOINT_URL_SNS", moto.endpoint())
        .env("BAD_ARCHIVE_TOPIC_ARN", topic(&moto).await);
    let harness = Arc::new(builder.start().await);
    let weak = Arc::downgrade(&harness);
    let die = move || weak.upgrade().unwrap().lambda.kill_and_wait();
    harness.stack.s3.inject(Fault::on("PutObject", ".error.json", Action::RunAfter(Arc::new(die))).times(1));
    let bad = harness.put("bad", b"no archive", 1);
    assert!(matches!(harness.invoke(&bad).await, Outcome::Failed { .. }) && harness.is_unsettled("bad"));
    assert_eq!(moto.heard().await, []);
    harness.expire_leases();
    Harness::report(harness.invoke(&bad).await);
    Harness::report(harness.invoke(&bad).await);
    assert!(harness.is_bad("bad"));
    assert_eq!(moto.heard().await.len(), 1);
}

/// A topic that is not there, an SNS that is not there, and one that takes the message and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_archive_that_nobody_can_be_told_of_is_bad_all_the_same() {
    let moto = moto::start().await;
    let topic = topic(&moto).await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let outcome = async |name: &str, endpoint: Option<String>, topic: &str| {
        let mut builder = Harness::builder().appending();
        if let Some(endpoint) = endpoint {
            builder = builder.env("AWS_ENDPOINT_URL_SNS", endpoint).env("BAD_ARCHIVE_TOPIC_ARN", topic);
        }
        let harness = builder.start().await;
        let mut report = Harness::report(harness.invoke(&harness.put("a", b"no archive", 1)).await);
        assert!(harness.is_bad("a"), "{name}");
        for differs in ["seconds", "request_id", "oldest_unsettled_age_seconds"] {
            report.as_object_mut().unwrap().remove(differs);
        }
        let took = harness.lambda.history()[0].took;
        (report, harness.error_json("a")["problems"].clone(), took, harness.log().await)
    };
    let (report, problems, _, log) = outcome("nobody", None, "").await;
    assert!(!log.contains("send the message about the bad archive"));
    for (name, endpoint, topic, why) in [
        ("no topic", moto.endpoint(), format!("{topic}-gone"), "NotFound"),
        ("no SNS", "http://127.0.0.1:1".to_owned(), topic.clone(), "dispatch failure"),
        ("silence", format!("http://{}", silent.local_addr().unwrap()), topic.clone(), "timeout"),
    ] {
        let (report_now, problems_now, took, log) = outcome(name, Some(endpoint), &topic).await;
        assert_eq!((&report_now, &problems_now), (&report, &problems), "{name}");
        assert!(took < HANGS_AFTER, "{name}: {took:?}");
        let warning = log
            .lines()
            .find(|line| line.contains("cannot send the message about the bad archive"))
            .unwrap_or_else(|| panic!("{name}: {log}"));
        assert!(warning.contains("\"level\":\"WARN\"") && warning.contains(why), "{warning}");
        println!("{name}: {took:?}: {warning}");
    }
}
