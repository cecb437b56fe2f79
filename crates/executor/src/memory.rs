//! Memory accounting: a tree of trackers (server → session → statement → operator), each with an optional quota.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ExecError;

/// One node of the accounting tree. Cloning shares the node.
#[derive(Clone, Debug)]
pub struct MemoryTracker(Arc<TrackerNode>);

#[derive(Debug)]
struct TrackerNode {
    label: String,
    /// Bytes; `u64::MAX` means no limit.
    quota: AtomicU64,
    consumed: AtomicU64,
    consumed_max: AtomicU64,
    parent: Option<MemoryTracker>,
}

impl MemoryTracker {
    /// A root without a limit.
    pub fn unlimited(label: impl Into<String>) -> MemoryTracker {
        MemoryTracker::with_quota(label, u64::MAX)
    }

    /// A root with a limit in bytes.
    pub fn with_quota(label: impl Into<String>, quota: u64) -> MemoryTracker {
        MemoryTracker::node(label.into(), quota, None)
    }

    /// A child: what it consumes counts for all its ancestors.
    pub fn child(&self, label: impl Into<String>) -> MemoryTracker {
        MemoryTracker::node(label.into(), u64::MAX, Some(self.clone()))
    }

    /// A child with a quota of its own.
    pub fn child_with_quota(&self, label: impl Into<String>, quota: u64) -> MemoryTracker {
        MemoryTracker::node(label.into(), quota, Some(self.clone()))
    }

    fn node(label: String, quota: u64, parent: Option<MemoryTracker>) -> MemoryTracker {
        MemoryTracker(Arc::new(TrackerNode {
            label,
            quota: AtomicU64::new(quota),
            consumed: AtomicU64::new(0),
            consumed_max: AtomicU64::new(0),
            parent,
        }))
    }

    /// Changes the quota (`SET tidb_mem_quota_query`).
    pub fn set_quota(&self, quota: u64) {
        self.0.quota.store(quota, Ordering::Relaxed);
    }

    /// The name given at creation.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Bytes in use.
    pub fn consumed(&self) -> u64 {
        self.0.consumed.load(Ordering::Relaxed)
    }

    /// The most bytes that were in use at one time.
    pub fn consumed_max(&self) -> u64 {
        self.0.consumed_max.load(Ordering::Relaxed)
    }

    /// Charges `bytes` here and in all ancestors; on a passed quota nothing stays charged.
    pub fn consume(&self, bytes: u64) -> Result<(), ExecError> {
        let mut node = Some(self);
        while let Some(tracker) = node {
            let consumed = tracker.0.consumed.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
            let quota = tracker.0.quota.load(Ordering::Relaxed);
            if consumed > quota {
                self.release_up_to(bytes, tracker);
                return Err(ExecError::QuotaExceeded { tracker: tracker.0.label.clone(), quota, consumed });
            }
            tracker.0.consumed_max.fetch_max(consumed, Ordering::Relaxed);
            node = tracker.0.parent.as_ref();
        }
        Ok(())
    }

    /// Gives `bytes` back here and in all ancestors.
    pub fn release(&self, bytes: u64) {
        let mut node = Some(self);
        while let Some(tracker) = node {
            tracker.0.consumed.fetch_sub(bytes, Ordering::Relaxed);
            node = tracker.0.parent.as_ref();
        }
    }

    fn release_up_to(&self, bytes: u64, last: &MemoryTracker) {
        let mut node = Some(self);
        while let Some(tracker) = node {
            tracker.0.consumed.fetch_sub(bytes, Ordering::Relaxed);
            if Arc::ptr_eq(&tracker.0, &last.0) {
                return;
            }
            node = tracker.0.parent.as_ref();
        }
    }

    /// An empty reservation on this tracker.
    pub fn reservation(&self) -> MemoryReservation {
        MemoryReservation { tracker: self.clone(), bytes: 0 }
    }
}

/// Bytes charged by one owner; they are given back when it is dropped, whatever happened.
#[derive(Debug)]
pub struct MemoryReservation {
    tracker: MemoryTracker,
    bytes: u64,
}

impl MemoryReservation {
    /// Charges more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), ExecError> {
        self.tracker.consume(bytes as u64)?;
        self.bytes += bytes as u64;
        Ok(())
    }

    /// Sets the charge to `bytes`.
    pub fn resize(&mut self, bytes: usize) -> Result<(), ExecError> {
        let bytes = bytes as u64;
        if bytes > self.bytes {
            self.tracker.consume(bytes - self.bytes)?;
        } else {
            self.tracker.release(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Gives all back.
    pub fn free(&mut self) {
        self.tracker.release(self.bytes);
        self.bytes = 0;
    }

    /// Bytes charged.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_holds_for_the_sum_of_the_children() {
        let root = MemoryTracker::with_quota("statement", 100);
        let (left, right) = (root.child("left"), root.child("right"));
        let mut on_left = left.reservation();
        let mut on_right = right.reservation();
        on_left.grow(60).unwrap();
        let error = on_right.grow(41).unwrap_err();
        assert!(matches!(error, ExecError::QuotaExceeded { quota: 100, consumed: 101, .. }), "{error}");
        // The refused charge left no trace, on no level.
        assert_eq!((root.consumed(), right.consumed()), (60, 0));
        on_right.grow(40).unwrap();
        on_left.resize(10).unwrap();
        assert_eq!((root.consumed(), root.consumed_max()), (50, 100));
        drop(on_left);
        drop(on_right);
        assert_eq!(root.consumed(), 0);
    }
}
