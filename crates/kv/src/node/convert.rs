//! Wire fields into inner types.

use bytes::Bytes;
use tidewater_codec::TimeStamp;
use tidewater_proto::kvrpcpb;

use crate::{
    api::{self, ApiError, KeyMode},
    commands::{
        prewrite::{AssertionLevel, Change, Mutation, PessimisticAction},
        read::ReadOptions,
    },
    error::{Assertion, CommandError},
    mvcc::{DataKey, IsolationLevel, PassableLocks},
    region::{Region, RegionError},
};

/// How a request wants to read.
pub(super) fn read_options(context: Option<&kvrpcpb::Context>, version: u64) -> ReadOptions {
    ReadOptions {
        read_ts: TimeStamp::new(version),
        isolation: isolation(context),
        passable: PassableLocks {
            resolved: context.map(|context| context.resolved_locks.clone()).unwrap_or_default(),
            committed: context.map(|context| context.committed_locks.clone()).unwrap_or_default(),
        },
        fill_cache: context.is_none_or(|context| !context.not_fill_cache),
        is_follower: false,
    }
}

fn isolation(context: Option<&kvrpcpb::Context>) -> IsolationLevel {
    match context.map(kvrpcpb::Context::isolation_level) {
        Some(kvrpcpb::IsolationLevel::Rc) => IsolationLevel::ReadCommitted,
        Some(kvrpcpb::IsolationLevel::RcCheckTs) => IsolationLevel::RcCheckTs,
        Some(kvrpcpb::IsolationLevel::Si) | None => IsolationLevel::Snapshot,
    }
}

/// Keys of a transactional request: what its API version says about them.
pub(super) fn check_txn_keys(context: Option<&kvrpcpb::Context>, keys: &[Bytes]) -> Result<(), ApiError> {
    api::check_keys(context, KeyMode::Txn, keys.iter().map(|key| &key[..]))
}

/// Keys of one request: all inside the region.
pub(super) fn data_keys(region: &Region, keys: &[Bytes]) -> Result<Vec<DataKey>, RegionError> {
    keys.iter()
        .map(|key| {
            region.check_key(key)?;
            Ok(DataKey::from_raw(key))
        })
        .collect()
}

/// One mutation of a prewrite.
pub(super) fn mutation(
    mutation: kvrpcpb::Mutation,
    action: Option<kvrpcpb::prewrite_request::PessimisticAction>,
    is_pessimistic: bool,
) -> Result<Mutation, CommandError> {
    use kvrpcpb::prewrite_request::PessimisticAction as Action;
    let assertion = match mutation.assertion() {
        kvrpcpb::Assertion::None => Assertion::None,
        kvrpcpb::Assertion::Exist => Assertion::Exist,
        kvrpcpb::Assertion::NotExist => Assertion::NotExist,
    };
    let key = DataKey::from_raw(&mutation.key);
    let change = match mutation.op() {
        kvrpcpb::Op::Put => Change::Put(mutation.value.into()),
        kvrpcpb::Op::Del => Change::Delete,
        kvrpcpb::Op::Lock => Change::Lock,
        kvrpcpb::Op::Insert => Change::Insert(mutation.value.into()),
        kvrpcpb::Op::CheckNotExists => Change::CheckNotExists,
        kvrpcpb::Op::Rollback | kvrpcpb::Op::PessimisticLock => {
            return Err(CommandError::Invalid { reason: "a prewrite cannot contain such a mutation" });
        }
    };
    let pessimistic = match action {
        Some(Action::DoPessimisticCheck) if is_pessimistic => PessimisticAction::LockIsHeld,
        Some(Action::DoConstraintCheck) => PessimisticAction::CheckConstraint,
        Some(Action::SkipPessimisticCheck) => PessimisticAction::Skip,
        None if is_pessimistic => PessimisticAction::Skip,
        Some(Action::DoPessimisticCheck) | None => PessimisticAction::CheckConstraint,
    };
    Ok(Mutation { key, change, pessimistic, assertion })
}

pub(super) fn assertion_level(level: kvrpcpb::AssertionLevel) -> AssertionLevel {
    match level {
        kvrpcpb::AssertionLevel::Off => AssertionLevel::Off,
        kvrpcpb::AssertionLevel::Fast => AssertionLevel::Fast,
        kvrpcpb::AssertionLevel::Strict => AssertionLevel::Strict,
    }
}
