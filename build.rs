//! Bundles `config.d/*.json` into the program, so that it is part of every build of the function.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=config.d");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("config.d"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    fs::write(out.join("bundled_config.rs"), table(&files)?)
}

/// Returns the texts rather than their paths: clones with the same target directory share this file.
fn table(files: &[PathBuf]) -> io::Result<String> {
    let mut code =
        String::from("/// The files of `config.d`, as name and text.\nconst BUNDLED: &[(&str, &str)] = &[\n");
    for path in files {
        let name = path.file_name().map_or(Path::new(""), Path::new).display().to_string();
        let _ = writeln!(code, "    ({name:?}, {:?}),", fs::read_to_string(path)?);
    }
    code.push_str("];\n");
    Ok(code)
}
