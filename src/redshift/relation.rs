//! Describes the tables that a load fills, and finds reasons why every load into one of them would fail.

use cmslite_core::config::Table;

use super::rows::Column;

/// The kind of relation with a table's name (`SVV_TABLES`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// A table of the cluster.
    Table,
    /// A view of any kind.
    View,
    /// A table outside the cluster (Redshift Spectrum).
    External,
}

/// The reason why no archive can be loaded into a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The description of the obstacle.
    pub text: String,
    /// The remedy.
    pub remedy: &'static str,
}

impl RelationKind {
    /// Returns the kind that a table type means: "Possible values include views, external tables, and base
    /// tables" (`r_SVV_TABLES.md`).
    pub(super) fn of(table_type: &str) -> Self {
        let upper = table_type.to_uppercase();
        if upper.contains("VIEW") {
            Self::View
        } else if upper.contains("EXTERNAL") {
            Self::External
        } else {
            Self::Table
        }
    }
}

/// Returns why no archive can be loaded into a table with these columns. If `columns` is empty, nothing is
/// known about them, and they are no obstacle. Redshift returns names in lower case (Amazon Redshift Database
/// Developer Guide, Names and identifiers).
pub fn obstacles(table: &Table, kind: Option<RelationKind>, columns: &[Column]) -> Vec<Obstacle> {
    let stand_in = match kind {
        Some(RelationKind::View) => Some("a view"),
        Some(RelationKind::External) => Some("an external table"),
        Some(RelationKind::Table) | None => None,
    };
    if let Some(what) = stand_in {
        return vec![Obstacle {
            text: format!("it is {what}, on which COPY does not work"),
            remedy: "name the table itself in \"dbtable\"",
        }];
    }
    if columns.is_empty() {
        return Vec::new();
    }
    let is_there = |name: &&str| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let absent = table.loaded_columns().filter(|name| !is_there(name)).map(|name| Obstacle {
        text: format!("it has no column {name}"),
        remedy: "add the column to the table, or correct \"columns\" or \"derived\" in the configuration",
    });
    let left_out = left_out(table, columns).map(|column| Obstacle {
        text: format!("its column {} is NOT NULL, has no default, and is not loaded", column.name),
        remedy: "let it take NULL, give it a default, or load it",
    });
    absent.chain(left_out).collect()
}

/// Returns the columns that a load leaves out although they are NOT NULL and have no known default. An
/// IDENTITY column has a default: `"identity"(...)` (dimitri/pgloader#860).
pub(super) fn left_out<'a>(table: &'a Table, columns: &'a [Column]) -> impl Iterator<Item = &'a Column> {
    let is_loaded =
        |column: &Column| table.loaded_columns().any(|name| name.eq_ignore_ascii_case(&column.name));
    columns.iter().filter(move |column| !column.nullable && !column.has_default && !is_loaded(column))
}
