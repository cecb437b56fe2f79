//! Whether a store that says nothing still lives.
//!
//! A store whose process was stopped, or that the network cut off, keeps its connections open and stays silent: whoever waits for it would wait for
//! the transport's keep-alive, many times longer than the region's other replicas take to elect a leader. So a store that owes answers and
//! has been silent for [`SILENCE_MAX`] is asked by the health service of gRPC, on a connection of its own. Where that brings nothing within
//! [`PROBE_TIMEOUT`] either, it counts as lost: who waits is told, and so is whoever asks until the store answers a probe.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::ChannelOptions;

/// How often a store is looked at.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// A store that owes answers is asked whether it lives after so long without any.
const SILENCE_MAX: Duration = Duration::from_millis(300);
/// A store that lives answers a probe in this time, however busy it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two probes of a store that stays lost.
const PROBE_PAUSE_MAX: Duration = Duration::from_millis(500);

/// What is known of a store's life.
pub(super) struct Pulse {
    begun: Instant,
    /// When something last came from it, in milliseconds since `begun`.
    heard_ms: AtomicU64,
    /// Calls of their own that are not answered yet.
    calls: AtomicUsize,
    is_lost: AtomicBool,
    /// Tells calls of their own that the store is lost.
    loss: Notify,
    /// The probe after a loss is made then, in milliseconds since `begun`; and how many failed before it.
    next_probe_ms: AtomicU64,
    failures: AtomicUsize,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            heard_ms: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
            is_lost: AtomicBool::new(false),
            loss: Notify::new(),
            next_probe_ms: AtomicU64::new(0),
            failures: AtomicUsize::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Something came from the store.
    pub(super) fn hear(&self) {
        self.heard_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// Makes a call of its own, unless the store is lost before it is answered.
    pub(super) async fn guard<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let loss = self.loss.notified();
        if self.is_lost() {
            return None;
        }
        let _call = Call::begin(&self.calls);
        tokio::select! {
            biased;
            answer = call => {
                self.hear();
                Some(answer)
            }
            () = loss => None,
        }
    }

    /// Whether it is time for a probe; `is_owing` tells whether commands wait for answers.
    pub(super) fn wants_probe(&self, is_owing: impl FnOnce() -> bool) -> bool {
        let now_ms = self.now_ms();
        if self.is_lost() {
            return now_ms >= self.next_probe_ms.load(Ordering::Relaxed);
        }
        let silent_ms = now_ms.saturating_sub(self.heard_ms.load(Ordering::Relaxed));
        u128::from(silent_ms) >= SILENCE_MAX.as_millis()
            && (self.calls.load(Ordering::Relaxed) > 0 || is_owing())
    }

    /// Asks the store whether it lives, on a connection of its own. Anything it says meanwhile on another counts, too.
    pub(super) async fn probe(&self, address: &str, options: &ChannelOptions) -> bool {
        let heard_ms = self.heard_ms.load(Ordering::Relaxed);
        let Ok(channel) = options.lazy(address) else { return true };
        let mut health = HealthClient::new(channel);
        let asked = timeout(PROBE_TIMEOUT, health.check(HealthCheckRequest::default())).await;
        let answered = match asked {
            Ok(Ok(_)) => true,
            // Any other status comes from the store itself, if only to say that it has no such service.
            Ok(Err(status)) => !matches!(
                status.code(),
                Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown
            ),
            Err(_) => false,
        };
        if answered {
            self.hear();
        }
        answered || self.heard_ms.load(Ordering::Relaxed) != heard_ms
    }

    /// It is lost, or still is; tells whether that is news.
    pub(super) fn lose(&self) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(8);
        let pause = (TICK * (1 << failures)).min(PROBE_PAUSE_MAX);
        let next_ms = self.now_ms().saturating_add(pause.as_millis() as u64);
        self.next_probe_ms.store(next_ms, Ordering::Relaxed);
        let is_news = !self.is_lost.swap(true, Ordering::AcqRel);
        self.loss.notify_waiters();
        is_news
    }

    /// It lives; tells whether that is news.
    pub(super) fn find(&self) -> bool {
        self.failures.store(0, Ordering::Relaxed);
        self.is_lost.swap(false, Ordering::AcqRel)
    }
}

/// A call that is not answered yet.
struct Call<'p>(&'p AtomicUsize);

impl<'p> Call<'p> {
    fn begin(calls: &'p AtomicUsize) -> Self {
        calls.fetch_add(1, Ordering::Relaxed);
        Self(calls)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
