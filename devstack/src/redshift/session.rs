//! A session: the client on one side, PostgreSQL on the other, and what the front does in between.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::net::TcpStream;

use super::faults::Action;
use super::log::{Entry, Statement};
use super::login::{self, Login};
use super::sql::{self, Kind, Values};
use super::upstream::Upstream;
use super::wire::{Frame, Framed, Report, put_text, take_text};
use super::{Isolation, Shared, copy, errors};

/// Messages for the client that wait before they are sent.
const QUEUE_FRAMES: usize = 256;

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

/// A message of the extended protocol that PostgreSQL has yet to answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Parse(Entry),
    Execute(Entry),
    Sync,
}

/// A prepared statement.
#[derive(Clone)]
struct Prepared {
    text: String,
    entry: Entry,
    /// Whether its entry in the log stands for an execution already.
    executed: bool,
    /// Whether the front carries it out, and PostgreSQL knows nothing of it.
    own: bool,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a state of the protocol, and they are independent"
)]
struct Session {
    shared: Arc<Shared>,
    client: Framed,
    upstream: Upstream,
    number: u64,
    user: String,
    database: String,
    backend: i64,
    values: Values,
    asked: VecDeque<Asked>,
    /// Whether PostgreSQL has got messages of the extended protocol since the last synchronisation.
    unsynced: bool,
    /// Whether PostgreSQL skips the extended protocol's messages up to the next synchronisation.
    batch_failed: bool,
    /// Whether the front does.
    skipping: bool,
    /// Whether the connection breaks when what runs has ended.
    cut_when_ready: bool,
    /// What happens just before it does.
    then: Option<Arc<dyn Fn() + Send + Sync>>,
    prepared: HashMap<String, Prepared>,
    /// Portals: their statements, and how many parameters they bind.
    portals: HashMap<String, (String, usize)>,
}

/// Serves one connection.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let Some(Login { mut client, user, database, settings }) = login::accept(stream, &shared).await? else {
        return Ok(());
    };
    match shared.prepare(&database).await {
        Ok(()) => {}
        // A database that is not there is PostgreSQL's to refuse.
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_DATABASE) => {}
        Err(error) => {
            return client
                .send(
                    &Report::fatal("XX000", format!("the stand-in cannot prepare the database: {error}"))
                        .frame(),
                )
                .await;
        }
    }
    let mut upstream = Upstream::connect(&shared.postgres_socket(), &user, &database, &settings).await?;
    let mut backend = 0;
    loop {
        let frame = upstream.next().await?;
        match frame.tag {
            b'Z' => break,
            b'E' => return client.send(&frame).await,
            b'K' if frame.body.len() >= 4 => {
                backend = i64::from(frame.body.clone().get_i32());
                client.put(&frame);
            }
            b'S' => client.put(&server_parameter(frame)),
            _ => client.put(&frame),
        }
    }
    client.send(&Frame::ready(b'I')).await?;
    let number = shared.sessions.fetch_add(1, Ordering::Relaxed) + 1;
    let values = Values { last_copy_id: -1, last_copy_count: 0, isolation: shared.options.isolation };
    let session = Session {
        shared,
        client,
        upstream,
        number,
        user,
        database,
        backend,
        values,
        asked: VecDeque::new(),
        unsynced: false,
        batch_failed: false,
        skipping: false,
        cut_when_ready: false,
        then: None,
        prepared: HashMap::new(),
        portals: HashMap::new(),
    };
    match Box::pin(session.run()).await {
        Ok(()) | Err(End::Cut) => Ok(()),
        Err(End::Io(error)) => Err(error),
    }
}

/// `server_version` as Redshift's (`r_VERSION.md`).
fn server_parameter(frame: Frame) -> Frame {
    let name = take_text(&mut frame.body.clone());
    if name != "server_version" {
        return frame;
    }
    let mut body = BytesMut::new();
    put_text(&mut body, &name);
    put_text(&mut body, "8.0.2");
    Frame::new(b'S', body)
}

impl Session {
    async fn run(mut self) -> Result<(), End> {
        loop {
            tokio::select! {
                message = self.client.next() => match message? {
                    None => return Ok(()),
                    Some(frame) => if !self.on_client(frame).await? {
                        return Ok(());
                    },
                },
                message = self.upstream.next() => self.on_upstream(&message?).await?,
            }
        }
    }

    /// Hands on a message that answers the extended protocol, or that nobody asked for.
    async fn on_upstream(&mut self, frame: &Frame) -> Result<(), End> {
        self.answered(frame);
        if frame.tag == b'Z' && self.cut_when_ready {
            return Err(self.cut());
        }
        if self.cut_when_ready {
            return Ok(());
        }
        if frame.tag == b'E' {
            self.put_error(frame);
        } else {
            self.client.put(frame);
        }
        if !self.upstream.has_next() {
            self.client.flush().await?;
        }
        Ok(())
    }

    fn cut(&mut self) -> End {
        if let Some(act) = self.then.take() {
            act();
        }
        End::Cut
    }

    /// Keeps the books: which message of the extended protocol this answers.
    fn answered(&mut self, frame: &Frame) {
        match (frame.tag, self.asked.front().copied()) {
            (b'1', Some(Asked::Parse(_))) => {
                self.asked.pop_front();
            }
            (b'C' | b's' | b'I', Some(Asked::Execute(entry))) => {
                self.asked.pop_front();
                let tag = if frame.tag == b'C' { take_text(&mut frame.body.clone()) } else { String::new() };
                self.note(entry, Ok(tag));
            }
            (b'E', first) => {
                if let Some(Asked::Parse(entry) | Asked::Execute(entry)) = first {
                    let report = self.translated(&Report::of(frame));
                    self.note(entry, Err((report.code, report.message)));
                }
                while self.asked.front().is_some_and(|asked| *asked != Asked::Sync) {
                    self.asked.pop_front();
                }
                self.batch_failed = true;
            }
            (b'Z', _) => {
                if self.asked.front() == Some(&Asked::Sync) {
                    self.asked.pop_front();
                }
                self.batch_failed = false;
            }
            _ => {}
        }
    }

    /// Brings PostgreSQL to rest, so that the front can act by itself: reads every answer that is due, and
    /// synchronises if the client has not done so yet.
    async fn settle(&mut self) -> Result<(), End> {
        while self.asked.contains(&Asked::Sync) {
            let frame = self.upstream.next().await?;
            self.on_upstream(&frame).await?;
        }
        if !self.unsynced {
            return Ok(());
        }
        self.upstream.send(&Frame::new(b'S', Vec::new())).await?;
        loop {
            let frame = self.upstream.next().await?;
            if frame.tag == b'Z' {
                // The rest of the client's batch fails with what failed in it.
                self.skipping = self.batch_failed;
                self.batch_failed = false;
                self.unsynced = false;
                self.asked.clear();
                return if self.cut_when_ready { Err(self.cut()) } else { Ok(()) };
            }
            self.on_upstream(&frame).await?;
        }
    }

    /// Handles one message; false at the client's farewell.
    async fn on_client(&mut self, frame: Frame) -> Result<bool, End> {
        match frame.tag {
            b'X' => return Ok(false),
            b'Q' => {
                // A driver may send the next query before it has read the answer to its last synchronisation.
                self.settle().await?;
                self.skipping = false;
                let text = take_text(&mut frame.body.clone());
                self.query(&text).await?;
            }
            b'S' if self.skipping => {
                self.skipping = false;
                self.client.send(&Frame::ready(self.upstream.status())).await?;
            }
            _ if self.skipping => {}
            b'S' => {
                self.asked.push_back(Asked::Sync);
                self.unsynced = false;
                self.upstream.send(&frame).await?;
            }
            b'P' => self.parse(frame.body).await?,
            b'B' => self.bind(frame).await?,
            b'D' => self.describe(frame).await?,
            b'E' => self.execute(frame).await?,
            b'C' => self.close(frame).await?,
            b'H' => {
                self.client.flush().await?;
                self.pass_message(&frame).await?;
            }
            _ => self.pass_message(&frame).await?,
        }
        Ok(true)
    }

    async fn pass_message(&mut self, frame: &Frame) -> Result<(), End> {
        self.unsynced = true;
        self.upstream.send(frame).await?;
        Ok(())
    }

    /// Answers a message of the extended protocol in PostgreSQL's place, after what came before it.
    async fn answer(&mut self, frames: &[Frame]) -> Result<(), End> {
        self.settle().await?;
        if !self.skipping {
            for frame in frames {
                self.client.put(frame);
            }
        }
        Ok(())
    }

    /// Refuses a message of the extended protocol: the rest of the client's batch is skipped.
    async fn refuse_message(&mut self, entry: Entry, report: Report) -> Result<(), End> {
        self.settle().await?;
        if !self.skipping {
            self.refuse(entry, report).await?;
            self.skipping = true;
            self.client.flush().await?;
        }
        Ok(())
    }

    /// Parse: name, text, parameter types.
    async fn parse(&mut self, mut body: Bytes) -> Result<(), End> {
        let name = take_text(&mut body);
        let text = take_text(&mut body);
        let entry = self.log(&text, true);
        let kind = sql::kind(&text);
        if sql::split(&text).len() > 1 {
            // aws/amazon-redshift-python-driver#21
            return self
                .refuse_message(
                    entry,
                    Report::error("42601", "cannot insert multiple commands into a prepared statement"),
                )
                .await;
        }
        if kind == Kind::Copy && sql::has_parameters(&text) {
            // "No bind parameters in utility commands" (aws/amazon-redshift-odbc-driver#31, for UNLOAD).
            return self
                .refuse_message(entry, Report::error("42601", "syntax error: COPY takes no bind parameters"))
                .await;
        }
        let own = kind != Kind::Other;
        let translated = if own { Ok(String::new()) } else { sql::translate(&text, &self.values) };
        let translated = match translated {
            Ok(translated) => translated,
            Err(report) => return self.refuse_message(entry, report).await,
        };
        self.prepared.insert(name.clone(), Prepared { text, entry, executed: false, own });
        if own {
            return self.answer(&[Frame::new(b'1', Vec::new())]).await;
        }
        let mut message = BytesMut::new();
        put_text(&mut message, &name);
        put_text(&mut message, &translated);
        message.put_slice(&body);
        self.asked.push_back(Asked::Parse(entry));
        self.pass_message(&Frame::new(b'P', message)).await
    }

    fn is_own(&self, statement: &str) -> bool {
        self.prepared.get(statement).is_some_and(|prepared| prepared.own)
    }

    /// Bind: portal, statement, format codes, parameters.
    async fn bind(&mut self, frame: Frame) -> Result<(), End> {
        let mut body = frame.body.clone();
        let portal = take_text(&mut body);
        let name = take_text(&mut body);
        let formats = usize::from(body.try_get_u16().unwrap_or(0));
        body.advance((formats * 2).min(body.remaining()));
        let parameters = usize::from(body.try_get_u16().unwrap_or(0));
        self.portals.insert(portal, (name.clone(), parameters));
        if self.is_own(&name) {
            self.answer(&[Frame::new(b'2', Vec::new())]).await
        } else {
            self.pass_message(&frame).await
        }
    }

    /// Describe: `S`tatement or `P`ortal, name.
    async fn describe(&mut self, frame: Frame) -> Result<(), End> {
        let no_data = Frame::new(b'n', Vec::new());
        let mut body = frame.body.clone();
        let kind = body.try_get_u8().unwrap_or(0);
        let name = take_text(&mut body);
        match kind {
            b'S' if self.is_own(&name) => self.answer(&[Frame::new(b't', vec![0, 0]), no_data]).await,
            b'P' if self.portals.get(&name).is_some_and(|(statement, _)| self.is_own(statement)) => {
                self.answer(&[no_data]).await
            }
            _ => self.pass_message(&frame).await,
        }
    }

    /// Close: `S`tatement or `P`ortal, name.
    async fn close(&mut self, frame: Frame) -> Result<(), End> {
        let mut body = frame.body.clone();
        let kind = body.try_get_u8().unwrap_or(0);
        let name = take_text(&mut body);
        let own = match kind {
            b'S' => self.prepared.remove(&name).is_some_and(|prepared| prepared.own),
            _ => self.portals.remove(&name).is_some_and(|(statement, _)| self.is_own(&statement)),
        };
        if own { self.answer(&[Frame::new(b'3', Vec::new())]).await } else { self.pass_message(&frame).await }
    }

    /// Execute: portal, most rows.
    async fn execute(&mut self, frame: Frame) -> Result<(), End> {
        let portal = take_text(&mut frame.body.clone());
        let bound = self.portals.get(&portal).cloned();
        let Some((name, parameters)) = bound.filter(|(name, _)| self.prepared.contains_key(name)) else {
            return self.pass_message(&frame).await;
        };
        let (text, entry, own) = self.execution(&name);
        self.shared.log.change(entry, |statement| statement.parameters = parameters);
        if own {
            self.settle().await?;
            if !self.skipping && !self.carry_out(entry, &text).await? {
                self.skipping = true;
                self.client.flush().await?;
            }
            return Ok(());
        }
        self.shared.queries.fetch_add(1, Ordering::Relaxed);
        match self.shared.faults.of(&text) {
            None | Some(Action::Miscount(_)) => {}
            Some(Action::CutBefore) => return Err(End::Cut),
            Some(Action::CutAfter) => self.cut_when_ready = true,
            Some(Action::Refuse(code, message)) => {
                return self.refuse_message(entry, Report::error(&code, message)).await;
            }
            Some(Action::Delay(time)) => tokio::time::sleep(time).await,
            Some(Action::First(act)) => act(),
            Some(Action::Instead(act)) => {
                act();
                return Err(End::Cut);
            }
            Some(Action::Then(act)) => {
                self.then = Some(act);
                self.cut_when_ready = true;
            }
            Some(Action::Wait(gate)) => gate.pass().await,
        }
        self.asked.push_back(Asked::Execute(entry));
        self.pass_message(&frame).await
    }

    /// Text and log entry of one execution of a prepared statement, and whether the front carries it out.
    fn execution(&mut self, name: &str) -> (String, Entry, bool) {
        let Some(mut prepared) = self.prepared.get(name).cloned() else {
            return (String::new(), self.log("", true), false);
        };
        if prepared.executed {
            prepared.entry = self.log(&prepared.text, true);
        } else if let Some(prepared) = self.prepared.get_mut(name) {
            prepared.executed = true;
        }
        (prepared.text, prepared.entry, prepared.own)
    }

    fn log(&self, text: &str, extended: bool) -> Entry {
        self.shared.log.add(Statement {
            session: self.number,
            user: self.user.clone(),
            database: self.database.clone(),
            sql: text.to_owned(),
            extended,
            parameters: 0,
            at: Instant::now(),
            outcome: None,
        })
    }

    fn note(&self, entry: Entry, outcome: Result<String, (String, String)>) {
        self.shared.log.change(entry, |statement| statement.outcome = Some(outcome));
    }

    /// PostgreSQL's errors in Redshift's words.
    fn translated(&self, report: &Report) -> Report {
        match (report.code.as_str(), self.shared.options.isolation) {
            // aws/aws-sdk-pandas#665: the message is "1023", the SQLSTATE XX000; DETAIL as
            // c_serial_isolation.md has it.
            ("40001", Isolation::Serializable) => Report::error("XX000", "1023")
                .with_detail("Serializable isolation violation on table - 1, transactions forming the cycle are: 1, 2 (pid:1)"),
            // amazon-redshift-jdbc-driver#147
            ("40001", Isolation::Snapshot) => Report::error("XX000", "could not complete because of conflict with concurrent transaction"),
            // r_statement_timeout.md
            ("57014", _) => Report::error("57014", format!("Query ({}) canceled on user's request", self.shared.queries.load(Ordering::Relaxed))),
            _ => report.clone(),
        }
    }

    /// Queues PostgreSQL's error for the client; with all that it says, unless Redshift words it otherwise.
    fn put_error(&mut self, frame: &Frame) -> Report {
        let report = Report::of(frame);
        let translated = self.translated(&report);
        let reworded = (translated != report).then(|| translated.frame());
        self.client.put(reworded.as_ref().unwrap_or(frame));
        translated
    }

    /// A query of the simple protocol. Each of its statements stands for itself unless BEGIN is among them:
    /// whether Redshift takes them as one transaction is not documented.
    async fn query(&mut self, text: &str) -> Result<(), End> {
        let statements = sql::split(text);
        if statements.is_empty() {
            self.client.put(&Frame::new(b'I', Vec::new()));
        }
        for statement in statements {
            let entry = self.log(&statement, false);
            if !self.carry_out(entry, &statement).await? {
                break;
            }
        }
        self.client.send(&Frame::ready(self.upstream.status())).await?;
        Ok(())
    }

    /// Carries one statement out; false if it failed.
    async fn carry_out(&mut self, entry: Entry, text: &str) -> Result<bool, End> {
        self.shared.queries.fetch_add(1, Ordering::Relaxed);
        let mut cut_after = false;
        let mut then = None;
        let mut miscount = 0;
        match self.shared.faults.of(text) {
            None => {}
            Some(Action::CutBefore) => return Err(End::Cut),
            Some(Action::CutAfter) => cut_after = true,
            Some(Action::Refuse(code, message)) => {
                return self.refuse(entry, Report::error(&code, message)).await;
            }
            Some(Action::Delay(time)) => tokio::time::sleep(time).await,
            Some(Action::First(act)) => act(),
            Some(Action::Instead(act)) => {
                act();
                return Err(End::Cut);
            }
            Some(Action::Then(act)) => then = Some(act),
            Some(Action::Wait(gate)) => gate.pass().await,
            Some(Action::Miscount(more)) => miscount = more,
        }
        let went_well = match sql::kind(text) {
            Kind::Copy => self.copy(entry, text, miscount).await?,
            Kind::Truncate => {
                let went_well = self.pass_on(entry, text).await?;
                // "TRUNCATE commits the transaction in which it is run" (r_TRUNCATE.md).
                if went_well && self.upstream.status() == b'T' {
                    let _ = self.upstream.ask("COMMIT").await?;
                }
                went_well
            }
            Kind::Other => match sql::translate(text, &self.values) {
                Ok(translated) => self.pass_on(entry, &translated).await?,
                Err(report) => self.refuse(entry, report).await?,
            },
        };
        if let Some(act) = then {
            act();
            cut_after = true;
        }
        if cut_after { Err(End::Cut) } else { Ok(went_well) }
    }

    /// Hands a statement to PostgreSQL and its answer to the client, but for the end of the query.
    async fn pass_on(&mut self, entry: Entry, text: &str) -> Result<bool, End> {
        self.upstream.send(&Frame::text(b'Q', text)).await?;
        let mut went_well = true;
        let mut waiting = 0;
        loop {
            let frame = self.upstream.next().await?;
            match frame.tag {
                b'Z' => return Ok(went_well),
                b'E' => {
                    went_well = false;
                    let report = self.put_error(&frame);
                    self.note(entry, Err((report.code, report.message)));
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

    /// Refuses a statement before anything of it is done. In a transaction that has failed already it meets
    /// the same answer as every statement there.
    async fn refuse(&mut self, entry: Entry, report: Report) -> Result<bool, End> {
        let report = match self.upstream.status() {
            b'E' => Report::error(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            ),
            _ => report,
        };
        self.fail(entry, &report).await
    }

    /// Tells the client that a statement failed: an open transaction fails by it as by any error.
    async fn fail(&mut self, entry: Entry, report: &Report) -> Result<bool, End> {
        if self.upstream.status() == b'T' {
            let _ = self.upstream.ask("SELECT 1/0").await?;
        }
        self.note(entry, Err((report.code.clone(), report.message.clone())));
        self.client.put(&report.frame());
        Ok(false)
    }

    async fn copy(&mut self, entry: Entry, text: &str, miscount: u64) -> Result<bool, End> {
        let statement = match copy::parse(text) {
            Ok(statement) if self.upstream.status() != b'E' => statement,
            Ok(_) => return self.refuse(entry, Report::error("25P02", "")).await,
            Err(report) => return self.refuse(entry, report).await,
        };
        let Some(statement) = statement else {
            return self
                .refuse(
                    entry,
                    Report::error(
                        "0A000",
                        "COPY from or to the client is not supported; use COPY FROM 's3://...'",
                    ),
                )
                .await;
        };
        let outcome = copy::run(&statement, &self.shared.options, &mut self.upstream).await?;
        let query = self.shared.queries.load(Ordering::Relaxed);
        if outcome.begun {
            self.values.last_copy_id = query;
            self.values.last_copy_count = outcome.result.as_ref().map_or(0, |loaded| loaded.rows + miscount);
        }
        if !outcome.errors.is_empty() {
            let recorded = async {
                let superuser = self.shared.superuser(&self.database).await?;
                errors::record(&superuser, &self.user, self.backend, query, &outcome.errors).await
            };
            recorded.await.map_err(io::Error::other)?;
        }
        match outcome.result {
            Err(report) => {
                let report = self.translated(&report);
                self.fail(entry, &report).await
            }
            Ok(loaded) => {
                for notice in &loaded.notices {
                    self.client.put(&notice.frame());
                }
                // AWS's driver expects no count with a server below 8.2 (redshift_connector, core.py).
                self.client.put(&Frame::text(b'C', "COPY"));
                self.note(entry, Ok("COPY".to_owned()));
                Ok(true)
            }
        }
    }
}
