//! Tests that keys are untrusted text: none stops the queue, and none is shown unescaped.

use devstack::lambda::Outcome;
use devstack::stack::BUCKET;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::command_line::{again, load};
use crate::harness::{Harness, bad_key, cases, expected, good_key, key, members, moment, sample};

/// A carriage return and a forged line (`.` of `doc` matches no `\n`), line ends beyond ASCII, one that turns the direction of writing, a tag, a C1 control.
const HOSTILE: &str = "x\rINFO:forged: all is well\u{85}\u{202e}gz\u{e0041}\u{9b}\\é";

/// How it is shown.
const SHOWN: &str = "x\\rINFO:forged: all is well\\u{85}\\u{202e}gz\\u{e0041}\\u{9b}\\\\é";

/// Returns the notification of an upload with any key.
fn event(key: &str) -> Value {
    let mut event = Harness::event("");
    event["Records"][0]["s3"]["object"]["key"] =
        json!(utf8_percent_encode(key, NON_ALPHANUMERIC).to_string());
    event
}

/// Returns a name with which a key has this many bytes.
fn name_of(key_bytes: usize) -> String {
    "n".repeat(key_bytes - key("").len())
}

async fn status(harness: &Harness, arguments: &[&str]) -> String {
    let config = harness.config_file();
    let (output, _) = harness.command(&[&["status", config.to_str().unwrap()], arguments].concat()).await;
    String::from_utf8(output.stdout).unwrap()
}

/// Checks that a text has only visible characters.
#[track_caller]
fn is_plain(text: &str) {
    let found = text.lines().find(|line| {
        line.contains(|c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{e0041}' | '\u{2028}'))
    });
    assert_eq!(found, None);
    assert!(!text.lines().any(|line| line.starts_with("INFO:forged")), "{text}");
}

async fn an_unusable_key_is_named_and_stops_nothing(name: &str, why: &str, told: &str) {
    let harness = Harness::builder().appending().start().await;
    let unusable = harness.put(name, &sample(1, 5), 1);
    let behind = harness.put("behind", &sample(2, 5), 2);

    // Its own event succeeds, with a report that names it.
    let Outcome::Ok(answer) = harness.lambda.invoke(event(&unusable)).await else { panic!() };
    let named = json!([{"key": unusable, "why": why}]);
    assert_eq!(answer["reports"][0]["unusable_keys"], named);
    assert_eq!(answer["ignored"], json!([format!("s3://{BUCKET}/{unusable}")]));
    assert_eq!(harness.keys().len(), 2);

    let report = Harness::report(harness.invoke(&behind).await);
    assert_eq!((&report["objects_good"], &report["unusable_keys"]), (&json!(1), &named));
    assert_eq!(harness.tables().await, expected(&members(2, 5)));
    assert!(harness.is_good("behind") && harness.is_unsettled(name));
    let log = harness.log().await;
    assert_eq!(log.matches("\"UnusableKeys\":1").count(), 2, "{log}");
    is_plain(&log);

    let (code, stdout, file) = load(&harness).await;
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("WARNING: not archives because of their keys: rename them:\n"), "{stdout}");
    let text = status(&harness, &[]).await;
    for text in [&stdout, &text] {
        assert!(text.contains(told), "{text}");
    }
    is_plain(&stdout);
    is_plain(&file);
    is_plain(&text);
    let (code, stdout) = again(&harness, "no such").await;
    assert_eq!(code, Some(2), "{stdout}");
}

cases! {
    /// Each of these keys once stopped the listing, the staging or the explanation.
    async unusable_keys: an_unusable_key_is_named_and_stops_nothing {
        a_control_character("a\u{1}b", "unfit_character", "a\\u{1}b.tgz (an object whose key has a character");
        no_character("a\u{fffe}b", "unfit_character", "a\\u{fffe}b.tgz (an object whose key has a character");
        nul("a\0b", "unfit_character", "a\\u{0}b.tgz (an object whose key has a character");
        too_long_by_one(&name_of(1000), "key_too_long", "n.tgz (an object whose key is so long");
        as_long_as_s3_takes(&name_of(1024), "key_too_long", "n.tgz (an object whose key is so long");
    }
}

async fn a_long_key_is_staged_loaded_and_explained(key_bytes: usize) {
    let harness = Harness::builder().appending().start().await;
    let name = name_of(key_bytes);
    let archive = harness.put(&name, &sample(1, 5), 1);
    assert_eq!(archive.len(), key_bytes);
    let report = Harness::report(harness.invoke(&archive).await);
    assert_eq!(report["objects_good"], json!(1));
    assert_eq!(harness.tables().await, expected(&members(1, 5)));
    assert!(harness.is_good(&name));

    harness.put(&name, b"no archive", 2);
    let report = Harness::report(harness.lambda.invoke(harness.upload_event(&archive)).await);
    assert_eq!(report["objects_bad"], json!(1));
    assert!(harness.is_bad(&name));
    assert_eq!(harness.error_json(&name)["key"], json!(archive));
}

cases! {
    async long_keys: a_long_key_is_staged_loaded_and_explained {
        from_where_staging_failed(971);
        the_longest(999);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_json_among_the_uploads_is_no_archive_and_takes_nobody_s_place() {
    let harness = Harness::builder().appending().start().await;
    let archive = harness.put("a", b"no archive", 1);
    let copied_back = format!("{archive}.error.json");
    harness.stack.s3.put_at(BUCKET, &copied_back, b"\x1b[2J", moment(2)).unwrap();
    let Outcome::Ok(answer) = harness.lambda.invoke(event(&copied_back)).await else { panic!() };
    assert_eq!(answer["reports"], json!([]));
    let report = Harness::report(harness.sweep().await);
    assert_eq!((&report["objects_found"], &report["objects_bad"]), (&json!(1), &json!(1)));
    assert_eq!(harness.error_json("a")["key"], json!(archive));
    assert!(status(&harness, &[]).await.contains(&format!("{copied_back} (an error.json)")));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_archives_with_the_same_bytes_and_nearly_the_same_name_share_no_staged_file() {
    let harness = Harness::builder().appending().start().await;
    let with = harness.put("a", &sample(1, 5), 1);
    let without = with.strip_suffix(".tgz").unwrap().to_owned();
    harness.stack.s3.put_at(BUCKET, &without, &sample(1, 5), moment(2)).unwrap();
    let first = Harness::report(harness.invoke(&with).await);
    let staged = |harness: &Harness| -> Vec<String> {
        harness.keys().into_iter().filter(|key| key.contains("/batch/")).collect()
    };
    let before = staged(&harness);
    harness.stack.s3.clear_requests();
    let again =
        format!("{{\"dataset\": \"cmslite_user_group_metadata\", \"key\": {without:?}, \"again\": true}}");
    let second = Harness::report(harness.lambda.invoke(serde_json::from_str(&again).unwrap()).await);
    assert_eq!((&first["objects_good"], &second["objects_good"]), (&json!(1), &json!(1)));
    let after = staged(&harness);
    assert_eq!(after.len(), 2 * before.len());
    assert!(before.iter().all(|key| after.contains(key)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_key_is_shown_as_what_it_is_wherever_it_is_shown() {
    let harness = Harness::builder().appending().start().await;
    let bad = harness.put(HOSTILE, b"no archive", 1);
    let outcome = harness.lambda.invoke(event(&bad)).await;
    let Outcome::Ok(answer) = outcome else { panic!("{outcome:?}") };
    // A program gets the exact key.
    assert_eq!(answer["reports"][0]["bad"][0]["key"], json!(bad));
    assert_eq!(harness.error_json(HOSTILE)["key"], json!(bad));
    let bytes = harness.stack.s3.read(BUCKET, &format!("{}.error.json", bad_key(HOSTILE))).unwrap();
    is_plain(str::from_utf8(&bytes).unwrap());
    let log = harness.log().await;
    let names =
        |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|line| line["archive"] == json!(bad));
    assert!(log.lines().any(names), "{log}");
    is_plain(&log);

    harness.put(HOSTILE, &sample(1, 5), 2);
    let (code, stdout, file) = load(&harness).await;
    assert_eq!(code, Some(0), "{stdout}");
    assert_eq!(harness.tables().await, expected(&members(1, 5)));
    assert!(harness.keys().contains(&good_key(HOSTILE)));
    assert_eq!(harness.ledger().await, std::slice::from_ref(&bad));
    harness.put(&format!("{HOSTILE}2"), b"no archive", 3);
    let (code, of_bad, file_of_bad) = load(&harness).await;
    assert_eq!(code, Some(1), "{of_bad}");
    let told = status(&harness, &[]).await;
    let json = status(&harness, &["--json"]).await;
    for text in [&stdout, &of_bad, &told] {
        assert!(text.contains(SHOWN), "{text}");
    }
    for text in [&stdout, &file, &of_bad, &file_of_bad, &told, &json] {
        is_plain(text);
    }
    let json: Value = serde_json::from_str(&json[json.find('{').unwrap()..]).unwrap();
    assert_eq!(json["good"][0]["key"], json!(bad));
    assert_eq!(json["tables_hold"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_json_by_a_stranger_is_read_in_part_and_made_printable() {
    let harness = Harness::builder().appending().start().await;
    let archive = harness.put("a", b"no archive", 1);
    Harness::report(harness.invoke(&archive).await);
    let error_key = format!("{}.error.json", bad_key("a"));
    let problem =
        json!({"member": HOSTILE, "line": 1, "column": null, "text": null, "code": "x", "reason": HOSTILE});
    let forged = json!({"at": HOSTILE, "problems_found": 1, "problems": [problem]});
    let s3 = &harness.stack.s3;
    s3.put_at(BUCKET, &error_key, forged.to_string().as_bytes(), moment(2)).unwrap();
    for arguments in [&[][..], &["--json"]] {
        let told = status(&harness, arguments).await;
        assert!(told.contains("forged: all is well"), "{told}");
        is_plain(&told);
    }

    // 2 MB of it are neither read nor shown.
    let mut huge = forged.to_string().into_bytes();
    huge.resize(2_000_000, b' ');
    s3.put_at(BUCKET, &error_key, &huge, moment(3)).unwrap();
    let told = status(&harness, &[]).await;
    assert!(told.contains("bad 1") && !told.contains("forged"), "{told}");
    // They do not prevent a new explanation of the archive either.
    harness.put("a", b"no archive either", 4);
    Harness::report(harness.invoke(&archive).await);
    assert_eq!(harness.error_json("a")["key"], json!(archive));
}
