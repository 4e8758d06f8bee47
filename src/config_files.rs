//! Reads configuration files from a directory, or those bundled into the program.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use cmslite_core::config::{Dataset, Mistake, Mistakes, parse, parse_all};

include!(concat!(env!("OUT_DIR"), "/bundled_config.rs"));

/// Reads the files of `directory`, or those bundled into the program if it is `None`.
///
/// # Errors
///
/// Every mistake of every file, including those between files; a directory that cannot be read or has no
/// configuration.
pub fn load_all(directory: Option<&Path>) -> Result<Vec<Dataset>, Mistakes> {
    let files = match directory {
        None => BUNDLED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        Some(directory) => read_directory(directory)?,
    };
    parse_all(&files)
}

/// Returns the names of the datasets of `directory`, or of those bundled into the program, whatever the files
/// contain. A configuration that cannot be read still has a name under which that can be reported.
pub fn names(directory: Option<&Path>) -> Vec<String> {
    let files: Vec<String> = match directory {
        None => BUNDLED.iter().map(|(name, _)| (*name).to_owned()).collect(),
        Some(directory) => {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        }
    };
    let mut names: Vec<String> =
        files.iter().filter_map(|file| file.strip_suffix(".json")).map(str::to_owned).collect();
    names.sort();
    names
}

/// The directory in which a dataset is looked for by name if no directory is given, before the bundled ones.
const BESIDE: &str = "config.d";

/// The reason why a named configuration could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unloaded {
    /// No dataset has this name.
    UnknownDataset {
        /// The name.
        name: String,
        /// The existing names.
        known: Vec<String>,
    },
    /// There is no file at this path.
    NoFile {
        /// The path.
        path: PathBuf,
        /// The names of existing datasets.
        known: Vec<String>,
    },
    /// The configuration has mistakes.
    Mistakes(Mistakes),
}

/// Reads a configuration by its path, or by the name of a dataset, which has no `/` and does not end in
/// `.json`. A dataset is looked for in `directory`; if that is `None`, in `config.d/` and among those bundled
/// into the program.
///
/// # Errors
///
/// Every mistake in it; a name that no dataset has; a path without a file.
pub fn load_named(config: &Path, directory: Option<&Path>) -> Result<Dataset, Unloaded> {
    let Some(name) = dataset_name(config) else {
        if std::fs::metadata(config).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Err(Unloaded::NoFile { path: config.to_owned(), known: known(directory) });
        }
        return load_file(config).map_err(Unloaded::Mistakes);
    };
    let file = format!("{name}.json");
    let path = directory.unwrap_or(Path::new(BESIDE)).join(&file);
    let bundled = || BUNDLED.iter().any(|(bundled, _)| directory.is_none() && *bundled == file);
    if path.is_file() {
        load_file(&path).map_err(Unloaded::Mistakes)
    } else if bundled() {
        let datasets = load_all(None).map_err(Unloaded::Mistakes)?;
        let found = datasets.into_iter().find(|dataset| dataset.name == name);
        found.ok_or_else(|| Unloaded::UnknownDataset { name: name.to_owned(), known: names(None) })
    } else if config.is_file() {
        load_file(config).map_err(Unloaded::Mistakes)
    } else {
        Err(Unloaded::UnknownDataset { name: name.to_owned(), known: known(directory) })
    }
}

/// Returns the names by which [`load_named`] finds a dataset.
pub fn known(directory: Option<&Path>) -> Vec<String> {
    let mut known = names(Some(directory.unwrap_or(Path::new(BESIDE))));
    if directory.is_none() {
        known.extend(names(None));
    }
    known.sort();
    known.dedup();
    known
}

/// Returns the directory that the environment names in place of the bundled configuration.
pub fn directory() -> Option<PathBuf> {
    std::env::var_os("CONFIG_DIR").filter(|directory| !directory.is_empty()).map(PathBuf::from)
}

/// Returns the name if `config` is the name of a dataset and not a path.
fn dataset_name(config: &Path) -> Option<&str> {
    let name = config.to_str()?;
    let is_one_part = matches!(config.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    let is_file = name.ends_with('/') || config.extension().is_some_and(|extension| extension == "json");
    (is_one_part && !is_file).then_some(name)
}

/// Reads one file.
///
/// # Errors
///
/// Every mistake in it.
pub fn load_file(path: &Path) -> Result<Dataset, Mistakes> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Mistakes(vec![Mistake::of_file(file.clone(), format!("cannot be read: {error}"))])
    })?;
    let mut dataset = parse(&file, &text)?;
    // The other files of the directory belong to other runs, and so do the mistakes in them. They matter only
    // if they match the same keys.
    let beside = path.parent().filter(|_| path.is_file()).map(|directory| match directory {
        empty if empty.as_os_str().is_empty() => read_directory(Path::new(".")),
        directory => read_directory(directory),
    });
    for (name, text) in beside.into_iter().flatten().flatten() {
        if let Ok(other) = parse(&name, &text) {
            dataset.add_rival(&other);
        }
    }
    Ok(dataset)
}

fn read_directory(directory: &Path) -> Result<BTreeMap<String, String>, Mistakes> {
    let fault = |reason| Mistakes(vec![Mistake::of_file(directory.display().to_string(), reason)]);
    let mut files = BTreeMap::new();
    for entry in
        std::fs::read_dir(directory).map_err(|error| fault(format!("CONFIG_DIR cannot be read: {error}")))?
    {
        let path = entry.map_err(|error| fault(format!("CONFIG_DIR cannot be read: {error}")))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| fault(format!("{} cannot be read: {error}", path.display())))?;
            files.insert(path.display().to_string(), text);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_is_bundled() {
        let names: Vec<String> = load_all(None).unwrap().into_iter().map(|dataset| dataset.name).collect();
        assert_eq!(names, ["cmslite_user_group_metadata"]);
        assert_eq!(super::names(None), names);
    }
}
