//! Members in one process, with a network that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidewater_pd::{Member, MemberConfig, MemberError, MemoryStorage};
use tidewater_proto::{PdPeer, PdPeerConnector, TransportError, pdpeerpb, raftpb};
use tidewater_raft::MemoryDevice;
use tidewater_types::clock::WallClock;
use tokio::time::{Instant, sleep};

const START_MICROS: i64 = 1_700_000_000_000_000;

/// Runs with the test's time, and can be set.
pub struct Clock {
    started: Instant,
    pub offset_micros: AtomicI64,
}

impl Clock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), offset_micros: AtomicI64::new(0) })
    }
}

impl WallClock for Clock {
    fn now_micros(&self) -> i64 {
        let run = i64::try_from(self.started.elapsed().as_micros()).unwrap();
        START_MICROS + run + self.offset_micros.load(Ordering::Relaxed)
    }
}

/// Who runs, and who cannot reach whom, by name.
#[derive(Default)]
pub struct Network {
    pub running: Mutex<BTreeMap<String, Arc<Member>>>,
    pub cut: Mutex<BTreeSet<(String, String)>>,
}

fn url(name: &str) -> String {
    format!("http://{name}")
}

/// The network as one member sees it.
struct Wires {
    network: Arc<Network>,
    from: String,
}

impl PdPeerConnector for Wires {
    fn connect(&self, url: &str) -> Result<Arc<dyn PdPeer>, TransportError> {
        let to = url.trim_start_matches("http://").to_owned();
        Ok(Arc::new(Wire { network: self.network.clone(), from: self.from.clone(), to }))
    }
}

struct Wire {
    network: Arc<Network>,
    from: String,
    to: String,
}

impl Wire {
    async fn carry<T, F>(&self, ask: impl FnOnce(Arc<Member>) -> F) -> Result<T, TransportError>
    where
        F: Future<Output = Result<T, TransportError>>,
    {
        let is_cut =
            |from: &str, to: &str| self.network.cut.lock().contains(&(from.to_owned(), to.to_owned()));
        sleep(Duration::from_millis(1)).await;
        let there = self.network.running.lock().get(&self.to).cloned();
        let there = there.filter(|_| !is_cut(&self.from, &self.to)).ok_or(TransportError::Closed)?;
        let answer = ask(there).await;
        match is_cut(&self.to, &self.from) {
            true => Err(TransportError::Closed),
            false => answer,
        }
    }
}

#[async_trait]
impl PdPeer for Wire {
    async fn raft(&self, request: raftpb::Request) -> Result<raftpb::Response, TransportError> {
        self.carry(async |member| member.raft(request).await).await
    }

    async fn describe(&self) -> Result<pdpeerpb::Description, TransportError> {
        self.carry(async |member| member.describe().await).await
    }

    async fn change(
        &self,
        request: pdpeerpb::ChangeRequest,
    ) -> Result<pdpeerpb::ChangeResponse, TransportError> {
        self.carry(async |member| member.change(request).await).await
    }
}

/// What is left of a member that does not run.
pub struct Machine {
    pub storage: Arc<MemoryStorage>,
    pub device: Arc<MemoryDevice>,
    pub clock: Arc<Clock>,
    pub config: MemberConfig,
}

#[derive(Default)]
pub struct Members {
    pub network: Arc<Network>,
    pub machines: BTreeMap<String, Machine>,
}

impl Members {
    /// The founders pd-1, pd-2, ..., running.
    pub async fn start(count: usize) -> Self {
        let mut members = Self::default();
        let names: Vec<_> = (1..=count).map(|number| format!("pd-{number}")).collect();
        let initial: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), url(name))).collect();
        for name in &names {
            members.add(name, |config| config.initial_cluster = initial.clone());
        }
        for name in &names {
            members.boot(name).await.unwrap();
        }
        members
    }

    pub fn add(&mut self, name: &str, change: impl FnOnce(&mut MemberConfig)) {
        let mut config = MemberConfig::alone(name, url(name));
        change(&mut config);
        let machine =
            Machine { storage: Arc::default(), device: Arc::default(), clock: Clock::new(), config };
        self.machines.insert(name.to_owned(), machine);
    }

    pub fn add_newcomer(&mut self, name: &str, at: &str) {
        self.add(name, |config| config.join = vec![url(at)]);
    }

    pub async fn boot(&self, name: &str) -> Result<Arc<Member>, MemberError> {
        let machine = &self.machines[name];
        let member = Member::open(
            machine.config.clone(),
            machine.storage.clone(),
            machine.device.clone(),
            Arc::new(Wires { network: self.network.clone(), from: name.to_owned() }),
            machine.clock.clone(),
        )
        .await?;
        self.network.running.lock().insert(name.to_owned(), member.clone());
        Ok(member)
    }

    pub async fn kill(&self, name: &str) {
        let member = self.network.running.lock().remove(name);
        if let Some(member) = member {
            member.stop().await;
        }
    }

    pub fn isolate(&self, name: &str, is_cut: bool) {
        let mut cut = self.network.cut.lock();
        for other in self.machines.keys().filter(|other| *other != name) {
            for way in [(name.to_owned(), other.clone()), (other.clone(), name.to_owned())] {
                match is_cut {
                    true => cut.insert(way),
                    false => cut.remove(&way),
                };
            }
        }
    }

    pub fn running(&self) -> Vec<(String, Arc<Member>)> {
        self.network.running.lock().iter().map(|(name, member)| (name.clone(), member.clone())).collect()
    }

    pub fn member(&self, name: &str) -> Arc<Member> {
        self.network.running.lock()[name].clone()
    }

    pub async fn leader(&self) -> (String, Arc<Member>) {
        self.wait("nobody leads", || self.running().into_iter().find(|(_, member)| member.is_leading())).await
    }

    pub async fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..6000 {
            if let Some(found) = look() {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
        let seen: Vec<_> =
            self.running().into_iter().map(|(name, member)| (name, member.description())).collect();
        panic!("{what}: {seen:?}");
    }

    /// The names of the members that the leader lists, once all of them have run.
    pub async fn settled(&self, names: &[&str]) {
        self.wait("the members are others", || {
            let (_, leader) = self.running().into_iter().find(|(_, member)| member.is_leading())?;
            let members = leader.description().members;
            let listed: BTreeSet<_> = members.iter().map(|member| member.name.as_str()).collect();
            let all_ran = members.iter().all(|member| member.instance != 0);
            (listed == names.iter().copied().collect() && all_ran).then_some(())
        })
        .await;
    }

    pub async fn remove(&self, at: &str, name: &str) -> pdpeerpb::ChangeResponse {
        let remove = pdpeerpb::Remove { name: name.to_owned(), id: 0 };
        let change = Some(pdpeerpb::change_request::Change::Remove(remove));
        self.member(at).change(pdpeerpb::ChangeRequest { change, ..Default::default() }).await.unwrap()
    }
}

/// Nobody is anywhere.
pub struct NoWires;

impl PdPeerConnector for NoWires {
    fn connect(&self, _: &str) -> Result<Arc<dyn PdPeer>, TransportError> {
        Err(TransportError::Closed)
    }
}
