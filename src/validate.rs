//! `validate`: archives on this machine, read as a load reads them, before they are uploaded.

// For a person, with the places that are at fault.
mod text;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use chrono::Utc;
use cmslite_core::archive::{self, ReadError};
use cmslite_core::config::Dataset;
use cmslite_core::limits::TableLimits;
use cmslite_core::problem::{Problem, Problems};
use cmslite_core::progress::Progress;
use schemars::JsonSchema;
use serde::Serialize;

use crate::dry_run::TableRows;
use crate::report::FORMAT_VERSION;
use crate::stage::NullSink;

/// The file's name that means standard input.
pub const STANDARD_INPUT: &str = "-";

/// What was found of one archive: the form of `error.json`, in which what only an uploaded archive has is
/// null, and the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Validation {
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// No bucket.
    pub bucket: (),
    /// The file, as it was named.
    pub key: String,
    /// No ETag.
    pub etag: (),
    /// When it was read, as RFC 3339.
    pub at: String,
    /// No invocation.
    pub request_id: (),
    /// How many problems were found; 0 for a good archive.
    pub problems_found: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
    /// Redshift is not asked.
    pub incomplete: (),
    /// Rows by table; none where the archive is bad.
    pub tables: Vec<TableRows>,
}

/// What was found of several archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Validations {
    /// Version of this form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// The archives that could be read, in the order in which they were named.
    pub archives: Vec<Validation>,
    /// The files that could not.
    pub unreadable: Vec<Unreadable>,
}

/// A file that could not be read, which says nothing of the archive in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unreadable {
    /// The file, as it was named.
    pub file: String,
    /// What the system says.
    pub message: String,
}

impl Validations {
    /// Of a dataset, with no archive yet.
    pub fn of(dataset: &Dataset) -> Self {
        let dataset = dataset.name.clone();
        Self { version: FORMAT_VERSION, dataset, archives: Vec::new(), unreadable: Vec::new() }
    }
}

impl Validation {
    /// Whether anything is wrong with the archive.
    pub fn is_bad(&self) -> bool {
        self.problems_found > 0
    }
}

/// An archive that is to be read.
pub struct Source {
    name: String,
    /// Its size in bytes, where it is a file and not a pipe.
    size_bytes: Option<u64>,
    reader: Box<dyn Read + Send>,
}

impl Source {
    /// A file, or standard input by its name [`STANDARD_INPUT`].
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let name = path.display().to_string();
        if name == STANDARD_INPUT {
            return Ok(Self { name, size_bytes: None, reader: Box::new(io::stdin()) });
        }
        let file = File::open(path)?;
        let size_bytes = Some(file.metadata()?).filter(std::fs::Metadata::is_file).map(|data| data.len());
        Ok(Self { name, size_bytes, reader: Box::new(file) })
    }
}

/// Reads an archive to its end. Without `limits` it is not judged whether the tables take its cells.
///
/// # Errors
///
/// The system's, which say nothing of the archive.
pub fn validate(
    source: Source,
    dataset: &Dataset,
    limits: &TableLimits,
    progress: &Progress,
) -> io::Result<Validation> {
    let Source { name, size_bytes, reader } = source;
    // A bar needs an end.
    if let Some(size_bytes) = size_bytes {
        progress.begin(&name, size_bytes);
    }
    let fault = Mutex::new(None);
    let reader = FaultKeepingReader { reader, fault: &fault, progress };
    let read = match size_bytes.and_then(|size_bytes| archive::too_large(dataset, size_bytes)) {
        Some(problems) => Err(ReadError::Bad(problems)),
        None => archive::read(reader, dataset, limits, &mut NullSink, progress),
    };
    progress.end();
    // A fault of the system reaches the parsers as a short or broken archive: it is looked at first.
    if let Some(error) = fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let (problems, members) = match read {
        Ok(members) => (Problems::default(), members),
        Err(ReadError::Bad(problems)) => (problems, Vec::new()),
        Err(ReadError::Failed(error)) => return Err(error),
    };
    let rows = |member: &str| members.iter().find(|staged| staged.member == member).map(|staged| staged.rows);
    let tables = dataset
        .tables
        .iter()
        .filter_map(|table| Some(TableRows { table: table.name.to_string(), rows: rows(&table.member)? }));
    Ok(Validation {
        version: FORMAT_VERSION,
        dataset: dataset.name.clone(),
        bucket: (),
        key: name,
        etag: (),
        at: Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        request_id: (),
        problems_found: problems.found(),
        problems: problems.reported().to_vec(),
        incomplete: (),
        tables: tables.collect(),
    })
}

/// A reader that keeps its first error, and shows how far it has come.
struct FaultKeepingReader<'a, R> {
    reader: R,
    fault: &'a Mutex<Option<io::Error>>,
    progress: &'a Progress,
}

impl<R: Read> Read for FaultKeepingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(count) => {
                self.progress.read(count);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                Err(kind.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of an archive can be read, and then a fault of the disk.
    struct Failing(&'static [u8], io::ErrorKind);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(self.1.into()),
                count => Ok(count),
            }
        }
    }

    /// A fault that looks to the parsers like a damaged archive is none of the archive's.
    #[test]
    fn a_fault_of_the_disk_is_no_bad_archive() {
        let config = include_str!("../config.d/cmslite_user_group_metadata.json");
        let dataset = cmslite_core::config::parse("cmslite_user_group_metadata.json", config).unwrap();
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData, io::ErrorKind::Other] {
            for readable in [&[][..], &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..]] {
                let reader: Box<dyn Read + Send> = Box::new(Failing(readable, kind));
                let source = Source { name: "a.tgz".to_owned(), size_bytes: None, reader };
                let read = validate(source, &dataset, &TableLimits::default(), &Progress::default());
                assert_eq!(read.map_err(|error| error.kind()), Err(kind));
            }
        }
    }
}
