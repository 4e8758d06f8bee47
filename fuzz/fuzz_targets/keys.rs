//! Passes any key from a listing or a notification to where it is shown: one line of visible characters, and
//! for a program the exact key.
#![no_main]

use cmslite_core::error::{Error, Retryable};
use cmslite_core::key::{Key, MAX_KEY_BYTES};
use cmslite_core::text::{is_seen, one_line, visible_json};
use cmslite_fuzz::dataset;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

#[track_caller]
fn is_one_visible_line(text: &str) {
    assert!(text.chars().all(is_seen), "{text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

fuzz_target!(|data: &[u8]| {
    let dataset = dataset();
    let path = [dataset.source_prefix().as_bytes(), data].concat();
    let encoded = percent_encode(&path, NON_ALPHANUMERIC).to_string();
    let key = Key::decoded(&encoded);
    assert_eq!(std::str::from_utf8(&path).is_ok_and(|path| key == path), std::str::from_utf8(&path).is_ok());

    let shown = key.to_string();
    is_one_visible_line(&shown);
    assert_eq!(one_line(&shown), shown, "what is shown already stays as it is");
    let line = format!("INFO:target:2026-01-01 00:00:00,000:{} archive={}", one_line(&key), key);
    is_one_visible_line(&line);
    let json = serde_json::json!({"message": key.as_str(), "archive": key}).to_string();
    let visible = visible_json(&json);
    is_one_visible_line(&visible);
    let parsed: serde_json::Value = serde_json::from_str(&visible).expect("it is JSON still");
    assert_eq!((parsed["message"].as_str(), parsed["archive"].as_str()), (Some(key.as_str()), Some(key.as_str())));
    is_one_visible_line(&Error::retryable(Retryable::Unknown, format!("cannot read {}", key.as_str())).chain());

    if dataset.matches(&key) {
        assert!(dataset.passed_over(&key).is_none());
        assert_eq!(Key::unfit_character(&key), None);
        let staged = dataset.staged_stem(&key, "\"0123456789abcdef\"", "1a2b3c4d", "a");
        for derived in [dataset.good_key(&key), dataset.error_key(&key), format!("{staged}.{}.csv.zst", u32::MAX)] {
            assert!(derived.len() <= MAX_KEY_BYTES, "{derived:?}");
        }
    }
});
