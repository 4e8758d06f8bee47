//! Begins a session, and handles its messages in order.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf as _, BytesMut};
use tokio::net::TcpStream;

use super::session_state::{Pending, Session, SessionEnd};
use crate::redshift::faults::Action;
use crate::redshift::login::{self, Login};
use crate::redshift::sql::SessionValues;
use crate::redshift::state::State;
use crate::redshift::upstream::Upstream;
use crate::redshift::wire::{Frame, Report, put_text, take_text};

/// Serves one connection.
pub(crate) async fn serve(mut stream: TcpStream, state: Arc<State>) -> io::Result<()> {
    match state.faults.of_connection() {
        None => {}
        Some(Action::Wait(gate)) => gate.pass().await,
        // The only other action for a connection is silence.
        Some(_) => return tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop),
    }
    let Some(Login { mut client, user, database, settings }) = login::accept(stream, &state).await? else {
        return Ok(());
    };
    match state.prepare(&database).await {
        Ok(()) => {}
        // PostgreSQL refuses a missing database when the session connects below.
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
    let mut upstream = Upstream::connect(&state.postgres_socket(), &user, &database, &settings).await?;
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
    let number = state.sessions.fetch_add(1, Ordering::Relaxed) + 1;
    let values = SessionValues { last_copy_id: -1, last_copy_count: 0, isolation: state.options.isolation };
    let session = Session {
        state,
        client,
        upstream,
        number,
        user,
        database,
        backend,
        values,
        pending: VecDeque::new(),
        unsynced: false,
        batch_failed: false,
        skipping: false,
        cut_when_ready: false,
        run_after: None,
        prepared: HashMap::new(),
        portals: HashMap::new(),
    };
    match Box::pin(session.run()).await {
        Ok(()) | Err(SessionEnd::Cut) => Ok(()),
        Err(SessionEnd::Io(error)) => Err(error),
    }
}

/// Replaces `server_version` with Redshift's (`r_VERSION.md`).
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
    async fn run(mut self) -> Result<(), SessionEnd> {
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

    /// Handles one message; returns false when the client ends the session.
    async fn on_client(&mut self, frame: Frame) -> Result<bool, SessionEnd> {
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
                self.pending.push_back(Pending::Sync);
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
}
