//! Runs write commands: latches, snapshot, the command itself, writes, and whom to wake.

use std::sync::Arc;

use tokio::time::{Duration, Instant, timeout_at};

use crate::{
    Durability, Engine, EngineError, WriteBatch,
    commands::{
        CommandContext, WriteCommand,
        pessimistic_lock::{LockedValue, PessimisticLock},
    },
    concurrency::ConcurrencyManager,
    error::CommandError,
    latch::{LatchGuard, Latches},
    lock_wait::{LockWaits, Ticket},
    mvcc::{DataKey, MvccTxn},
    pessimistic::PessimisticLocks,
    raw::EarliestExpiry,
    region::{Region, Written},
    replication::{LocalReplication, Outcome, Release, WriteError, replicate},
    row_cache::RowCache,
};

pub(crate) struct Scheduler {
    pub engine: Arc<dyn Engine>,
    pub replication: LocalReplication,
    pub latches: Latches,
    pub concurrency: Arc<ConcurrencyManager>,
    pub pessimistic: Arc<PessimisticLocks>,
    pub waits: Arc<LockWaits>,
    pub rows: Arc<RowCache>,
    pub raw_expiry: Arc<EarliestExpiry>,
}

impl Scheduler {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        concurrency: Arc<ConcurrencyManager>,
        row_cache_bytes: u64,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            replication: LocalReplication::new(engine.clone())?,
            engine,
            latches: Latches::new(),
            concurrency,
            pessimistic: Arc::default(),
            waits: Arc::default(),
            rows: RowCache::new(row_cache_bytes),
            raw_expiry: Arc::default(),
        })
    }

    /// Runs a command to its end; its writes are visible, and as durable as the command wants, when this returns.
    pub(crate) async fn run<C: WriteCommand>(
        &self,
        region: &Arc<Region>,
        command: &C,
    ) -> Result<C::Answer, CommandError> {
        self.replication.check_writable()?;
        let latches = self.latches.acquire(command.keys().map(DataKey::as_bytes)).await;
        let (txn, answer) = self.execute(command)?;
        self.submit(region, txn, latches, C::DURABILITY).await?;
        Ok(answer)
    }

    /// Locks keys; waits up to `wait` for others to give them up.
    pub(crate) async fn pessimistic_lock(
        &self,
        region: &Arc<Region>,
        command: &PessimisticLock,
        wait: Option<Duration>,
    ) -> Result<Vec<LockedValue>, CommandError> {
        self.replication.check_writable()?;
        let deadline = wait.map(|wait| Instant::now() + wait);
        let mut ticket: Option<(DataKey, Ticket)> = None;
        loop {
            let latches = self.latches.acquire(command.keys().map(DataKey::as_bytes)).await;
            let (locked, holder) = match (self.execute(command), deadline) {
                (Ok((txn, values)), _) => {
                    self.submit(region, txn, latches, PessimisticLock::DURABILITY).await?;
                    if let Some((_, ticket)) = ticket {
                        ticket.settle();
                    }
                    return Ok(values);
                }
                (Err(CommandError::Locked { key, lock }), Some(deadline)) if Instant::now() < deadline => {
                    let holder = lock.start_ts;
                    (CommandError::Locked { key, lock }, holder)
                }
                (Err(error), _) => return Err(error),
            };
            let CommandError::Locked { key, .. } = &locked else { return Err(locked) };
            let key = DataKey::from_raw(key.as_bytes());
            // Under the latches still: the holder cannot slip away between the look and the queue.
            let entered = self.waits.enter(&key, command.start_ts, holder);
            if let Some((old_key, old)) = ticket.take()
                && old_key == key
            {
                old.settle();
            }
            let mut entered = entered?;
            drop(latches);
            match timeout_at(deadline.unwrap_or_else(Instant::now), entered.wait()).await {
                Ok(woken) => woken?,
                Err(_) => return Err(locked),
            }
            ticket = Some((key, entered));
        }
    }

    fn execute<C: WriteCommand>(&self, command: &C) -> Result<(MvccTxn, C::Answer), CommandError> {
        let snapshot = self.engine.snapshot();
        let mut context = CommandContext::new(&snapshot, &self.pessimistic, &self.rows, &self.concurrency);
        command.execute(&mut context)
    }

    async fn submit(
        &self,
        region: &Arc<Region>,
        txn: MvccTxn,
        latches: LatchGuard,
        durability: Durability,
    ) -> Result<(), CommandError> {
        if txn.is_empty() {
            return Ok(());
        }
        let MvccTxn { batch, pessimistic, released, acquired, memory_locks, newest_ts } = txn;
        let (locks, waits) = (self.pessimistic.clone(), self.waits.clone());
        let (at, region, written) = (region.clone(), region.clone(), Written::of(&batch));
        let flight = self.rows.begin(&batch);
        let mark = region.version.begin(newest_ts);
        let release = Box::new(move |outcome: Outcome| {
            match (outcome, &region.lead) {
                (Outcome::Visible, _) => flight.finish(true),
                (Outcome::Unknown, None) => flight.finish(false),
                (Outcome::Refused, _) | (Outcome::Unknown, Some(_)) => flight.forget(),
            }
            if outcome == Outcome::Visible {
                region.note_written(written);
                mark.done();
                locks.apply(pessimistic);
                waits.acquired(&acquired);
                waits.released(&released);
            }
            match outcome {
                // The next leader may carry it out, at the timestamp that readers here are kept from.
                Outcome::Unknown => region.keep(memory_locks),
                Outcome::Visible | Outcome::Refused => drop(memory_locks),
            }
            // Last: whoever gets the latches sees everything above.
            drop(latches);
        });
        Ok(self.write(&at, batch, durability, release).await?)
    }

    /// Makes a batch visible in its region, as durable as asked at least. `release` runs in any case, also when the caller goes away.
    pub(crate) async fn write(
        &self,
        region: &Region,
        batch: WriteBatch,
        durability: Durability,
        release: Release,
    ) -> Result<(), WriteError> {
        match &region.lead {
            None => self.replication.write(batch, durability, release).await,
            Some(lead) => replicate(lead, region, batch, release).await,
        }
    }

    /// Writes raw data, of which some expires at `expires_at` (zero is never); the latches open when it is visible.
    pub(crate) async fn write_raw(
        &self,
        region: &Arc<Region>,
        batch: WriteBatch,
        expires_at: u64,
        latches: LatchGuard,
    ) -> Result<(), WriteError> {
        let (at, region, written) = (region.clone(), region.clone(), Written::of(&batch));
        let expiry = self.raw_expiry.clone();
        let release = Box::new(move |outcome: Outcome| {
            if outcome == Outcome::Visible {
                region.note_written(written);
                expiry.note(expires_at);
            }
            drop(latches);
        });
        self.write(&at, batch, Durability::Sync, release).await
    }
}
