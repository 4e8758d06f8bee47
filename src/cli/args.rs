//! The command line: subcommands, options, and their help.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use cmslite_core::queue::Selection;

use super::duration;

/// Loads CMS Lite user data from archives in S3 into Redshift.
///
/// Inside AWS Lambda (`AWS_LAMBDA_RUNTIME_API` is set) this program serves events; elsewhere it is this
/// command.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_STATUS, after_long_help = format!("{FIRST_STEPS}\n{ENVIRONMENT}\n{EXIT_STATUS}"))]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_STATUS: &str = "\
Exit status: 0 every archive settled as good, 1 stopped at a bad archive,
2 usage or configuration, 3 anything else failed.";

const FIRST_STEPS: &str = "\
First steps, with CONFIG such as config.d/cmslite_user_group_metadata.json:
  validate CONFIG FILE...  is an archive on this machine good, before it is uploaded?
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
  REDSHIFT_CLUSTER               instead of any password: a login by IAM to this cluster
  REDSHIFT_WORKGROUP             the same of a workgroup of Redshift Serverless
  PGSSLMODE, PGSSLROOTCERT       verify-full by default; other certificates to trust
  COPY_IAM_ROLE                  COPY's role: an ARN or `default`; else own keys
  S3_BUCKET_OWNER                the account that the bucket must belong to
  S3_KMS_KEY_ID                  the KMS key that encrypts what is written
  BAD_ARCHIVE_TOPIC_ARN          an SNS topic that hears of bad archives
  LEAVE_TO_TASK_BYTES            in Lambda: larger archives are left to a task
  STATUS_PAGE                    in Lambda: `on` writes a page after each run
  CONFIG_DIR                     in Lambda: instead of the bundled configuration
";

const EXAMPLES: &str = "\
Examples:
  load CONFIG --until client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz
          everything up to that archive, oldest first
  load CONFIG --again client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz
          that archive once more, after its tables were damaged or it was wrongly found bad
  load CONFIG --accept-shrink client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz
          that archive although it has fewer rows than the configuration allows

Ctrl-C stops before the next step, or within two seconds where S3 or Redshift
keeps it waiting, and leaves nothing half done; a second one ends at once. What
is waited for is told once a minute.
A time is a number and s, m or h. A log is kept in logs/cmslite_user_data_to_redshift.log.
";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  validate CONFIG export.tgz --ddl ddl/tables.sql
          what a load would find, as far as it shows without Redshift
  tar -cz *.csv | validate CONFIG - --json
          the same of standard input, as JSON

With --json each archive is one line: a document in the form of error.json, in which
`problems_found` is 0 for a good one, and `tables` has its rows.
";

const VALIDATE_EXIT_STATUS: &str = "\
Exit status: 0 every archive is good, 1 one is bad, 2 usage: a file cannot be read,
or CONFIG or the statements of --ddl are wrong.";

/// What the command does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work through a dataset's queue of archives, oldest first, until its end or the first bad archive.
    #[command(after_long_help = EXAMPLES)]
    Load(Load),
    /// Try everything that a load needs: S3, login, ledger, tables, columns, rights. Loads nothing.
    Check {
        /// The dataset's configuration file.
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        limits: Limits,
    },
    /// Read archives on this machine as a load reads them, before they are uploaded. Needs no AWS and no
    /// Redshift.
    #[command(after_help = VALIDATE_EXIT_STATUS, after_long_help = format!("{VALIDATE_EXAMPLES}\n{VALIDATE_EXIT_STATUS}"))]
    Validate(Validate),
    /// Show a dataset's queue, what is settled and how, and where markers and ledger disagree. Changes
    /// nothing.
    Status {
        /// The dataset's configuration file.
        config: PathBuf,
        /// Show every good archive and every object passed over, not just the last; with `--json`, all of
        /// every list, not just 20 elements from each end.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Write a page for a browser to this file, `-` for standard output, instead of printing. It needs no other file
        /// and no connection. A file that is there is replaced at once, when the page is whole.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "all"])]
        html: Option<PathBuf>,
        #[command(flatten)]
        limits: Limits,
    },
    /// Print a script that completes this command in a shell:
    /// `source <(cmslite-user-data-to-redshift completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What is loaded.
#[derive(Debug, clap::Args)]
pub struct Load {
    /// The dataset's configuration file, such as `config.d/cmslite_user_group_metadata.json`.
    pub config: PathBuf,
    /// Load this archive alone, even if it is loaded already. While appending, its rows are then there
    /// twice.
    #[arg(long, value_name = "KEY")]
    pub again: Option<String>,
    /// Load this archive alone, also where it was found bad, with fewer rows than `min_rows` and
    /// `max_shrink_percent` in the configuration allow. What is loaded already is not loaded again.
    #[arg(long, value_name = "KEY", conflicts_with = "again")]
    pub accept_shrink: Option<String>,
    /// Work on the queue up to and including this archive.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["again", "accept_shrink"])]
    pub until: Option<String>,
    /// Work on so many archives at the most, and leave the others in the queue.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Read, check and transform the queue's archives, also behind a bad one, and stage, load and settle
    /// nothing. Needs no access to Redshift.
    #[arg(long)]
    pub dry_run: bool,
    /// Write what the function counts for CloudWatch to standard error, as a line of the embedded metric format: for a
    /// container task whose log goes to CloudWatch Logs.
    #[arg(long, conflicts_with = "dry_run")]
    pub metrics: bool,
    #[command(flatten)]
    pub limits: Limits,
}

/// How long a command may take.
#[derive(Debug, clap::Args)]
pub struct Limits {
    /// End after this time at the latest, such as `90s`, `15m` or `2h`, and say what was waited for. A load
    /// begins no archive in its last 15 seconds. [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub timeout: Option<Duration>,
    /// Give a statement up that Redshift works on for longer.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration::parse)]
    pub statement_timeout: Duration,
}

/// What is validated.
#[derive(Debug, clap::Args)]
pub struct Validate {
    /// The dataset's configuration file, such as `config.d/cmslite_user_group_metadata.json`.
    pub config: PathBuf,
    /// The archives; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Also judge lengths, booleans, numbers and NOT NULL, by the CREATE TABLE statements in this file.
    #[arg(long, value_name = "FILE")]
    pub ddl: Option<PathBuf>,
    /// Print JSON, one line for each archive.
    #[arg(long)]
    pub json: bool,
}

impl Load {
    /// Which archives of the queue are worked on.
    pub fn selection(&self) -> Selection {
        match self {
            Self { again: Some(key), .. } => Selection::Reload(key.as_str().into()),
            Self { accept_shrink: Some(key), .. } => Selection::AcceptShrink(key.as_str().into()),
            Self { until: Some(key), .. } => Selection::UpTo(HashSet::from([key.as_str().into()])),
            _ => Selection::WholeQueue,
        }
    }
}

/// Prints what completes the command in a shell.
pub fn print_completions(shell: Shell) {
    clap_complete::generate(shell, &mut Arguments::command(), env!("CARGO_PKG_NAME"), &mut std::io::stdout());
}
