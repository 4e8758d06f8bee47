//! Writes a report as text for a person.

use std::fmt::{self, Write as _};

use cmslite_core::problem::problem_lines;
use cmslite_core::text::{one_line, seconds};
use cmslite_core::transform::DroppedColumns;

use super::{
    AcceptedShrink, BadArchive, GoodArchive, GoodOutcome, IncompleteMarker, LoadedTable, PassedOverObject,
    PhaseSeconds, Report, Section, TableEmptied,
};
use crate::redshift::LedgerRow;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Report: {} (s3://{})", self.dataset, self.bucket)?;
        match (&self.failure, self.not_processed.split_first()) {
            // The archives after this one wait until someone acts: this must be easy to see.
            (Some(failure), Some((first, behind))) if failure.lasts() => {
                let (error_type, behind) = (failure.error_type, behind.len());
                writeln!(f, ", STOPPED at {first} by {error_type}; archives after it: {behind}")?;
            }
            _ => writeln!(f)?,
        }
        writeln!(f, "  Objects found:      {}", self.objects_found)?;
        writeln!(f, "  Objects processed:  {}", self.objects_processed())?;
        writeln!(f, "  Objects failed:     {}", self.objects_failed())?;
        writeln!(f, "  Objects good:       {}", self.good.len())?;
        writeln!(f, "  Objects bad:        {}", self.bad.len())?;
        writeln!(f, "  Tables loaded:      {}", self.loaded_tables.len())?;
        writeln!(f, "  Rows, bytes:        {}, {}", self.rows(), self.bytes)?;
        let PhaseSeconds { queue, stage, load, settle } = self.seconds;
        writeln!(
            f,
            "  Seconds:            queue {queue:.3}, stage {stage:.3}, load {load:.3}, settle {settle:.3}"
        )?;
        list(f, "Good", self.good.iter().map(GoodArchive::text))?;
        let lines: Vec<String> = self.good.iter().filter_map(GoodArchive::loaded_twice).collect();
        list(
            f,
            "WARNING: the same bytes were loaded before under another key, and are now loaded twice",
            lines.iter(),
        )?;
        list(f, "Bad", self.bad.iter().map(BadArchive::text))?;
        list(f, "Not processed", self.not_processed.iter())?;
        list(
            f,
            "Left to the container task, with the archives after it",
            self.left_to_task.as_slice().iter(),
        )?;
        list(f, "Settled by another run", self.settled_meanwhile.iter())?;
        Section { further: self.superseded_further, ..superseded() }.write(f, self.superseded.iter())?;
        list(f, "WARNING: not archives because of their keys: rename them", self.unusable_keys.iter())?;
        list(f, "Tables loaded", self.loaded_tables.iter().map(LoadedTable::text))?;
        list(f, "Tables failed", self.failed_tables.iter())?;
        let emptied = |table: &TableEmptied| {
            format!("{}: no rows in {}, {} before", table.table, table.key, table.rows_before)
        };
        list(f, "WARNING: tables emptied", self.emptied_tables.iter().map(emptied))?;
        let accepted = |shrink: &AcceptedShrink| {
            let AcceptedShrink { table, key, code, rows, expected } = shrink;
            format!("{table}: {rows} rows in {key}, {expected} expected ({code})")
        };
        list(f, "Too few rows, accepted by request", self.accepted_shrinks.iter().map(accepted))?;
        let incomplete =
            |IncompleteMarker { key, lacks }: &IncompleteMarker| format!("{key}: {}", lacks.join("; "));
        list(
            f,
            "WARNING: markers that lack something of their archives",
            self.incomplete_markers.iter().map(incomplete),
        )?;
        if let Some(failure) = &self.failure {
            writeln!(f, "  Ended early: {}: {}", failure.error_type, failure.message)?;
        }
        Ok(())
    }
}

impl fmt::Display for PassedOverObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key, self.why)
    }
}

impl GoodArchive {
    fn text(&self) -> String {
        let Self { key, etag, outcome, rows, loaded_before } = self;
        let when = |before: &LedgerRow| seconds(before.loaded_at);
        match (outcome, loaded_before) {
            (GoodOutcome::Loaded, _) => format!("{key}: {rows} rows"),
            (GoodOutcome::AlreadyLoaded, Some(before)) if before.key == *key && before.etag != *etag => {
                format!(
                    "{key}: already loaded, the same bytes at {} (ETag {}); now settled",
                    when(before),
                    one_line(&before.etag)
                )
            }
            (GoodOutcome::AlreadyLoaded, Some(before)) if before.key == *key => {
                format!("{key}: already loaded at {}, now settled", when(before))
            }
            (GoodOutcome::AlreadyLoaded, _) => format!("{key}: already loaded, now settled"),
            (GoodOutcome::Repeated, Some(before)) => {
                format!("{key}: not loaded, the same bytes were loaded at {} as {}", when(before), before.key)
            }
            (GoodOutcome::Repeated, None) => {
                format!("{key}: not loaded, the same bytes were loaded under another key")
            }
        }
    }

    fn loaded_twice(&self) -> Option<String> {
        let before = self.loaded_before.as_ref().filter(|before| before.key != self.key)?;
        if self.outcome == GoodOutcome::Repeated {
            return None;
        }
        let at = seconds(before.loaded_at);
        Some(format!("{}: as {}, loaded {at}", self.key, before.key))
    }
}

impl LoadedTable {
    fn text(&self) -> String {
        let mut text = format!("{}: {} rows", self.table, self.rows);
        for part in self.left_out() {
            let _ = write!(text, "; {part}");
        }
        text
    }

    /// Returns what was left out of the member, if anything was.
    pub fn notes(&self) -> Option<String> {
        let parts: Vec<String> = self.left_out().collect();
        (!parts.is_empty()).then(|| format!("{}: {}", self.table, parts.join("; ")))
    }

    fn left_out(&self) -> impl Iterator<Item = String> {
        let DroppedColumns { count, names } = &self.dropped_columns;
        let dropped = (*count > 0).then(|| {
            let more = count - names.len();
            let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
            match names.as_slice() {
                [] => format!("{count} columns not loaded"),
                names => format!("{count} columns not loaded: {}{and_more}", names.join(", ")),
            }
        });
        let empty =
            (self.empty_rows > 0).then(|| format!("{} rows of empty cells left out", self.empty_rows));
        dropped.into_iter().chain(empty)
    }
}

impl BadArchive {
    /// Returns the key and the problems, a line each.
    pub fn text(&self) -> String {
        let mut text = self.key.to_string();
        for line in problem_lines(&self.problems, self.problems_found, self.incomplete.as_deref()) {
            let _ = write!(text, "\n      {line}");
        }
        text
    }
}

fn list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    elements: impl ExactSizeIterator<Item = T>,
) -> fmt::Result {
    Section::new(title, "--json").write(f, elements)
}

/// Returns the section of superseded archives, for runs and dry runs.
pub fn superseded() -> Section<'static> {
    Section::new("Superseded by a newer archive, never loaded", "--json")
}
