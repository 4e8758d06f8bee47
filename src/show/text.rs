//! Writes everything about one archive as text for a person.

use std::fmt;

use cmslite_core::problem::problem_lines;
use cmslite_core::text::{one_line, seconds};

use super::{Archive, State};
use crate::redshift::LedgerRow;
use crate::report::few;

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (s3://{})", self.key, one_line(&self.bucket))?;
        write!(f, "  State: {}", state(self))?;
        match self.settled_at {
            Some(at) => writeln!(f, ", settled {}", seconds(at))?,
            None => writeln!(f)?,
        }
        if let Some(revision) = &self.revision {
            writeln!(
                f,
                "  Revision: {}, uploaded {}, {} bytes",
                one_line(&revision.etag),
                seconds(revision.last_modified),
                revision.size_bytes
            )?;
        }
        match (&self.load, &self.ledger_unreadable) {
            (Some(load), _) => writeln!(f, "  Loaded: {}{}", loaded(load), held(self.is_held))?,
            (None, Some(why)) => {
                writeln!(f, "  Loaded: the ledger cannot be read: {}", one_line(&why.message))?;
            }
            (None, None) => writeln!(f, "  Loaded: no, according to the ledger")?,
        }
        for table in &self.tables {
            writeln!(f, "    {}: {} rows", one_line(&table.table), table.rows)?;
        }
        if let Some(sha256) = self.load.as_ref().and_then(|load| load.sha256.as_ref()) {
            writeln!(f, "  SHA-256: {}", one_line(sha256))?;
        }
        if let Some(same) = &self.same_bytes_as {
            writeln!(f, "  Same bytes as {}, loaded {}", same.key, seconds(same.loaded_at))?;
        }
        let (others, more) = few(&self.other_loads);
        for other in others {
            writeln!(f, "  Also loaded: revision {}, {}", one_line(&other.etag), loaded(other))?;
        }
        if more > 0 {
            writeln!(f, "  Also loaded: {more} more times (--json has them all)")?;
        }
        self.write_problems(f)?;
        for disagreement in &self.disagreements {
            writeln!(f, "  Disagreement: {} {disagreement}", self.key)?;
        }
        Ok(())
    }
}

impl Archive {
    fn write_problems(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = &self.error_file else { return Ok(()) };
        writeln!(f, "  Problems:")?;
        for line in problem_lines(&error.problems, error.problems_found, error.incomplete.as_deref()) {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

fn state(archive: &Archive) -> String {
    match archive.state {
        State::Good => "good".to_owned(),
        State::Bad => "bad".to_owned(),
        State::Waiting => "waiting to be loaded".to_owned(),
        State::Superseded => "superseded by a newer archive, never loaded".to_owned(),
        State::PassedOver => {
            let why = archive.passed_over.as_ref().map(|object| object.why.to_string());
            format!("passed over, not an archive by its name: {}", why.unwrap_or_default())
        }
        State::Gone => "no longer in the bucket".to_owned(),
    }
}

fn loaded(load: &LedgerRow) -> String {
    format!("{} by {}, {} rows", seconds(load.loaded_at), one_line(&load.request_id), load.rows)
}

fn held(is_held: Option<bool>) -> &'static str {
    match is_held {
        Some(true) => "; the tables hold it",
        Some(false) => "; the tables hold another archive now",
        None => "",
    }
}
