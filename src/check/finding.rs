//! Defines what a check finds, and what to do about it.

use std::fmt;

use cmslite_core::error::Error;
use serde::Serialize;

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// Whether nothing was asked of S3 and Redshift.
    pub is_offline: bool,
    /// What was found, in the order in which it was looked for.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it was found.
    pub outcome: Outcome,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it must be.
    Good,
    /// Worth knowing, and no obstacle.
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

    /// What an attempt came to.
    pub(super) fn of(subject: &str, good: &str, result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::good(subject, good),
            Err(error) => Self::bad(subject, error.chain(), error.remedy()),
        }
    }
}

impl Check {
    /// Whether a load would fail.
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
                writeln!(f, "  The configuration is sound. Nothing was asked of S3 and Redshift.")
            }
            0 => writeln!(f, "  An archive can be loaded. Nothing was."),
            1 => writeln!(f, "  1 obstacle. Nothing was loaded."),
            bad => writeln!(f, "  {bad} obstacles. Nothing was loaded."),
        }
    }
}
