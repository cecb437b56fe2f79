//! Where keys are in the messages: the table by which those of a keyspace get their prefix and lose it again.

use bytes::Bytes;
use tidewater_proto::{coprocessor, kvrpcpb};

use crate::keyspace::Prefix;

/// A request whose keys can be told.
pub(crate) trait Outgoing {
    fn add(&mut self, prefix: &Prefix);
}

/// An answer whose keys can be told.
pub(crate) trait Incoming {
    fn strip(&mut self, prefix: &Prefix);
}

/// `Message: how field, how field;` where `how` is one of the methods of [`Prefix`] below.
macro_rules! keys {
    ($trait:ident $method:ident: $($message:ty: $($how:ident $field:ident),*;)*) => {$(
        impl $trait for $message {
            fn $method(&mut self, prefix: &Prefix) {
                let _ = prefix;
                $(prefix.$how(&mut self.$field);)*
            }
        }
    )*};
}

keys! { Outgoing add:
    kvrpcpb::GetRequest: add_to key;
    kvrpcpb::BatchGetRequest: add_to_all keys;
    kvrpcpb::PrewriteRequest: add_to primary_lock, add_to_all secondaries, add_to_mutations mutations;
    kvrpcpb::CommitRequest: add_to_all keys;
    kvrpcpb::BatchRollbackRequest: add_to_all keys;
    kvrpcpb::PessimisticLockRequest: add_to primary_lock, add_to_mutations mutations;
    kvrpcpb::PessimisticRollbackRequest: add_to_all keys;
    kvrpcpb::TxnHeartBeatRequest: add_to primary_lock;
    kvrpcpb::CheckTxnStatusRequest: add_to primary_key;
    kvrpcpb::CheckSecondaryLocksRequest: add_to_all keys;
    kvrpcpb::ResolveLockRequest: add_to_all keys;
    kvrpcpb::ScanLockRequest: add_to start_key, add_to_end end_key;
    kvrpcpb::GcRequest: ;
    kvrpcpb::SplitRegionRequest: add_to_all split_keys;
    kvrpcpb::UnsafeDestroyRangeRequest: add_to start_key, add_to_end end_key;
    coprocessor::Request: add_to_ranges ranges;
    kvrpcpb::RawGetRequest: add_to key;
    kvrpcpb::RawBatchGetRequest: add_to_all keys;
    kvrpcpb::RawGetKeyTtlRequest: add_to key;
    kvrpcpb::RawPutRequest: add_to key;
    kvrpcpb::RawBatchPutRequest: add_to_pairs pairs;
    kvrpcpb::RawDeleteRequest: add_to key;
    kvrpcpb::RawBatchDeleteRequest: add_to_all keys;
    kvrpcpb::RawDeleteRangeRequest: add_to start_key, add_to_end end_key;
    kvrpcpb::RawCasRequest: add_to key;
    kvrpcpb::RawChecksumRequest: add_to_raw_ranges ranges;
}

keys! { Incoming strip:
    kvrpcpb::GetResponse: strip_from_error error;
    kvrpcpb::BatchGetResponse: strip_from_error error, strip_from_pairs pairs;
    kvrpcpb::ScanResponse: strip_from_error error, strip_from_pairs pairs;
    kvrpcpb::PrewriteResponse: strip_from_errors errors;
    kvrpcpb::CommitResponse: strip_from_error error;
    kvrpcpb::BatchRollbackResponse: strip_from_error error;
    kvrpcpb::PessimisticLockResponse: strip_from_errors errors;
    kvrpcpb::PessimisticRollbackResponse: strip_from_errors errors;
    kvrpcpb::TxnHeartBeatResponse: strip_from_error error;
    kvrpcpb::CheckTxnStatusResponse: strip_from_error error, strip_from_lock lock_info;
    kvrpcpb::CheckSecondaryLocksResponse: strip_from_error error, strip_from_locks locks;
    kvrpcpb::ResolveLockResponse: strip_from_error error;
    kvrpcpb::ScanLockResponse: strip_from_error error, strip_from_locks locks;
    kvrpcpb::GcResponse: strip_from_error error;
    kvrpcpb::SplitRegionResponse: ;
    kvrpcpb::UnsafeDestroyRangeResponse: ;
    coprocessor::Response: strip_from_lock locked, strip_from_range range, strip_from_all cuts;
    kvrpcpb::RawGetResponse: ;
    kvrpcpb::RawBatchGetResponse: strip_from_pairs pairs;
    kvrpcpb::RawGetKeyTtlResponse: ;
    kvrpcpb::RawPutResponse: ;
    kvrpcpb::RawBatchPutResponse: ;
    kvrpcpb::RawDeleteResponse: ;
    kvrpcpb::RawBatchDeleteResponse: ;
    kvrpcpb::RawDeleteRangeResponse: ;
    kvrpcpb::RawScanResponse: strip_from_pairs kvs;
    kvrpcpb::RawCasResponse: ;
    kvrpcpb::RawChecksumResponse: ;
}

/// A scan downwards names its upper end first.
macro_rules! scans {
    ($($message:ty;)*) => {$(
        impl Outgoing for $message {
            fn add(&mut self, prefix: &Prefix) {
                let (lower, upper) = match self.reverse {
                    true => (&mut self.end_key, &mut self.start_key),
                    false => (&mut self.start_key, &mut self.end_key),
                };
                prefix.add_to(lower);
                prefix.add_to_end(upper);
            }
        }
    )*};
}

scans! { kvrpcpb::ScanRequest; kvrpcpb::RawScanRequest; }

impl Prefix {
    fn add_to_all(&self, keys: &mut [Bytes]) {
        keys.iter_mut().for_each(|key| self.add_to(key));
    }

    fn add_to_mutations(&self, mutations: &mut [kvrpcpb::Mutation]) {
        mutations.iter_mut().for_each(|mutation| self.add_to(&mut mutation.key));
    }

    fn add_to_pairs(&self, pairs: &mut [kvrpcpb::KvPair]) {
        pairs.iter_mut().for_each(|pair| self.add_to(&mut pair.key));
    }

    fn add_to_ranges(&self, ranges: &mut [coprocessor::KeyRange]) {
        for range in ranges {
            self.add_to(&mut range.start);
            self.add_to_end(&mut range.end);
        }
    }

    fn add_to_raw_ranges(&self, ranges: &mut [kvrpcpb::KeyRange]) {
        for range in ranges {
            self.add_to(&mut range.start_key);
            self.add_to_end(&mut range.end_key);
        }
    }

    fn strip_from_all(&self, keys: &mut [Bytes]) {
        keys.iter_mut().for_each(|key| self.strip_from(key));
    }

    fn strip_from_pairs(&self, pairs: &mut [kvrpcpb::KvPair]) {
        for pair in pairs {
            self.strip_from(&mut pair.key);
            self.strip_from_error(&mut pair.error);
        }
    }

    fn strip_from_range(&self, range: &mut Option<coprocessor::KeyRange>) {
        if let Some(range) = range {
            self.strip_from(&mut range.start);
            self.strip_from_end(&mut range.end);
        }
    }

    fn strip_from_locks(&self, locks: &mut [kvrpcpb::LockInfo]) {
        for lock in locks {
            self.strip_from(&mut lock.key);
            self.strip_from(&mut lock.primary_lock);
            self.strip_from_all(&mut lock.secondaries);
        }
    }

    fn strip_from_lock(&self, lock: &mut Option<kvrpcpb::LockInfo>) {
        self.strip_from_locks(lock.as_mut_slice());
    }

    fn strip_from_errors(&self, errors: &mut [kvrpcpb::KeyError]) {
        for error in errors {
            self.strip_from_lock(&mut error.locked);
            if let Some(conflict) = &mut error.conflict {
                self.strip_from(&mut conflict.key);
                self.strip_from(&mut conflict.primary);
            }
            if let Some(deadlock) = &mut error.deadlock {
                self.strip_from(&mut deadlock.lock_key);
                self.strip_from(&mut deadlock.deadlock_key);
                deadlock.wait_chain.iter_mut().for_each(|edge| self.strip_from(&mut edge.key));
            }
            if let Some(mismatch) = &mut error.primary_mismatch {
                self.strip_from_lock(&mut mismatch.lock_info);
            }
            let keys = [
                error.already_exist.as_mut().map(|exists| &mut exists.key),
                error.commit_ts_expired.as_mut().map(|expired| &mut expired.key),
                error.txn_not_found.as_mut().map(|not_found| &mut not_found.primary_key),
                error.assertion_failed.as_mut().map(|failed| &mut failed.key),
                error.txn_lock_not_found.as_mut().map(|not_found| &mut not_found.key),
            ];
            keys.into_iter().flatten().for_each(|key| self.strip_from(key));
        }
    }

    fn strip_from_error(&self, error: &mut Option<kvrpcpb::KeyError>) {
        self.strip_from_errors(error.as_mut_slice());
    }
}
