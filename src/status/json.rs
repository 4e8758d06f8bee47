//! Writes a status as JSON, with complete lists.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::state::{Bad, Disagreement, Good, Status, Waiting};
use crate::redshift::LedgerRow;
use crate::report::{FORMAT_VERSION, PassedOverObject};

/// The state of a dataset.
#[derive(Serialize, JsonSchema)]
struct StatusJson<'a> {
    /// The version of this form.
    version: u32,
    /// The dataset's name.
    dataset: &'a str,
    /// The dataset's bucket.
    bucket: &'a str,
    /// The number of waiting archives.
    queue_count: usize,
    /// The archives to load, oldest first.
    queue: &'a [Waiting],
    /// The number of superseded archives.
    superseded_count: usize,
    /// The archives that are older than the newest that is not bad. They are not loaded, unless that one is
    /// found bad.
    superseded: &'a [Waiting],
    /// The number of bad archives.
    bad_count: usize,
    /// The archives settled as bad, oldest first, and why.
    bad: &'a [Bad],
    /// The number of good archives.
    good_count: usize,
    /// The archives settled as good, oldest first.
    good: &'a [Good],
    /// The number of objects passed over.
    passed_over_count: usize,
    /// The objects that match `doc` and are not archives, by key.
    passed_over: &'a [PassedOverObject],
    /// The number of rows of the ledger; null if it does not exist or could not be read.
    ledger_rows: Option<usize>,
    /// Why the ledger could not be read.
    ledger_unreadable: Option<&'a str>,
    /// With `truncate`, the archive that the tables hold, according to the ledger.
    tables_hold: Option<&'a LedgerRow>,
    /// The number of disagreements.
    disagreements_count: usize,
    /// The disagreements of markers and ledger.
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
