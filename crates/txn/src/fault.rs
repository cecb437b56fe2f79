//! A bad network, from a seed: for tests and simulations.
//!
//! [`FaultyConnector`] wraps another connector. Every call draws its fate from one seeded generator: delays, lost requests, lost answers,
//! late duplicates, answers that overtake each other, region errors that are not true. Time is tokio's, so with a paused clock a simulated hour takes what its work takes, and
//! the [`Trace`] of all calls is the same for the same seed.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_proto::{
    COMMAND_NAMES, StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError, command_index,
    errorpb, store_commands,
};
use tokio::time::Instant;

/// How bad the network is. Probabilities are per call.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Each way, in milliseconds.
    pub delay_ms: RangeInclusive<u64>,
    /// The request never arrives.
    pub lose_request: f64,
    /// The request is executed, the answer never arrives.
    pub lose_answer: f64,
    /// The request arrives a second time, later.
    pub duplicate: f64,
    /// The answer is held back until later ones have passed it.
    pub overtaken: f64,
    /// The answer is a region error that is not true.
    pub region_error: f64,
    /// How long a caller waits for what never arrives.
    pub timeout: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            delay_ms: 0..=5,
            lose_request: 0.01,
            lose_answer: 0.01,
            duplicate: 0.01,
            overtaken: 0.02,
            region_error: 0.02,
            timeout: Duration::from_millis(200),
        }
    }
}

/// A connector whose stores are behind a bad network.
pub struct FaultyConnector {
    inner: Arc<dyn StoreConnector>,
    network: Arc<Network>,
}

impl FaultyConnector {
    /// Wraps a connector.
    pub fn new(inner: Arc<dyn StoreConnector>, faults: Faults, seed: u64) -> Self {
        let network =
            Network { faults, rng: Mutex::new(SmallRng::seed_from_u64(seed)), trace: Arc::new(Trace::new()) };
        Self { inner, network: Arc::new(network) }
    }

    /// What happened so far.
    pub fn trace(&self) -> Arc<Trace> {
        self.network.trace.clone()
    }
}

#[async_trait]
impl StoreConnector for FaultyConnector {
    async fn connect(&self, address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        let inner = self.inner.connect(address).await?;
        Ok(Arc::new(FaultyStore { inner, network: self.network.clone() }))
    }
}

struct Network {
    faults: Faults,
    rng: Mutex<SmallRng>,
    trace: Arc<Trace>,
}

struct FaultyStore {
    inner: Arc<dyn StoreService>,
    network: Arc<Network>,
}

/// What will become of one call.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fate {
    there: Duration,
    back: Duration,
    mishap: Mishap,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mishap {
    None,
    RequestLost,
    AnswerLost,
    Duplicated { again: Duration },
    Overtaken { by: Duration },
    RegionError { kind: u8 },
}

impl Network {
    fn draw(&self) -> Fate {
        let faults = &self.faults;
        let mut rng = self.rng.lock();
        let mut delay = || Duration::from_millis(rng.random_range(faults.delay_ms.clone()));
        let (there, back, again) = (delay(), delay(), delay());
        let mut dice: f64 = rng.random();
        let mut falls_to = |probability: f64| {
            dice -= probability;
            dice < 0.0
        };
        let mishap = if falls_to(faults.lose_request) {
            Mishap::RequestLost
        } else if falls_to(faults.lose_answer) {
            Mishap::AnswerLost
        } else if falls_to(faults.duplicate) {
            Mishap::Duplicated { again: again * 4 }
        } else if falls_to(faults.overtaken) {
            Mishap::Overtaken { by: again * 8 }
        } else if falls_to(faults.region_error) {
            Mishap::RegionError { kind: rng.random_range(0..4) }
        } else {
            Mishap::None
        };
        Fate { there, back, mishap }
    }
}

#[async_trait]
impl StoreService for FaultyStore {
    async fn call(&self, request: StoreRequest) -> Result<StoreResponse, TransportError> {
        let fate = self.network.draw();
        let trace = self.network.trace.clone();
        trace.record("send", &format!("{} {fate:?}", COMMAND_NAMES[command_index(&request)]));
        let timeout = self.network.faults.timeout;
        let inner = self.inner.clone();
        // What is on the wire arrives, whether or not the sender still waits.
        let delivery = tokio::spawn(async move {
            tokio::time::sleep(fate.there).await;
            match fate.mishap {
                Mishap::RequestLost => {
                    tokio::time::sleep(timeout).await;
                    return Err(TransportError::Timeout);
                }
                Mishap::RegionError { kind } => {
                    if let Some(response) = region_error(&request, kind) {
                        tokio::time::sleep(fate.back).await;
                        return Ok(response);
                    }
                }
                Mishap::Duplicated { again } => {
                    let (inner, request) = (inner.clone(), request.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(again).await;
                        // Nobody waits for this answer.
                        let _ = inner.call(request).await;
                    });
                }
                Mishap::None | Mishap::AnswerLost | Mishap::Overtaken { .. } => {}
            }
            let response = inner.call(request).await;
            if fate.mishap == Mishap::AnswerLost {
                tokio::time::sleep(timeout).await;
                return Err(TransportError::Timeout);
            }
            if let Mishap::Overtaken { by } = fate.mishap {
                tokio::time::sleep(by).await;
            }
            tokio::time::sleep(fate.back).await;
            response
        });
        let result = delivery.await.unwrap_or(Err(TransportError::Closed));
        trace.record("receive", if result.is_ok() { "ok" } else { "error" });
        result
    }
}

/// The answer to a command with a region error in it; `None` for commands that cannot carry one.
fn region_error(request: &StoreRequest, kind: u8) -> Option<StoreResponse> {
    let region_error = Some(match kind {
        0 => errorpb::Error { server_is_busy: Some(errorpb::ServerIsBusy::default()), ..Default::default() },
        1 => {
            errorpb::Error { epoch_not_match: Some(errorpb::EpochNotMatch::default()), ..Default::default() }
        }
        2 => errorpb::Error { not_leader: Some(errorpb::NotLeader::default()), ..Default::default() },
        _ => errorpb::Error {
            region_not_found: Some(errorpb::RegionNotFound::default()),
            ..Default::default()
        },
    });
    macro_rules! answer {
        ($($variant:ident $name:ident $method:ident $request:path => $response:path;)*) => {
            match request {
                $(StoreRequest::$variant(_) => answer!(@ $variant $response),)*
            }
        };
        // These go to a store or to no one in particular, not to a region.
        (@ UnsafeDestroyRange $response:path) => { None };
        (@ StoreSafeTs $response:path) => { None };
        (@ GetLockWaitInfo $response:path) => { None };
        (@ InstallRegion $response:path) => { None };
        (@ Deadlock $response:path) => { None };
        (@ Raft $response:path) => { None };
        (@ CheckMerge $response:path) => { None };
        (@ CheckHash $response:path) => { None };
        (@ Empty $response:path) => { None };
        (@ $variant:ident $response:path) => {{
            type Response = $response;
            Some(StoreResponse::$variant(Response { region_error, ..Default::default() }))
        }};
    }
    store_commands!(answer)
}

/// A running hash over everything that was recorded, with the time it happened at.
#[derive(Debug)]
pub struct Trace {
    begun: Instant,
    state: Mutex<(u64, u64)>,
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x0100_0000_01b3;

    /// An empty trace that begins now.
    pub fn new() -> Self {
        Self { begun: Instant::now(), state: Mutex::new((Self::FNV_OFFSET, 0)) }
    }

    /// Adds an event.
    pub fn record(&self, kind: &str, event: &str) {
        let micros = self.begun.elapsed().as_micros();
        tracing::trace!(%micros, kind, event);
        let text = format!("{micros} {kind} {event}\n");
        let mut state = self.state.lock();
        for byte in text.bytes() {
            state.0 = (state.0 ^ u64::from(byte)).wrapping_mul(Self::FNV_PRIME);
        }
        state.1 += 1;
    }

    /// The hash of all events, and how many there were.
    pub fn digest(&self) -> (u64, u64) {
        *self.state.lock()
    }
}
