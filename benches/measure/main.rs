//! Measures what a load costs on this machine, in one run, as in the tables of
//! docs/explanation/performance.md.
//!
//! ```sh
//! cargo bench --bench measure -- --tables staging --sizes 1MB,10MB,100MB
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a measurement ends where it cannot go on"
)]

/// The function's limits, and their effect.
mod lambda_limits;
mod reach;

/// The same work by other programs.
mod peers;

/// One archive beside many settled ones.
mod history;

/// The command.
mod by_hand;

/// Staging.
mod staging;

/// Reading alone.
mod reading;

/// Cold starts.
mod start;

/// A process of the function.
mod function;

/// The archives, and the tables of results.
mod archives;
mod table;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use cmslite_core::config::{self, Dataset};
use devstack::redshift::{Action, Fault};
use devstack::stack::{self, Stack};
use devstack::tls_proxy::TlsProxy;

use self::archives::{Archive, bytes};
use self::function::Connection;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cmslite-user-data-to-redshift");
const CONFIG: &str = include_str!("../../config.d/cmslite_user_group_metadata.json");
const KEY: &str = "client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz";

#[derive(Parser)]
struct Arguments {
    /// The measurements to make.
    #[arg(long, value_delimiter = ',', default_value = "start,reading,staging,reach,peers,by-hand,history")]
    tables: Vec<Measurement>,
    /// The sizes of the archives' CSV.
    #[arg(long, value_delimiter = ',', default_value = "1MB,10MB,100MB")]
    sizes: Vec<String>,
    /// The values of the configuration's `staging`; `default` leaves it out.
    #[arg(long, value_delimiter = ',', default_value = "default")]
    stagings: Vec<String>,
    /// The numbers of settled archives beside the one that is loaded.
    #[arg(long, value_delimiter = ',', default_value = "0,1000")]
    histories: Vec<usize>,
    /// A Python with the packages of benches/peers/requirements.txt; without it, one is created from PyPI's
    /// wheels.
    #[arg(long)]
    python: Option<PathBuf>,
    /// The largest size for the peers, which hold a file in memory several times.
    #[arg(long, default_value = "100MB")]
    largest_for_peers: String,
    /// Clean ARCHIVE into DIRECTORY: the part that is compared with the peers, in a separate process.
    #[arg(long, hide = true, num_args = 2, value_names = ["ARCHIVE", "DIRECTORY"])]
    clean: Option<Vec<PathBuf>>,
    /// Set by Cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Measurement {
    Start,
    Reading,
    Staging,
    Reach,
    Peers,
    ByHand,
    History,
}

/// The conditions of the measurements.
struct Bench {
    arguments: Arguments,
    dataset: Dataset,
    directory: tempfile::TempDir,
    proxy: TlsProxy,
    stack: Stack,
}

impl Bench {
    async fn start(arguments: Arguments, dataset: Dataset) -> Self {
        let stack = Stack::start(stack::Options::default()).await.unwrap();
        // The work after staging is Redshift's, and the stand-in's time for it does not count.
        stack
            .redshift
            .inject(Fault::on("COPY", Action::Refuse("42501".to_owned(), "measured up to here".to_owned())));
        let proxy = TlsProxy::start(stack.s3.port()).await.unwrap();
        Self { arguments, dataset, directory: tempfile::tempdir().unwrap(), proxy, stack }
    }

    /// Returns one archive of each size, made when its turn comes.
    fn archives(&self) -> impl DoubleEndedIterator<Item = Archive> + ExactSizeIterator {
        self.arguments.sizes.iter().map(|size| Archive::of(bytes(size).unwrap(), self.directory.path()))
    }

    /// Returns the program's environment.
    fn environment(&self, connection: Connection) -> Vec<(String, String)> {
        let mut environment = self.stack.function_environment();
        if connection != Connection::Http {
            environment.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
            environment.push(("AWS_ENDPOINT_URL".to_owned(), self.proxy.endpoint()));
            environment.push(("SSL_CERT_FILE".to_owned(), self.proxy.certificates().display().to_string()));
        }
        if connection == Connection::SignedTls {
            // Without the SDK's checksum the program signs the payload, as the SDK does by default.
            environment.push(("AWS_REQUEST_CHECKSUM_CALCULATION".to_owned(), "when_required".to_owned()));
        }
        environment
    }
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let dataset = config::parse("cmslite_user_group_metadata.json", CONFIG).unwrap();
    if let Some([archive, directory]) = arguments.clean.as_deref() {
        return peers::clean(archive, directory, &dataset);
    }
    let tables = arguments.tables.clone();
    let bench = Bench::start(arguments, dataset).await;
    for table in tables {
        match table {
            Measurement::Start => start::print(&bench),
            Measurement::Reading => reading::print(&bench),
            Measurement::Staging => staging::print(&bench).await,
            Measurement::Reach => lambda_limits::print(&bench).await,
            Measurement::Peers => peers::print(&bench),
            Measurement::ByHand => by_hand::print(&bench),
            Measurement::History => history::print(&bench).await,
        }
    }
}
