//! Recognises, by name, the objects beside archives that are not archives.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// The reason why an object is not an archive, although `doc` matches its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PassedOver {
    /// The object is a checksum of another file.
    Checksum,
    /// The object is a signature of another file.
    Signature,
    /// The object is an unfinished upload. A transfer that is interrupted leaves it.
    UnfinishedUpload,
    /// The object is an editor's copy of a file's earlier text.
    BackupCopy,
    /// The object is the `error.json` of a bad archive, copied back.
    ErrorFile,
    /// The object is a file that an operating system or a tool adds to directories.
    SystemFile,
    /// The key of the object's marker or its `error.json` would be longer than S3 allows.
    KeyTooLong,
    /// The object's key is not UTF-8, or has a character that XML, the format of S3's answers, or a database
    /// does not allow.
    UnfitCharacter,
}

impl PassedOver {
    /// Checks whether the object is passed over only because of its key. It may be an archive, and must then
    /// be renamed.
    pub fn is_unusable_key(self) -> bool {
        matches!(self, Self::KeyTooLong | Self::UnfitCharacter)
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "a checksum",
            Self::Signature => "a signature",
            Self::UnfinishedUpload => "an unfinished upload",
            Self::BackupCopy => "an editor's backup copy",
            Self::ErrorFile => "an error.json",
            Self::SystemFile => "a system's own file",
            Self::KeyTooLong => {
                "an object whose key is so long that its markers' keys would be too long for S3"
            }
            Self::UnfitCharacter => {
                "an object whose key has a character that XML or a database does not allow, or is not UTF-8"
            }
        })
    }
}

/// The endings, after the last dot of a name, of objects that are not archives.
const ENDINGS: [(&str, PassedOver); 40] = [
    ("md5", PassedOver::Checksum),
    ("md5sum", PassedOver::Checksum),
    ("sha", PassedOver::Checksum),
    ("sha1", PassedOver::Checksum),
    ("sha1sum", PassedOver::Checksum),
    ("sha224", PassedOver::Checksum),
    ("sha256", PassedOver::Checksum),
    ("sha256sum", PassedOver::Checksum),
    ("sha384", PassedOver::Checksum),
    ("sha512", PassedOver::Checksum),
    ("sha512sum", PassedOver::Checksum),
    ("b2sum", PassedOver::Checksum),
    ("b3sum", PassedOver::Checksum),
    ("crc", PassedOver::Checksum),
    ("crc32", PassedOver::Checksum),
    ("crc32c", PassedOver::Checksum),
    ("sfv", PassedOver::Checksum),
    ("checksum", PassedOver::Checksum),
    ("sig", PassedOver::Signature),
    ("asc", PassedOver::Signature),
    ("minisig", PassedOver::Signature),
    ("sigstore", PassedOver::Signature),
    ("p7s", PassedOver::Signature),
    // curl, Firefox, Nextcloud; rclone (`NAME.1a2b3c4d.partial`), Internet Explorer; WinSCP.
    ("part", PassedOver::UnfinishedUpload),
    ("partial", PassedOver::UnfinishedUpload),
    ("filepart", PassedOver::UnfinishedUpload),
    ("tmp", PassedOver::UnfinishedUpload),
    ("temp", PassedOver::UnfinishedUpload),
    // Chrome, Safari, Opera, Cyberduck, aria2, lftp.
    ("crdownload", PassedOver::UnfinishedUpload),
    ("download", PassedOver::UnfinishedUpload),
    ("opdownload", PassedOver::UnfinishedUpload),
    ("cyberducksegment", PassedOver::UnfinishedUpload),
    ("aria2", PassedOver::UnfinishedUpload),
    ("lftp-pget-status", PassedOver::UnfinishedUpload),
    ("uploading", PassedOver::UnfinishedUpload),
    ("inprogress", PassedOver::UnfinishedUpload),
    // Hadoop's `fs -put`.
    ("_copying_", PassedOver::UnfinishedUpload),
    // vim.
    ("swp", PassedOver::BackupCopy),
    ("swo", PassedOver::BackupCopy),
    ("ds_store", PassedOver::SystemFile),
];

/// The whole names of objects that are not archives.
const NAMES: [&str; 5] = ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "_success"];

/// The beginnings of hidden names of unfinished files: ProFTPD and lftp (`.in.NAME.`), libfuse and so s3fs,
/// NFS, GNOME.
const HIDDEN_BEGINNINGS: [&str; 4] = [".in.", ".fuse_hidden", ".nfs0", ".goutputstream-"];

impl PassedOver {
    /// Returns why the object with this key is not an archive; `None` if it may be one. Upper and lower case
    /// are equal.
    pub(super) fn of(key: &str) -> Option<Self> {
        let name = key.rsplit('/').next().unwrap_or(key);
        // The usual form of a name. A dataset may have a hundred thousand such names.
        if name.as_bytes().ends_with(b".tgz") && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        {
            return None;
        }
        let begins =
            |with: &str| name.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
        if let Some((stem, ending)) = name.rsplit_once('.') {
            let is_error_file = ending.eq_ignore_ascii_case("json")
                && stem.rsplit_once('.').is_some_and(|(_, error)| error.eq_ignore_ascii_case("error"));
            if is_error_file {
                return Some(Self::ErrorFile);
            }
            if let Some((_, why)) = ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending)) {
                return Some(*why);
            }
            if stem.starts_with('.') && stem.len() > 1 && is_random(ending) {
                return Some(Self::UnfinishedUpload);
            }
        }
        // A document that an office program has open is `~$NAME`, or `.~lock.NAME#`.
        if name.ends_with('~') || name.starts_with("~$") || name.starts_with('#') && name.ends_with('#') {
            return Some(Self::BackupCopy);
        }
        // macOS keeps a file's attributes beside it as `._NAME`.
        if begins("._") || begins(".~lock.") || NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Some(Self::SystemFile);
        }
        HIDDEN_BEGINNINGS.iter().any(|beginning| begins(beginning)).then_some(Self::UnfinishedUpload)
    }
}

/// Checks whether an ending looks like one from `mkstemp`, as in rsync's `.NAME.`.
fn is_random(ending: &str) -> bool {
    ending.len() == 6 && ending.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_archives_is_told_from_them_by_its_name() {
        for (why, names) in [
            (
                PassedOver::Checksum,
                &[
                    "a.tgz.md5",
                    "a.tgz.MD5",
                    "a.md5",
                    "a.tgz.sha1",
                    "a.tgz.sha256",
                    "a.tgz.SHA512",
                    "a.tgz.md5sum",
                    "a.tgz.sha256sum",
                    "a.tgz.crc32",
                ][..],
            ),
            (PassedOver::Signature, &["a.tgz.sig", "a.tgz.asc", "a.tgz.minisig", "a.tgz.Asc"]),
            (
                PassedOver::UnfinishedUpload,
                &[
                    "a.tgz.part",
                    "a.tgz.partial",
                    "a.tgz.1a2b3c4d.partial",
                    "a.tgz.filepart",
                    "a.tgz.tmp",
                    "a.tgz.TMP",
                    "a.tgz.crdownload",
                    ".a.tgz.Ab12Cd",
                    ".a.000000",
                    ".in.a.tgz.",
                    ".in.a.tgz",
                    ".fuse_hidden0000000a00000001",
                    ".nfs000000000123",
                    ".goutputstream-AB12CD",
                    "a.tgz._COPYING_",
                ],
            ),
            (PassedOver::BackupCopy, &["a.tgz~", "~$a.tgz", "#a.tgz#", ".a.tgz.swp"]),
            (PassedOver::ErrorFile, &["a.tgz.error.json", "a.tgz.ERROR.JSON", "x.error.json"]),
            (
                PassedOver::SystemFile,
                &[".DS_Store", "._a.tgz", "._.DS_Store", "Thumbs.db", "desktop.ini", "_SUCCESS"],
            ),
        ] {
            for name in names {
                for key in [format!("client/gdx/{name}"), (*name).to_owned()] {
                    assert_eq!(PassedOver::of(&key), Some(why), "{key}");
                }
            }
        }
    }

    /// The table in the document has every ending, and every ending in it is passed over. It helps those who
    /// choose names.
    #[test]
    fn the_document_names_what_is_passed_over() {
        let page = include_str!("../../../docs/reference/configuration.md");
        let table = page.split("| passed over | by the name |").nth(1).unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let mut documented = Vec::new();
        for row in rows {
            for name in row.split('`').skip(1).step_by(2) {
                let (alone, behind) =
                    (name.replace("NAME", "a.tgz").replace('*', "1"), format!("a.tgz{name}"));
                let is_passed_over = [alone, behind].iter().any(|name| PassedOver::of(name).is_some());
                assert!(is_passed_over, "{name}");
                documented.push(name.trim_start_matches('.').to_ascii_lowercase());
            }
        }
        for name in ENDINGS.iter().map(|(ending, _)| *ending).chain(NAMES).filter(|name| *name != "icon\r") {
            assert!(
                documented.iter().any(|documented| documented == name),
                "{name} is not in {documented:?}"
            );
        }
    }

    #[test]
    fn what_may_be_an_archive_is_not_passed_over() {
        for key in [
            "a.tgz",
            "a.TGZ",
            "a.tar.gz",
            "a",
            "",
            "a.",
            ".",
            ".tgz",
            ".a.tgz",
            "a.tgz.1",
            "a.tgz.Ab12Cd",
            ".Ab12Cd",
            "a.part1",
            "a.partial.tgz",
            "md5.tgz",
            "md5",
            "a.md5/b.tgz",
            "a~/b.tgz",
            "tmp/a.tgz",
            "a.tmp.tgz",
            "error.json",
            "a.error.json.tgz",
            "a_error.json",
            "a.json",
            "a#",
            "in.a.tgz",
            "é.tgz",
            "ü",
        ] {
            assert_eq!(PassedOver::of(key), None, "{key}");
        }
    }
}
