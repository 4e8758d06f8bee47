//! Tests that guarded processes and directories do not outlive their owner.
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use devstack::guard::{self, Directory};

/// The variable that marks a process that a test starts in order to kill it.
const OWNER: &str = "DEVSTACK_OWNER";

/// The arguments of a shell that starts two processes of an hour and reports that. Its standard error stays
/// open as long as one of them runs.
const TWO_PROCESSES: [&str; 2] = ["-c", "sleep 3600 & echo started >&2; sleep 3600"];

#[test]
fn a_command_and_what_it_started_are_killed_with_their_owner() {
    if std::env::var_os(OWNER).is_some() {
        let (mut command, _owner) = guard::command("sh").unwrap();
        let _ = command.args(TWO_PROCESSES).spawn().unwrap().wait();
    }
    let name = "a_command_and_what_it_started_are_killed_with_their_owner";
    let mut owner = crate::test_in_a_process(module_path!(), name).env(OWNER, "").spawn().unwrap();
    let mut said = BufReader::new(owner.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    owner.kill().unwrap();
    owner.wait().unwrap();
    // The stream ends when all processes have ended, which takes an hour if they are not killed.
    assert_eq!(said.read_to_string(&mut line).unwrap(), 0);
}

#[test]
fn a_command_and_what_it_started_are_killed_when_the_owner_lets_go() {
    let (mut command, owner) = guard::command("sh").unwrap();
    let mut child = command.args(TWO_PROCESSES).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    drop(owner);
    assert_eq!(said.read_to_string(&mut line).unwrap(), 0);
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_command_has_its_arguments_and_its_exit_status_is_its_own() {
    let script = "printf '%s,' \"$@\"; wait; exit 3";
    let output = guard::output("sh", |command| {
        command.args(["-c", script, "sh", "it's", "", "two\nlines", "$HOME *"]);
    });
    let output = output.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's,,two\nlines,$HOME *,");
    assert_eq!(output.status.code(), Some(3));
    let killed = guard::output("sh", |command| {
        command.args(["-c", "kill -s TERM $$"]);
    });
    assert_eq!(killed.unwrap().status.signal(), Some(15));
}

#[test]
fn a_directory_is_there_until_it_is_dropped() {
    let directory = Directory::make("guard-test-").unwrap();
    let path = directory.path().to_owned();
    assert_ne!(path, Directory::make("guard-test-").unwrap().path());
    fs::create_dir(path.join("within")).unwrap();
    fs::write(path.join("within/file"), "text").unwrap();
    drop(directory);
    assert!(!path.exists());
}

#[test]
fn a_directory_runs_commands_and_says_what_one_that_fails_has_written() {
    let mut directory = Directory::make("guard-test-").unwrap();
    let path = directory.path().join("out put");
    let arguments = ["sh", "-c", "printf '%s,' \"$@\" >\"$0\""].map(OsStr::new);
    let mut command = arguments.to_vec();
    command.extend([path.as_os_str(), OsStr::new("it's"), OsStr::new(""), OsStr::new("$HOME *; exit")]);
    directory.run(&command).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "it's,,$HOME *; exit,");
    assert_eq!(
        directory.run(&[OsStr::new("two\nlines")]).unwrap_err().kind(),
        std::io::ErrorKind::InvalidInput
    );
    let error = directory.run(&["sh", "-c", "echo out; echo error >&2; exit 1"].map(OsStr::new)).unwrap_err();
    assert_eq!(error.to_string(), "out\nerror");
}

/// The guard also sends INT, since a server may delay its end after TERM, as PostgreSQL does until its
/// clients have left.
#[test]
fn a_server_is_ended_and_waited_for_before_its_directory_is_removed() {
    let mut directory = Directory::make("guard-test-").unwrap();
    let path = directory.path().to_owned();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let script = "
import os, signal, sys, time
def end(*_):
    time.sleep(0.2)
    open(sys.argv[2], 'w').write(' '.join(os.listdir(sys.argv[1])))
    sys.exit()
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGINT, end)
print('ready', file=sys.stderr, flush=True)
while True:
    signal.pause()";
    let program = path.join("server.py");
    fs::write(&program, script).unwrap();
    let command = [OsStr::new("python3"), program.as_os_str(), path.as_os_str(), outside.path().as_os_str()];
    directory.start(&command, |line| line == "ready").unwrap();
    drop(directory);
    assert!(!path.exists());
    assert_eq!(fs::read_to_string(outside.path()).unwrap(), "server.py");
}

/// A shell starts the server with INT ignored.
#[test]
fn a_server_without_handlers_is_ended_too() {
    let mut directory = Directory::make("guard-test-").unwrap();
    let command = ["sh", "-c", "echo ready >&2; exec sleep 3600"].map(OsStr::new);
    directory.start(&command, |line| line == "ready").unwrap();
    drop(directory);
}

#[test]
fn a_server_that_ends_before_it_is_ready_is_an_error_with_its_words() {
    let mut directory = Directory::make("guard-test-").unwrap();
    let command = ["sh", "-c", "echo no luck >&2"].map(OsStr::new);
    assert_eq!(directory.start(&command, |line| line == "ready").unwrap_err().to_string(), "no luck");
}
