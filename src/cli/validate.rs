//! `validate`: what was found of each archive on standard output, what kept it from being read on standard
//! error. There is no log, so that it leaves nothing behind where an exporter runs it.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use cmslite_core::config::Dataset;
use cmslite_core::ddl;
use cmslite_core::limits::TableLimits;
use cmslite_core::progress::Progress;
use cmslite_core::text::{printable, visible_json};

use super::args::Validate;
use super::exit;
use super::progress_bar;
use crate::config_files;
use crate::validate::{STANDARD_INPUT, Source, Validation, validate};

/// Validates archives one after the other, also behind one that is bad or cannot be read.
pub(super) async fn run(arguments: &Validate) -> u8 {
    let (dataset, limits) = match prepare(arguments) {
        Ok(prepared) => prepared,
        Err(mistake) => {
            say_error(&mistake);
            return exit::CONFIGURATION;
        }
    };
    let (dataset, limits, progress) = (Arc::new(dataset), Arc::new(limits), Progress::default());
    let mut results = Results { json: arguments.json, is_read: true };
    let mut status = exit::GOOD;
    for path in &arguments.files {
        let validated = {
            let (path, dataset, limits, progress) =
                (path.clone(), Arc::clone(&dataset), Arc::clone(&limits), progress.clone());
            tokio::task::spawn_blocking(move || validate(Source::open(&path)?, &dataset, &limits, &progress))
        };
        let validated = progress_bar::during(&progress, validated).await;
        let written = match validated.map_err(io::Error::other).flatten() {
            Ok(validation) => {
                if validation.is_bad() {
                    status = status.max(exit::BAD_ARCHIVE);
                }
                results.write(&validation).map_err(|error| format!("cannot write the results: {error}"))
            }
            Err(error) => Err(format!("cannot read {}: {error}", shown(path))),
        };
        if let Err(message) = written {
            say_error(&message);
            status = exit::CONFIGURATION;
        }
    }
    status
}

/// The dataset, and what its tables take as far as the command line tells it.
fn prepare(arguments: &Validate) -> Result<(Dataset, TableLimits), String> {
    if arguments.files.iter().filter(|path| path.as_os_str() == STANDARD_INPUT).count() > 1 {
        return Err(format!("standard input ({STANDARD_INPUT}) can be read only once"));
    }
    let dataset = config_files::load_file(&arguments.config).map_err(|mistakes| mistakes.to_string())?;
    let limits = match &arguments.ddl {
        None => TableLimits::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", shown(path)))?;
            ddl::limits(&text, &dataset).map_err(|error| format!("{}: {error}", shown(path)))?
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

/// Where the results go.
struct Results {
    json: bool,
    /// Whether somebody reads them.
    is_read: bool,
}

impl Results {
    /// Writes one result, at once. When nobody reads on, as behind `head`, the archives are still validated,
    /// so that the exit status is true.
    fn write(&mut self, validation: &Validation) -> io::Result<()> {
        if !self.is_read {
            return Ok(());
        }
        let text = if self.json {
            let json = serde_json::to_string(validation).map_err(io::Error::other)?;
            format!("{}\n", visible_json(&json))
        } else {
            validation.to_string()
        };
        let written = progress_bar::above(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_read = false;
                Ok(())
            }
            other => other,
        }
    }
}

/// Says why something cannot be done. Where standard error is closed, the exit status says it alone.
fn say_error(message: &str) {
    let _ = progress_bar::above(|| writeln!(io::stderr(), "error: {message}"));
}
