//! Picks the entry point: a Lambda function if Lambda's runtime is present, otherwise the command.

use std::env;
use std::io;
use std::process::ExitCode;

use cmslite_user_data_to_redshift::{cli, lambda};
use tokio::runtime::Runtime;

fn main() -> io::Result<ExitCode> {
    let runtime = Runtime::new()?;
    let is_lambda = env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    let status = runtime.block_on(async { if is_lambda { lambda::main().await } else { cli::main().await } });
    // A thread that looks up a name, or reads a pipe, may run for long after the program stopped waiting for
    // it.
    runtime.shutdown_background();
    Ok(status)
}
