//! Tests the clauses that a COPY statement may have.
//!
//! Each test names the document that it follows; a bare `x.md` is a page of the Amazon Redshift Database
//! Developer Guide.

use crate::case;

use super::copy_support::{copy, with_table};
use super::support::stack;

/// An option that is not carried out is refused rather than ignored. CSV cannot be combined with ESCAPE or
/// REMOVEQUOTES (`copy-parameters-data-format.md`). The null string may not be a line end
/// (`copy-parameters-data-conversion.md`). MAXERROR is at most 100000 (`copy-parameters-data-load.md`).
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
        case(refused);
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
        case(wrong);
        assert_eq!(session.refused(&copy("t", "f", wrong)).await.0, "42601", "{wrong}");
    }
    session.run(&copy("t", "f", "CSV COMPUPDATE OFF STATUPDATE ON REGION 'ca-central-1' DATEFORMAT 'auto' ENCODING UTF8 EMPTYASNULL")).await;
    session
        .run(&copy("t", "f", "delimiter as ',' compupdate statupdate false ignoreheader as 0 maxerror as 10"))
        .await;
    assert_eq!(session.refused("COPY t FROM STDIN").await.0, "0A000");
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "2");
}

/// The message and the SQLSTATE for a missing table are those of estuary/connectors#918.
#[tokio::test]
async fn a_missing_table() {
    let stack = stack().await;
    let session = stack.session().await;
    stack.put("f", "1\n");
    for table in ["nothing", "public.nothing", "\"public\".\"nothing\"", "no_schema.nothing"] {
        case(table);
        assert_eq!(
            session.refused(&copy(table, "f", "")).await,
            ("XX000".to_owned(), "Cannot COPY into nonexistent table nothing".to_owned())
        );
    }
    let loader = stack.session_of("loader", "load").await;
    session.run("CREATE TABLE mine (id INT)").await;
    assert_eq!(loader.refused(&copy("mine", "f", "")).await.0, "42501");
}

/// The INFO notices are those of tutorial-loading-run-copy.md and `r_COPY_command_examples.md`. The Python
/// driver's `core.py` expects no count in COPY's tag.
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
