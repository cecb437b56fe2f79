//! Writing commands: wire message to command, run, outcome to wire message.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tidewater_codec::{CommitTs, Key, StartTs, TimeStamp};
use tidewater_proto::kvrpcpb;

use super::{Node, convert, try_command, try_region};
use crate::{
    api::{self, KeyMode},
    commands::{
        WriteCommand,
        check_secondary_locks::{CheckSecondaryLocks, SecondaryStatus},
        check_txn_status::{CheckTxnStatus, TxnStatus},
        cleanup::Cleanup,
        commit::Commit,
        pessimistic_lock::{KeyToLock, LockedValue, PessimisticLock},
        pessimistic_rollback::PessimisticRollback,
        prewrite::{CommitPath, Prewrite},
        resolve_lock::{LockToResolve, ResolveLocks},
        rollback::Rollback,
        scan_lock::scan_locks,
        txn_heart_beat::TxnHeartBeat,
    },
    error::{CommandError, lock_info},
    mvcc::DataKey,
    region::Region,
};

/// Locks resolved under one set of latches.
const RESOLVE_LOCKS_PER_BATCH: usize = 256;

impl Node {
    async fn run<C: WriteCommand + Sync>(
        &self,
        region: &Arc<Region>,
        command: &C,
    ) -> Result<C::Answer, CommandError> {
        let answer = self.scheduler.run(region, command).await;
        self.request_split_check(region);
        answer
    }

    pub(super) async fn prewrite(&self, request: kvrpcpb::PrewriteRequest) -> kvrpcpb::PrewriteResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        let grows =
            |mutation: &kvrpcpb::Mutation| matches!(mutation.op(), kvrpcpb::Op::Put | kvrpcpb::Op::Insert);
        if request.mutations.iter().any(grows) {
            try_region!(self.check_room(request.context.as_ref()));
        }
        let written = request.mutations.iter().map(|mutation| (&mutation.key[..], &mutation.value[..]));
        try_command!(api::check_keys(
            request.context.as_ref(),
            KeyMode::Txn,
            written.clone().map(|(key, _)| key)
        ));
        try_command!(self.config.limits().check(written));
        let path = commit_path(&request);
        let is_pessimistic = request.for_update_ts != 0;
        let mut mutations = Vec::with_capacity(request.mutations.len());
        let assertions = convert::assertion_level(request.assertion_level());
        for (index, mutation) in request.mutations.into_iter().enumerate() {
            try_region!(region.check_key(&mutation.key));
            let action = request.pessimistic_actions.get(index).and_then(|action| (*action).try_into().ok());
            let action = action.filter(|_| is_pessimistic || request.guarded);
            mutations.push(try_command!(convert::mutation(mutation, action, is_pessimistic)));
        }
        let command = Prewrite {
            mutations,
            primary: Key::new(request.primary_lock.to_vec()),
            start_ts: StartTs::new(request.start_version),
            ttl_ms: request.lock_ttl,
            txn_size: request.txn_size,
            for_update_ts: TimeStamp::new(request.for_update_ts),
            min_commit_ts: TimeStamp::new(request.min_commit_ts),
            max_commit_ts: TimeStamp::new(request.max_commit_ts),
            path,
            skip_constraint_check: request.skip_constraint_check,
            is_retry: request.context.as_ref().is_some_and(|context| context.is_retry_request),
            assertions,
        };
        let answer = try_command!(self.run(&region, &command).await);
        kvrpcpb::PrewriteResponse {
            errors: answer.locked.iter().map(CommandError::to_key_error).collect(),
            min_commit_ts: answer.min_commit_ts.into_inner(),
            one_pc_commit_ts: answer.one_phase_commit_ts.map_or(0, CommitTs::into_inner),
            ..Default::default()
        }
    }

    pub(super) async fn commit(&self, request: kvrpcpb::CommitRequest) -> kvrpcpb::CommitResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        try_command!(convert::check_txn_keys(request.context.as_ref(), &request.keys));
        let command = Commit {
            keys: try_region!(convert::data_keys(&region, &request.keys)),
            start_ts: StartTs::new(request.start_version),
            commit_ts: CommitTs::new(request.commit_version),
        };
        try_command!(self.run(&region, &command).await);
        kvrpcpb::CommitResponse { commit_version: request.commit_version, ..Default::default() }
    }

    pub(super) async fn batch_rollback(
        &self,
        request: kvrpcpb::BatchRollbackRequest,
    ) -> kvrpcpb::BatchRollbackResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        try_command!(convert::check_txn_keys(request.context.as_ref(), &request.keys));
        let keys = try_region!(convert::data_keys(&region, &request.keys));
        try_command!(
            self.run(&region, &Rollback { keys, start_ts: StartTs::new(request.start_version) }).await
        );
        kvrpcpb::BatchRollbackResponse::default()
    }

    pub(super) async fn cleanup(&self, request: kvrpcpb::CleanupRequest) -> kvrpcpb::CleanupResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        try_region!(region.check_key(&request.key));
        try_command!(convert::check_txn_keys(request.context.as_ref(), std::slice::from_ref(&request.key)));
        let command = Cleanup {
            key: DataKey::from_raw(&request.key),
            start_ts: StartTs::new(request.start_version),
            current_ts: TimeStamp::new(request.current_ts),
        };
        match self.run(&region, &command).await {
            Ok(()) => kvrpcpb::CleanupResponse::default(),
            // Not an error to this caller: it wanted to know.
            Err(CommandError::Committed { commit_ts, .. }) => {
                kvrpcpb::CleanupResponse { commit_version: commit_ts.into_inner(), ..Default::default() }
            }
            Err(error) => super::ErrorSlots::command(&error),
        }
    }

    pub(super) async fn pessimistic_lock(
        &self,
        request: kvrpcpb::PessimisticLockRequest,
    ) -> kvrpcpb::PessimisticLockResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        let to_lock = request.mutations.iter().map(|mutation| &mutation.key[..]);
        try_command!(api::check_keys(request.context.as_ref(), KeyMode::Txn, to_lock.clone()));
        try_command!(self.config.limits().check_keys(to_lock));
        let mut keys = Vec::with_capacity(request.mutations.len());
        for mutation in &request.mutations {
            try_region!(region.check_key(&mutation.key));
            let must_not_exist = mutation.assertion() == kvrpcpb::Assertion::NotExist;
            keys.push(KeyToLock { key: DataKey::from_raw(&mutation.key), must_not_exist });
        }
        let command = PessimisticLock {
            keys,
            primary: Key::new(request.primary_lock.to_vec()),
            start_ts: StartTs::new(request.start_version),
            for_update_ts: TimeStamp::new(request.for_update_ts),
            ttl_ms: request.lock_ttl,
            min_commit_ts: TimeStamp::new(request.min_commit_ts),
            return_values: request.return_values,
            check_existence: request.check_existence,
            lock_only_if_exists: request.lock_only_if_exists,
        };
        let max = self.config.lock_wait_max;
        let wait = match request.wait_timeout {
            0 => Some(max),
            ..0 => None,
            ms => Some(max.min(Duration::from_millis(ms.unsigned_abs()))),
        };
        let values = try_command!(self.scheduler.pessimistic_lock(&region, &command, wait).await);
        let mut response = kvrpcpb::PessimisticLockResponse::default();
        if request.wake_up_mode() == kvrpcpb::PessimisticLockWakeUpMode::WakeUpModeForceLock {
            response.results = values.into_iter().map(lock_result).collect();
        } else {
            if request.return_values || request.check_existence {
                response.not_founds = values.iter().map(|value| !value.exists).collect();
            }
            if request.return_values {
                response.values = values.into_iter().map(|value| value.value.unwrap_or_default()).collect();
            }
        }
        response
    }

    pub(super) async fn pessimistic_rollback(
        &self,
        request: kvrpcpb::PessimisticRollbackRequest,
    ) -> kvrpcpb::PessimisticRollbackResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        try_command!(convert::check_txn_keys(request.context.as_ref(), &request.keys));
        let command = PessimisticRollback {
            keys: try_region!(convert::data_keys(&region, &request.keys)),
            start_ts: StartTs::new(request.start_version),
            for_update_ts: TimeStamp::new(request.for_update_ts),
        };
        try_command!(self.run(&region, &command).await);
        kvrpcpb::PessimisticRollbackResponse::default()
    }

    pub(super) async fn txn_heart_beat(
        &self,
        request: kvrpcpb::TxnHeartBeatRequest,
    ) -> kvrpcpb::TxnHeartBeatResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        try_region!(region.check_key(&request.primary_lock));
        try_command!(convert::check_txn_keys(
            request.context.as_ref(),
            std::slice::from_ref(&request.primary_lock)
        ));
        let command = TxnHeartBeat {
            primary: DataKey::from_raw(&request.primary_lock),
            start_ts: StartTs::new(request.start_version),
            advised_ttl_ms: request.advise_lock_ttl,
        };
        let lock_ttl = try_command!(self.run(&region, &command).await);
        kvrpcpb::TxnHeartBeatResponse { lock_ttl, ..Default::default() }
    }

    pub(super) async fn check_txn_status(
        &self,
        request: kvrpcpb::CheckTxnStatusRequest,
    ) -> kvrpcpb::CheckTxnStatusResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        try_region!(region.check_key(&request.primary_key));
        try_command!(convert::check_txn_keys(
            request.context.as_ref(),
            std::slice::from_ref(&request.primary_key)
        ));
        let command = CheckTxnStatus {
            primary: DataKey::from_raw(&request.primary_key),
            lock_ts: StartTs::new(request.lock_ts),
            caller_start_ts: TimeStamp::new(request.caller_start_ts),
            current_ts: TimeStamp::new(request.current_ts),
            rollback_if_not_exist: request.rollback_if_not_exist,
            force_sync_commit: request.force_sync_commit,
            resolving_pessimistic_lock: request.resolving_pessimistic_lock,
            verify_is_primary: request.verify_is_primary,
        };
        let status = try_command!(self.run(&region, &command).await);
        let mut response = kvrpcpb::CheckTxnStatusResponse::default();
        let action = match status {
            TxnStatus::Committed { commit_ts } => {
                response.commit_version = commit_ts.into_inner();
                kvrpcpb::Action::NoAction
            }
            TxnStatus::RolledBack => kvrpcpb::Action::NoAction,
            TxnStatus::Expired => kvrpcpb::Action::TtlExpireRollback,
            TxnStatus::ExpiredPessimistic => kvrpcpb::Action::TtlExpirePessimisticRollback,
            TxnStatus::NotFoundRolledBack => kvrpcpb::Action::LockNotExistRollback,
            TxnStatus::NotFound => kvrpcpb::Action::LockNotExistDoNothing,
            TxnStatus::Alive { lock, min_commit_ts_pushed } => {
                // Zero would say "not alive".
                response.lock_ttl = lock.ttl_ms.max(1);
                response.lock_info = Some(lock_info(&command.primary.raw(), &lock));
                if min_commit_ts_pushed {
                    kvrpcpb::Action::MinCommitTsPushed
                } else {
                    kvrpcpb::Action::NoAction
                }
            }
        };
        response.set_action(action);
        response
    }

    pub(super) async fn check_secondary_locks(
        &self,
        request: kvrpcpb::CheckSecondaryLocksRequest,
    ) -> kvrpcpb::CheckSecondaryLocksResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        try_command!(convert::check_txn_keys(request.context.as_ref(), &request.keys));
        let command = CheckSecondaryLocks {
            keys: try_region!(convert::data_keys(&region, &request.keys)),
            start_ts: StartTs::new(request.start_version),
        };
        let mut response = kvrpcpb::CheckSecondaryLocksResponse::default();
        match try_command!(self.run(&region, &command).await) {
            SecondaryStatus::Locked(locks) => {
                response.locks = locks.iter().map(|(key, lock)| lock_info(key, lock)).collect()
            }
            SecondaryStatus::Committed(commit_ts) => response.commit_ts = commit_ts.into_inner(),
            SecondaryStatus::RolledBack => {}
        }
        response
    }

    pub(super) async fn resolve_lock(
        &self,
        request: kvrpcpb::ResolveLockRequest,
    ) -> kvrpcpb::ResolveLockResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        let fate = |commit_ts: u64| (commit_ts != 0).then(|| CommitTs::new(commit_ts));
        let result = if request.keys.is_empty() {
            let mut fates = BTreeMap::new();
            if request.txn_infos.is_empty() {
                fates.insert(StartTs::new(request.start_version), fate(request.commit_version));
            } else {
                fates.extend(request.txn_infos.iter().map(|txn| (StartTs::new(txn.txn), fate(txn.status))));
            }
            self.resolve_region(&region, &fates).await
        } else {
            try_command!(convert::check_txn_keys(request.context.as_ref(), &request.keys));
            let keys = try_region!(convert::data_keys(&region, &request.keys));
            let (start_ts, commit_ts) = (StartTs::new(request.start_version), fate(request.commit_version));
            let locks = keys.into_iter().map(|key| LockToResolve { key, start_ts, commit_ts }).collect();
            self.run(&region, &ResolveLocks { locks }).await
        };
        try_command!(result);
        kvrpcpb::ResolveLockResponse::default()
    }

    /// Resolves all locks of finished transactions in a region, a batch at a time.
    async fn resolve_region(
        &self,
        region: &Arc<Region>,
        fates: &BTreeMap<StartTs, Option<CommitTs>>,
    ) -> Result<(), CommandError> {
        let mut start = region.raw_start.clone();
        loop {
            let found = scan_locks(
                &self.scheduler.engine.snapshot(),
                &self.scheduler.pessimistic,
                &start,
                &region.raw_end,
                RESOLVE_LOCKS_PER_BATCH,
                |lock| fates.contains_key(&lock.start_ts),
            )?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            start = last.raw().next().into_bytes();
            let is_last = found.len() < RESOLVE_LOCKS_PER_BATCH;
            let resolve = |(key, lock): (DataKey, tidewater_codec::mvcc::Lock)| {
                let commit_ts = *fates.get(&lock.start_ts)?;
                Some(LockToResolve { key, start_ts: lock.start_ts, commit_ts })
            };
            let locks = found.into_iter().filter_map(resolve).collect();
            self.run(region, &ResolveLocks { locks }).await?;
            if is_last {
                return Ok(());
            }
        }
    }
}

/// How the client wants to commit. One phase is possible only with the whole transaction in one request.
fn commit_path(request: &kvrpcpb::PrewriteRequest) -> CommitPath {
    let is_whole = || {
        let here = request.mutations.iter().map(|mutation| &mutation.key).collect::<BTreeSet<_>>();
        request.secondaries.iter().all(|key| here.contains(key))
    };
    let secondaries = request
        .use_async_commit
        .then(|| request.secondaries.iter().map(|key| Key::new(key.to_vec())).collect::<Vec<_>>());
    match secondaries {
        or_async if request.try_one_pc && (request.secondaries.is_empty() || is_whole()) => {
            CommitPath::OnePhase { or_async }
        }
        Some(secondaries) => CommitPath::Async { secondaries },
        None => CommitPath::TwoPhase,
    }
}

fn lock_result(value: LockedValue) -> kvrpcpb::PessimisticLockKeyResult {
    kvrpcpb::PessimisticLockKeyResult {
        r#type: kvrpcpb::PessimisticLockKeyResultType::LockResultNormal.into(),
        existence: value.exists,
        value: value.value.unwrap_or_default(),
        ..Default::default()
    }
}
