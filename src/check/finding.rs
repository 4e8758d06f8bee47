//! Defines the findings of a check and their remedies.

use std::fmt;

use cmslite_core::error::Error;
use schemars::JsonSchema;
use serde::Serialize;

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// The version of this form.
    pub version: u32,
    /// The dataset's name.
    pub dataset: String,
    /// Whether S3 and Redshift were not asked.
    pub is_offline: bool,
    /// The findings, in the order of the checks.
    pub findings: Vec<Finding>,
}

/// The result of checking one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The thing that was checked.
    pub subject: String,
    /// The outcome.
    pub outcome: Outcome,
    /// The description of what was found.
    pub text: String,
    /// The remedy.
    pub remedy: Option<String>,
}

/// The outcome of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The thing is as it must be.
    Good,
    /// The finding is worth knowing, but is not an obstacle.
    Note,
    /// A load would fail.
    Bad,
}

impl Finding {
    pub(super) fn good(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { subject: subject.into(), outcome: Outcome::Good, text: text.into(), remedy: None }
    }

    pub(super) fn note(subject: impl Into<String>, text: impl Into<String>, remedy: &str) -> Self {
        Self {
            subject: subject.into(),
            outcome: Outcome::Note,
            text: text.into(),
            remedy: Some(remedy.to_owned()),
        }
    }

    pub(super) fn bad(
        subject: impl Into<String>,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            outcome: Outcome::Bad,
            text: text.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// Returns the finding of an attempt.
    pub(super) fn of(subject: &str, good: &str, result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::good(subject, good),
            Err(error) => Self::bad(subject, error.chain(), error.remedy()),
        }
    }
}

impl Check {
    /// Checks whether a load would fail.
    pub fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.outcome == Outcome::Bad)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.is_offline { ", offline" } else { "" };
        writeln!(f, "Check{how}: {}", self.dataset)?;
        for Finding { subject, outcome, text, remedy } in &self.findings {
            let mark = match outcome {
                Outcome::Good => "ok  ",
                Outcome::Note => "note",
                Outcome::Bad => "BAD ",
            };
            writeln!(f, "  {mark}  {subject}: {text}")?;
            if let Some(remedy) = remedy {
                writeln!(f, "        -> {remedy}")?;
            }
        }
        let bad = self.findings.iter().filter(|finding| finding.outcome == Outcome::Bad).count();
        match bad {
            0 if self.is_offline => {
                writeln!(f, "  The configuration is sound. S3 and Redshift were not asked.")
            }
            0 => writeln!(f, "  An archive can be loaded. Nothing was loaded."),
            1 => writeln!(f, "  1 obstacle. Nothing was loaded."),
            bad => writeln!(f, "  {bad} obstacles. Nothing was loaded."),
        }
    }
}
