//! Another opinion: the machine's `python3`.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::Serialize;

/// Runs a program with a line of JSON for each question, and returns the lines that it answers. A `python3` that
/// is not there, or does not answer, fails the test.
pub fn ask(program: &str, questions: &[impl Serialize]) -> Vec<String> {
    let mut command = Command::new("python3");
    // The source itself: a path would not outlive the checkout that the test was built in.
    command.args(["-I", "-W", "ignore", "-c", program]);
    // The names of the C locale, and no zone of the machine's own for %Z.
    command.env("LC_ALL", "C").env("TZ", "UTC0").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = command
        .spawn()
        .unwrap_or_else(|error| panic!("python3, which is the other opinion, does not start: {error}"));
    let lines: String =
        questions.iter().map(|question| serde_json::to_string(question).unwrap() + "\n").collect();
    let (mut stdin, mut stdout) = (python.stdin.take().unwrap(), python.stdout.take().unwrap());
    // A pipe that breaks shows as answers that are missing.
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
