//! Writes a status as text for a person.

use std::fmt;

use cmslite_core::problem::problem_lines;
use cmslite_core::text::{one_line, seconds};

use super::state::{Bad, Disagreement, DisagreementKind, Good, Status, Waiting};
use crate::report::{Section, Shown};

impl fmt::Display for DisagreementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoadedNotMarked => "is loaded according to the ledger, but not marked: the next run marks it",
            Self::MarkedNotLoaded => {
                "is marked good, but the ledger does not have this revision: another program marked it, or the ledger's row was deleted; \
                 `load --again` loads it; without truncate, this adds its rows even if they are in the tables already"
            }
            Self::LoadedMarkedBad => "is loaded according to the ledger, but marked bad: delete the bad marker, and the next run marks it good",
            Self::TwoMarkers => "is marked good and bad: delete the marker that is wrong",
            Self::BadWithoutReason => "is marked bad without an error.json: another program marked it; `load --again` finds the reason",
            Self::ReasonWithoutMarker => "has an error.json, but is not marked bad: a run ended in between, and the next settles it",
            Self::TwoDatasets => "is an archive of another dataset too: let \"doc\" of only one match it",
            Self::TablesHoldAnother => "is the newest good archive, but according to the ledger the tables hold another; `load --again` loads it",
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Status: {} (s3://{})", self.dataset, self.bucket)?;
        write!(
            f,
            "  Queue {}, superseded {}, bad {}, good {}",
            self.queue.len(),
            self.superseded.len(),
            self.bad.len(),
            self.good.len()
        )?;
        match (self.ledger_rows, &self.ledger_unreadable) {
            (Some(1), _) => writeln!(f, "; 1 load in the ledger")?,
            (Some(rows), _) => writeln!(f, "; {rows} loads in the ledger")?,
            (None, Some(why)) => writeln!(f, "; the ledger cannot be read: {}", why.message)?,
            (None, None) => writeln!(f, "; no ledger yet, the first load creates it")?,
        }
        if let Some(row) = &self.tables_hold {
            writeln!(
                f,
                "  The tables hold {} ({} rows, loaded {})",
                row.key,
                row.rows,
                seconds(row.loaded_at)
            )?;
        }
        let waiting = |waiting: &Waiting| {
            format!(
                "{} (uploaded {}, {} bytes)",
                waiting.key,
                seconds(waiting.last_modified),
                waiting.size_bytes
            )
        };
        let section = |title, shown| Section {
            shown: if self.all { Shown::All } else { shown },
            ..Section::new(title, "--all")
        };
        section("Queue, oldest first", Shown::First).write(f, self.queue.iter().map(waiting))?;
        section("Superseded by a newer archive, never loaded", Shown::First)
            .write(f, self.superseded.iter().map(waiting))?;
        section("Bad", Shown::Last).write(f, self.bad.iter().map(Bad::text))?;
        section("Good", Shown::Last).write(f, self.good.iter().map(Good::text))?;
        let twice: Vec<String> = self.good.iter().filter_map(Good::loaded_twice).collect();
        section("WARNING: loaded under two keys", Shown::Last).write(f, twice.iter())?;
        section("Passed over, not archives by their names", Shown::Last).write(f, self.passed_over.iter())?;
        let disagreement = |found: &Disagreement| format!("{} {}", found.key, found.kind);
        section("Disagreements", Shown::First).write(f, self.disagreements.iter().map(disagreement))?;
        if self.disagreements.is_empty() && self.ledger_unreadable.is_none() {
            writeln!(f, "  Markers and ledger agree.")?;
        }
        Ok(())
    }
}

impl Bad {
    fn text(&self) -> String {
        let Some(error) = &self.error else { return self.key.to_string() };
        let mut lines = vec![format!("{} (settled {})", self.key, error.at)];
        lines.extend(problem_lines(&error.problems, error.problems_found, error.incomplete.as_deref()));
        lines.join("\n      ")
    }
}

impl Good {
    fn text(&self) -> String {
        match (&self.load, &self.same_bytes_as) {
            (Some(load), _) => format!(
                "{} ({} rows, loaded {} by {})",
                self.key,
                load.rows,
                seconds(load.loaded_at),
                one_line(&load.request_id)
            ),
            (None, Some(same)) => {
                format!(
                    "{} (not loaded, the same bytes as {}, loaded {})",
                    self.key,
                    same.key,
                    seconds(same.loaded_at)
                )
            }
            (None, None) => format!("{} (not in the ledger)", self.key),
        }
    }

    /// Returns a line for an archive that was loaded although the same bytes had been loaded under another
    /// key.
    fn loaded_twice(&self) -> Option<String> {
        let (_, same) = (self.load.as_ref()?, self.same_bytes_as.as_ref()?);
        Some(format!("{} has the same bytes as {}, loaded {}", self.key, same.key, seconds(same.loaded_at)))
    }
}
