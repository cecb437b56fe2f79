//! Pauses between attempts: bounded, growing, with jitter from a seeded generator.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_codec::Key;

use crate::{GaveUp, Place, ReplicaRead, TxnError};

/// Why an operation pauses before it tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pause {
    /// The region has a leader elsewhere; the answer named it.
    LeaderMoved,
    /// The region has no leader now.
    NoLeader,
    /// The region was split, merged or moved.
    RegionChanged,
    /// The store has too much to do.
    StoreBusy,
    /// The store is not ready to answer this yet.
    StoreNotReady,
    /// The store's disk is full.
    DiskFull,
    /// No answer from the store.
    Transport,
    /// No answer from the placement driver.
    Pd,
    /// A lock is in the way of a read.
    LockOfRead,
    /// A lock is in the way of a write.
    LockOfWrite,
}

const KINDS: usize = 10;

/// An interruptible operation looks this often whether it is still wanted.
const INTERRUPT_SLICE: Duration = Duration::from_millis(50);

impl Pause {
    /// First and longest pause.
    fn bounds(self) -> (Duration, Duration) {
        let (first, longest) = match self {
            Self::LeaderMoved | Self::RegionChanged => (1, 500),
            Self::NoLeader | Self::StoreNotReady => (2, 500),
            Self::StoreBusy => (20, 2_000),
            Self::DiskFull => (500, 5_000),
            // Another replica takes over from a lost store: that is not to be missed by much.
            Self::Transport => (5, 300),
            Self::Pd => (5, 1_000),
            Self::LockOfRead => (1, 200),
            Self::LockOfWrite => (5, 500),
        };
        (Duration::from_millis(first), Duration::from_millis(longest))
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// The patience of one operation.
#[derive(Debug)]
pub(crate) struct Backoff {
    budget: Duration,
    waited: Duration,
    attempts: [u32; KINDS],
    rng: SmallRng,
    pub(crate) region_id: Option<u64>,
    pub(crate) store_id: Option<u64>,
    /// Requests sent whose answer never came: each may have been executed.
    pub(crate) lost_answers: u32,
    /// Which peers the operation may ask.
    pub(crate) replica: ReplicaRead,
    /// Goes up when nobody wants the operation any more.
    pub(crate) interrupt: Option<Arc<AtomicBool>>,
}

impl Backoff {
    pub(crate) fn new(budget: Duration, seed: u64) -> Self {
        Self {
            budget,
            waited: Duration::ZERO,
            attempts: [0; KINDS],
            rng: SmallRng::seed_from_u64(seed),
            region_id: None,
            store_id: None,
            lost_answers: 0,
            replica: ReplicaRead::Leader,
            interrupt: None,
        }
    }

    /// One of so many, by lot; not of none.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        self.rng.random_range(0..count.max(1))
    }

    /// An operation of its own with what is left of the patience.
    pub(crate) fn fork(&mut self) -> Self {
        let mut fork = Self::new(self.budget, self.rng.random());
        fork.waited = self.waited;
        fork.attempts = self.attempts;
        fork.replica = self.replica;
        fork.interrupt.clone_from(&self.interrupt);
        fork
    }

    /// How often the operation paused for this reason.
    pub(crate) fn attempts(&self, kind: Pause) -> u32 {
        self.attempts[kind.index()]
    }

    /// Counts an attempt that needs no pause.
    pub(crate) fn note(&mut self, kind: Pause) {
        self.attempts[kind.index()] += 1;
    }

    /// Pauses, or reports that patience has run out.
    pub(crate) async fn pause(&mut self, kind: Pause, answer: impl fmt::Display) -> Result<(), TxnError> {
        self.pause_within(kind, Duration::MAX, answer).await
    }

    /// Pauses for no longer than `longest`.
    pub(crate) async fn pause_within(
        &mut self,
        kind: Pause,
        longest: Duration,
        answer: impl fmt::Display,
    ) -> Result<(), TxnError> {
        let (first, cap) = kind.bounds();
        let attempt = self.attempts[kind.index()];
        self.attempts[kind.index()] = attempt.saturating_add(1);
        if self.waited >= self.budget {
            return Err(self.exhausted(kind, answer));
        }
        let grown = first.saturating_mul(1 << attempt.min(16)).min(cap);
        // Half fixed, half random: rivals part, and the pause still grows.
        let half = grown.as_micros() as u64 / 2;
        let pause = Duration::from_micros(half + self.rng.random_range(0..=half.max(1)));
        let pause = pause.min(longest).min(self.budget - self.waited).max(Duration::from_millis(1));
        metrics::counter!("tidewater_txn_backoff_total").increment(1);
        self.waited += pause;
        self.sleep(pause).await
    }

    /// In slices, so that an interruption is noticed soon.
    async fn sleep(&self, pause: Duration) -> Result<(), TxnError> {
        let Some(interrupt) = &self.interrupt else {
            tokio::time::sleep(pause).await;
            return Ok(());
        };
        let mut left = pause;
        while !left.is_zero() {
            if interrupt.load(Ordering::Relaxed) {
                return Err(TxnError::Interrupted);
            }
            let slice = left.min(INTERRUPT_SLICE);
            tokio::time::sleep(slice).await;
            left -= slice;
        }
        Ok(())
    }

    /// The error of an operation that has no patience left.
    pub(crate) fn exhausted(&self, kind: Pause, answer: impl fmt::Display) -> TxnError {
        TxnError::Unavailable { gave_up: Box::new(self.gave_up(kind, answer)) }
    }

    /// The error of a store that does not want to.
    pub(crate) fn refused(&self, key: Option<Key>, reason: String) -> TxnError {
        TxnError::Store { place: Box::new(self.place(key)), reason }
    }

    /// Says where a refusal came from, if that is not told yet.
    pub(crate) fn locate_refusal(&self, error: TxnError, key: Option<&[u8]>) -> TxnError {
        match error {
            TxnError::Store { place, reason } if *place == Place::default() => {
                self.refused(key.map(Key::new), reason)
            }
            other => other,
        }
    }

    fn place(&self, key: Option<Key>) -> Place {
        Place { key, region_id: self.region_id, store_id: self.store_id }
    }

    pub(crate) fn gave_up(&self, kind: Pause, answer: impl fmt::Display) -> GaveUp {
        GaveUp {
            last_pause: kind,
            pauses: self.attempts.iter().sum(),
            waited: self.waited,
            region_id: self.region_id,
            store_id: self.store_id,
            last_answer: answer.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_interrupted_operation_pauses_no_further() {
        let mut backoff = Backoff::new(Duration::from_secs(40), 1);
        let interrupt = Arc::new(AtomicBool::new(false));
        backoff.interrupt = Some(interrupt.clone());
        let mut fork = backoff.fork();
        fork.pause(Pause::DiskFull, "full").await.expect("a pause");
        interrupt.store(true, Ordering::Relaxed);
        assert!(matches!(fork.pause(Pause::DiskFull, "full").await, Err(TxnError::Interrupted)));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_within_its_budget_and_says_why() {
        let mut backoff = Backoff::new(Duration::from_millis(300), 7);
        backoff.region_id = Some(4);
        let begun = tokio::time::Instant::now();
        let error = loop {
            if let Err(error) = backoff.pause(Pause::Transport, "no route").await {
                break error;
            }
        };
        assert!(begun.elapsed() <= Duration::from_millis(330), "{:?}", begun.elapsed());
        let TxnError::Unavailable { gave_up } = error else { panic!("{error}") };
        assert_eq!((gave_up.last_pause, gave_up.region_id), (Pause::Transport, Some(4)));
        assert!(gave_up.to_string().ends_with("region 4: no route"), "{gave_up}");
    }

    #[tokio::test(start_paused = true)]
    async fn equal_seeds_pause_equally() {
        let mut waited = Vec::new();
        for seed in [1, 1, 2] {
            let mut backoff = Backoff::new(Duration::from_secs(60), seed);
            for _ in 0..12 {
                backoff.pause(Pause::StoreBusy, "").await.unwrap();
            }
            waited.push(backoff.waited);
        }
        assert_eq!(waited[0], waited[1]);
        assert_ne!(waited[0], waited[2]);
    }
}
