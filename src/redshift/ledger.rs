//! Defines the ledger, the table of rows and the lock table: their columns, and the ledger's decisions.

use cmslite_core::config::{Dataset, TableName};

use super::rows::Column;

/// The type of a ledger's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// VARCHAR of at least this many bytes.
    Text(u64),
    /// VARCHAR of at least this many bytes, NULL if the value is not known.
    TextOrNull(u64),
    /// TIMESTAMP without a time zone.
    Timestamp,
    /// BIGINT.
    Number,
}

/// The column that earlier versions of the ledger lack: the SHA-256 of the archive's bytes, in hexadecimal
/// digits. Rows that an earlier version wrote have NULL there.
pub const SHA256: (&str, ColumnType) = ("sha256", ColumnType::TextOrNull(64));

/// The ledger's columns.
pub const COLUMNS: [(&str, ColumnType); 11] = [
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
    SHA256,
];

/// The columns of the table beside the ledger: the rows that one load added to one table.
///
/// The first three identify the ledger's row. The sequence alone does not identify it: if rows of the ledger
/// were deleted, it is used again. A name has up to 127 bytes (Amazon Redshift Database Developer Guide,
/// "Names and identifiers"), that of a table with its schema 255.
pub const TABLE_ROWS_COLUMNS: [(&str, ColumnType); 5] = [
    ("dataset", ColumnType::Text(255)),
    ("sequence", ColumnType::Number),
    ("request_id", ColumnType::Text(255)),
    ("table_name", ColumnType::Text(255)),
    ("row_count", ColumnType::Number),
];

/// The column of the lock table, which has no rows: every table needs a column.
pub const LOCK_COLUMNS: [(&str, ColumnType); 1] = [("unused", ColumnType::Number)];

/// A table's name, and its columns with their types.
type Wanted<'d> = (&'d TableName, &'static [(&'static str, ColumnType)]);

/// Returns the ledger, the table of rows and the lock table, with the columns that each must have.
pub fn tables(dataset: &Dataset) -> [Wanted<'_>; 3] {
    [
        (&dataset.ledger, &COLUMNS),
        (&dataset.ledger_tables, &TABLE_ROWS_COLUMNS),
        (&dataset.ledger_lock, &LOCK_COLUMNS),
    ]
}

/// Returns the tables of a dataset, followed by those of [`tables`].
pub fn all_tables(dataset: &Dataset) -> Vec<&TableName> {
    let loaded = dataset.tables.iter().map(|table| &table.name);
    loaded.chain(tables(dataset).into_iter().map(|(name, _)| name)).collect()
}

impl ColumnType {
    /// Returns the type in DDL.
    pub fn ddl(self) -> String {
        match self {
            Self::Text(bytes) | Self::TextOrNull(bytes) => format!("VARCHAR({bytes})"),
            Self::Timestamp => "TIMESTAMP".to_owned(),
            Self::Number => "BIGINT".to_owned(),
        }
    }

    /// Returns the part of DDL after a column's name.
    pub fn definition(self) -> String {
        let null = if matches!(self, Self::TextOrNull(_)) { "" } else { " NOT NULL" };
        format!("{}{null} ENCODE ZSTD", self.ddl())
    }

    fn is(self, column: &Column) -> bool {
        match (self, column.data_type.as_str()) {
            (Self::Text(bytes) | Self::TextOrNull(bytes), "character varying") => {
                column.length.is_none_or(|length| length >= bytes)
            }
            (Self::Timestamp, "timestamp without time zone") | (Self::Number, "bigint") => true,
            _ => false,
        }
    }
}

/// Returns how a table's columns differ from `wanted`, the columns of a ledger or of a table beside it. It
/// returns nothing if `found` is empty, since then the table does not exist or the user does not see it.
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
    differences.extend(unknown.map(|column| format!("{} is not a column of a ledger", column.name)));
    differences
}

/// Checks whether a table is a ledger of an earlier version, which lacks only the SHA-256 of archives.
pub fn is_of_an_earlier_version(found: &[Column]) -> bool {
    differences(&COLUMNS, found) == [format!("{} is missing", SHA256.0)]
}

/// The ledger's answer about an archive's revision. All fields but `newer` are the number of a load, or 0 if
/// there is no such load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerAnswer {
    /// The dataset's latest load.
    pub latest: i64,
    /// The latest load of this revision.
    pub own: i64,
    /// The latest load of the same bytes under the same key.
    pub same_bytes: i64,
    /// The latest load of the same bytes under another key.
    pub elsewhere: i64,
    /// The number of rows in the ledger about newer archives.
    pub newer: i64,
}

/// The policy for an archive whose bytes the ledger knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether only the newest archive counts.
    pub truncate: bool,
    /// Whether bytes that were loaded under another key are not loaded again.
    pub skips_repeated: bool,
}

/// The ledger's decision about an archive's revision; after the work, what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadDecision {
    /// The archive is to be loaded.
    Load {
        /// The number of the load: one more than the dataset's highest.
        sequence: i64,
        /// Without `truncate`, the number of the load of the same bytes under another key.
        repeats: Option<i64>,
    },
    /// The tables hold the archive already.
    AlreadyLoaded {
        /// The number of its load.
        sequence: i64,
    },
    /// The tables hold the same bytes from another key, and the configuration wants them once.
    Repeated {
        /// The number of that load.
        sequence: i64,
    },
    /// With `truncate`, the tables hold a newer archive.
    Superseded,
}

/// Decides what to do with an archive, from the ledger's answer.
///
/// Without `truncate`, an archive is loaded already if any row has its `ETag` or, once its bytes were read,
/// the same bytes: an upload in parts of another size gives the same bytes another `ETag`. With `truncate`,
/// an archive is loaded already only if the latest row is its own, since only the rows of that load are in
/// the tables; an older file that is uploaded again replaces them.
pub fn decide(policy: Policy, answer: LedgerAnswer) -> LoadDecision {
    let LedgerAnswer { latest, own, same_bytes, elsewhere, newer } = answer;
    let load = |repeats| LoadDecision::Load { sequence: latest + 1, repeats };
    if policy.truncate {
        return match (own, newer) {
            (own, _) if own > 0 && own == latest => LoadDecision::AlreadyLoaded { sequence: own },
            (_, 0) => load(None),
            _ => LoadDecision::Superseded,
        };
    }
    match (own.max(same_bytes), elsewhere) {
        (0, 0) => load(None),
        (0, sequence) if policy.skips_repeated => LoadDecision::Repeated { sequence },
        (0, sequence) => load(Some(sequence)),
        (sequence, _) => LoadDecision::AlreadyLoaded { sequence },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPEND: Policy = Policy { truncate: false, skips_repeated: false };
    const SKIP: Policy = Policy { truncate: false, skips_repeated: true };
    const TRUNCATE: Policy = Policy { truncate: true, skips_repeated: false };

    fn load(sequence: i64) -> LoadDecision {
        LoadDecision::Load { sequence, repeats: None }
    }

    #[test]
    fn when_appending_any_row_of_the_ledger_counts() {
        let loaded = LoadDecision::AlreadyLoaded { sequence: 3 };
        for policy in [APPEND, SKIP] {
            assert_eq!(decide(policy, LedgerAnswer::default()), load(1));
            assert_eq!(
                decide(policy, LedgerAnswer { latest: 7, own: 3, newer: 2, ..LedgerAnswer::default() }),
                loaded
            );
            assert_eq!(
                decide(policy, LedgerAnswer { latest: 7, newer: 2, ..LedgerAnswer::default() }),
                load(8)
            );
            let same_bytes =
                LedgerAnswer { latest: 7, same_bytes: 3, elsewhere: 5, ..LedgerAnswer::default() };
            assert_eq!(decide(policy, same_bytes), loaded);
        }
    }

    #[test]
    fn bytes_of_another_key_are_loaded_unless_they_are_to_be_there_once() {
        let elsewhere = LedgerAnswer { latest: 7, elsewhere: 5, ..LedgerAnswer::default() };
        assert_eq!(decide(APPEND, elsewhere), LoadDecision::Load { sequence: 8, repeats: Some(5) });
        assert_eq!(decide(SKIP, elsewhere), LoadDecision::Repeated { sequence: 5 });
    }

    #[test]
    fn under_truncate_only_the_latest_row_counts() {
        let answer = |own, newer| LedgerAnswer { latest: 7, own, same_bytes: own, elsewhere: 6, newer };
        assert_eq!(decide(TRUNCATE, answer(7, 0)), LoadDecision::AlreadyLoaded { sequence: 7 });
        assert_eq!(decide(TRUNCATE, answer(3, 0)), load(8));
        assert_eq!(decide(TRUNCATE, answer(0, 0)), load(8));
        assert_eq!(decide(TRUNCATE, answer(3, 1)), LoadDecision::Superseded);
        assert_eq!(decide(TRUNCATE, answer(0, 1)), LoadDecision::Superseded);
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
            ColumnType::Text(bytes) | ColumnType::TextOrNull(bytes) => {
                column(name, "character varying", Some(bytes))
            }
            ColumnType::Timestamp => column(name, "timestamp without time zone", None),
            ColumnType::Number => column(name, "bigint", None),
        });
        columns.to_vec()
    }

    #[test]
    fn a_table_of_other_columns_is_no_ledger() {
        assert_eq!(differences(&COLUMNS, &ledger()), [""; 0]);
        assert_eq!(differences(&COLUMNS, &[]), [""; 0]);
        assert!(is_of_an_earlier_version(&ledger()[..10]) && !is_of_an_earlier_version(&ledger()));
        assert!(!is_of_an_earlier_version(&[]));
        let mut other = ledger();
        other.remove(7);
        assert!(!is_of_an_earlier_version(&other));
        other[0].length = Some(20);
        other[5] = column("SIZE_BYTES", "integer", None);
        other.push(column("note", "character varying", Some(10)));
        assert_eq!(
            differences(&COLUMNS, &other),
            [
                "dataset is character varying(20) instead of VARCHAR(255)",
                "size_bytes is integer instead of BIGINT",
                "sequence is missing",
                "note is not a column of a ledger"
            ]
        );
    }

    /// Checks that the DDL files for operators have the same statements as the program.
    #[test]
    fn the_ddl_is_that_of_the_program() {
        let ddl = include_str!("../../ddl/ledger.sql");
        let lines = ddl.lines().filter(|line| !line.starts_with("--"));
        let written: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let written = written.join(" ").replace("( ", "(").replace(" )", ")");
        let upgrade = include_str!("../../ddl/upgrade-ledger.sql");
        let upgrade: Vec<&str> = upgrade.lines().filter(|line| !line.starts_with("--")).collect();
        let (name, kind) = SHA256;
        let added = format!("ALTER TABLE cmslite.load_ledger ADD COLUMN {name} {};", kind.definition());
        assert_eq!(upgrade.join("").trim(), added);
        let made = [
            ("load_ledger", COLUMNS.as_slice()),
            ("load_ledger_tables", &TABLE_ROWS_COLUMNS),
            ("load_ledger_lock", &LOCK_COLUMNS),
        ];
        let made = made.map(|(name, columns)| {
            let columns: Vec<String> =
                columns.iter().map(|(name, kind)| format!("{name} {}", kind.definition())).collect();
            format!("CREATE TABLE IF NOT EXISTS cmslite.{name} ({});", columns.join(", "))
        });
        assert_eq!(written, made.join(" "));
    }
}
