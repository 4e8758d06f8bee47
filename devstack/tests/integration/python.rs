//! Tests the cache of fetched packages: processes that install at once, or are killed half-way, break
//! nothing.
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command};

use devstack::python;

/// The variable that marks a process that a test starts to install something.
const INSTALLER: &str = "DEVSTACK_INSTALLER";

/// A script that creates an environment as Python does, with a tool in it. It adds a line to `installs` for
/// each installation. If there is a file `stops`, it reports to `reached` and does not finish the
/// installation.
const PYTHON: &str = r#"#!/bin/sh
base=$BASE
case $2 in
  venv)
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
    ;;
  pip)
    echo installs >>"$base/installs"
    if [ -e "$base/stops" ]; then
      touch "${0%/*}/half"
      echo stopped >"$base/reached"
      sleep 3600
    fi
    echo '#!/bin/sh' >"${0%/*}/tool"
    ;;
esac
"#;

fn base() -> tempfile::TempDir {
    let base = tempfile::tempdir().unwrap();
    // Another process writes the file. Otherwise a process that this one starts in the meantime would have it
    // open for writing, and it could not be run (ETXTBSY).
    let mut write = Command::new("sh");
    write
        .args(["-c", r#"printf %s "$2" >"$1" && chmod 755 "$1""#, "sh"])
        .arg(base.path().join("python3"))
        .arg(PYTHON);
    assert!(write.status().unwrap().success());
    base
}

fn installer(base: &Path) -> Child {
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([base.to_owned()].into_iter().chain(std::env::split_paths(&path)));
    let name = "of_several_processes_one_installs_and_the_others_wait";
    crate::test_in_a_process(module_path!(), name)
        .envs([("PATH", path.unwrap().as_os_str()), ("XDG_CACHE_HOME", base.as_os_str())])
        .env("BASE", base)
        .env(INSTALLER, "")
        .spawn()
        .unwrap()
}

#[test]
fn of_several_processes_one_installs_and_the_others_wait() {
    if std::env::var_os(INSTALLER).is_some() {
        let bin = python::venv("of the test", &["tool==1"]).unwrap();
        assert!(bin.join("tool").exists());
        return;
    }
    let base = base();
    let installers = [(); 4].map(|()| installer(base.path()));
    for installer in installers {
        let output = installer.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(fs::read_to_string(base.path().join("installs")).unwrap(), "installs\n");
}

#[test]
fn an_installation_that_is_killed_half_way_leaves_nothing_to_the_next() {
    let base = base();
    let reached = base.path().join("reached");
    assert!(Command::new("mkfifo").arg(&reached).status().unwrap().success());
    fs::write(base.path().join("stops"), "").unwrap();
    let mut killed = installer(base.path());
    let mut line = String::new();
    BufReader::new(fs::File::open(&reached).unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "stopped\n");
    killed.kill().unwrap();
    killed.wait().unwrap();
    fs::remove_file(base.path().join("stops")).unwrap();
    // The installer waits for the lock, which the killed one's pip holds as well. Pip is killed with its
    // owner, so that the wait does not take an hour.
    let output = installer(base.path()).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bin = base.path().join("cmslite-loader/python-of the test/bin");
    assert!(bin.join("tool").exists() && !bin.join("half").exists());
    assert!(!bin.join("../.temporary").exists());
}

#[test]
fn a_machine_without_python_is_told_what_to_install() {
    let base = tempfile::tempdir().unwrap();
    let mut said = String::new();
    let name = "of_several_processes_one_installs_and_the_others_wait";
    let mut installer = crate::test_in_a_process(module_path!(), name)
        .envs([("PATH", base.path()), ("XDG_CACHE_HOME", base.path()), (INSTALLER, Path::new(""))])
        .spawn()
        .unwrap();
    installer.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!installer.wait().unwrap().success());
    assert!(said.contains("NoPython") && said.contains("python3"), "{said}");
}
