//! Clocks on the walls of the machines: each runs a little fast or slow, and jumps when somebody sets it.

use std::sync::atomic::{AtomicI64, Ordering};

use rand::RngExt;
use rand::rngs::SmallRng;
use tidewater_types::clock::WallClock;
use tokio::time::Instant;

/// Where the calendar of a simulation begins.
const BEGIN_MICROS: i64 = 1_700_000_000_000_000;
/// How many microseconds in a second a clock gains or loses, at most.
const DRIFT_MAX: i64 = 5_000;
const SECOND: i64 = 1_000_000;

/// The calendar as one machine sees it. Timers are not its business: they are tokio's, and right.
pub(crate) struct SimClock {
    begun: Instant,
    drift: i64,
    wrong_by_micros: AtomicI64,
    furthest_micros: AtomicI64,
}

impl SimClock {
    pub(crate) fn new(rng: &mut SmallRng) -> Self {
        Self {
            begun: Instant::now(),
            drift: rng.random_range(-DRIFT_MAX..=DRIFT_MAX),
            wrong_by_micros: AtomicI64::new(0),
            furthest_micros: AtomicI64::new(BEGIN_MICROS),
        }
    }

    /// A clock that runs as time does.
    pub(crate) fn right() -> Self {
        Self {
            begun: Instant::now(),
            drift: 0,
            wrong_by_micros: AtomicI64::new(0),
            furthest_micros: AtomicI64::new(BEGIN_MICROS),
        }
    }

    /// Somebody sets it.
    pub(crate) fn jump(&self, millis: i64) {
        // What it showed until now counts as shown.
        self.now_micros();
        self.wrong_by_micros.fetch_add(millis * 1_000, Ordering::Relaxed);
    }

    /// The latest moment it has shown.
    pub(crate) fn furthest_micros(&self) -> i64 {
        self.now_micros().max(self.furthest_micros.load(Ordering::Relaxed))
    }

    /// Shows no moment before this one from here on: timestamps stand still while a clock that was set back catches up, and locks do not lapse
    /// meanwhile.
    pub(crate) fn advance_to(&self, micros: i64) {
        let behind = (micros - self.now_micros()).max(0);
        self.wrong_by_micros.fetch_add(behind, Ordering::Relaxed);
    }
}

impl WallClock for SimClock {
    fn now_micros(&self) -> i64 {
        let passed = i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX / SECOND);
        let drifted = passed * self.drift / SECOND;
        let now = BEGIN_MICROS + passed + drifted + self.wrong_by_micros.load(Ordering::Relaxed);
        self.furthest_micros.fetch_max(now, Ordering::Relaxed);
        now
    }
}
