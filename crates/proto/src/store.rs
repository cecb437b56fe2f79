//! The seam between a client and a storage node.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{kvrpcpb, tikvpb};

/// Every command a store understands.
pub type StoreRequest = tikvpb::batch_commands_request::request::Cmd;

/// The answer to a [`StoreRequest`], always of the same variant.
pub type StoreResponse = tikvpb::batch_commands_response::response::Cmd;

/// The request may or may not have been executed: no answer arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nobody listens there.
    #[error("store {address} is unreachable: {reason}")]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What the transport said.
        reason: String,
    },
    /// No answer within the transport's time limit.
    #[error("the store did not answer in time")]
    Timeout,
    /// The connection or the node closed before answering.
    #[error("the connection to the store was closed")]
    Closed,
}

/// A storage node, near or far: the node itself, a gRPC stub, or the simulator's network.
#[async_trait]
pub trait StoreService: Send + Sync {
    /// Executes one command. Errors of the command travel inside the response.
    async fn call(&self, request: StoreRequest) -> Result<StoreResponse, TransportError>;
}

/// Finds the store behind an address.
#[async_trait]
pub trait StoreConnector: Send + Sync {
    /// Returns a (usually cached) connection; connecting may be lazy.
    async fn connect(&self, address: &str) -> Result<Arc<dyn StoreService>, TransportError>;
}

/// Hands the table of all commands to a macro: `Variant name method Request => Response;`, where `method` is the unary RPC of the public
/// protocol, or `none` for commands that exist in the batch stream only.
///
/// ```
/// macro_rules! count {
///     ($($variant:ident $name:ident $method:ident $request:path => $response:path;)*) => {
///         [$(stringify!($name)),*].len()
///     };
/// }
/// assert_eq!(tidewater_proto::store_commands!(count), tidewater_proto::COMMAND_NAMES.len());
/// ```
#[macro_export]
macro_rules! store_commands {
    ($then:ident) => {
        $then! {
            Get get kv_get $crate::kvrpcpb::GetRequest => $crate::kvrpcpb::GetResponse;
            Scan scan kv_scan $crate::kvrpcpb::ScanRequest => $crate::kvrpcpb::ScanResponse;
            Prewrite prewrite kv_prewrite $crate::kvrpcpb::PrewriteRequest => $crate::kvrpcpb::PrewriteResponse;
            Commit commit kv_commit $crate::kvrpcpb::CommitRequest => $crate::kvrpcpb::CommitResponse;
            Cleanup cleanup kv_cleanup $crate::kvrpcpb::CleanupRequest => $crate::kvrpcpb::CleanupResponse;
            BatchGet batch_get kv_batch_get $crate::kvrpcpb::BatchGetRequest => $crate::kvrpcpb::BatchGetResponse;
            BatchRollback batch_rollback kv_batch_rollback
                $crate::kvrpcpb::BatchRollbackRequest => $crate::kvrpcpb::BatchRollbackResponse;
            ScanLock scan_lock kv_scan_lock $crate::kvrpcpb::ScanLockRequest => $crate::kvrpcpb::ScanLockResponse;
            ResolveLock resolve_lock kv_resolve_lock
                $crate::kvrpcpb::ResolveLockRequest => $crate::kvrpcpb::ResolveLockResponse;
            Gc gc kv_gc $crate::kvrpcpb::GcRequest => $crate::kvrpcpb::GcResponse;
            DeleteRange delete_range kv_delete_range
                $crate::kvrpcpb::DeleteRangeRequest => $crate::kvrpcpb::DeleteRangeResponse;
            Coprocessor coprocessor coprocessor $crate::coprocessor::Request => $crate::coprocessor::Response;
            PessimisticLock pessimistic_lock kv_pessimistic_lock
                $crate::kvrpcpb::PessimisticLockRequest => $crate::kvrpcpb::PessimisticLockResponse;
            PessimisticRollback pessimistic_rollback kv_pessimistic_rollback
                $crate::kvrpcpb::PessimisticRollbackRequest => $crate::kvrpcpb::PessimisticRollbackResponse;
            TxnHeartBeat txn_heart_beat kv_txn_heart_beat
                $crate::kvrpcpb::TxnHeartBeatRequest => $crate::kvrpcpb::TxnHeartBeatResponse;
            CheckTxnStatus check_txn_status kv_check_txn_status
                $crate::kvrpcpb::CheckTxnStatusRequest => $crate::kvrpcpb::CheckTxnStatusResponse;
            CheckSecondaryLocks check_secondary_locks kv_check_secondary_locks
                $crate::kvrpcpb::CheckSecondaryLocksRequest => $crate::kvrpcpb::CheckSecondaryLocksResponse;
            UnsafeDestroyRange unsafe_destroy_range unsafe_destroy_range
                $crate::kvrpcpb::UnsafeDestroyRangeRequest => $crate::kvrpcpb::UnsafeDestroyRangeResponse;
            SplitRegion split_region split_region
                $crate::kvrpcpb::SplitRegionRequest => $crate::kvrpcpb::SplitRegionResponse;
            RawGet raw_get raw_get $crate::kvrpcpb::RawGetRequest => $crate::kvrpcpb::RawGetResponse;
            RawBatchGet raw_batch_get raw_batch_get
                $crate::kvrpcpb::RawBatchGetRequest => $crate::kvrpcpb::RawBatchGetResponse;
            RawPut raw_put raw_put $crate::kvrpcpb::RawPutRequest => $crate::kvrpcpb::RawPutResponse;
            RawBatchPut raw_batch_put raw_batch_put
                $crate::kvrpcpb::RawBatchPutRequest => $crate::kvrpcpb::RawBatchPutResponse;
            RawDelete raw_delete raw_delete $crate::kvrpcpb::RawDeleteRequest => $crate::kvrpcpb::RawDeleteResponse;
            RawBatchDelete raw_batch_delete raw_batch_delete
                $crate::kvrpcpb::RawBatchDeleteRequest => $crate::kvrpcpb::RawBatchDeleteResponse;
            RawScan raw_scan raw_scan $crate::kvrpcpb::RawScanRequest => $crate::kvrpcpb::RawScanResponse;
            RawDeleteRange raw_delete_range raw_delete_range
                $crate::kvrpcpb::RawDeleteRangeRequest => $crate::kvrpcpb::RawDeleteRangeResponse;
            RawBatchScan raw_batch_scan raw_batch_scan
                $crate::kvrpcpb::RawBatchScanRequest => $crate::kvrpcpb::RawBatchScanResponse;
            RawGetKeyTtl raw_get_key_ttl raw_get_key_ttl
                $crate::kvrpcpb::RawGetKeyTtlRequest => $crate::kvrpcpb::RawGetKeyTtlResponse;
            RawCas raw_compare_and_swap raw_compare_and_swap
                $crate::kvrpcpb::RawCasRequest => $crate::kvrpcpb::RawCasResponse;
            RawChecksum raw_checksum raw_checksum
                $crate::kvrpcpb::RawChecksumRequest => $crate::kvrpcpb::RawChecksumResponse;
            StoreSafeTs store_safe_ts get_store_safe_ts
                $crate::kvrpcpb::StoreSafeTsRequest => $crate::kvrpcpb::StoreSafeTsResponse;
            MvccGetByKey mvcc_get_by_key mvcc_get_by_key
                $crate::kvrpcpb::MvccGetByKeyRequest => $crate::kvrpcpb::MvccGetByKeyResponse;
            GetLockWaitInfo get_lock_wait_info get_lock_wait_info
                $crate::kvrpcpb::GetLockWaitInfoRequest => $crate::kvrpcpb::GetLockWaitInfoResponse;
            InstallRegion install_region none
                $crate::regionmovepb::InstallRequest => $crate::regionmovepb::InstallResponse;
            Deadlock deadlock none $crate::deadlock::DeadlockRequest => $crate::deadlock::DeadlockResponse;
            Raft raft none $crate::raftpb::Request => $crate::raftpb::Response;
            ReadIndex read_index none
                $crate::kvrpcpb::ReadIndexRequest => $crate::kvrpcpb::ReadIndexResponse;
            CheckMerge check_merge none
                $crate::regionpb::CheckMergeRequest => $crate::regionpb::CheckMergeResponse;
            CheckHash check_hash none
                $crate::regionpb::CheckHashRequest => $crate::regionpb::CheckHashResponse;
            Empty empty none
                $crate::tikvpb::BatchCommandsEmptyRequest => $crate::tikvpb::BatchCommandsEmptyResponse;
        }
    };
}

macro_rules! names {
    ($($variant:ident $name:ident $method:ident $request:path => $response:path;)*) => {
        /// The names of all commands, for metrics, logs and traces.
        pub const COMMAND_NAMES: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];

        /// The place of a command's name in [`COMMAND_NAMES`].
        pub fn command_index(request: &StoreRequest) -> usize {
            #[derive(Clone, Copy)]
            enum Place { $($variant),* }
            match request {
                $(StoreRequest::$variant(_) => Place::$variant as usize,)*
            }
        }
    };
}

store_commands!(names);

/// What a request says of the region it is for; `None` if it is for none, or does not say.
pub fn context_of(request: &StoreRequest) -> Option<&kvrpcpb::Context> {
    macro_rules! contexts {
        ($($variant:ident)*; without: $($other:ident)*) => {
            match request {
                $(StoreRequest::$variant(request) => request.context.as_ref(),)*
                $(StoreRequest::$other(_) => None,)*
            }
        };
    }
    contexts! {
        Get Scan Prewrite Commit Cleanup BatchGet BatchRollback ScanLock ResolveLock Gc DeleteRange Coprocessor PessimisticLock PessimisticRollback
        TxnHeartBeat CheckTxnStatus CheckSecondaryLocks SplitRegion RawGet RawBatchGet RawPut RawBatchPut RawDelete RawBatchDelete
        RawScan RawDeleteRange RawBatchScan RawGetKeyTtl RawCas RawChecksum MvccGetByKey ReadIndex;
        without: UnsafeDestroyRange StoreSafeTs GetLockWaitInfo InstallRegion Deadlock Raft CheckMerge CheckHash Empty
    }
}
