//! The right to write the records, for as long as it lasts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tidewater_raft::{Group, GroupError, Role};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use super::state::{self, SessionId, State};
use crate::storage::Batch;
use crate::{StorageError, records};

/// How long a write is waited for while no majority answers. It may still come to be written later.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);
const WRITE_LOOK: Duration = Duration::from_millis(100);

/// A session of the leader.
///
/// Ends for good with the first write that fails: what is known in memory may then differ from what is, or will be, in the records.
pub(crate) struct Leadership {
    group: Arc<Group>,
    session: SessionId,
    state: Arc<RwLock<State>>,
    ended: AtomicBool,
    /// Told when it ends.
    changed: Arc<Notify>,
}

impl Leadership {
    pub(crate) fn new(
        group: Arc<Group>,
        session: SessionId,
        state: Arc<RwLock<State>>,
        changed: Arc<Notify>,
    ) -> Self {
        Self { group, session, state, ended: AtomicBool::new(false), changed }
    }

    pub(crate) fn term(&self) -> u64 {
        self.session.term
    }

    /// Whether nothing is known to have ended it.
    pub(crate) fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }

    /// Whether nobody else can have answered anybody by now.
    pub(crate) fn has_lease(&self) -> bool {
        self.goes_on() && self.group.leased_term() == Some(self.session.term)
    }

    pub(crate) fn end(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.changed.notify_one();
        }
    }

    /// Begins the session, and gives all records: they change only by this session's writes from here on.
    pub(crate) async fn load(&self) -> Result<BTreeMap<String, Vec<u8>>, StorageError> {
        self.propose(state::opening(self.session)).await?;
        let state = self.state.read();
        let records = state.records.iter().filter(|(name, _)| records::is_of_driver(name));
        Ok(records.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Writes records; a majority has them when this is through.
    pub(crate) async fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.propose(state::changing(self.session, batch)).await
    }

    async fn propose(&self, command: Bytes) -> Result<(), StorageError> {
        if !self.goes_on() {
            return Err(StorageError::NotLeader);
        }
        let (done, answer) = oneshot::channel();
        let written = self.group.propose_with(Some(self.session.term), command, move |result| {
            let _ = done.send(result);
        });
        let outcome = async {
            written.await;
            answer.await
        };
        let result = tokio::select! {
            biased;
            answer = outcome => match answer {
                Ok(Ok(answer)) if state::was_applied(&answer) => return Ok(()),
                Ok(Ok(_) | Err(GroupError::NotLeader { .. })) => StorageError::NotLeader,
                Ok(Err(_)) | Err(_) => StorageError::LeadershipLost,
            },
            () = self.out_of_patience() => StorageError::LeadershipLost,
        };
        self.end();
        Err(result)
    }

    /// A majority has not answered for long.
    async fn out_of_patience(&self) {
        let mut heard = Instant::now();
        loop {
            sleep(WRITE_LOOK).await;
            // A new leader has no lease yet, and is not given up for that.
            if self.has_lease() {
                heard = Instant::now();
            } else if heard.elapsed() > WRITE_PATIENCE || self.group.status().role != Role::Leader {
                return;
            }
        }
    }
}
