//! Writes the result for an archive as text for a person.

use std::fmt;

use cmslite_core::problem::{Excerpt, Problem, Reason, ReportedProblem};
use cmslite_core::text::printable;
use unicode_width::UnicodeWidthStr as _;

use super::Validation;
use crate::dry_run::TableRows;

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = printable(self.key.as_bytes());
        if !self.is_bad() {
            writeln!(f, "good  {name}")?;
            for TableRows { table, rows } in &self.tables {
                writeln!(f, "        {table}: {rows} rows")?;
            }
            return Ok(());
        }
        writeln!(f, "BAD   {name}")?;
        for problem in &self.problems {
            write_problem(f, problem)?;
        }
        match self.problems_found.saturating_sub(self.problems.len() as u64) {
            0 => Ok(()),
            unreported => writeln!(f, "      and {unreported} more"),
        }
    }
}

/// Writes a problem, the line below it, and a mark for the position below that.
fn write_problem(f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
    let reported = ReportedProblem { text: None, ..ReportedProblem::from(problem) };
    writeln!(f, "      {reported}")?;
    // If no text may be shown, the text around it may not be shown either.
    let Some(text) = problem.text() else { return Ok(()) };
    let Some(Excerpt { before, at, after }) = problem.excerpt() else {
        writeln!(f, "          {text}")?;
        return match problem.reason {
            // The problem's text begins with the quote.
            Reason::UnclosedQuote { .. } => writeln!(f, "          ^"),
            _ => Ok(()),
        };
    };
    writeln!(f, "          {before}{at}{after}")?;
    writeln!(f, "          {}{}", " ".repeat(before.width()), "^".repeat(at.width().max(1)))
}
