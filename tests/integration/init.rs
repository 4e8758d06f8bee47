//! Tests that the files that `init` writes are valid, and that the same archive is good with them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output};

use devstack::dataset::Dataset;
use devstack::redshift::postgresql_ddl;
use devstack::samples::{self, Member};
use devstack::stack::BUCKET;
use serde_json::Value;

use crate::harness::{Harness, PROGRAM, cases, moment, sample, temporary};
use crate::json::is_valid;

/// The result of a run.
struct Run {
    status: Option<i32>,
    told: String,
    errors: String,
}

/// Runs the command as a process without any environment.
fn run(directory: &Path, arguments: &[&str]) -> Run {
    let Output { status, stdout, stderr } =
        Command::new(PROGRAM).args(arguments).current_dir(directory).env_clear().output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { status: status.code(), told: text(stdout), errors: text(stderr) }
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let members: Vec<Member> = files.iter().map(|(name, contents)| Member::new(name, *contents)).collect();
    samples::archive(&members).unwrap()
}

/// Runs `init`, and then each step that it names. Only the bucket is filled in.
fn leads_to_a_good_archive(archive: Vec<u8>, said: &[&str]) {
    let directory = temporary();
    fs::write(directory.path().join("people_2024-03-01.tgz"), archive).unwrap();
    let Run { status, told, errors } = run(directory.path(), &["init", "people_2024-03-01.tgz"]);
    assert_eq!((status, &*errors), (Some(0), ""), "{told}");
    for line in said
        .iter()
        .copied()
        .chain(["With these files the archive is good.", "To be filled in, in people.json: bucket"])
    {
        assert!(told.contains(line), "{line:?} is not in {told}");
    }
    let check = run(directory.path(), &["check", "--offline", "people.json"]);
    assert!(check.status == Some(2) && check.told.contains("BAD   bucket"), "{}", check.told);
    let config = fs::read_to_string(directory.path().join("people.json")).unwrap();
    is_valid_configuration(&config);
    fs::write(directory.path().join("people.json"), config.replace("<bucket>", "people-bucket")).unwrap();
    let check = run(directory.path(), &["check", "--offline", "people.json"]);
    assert_eq!(check.status, Some(0), "{}{}", check.told, check.errors);
    assert!(check.told.contains("such as client/people/people.tgz"), "{}", check.told);
    let judged =
        run(directory.path(), &["validate", "people.json", "people_2024-03-01.tgz", "--ddl", "people.sql"]);
    assert_eq!(judged.status, Some(0), "{}{}", judged.told, judged.errors);
}

/// Checks a configuration against the schema that editors use.
fn is_valid_configuration(text: &str) {
    let validator = jsonschema::validator_for(&cmslite_core::config::schema()).unwrap();
    assert!(validator.is_valid(&serde_json::from_str(text).unwrap()), "{text}");
}

cases! {
    what_is_written_is_sound: leads_to_a_good_archive {
        the_real_dataset(sample(3, 200), &[
            "  analytics_user_activity.csv -> table analytics_user_activity: 200 rows, 5 columns\n",
            "    activity_date: TIMESTAMP, written %Y-%m-%d %H:%M:%S.%f\n",
            "    active: BOOL\n",
        ]);
        tabs(archive(&[("visits.tsv", "id\twhen\n1\t17/05/2024\n")]), &[
            "  delimiter: '\\t'\n", "    when: TIMESTAMP, written %d/%m/%Y\n",
        ]);
        semicolons(archive(&[("a.csv", "id;name\n1;x,y\n"), ("b.csv", "name\r\nx,y\r\n")]), &["  delimiter: ';'\n"]);
        quoted_and_odd_names(
            archive(&[("load_ledger.csv", "id,\"User, full name\",user,User,2024,,\n7,\"x\",y,z,1,2,\n")]),
            &["-> table load_ledger_1: 1 rows, 6 columns\n", "    user_full_name (in the header \"User, full name\"): ", "    column_6 (in the header \"\"): "],
        );
        a_member_without_rows(archive(&[("a.csv", "id,born\n"), ("b.csv", "id,day\n1,03/04/2024\n")]), &[
            "    born: VARCHAR(255), since it has no value\n",
            "    day: TIMESTAMP, written %d/%m/%Y, or is it %m/%d/%Y?\n",
        ]);
        nulls(archive(&[("a.csv", "id,born\n1,-\n2,2024-03-01 10:00:00\n")]), &["  NULL: a cell that is \"-\"\n"]);
    }
}

#[test]
fn files_that_are_there_are_replaced_by_force_alone() {
    let directory = temporary();
    fs::write(directory.path().join("people.tgz"), archive(&[("a.csv", "id\n1\n")])).unwrap();
    fs::write(directory.path().join("people.sql"), "mine").unwrap();
    let refused = run(directory.path(), &["init", "people.tgz"]);
    assert_eq!((refused.status, &*refused.told), (Some(2), ""), "{}", refused.errors);
    assert!(
        refused.errors.contains("people.sql exists already") && refused.errors.contains("--force"),
        "{}",
        refused.errors
    );
    assert!(!directory.path().join("people.json").exists());
    assert_eq!(fs::read_to_string(directory.path().join("people.sql")).unwrap(), "mine");
    assert_eq!(run(directory.path(), &["init", "people.tgz", "--force"]).status, Some(0));
    assert!(fs::read_to_string(directory.path().join("people.sql")).unwrap().contains("CREATE TABLE"));
}

#[test]
fn options_say_what_no_archive_does() {
    let directory = temporary();
    fs::write(directory.path().join("x.tgz"), archive(&[("a.csv", "id\n1\n")])).unwrap();
    let options = "init x.tgz --json --output new/place --name people --bucket b --source in --destination out \
                   --directory d --schema s --append";
    let Run { status, told, errors } = run(directory.path(), &options.split_whitespace().collect::<Vec<_>>());
    assert_eq!((status, &*errors), (Some(0), ""), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    is_valid("init", &told);
    assert_eq!((&told["dataset"], &told["to_fill_in"]), (&"people".into(), &serde_json::json!([])));
    assert_eq!(told["members"][0]["columns"][0]["kind"], "text");
    assert_eq!(told["validation"]["problems_found"], 0);
    let config = fs::read_to_string(directory.path().join("new/place/people.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    for (key, value) in
        [("bucket", "b"), ("source", "in"), ("destination", "out"), ("directory", "d"), ("schema", "s")]
    {
        assert_eq!(config[key], value);
    }
    assert_eq!(config["truncate"], false);
    let refused = run(directory.path(), &["init", "x.tgz", "--source", "in/", "--output", "other"]);
    assert_eq!(refused.status, Some(2));
    assert!(refused.errors.contains("source: write \"in\" without '/'"), "{}", refused.errors);
    assert!(!directory.path().join("other").exists());
}

#[test]
fn an_archive_that_is_bad_by_any_guess_is_told_with_the_reason() {
    let directory = temporary();
    fs::write(directory.path().join("x.tgz"), archive(&[("a.csv", "id,name\n1,x\n2\n")])).unwrap();
    let Run { status, told, .. } = run(directory.path(), &["init", "x.tgz"]);
    assert_eq!(status, Some(1), "{told}");
    assert!(
        told.contains("With these files the archive is bad:\nBAD   x.tgz\n      a.csv, line 3: "),
        "{told}"
    );
    assert!(directory.path().join("x.json").exists());
}

fn is_refused(name: &str, contents: &[u8], words: &str) {
    let directory = temporary();
    fs::write(directory.path().join(name), contents).unwrap();
    let Run { status, told, errors } = run(directory.path(), &["init", "x.tgz"]);
    assert_eq!((status, &*told), (Some(2), ""), "{errors}");
    assert!(errors.contains(words), "{words:?} is not in {errors}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is written");
}

cases! {
    what_nothing_can_be_guessed_of_writes_nothing: is_refused {
        missing("y.tgz", b"", "x.tgz: No such file");
        no_archive("x.tgz", b"no archive", "the archive cannot be read: ");
        empty_member("x.tgz", &archive(&[("a.csv", "")]), "a.csv is empty; a member needs a header line");
        delimiters("x.tgz", &archive(&[("a.csv", "x,y\n"), ("b.csv", "x;y\n")]), "the files have different delimiters");
    }
}

/// A new dataset is loaded from its archive, and nothing is written by hand.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_leads_to_rows_in_redshift() {
    let harness = Harness::start().await;
    let staff = "Staff ID;Full name;Started;Is active;Order\r\n\
                 007;\"Łukasz; K\";17/05/2024;yes;1\r\n008;-;-;no;2\r\n";
    let archive = archive(&[("staff.csv", staff), ("visits.csv", "id;seen\r\n")]);
    let directory = temporary();
    fs::write(directory.path().join("staff_2024-05-18.tgz"), &archive).unwrap();
    let Run { status, told, errors } =
        run(directory.path(), &["init", "staff_2024-05-18.tgz", "--bucket", BUCKET]);
    assert_eq!((status, &*errors), (Some(0), ""), "{told}");
    assert!(!told.contains("To fill in"), "{told}");
    let sql = fs::read_to_string(directory.path().join("staff.sql")).unwrap().replace("-- GRANT", "GRANT");
    harness.admin(&postgresql_ddl(&sql).unwrap()).await;
    harness.stack.s3.put_at(BUCKET, "client/staff/staff_2024-05-18.tgz", &archive, moment(1)).unwrap();

    let config = directory.path().join("staff.json");
    for step in ["check", "load"] {
        let (output, _directory) = harness.command(&[step, config.to_str().unwrap()]).await;
        assert_eq!(output.status.code(), Some(0), "{step}: {output:?}");
    }
    let row = |cells: [&str; 5]| cells.map(|cell| (cell != "NULL").then(|| cell.to_owned())).to_vec();
    assert_eq!(
        harness.query("SELECT * FROM staff.staff").await,
        [row(["007", "Łukasz; K", "2024-05-17 00:00:00", "t", "1"]), row(["008", "NULL", "NULL", "f", "2"]),]
    );
    assert_eq!(harness.query("SELECT count(*) FROM staff.visits").await, [[Some("0".to_owned())]]);
}

/// A dataset may have a reserved word of SQL as its name, and the local stack serves it.
#[tokio::test(flavor = "multi_thread")]
async fn words_of_sql_are_names_too() {
    let harness = Harness::start().await;
    let archive = archive(&[("order.csv", "id,group\n1,x\n")]);
    let directory = temporary();
    let place = directory.path();
    fs::write(place.join("user_2024.tgz"), &archive).unwrap();
    let Run { status, told, errors } = run(place, &["init", "user_2024.tgz", "--bucket", "users"]);
    assert_eq!((status, &*errors), (Some(0), ""), "{told}");
    let config = place.join("user.json");
    let dataset = Dataset::read(&config).unwrap();
    dataset.set_up(&harness.stack, &place.join("user.sql")).await.unwrap();
    let key = format!("{}user_2024.tgz", dataset.prefix);
    harness.stack.s3.put_at(&dataset.bucket, &key, &archive, moment(1)).unwrap();
    let (output, _directory) = harness.command(&["load", config.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let rows = harness.query("SELECT * FROM \"user\".\"order\"").await;
    assert_eq!(rows, [[Some("1".to_owned()), Some("x".to_owned())]]);
}

#[test]
fn a_path_that_is_no_text_is_shown_all_the_same() {
    let directory = temporary();
    fs::write(directory.path().join("x.tgz"), archive(&[("a.csv", "id\n1\n")])).unwrap();
    let output = OsStr::from_bytes(b"\xff");
    let Output { status, stdout, stderr } = Command::new(PROGRAM)
        .args(["init", "x.tgz", "--json", "--output"])
        .arg(output)
        .current_dir(directory.path())
        .env_clear()
        .output()
        .unwrap();
    assert_eq!((status.code(), &*stderr), (Some(0), &b""[..]));
    let told: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!((&told["config"], &told["ddl"]), (&"\u{fffd}/x.json".into(), &"\u{fffd}/x.sql".into()));
    assert!(directory.path().join(output).join("x.sql").exists());
}
