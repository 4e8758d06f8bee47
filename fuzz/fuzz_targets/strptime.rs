//! Any format and any text: what is accepted is a date that Redshift can read, and what is common has the
//! same meaning fast and slow.
#![no_main]

use cmslite_core::strptime::DateFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let (format, text) = data.split_once('\n').unwrap_or(("%Y-%m-%d %H:%M:%S.%f", data));
    let Ok(compiled) = DateFormat::compile(format) else { return };
    let mut out = Vec::new();
    // With a letter behind it the common format is read by the general way.
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
    // Read again in the form that it was written in, it stays what it is.
    let plain = if written.contains('.') { "%Y-%m-%d %H:%M:%S.%f" } else { "%Y-%m-%d %H:%M:%S" };
    let plain = if written[19..].contains(['+', '-']) { format!("{plain}%z") } else { plain.to_owned() };
    let mut again = Vec::new();
    DateFormat::compile(&plain)
        .expect("a plain format")
        .rewrite(written.as_bytes(), &mut again)
        .expect("what was written is a date");
    assert_eq!(written.as_bytes(), again);
});
