//! Tests that no object blocks the queue: an archive that no function can read in its time is bad after
//! several tries, and one beyond the limits is bad at once.

use std::io::Write as _;
use std::time::Duration;

use cmslite_core::config::parse;
use devstack::lambda::Outcome;
use devstack::s3::{Action, Fault, Request};
use devstack::stack::BUCKET;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::harness::{Harness, appending, bad_key, cases, key, sample};

/// The time left when reading stops, as in the program.
const RESERVE: Duration = Duration::from_secs(15);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns an archive whose one pax header has 4 GiB of comments: a few megabytes that take a processor long.
/// It is made from one piece, since a gzip file may have several members.
fn bomb() -> Vec<u8> {
    repeating("bomb", "x", b"32 comment=aaaaaaaaaaaaaaaaaaaa\n", 512)
}

/// Returns an archive that begins with an entry of this kind, with a number of pieces of 8 MiB.
fn repeating(name: &str, kind: &str, record: &[u8; 32], pieces: usize) -> Vec<u8> {
    let piece = record.repeat(256 * 1024);
    let mut header = [0; 512];
    let mut fill = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    fill(0, name);
    fill(100, "0000644");
    fill(124, &format!("{:011o}", piece.len() * pieces));
    fill(148, "        ");
    fill(156, kind);
    fill(257, "ustar");
    fill(263, "00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    [gzip(&header), gzip(&piece).repeat(pieces)].concat()
}

/// Returns the configuration that appends, with limits that the bomb does not reach.
fn without_limits() -> String {
    appending().replacen('{', "{\"max_pax_bytes\": 100000000000, \"max_unpacked_ratio\": 100000,", 1)
}

fn has_counted(harness: &Harness) -> bool {
    harness.keys().iter().any(|key| key.contains("/tries/"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_no_function_gets_through_is_bad_after_three_tries() {
    let harness =
        Harness::builder().config(without_limits()).timeout(RESERVE + Duration::from_secs(10)).start().await;
    harness.put("a", &bomb(), 1);
    harness.put("b", &sample(2, 5), 2);
    let mut tries = 0;
    // On a busy machine a try may begin too late to count.
    while !harness.is_bad("a") {
        assert!(tries < 12, "{}", harness.log().await);
        let Outcome::Failed { error_type, message } = harness.sweep().await else { panic!("it is in time") };
        tries += 1;
        if !harness.is_bad("a") {
            assert_eq!(error_type, "Retryable.DeadlineNear", "{message}");
        }
    }
    assert!(tries >= 3, "{tries}");
    let problem = harness.error_json("a")["problems"][0].clone();
    assert_eq!(problem["code"], "took_too_long");
    let reason = problem["reason"].as_str().unwrap();
    assert!(reason.contains("in 3 tries of ") && reason.contains("--again"), "{reason}");
    assert!(!has_counted(&harness), "{:?}", harness.keys());
    let report = Harness::report(harness.sweep().await);
    assert_eq!(report["good"][0]["key"], key("b"), "{report}");
}

/// An archive that is too large to be settled in the time left of its last try is settled by the next run,
/// unread.
async fn is_found(of_this_upload: bool, tries: usize, code: &str) {
    let harness = Harness::builder().appending().start().await;
    let a = harness.put("a", &vec![0; 64 * 1024 * 1024], 1);
    let objects = harness.stack.s3.objects(BUCKET);
    let uploaded = objects.iter().find(|object| object.key == a).unwrap();
    let one = json!({
        "at": "2026-01-01T00:00:00Z", "seconds": 885,
        "extent": {"read_bytes": 9, "unpacked_bytes": 99, "members": 1, "rows": 7}
    });
    let etag = if of_this_upload { uploaded.etag.as_str() } else { "another" };
    let note =
        json!({"key": a, "etag": etag, "last_modified": uploaded.last_modified, "tries": vec![one; tries]});
    let place = parse("cmslite_user_group_metadata.json", &appending()).unwrap().tries_key(&a);
    harness.stack.s3.put_at(BUCKET, &place, note.to_string().as_bytes(), chrono::Utc::now()).unwrap();
    Harness::report(harness.invoke(&a).await);
    assert_eq!(harness.error_json("a")["problems"][0]["code"], code);
    assert!(harness.is_bad("a") && !has_counted(&harness));
    let requests = harness.stack.s3.requests();
    let is_read = |request: &Request| request.operation == "GetObject" && request.key.as_ref() == Some(&a);
    assert_eq!(requests.iter().any(is_read), code != "took_too_long");
}

cases! {
    async a_large_archive_that_has_had_its_tries_is_settled_before_it_is_read: is_found {
        all_of_them(true, 3, "took_too_long");
        too_few(true, 2, "corrupt_gzip");
        of_another_upload(false, 3, "corrupt_gzip");
    }
}

/// A try that waits for S3 says nothing about the archive.
#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_waited_for_s3_does_not_count() {
    for (operation, action) in [("GetObject", Action::SilenceAfter(200)), ("PutObject", Action::Silence)] {
        let harness = Harness::builder().appending().timeout(RESERVE + Duration::from_secs(6)).start().await;
        let pattern = if operation == "GetObject" { "client/cmslite_gdx" } else { ".csv" };
        harness.stack.s3.inject(Fault::on(operation, pattern, action));
        harness.put("a", &sample(1, 50), 1);
        for _ in 0..2 {
            let Outcome::Failed { error_type, message } = harness.sweep().await else { panic!("it ended") };
            assert_eq!(error_type, "Retryable.DeadlineNear", "{operation}: {message}");
            assert!(harness.is_unsettled("a") && !has_counted(&harness), "{operation}");
        }
    }
}

async fn is_bad_at_once(limit: &str, archive: Vec<u8>, code: &str, words: &str) {
    let config = appending().replacen('{', &format!("{{{limit}"), 1);
    let harness = Harness::builder().config(config).start().await;
    let report = Harness::report(harness.invoke(&harness.put("a", &archive, 1)).await);
    assert_eq!(report["bad"][0]["key"], key("a"), "{limit}: {report}");
    let problem = harness.error_json("a")["problems"][0].clone();
    assert_eq!(problem["code"], code, "{limit}: {problem}");
    assert!(problem["reason"].as_str().unwrap().contains(words), "{limit}: {problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_beyond_a_limit_is_bad_at_once() {
    let whole = sample(1, 50);
    is_bad_at_once("", bomb(), "pax_too_large", "the limit of this dataset is 67108864").await;
    // Files that an operating system added are ignored, but their bytes count.
    let zeros = repeating("._left", "0", &[0; 32], 40);
    is_bad_at_once("", zeros, "ratio_too_high", "more than 200 times").await;
    is_bad_at_once("\"max_packed_bytes\": 1000,", whole, "too_large", "the limit of this dataset is 1000")
        .await;
}

/// The marker of a bad archive that one request cannot copy is a note without the archive.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_archive_beyond_one_copy_has_a_marker_without_its_bytes() {
    let config = appending().replacen('{', "{\"max_packed_bytes\": 1000,", 1);
    let harness = Harness::builder().config(config).start().await;
    harness.put("a", b"no archive", 1);
    harness.stack.s3.claim_size(BUCKET, &key("a"), 200 << 30);
    let report = Harness::report(harness.invoke(&key("a")).await);
    assert_eq!(report["bad"][0]["key"], key("a"), "{report}");
    assert_eq!(harness.stack.s3.read(BUCKET, &bad_key("a")).unwrap(), Vec::<u8>::new());
    let operations: Vec<String> =
        harness.stack.s3.requests().into_iter().map(|request| request.operation).collect();
    assert!(!operations.iter().any(|operation| operation.contains("Part")), "{operations:?}");
    // It settles the archive: the next run finds nothing to do.
    let report = Harness::report(harness.sweep().await);
    assert_eq!(report["objects_found"], json!(1), "{report}");
    assert_eq!(report["bad"], json!([]), "{report}");
    assert_eq!(report["queue_length"], json!(0), "{report}");
}

/// Neither dataset loads it: the first key shows that both match it.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_two_datasets_is_loaded_by_neither() {
    // No example key of one dataset matches the other.
    let config = appending().replace("cms-analytics-csv.*", "/cms-[a-z]*z7\\\\.tgz");
    let other = appending().replace("cms-analytics-csv.*", "/cms-\\\\w*zz\\\\d\\\\.tgz");
    let harness = Harness::builder().config(config).start().await;
    std::fs::write(harness.config_dir.path().join("other.json"), other).unwrap();
    let archive = "client/cmslite_gdx/cms-zz7.tgz";
    harness.stack.s3.put_at(BUCKET, archive, &sample(1, 5), crate::harness::moment(1)).unwrap();
    for outcome in [harness.invoke(archive).await, harness.sweep().await] {
        let Outcome::Failed { error_type, message } = outcome else { panic!("{outcome:?}") };
        assert_eq!(error_type, "Deployment.Configuration", "{message}");
        for named in [archive, "cmslite_user_group_metadata", "other"] {
            assert!(message.contains(named), "{message}");
        }
    }
    assert!(!harness.keys().iter().any(|key| key.contains("/good/") || key.contains("/bad/")));
    let file = harness.config_file().display().to_string();
    for (command, words) in
        [("check", "is an archive of other too"), ("status", "is an archive of another dataset")]
    {
        let (output, _directory) = harness.command(&[command, &file]).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(words), "{command}: {said}");
    }
}
