//! What clients were told, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mysql_async::Error;
use parking_lot::Mutex;
use tokio::time::Instant;

/// What a client may be told while something is broken; whoever gets one of these may do the same again. `docs/operations.md` lists them.
pub const RETRYABLE: [u16; 12] = [1053, 1205, 1213, 8002, 8022, 8028, 8501, 9001, 9002, 9004, 9005, 9007];
/// Of these, what leaves it open whether it was done.
const UNDETERMINED: [u16; 2] = [1053, 8501];
/// What is kept of the same violation.
const VIOLATIONS_MAX: usize = 50;

/// What an error means to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It was not done.
    Refused,
    /// It may have been done.
    Unknown,
    /// Nobody should be told this.
    Forbidden,
}

/// What clients were told.
#[derive(Default)]
pub struct Record {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By writer: when its writes were acknowledged.
    acknowledged: BTreeMap<u64, Vec<Instant>>,
    rows: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    errors: BTreeMap<String, u64>,
    violations: Vec<String>,
    transfers: u64,
    reads: u64,
}

/// Totals, for people.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Rows of the ledger.
    pub rows: u64,
    /// Transfers.
    pub transfers: u64,
    /// Looks at all accounts.
    pub reads: u64,
}

impl Record {
    /// A writer got its acknowledgment for a row of the ledger.
    pub fn acknowledge(&self, writer: u64, row: u64) {
        let mut inner = self.inner.lock();
        inner.acknowledged.entry(writer).or_default().push(Instant::now());
        inner.rows.insert(row);
    }

    /// Somebody was told that a row was not written.
    pub fn refuse(&self, row: u64) {
        self.inner.lock().refused.insert(row);
    }

    /// A transfer was acknowledged.
    pub fn transferred(&self) {
        self.inner.lock().transfers += 1;
    }

    /// All accounts were read, and were right.
    pub fn looked(&self) {
        self.inner.lock().reads += 1;
    }

    /// Counts an error by its code; one that nobody should be told is a violation.
    pub fn count(&self, error: &Error) -> Meaning {
        let (name, meaning) = classify(error);
        *self.inner.lock().errors.entry(name).or_default() += 1;
        if meaning == Meaning::Forbidden {
            self.violate(format!("a client was told: {error}"));
        }
        meaning
    }

    /// Counts a client's loss of patience.
    pub fn count_timeout(&self) {
        *self.inner.lock().errors.entry("no answer in time".to_owned()).or_default() += 1;
    }

    /// Something that must never be.
    pub fn violate(&self, violation: String) {
        eprintln!("VIOLATION: {violation}");
        let mut inner = self.inner.lock();
        if inner.violations.len() < VIOLATIONS_MAX {
            inner.violations.push(violation);
        }
    }

    /// All that must never have been.
    pub fn violations(&self) -> Vec<String> {
        self.inner.lock().violations.clone()
    }

    /// Errors by what they are.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.inner.lock().errors.clone()
    }

    /// Rows that were acknowledged.
    pub fn rows(&self) -> BTreeSet<u64> {
        self.inner.lock().rows.clone()
    }

    /// Rows of which somebody was told that they were not written.
    pub fn refused(&self) -> BTreeSet<u64> {
        self.inner.lock().refused.clone()
    }

    /// Totals so far.
    pub fn totals(&self) -> Totals {
        let inner = self.inner.lock();
        Totals { rows: inner.rows.len() as u64, transfers: inner.transfers, reads: inner.reads }
    }

    /// Whether each writer has had an acknowledgment since then.
    pub fn all_wrote_since(&self, then: Instant, writers: u64) -> bool {
        let inner = self.inner.lock();
        (0..writers).all(|writer| {
            inner.acknowledged.get(&writer).and_then(|times| times.last()).is_some_and(|last| *last > then)
        })
    }

    /// The longest that one writer had to wait for its next acknowledgment, in waits that touch this span of time; and the longest time
    /// in which nobody had one.
    pub fn gaps(&self, from: Instant, until: Instant) -> (Duration, Duration) {
        let inner = self.inner.lock();
        let of_one = inner.acknowledged.values().map(|times| worst_gap(times, from, until));
        let mut all: Vec<_> = inner.acknowledged.values().flatten().copied().collect();
        all.sort_unstable();
        (of_one.max().unwrap_or_default(), worst_gap(&all, from, until))
    }
}

/// The longest pause between two of these times that touches a span of time; the last pause lasts until the end of the span.
fn worst_gap(times: &[Instant], from: Instant, until: Instant) -> Duration {
    // The last before the span begins the first pause that counts.
    let first = times.partition_point(|time| *time < from).saturating_sub(1);
    let end = times.partition_point(|time| *time <= until).saturating_add(1).min(times.len());
    let within = times.get(first..end).unwrap_or_default();
    let pauses = within.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    let rest = match times.last() {
        Some(last) if *last < until => until.duration_since(*last),
        Some(_) => Duration::ZERO,
        None => until.duration_since(from),
    };
    pauses.max().unwrap_or_default().max(rest)
}

/// What an error means to its client.
pub fn meaning(error: &Error) -> Meaning {
    classify(error).1
}

fn classify(error: &Error) -> (String, Meaning) {
    match error {
        Error::Server(server) => {
            let meaning = match server.code {
                code if UNDETERMINED.contains(&code) => Meaning::Unknown,
                code if RETRYABLE.contains(&code) => Meaning::Refused,
                _ => Meaning::Forbidden,
            };
            (server.code.to_string(), meaning)
        }
        Error::Io(_) | Error::Driver(mysql_async::DriverError::ConnectionClosed) => {
            ("connection lost".to_owned(), Meaning::Unknown)
        }
        _ => ("broken protocol".to_owned(), Meaning::Forbidden),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_gap_is_that_which_touches_the_span() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let times: Vec<_> = [1, 10, 11, 14, 15].into_iter().map(at).collect();
        let gap = |from, until| worst_gap(&times, at(from), at(until)).as_secs();
        assert_eq!(gap(0, 15), 9);
        assert_eq!(gap(5, 11), 9, "it began before the span");
        assert_eq!(gap(12, 15), 3);
        assert_eq!(gap(11, 12), 3, "it ended after the span");
        assert_eq!(gap(15, 20), 5, "nothing came any more");
        assert_eq!(worst_gap(&[], at(3), at(5)).as_secs(), 2);
    }

    #[test]
    fn only_what_may_be_tried_again_may_be_told() {
        let server = |code| {
            Error::Server(mysql_async::ServerError {
                code,
                message: String::new(),
                state: "HY000".to_owned(),
            })
        };
        assert_eq!(classify(&server(9007)).1, Meaning::Refused);
        assert_eq!(classify(&server(8501)).1, Meaning::Unknown);
        assert_eq!(classify(&server(1105)).1, Meaning::Forbidden);
        assert_eq!(classify(&server(1062)).1, Meaning::Forbidden);
    }
}
