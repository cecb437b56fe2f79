//! Counters of commands, looked up once.

use std::time::Duration;

use tidewater_proto::StoreRequest;

const NAMES: [&str; 20] = [
    "get",
    "batch_get",
    "scan",
    "coprocessor",
    "prewrite",
    "commit",
    "batch_rollback",
    "cleanup",
    "pessimistic_lock",
    "pessimistic_rollback",
    "txn_heart_beat",
    "check_txn_status",
    "check_secondary_locks",
    "scan_lock",
    "resolve_lock",
    "gc",
    "delete_range",
    "unsafe_destroy_range",
    "split_region",
    "empty",
];

pub(super) struct CommandMetrics {
    handles: [(metrics::Counter, metrics::Histogram); NAMES.len()],
}

impl CommandMetrics {
    pub(super) fn new() -> Self {
        Self {
            handles: NAMES.map(|name| {
                let count = metrics::counter!("tidewater_kv_command_total", "command" => name);
                (count, metrics::histogram!("tidewater_kv_command_duration_seconds", "command" => name))
            }),
        }
    }

    pub(super) fn record(&self, command: usize, duration: Duration) {
        let (count, durations) = &self.handles[command];
        count.increment(1);
        durations.record(duration.as_secs_f64());
    }
}

/// The place of a command's name in `NAMES`.
pub(super) fn command_index(request: &StoreRequest) -> usize {
    match request {
        StoreRequest::Get(_) => 0,
        StoreRequest::BatchGet(_) => 1,
        StoreRequest::Scan(_) => 2,
        StoreRequest::Coprocessor(_) => 3,
        StoreRequest::Prewrite(_) => 4,
        StoreRequest::Commit(_) => 5,
        StoreRequest::BatchRollback(_) => 6,
        StoreRequest::Cleanup(_) => 7,
        StoreRequest::PessimisticLock(_) => 8,
        StoreRequest::PessimisticRollback(_) => 9,
        StoreRequest::TxnHeartBeat(_) => 10,
        StoreRequest::CheckTxnStatus(_) => 11,
        StoreRequest::CheckSecondaryLocks(_) => 12,
        StoreRequest::ScanLock(_) => 13,
        StoreRequest::ResolveLock(_) => 14,
        StoreRequest::Gc(_) => 15,
        StoreRequest::DeleteRange(_) => 16,
        StoreRequest::UnsafeDestroyRange(_) => 17,
        StoreRequest::SplitRegion(_) => 18,
        StoreRequest::Empty(_) => 19,
    }
}
