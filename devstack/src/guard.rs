//! Ends processes and removes directories with their owner, however the owner ends, also by SIGKILL.
//!
//! A guard is a small shell process that reads a pipe whose other end only the owner holds. The system closes
//! that end when the owner is gone; the guard then ends the processes and removes the directory. The guard
//! starts before what it guards exists: it creates a directory and its server itself, and a command begins
//! only after its guard has begun.
//!
//! A guard has a process group of its own, so that Ctrl-C at the terminal reaches only its owner. It keeps
//! the owner's standard error: a reader that reaches its end knows that the owner, the guard and its server
//! are all gone.

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::{env, thread};

const SHELL: &str = "/bin/sh";

/// The script that carries out what its owner writes, line by line, until the owner is gone. `$1` is the
/// directory.
///
/// - `run` answers `done`, or the command's output, and ends.
/// - `start` closes the guard's own standard output, so that its reader sees the end of the server.
/// - The server gets TERM and then INT. A shell starts it with INT ignored: until PostgreSQL has handlers of
///   its own, only TERM ends it. After that, TERM would wait for its clients, and INT does not. PostgreSQL
///   blocks both while it installs its handlers, so neither is lost. KILL is never used: it would leave shared
///   memory.
/// - TERM has no handler while the server is forked: its copy of the shell would take the signal and forget
///   it.
/// - A write to an owner that is gone must not end the guard.
const DIRECTORY_GUARD: &str = r#"
directory=$1 server=
clean() {
  trap '' HUP INT TERM
  if [ -n "$server" ]; then
    kill -s TERM "$server"
    kill -s INT "$server"
    wait "$server"
  fi 2>/dev/null
  rm -rf "$directory"
}
run() {
  if "$@" >"$directory/log" 2>&1 </dev/null; then
    echo done 2>/dev/null
  else
    cat "$directory/log" 2>/dev/null
    exit 1
  fi
}
start() {
  trap - TERM
  "$@" 3>&2 2>&1 >&3 3>&- </dev/null &
  server=$!
  trap 'exit 1' TERM
  exec >/dev/null
}
trap : PIPE
trap '' HUP INT TERM
mkdir -m 700 "$directory" 2>&1 || exit 1
trap clean EXIT
trap 'exit 1' HUP INT TERM
echo done 2>/dev/null
while IFS= read -r line; do eval "$line"; done
"#;

/// The script that becomes the command, once a guard exists that kills the command's process group. The guard
/// is not a child of the command, which may wait for its own children; a group's number is not used again
/// while the guard is in the group.
const COMMAND_GUARD: &str = r#"
exec 3<&0 </dev/null
( (while read -r _; do :; done; kill -s KILL 0) <&3 >/dev/null 2>&1 & )
exec 3<&-
unset PWD OLDPWD SHLVL
exec "$@"
"#;

/// The owner's end of a guard's pipe.
#[derive(Debug)]
#[must_use = "dropping it kills what is guarded"]
pub struct OwnerPipe {
    _writer: io::PipeWriter,
}

/// Creates a command whose process, and every process of its group, is killed when the [`OwnerPipe`] is
/// dropped or this process is gone. Its standard input is `/dev/null`.
///
/// # Errors
///
/// The pipe cannot be created.
pub fn command(program: impl AsRef<OsStr>) -> io::Result<(Command, OwnerPipe)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(SHELL);
    command.args(["-c", COMMAND_GUARD, "guard"]).arg(program).process_group(0).stdin(reader);
    Ok((command, OwnerPipe { _writer: writer }))
}

/// Runs a command from [`command`] to its end, and returns its output.
///
/// # Errors
///
/// The command cannot be started, or its output cannot be read.
pub fn output(program: impl AsRef<OsStr>, change: impl FnOnce(&mut Command)) -> io::Result<Output> {
    let (mut command, _owner) = self::command(program)?;
    change(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    command.spawn()?.wait_with_output()
}

/// A temporary directory that is removed when this is dropped or this process is gone, and a server that may
/// run in it, which is ended first.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    guard: Child,
    owner: Option<ChildStdin>,
    /// The guard's answers; `None` once a thread reads them.
    answers: Option<BufReader<ChildStdout>>,
}

impl Directory {
    /// Creates a directory that only this process's user can enter.
    ///
    /// # Errors
    ///
    /// The output of `mkdir`.
    pub fn make(prefix: &str) -> io::Result<Self> {
        Self::make_as(prefix, None)
    }

    /// Creates a directory as another user, given by numeric ids.
    ///
    /// # Errors
    ///
    /// The output of `mkdir`.
    pub fn make_as(prefix: &str, user: Option<(u32, u32)>) -> io::Result<Self> {
        let path = std::path::absolute(env::temp_dir())?.join(format!("{prefix}{}", random_name()));
        let mut guard = Command::new(SHELL);
        guard.args(["-c", DIRECTORY_GUARD, "guard"]).arg(&path);
        if let Some((uid, gid)) = user {
            guard.uid(uid).gid(gid);
        }
        // The guard's user may not be able to enter the owner's directory.
        guard.current_dir("/").env("LC_ALL", "C").process_group(0);
        let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (owner, answers) = (guard.stdin.take(), guard.stdout.take().map(BufReader::new));
        let mut directory = Self { path, guard, owner, answers };
        directory.wait_until(|line| line == "done")?;
        Ok(directory)
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a command under the guard, to its end. It is not interrupted if the owner ends in the meantime.
    ///
    /// # Errors
    ///
    /// The output of a command that failed.
    pub fn run(&mut self, command: &[&OsStr]) -> io::Result<()> {
        self.request("run", command)?;
        self.wait_until(|line| line == "done")
    }

    /// Starts a server and returns once a line on its standard error says that it is ready.
    ///
    /// # Errors
    ///
    /// The output of a server that ended first.
    pub fn start(&mut self, command: &[&OsStr], is_ready: impl Fn(&str) -> bool) -> io::Result<()> {
        self.request("start", command)?;
        self.wait_until(is_ready)?;
        if let Some(mut answers) = self.answers.take() {
            // A full pipe would stop the server.
            thread::Builder::new()
                .name("server-log".to_owned())
                .spawn(move || io::copy(&mut answers, &mut io::sink()))?;
        }
        Ok(())
    }

    fn request(&mut self, what: &str, command: &[&OsStr]) -> io::Result<()> {
        let mut line = what.as_bytes().to_vec();
        for argument in command {
            quote(argument.as_bytes(), &mut line)?;
        }
        line.push(b'\n');
        self.owner.as_mut().map_or(Ok(()), |owner| owner.write_all(&line))
    }

    /// Reads up to the awaited line. If it does not come, the error has the lines that came instead.
    fn wait_until(&mut self, is_awaited: impl Fn(&str) -> bool) -> io::Result<()> {
        let Some(answers) = &mut self.answers else { return Err(io::Error::other("a server runs already")) };
        let mut said = Vec::new();
        loop {
            let begin = said.len();
            if answers.by_ref().read_until(b'\n', &mut said)? == 0 {
                return Err(io::Error::other(String::from_utf8_lossy(&said).trim().to_owned()));
            }
            if is_awaited(String::from_utf8_lossy(&said[begin..]).trim_end()) {
                return Ok(());
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(self.owner.take());
        let _ = self.guard.wait();
    }
}

/// Adds an argument, quoted for the shell.
fn quote(argument: &[u8], line: &mut Vec<u8>) -> io::Result<()> {
    if argument.contains(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a line feed in an argument"));
    }
    line.extend(b" '");
    for &byte in argument {
        if byte == b'\'' {
            line.extend(br"'\''");
        } else {
            line.push(byte);
        }
    }
    line.push(b'\'');
    Ok(())
}

/// Returns a name that cannot be predicted. It is short, because a socket's path may have about a hundred
/// bytes.
fn random_name() -> String {
    format!("{:012x}", RandomState::new().build_hasher().finish() >> 16)
}

/// Checks whether this process belongs to root.
///
/// # Errors
///
/// The pipe that shows the owner cannot be created or read.
pub fn is_root() -> io::Result<bool> {
    // A pipe belongs to the process that creates it, and leaves nothing behind.
    let (reader, _writer) = io::pipe()?;
    Ok(File::from(OwnedFd::from(reader)).metadata()?.uid() == 0)
}
