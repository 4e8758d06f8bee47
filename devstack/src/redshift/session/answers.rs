//! Reads PostgreSQL's answers to the extended query protocol.

use super::session_state::{Pending, Session, SessionEnd};
use crate::redshift::wire::{Frame, Report, take_text};

impl Session {
    /// Passes on a message that answers the extended protocol, or that no request asked for.
    pub(super) async fn on_upstream(&mut self, frame: &Frame) -> Result<(), SessionEnd> {
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

    /// Records which message of the extended protocol this answers.
    fn answered(&mut self, frame: &Frame) {
        match (frame.tag, self.pending.front().copied()) {
            (b'1', Some(Pending::Parse(_))) => {
                self.pending.pop_front();
            }
            (b'C' | b's' | b'I', Some(Pending::Execute(entry))) => {
                self.pending.pop_front();
                let tag = if frame.tag == b'C' { take_text(&mut frame.body.clone()) } else { String::new() };
                self.note(entry, Ok(tag));
            }
            (b'E', first) => {
                if let Some(Pending::Parse(entry) | Pending::Execute(entry)) = first {
                    let report = self.translated(&Report::of(frame));
                    self.note(entry, Err((report.code, report.message)));
                }
                while self.pending.front().is_some_and(|pending| *pending != Pending::Sync) {
                    self.pending.pop_front();
                }
                self.batch_failed = true;
            }
            (b'Z', _) => {
                if self.pending.front() == Some(&Pending::Sync) {
                    self.pending.pop_front();
                }
                self.batch_failed = false;
            }
            _ => {}
        }
    }

    /// Waits until PostgreSQL is idle, so that the stand-in can act by itself: reads every outstanding
    /// answer, and synchronises if the client has not done so yet.
    pub(super) async fn settle(&mut self) -> Result<(), SessionEnd> {
        while self.pending.contains(&Pending::Sync) {
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
                // The rest of the client's batch fails too.
                self.skipping = self.batch_failed;
                self.batch_failed = false;
                self.unsynced = false;
                self.pending.clear();
                return if self.cut_when_ready { Err(self.cut()) } else { Ok(()) };
            }
            self.on_upstream(&frame).await?;
        }
    }
}
