//! Tests the checks of a configuration without AWS: the mistakes with their positions, and the summary.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{PROGRAM, SHIPPED, cases, temporary};
use crate::json::is_valid;

/// Runs `check --offline` with a configuration, as a process without any environment. Nothing is reachable.
fn check(config: &str, options: &[&str]) -> (Option<i32>, String, String) {
    let directory = temporary();
    fs::write(directory.path().join("people.json"), config).unwrap();
    let Output { status, stdout, stderr } = Command::new(PROGRAM)
        .args(["check", "--offline", "people.json"])
        .args(options)
        .current_dir(directory.path())
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "it leaves nothing behind");
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_it_says_is_shown_without_aws_and_redshift() {
    let (status, told, errors) = check(SHIPPED, &[]);
    assert_eq!((status, &*errors), (Some(0), ""), "{told}");
    for line in [
        "Check, offline: people\n",
        "ok    bucket: sp-ca-bc-gov-131565110619-12-microservices\n",
        "ok    archives: objects below client/cmslite_gdx/ whose keys end with a match of cms-analytics-csv.*, such as client/cmslite_gdx/cms-analytics-csv.tgz\n",
        "ok    markers: good archives are copied below processed/good/client/cmslite_gdx/, bad ones below processed/bad/client/cmslite_gdx/\n",
        "ok    load: each replaces the rows of the tables; only the newest archive is loaded\n",
        "ok    ledger: cmslite.load_ledger, cmslite.load_ledger_tables and cmslite.load_ledger_lock\n",
        "ok    cells: separated by ','; a cell \"-\" becomes NULL\n",
        "ok    member analytics_user_activity: fills cmslite.user_activity with 6 columns: user_id, user_idir, activity_type, memo, activity_date (a date), group_name (part 1 of memo, split at \" - \")\n",
        "note  not tried: S3, the login to Redshift, the ledger, the tables with their columns, permissions\n",
        "The configuration is sound. S3 and Redshift were not asked.\n",
    ] {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
}

#[test]
fn what_it_says_is_json_for_a_program() {
    let (status, told, _) = check(SHIPPED, &["--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    is_valid("check", &told);
    assert_eq!((status, &told["dataset"], &told["is_offline"]), (Some(0), &"people".into(), &true.into()));
    assert!(told["findings"].as_array().unwrap().len() > 8, "{told}");
}

#[test]
fn a_bucket_that_is_not_named_yet_is_an_obstacle() {
    let config = SHIPPED.replace("sp-ca-bc-gov-131565110619-12-microservices", "<bucket>");
    let (status, told, _) = check(&config, &[]);
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains("BAD   bucket: <bucket> is a placeholder for the bucket's name\n"), "{told}");
    // No work that needs the bucket is started.
    let directory = temporary();
    fs::write(directory.path().join("people.json"), config).unwrap();
    for arguments in
        [["load", "people.json"].as_slice(), &["status", "people.json"], &["check", "people.json"]]
    {
        let output =
            Command::new(PROGRAM).args(arguments).current_dir(directory.path()).env_clear().output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(
            errors.contains("bucket: <bucket> is a placeholder for the bucket's name\n"),
            "{arguments:?}: {errors}"
        );
    }
}

/// Checks that the message contains these lines, and that the exit status is that of a usage error.
fn is_refused(from: &str, to: &str, lines: &[&str]) {
    assert!(SHIPPED.contains(from), "{from}");
    let (status, told, errors) = check(&SHIPPED.replacen(from, to, 1), &[]);
    assert_eq!((status, &*told), (Some(2), ""), "{errors}");
    let all: Vec<&str> = errors.lines().collect();
    for line in lines {
        assert!(all.iter().any(|said| said.ends_with(line)), "{line:?} is not in {errors}");
    }
    let (status, told, _) = check(&SHIPPED.replacen(from, to, 1), &["--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["error"]["type"]), (Some(2), &"Deployment.Configuration".into()));
}

cases! {
    mistakes_are_shown_in_their_line: is_refused {
        expression(
            "cms-analytics-csv.*", "cms-(analytics",
            &["people.json:7:10: doc: not a regular expression: unclosed group", "  7 | \"doc\": \"cms-(analytics\",", "    |        ^^^^^^^^^^^^^^^^"],
        );
        date(
            "%f\"}],\n      \"derived\"", "%Q\"}],\n      \"derived\"",
            &["people.json:30:59: files.analytics_user_activity.dateformat[0].format: unknown strptime directive %Q"],
        );
        derived(
            "\"from\": \"memo\"", "\"from\": \"memos\"",
            &["files.analytics_user_activity.derived[0].from: \"memos\" is not one of the columns; did you mean \"memo\"?"],
        );
        two_at_once(
            "\"truncate\": true,\n  \"delim\": \",\"", "\"trunkate\": true,\n  \"delim\": \";;\"",
            &["people.json:1:1: truncate: missing", "people.json:9:3: trunkate: unknown key; did you mean \"truncate\"?",
              "people.json:10:12: delim: expected one ASCII character other than a quote or a line end, found \";;\""],
        );
        syntax("\"truncate\": true,", "\"truncate\": true", &["people.json:10:3: not valid JSON: expected `,` or `}`", "  10 | \"delim\": \",\","]);
    }
}
