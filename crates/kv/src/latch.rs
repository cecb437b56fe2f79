//! Latches: one command at a time per key, from its snapshot until its writes are visible.
//!
//! Keys share a fixed number of slots. A command takes its slots in ascending order, so two commands never wait for each other in a
//! circle; slots are fair. The guard travels with the writes (see `replication`), so a caller that hangs up does not open the latch
//! before the writes are visible.

use std::{hash::Hasher, sync::Arc};

use smallvec::SmallVec;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Slots; a power of two.
const SLOT_COUNT: usize = 2048;

pub(crate) struct Latches {
    slots: Box<[Arc<Mutex<()>>]>,
}

/// Holds the latches of one command.
#[derive(Default)]
pub(crate) struct LatchGuard {
    _slots: SmallVec<[OwnedMutexGuard<()>; 4]>,
}

impl Latches {
    pub(crate) fn new() -> Self {
        Self { slots: (0..SLOT_COUNT).map(|_| Arc::default()).collect() }
    }

    /// Takes the latches of engine keys.
    pub(crate) async fn acquire<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> LatchGuard {
        let mut wanted = keys.map(slot_of).collect::<SmallVec<[usize; 8]>>();
        wanted.sort_unstable();
        wanted.dedup();
        let mut held = SmallVec::with_capacity(wanted.len());
        for slot in wanted {
            let slot = &self.slots[slot];
            held.push(match slot.clone().try_lock_owned() {
                Ok(guard) => guard,
                Err(_) => slot.clone().lock_owned().await,
            });
        }
        LatchGuard { _slots: held }
    }
}

fn slot_of(key: &[u8]) -> usize {
    // FNV-1a: the same slots in every run.
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(key);
    hasher.finish() as usize & (SLOT_COUNT - 1)
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_key_is_held_by_one_command_at_a_time() {
        let latches = Latches::new();
        let (a, b) = (&b"a"[..], &b"b"[..]);
        let first = latches.acquire([a, a].into_iter()).await;
        assert!(latches.acquire([a, b].into_iter()).now_or_never().is_none());
        // The one that gave up holds nothing.
        let other = latches.acquire([b].into_iter()).now_or_never().unwrap();
        drop((first, other));
        assert!(latches.acquire([a, b].into_iter()).now_or_never().is_some());
    }
}
