//! Provides archives, their keys, and the rows that they become.

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use devstack::samples::{self, Member};

use super::SHIPPED;

/// The shipped configuration's tables.
pub const TABLES: [&str; 4] = ["cms_group", "user_activity", "user_group", "user_status"];

pub type Row = Vec<Option<String>>;

/// Returns the shipped configuration, appending instead of replacing.
pub fn appending() -> String {
    SHIPPED.replace("\"truncate\": true", "\"truncate\": false")
}

/// Returns the same, with `repeated` set to `skip`.
pub fn skipping() -> String {
    appending().replacen('{', "{\"repeated\": \"skip\",", 1)
}

pub fn key(name: &str) -> String {
    format!("client/cmslite_gdx/cms-analytics-csv_{name}.tgz")
}

pub fn good_key(name: &str) -> String {
    format!("processed/good/{}", key(name))
}

pub fn bad_key(name: &str) -> String {
    format!("processed/bad/{}", key(name))
}

/// Returns the four files with `rows` rows each.
pub fn members(seed: u64, rows: usize) -> Vec<Member> {
    samples::real_dataset(seed, rows).unwrap()
}

pub fn sample(seed: u64, rows: usize) -> Vec<u8> {
    samples::archive(&members(seed, rows)).unwrap()
}

/// Returns an archive whose four files have about `csv_bytes` together.
pub fn long_sample(seed: u64, csv_bytes: u64) -> Vec<u8> {
    let mut archive = Vec::new();
    samples::write_archive(seed, csv_bytes, &mut archive).unwrap();
    archive
}

/// Returns an archive whose file for one table has other contents.
pub fn sample_with(member: &str, contents: impl Into<Vec<u8>>) -> Vec<u8> {
    let mut members = members(1, 3);
    members.iter_mut().find(|known| known.name == member).unwrap().contents = contents.into();
    samples::archive(&members).unwrap()
}

/// Returns numbers that do not compress (`SplitMix64`).
pub fn words(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |n: u64| {
        let word = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    })
}

/// Returns the rows of the tables after `members` were loaded: read by the `csv` crate, which wrote them.
pub fn expected(members: &[Member]) -> Vec<(&'static str, Vec<Row>)> {
    let rows = |name: &str| -> Vec<Vec<String>> {
        let member = members.iter().find(|member| member.name == name).unwrap();
        let mut reader = csv::Reader::from_reader(member.contents.as_slice());
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    };
    let text = |cell: &str| (cell != "-").then(|| cell.to_owned());
    let boolean = |cell: &str| match cell {
        "" | "-" => None,
        "t" | "true" | "1" | "y" | "yes" => Some("t".to_owned()),
        _ => Some("f".to_owned()),
    };
    // PostgreSQL shows a timestamp without trailing zeros.
    let time = |cell: &str| {
        (!cell.is_empty() && cell != "-").then(|| cell.trim_end_matches('0').trim_end_matches('.').to_owned())
    };
    let mut tables = vec![
        (
            "cms_group",
            rows("analytics_group.csv")
                .iter()
                .map(|r| vec![text(&r[0]), text(&r[1]), boolean(&r[2]), text(&r[3])])
                .collect::<Vec<Row>>(),
        ),
        (
            "user_activity",
            rows("analytics_user_activity.csv")
                .iter()
                .map(|r| {
                    let group = r[3].split(" - ").nth(1).unwrap_or_default();
                    vec![text(&r[0]), text(&r[1]), text(&r[2]), text(&r[3]), time(&r[4]), text(group)]
                })
                .collect(),
        ),
        (
            "user_group",
            rows("analytics_user_group.csv")
                .iter()
                .map(|r| r[..6].iter().map(|cell| text(cell)).chain([boolean(&r[6])]).collect())
                .collect(),
        ),
        (
            "user_status",
            rows("analytics_user_status.csv")
                .iter()
                .map(|r| {
                    vec![
                        text(&r[0]),
                        text(&r[1]),
                        text(&r[2]),
                        text(&r[3]),
                        text(&r[4]),
                        time(&r[5]),
                        text(&r[6]),
                    ]
                })
                .collect(),
        ),
    ];
    for (_, rows) in &mut tables {
        rows.sort();
    }
    tables
}

/// Returns a time in whole seconds, some days ago; the same for the same number, even if midnight comes in
/// between.
pub fn moment(seconds: i64) -> DateTime<Utc> {
    static FIRST: LazyLock<DateTime<Utc>> = LazyLock::new(|| {
        let today = Utc::now().timestamp() / 86_400 * 86_400;
        DateTime::from_timestamp(today, 0).unwrap() - TimeDelta::days(3)
    });
    *FIRST + TimeDelta::seconds(seconds)
}
