//! Defines the command line: subcommands, options, and their help.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use cmslite_core::queue::Selection;

use super::color::When;
use super::{duration, help};

/// Loads CMS Lite user data from archives in S3 into Redshift.
///
/// Inside AWS Lambda (`AWS_LAMBDA_RUNTIME_API` is set) this program serves events; elsewhere it is this
/// command.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = MAX_COLUMNS,
    after_help = help::EXIT_STATUS,
    after_long_help = format!("{}\n{}\n{}", help::FIRST_STEPS, help::ENVIRONMENT, help::EXIT_STATUS)
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub showing: Showing,
}

/// The maximum width of the help, in columns.
pub const MAX_COLUMNS: usize = 80;

/// What the command does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work through a dataset's queue of archives, oldest first, until its end or the first bad archive.
    #[command(after_help = help::EXIT_STATUS, after_long_help = format!("{}\n{}", help::LOAD, help::EXIT_STATUS))]
    Load(Load),
    /// Try everything that a load needs: S3, login, ledger, tables, columns, rights. Loads nothing.
    #[command(after_help = help::EXIT_STATUS, after_long_help = format!("{}\n{}", help::CHECK, help::EXIT_STATUS))]
    Check(Check),
    /// Read archives on this machine as a load reads them, before they are uploaded. Needs no AWS and no
    /// Redshift.
    #[command(
        after_help = help::VALIDATE_EXIT_STATUS,
        after_long_help = format!("{}\n{}", help::VALIDATE, help::VALIDATE_EXIT_STATUS)
    )]
    Validate(Validate),
    /// Show a dataset's queue, its settled archives, and where markers and ledger disagree. Changes nothing.
    #[command(after_help = help::EXIT_STATUS, after_long_help = format!("{}\n{}", help::STATUS, help::EXIT_STATUS))]
    Status(Status),
    /// Show everything about one archive: its state, its loads, its problems. Changes nothing.
    #[command(after_help = help::EXIT_STATUS, after_long_help = format!("{}\n{}", help::SHOW, help::EXIT_STATUS))]
    Show(Show),
    /// Write a first configuration and the DDL of its tables for a new dataset, guessed from one of its
    /// archives. Check and edit both files. Needs no AWS and no Redshift.
    #[command(
        after_help = help::INIT_EXIT_STATUS,
        after_long_help = format!("{}\n{}", help::INIT, help::INIT_EXIT_STATUS)
    )]
    Init(Init),
    /// Print a script that completes this command in a shell.
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What is shown, where, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Showing {
    /// Print exactly one JSON document on standard output, also when the command fails.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours. `auto`: on a terminal, unless NO_COLOR or CLICOLOR_FORCE is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Write only errors to standard error.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Write every step to standard error, and every cause of an error.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Append a log to this file. Without this option, only `load` keeps a log, in `logs/`.
    #[arg(long, global = true, value_name = "PATH")]
    pub log_file: Option<PathBuf>,
}

/// The arguments of `load`.
#[derive(Debug, clap::Args)]
pub struct Load {
    /// The dataset: the path of its configuration file, or its name, such as `cmslite_user_group_metadata`.
    pub config: PathBuf,
    /// Load this archive alone, even if it is loaded already. With `truncate` off, its rows are then in the
    /// tables twice.
    #[arg(long, value_name = "KEY", help_heading = ARCHIVES)]
    pub again: Option<String>,
    /// Load this archive alone, even if it was found bad, with fewer rows than `min_rows` and
    /// `max_shrink_percent` in the configuration allow. An archive that is loaded already is not loaded
    /// again.
    #[arg(long, value_name = "KEY", conflicts_with = "again", help_heading = ARCHIVES)]
    pub accept_shrink: Option<String>,
    /// Work on the queue up to and including this archive.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["again", "accept_shrink"], help_heading = ARCHIVES)]
    pub until: Option<String>,
    /// Work on at most N archives, and leave the others in the queue.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = ARCHIVES)]
    pub limit: Option<usize>,
    /// Read, check and transform the queue's archives, also those after a bad one. Stages, loads and settles
    /// nothing. Needs no access to Redshift.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub limits: Limits,
    /// Write the function's CloudWatch metrics to standard error, as a line in the embedded metric format:
    /// for a container task whose log goes to CloudWatch Logs.
    #[arg(long, conflicts_with = "dry_run", help_heading = "Output")]
    pub metrics: bool,
}

/// The heading of the options that select archives.
const ARCHIVES: &str = "Which archives";

/// The arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The dataset: the path of its configuration file, or its name, such as `cmslite_user_group_metadata`.
    pub config: PathBuf,
    /// Check only the configuration, and show what it means. Needs no AWS and no Redshift.
    #[arg(long)]
    pub offline: bool,
    #[command(flatten)]
    pub limits: Limits,
}

/// The arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// The dataset: the path of its configuration file, or its name, such as `cmslite_user_group_metadata`.
    pub config: PathBuf,
    /// Show every archive and every object passed over, not only a part of long lists. JSON always has all of
    /// them.
    #[arg(long)]
    pub all: bool,
    /// Write a page for a browser to this file instead of printing; `-` is standard output. The page needs no
    /// other file and no connection. An existing file is replaced when the page is complete.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub html: Option<PathBuf>,
    #[command(flatten)]
    pub limits: Limits,
}

/// The time limits of a command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Time")]
pub struct Limits {
    /// End after this time at the latest, such as `90s`, `15m` or `2h`, and say what the command was waiting
    /// for. A load begins no archive in its last 15 seconds. [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub timeout: Option<Duration>,
    /// Stop a statement that runs longer than this.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration::parse)]
    pub statement_timeout: Duration,
}

/// The arguments of `validate`.
#[derive(Debug, clap::Args)]
pub struct Validate {
    /// The dataset: the path of its configuration file, or its name, such as `cmslite_user_group_metadata`.
    pub config: PathBuf,
    /// The archives; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Also check lengths, booleans, numbers and NOT NULL, against the CREATE TABLE statements in this file.
    #[arg(long, value_name = "FILE")]
    pub ddl: Option<PathBuf>,
}

/// The arguments of `show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The dataset: the path of its configuration file, or its name, such as `cmslite_user_group_metadata`.
    pub config: PathBuf,
    /// The archive: its key, or its name after the dataset's prefix.
    pub key: String,
    #[command(flatten)]
    pub limits: Limits,
}

/// The arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// An archive of the dataset, as it will be uploaded.
    pub archive: PathBuf,
    /// Write the files, NAME.json and NAME.sql, into this directory.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Replace existing files.
    #[arg(long)]
    pub force: bool,
    /// The dataset's name. [default: the archive's name, without dates and numbers at its end]
    #[arg(long, help_heading = DATASET)]
    pub name: Option<String>,
    /// The bucket. [default: a placeholder, to be filled in]
    #[arg(long, help_heading = DATASET)]
    pub bucket: Option<String>,
    /// The first part of the archives' prefix.
    #[arg(long, value_name = "PREFIX", default_value = "client", help_heading = DATASET)]
    pub source: String,
    /// The first part of the prefix of everything that is written.
    #[arg(long, value_name = "PREFIX", default_value = "processed", help_heading = DATASET)]
    pub destination: String,
    /// The prefix between either of these and an archive's name. [default: the dataset's name]
    #[arg(long, value_name = "PREFIX", help_heading = DATASET)]
    pub directory: Option<String>,
    /// The schema of the tables. [default: the dataset's name]
    #[arg(long, help_heading = DATASET)]
    pub schema: Option<String>,
    /// Let each load add its rows. Without this option, a load replaces the rows of the tables.
    #[arg(long, help_heading = DATASET)]
    pub append: bool,
}

/// The heading of the options that an archive does not reveal.
const DATASET: &str = "Dataset";

impl Load {
    /// Returns which archives of the queue are worked on.
    pub fn selection(&self) -> Selection {
        match self {
            Self { again: Some(key), .. } => Selection::Reload(key.as_str().into()),
            Self { accept_shrink: Some(key), .. } => Selection::AcceptShrink(key.as_str().into()),
            Self { until: Some(key), .. } => Selection::UpTo(HashSet::from([key.as_str().into()])),
            _ => Selection::WholeQueue,
        }
    }
}

/// Parses a number of archives. 0 is refused: it would do nothing, and look like success.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err(format!("{text:?} is not a whole number")),
    }
}
