//! COPY from S3, carried out: objects are read, split into records, converted by the target's column types,
//! and handed to PostgreSQL as `COPY FROM STDIN` in the client's own session.

mod convert;
mod reader;
mod source;
mod statement;
mod target;

use std::future::Future;
use std::io::{self, Write as _};
use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::statement::{Copy, parse};

use self::convert::{BadField, convert};
use self::reader::{BadLine, Reader as Records, Record};
use self::source::{Reader as S3Reader, Source};
use self::target::Target;

use super::Options as Front;
use super::errors::LoadError;
use super::upstream::Upstream;
use super::wire::{Frame, Report};

/// Bytes handed to PostgreSQL at once.
const BATCH_BYTES: usize = 64 * 1024;

/// Bytes inflated at once, of the compressed.
const INFLATE_BYTES: usize = 8 * 1024;

/// What a COPY came to.
pub(super) struct Outcome {
    pub(super) result: Result<Loaded, Report>,
    /// What it could not load.
    pub(super) errors: Vec<LoadError>,
    /// Whether loading had begun, which is when `pg_last_copy_id()` changes.
    pub(super) begun: bool,
}

/// A COPY that went well.
pub(super) struct Loaded {
    pub(super) rows: u64,
    pub(super) notices: Vec<Report>,
}

/// Why a COPY stops.
enum Stop {
    /// The connection to PostgreSQL has ended.
    Io(io::Error),
    Refused(Report),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Report> for Stop {
    fn from(report: Report) -> Self {
        Self::Refused(report)
    }
}

/// Carries a COPY out. An `Err` is the connection's end.
pub(super) async fn run(copy: &Copy, front: &Front, upstream: &mut Upstream) -> io::Result<Outcome> {
    let (mut errors, mut begun) = (Vec::new(), false);
    match load(copy, front, upstream, &mut errors, &mut begun).await {
        Ok(loaded) => Ok(Outcome { result: Ok(loaded), errors, begun }),
        Err(Stop::Refused(report)) => Ok(Outcome { result: Err(report), errors, begun }),
        Err(Stop::Io(error)) => Err(error),
    }
}

async fn load(
    copy: &Copy,
    front: &Front,
    upstream: &mut Upstream,
    errors: &mut Vec<LoadError>,
    begun: &mut bool,
) -> Result<Loaded, Stop> {
    let deadline = Deadline::of(upstream).await?;
    let target = Target::of(copy, upstream).await?;
    let s3 = S3Reader::new(front, copy)?;
    let sources = deadline.within(s3.sources(copy)).await??;
    upstream.send(&Frame::text(b'Q', &target.copy_from_stdin())).await?;
    upstream.until_copy_in().await??;
    *begun = true;
    let mut load = Load { copy, target: &target, batch: Vec::new(), rows: 0, errors, deadline };
    for source in &sources {
        match load.object(&s3, source, upstream).await {
            Ok(()) => {}
            Err(Stop::Io(error)) => return Err(Stop::Io(error)),
            Err(Stop::Refused(report)) => {
                upstream.send(&Frame::text(b'f', "stopped by the front")).await?;
                // What PostgreSQL says of the failed copy is swallowed; the transaction has failed as it
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

/// When the session's `statement_timeout` is up. PostgreSQL measures its own part; this is for the waiting on
/// S3.
struct Deadline(Option<Instant>);

impl Deadline {
    async fn of(upstream: &mut Upstream) -> Result<Self, Stop> {
        let begun = Instant::now();
        let rows = upstream
            .ask("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'")
            .await??;
        let setting = rows.into_iter().flatten().next().flatten();
        let milliseconds =
            setting.and_then(|setting| setting.parse().ok()).filter(|milliseconds| *milliseconds > 0);
        Ok(Self(milliseconds.map(|milliseconds| begun + Duration::from_millis(milliseconds))))
    }

    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Report> {
        match self.0 {
            None => Ok(work.await),
            // The text is translated with the rest of its kind.
            Some(deadline) => tokio::time::timeout_at(deadline, work)
                .await
                .map_err(|_| Report::error("57014", "statement timeout")),
        }
    }
}

struct Load<'a> {
    copy: &'a Copy,
    target: &'a Target,
    batch: Vec<u8>,
    rows: u64,
    errors: &'a mut Vec<LoadError>,
    deadline: Deadline,
}

impl Load<'_> {
    /// "0 or 1 = fail at first error" (`copy-parameters-data-load.md`).
    fn over_limit(&self) -> bool {
        self.errors.len() as u64 >= self.copy.options.max_error.max(1)
    }

    async fn object(&mut self, s3: &S3Reader, source: &Source, upstream: &mut Upstream) -> Result<(), Stop> {
        let Some(mut body) = self.deadline.within(s3.open(source)).await?? else {
            return Err(source::gone(source).into());
        };
        let mut records = Records::new(&self.copy.options);
        let mut inflater = self.copy.options.gzip.then(|| flate2::write::MultiGzDecoder::new(Vec::new()));
        while let Some(bytes) = self.deadline.within(body.next()).await? {
            let bytes = bytes.map_err(|error| source::broken(&error))?;
            match &mut inflater {
                None => self.take(&mut records, &bytes, source, upstream).await?,
                // In small pieces, since each may become a thousand times as large.
                Some(inflater) => {
                    for piece in bytes.chunks(INFLATE_BYTES) {
                        inflater.write_all(piece).map_err(|error| bad_gzip(source, &error))?;
                        let text = std::mem::take(inflater.get_mut());
                        self.take(&mut records, &text, source, upstream).await?;
                    }
                }
            }
        }
        if let Some(inflater) = inflater {
            let text = inflater.finish().map_err(|error| bad_gzip(source, &error))?;
            self.take(&mut records, &text, source, upstream).await?;
        }
        records.finish(|record| self.record(record, source));
        self.hand_over(upstream).await
    }

    async fn take(
        &mut self,
        records: &mut Records,
        bytes: &[u8],
        source: &Source,
        upstream: &mut Upstream,
    ) -> Result<(), Stop> {
        records.feed(bytes, |record| self.record(record, source));
        self.hand_over(upstream).await
    }

    /// Takes a record; false when the load has failed by it.
    fn record(&mut self, record: Result<&Record, BadLine>, source: &Source) -> bool {
        match record {
            Ok(record) => match convert(record, &self.target.columns, &self.copy.options, &mut self.batch) {
                Ok(()) => self.rows += 1,
                Err(bad) => self.bad_field(record, bad, source),
            },
            Err(bad) => self.bad_line(&bad, source),
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

    fn bad_line(&mut self, bad: &BadLine, source: &Source) {
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

    async fn hand_over(&mut self, upstream: &mut Upstream) -> Result<(), Stop> {
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

fn bad_gzip(source: &Source, error: &io::Error) -> Report {
    source::s3_error(format!("cannot inflate {}: {error}", source.url()))
}

/// What a text column can hold.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', " ")
}
