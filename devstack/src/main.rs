//! Runs the local stack: `devstack demo` shows once how archives are loaded; `devstack serve` loads what is
//! uploaded to its bucket.

mod sam;
mod show;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use clap::{Parser, Subcommand};
use devstack::dataset::{self, Dataset};
use devstack::lambda::{self, Invocation, Lambda, Outcome};
use devstack::redshift;
use devstack::s3::{Notification, Target};
use devstack::samples::{self, Member};
use devstack::stack::{self, BUCKET, LOADER, LOADER_PASSWORD, Stack, uploader_keys};
use devstack::status_page::StatusPage;
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

const FUNCTION: &str = "cmslite-user-data-to-redshift";
const SAMPLE: &str = "client/cmslite_gdx/cms-analytics-csv_2024-03-01.tgz";

/// A local S3, Redshift and Lambda around the loader.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Upload a good and a bad archive to a new stack, and show what becomes of them.
    Demo {
        /// A function that is already built, such as the `bootstrap` of the zip that `cargo lambda build`
        /// makes.
        #[arg(long)]
        function: Option<PathBuf>,
    },
    /// Keep a stack running, with a sample archive in its bucket, and load every archive that is uploaded to
    /// it.
    Serve(Serve),
}

/// The options of `serve`.
#[derive(clap::Args)]
struct Serve {
    /// S3's port.
    #[arg(long, default_value_t = 9010)]
    s3_port: u16,
    /// The Redshift stand-in's port.
    #[arg(long, default_value_t = 5439)]
    redshift_port: u16,
    /// The port of the status page, which a browser can open.
    #[arg(long, default_value_t = 9011)]
    page_port: u16,
    /// The function that S3 notifies of uploads: `own` for one that the stack runs, `none`, or an invoke URL
    /// such as that of `cargo lambda watch`.
    #[arg(long, default_value = "own")]
    function: String,
    /// Where to write the environment for other programs, as shell commands.
    #[arg(long, default_value = "devstack.env")]
    environment: PathBuf,
    /// Also write the files for `sam local invoke` to `devstack.sam/`, after `sam build`; and serve
    /// containers.
    #[arg(long)]
    sam: bool,
    /// The address at which containers reach this machine. The default is Docker's bridge, so that only
    /// containers reach the stack.
    #[arg(long, default_value = "172.17.0.1", requires = "sam")]
    bridge: IpAddr,
    /// A configuration of your own, whose archives are loaded instead of those of the shipped dataset.
    #[arg(long, value_name = "CONFIG", requires = "ddl")]
    dataset: Option<PathBuf>,
    /// The CREATE TABLE statements of the tables.
    #[arg(long, value_name = "FILE", requires = "dataset")]
    ddl: Option<PathBuf>,
    /// Archives to upload when the stack is running, one after the other.
    #[arg(value_name = "ARCHIVE")]
    archives: Vec<PathBuf>,
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let done = match Arguments::parse().action {
        Action::Demo { function } => demo(function).await,
        Action::Serve(options) => serve(options).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("devstack: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the loader with the profile of this program, and returns its path.
fn build_function() -> Result<PathBuf, Failure> {
    let directory = env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    println!("Building the loader ...");
    cargo.args([
        "build",
        "--quiet",
        "--bin",
        FUNCTION,
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"),
    ]);
    if directory.ends_with("release") {
        cargo.arg("--release");
    }
    if let Some(target) = directory.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    if !cargo.stdin(Stdio::null()).status()?.success() {
        return Err("the loader cannot be built".into());
    }
    Ok(directory.join(FUNCTION))
}

/// Starts the function with the configurations of a directory, or with its own.
async fn start_function(stack: &Stack, program: PathBuf, configs: Option<&Path>) -> Result<Lambda, Failure> {
    let mut environment = stack.function_environment();
    environment.extend(configs.map(|path| ("CONFIG_DIR".to_owned(), path.display().to_string())));
    environment.push(("STATUS_PAGE".to_owned(), "on".to_owned()));
    Ok(Lambda::start(lambda::Options::new(program, environment)).await?)
}

/// Saves the function's status page beside this program, so that a browser can open it after the demo, and
/// prints its path.
fn keep_page(stack: &Stack, dataset: &Dataset) -> Result<(), Failure> {
    let page = stack.s3.read(&dataset.bucket, &dataset.page).ok_or("there is no status page")?;
    let file = env::current_exe()?.with_file_name("demo-status.html");
    fs::write(&file, page)?;
    println!("\nThe function's status page, for a browser: file://{}", file.display());
    Ok(())
}

fn notify(stack: &Stack, dataset: &Dataset, url: String) {
    let target = Target::Invoke(url);
    stack.s3.notify(Notification {
        bucket: dataset.bucket.clone(),
        prefix: dataset.prefix.clone(),
        suffix: String::new(),
        target,
    });
}

/// Returns the S3 client of the uploading team.
fn uploader(stack: &Stack) -> Client {
    let keys = uploader_keys();
    let keys = Credentials::new(keys.access_key_id, keys.secret_access_key, None, None, "uploader");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ca-central-1"))
        .endpoint_url(stack.s3_endpoint())
        .force_path_style(true)
        .credentials_provider(keys);
    Client::from_conf(config.build())
}

async fn upload(client: &Client, bucket: &str, key: &str, archive: Vec<u8>) -> Result<(), Failure> {
    println!(
        "\n$ aws s3 cp {} s3://{bucket}/{key}   ({} bytes)",
        key.rsplit('/').next().unwrap_or(key),
        archive.len()
    );
    client.put_object().bucket(bucket).key(key).body(archive.into()).send().await?;
    Ok(())
}

async fn next(invocations: &mut Receiver<Invocation>) -> Result<Invocation, Failure> {
    Ok(timeout(Duration::from_secs(300), invocations.recv())
        .await
        .map_err(|_| "the function did not answer within five minutes")??)
}

/// Creates a good archive with texts that are often damaged on the way: quotes, backslashes, leading zeros,
/// line ends, other alphabets.
fn good_archive() -> std::io::Result<Vec<u8>> {
    samples::archive(&samples::real_dataset(2024, 25)?)
}

/// Creates an archive of the same kind with three mistakes in one of its files.
fn bad_archive() -> std::io::Result<Vec<u8>> {
    let mut members = samples::real_dataset(2025, 25)?;
    let text = "user_id,user_idir,activity_type,memo,activity_date\n\
                U1,idir\\a,login,,2024-03-01 09:15:42.5\n\
                U2,idir\\b,login,,2024-02-30 09:15:42.5\n\
                U3,idir\\c,login\n\
                U4,idir\\d,login,,yesterday\n";
    for member in members.iter_mut().filter(|member| member.name == "analytics_user_activity.csv") {
        *member = Member::new(&member.name, text);
    }
    samples::archive(&members)
}

async fn demo(function: Option<PathBuf>) -> Result<(), Failure> {
    let program = function.map_or_else(build_function, Ok)?;
    println!("Starting S3, PostgreSQL, the Redshift stand-in and Lambda on this machine ...");
    let stack = Stack::start(stack::Options::default()).await?;
    let dataset = Dataset::shipped()?;
    let lambda = start_function(&stack, program, None).await?;
    notify(&stack, &dataset, lambda.invoke_url(FUNCTION));
    let mut invocations = lambda.subscribe();
    let client = uploader(&stack);

    show::title("1. A good archive: uploaded, and S3's notification does the rest");
    show::keys("The bucket before", &stack);
    upload(&client, BUCKET, SAMPLE, good_archive()?).await?;
    let invocation = next(&mut invocations).await?;
    show::invocation(&invocation);
    expect(&invocation, ["objects_good", "tables_loaded", "rows"], [1, 4, 100])?;
    show::tables(&stack, &dataset.tables).await?;
    show::keys("The bucket after", &stack);

    show::title("2. A bad archive: refused as a whole, and explained");
    let bad = "client/cmslite_gdx/cms-analytics-csv_2024-03-02.tgz";
    upload(&client, BUCKET, bad, bad_archive()?).await?;
    let invocation = next(&mut invocations).await?;
    show::invocation(&invocation);
    expect(&invocation, ["objects_good", "objects_bad", "rows"], [0, 1, 0])?;
    let explanation = format!("processed/bad/{bad}.error.json");
    println!("\n{explanation}:");
    println!(
        "{}",
        String::from_utf8_lossy(&stack.s3.read(BUCKET, &explanation).ok_or("there is no explanation")?)
    );
    show::tables(&stack, &dataset.tables).await?;
    show::keys("The bucket after", &stack);
    keep_page(&stack, &dataset)?;
    println!("\nThe tables hold the rows of the good archive; the bad one changed nothing.");
    lambda.stop().await;
    Ok(())
}

/// Fails unless the function's report has these numbers.
fn expect(invocation: &Invocation, names: [&str; 3], numbers: [u64; 3]) -> Result<(), Failure> {
    let Outcome::Ok(answer) = &invocation.outcome else { return Err("the function failed".into()) };
    let found = names.map(|name| answer["reports"][0][name].as_u64().unwrap_or_default());
    if found == numbers {
        Ok(())
    } else {
        Err(format!("{names:?} should be {numbers:?} and are {found:?}").into())
    }
}

async fn serve(options: Serve) -> Result<(), Failure> {
    let Serve {
        s3_port,
        redshift_port,
        page_port,
        function,
        environment,
        sam,
        bridge,
        dataset,
        ddl,
        archives,
    } = options;
    let bridge = sam.then_some(bridge);
    let config = dataset;
    let dataset = config.as_deref().map_or_else(Dataset::shipped, Dataset::read)?;
    let configs = config.as_deref().map(dataset::directory_of).transpose()?;
    let program = if function == "own" { Some(build_function()?) } else { None };
    let names = move |options: &mut redshift::Options| {
        options.host_names.extend(bridge.map(|bridge| bridge.to_string()));
    };
    let stack = Stack::start(stack::Options {
        s3_port,
        redshift_port,
        redshift: Some(Arc::new(names)),
        ..stack::Options::default()
    })
    .await?;
    if let Some(ddl) = ddl {
        dataset.set_up(&stack, &ddl).await?;
    }
    let stack = Arc::new(stack);
    let page = StatusPage::start(&stack, &dataset, page_port).await?;
    let lambda = match program {
        Some(program) => Some(start_function(&stack, program, configs.as_ref().map(TempDir::path)).await?),
        None => None,
    };
    match (&lambda, function.as_str()) {
        (Some(lambda), _) => notify(&stack, &dataset, lambda.invoke_url(FUNCTION)),
        (None, "none") => {}
        (None, url) if url.starts_with("http://") => notify(&stack, &dataset, url.to_owned()),
        (None, other) => {
            return Err(format!("--function {other}: expected own, none or an http:// URL").into());
        }
    }
    if let Some(bridge) = bridge {
        for port in [stack.s3.port(), stack.redshift.port()] {
            sam::forward(bridge, port).await?;
        }
        sam::write(&stack, bridge)?;
    }
    let mut shell = String::new();
    let switch = ("STATUS_PAGE".to_owned(), "on".to_owned());
    for (name, value) in stack.environment(&uploader_keys()).into_iter().chain([switch]) {
        let _ = writeln!(shell, "export {name}='{value}'");
    }
    fs::write(&environment, &shell)?;
    let Dataset { bucket, prefix, tables, .. } = &dataset;
    println!("S3:       {}, bucket {bucket}", stack.s3_endpoint());
    println!(
        "Redshift: localhost:{}, database {}, user {LOADER}, password {LOADER_PASSWORD}",
        stack.redshift.port(),
        stack.database
    );
    println!("Status:   {} (after the first run)", page.url());
    println!("Environment for other programs, also in {}:\n\n{shell}", environment.display());
    println!("Upload archives to s3://{bucket}/{prefix}; Ctrl-C ends.");
    let invocations = lambda.as_ref().map(Lambda::subscribe);
    let client = uploader(&stack);
    if config.is_none() {
        upload(&client, bucket, SAMPLE, good_archive()?).await?;
    }
    for archive in archives {
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        upload(&client, bucket, &format!("{prefix}{name}"), fs::read(&archive)?).await?;
    }
    let reports = async {
        let Some(mut invocations) = invocations else { return std::future::pending().await };
        while let Ok(invocation) = invocations.recv().await {
            show::invocation(&invocation);
            if show::tables(&stack, tables).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reports => {}
        signal = tokio::signal::ctrl_c() => signal?,
    }
    let _ = fs::remove_file(&environment);
    if bridge.is_some() {
        let _ = fs::remove_dir_all(sam::DIRECTORY);
    }
    Ok(())
}
