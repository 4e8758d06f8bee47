//! Measures a cold start: from the start of a process to its first request.

use std::fs;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::archives::TRIES;
use super::function::Connection;
use super::table::{Table, megabytes, number};
use super::{Bench, PROGRAM};

/// Prints both measurements.
pub fn print(bench: &Bench) {
    let table = Table::begin(
        &format!("Starts, each the best of {}:", 2 * TRIES),
        &[
            "program, MB",
            "start to the first poll of the runtime API, ms",
            "start to the first byte to S3, ms",
        ],
    );
    let best = |start: fn(&Bench) -> Duration| (0..2 * TRIES).map(|_| start(bench)).min().unwrap();
    let milliseconds = |time: Duration| number(time.as_secs_f64() * 1e3, 1);
    let program = fs::metadata(PROGRAM).unwrap().len();
    table.row(&[megabytes(program), milliseconds(best(first_poll)), milliseconds(best(first_byte_to_s3))]);
}

/// Measures the time from the start of a process to its first request to Lambda's runtime API.
fn first_poll(bench: &Bench) -> Duration {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let process = start(bench, &api, &[]);
    let (mut connection, _) = api.accept().unwrap();
    assert!(head(&mut connection).contains("/next"));
    let took = begun.elapsed();
    end(process);
    took
}

/// Measures the time from the start of a process, with an invocation waiting, to its first byte to S3.
fn first_byte_to_s3(bench: &Bench) -> Duration {
    let [api, s3] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let endpoint = format!("http://{}", s3.local_addr().unwrap());
    let begun = Instant::now();
    let process = start(bench, &api, &[("AWS_ENDPOINT_URL", endpoint.as_str())]);
    let (mut connection, _) = api.accept().unwrap();
    assert!(head(&mut connection).contains("/next"));
    connection.write_all(invocation().as_bytes()).unwrap();
    let (mut connection, _) = s3.accept().unwrap();
    connection.read_exact(&mut [0]).unwrap();
    let took = begun.elapsed();
    end(process);
    took
}

/// Returns an answer of the runtime API (AWS Lambda Developer Guide, "Using the Lambda runtime API").
fn invocation() -> String {
    let body = r#"{"dataset": "cmslite_user_group_metadata"}"#;
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(900);
    format!(
        "HTTP/1.1 200 OK\r\n\
         Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
         Lambda-Runtime-Deadline-Ms: {}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:ca-central-1:000000000000:function:measure\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        deadline.as_millis(),
        body.len()
    )
}

fn start(bench: &Bench, api: &TcpListener, more: &[(&str, &str)]) -> Child {
    Command::new(PROGRAM)
        .envs(bench.environment(Connection::Http))
        .env("AWS_LAMBDA_RUNTIME_API", api.local_addr().unwrap().to_string())
        .envs([
            ("AWS_LAMBDA_FUNCTION_NAME", "measure"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ])
        .envs([("AWS_LAMBDA_LOG_GROUP_NAME", "g"), ("AWS_LAMBDA_LOG_STREAM_NAME", "s")])
        .envs(more.iter().copied())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads the head of a request.
fn head(connection: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn end(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}
