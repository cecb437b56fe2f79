//! Keys with revisions, replicated as all records are: what etcd is to others, for those who look for a place of their own in the cluster (who
//! leads, who is there, which version is in force).
//!
//! Every change has a revision, one more than the change before it; all changes of a transaction have the same. A key's versions stay readable
//! until a compaction, asked for or automatic, takes those away that were replaced before its revision. A watch is a place in that history and
//! nothing more: it is told what came after, and ends if that is not known any more. So a slow watcher costs no memory.
//!
//! ```text
//!  request ── checks, decided on the state ──▶ Change ── records, one batch ──▶ replicated ──▶ applied to the state ──▶ watches wake
//! ```
//!
//! # Invariants
//! * Changes are decided, made durable and applied one after the other: a revision is given once, over restarts and changes of leaders.
//! * What a [`Change`] does follows from itself and the state: [`State::load`] of the records gives the same state.
//! * **A lease lives at least as long as it was granted for**, counted from the last sign of life or the last change of leaders, whichever is later.
//!   Only the leader knows the time that is left; that a lease has ended is a change like others.
//!
//! # What it leaves out
//! Users and roles, fragments of large events, reports of progress to idle watches, snapshots of its own (it is a part of the driver's).

mod change;
mod check;
mod leases;
mod record;
mod state;
mod txn;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use prost::Message;
use tidewater_proto::{KeyValueError, KeyValues, KeyWatch, PdError, etcdserverpb as etcd};
use tidewater_types::clock::WallClock;

use crate::OpenError;
use crate::error::storage_failed;
use crate::storage::{Batch, Store};
use change::Change;
use leases::Deadlines;
use state::State;
use txn::Writer;
use watch::Watching;

pub(crate) use record::PREFIX;
pub(crate) use txn::writes;

/// Versions that were replaced and are kept at least, and how many there may be before some are forgotten.
const HISTORY_MIN: usize = 10_000;
const HISTORY_MAX: usize = 20_000;

/// The keys of a placement driver.
pub(crate) struct KeySpace {
    store: Store,
    clock: Arc<dyn WallClock>,
    state: RwLock<State>,
    /// Held from deciding on a change until it is durable and applied.
    writer: tokio::sync::Mutex<()>,
    deadlines: Mutex<Deadlines>,
    /// The last revision, for those who wait for the next.
    revision: tokio::sync::watch::Sender<i64>,
    this: Weak<Self>,
}

impl KeySpace {
    /// The keys as the records tell of them.
    pub(crate) fn load(
        stored: &BTreeMap<String, Vec<u8>>,
        store: Store,
        clock: Arc<dyn WallClock>,
    ) -> Result<Arc<Self>, OpenError> {
        let state = State::load(stored)?;
        let deadlines = Deadlines::of(state.leases());
        Ok(Arc::new_cyclic(|this| Self {
            store,
            clock,
            revision: tokio::sync::watch::Sender::new(state.revision()),
            state: RwLock::new(state),
            writer: tokio::sync::Mutex::default(),
            deadlines: Mutex::new(deadlines),
            this: this.clone(),
        }))
    }

    fn space(&self) -> Result<Arc<Self>, KeyValueError> {
        // Whoever calls holds it.
        self.this.upgrade().ok_or(KeyValueError::Driver(PdError::NotLeader))
    }

    fn header(&self) -> Option<etcd::ResponseHeader> {
        header(self.state.read().revision())
    }

    /// Decides on a change, makes it durable, applies it. `decide` sees a state that no other writer can change meanwhile; no change, no revision.
    async fn update<T, F>(&self, decide: F) -> Result<T, KeyValueError>
    where
        T: Send + 'static,
        F: FnOnce(&State) -> Result<(Option<Change>, T), KeyValueError> + Send + 'static,
    {
        let space = self.space()?;
        let work = async move {
            let _writer = space.writer.lock().await;
            let decided = decide(&space.state.read());
            let (change, answer) = match decided {
                Ok(decided) => decided,
                Err(error) => return Ok(Err(error)),
            };
            let Some(change) = change else { return Ok(Ok(answer)) };
            let mut changes = vec![change];
            changes.extend(space.state.read().overdue_compaction(HISTORY_MIN, HISTORY_MAX));
            let mut batch = Batch::new();
            changes.iter().for_each(|change| record::write(change, &mut batch));
            space.store.write(batch).await.map_err(|error| storage_failed(&error))?;
            let revision = {
                let mut state = space.state.write();
                changes.into_iter().for_each(|change| state.apply(change));
                state.revision()
            };
            space.revision.send_replace(revision);
            Ok(Ok(answer))
        };
        self.store.run(work).await?
    }
}

fn header(revision: i64) -> Option<etcd::ResponseHeader> {
    Some(etcd::ResponseHeader { revision, ..Default::default() })
}

/// Requests that write have a limit; what is read has none.
fn check_size(request: &impl Message) -> Result<(), KeyValueError> {
    match request.encoded_len() > KeyValueError::REQUEST_BYTES_MAX {
        true => Err(KeyValueError::TooLarge),
        false => Ok(()),
    }
}

#[async_trait]
impl KeyValues for KeySpace {
    async fn range(&self, request: etcd::RangeRequest) -> Result<etcd::RangeResponse, KeyValueError> {
        let state = self.state.read();
        check::range(&state, &request)?;
        Ok(etcd::RangeResponse { header: header(state.revision()), ..Writer::new(&state).range(&request) })
    }

    async fn put(&self, request: etcd::PutRequest) -> Result<etcd::PutResponse, KeyValueError> {
        check_size(&request)?;
        self.update(move |state| {
            check::put(state, &request)?;
            check::space(state)?;
            let mut writer = Writer::new(state);
            let response = writer.put(&request)?;
            let (change, revision) = writer.finish();
            Ok((change, etcd::PutResponse { header: header(revision), ..response }))
        })
        .await
    }

    async fn delete_range(
        &self,
        request: etcd::DeleteRangeRequest,
    ) -> Result<etcd::DeleteRangeResponse, KeyValueError> {
        check_size(&request)?;
        self.update(move |state| {
            check::delete(&request)?;
            let mut writer = Writer::new(state);
            let response = writer.delete(&request);
            let (change, revision) = writer.finish();
            Ok((change, etcd::DeleteRangeResponse { header: header(revision), ..response }))
        })
        .await
    }

    async fn txn(&self, request: etcd::TxnRequest) -> Result<etcd::TxnResponse, KeyValueError> {
        check_size(&request)?;
        check::txn(&request)?;
        if !txn::writes(&request) {
            let state = self.state.read();
            let response = Writer::new(&state).txn(&request)?;
            return Ok(etcd::TxnResponse { header: header(state.revision()), ..response });
        }
        self.update(move |state| {
            let mut writer = Writer::new(state);
            let response = writer.txn(&request)?;
            if writer.puts() {
                check::space(state)?;
            }
            let (change, revision) = writer.finish();
            Ok((change, etcd::TxnResponse { header: header(revision), ..response }))
        })
        .await
    }

    async fn compact(
        &self,
        request: etcd::CompactionRequest,
    ) -> Result<etcd::CompactionResponse, KeyValueError> {
        self.update(move |state| {
            let change = state.compaction(request.revision)?;
            Ok((Some(change), etcd::CompactionResponse { header: header(state.revision()) }))
        })
        .await
    }

    async fn lease_grant(
        &self,
        request: etcd::LeaseGrantRequest,
    ) -> Result<etcd::LeaseGrantResponse, KeyValueError> {
        let hint = self.clock.now_micros();
        let (id, ttl) = self
            .update(move |state| {
                let (id, ttl) = check::lease(state, &request, hint)?;
                Ok((Some(Change::Grant { id, ttl }), (id, ttl)))
            })
            .await?;
        self.deadlines.lock().renew(id, ttl);
        self.watch_leases();
        Ok(etcd::LeaseGrantResponse { header: self.header(), id, ttl, error: String::new() })
    }

    async fn lease_revoke(
        &self,
        request: etcd::LeaseRevokeRequest,
    ) -> Result<etcd::LeaseRevokeResponse, KeyValueError> {
        let id = request.id;
        self.update(move |state| match state.lease(id) {
            Some(_) => Ok((Some(state.revocation(&[id])), ())),
            None => Err(KeyValueError::LeaseNotFound),
        })
        .await?;
        self.deadlines.lock().forget(id);
        Ok(etcd::LeaseRevokeResponse { header: self.header() })
    }

    async fn lease_keep_alive(
        &self,
        request: etcd::LeaseKeepAliveRequest,
    ) -> Result<etcd::LeaseKeepAliveResponse, KeyValueError> {
        self.watch_leases();
        let known = self.state.read().lease(request.id).map(|lease| lease.ttl);
        let ttl = known.filter(|ttl| self.deadlines.lock().keep_alive(request.id, *ttl)).unwrap_or_default();
        Ok(etcd::LeaseKeepAliveResponse { header: self.header(), id: request.id, ttl })
    }

    async fn lease_time_to_live(
        &self,
        request: etcd::LeaseTimeToLiveRequest,
    ) -> Result<etcd::LeaseTimeToLiveResponse, KeyValueError> {
        let (state, deadlines) = (self.state.read(), self.deadlines.lock());
        let response = etcd::LeaseTimeToLiveResponse {
            header: header(state.revision()),
            id: request.id,
            ..Default::default()
        };
        Ok(match (state.lease(request.id), deadlines.left(request.id)) {
            (Some(lease), Some(left)) => etcd::LeaseTimeToLiveResponse {
                ttl: left,
                granted_ttl: lease.ttl,
                keys: if request.keys { lease.keys.iter().cloned().collect() } else { Vec::new() },
                ..response
            },
            _ => etcd::LeaseTimeToLiveResponse { ttl: -1, ..response },
        })
    }

    async fn lease_leases(
        &self,
        _: etcd::LeaseLeasesRequest,
    ) -> Result<etcd::LeaseLeasesResponse, KeyValueError> {
        let state = self.state.read();
        let leases = state.leases().map(|(id, _)| etcd::LeaseStatus { id }).collect();
        Ok(etcd::LeaseLeasesResponse { header: header(state.revision()), leases })
    }

    async fn watch(&self, request: etcd::WatchCreateRequest) -> Result<Box<dyn KeyWatch>, KeyValueError> {
        self.watch_leases();
        Ok(Box::new(Watching::open(&self.space()?, request)?))
    }
}

#[cfg(test)]
mod tests;
