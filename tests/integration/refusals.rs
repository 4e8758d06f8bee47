//! Tests that bad input of every kind ends as bad, explained, with nothing loaded and the tables unchanged.

use std::fmt::Write as _;

use devstack::lambda::Outcome;
use devstack::redshift::{Action, Fault};
use devstack::samples::{self, Member};
use serde_json::{Value, json};

use crate::harness::{Harness, HarnessBuilder, SHIPPED, cases, key, members, sample, sample_with};

/// Loads a good archive, then uploads `archive`; returns the first problem of its `error.json` after checking
/// everything that holds for any bad archive.
async fn refused(harness: &Harness, archive: &[u8]) -> Value {
    Harness::report(harness.invoke(&harness.put("good", &sample(5, 4), 1)).await);
    let before = (harness.tables().await, harness.ledger().await);
    let bad = harness.put("bad", archive, 2);
    let report = Harness::report(harness.invoke(&bad).await);

    assert!(harness.is_bad("bad") && !harness.is_good("bad"));
    assert_eq!((harness.tables().await, harness.ledger().await), before);
    assert_eq!(
        (&report["objects_bad"], &report["objects_good"], &report["rows"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!(harness.stack.s3.unfinished_uploads(), 0);
    let error = harness.error_json("bad");
    assert_eq!(
        (&error["version"], &error["key"], &error["dataset"]),
        (&json!(1), &json!(bad), &json!("cmslite_user_group_metadata"))
    );
    assert_eq!(report["bad"][0]["problems"], error["problems"]);
    assert_eq!(report["bad"][0]["etag"], error["etag"]);
    let log: Vec<Value> =
        harness.log().await.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for problem in error["problems"].as_array().unwrap() {
        let told = |line: &&Value| {
            line["message"].as_str().is_some_and(|message| {
                message.starts_with("bad input: ") && message.contains(problem["reason"].as_str().unwrap())
            })
        };
        assert!(log.iter().any(|line| told(&line)), "the log does not say {problem}");
    }
    // The event again: it is settled, and nothing is done.
    let again = Harness::report(harness.invoke(&key("bad")).await);
    assert_eq!(again["objects_processed"], json!(0));
    error["problems"][0].clone()
}

/// Uploads an archive, and compares code, member, line and column of its first problem.
async fn is_refused(archive: impl AsRef<[u8]>, expected: Value) {
    let problem = refused(&Harness::start().await, archive.as_ref()).await;
    let told = json!([problem["code"], problem["member"], problem["line"], problem["column"]]);
    assert_eq!(told, expected, "{problem}");
    assert!(!problem["reason"].as_str().unwrap().is_empty());
}

fn with_a_wrong_checksum() -> Vec<u8> {
    let mut archive = sample(1, 500);
    let at = archive.len() - 6;
    archive[at] ^= 0xff;
    archive
}

fn cut_in_two() -> Vec<u8> {
    let mut archive = sample(1, 500);
    archive.truncate(archive.len() / 2);
    archive
}

cases! {
    async damaged_archives_are_bad: is_refused {
        zero_bytes([], json!(["truncated", null, null, null]));
        no_gzip(b"this is no archive", json!(["corrupt_gzip", null, null, null]));
        wrong_checksum(with_a_wrong_checksum(), json!(["corrupt_gzip", null, null, null]));
        half_an_archive(cut_in_two(), json!(["truncated", "analytics_user_activity.csv", null, null]));
        junk_behind_it(
            [sample(1, 500).as_slice(), b"junk"].concat(),
            json!(["data_after_end", null, null, null]),
        );
    }
}

fn with_member(name: &str, contents: &str) -> Vec<u8> {
    let mut members = members(1, 2);
    members.push(Member::new(name, contents));
    samples::archive(&members).unwrap()
}

cases! {
    async members_that_are_not_those_configured_are_bad: is_refused {
        unknown_member(with_member("readme.txt", "hello"), json!(["unknown_member", "readme.txt", null, null]));
        duplicate_member(
            with_member("old/analytics_group.csv", "id\n"),
            json!(["duplicate_member", "analytics_group.csv", null, null]),
        );
        missing_member(
            samples::archive(&members(1, 2)[1..]).unwrap(),
            json!(["missing_member", "analytics_user_group", null, null]),
        );
    }
}

const GROUPS: &str = "analytics_group.csv";
const ACTIVITY: &str = "analytics_user_activity.csv";

/// Uploads an archive with such a file, and compares code, line and column of its first problem.
async fn text_is_refused(member: &str, text: &[u8], code: &str, line: u64, column: Option<&str>) {
    is_refused(sample_with(member, text), json!([code, member, line, column])).await;
}

/// The same for a file of which no line is at fault.
async fn file_is_refused(member: &str, text: &[u8], code: &str) {
    is_refused(sample_with(member, text), json!([code, member, null, null])).await;
}

cases! {
    async files_without_anything_are_bad: file_is_refused {
        empty_file(GROUPS, b"", "empty_member");
        blank_lines_only(GROUPS, b"\n\r\n", "empty_member");
    }
}

cases! {
    async files_with_bad_text_are_bad: text_is_refused {
        too_few_columns(GROUPS, b"a,b,c,d\n1,2,3\n", "too_few_columns", 2, None);
        wrong_delimiter(GROUPS, b"a|b|c|d\n1|2|3|4\n", "wrong_delimiter", 1, None);
        too_many_columns(GROUPS, b"id,name,active,site_key\n7,Parks, Lakes,true,x\n", "too_many_columns", 2, None);
        columns_reordered(GROUPS, b"name,id,active,site_key\nParks,7,true,x\n", "columns_reordered", 1, None);
        no_header(ACTIVITY, b"u,i,t,m,2024-03-01 09:15:42.5\n", "no_header", 1, None);
        header_again(GROUPS, b"id,name,active,site_key\nid,name,active,site_key\n", "header_again", 2, None);
        blank_before_quote(GROUPS, b"a,b,c,d\n1, \"2\",t,4\n", "blank_before_quote", 2, Some("name"));
        backslash_escape(GROUPS, b"a,b,c,d\n1,\"2\\\",t\",4,\n", "backslash_escape", 2, None);
        byte_order_mark(GROUPS, b"a,b,c,d\n\xef\xbb\xbf1,2,t,4\n", "byte_order_mark", 2, None);
        nul(GROUPS, b"a,b,c,d\n1,2,t,\0\n", "nul_byte", 2, Some("site_key"));
        invalid_utf8(GROUPS, b"a,b,c,d\n1,\xff,t,4\n", "invalid_utf8", 2, Some("name"));
        unclosed_quote(GROUPS, b"a,b,c,d\n1,\"2,t,4\n", "unclosed_quote", 2, None);
        line_ends_of_cr_only(GROUPS, b"a,b,c,d\r1,2,t,4\r", "lone_carriage_return", 1, None);
        utf16_without_its_mark_or_rows(GROUPS, b"\0a\0,\0b\0,\0c\0,\0d\0\n", "utf16", 1, None);
        bad_date(ACTIVITY, b"a,b,c,d,e\nu,i,t,m,2024-02-30 00:00:00.0\n", "bad_date", 2, Some("activity_date"));
        a_date_finer_than_microseconds(
            ACTIVITY,
            b"a,b,c,d,e\nu,i,t,m,2024-02-03 00:00:00.1234567\n",
            "bad_date",
            2,
            Some("activity_date"),
        );
    }
}

/// A bomb is left where it exceeds the configured limit: neither is it read to its end, nor does it look like
/// a network's fault.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_unpacks_to_too_much_is_bad() {
    let config = SHIPPED.replacen('{', "{\"max_unpacked_bytes\": 1000000,", 1);
    let harness = Harness::builder().config(config).start().await;
    let rows = "1,2,t,4\n".repeat(1_000_000);
    // What is left of the upload is more than waits between download and decoder.
    let archive =
        [sample_with("analytics_group.csv", format!("a,b,c,d\n{rows}")), vec![0; 20_000_000]].concat();
    let problem = refused(&harness, &archive).await;
    let told = json!([problem["code"], problem["member"], problem["reason"]]);
    let reason = "the archive unpacks to more than 1000000 bytes, the limit of this dataset; find out why it is so large, \
                  or raise \"max_unpacked_bytes\" in the configuration";
    assert_eq!(told, json!(["too_large", "analytics_group.csv", reason]));
}

/// A stand-in with Redshift's newer tables of load errors, or without.
fn redshift(sys_tables: bool) -> HarnessBuilder {
    Harness::builder().redshift(move |options| options.sys_tables = sys_tables)
}

async fn value_is_refused(sys_tables: bool) {
    // A blank line and a record of two lines before it, which the staged file has otherwise.
    let boolean = "id,name,active,site_key\n\n1,\"two\nlines\",t,k\n2,ok,on,k\n";
    let problem = refused(&redshift(sys_tables).start().await, &sample_with(GROUPS, boolean)).await;
    let told = json!([problem["code"], problem["member"], problem["line"], problem["column"]]);
    assert_eq!(told, json!(["refused_by_redshift", GROUPS, 5, "active"]), "{problem}");
    assert_eq!(problem["text"], json!("on"), "{problem}");
}

/// Where the loader cannot learn how long the column is, it is Redshift that finds a text too long.
async fn length_is_refused(sys_tables: bool) {
    let harness = redshift(sys_tables).start().await;
    Harness::report(harness.invoke(&harness.put("first", &sample(5, 4), 0)).await);
    harness.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
    let long = format!("id,name,active,site_key\n2,ok,t,{}\n", "é".repeat(40));
    let problem = refused(&harness, &sample_with(GROUPS, long)).await;
    assert_eq!(
        json!([problem["code"], problem["line"], problem["column"]]),
        json!(["refused_by_redshift", 2, "site_key"]),
        "{problem}"
    );
    let reason = problem["reason"].as_str().unwrap();
    assert!(
        reason.contains("String length exceeds DDL length")
            && reason.contains("varchar(64)")
            && reason.contains("1204"),
        "{reason}"
    );
    assert!(reason.contains("the value has 80 bytes"), "{reason}");
    assert_eq!(problem["text"], json!("é".repeat(40)));
}

cases! {
    /// What Redshift refuses is told as what we refuse: in the archive's words, with the line of the uploaded
    /// file.
    async values_that_redshift_refuses_are_bad: value_is_refused {
        told_by_sys_load_error_detail(true);
        told_by_stl_load_errors(false);
    }
}

cases! {
    async texts_that_redshift_finds_too_long_are_bad: length_is_refused {
        told_by_sys_load_error_detail(true);
        told_by_stl_load_errors(false);
    }
}

/// All that does not fit is told at once, with both lengths, whether or not Redshift would keep the value.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_its_column_is_bad_before_it_is_staged() {
    let harness = Harness::start().await;
    let text =
        format!("id,name,active,site_key\n1,ok,t,{}\n2,{},t,k\n-,ok,t,k\n", "é".repeat(40), "x".repeat(256));
    let first = refused(&harness, &sample_with("analytics_group.csv", text)).await;
    assert_eq!(
        json!([first["code"], first["line"], first["column"], first["reason"]]),
        json!([
            "text_too_long",
            2,
            "site_key",
            "the text has 80 bytes in UTF-8, and its column holds 64; shorten it, or lengthen the column"
        ])
    );
    let error = harness.error_json("bad");
    let told: Vec<Value> = error["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| json!([problem["code"], problem["line"], problem["column"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["text_too_long", 2, "site_key"]),
            json!(["text_too_long", 3, "name"]),
            json!(["null_not_allowed", 4, "id"])
        ]
    );
    assert!(
        !harness
            .sessions()
            .iter()
            .flatten()
            .filter(|sql| sql.starts_with("COPY"))
            .any(|sql| sql.contains("_bad/"))
    );
}

/// Nobody then knows that the input is at fault: who operates is told what to grant, and what to ask
/// meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_that_may_not_be_read_are_for_the_operator() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("good", &sample(5, 4), 1)).await);
    harness
        .admin("REVOKE SELECT ON pg_catalog.stl_load_errors, pg_catalog.sys_load_error_detail FROM PUBLIC")
        .await;
    let archive = harness.put("a", &sample_with("analytics_group.csv", "a,b,c,d\n1,2,on,4\n"), 2);
    let devstack::lambda::Outcome::Failed { error_type, message } = harness.invoke(&archive).await else {
        panic!("it was loaded")
    };
    assert_eq!(error_type, "Deployment.Privilege");
    let query = "as a superuser, run SELECT * FROM sys_load_error_detail WHERE LEFT(file_name, ";
    assert!(
        message.contains("the user may not read in sys_load_error_detail or stl_load_errors")
            && message.contains(query),
        "{message}"
    );
    assert!(message.contains("analytics_group.csv"), "{message}");
    assert!(harness.is_unsettled("a"));
}

/// Without the rows of a load-error table nobody knows that the input is at fault: it is not marked bad.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_without_its_rows_marks_nothing() {
    let harness = Harness::start().await;
    let action = Action::Refuse(
        "XX000".to_owned(),
        "Load into table 'cms_group' failed.  Check 'stl_load_errors' system table for details.".to_owned(),
    );
    harness.stack.redshift.inject(Fault::on("COPY", action).times(1));
    let a = harness.put("a", &sample(1, 2), 1);
    assert!(matches!(harness.invoke(&a).await, devstack::lambda::Outcome::Failed { .. }));
    assert!(harness.is_unsettled("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_problems_are_told_at_once() {
    let harness = Harness::start().await;
    let text = format!("a,b,c,d\n{}", "short\n".repeat(30));
    let bad = harness.put("bad", &sample_with("analytics_group.csv", text), 1);
    Harness::report(harness.invoke(&bad).await);
    let error = harness.error_json("bad");
    assert_eq!(error["problems"].as_array().unwrap().len(), 20);
    assert_eq!(error["problems"][19]["line"], json!(21));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_without_rows_loads_zero_rows() {
    let harness = Harness::start().await;
    Harness::report(harness.invoke(&harness.put("a", &sample(1, 3), 1)).await);
    let report = Harness::report(
        harness
            .invoke(&harness.put("b", &sample_with("analytics_group.csv", "id,name,active,site_key\n"), 2))
            .await,
    );
    assert_eq!(
        report["loaded_tables"][0],
        json!({"table": "cmslite.cms_group", "key": key("b"), "rows": 0, "empty_rows": 0, "dropped_columns": {"count": 0, "names": []}})
    );
    assert_eq!(harness.rows("cms_group").await.len(), 0);
    assert!(harness.is_good("b"));
}

/// A harness whose loader cannot learn what the columns take, so that Redshift is the judge. An archive is
/// loaded.
async fn with_redshift_as_judge(builder: HarnessBuilder) -> Harness {
    let harness = builder.start().await;
    Harness::report(harness.invoke(&harness.put("first", &sample(5, 4), 0)).await);
    harness.admin("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC").await;
    harness
}

/// An archive with such files in place of a sample's.
fn with_files(files: &[(&str, String)]) -> Vec<u8> {
    let mut members = members(1, 2);
    for (name, contents) in files {
        members.iter_mut().find(|member| member.name == *name).unwrap().contents =
            contents.as_bytes().to_vec();
    }
    samples::archive(&members).unwrap()
}

/// Rows of three tables that Redshift refuses, on other lines of the staged files than of the archive's.
fn with_refused_rows() -> Vec<u8> {
    let groups = "id,name,active,site_key\n\n1,\"two\nlines\",t,k\n2,a,maybe,k\n\n3,b,f,k\n-,c,t,k\n\
                  4,\"d, \"\"e\"\"\",\"so, \"\"so\"\"\",k\n";
    let user_groups = "id,user_id,email,group_id,group_name,site_key,is_group_mgr\n1,u,e,g,n,k,3\n";
    let status = format!(
        "id,organization,user_id,user_name,email,created_dt,status\n1,o,u,n,e,,ok\n2,o,u,n,e,,{}\n",
        "s".repeat(2000)
    );
    with_files(&[
        (GROUPS, groups.to_owned()),
        ("analytics_user_group.csv", user_groups.to_owned()),
        ("analytics_user_status.csv", status),
    ])
}

/// Member, line, column and text of each problem.
fn told(error: &Value) -> Vec<Value> {
    let problems = error["problems"].as_array().unwrap().iter();
    let told = problems.map(|problem| {
        assert_eq!(problem["code"], json!("refused_by_redshift"), "{problem}");
        json!([problem["member"], problem["line"], problem["column"], problem["text"]])
    });
    told.collect()
}

async fn all_refusals_are_told(sys_tables: bool) {
    let harness = with_redshift_as_judge(redshift(sys_tables)).await;
    refused(&harness, &with_refused_rows()).await;
    let error = harness.error_json("bad");
    assert_eq!(
        told(&error),
        [
            json!([GROUPS, 5, "active", "maybe"]),
            json!([GROUPS, 8, "id", "-"]),
            json!([GROUPS, 9, "active", "so, \"so\""]),
            json!(["analytics_user_group.csv", 2, "is_group_mgr", "3"]),
            json!(["analytics_user_status.csv", 3, "status", format!("{}…", "s".repeat(120))]),
        ]
    );
    assert_eq!((&error["problems_found"], &error["incomplete"]), (&json!(5), &Value::Null));
    let last = error["problems"][4]["reason"].as_str().unwrap();
    assert!(last.contains("varchar(32), the value has 2000 bytes"), "{last}");
}

cases! {
    /// All that Redshift refuses is told at once, of every table, in the order of the files, with the texts.
    async rows_refused_of_several_tables_are_told_at_once: all_refusals_are_told {
        told_by_sys_load_error_detail(true);
        told_by_stl_load_errors(false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_with_refused_rows_have_failed() {
    let harness = with_redshift_as_judge(Harness::builder()).await;
    let report = Harness::report(harness.invoke(&harness.put("bad", &with_refused_rows(), 2)).await);
    assert_eq!(
        report["failed_tables"],
        json!(["cmslite.cms_group", "cmslite.user_group", "cmslite.user_status"])
    );
    assert_eq!(report["bad"][0]["incomplete"], Value::Null);
}

/// Those told are the first, and no further table is asked when there are enough.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_refused_rows_are_told_in_the_order_of_the_file() {
    let harness = with_redshift_as_judge(Harness::builder()).await;
    let mut groups = String::from("id,name,active,site_key\n");
    for n in 0..1500 {
        let _ = writeln!(groups, "{n},a,no{n},k");
    }
    let user_groups = "id,user_id,email,group_id,group_name,site_key,is_group_mgr\n1,u,e,g,n,k,3\n";
    let archive = with_files(&[(GROUPS, groups), ("analytics_user_group.csv", user_groups.to_owned())]);
    Harness::report(harness.invoke(&harness.put("bad", &archive, 2)).await);
    let error = harness.error_json("bad");
    let expected: Vec<Value> = (0..20).map(|n| json!([GROUPS, n + 2, "active", format!("no{n}")])).collect();
    assert_eq!(told(&error), expected);
    assert_eq!((&error["problems_found"], &error["incomplete"]), (&json!(20), &Value::Null));
    let asked = harness.sessions().concat().into_iter().filter(|sql| sql.ends_with("NOLOAD")).count();
    assert_eq!(asked, 1);
}

/// What is known already is told, and that it may not be all; the archive is bad in any case.
async fn the_rest_is_not_known(action: Action, skip: usize, known: usize, members: &str, error_type: &str) {
    let harness = with_redshift_as_judge(Harness::builder()).await;
    harness.stack.redshift.inject(Fault::on("NOLOAD", action).after(skip));
    refused(&harness, &with_refused_rows()).await;
    let error = harness.error_json("bad");
    let all = told(&error);
    assert_eq!(all.len(), known, "{all:?}");
    assert_eq!(all[0], json!([GROUPS, 5, "active", "maybe"]));
    let why = format!("Redshift could not be asked for all rows that it refuses in {members} ({error_type})");
    assert_eq!(error["incomplete"], json!(why));
    assert!(harness.log().await.contains(&format!("bad input: there may be more: {why}")));
    let (output, _directory) = harness.command(&["status", harness.config_file().to_str().unwrap()]).await;
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(status.contains(&format!("there may be more: {why}")), "{status}");
}

const ALL: &str =
    "analytics_group.csv, analytics_user_activity.csv, analytics_user_group.csv, analytics_user_status.csv";
const LAST: &str = "analytics_user_status.csv";

fn refusal(code: &str, message: &str) -> Action {
    Action::Refuse(code.to_owned(), message.to_owned())
}

cases! {
    async a_cluster_that_does_not_tell_the_rest_leaves_an_archive_bad: the_rest_is_not_known {
        not_granted(refusal("42501", "permission denied"), 0, 1, ALL, "Deployment.Privilege");
        not_granted_for_the_last(refusal("42501", "permission denied"), 3, 4, LAST, "Deployment.Privilege");
        not_understood(refusal("42601", "syntax error at or near \"NOLOAD\""), 0, 1, ALL, "Retryable.Unknown");
        no_such_table(refusal("42P01", "no such relation"), 0, 1, ALL, "Deployment.SchemaMismatch");
        too_slow(refusal("57014", "Query (1) canceled on user's request"), 0, 1, ALL, "Retryable.StatementTimeout");
        s3_is_down_for_it(
            refusal("XX000", "S3ServiceException:Please reduce your request rate,Status 503,Error SlowDown"),
            0,
            1,
            ALL,
            "Retryable.S3Unavailable",
        );
        connection_lost(Action::CutBefore, 0, 1, ALL, "Retryable.ConnectionLost");
        connection_lost_after_it(Action::CutAfter, 2, 3, "analytics_user_group.csv, analytics_user_status.csv", "Retryable.ConnectionLost");
    }
}

/// The texts are a convenience: without them the rows are told as Redshift tells them.
#[tokio::test(flavor = "multi_thread")]
async fn texts_that_cannot_be_read_back_are_left_out() {
    let harness = with_redshift_as_judge(Harness::builder().env("COPY_IAM_ROLE", "default")).await;
    // COPY reads the file twice, to load and to check it.
    let denied = devstack::s3::Action::Refuse(403, "AccessDenied".to_owned());
    harness
        .stack
        .s3
        .inject(devstack::s3::Fault::on("GetObject", "/analytics_group.00001.csv", denied).after(2));
    Harness::report(harness.invoke(&harness.put("bad", &with_refused_rows(), 2)).await);
    let error = harness.error_json("bad");
    let all = told(&error);
    assert_eq!(
        all[..4],
        [
            json!([GROUPS, 5, "active", null]),
            json!([GROUPS, 8, "id", null]),
            json!([GROUPS, 9, "active", null]),
            json!(["analytics_user_group.csv", 2, "is_group_mgr", "3"]),
        ]
    );
    assert_eq!(error["incomplete"], Value::Null);
}

/// A name so long that its staged files are told apart only behind what the load-error tables keep of theirs.
fn long_name() -> String {
    "n".repeat(300)
}

async fn refusals_of_long_names_are_told(sys_tables: bool) {
    let harness = with_redshift_as_judge(redshift(sys_tables)).await;
    Harness::report(harness.invoke(&harness.put(&long_name(), &with_refused_rows(), 2)).await);
    let error = harness.error_json(&long_name());
    let places: Vec<Value> =
        told(&error).into_iter().map(|told| json!([told[0], told[1], told[2]])).collect();
    assert_eq!(
        places,
        [
            json!([GROUPS, 5, "active"]),
            json!([GROUPS, 8, "id"]),
            json!([GROUPS, 9, "active"]),
            json!(["analytics_user_group.csv", 2, "is_group_mgr"]),
            json!(["analytics_user_status.csv", 3, "status"]),
        ]
    );
    assert_eq!(error["incomplete"], Value::Null);
}

cases! {
    /// `file_name` and `filename` have 256 characters; the staged file's name has more.
    async rows_of_files_with_long_names_are_told: refusals_of_long_names_are_told {
        by_sys_load_error_detail(true);
        by_stl_load_errors(false);
    }
}

/// An archive with one row that Redshift refuses.
fn with_a_refused_row() -> Vec<u8> {
    with_files(&[(GROUPS, "id,name,active,site_key\n1,a,maybe,k\n".to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_without_its_line_is_told_with_its_staged_file() {
    let harness = with_redshift_as_judge(Harness::builder()).await;
    harness.stack.redshift.inject(Fault::on("COPY \"", Action::HideLines));
    Harness::report(harness.invoke(&harness.put("bad", &with_a_refused_row(), 2)).await);
    let error = harness.error_json("bad");
    assert_eq!(told(&error), [json!([GROUPS, null, "active", null])]);
    let reason = error["problems"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("reports no line") && reason.contains("s3://"), "{reason}");
    assert!(reason.contains("/analytics_group.00001.csv, "), "{reason}");
}

/// One of the tables answers with an error: the other one tells.
async fn the_other_table_tells(code: &str, message: &str) {
    let harness = with_redshift_as_judge(Harness::builder()).await;
    harness.stack.redshift.inject(Fault::on("sys_load_error_detail WHERE", refusal(code, message)));
    Harness::report(harness.invoke(&harness.put("bad", &with_a_refused_row(), 2)).await);
    assert_eq!(told(&harness.error_json("bad")), [json!([GROUPS, 2, "active", "maybe"])]);
}

cases! {
    async rows_are_told_by_the_table_that_can_be_read: the_other_table_tells {
        refused("42501", "permission denied for relation sys_load_error_detail");
        absent("42P01", "relation \"sys_load_error_detail\" does not exist");
        in_words_never_seen("XX000", "something never seen");
    }
}

/// Nobody knows then whether the input is at fault: nothing is marked, and the error says what was looked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_no_table_tells_of_says_what_was_looked_for() {
    let harness = with_redshift_as_judge(Harness::builder()).await;
    harness.stack.redshift.inject(Fault::on("COPY \"", Action::HideLoadErrors));
    let outcome = harness.invoke(&harness.put("bad", &with_a_refused_row(), 2)).await;
    let Outcome::Failed { error_type, message } = outcome else { panic!("it went well") };
    assert_eq!(error_type, "Retryable.Unknown");
    for word in [
        "no row of this session in sys_load_error_detail or stl_load_errors says which rows of s3://",
        "analytics_group.csv",
        "as a superuser, run SELECT * FROM sys_load_error_detail WHERE LEFT(file_name, ",
    ] {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    assert!(harness.is_unsettled("bad"));
}
