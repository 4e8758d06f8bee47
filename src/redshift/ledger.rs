//! The ledger, the table of rows and the lock table beside it: which columns they have, and what the ledger decides.

use cmslite_core::config::{Dataset, TableName};

use super::rows::Column;

/// The type of a ledger's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// VARCHAR of at least so many bytes.
    Text(u64),
    /// TIMESTAMP without a time zone.
    Timestamp,
    /// BIGINT.
    Number,
}

/// The ledger's columns, all of them NOT NULL.
pub const COLUMNS: [(&str, ColumnType); 10] = [
    ("dataset", ColumnType::Text(255)),
    ("bucket", ColumnType::Text(255)),
    ("key", ColumnType::Text(1024)),
    ("etag", ColumnType::Text(255)),
    ("last_modified", ColumnType::Timestamp),
    ("size_bytes", ColumnType::Number),
    ("row_count", ColumnType::Number),
    ("sequence", ColumnType::Number),
    ("loaded_at", ColumnType::Timestamp),
    ("request_id", ColumnType::Text(255)),
];

/// The columns of the table beside the ledger, all of them NOT NULL: what one load brought to one table.
///
/// The first three name the ledger's row. A sequence alone does not where somebody has deleted rows of the
/// ledger, since it is then given again. A name has up to 127 bytes (Amazon Redshift Database Developer
/// Guide, "Names and identifiers"), that of a table with its schema 255.
pub const TABLE_ROWS_COLUMNS: [(&str, ColumnType); 5] = [
    ("dataset", ColumnType::Text(255)),
    ("sequence", ColumnType::Number),
    ("request_id", ColumnType::Text(255)),
    ("table_name", ColumnType::Text(255)),
    ("row_count", ColumnType::Number),
];

/// The column of the lock table, which has no rows: no table is without a column.
pub const LOCK_COLUMNS: [(&str, ColumnType); 1] = [("unused", ColumnType::Number)];

/// A table's name, and its columns with their types.
type Wanted<'d> = (&'d TableName, &'static [(&'static str, ColumnType)]);

/// The ledger, the table of rows beside it and the lock table, with the columns that each must have.
pub fn tables(dataset: &Dataset) -> [Wanted<'_>; 3] {
    [
        (&dataset.ledger, &COLUMNS),
        (&dataset.ledger_tables, &TABLE_ROWS_COLUMNS),
        (&dataset.ledger_lock, &LOCK_COLUMNS),
    ]
}

impl ColumnType {
    /// The type in DDL.
    pub fn ddl(self) -> String {
        match self {
            Self::Text(bytes) => format!("VARCHAR({bytes})"),
            Self::Timestamp => "TIMESTAMP".to_owned(),
            Self::Number => "BIGINT".to_owned(),
        }
    }

    fn is(self, column: &Column) -> bool {
        match (self, column.data_type.as_str()) {
            (Self::Text(bytes), "character varying") => column.length.is_none_or(|length| length >= bytes),
            (Self::Timestamp, "timestamp without time zone") | (Self::Number, "bigint") => true,
            _ => false,
        }
    }
}

/// In which ways a table has other columns than `wanted`, those of a ledger or of a table beside it; none
/// where it has none at all, since then it is not there.
pub fn differences(wanted: &[(&str, ColumnType)], found: &[Column]) -> Vec<String> {
    if found.is_empty() {
        return Vec::new();
    }
    let mut differences = Vec::new();
    for (name, kind) in wanted {
        match found.iter().find(|column| column.name.eq_ignore_ascii_case(name)) {
            None => differences.push(format!("{name} is missing")),
            Some(column) if !kind.is(column) => {
                differences.push(format!("{name} is {} instead of {}", column.type_text(), kind.ddl()));
            }
            Some(_) => {}
        }
    }
    let unknown =
        found.iter().filter(|column| wanted.iter().all(|(name, _)| !column.name.eq_ignore_ascii_case(name)));
    differences.extend(unknown.map(|column| format!("{} is none of a ledger's", column.name)));
    differences
}

/// What is to be done with an archive's revision, by the ledger; and once it is done, what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadDecision {
    /// It is to be loaded, as this number of the dataset's loads.
    Load {
        /// One more than the dataset's highest.
        sequence: i64,
    },
    /// The tables hold it already.
    AlreadyLoaded,
    /// Under truncate: the tables hold a newer archive.
    Superseded,
}

/// Decides by the ledger's answer.
///
/// When appending, a revision that any row names is loaded already; under truncate only one that the latest
/// row names, since only that is what the tables hold.
pub fn decide(truncate: bool, latest: i64, own_latest: i64, newer: i64) -> LoadDecision {
    if own_latest > 0 && (!truncate || own_latest == latest) {
        LoadDecision::AlreadyLoaded
    } else if truncate && newer > 0 {
        LoadDecision::Superseded
    } else {
        LoadDecision::Load { sequence: latest + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_appending_any_row_of_the_ledger_counts() {
        assert_eq!(decide(false, 0, 0, 0), LoadDecision::Load { sequence: 1 });
        assert_eq!(decide(false, 7, 3, 2), LoadDecision::AlreadyLoaded);
        assert_eq!(decide(false, 7, 0, 2), LoadDecision::Load { sequence: 8 });
    }

    #[test]
    fn under_truncate_only_the_latest_row_counts() {
        assert_eq!(decide(true, 7, 7, 0), LoadDecision::AlreadyLoaded);
        assert_eq!(decide(true, 7, 3, 0), LoadDecision::Load { sequence: 8 });
        assert_eq!(decide(true, 7, 3, 1), LoadDecision::Superseded);
        assert_eq!(decide(true, 7, 0, 1), LoadDecision::Superseded);
    }

    fn column(name: &str, data_type: &str, length: Option<u64>) -> Column {
        Column {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            length,
            nullable: false,
            has_default: false,
            digits: None,
        }
    }

    fn ledger() -> Vec<Column> {
        let columns = COLUMNS.map(|(name, kind)| match kind {
            ColumnType::Text(bytes) => column(name, "character varying", Some(bytes)),
            ColumnType::Timestamp => column(name, "timestamp without time zone", None),
            ColumnType::Number => column(name, "bigint", None),
        });
        columns.to_vec()
    }

    #[test]
    fn a_table_of_other_columns_is_no_ledger() {
        assert_eq!(differences(&COLUMNS, &ledger()), [""; 0]);
        assert_eq!(differences(&COLUMNS, &[]), [""; 0]);
        let mut other = ledger();
        other.remove(7);
        other[0].length = Some(20);
        other[5] = column("SIZE_BYTES", "integer", None);
        other.push(column("note", "character varying", Some(10)));
        assert_eq!(
            differences(&COLUMNS, &other),
            [
                "dataset is character varying(20) instead of VARCHAR(255)",
                "size_bytes is integer instead of BIGINT",
                "sequence is missing",
                "note is none of a ledger's"
            ]
        );
    }

    /// What is made by hand is what the program makes.
    #[test]
    fn the_ddl_is_that_of_the_program() {
        let ddl = include_str!("../../ddl/ledger.sql");
        let lines = ddl.lines().filter(|line| !line.starts_with("--"));
        let written: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let written = written.join(" ").replace("( ", "(").replace(" )", ")");
        let made = [
            ("load_ledger", COLUMNS.as_slice()),
            ("load_ledger_tables", &TABLE_ROWS_COLUMNS),
            ("load_ledger_lock", &LOCK_COLUMNS),
        ];
        let made = made.map(|(name, columns)| {
            let columns: Vec<String> = columns
                .iter()
                .map(|(name, kind)| format!("{name} {} NOT NULL ENCODE ZSTD", kind.ddl()))
                .collect();
            format!("CREATE TABLE IF NOT EXISTS cmslite.{name} ({});", columns.join(", "))
        });
        assert_eq!(written, made.join(" "));
    }
}
