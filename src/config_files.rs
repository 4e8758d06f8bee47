//! Configuration files, from a directory or bundled into the program.

use std::collections::BTreeMap;
use std::path::Path;

use cmslite_core::config::{Dataset, Mistake, Mistakes, parse, parse_all};

include!(concat!(env!("OUT_DIR"), "/bundled_config.rs"));

/// Reads the files of `directory`, or those bundled into the program when there is none given.
///
/// # Errors
///
/// Every mistake of every file, those between files included; a directory that cannot be read or holds no
/// configuration.
pub fn load_all(directory: Option<&Path>) -> Result<Vec<Dataset>, Mistakes> {
    let files = match directory {
        None => BUNDLED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        Some(directory) => read_directory(directory)?,
    };
    parse_all(&files)
}

/// The names of the datasets of `directory`, or of those bundled into the program, whatever their files hold:
/// a configuration that cannot be read still has a name under which that can be told.
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
    // What stands beside it is another run's business, unless it wants the same keys. A mistake in it is too.
    let beside = path.parent().filter(|_| path.is_file()).map(|directory| match directory {
        empty if empty.as_os_str().is_empty() => read_directory(Path::new(".")),
        directory => read_directory(directory),
    });
    for (name, text) in beside.into_iter().flatten().flatten() {
        if let Ok(other) = parse(&name, &text) {
            dataset.meet(&other);
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
