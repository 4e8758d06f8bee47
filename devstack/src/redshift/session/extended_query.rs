//! Handles messages of the extended query protocol.

use std::sync::atomic::Ordering;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::session_state::{Pending, Prepared, Session, SessionEnd};
use crate::redshift::faults::Action;
use crate::redshift::sql::{self, StatementKind};
use crate::redshift::statement_log::LogEntry;
use crate::redshift::wire::{Frame, Report, put_text, take_text};

impl Session {
    pub(super) async fn pass_message(&mut self, frame: &Frame) -> Result<(), SessionEnd> {
        self.unsynced = true;
        self.upstream.send(frame).await?;
        Ok(())
    }

    /// Answers a message of the extended protocol in PostgreSQL's place, after the earlier ones.
    async fn answer(&mut self, frames: &[Frame]) -> Result<(), SessionEnd> {
        self.settle().await?;
        if !self.skipping {
            for frame in frames {
                self.client.put(frame);
            }
        }
        Ok(())
    }

    /// Refuses a message of the extended protocol: the rest of the client's batch is skipped.
    async fn refuse_message(&mut self, entry: LogEntry, report: Report) -> Result<(), SessionEnd> {
        self.settle().await?;
        if !self.skipping {
            self.refuse(entry, report).await?;
            self.skipping = true;
            self.client.flush().await?;
        }
        Ok(())
    }

    /// Handles Parse: name, text, parameter types.
    pub(super) async fn parse(&mut self, mut body: Bytes) -> Result<(), SessionEnd> {
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
        if kind == StatementKind::Copy && sql::has_parameters(&text) {
            // "No bind parameters in utility commands" (aws/amazon-redshift-odbc-driver#31, for UNLOAD).
            return self
                .refuse_message(entry, Report::error("42601", "syntax error: COPY takes no bind parameters"))
                .await;
        }
        let own = kind != StatementKind::Other;
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
        self.pending.push_back(Pending::Parse(entry));
        self.pass_message(&Frame::new(b'P', message)).await
    }

    fn is_own(&self, statement: &str) -> bool {
        self.prepared.get(statement).is_some_and(|prepared| prepared.own)
    }

    /// Handles Bind: portal, statement, format codes, parameters.
    pub(super) async fn bind(&mut self, frame: Frame) -> Result<(), SessionEnd> {
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

    /// Handles Describe: `S`tatement or `P`ortal, name.
    pub(super) async fn describe(&mut self, frame: Frame) -> Result<(), SessionEnd> {
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

    /// Handles Close: `S`tatement or `P`ortal, name.
    pub(super) async fn close(&mut self, frame: Frame) -> Result<(), SessionEnd> {
        let mut body = frame.body.clone();
        let kind = body.try_get_u8().unwrap_or(0);
        let name = take_text(&mut body);
        let own = match kind {
            b'S' => self.prepared.remove(&name).is_some_and(|prepared| prepared.own),
            _ => self.portals.remove(&name).is_some_and(|(statement, _)| self.is_own(&statement)),
        };
        if own { self.answer(&[Frame::new(b'3', Vec::new())]).await } else { self.pass_message(&frame).await }
    }

    /// Handles Execute: portal, maximum number of rows.
    pub(super) async fn execute(&mut self, frame: Frame) -> Result<(), SessionEnd> {
        let portal = take_text(&mut frame.body.clone());
        let bound = self.portals.get(&portal).cloned();
        let Some((name, parameters)) = bound.filter(|(name, _)| self.prepared.contains_key(name)) else {
            return self.pass_message(&frame).await;
        };
        let (text, entry, own) = self.execution(&name);
        self.state.log.change(entry, |statement| statement.parameters = parameters);
        if own {
            self.settle().await?;
            if !self.skipping && !self.carry_out(entry, &text).await? {
                self.skipping = true;
                self.client.flush().await?;
            }
            return Ok(());
        }
        self.state.queries.fetch_add(1, Ordering::Relaxed);
        match self.state.faults.of(&text) {
            None
            | Some(Action::SendBytes(_) | Action::Miscount(_) | Action::HideLines | Action::HideLoadErrors) =>
                {}
            Some(Action::CutBefore) => return Err(SessionEnd::Cut),
            Some(Action::CutAfter) => self.cut_when_ready = true,
            Some(Action::Refuse(code, message)) => {
                return self.refuse_message(entry, Report::error(&code, message)).await;
            }
            Some(Action::Delay(time)) => tokio::time::sleep(time).await,
            Some(Action::RunBefore(callback)) => callback(),
            Some(Action::RunInstead(callback)) => {
                callback();
                return Err(SessionEnd::Cut);
            }
            Some(Action::RunAfter(callback)) => {
                self.run_after = Some(callback);
                self.cut_when_ready = true;
            }
            Some(Action::Wait(gate)) => gate.pass().await,
            Some(Action::Silence) => return self.stay_silent().await,
        }
        self.pending.push_back(Pending::Execute(entry));
        self.pass_message(&frame).await
    }

    /// Returns the text and the log entry of one execution of a prepared statement, and whether the stand-in
    /// carries it out.
    fn execution(&mut self, name: &str) -> (String, LogEntry, bool) {
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
}
