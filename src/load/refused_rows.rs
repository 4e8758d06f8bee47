//! Turns the rows of a table that Redshift refused into problems of the archive.

use std::collections::BTreeMap;

use cmslite_core::error::{Deployment, Error, Retryable};
use cmslite_core::problem::{Problem, Quote, Reason};
use cmslite_core::text::{printable, printable_start};
use cmslite_core::transform::{CellFinder, CellPlace, NULL_TEXT, StagedCell};

use crate::redshift::session::Session;
use crate::redshift::statement::Statement;
use crate::redshift::{RefusedRow, RefusedRows};
use crate::s3::S3;
use crate::stage::{StagedTable, read_piece};

/// The length of `raw_field_value`, CHAR(1024) (`STL_LOAD_ERRORS`): a value of this length may have been
/// longer.
const RAW_VALUE_BYTES: usize = 1024;

/// The maximum length of a staged file's name in a message: more than a bucket's name (63) and a key (1024)
/// have.
const FILE_CHARS: usize = 1200;

/// The rows of one table that Redshift refused.
pub(super) struct Refused<'t> {
    staged: &'t StagedTable<'t>,
    rows: Vec<RefusedRow>,
    /// The texts that were read back, by piece and position in it.
    cells: BTreeMap<(usize, CellPlace), StagedCell>,
}

/// Returns the rows of a staged file that Redshift refused. If Redshift does not show them, the input may not
/// be at fault: then it returns an error that quotes `fault`.
pub(super) async fn refused_rows(
    session: &Session,
    staged: &StagedTable<'_>,
    fault: Error,
) -> Result<Vec<RefusedRow>, Error> {
    let is_readable = match session.refused_rows(&staged.files()).await? {
        RefusedRows::Rows(rows) => return Ok(rows),
        RefusedRows::Unknown { is_readable } => is_readable,
    };
    let files = staged.files();
    let query = Statement::LoadErrorsOfAnySession { files: &files };
    let message = format!(
        "{fault}; {} which rows of {} were refused, so the problem of {} is not known: as a superuser, run {query}",
        if is_readable {
            "no row of this session in sys_load_error_detail or stl_load_errors says"
        } else {
            "the user may not read in sys_load_error_detail or stl_load_errors"
        },
        files,
        staged.member
    );
    Err(if is_readable {
        Error::retryable(Retryable::Unknown, message)
    } else {
        Error::deployment(Deployment::Privilege, message)
    })
}

impl<'t> Refused<'t> {
    /// Creates a collection of a table's refused rows, in any order.
    pub(super) fn new(staged: &'t StagedTable<'t>, rows: Vec<RefusedRow>) -> Self {
        let mut refused = Self { staged, rows: Vec::new(), cells: BTreeMap::new() };
        refused.merge(rows);
        refused
    }

    /// Returns the number of rows.
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Adds the rows that are new, and sorts all in the file's order.
    pub(super) fn merge(&mut self, rows: Vec<RefusedRow>) {
        for row in rows {
            if !self.rows.contains(&row) {
                self.rows.push(row);
            }
        }
        let staged = self.staged;
        self.rows.sort_by_key(|row| (row.line.is_none(), staged.keys.piece_of(&row.file), row.line));
    }

    /// Keeps the first `most` rows; returns how many were kept.
    pub(super) fn cut_to(&mut self, most: usize) -> usize {
        self.rows.truncate(most);
        self.rows.len()
    }

    /// Reads the texts that Redshift does not show, or not completely, from the staged file.
    ///
    /// # Errors
    ///
    /// S3's. What was found before is kept.
    pub(super) async fn read_back(&mut self, s3: &S3) -> Result<(), Error> {
        let is_unknown = |row: &&RefusedRow| row.value.as_ref().is_none_or(|value| is_cut(value));
        let mut places: BTreeMap<usize, Vec<CellPlace>> = BTreeMap::new();
        for (piece, place) in self.rows.iter().filter(is_unknown).filter_map(|row| self.place(row)) {
            places.entry(piece).or_default().push(place);
        }
        for (piece, places) in places {
            let mut finder = CellFinder::new(places);
            let read = read_piece(s3, self.staged, piece, |text| finder.push(text)).await;
            self.cells.extend(finder.finish().into_iter().map(|(place, cell)| ((piece, place), cell)));
            read?;
        }
        Ok(())
    }

    /// Returns the rows as problems of the archive; `null_as` is the text that was staged as NULL.
    pub(super) fn problems(&self, null_as: Option<&str>) -> impl Iterator<Item = Problem> {
        self.rows.iter().map(move |row| self.problem(row, null_as))
    }

    fn problem(&self, row: &RefusedRow, null_as: Option<&str>) -> Problem {
        let cell = self.place(row).and_then(|place| self.cells.get(&place));
        let told = row.value.as_ref();
        let text = cell.map(|cell| cell.text.as_slice()).or(told.map(String::as_bytes));
        let length_bytes =
            cell.map(|cell| cell.length_bytes).or(told.filter(|value| !is_cut(value)).map(String::len));

        let message = |told: &str| {
            let mut message = told.to_owned();
            if let Some(kind) = &row.column_type {
                let length =
                    row.column_length.as_ref().map(|length| format!("({length})")).unwrap_or_default();
                message = format!("{message}; the column is {kind}{length}");
                if let (true, Some(length_bytes)) = (message.contains("length"), length_bytes) {
                    message = format!("{message}, the value has {length_bytes} bytes");
                }
            }
            let mut message = printable(message.as_bytes());
            if row.line.is_none() {
                let file = printable_start(row.file.as_bytes(), FILE_CHARS);
                message = format!(
                    "{message}; Redshift reports no line for {file}, since it may have read the file in parts"
                );
            }
            message
        };
        // Redshift's own message may contain the value, such as "Invalid digit, Value 'x', Pos 0".
        let quote = Quote::new(message(&row.message), message(meaning(row.code)));
        let reason = Reason::Refused { code: row.code, message: quote };
        let mut problem = Problem::member(&self.staged.member, reason);
        problem.line = self.piece(row).and_then(|(piece, line)| self.staged.source_line(piece, line));
        problem.column = self.column(row).map(|(_, name)| name.to_owned()).or_else(|| row.column.clone());
        match text {
            Some(text) if text == NULL_TEXT.as_bytes() => match null_as {
                Some(null_as) => problem.with_text(null_as.as_bytes()),
                None => problem,
            },
            Some(text) => match length_bytes {
                Some(length_bytes) => problem.with_beginning(text).of_bytes(length_bytes),
                None => problem.with_beginning(text),
            },
            None => problem,
        }
    }

    /// Returns the piece that contains a row, and the row's line there.
    fn piece(&self, row: &RefusedRow) -> Option<(usize, u64)> {
        Some((self.staged.keys.piece_of(&row.file)?, row.line?))
    }

    /// Returns the refused cell: its piece and its position there.
    fn place(&self, row: &RefusedRow) -> Option<(usize, CellPlace)> {
        let (piece, line) = self.piece(row)?;
        Some((piece, CellPlace { line, column: self.column(row)?.0 }))
    }

    /// Returns the refused column as the configuration names it, and its position. Redshift returns names in
    /// lower case (Amazon Redshift Database Developer Guide, Names and identifiers).
    fn column(&self, row: &RefusedRow) -> Option<(usize, &str)> {
        let told = row.column.as_deref()?;
        self.staged.table.loaded_columns().enumerate().find(|(_, name)| name.eq_ignore_ascii_case(told))
    }
}

/// Returns the meaning of COPY's error code, in words that quote nothing (`r_Load_Error_Reference.md`).
fn meaning(code: Option<i64>) -> &'static str {
    match code {
        Some(1201 | 1214) => "a delimiter is missing",
        Some(1202) => "too many columns",
        Some(1203) => "too few columns",
        Some(1204) => "the value is out of range, or its length exceeds the column's",
        Some(1205) => "not a date",
        Some(1206) => "not a timestamp",
        Some(1207) => "not a number of digits",
        Some(1208) => "not a number of type FLOAT",
        Some(1209) => "not a number of type DECIMAL",
        Some(1210) => "not a boolean",
        Some(1211) => "the line has no data",
        Some(1213) => "a NOT NULL column has no value",
        Some(1216) => "the line is invalid",
        Some(1218) => "a NUL byte",
        Some(1220) => "invalid or unsupported characters",
        Some(1221) => "the file is not UTF-8",
        Some(1222) => "the number is out of range",
        Some(_) | None => "its message may quote the row and is left out",
    }
}

fn is_cut(value: &str) -> bool {
    value.len() >= RAW_VALUE_BYTES
}
