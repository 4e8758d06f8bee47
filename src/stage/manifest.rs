//! What COPY reads: a table's staged file and the manifest that names it.

use cmslite_core::config::{Dataset, Table};
use serde::Serialize;

/// The keys of a table's staged file and its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedKeys {
    /// The staged file's.
    pub file: String,
    /// The manifest's.
    pub manifest: String,
}

impl StagedKeys {
    /// The keys for one table of an archive's revision, as one reading writes them.
    pub fn new(dataset: &Dataset, key: &str, etag: &str, reading: &str, table: &Table) -> Self {
        let stem = dataset.staged_stem(key, etag, reading, &table.member);
        Self { file: format!("{stem}.csv"), manifest: format!("{stem}.manifest") }
    }
}

/// A COPY manifest: the staged files of one table, exactly (`loading-data-files-using-manifest.md`).
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
    /// A manifest that names `keys` of `bucket`, each of them mandatory.
    pub fn of(bucket: &str, keys: &[&str]) -> Self {
        Self {
            entries: keys
                .iter()
                .map(|key| Entry { url: format!("s3://{bucket}/{key}"), mandatory: true })
                .collect(),
        }
    }

    /// The manifest's JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_files_that_must_be_there() {
        let json: serde_json::Value =
            serde_json::from_str(&Manifest::of("b", &["k/\"x\".csv"]).to_json()).unwrap();
        assert_eq!(json, serde_json::json!({"entries": [{"url": "s3://b/k/\"x\".csv", "mandatory": true}]}));
    }
}
