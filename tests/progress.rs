//! What a person sees while an archive is read: a bar on a terminal, lines elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod support;

use std::process::Command;
use std::time::Duration;

use devstack::s3::{Action, Fault};
use support::{PROGRAM, World, key, sample, world};

/// Runs its arguments on a terminal of their own, and writes what they write there.
const ON_A_TERMINAL: &str =
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/// An archive of which a part comes at once and the rest so much later.
async fn slow(rest_after: Duration) -> World {
    let world = world().await;
    world.put("a", &sample(1, 2000), 1);
    world.stack.s3.inject(Fault::on("GetObject", &key("a"), Action::CutBodyAfter(20_000)).times(1));
    world.stack.s3.inject(Fault::on("GetObject", &key("a"), Action::Delay(rest_after)).times(1));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_a_bar_and_is_left_clean() {
    let world = slow(Duration::from_secs(2)).await;
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    command
        .args(["-c", ON_A_TERMINAL, PROGRAM, "load"])
        .arg(world.config_file())
        .current_dir(directory.path());
    command
        .env_clear()
        .envs(world.environment.iter().map(|(name, value)| (name, value)))
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("TERM", "xterm");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(
        shown.contains(&key("a"))
            && shown.contains(" rows, ")
            && shown.contains("[=")
            && shown.contains("/s"),
        "{shown:?}"
    );
    // A carriage return and a cleared line stand before whatever follows a bar.
    let report = &shown[shown.rfind(" rows, ").unwrap()..];
    assert!(report.contains("\u{1b}[2K") && report.contains("loaded"), "{report:?}");
    assert_eq!(world.rows("cms_group").await.len(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_lines_tell_how_far_it_is() {
    let world = slow(Duration::from_secs(7)).await;
    let (output, _directory) = world.command(&["load", world.config_file().to_str().unwrap()]).await;
    let (shown, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{shown}{errors}");
    let line = shown.lines().find(|line| line.contains(":reading")).unwrap_or_else(|| panic!("{shown}"));
    assert!(
        line.contains(&key("a")) && line.contains("read_bytes=2") && line.contains("size_bytes="),
        "{line}"
    );
    assert!(!shown.contains('\u{1b}') && errors.is_empty(), "{shown:?} {errors:?}");
}
