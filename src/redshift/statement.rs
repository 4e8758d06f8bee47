//! Every statement that the program can send, as one type; the only place that quotes.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use chrono::{DateTime, Utc};
use cmslite_core::config::TableName;
use cmslite_core::grants::{Grant, GrantedOn};
use cmslite_core::problem::{Quoting, REPORTED_PROBLEMS};
use cmslite_core::row_counts::RowsByTable;
use cmslite_core::transform::NULL_TEXT;

use super::ledger::{COLUMNS, ColumnType, TABLE_ROWS_COLUMNS};
use crate::secret::Secret;

/// A statement. Its `Display` is for logs and hides COPY's credentials; [`Statement::wire_text`] is what is
/// sent.
pub enum Statement<'a> {
    /// Bounds every later statement of the session, in milliseconds.
    StatementTimeout(u128),
    /// Begins the transaction.
    Begin,
    /// Ends it for good.
    Commit,
    /// Ends it without effect.
    Rollback,
    /// Makes the ledger where there is none.
    CreateLedger(&'a TableName),
    /// Makes the table of rows beside the ledger where there is none.
    CreateTableRows(&'a TableName),
    /// Takes the ledger, so that loads of a dataset follow one another. ACCESS EXCLUSIVE (`r_LOCK.md`).
    LockLedger(&'a TableName),
    /// Asks what the ledger says of an archive's revision.
    ReadLedger {
        /// The ledger.
        ledger: &'a TableName,
        /// The archive.
        entry: &'a LedgerKey<'a>,
        /// If given, only what this invocation loaded counts as loaded.
        by_request: Option<&'a str>,
    },
    /// Everything that the ledger says of a dataset, in the order of its loads.
    ReadLoads {
        /// The ledger.
        ledger: &'a TableName,
        /// The dataset.
        dataset: &'a str,
        /// Its bucket.
        bucket: &'a str,
    },
    /// How many rows a load of a dataset brought to each table.
    ReadTableRows {
        /// The ledger.
        ledger: &'a TableName,
        /// The table of rows beside it.
        ledger_tables: &'a TableName,
        /// The dataset.
        dataset: &'a str,
        /// Which of its loads.
        sequence: i64,
    },
    /// The columns of tables in their order, with the table that each is of (`SVV_COLUMNS`); none of a table
    /// that is not there.
    Columns(&'a [&'a TableName]),
    /// The columns of tables that have a default, with the table that each is of.
    Defaults(&'a [&'a TableName]),
    /// What bears the names of tables, with the table that each is of (`SVV_TABLES`).
    TableTypes(&'a [&'a TableName]),
    /// The session's user, and whether it has each of these rights (`r_HAS_TABLE_PRIVILEGE.md`), in one row.
    Privileges(&'a Grant<'a>),
    /// Records an archive's revision as loaded.
    WriteLedger {
        /// The ledger.
        ledger: &'a TableName,
        /// The archive.
        entry: &'a LedgerKey<'a>,
        /// Bytes of the archive.
        size_bytes: u64,
        /// Rows loaded into all tables.
        rows: u64,
        /// One more than the dataset's highest.
        sequence: i64,
        /// When.
        loaded_at: DateTime<Utc>,
        /// The invocation.
        request_id: &'a str,
    },
    /// Records how many rows that load brought to each table, all of them at once ("Multi-row inserts",
    /// `r_INSERT_30.md`).
    WriteTableRows {
        /// The table of rows beside the ledger.
        ledger_tables: &'a TableName,
        /// The dataset.
        dataset: &'a str,
        /// That of the ledger's row.
        sequence: i64,
        /// That of the ledger's row.
        request_id: &'a str,
        /// The rows by table, of one table at least.
        rows: &'a RowsByTable,
    },
    /// Removes every row. TRUNCATE would commit (`r_TRUNCATE.md`).
    DeleteAll(&'a TableName),
    /// Removes nothing, with the right to remove every row.
    DeleteNoRows(&'a TableName),
    /// Loads the files that a manifest names.
    Copy(Copy<'a>),
    /// Reads and checks them without loading them (`copy-parameters-data-load.md`, NOLOAD).
    CopyNoLoad {
        /// The table and its files.
        copy: Copy<'a>,
        /// How many refused rows end it; fewer are passed over. 0 and 1 end it at the first, and 100,000 is
        /// the most (`copy-parameters-data-load.md`, MAXERROR).
        max_error: u32,
    },
    /// How many rows the session's last COPY loaded (`PG_LAST_COPY_COUNT.md`).
    LastCopyCount,
    /// The rows of a load-error table for this session and a staged file, in the file's order; some may be
    /// there twice.
    LoadErrors {
        /// Which table.
        table: LoadErrorTable,
        /// What the URLs of all pieces of the staged file begin with.
        files: &'a str,
        /// Ids of queries whose rows are not wanted.
        passed_over: &'a [i64],
    },
    /// The rows refused of a staged file by whatever session: for a person to run.
    LoadErrorsOfAnySession {
        /// What the URLs of all pieces of the staged file begin with.
        files: &'a str,
    },
}

/// What identifies an archive's revision in the ledger.
pub struct LedgerKey<'a> {
    /// The dataset.
    pub dataset: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The `ETag`.
    pub etag: &'a str,
    /// The revision's time in S3.
    pub last_modified: DateTime<Utc>,
}

/// COPY of one table from a manifest.
pub struct Copy<'a> {
    /// The table.
    pub table: &'a TableName,
    /// The staged file's columns, in its order.
    pub columns: Vec<&'a str>,
    /// The manifest, as `s3://bucket/key`.
    pub manifest: &'a str,
    /// How Redshift reads S3.
    pub authorization: &'a Authorization,
    /// The bucket's region, if known.
    pub region: Option<&'a str>,
    /// Whether what Redshift says against it may be told where it may quote a cell.
    pub quoting: Quoting,
}

/// How Redshift is allowed to read the staged files (`copy-parameters-authorization.md`).
pub enum Authorization {
    /// The cluster's default role.
    DefaultRole,
    /// A role, by ARN.
    Role(String),
    /// Keys; temporary ones come with a token.
    Keys {
        /// The access key's id.
        access_key_id: Secret,
        /// The access key.
        secret_access_key: Secret,
        /// The session token of temporary keys.
        session_token: Option<Secret>,
    },
}

/// Where Redshift says which rows it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadErrorTable {
    /// `SYS_LOAD_ERROR_DETAIL`: serverless and newer clusters.
    Sys,
    /// `STL_LOAD_ERRORS`: provisioned clusters.
    Stl,
}

impl Statement<'_> {
    /// Whether what Redshift says against it may be told where it may quote a cell: only COPY reads cells.
    pub(super) fn quoting(&self) -> Quoting {
        match self {
            Self::Copy(copy) | Self::CopyNoLoad { copy, .. } => copy.quoting,
            _ => Quoting::Shown,
        }
    }

    /// The text to send. Secret, since COPY may carry keys.
    pub fn wire_text(&self) -> Secret {
        Secret::new(self.text(true))
    }

    fn text(&self, secrets: bool) -> String {
        match self {
            Self::StatementTimeout(milliseconds) => format!("SET statement_timeout TO {milliseconds}"),
            Self::Begin => "BEGIN".to_owned(),
            Self::Commit => "COMMIT".to_owned(),
            Self::Rollback => "ROLLBACK".to_owned(),
            Self::CreateLedger(ledger) => create(ledger, &COLUMNS),
            Self::CreateTableRows(ledger_tables) => create(ledger_tables, &TABLE_ROWS_COLUMNS),
            Self::LockLedger(ledger) => format!("LOCK {}", table(ledger)),
            Self::ReadLedger { ledger, entry, by_request } => read_ledger(ledger, entry, *by_request),
            Self::ReadLoads { ledger, dataset, bucket } => format!(
                "SELECT key, etag, row_count, loaded_at, request_id FROM {} WHERE dataset = {} AND bucket = {} ORDER BY sequence",
                table(ledger),
                literal(dataset),
                literal(bucket),
            ),
            Self::ReadTableRows { ledger, ledger_tables, dataset, sequence } => format!(
                "SELECT t.table_name, t.row_count FROM {} t \
                 JOIN {} l ON l.dataset = t.dataset AND l.sequence = t.sequence AND l.request_id = t.request_id \
                 WHERE l.dataset = {} AND l.sequence = {sequence}",
                table(ledger_tables),
                table(ledger),
                literal(dataset),
            ),
            Self::Columns(tables) => columns(tables),
            Self::Defaults(tables) => defaults(tables),
            Self::TableTypes(tables) => format!(
                "SELECT table_type, LOWER(table_schema), LOWER(table_name) FROM svv_tables WHERE {}",
                one_of(tables, "table_schema", "table_name")
            ),
            Self::Privileges(grant) => privileges(grant),
            Self::WriteLedger { ledger, entry, size_bytes, rows, sequence, loaded_at, request_id } => {
                format!(
                    "INSERT INTO {} (dataset, bucket, key, etag, last_modified, size_bytes, row_count, sequence, loaded_at, request_id) \
                 VALUES ({}, {}, {}, {}, {}, {size_bytes}, {rows}, {sequence}, {}, {})",
                    table(ledger),
                    literal(entry.dataset),
                    literal(entry.bucket),
                    literal(entry.key),
                    literal(entry.etag),
                    timestamp(entry.last_modified),
                    timestamp(*loaded_at),
                    literal(request_id),
                )
            }
            Self::WriteTableRows { ledger_tables, dataset, sequence, request_id, rows } => {
                let key = format!("{}, {sequence}, {}", literal(dataset), literal(request_id));
                let rows = rows.iter().map(|(name, rows)| format!("({key}, {}, {rows})", literal(name)));
                let rows: Vec<String> = rows.collect();
                format!(
                    "INSERT INTO {} (dataset, sequence, request_id, table_name, row_count) VALUES {}",
                    table(ledger_tables),
                    rows.join(", ")
                )
            }
            Self::DeleteAll(name) => format!("DELETE FROM {}", table(name)),
            Self::DeleteNoRows(name) => format!("DELETE FROM {} WHERE 1 = 0", table(name)),
            Self::Copy(copy) => copy.text(0, secrets),
            Self::CopyNoLoad { copy, max_error } => format!("{} NOLOAD", copy.text(*max_error, secrets)),
            Self::LastCopyCount => "SELECT pg_last_copy_count()".to_owned(),
            Self::LoadErrors { table, files, passed_over } => load_errors(*table, files, passed_over),
            Self::LoadErrorsOfAnySession { files } => {
                format!(
                    "SELECT * FROM sys_load_error_detail WHERE {} ORDER BY start_time DESC",
                    is_file("file_name", files)
                )
            }
        }
    }
}

impl fmt::Display for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(false))
    }
}

fn privileges(grant: &Grant<'_>) -> String {
    let (function, on) = match grant.on {
        GrantedOn::Schema(schema) => ("has_schema_privilege", literal(schema)),
        GrantedOn::Table(name) => ("has_table_privilege", literal(&table(name))),
    };
    let each = grant.privileges.iter().map(|name| format!(", {function}({on}, '{name}')"));
    format!("SELECT current_user{}", each.collect::<String>())
}

/// The condition of rows that are about one of `tables`, by the columns that name its schema and itself.
fn one_of(tables: &[&TableName], in_schema: &str, named: &str) -> String {
    let wanted = tables.iter().map(|name| {
        let (schema, table) = (literal(&name.schema.to_lowercase()), literal(&name.table.to_lowercase()));
        format!("(LOWER({in_schema}) = {schema} AND LOWER({named}) = {table})")
    });
    wanted.collect::<Vec<String>>().join(" OR ")
}

fn columns(tables: &[&TableName]) -> String {
    format!(
        "SELECT column_name, data_type, character_maximum_length, is_nullable, column_default, numeric_precision, numeric_scale, LOWER(table_schema), LOWER(table_name) \
         FROM svv_columns WHERE {} ORDER BY ordinal_position",
        one_of(tables, "table_schema", "table_name")
    )
}

/// Read as awslabs' `v_generate_tbl_ddl.sql` reads them.
fn defaults(tables: &[&TableName]) -> String {
    format!(
        "SELECT LOWER(n.nspname), LOWER(c.relname), a.attname FROM pg_attribute a \
         JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE {}",
        one_of(tables, "n.nspname", "c.relname")
    )
}

fn create(name: &TableName, columns: &[(&str, ColumnType)]) -> String {
    let columns = columns.iter().map(|(name, kind)| format!("{name} {} NOT NULL ENCODE ZSTD", kind.ddl()));
    let columns: Vec<String> = columns.collect();
    format!("CREATE TABLE IF NOT EXISTS {} ({})", table(name), columns.join(", "))
}

/// One row: the dataset's highest sequence, the highest of this revision, how many rows are of newer
/// archives.
fn read_ledger(ledger: &TableName, entry: &LedgerKey<'_>, by_request: Option<&str>) -> String {
    let by_request =
        by_request.map(|request| format!(" AND request_id = {}", literal(request))).unwrap_or_default();
    let time = timestamp(entry.last_modified);
    let key = literal(entry.key);
    format!(
        "SELECT COALESCE(MAX(sequence), 0), \
         COALESCE(MAX(CASE WHEN bucket = {bucket} AND key = {key} AND etag = {etag}{by_request} THEN sequence END), 0), \
         COALESCE(SUM(CASE WHEN last_modified > {time} OR (last_modified = {time} AND key > {key}) THEN 1 ELSE 0 END), 0) \
         FROM {ledger} WHERE dataset = {dataset}",
        bucket = literal(entry.bucket),
        etag = literal(entry.etag),
        ledger = table(ledger),
        dataset = literal(entry.dataset),
    )
}

/// How many rows of a load-error table are read: as many as are reported, and each of them twice, since a
/// session may have tried a file by COPY and by COPY with NOLOAD.
const LOAD_ERRORS_READ: usize = 2 * REPORTED_PROBLEMS;

/// The bytes of a file's name that a load-error table keeps (`r_STL_LOAD_ERRORS.md`,
/// `SYS_LOAD_ERROR_DETAIL.md`: `character(256)`).
pub const FILE_NAME_BYTES: usize = 256;

/// The condition of rows of a load-error table that are about files whose names begin so, or as this begins where it is
/// longer than what is kept of a name.
fn is_file(column: &str, files: &str) -> String {
    // Redshift may cut within a character, of which nothing is compared.
    let kept = files[..files.floor_char_boundary(FILE_NAME_BYTES)].trim_end_matches(' ');
    format!("LEFT({column}, {}) = {}", kept.chars().count(), literal(kept))
}

fn load_errors(table: LoadErrorTable, files: &str, passed_over: &[i64]) -> String {
    let (columns, from, name, session, query) = match table {
        LoadErrorTable::Sys => (
            "TRIM(column_name), TRIM(column_type), TRIM(column_length), NULL, error_code, TRIM(error_message)",
            "sys_load_error_detail",
            "file_name",
            "session_id",
            "query_id",
        ),
        LoadErrorTable::Stl => (
            "TRIM(colname), TRIM(type), TRIM(col_length), TRIM(raw_field_value), err_code, TRIM(err_reason)",
            "stl_load_errors",
            "filename",
            "session",
            "query",
        ),
    };
    let is_ours = is_file(name, files);
    let passed_over: Vec<String> = passed_over.iter().map(i64::to_string).collect();
    let others = if passed_over.is_empty() {
        String::new()
    } else {
        format!(" AND {query} NOT IN ({})", passed_over.join(", "))
    };
    format!(
        "SELECT line_number, TRIM({name}), {columns}, {query} FROM {from} WHERE {session} = pg_backend_pid() AND {is_ours}{others} \
         ORDER BY {name}, line_number LIMIT {LOAD_ERRORS_READ}"
    )
}

impl Copy<'_> {
    fn text(&self, max_error: u32, secrets: bool) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| identifier(column)).collect();
        let mut text =
            format!("COPY {} ({}) FROM {} ", table(self.table), columns.join(", "), literal(self.manifest));
        match self.authorization {
            Authorization::DefaultRole => text.push_str("IAM_ROLE default"),
            Authorization::Role(arn) => {
                let _ = write!(text, "IAM_ROLE {}", literal(arn));
            }
            Authorization::Keys { access_key_id, secret_access_key, session_token } => {
                let show =
                    |secret: &Secret| if secrets { literal(secret.expose()) } else { "'***'".to_owned() };
                let _ = write!(
                    text,
                    "ACCESS_KEY_ID {} SECRET_ACCESS_KEY {}",
                    show(access_key_id),
                    show(secret_access_key)
                );
                if let Some(token) = session_token {
                    let _ = write!(text, " SESSION_TOKEN {}", show(token));
                }
            }
        }
        let _ = write!(
            text,
            " MANIFEST FORMAT AS CSV IGNOREHEADER 1 NULL AS {} MAXERROR {max_error} COMPUPDATE OFF",
            literal(NULL_TEXT)
        );
        if let Some(region) = self.region {
            let _ = write!(text, " REGION AS {}", literal(region));
        }
        text
    }
}

fn table(name: &TableName) -> String {
    format!("{}.{}", identifier(&name.schema), identifier(&name.table))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal. Redshift takes a backslash in one as an escape (`r_CREATE_USER.md`), so it is doubled like
/// a quote.
fn literal(text: &str) -> String {
    let escaped: Cow<'_, str> = if text.contains(['\'', '\\']) {
        text.replace('\\', "\\\\").replace('\'', "''").into()
    } else {
        text.into()
    };
    format!("'{escaped}'")
}

fn timestamp(time: DateTime<Utc>) -> String {
    literal(&time.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> TableName {
        TableName { schema: "cmslite".to_owned(), table: "user_group".to_owned() }
    }

    fn copy<'a>(table: &'a TableName, authorization: &'a Authorization) -> Statement<'a> {
        Statement::Copy(Copy {
            table,
            columns: vec!["id", "say \"x\""],
            manifest: "s3://b/o'k\\.manifest",
            authorization,
            region: Some("ca-central-1"),
            quoting: Quoting::Shown,
        })
    }

    #[test]
    fn copy_names_table_columns_manifest_and_null() {
        let (table, role) = (name(), Authorization::Role("arn:aws:iam::1:role/r".to_owned()));
        assert_eq!(
            copy(&table, &role).to_string(),
            "COPY \"cmslite\".\"user_group\" (\"id\", \"say \"\"x\"\"\") FROM 's3://b/o''k\\\\.manifest' IAM_ROLE 'arn:aws:iam::1:role/r' \
             MANIFEST FORMAT AS CSV IGNOREHEADER 1 NULL AS '%cmslite-null%' MAXERROR 0 COMPUPDATE OFF REGION AS 'ca-central-1'"
        );
    }

    #[test]
    fn copy_that_loads_nothing_says_so_and_how_many_rows_it_may_refuse() {
        let (table, role) = (name(), Authorization::DefaultRole);
        let Statement::Copy(copy) = copy(&table, &role) else { panic!() };
        let text = Statement::CopyNoLoad { copy, max_error: 1000 }.to_string();
        assert!(text.ends_with(" MAXERROR 1000 COMPUPDATE OFF REGION AS 'ca-central-1' NOLOAD"), "{text}");
    }

    /// `file_name` and `filename` are CHAR(256).
    #[test]
    fn of_a_long_file_name_its_beginning_is_compared() {
        let text = |files: &str| {
            Statement::LoadErrors { table: LoadErrorTable::Sys, files, passed_over: &[7, 8] }.to_string()
        };
        assert!(
            text("s3://b/k.").contains("LEFT(file_name, 9) = 's3://b/k.' AND query_id NOT IN (7, 8) ORDER")
        );
        let long = format!("{}é.csv", "x".repeat(255));
        assert!(text(&long).contains(&format!("LEFT(file_name, 255) = '{}' AND", "x".repeat(255))));
        let blank = format!("{}   .csv", "x".repeat(254));
        assert!(text(&blank).contains(&format!("LEFT(file_name, 254) = '{}' AND", "x".repeat(254))));
    }

    #[test]
    fn keys_are_sent_and_never_shown() {
        let table = name();
        let keys = Authorization::Keys {
            access_key_id: Secret::new("AKIA"),
            secret_access_key: Secret::new("hush"),
            session_token: Some(Secret::new("tok'en")),
        };
        let statement = copy(&table, &keys);
        assert!(
            statement
                .wire_text()
                .expose()
                .contains("ACCESS_KEY_ID 'AKIA' SECRET_ACCESS_KEY 'hush' SESSION_TOKEN 'tok''en' MANIFEST")
        );
        assert!(
            statement
                .to_string()
                .contains("ACCESS_KEY_ID '***' SECRET_ACCESS_KEY '***' SESSION_TOKEN '***' MANIFEST")
        );
    }
}
