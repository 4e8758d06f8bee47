//! Validates archives on this machine, before they are uploaded: it reads them as a load does.

// The result as text for a person, with the positions of problems.
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

/// The file name that means standard input.
pub const STANDARD_INPUT: &str = "-";

/// The result for one archive: the form of `error.json`, and the tables. Fields that only an uploaded archive
/// has are null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Validation {
    /// The version of this form.
    pub version: u32,
    /// The dataset's name.
    pub dataset: String,
    /// Null: there is no bucket.
    pub bucket: (),
    /// The file, as it was named.
    pub key: String,
    /// Null: there is no `ETag`.
    pub etag: (),
    /// The time when the archive was read, as RFC 3339.
    pub at: String,
    /// Null: there is no invocation.
    pub request_id: (),
    /// The number of problems found; 0 for a good archive.
    pub problems_found: u64,
    /// The first problems that were found.
    pub problems: Vec<Problem>,
    /// Null: Redshift is not asked.
    pub incomplete: (),
    /// The number of rows by table; empty if the archive is bad.
    pub tables: Vec<TableRows>,
}

/// The result for several archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Validations {
    /// The version of this form.
    pub version: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The archives that could be read, in the order in which they were named.
    pub archives: Vec<Validation>,
    /// The files that could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// A file that could not be read. This says nothing about the archive in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unreadable {
    /// The file, as it was named.
    pub file: String,
    /// The system's message.
    pub message: String,
}

impl Validations {
    /// Creates the result of a dataset without archives.
    pub fn of(dataset: &Dataset) -> Self {
        let dataset = dataset.name.clone();
        Self { version: FORMAT_VERSION, dataset, archives: Vec::new(), unreadable: Vec::new() }
    }
}

impl Validation {
    /// Checks whether anything is wrong with the archive.
    pub fn is_bad(&self) -> bool {
        self.problems_found > 0
    }
}

/// An archive that is to be validated.
pub struct Source {
    name: String,
    /// The size in bytes, if it is a file and not a pipe.
    size_bytes: Option<u64>,
    reader: Box<dyn Read + Send>,
}

impl Source {
    /// Opens a file, or standard input if the path is [`STANDARD_INPUT`].
    ///
    /// # Errors
    ///
    /// The operating system's.
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

/// Reads an archive to its end, and returns the problems or the rows by table. Columns without a limit in
/// `limits` are not checked against their tables.
///
/// # Errors
///
/// The operating system's, which say nothing about the archive.
pub fn validate(
    source: Source,
    dataset: &Dataset,
    limits: &TableLimits,
    progress: &Progress,
) -> io::Result<Validation> {
    let Source { name, size_bytes, reader } = source;
    // A progress bar needs the size.
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
    // A system fault looks like a short or broken archive to the parsers, so it is checked first.
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

/// A reader that keeps the first error, and reports the progress.
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

    /// A reader of the readable part of an archive, followed by a disk fault.
    struct Failing(&'static [u8], io::ErrorKind);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(self.1.into()),
                count => Ok(count),
            }
        }
    }

    /// A fault that looks like a damaged archive to the parsers does not make the archive bad.
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
