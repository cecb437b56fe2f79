//! What the benchmarks share: members in one process whose state machines do nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;
use tidewater_proto::raftpb;
use tidewater_raft::{
    Applied, Committed, Content, MachineError, Observer, Pieces, RaftNode, SendError, Spooled, StateMachine,
    Status, Transport,
};

/// Forgets everything but how far it is.
pub struct Null(pub Applied);

impl StateMachine for Null {
    fn applied(&mut self) -> Result<Applied, MachineError> {
        Ok(self.0.clone())
    }

    fn apply(&mut self, entries: Vec<Committed>) -> Result<Vec<Bytes>, MachineError> {
        self.0.position = entries.last().map(|entry| entry.position);
        for entry in &entries {
            if let Content::Membership(membership) = &entry.content {
                self.0.membership = membership.clone();
                self.0.membership_position = Some(entry.position);
            }
        }
        Ok(vec![Bytes::new(); entries.len()])
    }

    fn durable(&mut self) -> Result<Applied, MachineError> {
        Ok(self.0.clone())
    }

    fn snapshot(&mut self) -> Result<(Applied, Pieces), MachineError> {
        Ok((self.0.clone(), Box::new(std::iter::once(Ok(Bytes::from_static(b"nothing"))))))
    }

    fn install(&mut self, applied: &Applied, _: Spooled) -> Result<(), MachineError> {
        self.0 = applied.clone();
        Ok(())
    }
}

/// Wants to know nothing.
pub struct Silent;

impl Observer for Silent {
    fn status_changed(&self, _: &Status) {}
    fn maybe_removed(&self) {}
}

/// All stores, reached by a call.
#[derive(Clone, Default)]
pub struct Stores(pub Arc<RwLock<BTreeMap<u64, Arc<RaftNode>>>>);

#[async_trait]
impl Transport for Stores {
    async fn send(&self, request: raftpb::Request) -> Result<raftpb::Response, SendError> {
        let node = self.0.read().get(&request.to_store).cloned();
        Ok(node.ok_or_else(|| SendError("nobody".to_owned()))?.handle(request).await)
    }
}
