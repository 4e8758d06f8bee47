//! Tests the messages about mistakes, and long lists.

use std::fs;
use std::process::Command;

use devstack::stack::BUCKET;
use serde_json::Value;

use crate::harness::{Harness, PROGRAM, SHIPPED, cases, key, moment, sample, temporary, told};

/// The command in an empty directory but for some files, without any environment: its exit status and its standard error.
fn run(files: &[(&str, &str)], arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let directory = temporary();
    for (file, text) in files {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(directory.path()).env_clear().envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A mistake is status 2, and is told in so many words.
fn is_told(files: &[(&str, &str)], arguments: &[&str], expected: &str) {
    assert_eq!(run(files, arguments, &[]), (Some(2), expected.to_owned()));
}

const OTHER: (&str, &str) = ("config.d/other.json", SHIPPED);

cases! {
    mistakes_are_told_with_what_to_do: is_told {
        a_dataset_that_nobody_knows(
            &[], &["status", "cmslite_user_group"],
            "error[Deployment.Configuration]: there is no dataset cmslite_user_group\n  \
             what to do: did you mean cmslite_user_group_metadata?\n",
        );
        a_name_like_none(
            &[OTHER], &["load", "zzz"],
            "error[Deployment.Configuration]: there is no dataset zzz\n  \
             what to do: name one of cmslite_user_group_metadata, other, or give the path of a configuration file\n",
        );
        a_name_like_one_beside(
            &[OTHER], &["validate", "others", "a.tgz"],
            "error[Deployment.Configuration]: there is no dataset others\n  what to do: did you mean other?\n",
        );
        a_name_that_does_something_to_a_terminal(
            &[], &["status", "\u{1b}[2Jx"],
            "error[Deployment.Configuration]: there is no dataset \\u{1b}[2Jx\n  \
             what to do: name one of cmslite_user_group_metadata, or give the path of a configuration file\n",
        );
        a_file_that_is_not_there(
            &[], &["status", "./none.json"],
            "error[Deployment.Configuration]: there is no file ./none.json\n  \
             what to do: name one of cmslite_user_group_metadata, or give the path of a configuration file\n",
        );
        a_file_that_is_elsewhere(
            &[], &["status", "config/cmslite_user_group.json"],
            "error[Deployment.Configuration]: there is no file config/cmslite_user_group.json\n  \
             what to do: did you mean cmslite_user_group_metadata?\n",
        );
    }
}

#[test]
fn every_mistake_of_a_configuration_has_its_line() {
    let file = ("a.json", r#"{"bucket": "b", "unknown": 1}"#);
    let (status, told) = run(&[file], &["check", "a.json"], &[]);
    assert_eq!(status, Some(2), "{told}");
    let first = "error[Deployment.Configuration]: the configuration has 9 mistakes\n";
    assert!(
        told.starts_with(first) && told.contains("\n  what to do: correct the configuration file"),
        "{told}"
    );
    for key in ["source", "destination", "directory", "doc", "schema", "truncate", "delim", "files"] {
        assert!(told.lines().any(|line| line.contains("a.json") && line.contains(key)), "{key}: {told}");
    }
}

#[test]
fn what_clap_refuses_is_told_with_a_tip() {
    for (arguments, words) in [
        (["statsu", "x"].as_slice(), "a similar subcommand exists: 'status'"),
        (&["load", "x", "--dryrun"], "'--dry-run'"),
        (&["load", "x", "--limit", "0"], "it must be 1 or more"),
        (&["load", "x", "--limit", "-1"], "unexpected argument '-1'"),
        (&["load", "x", "--limit", "many"], "\"many\" is not a whole number"),
    ] {
        let (status, told) = run(&[], arguments, &[]);
        assert!(status == Some(2) && told.contains(words), "{arguments:?}: {told}");
    }
}

/// Which configuration is read shows in what is wrong with it.
#[test]
fn a_dataset_has_a_name() {
    let broken = |file| (file, "{}");
    let files = ["config.d/x.json", "elsewhere/x.json", "x", "x.json"].map(broken);
    for (config, environment, read) in [
        ("x", [].as_slice(), "config.d/x.json"),
        ("x", &[("CONFIG_DIR", "elsewhere")], "elsewhere/x.json"),
        ("x.json", &[], "x.json"),
        ("./x", &[], "./x"),
    ] {
        let (status, told) = run(&files, &["status", config], environment);
        let named = format!(" {read}:1:1: ");
        assert!(status == Some(2) && told.contains(&named), "{config}: {told}");
    }
    // A file of the name is read where no dataset has it.
    assert!(run(&[broken("y")], &["status", "y"], &[]).1.contains(" y:1:1: "));
    // Those bundled into the program need no file; that S3 cannot be asked is said behind it.
    let bundled = ["validate", "cmslite_user_group_metadata", "none.tgz"];
    assert_eq!(
        run(&[], &bundled, &[]).1,
        "error: cannot read none.tgz: No such file or directory (os error 2)\n"
    );
    // Where a directory is named, it is the only one.
    let (_, told) = run(&[OTHER], &bundled, &[("CONFIG_DIR", "config.d")]);
    assert!(told.contains("there is no dataset cmslite_user_group_metadata"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_in_up_to_four_lines_and_with_v_every_cause() {
    let harness = Harness::builder().env("PGPORT", "1").start().await;
    harness.put("a", &sample(1, 5), 1);
    let config = harness.config_file();
    let load = ["load", config.to_str().unwrap(), "-q"];
    let (output, _directory) = harness.command(&load).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() <= 4, "{said}");
    assert!(lines[0].starts_with("error[Retryable.ConnectionLost]: ") && lines[0].contains(":1"), "{said}");
    assert!(lines.iter().any(|line| line.starts_with("  what to do: check PGHOST and PGPORT")), "{said}");
    let because = |said: &str| said.lines().filter(|line| line.starts_with("  because: ")).count();
    let (output, _directory) = harness.command(&["load", config.to_str().unwrap(), "-v"]).await;
    let all = told(&output);
    assert!(because(&all) >= because(&said), "{all}");
    assert!(all.contains("Connection refused"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_a_count_and_a_few() {
    const SUPERSEDED: usize = 6_000;
    let harness = Harness::start().await;
    let s3 = &harness.stack.s3;
    let name = |n: usize| key(&format!("{n:06}"));
    s3.put_all_at(BUCKET, (0..SUPERSEDED).map(name), &sample(9, 1), moment(1)).unwrap();
    harness.put("newest", &sample(1, 5), 20);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    for (arguments, rest) in [
        (["load", config, "--dry-run"].as_slice(), "and 5990 more; --json shows the newest "),
        (&["status", config], "and 5990 more; --all shows them all\n"),
        (&["load", config], "and 5990 more; --json shows the newest "),
    ] {
        let (output, _directory) = harness.command(arguments).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let title = format!("  Superseded by a newer archive, never loaded ({SUPERSEDED}):\n    {}", key(""));
        assert!(text.contains(title.trim_end_matches(".tgz")) && text.contains(rest), "{text}");
        assert!(text.lines().count() < 60, "{arguments:?}: {text}");
    }
    let (output, _directory) = harness.command(&["status", config, "--all"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches(" (uploaded ").count(), SUPERSEDED);
    let (output, _directory) = harness.command(&["status", config, "--json"]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["superseded"].as_array().unwrap().len(), SUPERSEDED);
    let (output, _directory) = harness.command(&["load", config, "--json"]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Of the older ones the names are not held.
    let named = json["superseded"].as_array().unwrap().len();
    assert!((900..=1_000).contains(&named), "{named}");
    assert_eq!(
        (&json["omitted"]["superseded"], &json["objects_superseded"]),
        (&(SUPERSEDED - named).into(), &SUPERSEDED.into())
    );
}
