//! COPY from S3 as the stand-in carries it out. Each test names the document that says so; bare `x.md` is a
//! page of the Amazon Redshift Database Developer Guide.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod redshift_support;

use std::io::Write as _;
use std::time::{Duration, Instant};

use devstack::redshift::{Action, Fault};
use devstack::s3;

use redshift_support::{BUCKET, KEYS, ROLE, Session, Stack, stack, stack_with};

/// A stack with a table `t (id INT, name VARCHAR(5), day DATE)` and a session.
async fn with_table() -> (Stack, Session) {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT, name VARCHAR(5), day DATE)").await;
    (stack, session)
}

fn copy(target: &str, key: &str, options: &str) -> String {
    format!("COPY {target} FROM 's3://{BUCKET}/{key}' {KEYS} {options}")
}

const FAILED: &str = "Load into table 't' failed.  Check 'stl_load_errors' system table for details.";

fn failed() -> (String, String) {
    ("XX000".to_owned(), FAILED.to_owned())
}

/// Loads one text into a table and tells what is in it then.
async fn loaded(columns: &str, text: impl AsRef<[u8]>, options: &str) -> Vec<String> {
    let stack = stack().await;
    let session = stack.session().await;
    session.run(&format!("CREATE TABLE t ({columns})")).await;
    stack.put("file", text);
    session.run(&copy("t", "file", options)).await;
    session.rows("SELECT * FROM t").await
}

/// Loads a text that is refused and tells code and column of each error.
async fn load_errors(columns: &str, text: impl AsRef<[u8]>, options: &str) -> Vec<String> {
    let stack = stack().await;
    let session = stack.session().await;
    session.run(&format!("CREATE TABLE t ({columns})")).await;
    stack.put("file", text);
    assert_eq!(session.refused(&copy("t", "file", options)).await, failed());
    assert_eq!(session.one("SELECT count(*) FROM t").await, "0");
    session.rows("SELECT err_code, TRIM(colname) FROM stl_load_errors ORDER BY line_number").await
}

// ---- sources

/// `copy-parameters-data-source-s3.md`: every key that begins with the prefix is loaded.
#[tokio::test]
async fn a_prefix_takes_every_key_that_begins_with_it() {
    let (stack, session) = with_table().await;
    stack.put("p/a.txt", "1|a|2024-01-01\n");
    stack.put("p/a.txt.bak", "2|b|\n");
    stack.put("p/b.txt", "3|c|\n");
    session.run(&copy("t", "p/a.txt", "")).await;
    assert_eq!(session.rows("SELECT * FROM t ORDER BY id").await, ["1|a|2024-01-01", "2|b|~"]);
    let (code, message) = session.refused(&copy("t", "p/none", "")).await;
    // 3scale/apisonator#196
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("XX000", "The specified S3 prefix 'p/none' does not exist")
    );
}

/// `loading-data-files-using-manifest.md`: exactly the files named; one named twice is loaded twice; a
/// missing one fails the load if mandatory, and is passed over by default; none at all fails it.
#[tokio::test]
async fn a_manifest_names_files_exactly() {
    let (stack, session) = with_table().await;
    stack.put("p/a.csv", "1,a,\n");
    stack.put("p/a.csv.bak", "2,b,\n");
    stack.put_manifest("p/m", &["p/a.csv", "p/a.csv"]);
    stack.put_manifest("p/m.other", &["p/a.csv.bak"]);
    session.run(&copy("t", "p/m", "CSV MANIFEST")).await;
    assert_eq!(session.rows("SELECT id FROM t").await, ["1", "1"]);

    stack.put_manifest("p/gone", &["p/a.csv", "p/gone.csv"]);
    assert_eq!(session.refused(&copy("t", "p/gone", "CSV MANIFEST")).await.0, "XX000");
    stack.put(
        "p/optional",
        r#"{"entries":[{"url":"s3://bucket/p/gone.csv"},{"url":"s3://bucket/p/a.csv","mandatory":false,"meta":{"content_length":5}}]}"#,
    );
    session.run(&copy("t", "p/optional", "CSV MANIFEST")).await;
    assert_eq!(session.one("SELECT count(*) FROM t").await, "3");
    stack.put("p/none", r#"{"entries":[{"url":"s3://bucket/p/gone.csv"}]}"#);
    assert_eq!(session.refused(&copy("t", "p/none", "CSV MANIFEST")).await.0, "XX000");
    stack.put("p/broken", "{");
    assert_eq!(session.refused(&copy("t", "p/broken", "CSV MANIFEST")).await.0, "XX000");
    // "COPY with MANIFEST parameter requires full path of an S3 object" (PostHog/posthog#61603)
    let (_, message) = session.refused(&copy("t", "p/", "CSV MANIFEST")).await;
    assert!(message.contains("COPY with MANIFEST parameter requires full path of an S3 object"), "{message}");
    assert_eq!(session.one("SELECT count(*) FROM t").await, "3");
}

/// `copy-parameters-authorization.md`: a role, the default role, keys with the token that temporary ones
/// need, and the same as a CREDENTIALS text.
#[tokio::test]
async fn credentials_are_really_used() {
    let stack = stack_with(|options| options.default_role = true).await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (id INT)").await;
    stack.put("f", "1\n");
    for good in [
        "IAM_ROLE default".to_owned(),
        format!("IAM_ROLE '{ROLE}'"),
        format!("CREDENTIALS 'aws_iam_role={ROLE}'"),
        "ACCESS_KEY_ID 'ASIAROLE' SECRET_ACCESS_KEY 'role/secret' SESSION_TOKEN 'role-token'".to_owned(),
        "WITH CREDENTIALS AS 'aws_access_key_id=ASIAROLE;aws_secret_access_key=role/secret;token=role-token'"
            .to_owned(),
        KEYS.to_owned(),
    ] {
        stack.s3.clear_requests();
        session.run(&format!("COPY t FROM 's3://{BUCKET}/f' {good}")).await;
        let signer = if good == KEYS { "AKIAOWNER" } else { "ASIAROLE" };
        let requests = stack.s3.requests();
        assert!(
            requests.iter().all(|request| request.access_key_id.as_deref() == Some(signer)),
            "{good}: {requests:?}"
        );
    }
    for (bad, word) in [
        ("IAM_ROLE 'arn:aws:iam::123456789012:role/other'", "not authorized to assume IAM Role"),
        ("ACCESS_KEY_ID 'ASIAROLE' SECRET_ACCESS_KEY 'role/secret'", "InvalidToken"),
        ("ACCESS_KEY_ID 'AKIAOWNER' SECRET_ACCESS_KEY 'wrong'", "SignatureDoesNotMatch"),
        ("ACCESS_KEY_ID 'AKIANOBODY' SECRET_ACCESS_KEY 'wrong'", "InvalidAccessKeyId"),
        ("ACCESS_KEY_ID 'AKIANOGET' SECRET_ACCESS_KEY 'noget/secret'", "AccessDenied"),
    ] {
        // s3serviceexception-error.md; the DETAIL block is that of 3scale/apisonator#196.
        let error = session.refusal(&format!("COPY t FROM 's3://{BUCKET}/f' {bad}")).await;
        assert!(error.code().code() == "XX000" && error.message().contains(word), "{bad}: {error:?}");
        let detail = error.detail().unwrap();
        assert!(
            detail.contains("code:      8001") && detail.contains("error:  ") && detail.contains("process:"),
            "{detail}"
        );
    }
    for bad in
        ["", "IAM_ROLE default ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b'", "CREDENTIALS 'AWS_IAM_ROLE=x'"]
    {
        assert_eq!(
            session.refused(&format!("COPY t FROM 's3://{BUCKET}/f' {bad}")).await.0,
            "42601",
            "{bad}"
        );
    }
    assert_eq!(session.one("SELECT count(*) FROM t").await, "6");
}

/// `copy-parameters-file-compression.md`: GZIP is said, not guessed.
#[tokio::test]
async fn gzip_is_inflated_when_asked() {
    let (stack, session) = with_table().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all("1|a|\n2|b|\n".repeat(10_000).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    stack.put("f.gz", &gzip);
    session.run(&copy("t", "f.gz", "GZIP")).await;
    assert_eq!(session.one("SELECT count(*), sum(id) FROM t").await, "20000|30000");
    session.refused(&copy("t", "f.gz", "")).await;
    stack.put("cut.gz", &gzip[..gzip.len() / 2]);
    assert_eq!(session.refused(&copy("t", "cut.gz", "GZIP")).await.0, "XX000");
    stack.put("plain", "1|a|\n");
    assert_eq!(session.refused(&copy("t", "plain", "GZIP")).await.0, "XX000");
    assert_eq!(session.one("SELECT count(*) FROM t").await, "20000");
}

/// `copy-usage_notes-multiple-files.md`: COPY is atomic across its files.
#[tokio::test]
async fn all_files_or_none() {
    let (stack, session) = with_table().await;
    stack.put("p/1", "1|a|\n".repeat(50_000));
    stack.put("p/2", "1|a|\nx|b|\n");
    assert_eq!(session.refused(&copy("t", "p/", "")).await, failed());
    assert_eq!(session.one("SELECT count(*) FROM t").await, "0");
    stack.s3.inject(s3::Fault::on("GetObject", "p/1", s3::Action::CutBodyAfter(100_000)));
    let (code, message) = session.refused(&copy("t", "p/1", "")).await;
    assert!(code == "XX000" && message.starts_with("S3ServiceException"), "{message}");
    assert_eq!(session.one("SELECT count(*) FROM t").await, "0");
}

// ---- format

/// `copy-parameters-data-format.md`: with CSV quotes protect delimiters and line ends and are doubled inside,
/// blanks around a quoted field go, a comma is the default delimiter; QUOTE and DELIMITER change the
/// characters.
#[tokio::test]
async fn csv() {
    let text = "id,name\n1,\"a,\"\"b\"\"\nc\"\n2, \"d\" \n3, e \n4,\n";
    assert_eq!(
        loaded("id INT, name VARCHAR(20)", text, "FORMAT AS CSV IGNOREHEADER AS 1").await,
        ["1|a,\"b\"\nc", "2|d", "3| e ", "4|"]
    );
    assert_eq!(
        loaded("id INT, name VARCHAR(20)", "1;%a;b%%%\n", "CSV QUOTE '%' DELIMITER ';'").await,
        ["1|a;b%"]
    );
    assert_eq!(
        loaded("id INT, name VARCHAR(20)", "1\tC:\\new\n", "DELIMITER '\\t' CSV").await,
        ["1|C:\\new"]
    );
}

/// `copy-parameters-data-conversion.md`: with ESCAPE the character behind a backslash is taken as it is, with
/// no octal or other meaning.
#[tokio::test]
async fn escape() {
    let text = "id|name\n1|a\\|b\n2|c\\\\d\n3|e\\\nf\n4|\\012\n5|\"g\"\n6|-\n7|\n";
    let rows =
        loaded("id INT, name VARCHAR(20)", text, "NULL AS '-' ESCAPE DELIMITER '|' IGNOREHEADER 1").await;
    assert_eq!(rows, ["1|a|b", "2|c\\d", "3|e\nf", "4|012", "5|\"g\"", "6|~", "7|"]);
    // r_COPY_command_examples.md: a line end that is not escaped ends the record.
    assert_eq!(load_errors("id INT, name VARCHAR(20)", "1|a\nb\n", "ESCAPE").await, ["1203|name"]);
}

/// `copy-parameters-data-conversion.md`: IGNOREHEADER skips its lines in every file.
#[tokio::test]
async fn every_file_has_its_header() {
    let (stack, session) = with_table().await;
    stack.put("p/1", "id,name,day\nsecond\n1,a,\n");
    stack.put("p/2", "id,name,day\nsecond\n2,b,\n");
    session.run(&copy("t", "p/", "CSV IGNOREHEADER 2")).await;
    assert_eq!(session.rows("SELECT id FROM t ORDER BY id").await, ["1", "2"]);
}

/// `copy-parameters-data-conversion.md`: REMOVEQUOTES, EMPTYASNULL, BLANKSASNULL, TRUNCATECOLUMNS,
/// FILLRECORD, IGNOREBLANKLINES, ACCEPTINVCHARS, TIMEFORMAT 'auto'; `t_preparing-input-data.md`: one trailing
/// delimiter is tolerated.
#[tokio::test]
async fn conversion_options() {
    let columns = "id INT, name VARCHAR(5)";
    for (text, options, expected) in [
        (&b"1|\"a|b\"\n"[..], "REMOVEQUOTES", "1|a|b"),
        (b"1|\n", "EMPTYASNULL", "1|~"),
        (b"1|  \n", "", "1|  "),
        (b"1|  \n", "BLANKSASNULL", "1|~"),
        (b"  |a\n", "", "~|a"),
        (b"1|abcdefg\n", "TRUNCATECOLUMNS", "1|abcde"),
        (b"1|abcde   \n", "", "1|abcde"),
        (b"1\n", "FILLRECORD", "1|"),
        (b"1\n", "FILLRECORD EMPTYASNULL", "1|~"),
        (b"\n1|a\n\n", "IGNOREBLANKLINES", "1|a"),
        (b"1|a\xffb\xc3\n", "ACCEPTINVCHARS", "1|a?b?"),
        (b"1|a\xffb\n", "ACCEPTINVCHARS AS '^'", "1|a^b"),
        (b"1|\\N\n", "", "1|~"),
        (b"1|-\n", "NULL '-'", "1|~"),
        (b"1|a|\n", "", "1|a"),
        (b"1|\xef\xb7\x90\n", "", "1|\u{fdd0}"),
    ] {
        assert_eq!(
            loaded(columns, text, options).await,
            [expected],
            "{} {options}",
            String::from_utf8_lossy(text)
        );
    }
    assert_eq!(
        loaded("at TIMESTAMP", "2019-02-11T05:09:12.195Z\n", "TIMEFORMAT 'auto'").await,
        ["2019-02-11 05:09:12.195"]
    );
}

/// `copy-parameters-data-conversion.md`: empty fields are '' for text and NULL for every other type.
#[tokio::test]
async fn types_take_their_forms() {
    let columns = "a SMALLINT, b INT, c BIGINT, d DECIMAL(6,2), e REAL, f DOUBLE PRECISION, g BOOL, h DATE, i TIMESTAMP, j TIMESTAMPTZ, k CHAR(3), l VARCHAR(3)";
    assert_eq!(loaded(columns, ",,,,,,,,,,,\n", "CSV").await, ["~|~|~|~|~|~|~|~|~|~|   |"]);
    // DECIMAL's excess scale is cut, not rounded (no ROUNDEC); fractions of a second go to microseconds.
    let row = "-5,7,9000000000,1.239,1.5,1e3,yes,2024-02-29,2024-02-29 23:59:58.119568,2024-02-29 23:59:58+02,ab,é\n";
    assert_eq!(
        loaded(columns, row, "CSV").await,
        [
            "-5|7|9000000000|1.23|1.5|1000|t|2024-02-29|2024-02-29 23:59:58.119568|2024-02-29 21:59:58+00|ab |é"
        ]
    );
    // live/r_Boolean_type
    let rows = loaded("g BOOL", "t\ntrue\ny\nyes\n1\nf\nfalse\nn\nno\n0\n", "").await;
    assert_eq!(rows.concat(), "tttttfffff");
}

/// live/r_Load_Error_Reference: the codes of what cannot be loaded; `r_Character_types.md`: lengths are
/// bytes.
#[tokio::test]
async fn what_cannot_be_loaded_has_a_code() {
    for (columns, text, expected) in [
        ("a INT, b INT", &b"1,2,3\n"[..], "1202|"),
        ("a INT, b INT", b"1\n", "1203|b"),
        ("a VARCHAR(3)", "éé\n".as_bytes(), "1204|a"),
        ("a CHAR(3)", b"abcd\n", "1204|a"),
        ("a DATE", b"2024-02-30\n", "1205|a"),
        ("a DATE", b"2024-2-3\n", "1205|a"),
        ("a TIMESTAMP", b"2024-02-01T00:00:00\n", "1206|a"),
        ("a TIMESTAMP", b"yesterday\n", "1206|a"),
        ("a INT", b"x\n", "1207|a"),
        ("a INT", b"1.0\n", "1207|a"),
        ("a REAL", b"x\n", "1208|a"),
        ("a DECIMAL(5,2)", b"x\n", "1209|a"),
        ("a BOOL", b"maybe\n", "1210|a"),
        ("a INT, b INT NOT NULL", b"1,\n", "1213|b"),
        ("a VARCHAR(9)", b"a\xffb\n", "1220|a"),
        ("a VARCHAR(9)", b"a\xed\xa0\x80\n", "1220|a"),
        ("a CHAR(9)", "é\n".as_bytes(), "1220|a"),
        ("a INT", b"3000000000\n", "1222|a"),
        ("a SMALLINT", b"40000\n", "1222|a"),
    ] {
        assert_eq!(
            load_errors(columns, text, "CSV").await,
            [expected],
            "{columns}: {}",
            String::from_utf8_lossy(text)
        );
    }
}

/// What PostgreSQL would refuse by itself is a load error too, not an error of another kind.
#[tokio::test]
async fn nothing_of_a_file_reaches_postgresql_unchecked() {
    for (columns, text) in [
        ("a DECIMAL(4,2)", "123.4\n"),
        ("a REAL", "1e99\n"),
        ("a DOUBLE PRECISION", "1e999\n"),
        ("a DOUBLE PRECISION", "0x10\n"),
        ("a DATE", "0000-01-01\n"),
        ("a DATE", "+12345-01-01\n"),
        ("a TIMESTAMP", "0000-01-01 00:00:00\n"),
        ("a TIMESTAMP", "2024-01-01 00:00:00.\n"),
        ("a TIMESTAMPTZ", "2024-01-01 00:00:00+99\n"),
        ("a TIMESTAMPTZ", "2024-01-01 00:00:00+1:::\n"),
        ("a TIMESTAMP", "2024-01-01 00:00:00-x\n"),
        ("a INT", "170141183460469231731687303715884105728\n"),
        ("a BIGINT", "१\n"),
    ] {
        assert_eq!(load_errors(columns, text, "").await.len(), 1, "{columns}: {text}");
    }
    for special in ["NaN", "Infinity", "-inf"] {
        loaded("a DOUBLE PRECISION, b REAL", format!("{special}|1.\n"), "").await;
    }
    // A text that means something to PostgreSQL's own COPY.
    let odd = "\\.|\\N\\\\|\t\u{8}\u{b}|x\n";
    assert_eq!(
        loaded("a VARCHAR(9), b VARCHAR(9), c VARCHAR(9), d VARCHAR(9)", odd, "").await,
        ["\\.|\\N\\\\|\t\u{8}\u{b}|x"]
    );
}

/// `c_loading_default_values.md`: columns that are not listed get their DEFAULT, else NULL; the list is in
/// the file's order. `copy-parameters-column-mapping.md`: without a list IDENTITY columns are left out.
#[tokio::test]
async fn columns_that_are_not_listed_get_their_default() {
    let stack = stack().await;
    let session = stack.session().await;
    session.run("CREATE TABLE t (n INT IDENTITY(1,1), \"Odd \"\"name\" VARCHAR(9), state VARCHAR(9) DEFAULT 'new', rest INT)").await;
    stack.put("f", "5,a\n");
    session.run(&copy("t (rest, \"Odd \"\"name\")", "f", "CSV")).await;
    assert_eq!(session.rows("SELECT \"Odd \"\"name\", state, rest FROM t").await, ["a|new|5"]);
    stack.put("whole", "b,old,6\n");
    session.run(&copy("public.T", "whole", "CSV")).await;
    assert_eq!(session.rows("SELECT \"Odd \"\"name\", state, rest FROM t WHERE rest = 6").await, ["b|old|6"]);
    // EXPLICIT_IDS is required exactly when an IDENTITY column is listed.
    stack.put("ids", "77,7\n");
    session.refused(&copy("t (n, rest)", "ids", "CSV")).await;
    session.run(&copy("t (n, rest)", "ids", "CSV EXPLICIT_IDS")).await;
    assert_eq!(session.one("SELECT n FROM t WHERE rest = 7").await, "77");
    assert_eq!(session.refused(&copy("t (nothing)", "f", "CSV")).await.0, "42703");
    // apache/airflow#30341
    session.run("ALTER TABLE t ALTER COLUMN rest SET NOT NULL").await;
    let told =
        ("42601".to_owned(), "NOT NULL column without DEFAULT must be included in column list".to_owned());
    assert_eq!(session.refused(&copy("t (state)", "f", "CSV")).await, told);
}

// ---- what the statement itself may say

/// An option that is not carried out is refused rather than ignored; `copy-parameters-data-format.md`: CSV
/// goes with neither ESCAPE nor REMOVEQUOTES; `copy-parameters-data-conversion.md`: the null string may not
/// be a line end; `copy-parameters-data-load.md`: MAXERROR goes to 100000.
#[tokio::test]
async fn options_are_checked() {
    let (stack, session) = with_table().await;
    stack.put("f", "1,a,\n");
    for refused in [
        "PARQUET",
        "JSON 'auto'",
        "FIXEDWIDTH 'a:1'",
        "ROUNDEC",
        "LZOP",
        "ENCRYPTED",
        "DATEFORMAT 'DD.MM.YYYY'",
        "ENCODING UTF16",
        "NOSUCH",
    ] {
        let (code, message) = session.refused(&copy("t", "f", refused)).await;
        assert!(
            code == "0A000" && message.contains(refused.split(' ').next().unwrap()),
            "{refused}: {message}"
        );
    }
    for wrong in [
        "CSV ESCAPE",
        "CSV REMOVEQUOTES",
        "CSV NULL AS '\\n'",
        "CSV MAXERROR 100001",
        "CSV DELIMITER '||'",
        "CSV QUOTE",
        "CSV IGNOREHEADER x",
        "QUOTE '%'",
    ] {
        assert_eq!(session.refused(&copy("t", "f", wrong)).await.0, "42601", "{wrong}");
    }
    session.run(&copy("t", "f", "CSV COMPUPDATE OFF STATUPDATE ON REGION 'ca-central-1' DATEFORMAT 'auto' ENCODING UTF8 EMPTYASNULL")).await;
    session
        .run(&copy("t", "f", "delimiter as ',' compupdate statupdate false ignoreheader as 0 maxerror as 10"))
        .await;
    assert_eq!(session.refused("COPY t FROM STDIN").await.0, "0A000");
    assert_eq!(session.one("SELECT count(*) FROM t").await, "2");
}

/// estuary/connectors#918: the text and SQLSTATE for a missing table.
#[tokio::test]
async fn a_missing_table() {
    let stack = stack().await;
    let session = stack.session().await;
    stack.put("f", "1\n");
    for table in ["nothing", "public.nothing", "\"public\".\"nothing\"", "no_schema.nothing"] {
        assert_eq!(
            session.refused(&copy(table, "f", "")).await,
            ("XX000".to_owned(), "Cannot COPY into nonexistent table nothing".to_owned())
        );
    }
    let loader = stack.session_of("loader", "load").await;
    session.run("CREATE TABLE mine (id INT)").await;
    assert_eq!(loader.refused(&copy("mine", "f", "")).await.0, "42501");
}

/// tutorial-loading-run-copy.md and `r_COPY_command_examples.md`: the INFO notices. The Python driver's
/// `core.py` expects no count in COPY's tag.
#[tokio::test]
async fn success_is_told_by_a_notice() {
    let (stack, session) = with_table().await;
    stack.put("f", "1|a|\nx|b|\n3|c|\n");
    session.run(&copy("t", "f", "MAXERROR 2")).await;
    let notices = session.notices();
    assert_eq!(notices[0], "INFO: Load into table 't' completed, 2 record(s) loaded successfully.");
    assert!(
        notices[1]
            .starts_with("INFO: Load into table 't' completed, 1 record(s) could not be loaded.  Check"),
        "{notices:?}"
    );
    let copy =
        stack.redshift.statements().into_iter().find(|statement| statement.sql.starts_with("COPY")).unwrap();
    assert_eq!(copy.outcome, Some(Ok("COPY".to_owned())));
}

// ---- load errors

/// `copy-parameters-data-load.md`: below MAXERROR bad records are skipped and COPY succeeds; at it COPY
/// fails; 0 and 1 fail at the first.
#[tokio::test]
async fn maxerror_skips_bad_records() {
    let (stack, session) = with_table().await;
    stack.put("f.csv", "1,a,\nx,b,\n2,\"c\"d,\n3,toolong,\n4,e,\n");
    for limit in [0, 1, 2, 3] {
        assert_eq!(session.refused(&copy("t", "f.csv", &format!("CSV MAXERROR {limit}"))).await, failed());
    }
    assert_eq!(session.one("SELECT count(*) FROM t").await, "0");
    session.run("CREATE TABLE seen AS SELECT max(query) AS q FROM stl_load_errors").await;
    session.run(&copy("t", "f.csv", "CSV MAXERROR 4")).await;
    assert_eq!(session.rows("SELECT id FROM t ORDER BY id").await, ["1", "4"]);
    assert_eq!(session.one("SELECT pg_last_copy_count()").await, "2");
    let errors = session
        .rows("SELECT line_number FROM stl_load_errors WHERE query > (SELECT q FROM seen) ORDER BY 1")
        .await;
    assert_eq!(errors, ["2", "3", "4"]);
}

/// `r_STL_LOAD_ERRORS.md` and SYS_LOAD_ERROR_DETAIL: what is recorded of a refused record, in texts padded
/// with blanks; it outlives the client's ROLLBACK, and `pg_backend_pid()` finds it.
#[tokio::test]
async fn a_load_error_is_recorded_and_outlives_the_rollback() {
    let (stack, session) = with_table().await;
    stack.put("p/f.csv", "id,name,day\n1,\"a\nb\",\n2,toolong,2024-01-01\n");
    stack.put_manifest("p/m", &["p/f.csv"]);
    session.run("BEGIN; DELETE FROM t").await;
    assert_eq!(session.refused(&copy("t", "p/m", "CSV MANIFEST IGNOREHEADER 1")).await, failed());
    assert_eq!(session.refused("SELECT 1").await.0, "25P02");
    session.run("ROLLBACK").await;
    let stl = session
        .one(
            "SELECT TRIM(filename), line_number, TRIM(colname), TRIM(type), TRIM(col_length), TRIM(raw_line), TRIM(raw_field_value), err_code, TRIM(err_reason), \
             tbl = 't'::regclass::oid, query = pg_last_copy_id(), is_partial, start_offset \
             FROM stl_load_errors WHERE session = pg_backend_pid()",
        )
        .await;
    assert_eq!(
        stl,
        "s3://bucket/p/f.csv|4|name|varchar|5|2,toolong,2024-01-01|toolong|1204|String length exceeds DDL length|t|t|0|0"
    );
    let sys = session
        .one(
            "SELECT TRIM(file_name), line_number, TRIM(column_name), TRIM(column_type), TRIM(column_length), error_code, TRIM(error_message), \
             table_id = 't'::regclass::oid, query_id = pg_last_copy_id(), TRIM(database_name) = current_database() \
             FROM sys_load_error_detail WHERE session_id = pg_backend_pid()",
        )
        .await;
    assert_eq!(sys, "s3://bucket/p/f.csv|4|name|varchar|5|1204|String length exceeds DDL length|t|t|t");
    assert!(session.one("SELECT filename FROM stl_load_errors").await.len() == 256);
}

/// `c_visibility-of-data.md`: a user sees own rows only, a superuser all.
#[tokio::test]
async fn load_errors_are_ones_own() {
    let (stack, session) = with_table().await;
    stack.put("f", "x|a|\n");
    session.run("GRANT INSERT ON t TO loader").await;
    let loader = stack.session_of("loader", "load").await;
    // A search path without `public` finds them as well: they are system tables.
    loader.run("SET search_path TO pg_catalog").await;
    assert_eq!(loader.refused(&copy("public.t", "f", "")).await, failed());
    for table in ["stl_load_errors", "sys_load_error_detail"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(loader.one(&count).await, "1");
        assert_eq!(stack.session_of("analyst", "look").await.one(&count).await, "0");
        assert_eq!(session.one(&count).await, "1");
    }
}

/// SYS_LOAD_ERROR_DETAIL: "preferred, required on serverless"; older clusters know STL_LOAD_ERRORS only.
#[tokio::test]
async fn an_older_cluster_has_no_sys_table() {
    let stack = stack_with(|options| options.sys_tables = false).await;
    let session = stack.session().await;
    assert_eq!(session.refused("SELECT * FROM sys_load_error_detail").await.0, "42P01");
    assert!(session.rows("SELECT * FROM stl_load_errors").await.is_empty());
}

/// `PG_LAST_COPY_ID.md`, `PG_LAST_COPY_COUNT.md`: -1 and 0 at first; the count of the session's last load, 0
/// after one that failed while loading, and what it was after an error before loading.
#[tokio::test]
async fn last_copy_functions() {
    let (stack, session) = with_table().await;
    stack.put("two", "1|a|\n2|b|\n");
    stack.put("bad", "x|a|\n");
    let values = "SELECT pg_last_copy_id(), pg_last_copy_count()";
    assert_eq!(session.one(values).await, "-1|0");
    session.run(&copy("t", "two", "")).await;
    let after = session.one(values).await;
    assert!(after.ends_with("|2") && !after.starts_with("-1"), "{after}");
    session.refused(&copy("t", "none", "")).await;
    session.refused(&copy("t", "two", "NOSUCH")).await;
    assert_eq!(session.one(values).await, after);
    assert_eq!(stack.session().await.one(values).await, "-1|0");
    session.refused(&copy("t", "bad", "")).await;
    assert_eq!(session.one("SELECT pg_last_copy_count()").await, "0");
    session.run(&format!("BEGIN; {}", copy("t", "two", ""))).await;
    let rows = session.client.simple_query("SELECT pg_last_copy_count()").await.unwrap();
    assert!(format!("{rows:?}").contains("pg_last_copy_count"), "{rows:?}");
    assert_eq!(
        session.one("SELECT pg_last_copy_count(), 'pg_last_copy_count()'").await,
        "2|pg_last_copy_count()"
    );
    session.run("COMMIT").await;
    stack.redshift.inject(Fault::on("COPY", Action::Miscount(3)).times(1));
    session.run(&copy("t", "two", "")).await;
    assert_eq!(session.one("SELECT pg_last_copy_count()").await, "5");
}

// ---- transactions

/// `copy-usage_notes-multiple-files.md`: inside BEGIN ... END everything is rolled back together. A table of
/// the open transaction is a target as any other.
#[tokio::test]
async fn copy_belongs_to_its_transaction() {
    let (stack, session) = with_table().await;
    stack.put("f", "1|a|\n");
    session
        .run(&format!(
            "BEGIN; CREATE TABLE made (id INT, name VARCHAR(5), day DATE); {}; {}; ROLLBACK",
            copy("made", "f", ""),
            copy("t", "f", "")
        ))
        .await;
    assert_eq!(session.one("SELECT count(*) FROM t").await, "0");
    session
        .run(&format!("BEGIN; DELETE FROM t; {}; {}; COMMIT", copy("t", "f", ""), copy("t", "f", "")))
        .await;
    assert_eq!(session.one("SELECT count(*) FROM t").await, "2");
    let other = stack.session().await;
    other.run(&format!("BEGIN; {}", copy("t", "f", ""))).await;
    drop(other);
    session.run("BEGIN; LOCK t; COMMIT").await;
    assert_eq!(session.one("SELECT count(*) FROM t").await, "2");
}

/// aws/amazon-redshift-odbc-driver#31 (for UNLOAD): utility commands take no bind parameters. AWS's Python
/// driver sends every statement by the extended protocol (`core.py`), so without parameters COPY works there
/// too.
#[tokio::test]
async fn copy_by_the_extended_protocol_takes_no_parameters() {
    let (stack, session) = with_table().await;
    stack.put("f", "1|a|\n");
    stack.put("bad", "x|a|\n");
    let bound = format!("COPY t FROM 's3://{BUCKET}/f' {KEYS} NULL AS $1");
    let error = session.client.execute(&bound, &[&"x"]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42601");
    session.run("BEGIN").await;
    session.client.execute(&copy("t", "f", ""), &[]).await.unwrap();
    assert_eq!(session.one("SELECT count(*) FROM t").await, "1");
    let error = session.client.execute(&copy("t", "bad", ""), &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), FAILED);
    assert_eq!(session.refused("SELECT 1").await.0, "25P02");
    session.run("ROLLBACK").await;
    assert_eq!(session.client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 0);
}

/// `r_statement_timeout.md`: planning, queueing and execution count, and so does waiting for S3.
#[tokio::test]
async fn statement_timeout_bounds_copy() {
    let (stack, session) = with_table().await;
    stack.put("f", "1|a|\n");
    for operation in ["ListObjectsV2", "GetObject"] {
        stack.s3.inject(s3::Fault::on(operation, "", s3::Action::Delay(Duration::from_secs(20))).times(1));
        session.run("SET statement_timeout TO 500; BEGIN").await;
        let begun = Instant::now();
        let (code, message) = session.refused(&copy("t", "f", "")).await;
        assert!(code == "57014" && message.ends_with("canceled on user's request"), "{code} {message}");
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(session.refused("SELECT 1").await.0, "25P02");
        session.run("ROLLBACK; SET statement_timeout TO 0").await;
    }
    session.run(&copy("t", "f", "")).await;
}

/// `r_COPY.md`: an input row has at most 4 MB.
#[tokio::test]
async fn a_record_over_4_mb_is_refused() {
    let (stack, session) = with_table().await;
    stack.put("f", format!("1|{}|\n2|a|\n", "x".repeat(4 * 1024 * 1024)));
    assert_eq!(session.refused(&copy("t", "f", "")).await, failed());
    session.run(&copy("t", "f", "MAXERROR 2")).await;
    assert_eq!(session.rows("SELECT id FROM t").await, ["2"]);
}
