//! Standard output: results and nothing else, as text or as one JSON document.
//!
//! Whoever reads may have seen enough, as `head` has, and a disk may be full: neither changes what was done, and so neither
//! changes the exit status.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use cmslite_core::text::visible_json;
use schemars::JsonSchema;
use serde::Serialize;
use tracing::warn;

use super::failure::{Failure, FailureJson};
use super::{color, progress_bar};
use crate::report::FORMAT_VERSION;

/// Where results go, and in which form.
pub(super) struct Output {
    json: bool,
    /// Whether what is written still arrives.
    is_read: Cell<bool>,
}

/// A result, and an error where the command could not do all that was asked.
#[derive(Serialize, JsonSchema)]
pub(super) struct Document<'a, T> {
    #[serde(flatten)]
    result: &'a T,
    /// Why the command could not do all that was asked; absent where it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<FailureJson<'a>>,
}

/// What a command prints that has no result.
#[derive(Serialize, JsonSchema)]
pub(super) struct NoResult {
    /// Version of this form.
    version: u32,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, is_read: Cell::new(true) }
    }

    /// Whether the result is one JSON document.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes the result of a command in its form: as text, or as its one JSON document with the failure in it.
    pub(super) fn result(&self, text: &impl Display, json: &impl Serialize, failure: Option<&Failure>) {
        if self.json {
            self.document(json, failure);
        } else {
            self.text(text);
        }
    }

    /// Writes a part of a result that is text.
    pub(super) fn text(&self, text: &impl Display) {
        let text = text.to_string();
        self.write(|out| out.write_all(color::painted_for(&io::stdout(), &text).as_bytes()));
    }

    /// Writes the one JSON document.
    pub(super) fn document(&self, result: &impl Serialize, failure: Option<&Failure>) {
        let document = Document { result, error: failure.map(Failure::json) };
        // As it goes: there may be a hundred thousand archives in it.
        self.write(|out| {
            serde_json::to_writer_pretty(VisibleJson(&mut *out), &document)?;
            writeln!(out)
        });
    }

    /// Writes the one JSON document of a command that has no result, where it is to be JSON.
    pub(super) fn no_result(&self, failure: &Failure) {
        if self.json {
            self.document(&NoResult { version: FORMAT_VERSION }, Some(failure));
        }
    }

    fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if !self.is_read.get() {
            return;
        }
        let written = progress_bar::above(|| {
            let mut out = BufWriter::new(io::stdout().lock());
            let written = write(&mut out).and_then(|()| out.flush());
            // What could not be written is not tried again when this is dropped.
            let _ = out.into_parts();
            written
        });
        if let Err(error) = written {
            self.is_read.set(false);
            // A reader that has gone knows it; that a disk is full nobody may have seen.
            if error.kind() != io::ErrorKind::BrokenPipe {
                warn!("the result is not complete: cannot write to standard output: {error}");
            }
        }
    }
}

/// Writes JSON on, in characters that can be seen. What it is handed at a time is whole text, as `serde_json` does.
struct VisibleJson<W>(W);

impl<W: Write> Write for VisibleJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_all(visible_json(text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
