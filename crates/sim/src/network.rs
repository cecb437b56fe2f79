//! Which machines reach each other.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_proto::TransportError;
use tokio::time::sleep;

use crate::journal::Journal;

/// How long a caller waits for what never arrives.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(200);

/// A machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Store(usize),
    Pd(usize),
    Client(u64),
    Sql(u64),
    /// Whoever looks at the cluster from outside: nothing cuts it off.
    Outside,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(index) => write!(f, "store-{index}"),
            Self::Pd(index) => write!(f, "pd-{index}"),
            Self::Client(number) => write!(f, "client-{number}"),
            Self::Sql(number) => write!(f, "sql-{number}"),
            Self::Outside => write!(f, "outside"),
        }
    }
}

/// From whom to whom.
pub(crate) type Way = (Place, Place);

/// The network between the machines: ways that are cut stay so until they are healed. Delays and losses are drawn elsewhere.
pub(crate) struct Network {
    pub(crate) journal: Arc<Journal>,
    cuts: Mutex<Cuts>,
}

#[derive(Default)]
struct Cuts {
    next: u64,
    /// A way may be cut by several partitions; it is open again when the last of them has healed.
    all: Vec<(u64, BTreeSet<Way>)>,
}

impl Network {
    pub(crate) fn new(journal: Arc<Journal>) -> Arc<Self> {
        Arc::new(Self { journal, cuts: Mutex::default() })
    }

    fn is_cut(&self, way: Way) -> bool {
        self.cuts.lock().all.iter().any(|(_, ways)| ways.contains(&way))
    }

    /// Passes if something gets through just now, and fails, late, if not.
    pub(crate) async fn pass(&self, from: Place, to: Place) -> Result<(), TransportError> {
        if !self.is_cut((from, to)) {
            return Ok(());
        }
        sleep(TIMEOUT).await;
        Err(TransportError::Timeout)
    }

    /// Cuts ways for a while.
    pub(crate) fn cut(self: &Arc<Self>, ways: BTreeSet<Way>, pause: Duration) {
        let number = {
            let mut cuts = self.cuts.lock();
            cuts.next += 1;
            let number = cuts.next;
            cuts.all.push((number, ways));
            number
        };
        let network = self.clone();
        tokio::spawn(async move {
            sleep(pause).await;
            network.heal(number);
        });
    }

    fn heal(&self, number: u64) {
        let healed = {
            let mut cuts = self.cuts.lock();
            let before = cuts.all.len();
            cuts.all.retain(|(known, _)| *known != number);
            cuts.all.len() < before
        };
        if healed {
            self.journal.note(format_args!("partition {number} heals"));
        }
    }

    /// Everybody reaches everybody.
    pub(crate) fn heal_all(&self) {
        self.cuts.lock().all.clear();
        self.journal.note("all partitions are healed");
    }
}
