//! The face towards people: `load CONFIG`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use tracing::error;

use crate::config::{self, Dataset};
use crate::error::{Deployment, Error};
use crate::pipeline::{Invocation, Loader, Run, Until};

/// Loads CMS Lite user data from archives in S3 into Redshift.
///
/// Inside AWS Lambda (`AWS_LAMBDA_RUNTIME_API` is set) this program serves events; elsewhere it is this command. Access to
/// AWS is taken from the AWS_* variables and files as by every AWS program; access to Redshift from PGHOST, PGPORT,
/// PGDATABASE, PGUSER and pgpass.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit status: 0 every archive settled as good, 1 stopped at a bad archive, 2 usage or configuration, 3 anything else failed."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What the command does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Work through a dataset's queue of archives, oldest first, until its end or the first bad archive.
    Load {
        /// The dataset's configuration file, such as `config.d/cmslite_user_group_metadata.json`.
        config: PathBuf,
    },
}

/// Exit statuses, as the command's help names them.
mod status {
    pub(super) const GOOD: u8 = 0;
    pub(super) const BAD_ARCHIVE: u8 = 1;
    pub(super) const CONFIGURATION: u8 = 2;
    pub(super) const FAILED: u8 = 3;
}

impl Action {
    /// The dataset that the command is about.
    ///
    /// # Errors
    ///
    /// [`Deployment::Configuration`] with every mistake of the file.
    pub fn dataset(&self) -> Result<Dataset, Error> {
        match self {
            Self::Load { config } => config::load_file(config).map_err(|mistakes| Error::deployment(Deployment::Configuration, mistakes.to_string())),
        }
    }
}

/// Works through the queue of `dataset` and prints the report.
pub async fn load(loader: &Loader, dataset: Dataset) -> ExitCode {
    let invocation =
        Invocation { request_id: format!("command-{}-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S%3fZ"), std::process::id()), deadline: None };
    let Run { report, failure } = loader.run(&Arc::new(dataset), &Until::End, &invocation).await;
    print!("{report}");
    if !report.bad.is_empty() {
        return status::BAD_ARCHIVE.into();
    }
    failure.map_or(status::GOOD.into(), |error| failed(&error))
}

/// Says why the command cannot go on, and with which status it ends.
pub fn failed(error: &Error) -> ExitCode {
    error!(error_type = error.error_type(), "{}", error.chain());
    match error {
        Error::Deployment(fault) if fault.kind == Deployment::Configuration => status::CONFIGURATION.into(),
        Error::BadInput(_) => status::BAD_ARCHIVE.into(),
        Error::Deployment(_) | Error::Retryable(_) => status::FAILED.into(),
    }
}
