//! Any JSON as an event: understood, or refused with the accepted forms.
#![no_main]

use cmslite_core::event::Trigger;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(event) = serde_json::from_slice(data) else { return };
    match Trigger::parse(event) {
        Ok(Trigger::Created(objects)) => assert!(objects.iter().all(|object| !object.bucket.contains('\0'))),
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.error_type(), "Deployment.UnknownEvent");
            assert!(error.to_string().len() < data.len() * 4 + 1000);
        }
    }
});
