//! The end of an async commit, as all its keys tell.

use bytes::Bytes;
use tidewater_codec::{CommitTs, StartTs};
use tidewater_proto::kvrpcpb::{self, LockInfo};

use super::{Ask, Met, Outcome, Status};
use crate::TxnError;
use crate::backoff::Backoff;
use crate::cluster::{Cluster, Sent};
use crate::error::start;
use crate::grouping::{Batch, Done};
use crate::key_error::KeyFailure;

/// What some keys say, and then what all say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// All have locks of an async commit.
    Locked { min_commit_ts: u64 },
    /// One has a plain lock: its store declined, and the client knows it.
    Plain,
    /// One is not locked and never will be.
    Missing,
    /// One was committed by somebody who asked before us.
    Committed(CommitTs),
}

impl Keys {
    fn read(
        response: kvrpcpb::CheckSecondaryLocksResponse,
        asked: usize,
        holder: StartTs,
    ) -> Result<Self, TxnError> {
        if let Some(error) = response.error {
            return Err(KeyFailure::new(error, holder).into_error(holder));
        }
        if response.commit_ts != 0 {
            return Ok(Self::Committed(CommitTs::new(response.commit_ts)));
        }
        if response.locks.len() < asked {
            return Ok(Self::Missing);
        }
        if !response.locks.iter().all(|lock| lock.use_async_commit) {
            return Ok(Self::Plain);
        }
        let min_commit_ts = response.locks.iter().map(|lock| lock.min_commit_ts).max().unwrap_or(0);
        Ok(Self::Locked { min_commit_ts })
    }

    /// What is final outweighs what is not.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Committed(commit), _) | (_, Self::Committed(commit)) => Self::Committed(commit),
            (Self::Missing, _) | (_, Self::Missing) => Self::Missing,
            (Self::Plain, _) | (_, Self::Plain) => Self::Plain,
            (Self::Locked { min_commit_ts: a }, Self::Locked { min_commit_ts: b }) => {
                Self::Locked { min_commit_ts: a.max(b) }
            }
        }
    }
}

impl Cluster {
    /// What became of a transaction, whatever its locks say about time: for its own client, which gave it up.
    pub(crate) async fn end_of(
        &self,
        primary: &Bytes,
        holder: StartTs,
        backoff: &mut Backoff,
    ) -> Result<Outcome, TxnError> {
        let lock = LockInfo {
            primary_lock: primary.clone(),
            key: primary.clone(),
            lock_version: holder.into_inner(),
            lock_ttl: 0,
            ..Default::default()
        };
        match self.status(&lock, Met::ByWrite, backoff).await? {
            Status::Ended(outcome) => Ok(outcome),
            Status::LockLapsed | Status::Live { .. } | Status::AskAll(_) => {
                Err(TxnError::Protocol { reason: format!("the transaction of {holder} would not end") })
            }
        }
    }

    pub(super) async fn status_by_all(
        &self,
        met_lock: &LockInfo,
        primary: &LockInfo,
        met: Met,
        backoff: &mut Backoff,
    ) -> Result<Status, TxnError> {
        let outcome = match self.ask_secondaries(primary, backoff).await? {
            Keys::Plain => return self.ask_primary(met_lock, met, Ask::AsTwoPhase, backoff).await,
            Keys::Committed(commit) => Outcome::Committed(commit),
            Keys::Missing => Outcome::RolledBack,
            Keys::Locked { min_commit_ts } => {
                Outcome::Committed(CommitTs::new(min_commit_ts.max(primary.min_commit_ts)))
            }
        };
        metrics::counter!("tidewater_txn_async_commits_settled_total").increment(1);
        // Written to the primary first, the next who asks need not ask all.
        self.settle(primary, outcome, backoff).await?;
        self.outcomes.lock().insert(start(primary.lock_version), outcome);
        Ok(Status::Ended(outcome))
    }

    /// Asks all keys but the primary, side by side.
    async fn ask_secondaries(&self, primary: &LockInfo, backoff: &mut Backoff) -> Result<Keys, TxnError> {
        let mut keys = primary.secondaries.clone();
        keys.sort_unstable();
        keys.dedup();
        let batches = self.batches(keys, backoff).await?;
        let ask = |batch: Batch<Bytes>, mut backoff: Backoff| async move {
            let command = || kvrpcpb::CheckSecondaryLocksRequest {
                keys: batch.items.to_vec(),
                start_version: primary.lock_version,
                ..Default::default()
            };
            let result = match self.send(&batch.region, &mut backoff, command).await {
                Ok(Sent::RegionChanged) => Ok(Done::Again(batch.items)),
                Ok(Sent::Answer(response)) => {
                    Keys::read(response, batch.items.len(), start(primary.lock_version)).map(Done::Answer)
                }
                Err(error) => Err(error),
            };
            (result, backoff)
        };
        let answers = self.for_each_batch(batches, backoff, ask).await?;
        Ok(answers.into_iter().fold(Keys::Locked { min_commit_ts: 0 }, Keys::and))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_outweighs_what_is_not() {
        let (locked, later) = (Keys::Locked { min_commit_ts: 5 }, Keys::Locked { min_commit_ts: 7 });
        let committed = Keys::Committed(CommitTs::new(9));
        let cases = [
            (locked, later, later),
            (later, Keys::Plain, Keys::Plain),
            (Keys::Plain, Keys::Missing, Keys::Missing),
            (Keys::Missing, committed, committed),
            (Keys::Plain, committed, committed),
        ];
        for (a, b, expected) in cases {
            assert_eq!((a.and(b), b.and(a)), (expected, expected));
        }
    }
}
