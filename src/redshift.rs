//! The wire to Redshift: TLS, login, simple queries, and what its refusals mean.
//!
//! Only the simple query protocol is used: COPY takes no bind parameters, and prepared statements are where
//! drivers and Redshift disagree.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use serde::Serialize;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, SimpleQueryMessage, config::SslMode};
use tracing::{Instrument as _, debug, info};

use crate::config::TableName;
use crate::environment::{Login, Tls};
use crate::error::{Deployment, Error, Fault, Retryable};
use crate::sql::{LoadErrorTable, Statement};

/// How long name look-up, connection, TLS and login may take together.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// What is left of the function's time when an answer is waited for no longer: enough to say so. Redshift has
/// stopped the statement by then (`statement_timeout`); only a network that swallows its answer is met here.
const ANSWER_RESERVE: Duration = Duration::from_secs(2);

/// When an idle connection is asked whether it still stands, how often, and how many unanswered questions end
/// it: an answer to COPY may take longer than a firewall remembers a connection that says nothing.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// Where a login comes from that may change while the program runs.
pub trait Renewal: Send + Sync {
    /// The login as it is now.
    fn renew(&self) -> Pin<Box<dyn Future<Output = Result<Login, Error>> + Send + '_>>;
}

/// A cluster, ready to be connected to.
pub struct Redshift {
    config: RwLock<Config>,
    renewal: Option<Box<dyn Renewal>>,
    tls: MakeTlsConnector,
    place: String,
    user: String,
    tls_mode: Tls,
}

/// A session. Dropping it closes the connection, and Redshift rolls an open transaction back.
pub struct Session {
    client: Client,
    connection: JoinHandle<()>,
    deadline: Option<Instant>,
}

/// The rows of an answer, as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// A table's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type without length, such as `character varying`.
    pub data_type: String,
    /// The most bytes that a text may have.
    pub length: Option<u64>,
    /// Whether it takes NULL.
    pub nullable: bool,
    /// Whether it has a default.
    pub has_default: bool,
}

impl Column {
    /// The type with its length.
    pub fn type_text(&self) -> String {
        let length = self.length.map(|length| format!("({length})")).unwrap_or_default();
        format!("{}{length}", self.data_type)
    }
}

/// A row of the ledger: one load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerRow {
    /// The archive.
    pub key: String,
    /// Its revision.
    pub etag: String,
    /// Rows loaded into all tables.
    pub rows: u64,
    /// When.
    pub loaded_at: DateTime<Utc>,
    /// By which invocation.
    pub request_id: String,
}

/// Why a statement was not carried out.
#[derive(Debug)]
pub enum Refusal {
    /// COPY met rows that the table does not take: the load-error tables know which.
    Rows(Fault<Retryable>),
    /// A relation does not exist.
    NoRelation(Fault<Deployment>),
    /// Anything else.
    Other(Error),
}

/// A row that COPY refused, as a load-error table tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusedRow {
    /// The line in the staged file.
    pub line: Option<u64>,
    /// The column.
    pub column: Option<String>,
    /// Its type.
    pub column_type: Option<String>,
    /// Its length in bytes, where the type has one.
    pub column_length: Option<String>,
    /// The value, where the table keeps it.
    pub value: Option<String>,
    /// Redshift's code.
    pub code: Option<i64>,
    /// Redshift's reason.
    pub message: String,
}

/// What Redshift tells of the rows that it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedRows {
    /// Which they are.
    Told(Vec<RefusedRow>),
    /// Nothing: the caller must not take that for all is well.
    Untold {
        /// Whether a load-error table could be read at all.
        allowed: bool,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rows(fault) => fault.into(),
            Refusal::NoRelation(fault) => fault.into(),
            Refusal::Other(error) => error,
        }
    }
}

impl Redshift {
    /// Prepares connections for `login`; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`Deployment::Configuration`] when the root certificates cannot be read.
    pub fn new(login: &Login) -> Result<Self, Error> {
        let mut tls = TlsConnector::builder();
        if login.tls == Tls::VerifyCa {
            tls.danger_accept_invalid_hostnames(true);
        }
        if let Some(path) = &login.root_certificates {
            let unreadable = |error: &dyn std::fmt::Display| {
                Error::deployment(
                    Deployment::Configuration,
                    format!("PGSSLROOTCERT: {} holds no readable PEM certificates: {error}", path.display()),
                )
            };
            let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
            let certificates = Certificate::stack_from_pem(&pem).map_err(|error| unreadable(&error))?;
            if certificates.is_empty() {
                return Err(unreadable(&"it is empty"));
            }
            tls.disable_built_in_roots(true);
            for certificate in certificates {
                tls.add_root_certificate(certificate);
            }
        }
        let tls = tls.build().map_err(|error| {
            Fault::new(Deployment::Configuration, "TLS cannot be set up").caused_by(error)
        })?;
        Ok(Self {
            config: RwLock::new(config(login)),
            renewal: None,
            tls: MakeTlsConnector::new(tls),
            place: format!("{}:{}/{}", login.host, login.port, login.database),
            user: login.user.clone(),
            tls_mode: login.tls,
        })
    }

    /// The same cluster, with a login that is asked for again when it is refused.
    #[must_use]
    pub fn renewed_by(mut self, renewal: impl Renewal + 'static) -> Self {
        self.renewal = Some(Box::new(renewal));
        self
    }

    /// Opens a session, for a function whose time is up at `deadline`. A refused login that may have changed
    /// is asked for again, once: a password is rotated while a function lives.
    ///
    /// # Errors
    ///
    /// Deployment faults for a refused login, an authentication that cannot be answered, a certificate that
    /// is not trusted or a missing database; else [`Retryable::ConnectionLost`].
    pub async fn connect(&self, deadline: Option<Instant>) -> Result<Session, Error> {
        let known = self.config.read().await.clone();
        let refused = match (self.connect_as(&known, deadline).await, &self.renewal) {
            (Err(Error::Deployment(fault)), Some(renewal)) if fault.kind == Deployment::LoginRefused => {
                (fault, renewal)
            }
            (connected, _) => return connected,
        };
        let (fault, renewal) = refused;
        let renewed = config(&renewal.renew().await?);
        if renewed.get_password() == known.get_password() {
            return Err(fault.into());
        }
        info!("the login was refused, and has changed meanwhile");
        let session = self.connect_as(&renewed, deadline).await?;
        *self.config.write().await = renewed;
        Ok(session)
    }

    async fn connect_as(&self, config: &Config, deadline: Option<Instant>) -> Result<Session, Error> {
        let left = deadline.map(|deadline| {
            deadline.saturating_duration_since(Instant::now()).saturating_sub(ANSWER_RESERVE)
        });
        let within = left.map_or(CONNECT_WITHIN, |left| left.min(CONNECT_WITHIN));
        let Ok(connected) = timeout(within, config.connect(self.tls.clone())).await else {
            let message = format!(
                "cannot connect to Redshift at {}: no answer within {} seconds",
                self.place,
                within.as_secs()
            );
            return Err(Error::retryable(Retryable::ConnectionLost, message));
        };
        let (client, mut connection) = connected.map_err(|error| self.classify_connect(error))?;
        let connection = async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => {
                        debug!(severity = notice.severity(), "Redshift: {}", notice.message())
                    }
                    Ok(_) => {}
                    Err(error) => {
                        debug!(error = %crate::error::chain(&error), "the connection to Redshift ended");
                        break;
                    }
                }
            }
        };
        let connection = tokio::spawn(connection.in_current_span());
        Ok(Session { client, connection, deadline })
    }

    /// Where a session would lead, as whom, and how the server proves itself.
    pub fn describe(&self) -> String {
        let proof = match self.tls_mode {
            Tls::VerifyFull => "TLS, certificate and host name verified",
            Tls::VerifyCa => "TLS, certificate verified",
            Tls::Disable => "without TLS",
        };
        format!("{} as {}, {proof}", self.place, self.user)
    }

    fn classify_connect(&self, error: tokio_postgres::Error) -> Error {
        let place = &self.place;
        if let Some(refused) = error.as_db_error() {
            let code = refused.code().code();
            let message = refused.message();
            return match code {
                "28000" | "28P01" => Error::deployment(
                    Deployment::LoginRefused,
                    format!("Redshift at {place} refused the login of user {}: {message}", self.user),
                ),
                "3D000" => {
                    Error::deployment(Deployment::SchemaMismatch, format!("Redshift at {place}: {message}"))
                }
                "42501" => {
                    Error::deployment(Deployment::Privilege, format!("Redshift at {place}: {message}"))
                }
                _ => Error::retryable(
                    Retryable::ConnectionLost,
                    format!("Redshift at {place} refused the connection: {message} (SQLSTATE {code})"),
                ),
            };
        }
        let story = crate::error::chain(&error);
        // The driver knows no other name for it than its text.
        if story.contains("unknown authentication tag `13`") {
            let message = format!(
                "Redshift at {place} asks for SHA-256 authentication (tag 13), which this program cannot answer; store an MD5 password for \
                 the user: ALTER USER {} PASSWORD 'md5...' (or a plain one while password_encryption is md5)",
                self.user
            );
            return Error::deployment(Deployment::AuthenticationUnsupported, message);
        }
        if story.contains("unknown authentication tag") || story.contains("unsupported authentication") {
            return Fault::new(
                Deployment::AuthenticationUnsupported,
                format!("Redshift at {place} asks for an authentication that this program cannot answer"),
            )
            .caused_by(error)
            .into();
        }
        if story.contains("server does not support TLS") {
            let message = format!(
                "Redshift at {place} offers no TLS; PGSSLMODE=disable is possible towards a loopback host only"
            );
            return Error::deployment(Deployment::TlsNotTrusted, message);
        }
        if self.tls_mode != Tls::Disable && is_tls_refusal(&error) {
            let message = format!(
                "the certificate of Redshift at {place} is not trusted; see PGSSLROOTCERT, and use the host name that it is made out for"
            );
            return Fault::new(Deployment::TlsNotTrusted, message).caused_by(error).into();
        }
        Fault::new(Retryable::ConnectionLost, format!("cannot connect to Redshift at {place}"))
            .caused_by(error)
            .into()
    }
}

fn config(login: &Login) -> Config {
    let mut config = Config::new();
    config
        .host(&login.host)
        .port(login.port)
        .dbname(&login.database)
        .user(&login.user)
        .password(login.password.expose())
        .application_name(env!("CARGO_PKG_NAME"))
        .connect_timeout(CONNECT_WITHIN)
        .keepalives_idle(KEEPALIVE.0)
        .keepalives_interval(KEEPALIVE.1)
        .keepalives_retries(KEEPALIVE.2)
        .ssl_mode(if login.tls == Tls::Disable { SslMode::Disable } else { SslMode::Require });
    config
}

/// Whether TLS failed for what the server is, rather than for the network beneath.
fn is_tls_refusal(error: &(dyn StdError + 'static)) -> bool {
    let mut tls = false;
    let mut next = Some(error);
    while let Some(error) = next {
        tls |= error.is::<native_tls::Error>();
        if error.is::<io::Error>() {
            return false;
        }
        next = error.source();
    }
    tls
}

impl Session {
    /// Sends a statement and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn run(&self, statement: &Statement<'_>) -> Result<Rows, Refusal> {
        debug!(%statement, "to Redshift");
        let text = statement.wire_text();
        let answer = self.client.simple_query(text.expose());
        let answer = match self.deadline.and_then(|deadline| deadline.checked_sub(ANSWER_RESERVE)) {
            None => answer.await,
            Some(deadline) => timeout_at(deadline, answer).await.map_err(|_| unanswered(statement))?,
        };
        let answer = answer.map_err(|error| classify(error, statement))?;
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The columns of each of `tables`, in their order; none of a table that the user does not see.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn columns(&self, tables: &[&TableName]) -> Result<Vec<Vec<Column>>, Refusal> {
        let rows = self.run(&Statement::Columns(tables)).await?;
        let found: Vec<(String, String, Column)> = rows.into_iter().filter_map(column).collect();
        let of = |name: &&TableName| {
            let is_its = |(schema, table, _): &&(String, String, Column)| {
                *schema == name.schema.to_lowercase() && *table == name.table.to_lowercase()
            };
            found.iter().filter(is_its).map(|(.., column)| column.clone()).collect()
        };
        Ok(tables.iter().map(of).collect())
    }

    /// The loads of a dataset in their order.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; [`Refusal::NoRelation`] where there is no ledger yet.
    pub async fn loads(
        &self,
        ledger: &TableName,
        dataset: &str,
        bucket: &str,
    ) -> Result<Vec<LedgerRow>, Refusal> {
        let rows = self.run(&Statement::ReadLoads { ledger, dataset, bucket }).await?;
        let loads: Option<Vec<LedgerRow>> = rows.into_iter().map(ledger_row).collect();
        loads.ok_or_else(|| {
            Refusal::Other(Error::retryable(Retryable::Unknown, "the ledger's rows are not understood"))
        })
    }

    /// The rows that this session's COPY of a staged file refused.
    ///
    /// # Errors
    ///
    /// What passes, such as a lost connection; a table that is not there or may not be read is none.
    pub async fn refused_rows(&self, file: &str) -> Result<RefusedRows, Error> {
        let mut allowed = false;
        for table in [LoadErrorTable::Sys, LoadErrorTable::Stl] {
            match self.run(&Statement::LoadErrors { table, file }).await {
                Ok(rows) if rows.is_empty() => allowed = true,
                Ok(rows) => return Ok(RefusedRows::Told(rows.into_iter().map(refused_row).collect())),
                Err(refusal) => match Error::from(refusal) {
                    Error::Retryable(fault) => return Err(fault.into()),
                    error => debug!(error = %error.chain(), "a load-error table cannot be read"),
                },
            }
        }
        Ok(RefusedRows::Untold { allowed })
    }

    /// Closes the connection in good order.
    pub async fn close(self) {
        let Self { client, connection, .. } = self;
        drop(client);
        // A server that does not hang up must not hold the function.
        let _ = timeout(Duration::from_secs(2), connection).await;
    }
}

fn unanswered(statement: &Statement<'_>) -> Refusal {
    let message = format!("Redshift did not answer {} before the function's time was up", name(statement));
    Refusal::Other(Error::retryable(Retryable::DeadlineNear, message))
}

/// A column, behind the schema and the table that it is of.
fn column(row: Vec<Option<String>>) -> Option<(String, String, Column)> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    let column = Column {
        name: next()?,
        data_type: next()?.to_lowercase(),
        length: next().and_then(|length| length.parse().ok()),
        nullable: next().is_some_and(|told| told == "YES"),
        has_default: next().is_some(),
    };
    Some((next()?, next()?, column))
}

fn ledger_row(row: Vec<Option<String>>) -> Option<LedgerRow> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().flatten();
    Some(LedgerRow {
        key: next()?,
        etag: next()?,
        rows: next()?.parse().ok()?,
        loaded_at: NaiveDateTime::parse_from_str(&next()?, "%Y-%m-%d %H:%M:%S%.f").ok()?.and_utc(),
        request_id: next()?,
    })
}

fn refused_row(row: Vec<Option<String>>) -> RefusedRow {
    let mut cells =
        row.into_iter().map(|cell| cell.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()));
    let mut next = || cells.next().flatten();
    RefusedRow {
        line: next().and_then(|line| line.parse().ok()),
        column: next(),
        column_type: next(),
        column_length: next().filter(|length| length != "0"),
        value: next(),
        code: next().and_then(|code| code.parse().ok()),
        message: next().unwrap_or_default(),
    }
}

/// What a text means that comes under SQLSTATE XX000, Redshift's class for bad rows, conflicts and missing
/// tables alike.
enum Meaning {
    Rows,
    Conflict,
    NoTable,
    CopyAuthorization,
    S3Unavailable,
}

/// Texts of XX000 and what they mean; the first that is contained decides.
const INTERNAL_ERRORS: &[(&str, Meaning)] = &[
    // tutorial-loading-run-copy.md
    ("Check 'stl_load_errors'", Meaning::Rows),
    // The view that AWS names in its place for serverless (SYS_LOAD_ERROR_DETAIL.md); its wording in an error
    // is not documented.
    ("sys_load_error_detail", Meaning::Rows),
    // c_serial_isolation.md; on the wire the message is "1023" alone (aws-sdk-pandas#665)
    ("Serializable isolation violation", Meaning::Conflict),
    // amazon-redshift-jdbc-driver#147
    ("conflict with concurrent transaction", Meaning::Conflict),
    // estuary/connectors#918
    ("Cannot COPY into nonexistent table", Meaning::NoTable),
    // s3serviceexception-error.md
    ("AccessDenied", Meaning::CopyAuthorization),
    ("Access Denied", Meaning::CopyAuthorization),
    ("InvalidAccessKeyId", Meaning::CopyAuthorization),
    ("SignatureDoesNotMatch", Meaning::CopyAuthorization),
    ("ExpiredToken", Meaning::CopyAuthorization),
    ("InvalidToken", Meaning::CopyAuthorization),
    ("Status 403", Meaning::CopyAuthorization),
    ("ot authorized to", Meaning::CopyAuthorization),
    ("IAM role", Meaning::CopyAuthorization),
    ("IAM_ROLE", Meaning::CopyAuthorization),
    ("S3ServiceException", Meaning::S3Unavailable),
];

fn classify(error: tokio_postgres::Error, statement: &Statement<'_>) -> Refusal {
    let Some(refused) = error.as_db_error() else {
        let fault =
            Fault::new(Retryable::ConnectionLost, "the connection to Redshift was lost").caused_by(error);
        return Refusal::Other(fault.into());
    };
    classify_refused(refused.code().code(), &told(refused), statement)
}

/// Everything that Redshift says of an error, which may be in the detail only.
fn told(refused: &DbError) -> String {
    match refused.detail() {
        Some(detail) => {
            format!("{}: {}", refused.message(), detail.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        None => refused.message().to_owned(),
    }
}

fn classify_refused(code: &str, told: &str, statement: &Statement<'_>) -> Refusal {
    let message = format!("Redshift refused {}: {told} (SQLSTATE {code})", name(statement));
    let retryable = |kind| Refusal::Other(Error::retryable(kind, message.clone()));
    let deployment = |kind| Refusal::Other(Error::deployment(kind, message.clone()));
    match code {
        "XX000" => {
            let conflict = told == "1023" || told.starts_with("1023:");
            let meaning =
                INTERNAL_ERRORS.iter().find(|(text, _)| told.contains(text)).map(|(_, meaning)| meaning);
            match meaning {
                _ if conflict => retryable(Retryable::Serialization),
                Some(Meaning::Rows) => Refusal::Rows(Fault::new(Retryable::Unknown, message)),
                Some(Meaning::Conflict) => retryable(Retryable::Serialization),
                Some(Meaning::NoTable) => {
                    Refusal::NoRelation(Fault::new(Deployment::SchemaMismatch, message))
                }
                Some(Meaning::CopyAuthorization) => deployment(Deployment::CopyAuthorization),
                Some(Meaning::S3Unavailable) => retryable(Retryable::S3Unavailable),
                None => retryable(Retryable::Unknown),
            }
        }
        "40001" | "40P01" => retryable(Retryable::Serialization),
        "57014" => retryable(Retryable::StatementTimeout),
        "42P01" => Refusal::NoRelation(Fault::new(Deployment::SchemaMismatch, message)),
        "3F000" | "42703" | "42804" | "3D000" => deployment(Deployment::SchemaMismatch),
        "42501" => deployment(Deployment::Privilege),
        _ if code.starts_with("28") => deployment(Deployment::LoginRefused),
        _ if code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03") => {
            retryable(Retryable::ConnectionLost)
        }
        _ => retryable(Retryable::Unknown),
    }
}

/// A statement's beginning, enough to know it by.
fn name(statement: &Statement<'_>) -> String {
    let text = statement.to_string();
    let cut = text.find(" (").or_else(|| text.char_indices().nth(60).map(|(at, _)| at)).unwrap_or(text.len());
    text[..cut].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: &str, told: &str) -> String {
        let table = TableName { schema: "s".to_owned(), table: "t".to_owned() };
        match classify_refused(code, told, &Statement::DeleteAll(&table)) {
            Refusal::Rows(_) => "rows".to_owned(),
            Refusal::NoRelation(_) => "no relation".to_owned(),
            Refusal::Other(error) => error.error_type().to_owned(),
        }
    }

    #[test]
    fn one_sqlstate_is_told_apart_by_its_text() {
        for (told, expected) in [
            ("1023", "Retryable.Serialization"),
            (
                "1023: Serializable isolation violation on table - 1, transactions forming the cycle are: 1, 2",
                "Retryable.Serialization",
            ),
            ("could not complete because of conflict with concurrent transaction", "Retryable.Serialization"),
            (
                "Load into table 'user_group' failed.  Check 'stl_load_errors' system table for details.",
                "rows",
            ),
            ("Cannot COPY into nonexistent table user_group", "no relation"),
            (
                "S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid x",
                "Deployment.CopyAuthorization",
            ),
            (
                "S3ServiceException:Please reduce your request rate,Status 503,Error SlowDown",
                "Retryable.S3Unavailable",
            ),
            ("something never seen", "Retryable.Unknown"),
        ] {
            assert_eq!(class("XX000", told), expected, "{told}");
        }
    }

    #[test]
    fn sqlstates_that_say_enough_decide_alone() {
        for (code, expected) in [
            ("57014", "Retryable.StatementTimeout"),
            ("40001", "Retryable.Serialization"),
            ("42P01", "no relation"),
            ("42703", "Deployment.SchemaMismatch"),
            ("42501", "Deployment.Privilege"),
            ("08006", "Retryable.ConnectionLost"),
            ("57P01", "Retryable.ConnectionLost"),
            ("53200", "Retryable.Unknown"),
        ] {
            assert_eq!(class(code, "x"), expected, "{code}");
        }
    }
}
