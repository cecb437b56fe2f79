//! Raft's messages to the other members.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tidewater_proto::{PdPeer, PdPeerConnector, TransportError, pdpeerpb, raftpb};
use tidewater_raft::{SendError, Transport};

use super::roster;
use super::state::State;

/// Finds members by their ids.
pub(crate) struct Links {
    state: Arc<RwLock<State>>,
    connector: Arc<dyn PdPeerConnector>,
    /// Where members may also be: what the settings say, and what was heard before there were records.
    hints: BTreeMap<u64, Vec<String>>,
    /// Which of its URLs each is tried at; moves on when one fails.
    turns: Mutex<BTreeMap<u64, usize>>,
}

impl Links {
    pub(crate) fn new(
        state: Arc<RwLock<State>>,
        connector: Arc<dyn PdPeerConnector>,
        hints: BTreeMap<u64, Vec<String>>,
    ) -> Self {
        Self { state, connector, hints, turns: Mutex::default() }
    }

    fn urls(&self, member_id: u64) -> Vec<String> {
        let known = roster::member(&self.state.read().records, member_id);
        let mut urls = known.map_or(Vec::new(), |member| member.peer_urls);
        for hint in self.hints.get(&member_id).into_iter().flatten() {
            if !urls.contains(hint) {
                urls.push(hint.clone());
            }
        }
        urls
    }

    fn reach(&self, member_id: u64) -> Result<Arc<dyn PdPeer>, TransportError> {
        let urls = self.urls(member_id);
        let turn = self.turns.lock().get(&member_id).copied().unwrap_or(0);
        let Some(url) = urls.get(turn % urls.len().max(1)) else {
            let reason = "its URL is not known".to_owned();
            return Err(TransportError::Unreachable { address: format!("member {member_id}"), reason });
        };
        self.connector.connect(url)
    }

    fn note_failure(&self, member_id: u64) {
        *self.turns.lock().entry(member_id).or_default() += 1;
    }

    pub(crate) async fn change(
        &self,
        member_id: u64,
        request: pdpeerpb::ChangeRequest,
    ) -> Result<pdpeerpb::ChangeResponse, TransportError> {
        let answer = self.reach(member_id)?.change(request).await;
        answer.inspect_err(|_| self.note_failure(member_id))
    }

    pub(crate) async fn describe(&self, member_id: u64) -> Result<pdpeerpb::Description, TransportError> {
        let answer = self.reach(member_id)?.describe().await;
        answer.inspect_err(|_| self.note_failure(member_id))
    }
}

#[async_trait]
impl Transport for Links {
    async fn send(&self, request: raftpb::Request) -> Result<raftpb::Response, SendError> {
        let member_id = request.to_store;
        let failed = |error: TransportError| SendError(error.to_string());
        let answer = self.reach(member_id).map_err(failed)?.raft(request).await;
        answer.inspect_err(|_| self.note_failure(member_id)).map_err(failed)
    }
}
