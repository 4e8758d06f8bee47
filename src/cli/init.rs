//! Runs `init`: the guess on standard output, and the files that it writes.

use std::path::Path;

use cmslite_core::guess::{ArchiveName, Place, identifier};
use cmslite_core::progress::Progress;

use super::args::Init;
use super::failure::Failure;
use super::output::Output;
use super::{exit, progress_bar};
use crate::init::{BUCKET_PLACEHOLDER, InitError, Request, init};

/// Writes the files of a new dataset. If the archive is bad even with the configuration that was guessed from
/// it, the result says so and why.
pub(super) async fn run(arguments: &Init, output: &Output) -> Result<u8, Failure> {
    let request = request(arguments)?;
    let progress = Progress::default();
    let work = {
        let progress = progress.clone();
        tokio::task::spawn_blocking(move || init(&request, &progress))
    };
    let initialised = progress_bar::during(&progress, work).await;
    let initialised = initialised.map_err(|error| Failure::usage(error.to_string()))??;
    output.result(&initialised, &initialised, None);
    Ok(if initialised.validation.is_bad() { exit::BAD_ARCHIVE } else { exit::GOOD })
}

fn request(arguments: &Init) -> Result<Request, Failure> {
    let file = arguments.archive.file_name().unwrap_or_default().to_string_lossy();
    let ArchiveName { dataset, doc } = ArchiveName::of(&file);
    let name = arguments.name.clone().unwrap_or(dataset);
    if name.is_empty() || Path::new(&name).file_name() != Some(name.as_ref()) {
        return Err(Failure::usage(format!("--name {name:?} is not a file name")));
    }
    let schema = Some(identifier(&name)).filter(|schema| !schema.is_empty());
    Ok(Request {
        archive: arguments.archive.clone(),
        place: Place {
            bucket: arguments.bucket.clone().unwrap_or_else(|| BUCKET_PLACEHOLDER.to_owned()),
            source: arguments.source.clone(),
            destination: arguments.destination.clone(),
            directory: arguments.directory.clone().unwrap_or_else(|| name.clone()),
            doc,
            schema: arguments.schema.clone().or(schema).unwrap_or_else(|| "public".to_owned()),
            truncate: !arguments.append,
        },
        name,
        // File names read better without a `./`.
        directory: arguments.output.strip_prefix(".").unwrap_or(&arguments.output).to_owned(),
        force: arguments.force,
    })
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        match error {
            InitError::Config(mistakes) => mistakes.into(),
            InitError::Exists(_) => Self::usage(error.to_string())
                .with_remedy("give --force to replace it, or --output or --name"),
            InitError::Guess(_) | InitError::Ddl(_) | InitError::Io { .. } => Self::usage(error.to_string()),
        }
    }
}
