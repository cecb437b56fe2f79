//! Versions of a region's data: whether an answer given before still holds.
//!
//! A write counts as *begun* before it can be seen in the engine, and as *done* once it can. An answer may be kept as that of
//! version `v` if, when its snapshot was taken, all writes that had begun were done: it then holds everything up to `v`. It may be
//! given again while no write beyond `v` has begun, since then the engine still shows what it showed.
//!
//! That is about bytes. What a reader sees of them also depends on its timestamp, so both readers must stand above every timestamp
//! in the region ([`DataVersion::stands_above`]): above commits, and above locks and what they promise, so that no lock that one
//! of them passed by could stop the other.
//!
//! Versions begin at a timestamp taken when the region is first asked, so they are never given twice, neither after a restart nor
//! after the region was elsewhere. Data from before that moment has older timestamps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidewater_codec::TimeStamp;

/// Counts the writes of one region object.
#[derive(Default)]
pub(crate) struct DataVersion {
    /// Zero: nobody has asked.
    base: AtomicU64,
    /// Somebody is about to change that.
    is_settling: AtomicBool,
    begun: AtomicU64,
    done: AtomicU64,
    newest_ts: AtomicU64,
}

/// A write under way. Forgotten when nobody knows what became of it: nothing is kept of that region any more.
pub(crate) struct WriteMark(Arc<DataVersion>);

impl WriteMark {
    /// The write can be seen.
    pub(crate) fn done(self) {
        self.0.done.fetch_add(1, Ordering::SeqCst);
    }
}

impl DataVersion {
    /// A write begins; `newest_ts` is the greatest timestamp in it.
    pub(crate) fn begin(self: &Arc<Self>, newest_ts: TimeStamp) -> WriteMark {
        self.newest_ts.fetch_max(newest_ts.into_inner(), Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        WriteMark(self.clone())
    }

    /// Whether versions are given.
    pub(crate) fn is_settled(&self) -> bool {
        self.base.load(Ordering::SeqCst) != 0
    }

    /// True for the one who is to fetch a timestamp and to [`DataVersion::settle`].
    pub(crate) fn may_settle(&self) -> bool {
        !self.is_settling.swap(true, Ordering::SeqCst)
    }

    /// Gives versions from now on. `now` is a fresh timestamp, taken when nobody could write but through this object; without one,
    /// somebody else may try.
    pub(crate) fn settle(&self, now: Option<TimeStamp>) {
        match now {
            Some(now) => self.base.store(now.into_inner(), Ordering::SeqCst),
            None => self.is_settling.store(false, Ordering::SeqCst),
        }
    }

    /// The version, if versions are given.
    pub(crate) fn current(&self) -> Option<u64> {
        let base = self.base.load(Ordering::SeqCst);
        (base != 0).then(|| base + self.begun.load(Ordering::SeqCst))
    }

    /// Whether no write is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        // In this order: what was done had begun before.
        let done = self.done.load(Ordering::SeqCst);
        done == self.begun.load(Ordering::SeqCst)
    }

    /// Whether a reader sees all that was ever committed here, and was stopped by every lock.
    pub(crate) fn stands_above(&self, read_ts: TimeStamp) -> bool {
        let newest = self.newest_ts.load(Ordering::SeqCst).max(self.base.load(Ordering::SeqCst));
        !read_ts.is_max() && read_ts.into_inner() > newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_under_way_is_of_no_version_to_keep() {
        let version = Arc::new(DataVersion::default());
        assert_eq!((version.current(), version.is_quiet()), (None, true));
        assert!(version.may_settle() && !version.may_settle());
        version.settle(None);
        assert!(version.may_settle());
        version.settle(Some(TimeStamp::new(100)));
        assert_eq!(version.current(), Some(100));
        assert!(!version.stands_above(TimeStamp::new(100)));
        assert!(version.stands_above(TimeStamp::new(101)));
        let write = version.begin(TimeStamp::new(150));
        assert_eq!((version.current(), version.is_quiet()), (Some(101), false));
        write.done();
        assert_eq!((version.current(), version.is_quiet()), (Some(101), true));
        assert!(!version.stands_above(TimeStamp::new(150)));
        assert!(version.stands_above(TimeStamp::new(151)));
        assert!(!version.stands_above(TimeStamp::MAX));
        // Whatever became of it.
        drop(version.begin(TimeStamp::new(151)));
        assert!(!version.is_quiet());
    }
}
