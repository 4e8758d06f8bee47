//! Tests `--json`: standard output has exactly one document, whatever the command does, with an `error` if it
//! fails.

use devstack::redshift::{Action, Fault};
use devstack::s3;
use serde_json::{Value, json};
use std::process::Output;

use crate::harness::{Harness, key, sample, temporary};

/// Returns the only document on standard output.
#[track_caller]
fn document(output: &Output) -> Value {
    let text = str::from_utf8(&output.stdout).unwrap();
    let documents: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    match documents.as_deref() {
        Ok([document]) => document.clone(),
        other => panic!("{other:?}: {output:?}"),
    }
}

/// Checks that a document is valid by its schema in `docs/reference/schemas/`, and that it is not valid
/// without one of its parts.
#[track_caller]
pub fn is_valid(schema: &str, document: &Value) {
    let path = format!("{}/docs/reference/schemas/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    let errors: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{schema}: {errors:#?}: {document}");
    for part in document.as_object().unwrap().keys().filter(|part| *part != "error") {
        let mut without = document.clone();
        without.as_object_mut().unwrap().remove(part);
        assert!(!validator.is_valid(&without), "{schema} needs no {part}");
    }
}

/// Returns the name of the schema for what a command printed.
fn schema_of<'a>(arguments: &[&'a str], document: &Value) -> &'a str {
    match arguments {
        _ if document.as_object().unwrap().len() == 2 => "error",
        ["load", rest @ ..] if rest.contains(&"--dry-run") => "load-dry-run",
        [command, ..] => command,
        [] => "error",
    }
}

/// Runs a command with `--json`. Returns its document and its exit status.
async fn run(harness: &Harness, arguments: &[&str]) -> (Value, Option<i32>) {
    let (output, _directory) = harness.command(&[arguments, &["--json"]].concat()).await;
    let document = document(&output);
    assert_eq!(document["version"], 1, "{arguments:?}: {document}");
    is_valid(schema_of(arguments, &document), &document);
    (document, output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subcommand_prints_one_document() {
    let harness = Harness::builder().appending().start().await;
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    for n in 0..25 {
        harness.put(&format!("{n:02}"), &sample(n, 1), n as i64);
    }
    harness.put("bad", b"no archive", 30);
    harness.put("behind", &sample(40, 1), 31);

    let (dry_run, status) = run(&harness, &["load", config, "--dry-run"]).await;
    assert_eq!(status, Some(1));
    assert_eq!(
        (dry_run["good"].as_array().unwrap().len(), &dry_run["bad"][0]["key"]),
        (26, &json!(key("bad")))
    );
    assert_eq!(dry_run.get("error"), None);

    // The lists in the document are complete.
    let (report, status) = run(&harness, &["load", config]).await;
    assert_eq!(status, Some(1));
    assert_eq!((&report["objects_good"], &report["omitted"]), (&json!(25), &json!({})));
    assert_eq!(report["loaded_tables"].as_array().unwrap().len(), 100);
    assert_eq!(report["bad"][0]["problems"][0]["code"], "corrupt_gzip");
    is_valid("error-file", &harness.error_json("bad"));
    let (state, status) = run(&harness, &["status", config]).await;
    assert_eq!(status, Some(0));
    assert_eq!(state["good"].as_array().unwrap().len(), 25);
    assert_eq!(state["queue"][0]["key"], json!(key("behind")));

    for options in [[].as_slice(), &["--offline"]] {
        let (check, status) = run(&harness, &[&["check", config], options].concat()).await;
        assert_eq!((status, &check["findings"][0]["outcome"]), (Some(0), &json!("good")), "{options:?}");
    }
    let (archive, status) = run(&harness, &["show", config, &key("00")]).await;
    assert_eq!((status, &archive["state"]), (Some(0), &json!("good")));
    let directory = temporary();
    let page = directory.path().join("page.html");
    let (state, status) = run(&harness, &["status", config, "--html", page.to_str().unwrap()]).await;
    assert_eq!((status, state["good"].as_array().unwrap().len(), page.exists()), (Some(0), 25, true));
    let people = directory.path().join("people.tgz");
    std::fs::write(&people, sample(1, 5)).unwrap();
    let (guess, status) = run(&harness, &["init", people.to_str().unwrap()]).await;
    assert_eq!((status, &guess["config"]), (Some(0), &json!("people.json")));
    let (validations, status) = run(&harness, &["validate", config, config]).await;
    assert_eq!((status, validations["archives"].as_array().unwrap().len()), (Some(1), 1));
    let (completions, status) = run(&harness, &["completions", "bash"]).await;
    assert_eq!((status, &completions["shell"]), (Some(0), &json!("bash")));
    assert!(completions["script"].as_str().unwrap().contains("--dry-run"));
}

/// A failure is described in the document and on standard error.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_why_in_its_document() {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", &sample(1, 5), 1);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    let refused = ["load", config, "--again", "none"];
    for (arguments, status, error_type, words) in [
        (["load", "/none.json"].as_slice(), 2, "Deployment.Configuration", "/none.json"),
        (&["status", "/none.json"], 2, "Deployment.Configuration", "/none.json"),
        (&["status", config, "--html", "-"], 2, "Usage", "--html -"),
        (&["status", config, "--html", "/dev/null/page"], 2, "Usage", "/dev/null/page"),
        (&["check", "/none.json"], 2, "Deployment.Configuration", "/none.json"),
        (&["check", "--offline", "/none.json"], 2, "Deployment.Configuration", "/none.json"),
        (&["show", "/none.json", "a"], 2, "Deployment.Configuration", "/none.json"),
        (&["show", config, "none"], 2, "Usage", "none"),
        (&["show", config], 2, "Usage", "<KEY>"),
        (&["init", "/none.tgz"], 2, "Usage", "/none.tgz"),
        (&["init", config], 2, "Usage", "the archive cannot be read"),
        (&["init", config, "--name", "a/b"], 2, "Usage", "a/b"),
        (&["validate", "/none.json", "a.tgz"], 2, "Deployment.Configuration", "/none.json"),
        (&["validate", config, "-", "-"], 2, "Usage", "standard input"),
        (&refused, 2, "Deployment.NotAgain", "there is no archive none"),
        (&["load"], 2, "Usage", "<CONFIG>"),
        (&["loads", config], 2, "Usage", "loads"),
        (&["load", config, "--limit", "many"], 2, "Usage", "many"),
        (&[], 2, "Usage", "subcommand"),
    ] {
        let (output, _directory) = harness.command(&[arguments, &["--json"]].concat()).await;
        let document = document(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
        is_valid(schema_of(arguments, &document), &document);
        let error = &document["error"];
        assert_eq!(error["type"], json!(error_type), "{arguments:?}: {document}");
        assert!(error["message"].as_str().unwrap().contains(words), "{arguments:?}: {document}");
        assert!(error["causes"].is_array(), "{arguments:?}: {document}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    let (output, _directory) = harness.command(&["loads", config, "--json"]).await;
    assert!(document(&output)["error"]["remedy"].as_str().unwrap().contains("'load'"), "{output:?}");

    // The document also has the result, up to the failure.
    harness.stack.redshift.inject(Fault::on("COPY", Action::CutBefore));
    let (report, status) = run(&harness, &["load", config]).await;
    assert_eq!((status, &report["error"]["type"]), (Some(3), &json!("Retryable.ConnectionLost")));
    assert!(report["error"]["remedy"].as_str().unwrap().contains("PGHOST"), "{report}");
    assert_eq!(
        (&report["failure"]["error_type"], &report["objects_found"]),
        (&report["error"]["type"], &json!(1))
    );
    harness.stack.s3.inject(s3::Fault::on(
        "ListObjectsV2",
        "",
        s3::Action::Refuse(403, "AccessDenied".to_owned()),
    ));
    let directory = temporary();
    let page = directory.path().join("page.html");
    let page = page.to_str().unwrap();
    for arguments in [
        ["load", config].as_slice(),
        &["load", config, "--dry-run"],
        &["status", config],
        &["status", config, "--html", page],
        &["show", config, "none"],
    ] {
        let (document, status) = run(&harness, arguments).await;
        assert_eq!(status, Some(3), "{arguments:?}");
        assert_eq!(document["error"]["type"], "Deployment.S3Access", "{arguments:?}: {document}");
        assert!(document["error"]["message"].as_str().unwrap().contains("AccessDenied"), "{document}");
    }
    // The findings of a check are its result.
    let (check, status) = run(&harness, &["check", config]).await;
    assert_eq!((status, check.get("error")), (Some(3), None));
    assert!(check["findings"].to_string().contains("AccessDenied"), "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_is_wrong_is_in_the_document() {
    let harness = Harness::builder().env("PGPORT", "x").start().await;
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    for command in
        [["load", config].as_slice(), &["check", config], &["status", config], &["show", config, "a"]]
    {
        let (document, status) = run(&harness, command).await;
        assert_eq!(
            (status, &document["error"]["type"]),
            (Some(2), &json!("Deployment.Configuration")),
            "{command:?}"
        );
        assert!(document["error"]["message"].as_str().unwrap().contains("PGPORT"), "{document}");
    }
}
