//! Tests the command: exit statuses, report, log, help, and signals.

use std::fs;
use std::process::{Command, Output, Stdio};

use devstack::redshift::{Action, Fault, Gate};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::time::timeout;

use crate::harness::{
    HANGS_AFTER, Harness, HarnessBuilder, PROGRAM, cases, expected, key, members, sample, temporary, told,
};

/// Runs `load`. Returns its exit status, its output, and its log file.
pub async fn load(harness: &Harness) -> (Option<i32>, String, String) {
    let config = harness.config_file();
    let (output, directory) = harness.command(&["load", config.to_str().unwrap()]).await;
    let log = fs::read_to_string(directory.path().join("logs/cmslite_user_data_to_redshift.log"))
        .unwrap_or_default();
    (output.status.code(), told(&output), log)
}

/// Runs `load --again` for an archive.
pub async fn again(harness: &Harness, name: &str) -> (Option<i32>, String) {
    let config = harness.config_file();
    let (output, _) = harness.command(&["load", config.to_str().unwrap(), "--again", &key(name)]).await;
    (output.status.code(), told(&output))
}

/// Runs `load --accept-shrink` for an archive.
pub async fn accept_shrink(harness: &Harness, name: &str) -> (Option<i32>, String) {
    let config = harness.config_file();
    let (output, _) =
        harness.command(&["load", config.to_str().unwrap(), "--accept-shrink", &key(name)]).await;
    (output.status.code(), told(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn load_works_through_the_queue_and_reports() {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", &sample(1, 5), 1);
    harness.put("b", &sample(2, 6), 2);
    let (status, stdout, log) = load(&harness).await;
    assert_eq!(status, Some(0), "{stdout}");
    assert!(
        stdout.contains("Objects good:       2") && stdout.contains("cmslite.user_group: 6 rows"),
        "{stdout}"
    );
    assert_eq!(harness.rows("user_group").await.len(), 11);
    let line = regex::Regex::new(
        r"(?m)^INFO:cmslite_user_data_to_redshift(::\w+)+:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}:\S",
    )
    .unwrap();
    assert!(line.is_match(&log), "{log}");
    assert!(log.contains("DEBUG:") && !stdout.contains("DEBUG:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn load_stops_at_a_bad_archive_with_status_1() {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", b"no archive", 1);
    harness.put("b", &sample(2, 6), 2);
    let (status, stdout, _) = load(&harness).await;
    assert_eq!(status, Some(1));
    assert!(stdout.contains("corrupt") || stdout.contains("not a sound gzip file"), "{stdout}");
    assert!(stdout.contains("Not processed:\n    client/cmslite_gdx/cms-analytics-csv_b.tgz"), "{stdout}");
    assert_eq!(load(&harness).await.0, Some(0));
    assert_eq!(harness.tables().await, expected(&members(2, 6)));
}

#[test]
fn mistakes_of_usage_are_status_2() {
    for arguments in [["load"].as_slice(), &["load", "/nonexistent.json"]] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

async fn ends_with(builder: HarnessBuilder, status: i32) {
    let harness = builder.start().await;
    harness.put("a", &sample(1, 1), 1);
    assert_eq!(load(&harness).await.0, Some(status));
}

cases! {
    async mistakes_of_configuration_are_status_2_and_other_failures_3: ends_with {
        no_port(Harness::builder().env("PGPORT", "x"), 2);
        wrong_password(Harness::builder().env("pgpass", "wrong"), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_status_3() {
    let harness = Harness::start().await;
    harness.stack.redshift.inject(Fault::on("COPY", Action::CutBefore));
    harness.put("a", &sample(1, 1), 1);
    assert_eq!(load(&harness).await.0, Some(3));
}

/// Runs the command without any environment.
fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env_clear().output().unwrap()
}

#[test]
fn the_help_names_every_variable_and_what_to_do_first() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let page = include_str!("../../docs/reference/environment.md");
    let variables = page
        .split("| variable | meaning |")
        .nth(1)
        .unwrap()
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let names: Vec<&str> =
        variables.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names.into_iter().filter(|name| !["pguser", "verify-full"].contains(name)) {
        assert!(help.contains(name), "{name} is not in {help}");
    }
    for action in ["check", "load", "status", "validate"] {
        assert!(help.contains(&format!("\n  {action} CONFIG")), "{help}");
        let told = String::from_utf8(run(&[action, "--help"]).stdout).unwrap();
        assert!(told.contains("Usage: ") && told.contains("<CONFIG>"), "{told}");
    }
}

/// Stops the command while it executes a statement for the first of two archives. The next run continues.
async fn stops(signal: &str, statement: &str) {
    let harness = Harness::builder().appending().start().await;
    harness.put("a", &sample(1, 5), 1);
    harness.put("b", &sample(2, 6), 2);
    let gate = Gate::default();
    harness.stack.redshift.inject(Fault::on(statement, Action::Wait(gate.clone())).times(1));
    let directory = temporary();
    let mut child = tokio::process::Command::new(PROGRAM)
        .args(["load", harness.config_file().to_str().unwrap()])
        .current_dir(directory.path())
        .env_clear()
        .envs(harness.environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    gate.reached().await;
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    let ended = async {
        // The command prints this when it has received the signal.
        while !told.contains("stopping before the next step") {
            assert!(stderr.read_line(&mut told).await.unwrap() > 0, "{told}");
        }
        gate.open();
        stderr.read_to_string(&mut told).await.unwrap();
        stdout.read_to_string(&mut told).await.unwrap();
        child.wait().await.unwrap()
    };
    let status = timeout(HANGS_AFTER, ended).await.expect("it goes on");
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(told.contains("Retryable.Interrupted"), "{told}");
    // If COMMIT was already sent, the archive is committed and settled. Otherwise, nothing is.
    let committed = statement == "COMMIT";
    assert_eq!(
        (harness.ledger().await.len(), harness.is_good("a")),
        (usize::from(committed), committed),
        "{told}"
    );
    assert_eq!(load(&harness).await.0, Some(0));
    assert_eq!(harness.ledger().await, [key("a"), key("b")]);
}

cases! {
    async a_signal_stops_before_the_next_step: stops {
        interrupt_at_copy("-INT", "COPY");
        terminate_at_commit("-TERM", "COMMIT");
    }
}

/// The words are passed as bash passes them: those of the line, of which the last one is incomplete.
#[test]
fn bash_completes_subcommands_options_and_datasets() {
    const ASK: &str = r#"
eval "$("$0" completions bash)"
name=cmslite-user-data-to-redshift
function=$(complete -p $name | sed 's/.*-F \([^ ]*\).*/\1/')
COMP_WORDS=($name "$@") COMP_CWORD=$#
$function $name "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
    let directory = temporary();
    fs::create_dir(directory.path().join("config.d")).unwrap();
    for name in ["other.json", "$(touch forged).json"] {
        fs::write(directory.path().join("config.d").join(name), "{}").unwrap();
    }
    for (words, expected) in [
        (["sta"].as_slice(), ["status"].as_slice()),
        (&["load", "cms"], &["cmslite_user_group_metadata"]),
        (&["validate", "o"], &["other"]),
        (&["status", "config.d/"], &[""]),
        (&["load", "--dry"], &["--dry-run"]),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-c", ASK, PROGRAM]).args(words).current_dir(directory.path());
        let output = bash.output().unwrap();
        let completed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            completed.lines().collect::<Vec<_>>(),
            expected,
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(!directory.path().join("forged").exists());
}

#[test]
fn shells_are_told_how_to_complete_the_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success()
                && script.contains("dry-run")
                && script.contains("cmslite_user_group_metadata")
                && script.contains("cmslite-user-data-to-redshift"),
            "{shell}: {script}"
        );
    }
}
