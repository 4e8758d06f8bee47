//! Tests the progress that is shown while an archive is read: a bar on a terminal, lines elsewhere.

use std::process::Stdio;

use devstack::s3::{Action, Fault, Gate};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::terminal::{self, On};
use crate::harness::{HANGS_AFTER, Harness, PROGRAM, key, sample, temporary};

/// Returns a harness with an archive of which S3 sends one part at once, and the rest when the gate is
/// opened.
async fn in_two_parts() -> (Harness, Gate) {
    let harness = Harness::start().await;
    harness.put("a", &sample(1, 2000), 1);
    let gate = Gate::new();
    harness.stack.s3.inject(Fault::on("GetObject", &key("a"), Action::CutBodyAfter(20_000)).times(1));
    harness.stack.s3.inject(Fault::on("GetObject", &key("a"), Action::Wait(gate.clone())).times(1));
    (harness, gate)
}

/// Runs a command, and opens the gate when it has shown `wanted`.
async fn run(command: &mut Command, harness: &Harness, gate: &Gate, wanted: impl Fn(&str) -> bool) -> String {
    let directory = temporary();
    let mut child = command
        .current_dir(directory.path())
        .env_clear()
        .envs(harness.environment.iter().map(|(name, value)| (name, value)))
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("TERM", "xterm")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    let ended = async {
        while !wanted(&String::from_utf8_lossy(&shown)) {
            let count = stdout.read_buf(&mut shown).await.unwrap();
            assert!(count > 0, "it ended without it: {}", String::from_utf8_lossy(&shown));
        }
        gate.open();
        stdout.read_to_end(&mut shown).await.unwrap();
        child.wait_with_output().await.unwrap()
    };
    let output = timeout(HANGS_AFTER, ended).await;
    let shown = String::from_utf8_lossy(&shown).into_owned();
    let output = output.unwrap_or_else(|_| panic!("it did not show it: {shown:?}"));
    assert!(output.status.success(), "{shown} {}", String::from_utf8_lossy(&output.stderr));
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_a_bar_and_is_left_clean() {
    let (harness, gate) = in_two_parts().await;
    let mut command = Command::from(terminal::program(On::Both));
    command.arg("load").arg(harness.config_file());
    let is_a_bar = |shown: &str| shown.contains(" rows, ") && shown.contains("[=");
    let shown = run(&mut command, &harness, &gate, is_a_bar).await;
    assert!(shown.contains(&key("a")) && shown.contains("/s"), "{shown:?}");
    // The text after a bar starts with a carriage return and a cleared line.
    let report = &shown[shown.rfind(" rows, ").unwrap()..];
    assert!(report.contains("\u{1b}[2K") && report.contains("loaded"), "{report:?}");
    assert_eq!(harness.rows("cms_group").await.len(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_lines_tell_how_far_it_is() {
    let (harness, gate) = in_two_parts().await;
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2>&1", PROGRAM, "load"]).arg(harness.config_file());
    let is_told = |line: &&str| line.contains(":reading") && line.contains("read_bytes=2");
    // An incomplete line does not count.
    let is_shown =
        |shown: &str| shown.rsplit_once('\n').is_some_and(|(whole, _)| whole.lines().find(is_told).is_some());
    let shown = run(&mut command, &harness, &gate, is_shown).await;
    let line = shown.lines().find(is_told).unwrap();
    assert!(line.contains(&key("a")) && line.contains("size_bytes="), "{line}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}
