//! How the disk under a store is: how full, and how slow.
//!
//! A full disk stops an engine in the middle of a write, after which nobody knows what it holds. So a store refuses what makes it larger while there is
//! still room: for ending what was begun, for the log, and for whoever makes room.
//!
//! A disk that is slow and not dead makes everything slow that waits for its store, and no election ends that. So a store measures small synced writes, and tells
//! the placement driver a score: it doubles with each that takes too long, and falls slowly (the idea of TiKV's slow score).

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// Room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it.
    pub total: u64,
    /// What this process may still use.
    pub available: u64,
}

/// The disk that a store's data is on.
pub trait Disk: Send + Sync {
    /// How much room there is; `None` if that cannot be told now. May wait for the device.
    fn space(&self) -> Option<DiskSpace>;
}

/// The disk that a directory is on.
#[derive(Debug, Clone)]
pub struct FolderDisk(pub PathBuf);

impl Disk for FolderDisk {
    fn space(&self) -> Option<DiskSpace> {
        let stat = rustix::fs::statvfs(&self.0).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        // Blocks that nobody but the system may use count for nothing, as in `df`.
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        Some(DiskSpace { total: bytes(used + stat.f_bavail), available: bytes(stat.f_bavail) })
    }
}

/// Which disk is watched, and what is kept free.
#[derive(Clone)]
pub struct DiskWatch {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// With less than this many bytes available nothing is taken in that makes the data larger.
    pub reserve_bytes: u64,
}

impl fmt::Debug for DiskWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskWatch").field("reserve_bytes", &self.reserve_bytes).finish_non_exhaustive()
    }
}

/// Between two looks at the disk.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// A synced write that takes longer is slow.
const PROBE_LATENCY_MAX: Duration = Duration::from_millis(250);
/// The score of a store that is well, and that of one that could not be worse.
const SCORE_BEST: f64 = 1.0;
const SCORE_WORST: f64 = 100.0;
/// How long it takes from the worst to the best if all is well again.
const RECOVERY: Duration = Duration::from_secs(60);

/// What is known of a store's disk.
#[derive(Debug, Default)]
pub(crate) struct Health {
    is_full: AtomicBool,
    total: AtomicU64,
    available: AtomicU64,
    /// In hundredths; 0 is not known.
    score_hundredths: AtomicU64,
    /// How the Raft log's device failed.
    failure: OnceLock<String>,
    failed: Notify,
}

impl Health {
    /// Whether nothing may be taken in that makes the data larger.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// From 1 to 100; 0 if nobody has measured.
    pub(crate) fn slow_score(&self) -> u64 {
        self.score_hundredths.load(Ordering::Relaxed).div_ceil(100)
    }

    /// As last seen; `None` if nobody looks.
    pub(crate) fn space(&self) -> Option<DiskSpace> {
        let total = self.total.load(Ordering::Relaxed);
        (total > 0).then(|| DiskSpace { total, available: self.available.load(Ordering::Relaxed) })
    }

    /// Takes in how much room there is; tells whether that changes what is taken in.
    pub(crate) fn note_space(&self, space: DiskSpace, reserve_bytes: u64) -> bool {
        self.total.store(space.total, Ordering::Relaxed);
        self.available.store(space.available, Ordering::Relaxed);
        let was_full = self.is_full();
        // A little more has to be free before it is over, or it would begin and end with every file.
        let needed = if was_full { reserve_bytes + reserve_bytes / 4 } else { reserve_bytes };
        let is_full = space.available < needed;
        self.is_full.store(is_full, Ordering::Relaxed);
        is_full != was_full
    }

    /// Takes in that the Raft log's device has failed.
    pub(crate) fn note_failure(&self, reason: String) {
        let _ = self.failure.set(reason);
        self.failed.notify_waiters();
    }

    /// Waits until the Raft log's device has failed.
    pub(crate) async fn failure(&self) -> String {
        loop {
            // Registered before the look, so that it is not missed.
            let failed = self.failed.notified();
            if let Some(reason) = self.failure.get() {
                return reason.clone();
            }
            failed.await;
        }
    }

    /// Takes in how long a small synced write took, or is taking.
    pub(crate) fn note_probe(&self, latency: Duration) {
        let known = self.score_hundredths.load(Ordering::Relaxed) as f64 / 100.0;
        let score = match latency > PROBE_LATENCY_MAX {
            true => known.max(2.0) * 2.0,
            false => {
                known - (SCORE_WORST - SCORE_BEST) * LOOK_INTERVAL.as_secs_f64() / RECOVERY.as_secs_f64()
            }
        };
        let score = score.clamp(SCORE_BEST, SCORE_WORST);
        self.score_hundredths.store((score * 100.0) as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_is_known_within_seconds_and_forgiven_within_a_minute() {
        let health = Health::default();
        assert_eq!(health.slow_score(), 0);
        health.note_probe(Duration::from_millis(3));
        assert_eq!(health.slow_score(), 1);
        let rounds = (1..).find(|_| {
            health.note_probe(Duration::from_millis(700));
            health.slow_score() >= 80
        });
        assert!(rounds.is_some_and(|rounds| rounds <= 6), "{rounds:?}");
        (0..120).for_each(|_| health.note_probe(Duration::from_millis(3)));
        assert_eq!(health.slow_score(), 1);
    }

    #[test]
    fn a_disk_is_full_until_there_is_more_room_than_needed() {
        let health = Health::default();
        let space = |available| DiskSpace { total: 1000, available };
        assert!(!health.note_space(space(100), 100));
        assert!(health.note_space(space(99), 100) && health.is_full());
        assert!(!health.note_space(space(110), 100) && health.is_full());
        assert!(health.note_space(space(125), 100) && !health.is_full());
    }

    #[test]
    fn a_directory_is_on_a_disk() {
        let space = FolderDisk(std::env::temp_dir()).space().expect("there is a temporary directory");
        assert!(space.total > 0 && space.available <= space.total);
        assert_eq!(FolderDisk("/no/such/directory".into()).space(), None);
    }
}
