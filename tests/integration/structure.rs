//! Tests the structure of the crates: which module may use which, which external crate is used where, and how
//! long a file may be. docs/explanation/architecture.md has the reasons.

mod rules;
mod source;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use rules::{Room, Rules, findings};
use source::Files;

/// A crate of the workspace.
struct Crate {
    /// The directory of its sources.
    directory: &'static str,
    rules: Rules,
    /// Its package, and the packages that must not be among its dependencies. A name may end with `*`.
    without: Option<(&'static str, &'static [&'static str])>,
}

const CRATES: &[Crate] = &[
    Crate {
        directory: "core/src",
        rules: Rules { rooms: CORE, most_lines: MAX_LINES },
        without: Some(("cmslite-core", CORE_WITHOUT)),
    },
    Crate { directory: "src", rules: Rules { rooms: PROGRAM, most_lines: MAX_LINES }, without: None },
    Crate {
        directory: "devstack/src",
        rules: Rules { rooms: DEVSTACK, most_lines: MAX_LINES },
        without: None,
    },
];

const MAX_LINES: usize = 450;

/// The core decides and does no I/O: it takes bytes and values, and returns bytes and values.
const CORE: &[Room] = &[
    Room { path: "tokio*", only: &[] },
    Room { path: "aws_sdk_*", only: &[] },
    Room { path: "aws_config", only: &[] },
    Room { path: "aws_smithy_*", only: &[] },
    Room { path: "std::fs", only: &[] },
    Room { path: "std::net", only: &[] },
    Room { path: "std::env", only: &[] },
    Room { path: "std::process", only: &[] },
    Room { path: "std::time::SystemTime", only: &[] },
    Room { path: "std::time::Instant", only: &[] },
    Room { path: "chrono::Utc::now", only: &[] },
    Room { path: "chrono::Local", only: &[] },
];

const CORE_WITHOUT: &[&str] = &["tokio", "tokio-*", "aws-sdk-*", "aws-config", "aws-smithy-*"];

const PROGRAM: &[Room] = &[
    Room { path: "lambda_runtime", only: &["lambda"] },
    Room { path: "aws_lambda_events", only: &["lambda"] },
    Room { path: "clap", only: &["cli"] },
    Room { path: "clap_complete", only: &["cli"] },
    Room { path: "maud", only: &["page"] },
    Room { path: "indicatif", only: &["cli"] },
    Room { path: "strsim", only: &["cli"] },
    Room { path: "anstream", only: &["cli::color"] },
    Room { path: "anstyle", only: &["cli::color"] },
    Room { path: "tracing_subscriber", only: &["cli::logging", "lambda::logging", "log_filter"] },
    Room { path: "aws_config", only: &["clients", "s3", "sns", "redshift"] },
    Room { path: "aws_sdk_s3", only: &["s3"] },
    Room { path: "aws_runtime", only: &["s3"] },
    Room { path: "aws_smithy_checksums", only: &["s3"] },
    Room { path: "md5", only: &["s3"] },
    Room { path: "aws_sdk_sns", only: &["sns"] },
    Room { path: "aws_sdk_secretsmanager", only: &["redshift::login"] },
    Room { path: "aws_sdk_redshift", only: &["redshift::login"] },
    Room { path: "aws_sdk_redshiftserverless", only: &["redshift::login"] },
    Room { path: "tokio_postgres", only: &["redshift"] },
    Room { path: "native_tls", only: &["redshift"] },
    Room { path: "postgres_native_tls", only: &["redshift"] },
    Room { path: "sha2", only: &["redshift", "s3"] },
    Room { path: "unicode_width", only: &["validate"] },
];

const DEVSTACK: &[Room] = &[
    Room { path: "clap", only: &["main"] },
    Room { path: "tracing_subscriber", only: &["main"] },
    Room { path: "s3s", only: &["s3"] },
    Room { path: "rcgen", only: &["certificates"] },
    Room { path: "native_tls", only: &["certificates"] },
    Room { path: "tokio_native_tls", only: &["certificates", "redshift", "tls_proxy"] },
];

#[test]
fn every_crate_keeps_to_its_structure() {
    let mut wrong = Vec::new();
    for it in CRATES {
        let files = read(&workspace().join(it.directory));
        assert!(files.contains_key("lib.rs"), "{} is no crate", it.directory);
        match findings(&files, &it.rules) {
            Ok(found) => wrong.extend(found.iter().map(|finding| format!("{}/{finding}", it.directory))),
            Err(failure) => wrong.push(format!("{}/{failure}", it.directory)),
        }
        if let Some((package, without)) = it.without {
            let found = dependencies(package, without);
            wrong.extend(found.iter().map(|name| format!("{}: {package} depends on {name}", it.directory)));
        }
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

/// The sample breaks each rule. Each violation is found in its place, and nothing else.
#[test]
fn the_sample_is_refused() {
    let files = read(&workspace().join("tests/samples/structure"));
    let found = told(&files, &Rules { rooms: CORE, most_lines: 12 });
    let expected = [
        "archive.rs:3: archive names queue, but in lib.rs mod queue stands above mod archive: a file names only modules further down",
        "clock.rs:6: std::fs is for no module of this crate",
        "clock.rs:7: chrono::Utc::now is for no module of this crate",
        "csv.rs:8: a circle: csv.rs names csv/reader.rs in line 8, csv/reader.rs names csv.rs in line 3",
        "forgotten.rs:1: no mod line leads to this file",
        "lib.rs:10: lib.rs has a cfg of a feature: a crate is built whole",
        "long.rs:1: the file has 14 lines, tests apart; the most is 12",
    ];
    assert_eq!(found, expected, "{}", found.join("\n"));
}

/// Small crates, with the start of each finding.
#[test]
fn names_are_followed_to_where_they_lead() {
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);
    let cases: &[Case] = &[
        (
            "a parent shows its child's type, which is no circle",
            &[
                ("a.rs", "mod c; mod d; pub use c::C;"),
                ("a/c.rs", "use super::d::D; pub struct C(D);"),
                ("a/d.rs", "pub struct D;"),
            ],
            &[],
        ),
        (
            "a parent shows its child's type and takes it itself",
            &[
                ("a.rs", "mod c; pub use c::C; pub struct A; fn f(_: C) {}"),
                ("a/c.rs", "use super::A; pub struct C(A);"),
            ],
            &["a.rs:1: a circle"],
        ),
        (
            "a child takes from a parent that does not take from it",
            &[("a.rs", "pub mod c; pub struct A;"), ("a/c.rs", "use super::A; pub struct C(A);")],
            &[],
        ),
        (
            "a re-export leads to the sibling behind it",
            &[
                ("a.rs", "mod c; mod d; pub use c::C;"),
                ("a/c.rs", "pub struct C;"),
                ("a/d.rs", "use super::C; struct D(C);"),
            ],
            &["a/d.rs:1: a::d names a::c"],
        ),
        (
            "a star leads to what is behind it",
            &[
                ("a.rs", "mod c; mod d; pub use c::*;"),
                ("a/c.rs", "pub struct C;"),
                ("a/d.rs", "use super::*; struct D(C);"),
            ],
            &["a/d.rs:1: a::d names a::c"],
        ),
        (
            "a part may not name what stands above the whole",
            &[("a.rs", "pub struct A;"), ("b.rs", "mod c;"), ("b/c.rs", "fn f() { crate::a::A; }")],
            &["b/c.rs:1: b::c names a"],
        ),
        (
            "a circle of three",
            &[
                ("a.rs", "use crate::b;"),
                ("b.rs", "mod c;\nfn f() { c::f() }"),
                ("b/c.rs", "pub fn f(_: crate::a::A) {}"),
            ],
            &["a.rs:1: a circle", "b/c.rs:1: b::c names a"],
        ),
        (
            "each of several circles",
            &[("a.rs", "use crate::b;\nuse crate::c;"), ("b.rs", "use super::a;"), ("c.rs", "use super::a;")],
            &["a.rs:1: a circle", "a.rs:2: a circle", "b.rs:1: b names a", "c.rs:1: c names a"],
        ),
        (
            "what a macro is given counts",
            &[("a.rs", "pub const X: u8 = 1;"), ("b.rs", "fn f() {\n println!(\"{}\", crate::a::X);\n}")],
            &["b.rs:2: b names a"],
        ),
        (
            "what a function imports counts",
            &[("a.rs", "pub struct A;"), ("b.rs", "fn f() {\n use super::a::A;\n}")],
            &["b.rs:2: b names a"],
        ),
        (
            "a module written out in a file is a part of the file",
            &[("a.rs", "pub struct A; mod inner { use super::A; use super::super::b; }"), ("b.rs", "")],
            &[],
        ),
        (
            "tests may name what they like",
            &[
                ("a.rs", ""),
                (
                    "b.rs",
                    "#[cfg(test)]\nmod tests { use crate::a; use clap::Parser; }\n#[cfg(test)] use crate::a;",
                ),
            ],
            &[],
        ),
        (
            "a file of tests is neither looked at nor forgotten",
            &[("a.rs", ""), ("b.rs", "#[cfg(test)] mod tests;"), ("b/tests.rs", "use crate::a;")],
            &[],
        ),
        (
            "a local variable is no module",
            &[("a.rs", "mod c; fn f(c: u8) -> u8 { g(c) + h!(c) }"), ("a/c.rs", "use super::f;")],
            &[],
        ),
        (
            "another name does not hide a crate",
            &[("a.rs", "use clap as c;"), ("b.rs", "fn f() { c::x() }")],
            &["a.rs:1: clap is only for cli"],
        ),
        (
            "a derive counts",
            &[("a.rs", "#[derive(clap::Parser)] struct A;"), ("b.rs", "")],
            &["a.rs:1: clap is only for cli"],
        ),
        (
            "the parts of a room are in it",
            &[("cli.rs", "mod args;"), ("cli/args.rs", "use clap::Parser;"), ("b.rs", "")],
            &[],
        ),
        (
            "a room is not its name's start",
            &[("client.rs", "use clap::Parser;"), ("b.rs", "")],
            &["client.rs:1: clap"],
        ),
    ];
    for (name, sources, expected) in cases {
        let mut files: Files =
            sources.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let tops = files.keys().filter(|file| !file.contains('/'));
        let list: Vec<String> = tops.map(|file| format!("mod {};", file.trim_end_matches(".rs"))).collect();
        files.insert("lib.rs".to_owned(), list.join("\n"));
        let found = told(&files, &Rules { rooms: PROGRAM, most_lines: 12 });
        let is_expected = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(found, start)| found.starts_with(start));
        assert!(is_expected, "{name}: found {found:#?}, expected {expected:#?}");
    }
}

/// A program that does I/O, so that the search for forbidden dependencies finds something.
#[test]
fn what_must_not_be_a_dependency_is_found() {
    let found = dependencies("cmslite-user-data-to-redshift", CORE_WITHOUT);
    for name in ["tokio", "tokio-postgres", "aws-sdk-s3", "aws-config"] {
        assert!(found.iter().any(|line| line.split(' ').next() == Some(name)), "{name} is not in {found:?}");
    }
}

fn told(files: &Files, rules: &Rules) -> Vec<String> {
    findings(files, rules).unwrap().iter().map(ToString::to_string).collect()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(directory: &Path) -> Files {
    fn walk(directory: &Path, root: &Path, files: &mut Files) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path: PathBuf = entry?.path();
            if path.is_dir() {
                walk(&path, root, files)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap_or(&path).components();
                let name: Vec<_> = name.map(|part| part.as_os_str().to_string_lossy()).collect();
                files.insert(name.join("/"), fs::read_to_string(&path)?);
            }
        }
        Ok(())
    }
    let mut files = Files::new();
    walk(directory, directory, &mut files).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    files
}

/// Returns those packages on which a package depends that are `unwanted`, with their versions.
fn dependencies(package: &str, unwanted: &[&str]) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", package])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.starts_with(package), "{tree}");
    let is_unwanted = |name: &str| {
        unwanted.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
    };
    let mut found: Vec<String> = tree
        .lines()
        .filter(|line| line.split(' ').next().is_some_and(is_unwanted))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}
