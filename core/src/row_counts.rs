//! Decides whether an archive has so few rows that something must be wrong with the export.

use std::collections::BTreeMap;

use crate::config::{Dataset, Table};
use crate::problem::{Problem, Problems, Reason};

/// The numbers of rows by table, under the name that [`crate::config::TableName`] shows.
pub type RowsByTable = BTreeMap<String, u64>;

/// The rows that an archive has for a table.
#[derive(Debug, Clone, Copy)]
pub struct IncomingRows<'a> {
    /// The table.
    pub table: &'a Table,
    /// The member's name in the archive.
    pub member: &'a str,
    /// The number of rows.
    pub rows: u64,
}

/// The result of judging the numbers of rows in an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JudgedRows {
    /// The tables that get fewer rows than the configuration allows.
    pub too_few: Vec<FewRows>,
    /// With `truncate`, the tables that get no rows although the latest load had some.
    pub emptied: Vec<EmptiedTable>,
    /// With `truncate`, the tables whose number of rows in the latest load is not known.
    pub unknown: Vec<String>,
}

/// A table that gets fewer rows than the configuration allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FewRows {
    /// The table's name.
    pub table: String,
    /// The number of rows that it gets.
    pub rows: u64,
    /// The minimum number of rows that the configuration allows.
    pub expected: u64,
    /// The problem of the member.
    pub problem: Problem,
}

/// A table that gets no rows although the latest load had some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptiedTable {
    /// The table's name.
    pub table: String,
    /// The number of rows in the latest load.
    pub rows_before: u64,
}

impl JudgedRows {
    /// Judges the rows of an archive by the configuration and by the dataset's latest load; `before` is
    /// `None` if there was no load yet.
    ///
    /// The latest load counts with `truncate` only: when appending, no table gets smaller.
    pub fn judge<'a>(
        dataset: &Dataset,
        before: Option<&RowsByTable>,
        incoming: impl IntoIterator<Item = IncomingRows<'a>>,
    ) -> Self {
        let before = before.filter(|_| dataset.truncate);
        let mut judged = Self::default();
        for IncomingRows { table, member, rows } in incoming {
            let name = table.name.to_string();
            let mut too_few = |expected, reason| {
                let problem = Problem::member(member, reason);
                judged.too_few.push(FewRows { table: name.clone(), rows, expected, problem });
            };
            if rows < table.min_rows {
                too_few(table.min_rows, Reason::TooFewRows { expected: table.min_rows, found: rows });
            }
            let Some(before) = before else { continue };
            let Some(before) = before.get(&name).copied() else {
                judged.unknown.push(name);
                continue;
            };
            if let Some(max_shrink_percent) = dataset.max_shrink_percent {
                let expected = fewest_rows(before, max_shrink_percent);
                if rows < expected {
                    too_few(expected, Reason::Shrunk { before, expected, found: rows, max_shrink_percent });
                }
            }
            if rows == 0 && before > 0 {
                judged.emptied.push(EmptiedTable { table: name, rows_before: before });
            }
        }
        judged
    }

    /// Returns why the archive is bad, unless its few rows are accepted; empty if the rows are enough.
    pub fn problems(&self) -> Problems {
        let mut problems = Problems::default();
        for few in &self.too_few {
            problems.push(few.problem.clone());
        }
        problems
    }
}

/// Returns the minimum number of rows when at most `max_shrink_percent` of `before` may be missing; a part of
/// a row counts as one.
fn fewest_rows(before: u64, max_shrink_percent: u8) -> u64 {
    let kept_percent = 100_u128.saturating_sub(u128::from(max_shrink_percent));
    // The result is never more than `before`.
    u64::try_from((u128::from(before) * kept_percent).div_ceil(100)).unwrap_or(before)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::parse;

    const GROUP: &str = "cmslite.cms_group";

    fn dataset(max_shrink_percent: Option<u8>, min_rows: u64) -> Dataset {
        let text = include_str!("../../config.d/cmslite_user_group_metadata.json");
        let mut dataset = parse("d.json", text).unwrap();
        dataset.max_shrink_percent = max_shrink_percent;
        dataset.tables.retain(|table| table.member == "analytics_group");
        dataset.tables[0].min_rows = min_rows;
        dataset
    }

    /// Judges rows for one table after a load with `before` rows; `None` if that number is not known.
    fn judge(dataset: &Dataset, before: Option<u64>, rows: u64) -> JudgedRows {
        let before: RowsByTable = before.map(|rows| (GROUP.to_owned(), rows)).into_iter().collect();
        let incoming = IncomingRows { table: &dataset.tables[0], member: "analytics_group.csv", rows };
        JudgedRows::judge(dataset, Some(&before), [incoming])
    }

    fn codes(judged: &JudgedRows) -> Vec<&str> {
        judged.too_few.iter().map(|few| few.problem.reason.code()).collect()
    }

    #[test]
    fn as_many_rows_as_the_share_leaves_are_enough() {
        for (before, percent, fewest) in [
            (100, 0, 100),
            (100, 20, 80),
            (100, 100, 0),
            (3, 50, 2),
            (1, 99, 1),
            (0, 0, 0),
            (u64::MAX, 0, u64::MAX),
            (u64::MAX, 1, 18_262_276_632_972_456_099),
        ] {
            let dataset = dataset(Some(percent), 0);
            assert!(codes(&judge(&dataset, Some(before), fewest)).is_empty(), "{before} {percent}");
            if fewest > 0 {
                let judged = judge(&dataset, Some(before), fewest - 1);
                assert_eq!(codes(&judged), ["shrunk"], "{before} {percent}");
                assert_eq!((judged.too_few[0].rows, judged.too_few[0].expected), (fewest - 1, fewest));
            }
        }
    }

    #[test]
    fn a_refusal_says_what_was_found_and_what_to_do() {
        let judged = judge(&dataset(Some(20), 90), Some(100), 79);
        assert_eq!(codes(&judged), ["too_few_rows", "shrunk"]);
        let accept =
            "export it again, or, if there are really so few, load it with `load CONFIG --accept-shrink KEY`";
        assert_eq!(
            judged.problems().to_string(),
            format!(
                "analytics_group.csv: the file has 79 rows, and the configuration expects 90 or more (\"min_rows\"); {accept}; \
                 analytics_group.csv: the file has 79 rows, the previous load had 100 for its table, and the configuration allows 20 % fewer \
                 (\"max_shrink_percent\"), which is 80 or more; {accept}"
            )
        );
    }

    #[test]
    fn what_nobody_knows_is_not_judged() {
        let judged = judge(&dataset(Some(0), 0), None, 0);
        assert_eq!(judged, JudgedRows { unknown: vec![GROUP.to_owned()], ..JudgedRows::default() });
    }

    #[test]
    fn a_table_that_was_filled_and_gets_nothing_is_emptied_with_or_without_a_guard() {
        let emptied = vec![EmptiedTable { table: GROUP.to_owned(), rows_before: 7 }];
        let expected = JudgedRows { emptied: emptied.clone(), ..JudgedRows::default() };
        assert_eq!(judge(&dataset(None, 0), Some(7), 0), expected);
        assert_eq!(judge(&dataset(Some(100), 0), Some(7), 0), expected);
        assert_eq!(judge(&dataset(Some(99), 0), Some(7), 0).emptied, emptied);
        assert_eq!(judge(&dataset(None, 0), Some(0), 0), JudgedRows::default());
        assert_eq!(judge(&dataset(None, 0), Some(7), 1), JudgedRows::default());
    }

    #[test]
    fn while_appending_only_the_fewest_rows_count() {
        let mut dataset = dataset(Some(0), 2);
        dataset.truncate = false;
        assert_eq!(judge(&dataset, Some(7), 2), JudgedRows::default());
        assert_eq!(codes(&judge(&dataset, Some(7), 0)), ["too_few_rows"]);
    }

    proptest! {
        #[test]
        fn a_table_is_shrunk_exactly_where_more_than_the_share_is_gone(
            before in 0..1_000_000_u64, percent in 0..=100_u8, rows in 0..1_000_000_u64
        ) {
            let shrunk = !codes(&judge(&dataset(Some(percent), 0), Some(before), rows)).is_empty();
            let gone = before.saturating_sub(rows);
            prop_assert_eq!(shrunk, gone * 100 > before * u64::from(percent));
        }
    }
}
