//! Checks what must be true for every input.

use std::io::{self, Read, Write as _};

use cmslite_core::archive::{ReadError, Sink, StagedMember, read};
use cmslite_core::config::{Dataset, Table, parse};
use cmslite_core::limits::TableLimits;
use cmslite_core::problem::{Problems, REPORTED_PROBLEMS};
use cmslite_core::progress::Progress;
use cmslite_core::transform::NULL_TEXT;

/// Two tables, one with a date and a derived column, and a small limit, so that bombs are found early.
const CONFIG: &str = r#"{
    "bucket": "b", "source": "client", "destination": "processed", "directory": "d", "doc": "x", "schema": "s", "truncate": true,
    "delim": ",", "null_as": "-", "max_unpacked_bytes": 1000000,
    "files": {
        "a": {"dbtable": "a", "column_count": 2, "columns": ["one", "two"], "dateformat": []},
        "b": {"dbtable": "b", "column_count": 2, "columns": ["text", "day"], "dateformat": [{"field": "day", "format": "%Y-%m-%d"}],
              "derived": [{"column": "part", "from": "text", "split": " - ", "index": 1}]}
    }
}"#;

/// Returns the dataset of all targets.
///
/// # Panics
///
/// Never: its configuration is sound.
pub fn dataset() -> Dataset {
    parse("fuzz.json", CONFIG).expect("the configuration is sound")
}

/// A sink in memory that keeps the completed files, by member.
#[derive(Default)]
struct Memory {
    completed: Vec<(String, Vec<u8>)>,
    declared_bytes: u64,
}

impl Sink for Memory {
    type File = Vec<u8>;

    fn create(&mut self, _: &Table, size_bytes: u64) -> Vec<u8> {
        self.declared_bytes += size_bytes;
        Vec::new()
    }

    fn complete(&mut self, file: Vec<u8>, member: &StagedMember) -> io::Result<()> {
        self.completed.push((member.member.clone(), file));
        Ok(())
    }
}

/// Reads an archive as the loader does, and checks the outcome.
///
/// # Panics
///
/// If a check fails.
pub fn check_archive(archive: impl Read + Send) {
    let dataset = dataset();
    let mut sink = Memory::default();
    let read = read(archive, &dataset, &TableLimits::default(), &mut sink, &Progress::default());
    assert!(
        sink.declared_bytes <= dataset.size_limits.unpacked_bytes * 2,
        "{} bytes of members were handed out",
        sink.declared_bytes
    );
    match read {
        Err(ReadError::Failed(error)) => panic!("writing into memory failed: {error}"),
        Err(ReadError::Bad(problems)) => check_reported(&problems),
        Ok(members) => {
            assert_eq!(
                (members.len(), sink.completed.len()),
                (dataset.tables.len(), dataset.tables.len()),
                "there is a file for each table"
            );
            for (member, (name, text)) in members.iter().zip(&sink.completed) {
                assert_eq!(*name, member.member);
                check_staged(&dataset, &member.member, member.rows, text);
            }
        }
    }
}

/// Checks that there are at most twenty problems, each of them a printable line.
fn check_reported(problems: &Problems) {
    let reported = problems.reported();
    assert!(reported.len() <= REPORTED_PROBLEMS && problems.found() >= reported.len() as u64);
    assert!(!problems.is_empty() && !reported.is_empty());
    for problem in reported {
        let text = problem.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() < 4000, "{text}");
        assert!(serde_json::to_string(problem).is_ok());
    }
}

/// Checks that the staged file has the counted rows, each as wide as its table, and no accidental NULL.
fn check_staged(dataset: &Dataset, member: &str, rows: u64, text: &[u8]) {
    let table = dataset.table_of(member).expect("it was handed out for a table");
    let mut reader = csv::ReaderBuilder::new().from_reader(text);
    let width = table.loaded_columns().count();
    assert_eq!(reader.byte_headers().expect("the header is written").len(), width);
    let mut found = 0;
    for record in reader.byte_records() {
        let record = record.expect("what is staged is CSV");
        assert_eq!(record.len(), width);
        assert!(record.iter().all(|cell| std::str::from_utf8(cell).is_ok() && !cell.contains(&0)));
        found += 1;
    }
    assert_eq!(found, rows);
    assert!(!String::from_utf8_lossy(text).contains(&format!("\"{NULL_TEXT}\"")));
}

/// Returns the bytes as a gzip, so that the code after its checksum is reached.
///
/// # Panics
///
/// Never: it writes into memory.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Returns a tar whose headers have right checksums, so that the code after them is reached. Blocks are taken
/// for headers where the preceding sizes place them.
pub fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut tar = bytes.to_vec();
    let mut at = 0;
    while let Some(block) = tar.get_mut(at..at + 512) {
        if block.iter().any(|byte| *byte != 0) {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let size = std::str::from_utf8(&block[124..135])
            .ok()
            .and_then(|text| u64::from_str_radix(text.trim_matches([' ', '\0']), 8).ok());
        let padded = size.unwrap_or_default().div_ceil(512).saturating_mul(512);
        at = at.saturating_add(512).saturating_add(usize::try_from(padded).unwrap_or(usize::MAX));
        if at > tar.len() {
            break;
        }
    }
    tar
}

/// Returns the files as a tar.
///
/// # Panics
///
/// Never: it writes into memory.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *contents).expect("memory takes it");
    }
    builder.into_inner().expect("memory takes it")
}
