//! A region moves to another store.
//!
//! ```text
//!  owner     closes the region, waits for commands under way ── notes the move ── sends the content ────────────┐
//!  receiver                                                            takes it in, makes the region its own,   │
//!                                                                      tells the placement driver, answers ◄────┘
//!  owner     forgets the region and its content
//! ```
//!
//! The region has one copy, so nobody serves it in between; clients try again until the receiver does. The moment of truth is the receiver's
//! write of the region record. An owner that does not hear of it (a lost answer, a crash) does not serve the region again before it knows: the
//! note of the move survives a restart, and the move is made again from the start, which a receiver that has the region already only confirms,
//! as does one that has had it and given it away since.
//! Replicated regions move by a change of members instead.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_codec::mvcc::Lock;
use tidewater_proto::regionmovepb::{Entry, InstallRequest, InstallResponse};
use tidewater_proto::{
    PdError, StoreRequest, StoreResponse, StoreService, TransportError, kvrpcpb, metapb, pdpb,
};
use tokio::time::{Instant, sleep};

use super::Node;
use crate::{
    Cf, Durability, EngineError, IteratorOptions, WriteBatch, meta,
    mvcc::{DataKey, PessimisticChange},
    region::Region,
    replication::WriteError,
};

/// Bytes of keys and values in one piece.
const PIECE_BYTES: usize = 1 << 20;
/// How long commands under way may hold a move up before it is put off.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
const DRAIN_LOOK: Duration = Duration::from_millis(2);
/// Between two attempts to find out what became of a move.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long a finished move is remembered, for range deletions that came while it went on.
const FINISHED_KEPT: Duration = Duration::from_secs(60);

/// Why a region did not move.
#[derive(Debug, thiserror::Error)]
pub(super) enum MoveError {
    #[error("the placement driver: {0}")]
    Pd(#[from] PdError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("commands under way did not end in time")]
    Busy,
    #[error("the receiver refused: {0}")]
    Refused(String),
    #[error("the region is gone")]
    Gone,
    #[error("the region is on its way already")]
    UnderWay,
    #[error("store {0} has no address")]
    NoStore(u64),
}

impl From<WriteError> for MoveError {
    fn from(error: WriteError) -> Self {
        Self::Engine(error.into_engine_error())
    }
}

/// What a node remembers about moves.
#[derive(Default)]
pub(super) struct Transfers {
    /// Regions on their way in.
    incoming: Mutex<BTreeMap<u64, Incoming>>,
    /// Regions that went away lately.
    finished: Mutex<Vec<Finished>>,
    /// Moves out go one after the other.
    gate: tokio::sync::Mutex<()>,
}

struct Incoming {
    next: u64,
    checksum: crc32fast::Hasher,
}

#[derive(Clone)]
struct Finished {
    at: Instant,
    region: Arc<Region>,
    store_id: u64,
}

impl Node {
    /// Carries out the order in the answer to a heart beat, if there is one, in the background.
    pub(super) fn obey(&self, region: &Arc<Region>, order: &pdpb::RegionHeartbeatResponse) {
        if let Some(lead) = &region.lead {
            return self.obey_as_leader(region, lead, order);
        }
        if let Some(merge) = &order.merge {
            return self.obey_merge(region, merge);
        }
        let Some(change) = &order.change_peer_v2 else { return };
        let peer_of = |kind: pdpb::ConfChangeType| {
            let mut changes = change.changes.iter().filter(move |change| change.change_type() == kind);
            changes.next().and_then(|change| change.peer)
        };
        let leaver = peer_of(pdpb::ConfChangeType::RemoveNode);
        let Some(newcomer) = peer_of(pdpb::ConfChangeType::AddNode) else { return };
        if leaver.is_none_or(|leaver| leaver.id != region.peer.id) || change.changes.len() != 2 {
            tracing::warn!(
                region = region.id(),
                "the placement driver ordered a change this store cannot make"
            );
            return;
        }
        let Some(node) = self.this.upgrade() else { return };
        let region = region.clone();
        tokio::spawn(async move { node.send_away(&region, newcomer).await });
    }

    /// Takes up moves that an earlier run of this store did not see the end of.
    pub(super) fn resume_moves(&self, moves: Vec<(u64, metapb::Peer)>) {
        for (region_id, newcomer) in moves {
            let (Some(region), Some(node)) = (self.regions.get(region_id), self.this.upgrade()) else {
                continue;
            };
            tokio::spawn(async move { node.finish_move(&region, newcomer).await });
        }
    }

    async fn send_away(&self, region: &Arc<Region>, newcomer: metapb::Peer) {
        let _gate = self.transfers.gate.lock().await;
        match self.begin_move(region, newcomer).await {
            Ok(()) => self.finish_move(region, newcomer).await,
            Err(error) => tracing::info!(%error, region = region.id(), "the region is not sent away"),
        }
    }

    /// Closes the region and notes where it goes; if that fails, the region is open as before.
    async fn begin_move(&self, region: &Arc<Region>, newcomer: metapb::Peer) -> Result<(), MoveError> {
        // Whoever cannot be reached gets nothing.
        self.store_at(newcomer.store_id).await?;
        let _splits = self.split_gate.lock().await;
        if !self.regions.get(region.id()).is_some_and(|current| Arc::ptr_eq(&current, region)) {
            return Err(MoveError::Gone);
        }
        // A move that was begun before a restart goes on by itself: a second one, or a region opened for its failure, would make two owners.
        if !region.is_open() {
            return Err(MoveError::UnderWay);
        }
        region.close();
        let noted = self.note_move(region, newcomer).await;
        if noted.is_err() {
            region.open();
        }
        noted
    }

    async fn note_move(&self, region: &Region, newcomer: metapb::Peer) -> Result<(), MoveError> {
        let deadline = Instant::now() + DRAIN_PATIENCE;
        while !region.is_drained() {
            if Instant::now() >= deadline {
                return Err(MoveError::Busy);
            }
            sleep(DRAIN_LOOK).await;
        }
        // Behind all writes of the commands that were drained, also of those whose callers hung up.
        let mut batch = WriteBatch::new();
        meta::put_move(&mut batch, region.id(), &newcomer);
        self.scheduler.replication.write(batch, Durability::Sync, Box::new(|_| ())).await?;
        Ok(())
    }

    /// Goes on until the region is the receiver's, or the receiver has refused it.
    async fn finish_move(&self, region: &Arc<Region>, newcomer: metapb::Peer) {
        let started = Instant::now();
        while let Err(error) = self.transmit(region, newcomer).await {
            // The answer to an earlier attempt may be lost, and the region merged, split or moved by its owner since.
            match (self.has_left(region).await, &error) {
                (Ok(true), _) => break,
                (Ok(false), MoveError::Refused(_)) => {
                    tracing::warn!(%error, region = region.id(), "the region stays here");
                    return self.call_off(region).await;
                }
                _ => {
                    tracing::warn!(%error, region = region.id(), "the move is tried again");
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
        match self.forget(region).await {
            Ok(()) => {
                let (to, took) = (newcomer.store_id, started.elapsed());
                tracing::info!(region = region.id(), to, ?took, "the region has moved");
                metrics::counter!("tidewater_kv_region_move_total").increment(1);
                let finished = Finished { at: Instant::now(), region: region.clone(), store_id: to };
                self.transfers.finished.lock().push(finished);
            }
            // The note stays: the next start finishes it.
            Err(error) => {
                tracing::error!(%error, region = region.id(), "a region that moved is not forgotten")
            }
        }
    }

    /// Whether the placement driver knows a newer region in the place of one that was closed: only another owner can have made that.
    async fn has_left(&self, region: &Region) -> Result<bool, PdError> {
        let region_key = region.meta.start_key.clone();
        let request = pdpb::GetRegionRequest { region_key, ..Default::default() };
        let known = self.pd.get_region(request).await?.region.and_then(|known| known.region_epoch);
        let own = region.meta.region_epoch.unwrap_or_default();
        Ok(known.is_some_and(|known| known.version > own.version || known.conf_ver > own.conf_ver))
    }

    async fn call_off(&self, region: &Region) {
        let mut batch = WriteBatch::new();
        meta::delete_move(&mut batch, region.id());
        match self.scheduler.replication.write(batch, Durability::Sync, Box::new(|_| ())).await {
            Ok(()) => region.open(),
            Err(error) => tracing::error!(?error, region = region.id(), "a move is not called off"),
        }
    }

    /// Sends the whole content; `Ok` means that the receiver has it.
    async fn transmit(&self, region: &Region, newcomer: metapb::Peer) -> Result<(), MoveError> {
        let store = self.store_at(newcomer.store_id).await?;
        let mut sender =
            Sender { store, region: moved(region, newcomer), next: 0, checksum: crc32fast::Hasher::new() };
        let mut entries = Vec::new();
        let mut bytes = 0;
        let snapshot = self.scheduler.engine.snapshot();
        for (lower, upper) in region.engine_ranges() {
            for cf in Cf::ALL {
                let options = IteratorOptions {
                    fill_cache: false,
                    ..IteratorOptions::range(lower.clone(), Some(upper.clone()))
                };
                // Not held over a send: an iterator is not for waiting with.
                let mut from = lower.clone();
                loop {
                    let mut iterator = snapshot.iterator(cf, options.clone());
                    let mut valid = iterator.seek(&from)?;
                    while valid && bytes < PIECE_BYTES {
                        let entry = entry(cf, iterator.key(), iterator.value());
                        bytes += entry.key.len() + entry.value.len();
                        entries.push(entry);
                        valid = iterator.next()?;
                    }
                    if !valid {
                        break;
                    }
                    from = iterator.key().to_vec();
                    drop(iterator);
                    bytes = 0;
                    if sender.send(std::mem::take(&mut entries), None).await? {
                        return Ok(());
                    }
                }
            }
        }
        let locks = self.pessimistic_locks(region);
        let last = Last { max_ts: self.scheduler.concurrency.max_ts().into_inner(), locks };
        sender.send(entries, Some(last)).await?;
        Ok(())
    }

    fn pessimistic_locks(&self, region: &Region) -> Vec<Entry> {
        let (lower, upper) = region.data_range();
        let (lower, upper) = (DataKey::from_engine(&lower), DataKey::from_engine(&upper));
        let locks = self.scheduler.pessimistic.range(&lower, Some(&upper), usize::MAX, |_| true);
        locks.into_iter().map(|(key, lock)| entry(Cf::Lock, &key.to_vec(), &lock.to_bytes())).collect()
    }

    /// Another store.
    pub(super) async fn store_at(&self, store_id: u64) -> Result<Arc<dyn StoreService>, MoveError> {
        let found = self.pd.get_store(pdpb::GetStoreRequest { store_id, ..Default::default() }).await?;
        let address = found.store.map(|store| store.address).ok_or(MoveError::NoStore(store_id))?;
        let peers = self.peers.as_ref().ok_or(MoveError::NoStore(store_id))?;
        Ok(peers.connect(&address).await?)
    }

    /// The region is another store's: its record, its content and what is remembered of it go.
    ///
    /// A note stays that it was here. A store that gave it to us, and did not hear that we took it, offers it again: by then we may have given it
    /// away, and its old content must not come back to life.
    async fn forget(&self, region: &Region) -> Result<(), MoveError> {
        let mut batch = WriteBatch::new();
        meta::delete_move(&mut batch, region.id());
        meta::delete_region(&mut batch, region.id());
        meta::put_gone(&mut batch, region.id(), conf_ver(&region.meta));
        self.scheduler.replication.write(batch, Durability::Sync, Box::new(|_| ())).await?;
        // As long as the region is in the table nothing takes it in again, whose content would be removed here, too.
        let wiped = self.wipe(region).await;
        self.regions.remove(region.id());
        Ok(wiped?)
    }

    /// Removes all content of a region that this store does not serve.
    async fn wipe(&self, region: &Region) -> Result<(), WriteError> {
        let (lower, upper) = region.data_range();
        let (lower, upper) = (DataKey::from_engine(&lower), DataKey::from_engine(&upper));
        let locks = self.scheduler.pessimistic.range(&lower, Some(&upper), usize::MAX, |_| true);
        let removals = locks.into_iter().map(|(key, _)| PessimisticChange::Remove(key)).collect();
        self.scheduler.pessimistic.apply(removals);
        let flight = self.scheduler.rows.begin_everywhere();
        let mut result = Ok(());
        for (lower, upper) in region.engine_ranges() {
            result = result.and(self.destroy_engine_range(&Cf::ALL, &lower, &upper).await);
        }
        flight.finish(result.is_ok());
        result
    }

    /// Takes in a piece of a region.
    pub(super) async fn install_region(&self, request: InstallRequest) -> InstallResponse {
        match self.take_piece(request).await {
            Ok(already_installed) => InstallResponse { already_installed, ..InstallResponse::default() },
            Err(error) => InstallResponse { error, ..InstallResponse::default() },
        }
    }

    async fn take_piece(&self, request: InstallRequest) -> Result<bool, String> {
        let meta = request.region.clone().ok_or("the piece names no region")?;
        let region = Region::new(meta, self.store_id).map_err(|error| error.to_string())?;
        if let Some(known) = self.regions.get(region.id()) {
            return match conf_ver(&known.meta) >= conf_ver(&region.meta) {
                true => Ok(true),
                false => Err("an older generation of the region is here".to_owned()),
            };
        }
        let gone =
            meta::load_gone(&*self.scheduler.engine, region.id()).map_err(|error| error.to_string())?;
        if gone.is_some_and(|gone| gone >= conf_ver(&region.meta)) {
            return Ok(true);
        }
        if self.regions.overlaps(&region) {
            return Err("another region of this store holds some of its keys".to_owned());
        }
        self.scheduler.replication.check_writable().map_err(|error| error.to_string())?;
        let mut incoming = match request.sequence {
            0 => {
                // Left over from an attempt that broke off.
                self.wipe(&region).await.map_err(|error| MoveError::from(error).to_string())?;
                Incoming { next: 0, checksum: crc32fast::Hasher::new() }
            }
            _ => self.transfers.incoming.lock().remove(&region.id()).ok_or("the beginning is missing")?,
        };
        if incoming.next != request.sequence {
            return Err(format!("piece {} was expected, not {}", incoming.next, request.sequence));
        }
        incoming.next += 1;
        digest(&mut incoming.checksum, &request.entries);
        if incoming.checksum.clone().finalize() != request.checksum {
            return Err("the checksum does not fit".to_owned());
        }
        let mut batch = WriteBatch::new();
        for entry in request.entries {
            let cf = Cf::ALL.get(entry.cf as usize).copied().ok_or("an unknown column family")?;
            if !region.owns_engine_key(&entry.key) {
                return Err("a key is not the region's".to_owned());
            }
            batch.put(cf, entry.key.to_vec(), entry.value.to_vec());
        }
        if !request.last {
            self.write_installed(batch, Durability::Buffered).await?;
            self.transfers.incoming.lock().insert(region.id(), incoming);
            return Ok(false);
        }
        meta::put_region(&mut batch, &region.meta);
        meta::delete_gone(&mut batch, region.id());
        let locks = request.pessimistic_locks.iter().map(pessimistic_lock);
        let locks = locks.collect::<Result<_, _>>()?;
        self.write_installed(batch, Durability::Sync).await?;
        self.begin_serving(region, request.max_ts, locks).await;
        Ok(false)
    }

    async fn write_installed(&self, batch: WriteBatch, durability: Durability) -> Result<(), String> {
        let written = self.scheduler.replication.write(batch, durability, Box::new(|_| ())).await;
        written.map_err(|error| error.into_engine_error().to_string())
    }

    async fn begin_serving(&self, region: Region, max_ts: u64, locks: Vec<PessimisticChange>) {
        // Nothing may commit below what the last owner has read.
        self.scheduler.concurrency.note_read(tidewater_codec::TimeStamp::new(max_ts));
        self.scheduler.pessimistic.apply(locks);
        let bytes = super::open::approximate_bytes(&*self.scheduler.engine, &region);
        region.load.bytes.store(bytes, Ordering::Relaxed);
        let region = Arc::new(region);
        self.scheduler.rows.begin_everywhere().finish(true);
        self.regions.install(vec![region.clone()]);
        // Before the owner forgets it: clients must find the way.
        self.report_region(&region).await;
    }

    /// Range deletions by store: a region that moved while one was asked for takes the request with it.
    pub(super) async fn moved_since(&self, asked: Instant) -> Vec<(Arc<Region>, Arc<dyn StoreService>)> {
        if self.peers.is_none() {
            return Vec::new();
        }
        let _gate = self.transfers.gate.lock().await;
        let moved = {
            let mut finished = self.transfers.finished.lock();
            finished.retain(|each| each.at.elapsed() < FINISHED_KEPT);
            finished.iter().filter(|each| each.at >= asked).cloned().collect::<Vec<_>>()
        };
        let mut found = Vec::with_capacity(moved.len());
        for each in moved {
            match self.store_at(each.store_id).await {
                Ok(store) => found.push((each.region, store)),
                Err(error) => tracing::warn!(%error, "a deleted range may leave remains on another store"),
            }
        }
        found
    }
}

impl Node {
    /// Sends the deletion of a range after the regions that moved meanwhile.
    pub(super) async fn destroy_elsewhere(
        &self,
        request: &kvrpcpb::UnsafeDestroyRangeRequest,
        moved: Vec<(Arc<Region>, Arc<dyn StoreService>)>,
    ) {
        for (region, store) in moved {
            let (start, end) = region.clamp(&request.start_key, &request.end_key);
            if !end.is_empty() && start >= end {
                continue;
            }
            let clamped = kvrpcpb::UnsafeDestroyRangeRequest {
                start_key: Bytes::copy_from_slice(start),
                end_key: Bytes::copy_from_slice(end),
                ..request.clone()
            };
            if let Err(error) = store.call(StoreRequest::UnsafeDestroyRange(clamped)).await {
                tracing::warn!(%error, "a deleted range may leave remains on another store");
            }
        }
    }
}

/// Sends the pieces.
struct Sender {
    store: Arc<dyn StoreService>,
    region: metapb::Region,
    next: u64,
    checksum: crc32fast::Hasher,
}

/// What goes with the last piece.
struct Last {
    max_ts: u64,
    locks: Vec<Entry>,
}

impl Sender {
    /// Whether the receiver has the region already.
    async fn send(&mut self, entries: Vec<Entry>, last: Option<Last>) -> Result<bool, MoveError> {
        digest(&mut self.checksum, &entries);
        let request = InstallRequest {
            region: Some(self.region.clone()),
            sequence: self.next,
            checksum: self.checksum.clone().finalize(),
            entries,
            last: last.is_some(),
            max_ts: last.as_ref().map_or(0, |last| last.max_ts),
            pessimistic_locks: last.map(|last| last.locks).unwrap_or_default(),
        };
        self.next += 1;
        match self.store.call(StoreRequest::InstallRegion(request)).await? {
            StoreResponse::InstallRegion(answer) if answer.error.is_empty() => Ok(answer.already_installed),
            StoreResponse::InstallRegion(answer) => Err(MoveError::Refused(answer.error)),
            _ => Err(MoveError::Refused("it does not know such moves".to_owned())),
        }
    }
}

/// Counts the changes of the region's members: each move is a generation.
fn conf_ver(region: &metapb::Region) -> u64 {
    region.region_epoch.map_or(0, |epoch| epoch.conf_ver)
}

/// The region as it will be: one more member, one less.
fn moved(region: &Region, newcomer: metapb::Peer) -> metapb::Region {
    let epoch = region.meta.region_epoch.unwrap_or_default();
    metapb::Region {
        peers: vec![newcomer],
        region_epoch: Some(metapb::RegionEpoch { conf_ver: epoch.conf_ver + 2, ..epoch }),
        ..region.meta.clone()
    }
}

fn entry(cf: Cf, key: &[u8], value: &[u8]) -> Entry {
    let cf = Cf::ALL.iter().position(|each| *each == cf).unwrap_or_default() as u32;
    Entry { cf, key: Bytes::copy_from_slice(key), value: Bytes::copy_from_slice(value) }
}

fn digest(checksum: &mut crc32fast::Hasher, entries: &[Entry]) {
    for entry in entries {
        checksum.update(&entry.cf.to_le_bytes());
        for part in [&entry.key, &entry.value] {
            checksum.update(&(part.len() as u64).to_le_bytes());
            checksum.update(part);
        }
    }
}

fn pessimistic_lock(entry: &Entry) -> Result<PessimisticChange, String> {
    let lock = Lock::decode(&entry.value).map_err(|error| error.to_string())?;
    Ok(PessimisticChange::Put(DataKey::from_engine(&entry.key), Box::new(lock)))
}
