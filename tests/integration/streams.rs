//! Tests that standard output has only the result and standard error everything else, and that the work does
//! not depend on who reads them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use devstack::s3::{Action, Fault, Gate};
use serde_json::Value;
use tokio::time::sleep;

use crate::harness::terminal::{self, On};
use crate::harness::{Harness, PROGRAM, key, sample, temporary};

/// Runs a command in a directory, with the environment of a harness.
async fn run(harness: &Harness, command: Command, directory: &Path) -> Output {
    run_with(harness, command, directory, &[]).await
}

/// Runs a command as [`run`] does, with additional variables.
async fn run_with(
    harness: &Harness,
    mut command: Command,
    directory: &Path,
    environment: &[(&str, &str)],
) -> Output {
    command
        .current_dir(directory)
        .env_clear()
        .envs(harness.environment.iter().map(|(name, value)| (name, value)))
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("TERM", "xterm")
        .envs(environment.iter().copied());
    // This also closes the command's ends of the pipes.
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    command
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_alone_are_on_standard_output() {
    let harness = Harness::builder().appending().start().await;
    let shown = harness.put("a", &sample(1, 5), 1);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    let directory = temporary();
    let archive = directory.path().join("people.tgz");
    fs::write(&archive, sample(1, 5)).unwrap();
    for (arguments, first, says_steps) in [
        (["load", config, "--dry-run"].as_slice(), "Dry run: ", true),
        (&["load", config], "Report: ", true),
        (&["check", config], "Check: ", false),
        (&["check", "--offline", config], "Check, offline: ", false),
        (&["status", config], "Status: ", false),
        (&["status", config, "--html", "-"], "<!DOCTYPE html>", false),
        (&["show", config, &shown], &shown, false),
        (&["init", archive.to_str().unwrap()], "Wrote people.json and people.sql ", false),
    ] {
        let (Output { stdout, stderr, .. }, _directory) = harness.command(arguments).await;
        let (stdout, stderr) = (text(&stdout), text(&stderr));
        assert!(stdout.starts_with(first) && !stdout.contains("INFO:"), "{arguments:?}: {stdout}");
        assert!(!stdout.contains('\u{1b}'), "{stdout:?}");
        let is_log = stderr.lines().all(|line| line.starts_with("INFO:"));
        assert!(is_log && stderr.is_empty() != says_steps, "{arguments:?}: {stderr}");
    }
}

/// Returns the files that a command left in its directory.
fn left(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_alone_keeps_a_log_unless_one_is_named() {
    let harness = Harness::builder().appending().start().await;
    let shown = harness.put("a", &sample(1, 5), 1);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    let directory = temporary();
    let archive = directory.path().join("people.tgz");
    fs::write(&archive, sample(1, 5)).unwrap();
    for (arguments, files) in [
        (["status", config].as_slice(), [].as_slice()),
        (&["check", config], &[]),
        (&["check", "--offline", config], &[]),
        (&["status", config, "--html", "-"], &[]),
        (&["show", config, &shown], &[]),
        (&["init", archive.to_str().unwrap()], &["people.json", "people.sql"]),
        (&["validate", config, "none.tgz"], &[]),
        (&["completions", "bash"], &[]),
        (&["status", config, "--log-file", "a.log"], &["a.log"]),
        (&["--log-file=a.log", "check", config], &["a.log"]),
        (&["load", config, "--log-file", "a.log"], &["a.log"]),
        (&["load", config], &["logs"]),
    ] {
        let (output, directory) = harness.command(arguments).await;
        assert_eq!(left(directory.path()), files, "{arguments:?}: {output:?}");
        if files == ["a.log"] {
            let log = fs::read_to_string(directory.path().join("a.log")).unwrap();
            assert!(log.contains("DEBUG:cmslite_user_data_to_redshift"), "{arguments:?}: {log}");
        }
    }
    // What is not a regular file stays unchanged.
    let (output, _directory) = harness.command(&["status", config, "--log-file", "/dev/null"]).await;
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(fs::OpenOptions::new().append(true).open("/dev/null").is_ok());
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata("/dev/null").unwrap().permissions());
    assert_eq!(mode & 0o666, 0o666, "{mode:o}");
    // Without the log file, the command continues.
    let (output, _directory) = harness.command(&["status", config, "--log-file", "/dev/null/a.log"]).await;
    assert!(output.status.success() && text(&output.stderr).contains("no log file /dev/null/a.log: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_error_says_less_or_more_as_it_is_told() {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", &sample(1, 5), 1);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    for (arguments, levels) in [
        (["load", config, "-q"].as_slice(), [].as_slice()),
        (&["status", config, "-v"], &["DEBUG:"]),
        (&["load", config, "--again", &key("a"), "--verbose"], &["DEBUG:", "INFO:"]),
        (&["load", config, "--again", "none"], &["error[Deployment.NotAgain]: "]),
        (&["load", config, "--again", "none", "--quiet"], &["error[Deployment.NotAgain]: "]),
    ] {
        let (Output { stderr, .. }, _directory) = harness.command(arguments).await;
        let stderr = text(&stderr);
        assert!(levels.iter().all(|level| stderr.contains(level)), "{arguments:?}: {stderr}");
        for level in ["DEBUG:", "INFO:", "WARN:", "ERROR:"] {
            assert!(levels.contains(&level) || !stderr.contains(level), "{arguments:?}: {stderr}");
        }
    }
    let (output, _directory) = harness.command(&["status", config, "-q", "-v"]).await;
    assert_eq!(output.status.code(), Some(2));
}

/// What standard output or standard error is.
#[derive(Debug, Clone, Copy)]
enum Sink {
    /// A pipe whose reader has ended, as `head` does.
    ClosedPipe,
    /// A full disk.
    FullDisk,
}

impl Sink {
    fn open(self) -> Stdio {
        match self {
            Self::ClosedPipe => std::io::pipe().unwrap().1.into(),
            Self::FullDisk => File::options().write(true).open("/dev/full").unwrap().into(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_somebody_reads_changes_no_exit_status_and_no_work() {
    for sink in [Sink::ClosedPipe, Sink::FullDisk] {
        let harness = Harness::builder().appending().start().await;
        let config = harness.config_file();
        let config = config.to_str().unwrap();
        let directory = temporary();
        harness.put("a", &sample(1, 5), 1);
        harness.put("b", b"no archive", 2);
        harness.put("c", &sample(2, 5), 3);
        fs::write(directory.path().join("bad.tgz"), "no archive").unwrap();
        fs::write(directory.path().join("people.tgz"), sample(1, 5)).unwrap();
        for (arguments, status) in [
            (["load", config, "--limit", "1"].as_slice(), 0),
            (&["load", config, "--json"], 1),
            (&["load", config, "--dry-run"], 0),
            (&["check", config], 0),
            (&["check", "--offline", config], 0),
            (&["check", "--offline", config, "--json"], 0),
            (&["check", "--offline", "/none.json", "--json"], 2),
            (&["status", config], 0),
            (&["status", config, "--json"], 0),
            (&["status", config, "--html", "-"], 0),
            (&["status", config, "--html", "-", "--json"], 2),
            (&["status", "/none.json", "--json"], 2),
            (&["show", config, &key("b")], 0),
            (&["show", config, &key("b"), "--json"], 0),
            (&["show", config, "none", "--json"], 2),
            (&["init", "people.tgz"], 0),
            (&["init", "people.tgz", "--json"], 2),
            (&["init", "people.tgz", "--json", "--force"], 0),
            (&["validate", config, "bad.tgz"], 1),
            (&["validate", config, "bad.tgz", "--json"], 1),
            (&["completions", "zsh"], 0),
            (&["--help"], 0),
            (&["load", "--no-such", "--json"], 2),
        ] {
            let mut command = program(arguments);
            command.stdout(sink.open());
            let output = run(&harness, command, directory.path()).await;
            let stderr = text(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{sink:?} {arguments:?}: {stderr}");
            assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
            let warnings = stderr.matches("the result is not complete").count();
            let expected = match sink {
                // Whoever closes the pipe knows that the result is not complete.
                Sink::ClosedPipe => 0,
                Sink::FullDisk if arguments == ["--help"] || arguments.contains(&"--no-such") => warnings,
                Sink::FullDisk => 1,
            };
            assert_eq!(warnings, expected, "{sink:?} {arguments:?}: {stderr}");
        }
        assert!(left(directory.path()).iter().any(|name| name == "people.sql"));
        assert_eq!(harness.ledger().await.len(), 1);
        assert!(harness.is_good("a") && harness.is_bad("b") && harness.is_unsettled("c"));

        // It does not matter either who reads standard error.
        let mut command = program(&["load", config]);
        command.stderr(sink.open());
        let output = run(&harness, command, directory.path()).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(harness.is_good("c") && text(&output.stdout).starts_with("Report: "), "{output:?}");
        let mut command = program(&["load", config, "--again", "none"]);
        command.stderr(sink.open()).stdout(sink.open());
        assert_eq!(run(&harness, command, directory.path()).await.status.code(), Some(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_for_one_stream_is_none_for_the_other() {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", &sample(1, 5), 1);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    let directory = temporary();
    let mut command = terminal::program(On::StandardError);
    command.args(["load", config, "--json"]);
    let output = run(&harness, command, directory.path()).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // A pipe gets only JSON, and the terminal shows no messages of libraries.
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["objects_good"], 1, "{document}");
    assert!(!text(&output.stderr).contains("ANSI") && !text(&output.stderr).contains("ansi"), "{output:?}");
    // A bar is drawn on standard error only if that is a terminal and progress is wanted.
    for (on, option, is_drawn) in
        [(On::StandardError, "-v", true), (On::StandardError, "-q", false), (On::StandardOutput, "-v", false)]
    {
        let gate = Gate::new();
        harness.stack.s3.inject(Fault::on("GetObject", &key("a"), Action::Wait(gate.clone())).times(1));
        let (mut command, errors) = (terminal::program(on), directory.path().join("errors"));
        command.args(["load", config, "--again", &key("a"), "--color=never", option]);
        command.stderr(File::create(&errors).unwrap());
        let is_shown = || text(&fs::read(&errors).unwrap()).contains("\u{1b}[");
        // The archive is read until the bar is drawn, or until it would have been drawn.
        let reading = async {
            gate.reached().await;
            for _ in 0..if is_drawn { 3_000 } else { 25 } {
                if is_shown() {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
            gate.open();
        };
        let (output, ()) = tokio::join!(run(&harness, command, directory.path()), reading);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(is_shown(), is_drawn, "{on:?} {option}: {output:?}");
        assert!(!text(&output.stdout).contains('\u{1b}'), "{on:?} {option}: {output:?}");
    }
    for on in [On::Both, On::StandardOutput] {
        let mut command = terminal::program(on);
        command.args(["status", config]);
        let output = run(&harness, command, directory.path()).await;
        let shown = text(&output.stdout);
        assert!(shown.contains("Queue 0, superseded 0, bad 0, good 1"), "{on:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{on:?}: {output:?}");
    }
}

/// Colours depend on which streams are a terminal, and on the environment and options.
#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_unless_somebody_wants_it_otherwise() {
    const NONE: &[(&str, &str)] = &[];
    let harness = Harness::builder().appending().start().await;
    harness.put("a", b"no archive", 1);
    let config = harness.config_file();
    let config = config.to_str().unwrap();
    let directory = temporary();
    for (on, environment, options, is_coloured) in [
        (Some(On::Both), NONE, "", true),
        (Some(On::StandardOutput), NONE, "", true),
        (Some(On::StandardError), NONE, "", false),
        (None, NONE, "", false),
        (Some(On::Both), &[("NO_COLOR", "1")], "", false),
        (Some(On::Both), &[("TERM", "dumb")], "", false),
        (Some(On::Both), NONE, "--color=never", false),
        (Some(On::Both), NONE, "--json", false),
        (None, &[("CLICOLOR_FORCE", "1")], "", true),
        (None, &[("CLICOLOR_FORCE", "1")], "--color=never", false),
        (None, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], "", false),
        (None, &[("NO_COLOR", "1")], "--color=always", true),
        (None, NONE, "--color=always --json", false),
    ] {
        let command = |arguments: &str| {
            let mut command = on.map_or_else(|| Command::new(PROGRAM), terminal::program);
            command.args(arguments.split_whitespace()).args(options.split_whitespace());
            command
        };
        let output =
            run_with(&harness, command(&format!("load --dry-run {config}")), directory.path(), environment);
        let output = output.await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        // The bar on a terminal's standard error has other sequences.
        let has_colour = text(&output.stdout).contains("\u{1b}[31mBAD ");
        assert_eq!(has_colour, is_coloured, "{on:?} {environment:?} {options}: {output:?}");
        if on != Some(On::StandardOutput) {
            // Errors and the messages of clap follow the same rules.
            let is_coloured =
                is_coloured || on == Some(On::StandardError) || options == "--color=always --json";
            let is_coloured = is_coloured || on == Some(On::Both) && options == "--json";
            for arguments in ["status none", "no-such-command"] {
                let output = run_with(&harness, command(arguments), directory.path(), environment).await;
                assert_eq!(output.status.code(), Some(2), "{output:?}");
                let both = [output.stdout.as_slice(), &output.stderr].concat();
                let has_colour = text(&both).contains("\u{1b}[31merror");
                assert_eq!(has_colour, is_coloured, "{on:?} {environment:?} {options}: {both:?}");
            }
        }
    }
}
