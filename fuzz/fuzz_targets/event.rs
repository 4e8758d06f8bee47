//! Reads any JSON as an event: it is understood, or refused with the accepted forms. As the body of an SQS
//! message it asks for the same, unless it asks for a load on purpose.
#![no_main]

use cmslite_core::error::Error;
use cmslite_core::event::{Asked, Event};
use cmslite_core::queue::Selection;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
    match Event::parse(&event) {
        Ok(Event::Whole(asked)) => {
            assert!(asked.objects.iter().all(|object| object.decoded.as_ref() != Some(&object.key)));
            match as_message(&event) {
                Ok(wrapped) => assert_eq!(wrapped, asked),
                // A message may come twice.
                Err(error) if loads_again(&asked) => {
                    assert!(error.to_string().contains("could load twice"), "{error}");
                }
                Err(error) => assert!(error.to_string().contains("wrapped more than"), "{error}"),
            }
        }
        Ok(Event::Batch(messages)) => {
            assert!(messages.iter().all(|message| message.id.as_deref() != Some("")));
            for error in messages.iter().filter_map(|message| message.asked.as_ref().err()) {
                is_plain(error, data);
            }
        }
        Err(error) => {
            is_plain(&error, data);
            assert!(as_message(&event).is_err());
        }
    }
});

/// Returns what the event asks for as the only message of a batch.
fn as_message(event: &Value) -> Result<Asked, Error> {
    let batch = json!({"Records": [{"messageId": "m", "body": event.to_string()}]});
    match Event::parse(&batch) {
        Ok(Event::Batch(mut messages)) => messages.remove(0).asked,
        other => panic!("no batch: {other:?}"),
    }
}

fn loads_again(asked: &Asked) -> bool {
    asked.by_name.iter().any(|asked| matches!(asked.selection, Selection::Reload(_)))
}

fn is_plain(error: &Error, data: &[u8]) {
    assert_eq!(error.error_type(), "Deployment.UnknownEvent");
    assert!(error.to_string().len() < data.len() * 4 + 1000 && !error.to_string().contains(char::is_control));
}
