//! Reads any bytes as an archive: unchanged, inside a sound gzip, and inside a sound tar.
#![no_main]

use cmslite_fuzz::{check_archive, gzip, tar, with_checksums};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => check_archive(rest),
        1 => check_archive(gzip(&with_checksums(rest)).as_slice()),
        _ => {
            let (one, two) = rest.split_at(rest.iter().position(|byte| *byte == 0x1e).unwrap_or(rest.len()));
            let files = tar(&[("a.csv", one), ("b.csv", two.get(1..).unwrap_or_default())]);
            check_archive(gzip(&files).as_slice());
        }
    }
});
