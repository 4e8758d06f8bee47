//! Tests all known ways in which an archive can be bad, or unusual but good.
//!
//! Archives are read as the loader reads them, through `archive` and `transform`, without a server. Each
//! refusal is compared word for word with what its uploader reads.
//!
//! These cases are in other tests:
//!
//! - a flipped bit in the deflate stream, a wrong gzip checksum, a cut gzip, zeros after it:
//!   `archive::tar::tests::damage_to_the_gzip_is_told_apart`;
//! - directories, `._name`, members below directories:
//!   `archive::tar::tests::every_member_is_handed_out_and_the_rest_skipped`;
//! - one tar in two gzip members: `archive::tar::tests::an_archive_in_two_gzip_members_is_one_archive`;
//! - the type of a file by its first bytes: `file_type::tests`;
//! - cells that must stay unchanged, NULL, derived columns: `transform::tests`;
//! - quotes, line ends, blank lines and limits at every buffer boundary; any text against the `csv` crate:
//!   `csv::reader::tests`;
//! - more than 20 problems, of which the rest is only counted: `problem::tests`, and through S3
//!   `refusals::several_problems_are_told_at_once`;
//! - every directive of a date: `strptime::tests`;
//! - rows that Redshift refuses; markers, `error.json` and unchanged tables for each kind of bad input:
//!   `tests/integration/refusals.rs`;
//! - faults of the network, which must not be taken for any of these: `tests/integration/faults.rs`.

use std::collections::BTreeMap;
use std::io::{self, Read, Write as _};

use cmslite_core::archive::{self, ReadError, Sink, StagedMember};
use cmslite_core::config::{self, Dataset, Table};
use cmslite_core::limits::TableLimits;
use cmslite_core::problem::Problems;
use cmslite_core::progress::Progress;
use cmslite_core::transform::{NULL_TEXT, RECORD_LIMIT_BYTES};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

const CONFIG: &str = r#"{
  "bucket": "b", "source": "s", "destination": "d", "directory": "x", "doc": ".*", "schema": "t", "truncate": true, "delim": ",",
  "files": {
    "groups": {"dbtable": "groups", "column_count": 2, "columns": ["id", "name"], "dateformat": []},
    "visits": {"dbtable": "visits", "column_count": 2, "columns": ["id", "day"], "dateformat": [{"field": "day", "format": "%Y-%m-%d"}]}
  }
}"#;
const GROUPS: &str = "id,name\n1,Forests\n2,Santé\n";
const VISITS: &str = "id,day\n1,2024-03-01\n";

fn dataset() -> Dataset {
    config::parse("d.json", CONFIG).unwrap()
}

fn limited(max_unpacked_bytes: u64) -> Dataset {
    config::parse(
        "d.json",
        &CONFIG.replacen('{', &format!("{{\"max_unpacked_bytes\": {max_unpacked_bytes},"), 1),
    )
    .unwrap()
}

/// The result of reading an archive.
#[derive(Default)]
struct Outcome {
    /// The member's name and the staged file of each table.
    staged: BTreeMap<String, (String, String)>,
    problems: Problems,
}

/// A sink that keeps completed files in memory.
#[derive(Default)]
struct Memory(Vec<String>);

impl Sink for Memory {
    type File = Vec<u8>;

    fn create(&mut self, _: &Table, _: u64) -> Vec<u8> {
        Vec::new()
    }

    fn complete(&mut self, file: Vec<u8>, _: &StagedMember) -> io::Result<()> {
        self.0.push(String::from_utf8(file).unwrap());
        Ok(())
    }
}

/// Reads an archive as the loader does.
fn read(archive: impl Read + Send, dataset: &Dataset) -> Outcome {
    let mut sink = Memory::default();
    match archive::read(archive, dataset, &TableLimits::default(), &mut sink, &Progress::default()) {
        Ok(members) => {
            let staged =
                members.into_iter().zip(sink.0).map(|(member, text)| (member.member, (member.name, text)));
            Outcome { staged: staged.collect(), ..Outcome::default() }
        }
        Err(ReadError::Bad(problems)) => Outcome { problems, ..Outcome::default() },
        Err(ReadError::Failed(error)) => panic!("{error}"),
    }
}

/// The current case of a table of cases. It is printed if the test panics.
struct Case<'a>(&'a str);

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in the case {:?}", self.0);
        }
    }
}

fn reported(outcome: &Outcome) -> Vec<String> {
    outcome.problems.reported().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(archive: &[u8], expected: &[&str]) {
    refused_by(&dataset(), archive, expected);
}

#[track_caller]
fn refused_by(dataset: &Dataset, archive: &[u8], expected: &[&str]) {
    assert_eq!(reported(&read(archive, dataset)), expected);
}

/// Checks that the archive is good and has the usual rows of both tables, and that the member for `groups`
/// has this name.
#[track_caller]
fn loads(archive: &[u8], name: &str) {
    let outcome = read(archive, &dataset());
    assert_eq!(reported(&outcome), Vec::<String>::new());
    assert_eq!(outcome.staged["groups"], (name.to_owned(), GROUPS.to_owned()));
    assert_eq!(outcome.staged["visits"].1, "id,day\n1,2024-03-01 00:00:00\n");
}

/// Returns what is staged of a file for `groups`, whose text must be good.
#[track_caller]
fn stages(text: impl AsRef<[u8]>) -> String {
    let mut outcome = read(with_groups(text).as_slice(), &dataset());
    assert_eq!(reported(&outcome), Vec::<String>::new());
    outcome.staged.remove("groups").unwrap().1
}

/// Checks that a file for `groups` with this text is refused, for these reasons.
#[track_caller]
fn text_refused(text: impl AsRef<[u8]>, expected: &[&str]) {
    refused(&with_groups(text), expected);
}

fn with_groups(text: impl AsRef<[u8]>) -> Vec<u8> {
    gzip(&Tar::new().file("groups.csv", text).file("visits.csv", VISITS).end())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar that is written byte by byte, so that it may be wrong.
#[derive(Clone, Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn new() -> Self {
        Self::default()
    }

    fn file(self, name: impl AsRef<[u8]>, contents: impl AsRef<[u8]>) -> Self {
        let size = contents.as_ref().len() as u64;
        self.entry(b'0', name, size, contents)
    }

    /// Appends an entry whose header declares `size`, whatever the size of `contents` is.
    fn entry(self, kind: u8, name: impl AsRef<[u8]>, size: u64, contents: impl AsRef<[u8]>) -> Self {
        self.block(&header(kind, name.as_ref(), size)).data(contents)
    }

    fn block(mut self, block: &[u8; 512]) -> Self {
        self.0.extend(block);
        self
    }

    fn data(mut self, contents: impl AsRef<[u8]>) -> Self {
        self.0.extend(contents.as_ref());
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Appends a pax header of this kind, `x` or `g`, with these records.
    fn pax(self, kind: u8, records: &[(&str, &str)]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = format!(" {key}={value}\n");
            let length = (rest.len()..rest.len() + 20)
                .find(|length| length.to_string().len() + rest.len() == *length)
                .unwrap();
            text.extend(format!("{length}{rest}").into_bytes());
        }
        let size = text.len() as u64;
        self.entry(kind, "PaxHeaders/file", size, text)
    }

    fn visits(self) -> Self {
        self.file("visits.csv", VISITS)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn header(kind: u8, name: &[u8], size: u64) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    if size < 1 << 33 {
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        header[124] = 0x80;
        header[128..136].copy_from_slice(&size.to_be_bytes());
    }
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    sum(&mut header);
    header
}

/// A reader that hands out one byte at a time.
struct OneByOne<'a>(&'a [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(1);
        self.0.read(&mut buffer[..count])
    }
}

/// A reader that never ends: it returns `first`, and then `again` without end.
struct Forever {
    first: Vec<u8>,
    again: Vec<u8>,
    at: usize,
}

impl Read for Forever {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.first.len() {
            (self.first, self.at) = (self.again.clone(), 0);
        }
        let count = (&self.first[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

fn sum(header: &mut [u8; 512]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

// Forms of a tar that are good.

#[test]
fn names_may_be_long_in_gnu_and_in_pax_form() {
    let long = format!("{}/groups.csv", "very-long-directory/".repeat(10));
    let short = &long.as_bytes()[..100];
    let gnu = Tar::new()
        .entry(b'L', "././@LongLink", long.len() as u64 + 1, format!("{long}\0"))
        .file(short, GROUPS)
        .visits();
    loads(&gzip(&gnu.end()), "groups.csv");
    let unterminated =
        Tar::new().entry(b'L', "././@LongLink", long.len() as u64, &long).file(short, GROUPS).visits();
    loads(&gzip(&unterminated.end()), "groups.csv");
    let pax = Tar::new()
        .pax(b'x', &[("mtime", "1700000000.123"), ("path", &long)])
        .file("truncated-na", GROUPS)
        .visits();
    loads(&gzip(&pax.end()), "groups.csv");
    // The long name of one member is not the name of the next.
    let first = Tar::new().pax(b'x', &[("path", &long)]).file("x", GROUPS).file("y/visits.csv", VISITS);
    loads(&gzip(&first.end()), "groups.csv");
}

#[test]
fn a_pax_size_overrides_the_headers() {
    let size = GROUPS.len().to_string();
    let tar = Tar::new().pax(b'x', &[("size", &size)]).entry(b'0', "groups.csv", 0, GROUPS).visits();
    loads(&gzip(&tar.end()), "groups.csv");
}

#[test]
fn a_pax_global_header_is_no_member() {
    let tar = Tar::new().pax(b'g', &[("comment", "2b9a069")]).file("groups.csv", GROUPS).visits();
    loads(&gzip(&tar.end()), "groups.csv");
}

#[test]
fn a_pax_global_header_that_renames_or_resizes_is_refused() {
    for (key, value) in [("path", "groups.csv"), ("size", "3"), ("GNU.sparse.major", "1")] {
        let _case = Case(key);
        let tar = Tar::new().pax(b'g', &[("comment", "c"), (key, value)]).file("groups.csv", GROUPS).visits();
        let expected = format!(
            "archive: the archive does not hold a sound tar (a pax global header sets {key:?} for all files); make it again with `tar -czf`"
        );
        refused(&gzip(&tar.end()), &[&expected]);
    }
}

/// macOS stores attributes with binary values, which may look like the end of a record.
#[test]
fn pax_attributes_may_be_binary() {
    let tar = Tar::new()
        .pax(b'x', &[("path", "a/groups.csv"), ("SCHILY.xattr.x", "\u{1}\n\u{2}\n")])
        .file("x", GROUPS)
        .visits();
    loads(&gzip(&tar.end()), "groups.csv");
}

#[test]
fn headers_may_be_of_the_oldest_form() {
    let old = |kind, name: &str, size| {
        let mut header = header(kind, name.as_bytes(), size);
        header[257..265].fill(0);
        sum(&mut header);
        header
    };
    let tar = Tar::new()
        .block(&old(0, "export/", 0))
        .block(&old(0, "export/groups.csv", GROUPS.len() as u64))
        .data(GROUPS)
        .block(&old(b'0', "export/visits.csv", VISITS.len() as u64))
        .data(VISITS);
    loads(&gzip(&tar.end()), "groups.csv");
}

#[test]
fn a_tar_may_end_without_its_mark_or_with_much_padding() {
    let tar = Tar::new().file("groups.csv", GROUPS).visits();
    loads(&gzip(&tar.0), "groups.csv");
    loads(&gzip(&[tar.clone().end(), vec![0; 20 * 1024 * 1024]].concat()), "groups.csv");
    let one_block = [tar.0.as_slice(), &[0; 512]].concat();
    loads(&gzip(&one_block), "groups.csv");
}

#[test]
fn an_archive_may_come_in_parts_and_bytes() {
    let tar = Tar::new().file("groups.csv", GROUPS).visits().end();
    let (a, b) = tar.split_at(700);
    loads(&[gzip(a), gzip(b""), gzip(b), vec![0; 5000]].concat(), "groups.csv");

    let outcome = read(OneByOne(&[gzip(a), gzip(b)].concat()), &dataset());
    assert_eq!((reported(&outcome), outcome.staged.len()), (vec![], 2));
}

// Forms of a tar that are refused, since they would be read wrongly.

const SPARSE: &str = "groups.csv: the archive stores this file as a sparse file, without its holes; make it again without `tar`'s option \
                      `--sparse` (`-S`)";

/// Returns a header of the old GNU form, with a map of the stored parts of a sparse file.
fn sparse(blocks: &[(u64, u64)], real_size: u64) -> [u8; 512] {
    let mut header = header(b'S', b"groups.csv", blocks.iter().map(|block| block.1).sum());
    header[257..265].copy_from_slice(b"ustar  \0");
    for (n, (offset, length)) in blocks.iter().enumerate() {
        header[386 + 24 * n..][..12].copy_from_slice(format!("{offset:011o}\0").as_bytes());
        header[398 + 24 * n..][..12].copy_from_slice(format!("{length:011o}\0").as_bytes());
    }
    header[483..495].copy_from_slice(format!("{real_size:011o}\0").as_bytes());
    sum(&mut header);
    header
}

#[test]
fn sparse_files_are_read_when_they_have_no_holes_and_refused_otherwise() {
    let size = GROUPS.len() as u64;
    let whole = Tar::new().block(&sparse(&[(0, size), (size, 0)], size)).data(GROUPS).visits();
    loads(&gzip(&whole.end()), "groups.csv");
    let hole = Tar::new().block(&sparse(&[(0, size), (1 << 20, 0)], 1 << 20)).data(GROUPS).visits();
    refused(&gzip(&hole.end()), &[SPARSE]);
    // A hole of eight gigabytes must not be read.
    let endless = Tar::new().block(&sparse(&[((1 << 33) - 1, 0)], (1 << 33) - 1)).visits();
    refused(&gzip(&endless.end()), &[SPARSE]);
    for (name, records) in [
        (
            "version 1.0",
            [
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.minor", "0"),
                ("GNU.sparse.name", "groups.csv"),
                ("GNU.sparse.realsize", "4096"),
            ],
        ),
        (
            "version 0.1",
            [
                ("GNU.sparse.size", "4096"),
                ("GNU.sparse.numblocks", "1"),
                ("GNU.sparse.map", "0,27"),
                ("GNU.sparse.name", "groups.csv"),
            ],
        ),
        (
            "version 0.0",
            [
                ("GNU.sparse.size", "4096"),
                ("GNU.sparse.numblocks", "1"),
                ("GNU.sparse.offset", "0"),
                ("GNU.sparse.numbytes", "27"),
            ],
        ),
    ] {
        let _case = Case(name);
        let contents = format!("1\n0\n27\n{}{GROUPS}", "\0".repeat(505));
        let tar = Tar::new().pax(b'x', &records).file("GNUSparseFile.0/groups.csv", contents).visits();
        refused(&gzip(&tar.end()), &[SPARSE]);
    }
}

#[test]
fn links_and_special_files_are_refused_under_a_members_name() {
    for (name, kind, what) in [
        ("hard link", b'1', "a hard link"),
        ("symbolic link", b'2', "a symbolic link"),
        ("character device", b'3', "a character device"),
        ("block device", b'4', "a block device"),
        ("named pipe", b'6', "a named pipe"),
        ("continued file", b'M', "the rest of a file that begins in another volume"),
        ("unknown kind", b'Z', "a special file"),
    ] {
        let _case = Case(name);
        let tar = Tar::new().entry(kind, "groups.csv", 0, "").visits();
        let expected = format!(
            "groups.csv: this entry is {what}, not a file; put the file itself into the archive (`tar` follows links with `-h --hard-dereference`)"
        );
        refused(&gzip(&tar.end()), &[&expected]);
    }
}

#[test]
fn a_long_name_without_end_is_not_held_in_memory() {
    let endless = "n".repeat(3 << 20);
    let tar = Tar::new().visits();
    for (name, tar) in [
        ("GNU name", tar.clone().entry(b'L', "groups.csv", endless.len() as u64, &endless)),
        ("pax path", tar.clone().pax(b'x', &[("path", &endless)])),
        ("pax path of all files", tar.clone().pax(b'g', &[("path", &endless)])),
    ] {
        let _case = Case(name);
        refused(
            &gzip(&tar.file("groups.csv", GROUPS).end()),
            &[
                "archive: the archive does not hold a sound tar (an entry's name and attributes take more than 1048576 bytes, besides \
               extended ones, which `tar --no-xattrs` leaves out, after visits.csv); make it again with `tar -czf`",
            ],
        );
    }
}

/// Attributes as macOS writes them may be binary, megabytes long, and before the records that matter.
#[test]
fn attributes_of_any_size_are_passed_over() {
    let attribute = "x=\n7 size=1\n\0".repeat(500_000);
    let size = GROUPS.len().to_string();
    let records = [
        ("LIBARCHIVE.xattr.com.apple.ResourceFork", attribute.as_str()),
        ("path", "export/groups.csv"),
        ("SCHILY.xattr.com.apple.metadata", &attribute),
        ("size", &size),
    ];
    let tar = Tar::new()
        .pax(b'g', &records[..1])
        .pax(b'x', &records)
        .entry(b'0', "x", 0, GROUPS)
        .pax(b'x', &records[..1])
        .visits();
    loads(&gzip(&tar.clone().end()), "groups.csv");
    let outcome = read(OneByOne(&gzip(&tar.end())), &dataset());
    assert_eq!((reported(&outcome), outcome.staged.len()), (vec![], 2));
    // Each byte of the attributes counts against the limit.
    let endless = Tar::new().visits().pax(b'x', &records[..1]).file("groups.csv", GROUPS);
    refused_by(&limited(100_000), &gzip(&endless.end()), &[&too_large("archive", 100_000)]);
}

#[test]
fn pax_records_that_cannot_be_told_apart_are_refused() {
    for (name, text) in
        [("length", "12 path=a\n"), ("not a length", "path=groups.csv\n"), ("beyond", "99 path=a\n")]
    {
        let _case = Case(name);
        let tar = Tar::new().visits().entry(b'x', "x", text.len() as u64, text).file("groups.csv", GROUPS);
        refused(
            &gzip(&tar.end()),
            &[
                "archive: the archive does not hold a sound tar (the records of a pax header cannot be separated, after visits.csv); make it \
               again with `tar -czf`",
            ],
        );
    }
}

#[test]
fn directories_and_bookkeeping_are_passed_over() {
    let mut label = header(b'V', b"groups.csv", 0);
    label[124..136].fill(0);
    sum(&mut label);
    for (name, tar) in [
        ("label of a volume, as GNU's tar writes it", Tar::new().block(&label)),
        ("label of a volume", Tar::new().entry(b'V', "groups.csv", 0, "")),
        ("directory", Tar::new().entry(b'5', "groups.csv", 0, "")),
        ("directory of an incremental backup", Tar::new().entry(b'D', "groups", 14, "Ygroups.csv\0\0\0")),
        ("directory of the oldest form", Tar::new().entry(b'0', "groups/", 0, "")),
    ] {
        let _case = Case(name);
        loads(&gzip(&tar.file("groups.csv", GROUPS).visits().end()), "groups.csv");
    }
}

#[test]
fn what_operating_systems_leave_is_passed_over_at_any_depth() {
    for name in [
        "._groups.csv",
        "a/b/._groups.csv",
        ".DS_Store",
        "a/.DS_Store",
        "__MACOSX/groups.csv",
        "a/__MACOSX/b/._visits.csv",
        "Thumbs.db",
        "a\\thumbs.db",
        "a/Desktop.ini",
    ] {
        let _case = Case(name);
        loads(&gzip(&Tar::new().file(name, "x").file("groups.csv", GROUPS).visits().end()), "groups.csv");
    }
}

#[test]
fn only_the_base_name_of_a_member_counts() {
    for name in [
        "export\\groups.csv",
        "C:\\export\\groups.csv",
        "/etc/groups.csv",
        "../../groups.csv",
        "./a/..\\groups.csv",
    ] {
        let _case = Case(name);
        loads(&gzip(&Tar::new().file(name, GROUPS).visits().end()), "groups.csv");
    }
}

// Damage.

const CUT: &str = "the upload or the export was cut off: upload it again";

#[test]
fn a_cut_tar_is_told_wherever_it_was_cut() {
    let rows = format!("id,name\n{}", "1,Forests\n".repeat(270));
    let tar = Tar::new().file("groups.csv", &rows).visits().end();
    let second = 512 + rows.len().next_multiple_of(512);
    let cut = |at: usize| gzip(&tar[..at]);
    refused(
        &cut(0),
        &[&format!("archive: the archive ends too early (there is nothing inside the gzip); {CUT}")],
    );
    refused(
        &cut(100),
        &[&format!(
            "archive: the archive ends too early (within an entry's header, at its beginning); {CUT}"
        )],
    );
    refused(
        &cut(512 + 308),
        &[&format!(
            "groups.csv: the archive ends too early (308 of 2708 bytes of the file are there); {CUT}"
        )],
    );
    refused(
        &cut(second - 1),
        &[&format!(
            "archive: the archive ends too early (within a file or its padding, after groups.csv); {CUT}"
        )],
    );
    refused(
        &cut(second),
        &[
            "visits: the file is missing from the archive; add it, with its header line even if it has no rows",
        ],
    );
    refused(
        &cut(second + 200),
        &[&format!(
            "archive: the archive ends too early (within an entry's header, after groups.csv); {CUT}"
        )],
    );
    let mut within_name = Tar::new().file("groups.csv", GROUPS);
    within_name = within_name.pax(b'x', &[("path", "visits.csv")]);
    refused(
        &gzip(&within_name.0),
        &[&format!(
            "archive: the archive ends too early (between an entry's name and the entry, after groups.csv); {CUT}"
        )],
    );
}

/// Returns a text of exactly one block, so that no padding follows it.
fn one_block() -> String {
    format!("id,name\n1,{}\n", "x".repeat(512 - 11))
}

#[test]
fn a_header_that_declares_more_than_follows_is_refused() {
    let last = Tar::new().visits().entry(b'0', "groups.csv", 1024, one_block());
    refused(
        &gzip(&last.0),
        &[&format!(
            "groups.csv: the archive ends too early (512 of 1024 bytes of the file are there); {CUT}"
        )],
    );
    let nul = |cut: &str| format!("a NUL byte, which Redshift cannot store; remove it: \"{cut}\"");
    // The next header is read as text, so the next file's text is where its header should be.
    let swallowing = Tar::new().entry(b'0', "groups.csv", 1024, one_block()).visits();
    refused(
        &gzip(&swallowing.end()),
        &[
            &format!(
                "groups.csv, line 3, column id: {}",
                nul(&format!("visits.csv{}…", "\\u{0}".repeat(22)))
            ),
            "archive: the archive does not hold a sound tar (an entry's header is damaged or missing, after groups.csv); \
         make it again with `tar -czf`",
        ],
    );
    let by_two = Tar::new().entry(b'0', "groups.csv", GROUPS.len() as u64 + 2, GROUPS).visits();
    refused(&gzip(&by_two.end()), &[&format!("groups.csv, line 4, column id: {}", nul("\\u{0}\\u{0}"))]);
    // A file that declares more than the limit is not read at all.
    let absurd = Tar::new().visits().entry(b'0', "groups.csv", 1 << 60, GROUPS);
    refused(&gzip(&absurd.end()), &[&too_large("groups.csv", 64 << 30)]);
}

#[test]
fn a_header_that_declares_less_than_follows_is_refused() {
    // A writer that counts characters instead of bytes declares too little.
    let by_one = Tar::new().entry(b'0', "groups.csv", GROUPS.chars().count() as u64, GROUPS).visits();
    refused(
        &gzip(&by_one.end()),
        &[
            "groups.csv: the archive has more bytes of this file than the 26 that its header declares, and the rest would be lost; \
         make the archive again with `tar -czf`",
        ],
    );
    // The same is refused at the end of the tar, and accepted for a file that is passed over.
    let last = Tar::new().visits().entry(b'0', "groups.csv", 18, GROUPS);
    refused(
        &gzip(&last.0),
        &[
            "groups.csv: the archive has more bytes of this file than the 18 that its header declares, and the rest would be lost; \
         make the archive again with `tar -czf`",
        ],
    );
    loads(
        &gzip(&Tar::new().entry(b'0', "._x", 1, "xyz").file("groups.csv", GROUPS).visits().end()),
        "groups.csv",
    );
    let by_blocks = Tar::new().entry(b'0', "groups.csv", 512, one_block() + GROUPS).visits();
    refused(
        &gzip(&by_blocks.end()),
        &[
            "archive: the archive does not hold a sound tar (an entry's header is damaged or missing, after groups.csv); make it again with `tar -czf`",
        ],
    );
}

#[test]
fn a_header_with_a_wrong_checksum_is_refused() {
    let mut damaged = header(b'0', b"groups.csv", GROUPS.len() as u64);
    damaged[0] ^= 1;
    let expected = |place: &str| {
        format!(
            "archive: the archive does not hold a sound tar (an entry's header is damaged or missing, {place}); make it again with `tar -czf`"
        )
    };
    let first = Tar::new().block(&damaged).data(GROUPS).visits();
    refused(&gzip(&first.end()), &[&expected("at its beginning")]);
    let second = Tar::new().visits().block(&damaged).data(GROUPS);
    refused(&gzip(&second.end()), &[&expected("after visits.csv")]);
}

#[test]
fn what_a_damaged_header_says_is_made_printable() {
    let mut damaged = header(b'0', b"groups\x07\x1b[31m.csv", 0);
    damaged[124..136].copy_from_slice(b"\xff\x1b9999999999");
    damaged[124] = b'\x1b';
    sum(&mut damaged);
    refused(
        &gzip(&Tar::new().block(&damaged).end()),
        &[
            "archive: the archive does not hold a sound tar (numeric field was not a number: \\u{1b}\\u{1b}9999999999 when getting size for \
         groups\\u{7}\\u{1b}[31m.csv, at its beginning); make it again with `tar -czf`",
        ],
    );
}

/// A tar has a checksum for each header, but none for the whole. The program finds cuts, and changes outside
/// of the files' contents, that the gzip's checksum would not find.
#[test]
fn no_byte_outside_of_the_contents_changes_unseen_and_no_cut_does() {
    let dataset = dataset();
    let tar = Tar::new().file("groups.csv", GROUPS).visits().end();
    // The last byte of the checksum field is after the end of the number, and has no meaning.
    let unseen = [512..512 + GROUPS.len(), 1536..1536 + VISITS.len(), 155..156, 1179..1180];
    for at in (0..tar.len()).filter(|at| !unseen.iter().any(|range| range.contains(at))) {
        let mut changed = tar.clone();
        changed[at] ^= 0x21;
        let told = reported(&read(gzip(&changed).as_slice(), &dataset));
        assert!(!told.is_empty(), "byte {at}");
    }
    for at in 0..=tar.len() {
        let told = reported(&read(gzip(&tar[..at]).as_slice(), &dataset));
        // The tar is good without its end mark, and with any end mark of at least one whole block.
        assert_eq!(told.is_empty(), at >= 2048 && at % 512 == 0 || at > 2560, "cut at {at}: {told:?}");
    }
}

proptest! {
    /// Whatever a header declares, nothing panics, runs without end or takes all memory.
    #[test]
    fn any_header_is_read_or_refused(
        kind in any::<u8>(),
        changes in prop::collection::vec((0..512_usize, any::<u8>()), 0..8),
        size in prop_oneof![0..3000_u64, any::<u64>()],
        contents in prop::collection::vec(any::<u8>(), 0..1500),
    ) {
        let mut header = header(kind, b"groups.csv", size & (u64::MAX >> 1));
        for (at, byte) in changes {
            header[at] = byte;
        }
        sum(&mut header);
        let tar = Tar::new().visits().block(&header).data(contents).file("groups.csv", GROUPS);
        read(gzip(&tar.end()).as_slice(), &limited(1_000_000));
    }
}

/// Returns a dataset whose members must have at least these numbers of rows.
fn expecting(groups: u64, visits: u64) -> Dataset {
    let text = CONFIG
        .replace("\"dbtable\": \"groups\"", &format!("\"min_rows\": {groups}, \"dbtable\": \"groups\""))
        .replace("\"dbtable\": \"visits\"", &format!("\"min_rows\": {visits}, \"dbtable\": \"visits\""));
    config::parse("d.json", &text).unwrap()
}

fn too_few(member: &str, found: u64, expected: u64) -> String {
    format!(
        "{member}: the file has {found} rows, and the configuration expects {expected} or more (\"min_rows\"); export it again, or, if there are \
         really so few, load it with `load CONFIG --accept-shrink KEY`"
    )
}

#[test]
fn a_file_with_fewer_rows_than_configured_is_refused() {
    let usual = with_groups(GROUPS);
    refused_by(&expecting(2, 1), &usual, &[]);
    refused_by(&expecting(3, 1), &usual, &[&too_few("groups.csv", 2, 3)]);
    refused_by(&expecting(3, 2), &usual, &[&too_few("groups.csv", 2, 3), &too_few("visits.csv", 1, 2)]);
    refused_by(&expecting(1, 1), &with_groups("id,name\n"), &[&too_few("groups.csv", 0, 1)]);
    // Blank lines are not rows.
    refused_by(&expecting(3, 1), &with_groups("id,name\n1,a\n\n\n2,b\n"), &[&too_few("groups.csv", 2, 3)]);
}

/// All problems are reported together, and rows after the first problem count like those before it.
#[test]
fn rows_are_counted_whatever_else_is_wrong() {
    let bad_day = "visits.csv, line 2, column day: not a date";
    let archive = |groups: &str, visits: &str| {
        gzip(&Tar::new().file("visits.csv", visits).file("groups.csv", groups).end())
    };
    let told = |dataset: &Dataset, archive: Vec<u8>| reported(&read(archive.as_slice(), dataset));
    let visits = "id,day\n1,never\n2,2024-03-01\n";
    assert_eq!(told(&expecting(2, 2), archive(GROUPS, visits)).len(), 1);
    let all = told(&expecting(3, 3), archive(GROUPS, visits));
    assert!(all.len() == 3 && all[0].starts_with(bad_day), "{all:?}");
    assert_eq!(all[1..], [too_few("visits.csv", 2, 3), too_few("groups.csv", 2, 3)]);
    // The number of rows is not known for a file that cannot be read to its end.
    let unread = told(&expecting(9, 1), archive("id,name\n1,\"a\n", VISITS));
    assert!(unread.len() == 1 && unread[0].contains("never closed"), "{unread:?}");
    // Nor is it known for a file with so many problems that the rest of it is not read.
    let many = "id,day\n".to_owned() + &"1,never\n".repeat(30);
    assert_eq!(told(&expecting(1, 99), archive(GROUPS, &many)).len(), 20);
}

#[test]
fn few_rows_may_be_accepted() {
    let mut limits = TableLimits::default();
    limits.accept_few_rows();
    let dataset = expecting(3, 2);
    let mut sink = Memory::default();
    let usual = with_groups(GROUPS);
    let read = archive::read(usual.as_slice(), &dataset, &limits, &mut sink, &Progress::default());
    assert_eq!(read.unwrap().iter().map(|member| member.rows).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn an_archive_that_is_no_gzip_is_told_what_it_is() {
    let whole = |text: &str| {
        format!(
            "archive: the archive is not a sound gzip file: it {text}; upload a tar that is compressed with gzip, as `tar -czf` makes it"
        )
    };
    let tar = Tar::new().file("groups.csv", GROUPS).visits().end();
    refused(
        b"",
        &["archive: the archive is empty, it has no bytes; the upload or the export failed: upload it again"],
    );
    refused(&tar, &[&whole("is an uncompressed tar")]);
    refused(b"PK\x03\x04\x14\0\0\0\x08\0", &[&whole("is a ZIP archive")]);
    refused(
        b"<!DOCTYPE html>\n<title>403 Forbidden</title>\n",
        &[&(whole("is an HTML page") + ": \"<!DOCTYPE html>\\n<title>403 Forbidden</title>\\n\"")],
    );
    refused(
        b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
        &[&(whole("is an XML document")
            + ": \"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>\"")],
    );
    refused(GROUPS.as_bytes(), &[&(whole("is a plain text") + ": \"id,name\\n1,Forests\\n2,Santé\\n\"")]);
    refused(b"\x01\x02\x03\x04", &[&whole("does not begin as one")]);
}

#[test]
fn a_gzip_that_holds_no_tar_is_told_what_it_holds() {
    let whole = |text: &str| {
        format!(
            "archive: the gzip does not contain a tar but {text}; put the files into a tar, as `tar -czf` does"
        )
    };
    let tar = Tar::new().file("groups.csv", GROUPS).visits().end();
    let many = GROUPS.repeat(30);
    refused(&gzip(&gzip(&tar)), &[&whole("another gzip file")]);
    refused(
        &gzip(many.as_bytes()),
        &[&format!(
            "{}: \"{}…\"",
            whole("a plain text"),
            &many.replace('\n', "\\n").chars().take(120).collect::<String>()
        )],
    );
    refused(&gzip(GROUPS.as_bytes()), &[&(whole("a plain text") + ": \"id,name\\n1,Forests\\n2,Santé\\n\"")]);
    refused(&gzip(&[b"PK\x03\x04".as_slice(), &[7; 600]].concat()), &[&whole("a ZIP archive")]);
}

#[test]
fn data_behind_the_end_is_refused() {
    let tar = Tar::new().file("groups.csv", GROUPS).visits().end();
    let expected = "archive: there is data after the end of the archive, which would be lost; make one archive of all files, with nothing after it";
    refused(&[gzip(&tar), b"junk".to_vec()].concat(), &[expected]);
    refused(&[gzip(&tar), vec![0; 600_000], gzip(&tar)].concat(), &[expected]);
    refused(&gzip(&[tar.as_slice(), b"junk"].concat()), &[expected]);
    refused(&gzip(&[tar.as_slice(), &tar].concat()), &[expected]);
    // A block of zeros ends the tar, so a file after a single block would be lost, too.
    let zeros = Tar::new().file("groups.csv", GROUPS).visits().block(&[0; 512]).file("groups.csv", GROUPS);
    refused(&gzip(&zeros.end()), &[expected]);
}

// Archives that unpack to more than the limit.

fn too_large(place: &str, limit: u64) -> String {
    format!(
        "{place}: the archive unpacks to more than {limit} bytes, the limit of this dataset; find out why it is so large, \
         or raise \"max_unpacked_bytes\" in the configuration"
    )
}

#[test]
fn every_unpacked_byte_counts_against_the_limit() {
    let rows = format!("id,name\n{}", "1,Forests\n".repeat(50_000));
    let good = Tar::new().file("groups.csv", GROUPS).visits();
    let inside = Tar::new().visits().file("groups.csv", &rows);
    refused_by(&limited(400_000), &gzip(&inside.end()), &[&too_large("groups.csv", 400_000)]);
    let skipped = good.clone().file("._groups.csv", &rows);
    refused_by(&limited(400_000), &gzip(&skipped.end()), &[&too_large("._groups.csv", 400_000)]);
    let unknown = Tar::new().file("x.csv", &rows);
    refused_by(
        &limited(400_000),
        &gzip(&unknown.end()),
        &[
            "x.csv: the configuration does not name this file: leave it out, or rename it; it names groups, visits (a name counts up to its first dot)",
            &too_large("x.csv", 400_000),
        ],
    );
    let behind = [good.clone().end(), vec![0; 500_000]].concat();
    refused_by(&limited(400_000), &gzip(&behind), &[&too_large("archive", 400_000)]);
    let directories = (0..1000).fold(Tar::new(), |tar, n| tar.entry(b'5', format!("{n}/"), 0, ""));
    refused_by(&limited(400_000), &gzip(&directories.end()), &[&too_large("archive", 400_000)]);

    let tar = good.end();
    let size = tar.len() as u64;
    assert_eq!(reported(&read(gzip(&tar).as_slice(), &limited(size))), Vec::<String>::new());
    refused_by(&limited(size - 1), &gzip(&tar), &[&too_large("archive", size - 1)]);
}

/// The limit is checked while reading, so padding without end is not read further.
#[test]
fn padding_without_end_is_left_at_the_limit() {
    let first = gzip(&Tar::new().file("groups.csv", GROUPS).visits().end());
    let outcome = read(Forever { first, again: gzip(&vec![0; 1 << 20]), at: 0 }, &limited(50_000_000));
    assert_eq!(reported(&outcome), [too_large("archive", 50_000_000)]);
}

// Members.

const NO_SUCH: &str = "the configuration does not name this file: leave it out, or rename it; it names groups, visits (a name counts up to its first dot)";
const MISSING: &str =
    "the file is missing from the archive; add it, with its header line even if it has no rows";

#[test]
fn members_that_are_missing_unknown_or_double_are_refused() {
    refused(&gzip(&Tar::new().file("groups.csv", GROUPS).end()), &[&format!("visits: {MISSING}")]);
    refused(&gzip(&Tar::new().visits().end()), &[&format!("groups: {MISSING}")]);
    refused(&gzip(&Tar::new().end()), &[&format!("groups: {MISSING}"), &format!("visits: {MISSING}")]);
    let unknown = |name: &str| gzip(&Tar::new().file("groups.csv", GROUPS).visits().file(name, "x").end());
    refused(&unknown("readme.txt"), &[&format!("readme.txt: {NO_SUCH}")]);
    refused(&unknown("a/.DS_Stor"), &[&format!(".DS_Stor: {NO_SUCH}: \"a/.DS_Stor\"")]);
    refused(
        &unknown("old/groups.csv"),
        &[
            "groups.csv: the archive has groups.csv for the same table (a name counts up to its first dot); leave one of them out: \"old/groups.csv\"",
        ],
    );
    refused(
        &unknown("groups.2.csv"),
        &[
            "groups.2.csv: the archive has groups.csv for the same table (a name counts up to its first dot); leave one of them out",
        ],
    );
    let link_and_file = Tar::new().entry(b'2', "groups.csv", 0, "").file("groups.csv", GROUPS).visits();
    assert_eq!(reported(&read(gzip(&link_and_file.end()).as_slice(), &dataset())).len(), 2);
}

#[test]
fn names_are_shown_as_they_are_and_never_as_control_characters() {
    let unknown = |name: &[u8]| gzip(&Tar::new().file("groups.csv", GROUPS).visits().file(name, "x").end());
    refused(&unknown(b"caf\xe9\x1b[2J\n.csv"), &[&format!("caf\\xe9\\u{{1b}}[2J\\n.csv: {NO_SUCH}")]);
    refused(&unknown("groups\u{200b}.csv".as_bytes()), &[&format!("groups\\u{{200b}}.csv: {NO_SUCH}")]);
    refused(&unknown("\u{202e}vsc.csv".as_bytes()), &[&format!("\\u{{202e}}vsc.csv: {NO_SUCH}")]);
    refused(&unknown(b"export\\x.csv"), &[&format!("x.csv: {NO_SUCH}: \"export\\x.csv\"")]);
    // The part of a name after the first dot does not matter.
    loads(&gzip(&Tar::new().file(b"groups.\xe9.csv", GROUPS).visits().end()), "groups.\\xe9.csv");
}

#[test]
fn a_thousand_wrong_members_are_twenty_problems() {
    let tar = (0..1000).fold(Tar::new(), |tar, n| tar.file(format!("x{n}.csv"), "x"));
    let outcome = read(gzip(&tar.end()).as_slice(), &dataset());
    assert_eq!((outcome.problems.reported().len(), outcome.problems.found()), (20, 20));
}

// Text.

#[test]
fn a_file_without_anything_is_refused_and_one_without_rows_is_not() {
    let empty = "groups.csv: the file is empty: it has no header and no rows; a file without rows needs at least its header line";
    text_refused("", &[empty]);
    text_refused("\n\r\n\n", &[empty]);
    text_refused("\u{feff}", &[empty]);
    text_refused("\u{feff}\n", &[empty]);
    for header in ["id,name", "id,name\n", "id,name\r\n\r\n", "id,name\r", "\n\nid,name\n"] {
        let _case = Case(header);
        assert_eq!(stages(header), "id,name\n");
    }
}

#[test]
fn header_names_are_of_no_consequence() {
    for header in ["ID, Name", "group,title", ",", "\"i,d\",\"na\nme\"", "id,pr\u{e9}nom"] {
        let _case = Case(header);
        assert_eq!(stages(format!("{header}\n1,Forests\n")), "id,name\n1,Forests\n");
    }
}

const RETURNS: &str = "a carriage return (CR) is here without a line feed (LF): end lines with LF or CRLF, and quote a cell that contains a line end";

#[test]
fn line_ends_of_cr_only_are_refused() {
    text_refused(
        "id,name\r1,Forests\r2,Health\r",
        &[&format!("groups.csv, line 1: {RETURNS}: \"id,name\\r1,Forests\\r2,Health\"")],
    );
    text_refused(
        "\"id\",\"name\"\r\"1\",\"Forests\"\r",
        &[&format!("groups.csv, line 1: {RETURNS}: \"\"id\",\"name\"\\r\"1\",\"Forests\"\\r\"")],
    );
    text_refused(
        "id,name\n1,Forests\r2,Health\r",
        &[&format!("groups.csv, line 2: {RETURNS}: \"1,Forests\\r2,Health\"")],
    );
    text_refused(
        "id,name\r\r\n1,Forests\r\r\n",
        &[&format!("groups.csv, line 1: {RETURNS}: \"id,name\\r\"")],
    );
    let large = format!("id,name\r{}", "1,Forests\r".repeat(500_000));
    text_refused(
        &large,
        &[&format!("groups.csv, line 1: {RETURNS}: \"id,name\\r{}1…\"", "1,Forests\\r".repeat(10))],
    );
    text_refused("id,name\n1,a\rb\n", &[&format!("groups.csv, line 2: {RETURNS}: \"1,a\\rb\"")]);
    // A CR in quotes belongs to the cell.
    assert_eq!(stages("id,name\n2,\"c\rd\"\n"), "id,name\n2,\"c\rd\"\n");
}

#[test]
fn utf16_is_refused_with_and_without_its_mark() {
    let expected = "groups.csv, line 1: the file is UTF-16; export it as UTF-8";
    for text in ["id,name\n1,Forests\n", "id,name\n", "id,name\r\n1,Santé\r\n"] {
        let _case = Case(text);
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        text_refused([b"\xff\xfe".as_slice(), &little].concat(), &[expected]);
        text_refused([b"\xfe\xff".as_slice(), &big].concat(), &[expected]);
        text_refused(&little, &[expected]);
        text_refused(&big, &[expected]);
    }
    text_refused(
        b"id,na\0me\n1,Forests\n",
        &[
            "groups.csv, line 1, column name: a NUL byte, which Redshift cannot store; remove it: \"na\\u{0}me\"",
        ],
    );
}

#[test]
fn bytes_that_are_not_utf8_or_nul_are_refused() {
    text_refused(
        b"id,name\n1,Sant\xe9\n",
        &[
            "groups.csv, line 2, column name: not UTF-8, but perhaps Latin-1 or Windows-1252; export the file as UTF-8: \"Sant\\xe9\"",
        ],
    );
    text_refused(
        "id,name\n1,a\0b\n",
        &[
            "groups.csv, line 2, column name: a NUL byte, which Redshift cannot store; remove it: \"a\\u{0}b\"",
        ],
    );
    // Bytes that are not UTF-8 are refused in a dropped column, too: the file is not in the encoding that it
    // should have.
    text_refused(
        b"id,name,x\n1,a,\xe9\n",
        &[
            "groups.csv, line 2: not UTF-8, but perhaps Latin-1 or Windows-1252; export the file as UTF-8: \"\\xe9\"",
        ],
    );
}

#[test]
fn quotes_that_do_not_pair_are_refused() {
    text_refused(
        "id,name\n1,\"Forests\n2,Health\n",
        &[
            "groups.csv, line 2: a quoted cell begins here and is never closed; close it, or double the quotes inside it: \"\"Forests\\n2,Health\\n\"",
        ],
    );
    text_refused(
        "id,\"name\n1,Forests\n",
        &[
            "groups.csv, line 1: a quoted cell begins here and is never closed; close it, or double the quotes inside it: \"\"name\\n1,Forests\\n\"",
        ],
    );
    text_refused(
        "id,name\n1,\"For\"ests\n",
        &[
            "groups.csv, line 2: text follows a closing quote; a quote inside a quoted cell must be doubled: \"1,\"For\"ests\\n\"",
        ],
    );
}

#[test]
fn a_wrong_delimiter_is_told_with_the_one_that_fits() {
    text_refused(
        "id|name\n1|Forests\n",
        &[
            "groups.csv, line 1: this header splits into 2 with '|' and into 1 with ',': export with ',', or set \"delim\" in the configuration: \"id|name\"",
        ],
    );
    text_refused(
        "id\tname\n1\tForests\n",
        &[
            "groups.csv, line 1: this header splits into 2 with '\\t' and into 1 with ',': export with ',', or set \"delim\" in the configuration: \"id\\tname\"",
        ],
    );
    text_refused(
        "id name\n1 Forests\n",
        &[
            "groups.csv, line 1: the header has 1 of 2 columns when split at ','; export all configured columns, in their order: \"id name\"",
        ],
    );
}

#[test]
fn a_thousand_columns_are_cut_to_those_configured() {
    let line = |first: &str| format!("{first}{}\n", ",x".repeat(998));
    let text = line("id,name") + &line("1,Forests").repeat(50) + &line("2,\"Santé\"");
    assert_eq!(stages(text), format!("id,name\n{}2,Santé\n", "1,Forests\n".repeat(50)));
    text_refused(
        line("id,name") + "1\n",
        &[
            "groups.csv, line 2: the row has 1 of 1000 columns; look for a missing delimiter, or a line end in an unquoted cell: \"1\"",
        ],
    );
}

#[test]
fn rows_with_too_few_columns_are_refused() {
    text_refused(
        "id,name\n1\n2,Health\n\n3\n",
        &[
            "groups.csv, line 2: the row has 1 of 2 columns; look for a missing delimiter, or a line end in an unquoted cell: \"1\"",
            "groups.csv, line 5: the row has 1 of 2 columns; look for a missing delimiter, or a line end in an unquoted cell: \"3\"",
        ],
    );
}

#[test]
fn dates_that_do_not_match_are_refused() {
    let visits = |cell: &str| {
        gzip(&Tar::new().file("groups.csv", GROUPS).file("visits.csv", format!("id,day\n1,{cell}\n")).end())
    };
    refused(
        &visits("01.03.2024"),
        &[
            "visits.csv, line 2, column day: not a date of the form \"%Y-%m-%d\": year 01 at character 1 where 4 digits were expected: \"01.03.2024\"",
        ],
    );
    refused(
        &visits("2023-02-29"),
        &[
            "visits.csv, line 2, column day: not a date of the form \"%Y-%m-%d\": 2023-02 has no day 29: \"2023-02-29\"",
        ],
    );
    refused(
        &visits("\\N"),
        &[
            "visits.csv, line 2, column day: not a date of the form \"%Y-%m-%d\": `\\` at character 1 where a year (4 digits) was expected; if it \
             means NULL, leave the cell empty, or name this text as \"null_as\" in the configuration: \"\\N\"",
        ],
    );
    // An invisible character is shown as an escape.
    refused(
        &visits("2024-03-01\u{a0}"),
        &[
            "visits.csv, line 2, column day: not a date of the form \"%Y-%m-%d\": `\\u{a0}` at character 11 where its end was expected: \"2024-03-01\\u{a0}\"",
        ],
    );
}

#[test]
fn the_text_that_means_null_is_refused() {
    text_refused(
        format!("id,name\n1,{NULL_TEXT}\n"),
        &[
            "groups.csv, line 2, column name: the cell is the text that means NULL in this program's staged files; change the cell: \
             \"%cmslite-null%\"",
        ],
    );
    assert_eq!(stages(format!("id,name\n1,{NULL_TEXT}.\n")), format!("id,name\n1,{NULL_TEXT}.\n"));
}

/// A cell of 64 MiB, quoted or not, is found to be too long before much more than the limit is read.
#[test]
fn an_enormous_cell_is_refused_without_holding_it() {
    let cell = "x".repeat(64 << 20);
    for (name, text, expected) in [
        (
            "unquoted",
            format!("id,name\n1,{cell}\n2,Health\n"),
            format!(
                "groups.csv, line 2: the record is larger than {RECORD_LIMIT_BYTES} bytes, Redshift's limit for a row; shorten it: \"1,{}…\"",
                "x".repeat(118)
            ),
        ),
        (
            "quoted",
            format!("id,name\n1,\"{cell}\"\n2,Health\n"),
            format!(
                "groups.csv, line 2: a quoted cell begins here and is not closed within {RECORD_LIMIT_BYTES} bytes, Redshift's limit for a row; close it, double the quotes inside it, or shorten it: \"\"{}…\"",
                "x".repeat(119)
            ),
        ),
    ] {
        let _case = Case(name);
        let outcome = read(with_groups(text).as_slice(), &dataset());
        assert_eq!(reported(&outcome), [expected]);
    }
    // A record of exactly the limit is good.
    let longest = "x".repeat(RECORD_LIMIT_BYTES - 2);
    assert_eq!(stages(format!("id,name\n1,{longest}\n")).len(), RECORD_LIMIT_BYTES + "id,name\n\n".len());
}

/// The problems of an archive with several kinds of mistake are reported together, in the order of its files.
#[test]
fn several_mistakes_are_told_together() {
    let tar = Tar::new()
        .file("visits.csv", "id,day\n1,soon\n")
        .file("notes.txt", "x")
        .file("groups.csv", "id;name\n1;Forests\n");
    refused(
        &gzip(&tar.end()),
        &[
            "visits.csv, line 2, column day: not a date of the form \"%Y-%m-%d\": `s` at character 1 where a year (4 digits) was expected: \"soon\"",
            &format!("notes.txt: {NO_SUCH}"),
            "groups.csv, line 1: this header splits into 2 with ';' and into 1 with ',': export with ',', or set \"delim\" in the configuration: \"id;name\"",
        ],
    );
}
