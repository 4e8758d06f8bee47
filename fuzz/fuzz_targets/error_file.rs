//! Reads any bytes as an `error.json`: the result can be shown, and is not longer than the program's own.
#![no_main]

use cmslite_core::problem::{REPORTED_PROBLEMS, ReportedErrorFile};
use cmslite_core::text::is_seen;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(file) = ReportedErrorFile::parse(data) else { return };
    assert!(file.problems.len() <= REPORTED_PROBLEMS);
    let problems = file.problems.iter().map(ToString::to_string);
    for text in [file.at.clone(), file.incomplete.clone().unwrap_or_default()].into_iter().chain(problems) {
        assert!(text.chars().all(is_seen), "{text:?}");
        assert!(text.len() < 50_000, "{}", text.len());
    }
    let again = serde_json::to_vec(&file).expect("it is JSON");
    assert_eq!(ReportedErrorFile::parse(&again).as_ref(), Some(&file), "what was made printable stays as it is");
});
