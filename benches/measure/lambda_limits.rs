//! Computes how large an archive the function loads, by its memory setting.

use std::thread;

use super::Bench;
use super::function::{Connection, Way, stage};
use super::reach::{Limit, Measured, reach};
use super::table::{Table, number};

/// The memory settings in MB: the template's, those of a share of a processor, of two processors, and the
/// maximum.
const SETTINGS: [f64; 6] = [256.0, 512.0, 1024.0, 1769.0, 3538.0, 10_240.0];

/// The size above which archives are left to the container task, if there is one: the template's
/// `LEAVE_TO_TASK_BYTES`.
const LEFT_TO_TASK_ABOVE_BYTES: f64 = 2_147_483_648.0;

/// Measures the last size over TLS on one core and on all, and prints the results computed from it, by
/// staging.
pub async fn print(bench: &Bench) {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        return println!("\nNo reach: to measure one core, another must be there for what serves it.");
    }
    let Some(archive) = bench.archives().next_back() else { return };
    for staging in &bench.arguments.stagings {
        let on_all = Way::new(Connection::Tls, staging);
        let on_one = Way { on_one_core: true, ..on_all.clone() };
        let (all, one) = (stage(bench, &archive, &on_all).await, stage(bench, &archive, &on_one).await);
        let measured = Measured {
            seconds_on_one_core: archive.per_gigabyte(one.seconds),
            seconds_on_all_cores: archive.per_gigabyte(all.seconds),
            wire_bytes: archive.per_gigabyte((all.wire.received + all.wire.sent) as f64),
            packed_bytes: archive.per_gigabyte(archive.packed_bytes as f64),
            puts: archive.per_gigabyte(all.puts as f64),
        };
        println!(
            "\nStaging `{staging}` over TLS, measured with {} MB of CSV, for each GB: {} s on one core, {} s on all, {} MB on the wire both ways, {} MB of archive, {} PUTs.",
            number(archive.csv_bytes as f64 / 1e6, 0),
            number(measured.seconds_on_one_core, 2),
            number(measured.seconds_on_all_cores, 2),
            number(measured.wire_bytes / 1e6, 0),
            number(measured.packed_bytes / 1e6, 0),
            number(measured.puts, 0),
        );
        let table = Table::begin(
            "Computed from these figures, without COPY: what can be staged within 15 minutes.",
            &[
                "memory, MB",
                "processors",
                "s per GB of CSV",
                "limited by",
                "largest CSV, GB",
                "largest archive, GB",
                "its PUTs",
                "GB-seconds per GB of CSV",
                "s for an archive of 2 GiB",
            ],
        );
        for memory in SETTINGS {
            let reach = reach(&measured, memory);
            let limit = match reach.limit {
                Limit::Processor => "the processor's share",
                Limit::Wire => "the wire",
                Limit::Measured => "this machine",
            };
            table.row(&[
                number(memory, 0),
                number(memory / super::reach::MB_OF_ONE_PROCESSOR, 2),
                number(reach.seconds, 1),
                limit.to_owned(),
                number(reach.csv_gigabytes, 0),
                number(reach.packed_gigabytes, 1),
                number(reach.puts, 0),
                number(reach.gigabyte_seconds, 1),
                number(reach.seconds * LEFT_TO_TASK_ABOVE_BYTES / measured.packed_bytes, 0),
            ]);
        }
    }
}
