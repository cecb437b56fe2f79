//! Prewrite: checks every key of a transaction and locks it; with one-phase commit, commits it right away.
//!
//! Per key: a lock of another transaction is in the way; a version newer than the snapshot is a conflict (optimistic keys); a
//! pessimistic lock of the own transaction is replaced. If any key is locked nothing is written and all such locks are reported.
//!
//! How the transaction will commit shows in the locks:
//! * two-phase: plain locks, the client brings a commit timestamp later;
//! * async commit: the primary's lock lists the secondaries, every lock carries a `min_commit_ts` above all reads so far;
//! * one phase: no locks at all, versions are written at `min_commit_ts`.
//!
//! For the last two the locks are published in the concurrency manager first, see there.

use tidewater_codec::{
    CommitTs, Key, StartTs, TimeStamp,
    mvcc::{Lock, LockType, SHORT_VALUE_LEN_MAX, Write, WriteType},
};

use super::{CommandContext, WriteCommand};
use crate::{
    Durability,
    error::{Assertion, CommandError, ConflictReason},
    mvcc::{CommitRecord, DataKey, MvccReader, MvccTxn},
};

pub(crate) struct Prewrite {
    pub mutations: Vec<Mutation>,
    pub primary: Key,
    pub start_ts: StartTs,
    pub ttl_ms: u64,
    pub txn_size: u64,
    /// Zero for optimistic transactions.
    pub for_update_ts: TimeStamp,
    pub min_commit_ts: TimeStamp,
    /// Zero is no limit.
    pub max_commit_ts: TimeStamp,
    pub path: CommitPath,
    pub skip_constraint_check: bool,
    pub is_retry: bool,
    pub assertions: AssertionLevel,
}

/// How the client wants to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommitPath {
    TwoPhase,
    Async {
        secondaries: Vec<Key>,
    },
    OnePhase {
        /// The secondaries, if an async commit will do as well where one phase is not possible.
        or_async: Option<Vec<Key>>,
    },
}

/// How far the client's beliefs about keys are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AssertionLevel {
    Off,
    /// Where it costs no extra read.
    Fast,
    Strict,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mutation {
    pub key: DataKey,
    pub change: Change,
    pub pessimistic: PessimisticAction,
    pub assertion: Assertion,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Put(Vec<u8>),
    Delete,
    Lock,
    /// A put of a key that must not exist.
    Insert(Vec<u8>),
    /// Writes nothing.
    CheckNotExists,
}

/// What a transaction knows about a key; of these an optimistic one says `Skip` and `CheckConstraint` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PessimisticAction {
    /// It needs neither lock nor check: another key, which has both, guards it.
    Skip,
    /// It was locked.
    LockIsHeld,
    /// It was not locked; check it as an optimistic transaction would.
    CheckConstraint,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PrewriteAnswer {
    /// Keys locked by others; if there are any nothing was written.
    pub locked: Vec<CommandError>,
    pub min_commit_ts: TimeStamp,
    pub one_phase_commit_ts: Option<CommitTs>,
}

impl WriteCommand for Prewrite {
    type Answer = PrewriteAnswer;
    const DURABILITY: Durability = Durability::Sync;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        self.mutations.iter().map(|mutation| &mutation.key)
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, PrewriteAnswer), CommandError> {
        let mut txn = MvccTxn::default();
        let mut locked = Vec::new();
        let mut new_locks = Vec::with_capacity(self.mutations.len());
        let mut done_before = DoneBefore::default();
        let primary = DataKey::from_raw(self.primary.as_bytes());
        for mutation in &self.mutations {
            match self.prewrite_key(&mut context.reader, mutation, mutation.key == primary) {
                Ok(Checked::Lock(new)) => new_locks.push(*new),
                Ok(Checked::Nothing) => {}
                Ok(Checked::DoneBefore { min_commit_ts, is_async }) => {
                    done_before.lock(min_commit_ts, is_async);
                }
                Ok(Checked::CommittedBefore { commit_ts }) => done_before.commit(commit_ts),
                Err(error @ CommandError::Locked { .. }) => locked.push(error),
                Err(error) => return Err(error),
            }
        }
        if let Some(commit_ts) = done_before.committed {
            // A repeated request whose first copy went through in one phase (or was committed by a resolver).
            let answer = PrewriteAnswer {
                locked: Vec::new(),
                min_commit_ts: commit_ts.0,
                one_phase_commit_ts: matches!(self.path, CommitPath::OnePhase { .. }).then_some(commit_ts),
            };
            return Ok((MvccTxn::default(), answer));
        }
        if !locked.is_empty() {
            let answer = PrewriteAnswer { locked, min_commit_ts: TimeStamp::ZERO, one_phase_commit_ts: None };
            return Ok((MvccTxn::default(), answer));
        }
        let answer = self.finish(&mut txn, context, new_locks, done_before);
        Ok((txn, answer))
    }
}

/// What checking one key came to.
enum Checked {
    Lock(Box<NewLock>),
    /// Only a check was asked for.
    Nothing,
    /// An earlier copy of this request locked it.
    DoneBefore {
        min_commit_ts: TimeStamp,
        is_async: bool,
    },
    /// An earlier copy of this request, and a commit, were here.
    CommittedBefore {
        commit_ts: CommitTs,
    },
}

struct NewLock {
    key: DataKey,
    lock: Lock,
    long_value: Option<Vec<u8>>,
    /// The key held a pessimistic lock of this transaction.
    replaces_pessimistic: bool,
}

#[derive(Default)]
struct DoneBefore {
    locks: usize,
    /// Those that need a commit timestamp from the client.
    plain_locks: usize,
    min_commit_ts: TimeStamp,
    committed: Option<CommitTs>,
}

impl DoneBefore {
    fn lock(&mut self, min_commit_ts: TimeStamp, is_async: bool) {
        self.locks += 1;
        self.plain_locks += usize::from(!is_async);
        self.min_commit_ts = self.min_commit_ts.max(min_commit_ts);
    }

    fn commit(&mut self, commit_ts: CommitTs) {
        self.committed = self.committed.max(Some(commit_ts));
    }
}

impl Prewrite {
    fn prewrite_key(
        &self,
        reader: &mut MvccReader<'_>,
        mutation: &Mutation,
        is_primary: bool,
    ) -> Result<Checked, CommandError> {
        let key = &mutation.key;
        let mut held = None;
        match reader.load_lock(key)? {
            Some(lock) if lock.start_ts != self.start_ts => {
                let must_be_ours = mutation.pessimistic == PessimisticAction::LockIsHeld;
                // A repeated request whose first copy committed: the next transaction may be here already.
                if (must_be_ours || self.is_retry)
                    && let CommitRecord::Committed { commit_ts } = reader.commit_record(key, self.start_ts)?
                {
                    return Ok(Checked::CommittedBefore { commit_ts });
                }
                if must_be_ours {
                    return Err(CommandError::PessimisticLockNotFound {
                        key: key.raw(),
                        start_ts: self.start_ts,
                    });
                }
                return Err(CommandError::Locked { key: key.raw(), lock: Box::new(lock) });
            }
            Some(lock) if lock.lock_type == LockType::Pessimistic => {
                if self.for_update_ts.is_zero() {
                    return Err(CommandError::LockTypeNotMatch { key: key.raw(), start_ts: self.start_ts });
                }
                held = Some(lock);
            }
            Some(lock) => {
                let is_async = lock.async_commit_secondaries.is_some();
                return Ok(Checked::DoneBefore { min_commit_ts: lock.min_commit_ts, is_async });
            }
            None if mutation.pessimistic == PessimisticAction::LockIsHeld => {
                if let Some(commit_ts) = self.amend_pessimistic_lock(reader, key)? {
                    return Ok(Checked::CommittedBefore { commit_ts });
                }
            }
            None => {}
        }
        let mut newest = Newest::NotRead;
        if held.is_none() && self.must_check_newer(mutation, is_primary) {
            match self.check_newer_version(reader, mutation)? {
                Newer::Fine(found) => newest = found,
                Newer::CommittedBefore { commit_ts } => return Ok(Checked::CommittedBefore { commit_ts }),
            }
        } else if held.is_none()
            && let Some(commit_ts) = self.check_not_judged(reader, mutation)?
        {
            return Ok(Checked::CommittedBefore { commit_ts });
        }
        self.check_assertion(reader, mutation, newest)?;
        let Some(new) = self.new_lock(mutation, held) else { return Ok(Checked::Nothing) };
        Ok(Checked::Lock(Box::new(new)))
    }

    fn must_check_newer(&self, mutation: &Mutation, is_primary: bool) -> bool {
        let must_not_exist = matches!(mutation.change, Change::Insert(_) | Change::CheckNotExists);
        if self.for_update_ts.is_zero() && mutation.pessimistic != PessimisticAction::Skip {
            return !self.skip_constraint_check || must_not_exist;
        }
        match mutation.pessimistic {
            PessimisticAction::LockIsHeld => false,
            PessimisticAction::CheckConstraint => true,
            // A repeated request may come after the transaction is over: then its own record must be found.
            // So may one that the network delivers twice: then the primary, which decides about all others, must not be locked anew.
            PessimisticAction::Skip => self.is_retry || must_not_exist || is_primary,
        }
    }

    /// The lock is lost with the process that held it. If nobody wrote the key since the transaction began, nobody came between.
    ///
    /// Returns where the transaction committed if an earlier copy of this request did so in one phase.
    fn amend_pessimistic_lock(
        &self,
        reader: &mut MvccReader<'_>,
        key: &DataKey,
    ) -> Result<Option<CommitTs>, CommandError> {
        let Some((commit_ts, write)) = reader.seek_write(key, TimeStamp::MAX)? else { return Ok(None) };
        if commit_ts.0 < self.start_ts.0 {
            return Ok(None);
        }
        // Something younger: our own commit, or a reason to give up. Rollbacks count, ours may have been collapsed into one.
        match reader.commit_record(key, self.start_ts)? {
            CommitRecord::Committed { commit_ts } => Ok(Some(commit_ts)),
            CommitRecord::RolledBack | CommitRecord::None { .. } => {
                tracing::debug!(%commit_ts, start_ts = %write.start_ts, "a lost pessimistic lock cannot be amended");
                Err(CommandError::PessimisticLockNotFound { key: key.raw(), start_ts: self.start_ts })
            }
        }
    }

    /// Who settles an abandoned async commit rolls back the secondaries it misses, and acts on that at once. So none of them may be
    /// locked afterwards, not even one that needs no check for conflicts.
    fn check_not_judged(
        &self,
        reader: &mut MvccReader<'_>,
        mutation: &Mutation,
    ) -> Result<Option<CommitTs>, CommandError> {
        let is_async = matches!(self.path, CommitPath::Async { .. });
        if !is_async || mutation.pessimistic != PessimisticAction::Skip {
            return Ok(None);
        }
        match reader.commit_record(&mutation.key, self.start_ts)? {
            CommitRecord::Committed { commit_ts } => Ok(Some(commit_ts)),
            CommitRecord::None { .. } => Ok(None),
            CommitRecord::RolledBack => Err(CommandError::WriteConflict {
                key: mutation.key.raw(),
                primary: self.primary.clone(),
                start_ts: self.start_ts,
                conflict_start_ts: self.start_ts,
                commit_ts: CommitTs(self.start_ts.0),
                reason: ConflictReason::SelfRolledBack,
            }),
        }
    }

    fn check_newer_version(
        &self,
        reader: &mut MvccReader<'_>,
        mutation: &Mutation,
    ) -> Result<Newer, CommandError> {
        let key = &mutation.key;
        let mut newest = None;
        let mut at = TimeStamp::MAX;
        while let Some((commit_ts, write)) = reader.seek_write(key, at)? {
            let is_rollback = write.write_type == WriteType::Rollback;
            if write.start_ts == self.start_ts && !is_rollback {
                return Ok(Newer::CommittedBefore { commit_ts });
            }
            if commit_ts.0 == self.start_ts.0 && (is_rollback || write.overlapped_rollback) {
                return Err(self.conflict(key, &write, commit_ts, ConflictReason::SelfRolledBack));
            }
            if commit_ts.0 > self.start_ts.0 {
                let reason = match mutation.pessimistic {
                    _ if self.for_update_ts.is_zero() => Some(ConflictReason::Optimistic),
                    PessimisticAction::Skip if is_rollback || commit_ts.0 <= self.for_update_ts => None,
                    _ => Some(ConflictReason::LazyUniquenessCheck),
                };
                // The rollback of a younger transaction is a conflict, too: ours may have been collapsed into it.
                if let Some(reason) = reason {
                    return match reader.commit_record(key, self.start_ts)? {
                        CommitRecord::Committed { commit_ts } => Ok(Newer::CommittedBefore { commit_ts }),
                        CommitRecord::RolledBack => {
                            Err(self.conflict(key, &write, commit_ts, ConflictReason::SelfRolledBack))
                        }
                        CommitRecord::None { .. } => Err(self.conflict(key, &write, commit_ts, reason)),
                    };
                }
            }
            let below = commit_ts.0 <= self.start_ts.0;
            if newest.is_none() {
                newest = match write.write_type {
                    WriteType::Put | WriteType::Delete => Some((commit_ts, write)),
                    WriteType::Lock | WriteType::Rollback if below => reader.seek_change(key, commit_ts.0)?,
                    WriteType::Lock | WriteType::Rollback => None,
                };
            }
            if below {
                break;
            }
            at = commit_ts.0.prev();
        }
        self.check_not_exists(mutation, newest).map(Newer::Fine)
    }

    fn check_not_exists(
        &self,
        mutation: &Mutation,
        newest: Option<(CommitTs, Write)>,
    ) -> Result<Newest, CommandError> {
        let must_not_exist = matches!(mutation.change, Change::Insert(_) | Change::CheckNotExists);
        match newest {
            Some((commit_ts, write)) if write.write_type == WriteType::Put => {
                if must_not_exist {
                    return Err(CommandError::AlreadyExists { key: mutation.key.raw() });
                }
                Ok(Newest::Exists { start_ts: write.start_ts, commit_ts })
            }
            _ => Ok(Newest::Absent),
        }
    }

    fn check_assertion(
        &self,
        reader: &mut MvccReader<'_>,
        mutation: &Mutation,
        newest: Newest,
    ) -> Result<(), CommandError> {
        if mutation.assertion == Assertion::None || self.assertions == AssertionLevel::Off {
            return Ok(());
        }
        let newest = match newest {
            Newest::NotRead if self.assertions == AssertionLevel::Fast => return Ok(()),
            Newest::NotRead => match reader.seek_change(&mutation.key, TimeStamp::MAX)? {
                Some((commit_ts, write)) if write.write_type == WriteType::Put => {
                    Newest::Exists { start_ts: write.start_ts, commit_ts }
                }
                _ => Newest::Absent,
            },
            read => read,
        };
        let (existing_start_ts, existing_commit_ts) = match (mutation.assertion, newest) {
            (Assertion::NotExist, Newest::Exists { start_ts, commit_ts }) => (start_ts, commit_ts),
            (Assertion::Exist, Newest::Absent) => (StartTs::default(), CommitTs::default()),
            _ => return Ok(()),
        };
        Err(CommandError::AssertionFailed {
            key: mutation.key.raw(),
            start_ts: self.start_ts,
            assertion: mutation.assertion,
            existing_start_ts,
            existing_commit_ts,
        })
    }

    fn conflict(
        &self,
        key: &DataKey,
        write: &Write,
        commit_ts: CommitTs,
        reason: ConflictReason,
    ) -> CommandError {
        CommandError::WriteConflict {
            key: key.raw(),
            primary: self.primary.clone(),
            start_ts: self.start_ts,
            conflict_start_ts: write.start_ts,
            commit_ts,
            reason,
        }
    }

    fn new_lock(&self, mutation: &Mutation, held: Option<Lock>) -> Option<NewLock> {
        let (lock_type, value) = match &mutation.change {
            Change::Put(value) | Change::Insert(value) => (LockType::Put, Some(value)),
            Change::Delete => (LockType::Delete, None),
            Change::Lock => (LockType::Lock, None),
            Change::CheckNotExists => return None,
        };
        let mut lock = Lock::new(lock_type, self.primary.as_bytes().to_vec(), self.start_ts, self.ttl_ms);
        lock.for_update_ts = self.for_update_ts;
        lock.txn_size = self.txn_size;
        lock.min_commit_ts = self.min_commit_ts;
        if let Some(held) = &held {
            // Heartbeats and readers may have pushed these.
            lock.ttl_ms = lock.ttl_ms.max(held.ttl_ms);
            lock.min_commit_ts = lock.min_commit_ts.max(held.min_commit_ts);
            lock.rollback_ts = held.rollback_ts.clone();
        }
        let mut long_value = None;
        match value {
            Some(value) if value.len() > SHORT_VALUE_LEN_MAX => long_value = Some(value.clone()),
            value => lock.short_value = value.cloned(),
        }
        Some(NewLock { key: mutation.key.clone(), lock, long_value, replaces_pessimistic: held.is_some() })
    }

    /// The way that is open after an earlier copy of this request. It cannot be left: whoever resolves the earlier locks goes by them.
    fn path_after(&self, done_before: &DoneBefore) -> Path<'_> {
        match &self.path {
            CommitPath::TwoPhase => Path::TwoPhase,
            CommitPath::Async { .. } | CommitPath::OnePhase { or_async: Some(_) }
                if done_before.plain_locks > 0 =>
            {
                Path::TwoPhase
            }
            CommitPath::OnePhase { .. } if done_before.locks == 0 => Path::OnePhase,
            CommitPath::OnePhase { or_async: None } => Path::TwoPhase,
            CommitPath::Async { secondaries } | CommitPath::OnePhase { or_async: Some(secondaries) } => {
                Path::Async { secondaries }
            }
        }
    }

    /// Writes the locks, or the versions.
    fn finish(
        &self,
        txn: &mut MvccTxn,
        context: &CommandContext<'_>,
        mut new_locks: Vec<NewLock>,
        done_before: DoneBefore,
    ) -> PrewriteAnswer {
        let two_phase =
            PrewriteAnswer { locked: Vec::new(), min_commit_ts: TimeStamp::ZERO, one_phase_commit_ts: None };
        let path = self.path_after(&done_before);
        if path == Path::TwoPhase {
            write_locks(txn, new_locks);
            return two_phase;
        }
        if done_before.locks > 0 && new_locks.is_empty() {
            // What the locks say, and nothing later: whoever settles the transaction commits it there.
            return PrewriteAnswer { min_commit_ts: done_before.min_commit_ts, ..two_phase };
        }
        if let Path::Async { secondaries } = path {
            for new in &mut new_locks {
                let is_primary = new.key.raw() == self.primary;
                let listed = if is_primary { secondaries } else { &[] };
                new.lock.async_commit_secondaries =
                    Some(listed.iter().map(|key| key.as_bytes().to_vec()).collect());
            }
        }
        let mut min_commit_ts = self.start_ts.0.next().max(self.for_update_ts.next()).max(self.min_commit_ts);
        for new in &new_locks {
            min_commit_ts = min_commit_ts.max(new.lock.min_commit_ts);
        }
        let published = new_locks.iter().map(|new| (new.key.clone(), new.lock.clone())).collect();
        let (min_commit_ts, guard) =
            context.concurrency.publish(published, |max_ts| min_commit_ts.max(max_ts.next()));
        if !self.max_commit_ts.is_zero() && min_commit_ts > self.max_commit_ts {
            // Too late for the client's schema lease: it has to bring a commit timestamp and check again.
            for new in &mut new_locks {
                new.lock.async_commit_secondaries = None;
            }
            write_locks(txn, new_locks);
            return two_phase;
        }
        txn.memory_locks = Some(guard);
        let one_phase_commit_ts = match path {
            Path::OnePhase => {
                write_versions(txn, new_locks, CommitTs(min_commit_ts));
                Some(CommitTs(min_commit_ts))
            }
            Path::Async { .. } | Path::TwoPhase => {
                for new in &mut new_locks {
                    new.lock.min_commit_ts = min_commit_ts;
                }
                write_locks(txn, new_locks);
                None
            }
        };
        let min_commit_ts = min_commit_ts.max(done_before.min_commit_ts);
        PrewriteAnswer {
            min_commit_ts: if one_phase_commit_ts.is_some() { TimeStamp::ZERO } else { min_commit_ts },
            one_phase_commit_ts,
            ..two_phase
        }
    }
}

/// How the locks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path<'a> {
    TwoPhase,
    Async { secondaries: &'a [Key] },
    OnePhase,
}

/// What is known about a key's newest data.
#[derive(Debug, Clone, Copy)]
enum Newest {
    NotRead,
    Absent,
    Exists { start_ts: StartTs, commit_ts: CommitTs },
}

enum Newer {
    Fine(Newest),
    CommittedBefore { commit_ts: CommitTs },
}

fn write_locks(txn: &mut MvccTxn, new_locks: Vec<NewLock>) {
    for NewLock { key, lock, long_value, replaces_pessimistic } in new_locks {
        if let Some(value) = long_value {
            txn.put_value(&key, lock.start_ts, value);
        }
        if replaces_pessimistic {
            txn.forget_pessimistic(&key);
        }
        txn.put_lock(&key, lock);
    }
}

fn write_versions(txn: &mut MvccTxn, new_locks: Vec<NewLock>, commit_ts: CommitTs) {
    for NewLock { key, lock, long_value, replaces_pessimistic } in new_locks {
        if let Some(value) = long_value {
            txn.put_value(&key, lock.start_ts, value);
        }
        if replaces_pessimistic {
            txn.unlock(&key, &Lock { lock_type: LockType::Pessimistic, ..lock.clone() });
        }
        let write_type = match lock.lock_type {
            LockType::Put => WriteType::Put,
            LockType::Delete => WriteType::Delete,
            LockType::Lock | LockType::Pessimistic | LockType::Shared => WriteType::Lock,
        };
        let overlapped_rollback = lock.rollback_ts.contains(&commit_ts.0);
        let write = Write { overlapped_rollback, ..Write::new(write_type, lock.start_ts, lock.short_value) };
        txn.put_write(&key, commit_ts, &write);
    }
}
