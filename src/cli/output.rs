//! Writes results, and nothing else, to standard output, as text or as one JSON document.
//!
//! The reader may stop early, as `head` does, and the disk may be full. Neither changes what was done, so
//! neither changes the exit status.

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

/// The destination of results, and their form.
pub(super) struct Output {
    json: bool,
    /// Whether output still arrives.
    is_read: Cell<bool>,
}

/// A result, with an error if the command could not do all that was asked.
#[derive(Serialize, JsonSchema)]
pub(super) struct Document<'a, T> {
    #[serde(flatten)]
    result: &'a T,
    /// Why the command could not do all that was asked; absent if it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<FailureJson<'a>>,
}

/// What a command prints that has no result.
#[derive(Serialize, JsonSchema)]
pub(super) struct NoResult {
    /// The version of this form.
    version: u32,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, is_read: Cell::new(true) }
    }

    /// Checks whether the result is one JSON document.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes the result of a command in its form: as text, or as one JSON document that contains the
    /// failure.
    pub(super) fn result(&self, text: &impl Display, json: &impl Serialize, failure: Option<&Failure>) {
        if self.json {
            self.document(json, failure);
        } else {
            self.text(text);
        }
    }

    /// Writes a part of a text result.
    pub(super) fn text(&self, text: &impl Display) {
        let text = text.to_string();
        self.write(|out| out.write_all(color::painted_for(&io::stdout(), &text).as_bytes()));
    }

    /// Writes the JSON document.
    pub(super) fn document(&self, result: &impl Serialize, failure: Option<&Failure>) {
        let document = Document { result, error: failure.map(Failure::json) };
        // Written step by step: there may be a hundred thousand archives in it.
        self.write(|out| {
            serde_json::to_writer_pretty(VisibleJson(&mut *out), &document)?;
            writeln!(out)
        });
    }

    /// Writes the JSON document of a command that has no result, if JSON was asked for.
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
            // Without this, dropping the writer would try again to write what could not be written.
            let _ = out.into_parts();
            written
        });
        if let Err(error) = written {
            self.is_read.set(false);
            // A closed pipe is the reader's choice; a full disk may go unnoticed.
            if error.kind() != io::ErrorKind::BrokenPipe {
                warn!("the result is not complete: cannot write to standard output: {error}");
            }
        }
    }
}

/// A writer of JSON that makes all characters visible. It gets whole texts at a time, as `serde_json` writes
/// them.
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
