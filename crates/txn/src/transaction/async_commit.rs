//! Async commit: committed as soon as every key is locked. (After TiKV's design of that name.)
//!
//! ```text
//!  lower bound ──> Prewrite of all regions, side by side ══ committed ══> Commit of all keys, in the background
//! ```
//!
//! Each store answers a prewrite with a `min_commit_ts` above every read it served, and keeps it in the locks; the primary's lock also
//! lists all other keys. The commit timestamp is the largest of these. So whoever finds the locks can tell the end of the transaction
//! without its client: if a listed key is not locked it is rolled back *and stays unlockable*, and the transaction is dead; if all are
//! locked it is committed, at the same timestamp the client would tell (see [`crate::resolver`]).
//!
//! # When is it visible?
//! "A transaction that begins after `commit` returned sees the writes": what a store puts into `min_commit_ts` is a timestamp it was given
//! (by a reader, or our own lower bound) or the next after that. All these came from the placement driver before `commit` returned, so the
//! commit timestamp is at most one tick ahead of the driver, and the next timestamp that is given out is not below it. Therefore stores do
//! not note commit timestamps that stores made up: each commit would then be one tick ahead of the last.
//!
//! # Failures
//! After the first request is sent, nobody but the keys knows whether the transaction is committed: *the client must not roll back on its
//! own*, for somebody may have seen all keys locked and be committing them. A refusal that answers the only request ever sent for its keys
//! proves that they are not all locked. Without such proof (an answer was lost, the commit was given up) the client does what everybody
//! else does: it asks the primary, then the other keys, which settles the question. If they cannot be asked either, the outcome is
//! [`TxnError::Undetermined`].
//!
//! # Schema changes
//! Any request may be the one that locks the last key, so each goes through the [`CommitGate`](super::CommitGate) and holds its pass until
//! the answer is there: at the moment of commit the gate is held, as with one phase. Requests that get lost and arrive long after are
//! turned into first phases of two by `max_commit_ts`, once somebody read at a later time.

use std::sync::Arc;

use tidewater_codec::CommitTs;
use tidewater_proto::kvrpcpb;

use super::commit::{Mutation, TwoPhase, is_lockable};
use super::prewrite::Floor;
use crate::TxnError;
use crate::backoff::Backoff;
use crate::config::AsyncCommit;
use crate::grouping::Batch;
use crate::resolver::Outcome;

/// What the first phase of an async commit led to.
pub(super) enum Prewritten {
    Committed(CommitTs),
    /// A store wants two phases: everything is locked, nobody but us can commit.
    FellBack,
}

impl TwoPhase {
    /// Whether few enough keys are locked to list them in the primary's lock.
    pub(super) fn may_commit_async(&self) -> bool {
        let config = &self.cluster.config;
        let (mut keys, mut bytes) = (0, 0);
        for mutation in self.mutations.iter().filter(|mutation| is_lockable(mutation)) {
            keys += 1;
            bytes += mutation.key.len();
        }
        config.async_commit == AsyncCommit::WhenPossible
            && (1..=config.async_commit_keys_max).contains(&keys)
            && bytes <= config.async_commit_key_bytes_max
    }

    /// Locks everything. After an error it is unknown what is locked: [`Self::settle`].
    pub(super) async fn prewrite_async(
        &self,
        batches: Vec<Batch<Mutation>>,
        floor: &Floor,
        backoff: &mut Backoff,
    ) -> Result<Prewritten, TxnError> {
        let work = |batch, mut patience| async move {
            let result = self.prewrite_batch(batch, Some(floor), &mut patience).await;
            (result, patience)
        };
        let answers = self.cluster.for_each_batch(batches, backoff, work).await?;
        // Keys that are only checked have no lock that could tell others what their store said.
        let answers: Vec<u64> = answers.into_iter().flatten().collect();
        if answers.contains(&0) {
            metrics::counter!("tidewater_txn_async_commit_fallbacks_total").increment(1);
            return Ok(Prewritten::FellBack);
        }
        Ok(Prewritten::Committed(CommitTs::new(answers.into_iter().max().unwrap_or(0))))
    }

    /// Makes a prewrite part of an async commit.
    pub(super) fn made_async(
        &self,
        command: kvrpcpb::PrewriteRequest,
        floor: &Floor,
        max_commit_ts: u64,
    ) -> kvrpcpb::PrewriteRequest {
        let mut secondaries = Vec::new();
        if command.mutations.iter().any(|mutation| mutation.key == self.primary) {
            secondaries = self.secondaries();
        }
        kvrpcpb::PrewriteRequest {
            use_async_commit: true,
            secondaries,
            min_commit_ts: floor.at_least.into_inner().max(command.min_commit_ts),
            max_commit_ts,
            ..command
        }
    }

    fn secondaries(&self) -> Vec<bytes::Bytes> {
        let mut keys = self.lockable_keys();
        keys.retain(|key| *key != self.primary);
        keys
    }

    /// Commits what is committed: every key, in the background.
    pub(super) fn commit_all(self: &Arc<Self>, commit: CommitTs) {
        self.clone().commit_rest(commit, Arc::default());
    }

    /// Finds out, once and for all, what became of the transaction, after its first phase did not end well.
    pub(super) async fn settle(self: &Arc<Self>) -> Result<Outcome, TxnError> {
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.commit);
        let outcome = self.cluster.end_of(&self.primary, self.start, &mut backoff).await?;
        match outcome {
            Outcome::Committed(commit) => self.commit_all(commit),
            Outcome::RolledBack => self.rollback_quietly().await,
        }
        Ok(outcome)
    }

    /// What to say of a commit whose first phase failed.
    pub(super) async fn after_failure(
        self: &Arc<Self>,
        error: TxnError,
        backoff: &Backoff,
    ) -> Result<CommitTs, TxnError> {
        if backoff.lost_answers == 0 {
            // Refused, and the refused keys were never asked for before. Should a network deliver that request twice, then the second
            // copy meets the record of this rollback.
            self.rollback_quietly().await;
            return Err(error);
        }
        match self.settle().await {
            Ok(Outcome::Committed(commit)) => Ok(commit),
            Ok(Outcome::RolledBack) => Err(error),
            Err(unsettled) => {
                tracing::warn!(start = %self.start, %unsettled, "an async commit could not be settled");
                Err(self.undetermined(error, backoff))
            }
        }
    }
}
