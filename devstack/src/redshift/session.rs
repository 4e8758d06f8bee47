//! A session: the client on one side, PostgreSQL on the other, and what the front does in between.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::net::{TcpStream, UnixStream};

use super::faults::Action;
use super::login::{self, Login};
use super::sql::{self, Kind, Values};
use super::wire::{Frame, Framed, Report, put_text, take_text};
use super::{Isolation, Shared, Statement, copy, errors};

/// Bytes for the client that wait before they are sent.
const QUEUE_FRAMES: usize = 256;

/// PostgreSQL, as one session sees it.
pub(super) struct Upstream {
    framed: Framed,
    /// `I`dle, in a `T`ransaction, or in a failed one (`E`).
    status: u8,
}

/// Rows of a query of the front's own.
type Rows = Vec<Vec<Option<String>>>;

impl Upstream {
    async fn connect(shared: &Shared, user: &str, database: &str) -> io::Result<Self> {
        let stream = UnixStream::connect(shared.options.postgres.join(".s.PGSQL.5432")).await?;
        let mut framed = Framed::new(Box::new(stream));
        let mut body = BytesMut::new();
        body.put_u32(196_608);
        for text in ["user", user, "database", database, "client_encoding", "UTF8"] {
            put_text(&mut body, text);
        }
        body.put_u8(0);
        let mut packet = BytesMut::new();
        packet.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
        packet.put_slice(&body);
        framed.put_raw(&packet);
        framed.flush().await?;
        Ok(Self { framed, status: b'I' })
    }

    async fn next(&mut self) -> io::Result<Frame> {
        let frame = self.framed.next().await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if frame.tag == b'Z' {
            self.status = frame.body.first().copied().unwrap_or(b'I');
        }
        Ok(frame)
    }

    pub(super) fn put(&mut self, frame: &Frame) {
        self.framed.put(frame);
    }

    pub(super) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.framed.send(frame).await
    }

    /// Runs a query of the front's own.
    pub(super) async fn ask(&mut self, sql: &str) -> io::Result<Result<Rows, Report>> {
        self.send(&Frame::text(b'Q', sql)).await?;
        self.until_ready().await
    }

    /// Everything up to the end of a query.
    pub(super) async fn until_ready(&mut self) -> io::Result<Result<Rows, Report>> {
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let frame = self.next().await?;
            match frame.tag {
                b'Z' => return Ok(failure.map_or(Ok(rows), Err)),
                b'E' => failure = Some(Report::of(&frame)),
                b'D' => rows.push(cells(frame.body)),
                _ => {}
            }
        }
    }

    /// Waits until PostgreSQL is ready for COPY's data.
    pub(super) async fn until_copy_in(&mut self) -> io::Result<Result<(), Report>> {
        loop {
            let frame = self.next().await?;
            match frame.tag {
                b'G' => return Ok(Ok(())),
                b'E' => {
                    let report = Report::of(&frame);
                    let _ = self.until_ready().await?;
                    return Ok(Err(report));
                }
                _ => {}
            }
        }
    }
}

fn cells(mut body: Bytes) -> Vec<Option<String>> {
    let count = body.get_u16();
    (0..count)
        .map(|_| {
            let length = usize::try_from(body.get_i32()).ok()?;
            Some(String::from_utf8_lossy(&body.split_to(length.min(body.len()))).into_owned())
        })
        .collect()
}

/// Why a session ends other than by the client's wish.
enum End {
    Io(io::Error),
    /// A fault on demand.
    Cut,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Session {
    shared: Arc<Shared>,
    client: Framed,
    upstream: Upstream,
    number: u64,
    user: String,
    database: String,
    backend: i64,
    values: Values,
    /// Synchronisations of the extended protocol that PostgreSQL has yet to answer.
    pending: usize,
    /// Whether the extended protocol's messages are skipped up to the next synchronisation.
    skipping: bool,
    /// The log entries of prepared statements, by name.
    prepared: HashMap<String, usize>,
}

/// Serves one connection.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let Some(Login { mut client, user, database }) = login::accept(stream, &shared).await? else { return Ok(()) };
    // A database that is not there is PostgreSQL's to refuse.
    if let Err(error) = shared.prepare(&database).await {
        tracing::debug!(%error, database, "a database is not prepared");
    }
    let mut upstream = Upstream::connect(&shared, &user, &database).await?;
    let mut backend = 0;
    loop {
        let frame = upstream.next().await?;
        match frame.tag {
            b'Z' => break,
            b'E' => return client.send(&frame).await,
            b'K' => {
                backend = i64::from(frame.body.clone().get_i32());
                client.put(&frame);
            }
            b'S' => client.put(&server_parameter(frame)),
            _ => client.put(&frame),
        }
    }
    // A literal's backslash is an escape (r_CREATE_USER.md).
    let settings = "SET standard_conforming_strings = off; SET escape_string_warning = off; SET client_min_messages = warning";
    let _ = upstream.ask(settings).await?;
    client.send(&Frame::ready(b'I')).await?;
    let number = shared.sessions.fetch_add(1, Ordering::Relaxed) + 1;
    let values = Values { last_copy_id: -1, last_copy_count: 0 };
    let session =
        Session { shared, client, upstream, number, user, database, backend, values, pending: 0, skipping: false, prepared: HashMap::new() };
    match session.run().await {
        Ok(()) | Err(End::Cut) => Ok(()),
        Err(End::Io(error)) => Err(error),
    }
}

/// `server_version` as Redshift's, and how it reads literals.
fn server_parameter(frame: Frame) -> Frame {
    let mut body = frame.body.clone();
    let name = take_text(&mut body);
    let value = match name.as_str() {
        "server_version" => "8.0.2",
        "standard_conforming_strings" => "off",
        _ => return frame,
    };
    let mut body = BytesMut::new();
    put_text(&mut body, &name);
    put_text(&mut body, value);
    Frame::new(b'S', body)
}

impl Session {
    async fn run(mut self) -> Result<(), End> {
        loop {
            tokio::select! {
                message = self.client.next() => match message? {
                    None => return Ok(()),
                    Some(frame) => if !self.from_client(frame).await? {
                        return Ok(());
                    },
                },
                message = self.upstream.next() => self.from_upstream(&message?).await?,
            }
        }
    }

    async fn from_upstream(&mut self, frame: &Frame) -> Result<(), End> {
        if frame.tag == b'Z' {
            self.pending = self.pending.saturating_sub(1);
        }
        let frame = if frame.tag == b'E' { self.translated(&Report::of(frame)).frame() } else { frame.clone() };
        self.client.send(&frame).await?;
        Ok(())
    }

    /// Handles one message; false at the client's farewell.
    async fn from_client(&mut self, frame: Frame) -> Result<bool, End> {
        match frame.tag {
            b'X' => return Ok(false),
            b'Q' => {
                // A driver may send the next query before it has read the answer to its last synchronisation.
                while self.pending > 0 {
                    let frame = self.upstream.next().await?;
                    self.from_upstream(&frame).await?;
                }
                let mut body = frame.body;
                let text = take_text(&mut body);
                self.query(&text).await?;
            }
            b'S' if self.skipping => {
                self.skipping = false;
                self.client.send(&Frame::ready(self.upstream.status)).await?;
            }
            _ if self.skipping => {}
            b'P' => self.parse(frame.body).await?,
            b'B' => {
                self.count_parameters(frame.body.clone());
                self.upstream.send(&frame).await?;
            }
            b'S' => {
                self.pending += 1;
                self.upstream.send(&frame).await?;
            }
            _ => self.upstream.send(&frame).await?,
        }
        Ok(true)
    }

    /// The extended protocol's Parse: name, text, parameter types.
    async fn parse(&mut self, mut body: Bytes) -> Result<(), End> {
        let name = take_text(&mut body);
        let text = take_text(&mut body);
        let entry = self.log(&text, true);
        self.prepared.insert(name.clone(), entry);
        let translated = if sql::kind(&text) == Kind::Copy {
            // "No bind parameters in utility commands" (amazon-redshift-odbc-driver#31, for UNLOAD).
            Err(Report::error("42601", "COPY takes no bind parameters; use the simple query protocol"))
        } else if sql::split(&text).len() > 1 {
            Err(Report::error("42601", "cannot insert multiple commands into a prepared statement"))
        } else {
            self.translate(&text)
        };
        match translated {
            Ok(text) => {
                self.note(entry, Ok("(prepared)".to_owned()));
                let mut message = BytesMut::new();
                put_text(&mut message, &name);
                put_text(&mut message, &text);
                message.put_slice(&body);
                self.upstream.send(&Frame::new(b'P', message)).await?;
            }
            Err(report) => {
                self.skipping = true;
                self.fail(entry, report).await?;
                self.client.flush().await?;
            }
        }
        Ok(())
    }

    /// Bind: portal, statement, format codes, parameters.
    fn count_parameters(&mut self, mut body: Bytes) {
        let _portal = take_text(&mut body);
        let name = take_text(&mut body);
        if body.remaining() < 2 {
            return;
        }
        let formats = usize::from(body.get_u16());
        body.advance((formats * 2).min(body.remaining()));
        let parameters = if body.remaining() >= 2 { usize::from(body.get_u16()) } else { 0 };
        if let Some(entry) = self.prepared.get(&name) {
            if let Some(statement) = self.shared.statements().get_mut(*entry) {
                statement.parameters = parameters;
            }
        }
    }

    fn log(&self, text: &str, extended: bool) -> usize {
        let mut statements = self.shared.statements();
        statements.push(Statement {
            session: self.number,
            user: self.user.clone(),
            database: self.database.clone(),
            sql: sql::redact(text),
            extended,
            parameters: 0,
            outcome: None,
        });
        statements.len() - 1
    }

    fn note(&self, entry: usize, outcome: Result<String, (String, String)>) {
        // The log may have been cleared while the statement ran.
        if let Some(statement) = self.shared.statements().get_mut(entry).filter(|statement| statement.session == self.number) {
            statement.outcome = Some(outcome);
        }
    }

    fn translate(&self, text: &str) -> Result<String, Report> {
        if sql::kind(text) == Kind::Begin {
            // "BEGIN's levels all map to the same" (r_BEGIN.md).
            return Ok(match self.shared.options.isolation {
                Isolation::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
                Isolation::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            }
            .to_owned());
        }
        sql::translate(text, &self.values)
    }

    /// PostgreSQL's errors in Redshift's words.
    fn translated(&self, report: &Report) -> Report {
        match (report.code.as_str(), self.shared.options.isolation) {
            // aws-sdk-pandas#665: the message is "1023", the SQLSTATE XX000; DETAIL as c_serial_isolation.md has it.
            ("40001", Isolation::Serializable) => Report::error("XX000", "1023")
                .with_detail("Serializable isolation violation on table - 1, transactions forming the cycle are: 1, 2 (pid:1)"),
            // amazon-redshift-jdbc-driver#147
            ("40001", Isolation::Snapshot) => Report::error("XX000", "could not complete because of conflict with concurrent transaction"),
            // r_statement_timeout.md
            ("57014", _) => Report::error("57014", format!("Query ({}) canceled on user's request", self.shared.queries.load(Ordering::Relaxed))),
            _ => report.clone(),
        }
    }

    async fn query(&mut self, text: &str) -> Result<(), End> {
        let statements = sql::split(text);
        if statements.is_empty() {
            self.client.put(&Frame::new(b'I', Vec::new()));
        }
        for statement in statements {
            if !self.statement(&statement).await? {
                break;
            }
        }
        self.client.send(&Frame::ready(self.upstream.status)).await?;
        Ok(())
    }

    /// Carries one statement out; false if it failed.
    async fn statement(&mut self, text: &str) -> Result<bool, End> {
        let entry = self.log(text, false);
        self.shared.queries.fetch_add(1, Ordering::Relaxed);
        let mut cut_after = false;
        let mut miscount = 0;
        match self.shared.faults.take(text) {
            None => {}
            Some(Action::CutBefore) => return Err(End::Cut),
            Some(Action::CutAfter) => cut_after = true,
            Some(Action::Refuse(code, message)) => return self.fail(entry, Report::error(&code, message)).await,
            Some(Action::Delay(time)) => tokio::time::sleep(time).await,
            Some(Action::First(act)) => act(),
            Some(Action::Miscount(more)) => miscount = more,
        }
        let went_well = match sql::kind(text) {
            Kind::Copy => self.copy(entry, text, miscount).await?,
            Kind::Truncate => {
                let went_well = self.pass_on(entry, text).await?;
                // "TRUNCATE commits the transaction in which it is run" (r_TRUNCATE.md).
                if went_well && self.upstream.status == b'T' {
                    let _ = self.upstream.ask("COMMIT").await?;
                }
                went_well
            }
            Kind::Begin | Kind::Other => match self.translate(text) {
                Ok(translated) => self.pass_on(entry, &translated).await?,
                Err(report) => self.fail(entry, report).await?,
            },
        };
        if cut_after { Err(End::Cut) } else { Ok(went_well) }
    }

    /// Hands a statement to PostgreSQL and its answer to the client, but for the end of the query.
    async fn pass_on(&mut self, entry: usize, text: &str) -> Result<bool, End> {
        self.upstream.send(&Frame::text(b'Q', text)).await?;
        let mut went_well = true;
        let mut waiting = 0;
        loop {
            let frame = self.upstream.next().await?;
            match frame.tag {
                b'Z' => return Ok(went_well),
                b'E' => {
                    went_well = false;
                    let report = self.translated(&Report::of(&frame));
                    self.note(entry, Err((report.code.clone(), report.message.clone())));
                    self.client.put(&report.frame());
                }
                b'C' => {
                    self.note(entry, Ok(take_text(&mut frame.body.clone())));
                    self.client.put(&frame);
                }
                _ => self.client.put(&frame),
            }
            waiting += 1;
            if waiting % QUEUE_FRAMES == 0 {
                self.client.flush().await?;
            }
        }
    }

    /// Refuses a statement in PostgreSQL's place: an open transaction fails by it as by any error.
    async fn fail(&mut self, entry: usize, report: Report) -> Result<bool, End> {
        if self.upstream.status == b'T' {
            let _ = self.upstream.ask("SELECT 1/0").await?;
        }
        self.note(entry, Err((report.code.clone(), report.message.clone())));
        self.client.put(&report.frame());
        Ok(false)
    }

    async fn copy(&mut self, entry: usize, text: &str, miscount: u64) -> Result<bool, End> {
        let statement = match copy::parse(text) {
            Ok(Some(statement)) => statement,
            Ok(None) => {
                return self.fail(entry, Report::error("0A000", "COPY from or to the client is not supported; use COPY FROM 's3://...'")).await;
            }
            Err(report) => return self.fail(entry, report).await,
        };
        let outcome = copy::run(&statement, &self.shared.options, &mut self.upstream).await?;
        let query = self.shared.queries.load(Ordering::Relaxed);
        if outcome.begun {
            self.values.last_copy_id = query;
            self.values.last_copy_count = outcome.loaded.map_or(0, |loaded| loaded + miscount);
        }
        if !outcome.errors.is_empty() {
            let recorded = async {
                let superuser = self.shared.superuser(&self.database).await?;
                errors::record(&superuser, &self.user, self.backend, query, &outcome.errors).await
            };
            recorded.await.map_err(io::Error::other)?;
        }
        if outcome.loaded.is_none() {
            let report = outcome.reports.into_iter().next().unwrap_or_else(|| Report::error("XX000", "COPY failed"));
            let report = self.translated(&report);
            return self.fail(entry, report).await;
        }
        for report in &outcome.reports {
            self.client.put(&report.frame());
        }
        // AWS's driver expects no count with a server below 8.2 (redshift_connector, core.py).
        self.client.put(&Frame::text(b'C', "COPY"));
        self.note(entry, Ok("COPY".to_owned()));
        Ok(true)
    }
}
