//! Plays one seed of every workload: `cargo run -p tidewater-sim --example play_a_seed -- 42`.

use tidewater_sim::{Options, Workload, run};

fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(42);
    for workload in Workload::ALL {
        match run(&Options::new(seed, workload)) {
            Ok(report) => println!("{}: {report:?}", workload.name()),
            Err(failure) => println!("{failure}"),
        }
    }
}
