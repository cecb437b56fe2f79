//! The disk of a machine: under its engine, its Raft log, its records. It can be slow, full or broken.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How long a sync takes, at most.
const SYNC_MAX: Duration = Duration::from_millis(3);
/// The same on a disk that is slow just now.
const SLOW_SYNC_MAX: Duration = Duration::from_millis(250);

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Syncs take their time.
    Slow,
    /// Nothing can be written.
    Full,
    /// So many more writes succeed, then none does.
    FailsAfter(u64),
}

pub(crate) struct Disk {
    state: Mutex<State>,
}

struct State {
    trouble: Trouble,
    rng: SmallRng,
}

impl Disk {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let state = State { trouble: Trouble::None, rng: SmallRng::seed_from_u64(seed) };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        self.state.lock().trouble = trouble;
    }

    /// Whether a write can be made, or a sync.
    pub(crate) fn write(&self) -> Result<(), String> {
        let mut state = self.state.lock();
        match &mut state.trouble {
            Trouble::None | Trouble::Slow => Ok(()),
            Trouble::Full => Err("no space left on device".to_owned()),
            Trouble::FailsAfter(0) => Err("input/output error".to_owned()),
            Trouble::FailsAfter(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// How long the next sync takes.
    pub(crate) fn sync_time(&self) -> Duration {
        let mut state = self.state.lock();
        let longest = if state.trouble == Trouble::Slow { SLOW_SYNC_MAX } else { SYNC_MAX };
        state.rng.random_range(Duration::ZERO..longest)
    }
}
