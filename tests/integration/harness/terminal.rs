//! Gives a process a terminal of its own: a pseudo-terminal, created by Python.

use std::process::Command;

use super::PROGRAM;

/// The script that runs its arguments with some of their streams on a terminal: in the first argument, `o` is
/// standard output, `e` standard error. Their output goes to this process's stream of that name, the first if
/// it is both.
const RUN: &str = r#"
import os, pty, subprocess, sys
which, command = sys.argv[1], sys.argv[2:]
master, slave = pty.openpty()
child = subprocess.Popen(command, stdin=slave, stdout=slave if "o" in which else None, stderr=slave if "e" in which else None)
os.close(slave)
out = 1 if "o" in which else 2
while True:
    try:
        shown = os.read(master, 65536)
    except OSError:
        break
    if not shown:
        break
    os.write(out, shown)
sys.exit(child.wait())
"#;

/// The streams of a process that are on the terminal; the others are as the test sets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Both,
    StandardOutput,
    StandardError,
}

/// Returns the program on a terminal. The output of both streams comes on standard output.
pub fn program(on: On) -> Command {
    let which = match on {
        On::Both => "oe",
        On::StandardOutput => "o",
        On::StandardError => "e",
    };
    let mut command = Command::new("python3");
    command.args(["-c", RUN, which, PROGRAM]);
    command
}
