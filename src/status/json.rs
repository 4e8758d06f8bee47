//! A status as JSON: all of every list.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::state::{Bad, Disagreement, Good, Status, Waiting};
use crate::redshift::LedgerRow;
use crate::report::{FORMAT_VERSION, PassedOverObject};

/// Where a dataset stands.
#[derive(Serialize, JsonSchema)]
struct StatusJson<'a> {
    /// Version of this form.
    version: u32,
    /// The dataset.
    dataset: &'a str,
    /// Its bucket.
    bucket: &'a str,
    /// How many archives wait.
    queue_count: usize,
    /// The archives to load, oldest first.
    queue: &'a [Waiting],
    /// How many are superseded.
    superseded_count: usize,
    /// The archives that are older than the newest that is not bad: not loaded, unless that is found bad.
    superseded: &'a [Waiting],
    /// How many are bad.
    bad_count: usize,
    /// The archives settled as bad, oldest first, and why.
    bad: &'a [Bad],
    /// How many are good.
    good_count: usize,
    /// The archives settled as good, oldest first.
    good: &'a [Good],
    /// How many objects are passed over.
    passed_over_count: usize,
    /// The objects that `doc` matches and that are no archives, by key.
    passed_over: &'a [PassedOverObject],
    /// How many rows the ledger has; null where there is none or it could not be read.
    ledger_rows: Option<usize>,
    /// Why the ledger could not be read.
    ledger_unreadable: Option<&'a str>,
    /// Under truncate: the archive that the tables hold, by the ledger.
    tables_hold: Option<&'a LedgerRow>,
    /// How many disagreements there are.
    disagreements_count: usize,
    /// Where markers and ledger disagree.
    disagreements: &'a [Disagreement],
}

impl JsonSchema for Status {
    fn schema_name() -> Cow<'static, str> {
        StatusJson::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        StatusJson::json_schema(generator)
    }
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
            ledger_unreadable: self.ledger_unreadable.as_ref().map(|why| why.message.as_str()),
            tables_hold: self.tables_hold.as_ref(),
            disagreements_count: self.disagreements.len(),
            disagreements: &self.disagreements,
        };
        json.serialize(serializer)
    }
}
