//! Handles one statement, through either protocol.

use std::io;
use std::sync::atomic::Ordering;

use super::session_state::{Session, SessionEnd};
use crate::redshift::copy::{self, Outcome};
use crate::redshift::faults::Action;
use crate::redshift::sql::{self, StatementKind};
use crate::redshift::statement_log::LogEntry;
use crate::redshift::system_tables::{self, UNKNOWN_LINE};
use crate::redshift::wire::{Frame, Report, take_text};

/// The number of messages for the client that are queued before they are sent.
const QUEUE_FRAMES: usize = 256;

impl Session {
    /// Carries one statement out; returns false if it failed.
    pub(super) async fn carry_out(&mut self, entry: LogEntry, text: &str) -> Result<bool, SessionEnd> {
        self.state.queries.fetch_add(1, Ordering::Relaxed);
        let mut cut_after = false;
        let mut run_after = None;
        let mut change: fn(&mut Outcome) = |_| {};
        let mut miscount = 0;
        match self.state.faults.of(text) {
            None | Some(Action::SendBytes(_)) => {}
            Some(Action::CutBefore) => return Err(SessionEnd::Cut),
            Some(Action::CutAfter) => cut_after = true,
            Some(Action::Refuse(code, message)) => {
                return self.refuse(entry, Report::error(&code, message)).await;
            }
            Some(Action::Delay(time)) => tokio::time::sleep(time).await,
            Some(Action::RunBefore(callback)) => callback(),
            Some(Action::RunInstead(callback)) => {
                callback();
                return Err(SessionEnd::Cut);
            }
            Some(Action::RunAfter(callback)) => run_after = Some(callback),
            Some(Action::Wait(gate)) => gate.pass().await,
            Some(Action::Silence) => return self.stay_silent().await,
            Some(Action::Miscount(more)) => miscount = more,
            Some(Action::HideLines) => {
                change = |outcome| outcome.errors.iter_mut().for_each(|error| error.line = UNKNOWN_LINE);
            }
            Some(Action::HideLoadErrors) => change = |outcome| outcome.errors.clear(),
        }
        let went_well = match sql::kind(text) {
            StatementKind::Copy => self.copy(entry, text, miscount, change).await?,
            StatementKind::Truncate => {
                let went_well = self.pass_on(entry, text).await?;
                // "TRUNCATE commits the transaction in which it is run" (r_TRUNCATE.md).
                if went_well && self.upstream.status() == b'T' {
                    let _ = self.upstream.ask("COMMIT").await?;
                }
                went_well
            }
            StatementKind::Other => match sql::translate(text, &self.values) {
                Ok(translated) => self.pass_on(entry, &translated).await?,
                Err(report) => self.refuse(entry, report).await?,
            },
        };
        if let Some(callback) = run_after {
            callback();
            cut_after = true;
        }
        if cut_after { Err(SessionEnd::Cut) } else { Ok(went_well) }
    }

    /// Passes a statement to PostgreSQL and its answer to the client, except for the end of the query.
    async fn pass_on(&mut self, entry: LogEntry, text: &str) -> Result<bool, SessionEnd> {
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

    /// Carries a COPY out. A fault may change its result: the number of rows counted, and its load errors.
    async fn copy(
        &mut self,
        entry: LogEntry,
        text: &str,
        miscount: u64,
        change: fn(&mut Outcome),
    ) -> Result<bool, SessionEnd> {
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
        let mut outcome = copy::run(&statement, &self.state.options, &mut self.upstream).await?;
        change(&mut outcome);
        let query = self.state.queries.load(Ordering::Relaxed);
        if outcome.begun {
            self.values.last_copy_id = query;
            self.values.last_copy_count = outcome.result.as_ref().map_or(0, |loaded| loaded.rows + miscount);
        }
        if !outcome.errors.is_empty() {
            let recorded = async {
                let superuser = self.state.superuser(&self.database).await?;
                system_tables::record(&superuser, &self.user, self.backend, query, &outcome.errors).await
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
                // AWS's driver expects no count from a server before 8.2 (redshift_connector, core.py).
                self.client.put(&Frame::text(b'C', "COPY"));
                self.note(entry, Ok("COPY".to_owned()));
                Ok(true)
            }
        }
    }
}
