//! What must hold for every input, whatever it is.

use std::io::{self, Read, Write as _};

use cmslite_user_data_to_redshift::config::{Dataset, parse};
use cmslite_user_data_to_redshift::members::{Ended, Files, read};
use cmslite_user_data_to_redshift::problem::{Problems, TOLD};
use cmslite_user_data_to_redshift::progress::Progress;
use cmslite_user_data_to_redshift::queue::Object;
use cmslite_user_data_to_redshift::transform::NULL_TEXT;

/// Two tables, one with a date and a derived column, and a small limit, so that bombs are met early.
const CONFIG: &str = r#"{
    "bucket": "b", "source": "client", "destination": "processed", "directory": "d", "doc": "x", "schema": "s", "truncate": true,
    "delim": ",", "null_as": "-", "max_unpacked_bytes": 1000000,
    "files": {
        "a": {"dbtable": "a", "column_count": 2, "columns": ["one", "two"], "dateformat": []},
        "b": {"dbtable": "b", "column_count": 2, "columns": ["text", "day"], "dateformat": [{"field": "day", "format": "%Y-%m-%d"}],
              "derived": [{"column": "part", "from": "text", "split": " - ", "index": 1}]}
    }
}"#;

/// The dataset that everything is read with.
///
/// # Panics
///
/// Never: its configuration is sound.
pub fn dataset() -> Dataset {
    parse("fuzz.json", CONFIG).expect("the configuration is sound")
}

/// Files in memory: those that were completed, by key.
#[derive(Default)]
struct Memory {
    begun: Option<String>,
    completed: Vec<(String, Vec<u8>)>,
    declared_bytes: u64,
}

impl Files for Memory {
    type File = Vec<u8>;

    fn create(&mut self, key: &str, size_bytes: u64) -> Vec<u8> {
        self.begun = Some(key.to_owned());
        self.declared_bytes += size_bytes;
        Vec::new()
    }

    fn complete(&mut self, file: Vec<u8>) -> io::Result<u64> {
        let key = self.begun.take().expect("it was begun");
        let size = file.len() as u64;
        self.completed.push((key, file));
        Ok(size)
    }
}

/// Reads an archive as the pipeline does, and checks what must hold of the outcome.
///
/// # Panics
///
/// Where something does not hold.
pub fn check_archive(archive: impl Read + Send) {
    let dataset = dataset();
    let object = Object {
        key: "client/d/x.tgz".to_owned(),
        etag: "\"0\"".to_owned(),
        last_modified: Default::default(),
        size: 0,
    };
    let mut files = Memory::default();
    let ended = read(archive, &dataset, &object, &mut files, &Progress::default());
    assert!(
        files.declared_bytes <= dataset.max_unpacked_bytes * 2,
        "{} bytes of members were handed out",
        files.declared_bytes
    );
    match ended {
        Ended::Failed(error) => panic!("writing into memory failed: {error}"),
        Ended::Bad(problems) => check_told(&problems),
        Ended::Whole(members) => {
            assert_eq!(
                (members.len(), files.completed.len()),
                (dataset.tables.len(), dataset.tables.len()),
                "there is a file for each table"
            );
            for (member, (key, text)) in members.iter().zip(&files.completed) {
                assert!(key.ends_with(&format!("/{}.csv", member.member)));
                check_staged(&dataset, &member.member, member.rows, text);
            }
        }
    }
}

/// Up to twenty problems, each of them a line that can be printed.
fn check_told(problems: &Problems) {
    assert!(problems.told().len() <= TOLD && problems.found() >= problems.told().len() as u64);
    assert!(!problems.is_empty() && !problems.told().is_empty());
    for problem in problems.told() {
        let text = problem.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() < 4000, "{text}");
        assert!(serde_json::to_string(problem).is_ok());
    }
}

/// The staged file has the rows that were counted, each as wide as its table; and nothing in it is a NULL by
/// accident.
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

/// Bytes as a gzip, so that what is behind its checksum is reached.
///
/// # Panics
///
/// Never: it writes into memory.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A tar whose headers have right checksums, so that what else stands in them is reached: blocks are taken
/// for headers where the sizes before them say that headers are.
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

/// Files as a tar.
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
