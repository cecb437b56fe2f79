//! The waiting room of pessimistic locks.
//!
//! A command that meets a lock and may wait queues up at the key *before it gives its latches back*, so no release can slip by. When
//! the lock goes, the oldest transaction in the queue (smallest start timestamp, as in TiKV) is woken and tries again. If it gets the
//! lock, the others now wait for it, which may close a circle: the newest of the circle's waiters is told. If it does not, the next is
//! woken. A ticket that is dropped (timeout, caller gone) leaves the queue and passes its turn on.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tidewater_codec::StartTs;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant},
};

use crate::{
    deadlock::{WaitEdge, WaitGraph},
    detector::WaitEvent,
    error::CommandError,
    mvcc::DataKey,
};

#[derive(Default)]
pub(crate) struct LockWaits {
    /// Waiters in all; commands that release locks look further only when there are any.
    count: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    edges: Edges,
    queues: BTreeMap<DataKey, Queue>,
    next_id: u64,
}

#[derive(Default)]
struct Queue {
    /// Oldest transaction first.
    waiters: BTreeMap<(StartTs, u64), Waiter>,
    /// Someone was woken and has not finished trying.
    turn_taken: bool,
}

struct Waiter {
    holder: StartTs,
    since: Instant,
    wake: oneshot::Sender<Wake>,
}

#[derive(Debug)]
enum Wake {
    /// The lock is gone: try again.
    TryAgain,
    /// The lock changed hands and waiting for the new holder would never end.
    Deadlock(Box<CommandError>),
}

/// A place in a queue.
pub(crate) struct Ticket {
    waits: Arc<LockWaits>,
    key: DataKey,
    id: (StartTs, u64),
    woken: oneshot::Receiver<Wake>,
    /// Whether it is this ticket's turn, to be passed on when it is dropped.
    has_turn: bool,
    /// Whether the next in the queue may try when this ticket is dropped with the turn.
    passes_on: bool,
}

impl LockWaits {
    /// Tells `listener` of every wait from now on.
    pub(crate) fn listen(&self, listener: mpsc::UnboundedSender<WaitEvent>) {
        self.state.lock().edges.listener = Some(listener);
    }

    /// A wait was found to close a circle over several stores: the waiter is told.
    pub(crate) fn break_circle(&self, edge: WaitEdge, chain: Vec<WaitEdge>) {
        let key = DataKey::from_raw(edge.key.as_bytes());
        let mut state = self.state.lock();
        let Some(queue) = state.queues.get_mut(&key) else { return };
        let waiting =
            queue.waiters.iter().find(|(id, waiter)| id.0 == edge.waiter && waiter.holder == edge.holder);
        let Some(id) = waiting.map(|(id, _)| *id) else { return };
        let Some(waiter) = queue.waiters.remove(&id) else { return };
        self.count.fetch_sub(1, Ordering::SeqCst);
        state.edges.end(&edge);
        let _ = waiter.wake.send(Wake::Deadlock(Box::new(deadlock(edge, chain))));
    }

    /// Queues `waiter` up behind `holder`; the error is a deadlock.
    pub(crate) fn enter(
        self: &Arc<Self>,
        key: &DataKey,
        waiter: StartTs,
        holder: StartTs,
    ) -> Result<Ticket, CommandError> {
        let mut state = self.state.lock();
        let edge = WaitEdge { waiter, holder, key: key.raw() };
        if let Err(chain) = state.edges.begin(&edge) {
            return Err(deadlock(edge, chain));
        }
        state.next_id += 1;
        let id = (waiter, state.next_id);
        let (wake, woken) = oneshot::channel();
        state
            .queues
            .entry(key.clone())
            .or_default()
            .waiters
            .insert(id, Waiter { holder, since: Instant::now(), wake });
        self.count.fetch_add(1, Ordering::SeqCst);
        Ok(Ticket { waits: self.clone(), key: key.clone(), id, woken, has_turn: false, passes_on: true })
    }

    /// Locks went away.
    pub(crate) fn released(&self, keys: &[DataKey]) {
        if keys.is_empty() || self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut state = self.state.lock();
        for key in keys {
            state.wake_next(key, &self.count);
        }
    }

    /// Whoever waits for a key of a range looks again, one after the other: who cannot have the lock passes the turn on.
    pub(crate) fn wake_range(&self, lower: &DataKey, upper: &DataKey) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let state = self.state.lock();
        let keys: Vec<_> = state.queues.keys().filter(|key| *key >= lower && *key < upper).cloned().collect();
        drop(state);
        self.released(&keys);
    }

    /// Locks were taken: whoever waits at these keys waits for the new holders.
    pub(crate) fn acquired(&self, locks: &[(DataKey, StartTs)]) {
        if locks.is_empty() || self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut state = self.state.lock();
        for (key, holder) in locks {
            state.change_holder(key, *holder, &self.count);
        }
    }

    /// Who waits for whom, and for how long, in the order of the keys.
    pub(crate) fn waiting(&self) -> Vec<(WaitEdge, Duration)> {
        let state = self.state.lock();
        let mut waiting = Vec::with_capacity(self.count());
        for (key, queue) in &state.queues {
            for (id, waiter) in &queue.waiters {
                let edge = WaitEdge { waiter: id.0, holder: waiter.holder, key: key.raw() };
                waiting.push((edge, waiter.since.elapsed()));
            }
        }
        waiting
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// Who waits for whom.
#[derive(Default)]
struct Edges {
    graph: WaitGraph,
    /// Whom to tell of waits; nobody where one store sees them all.
    listener: Option<mpsc::UnboundedSender<WaitEvent>>,
}

impl Edges {
    fn begin(&mut self, edge: &WaitEdge) -> Result<(), Vec<WaitEdge>> {
        self.graph.add(edge)?;
        self.tell(|| WaitEvent::Begun(edge.clone()));
        Ok(())
    }

    fn end(&mut self, edge: &WaitEdge) {
        self.graph.remove(edge);
        self.tell(|| WaitEvent::Ended(edge.clone()));
    }

    fn tell(&self, event: impl FnOnce() -> WaitEvent) {
        if let Some(listener) = &self.listener {
            // The listener ends with the node.
            let _ = listener.send(event());
        }
    }
}

impl State {
    fn wake_next(&mut self, key: &DataKey, count: &AtomicUsize) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        if queue.turn_taken {
            return;
        }
        while let Some((id, waiter)) = queue.waiters.pop_first() {
            count.fetch_sub(1, Ordering::SeqCst);
            self.edges.end(&WaitEdge { waiter: id.0, holder: waiter.holder, key: key.raw() });
            if waiter.wake.send(Wake::TryAgain).is_ok() {
                queue.turn_taken = true;
                return;
            }
        }
        self.queues.remove(key);
    }

    fn change_holder(&mut self, key: &DataKey, holder: StartTs, count: &AtomicUsize) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let raw = key.raw();
        let ids = queue.waiters.keys().copied().collect::<Vec<_>>();
        for id in ids {
            let Some(waiter) = queue.waiters.get_mut(&id) else { continue };
            if waiter.holder == holder || id.0 == holder {
                continue;
            }
            self.edges.end(&WaitEdge { waiter: id.0, holder: waiter.holder, key: raw.clone() });
            waiter.holder = holder;
            let edge = WaitEdge { waiter: id.0, holder, key: raw.clone() };
            if let Err(chain) = self.edges.begin(&edge)
                && let Some(waiter) = queue.waiters.remove(&id)
            {
                count.fetch_sub(1, Ordering::SeqCst);
                let _ = waiter.wake.send(Wake::Deadlock(Box::new(deadlock(edge, chain))));
            }
        }
    }
}

impl Ticket {
    /// Waits until it is this ticket's turn to try again.
    pub(crate) async fn wait(&mut self) -> Result<(), CommandError> {
        match (&mut self.woken).await {
            Ok(Wake::TryAgain) => {
                self.has_turn = true;
                Ok(())
            }
            Ok(Wake::Deadlock(error)) => Err(*error),
            // The sender lives in the queue as long as the ticket; gone means the node is closing.
            Err(_) => Ok(()),
        }
    }

    /// Ends the try without a turn for the next one: the lock is taken (by this transaction or another), so there is nothing to try.
    pub(crate) fn settle(mut self) {
        self.passes_on = false;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.waits.state.lock();
        let state = &mut *state;
        if let Some(queue) = state.queues.get_mut(&self.key)
            && let Some(waiter) = queue.waiters.remove(&self.id)
        {
            self.waits.count.fetch_sub(1, Ordering::SeqCst);
            state.edges.end(&WaitEdge { waiter: self.id.0, holder: waiter.holder, key: self.key.raw() });
        }
        // Woken, though perhaps nobody looked: then the turn is ours to pass on.
        self.has_turn |= matches!(self.woken.try_recv(), Ok(Wake::TryAgain));
        if self.has_turn
            && let Some(queue) = state.queues.get_mut(&self.key)
        {
            queue.turn_taken = false;
            if self.passes_on {
                state.wake_next(&self.key, &self.waits.count);
            }
        }
        if state.queues.get(&self.key).is_some_and(|queue| queue.waiters.is_empty() && !queue.turn_taken) {
            state.queues.remove(&self.key);
        }
    }
}

fn deadlock(edge: WaitEdge, chain: Vec<WaitEdge>) -> CommandError {
    // The key by which the circle reaches the waiter: the last edge of the chain leads to it.
    let deadlock_key = chain.last().map_or_else(|| edge.key.clone(), |last| last.key.clone());
    let mut wait_chain = chain;
    wait_chain.push(edge.clone());
    CommandError::Deadlock { key: edge.key, lock_ts: edge.holder, deadlock_key, wait_chain }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn ts(ts: u64) -> StartTs {
        StartTs::new(ts)
    }

    #[tokio::test]
    async fn the_oldest_is_woken_first_and_passes_the_turn_on() {
        let waits = Arc::<LockWaits>::default();
        let key = DataKey::from_raw(b"k");
        let mut young = waits.enter(&key, ts(30), ts(1)).unwrap();
        let mut old = waits.enter(&key, ts(20), ts(1)).unwrap();
        assert!(old.wait().now_or_never().is_none());
        waits.released(std::slice::from_ref(&key));
        assert!(old.wait().now_or_never().is_some());
        waits.released(std::slice::from_ref(&key));
        assert!(young.wait().now_or_never().is_none(), "one turn at a time");
        drop(old);
        assert!(young.wait().now_or_never().is_some());
        drop(young);
        assert_eq!(waits.count(), 0);
        assert!(waits.state.lock().queues.is_empty() && waits.state.lock().edges.graph.is_empty());
    }

    #[tokio::test]
    async fn who_gets_the_lock_is_waited_for() {
        let waits = Arc::<LockWaits>::default();
        let (a, b) = (DataKey::from_raw(b"a"), DataKey::from_raw(b"b"));
        let mut winner = waits.enter(&a, ts(20), ts(1)).unwrap();
        let mut loser = waits.enter(&a, ts(30), ts(1)).unwrap();
        waits.released(std::slice::from_ref(&a));
        winner.wait().await.unwrap();
        waits.acquired(&[(a.clone(), ts(20))]);
        winner.settle();
        assert!(loser.wait().now_or_never().is_none());
        // The loser waits for the winner now, so the winner must not wait for the loser.
        assert!(matches!(waits.enter(&b, ts(20), ts(30)), Err(CommandError::Deadlock { .. })));
        drop(loser);
        assert!(waits.enter(&b, ts(20), ts(30)).is_ok());
        assert_eq!(waits.count(), 0);
    }

    #[tokio::test]
    async fn a_circle_closed_by_a_new_holder_is_told_to_the_waiter() {
        let waits = Arc::<LockWaits>::default();
        let (a, b) = (DataKey::from_raw(b"a"), DataKey::from_raw(b"b"));
        let mut one = waits.enter(&a, ts(20), ts(1)).unwrap();
        let _two = waits.enter(&b, ts(30), ts(20)).unwrap();
        waits.acquired(&[(a, ts(30))]);
        assert!(matches!(one.wait().await, Err(CommandError::Deadlock { lock_ts, .. }) if lock_ts == ts(30)));
        drop(one);
        assert_eq!(waits.count(), 1);
    }
}
