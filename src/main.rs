//! Picks the entry point: a Lambda function where Lambda's runtime is, a command elsewhere.

use std::env;
use std::process::ExitCode;

use cmslite_user_data_to_redshift::{cli, lambda};

#[tokio::main]
async fn main() -> ExitCode {
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() { lambda::main().await } else { cli::main().await }
}
