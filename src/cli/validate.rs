//! Runs `validate`: the result for each archive on standard output, and what prevented reading it on standard
//! error.

use std::io;
use std::path::Path;
use std::sync::Arc;

use cmslite_core::config::Dataset;
use cmslite_core::ddl;
use cmslite_core::limits::TableLimits;
use cmslite_core::progress::Progress;
use cmslite_core::text::printable;

use super::args::Validate;
use super::failure::Failure;
use super::output::Output;
use super::{exit, progress_bar};
use crate::config_files;
use crate::validate::{STANDARD_INPUT, Source, Unreadable, Validations, validate};

/// Validates archives one after the other, also after a bad or unreadable one, and whether or not the output
/// is read, so that the exit status covers all of them.
pub(super) async fn run(arguments: &Validate, output: &Output, all: bool) -> Result<u8, Failure> {
    let (dataset, limits) = prepare(arguments)?;
    let mut validations = Validations::of(&dataset);
    let (dataset, limits, progress) = (Arc::new(dataset), Arc::new(limits), Progress::default());
    let mut status = exit::GOOD;
    let mut failure = None;
    for path in &arguments.files {
        let validated = {
            let (path, dataset, limits, progress) =
                (path.clone(), Arc::clone(&dataset), Arc::clone(&limits), progress.clone());
            tokio::task::spawn_blocking(move || validate(Source::open(&path)?, &dataset, &limits, &progress))
        };
        let validated = progress_bar::during(&progress, validated).await;
        match validated.map_err(io::Error::other).flatten() {
            Ok(validation) => {
                if validation.is_bad() {
                    status = status.max(exit::BAD_ARCHIVE);
                }
                if output.is_json() {
                    validations.archives.push(validation);
                } else {
                    output.text(&validation);
                }
            }
            Err(error) => {
                let unreadable = Failure::usage(format!("cannot read {}: {error}", shown(path)));
                unreadable.print(all);
                status = unreadable.status;
                let file = path.display().to_string();
                validations.unreadable.push(Unreadable { file, message: error.to_string() });
                failure.get_or_insert(unreadable);
            }
        }
    }
    if output.is_json() {
        output.document(&validations, failure.as_ref());
    }
    Ok(status)
}

/// Returns the dataset, and the limits of its tables as far as the command line gives them.
fn prepare(arguments: &Validate) -> Result<(Dataset, TableLimits), Failure> {
    if arguments.files.iter().filter(|path| path.as_os_str() == STANDARD_INPUT).count() > 1 {
        return Err(Failure::usage(format!("standard input ({STANDARD_INPUT}) can be read only once")));
    }
    let dataset = config_files::load_named(&arguments.config, config_files::directory().as_deref())?;
    let limits = match &arguments.ddl {
        None => TableLimits::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::usage(format!("cannot read {}: {error}", shown(path))))?;
            ddl::limits(&text, &dataset)
                .map_err(|error| Failure::usage(format!("{}: {error}", shown(path))))?
        }
    };
    Ok((dataset, limits))
}

fn shown(path: &Path) -> String {
    if path.as_os_str() == STANDARD_INPUT {
        "standard input".to_owned()
    } else {
        printable(path.as_os_str().as_encoded_bytes())
    }
}
