//! Tests what docs/explanation/performance.md computes from the measurements.

#[path = "../../benches/measure/reach.rs"]
mod computed;

use computed::{Limit, Measured, reach};

const MEASURED: Measured = Measured {
    seconds_on_one_core: 6.0,
    seconds_on_all_cores: 4.0,
    wire_bytes: 390e6,
    packed_bytes: 200e6,
    puts: 240.0,
};

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < expected * 1e-9, "{found} is not {expected}");
}

#[test]
fn half_a_processor_takes_twice_as_long() {
    let reach = reach(&MEASURED, 1769.0 / 2.0);
    assert_eq!(reach.limit, Limit::Processor);
    assert_near(reach.seconds, 12.0);
    assert_near(reach.csv_gigabytes, 73.75);
    assert_near(reach.packed_gigabytes, 14.75);
    assert_near(reach.puts, 17_700.0);
    assert_near(reach.gigabyte_seconds, 12.0 * 884.5 / 1024.0);
}

#[test]
fn from_some_memory_on_the_wire_is_the_limit() {
    let reach = reach(&MEASURED, 10_240.0);
    assert_eq!(reach.limit, Limit::Wire);
    assert_near(reach.seconds, 5.0);
}

#[test]
fn more_cores_than_were_measured_promise_nothing() {
    let reach = reach(&Measured { wire_bytes: 78e6, ..MEASURED }, 10_240.0);
    assert_eq!(reach.limit, Limit::Measured);
    assert_near(reach.seconds, 4.0);
}
