//! A counter with three replicas in one process; the leader stops, and counting goes on.
//!
//! `cargo run -p tidewater-raft --example three_members`

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tidewater_proto::raftpb;
use tidewater_raft::{
    Applied, Committed, Content, MachineError, Membership, MemoryDevice, Observer, Pieces, RaftConfig,
    RaftNode, SendError, Spooled, Spools, StateMachine, Status, Transport,
};

const GROUP: u64 = 1;

/// Counts commands.
struct Counter {
    count: u64,
    applied: Applied,
}

impl StateMachine for Counter {
    fn applied(&mut self) -> Result<Applied, MachineError> {
        Ok(self.applied.clone())
    }

    fn apply(&mut self, entries: Vec<Committed>) -> Result<Vec<Bytes>, MachineError> {
        let mut answers = Vec::new();
        for entry in entries {
            self.applied.position = Some(entry.position);
            match entry.content {
                Content::Command(_) => self.count += 1,
                Content::Membership(membership) => {
                    self.applied.membership = membership;
                    self.applied.membership_position = Some(entry.position);
                }
                Content::Blank => {}
            }
            answers.push(Bytes::from(self.count.to_string()));
        }
        Ok(answers)
    }

    fn durable(&mut self) -> Result<Applied, MachineError> {
        Ok(self.applied.clone())
    }

    fn snapshot(&mut self) -> Result<(Applied, Pieces), MachineError> {
        let piece = Bytes::copy_from_slice(&self.count.to_be_bytes());
        Ok((self.applied.clone(), Box::new(std::iter::once(Ok(piece)))))
    }

    fn install(&mut self, applied: &Applied, snapshot: Spooled) -> Result<(), MachineError> {
        let pieces = snapshot.pieces().map_err(|error| MachineError(error.to_string()))?;
        let piece =
            pieces.into_iter().next().ok_or_else(|| MachineError("an empty snapshot".to_owned()))??;
        let bytes = piece[..].try_into().map_err(|_| MachineError("not a number".to_owned()))?;
        (self.count, self.applied) = (u64::from_be_bytes(bytes), applied.clone());
        Ok(())
    }
}

struct Silent;

impl Observer for Silent {
    fn status_changed(&self, _: &Status) {}
    fn maybe_removed(&self) {}
}

/// Stores that call each other.
#[derive(Clone, Default)]
struct Stores(Arc<Mutex<BTreeMap<u64, Arc<RaftNode>>>>);

#[async_trait]
impl Transport for Stores {
    async fn send(&self, request: raftpb::Request) -> Result<raftpb::Response, SendError> {
        let node =
            self.0.lock().map_err(|error| SendError(error.to_string()))?.get(&request.to_store).cloned();
        Ok(node.ok_or_else(|| SendError("nobody is there".to_owned()))?.handle(request).await)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stores = Stores::default();
    // Peers have ids of their own: one that was removed never comes back under its id.
    let membership = Membership::of_voters([(11, 1), (12, 2), (13, 3)]);
    for (peer_id, store_id) in membership.members.clone() {
        let (config, log) = (RaftConfig::default(), Arc::new(MemoryDevice::new()));
        let node =
            Arc::new(RaftNode::new(store_id, config, log, Spools::in_memory(), Arc::new(stores.clone()))?);
        node.create_origin(GROUP).await?;
        stores.0.lock().map_err(|_| "poisoned")?.insert(store_id, node.clone());
        let machine = Counter { count: 0, applied: Applied::origin(membership.clone()) };
        node.start(GROUP, peer_id, Box::new(machine), Arc::new(Silent)).await?;
    }
    for round in 0..2 {
        let leader = leader(&stores).await?;
        let group = leader.group(GROUP).ok_or("the group is gone")?;
        let count = group.propose(Bytes::from_static(b"one more")).await?;
        println!("store {} leads, the count is {}", leader.store_id(), String::from_utf8_lossy(&count));
        if round == 0 {
            stores.0.lock().map_err(|_| "poisoned")?.remove(&leader.store_id());
            leader.stop_all().await;
        }
    }
    Ok(())
}

async fn leader(stores: &Stores) -> Result<Arc<RaftNode>, Box<dyn Error>> {
    loop {
        let nodes: Vec<_> = stores.0.lock().map_err(|_| "poisoned")?.values().cloned().collect();
        let leads = |node: &&Arc<RaftNode>| node.group(GROUP).is_some_and(|group| group.has_lease());
        if let Some(leader) = nodes.iter().find(leads) {
            return Ok(leader.clone());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
