//! Describes why the command could not do what was asked: for a person in a few lines, for a program as JSON.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use clap::error::ErrorKind;
use cmslite_core::config::Mistakes;
use cmslite_core::error::{Deployment, Error};
use cmslite_core::key::Key;
use cmslite_core::similar::closest;
use cmslite_core::text::one_line;
use schemars::JsonSchema;
use serde::Serialize;
use tracing::error;

use super::{color, exit, progress_bar};
use crate::config_files::Unloaded;
use crate::show::ShowError;
use crate::status::Unreadable;

/// The target of the event that writes a failure to the log file. Standard error has it in another form.
pub(super) const TARGET: &str = concat!(env!("CARGO_CRATE_NAME"), "::cli::failure");

/// The type of a failure in the command line itself.
const USAGE: &str = "Usage";

/// The reason why the command could not do what was asked.
#[derive(Debug)]
pub(super) struct Failure {
    /// The original error, if there is one.
    pub(super) error: Option<Box<Error>>,
    /// The exit status.
    pub(super) status: u8,
    /// The stable name of the failure's type, as in `Error::error_type`; `Usage` if the command line is
    /// wrong.
    error_type: &'static str,
    /// What happened, and where.
    message: String,
    /// The details one by one, such as the mistakes in a file.
    details: Box<[String]>,
    /// What each underlying cause adds, the deepest last.
    causes: Box<[String]>,
    /// The remedy.
    remedy: Option<String>,
}

/// Why a command could not do what was asked.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct FailureJson<'a> {
    /// The stable name of the failure's type: `Usage`, or that of an error such as `Deployment.LoginRefused`.
    #[serde(rename = "type")]
    error_type: &'a str,
    /// What happened, and where.
    message: &'a str,
    /// The details one by one, such as the mistakes in a file.
    details: &'a [String],
    /// What each underlying cause adds, the deepest last.
    causes: &'a [String],
    /// What to do about it.
    remedy: Option<&'a str>,
}

impl Failure {
    /// Creates a failure of usage: a mistake in the command line, or in a file that it names.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            error: None,
            status: exit::CONFIGURATION,
            error_type: USAGE,
            message,
            details: Box::default(),
            causes: Box::default(),
            remedy: None,
        }
    }

    /// Adds a remedy.
    pub(super) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    pub(super) fn json(&self) -> FailureJson<'_> {
        let Self { error_type, message, details, causes, remedy, .. } = self;
        FailureJson { error_type, message, details, causes, remedy: remedy.as_deref() }
    }

    /// Writes the failure to standard error and to the log file; `all` adds every cause. If standard error is
    /// closed, the exit status still shows the failure.
    pub(super) fn print(&self, all: bool) {
        let text = Text { failure: self, all }.to_string();
        let text = color::painted_for(&io::stderr(), &text);
        let _ = progress_bar::above(|| io::stderr().write_all(text.as_bytes()));
        let parts = self.details.iter().chain(&*self.causes).fold(String::new(), |mut said, part| {
            let _ = write!(said, ": {part}");
            said
        });
        error!(target: TARGET, error_type = self.error_type, "{}{parts}", self.message);
    }
}

/// A failure for a person: what happened, where, why, and what to do, in up to four lines.
struct Text<'a> {
    failure: &'a Failure,
    all: bool,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { error_type, message, details, causes, remedy, .. } = self.failure;
        if *error_type == USAGE {
            writeln!(f, "error: {message}")?;
        } else {
            writeln!(f, "error[{error_type}]: {message}")?;
        }
        // A detail may show an excerpt in further lines.
        for line in details.iter().flat_map(|detail| detail.lines()) {
            writeln!(f, "  {line}")?;
        }
        if self.all {
            for cause in causes {
                writeln!(f, "  because: {cause}")?;
            }
        } else if let Some(cause) = causes.last() {
            writeln!(f, "  because: {cause}")?;
        }
        if let Some(remedy) = remedy {
            writeln!(f, "  what to do: {remedy}")?;
        }
        match causes.len() {
            0 | 1 => Ok(()),
            _ if self.all => Ok(()),
            more => writeln!(f, "  {} more causes; -v shows them", more - 1),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Deployment(fault)
                if matches!(fault.kind, Deployment::Configuration | Deployment::ReloadRefused) =>
            {
                exit::CONFIGURATION
            }
            Error::BadInput(_) => exit::BAD_ARCHIVE,
            Error::Deployment(_) | Error::Retryable(_) => exit::FAILED,
        };
        Self {
            status,
            error_type: error.error_type(),
            message: error.to_string(),
            details: Box::default(),
            causes: error.causes().into(),
            remedy: Some(error.remedy().to_owned()),
            error: Some(Box::new(error)),
        }
    }
}

/// The failure to read the ledger.
impl From<&Unreadable> for Failure {
    fn from(unreadable: &Unreadable) -> Self {
        let Unreadable { error_type, message, remedy } = unreadable;
        Self {
            status: exit::FAILED,
            error_type,
            ..Self::usage(format!("the ledger cannot be read: {message}")).with_remedy(*remedy)
        }
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        match mistakes.0.as_slice() {
            [] | [_] => Error::from(mistakes).into(),
            several => Self {
                details: mistakes.messages().into(),
                ..Error::deployment(
                    Deployment::Configuration,
                    format!("the configuration has {} mistakes", several.len()),
                )
                .into()
            },
        }
    }
}

impl From<Unloaded> for Failure {
    fn from(unloaded: Unloaded) -> Self {
        let (name, known, message) = match unloaded {
            Unloaded::Mistakes(mistakes) => return mistakes.into(),
            Unloaded::UnknownDataset { name, known } => {
                let message = format!("there is no dataset {name}");
                (name, known, message)
            }
            Unloaded::NoFile { path, known } => {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                (name, known, format!("there is no file {}", path.display()))
            }
        };
        let remedy = match closest(&name, known.iter().map(String::as_str)) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None if known.is_empty() => "give the path of a configuration file".to_owned(),
            None => format!("name one of {}, or give the path of a configuration file", known.join(", ")),
        };
        Self::from(Error::deployment(Deployment::Configuration, message)).with_remedy(one_line(&remedy))
    }
}

impl From<ShowError> for Failure {
    fn from(error: ShowError) -> Self {
        let (asked, prefix, nearest) = match error {
            ShowError::Failed(error) => return error.into(),
            ShowError::Unreadable(why) => return Self::from(&why),
            ShowError::Unknown { asked, prefix, nearest } => (Key::from(asked), prefix, nearest),
        };
        let remedy = match nearest {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "look for it in `status --all`".to_owned(),
        };
        Self::usage(format!("the dataset has no archive {asked}, nor {prefix}{asked}")).with_remedy(remedy)
    }
}

/// A failure that clap found, from its message: the mistake, then paragraphs with a tip and the usage.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let said = error.render().to_string();
        let mut paragraphs = said.split("\n\n").map(|paragraph| {
            paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
        });
        let message = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no subcommand is given".to_owned(),
            _ => paragraphs.next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        };
        let tip = paragraphs.find_map(|paragraph| paragraph.strip_prefix("tip: ").map(str::to_owned));
        Self::usage(message).with_remedy(tip.unwrap_or_else(|| "see --help".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use cmslite_core::error::{Fault, Retryable};

    use super::*;

    fn failure() -> Failure {
        let deepest = io::Error::other("reset");
        Error::from(Fault::new(Retryable::ConnectionLost, "no answer of host:5439").caused_by(deepest)).into()
    }

    #[test]
    fn a_person_is_told_in_up_to_four_lines() {
        let mut failure = failure();
        let short = Text { failure: &failure, all: false }.to_string();
        assert!(short.starts_with("error[Retryable.ConnectionLost]: no answer of host:5439\n  because: reset\n  what to do: check PGHOST"), "{short}");
        failure.causes = ["a", "b", "c"].map(str::to_owned).into();
        let short = Text { failure: &failure, all: false }.to_string();
        assert_eq!(short.lines().count(), 4, "{short}");
        assert!(
            short.contains("because: c\n") && short.ends_with("  2 more causes; -v shows them\n"),
            "{short}"
        );
        let all = Text { failure: &failure, all: true }.to_string();
        assert!(all.contains("because: a\n  because: b\n  because: c\n  what to do: "), "{all}");
    }

    #[test]
    fn a_mistake_of_usage_is_said_without_its_kind() {
        let failure = Failure::usage("no such thing");
        assert_eq!(Text { failure: &failure, all: true }.to_string(), "error: no such thing\n");
    }
}
