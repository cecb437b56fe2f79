//! The wires between the members of the placement driver.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_pd::Member;
use tidewater_proto::{PdPeer, PdPeerConnector, TransportError, pdpeerpb, raftpb};
use tokio::time::{Duration, sleep};

use super::{Pds, Process};
use crate::life::Life;
use crate::network::{Place, TIMEOUT};

/// The other members as one process of one member reaches them.
pub(crate) struct PeerWires {
    pds: Arc<Pds>,
    from: usize,
    life: Life,
    rng: Arc<Mutex<SmallRng>>,
}

impl PeerWires {
    pub(crate) fn new(pds: Arc<Pds>, from: usize, generation: u64, life: Life) -> Self {
        let seed = pds.seed ^ (from as u64 + 7) << 33 ^ generation << 12;
        Self { pds, from, life, rng: Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))) }
    }
}

impl PdPeerConnector for PeerWires {
    fn connect(&self, url: &str) -> Result<Arc<dyn PdPeer>, TransportError> {
        let name = url.trim_start_matches("http://");
        let to = self.pds.hosts.iter().position(|host| host.name == name).ok_or(TransportError::Closed)?;
        Ok(Arc::new(PeerWire {
            pds: self.pds.clone(),
            from: self.from,
            to,
            life: self.life.clone(),
            rng: self.rng.clone(),
        }))
    }
}

struct PeerWire {
    pds: Arc<Pds>,
    from: usize,
    to: usize,
    life: Life,
    rng: Arc<Mutex<SmallRng>>,
}

impl PeerWire {
    async fn travel(&self, from: usize, to: usize) -> Result<(), TransportError> {
        let (pause, is_lost) = {
            let mut rng = self.rng.lock();
            (Duration::from_micros(rng.random_range(0..2_000)), rng.random_bool(self.pds.lost_probability))
        };
        sleep(pause).await;
        if is_lost {
            sleep(TIMEOUT).await;
            return Err(TransportError::Timeout);
        }
        self.pds.network.pass(Place::Pd(from), Place::Pd(to)).await
    }

    async fn carry<T, F>(&self, what: &str, ask: impl FnOnce(Arc<Member>) -> F) -> Result<T, TransportError>
    where
        F: Future<Output = Result<T, TransportError>>,
    {
        self.life.must_live().await;
        self.travel(self.from, self.to).await?;
        let Some((Process::Member(member), life)) = self.pds.hosts[self.to].running() else {
            return Err(TransportError::Closed);
        };
        let (from, to) = (Place::Pd(self.from), Place::Pd(self.to));
        self.pds.network.journal.message(from, to, what, String::new);
        let answer = tokio::select! {
            biased;
            () = life.ended() => Err(TransportError::Closed),
            answer = ask(member) => answer,
        };
        self.travel(self.to, self.from).await?;
        self.life.must_live().await;
        answer
    }
}

#[async_trait]
impl PdPeer for PeerWire {
    async fn raft(&self, request: raftpb::Request) -> Result<raftpb::Response, TransportError> {
        self.carry("raft", async |member| member.raft(request).await).await
    }

    async fn describe(&self) -> Result<pdpeerpb::Description, TransportError> {
        self.carry("describe", async |member| member.describe().await).await
    }

    async fn change(
        &self,
        request: pdpeerpb::ChangeRequest,
    ) -> Result<pdpeerpb::ChangeResponse, TransportError> {
        self.carry("change", async |member| member.change(request).await).await
    }
}
