//! What happened, for those who look for the reason of a failure.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Events that are kept for the report of a failure.
const KEPT: usize = 400;

/// What is printed while a run is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tracing {
    /// Nothing.
    #[default]
    Off,
    /// What befalls the cluster.
    Events,
    /// Also every message between its processes.
    Messages,
}

/// Everything that befell the cluster, in order, with the simulated time; and a hash of it and of all messages.
pub(crate) struct Journal {
    begun: Instant,
    tracing: Tracing,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    hasher: DefaultHasher,
}

impl Journal {
    pub(crate) fn new(tracing: Tracing) -> Self {
        Self { begun: Instant::now(), tracing, state: Mutex::default() }
    }

    /// Something happened to a machine or to the network.
    pub(crate) fn note(&self, event: impl fmt::Display) {
        let line = format!("{:>10.3} ms  {event}", self.millis());
        let mut state = self.state.lock();
        line.hash(&mut state.hasher);
        self.print(Tracing::Events, &line);
        if state.lines.len() < KEPT {
            state.lines.push(line);
        }
    }

    /// A message is delivered. `what` is a name; `detail` is made only if somebody reads it.
    pub(crate) fn message<P: fmt::Display>(
        &self,
        from: P,
        to: P,
        what: &str,
        detail: impl FnOnce() -> String,
    ) {
        let millis = self.millis();
        let mut state = self.state.lock();
        (millis.to_bits(), what).hash(&mut state.hasher);
        if self.tracing >= Tracing::Messages {
            self.print(
                Tracing::Messages,
                &format!("{millis:>10.3} ms    {from} -> {to}: {what}{}", detail()),
            );
        }
    }

    /// What befell the cluster, a line for each.
    pub(crate) fn tell(&self) -> String {
        self.state.lock().lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Of everything that was noted, and of all messages.
    pub(crate) fn digest(&self) -> u64 {
        self.state.lock().hasher.finish()
    }

    fn millis(&self) -> f64 {
        self.begun.elapsed().as_micros() as f64 / 1_000.0
    }

    fn print(&self, level: Tracing, line: &str) {
        if self.tracing >= level {
            // Not captured by a test: a run that hangs has to show how far it came.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}
