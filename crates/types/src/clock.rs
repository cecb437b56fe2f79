//! The wall clock as a seam: production reads the operating system's clock, tests and the simulator own the calendar.

use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the time of day.
pub trait WallClock: Send + Sync {
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    fn now_micros(&self) -> i64;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may read the system clock")]
    fn now_micros(&self) -> i64 {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(elapsed) => i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        }
    }
}

/// A clock that only moves when told to.
///
/// ```
/// use tidewater_types::clock::{ManualClock, WallClock};
///
/// let clock = ManualClock::new(1_000);
/// clock.advance_micros(500);
/// assert_eq!(clock.now_micros(), 1_500);
/// ```
#[derive(Debug, Default)]
pub struct ManualClock {
    now_micros: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now_micros` since the epoch.
    pub fn new(now_micros: i64) -> Self {
        Self { now_micros: AtomicI64::new(now_micros) }
    }

    /// Moves the clock, backwards too if the argument is negative.
    pub fn advance_micros(&self, micros: i64) {
        self.now_micros.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the clock.
    pub fn set_micros(&self, now_micros: i64) {
        self.now_micros.store(now_micros, Ordering::SeqCst);
    }
}

impl WallClock for ManualClock {
    fn now_micros(&self) -> i64 {
        self.now_micros.load(Ordering::SeqCst)
    }
}
