//! A dataset's object keys in S3.

use super::dataset::Dataset;
use super::passed_over::PassedOver;
use crate::key::{Key, MOST_KEY_BYTES};

/// The most bytes that follow a staged file's stem: `.manifest`, or a piece's number and `.csv.zst`.
const STAGED_ENDING_BYTES: usize = 24;

/// How many bytes of a file's name Redshift's tables of load errors keep (`r_STL_LOAD_ERRORS.md`,
/// `SYS_LOAD_ERROR_DETAIL.md`: `character(256)`); the number of a piece stands at the end.
pub const LOAD_ERROR_NAME_BYTES: usize = 256;

impl Dataset {
    /// The prefix under which archives are looked for.
    pub fn source_prefix(&self) -> String {
        format!("{}/{}/", self.source, self.directory)
    }

    /// Whether an object of the bucket is an archive of this dataset.
    pub fn matches(&self, key: &str) -> bool {
        self.is_meant(key) && self.unusable(key).is_none() && PassedOver::of(key).is_none()
    }

    /// Why an object that `doc` matches is no archive of this dataset, if it is none.
    pub fn passed_over(&self, key: &str) -> Option<PassedOver> {
        // Of those only that has to be corrected.
        PassedOver::of(key).or_else(|| self.unusable(key)).filter(|_| self.is_meant(key))
    }

    /// Why no archive can have this key, whatever lies there.
    fn unusable(&self, key: &str) -> Option<PassedOver> {
        if Key::unfit_character(key).is_some() {
            Some(PassedOver::UnfitCharacter)
        } else if self.error_key_bytes(key) > MOST_KEY_BYTES {
            Some(PassedOver::KeyTooLong)
        } else {
            None
        }
    }

    /// The length of the longest key beside an archive's staged files: its explanation's.
    fn error_key_bytes(&self, key: &str) -> usize {
        self.destination.len() + "/bad/".len() + key.len() + ".error.json".len()
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

    /// Whether anything that this dataset writes can come to lie below the prefix that `reader` reads.
    pub(super) fn feeds(&self, reader: &Self) -> bool {
        let read = reader.source_prefix();
        [
            self.good_prefix(),
            self.bad_prefix(),
            self.batch_prefix(),
            self.lease_prefix(),
            self.status_prefix(),
        ]
        .iter()
        .any(|written| written.starts_with(&read) || read.starts_with(written.as_str()))
    }

    /// The lease of the dataset's queue, beside those of the datasets that share its prefix.
    pub fn lease_key(&self) -> String {
        format!("{}{}.json", self.lease_prefix(), self.name)
    }

    /// The prefix of status pages.
    pub fn status_prefix(&self) -> String {
        format!("{}/status/", self.destination)
    }

    /// The status page of the dataset.
    pub fn status_key(&self) -> String {
        format!("{}{}.html", self.status_prefix(), self.name)
    }

    /// How often an archive was not read within a function's time. The path is short, whatever the key: two keys that
    /// share it lose each other's count.
    pub fn tries_key(&self, key: &str) -> String {
        format!("{}tries/{:032x}.json", self.lease_prefix(), fnv(key))
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
    ///
    /// It leaves room for the ending whatever the archive's key: a hash stands for a name that would be too long, for S3 or
    /// for the tables in which Redshift tells of load errors.
    pub fn staged_stem(&self, key: &str, etag: &str, reading: &str, member: &str) -> String {
        let revision: String = etag.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let below = format!("{revision}-{reading}/{member}");
        let name = key.strip_suffix(".tgz").unwrap_or(key);
        let stem = format!("{}/batch/{name}/{below}", self.destination);
        let key_bytes = stem.len() + STAGED_ENDING_BYTES;
        if key_bytes <= MOST_KEY_BYTES
            && "s3:///".len() + self.bucket.len() + key_bytes <= LOAD_ERROR_NAME_BYTES
        {
            return stem;
        }
        format!("{}{:032x}/{below}", self.batch_prefix(), fnv(key))
    }

    /// How many bytes the longest key has that a dataset writes whatever its archives are called.
    pub(super) fn fixed_key_bytes(&self) -> usize {
        let member = self.tables.iter().map(|table| table.member.len()).max().unwrap_or_default();
        // A hash, and 8 letters each of revision and reading.
        let staged =
            self.batch_prefix().len() + 32 + "/12345678-12345678/".len() + member + STAGED_ENDING_BYTES;
        staged.max(self.lease_key().len()).max(self.status_key().len())
    }
}

/// The FNV-1a hash of a key (draft-eastlake-fnv), the same from build to build. It need not resist anybody: readings are
/// told apart by their ids, and tries name their upload.
fn fnv(key: &str) -> u128 {
    key.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}
