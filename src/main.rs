//! Picks the face: a Lambda function where Lambda's runtime is, a command elsewhere.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use clap::Parser as _;
use cmslite_user_data_to_redshift::command::{self, Action, Arguments, Work};
use cmslite_user_data_to_redshift::environment::Environment;
use cmslite_user_data_to_redshift::error::{Deployment, Error};
use cmslite_user_data_to_redshift::lambda::{self, Function};
use cmslite_user_data_to_redshift::notify::Notifier;
use cmslite_user_data_to_redshift::password::SecretLogin;
use cmslite_user_data_to_redshift::pipeline::Loader;
use cmslite_user_data_to_redshift::redshift::Redshift;
use cmslite_user_data_to_redshift::store::{Store, client};
use cmslite_user_data_to_redshift::{config, logging};

#[tokio::main]
async fn main() -> ExitCode {
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        logging::for_lambda();
        let directory =
            env::var_os("CONFIG_DIR").filter(|directory| !directory.is_empty()).map(PathBuf::from);
        return match lambda::serve(function().await, &config::names(directory.as_deref())).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let Arguments { action } = Arguments::parse();
    logging::for_command();
    match action {
        Action::Completions { shell } => command::complete(shell),
        Action::Work(work) => run(work).await.unwrap_or_else(|error| command::failed(&error)),
    }
}

async fn run(work: Work) -> Result<ExitCode, Error> {
    let dataset = work.dataset()?;
    if work.is_dry_run() {
        let store = Store::new(client(&aws().await?.0));
        return Ok(work.rehearse(&store, dataset).await);
    }
    let loader = loader(&environment()?).await?;
    Ok(work.run(&loader, dataset).await)
}

async fn function() -> Result<Function, Error> {
    let environment = environment()?;
    let datasets = config::load_all(environment.config_dir.as_deref())
        .map_err(|mistakes| Error::deployment(Deployment::Configuration, mistakes.to_string()))?;
    let loader = loader(&environment).await?;
    Ok(Function { loader, datasets: datasets.into_iter().map(Arc::new).collect() })
}

fn environment() -> Result<Environment, Error> {
    Environment::read(|name| env::var(name).ok())
}

/// What the `AWS_*` variables and files say, and the region among it.
async fn aws() -> Result<(SdkConfig, String), Error> {
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let region = aws.region().map(ToString::to_string);
    let region = region.ok_or_else(|| {
        Error::deployment(Deployment::Configuration, "no AWS region: set AWS_REGION to the bucket's")
    })?;
    Ok((aws, region))
}

async fn loader(environment: &Environment) -> Result<Loader, Error> {
    let (aws, region) = aws().await?;
    let redshift = match &environment.password_secret_id {
        Some(id) => {
            let login = SecretLogin::new(&aws, id, environment);
            Redshift::new(&login.read().await?)?.renewed_by(login)
        }
        None => Redshift::new(&environment.login(None)?)?,
    };
    Ok(Loader {
        store: Store::new(client(&aws)),
        redshift,
        copy: environment.copy.clone(),
        credentials: aws.credentials_provider(),
        notifier: environment.bad_archive_topic.as_deref().map(|topic| Notifier::new(&aws, topic)),
        region: Some(region),
    })
}
