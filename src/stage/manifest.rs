//! Makes the input of COPY: the pieces of a table's staged file, and the manifest that names them.

use cmslite_core::config::{Dataset, Staging, Table};
use cmslite_core::csv::FIRST_ROW_LINE;
use serde::Serialize;

/// The keys of the pieces and the manifest of a table's staged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedKeys {
    stem: String,
    staging: Staging,
}

/// The pieces of a staged file, in order. Each is an object with a header line of its own and whole rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    /// The line of the whole file on which the first row of each piece begins.
    first_lines: Vec<u64>,
}

impl StagedKeys {
    /// Returns the keys and the format of a table's staged file for one reading of an archive's revision.
    pub fn new(
        dataset: &Dataset,
        key: &str,
        etag: &str,
        reading: &str,
        table: &Table,
        staging: Staging,
    ) -> Self {
        Self { stem: dataset.staged_stem(key, etag, reading, &table.member), staging }
    }

    /// Returns the format of the pieces.
    pub fn staging(&self) -> Staging {
        self.staging
    }

    /// Returns the `Content-Type` of a piece (RFC 4180, RFC 8878).
    pub fn content_type(&self) -> &'static str {
        match self.staging {
            Staging::Plain => "text/csv; charset=utf-8",
            Staging::Zstd => "application/zstd",
        }
    }

    /// Returns the ending of the pieces' names.
    fn ending(&self) -> &'static str {
        match self.staging {
            Staging::Plain => ".csv",
            Staging::Zstd => ".csv.zst",
        }
    }

    /// Returns the key of a piece, counted from 0; in keys they are counted from 1.
    pub fn piece(&self, at: usize) -> String {
        format!("{}{:05}{}", self.all_pieces(), at + 1, self.ending())
    }

    /// Returns the prefix of the keys of all pieces, which no other key has.
    pub fn all_pieces(&self) -> String {
        format!("{}.", self.stem)
    }

    /// Returns the manifest's key.
    pub fn manifest(&self) -> String {
        format!("{}.manifest", self.stem)
    }

    /// Returns the index of the piece with this name or URL, if that is complete.
    pub fn piece_of(&self, told: &str) -> Option<usize> {
        let (_, number) = told.strip_suffix(self.ending())?.rsplit_once(&self.all_pieces())?;
        number.parse::<usize>().ok()?.checked_sub(1)
    }
}

impl Pieces {
    /// Begins another piece. Its first row is on this line of the whole file.
    pub(super) fn begin(&mut self, first_line: u64) {
        self.first_lines.push(first_line);
    }

    /// Returns the number of pieces.
    pub fn count(&self) -> usize {
        self.first_lines.len()
    }

    /// Returns the line of the whole file for a line of a piece.
    pub fn line(&self, piece: usize, line: u64) -> Option<u64> {
        Some(self.first_lines.get(piece)? + line.checked_sub(FIRST_ROW_LINE)?)
    }
}

/// A COPY manifest, which names exactly the pieces of one table's staged file
/// (`loading-data-files-using-manifest.md`).
#[derive(Debug, Serialize)]
pub struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    url: String,
    mandatory: bool,
}

impl Manifest {
    /// Creates a manifest that names this many pieces in `bucket`, each of them mandatory.
    pub fn of(bucket: &str, keys: &StagedKeys, pieces: usize) -> Self {
        let entry = |at| Entry { url: format!("s3://{bucket}/{}", keys.piece(at)), mandatory: true };
        Self { entries: (0..pieces).map(entry).collect() }
    }

    /// Returns the manifest's JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> StagedKeys {
        StagedKeys { stem: "k/\"x\"/m".to_owned(), staging: Staging::Plain }
    }

    #[test]
    fn a_manifest_names_pieces_that_must_be_there() {
        let json: serde_json::Value = serde_json::from_str(&Manifest::of("b", &keys(), 2).to_json()).unwrap();
        let entry = |url| serde_json::json!({"url": url, "mandatory": true});
        let entries = [entry("s3://b/k/\"x\"/m.00001.csv"), entry("s3://b/k/\"x\"/m.00002.csv")];
        assert_eq!(json, serde_json::json!({"entries": entries}));
    }

    #[test]
    fn a_piece_is_known_by_its_name() {
        for staging in [Staging::Plain, Staging::Zstd] {
            let keys = StagedKeys { staging, ..keys() };
            for at in [0, 9_999, 123_456] {
                assert_eq!(keys.piece_of(&format!("s3://b/{}", keys.piece(at))), Some(at));
            }
        }
        for other in [
            "",
            "s3://b/k/\"x\"/m.0000",
            "s3://b/k/\"x\"/m.00000.csv",
            "s3://b/k/\"x\"/m.manifest",
            "s3://b/k/\"x\"/m.00001.csv.zst",
            "s3://b/k/y/m.00001.csv",
        ] {
            assert_eq!(keys().piece_of(other), None, "{other}");
        }
    }

    #[test]
    fn lines_of_pieces_are_lines_of_the_file() {
        let mut pieces = Pieces::default();
        pieces.begin(2);
        pieces.begin(102);
        assert_eq!(
            (pieces.line(0, 2), pieces.line(0, 101), pieces.line(1, 2)),
            (Some(2), Some(101), Some(102))
        );
        assert_eq!((pieces.line(0, 1), pieces.line(2, 2)), (None, None));
    }
}
