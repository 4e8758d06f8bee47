//! Reads any text with any format: an accepted text is a date that Redshift can read, and the common format
//! has the same meaning on the fast and the slow path.
#![no_main]

use cmslite_core::strptime::DateFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let (format, text) = data.split_once('\n').unwrap_or(("%Y-%m-%d %H:%M:%S.%f", data));
    let Ok(compiled) = DateFormat::compile(format) else { return };
    let mut out = Vec::new();
    // With a letter after it, the common format takes the general path.
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    let was_read = DateFormat::compile("%Y-%m-%d %H:%M:%S.%f")
        .expect("it is common")
        .rewrite(text.as_bytes(), &mut fast)
        .is_ok();
    let general = DateFormat::compile("%Y-%m-%d %H:%M:%S.%fx").expect("it is plain");
    assert_eq!((was_read, fast), (general.rewrite(format!("{text}x").as_bytes(), &mut slow).is_ok(), slow));
    if compiled.rewrite(text.as_bytes(), &mut out).is_err() {
        return;
    }
    let written = std::str::from_utf8(&out).expect("a date is ASCII");
    assert!(written.len() >= 19 && written.is_ascii(), "{written:?}");
    // Read again in the form in which it was written, it stays the same.
    let plain = if written.contains('.') { "%Y-%m-%d %H:%M:%S.%f" } else { "%Y-%m-%d %H:%M:%S" };
    let plain = if written[19..].contains(['+', '-']) { format!("{plain}%z") } else { plain.to_owned() };
    let mut again = Vec::new();
    DateFormat::compile(&plain)
        .expect("a plain format")
        .rewrite(written.as_bytes(), &mut again)
        .expect("what was written is a date");
    assert_eq!(written.as_bytes(), again);
});
