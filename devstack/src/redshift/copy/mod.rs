//! COPY from S3, carried out: objects are read, split into records, converted by the target's column types, and handed to
//! PostgreSQL as `COPY FROM STDIN` in the client's own session.

mod convert;
mod reader;
mod source;
mod statement;

use std::io::Read as _;

pub(super) use self::statement::{Copy, parse};

use self::convert::{BadField, Column, Kind, convert};
use self::reader::{BadLine, Reader as Records, Record};
use self::source::{Reader as S3Reader, Source};

use super::Options as Front;
use super::errors::LoadError;
use super::session::Upstream;
use super::wire::{Frame, Report};

/// Bytes handed to PostgreSQL at once.
const BATCH_BYTES: usize = 64 * 1024;

/// What a COPY came to.
pub(super) struct Outcome {
    /// Rows loaded; none where it failed.
    pub(super) loaded: Option<u64>,
    /// What it could not load.
    pub(super) errors: Vec<LoadError>,
    /// What the client is told.
    pub(super) reports: Vec<Report>,
    /// Whether loading had begun, which is when `pg_last_copy_id()` changes.
    pub(super) begun: bool,
}

impl Outcome {
    fn failed(report: Report, begun: bool, errors: Vec<LoadError>) -> Self {
        Self { loaded: None, errors, reports: vec![report], begun }
    }
}

/// Carries a COPY out. An `Err` is the connection's end.
pub(super) async fn run(copy: &Copy, front: &Front, upstream: &mut Upstream) -> std::io::Result<Outcome> {
    let target = match target(copy, upstream).await? {
        Ok(target) => target,
        Err(report) => return Ok(Outcome::failed(report, false, Vec::new())),
    };
    let found = async {
        let s3 = S3Reader::new(front, copy)?;
        let sources = s3.sources(copy).await?;
        Ok((s3, sources))
    };
    let (s3, sources) = match found.await {
        Ok(found) => found,
        Err(report) => return Ok(Outcome::failed(report, false, Vec::new())),
    };
    let columns: Vec<String> = target.columns.iter().map(|column| quote(&column.name)).collect();
    let begin = format!("COPY {} ({}) FROM STDIN", copy.table, columns.join(", "));
    upstream.send(&Frame::text(b'Q', &begin)).await?;
    if let Err(report) = upstream.until_copy_in().await? {
        return Ok(Outcome::failed(report, false, Vec::new()));
    }
    let mut load = Load { copy, target: &target, batch: Vec::new(), rows: 0, errors: Vec::new() };
    let mut failure = None;
    for source in &sources {
        if let Err(report) = load.object(&s3, source, upstream).await? {
            failure = Some(report);
            break;
        }
        if load.over_limit() {
            failure = Some(load.refused());
            break;
        }
    }
    let Load { batch, rows, errors, .. } = load;
    if let Some(report) = failure {
        upstream.send(&Frame::text(b'f', "stopped by the front")).await?;
        // PostgreSQL's own word for the failed copy is swallowed; the transaction has failed as it should.
        let _ = upstream.until_ready().await?;
        return Ok(Outcome::failed(report, true, errors));
    }
    if !batch.is_empty() {
        upstream.put(&Frame::new(b'd', batch));
    }
    upstream.send(&Frame::new(b'c', Vec::new())).await?;
    if let Err(report) = upstream.until_ready().await? {
        return Ok(Outcome::failed(report, true, errors));
    }
    // tutorial-loading-run-copy.md and the COPY examples page.
    let name = &target.name;
    let mut reports = vec![Report::info(format!("Load into table '{name}' completed, {rows} record(s) loaded successfully."))];
    if !errors.is_empty() {
        let refused = errors.len();
        reports.push(Report::info(format!(
            "Load into table '{name}' completed, {refused} record(s) could not be loaded.  Check 'stl_load_errors' system table for details."
        )));
    }
    Ok(Outcome { loaded: Some(rows), errors, reports, begun: true })
}

/// The table that is filled.
struct Target {
    name: String,
    id: i64,
    columns: Vec<Column>,
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reads the target's columns in the client's session, so that a table of the open transaction is seen.
async fn target(copy: &Copy, upstream: &mut Upstream) -> std::io::Result<Result<Target, Report>> {
    let table = copy.table.replace('\\', "\\\\").replace('\'', "''");
    let query = format!(
        "SELECT c.relname, c.oid::bigint, a.attname, t.typname, a.atttypmod, a.attnotnull, a.attidentity <> '' \
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid \
         WHERE c.oid = to_regclass('{table}') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    let rows = match upstream.ask(&query).await? {
        Ok(rows) => rows,
        Err(report) => return Ok(Err(report)),
    };
    let Some(name) = rows.first().and_then(|row| row.first()).cloned().flatten() else {
        // estuary/connectors#918
        let bare = copy.table.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned();
        return Ok(Err(Report::error("XX000", format!("Cannot COPY into nonexistent table {bare}"))));
    };
    let mut all = Vec::new();
    let mut id = 0;
    for row in &rows {
        let cell = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        id = cell(1).parse().unwrap_or_default();
        let modifier: i64 = cell(4).parse().unwrap_or(-1);
        match column(&cell(2), &cell(3), modifier, cell(5) == "t") {
            Ok(column) => all.push((column, cell(6) == "t")),
            Err(report) => return Ok(Err(report)),
        }
    }
    let columns = if copy.columns.is_empty() {
        all.into_iter().filter(|(_, identity)| !identity).map(|(column, _)| column).collect()
    } else {
        let mut listed = Vec::new();
        for name in &copy.columns {
            match all.iter().find(|(column, _)| column.name == *name) {
                Some((column, _)) => listed.push(column.clone()),
                None => return Ok(Err(Report::error("42703", format!("column \"{name}\" of relation does not exist")))),
            }
        }
        listed
    };
    Ok(Ok(Target { name, id, columns }))
}

fn column(name: &str, type_name: &str, modifier: i64, not_null: bool) -> Result<Column, Report> {
    let length = usize::try_from(modifier - 4).ok();
    let (kind, shown, length) = match type_name {
        "varchar" => (Kind::Varchar, "varchar", length.or(Some(65_535))),
        "text" => (Kind::Varchar, "varchar", Some(65_535)),
        "bpchar" => (Kind::Char, "char", length.or(Some(1))),
        "bool" => (Kind::Bool, "bool", None),
        "int2" => (Kind::Integer { min: i16::MIN.into(), max: i16::MAX.into() }, "int2", None),
        "int4" => (Kind::Integer { min: i32::MIN.into(), max: i32::MAX.into() }, "int4", None),
        "int8" => (Kind::Integer { min: i64::MIN, max: i64::MAX }, "int8", None),
        "numeric" => (Kind::Decimal, "numeric", None),
        "float4" | "float8" => (Kind::Float, type_name, None),
        "date" => (Kind::Date, "date", None),
        "timestamp" => (Kind::Timestamp, "timestamp", None),
        "timestamptz" => (Kind::TimestampTz, "timestamptz", None),
        other => return Err(Report::error("0A000", format!("COPY into a column of type {other} is not carried out by this stand-in"))),
    };
    Ok(Column { name: name.to_owned(), kind, type_name: shown.to_owned(), length, not_null })
}

struct Load<'a> {
    copy: &'a Copy,
    target: &'a Target,
    batch: Vec<u8>,
    rows: u64,
    errors: Vec<LoadError>,
}

impl Load<'_> {
    /// "0 or 1 = fail at first error" (`copy-parameters-data-load.md`).
    fn over_limit(&self) -> bool {
        self.errors.len() as u64 >= self.copy.options.max_error.max(1)
    }

    fn refused(&self) -> Report {
        let name = &self.target.name;
        Report::error("XX000", format!("Load into table '{name}' failed.  Check 'stl_load_errors' system table for details."))
    }

    async fn object(&mut self, s3: &S3Reader, source: &Source, upstream: &mut Upstream) -> std::io::Result<Result<(), Report>> {
        let mut body = match s3.open(source).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                return Ok(Err(Report::error(
                    "XX000",
                    format!("S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey: {}", source.key),
                )));
            }
            Err(report) => return Ok(Err(report)),
        };
        let mut records = Records::new(&self.copy.options);
        let broken = |error: &dyn std::fmt::Display| Report::error("XX000", format!("S3ServiceException:{error},Status 0,Error Unknown"));
        if self.copy.options.gzip {
            let whole = match body.collect().await {
                Ok(whole) => whole.into_bytes(),
                Err(error) => return Ok(Err(broken(&error))),
            };
            let mut text = Vec::new();
            if let Err(error) = flate2::read::MultiGzDecoder::new(whole.as_ref()).read_to_end(&mut text) {
                return Ok(Err(Report::error("XX000", format!("could not inflate {}: {error}", source.key))));
            }
            self.take(&mut records, &text, source);
            return self.end_of_object(&mut records, source, upstream).await;
        }
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => self.take(&mut records, &chunk, source),
                Err(error) => return Ok(Err(broken(&error))),
            }
            if self.over_limit() {
                return Ok(Ok(()));
            }
            self.hand_over(upstream).await?;
        }
        self.end_of_object(&mut records, source, upstream).await
    }

    async fn end_of_object(&mut self, records: &mut Records, source: &Source, upstream: &mut Upstream) -> std::io::Result<Result<(), Report>> {
        match records.finish() {
            Ok(Some(record)) => self.record(&record, source),
            Ok(None) => {}
            Err(bad) => self.bad_line(bad, source),
        }
        self.hand_over(upstream).await?;
        Ok(Ok(()))
    }

    fn take(&mut self, records: &mut Records, bytes: &[u8], source: &Source) {
        let mut whole = Vec::new();
        let fed = records.feed(bytes, |record| whole.push(record));
        for record in whole {
            self.record(&record, source);
            if self.over_limit() {
                return;
            }
        }
        if let Err(bad) = fed {
            self.bad_line(bad, source);
        }
    }

    fn record(&mut self, record: &Record, source: &Source) {
        match convert(record, &self.target.columns, &self.copy.options, &mut self.batch) {
            Ok(()) => self.rows += 1,
            Err(bad) => self.bad_field(record, bad, source),
        }
    }

    fn bad_field(&mut self, record: &Record, bad: BadField, source: &Source) {
        let column = bad.column.and_then(|at| self.target.columns.get(at));
        self.errors.push(LoadError {
            table: self.target.id,
            file: source.url(),
            line: record.line,
            column: column.map(|column| column.name.clone()).unwrap_or_default(),
            column_type: column.map(|column| column.type_name.clone()).unwrap_or_default(),
            column_length: column.and_then(|column| column.length).map(|length| length.to_string()).unwrap_or_default(),
            raw_line: String::from_utf8_lossy(&record.raw).replace('\0', " "),
            raw_value: String::from_utf8_lossy(&bad.value).replace('\0', " "),
            code: bad.code,
            reason: bad.reason,
        });
    }

    fn bad_line(&mut self, bad: BadLine, source: &Source) {
        self.errors.push(LoadError {
            table: self.target.id,
            file: source.url(),
            line: bad.line,
            raw_line: String::from_utf8_lossy(&bad.raw).replace('\0', " "),
            code: bad.code,
            reason: bad.reason.to_owned(),
            ..LoadError::default()
        });
    }

    async fn hand_over(&mut self, upstream: &mut Upstream) -> std::io::Result<()> {
        if self.batch.len() >= BATCH_BYTES {
            upstream.send(&Frame::new(b'd', std::mem::take(&mut self.batch))).await?;
        }
        Ok(())
    }
}
