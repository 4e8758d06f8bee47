//! Creates the system tables and functions that PostgreSQL lacks. Load errors are written through a separate
//! connection, so that they outlive the client's rollback.

use tokio_postgres::Client;

/// The line of an error whose line is not known: -1 in the tables.
pub(super) const UNKNOWN_LINE: u64 = u64::MAX;

/// A row or field that COPY could not load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LoadError {
    pub(super) table: i64,
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) column: String,
    pub(super) column_type: String,
    pub(super) column_length: String,
    pub(super) raw_line: String,
    pub(super) raw_value: String,
    pub(super) code: i64,
    pub(super) reason: String,
}

/// The statements that make a database look like one of Redshift's. The columns of the two tables are those
/// of `r_STL_LOAD_ERRORS` and `SYS_LOAD_ERROR_DETAIL`; each user sees only their own rows, a superuser all
/// (`c_visibility-of-data.md`), and texts are padded. Like system tables, they and the functions are found
/// with any search path; `sql::translate` passes the functions their results. An IDENTITY column has the
/// default `"identity"(...)` (dimitri/pgloader#860), and a table outside the cluster is one of PostgreSQL's
/// foreign tables. `SVV_TRANSACTIONS` shows a user their own transactions, a superuser all, and `STV_LOCKS`
/// is for superusers (`r_SVV_TRANSACTIONS`, `r_STV_LOCKS`; the values of `lock_status` are not documented).
/// Both show only the session's database, since another database's table ids belong to other tables.
const DATABASE: &str = "
SET allow_system_table_mods = on;
CREATE SCHEMA IF NOT EXISTS devstack;
CREATE TABLE IF NOT EXISTS devstack.load_errors (
  usename name, session bigint, query bigint, tbl bigint, starttime timestamp, filename text, line_number bigint, colname text,
  type text, col_length text, raw_line text, raw_field_value text, err_code bigint, err_reason text);
CREATE OR REPLACE VIEW devstack.visible_load_errors AS SELECT e.*, r.oid::integer AS usesysid
  FROM devstack.load_errors e JOIN pg_roles r ON r.rolname = e.usename
  WHERE e.usename = session_user OR (SELECT rolsuper FROM pg_roles WHERE rolname = session_user);
CREATE OR REPLACE VIEW pg_catalog.stl_load_errors AS SELECT
  usesysid AS userid, 0 AS slice, tbl::integer, starttime, session::integer, query::integer, filename::char(256), line_number, colname::char(127),
  type::char(10), col_length::char(10), 0 AS position, raw_line::char(1024), raw_field_value::char(1024), err_code::integer, err_reason::char(100),
  0 AS is_partial, 0::bigint AS start_offset
  FROM devstack.visible_load_errors;
CREATE OR REPLACE VIEW pg_catalog.sys_load_error_detail AS SELECT
  usesysid AS user_id, query AS query_id, 0::bigint AS transaction_id, session::integer AS session_id, current_database()::text AS database_name,
  tbl::integer AS table_id, starttime AS start_time, filename::char(256) AS file_name, line_number, colname::char(127) AS column_name,
  type::char(10) AS column_type, col_length::char(10) AS column_length, 0 AS position, err_code::integer AS error_code, err_reason::char(512) AS error_message
  FROM devstack.visible_load_errors;
CREATE OR REPLACE VIEW pg_catalog.svv_columns AS SELECT table_catalog::text, table_schema::text, table_name::text, column_name::text,
  ordinal_position::integer, COALESCE(CASE WHEN pg_has_role(c.relowner, 'USAGE') THEN column_default END, CASE WHEN is_identity = 'YES' THEN '\"identity\"(0, 0, ''1,1''::text)' END)::text AS column_default,
  is_nullable::text, data_type::text, character_maximum_length::integer,
  numeric_precision::integer, numeric_scale::integer
  FROM information_schema.columns
  JOIN pg_namespace n ON n.nspname = table_schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = table_name;
CREATE OR REPLACE VIEW pg_catalog.svv_tables AS SELECT table_catalog::text, table_schema::text, table_name::text,
  CASE table_type WHEN 'FOREIGN' THEN 'EXTERNAL TABLE' ELSE table_type::text END AS table_type, NULL::text AS remarks
  FROM information_schema.tables;
CREATE OR REPLACE VIEW devstack.locks AS SELECT l.pid, a.usename, a.datname, a.xact_start AT TIME ZONE 'UTC' AS xact_start, l.mode, l.relation, l.granted, l.locktype,
  COALESCE(a.backend_xid::text::bigint, split_part(l.virtualtransaction, '/', 2)::bigint) AS xid
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype IN ('relation', 'virtualxid') AND a.datname = current_database();
CREATE OR REPLACE VIEW pg_catalog.svv_transactions AS SELECT
  usename::text AS txn_owner, datname::text AS txn_db, xid, pid, xact_start AS txn_start, mode AS lock_mode,
  CASE locktype WHEN 'relation' THEN 'relation' ELSE 'transactionid' END AS lockable_object_type, relation::integer, granted
  FROM devstack.locks
  WHERE usename = session_user OR (SELECT rolsuper FROM pg_roles WHERE rolname = session_user);
CREATE OR REPLACE VIEW pg_catalog.stv_locks AS SELECT
  relation::bigint AS table_id, NULL::timestamp AS last_commit, NULL::timestamp AS last_update, xid AS lock_owner, pid::bigint AS lock_owner_pid,
  xact_start AS lock_owner_start_ts, NULL::timestamp AS lock_owner_end_ts, (CASE WHEN granted THEN 'Holding lock' ELSE 'Waiting for lock' END)::char(22) AS lock_status
  FROM devstack.locks WHERE locktype = 'relation' AND mode <> 'AccessShareLock';
GRANT SELECT ON pg_catalog.stl_load_errors, pg_catalog.sys_load_error_detail, pg_catalog.svv_columns, pg_catalog.svv_tables, pg_catalog.svv_transactions TO PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC;
CREATE OR REPLACE FUNCTION pg_catalog.getdate() RETURNS timestamp LANGUAGE sql STABLE AS
  'SELECT date_trunc(''second'', statement_timestamp() AT TIME ZONE ''UTC'')';
CREATE OR REPLACE FUNCTION pg_catalog.pg_last_copy_id(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE OR REPLACE FUNCTION pg_catalog.pg_last_copy_count(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE OR REPLACE FUNCTION pg_catalog.version(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
";

/// Makes a database look like one of Redshift's; `sys` is whether it has `SYS_LOAD_ERROR_DETAIL`.
pub(super) async fn prepare(client: &Client, sys: bool) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("SELECT pg_advisory_lock(5439)").await?;
    client.batch_execute(DATABASE).await?;
    if !sys {
        client.batch_execute("DROP VIEW IF EXISTS pg_catalog.sys_load_error_detail").await?;
    }
    client.batch_execute("SELECT pg_advisory_unlock(5439)").await
}

/// Records the load errors of a COPY, all with the same time, since `starttime` is the "Start time in UTC
/// for the load" (`r_STL_LOAD_ERRORS`).
pub(super) async fn record(
    client: &Client,
    user: &str,
    session: i64,
    query: i64,
    errors: &[LoadError],
) -> Result<(), tokio_postgres::Error> {
    const INSERT: &str = "INSERT INTO devstack.load_errors VALUES \
        (($1::text)::name, $2, $3, $4, transaction_timestamp() AT TIME ZONE 'UTC', $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    client.batch_execute("BEGIN").await?;
    for error in errors {
        let line = i64::try_from(error.line).unwrap_or(-1);
        let cut = |text: &str| text[..text.floor_char_boundary(1024)].to_owned();
        let (raw_line, raw_value) = (cut(&error.raw_line), cut(&error.raw_value));
        client
            .execute(
                INSERT,
                &[
                    &user,
                    &session,
                    &query,
                    &error.table,
                    &error.file,
                    &line,
                    &error.column,
                    &error.column_type,
                    &error.column_length,
                    &raw_line,
                    &raw_value,
                    &error.code,
                    &error.reason,
                ],
            )
            .await?;
    }
    client.batch_execute("COMMIT").await
}
