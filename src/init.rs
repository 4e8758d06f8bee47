//! Writes a first configuration for a new dataset, and the statements that create its tables, guessed from
//! one of its archives.

// The result for a person.
mod text;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cmslite_core::config::{Dataset, Mistakes, parse};
use cmslite_core::ddl::{self, DdlError};
use cmslite_core::guess::{Guess, GuessError, Place, config_text, ddl_text, guess, heads};
use cmslite_core::progress::Progress;
use schemars::JsonSchema;
use serde::Serialize;

use crate::report::FORMAT_VERSION;
use crate::validate::{Source, Validation, validate};

/// The placeholder for a bucket that is not named yet.
pub const BUCKET_PLACEHOLDER: &str = "<bucket>";

/// The request of an `init`.
#[derive(Debug, Clone)]
pub struct Request {
    /// The archive's path.
    pub archive: PathBuf,
    /// The dataset's name.
    pub name: String,
    /// The settings that the archive does not reveal.
    pub place: Place,
    /// The directory for the files.
    pub directory: PathBuf,
    /// Whether existing files are replaced.
    pub force: bool,
}

/// The files that were written, and the guess.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Initialised {
    /// The version of this form.
    pub version: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The configuration's file, in printable form: a path need not be text.
    pub config: String,
    /// The file of the statements that create the tables, in the same form.
    pub ddl: String,
    /// The keys of the configuration whose value cannot be guessed.
    pub to_fill_in: Vec<&'static str>,
    /// The pattern of the archives' keys.
    pub doc: String,
    /// Whether a load replaces the tables' rows.
    pub truncate: bool,
    /// The guess.
    #[serde(flatten)]
    pub guess: Guess,
    /// The result of validating the archive with these files.
    pub validation: Validation,
}

/// The reason why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Nothing can be guessed from the archive.
    #[error(transparent)]
    Guess(#[from] GuessError),
    /// The request does not make a valid configuration.
    #[error(transparent)]
    Config(#[from] Mistakes),
    /// The statements are not read as they were meant.
    #[error("the generated statements are not understood: {0}")]
    Ddl(#[from] DdlError),
    /// A file exists already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The archive cannot be read, or a file cannot be written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

/// Guesses, and writes both files. The files, and the archive with them, are validated before they are
/// written.
///
/// # Errors
///
/// [`InitError`]. Then nothing was written, unless only the second file failed.
pub fn init(request: &Request, progress: &Progress) -> Result<Initialised, InitError> {
    let Request { archive, name, place, directory, force } = request;
    let guess = read(archive)?;
    let (config_path, ddl_path) =
        (directory.join(format!("{name}.json")), directory.join(format!("{name}.sql")));
    let (config, statements) = (config_text(&guess, place), ddl_text(&guess, &place.schema));
    let dataset = parse(&config_path.display().to_string(), &config)?;
    let limits = ddl::limits(&statements, &dataset)?;
    let in_archive = |error| InitError::Io { path: archive.clone(), error };
    let validation = Source::open(archive)
        .and_then(|source| validate(source, &dataset, &limits, progress))
        .map_err(in_archive)?;
    if !force && let Some(there) = [&config_path, &ddl_path].into_iter().find(|path| path.exists()) {
        return Err(InitError::Exists(there.clone()));
    }
    fs::create_dir_all(directory).map_err(|error| InitError::Io { path: directory.clone(), error })?;
    write(&config_path, &config, *force)?;
    write(&ddl_path, &statements, *force)?;
    Ok(Initialised {
        version: FORMAT_VERSION,
        dataset: name.clone(),
        to_fill_in: to_fill_in(&dataset),
        config: config_path.display().to_string(),
        ddl: ddl_path.display().to_string(),
        doc: place.doc.clone(),
        truncate: place.truncate,
        guess,
        validation,
    })
}

/// Reads the archive twice: for the delimiter, and for everything else.
fn read(archive: &Path) -> Result<Guess, InitError> {
    let open = || fs::File::open(archive).map_err(|error| InitError::Io { path: archive.to_owned(), error });
    Ok(guess(&heads(open()?)?, open()?)?)
}

fn to_fill_in(dataset: &Dataset) -> Vec<&'static str> {
    if dataset.has_placeholder() { vec!["bucket"] } else { Vec::new() }
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), InitError> {
    let mut options = OpenOptions::new();
    options.write(true).create(force).truncate(force).create_new(!force);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists(path.to_owned()),
        _ => InitError::Io { path: path.to_owned(), error },
    })
}
