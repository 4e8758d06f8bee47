//! Asks the machine's `python3`, so that tests can compare its answers with the core's.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::Serialize;

/// Runs a program with one line of JSON for each question, and returns the lines of its answer. The test
/// fails if `python3` is missing or does not answer.
pub fn ask(program: &str, questions: &[impl Serialize]) -> Vec<String> {
    let mut command = Command::new("python3");
    // The program is passed as text: a path would not outlive the checkout in which the test was built.
    command.args(["-I", "-W", "ignore", "-c", program]);
    // The names are those of the C locale, and `%Z` has no zone of the machine's own.
    command.env("LC_ALL", "C").env("TZ", "UTC0").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = command
        .spawn()
        .unwrap_or_else(|error| panic!("python3, which is the other opinion, does not start: {error}"));
    let lines: String =
        questions.iter().map(|question| serde_json::to_string(question).unwrap() + "\n").collect();
    let (mut stdin, mut stdout) = (python.stdin.take().unwrap(), python.stdout.take().unwrap());
    // If writing fails, answers are missing, and the caller notices that.
    let writer = thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let (answered, answers) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = answered.send(stdout.read_to_string(&mut text).map(|_| text));
    });
    let Ok(text) = answers.recv_timeout(Duration::from_secs(300)) else {
        let _ = python.kill();
        let _ = python.wait();
        panic!("python3 does not answer");
    };
    let text = text.unwrap();
    let _ = writer.join().unwrap();
    let status = python.wait().unwrap();
    assert!(status.success(), "python3 ended with {status}");
    text.lines().map(str::to_owned).collect()
}
