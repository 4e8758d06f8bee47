//! The face towards people: `load`, `check` and `status`.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use serde::Serialize;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};

use crate::check;
use crate::config::{self, Dataset};
use crate::display;
use crate::error::{Deployment, Error};
use crate::listings;
use crate::pipeline::{Invocation, Loader, Run};
use crate::progress::Progress;
use crate::queue::{Standing, Until, plan};
use crate::redshift::Refusal;
use crate::rehearsal::rehearse;
use crate::status::{self, Ledger, Status};
use crate::stop::Stop;
use crate::store::Store;

/// Loads CMS Lite user data from archives in S3 into Redshift.
///
/// Inside AWS Lambda (`AWS_LAMBDA_RUNTIME_API` is set) this program serves events; elsewhere it is this
/// command.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_STATUS, after_long_help = format!("{FIRST_STEPS}\n{ENVIRONMENT}\n{EXIT_STATUS}"))]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

const EXIT_STATUS: &str = "\
Exit status: 0 every archive settled as good, 1 stopped at a bad archive,
2 usage or configuration, 3 anything else failed.";

const FIRST_STEPS: &str = "\
First steps, with CONFIG such as config.d/cmslite_user_group_metadata.json:
  check CONFIG             is everything there that a load needs?
  load CONFIG --dry-run    what would be loaded, and what is wrong with the rest?
  load CONFIG --limit 1    load the oldest archive
  load CONFIG              load them all
  status CONFIG            what is loaded, what waits, what is bad and why?
";

const ENVIRONMENT: &str = "\
Environment:
  AWS_REGION and other AWS_*     access to AWS, as every AWS program has it
  PGHOST, PGPORT, PGDATABASE     the cluster; the port is 5439 by default
  PGUSER; pgpass or PGPASSWORD   the login
  PGPASS_SECRET_ID               instead of the password: its secret's name or ARN
  PGSSLMODE, PGSSLROOTCERT       verify-full by default; other certificates to trust
  COPY_IAM_ROLE                  COPY's role: an ARN or `default`; else own keys
  BAD_ARCHIVE_TOPIC_ARN          an SNS topic that hears of bad archives
  CONFIG_DIR                     in Lambda: instead of the bundled configuration
";

const EXAMPLES: &str = "\
Examples:
  load CONFIG --until client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz
          everything up to that archive, oldest first
  load CONFIG --again client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz
          that archive once more, after its tables were damaged or it was wrongly found bad

Ctrl-C stops before the next step and leaves nothing half done; a second one
ends at once. A log is kept in logs/cmslite_user_data_to_redshift.log.
";

/// What the command does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Something with a dataset.
    #[command(flatten)]
    Work(Work),
    /// Print a script that completes this command in a shell: `source <(cmslite-user-data-to-redshift
    /// completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What it does with a dataset.
#[derive(Debug, Subcommand)]
pub enum Work {
    /// Work through a dataset's queue of archives, oldest first, until its end or the first bad archive.
    #[command(after_long_help = EXAMPLES)]
    Load {
        /// The dataset's configuration file, such as `config.d/cmslite_user_group_metadata.json`.
        config: PathBuf,
        /// Load this archive alone, even if it is loaded already. While appending, its rows are then there
        /// twice.
        #[arg(long, value_name = "KEY")]
        again: Option<String>,
        /// Work on the queue up to and including this archive.
        #[arg(long, value_name = "KEY", conflicts_with = "again")]
        until: Option<String>,
        /// Work on so many archives at the most, and leave the others in the queue.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Read, check and transform the queue's archives, also behind a bad one, and stage, load and settle
        /// nothing. Needs no access to Redshift.
        #[arg(long)]
        dry_run: bool,
    },
    /// Try everything that a load needs: S3, login, ledger, tables, columns, rights. Loads nothing.
    Check {
        /// The dataset's configuration file.
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a dataset's queue, what is settled and how, and where markers and ledger disagree. Changes
    /// nothing.
    Status {
        /// The dataset's configuration file.
        config: PathBuf,
        /// Show every good archive, not just the last.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Exit statuses, as the command's help names them.
mod exit {
    pub(super) const GOOD: u8 = 0;
    pub(super) const BAD_ARCHIVE: u8 = 1;
    pub(super) const CONFIGURATION: u8 = 2;
    pub(super) const FAILED: u8 = 3;
}

/// Prints what completes the command in a shell.
pub fn complete(shell: Shell) -> ExitCode {
    clap_complete::generate(shell, &mut Arguments::command(), env!("CARGO_PKG_NAME"), &mut std::io::stdout());
    exit::GOOD.into()
}

impl Work {
    /// The dataset that it is about.
    ///
    /// # Errors
    ///
    /// [`Deployment::Configuration`] with every mistake of the file.
    pub fn dataset(&self) -> Result<Dataset, Error> {
        let (Self::Load { config, .. } | Self::Check { config, .. } | Self::Status { config, .. }) = self;
        config::load_file(config)
            .map_err(|mistakes| Error::deployment(Deployment::Configuration, mistakes.to_string()))
    }

    /// Whether it needs S3 only.
    pub fn is_dry_run(&self) -> bool {
        matches!(self, Self::Load { dry_run: true, .. })
    }

    /// How far through the queue it goes.
    fn until(&self) -> Until {
        match self {
            Self::Load { again: Some(key), .. } => Until::Again(key.clone()),
            Self::Load { until: Some(key), .. } => Until::Keys(HashSet::from([key.clone()])),
            _ => Until::End,
        }
    }

    /// An invocation by hand, which a signal stops.
    fn invocation(&self) -> Invocation {
        let request_id =
            format!("command-{}-{}", chrono::Utc::now().format("%Y%m%dT%H%M%S%3fZ"), std::process::id());
        let limit = if let Self::Load { limit, .. } = self { *limit } else { None };
        Invocation { request_id, stop: interruptible(), limit, progress: Progress::default() }
    }

    /// Does what needs S3 only.
    pub async fn rehearse(self, store: &Store, dataset: Dataset) -> ExitCode {
        let (invocation, until, dataset) = (self.invocation(), self.until(), Arc::new(dataset));
        let (rehearsal, failure) =
            display::during(&invocation.progress, rehearse(store, &dataset, &until, &invocation)).await;
        print!("{rehearsal}");
        match failure {
            Some(error) => failed(&error),
            None if !rehearsal.bad.is_empty() => exit::BAD_ARCHIVE.into(),
            None => exit::GOOD.into(),
        }
    }

    /// Does what needs S3 and Redshift.
    pub async fn run(self, loader: &Loader, dataset: Dataset) -> ExitCode {
        match self {
            Self::Load { .. } => load(loader, dataset, &self.until(), &self.invocation()).await,
            Self::Check { json, .. } => {
                let check = check::check(loader, &dataset).await;
                show(&check, json, check.has_failed())
            }
            Self::Status { all, json, .. } => match status(loader, &dataset, all).await {
                Ok(status) => show(&status, json, status.ledger_unreadable.is_some()),
                Err(error) => failed(&error),
            },
        }
    }
}

/// Stops before the next step at the first Ctrl-C or SIGTERM, and ends at once at the second, as an impatient
/// person means it.
fn interruptible() -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    tokio::spawn(async move {
        if interrupted().await.is_ok() {
            warn!("stopping before the next step; once more ends at once");
            asked.ask();
        }
        if interrupted().await.is_ok() {
            std::process::exit(exit::FAILED.into());
        }
    });
    stop
}

async fn interrupted() -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = ctrl_c() => pressed,
        _ = terminated.recv() => Ok(()),
    }
}

/// Works through the queue of `dataset` and prints the report.
async fn load(loader: &Loader, dataset: Dataset, until: &Until, invocation: &Invocation) -> ExitCode {
    let dataset = Arc::new(dataset);
    let Run { report, failure } =
        display::during(&invocation.progress, loader.run(&dataset, until, invocation)).await;
    print!("{report}");
    if !report.bad.is_empty() {
        return exit::BAD_ARCHIVE.into();
    }
    failure.map_or(exit::GOOD.into(), |error| failed(&error))
}

/// Asks S3 and Redshift where `dataset` stands. A ledger that cannot be read leaves the markers to be shown.
async fn status(loader: &Loader, dataset: &Dataset, all: bool) -> Result<Status, Error> {
    let (read, ledger) =
        tokio::join!(listings::read(&loader.store, dataset, &Until::End), ledger(loader, dataset));
    let (listings, revisions) = read?;
    let plan = plan(dataset, &listings, &revisions);
    let mut errors = BTreeMap::new();
    for archive in plan.standing(Standing::Bad) {
        let file = loader.store.read(&dataset.bucket, &dataset.error_key(&archive.key)).await?;
        errors.extend(
            file.and_then(|file| serde_json::from_slice(&file).ok()).map(|file| (archive.key.clone(), file)),
        );
    }
    Ok(status::status(dataset, &listings, &plan, ledger, &errors, all))
}

async fn ledger(loader: &Loader, dataset: &Dataset) -> Ledger {
    let rows = async {
        let session = loader.redshift.connect(None).await.map_err(Refusal::Other)?;
        let rows = session.loads(&dataset.ledger, &dataset.name, &dataset.bucket).await;
        session.close().await;
        rows
    };
    match rows.await {
        Ok(rows) => Ledger::Rows(rows),
        Err(Refusal::NoRelation(_)) => Ledger::Absent,
        Err(refusal) => Ledger::Unreadable(Error::from(refusal).chain()),
    }
}

fn show<T: Serialize + Display>(told: &T, json: bool, has_failed: bool) -> ExitCode {
    if json {
        println!("{}", serde_json::to_string_pretty(told).unwrap_or_default());
    } else {
        print!("{told}");
    }
    if has_failed { exit::FAILED.into() } else { exit::GOOD.into() }
}

/// Says why the command cannot go on, and with which status it ends.
pub fn failed(error: &Error) -> ExitCode {
    error!(error_type = error.error_type(), "{}", error.chain());
    match error {
        Error::Deployment(fault)
            if matches!(fault.kind, Deployment::Configuration | Deployment::NotAgain) =>
        {
            exit::CONFIGURATION.into()
        }
        Error::BadInput(_) => exit::BAD_ARCHIVE.into(),
        Error::Deployment(_) | Error::Retryable(_) => exit::FAILED.into(),
    }
}
