//! Timestamps: one call to the placement driver for all who wait.
//!
//! The first asker calls the driver itself. Who asks while a call is under way queues up, for a timestamp of a call that began *before* the
//! asking could be older than a commit the asker has seen. When the call ends, the first in the queue is told to lead: it makes one call for
//! everyone who is queued by then. Leadership travels as a value ([`Lead`]) whose drop passes it on, so that a dropped future strands nobody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_codec::TimeStamp;
use tidewater_proto::{PdError, PdService, pdpb};
use tokio::sync::oneshot;
use tokio::time::Instant;

type Answer = Result<TimeStamp, PdError>;

pub(crate) struct Oracle {
    pd: Arc<dyn PdService>,
    batch_max: usize,
    queue: Arc<Mutex<Queue>>,
    /// The last answer, and when it was asked for.
    last: Mutex<Option<(TimeStamp, Instant)>>,
}

#[derive(Default)]
struct Queue {
    led: bool,
    waiting: VecDeque<oneshot::Sender<Message>>,
}

enum Message {
    Answer(Answer),
    Lead(Lead),
}

/// The right, and the duty, to make the next call.
struct Lead {
    /// `None` once the lead was passed on.
    queue: Option<Arc<Mutex<Queue>>>,
}

impl Drop for Lead {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else { return };
        loop {
            let next = {
                let mut queue = queue.lock();
                let next = queue.waiting.pop_front();
                queue.led = next.is_some();
                next
            };
            let Some(next) = next else { return };
            match next.send(Message::Lead(Self { queue: Some(queue.clone()) })) {
                Ok(()) => return,
                // It hung up: take the lead back and offer it to the next.
                Err(Message::Lead(mut lead)) => lead.queue = None,
                Err(Message::Answer(_)) => return,
            }
        }
    }
}

impl Oracle {
    pub(crate) fn new(pd: Arc<dyn PdService>, batch_max: u32) -> Self {
        Self { pd, batch_max: batch_max.max(1) as usize, queue: Arc::default(), last: Mutex::default() }
    }

    /// A timestamp later than everything that was given out before the call.
    pub(crate) async fn timestamp(&self) -> Answer {
        loop {
            let waiter = {
                let mut queue = self.queue.lock();
                if queue.led {
                    let (sender, receiver) = oneshot::channel();
                    queue.waiting.push_back(sender);
                    Some(receiver)
                } else {
                    queue.led = true;
                    None
                }
            };
            let Some(receiver) = waiter else {
                return self.call(Lead { queue: Some(self.queue.clone()) }).await;
            };
            match receiver.await {
                Ok(Message::Answer(answer)) => return answer,
                Ok(Message::Lead(lead)) => return self.call(lead).await,
                // The leader that was to serve us hung up in the middle of its call: line up again.
                Err(_) => {}
            }
        }
    }

    /// A timestamp that was fetched before, if one was asked for no longer ago than `age`.
    pub(crate) fn recent(&self, age: Duration) -> Option<TimeStamp> {
        let (timestamp, asked) = (*self.last.lock())?;
        (asked.elapsed() <= age).then_some(timestamp)
    }

    fn remember(&self, timestamp: TimeStamp, asked: Instant) {
        let mut last = self.last.lock();
        if last.is_none_or(|(known, _)| known < timestamp) {
            *last = Some((timestamp, asked));
        }
    }

    async fn call(&self, lead: Lead) -> Answer {
        let followers: Vec<_> = {
            let mut queue = self.queue.lock();
            let count = queue.waiting.len().min(self.batch_max - 1);
            queue.waiting.drain(..count).collect()
        };
        let count = u32::try_from(followers.len() + 1).unwrap_or(u32::MAX);
        let asked = Instant::now();
        let result = self.pd.timestamps(count).await;
        drop(lead);
        match result {
            Ok(last) => {
                let last = compose(&last);
                self.remember(TimeStamp::new(last), asked);
                let first = last - u64::from(count) + 1;
                for (offset, follower) in followers.into_iter().enumerate() {
                    // Who hung up needs no timestamp.
                    let _ = follower.send(Message::Answer(Ok(TimeStamp::new(first + 1 + offset as u64))));
                }
                Ok(TimeStamp::new(first))
            }
            Err(error) => {
                for follower in followers {
                    let _ = follower.send(Message::Answer(Err(error.clone())));
                }
                Err(error)
            }
        }
    }
}

fn compose(timestamp: &pdpb::Timestamp) -> u64 {
    TimeStamp::compose(timestamp.physical.unsigned_abs(), timestamp.logical.unsigned_abs()).into_inner()
}

#[cfg(test)]
mod tests;
