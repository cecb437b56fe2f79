//! Random cases that can be had again.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// Runs many cases; a failing one is told with the seed, and shrunk. `TIDEWATER_MODEL_SEED` chooses other cases.
pub fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let seed = std::env::var("TIDEWATER_MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1u64);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let result = runner.run(&strategy, |case| {
        test(case);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("TIDEWATER_MODEL_SEED={seed}: {error}"));
}
