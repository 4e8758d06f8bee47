//! Tests `validate`, which checks local archives as a load does, with nothing but the configuration.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use devstack::samples::{self, Member};
use serde_json::{Value, json};

use crate::harness::terminal::{self, On};
use crate::harness::{
    Harness, PROGRAM, SHIPPED, cases, long_sample, members, quoting, sample, sample_with, temporary,
};

/// The configuration has the name of the dataset.
const CONFIG: &str = "cmslite_user_group_metadata.json";

/// A directory with only archives and the shipped configuration, in which the command runs without any
/// environment.
struct Place(tempfile::TempDir);

impl Place {
    fn with(archives: &[(&str, Vec<u8>)]) -> Self {
        let place = Self(temporary());
        place.write(CONFIG, quoting(SHIPPED).as_bytes());
        for (name, archive) in archives {
            place.write(name, archive);
        }
        place
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["validate", CONFIG]).args(arguments).current_dir(self.0.path()).env_clear();
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }
}

/// The result of a run.
#[derive(Debug, PartialEq)]
struct Run {
    status: Option<i32>,
    told: String,
    errors: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), told: text(output.stdout), errors: text(output.stderr) }
    }
}

impl Run {
    fn expect(self, status: i32, told: &str, errors: &str) {
        assert_eq!(self, Self { status: Some(status), told: told.to_owned(), errors: errors.to_owned() });
    }
}

fn ddl() -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("ddl/tables.sql").display().to_string()
}

/// Returns the output for an archive of samples with this number of rows each.
fn good(name: &str, rows: usize) -> String {
    let tables = ["cms_group", "user_activity", "user_group", "user_status"];
    let lines = tables.map(|table| format!("        cmslite.{table}: {rows} rows\n"));
    format!("good  {name}\n{}", lines.concat())
}

fn groups(rows: &str) -> Vec<u8> {
    sample_with("analytics_group.csv", format!("id,name,active,site_key\n{rows}"))
}

#[test]
fn a_good_archive_has_its_rows_told_by_table() {
    let place = Place::with(&[("a.tgz", sample(1, 5)), ("b.tgz", sample(2, 7))]);
    place.run(&["a.tgz", "b.tgz"]).expect(0, &(good("a.tgz", 5) + &good("b.tgz", 7)), "");
    place.run(&["a.tgz", "--ddl", &ddl()]).expect(0, &good("a.tgz", 5), "");
    let mut left: Vec<_> =
        fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a.tgz", "b.tgz", CONFIG]);
}

#[test]
fn a_bad_archive_has_its_problems_told_with_the_line_and_the_place() {
    let rows = "1,\"Łukasz 李小龍\",maybe,k\n2,x\n-,\"a, b\",t,k\n3,\"y,t,k\n";
    let place = Place::with(&[("a.tgz", groups(rows)), ("b.tgz", sample(1, 2))]);
    let expected = r#"BAD   a.tgz
      analytics_group.csv, line 2, column active: not a boolean; write true, t, yes, y or 1, or false, f, no, n or 0
          1,"Łukasz 李小龍",maybe,k
                            ^^^^^
      analytics_group.csv, line 3: the row has 2 of 4 columns; look for a missing delimiter, or a line end in an unquoted cell
          2,x
             ^
      analytics_group.csv, line 4, column id: the cell means NULL ("null_as" in the configuration), and its column is NOT NULL; fill it, or let the column take NULL
          -,"a, b",t,k
          ^
      analytics_group.csv, line 5: a quoted cell begins here and is never closed; close it, or double the quotes inside it
          "y,t,k\n
          ^
"#;
    let expected = expected.to_owned() + &good("b.tgz", 2);
    place.run(&["--ddl", &ddl(), "a.tgz", "b.tgz"]).expect(1, &expected, "");
}

#[test]
fn more_than_twenty_problems_are_counted() {
    let place = Place::with(&[("a.tgz", b"no archive".to_vec()), ("b.tgz", groups(&"short\n".repeat(30)))]);
    let Run { status, told, .. } = place.run(&["a.tgz", "b.tgz"]);
    assert_eq!(status, Some(1));
    assert!(told.starts_with("BAD   a.tgz\n      archive: the archive is not a sound gzip file: "), "{told}");
    assert_eq!(told.matches("analytics_group.csv, line ").count(), 20, "{told}");
}

/// Without the statements of `--ddl`, only problems that do not depend on the types of columns are found.
#[test]
fn without_statements_the_types_of_columns_are_not_judged() {
    let place = Place::with(&[("a.tgz", groups("1,x,maybe,k\n2,x,t,k\n3,x,t,k\n"))]);
    let Run { status, told, .. } = place.run(&["a.tgz"]);
    assert_eq!(status, Some(0), "{told}");
}

/// Runs `validate` with an archive on standard input.
fn from_standard_input(archive: &[u8], arguments: &[&str]) -> Run {
    let place = Place::with(&[("b.tgz", sample(2, 7))]);
    let mut child = place
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(archive).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_dash_is_standard_input() {
    from_standard_input(&sample(1, 5), &["-"]).expect(0, &good("-", 5), "");
    from_standard_input(&sample(1, 5), &["b.tgz", "-"]).expect(0, &(good("b.tgz", 7) + &good("-", 5)), "");
    let Run { status, told, errors } = from_standard_input(&sample(1, 5)[..300], &["-"]);
    assert!(status == Some(1) && told.starts_with("BAD   -\n") && errors.is_empty(), "{told}{errors}");
}

/// What cannot be done is reported on standard error, and the rest is done.
fn is_usage(arguments: &[&str], told: &str, errors: &str) {
    let archives = [("a.tgz", sample(1, 5)), ("bad.tgz", b"no archive".to_vec())];
    let place = Place::with(&archives);
    place.write("broken.sql", b"CREATE TABLE cmslite.cms_group (\n  id VARCHER(9)\n);");
    place.write("other.sql", b"CREATE TABLE cmslite.others (id DATE);");
    fs::create_dir(place.0.path().join("directory")).unwrap();
    place.run(arguments).expect(2, told, errors);
}

cases! {
    what_cannot_be_read_is_status_2: is_usage {
        no_such_file(&["none.tgz"], "", "error: cannot read none.tgz: No such file or directory (os error 2)\n");
        the_others_are_read(
            &["directory", "a.tgz"],
            &good("a.tgz", 5),
            "error: cannot read directory: Is a directory (os error 21)\n",
        );
        no_statements(
            &["a.tgz", "--ddl", "none.sql"],
            "",
            "error: cannot read none.sql: No such file or directory (os error 2)\n",
        );
        statements_that_are_not_understood(
            &["a.tgz", "--ddl", "broken.sql"],
            "",
            "error: broken.sql: line 2: VARCHER is not understood: expected the type of column id\n",
        );
        statements_for_other_tables(
            &["a.tgz", "--ddl", "other.sql"],
            "",
            "error: other.sql: there is no CREATE TABLE for cmslite.cms_group\n",
        );
        standard_input_twice(&["-", "a.tgz", "-"], "", "error: standard input (-) can be read only once\n");
    }
}

#[test]
fn what_cannot_be_read_counts_more_than_what_is_bad() {
    let place = Place::with(&[("bad.tgz", b"no archive".to_vec())]);
    let Run { status, told, errors } = place.run(&["none.tgz", "bad.tgz"]);
    assert!(status == Some(2) && told.starts_with("BAD   bad.tgz\n") && !errors.is_empty(), "{told}{errors}");
}

#[test]
fn mistakes_in_the_configuration_are_status_2() {
    let place = Place::with(&[("a.tgz", sample(1, 5))]);
    place.write(CONFIG, SHIPPED.replace("\"delim\": \",\"", "\"delim\": \"\"").as_bytes());
    let Run { status, told, errors } = place.run(&["a.tgz"]);
    assert!(
        status == Some(2)
            && told.is_empty()
            && errors.contains("cmslite_user_group_metadata.json:10:12: delim: "),
        "{told}{errors}"
    );
    assert_eq!(place.run(&[]).status, Some(2));
}

#[test]
fn json_is_one_document_with_each_archive() {
    let place = Place::with(&[("a.tgz", sample(1, 5)), ("bad.tgz", b"no archive".to_vec())]);
    let Run { status, told, errors } = place.run(&["--json", "a.tgz", "none.tgz", "bad.tgz"]);
    assert!(status == Some(2) && errors.starts_with("error: cannot read none.tgz: "), "{errors}");
    let document: Value = serde_json::from_str(&told).unwrap();
    let tables = ["cms_group", "user_activity", "user_group", "user_status"];
    let tables = tables.map(|table| json!({"table": format!("cmslite.{table}"), "rows": 5}));
    let archives = document["archives"].as_array().unwrap().iter();
    let told: Vec<Value> = archives
        .map(|line| json!([line["key"], line["problems_found"], line["problems"][0]["code"], line["tables"]]))
        .collect();
    assert_eq!(told, [json!(["a.tgz", 0, null, tables]), json!(["bad.tgz", 1, "corrupt_gzip", []])]);
    let missing = "No such file or directory (os error 2)";
    assert_eq!(document["unreadable"], json!([{"file": "none.tgz", "message": missing}]));
    assert_eq!(document["error"]["message"], json!(format!("cannot read none.tgz: {missing}")));
}

/// A program that reads one document can read the other.
#[tokio::test(flavor = "multi_thread")]
async fn json_is_that_of_error_json() {
    let harness = Harness::start().await;
    let mut missing = members(1, 2);
    missing.remove(0);
    let long = format!("1,ok,t,{}\n", "é".repeat(40));
    let archives = [
        ("empty", Vec::new()),
        ("cut", sample(1, 500)[..3000].to_vec()),
        ("missing", samples::archive(&missing).unwrap()),
        ("types", groups(&format!("{long}2,x,maybe,k\n-,x,,k\n4,\0,t,k\n5,\"x"))),
        ("many", groups(&"short\n".repeat(30))),
        ("unknown", samples::archive(&[Member::new("readme.txt", "")]).unwrap()),
    ];
    let place = Place::with(&[]);
    for (seconds, (name, archive)) in (1..).zip(archives) {
        place.write(name, &archive);
        Harness::report(harness.invoke(&harness.put(name, &archive, seconds)).await);
        let mut uploaded = harness.error_json(name);
        let Run { status, told, errors } = place.run(&["--json", "--ddl", &ddl(), name]);
        assert_eq!((status, errors.as_str()), (Some(1), ""), "{name}: {told}");
        let mut document: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(document.get("error"), None, "{name}");
        let mut local = document["archives"][0].take();
        let fields = local.as_object_mut().unwrap();
        assert_eq!(fields.remove("tables"), Some(json!([])), "{name}");
        for (field, expected) in [
            ("bucket", json!(null)),
            ("key", json!(name)),
            ("etag", json!(null)),
            ("request_id", json!(null)),
        ] {
            assert_eq!(fields.remove(field), Some(expected), "{name}: {field}");
        }
        assert!(fields.remove("at").unwrap().is_string(), "{name}");
        for field in ["bucket", "key", "etag", "request_id", "at"] {
            assert!(uploaded.as_object_mut().unwrap().remove(field).unwrap().is_string(), "{name}: {field}");
        }
        assert_eq!(local, uploaded, "{name}");
    }
}

/// Before `head` in a pipe, the output may not be read to its end. The exit status is still that of all
/// archives.
#[test]
fn results_that_nobody_reads_are_no_failure() {
    let place = Place::with(&[("a.tgz", sample(1, 5)), ("bad.tgz", b"no archive".to_vec())]);
    for (arguments, status) in [(["a.tgz", "a.tgz"], 0), (["a.tgz", "bad.tgz"], 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(&arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        Run::from(output).expect(status, "", "");
    }
}

/// The command has the start of an archive and waits for the rest.
#[test]
fn an_interrupt_ends_it() {
    // A shell starts background processes with the signal ignored, and their children inherit that.
    const WITH_THE_SIGNAL: &str = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])";
    let archive = long_sample(1, 5_000_000);
    let place = Place::with(&[]);
    let mut command = Command::new("python3");
    command.args(["-c", WITH_THE_SIGNAL, PROGRAM, "validate", CONFIG, "-"]).current_dir(place.0.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // This is more than a pipe holds, so the command has started to read.
    input.write_all(&archive[..400_000]).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(2));
}

#[test]
fn a_terminal_shows_a_bar_and_is_left_clean() {
    let place = Place::with(&[("a.tgz", long_sample(1, 10_000_000))]);
    let output = terminal::program(On::Both)
        .args(["validate", CONFIG, "a.tgz", "--color=never"])
        .current_dir(place.0.path())
        .env("TERM", "xterm")
        .output()
        .unwrap();
    let Run { status, told, .. } = output.into();
    assert_eq!(status, Some(0), "{told:?}");
    let (bar, result) = told.rsplit_once(" rows, ").unwrap();
    assert!(bar.contains("a.tgz") && bar.contains("[="), "{told:?}");
    // A cleared line precedes the result.
    let (cleared, result) = result.split_once("good  a.tgz").unwrap();
    assert!(cleared.contains("\u{1b}[2K") && result.contains("cmslite.cms_group: "), "{told:?}");
}

/// The page for exporters has a script that uploads good archives. The test runs it unchanged.
#[test]
fn the_script_for_exporters_uploads_what_is_good_alone() {
    let page = include_str!("../../docs/how-to/validate-before-upload.md");
    let script = page.split("```sh\n").find(|block| block.starts_with("#!/bin/sh\n")).unwrap();
    let script = script.split("```").next().unwrap();
    let place = Place::with(&[("good.tgz", sample(1, 5)), ("bad.tgz", b"no archive".to_vec())]);
    let directory = place.0.path();
    fs::copy(ddl(), directory.join("tables.sql")).unwrap();
    place.write("upload", script.as_bytes());
    place.write("aws", b"#!/bin/sh\necho \"aws $*\"\n");
    assert!(Command::new("chmod").args(["+x", "aws"]).current_dir(directory).status().unwrap().success());
    let path = [directory, Path::new(PROGRAM).parent().unwrap(), "/usr/bin".as_ref(), "/bin".as_ref()];
    let path = std::env::join_paths(path).unwrap();
    for (archive, status, is_uploaded) in
        [("good.tgz", 0, true), ("bad.tgz", 1, false), ("none.tgz", 2, false)]
    {
        let output = Command::new("sh")
            .args(["upload", archive])
            .current_dir(directory)
            .env_clear()
            .env("PATH", &path)
            .output()
            .unwrap();
        let Run { status: ended, told, errors } = output.into();
        assert_eq!(ended, Some(status), "{told}{errors}");
        assert_eq!(told.contains(&format!("aws s3 cp {archive} s3://")), is_uploaded, "{told}");
        assert_eq!(errors.contains("was not uploaded"), !is_uploaded, "{errors}");
    }
}
