//! A status as JSON.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::state::{Bad, Disagreement, Good, Status, Waiting};
use crate::redshift::LedgerRow;
use crate::report::{Ends, FORMAT_VERSION, PassedOverObject, omitted};

/// Elements of a list that are shown at each of its ends, unless all are wanted.
const ENDS: usize = 20;

#[derive(Serialize)]
struct StatusJson<'a> {
    version: u32,
    dataset: &'a str,
    bucket: &'a str,
    queue_count: usize,
    queue: Ends<'a, Waiting>,
    superseded_count: usize,
    superseded: Ends<'a, Waiting>,
    bad_count: usize,
    bad: Ends<'a, Bad>,
    good_count: usize,
    good: Ends<'a, Good>,
    passed_over_count: usize,
    passed_over: Ends<'a, PassedOverObject>,
    ledger_rows: Option<usize>,
    ledger_unreadable: Option<&'a str>,
    tables_hold: Option<&'a LedgerRow>,
    disagreements_count: usize,
    disagreements: Ends<'a, Disagreement>,
    omitted: BTreeMap<&'static str, usize>,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let most = if self.all { usize::MAX } else { ENDS };
        let queue = Ends::of(&self.queue, most);
        let superseded = Ends::of(&self.superseded, most);
        let bad = Ends::of(&self.bad, most);
        let good = Ends::of(&self.good, most);
        let passed_over = Ends::of(&self.passed_over, most);
        let disagreements = Ends::of(&self.disagreements, most);
        let json = StatusJson {
            version: FORMAT_VERSION,
            dataset: &self.dataset,
            bucket: &self.bucket,
            queue_count: self.queue.len(),
            superseded_count: self.superseded.len(),
            bad_count: self.bad.len(),
            good_count: self.good.len(),
            passed_over_count: self.passed_over.len(),
            disagreements_count: self.disagreements.len(),
            omitted: omitted([
                ("queue", queue.omitted),
                ("superseded", superseded.omitted),
                ("bad", bad.omitted),
                ("good", good.omitted),
                ("passed_over", passed_over.omitted),
                ("disagreements", disagreements.omitted),
            ]),
            queue,
            superseded,
            bad,
            good,
            passed_over,
            ledger_rows: self.ledger_rows,
            ledger_unreadable: self.ledger_unreadable.as_deref(),
            tables_hold: self.tables_hold.as_ref(),
            disagreements,
        };
        json.serialize(serializer)
    }
}
