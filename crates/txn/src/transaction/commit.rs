//! Commit.
//!
//! ```text
//!  all writes in one request of one region:   Prewrite(try_one_pc) ──> committed
//!  few keys:   Prewrite(use_async_commit) of all regions ══ committed ══> Commit(all), in the background    (see `async_commit`)
//!  else:   Prewrite of all regions ──> commit timestamp ──> Commit(primary) ══ committed ══> Commit(others), in the background
//! ```
//!
//! In two phases, the moment of truth is the primary's write record: before it anybody may roll the transaction back, after it everybody must roll it
//! forward. So an error before that moment rolls back, and an answer lost *at* that moment, which no later answer makes up for, is neither
//! success nor failure but [`TxnError::Undetermined`]. (Percolator, Peng and Dabek 2010, §2.2.)
//!
//! A one-phase commit takes its timestamp from the store, which keeps it above every read it served. A timestamp fetched before the request
//! is its lower bound, so that the commit also comes after every transaction that committed elsewhere before this one did.

use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::{CommitTs, Key, StartTs, TimeStamp};
use tidewater_proto::kvrpcpb::prewrite_request::PessimisticAction;
use tidewater_proto::kvrpcpb::{self, Op};
use tokio::time::Instant;

use super::async_commit::Prewritten;
use super::heart_beat::HeartBeat;
use super::lock::rollback_locks;
use super::prewrite::Floor;
use super::{CommitGate, CommitPass, Refusal, State, Transaction, TxnKind};
use crate::TxnError;
use crate::backoff::{Backoff, Pause};
use crate::buffer::{Locking, Presumption, Write};
use crate::cluster::{Cluster, Sent};
use crate::config::OnePhaseCommit;
use crate::grouping::{Batch, Done, Keyed};
use crate::key_error::{KeyFailure, rolled_back};

/// One key of a commit.
#[derive(Debug, Clone)]
pub(super) struct Mutation {
    pub(super) op: Op,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    pub(super) check: PessimisticAction,
}

impl Keyed for Mutation {
    fn key(&self) -> &[u8] {
        &self.key
    }

    fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// A commit under way. Shared with the background task that finishes it.
pub(super) struct TwoPhase {
    pub(super) cluster: Arc<Cluster>,
    pub(super) kind: TxnKind,
    pub(super) start: StartTs,
    pub(super) for_update_ts: TimeStamp,
    pub(super) begun: Instant,
    pub(super) primary: Bytes,
    pub(super) mutations: Vec<Mutation>,
    pub(super) bytes: usize,
    pub(super) gate: Option<Arc<dyn CommitGate>>,
    pub(super) on_full_disk: bool,
}

/// What trying to commit in one phase led to.
enum OnePhase {
    Committed(CommitTs),
    /// The store preferred two phases: everything is locked.
    Locked,
    /// The writes turned out to belong to more than one request.
    TooWide(Vec<Batch<Mutation>>),
}

impl Transaction {
    /// Commits. After an error the transaction is over, whatever the error says about trying again.
    ///
    /// Returns where the writes became visible; for a transaction without writes, where it began.
    pub async fn commit(&mut self) -> Result<CommitTs, TxnError> {
        if let Err(error) = self.check_active() {
            if !self.is_over() {
                self.rollback().await?;
            }
            return Err(error);
        }
        if self.buffer.is_empty() {
            let released = self.release_locks().await;
            self.state = State::Over;
            self.heart_beat = None;
            if let Err(error) = released {
                tracing::warn!(start = %self.start_ts, %error, "locks of a read-only transaction were not given back");
            }
            return Ok(CommitTs(self.start_ts.0));
        }
        let two_phase = Arc::new(self.two_phase());
        let result = self.run(&two_phase).await;
        self.heart_beat = None;
        let was_prewriting = matches!(std::mem::replace(&mut self.state, State::Over), State::Prewriting(_));
        let unsure: Vec<_> = std::mem::take(&mut self.held)
            .into_iter()
            .filter(|(_, held)| !held.sure)
            .map(|(key, _)| key)
            .collect();
        if !unsure.is_empty() {
            // Left over from locking that was given up half-way.
            let (cluster, start, for_update_ts) = (self.cluster.clone(), self.start_ts, self.for_update_ts);
            tokio::spawn(async move { rollback_locks(&cluster, start, for_update_ts, unsure).await });
        }
        if let Err(error) = &result
            && was_prewriting
            && let Err(left) = two_phase.rollback().await
        {
            tracing::warn!(start = %self.start_ts, %error, %left, "a failed commit was not cleaned up");
        }
        result
    }

    async fn run(&mut self, two_phase: &Arc<TwoPhase>) -> Result<CommitTs, TxnError> {
        self.state = State::Prewriting(two_phase.clone());
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.prewrite);
        backoff.interrupt.clone_from(&self.interrupt);
        let mut batches = two_phase.cluster.batches(two_phase.mutations.clone(), &mut backoff).await?;
        let one_phase =
            self.cluster.config.one_phase_commit == OnePhaseCommit::WhenPossible && !self.two_phases;
        let mut floor = None;
        if one_phase && batches.len() == 1 {
            let floor = *floor.insert(two_phase.floor().await?);
            // A lost answer may be a commit: from here on we must not roll back on our own.
            self.state = State::Over;
            match two_phase.one_phase(batches, &floor, &mut backoff).await {
                Ok(OnePhase::Committed(commit)) => return Ok(commit),
                Ok(OnePhase::Locked) => batches = Vec::new(),
                Ok(OnePhase::TooWide(wider)) => batches = wider,
                Err(error) if backoff.lost_answers > 0 => return Err(two_phase.undetermined(error, &backoff)),
                Err(error) => {
                    two_phase.rollback_quietly().await;
                    return Err(error);
                }
            }
            self.state = State::Prewriting(two_phase.clone());
        }
        if batches.len() > 1 && self.heart_beat.is_none() {
            let primary = two_phase.primary.clone();
            self.heart_beat =
                Some(HeartBeat::start(self.cluster.clone(), self.start_ts, primary, self.begun));
        }
        if !batches.is_empty() && !self.two_phases && two_phase.may_commit_async() {
            let floor = match floor {
                Some(floor) => floor,
                None => two_phase.floor().await?,
            };
            self.state = State::PrewritingAsync(two_phase.clone());
            match two_phase.prewrite_async(batches, &floor, &mut backoff).await {
                Ok(Prewritten::Committed(commit)) => {
                    self.state = State::Over;
                    two_phase.commit_all(commit);
                    return Ok(commit);
                }
                Ok(Prewritten::FellBack) => self.state = State::Prewriting(two_phase.clone()),
                Err(error) => return two_phase.after_failure(error, &backoff).await,
            }
        } else {
            two_phase.prewrite(batches, &mut backoff).await?;
        }
        if !two_phase.mutations.iter().any(is_lockable) {
            return Ok(CommitTs(self.start_ts.0));
        }
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.commit);
        let commit = two_phase.next_commit_ts().await?;
        self.state = State::Over;
        match two_phase.commit_primary(commit, &mut backoff).await {
            Ok((commit, committed)) => {
                two_phase.clone().commit_rest(commit, committed);
                Ok(commit)
            }
            Err(error) if backoff.lost_answers > 0 => Err(two_phase.undetermined(error, &backoff)),
            Err(error) => {
                two_phase.rollback_quietly().await;
                Err(error)
            }
        }
    }

    fn two_phase(&self) -> TwoPhase {
        let mut mutations: Vec<_> =
            self.buffer.iter().map(|(key, write)| self.mutation(key, write)).collect();
        let only_locked = self.held.iter().filter(|(key, held)| held.sure && self.buffer.get(key).is_none());
        mutations.extend(only_locked.map(|(key, _)| Mutation {
            op: Op::Lock,
            key: key.clone(),
            value: Bytes::new(),
            check: self.held_check(),
        }));
        mutations.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        // The primary is a key that is checked: a prewrite that comes twice must not lock it again when all is over.
        let is_checked = |mutation: &&Mutation| {
            is_lockable(mutation) && mutation.check != PessimisticAction::SkipPessimisticCheck
        };
        let first =
            mutations.iter().find(is_checked).or_else(|| mutations.iter().find(|each| is_lockable(each)));
        let first = first.or(mutations.first());
        let primary =
            self.primary.clone().or_else(|| first.map(|mutation| mutation.key.clone())).unwrap_or_default();
        TwoPhase {
            cluster: self.cluster.clone(),
            kind: self.kind,
            start: self.start_ts,
            for_update_ts: self.for_update_ts,
            begun: self.begun,
            primary,
            bytes: mutations.iter().map(Keyed::bytes).sum(),
            mutations,
            gate: self.commit_gate.clone(),
            on_full_disk: self.on_full_disk,
        }
    }

    fn held_check(&self) -> PessimisticAction {
        match self.kind {
            TxnKind::Pessimistic => PessimisticAction::DoPessimisticCheck,
            TxnKind::Optimistic => PessimisticAction::DoConstraintCheck,
        }
    }

    fn mutation(&self, key: &Bytes, write: &Write) -> Mutation {
        let op = match (&write.value, write.presumption) {
            (Some(_), Presumption::None) => Op::Put,
            (Some(_), Presumption::NotExists) => Op::Insert,
            (None, Presumption::None) => Op::Del,
            // Inserted and deleted by us: nothing to write, but the insert was right only if the key did not exist.
            (None, Presumption::NotExists) => Op::CheckNotExists,
        };
        let held = self.held.get(key).is_some_and(|held| held.sure);
        let check = match (self.kind, write.locking) {
            (TxnKind::Pessimistic, _) if held => PessimisticAction::DoPessimisticCheck,
            (_, Locking::Guarded) | (TxnKind::Pessimistic, Locking::AtCommit) => {
                PessimisticAction::SkipPessimisticCheck
            }
            (TxnKind::Optimistic, _) => PessimisticAction::DoConstraintCheck,
            (TxnKind::Pessimistic, Locking::WithStatement) => PessimisticAction::DoConstraintCheck,
        };
        // A lock must become something: an insert that was taken back keeps its lock as a lock.
        let op = if held && op == Op::CheckNotExists { Op::Lock } else { op };
        Mutation { op, key: key.clone(), value: write.value.clone().unwrap_or_default(), check }
    }
}

impl TwoPhase {
    /// Tries to commit in one phase. After an error, [`Backoff::lost_answers`] tells whether it may have happened all the same.
    async fn one_phase(
        &self,
        mut batches: Vec<Batch<Mutation>>,
        floor: &Floor,
        backoff: &mut Backoff,
    ) -> Result<OnePhase, TxnError> {
        loop {
            let [batch] = &batches[..] else {
                if backoff.lost_answers > 0 {
                    // An attempt may have committed everything before the region was cut: two phases would not find out.
                    return Err(backoff
                        .exhausted(Pause::RegionChanged, "the region was split while the answer was lost"));
                }
                return Ok(OnePhase::TooWide(batches));
            };
            let pass = self.enter_gate(floor.at_least).await?;
            let command = || kvrpcpb::PrewriteRequest {
                try_one_pc: true,
                min_commit_ts: floor.at_least.into_inner(),
                max_commit_ts: self.max_commit_ts(floor, pass.as_ref()),
                ..self.prewrite_command(&batch.items)
            };
            let Sent::Answer(response) = self.cluster.send(&batch.region, backoff, command).await? else {
                batches = self.cluster.batches(self.mutations.clone(), backoff).await?;
                continue;
            };
            drop(pass);
            let locks = match self.read_prewrite_errors(response.errors) {
                Ok(locks) => locks,
                // The rival is ourselves: a lost answer said "committed".
                Err(TxnError::WriteConflict { conflict_start, conflict_commit, .. })
                    if backoff.lost_answers > 0
                        && conflict_start == self.start
                        && conflict_commit > CommitTs(self.start.0) =>
                {
                    return Ok(OnePhase::Committed(conflict_commit));
                }
                Err(error) => {
                    // A refusal makes up for lost answers: the store knows its own commits. Not if it did not look, say because its disk
                    // failed under the attempt before.
                    if !matches!(error, TxnError::Store { .. }) {
                        backoff.lost_answers = 0;
                    }
                    return Err(error);
                }
            };
            if !locks.is_empty() {
                // This does not: after our commit the next transaction may have locked the key.
                self.cluster.clear_for_write(locks, backoff).await?;
                continue;
            }
            return Ok(match response.one_pc_commit_ts {
                0 => OnePhase::Locked,
                commit => OnePhase::Committed(CommitTs::new(commit)),
            });
        }
    }

    /// A timestamp to commit at.
    pub(super) async fn next_commit_ts(&self) -> Result<CommitTs, TxnError> {
        Ok(CommitTs(self.cluster.timestamp().await?))
    }

    /// Asks the caller's gate, before a request that may commit.
    pub(super) async fn enter_gate(&self, commit: CommitTs) -> Result<Option<CommitPass>, TxnError> {
        match &self.gate {
            Some(gate) => {
                let refused = |refusal| match refusal {
                    Refusal::Changed(reason) => TxnError::CommitRefused { reason },
                    Refusal::Unsure(reason) => TxnError::CommitUnsure { reason },
                };
                gate.enter(commit).await.map(Some).map_err(refused)
            }
            None => Ok(None),
        }
    }

    /// Commits the primary with the keys that share its request, and returns these. After an error, [`Backoff::lost_answers`] tells
    /// whether it may have happened all the same.
    async fn commit_primary(
        &self,
        mut commit: CommitTs,
        backoff: &mut Backoff,
    ) -> Result<(CommitTs, Arc<[Bytes]>), TxnError> {
        loop {
            let batches = self.cluster.batches(self.lockable_keys(), backoff).await?;
            let Some(batch) = batches.into_iter().find(|batch| batch.items.contains(&self.primary)) else {
                let primary = Key::new(&self.primary[..]);
                return Err(TxnError::Protocol {
                    reason: format!("the primary {primary} is not among the writes"),
                });
            };
            let command = || self.commit_command(&batch.items, commit);
            let _pass = self.enter_gate(commit).await?;
            let Sent::Answer(response) = self.cluster.send(&batch.region, backoff, command).await? else {
                continue;
            };
            match response.error.map(|error| KeyFailure::new(error, self.start)) {
                None => return Ok((commit, batch.items)),
                // An answer of one who has looked at the lock makes up for those that were lost: to commit twice is to commit once.
                // A reader pushed the commit ahead of its snapshot.
                Some(KeyFailure::CommitTsExpired) => {
                    backoff.lost_answers = 0;
                    commit = self.next_commit_ts().await?;
                }
                Some(KeyFailure::LockNotFound | KeyFailure::TxnNotFound) => {
                    backoff.lost_answers = 0;
                    return Err(rolled_back(self.start, "the lock of the primary is gone"));
                }
                // It may not have looked, say because its disk failed under the attempt before.
                Some(failure) => {
                    let error = failure.into_error(self.start);
                    return Err(backoff.locate_refusal(error, Some(&self.primary)));
                }
            }
        }
    }

    /// Commits everything else in the background: who meets one of these locks before that asks the primary.
    pub(super) fn commit_rest(self: Arc<Self>, commit: CommitTs, committed: Arc<[Bytes]>) {
        let mut rest = self.lockable_keys();
        // Both are sorted.
        rest.retain(|key| committed.binary_search(key).is_err());
        if rest.is_empty() {
            return;
        }
        tokio::spawn(async move {
            if let Err(error) = self.commit_keys(rest, commit).await {
                tracing::warn!(start = %self.start, %commit, %error, "locks of a committed transaction are left to who meets them");
            }
        });
    }

    async fn commit_keys(&self, keys: Vec<Bytes>, commit: CommitTs) -> Result<(), TxnError> {
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.commit);
        let batches = self.cluster.batches(keys, &mut backoff).await?;
        let commit_batch = |batch: Batch<Bytes>, mut backoff: Backoff| async move {
            let command = || self.commit_command(&batch.items, commit);
            let result = match self.cluster.send(&batch.region, &mut backoff, command).await {
                Ok(Sent::RegionChanged) => Ok(Done::Again(batch.items)),
                Ok(Sent::Answer(response)) => match response.error {
                    None => Ok(Done::Answer(())),
                    Some(error) => Err(KeyFailure::new(error, self.start).into_error(self.start)),
                },
                Err(error) => Err(error),
            };
            (result, backoff)
        };
        self.cluster.for_each_batch(batches, &mut backoff, commit_batch).await.map(drop)
    }

    fn commit_command(&self, keys: &[Bytes], commit: CommitTs) -> kvrpcpb::CommitRequest {
        kvrpcpb::CommitRequest {
            start_version: self.start.into_inner(),
            keys: keys.to_vec(),
            commit_version: commit.into_inner(),
            ..Default::default()
        }
    }

    /// The keys that have locks, in order.
    pub(super) fn lockable_keys(&self) -> Vec<Bytes> {
        self.mutations
            .iter()
            .filter(|mutation| is_lockable(mutation))
            .map(|mutation| mutation.key.clone())
            .collect()
    }

    /// Rolls everything back; only before the moment of truth.
    pub(super) async fn rollback(&self) -> Result<(), TxnError> {
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.commit);
        let batches = self.cluster.batches(self.lockable_keys(), &mut backoff).await?;
        let roll_back = |batch: Batch<Bytes>, mut backoff: Backoff| async move {
            let command = || kvrpcpb::BatchRollbackRequest {
                start_version: self.start.into_inner(),
                keys: batch.items.to_vec(),
                ..Default::default()
            };
            let result = match self.cluster.send(&batch.region, &mut backoff, command).await {
                Ok(Sent::RegionChanged) => Ok(Done::Again(batch.items)),
                Ok(Sent::Answer(response)) => match response.error {
                    None => Ok(Done::Answer(())),
                    Some(error) => Err(KeyFailure::new(error, self.start).into_error(self.start)),
                },
                Err(error) => Err(error),
            };
            (result, backoff)
        };
        self.cluster.for_each_batch(batches, &mut backoff, roll_back).await.map(drop)
    }

    pub(super) async fn rollback_quietly(&self) {
        if let Err(error) = self.rollback().await {
            tracing::warn!(start = %self.start, %error, "a failed commit was not cleaned up");
        }
    }

    /// An error after lost answers says nothing about what the stores did.
    pub(super) fn undetermined(&self, error: TxnError, backoff: &Backoff) -> TxnError {
        let gave_up = match error {
            TxnError::Unavailable { gave_up } => gave_up,
            other => Box::new(backoff.gave_up(Pause::Transport, other)),
        };
        TxnError::Undetermined { start: self.start, gave_up }
    }
}

pub(super) fn is_lockable(mutation: &Mutation) -> bool {
    mutation.op != Op::CheckNotExists
}
