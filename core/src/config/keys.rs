//! Computes a dataset's object keys in S3.

use super::dataset::Dataset;
use super::passed_over::PassedOver;
use crate::key::{Key, MAX_KEY_BYTES};

/// The maximum number of bytes after a staged file's stem: `.manifest`, or a piece's number and `.csv.zst`.
const STAGED_ENDING_BYTES: usize = 24;

/// The number of bytes of a file's name that Redshift's tables of load errors keep (`r_STL_LOAD_ERRORS.md`,
/// `SYS_LOAD_ERROR_DETAIL.md`: `character(256)`). A piece's number is at the end of its name.
pub const LOAD_ERROR_NAME_BYTES: usize = 256;

impl Dataset {
    /// Returns the prefix of the archives.
    pub fn source_prefix(&self) -> String {
        format!("{}/{}/", self.source, self.directory)
    }

    /// Checks whether an object of the bucket is an archive of this dataset.
    pub fn matches(&self, key: &str) -> bool {
        self.matches_prefix_and_doc(key) && self.unusable(key).is_none() && PassedOver::of(key).is_none()
    }

    /// Returns why an object whose key matches `doc` is not an archive of this dataset, if it is not.
    pub fn passed_over(&self, key: &str) -> Option<PassedOver> {
        // The name is checked first: a key must be corrected only if the object may be an archive.
        PassedOver::of(key).or_else(|| self.unusable(key)).filter(|_| self.matches_prefix_and_doc(key))
    }

    /// Returns why no archive can have this key.
    fn unusable(&self, key: &str) -> Option<PassedOver> {
        if Key::unfit_character(key).is_some() {
            Some(PassedOver::UnfitCharacter)
        } else if self.error_key_bytes(key) > MAX_KEY_BYTES {
            Some(PassedOver::KeyTooLong)
        } else {
            None
        }
    }

    /// Returns the length of the key of an archive's `error.json`. Of the keys made from an archive's key,
    /// only those of staged files may be longer.
    fn error_key_bytes(&self, key: &str) -> usize {
        self.destination.len() + "/bad/".len() + key.len() + ".error.json".len()
    }

    /// Checks whether prefix and `doc` match. A key that ends in `/` is a folder created by a console, not an
    /// archive.
    fn matches_prefix_and_doc(&self, key: &str) -> bool {
        key.starts_with(&self.source_prefix()) && !key.ends_with('/') && self.doc.is_match(key)
    }

    /// Returns the prefix of good markers.
    pub fn good_prefix(&self) -> String {
        format!("{}/good/{}", self.destination, self.source_prefix())
    }

    /// Returns the prefix of bad markers.
    pub fn bad_prefix(&self) -> String {
        format!("{}/bad/{}", self.destination, self.source_prefix())
    }

    /// Returns the prefix of staged files.
    pub fn batch_prefix(&self) -> String {
        format!("{}/batch/{}", self.destination, self.source_prefix())
    }

    /// Returns the prefix of leases.
    pub fn lease_prefix(&self) -> String {
        format!("{}/lease/{}", self.destination, self.source_prefix())
    }

    /// Checks whether this dataset can write anything below the source prefix of `reader`.
    pub(super) fn writes_into(&self, reader: &Self) -> bool {
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

    /// Returns the key of the lease for the dataset's queue. Datasets that share its prefix have their leases
    /// beside it.
    pub fn lease_key(&self) -> String {
        format!("{}{}.json", self.lease_prefix(), self.name)
    }

    /// Returns the prefix of status pages.
    pub fn status_prefix(&self) -> String {
        format!("{}/status/", self.destination)
    }

    /// Returns the key of the dataset's status page.
    pub fn status_key(&self) -> String {
        format!("{}{}.html", self.status_prefix(), self.name)
    }

    /// Returns the key of the count of tries in which an archive could not be read within a function's time.
    /// The key is short for any archive; two archives that share it lose each other's count.
    pub fn tries_key(&self, key: &str) -> String {
        format!("{}tries/{:032x}.json", self.lease_prefix(), fnv(key))
    }

    /// Returns the key of an archive's good marker.
    pub fn good_key(&self, key: &str) -> String {
        format!("{}/good/{key}", self.destination)
    }

    /// Returns the key of an archive's bad marker.
    pub fn bad_key(&self, key: &str) -> String {
        format!("{}/bad/{key}", self.destination)
    }

    /// Returns the key of the `error.json` beside an archive's bad marker.
    pub fn error_key(&self, key: &str) -> String {
        format!("{}/bad/{key}.error.json", self.destination)
    }

    /// Returns the key of the staged file of one table and one archive revision, without its ending: `.csv`
    /// or `.manifest` follows. `reading` is the id of one reading of the archive, so that no two readings
    /// write to the same key.
    ///
    /// The stem leaves room for the ending, whatever the archive's key. A hash replaces a name that would be
    /// too long for S3, or for the tables in which Redshift reports load errors.
    pub fn staged_stem(&self, key: &str, etag: &str, reading: &str, member: &str) -> String {
        let revision: String = etag.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let below = format!("{revision}-{reading}/{member}");
        let name = key.strip_suffix(".tgz").unwrap_or(key);
        let stem = format!("{}/batch/{name}/{below}", self.destination);
        let key_bytes = stem.len() + STAGED_ENDING_BYTES;
        if key_bytes <= MAX_KEY_BYTES
            && "s3:///".len() + self.bucket.len() + key_bytes <= LOAD_ERROR_NAME_BYTES
        {
            return stem;
        }
        format!("{}{:032x}/{below}", self.batch_prefix(), fnv(key))
    }

    /// Returns the length of the longest key that the dataset writes whatever its archives are called.
    pub(super) fn fixed_key_bytes(&self) -> usize {
        let member = self.tables.iter().map(|table| table.member.len()).max().unwrap_or_default();
        // A hash, and 8 letters each for revision and reading.
        let staged =
            self.batch_prefix().len() + 32 + "/12345678-12345678/".len() + member + STAGED_ENDING_BYTES;
        staged.max(self.lease_key().len()).max(self.status_key().len())
    }
}

/// Returns the FNV-1a hash of a key (draft-eastlake-fnv), which does not change between builds. It need not
/// resist an attacker: readings have ids of their own, and tries name their upload.
fn fnv(key: &str) -> u128 {
    key.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}
