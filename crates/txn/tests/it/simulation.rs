//! The bank behind a bad network, in one thread with a clock that jumps from event to event: the same seed gives the same history.

use std::sync::Arc;
use std::time::Duration;

use tidewater_txn::fault::{Faults, FaultyConnector};
use tidewater_txn::{TxnClient, TxnConfig};

use crate::bank;
use crate::cluster::{StoreKind, TestCluster};

/// Runs the bank under faults; returns the digest of the history and how many transfers went through.
fn simulate(kind: StoreKind, seed: u64) -> ((u64, u64), u32) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    runtime.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_be_bytes()));
    runtime.build().unwrap().block_on(async move {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        bank::cut(&cluster).await;
        bank::open(&cluster.client).await;
        let network = FaultyConnector::new(cluster.connector.clone(), Faults::default(), seed);
        let trace = network.trace();
        let config = TxnConfig { seed, lock_wait_timeout: Duration::from_secs(10), ..Default::default() };
        let client = TxnClient::new(cluster.pd.clone(), Arc::new(network), config);
        let done = bank::run(&client, seed, 6, 12, Some(trace.clone())).await;
        // The network being what it is, the truth is read past it.
        tokio::time::sleep(Duration::from_secs(60)).await;
        bank::check(&cluster.client).await;
        (trace.digest(), done)
    })
}

#[test]
fn the_bank_survives_a_bad_network_and_seeds_repeat() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let mut digests = Vec::new();
        for seed in 1..=4 {
            let (digest, done) = simulate(kind, seed);
            assert!(digest.1 > 300, "{kind:?}, seed {seed}: only {} events", digest.1);
            assert!(done > 20, "{kind:?}, seed {seed}: only {done} of 72 transfers went through");
            assert_eq!(simulate(kind, seed), (digest, done), "{kind:?}, seed {seed}: another history");
            digests.push(digest);
        }
        digests.dedup();
        assert_eq!(digests.len(), 4, "seeds make a difference");
    }
}
