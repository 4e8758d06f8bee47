//! Picks the face: a Lambda function where Lambda's runtime is, a command elsewhere.

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use clap::Parser as _;
use cmslite_user_data_to_redshift::command::{self, Arguments};
use cmslite_user_data_to_redshift::environment::Environment;
use cmslite_user_data_to_redshift::error::{Deployment, Error};
use cmslite_user_data_to_redshift::lambda::{self, Function};
use cmslite_user_data_to_redshift::pipeline::Loader;
use cmslite_user_data_to_redshift::redshift::Redshift;
use cmslite_user_data_to_redshift::store::{Store, client};
use cmslite_user_data_to_redshift::{config, logging, password};

#[tokio::main]
async fn main() -> ExitCode {
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        logging::for_lambda();
        return match lambda::serve(function().await).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let Arguments { action } = Arguments::parse();
    logging::for_command();
    match prepare(&action).await {
        Ok((loader, dataset)) => action.run(&loader, dataset).await,
        Err(error) => command::failed(&error),
    }
}

async fn function() -> Result<Function, Error> {
    let environment = environment()?;
    let datasets =
        config::load_all(environment.config_dir.as_deref()).map_err(|mistakes| Error::deployment(Deployment::Configuration, mistakes.to_string()))?;
    let loader = loader(&environment).await?;
    Ok(Function { loader, datasets: datasets.into_iter().map(Arc::new).collect() })
}

async fn prepare(action: &command::Action) -> Result<(Loader, config::Dataset), Error> {
    let dataset = action.dataset()?;
    Ok((loader(&environment()?).await?, dataset))
}

fn environment() -> Result<Environment, Error> {
    Environment::read(|name| env::var(name).ok())
}

async fn loader(environment: &Environment) -> Result<Loader, Error> {
    let aws: SdkConfig = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let Some(region) = aws.region() else {
        return Err(Error::deployment(Deployment::Configuration, "no AWS region: set AWS_REGION to the bucket's"));
    };
    let secret = match &environment.password_secret_id {
        Some(id) => Some(password::fetch(&aws, id).await?),
        None => None,
    };
    Ok(Loader {
        store: Store::new(client(&aws)),
        redshift: Redshift::new(&environment.login(secret.as_ref())?)?,
        copy: environment.copy.clone(),
        credentials: aws.credentials_provider(),
        region: Some(region.to_string()),
    })
}
