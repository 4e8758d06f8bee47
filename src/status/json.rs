//! A status as JSON: all of every list.

use serde::{Serialize, Serializer};

use super::state::{Bad, Disagreement, Good, Status, Waiting};
use crate::redshift::LedgerRow;
use crate::report::{FORMAT_VERSION, PassedOverObject};

#[derive(Serialize)]
struct StatusJson<'a> {
    version: u32,
    dataset: &'a str,
    bucket: &'a str,
    queue_count: usize,
    queue: &'a [Waiting],
    superseded_count: usize,
    superseded: &'a [Waiting],
    bad_count: usize,
    bad: &'a [Bad],
    good_count: usize,
    good: &'a [Good],
    passed_over_count: usize,
    passed_over: &'a [PassedOverObject],
    ledger_rows: Option<usize>,
    ledger_unreadable: Option<&'a str>,
    tables_hold: Option<&'a LedgerRow>,
    disagreements_count: usize,
    disagreements: &'a [Disagreement],
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = StatusJson {
            version: FORMAT_VERSION,
            dataset: &self.dataset,
            bucket: &self.bucket,
            queue_count: self.queue.len(),
            queue: &self.queue,
            superseded_count: self.superseded.len(),
            superseded: &self.superseded,
            bad_count: self.bad.len(),
            bad: &self.bad,
            good_count: self.good.len(),
            good: &self.good,
            passed_over_count: self.passed_over.len(),
            passed_over: &self.passed_over,
            ledger_rows: self.ledger_rows,
            ledger_unreadable: self.ledger_unreadable.as_deref(),
            tables_hold: self.tables_hold.as_ref(),
            disagreements_count: self.disagreements.len(),
            disagreements: &self.disagreements,
        };
        json.serialize(serializer)
    }
}
