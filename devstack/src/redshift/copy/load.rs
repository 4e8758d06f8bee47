//! Carries out one COPY from beginning to end.

use std::io;

use super::compression::Unpacker;
use super::convert::{BadField, convert};
use super::deadline::Deadline;
use super::error::CopyError;
use super::reader::{BadRecord, Record, RecordReader};
use super::source::{self, S3Reader, Source};
use super::statement::CopyStatement;
use super::target::Target;
use crate::redshift::options::Options;
use crate::redshift::system_tables::LoadError;
use crate::redshift::upstream::Upstream;
use crate::redshift::wire::{Frame, Report};

/// The number of bytes passed to PostgreSQL at once.
const BATCH_BYTES: usize = 64 * 1024;

/// The outcome of a COPY.
pub(crate) struct Outcome {
    pub(crate) result: Result<Loaded, Report>,
    /// The rows and fields that the COPY could not load.
    pub(crate) errors: Vec<LoadError>,
    /// Whether loading had begun, which is when `pg_last_copy_id()` changes.
    pub(crate) begun: bool,
}

/// A COPY that succeeded.
pub(crate) struct Loaded {
    pub(crate) rows: u64,
    pub(crate) notices: Vec<Report>,
}

/// Carries a COPY out. An `Err` means that the connection ended.
pub(crate) async fn run(
    copy: &CopyStatement,
    options: &Options,
    upstream: &mut Upstream,
) -> io::Result<Outcome> {
    let (mut errors, mut begun) = (Vec::new(), false);
    match load(copy, options, upstream, &mut errors, &mut begun).await {
        Ok(loaded) => Ok(Outcome { result: Ok(loaded), errors, begun }),
        Err(CopyError::Refused(report)) => Ok(Outcome { result: Err(report), errors, begun }),
        Err(CopyError::Io(error)) => Err(error),
    }
}

async fn load(
    copy: &CopyStatement,
    options: &Options,
    upstream: &mut Upstream,
    errors: &mut Vec<LoadError>,
    begun: &mut bool,
) -> Result<Loaded, CopyError> {
    let deadline = Deadline::of(upstream).await?;
    let target = Target::of(copy, upstream).await?;
    let s3 = S3Reader::new(options, copy)?;
    let sources = deadline.within(s3.sources(copy)).await??;
    upstream.send(&Frame::text(b'Q', &target.copy_from_stdin())).await?;
    upstream.until_copy_in().await??;
    *begun = true;
    let mut load = Load { copy, target: &target, batch: Vec::new(), rows: 0, errors, deadline };
    for source in &sources {
        match load.object(&s3, source, upstream).await {
            Ok(()) => {}
            Err(CopyError::Io(error)) => return Err(CopyError::Io(error)),
            Err(CopyError::Refused(report)) => {
                upstream.send(&Frame::text(b'f', "stopped by the stand-in")).await?;
                // PostgreSQL's answer to the failed copy is discarded; the transaction has failed as it
                // should.
                let _ = upstream.until_ready().await?;
                return Err(report.into());
            }
        }
    }
    let (batch, rows) = (load.batch, load.rows);
    if !copy.options.no_load {
        upstream.put(&Frame::new(b'd', batch));
    }
    upstream.send(&Frame::new(b'c', Vec::new())).await?;
    upstream.until_ready().await??;
    // tutorial-loading-run-copy.md and r_COPY_command_examples.md
    let name = &target.name;
    let mut notices = vec![Report::info(format!(
        "Load into table '{name}' completed, {rows} record(s) loaded successfully."
    ))];
    if !errors.is_empty() {
        let refused = errors.len();
        notices.push(Report::info(format!(
            "Load into table '{name}' completed, {refused} record(s) could not be loaded.  Check 'stl_load_errors' system table for details."
        )));
    }
    Ok(Loaded { rows, notices })
}

struct Load<'a> {
    copy: &'a CopyStatement,
    target: &'a Target,
    batch: Vec<u8>,
    rows: u64,
    errors: &'a mut Vec<LoadError>,
    deadline: Deadline,
}

impl Load<'_> {
    /// Checks whether there are so many errors that the load fails: "0 or 1 = fail at first error"
    /// (`copy-parameters-data-load.md`).
    fn over_limit(&self) -> bool {
        self.errors.len() as u64 >= self.copy.options.max_error.max(1)
    }

    async fn object(
        &mut self,
        s3: &S3Reader,
        source: &Source,
        upstream: &mut Upstream,
    ) -> Result<(), CopyError> {
        let Some(mut body) = self.deadline.within(s3.open(source)).await?? else {
            return Err(source::gone(source).into());
        };
        let mut records = RecordReader::new(&self.copy.options);
        let unreadable = |error: io::Error| unreadable(source, &error);
        let mut unpacker = Unpacker::new(self.copy.options.compression).map_err(unreadable)?;
        while let Some(bytes) = self.deadline.within(body.next()).await? {
            let bytes = bytes.map_err(|error| source::broken(&error))?;
            for part in unpacker.parts(&bytes) {
                let text = unpacker.text(part).map_err(unreadable)?;
                self.take(&mut records, &text, source, upstream).await?;
            }
        }
        let text = unpacker.finish().map_err(unreadable)?;
        self.take(&mut records, &text, source, upstream).await?;
        records.finish(|record| self.record(record, source));
        self.hand_over(upstream).await
    }

    async fn take(
        &mut self,
        records: &mut RecordReader,
        bytes: &[u8],
        source: &Source,
        upstream: &mut Upstream,
    ) -> Result<(), CopyError> {
        records.feed(bytes, |record| self.record(record, source));
        self.hand_over(upstream).await
    }

    /// Takes a record; returns false when the load has failed because of it.
    fn record(&mut self, record: Result<&Record, BadRecord>, source: &Source) -> bool {
        match record {
            Ok(record) => match convert(record, &self.target.columns, &self.copy.options, &mut self.batch) {
                Ok(()) => self.rows += 1,
                Err(bad) => self.bad_field(record, bad, source),
            },
            Err(bad) => self.bad_record(&bad, source),
        }
        !self.over_limit()
    }

    fn bad_field(&mut self, record: &Record, bad: BadField, source: &Source) {
        let column = bad.column.and_then(|at| self.target.columns.get(at));
        self.errors.push(LoadError {
            table: self.target.id,
            file: source.url(),
            line: record.line,
            column: column.map(|column| column.name.clone()).unwrap_or_default(),
            column_type: column.map(|column| column.type_name.clone()).unwrap_or_default(),
            column_length: column
                .and_then(|column| column.length)
                .map(|length| length.to_string())
                .unwrap_or_default(),
            raw_line: printable(&record.raw),
            raw_value: printable(&bad.value),
            code: bad.code,
            reason: bad.reason,
        });
    }

    fn bad_record(&mut self, bad: &BadRecord, source: &Source) {
        self.errors.push(LoadError {
            table: self.target.id,
            file: source.url(),
            line: bad.line,
            raw_line: printable(&bad.raw),
            code: bad.code,
            reason: bad.reason.to_owned(),
            ..LoadError::default()
        });
    }

    async fn hand_over(&mut self, upstream: &mut Upstream) -> Result<(), CopyError> {
        if self.over_limit() {
            let name = &self.target.name;
            let message = format!(
                "Load into table '{name}' failed.  Check 'stl_load_errors' system table for details."
            );
            return Err(Report::error("XX000", message).into());
        }
        // "Checks the validity of the data file without actually loading the data"
        // (copy-parameters-data-load.md).
        if self.copy.options.no_load {
            self.batch.clear();
        }
        if self.batch.len() >= BATCH_BYTES {
            upstream.send(&Frame::new(b'd', std::mem::take(&mut self.batch))).await?;
        }
        Ok(())
    }
}

/// Returns the error of a file that is not what COPY expects. Redshift's text is not documented.
fn unreadable(source: &Source, error: &io::Error) -> Report {
    source::s3_error(format!("cannot unpack {}: {error}", source.url()))
}

/// Returns a text that a text column can hold.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', " ")
}
