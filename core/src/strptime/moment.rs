//! Defines a moment and writes it.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate};

/// A moment as its parts, ready to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) date: NaiveDate,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) microsecond: u32,
    pub(super) offset: Option<Offset>,
}

/// An offset from UTC, as `%z` reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) seconds: i32,
}

impl Moment {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut text = format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            self.date.year(),
            self.date.month(),
            self.date.day(),
            self.hour,
            self.minute,
            self.second
        );
        if self.microsecond != 0 {
            let _ = write!(text, ".{:06}", self.microsecond);
        }
        if let Some(offset) = self.offset {
            let sign = if offset.seconds < 0 { '-' } else { '+' };
            let seconds = offset.seconds.abs();
            let _ = write!(text, "{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
        }
        out.extend_from_slice(text.as_bytes());
    }
}
