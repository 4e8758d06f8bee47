//! Several functions at once, functions over their time, and events that fail for good. For functions that
//! die, see `crash_points.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

mod support;

use std::time::Duration;

use devstack::lambda::{Outcome, eventually};
use devstack::{redshift, s3};
use support::{Setup, World, expected, key, members, sample};

#[tokio::test(flavor = "multi_thread")]
async fn three_functions_on_one_archive_load_it_once() {
    let world = Setup { concurrency: Some(3), ..Setup::appending() }.start().await;
    let archive = world.put("a", &sample(3, 200), 1);
    for _ in 0..6 {
        world.lambda.invoke_asynchronously(World::event(&archive));
    }
    eventually(Duration::from_secs(60), || {
        world.lambda.history().iter().filter(|ended| ended.is_final).count() == 6
    })
    .await
    .unwrap();
    assert_eq!(world.lambda.dead_letters(), []);
    assert!(world.is_good("a"));
    assert_eq!(world.tables().await, expected(&members(3, 200)));
    assert_eq!(world.ledger().await, [key("a")]);
}

/// AWS Lambda Developer Guide, "Error handling for asynchronous invocations": two retries, then the
/// on-failure destination.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_keeps_failing_ends_as_a_dead_letter_and_a_sweep_makes_it_good() {
    let world = Setup::appending().start().await;
    world.stack.redshift.inject(redshift::Fault::on("COPY", redshift::Action::CutBefore));
    let archive = world.put("a", &sample(3, 50), 1);
    world.lambda.invoke_asynchronously(World::event(&archive));
    eventually(Duration::from_secs(60), || world.lambda.dead_letters().len() == 1).await.unwrap();
    assert_eq!(world.lambda.history().len(), 3);
    assert!(world.is_unsettled("a"));
    world.stack.redshift.clear_faults();
    World::report(world.sweep().await);
    assert!(world.is_good("a"));
    assert_eq!(world.ledger().await, [key("a")]);
}

/// A function that is over its time is killed by Lambda, as any other kill.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_over_its_time_is_killed_and_the_next_invocation_goes_on() {
    let world = Setup { timeout: Some(Duration::from_secs(20)), ..Setup::appending() }.start().await;
    world
        .stack
        .s3
        .inject(s3::Fault::on("CopyObject", "", s3::Action::Delay(Duration::from_secs(30))).times(1));
    let archive = world.put("a", &sample(3, 50), 1);
    let Outcome::Failed { error_type, .. } = world.invoke(&archive).await else { panic!("it was in time") };
    assert_eq!(error_type, "Sandbox.Timedout");
    let report = World::report(world.invoke(&archive).await);
    assert_eq!(report["good"][0]["outcome"], "already_loaded");
    assert_eq!(world.tables().await, expected(&members(3, 50)));
}
