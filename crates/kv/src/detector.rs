//! Circles of waiting transactions over several stores.
//!
//! Each store sees the waits at its own keys and finds circles among them by itself (`lock_wait`). One store, the one that holds the first
//! region, sees those of all: waits that last are reported to it, and it answers when a reported wait closes a circle. Reports may be lost and
//! the graph with its store: a wait lasts a second at most before its client comes again, and is reported anew then. What nobody withdraws
//! lapses.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use tidewater_codec::{Key, StartTs};
use tidewater_proto::deadlock::{DeadlockRequest, DeadlockRequestType, DeadlockResponse, WaitForEntry};
use tokio::{sync::mpsc, time::Instant};

use crate::deadlock::{WaitEdge, WaitGraph};

/// A wait that is over sooner is not worth a report.
const REPORT_AFTER: Duration = Duration::from_millis(20);
/// A wait that was reported and never withdrawn is forgotten.
const EDGE_LIFETIME: Duration = Duration::from_secs(10);
/// Waits between their beginning and their report; more are not reported.
const UNREPORTED_MAX: usize = 10_000;

/// What a store tells of its waits.
#[derive(Debug)]
pub(crate) enum WaitEvent {
    Begun(WaitEdge),
    Ended(WaitEdge),
}

/// The graph of all stores, on the store that leads the detection.
#[derive(Default)]
pub(crate) struct Detector {
    graph: WaitGraph,
    reported: VecDeque<(Instant, WaitEdge)>,
}

impl Detector {
    /// Takes in a report; the answer holds a chain if it closes a circle.
    pub(crate) fn handle(&mut self, request: &DeadlockRequest) -> DeadlockResponse {
        self.forget_old();
        let Some(entry) = &request.entry else { return DeadlockResponse::default() };
        let edge = edge(entry);
        match request.tp() {
            DeadlockRequestType::Detect => match self.graph.add(&edge) {
                Ok(()) => self.reported.push_back((Instant::now(), edge)),
                Err(chain) => {
                    return DeadlockResponse {
                        entry: Some(entry.clone()),
                        deadlock_key_hash: entry.key_hash,
                        wait_chain: chain.iter().map(self::entry).collect(),
                    };
                }
            },
            DeadlockRequestType::CleanUpWaitFor => self.graph.remove(&edge),
            DeadlockRequestType::CleanUp => self.graph.remove_waiter(edge.waiter),
        }
        DeadlockResponse::default()
    }

    fn forget_old(&mut self) {
        while let Some((at, _)) = self.reported.front()
            && at.elapsed() > EDGE_LIFETIME
            && let Some((_, edge)) = self.reported.pop_front()
        {
            self.graph.remove(&edge);
        }
    }
}

/// Waits on their way to the store that leads the detection: held back until they have lasted, withdrawn when they end.
pub(crate) struct Reports {
    events: mpsc::UnboundedReceiver<WaitEvent>,
    unreported: VecDeque<(Instant, WaitEdge)>,
}

impl Reports {
    pub(crate) fn new(events: mpsc::UnboundedReceiver<WaitEvent>) -> Self {
        Self { events, unreported: VecDeque::new() }
    }

    /// What is to be reported next; `None` when the waiting room is gone.
    pub(crate) async fn next(&mut self) -> Option<DeadlockRequest> {
        loop {
            let due = self.unreported.front().map(|(at, _)| *at + REPORT_AFTER);
            let event = match due {
                None => self.events.recv().await?,
                Some(due) => {
                    tokio::select! {
                        biased;
                        event = self.events.recv() => event?,
                        () = tokio::time::sleep_until(due) => {
                            let Some((_, edge)) = self.unreported.pop_front() else { continue };
                            return Some(request(DeadlockRequestType::Detect, &edge));
                        }
                    }
                }
            };
            match event {
                WaitEvent::Begun(edge) if self.unreported.len() < UNREPORTED_MAX => {
                    self.unreported.push_back((Instant::now(), edge));
                }
                WaitEvent::Begun(_) => {}
                WaitEvent::Ended(edge) => {
                    match self.unreported.iter().position(|(_, begun)| *begun == edge) {
                        Some(at) => drop(self.unreported.remove(at)),
                        None => return Some(request(DeadlockRequestType::CleanUpWaitFor, &edge)),
                    }
                }
            }
        }
    }
}

fn request(kind: DeadlockRequestType, edge: &WaitEdge) -> DeadlockRequest {
    DeadlockRequest { tp: kind.into(), entry: Some(entry(edge)) }
}

fn entry(edge: &WaitEdge) -> WaitForEntry {
    WaitForEntry {
        txn: edge.waiter.into_inner(),
        wait_for_txn: edge.holder.into_inner(),
        key: Bytes::copy_from_slice(edge.key.as_bytes()),
        ..WaitForEntry::default()
    }
}

pub(crate) fn edge(entry: &WaitForEntry) -> WaitEdge {
    WaitEdge {
        waiter: StartTs::new(entry.txn),
        holder: StartTs::new(entry.wait_for_txn),
        key: Key::new(&entry.key[..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(waiter: u64, holder: u64) -> WaitEdge {
        WaitEdge {
            waiter: StartTs::new(waiter),
            holder: StartTs::new(holder),
            key: Key::new(format!("{holder}")),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_circle_over_two_stores_is_found_until_a_wait_is_withdrawn_or_lapses() {
        let mut detector = Detector::default();
        let detect = |edge| request(DeadlockRequestType::Detect, &edge);
        assert!(detector.handle(&detect(wait(1, 2))).entry.is_none());
        assert!(detector.handle(&detect(wait(2, 3))).entry.is_none());
        let answer = detector.handle(&detect(wait(3, 1)));
        assert_eq!(answer.wait_chain.iter().map(edge).collect::<Vec<_>>(), [wait(1, 2), wait(2, 3)]);
        detector.handle(&request(DeadlockRequestType::CleanUpWaitFor, &wait(2, 3)));
        assert!(detector.handle(&detect(wait(3, 1))).entry.is_none());
        assert!(detector.handle(&detect(wait(2, 3))).entry.is_some());
        tokio::time::advance(EDGE_LIFETIME * 2).await;
        assert!(detector.handle(&detect(wait(2, 3))).entry.is_none(), "the others have lapsed");
    }

    #[tokio::test(start_paused = true)]
    async fn short_waits_are_not_reported() {
        let (events, receiver) = mpsc::unbounded_channel();
        let mut reports = Reports::new(receiver);
        events.send(WaitEvent::Begun(wait(1, 2))).unwrap();
        events.send(WaitEvent::Begun(wait(3, 4))).unwrap();
        events.send(WaitEvent::Ended(wait(1, 2))).unwrap();
        let began = Instant::now();
        let first = reports.next().await.unwrap();
        assert_eq!(
            (first.tp(), edge(first.entry.as_ref().unwrap())),
            (DeadlockRequestType::Detect, wait(3, 4))
        );
        assert_eq!(began.elapsed(), REPORT_AFTER);
        events.send(WaitEvent::Ended(wait(3, 4))).unwrap();
        assert_eq!(reports.next().await.unwrap().tp(), DeadlockRequestType::CleanUpWaitFor);
        drop(events);
        assert!(reports.next().await.is_none());
    }
}
