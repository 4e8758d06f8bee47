//! Tests COPY's load errors and the tables that record them.
//!
//! Each test names the document that it follows; a bare `x.md` is a page of the Amazon Redshift Database
//! Developer Guide.

use devstack::redshift::{Action, Fault};

use crate::case;

use super::copy_support::{copy, failed, with_table};
use super::support::stack_with;

/// Below MAXERROR, bad records are skipped and COPY succeeds; at MAXERROR, COPY fails. With 0 and 1, it fails
/// at the first bad record (`copy-parameters-data-load.md`).
#[tokio::test]
async fn maxerror_skips_bad_records() {
    let (stack, session) = with_table().await;
    stack.put("f.csv", "1,a,\nx,b,\n2,\"c\"d,\n3,toolong,\n4,e,\n");
    for limit in [0, 1, 2, 3] {
        case(&format!("MAXERROR {limit}"));
        assert_eq!(session.refused(&copy("t", "f.csv", &format!("CSV MAXERROR {limit}"))).await, failed());
    }
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "0");
    session.run("CREATE TABLE seen AS SELECT max(query) AS q FROM stl_load_errors").await;
    session.run(&copy("t", "f.csv", "CSV MAXERROR 4")).await;
    assert_eq!(session.rows("SELECT id FROM t ORDER BY id").await, ["1", "4"]);
    assert_eq!(session.only_row("SELECT pg_last_copy_count()").await, "2");
    let errors = session
        .rows("SELECT line_number FROM stl_load_errors WHERE query > (SELECT q FROM seen) ORDER BY 1")
        .await;
    assert_eq!(errors, ["2", "3", "4"]);
}

/// NOLOAD "checks the validity of the data file without actually loading the data"
/// (`copy-parameters-data-load.md`). A user can "use NOLOAD with the same COPY commands and options you would
/// use to load the data", and it "displays any errors that occur if you attempt to load the data"
/// (`t_Validating_input_files.md`).
#[tokio::test]
async fn noload_checks_and_loads_nothing() {
    let (stack, session) = with_table().await;
    session.run("INSERT INTO t VALUES (7, 'there', NULL)").await;
    stack.put("good.csv", "1,a,\n2,b,\n");
    stack.put("bad.csv", "1,a,\nx,b,\n2,\"c\"d,\n3,toolong,\n4,e,\n");
    session.run(&copy("t", "good.csv", "CSV NOLOAD")).await;
    assert_eq!(session.refused(&copy("t", "bad.csv", "CSV NOLOAD")).await, failed());
    assert_eq!(session.refused(&copy("t", "none.csv", "CSV NOLOAD")).await.0, "XX000");
    session.run("BEGIN").await;
    session.run(&copy("t", "good.csv", "NOLOAD CSV")).await;
    session.run("COMMIT").await;
    assert_eq!(session.rows("SELECT id FROM t").await, ["7"]);
    assert_eq!(session.rows("SELECT line_number FROM stl_load_errors").await, ["2"]);
}

/// With NOLOAD and MAXERROR, every error below the limit is recorded, and an INFO message "states the number
/// of rows that could not be loaded"; at the limit, COPY fails (`copy-parameters-data-load.md`). `starttime`
/// is that of the load, not of the error (`r_STL_LOAD_ERRORS.md`).
#[tokio::test]
async fn noload_records_errors_up_to_maxerror() {
    let (stack, session) = with_table().await;
    stack.put("f.csv", "1,a,\nx,b,\n2,\"c\"d,\n3,toolong,\n4,e,\n");
    assert_eq!(session.refused(&copy("t", "f.csv", "CSV MAXERROR 3 NOLOAD")).await, failed());
    session.run("CREATE TABLE seen AS SELECT max(query) AS q FROM stl_load_errors").await;
    session.notices();
    session.run(&copy("t", "f.csv", "CSV MAXERROR 4 NOLOAD")).await;
    let notices = session.notices();
    let told = |notice: &String| notice.contains("3 record(s) could not be loaded");
    assert!(notices.iter().any(told), "{notices:?}");
    assert_eq!(session.only_row("SELECT count(*) FROM t").await, "0");
    let recorded = "SELECT line_number, TRIM(raw_field_value) FROM stl_load_errors WHERE query > (SELECT q FROM seen) ORDER BY 1";
    assert_eq!(session.rows(recorded).await, ["2|x", "3|", "4|toolong"]);
    let times = "SELECT count(DISTINCT starttime) FROM stl_load_errors WHERE query > (SELECT q FROM seen)";
    assert_eq!(session.only_row(times).await, "1");
    assert_eq!(session.only_row("SELECT count(*) FROM sys_load_error_detail").await, "6");
}

/// A fault makes the stand-in refuse NOLOAD. COPY without NOLOAD still works.
#[tokio::test]
async fn noload_alone_can_be_refused() {
    let (stack, session) = with_table().await;
    stack.put("f.csv", "1,a,\n");
    let action = Action::Refuse("42501".to_owned(), "permission denied".to_owned());
    stack.redshift.inject(Fault::on("NOLOAD", action));
    session.run(&copy("t", "f.csv", "CSV MAXERROR 0")).await;
    assert_eq!(session.refused(&copy("t", "f.csv", "CSV MAXERROR 9 NOLOAD")).await.0, "42501");
    assert_eq!(session.rows("SELECT id FROM t").await, ["1"]);
}

/// A refused record is recorded in texts padded with blanks (`r_STL_LOAD_ERRORS.md` and
/// SYS_LOAD_ERROR_DETAIL). The entry outlives the client's ROLLBACK, and `pg_backend_pid()` finds it.
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
        .only_row(
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
        .only_row(
            "SELECT TRIM(file_name), line_number, TRIM(column_name), TRIM(column_type), TRIM(column_length), error_code, TRIM(error_message), \
             table_id = 't'::regclass::oid, query_id = pg_last_copy_id(), TRIM(database_name) = current_database() \
             FROM sys_load_error_detail WHERE session_id = pg_backend_pid()",
        )
        .await;
    assert_eq!(sys, "s3://bucket/p/f.csv|4|name|varchar|5|1204|String length exceeds DDL length|t|t|t");
    assert!(session.only_row("SELECT filename FROM stl_load_errors").await.len() == 256);
}

/// A user sees only the user's own rows, a superuser all (`c_visibility-of-data.md`).
#[tokio::test]
async fn users_see_only_their_own_load_errors() {
    let (stack, session) = with_table().await;
    stack.put("f", "x|a|\n");
    session.run("GRANT INSERT ON t TO loader").await;
    let loader = stack.session_of("loader", "load").await;
    // A search path without `public` also finds the tables, since they are system tables.
    loader.run("SET search_path TO pg_catalog").await;
    assert_eq!(loader.refused(&copy("public.t", "f", "")).await, failed());
    for table in ["stl_load_errors", "sys_load_error_detail"] {
        case(table);
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(loader.only_row(&count).await, "1");
        assert_eq!(stack.session_of("analyst", "look").await.only_row(&count).await, "0");
        assert_eq!(session.only_row(&count).await, "1");
    }
}

/// SYS_LOAD_ERROR_DETAIL is "preferred, required on serverless"; older clusters have only STL_LOAD_ERRORS.
#[tokio::test]
async fn an_older_cluster_has_no_sys_table() {
    let stack = stack_with(|options| options.sys_tables = false).await;
    let session = stack.session().await;
    assert_eq!(session.refused("SELECT * FROM sys_load_error_detail").await.0, "42P01");
    assert!(session.rows("SELECT * FROM stl_load_errors").await.is_empty());
}

/// The functions return -1 and 0 at first (`PG_LAST_COPY_ID.md`, `PG_LAST_COPY_COUNT.md`). The count is that
/// of the session's last load. It is 0 after a load that failed while loading, and unchanged after an error
/// before loading.
#[tokio::test]
async fn last_copy_functions() {
    let (stack, session) = with_table().await;
    stack.put("two", "1|a|\n2|b|\n");
    stack.put("bad", "x|a|\n");
    let values = "SELECT pg_last_copy_id(), pg_last_copy_count()";
    assert_eq!(session.only_row(values).await, "-1|0");
    session.run(&copy("t", "two", "")).await;
    let after = session.only_row(values).await;
    assert!(after.ends_with("|2") && !after.starts_with("-1"), "{after}");
    session.refused(&copy("t", "none", "")).await;
    session.refused(&copy("t", "two", "NOSUCH")).await;
    assert_eq!(session.only_row(values).await, after);
    assert_eq!(stack.session().await.only_row(values).await, "-1|0");
    session.refused(&copy("t", "bad", "")).await;
    assert_eq!(session.only_row("SELECT pg_last_copy_count()").await, "0");
    session.run(&format!("BEGIN; {}", copy("t", "two", ""))).await;
    let rows = session.client.simple_query("SELECT pg_last_copy_count()").await.unwrap();
    assert!(format!("{rows:?}").contains("pg_last_copy_count"), "{rows:?}");
    assert_eq!(
        session.only_row("SELECT pg_last_copy_count(), 'pg_last_copy_count()'").await,
        "2|pg_last_copy_count()"
    );
    session.run("COMMIT").await;
    stack.redshift.inject(Fault::on("COPY", Action::Miscount(3)).times(1));
    session.run(&copy("t", "two", "")).await;
    assert_eq!(session.only_row("SELECT pg_last_copy_count()").await, "5");
}

/// In these faults, -1 stands for a line that is not known (`r_STL_LOAD_ERRORS.md`). A file's name has at
/// most 256 characters.
#[tokio::test]
async fn load_errors_can_lack_their_line_or_be_missing() {
    let (stack, session) = with_table().await;
    let long = format!("{}.csv", "n".repeat(300));
    stack.put(&long, "x,a,\n");
    stack.redshift.inject(Fault::on("COPY", Action::HideLoadErrors).times(1));
    stack.redshift.inject(Fault::on("COPY", Action::HideLines).times(1));
    assert_eq!(session.refused(&copy("t", &long, "CSV")).await, failed());
    assert_eq!(session.only_row("SELECT count(*) FROM stl_load_errors").await, "0");
    assert_eq!(session.refused(&copy("t", &long, "CSV")).await, failed());
    let told = "SELECT line_number, length(filename) FROM stl_load_errors";
    assert_eq!(session.rows(told).await, ["-1|256"]);
}

/// The types of tables are base tables, views and external tables (`r_SVV_TABLES.md`). An IDENTITY column has
/// a default in `SVV_COLUMNS` (dimitri/pgloader#860).
#[tokio::test]
async fn kinds_of_tables_and_identity_columns_are_seen() {
    let (_stack, session) = with_table().await;
    session.run("CREATE VIEW v AS SELECT id FROM t").await;
    session.run("CREATE TABLE numbered (n BIGINT IDENTITY(1,1), a INT)").await;
    let kinds = "SELECT table_name, table_type FROM svv_tables WHERE table_name IN ('t', 'v') ORDER BY 1";
    assert_eq!(session.rows(kinds).await, ["t|BASE TABLE", "v|VIEW"]);
    let defaults = "SELECT column_name, LEFT(column_default, 10) FROM svv_columns WHERE table_name = 'numbered' ORDER BY 1 DESC";
    let found = session.rows(defaults).await;
    assert!(found[0].starts_with("n|\"identity\""), "{found:?}");
}
