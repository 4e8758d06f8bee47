//! Defines every statement that the program can send, as one type, and is the only place that quotes names
//! and values for them.

// The texts of statements about the ledger and the tables beside it.
mod ledger;

// Names and values in statements.
mod quote;

use std::fmt::{self, Write as _};

use cmslite_core::config::{LOAD_ERROR_NAME_BYTES, Staging, TableName};
use cmslite_core::ddl::quoted;
use cmslite_core::grants::{Grant, GrantedOn};
use cmslite_core::problem::{Quoting, REPORTED_PROBLEMS};
use cmslite_core::row_counts::RowsByTable;
use cmslite_core::transform::NULL_TEXT;

use self::quote::{literal, one_of, table};
use super::ledger::{COLUMNS, LOCK_COLUMNS, TABLE_ROWS_COLUMNS};
use crate::secret::Secret;

pub use self::ledger::{LedgerKey, Load};

/// A statement. Its `Display` is for logs and hides COPY's credentials; [`Statement::wire_text`] is sent.
pub enum Statement<'a> {
    /// Limits every later statement of the session, in milliseconds.
    StatementTimeout(u128),
    /// Begins the transaction.
    Begin,
    /// Commits the transaction.
    Commit,
    /// Rolls the transaction back.
    Rollback,
    /// Creates the ledger if it does not exist.
    CreateLedger(&'a TableName),
    /// Creates the table of rows beside the ledger if it does not exist.
    CreateTableRows(&'a TableName),
    /// Creates the lock table beside the ledger if it does not exist.
    CreateLock(&'a TableName),
    /// Locks the lock table, so that loads that share a ledger follow one another. The lock is ACCESS
    /// EXCLUSIVE, which makes readers wait (`r_LOCK.md`), but no statement reads this table.
    Lock(&'a TableName),
    /// Reads which sessions have a lock on a table, oldest first. In `SVV_TRANSACTIONS`, a user sees their
    /// own sessions, and a superuser sees all (`r_SVV_TRANSACTIONS.md`).
    LockHolders(&'a TableName),
    /// Reads what the ledger says about an archive's revision.
    ReadLedger {
        /// The ledger.
        ledger: &'a TableName,
        /// The archive's revision.
        entry: &'a LedgerKey<'a>,
        /// If given, only this invocation's loads count as loads of the revision, or of its bytes under its
        /// key.
        by_request: Option<&'a str>,
    },
    /// Reads the ledger's rows about the loads of a dataset, oldest load first.
    ReadLoads {
        /// The ledger.
        ledger: &'a TableName,
        /// The dataset's name.
        dataset: &'a str,
        /// The dataset's bucket.
        bucket: &'a str,
        /// The number of the load to read; `None` for all loads.
        sequence: Option<i64>,
        /// Whether the ledger has the column for the SHA-256 of archives; a ledger of an earlier version does
        /// not have it.
        has_sha256: bool,
    },
    /// Adds the column for the SHA-256 of archives to the ledger. The program only shows this statement, for
    /// an operator to run.
    AddSha256(&'a TableName),
    /// Reads how many rows a load of a dataset added to each table.
    ReadTableRows {
        /// The ledger.
        ledger: &'a TableName,
        /// The table of rows beside it.
        ledger_tables: &'a TableName,
        /// The dataset's name.
        dataset: &'a str,
        /// The number of the load.
        sequence: i64,
    },
    /// Reads the latest loads of a dataset, oldest first, with a row for each table of each load.
    ReadRecentLoads {
        /// The ledger.
        ledger: &'a TableName,
        /// The table of rows beside it.
        ledger_tables: &'a TableName,
        /// The dataset's name.
        dataset: &'a str,
        /// The dataset's bucket.
        bucket: &'a str,
        /// The maximum number of loads.
        most: usize,
    },
    /// Reads the columns of tables in their order, with the table of each (`SVV_COLUMNS`); none for a table
    /// that does not exist.
    Columns(&'a [&'a TableName]),
    /// Reads the columns of tables that have a default, with the table of each.
    Defaults(&'a [&'a TableName]),
    /// Reads the kinds of relations with the tables' names, with the table of each (`SVV_TABLES`).
    TableTypes(&'a [&'a TableName]),
    /// Reads the session's user, and whether it has each of these privileges (`r_HAS_TABLE_PRIVILEGE.md`), in
    /// one row.
    Privileges(&'a Grant<'a>),
    /// Records an archive's revision as loaded.
    WriteLedger {
        /// The ledger.
        ledger: &'a TableName,
        /// The load.
        load: Load<'a>,
    },
    /// Records how many rows a load added to each table, all in one statement ("Multi-row inserts",
    /// `r_INSERT_30.md`).
    WriteTableRows {
        /// The table of rows beside the ledger.
        ledger_tables: &'a TableName,
        /// The dataset's name.
        dataset: &'a str,
        /// The sequence of the ledger's row.
        sequence: i64,
        /// The request id of the ledger's row.
        request_id: &'a str,
        /// The rows by table, for at least one table.
        rows: &'a RowsByTable,
    },
    /// Deletes every row of a table. TRUNCATE would commit (`r_TRUNCATE.md`).
    DeleteAll(&'a TableName),
    /// Deletes no rows. It needs the same permission as [`Statement::DeleteAll`].
    DeleteNoRows(&'a TableName),
    /// Loads the files that a manifest names.
    Copy(Copy<'a>),
    /// Reads and checks the files without loading them (`copy-parameters-data-load.md`, NOLOAD).
    CopyNoLoad {
        /// The table and its files.
        copy: Copy<'a>,
        /// The number of refused rows that ends the statement; fewer are skipped. 0 and 1 end it at the
        /// first, and 100,000 is the maximum (`copy-parameters-data-load.md`, MAXERROR).
        max_error: u32,
    },
    /// Reads how many rows the session's last COPY loaded (`PG_LAST_COPY_COUNT.md`).
    LastCopyCount,
    /// Reads the rows of a load-error table for this session and a staged file, in the file's order; some may
    /// occur twice.
    LoadErrors {
        /// The load-error table.
        table: LoadErrorTable,
        /// The prefix of the URLs of all pieces of the staged file.
        files: &'a str,
        /// The ids of the queries whose rows are left out.
        passed_over: &'a [i64],
    },
    /// Reads the refused rows of a staged file for any session. The program only shows this statement, for an
    /// operator to run.
    LoadErrorsOfAnySession {
        /// The prefix of the URLs of all pieces of the staged file.
        files: &'a str,
    },
}

/// A COPY of one table from a manifest.
pub struct Copy<'a> {
    /// The table.
    pub table: &'a TableName,
    /// The staged file's columns, in its order.
    pub columns: Vec<&'a str>,
    /// The manifest, as `s3://bucket/key`.
    pub manifest: &'a str,
    /// The authorization with which Redshift reads S3.
    pub authorization: &'a Authorization,
    /// The bucket's region, if known.
    pub region: Option<&'a str>,
    /// The format of the staged file's pieces.
    pub staging: Staging,
    /// Whether an error of Redshift that may quote a cell may be shown.
    pub quoting: Quoting,
}

/// The authorization with which Redshift reads the staged files (`copy-parameters-authorization.md`).
pub enum Authorization {
    /// The cluster's default role.
    DefaultRole,
    /// A role, by ARN.
    Role(String),
    /// Access keys; temporary ones have a token.
    Keys {
        /// The access key's id.
        access_key_id: Secret,
        /// The secret access key.
        secret_access_key: Secret,
        /// The session token of temporary keys.
        session_token: Option<Secret>,
    },
}

/// A system table in which Redshift reports the rows that it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadErrorTable {
    /// `SYS_LOAD_ERROR_DETAIL`: serverless and newer clusters.
    Sys,
    /// `STL_LOAD_ERRORS`: provisioned clusters.
    Stl,
}

impl Statement<'_> {
    /// Returns whether Redshift's errors may be shown in full. Only those of COPY may quote a cell.
    pub(super) fn quoting(&self) -> Quoting {
        match self {
            Self::Copy(copy) | Self::CopyNoLoad { copy, .. } => copy.quoting,
            _ => Quoting::Shown,
        }
    }

    /// Returns the text to send. It is secret, since COPY may carry keys.
    pub fn wire_text(&self) -> Secret {
        Secret::new(self.text(true))
    }

    fn text(&self, secrets: bool) -> String {
        match self {
            Self::StatementTimeout(milliseconds) => format!("SET statement_timeout TO {milliseconds}"),
            Self::Begin => "BEGIN".to_owned(),
            Self::Commit => "COMMIT".to_owned(),
            Self::Rollback => "ROLLBACK".to_owned(),
            Self::CreateLedger(name) => ledger::create(name, &COLUMNS),
            Self::CreateTableRows(name) => ledger::create(name, &TABLE_ROWS_COLUMNS),
            Self::CreateLock(name) => ledger::create(name, &LOCK_COLUMNS),
            Self::AddSha256(name) => ledger::add_sha256(name),
            Self::Lock(lock) => format!("LOCK {}", table(lock)),
            Self::LockHolders(name) => format!(
                "SELECT t.pid, t.txn_owner, t.txn_start, t.lock_mode FROM svv_transactions t \
                 JOIN pg_class c ON c.oid = t.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE t.granted AND {} ORDER BY t.txn_start",
                one_of(&[name], "n.nspname", "c.relname")
            ),
            Self::ReadLedger { ledger: name, entry, by_request } => ledger::read(name, entry, *by_request),
            Self::ReadLoads { ledger: name, dataset, bucket, sequence, has_sha256 } => {
                ledger::loads(name, dataset, bucket, *sequence, *has_sha256)
            }
            Self::ReadTableRows { ledger: name, ledger_tables, dataset, sequence } => {
                ledger::table_rows(name, ledger_tables, dataset, *sequence)
            }
            Self::ReadRecentLoads { ledger: name, ledger_tables, dataset, bucket, most } => {
                ledger::recent_loads(name, ledger_tables, dataset, bucket, *most)
            }
            Self::Columns(tables) => columns(tables),
            Self::Defaults(tables) => defaults(tables),
            Self::TableTypes(tables) => format!(
                "SELECT table_type, LOWER(table_schema), LOWER(table_name) FROM svv_tables WHERE {}",
                one_of(tables, "table_schema", "table_name")
            ),
            Self::Privileges(grant) => privileges(grant),
            Self::WriteLedger { ledger: name, load } => ledger::write(name, load),
            Self::WriteTableRows { ledger_tables, dataset, sequence, request_id, rows } => {
                ledger::write_table_rows(ledger_tables, dataset, *sequence, request_id, rows)
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

fn columns(tables: &[&TableName]) -> String {
    format!(
        "SELECT column_name, data_type, character_maximum_length, is_nullable, column_default, numeric_precision, numeric_scale, LOWER(table_schema), LOWER(table_name) \
         FROM svv_columns WHERE {} ORDER BY ordinal_position",
        one_of(tables, "table_schema", "table_name")
    )
}

/// Returns the query for defaults. It reads them as awslabs' `v_generate_tbl_ddl.sql` does.
fn defaults(tables: &[&TableName]) -> String {
    format!(
        "SELECT LOWER(n.nspname), LOWER(c.relname), a.attname FROM pg_attribute a \
         JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE {}",
        one_of(tables, "n.nspname", "c.relname")
    )
}

/// The number of rows read from a load-error table. It is twice the number of reported problems, since a
/// session may have tried a file with COPY and with COPY NOLOAD.
const LOAD_ERRORS_READ: usize = 2 * REPORTED_PROBLEMS;

/// Returns the condition for rows of a load-error table about files whose names begin with `files`. Only the
/// part of `files` that the table can store is compared.
fn is_file(column: &str, files: &str) -> String {
    // Redshift may cut a name within a character; that character is not compared.
    let kept = files[..files.floor_char_boundary(LOAD_ERROR_NAME_BYTES)].trim_end_matches(' ');
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
        let columns: Vec<String> = self.columns.iter().map(|column| quoted(column)).collect();
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
        if let Some(compression) = self.staging.copy_option() {
            let _ = write!(text, " {compression}");
        }
        if let Some(region) = self.region {
            let _ = write!(text, " REGION AS {}", literal(region));
        }
        text
    }
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
            staging: Staging::Plain,
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
    fn copy_says_how_its_files_are_compressed() {
        let (table, role) = (name(), Authorization::DefaultRole);
        let Statement::Copy(copy) = copy(&table, &role) else { panic!() };
        let text = Statement::Copy(Copy { staging: Staging::Zstd, ..copy }).to_string();
        assert!(text.ends_with(" MAXERROR 0 COMPUPDATE OFF ZSTD REGION AS 'ca-central-1'"), "{text}");
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
