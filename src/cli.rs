//! The entry point for people: the command line.

// `init`: its options, its results and its exit status.
mod init;
// `validate`: its results and its exit status.
mod validate;
// The JSON Schemas of the output.
mod schemas;

// Completion scripts for shells.
mod completions;
// Subcommands and options.
mod args;
// The parts of the help that are not options.
mod help;
// The status page in a file.
mod written_page;
// Standard output.
mod output;
// The command's log.
mod logging;
// The reason why the command could not do what was asked.
mod failure;
// Colours: where they are shown, and for which words.
mod color;
// Ctrl-C and SIGTERM.
mod signals;

// Durations such as `90s`.
mod duration;
// The message, once a minute, about what the command waits for.
mod awaited;
// Exit statuses.
mod exit;
// The progress of a run, for a person.
mod progress_bar;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::Utc;
use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;
use cmslite_core::config::Dataset;
use cmslite_core::error::{Deployment, Error};
use cmslite_core::progress::Progress;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Level;

use self::args::{Arguments, Check, Command, Limits, Load, Show, Showing, Status};
use self::color::When;
use self::completions::Completions;
use self::failure::Failure;
use self::output::Output;
use crate::cancellation::Cancellation;
use crate::clients::{self, Clients};
use crate::environment::{Environment, S3Settings};
use crate::load::Run;
use crate::metrics;
use crate::page::Overview;
use crate::report::{Detail, Report};
use crate::run_request::RunRequest;
use crate::waits::Waits;
use crate::{check, config_files, dry_run, load, show, status};

/// Returns the JSON Schema of each document that `--json` prints, by its name.
pub fn schemas() -> Vec<(&'static str, Value)> {
    schemas::all().into_iter().map(|(name, schema)| (name, schema.to_value())).collect()
}

/// Returns the command line with its help, from which documents are generated.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Does what the command line asks.
pub async fn main() -> ExitCode {
    When::said(std::env::args_os()).keep();
    let Arguments { command, showing } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refused(error).into(),
    };
    prepare_log(&command, &showing);
    let (output, waits, all) = (Output::new(showing.json), Waits::default(), showing.verbose);
    let work = async {
        match &command {
            Command::Load(load) if load.dry_run => run_dry(load, &output, &waits, all).await,
            Command::Load(load) => run_load(load, &output, &waits, all).await,
            Command::Check(check) => run_check(check, &output, &waits).await,
            Command::Status(status) => run_status(status, &output, &waits, all).await,
            Command::Show(show) => run_show(show, &output, &waits, all).await,
            Command::Validate(arguments) => validate::run(arguments, &output, all).await,
            Command::Init(arguments) => init::run(arguments, &output).await,
            Command::Completions { shell } => Ok(run_completions(*shell, &output)),
        }
    };
    let ended = awaited::told(&waits, showing.quiet, work).await;
    ended.unwrap_or_else(|failure| without_result(&failure, &output, all)).into()
}

/// Reports why there is no result, and returns the exit status.
fn without_result(failure: &Failure, output: &Output, all: bool) -> u8 {
    failure.print(all);
    output.no_result(failure);
    failure.status
}

/// Reports what is wrong with the command line, or shows the help that was asked for. Returns the exit
/// status.
fn refused(error: clap::Error) -> u8 {
    let is_json =
        std::env::args_os().skip(1).take_while(|argument| argument != "--").any(|it| it == "--json");
    let status = if error.use_stderr() { exit::CONFIGURATION } else { exit::GOOD };
    // If nobody reads the message, the exit status still shows the failure.
    let _ = error.print();
    if error.use_stderr() && is_json {
        let failure = Failure::from(error);
        Output::new(is_json).no_result(&failure);
    }
    status
}

/// Starts the log. Only a load keeps a log file by itself and reports each step on standard error.
fn prepare_log(command: &Command, showing: &Showing) {
    let Showing { quiet, verbose, log_file, .. } = showing;
    let is_load = matches!(command, Command::Load(_));
    let level = match (quiet, verbose) {
        (true, _) => Level::ERROR,
        (_, true) => Level::DEBUG,
        _ if is_load => Level::INFO,
        _ => Level::WARN,
    };
    if *quiet {
        progress_bar::hide();
    }
    logging::init(level, log_file.as_deref().or(is_load.then_some(Path::new(logging::LOG_FILE))));
}

/// Works through the queue of a dataset and shows the report.
async fn run_load(load: &Load, output: &Output, waits: &Waits, all: bool) -> Result<u8, Failure> {
    let begun = Instant::now();
    let ready = async {
        let request = request(load, waits)?;
        let clients = connect(waits, &request.cancellation).await?;
        Ok((request, clients))
    };
    let (request, clients) = ready.await.inspect_err(|failure: &Failure| {
        if load.metrics {
            let file = load.config.file_name().unwrap_or_default().to_string_lossy();
            // The name of a dataset may have a dot.
            let dataset = file.strip_suffix(".json").unwrap_or(&file).to_owned();
            let report = Report { dataset, ..Report::default() };
            metrics::emit(io::stderr().lock(), begun, None, &report, failure.error.as_deref());
        }
    })?;
    let Run { report, failure, .. } =
        progress_bar::during(&request.progress, load::run(&clients, &request)).await;
    if load.metrics {
        metrics::emit(io::stderr().lock(), begun, request.cancellation.deadline(), &report, failure.as_ref());
    }
    let failure = failure.map(Failure::from);
    output.result(&report, &report.json(Detail::FULL), failure.as_ref());
    if !report.bad.is_empty() {
        return Ok(exit::BAD_ARCHIVE);
    }
    Ok(said(failure.as_ref(), all))
}

/// Reads the queue of a dataset, and shows what a load would find.
async fn run_dry(load: &Load, output: &Output, waits: &Waits, all: bool) -> Result<u8, Failure> {
    let request = request(load, waits)?;
    let settings = S3Settings::from_process()?;
    let s3 = request.cancellation.bounded(clients::s3_only(&settings, waits)).await?;
    let (dry_run, failure) = progress_bar::during(&request.progress, dry_run::run(&s3, &request)).await;
    let failure = failure.map(Failure::from);
    output.result(&dry_run, &dry_run, failure.as_ref());
    match said(failure.as_ref(), all) {
        exit::GOOD if !dry_run.bad.is_empty() => Ok(exit::BAD_ARCHIVE),
        status => Ok(status),
    }
}

async fn run_check(check: &Check, output: &Output, waits: &Waits) -> Result<u8, Failure> {
    if check.offline {
        let dataset = config_files::load_named(&check.config, config_files::directory().as_deref())?;
        let check = check::check_offline(&dataset);
        output.result(&check, &check, None);
        return Ok(if check.has_failed() { exit::CONFIGURATION } else { exit::GOOD });
    }
    let dataset = dataset(&check.config)?;
    let cancellation = cancellation(&check.limits, waits);
    let clients = connect(waits, &cancellation).await?;
    let check = check::check(&clients, &dataset, &cancellation).await;
    output.result(&check, &check, None);
    Ok(if check.has_failed() { exit::FAILED } else { exit::GOOD })
}

async fn run_status(arguments: &Status, output: &Output, waits: &Waits, all: bool) -> Result<u8, Failure> {
    let dataset = dataset(&arguments.config)?;
    let is_printed = arguments.html.as_deref() == Some(Path::new("-"));
    if is_printed && output.is_json() {
        let failure = Failure::usage("--html - and --json both write to standard output");
        return Err(failure.with_remedy("name a file for the page"));
    }
    let cancellation = cancellation(&arguments.limits, waits);
    let clients = connect(waits, &cancellation).await?;
    let status = status::status(&clients, &dataset, arguments.all, &cancellation).await?;
    let page = || Overview::of_status(&dataset, &status, Utc::now()).html();
    match &arguments.html {
        Some(_) if is_printed => output.text(&page()),
        Some(file) => written_page::write(file, &page())?,
        None => {}
    }
    let failure = status.ledger_unreadable.as_ref().map(Failure::from);
    if arguments.html.is_none() || output.is_json() {
        output.result(&status, &status, failure.as_ref());
    }
    Ok(said(failure.as_ref(), all))
}

async fn run_show(arguments: &Show, output: &Output, waits: &Waits, all: bool) -> Result<u8, Failure> {
    let dataset = dataset(&arguments.config)?;
    let cancellation = cancellation(&arguments.limits, waits);
    let clients = connect(waits, &cancellation).await?;
    let archive = show::show(&clients, &dataset, &arguments.key, &cancellation).await?;
    let failure = archive.ledger_unreadable.as_ref().map(Failure::from);
    output.result(&archive, &archive, failure.as_ref());
    Ok(said(failure.as_ref(), all))
}

fn run_completions(shell: Shell, output: &Output) -> u8 {
    let datasets = config_files::known(config_files::directory().as_deref());
    let completions = Completions::new(shell, datasets);
    output.result(&completions, &completions, None);
    exit::GOOD
}

/// Reports why a command that has shown its result ended early, if it did, and returns the exit status.
fn said(failure: Option<&Failure>, all: bool) -> u8 {
    failure.map_or(exit::GOOD, |failure| {
        failure.print(all);
        failure.status
    })
}

async fn connect(waits: &Waits, cancellation: &Cancellation) -> Result<Clients, Error> {
    cancellation.bounded(Clients::new(&Environment::from_process()?, waits)).await
}

/// Returns the limits of a run by hand, which a signal cancels.
fn cancellation(limits: &Limits, waits: &Waits) -> Cancellation {
    // A time beyond the clock's range is not a limit.
    let deadline = limits.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let cancellation =
        Cancellation::at(deadline).with_statement_timeout(limits.statement_timeout).with_waits(waits);
    signals::cancel(&cancellation, exit::FAILED);
    cancellation
}

/// Returns the dataset with this name or configuration file, if its bucket is named.
fn dataset(config: &Path) -> Result<Dataset, Failure> {
    let dataset = config_files::load_named(config, config_files::directory().as_deref())?;
    if dataset.has_placeholder() {
        let message = format!("bucket: {} is a placeholder for the bucket's name", dataset.bucket);
        let failure = Failure::from(Error::deployment(Deployment::Configuration, message));
        return Err(failure.with_remedy("write the bucket's name in the configuration"));
    }
    Ok(dataset)
}

/// Returns the request of a load by hand, which a signal cancels.
fn request(load: &Load, waits: &Waits) -> Result<RunRequest, Failure> {
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
