//! What the clients did and saw.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_txn::TxnKind;
use tokio::time::Instant;

/// Keys and values are text, for people who read a failure.
pub(crate) type Value = Option<String>;

/// How a transaction ended, as far as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Committed(u64),
    Aborted,
    /// It may have happened, or may yet.
    Unknown,
}

/// One transaction. Moments are places in the order of all events.
#[derive(Debug, Clone)]
pub(crate) struct Txn {
    pub(crate) kind: TxnKind,
    pub(crate) start_ts: u64,
    pub(crate) began: u64,
    /// When its end was acknowledged; never, if it was not.
    pub(crate) ended: u64,
    pub(crate) at_ms: u64,
    /// Read at `start_ts`.
    pub(crate) reads: BTreeMap<String, Value>,
    /// Read under a lock, so that nothing comes between.
    pub(crate) locked: BTreeMap<String, Value>,
    /// Nothing is a deletion.
    pub(crate) writes: BTreeMap<String, Value>,
    pub(crate) outcome: Outcome,
    pub(crate) said: String,
    /// The transactions whose changes it saw, where these note their numbers.
    pub(crate) ledger: Option<BTreeSet<usize>>,
    /// It read the past: what was acknowledged before it began may be missing.
    pub(crate) is_stale: bool,
}

/// A read of the latest value of one key, or a raw operation on it.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) key: String,
    pub(crate) op: PointOp,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PointOp {
    Read(Value),
    /// `acknowledged` says that it has happened; otherwise it may have.
    Put {
        value: String,
        acknowledged: bool,
    },
    /// `swapped` says that it has happened; otherwise it may have.
    Swap {
        expected: Value,
        value: String,
        swapped: bool,
    },
}

/// Everything that was done, by everybody.
pub(crate) struct History {
    begun: Instant,
    moments: AtomicU64,
    opened: AtomicU64,
    txns: Mutex<Vec<Txn>>,
    points: Mutex<Vec<Point>>,
    /// What took longest, in microseconds.
    longest_us: AtomicU64,
    /// What clients saw that cannot be right, whatever the others did.
    accusations: Mutex<Vec<String>>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            moments: AtomicU64::new(1),
            opened: AtomicU64::new(0),
            txns: Mutex::default(),
            points: Mutex::default(),
            longest_us: AtomicU64::new(0),
            accusations: Mutex::default(),
        }
    }

    /// The next moment.
    pub(crate) fn tick(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::Relaxed)
    }

    /// Somebody has waited for the cluster.
    pub(crate) fn took(&self, waited: Duration) {
        self.longest_us.fetch_max(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_us.load(Ordering::Relaxed))
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Opens the record of a transaction; gives its number.
    pub(crate) fn begin(&self, kind: TxnKind, began: u64, start_ts: u64) -> usize {
        let mut txns = self.txns.lock();
        txns.push(Txn {
            kind,
            start_ts,
            began,
            ended: u64::MAX,
            at_ms: self.now_ms(),
            reads: BTreeMap::new(),
            locked: BTreeMap::new(),
            writes: BTreeMap::new(),
            outcome: Outcome::Aborted,
            said: String::new(),
            ledger: None,
            is_stale: false,
        });
        txns.len() - 1
    }

    pub(crate) fn note<T>(&self, number: usize, change: impl FnOnce(&mut Txn) -> T) -> T {
        change(&mut self.txns.lock()[number])
    }

    /// When what was there before the work began was committed; 0 if there was nothing.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// All there is before the work begins is there.
    pub(crate) fn open(&self, commit: u64) {
        self.opened.store(commit, Ordering::Relaxed);
    }

    /// Somebody saw what cannot be right, whatever the others did.
    pub(crate) fn accuse(&self, what: String) {
        self.accusations.lock().push(format!("{} ms: {what}", self.now_ms()));
    }

    /// What cannot fail.
    pub(crate) fn expect<T>(&self, what: &str, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|error| self.accuse(format!("{what}: {error}"))).ok()
    }

    /// The first thing that somebody saw and that cannot be right.
    pub(crate) fn accusation(&self) -> Option<String> {
        self.accusations.lock().first().cloned()
    }

    /// A read that was answered.
    pub(crate) fn read(&self, key: &str, began: u64, value: Value) {
        let number = self.intend(key, began, PointOp::Read(value));
        self.done(number, |_| ());
    }

    /// Notes a write before it is made: its maker may not live to tell. Gives its number.
    pub(crate) fn intend(&self, key: &str, began: u64, op: PointOp) -> usize {
        let at_ms = self.now_ms();
        let mut points = self.points.lock();
        points.push(Point { key: key.to_owned(), op, began, ended: u64::MAX, at_ms });
        points.len() - 1
    }

    /// It was answered.
    pub(crate) fn done(&self, number: usize, change: impl FnOnce(&mut PointOp)) {
        let ended = self.tick();
        let point = &mut self.points.lock()[number];
        point.ended = ended;
        change(&mut point.op);
    }

    pub(crate) fn txns(&self) -> Vec<Txn> {
        self.txns.lock().clone()
    }

    pub(crate) fn points(&self) -> Vec<Point> {
        self.points.lock().clone()
    }

    /// The last operations that touched these keys, for people.
    pub(crate) fn tell(&self, keys: &[String]) -> String {
        const TOLD: usize = 60;
        let touches = |key: &String| keys.is_empty() || keys.contains(key);
        let mut lines: Vec<(u64, String)> = Vec::new();
        for (number, txn) in self.txns.lock().iter().enumerate() {
            let mut line = format!("{:>6} ms  txn {number} {:?} start {}", txn.at_ms, txn.kind, txn.start_ts);
            let mut touched = false;
            let parts = [("reads", &txn.reads), ("locks", &txn.locked)];
            for (what, values) in parts {
                for (key, value) in values.iter().filter(|(key, _)| touches(key)) {
                    touched = true;
                    let _ = write!(line, "\n             {what} {key} = {}", brief(value.as_deref()));
                }
            }
            for (key, value) in txn.writes.iter().filter(|(key, _)| touches(key)) {
                touched = true;
                let _ = write!(line, "\n             writes {key} = {}", brief(value.as_deref()));
            }
            let _ = write!(line, "\n             {:?} {}", txn.outcome, txn.said);
            if touched {
                lines.push((txn.began, line));
            }
        }
        for point in self.points.lock().iter().filter(|point| touches(&point.key)) {
            lines.push((point.began, format!("{:>6} ms  {} {:?}", point.at_ms, point.key, point.op)));
        }
        lines.sort();
        let skipped = lines.len().saturating_sub(TOLD);
        lines.into_iter().skip(skipped).map(|(_, line)| line + "\n").collect()
    }
}

/// As much of a value as one wants to read.
fn brief(value: Option<&str>) -> String {
    const SHOWN: usize = 100;
    match value {
        Some(value) if value.len() > SHOWN => format!("...{:?}", &value[value.len() - SHOWN..]),
        Some(value) => format!("{value:?}"),
        None => "nothing".to_owned(),
    }
}
