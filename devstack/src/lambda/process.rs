//! Runs the function's processes, each with a runtime API of its own, so that it is known which process takes
//! an invocation.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, unconstrained};
use tokio::time::{sleep, timeout};

use super::http::serve;
use super::invocation::{NAME, Outcome, REGION, VERSION};
use super::queue::{Drain, Process, Shared, Start};
use super::runtime_api;
use crate::guard;

/// The time limit for a process's output after the process was killed with its group: a process that left the
/// group may hold it open.
const OUTPUT_WITHIN: Duration = Duration::from_secs(10);

/// The minimum time between the end of a process and the start of the next.
const START_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The capacity of a pipe (pipe(7)).
const PIPE_BYTES: usize = 64 * 1024;

/// Starts a process of the function whenever there is none; after a failed start, only when there is work.
pub async fn keep_running(shared: Arc<Shared>) {
    loop {
        let (kill, killed) = oneshot::channel();
        let process = {
            let mut state = shared.state();
            if state.is_stopping {
                return;
            }
            let process = state.number();
            let it = Process { kill: Some(kill), start: Start::Pending, outputs: Vec::new() };
            state.processes.insert(process, it);
            process
        };
        let outcome = run_process(process, killed, &shared).await.unwrap_or_else(|error| {
            let message = format!("cannot start {}: {error}", shared.options.program.display());
            shared.keep_line(&message);
            Outcome::failed("Runtime.InvalidEntrypoint", message)
        });
        if !shared.process_ended(process, &outcome) {
            shared.wait_for(|state| (state.is_stopping || !state.queue.is_empty()).then_some(())).await;
        }
        sleep(START_AGAIN_AFTER).await;
    }
}

/// Runs one process until it ends, and kills what it left behind.
async fn run_process(
    process: u64,
    killed: oneshot::Receiver<()>,
    shared: &Arc<Shared>,
) -> io::Result<Outcome> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let options = &shared.options;
    check_executable(&options.program)?;
    let (mut command, owner) = guard::command(&options.program)?;
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        // The variables that every function has (AWS Lambda Developer Guide, "Defined runtime environment
        // variables").
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", NAME)
        .env("AWS_LAMBDA_FUNCTION_VERSION", VERSION)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{NAME}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "devstack")
        .env("AWS_REGION", REGION)
        .env("LAMBDA_TASK_ROOT", options.program.parent().unwrap_or(Path::new(".")))
        .env("_HANDLER", "bootstrap")
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Command::from(command).kill_on_drop(true).spawn()?;
    let mut output = JoinSet::new();
    if let Some(stdout) = child.stdout.take() {
        output.spawn(keep_output(stdout, drains(process, shared), Arc::clone(shared)));
    }
    if let Some(stderr) = child.stderr.take() {
        output.spawn(keep_output(stderr, drains(process, shared), Arc::clone(shared)));
    }
    // The server ends with this function, and so do the waits of the process's connections.
    let mut serving = JoinSet::new();
    let api = Arc::clone(shared);
    serving.spawn(serve(listener, move |request| runtime_api::answer(request, process, Arc::clone(&api))));
    let how = tokio::select! {
        status = child.wait() => status?.to_string(),
        Ok(()) = killed => {
            child.kill().await?;
            "signal: 9 (SIGKILL)".to_owned()
        }
    };
    drop(owner);
    // The process's last output is in the log before its end is reported.
    let _ = timeout(OUTPUT_WITHIN, async { while output.join_next().await.is_some() {} }).await;
    // The words of Lambda's own log for a process that ends during an invocation.
    Ok(Outcome::failed("Runtime.ExitError", format!("Runtime exited with error: {how}")))
}

/// Checks whether a program can be started, since its guard would start in any case. A program without a
/// directory is found through PATH, and is not checked.
fn check_executable(program: &Path) -> io::Result<()> {
    if program.components().count() < 2 {
        return Ok(());
    }
    let metadata = fs::metadata(program)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        Ok(())
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// Returns the receiver of an output's drain requests. Adds their sender to the process.
fn drains(process: u64, shared: &Shared) -> mpsc::UnboundedReceiver<Drain> {
    let (sender, receiver) = mpsc::unbounded_channel();
    if let Some(process) = shared.state().processes.get_mut(&process) {
        process.outputs.push(sender);
    }
    receiver
}

/// Adds every line of an output to the log, and the text after the last one.
async fn keep_output(
    mut output: impl AsyncRead + Unpin,
    mut drains: mpsc::UnboundedReceiver<Drain>,
    shared: Arc<Shared>,
) {
    let mut buffer = Vec::with_capacity(PIPE_BYTES);
    loop {
        tokio::select! {
            read = output.read_buf(&mut buffer) => match read {
                Ok(1..) => keep_lines(&mut buffer, &shared),
                Ok(0) | Err(_) => break,
            },
            Some(drain) = drains.recv() => {
                let mut left = PIPE_BYTES;
                // Reads the output as long as that needs no wait, but not much more than a pipe can hold.
                while let Some(Ok(read @ 1..)) = unconstrained(output.read_buf(&mut buffer)).now_or_never() {
                    left = left.saturating_sub(read);
                    if left == 0 {
                        break;
                    }
                }
                keep_lines(&mut buffer, &shared);
                // The caller that asked may be gone.
                let _ = drain.send(());
            }
        }
    }
    if !buffer.is_empty() {
        shared.keep_line(&String::from_utf8_lossy(&buffer));
    }
}

fn keep_lines(buffer: &mut Vec<u8>, shared: &Shared) {
    let Some(end) = buffer.iter().rposition(|&byte| byte == b'\n') else { return };
    for line in buffer[..end].split(|&byte| byte == b'\n') {
        // A function may write bytes that are not UTF-8.
        shared.keep_line(&String::from_utf8_lossy(line));
    }
    buffer.drain(..=end);
}
