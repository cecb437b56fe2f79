//! The first phase: every key is checked and locked, region by region.

use std::time::Duration;

use tidewater_codec::{CommitTs, TimeStamp};
use tidewater_proto::kvrpcpb;
use tokio::time::Instant;

use super::commit::{Mutation, TwoPhase, is_lockable};
use super::lock::millis;
use super::{CommitPass, TxnKind};
use crate::TxnError;
use crate::backoff::Backoff;
use crate::cluster::Sent;
use crate::grouping::{Batch, Done, Keyed};
use crate::key_error::KeyFailure;

/// A lock of an optimistic commit lives at least this long, and longer the more there is to write.
const OPTIMISTIC_TTL_MIN: Duration = Duration::from_secs(3);
const OPTIMISTIC_TTL_MAX: Duration = Duration::from_secs(120);
const OPTIMISTIC_TTL_PER_ROOT_MIB: Duration = Duration::from_secs(6);

/// Where a commit may lie whose timestamp the stores choose.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor {
    /// A timestamp fetched before the first request: the commit comes after all that was committed until then.
    pub(super) at_least: CommitTs,
    fetched: Instant,
}

impl TwoPhase {
    /// Fetches a lower bound.
    pub(super) async fn floor(&self) -> Result<Floor, TxnError> {
        Ok(Floor { at_least: self.next_commit_ts().await?, fetched: Instant::now() })
    }

    /// What the gate let through now may commit a little later, but not long after: a request that got lost in the network and arrives when
    /// the gate's word is stale asks in vain. Zero is no limit.
    pub(super) fn max_commit_ts(&self, floor: &Floor, pass: Option<&CommitPass>) -> u64 {
        let Some(pass) = pass else { return 0 };
        let window = floor.fetched.elapsed() + self.cluster.config.commit_window;
        let physical_ms = floor.at_least.0.physical_ms().saturating_add(millis(window));
        TimeStamp::compose(physical_ms, 0).min(pass.latest.0).into_inner()
    }

    /// Locks everything for a commit in two phases.
    pub(super) async fn prewrite(
        &self,
        batches: Vec<Batch<Mutation>>,
        backoff: &mut Backoff,
    ) -> Result<(), TxnError> {
        let work = |batch, mut patience| async move {
            let result = self.prewrite_batch(batch, None, &mut patience).await;
            (result, patience)
        };
        self.cluster.for_each_batch(batches, backoff, work).await.map(drop)
    }

    /// Locks one batch. With a floor this may be what commits the transaction, so it goes through the gate; the answer is the batch's
    /// `min_commit_ts`, zero if the store wants two phases, and `None` if nothing was to be locked.
    pub(super) async fn prewrite_batch(
        &self,
        batch: Batch<Mutation>,
        floor: Option<&Floor>,
        backoff: &mut Backoff,
    ) -> Result<Done<Option<u64>, Mutation>, TxnError> {
        loop {
            let pass = match floor {
                Some(floor) => self.enter_gate(floor.at_least).await?,
                None => None,
            };
            let command = || match floor {
                Some(floor) => {
                    let latest = self.max_commit_ts(floor, pass.as_ref());
                    self.made_async(self.prewrite_command(&batch.items), floor, latest)
                }
                None => self.prewrite_command(&batch.items),
            };
            let Sent::Answer(response) = self.cluster.send(&batch.region, backoff, command).await? else {
                return Ok(Done::Again(batch.items));
            };
            // Not held while we wait for locks of others.
            drop(pass);
            let first = batch.items.first().map(Keyed::key);
            let locks = self
                .read_prewrite_errors(response.errors)
                .map_err(|error| backoff.locate_refusal(error, first))?;
            if locks.is_empty() {
                let locked = batch.items.iter().any(is_lockable);
                return Ok(Done::Answer(locked.then_some(response.min_commit_ts)));
            }
            self.cluster.clear_for_write(locks, backoff).await?;
        }
    }

    pub(super) fn prewrite_command(&self, mutations: &[Mutation]) -> kvrpcpb::PrewriteRequest {
        let wire = |mutation: &Mutation| kvrpcpb::Mutation {
            op: mutation.op as i32,
            key: mutation.key.clone(),
            value: mutation.value.clone(),
            assertion: 0,
        };
        let for_update_ts = match self.kind {
            TxnKind::Optimistic => 0,
            TxnKind::Pessimistic => self.for_update_ts.into_inner(),
        };
        let disk_full_opt = match self.on_full_disk {
            true => kvrpcpb::DiskFullOpt::AllowedOnAlmostFull,
            false => kvrpcpb::DiskFullOpt::NotAllowedOnFull,
        };
        let context = kvrpcpb::Context { disk_full_opt: disk_full_opt.into(), ..Default::default() };
        kvrpcpb::PrewriteRequest {
            context: Some(context),
            mutations: mutations.iter().map(wire).collect(),
            primary_lock: self.primary.clone(),
            start_version: self.start.into_inner(),
            lock_ttl: millis(self.begun.elapsed() + self.ttl()),
            // TiKV does not look at them in an optimistic transaction, and then checks every key.
            pessimistic_actions: mutations.iter().map(|mutation| mutation.check as i32).collect(),
            guarded: true,
            txn_size: self.mutations.len() as u64,
            for_update_ts,
            min_commit_ts: self.start.0.max(self.for_update_ts).next().into_inner(),
            ..Default::default()
        }
    }

    fn ttl(&self) -> Duration {
        match self.kind {
            TxnKind::Pessimistic => self.cluster.config.lock_ttl,
            TxnKind::Optimistic => {
                let mib = self.bytes as f64 / f64::from(1 << 20);
                OPTIMISTIC_TTL_MIN
                    .max(OPTIMISTIC_TTL_PER_ROOT_MIB.mul_f64(mib.sqrt()))
                    .min(OPTIMISTIC_TTL_MAX)
            }
        }
    }

    /// The locks among the errors; other errors end the commit.
    pub(super) fn read_prewrite_errors(
        &self,
        errors: Vec<kvrpcpb::KeyError>,
    ) -> Result<Vec<kvrpcpb::LockInfo>, TxnError> {
        let mut locks = Vec::new();
        for error in errors {
            match KeyFailure::new(error, self.start) {
                KeyFailure::Locked(lock) => locks.push(*lock),
                failure => return Err(failure.into_error(self.start)),
            }
        }
        Ok(locks)
    }
}
