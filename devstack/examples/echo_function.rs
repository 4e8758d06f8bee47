//! Runs a function on the `lambda_runtime` crate that does what its payload's `do` says, for the tests of
//! `devstack::lambda`.
#![allow(clippy::panic, reason = "it panics where it is told to")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, exit};
use std::time::{Duration, SystemTime};
use std::{env, io};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    match env::var("INIT").as_deref() {
        Ok("exit") => exit(4),
        Ok("report") => {
            report_init_error()?;
            exit(5)
        }
        _ => lambda_runtime::run(service_fn(handle)).await,
    }
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let LambdaEvent { payload, context } = event;
    // The first message of a batch says what to do with all of it.
    let told = payload.pointer("/Records/0/body").unwrap_or(&payload["do"]);
    match told.as_str() {
        Some("fail") => {
            return Err(Diagnostic {
                error_type: "Echo.Failed".to_owned(),
                error_message: format!("as told: {payload}"),
            });
        }
        Some("panic") => panic!("as told"),
        Some("sleep") => {
            println!("sleeps: {}", std::process::id());
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        Some("exit") => exit(3),
        // The started process outlives the function, and inherits its standard output.
        Some("exit, leaving a process") => {
            match Command::new("sleep").arg("3600").spawn() {
                Ok(left) => println!("left: {}", left.id()),
                Err(error) => println!("left nothing: {error}"),
            }
            exit(3)
        }
        Some("write bytes") => {
            let _ = io::stdout().write_all(b"not UTF-8: \xff\n");
            println!("and after it");
            eprintln!("and on stderr");
        }
        Some(told) if told.starts_with("answer {") => {
            return Ok(serde_json::from_str(told.trim_start_matches("answer ")).unwrap_or_default());
        }
        Some(told) if told.starts_with("fail messages") => return Ok(failing_messages(&payload)),
        Some("answer much") => return Ok(Value::String("x".repeat(7 * 1024 * 1024))),
        _ => {}
    }
    Ok(json!({
        "payload": payload,
        "request_id": context.request_id,
        "left_seconds": context.deadline().duration_since(SystemTime::now()).map_or(0, |left| left.as_secs()),
        "arn": context.invoked_function_arn,
        "environment": env::vars().collect::<std::collections::BTreeMap<_, _>>(),
        "pid": std::process::id(),
    }))
}

/// Returns the answer to a batch of SQS. A message fails until its receive count is the number at the end of
/// its body.
fn failing_messages(batch: &Value) -> Value {
    let number = |value: &Value| value.as_str().and_then(|text| text.rsplit(' ').next()?.parse::<u32>().ok());
    let records = batch["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
    let failed = records
        .iter()
        .filter(|record| number(&record["attributes"]["ApproximateReceiveCount"]) < number(&record["body"]));
    json!({"batchItemFailures": failed.map(|record| json!({"itemIdentifier": record["messageId"]})).collect::<Vec<_>>()})
}

/// Reports a failed start, like a runtime that fails before it asks for work. (The crate does so only under
/// `SnapStart`.)
fn report_init_error() -> io::Result<()> {
    let address = env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
    let body = json!({"errorType": "Echo.Init", "errorMessage": "no configuration"}).to_string();
    let mut stream = TcpStream::connect(&address)?;
    let head = format!(
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())?;
    stream.read_to_string(&mut String::new())?;
    Ok(())
}
