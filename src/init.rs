//! `init`: a first configuration for a new dataset, and the statements that make its tables, guessed from one of its
//! archives.

// For a person.
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

/// What stands for a bucket that is not named yet.
pub const BUCKET_PLACEHOLDER: &str = "<bucket>";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The archive.
    pub archive: PathBuf,
    /// The dataset's name.
    pub name: String,
    /// What the archive does not say.
    pub place: Place,
    /// Where the files are written.
    pub directory: PathBuf,
    /// Whether files that are there are replaced.
    pub force: bool,
}

/// What was written, and by what guess.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Initialised {
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// The configuration's file, as it can be shown: a path need not be text.
    pub config: String,
    /// The file of the statements that make the tables, in the same way.
    pub ddl: String,
    /// Keys of the configuration whose value nobody could guess.
    pub to_fill_in: Vec<&'static str>,
    /// The pattern of the archives' keys.
    pub doc: String,
    /// Whether a load replaces the tables' rows.
    pub truncate: bool,
    /// What was guessed.
    #[serde(flatten)]
    pub guess: Guess,
    /// What the same archive is by these files.
    pub validation: Validation,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Nothing can be guessed of the archive.
    #[error(transparent)]
    Guess(#[from] GuessError),
    /// What was asked for makes no configuration.
    #[error(transparent)]
    Config(#[from] Mistakes),
    /// The statements do not say what they were made to say.
    #[error("the statements that were made are not understood: {0}")]
    Ddl(#[from] DdlError),
    /// A file is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The archive cannot be read, or a file not be written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// Guesses, and writes both files. They are judged before they are written, and so is the archive by them.
///
/// # Errors
///
/// [`InitError`]; nothing is written then, but where the second file could not be.
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
