//! The entry point for people: the command line.

// `validate`: its results and its exit status.
mod validate;

// The status page in a file.
mod written_page;

// Subcommands, options, and their help.
mod args;
// Where the command's log goes.
mod logging;
// Ctrl-C and SIGTERM.
mod signals;

// Durations such as `90s`.
mod duration;
// What is waited for, told once a minute.
mod awaited;
// Exit statuses.
mod exit;
// How far a run has come, for a person.
mod progress_bar;

use std::fmt::Display;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::Utc;
use clap::Parser as _;
use cmslite_core::config::Dataset;
use cmslite_core::error::{Deployment, Error};
use cmslite_core::progress::Progress;
use cmslite_core::text::visible_json;
use serde::Serialize;
use tokio::time::Instant;
use tracing::error;

use self::args::{Arguments, Command, Limits, Load};
use crate::cancellation::Cancellation;
use crate::clients::{self, Clients};
use crate::environment::{Environment, S3Settings};
use crate::load::Run;
use crate::metrics;
use crate::page::Overview;
use crate::report::Report;
use crate::run_request::RunRequest;
use crate::waits::Waits;
use crate::{check, config_files, dry_run, load, status};

/// Does what the command line says.
pub async fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    if !matches!(command, Command::Validate(_)) {
        logging::init();
    }
    let waits = Waits::default();
    let status = match command {
        Command::Load(load) if load.dry_run => awaited::told(&waits, run_dry(&load, &waits)).await,
        Command::Load(load) => awaited::told(&waits, run_load(&load, &waits)).await,
        Command::Check { config, json, limits } => {
            awaited::told(&waits, run_check(&config, json, &limits, &waits)).await
        }
        Command::Status { config, all, json, html, limits } => {
            awaited::told(&waits, run_status(&config, all, json, html.as_deref(), &limits, &waits)).await
        }
        Command::Validate(arguments) => Ok(validate::run(&arguments).await),
        Command::Completions { shell } => {
            args::print_completions(shell);
            Ok(exit::GOOD)
        }
    };
    status.unwrap_or_else(|error| failed(&error)).into()
}

/// Works through the queue of a dataset and prints the report.
async fn run_load(load: &Load, waits: &Waits) -> Result<u8, Error> {
    let begun = Instant::now();
    let ready = async {
        let request = request(load, waits)?;
        let clients = connect(waits, &request.cancellation).await?;
        Ok((request, clients))
    };
    let (request, clients) = ready.await.inspect_err(|error| {
        if load.metrics {
            let dataset = load.config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let report = Report { dataset, ..Report::default() };
            metrics::emit(io::stderr().lock(), begun, None, &report, Some(error));
        }
    })?;
    let Run { report, failure, .. } =
        progress_bar::during(&request.progress, load::run(&clients, &request)).await;
    print!("{report}");
    if load.metrics {
        metrics::emit(io::stderr().lock(), begun, request.cancellation.deadline(), &report, failure.as_ref());
    }
    if !report.bad.is_empty() {
        return Ok(exit::BAD_ARCHIVE);
    }
    failure.map_or(Ok(exit::GOOD), Err)
}

/// Reads the queue of a dataset, and prints what a load would find.
async fn run_dry(load: &Load, waits: &Waits) -> Result<u8, Error> {
    let request = request(load, waits)?;
    let settings = S3Settings::from_process()?;
    let s3 = request.cancellation.bounded(clients::s3_only(&settings, waits)).await?;
    let (dry_run, failure) = progress_bar::during(&request.progress, dry_run::run(&s3, &request)).await;
    print!("{dry_run}");
    match failure {
        Some(error) => Err(error),
        None if !dry_run.bad.is_empty() => Ok(exit::BAD_ARCHIVE),
        None => Ok(exit::GOOD),
    }
}

async fn run_check(config: &Path, json: bool, limits: &Limits, waits: &Waits) -> Result<u8, Error> {
    let dataset = dataset(config)?;
    let cancellation = cancellation(limits, waits);
    let clients = connect(waits, &cancellation).await?;
    let check = check::check(&clients, &dataset, &cancellation).await;
    Ok(show(&check, json, check.has_failed()))
}

async fn run_status(
    config: &Path,
    all: bool,
    json: bool,
    html: Option<&Path>,
    limits: &Limits,
    waits: &Waits,
) -> Result<u8, Error> {
    let dataset = dataset(config)?;
    let cancellation = cancellation(limits, waits);
    let clients = connect(waits, &cancellation).await?;
    let status = status::status(&clients, &dataset, all, &cancellation).await?;
    let has_failed = status.ledger_unreadable.is_some();
    match html {
        Some(file) => {
            let page = Overview::of_status(&dataset, &status, Utc::now()).html();
            Ok(written_page::write(file, &page, has_failed))
        }
        None => Ok(show(&status, json, has_failed)),
    }
}

async fn connect(waits: &Waits, cancellation: &Cancellation) -> Result<Clients, Error> {
    cancellation.bounded(Clients::new(&Environment::from_process()?, waits)).await
}

/// The limits of a run by hand, which a signal cancels.
fn cancellation(limits: &Limits, waits: &Waits) -> Cancellation {
    // A time past the clock's end is no limit.
    let deadline = limits.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let cancellation =
        Cancellation::at(deadline).with_statement_timeout(limits.statement_timeout).telling(waits);
    signals::cancel(&cancellation, exit::FAILED);
    cancellation
}

/// The dataset of a configuration file.
fn dataset(config: &Path) -> Result<Dataset, Error> {
    config_files::load_file(config)
        .map_err(|mistakes| Error::deployment(Deployment::Configuration, mistakes.to_string()))
}

/// A request by hand, which a signal cancels.
fn request(load: &Load, waits: &Waits) -> Result<RunRequest, Error> {
    let dataset = dataset(&load.config)?;
    let now = Utc::now().format("%Y%m%dT%H%M%S%3fZ");
    Ok(RunRequest {
        dataset: Arc::new(dataset),
        selection: load.selection(),
        uploads: Vec::new(),
        request_id: format!("command-{now}-{}", std::process::id()),
        limit: load.limit,
        left_to_task_above: None,
        cancellation: cancellation(&load.limits, waits),
        progress: Progress::default(),
        given_up: Arc::default(),
    })
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
    serde_json::to_writer_pretty(VisibleJson(&mut out), shown)?;
    writeln!(out)?;
    out.flush()
}

/// Writes JSON on, in characters that can be seen. What it is handed at a time is whole text, as `serde_json` does.
struct VisibleJson<W>(W);

impl<W: io::Write> io::Write for VisibleJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_all(visible_json(text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
