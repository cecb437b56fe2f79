//! Clients that only read, all the time: whoever never writes does not notice that its leader was deposed, and goes on asking it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt;
use tidewater_txn::TxnClient;

use crate::Options;
use crate::client::{ClientHost, Worker};
use crate::history::History;

/// Between two reads, at most.
const PAUSE_MILLIS_MAX: u64 = 40;

/// One who reads until all who write are done.
pub(crate) struct Reader {
    pub(crate) worker: Worker,
    pub(crate) are_done: Arc<AtomicBool>,
}

impl Reader {
    pub(crate) fn new(
        host: Arc<ClientHost>,
        history: Arc<History>,
        options: &Options,
        seed: u64,
        are_done: Arc<AtomicBool>,
    ) -> Self {
        Self { worker: Worker::new(host, history, options, seed, 0), are_done }
    }

    pub(crate) async fn work(mut self) {
        while !self.are_done.load(Ordering::Relaxed) {
            let (client, _, life) = self.worker.host.process();
            tokio::select! {
                biased;
                () = life.ended() => {}
                () = self.step(&client) => {}
            }
            let pause = self.worker.rng.random_range(0..PAUSE_MILLIS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn step(&mut self, client: &TxnClient) {
        if self.worker.rng.random_bool(0.4) {
            return self.worker.read_latest(client).await;
        }
        let plan = self.worker.workload.reading(&mut self.worker.rng);
        self.worker.transact(client, plan).await;
    }
}
