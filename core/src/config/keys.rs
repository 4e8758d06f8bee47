//! A dataset's object keys in S3.

use super::dataset::Dataset;
use super::passed_over::PassedOver;

impl Dataset {
    /// The prefix under which archives are looked for.
    pub fn source_prefix(&self) -> String {
        format!("{}/{}/", self.source, self.directory)
    }

    /// Whether an object of the bucket is an archive of this dataset.
    pub fn matches(&self, key: &str) -> bool {
        self.is_meant(key) && PassedOver::of(key).is_none()
    }

    /// Why an object that `doc` matches is no archive of this dataset, if it is none.
    pub fn passed_over(&self, key: &str) -> Option<PassedOver> {
        PassedOver::of(key).filter(|_| self.is_meant(key))
    }

    /// Whether prefix and `doc` match. A key that ends in `/` is a folder of a console, not an archive.
    fn is_meant(&self, key: &str) -> bool {
        key.starts_with(&self.source_prefix()) && !key.ends_with('/') && self.doc.is_match(key)
    }

    /// The prefix of good markers.
    pub fn good_prefix(&self) -> String {
        format!("{}/good/{}", self.destination, self.source_prefix())
    }

    /// The prefix of bad markers.
    pub fn bad_prefix(&self) -> String {
        format!("{}/bad/{}", self.destination, self.source_prefix())
    }

    /// The prefix of staged files.
    pub fn batch_prefix(&self) -> String {
        format!("{}/batch/{}", self.destination, self.source_prefix())
    }

    /// The prefix of leases.
    pub fn lease_prefix(&self) -> String {
        format!("{}/lease/{}", self.destination, self.source_prefix())
    }

    /// The lease of the dataset's queue, beside those of the datasets that share its prefix.
    pub fn lease_key(&self) -> String {
        format!("{}{}.json", self.lease_prefix(), self.name)
    }

    /// How often an archive was not read within a function's time. The path is short, whatever the key: two keys that
    /// share it lose each other's count.
    pub fn tries_key(&self, key: &str) -> String {
        // FNV-1a, which stays the same from build to build.
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{}tries/{hash:016x}.json", self.lease_prefix())
    }

    /// The good marker of an archive.
    pub fn good_key(&self, key: &str) -> String {
        format!("{}/good/{key}", self.destination)
    }

    /// The bad marker of an archive.
    pub fn bad_key(&self, key: &str) -> String {
        format!("{}/bad/{key}", self.destination)
    }

    /// The explanation beside the bad marker of an archive.
    pub fn error_key(&self, key: &str) -> String {
        format!("{}/bad/{key}.error.json", self.destination)
    }

    /// The staged file of one table of an archive's revision, without its ending: `.csv` or `.manifest`
    /// follows. `reading` is the id of one reading of the archive, so that no two write to the same key.
    pub fn staged_stem(&self, key: &str, etag: &str, reading: &str, member: &str) -> String {
        let revision: String = etag.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let name = key.strip_suffix(".tgz").unwrap_or(key);
        format!("{}/batch/{name}/{revision}-{reading}/{member}", self.destination)
    }
}
