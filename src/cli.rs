//! The entry point for people: the command line.

// `validate`: its results and its exit status.
mod validate;

// Subcommands, options, and their help.
mod args;
// Where the command's log goes.
mod logging;
// Ctrl-C and SIGTERM.
mod signals;

// Exit statuses.
mod exit;
// How far a run has come, for a person.
mod progress_bar;

use std::fmt::Display;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use cmslite_core::config::Dataset;
use cmslite_core::error::{Deployment, Error};
use cmslite_core::progress::Progress;
use serde::Serialize;
use tracing::error;

use self::args::{Arguments, Command, Load};
use crate::clients::{self, Clients};
use crate::environment::Environment;
use crate::load::Run;
use crate::run_request::RunRequest;
use crate::{check, config_files, dry_run, load, status};

/// Does what the command line says.
pub async fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    if !matches!(command, Command::Validate(_)) {
        logging::init();
    }
    let status = match command {
        Command::Load(load) if load.dry_run => run_dry(&load).await,
        Command::Load(load) => run_load(&load).await,
        Command::Check { config, json } => run_check(&config, json).await,
        Command::Status { config, all, json } => run_status(&config, all, json).await,
        Command::Validate(arguments) => Ok(validate::run(&arguments).await),
        Command::Completions { shell } => {
            args::print_completions(shell);
            Ok(exit::GOOD)
        }
    };
    status.unwrap_or_else(|error| failed(&error)).into()
}

/// Works through the queue of a dataset and prints the report.
async fn run_load(load: &Load) -> Result<u8, Error> {
    let dataset = dataset(&load.config)?;
    let clients = connect().await?;
    let request = request(load, dataset);
    let Run { report, failure } =
        progress_bar::during(&request.progress, load::run(&clients, &request)).await;
    print!("{report}");
    if !report.bad.is_empty() {
        return Ok(exit::BAD_ARCHIVE);
    }
    failure.map_or(Ok(exit::GOOD), Err)
}

/// Reads the queue of a dataset, and prints what a load would find.
async fn run_dry(load: &Load) -> Result<u8, Error> {
    let dataset = dataset(&load.config)?;
    let s3 = clients::s3_only().await?;
    let request = request(load, dataset);
    let (dry_run, failure) = progress_bar::during(&request.progress, dry_run::run(&s3, &request)).await;
    print!("{dry_run}");
    match failure {
        Some(error) => Err(error),
        None if !dry_run.bad.is_empty() => Ok(exit::BAD_ARCHIVE),
        None => Ok(exit::GOOD),
    }
}

async fn run_check(config: &Path, json: bool) -> Result<u8, Error> {
    let dataset = dataset(config)?;
    let check = check::check(&connect().await?, &dataset).await;
    Ok(show(&check, json, check.has_failed()))
}

async fn run_status(config: &Path, all: bool, json: bool) -> Result<u8, Error> {
    let dataset = dataset(config)?;
    let status = status::status(&connect().await?, &dataset, all).await?;
    Ok(show(&status, json, status.ledger_unreadable.is_some()))
}

async fn connect() -> Result<Clients, Error> {
    Clients::new(&Environment::from_process()?).await
}

/// The dataset of a configuration file.
fn dataset(config: &Path) -> Result<Dataset, Error> {
    config_files::load_file(config)
        .map_err(|mistakes| Error::deployment(Deployment::Configuration, mistakes.to_string()))
}

/// A request by hand, which a signal cancels.
fn request(load: &Load, dataset: Dataset) -> RunRequest {
    let now = chrono::Utc::now().format("%Y%m%dT%H%M%S%3fZ");
    RunRequest {
        dataset: Arc::new(dataset),
        selection: load.selection(),
        uploads: Vec::new(),
        request_id: format!("command-{now}-{}", std::process::id()),
        limit: load.limit,
        cancellation: signals::cancelled_by_signals(exit::FAILED),
        progress: Progress::default(),
    }
}

fn show<T: Serialize + Display>(shown: &T, json: bool, has_failed: bool) -> u8 {
    let written = if json { write_json(shown) } else { write!(io::stdout().lock(), "{shown}") };
    match written {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            error!("cannot write to standard output: {error}");
            exit::FAILED
        }
        _ if has_failed => exit::FAILED,
        _ => exit::GOOD,
    }
}

/// Writes as it goes: there may be a hundred thousand archives in it.
fn write_json(shown: &impl Serialize) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, shown)?;
    writeln!(out)?;
    out.flush()
}

/// Says why the command cannot go on, and with which status it ends.
fn failed(error: &Error) -> u8 {
    error!(error_type = error.error_type(), "{}", error.chain());
    match error {
        Error::Deployment(fault)
            if matches!(fault.kind, Deployment::Configuration | Deployment::ReloadRefused) =>
        {
            exit::CONFIGURATION
        }
        Error::BadInput(_) => exit::BAD_ARCHIVE,
        Error::Deployment(_) | Error::Retryable(_) => exit::FAILED,
    }
}
