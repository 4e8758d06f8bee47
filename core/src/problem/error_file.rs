//! Reads an `error.json`, which may come from anyone.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Quoting, REPORTED_PROBLEMS, ReportedProblem};
use crate::text::{one_line, start_of};

/// The maximum size of an object beside an archive that is read back: larger than any that the program
/// writes.
pub const MAX_READ_BACK_BYTES: usize = 1024 * 1024;

/// The maximum number of bytes that are shown of a text in an `error.json`. All texts that the program writes
/// are shorter.
const TEXT_BYTES: usize = 8_000;

/// The contents of an `error.json`, safe to show: each text is cut and on one line, in visible characters,
/// and there are no more problems than the program reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedErrorFile {
    /// The time when the archive was found bad.
    pub at: String,
    /// The number of problems found.
    pub problems_found: u64,
    /// The reason why there may be more problems; `None` in files of older versions.
    #[serde(default)]
    pub incomplete: Option<String>,
    /// The first of the problems.
    pub problems: Vec<ReportedProblem>,
}

impl ReportedErrorFile {
    /// Returns the contents without quoted cells, if they may not be shown.
    #[must_use]
    pub fn as_may_be_shown(mut self, quoting: Quoting) -> Self {
        if quoting == Quoting::Withheld {
            self.problems = self.problems.into_iter().map(ReportedProblem::withheld).collect();
        }
        self
    }

    /// Reads an `error.json`; `None` if the bytes are not one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_READ_BACK_BYTES {
            return None;
        }
        let mut file: Self = serde_json::from_slice(bytes).ok()?;
        file.problems.truncate(REPORTED_PROBLEMS);
        for text in file.texts() {
            *text = start_of(&one_line(text), TEXT_BYTES);
        }
        Some(file)
    }

    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let problems = self.problems.iter_mut().flat_map(|problem| {
            let ReportedProblem { member, line: _, column, text, text_bytes: _, at_byte: _, code, reason } =
                problem;
            [member.as_mut(), column.as_mut(), text.as_mut(), Some(code), Some(reason)].into_iter().flatten()
        });
        [Some(&mut self.at), self.incomplete.as_mut()].into_iter().flatten().chain(problems)
    }
}

/// Returns a line for each of the first problems of an archive, a line with the number of further problems,
/// and a line that says why there may be others.
pub fn problem_lines<'p>(
    problems: &'p [impl fmt::Display],
    found: u64,
    incomplete: Option<&'p str>,
) -> impl Iterator<Item = String> + 'p {
    let unreported = found.saturating_sub(problems.len() as u64);
    let more = (unreported > 0).then(|| format!("and {unreported} more"));
    let why = incomplete.map(|why| format!("there may be more: {why}"));
    problems.iter().map(ToString::to_string).chain(more).chain(why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::problem::{Problem, Reason};
    use crate::text::is_seen;

    fn file(text: &str, problems: usize) -> Vec<u8> {
        let problem =
            json!({"member": text, "line": 1, "column": text, "text": text, "code": text, "reason": text});
        let file =
            json!({"at": text, "problems_found": 3, "incomplete": text, "problems": vec![problem; problems]});
        file.to_string().into_bytes()
    }

    #[test]
    fn what_is_ours_is_read_back_as_it_is() {
        let problem = Problem::member("a.csv", Reason::NulByte).at_line(7).with_text("é\u{1}\\".as_bytes());
        let bytes =
            json!({"at": "2026-01-01T00:00:00.000Z", "problems_found": 1, "problems": [problem]}).to_string();
        let read = ReportedErrorFile::parse(bytes.as_bytes()).unwrap();
        assert_eq!(read.problems, [ReportedProblem::from(&problem)]);
    }

    #[test]
    fn what_is_too_large_or_something_else_is_none() {
        assert_eq!(ReportedErrorFile::parse(b"{}"), None);
        assert_eq!(ReportedErrorFile::parse(b"\x1b[2J"), None);
        assert_eq!(ReportedErrorFile::parse(&file(&"x".repeat(MAX_READ_BACK_BYTES), 0)), None);
        assert_eq!(ReportedErrorFile::parse(&file("x", 1_000)).unwrap().problems.len(), REPORTED_PROBLEMS);
        assert!(ReportedErrorFile::parse(&file(&"x".repeat(20_000), 1)).unwrap().at.len() < TEXT_BYTES + 4);
    }

    proptest! {
        #[test]
        fn whatever_it_says_can_be_shown(text in any::<String>()) {
            let read = ReportedErrorFile::parse(&file(&text, 2)).unwrap();
            prop_assert!(read.at.chars().all(is_seen));
            prop_assert!(read.problems.iter().all(|problem| problem.to_string().chars().all(is_seen)));
        }
    }
}
