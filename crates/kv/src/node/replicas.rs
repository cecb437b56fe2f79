//! The life of this node's replicas: which run, which are led here, which come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tidewater_codec::DecodeError;
use tidewater_proto::{
    StoreRequest, StoreResponse, StoreService, metapb,
    raftpb::{self, request::Body},
};
use tidewater_raft::{
    Applied, DeviceError, Observer, Position, RaftNode, Role, SendError, SnapshotCounts, StartError, Status,
    Transport,
};
use tokio::sync::mpsc;

use super::{
    Node, NodeError,
    damage::Damages,
    follower::FollowerView,
    snapshots::{Arrivals, have_common_keys},
};
use crate::{
    Durability, RaftSettings, WriteBatch, meta,
    replica::{HashTask, Hooks, RegionMachine, Replica, Shape, Unfinished, members_of},
};

/// Between questions to the placement driver whether a replica was removed.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(5);

/// All replicas of a node.
pub(super) struct Replicas {
    pub(super) raft: Arc<RaftNode>,
    pub(super) table: RwLock<BTreeMap<u64, Arc<Replica>>>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    /// Members come and go one after the other: never may two work on one log.
    pub(super) lives: tokio::sync::Mutex<()>,
    /// Regions for which an order is being carried out: the placement driver repeats what it does not see done.
    pub(super) busy: Mutex<BTreeSet<u64>>,
    /// Regions whose merge is being brought to its end, one way or the other.
    pub(super) merging: Mutex<BTreeSet<u64>>,
    /// Connections to other stores by their ids.
    links: Mutex<BTreeMap<u64, Arc<dyn StoreService>>>,
    /// Snapshots that come.
    pub(super) arrivals: Arc<Mutex<Arrivals>>,
    /// Those that are not to be used.
    pub(super) damages: Mutex<Damages>,
    install_bytes_max: usize,
}

/// What happened to a replica, for the task that has time to act on it.
pub(super) enum Event {
    /// The region was cut: these are its parts, of which the first has its id.
    Cut(Vec<metapb::Region>),
    /// The member leads in this term.
    Leads(u64, u64),
    /// This peer of the region is not among the members any more.
    Removed(u64, u64),
    /// Another member says so.
    MaybeRemoved(u64),
    /// The placement driver should know.
    Changed(u64),
    /// The region is led here, and prepared to become a part of another one.
    Merging(u64),
    /// Another region has taken this one in.
    Absorbed(u64),
    /// Its data is not what it should be, for this reason.
    Damaged(u64, String),
}

/// Connects a replica's machine and member with the node.
struct Ties {
    node: Weak<Node>,
    region_id: u64,
    peer_id: u64,
}

impl Ties {
    fn send(&self, event: Event) {
        if let Some(node) = self.node.upgrade()
            && let Some(replicas) = &node.replicas
        {
            // The receiver lives as long as the node.
            let _ = replicas.events.send(event);
        }
    }
}

impl Hooks for Ties {
    fn split(&self, parts: &[metapb::Region]) {
        let Some(node) = self.node.upgrade() else { return };
        if let Some(own) = parts.first() {
            node.reshape_served(own, parts.len());
        }
        self.send(Event::Cut(parts.to_vec()));
    }

    fn reshaped(&self, region: &metapb::Region) {
        let Some(node) = self.node.upgrade() else { return };
        node.reshape_served(region, 1);
        self.send(Event::Changed(region.id));
    }

    fn removed(&self) {
        let Some(node) = self.node.upgrade() else { return };
        node.stop_serving(self.region_id);
        self.send(Event::Removed(self.region_id, self.peer_id));
    }

    fn installed(&self, region: &metapb::Region) {
        tracing::info!(region = region.id, "the replica has everything another one had");
    }

    fn merge_prepared(&self, region: &metapb::Region) {
        let Some(node) = self.node.upgrade() else { return };
        if node.suspend(region) {
            self.send(Event::Merging(region.id));
        }
    }

    fn merge_rolled_back(&self, region: &metapb::Region) {
        let Some(node) = self.node.upgrade() else { return };
        node.reshape_served(region, 1);
        self.send(Event::Changed(region.id));
    }

    fn absorbed(&self, region: &metapb::Region, source_id: u64) {
        let Some(node) = self.node.upgrade() else { return };
        node.join_served(region, source_id);
        if let Some(replicas) = &node.replicas {
            replicas.damages.lock().forget(source_id);
            if let Some(replica) = replicas.get(region.id).filter(|replica| replica.shape.lock().is_damaged) {
                node.keep_out(&replica);
            }
        }
        self.send(Event::Absorbed(source_id));
        self.send(Event::Changed(region.id));
    }

    fn hash(&self, task: HashTask) {
        if let Some(node) = self.node.upgrade() {
            node.begin_hashing(task);
        }
    }

    fn verify_hash(&self, index: u64, hash: u64) {
        if let Some(node) = self.node.upgrade() {
            node.verify_hash(self.region_id, index, hash);
        }
    }

    fn damaged(&self, reason: &str) {
        self.send(Event::Damaged(self.region_id, reason.to_owned()));
    }

    fn replica(&self, region_id: u64) -> Option<Arc<Replica>> {
        self.node.upgrade()?.replicas.as_ref()?.get(region_id)
    }

    fn overlapping(&self, region: &metapb::Region) -> Vec<Arc<Replica>> {
        let node = self.node.upgrade();
        let replicas = node.as_ref().and_then(|node| node.replicas.as_ref());
        replicas.map_or_else(Vec::new, |replicas| replicas.overlapping(region))
    }
}

impl Observer for Ties {
    fn status_changed(&self, status: &Status) {
        let Some(node) = self.node.upgrade() else { return };
        if status.role == Role::Leader {
            self.send(Event::Leads(self.region_id, status.term));
        } else {
            node.stop_serving(self.region_id);
        }
    }

    fn maybe_removed(&self) {
        self.send(Event::MaybeRemoved(self.region_id));
    }
}

/// Messages of members go as commands to other stores.
struct StoreTransport(Weak<Node>);

#[async_trait]
impl Transport for StoreTransport {
    async fn send(&self, request: raftpb::Request) -> Result<raftpb::Response, SendError> {
        let gone = || SendError("this store is closing".to_owned());
        let failed = |error: &dyn std::fmt::Display| SendError(error.to_string());
        let store_id = request.to_store;
        let link = {
            let node = self.0.upgrade().ok_or_else(gone)?;
            node.link_to(store_id).await.map_err(|error| failed(&error))?
        };
        match link.call(StoreRequest::Raft(request)).await {
            Ok(StoreResponse::Raft(response)) => Ok(response),
            Ok(_) => Err(SendError("another answer than Raft's".to_owned())),
            Err(error) => {
                // The store may be back at another address.
                if let Some(replicas) = self.0.upgrade().as_ref().and_then(|node| node.replicas.as_ref()) {
                    replicas.links.lock().remove(&store_id);
                }
                Err(failed(&error))
            }
        }
    }
}

/// A replica, for operators.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ReplicaInfo {
    /// The region.
    pub region_id: u64,
    /// This node's peer of it.
    pub peer_id: u64,
    /// The region's version as applied here; 0 if nothing is here yet.
    pub version: u64,
    /// The latest term it knows.
    pub term: u64,
    /// What it does in its group.
    pub role: String,
    /// The peer that leads, if known.
    pub leader: Option<u64>,
    /// All peers.
    pub members: Vec<u64>,
    /// The last log index applied.
    pub applied: Option<u64>,
    /// The term it is served in, if it is.
    pub served: Option<u64>,
    /// Whether it may be read without asking the others.
    pub has_lease: bool,
    /// Whether its clocks stand still.
    pub is_asleep: bool,
}

/// The receiving end of the events of a node's replicas.
pub(super) struct Events(mpsc::UnboundedReceiver<Event>);

impl Replicas {
    pub(super) fn new(
        store_id: u64,
        settings: &RaftSettings,
        node: Weak<Node>,
    ) -> Result<(Self, Events), NodeError> {
        let transport = Arc::new(StoreTransport(node));
        let RaftSettings { device, config, spools, install_bytes_max } = settings.clone();
        let raft = RaftNode::new(store_id, config, device, spools, transport)?;
        let (events, received) = mpsc::unbounded_channel();
        let replicas = Self {
            raft: Arc::new(raft),
            table: RwLock::default(),
            events,
            lives: tokio::sync::Mutex::default(),
            busy: Mutex::default(),
            merging: Mutex::default(),
            links: Mutex::default(),
            arrivals: Arc::default(),
            damages: Mutex::default(),
            install_bytes_max,
        };
        Ok((replicas, Events(received)))
    }

    /// Writes something to the log's device that changes nothing; `done` is called when it is durable.
    pub(super) fn probe_log(&self, done: impl FnOnce(Result<(), DeviceError>) + Send + 'static) {
        self.raft.probe(done);
    }

    pub(super) fn snapshot_counts(&self) -> SnapshotCounts {
        self.raft.snapshot_counts()
    }

    pub(super) fn all(&self) -> Vec<Arc<Replica>> {
        self.table.read().values().cloned().collect()
    }

    pub(super) fn count(&self) -> usize {
        self.table.read().len()
    }

    pub(super) fn get(&self, region_id: u64) -> Option<Arc<Replica>> {
        self.table.read().get(&region_id).cloned()
    }

    /// The replicas of other regions that hold keys of this one.
    pub(super) fn overlapping(&self, region: &metapb::Region) -> Vec<Arc<Replica>> {
        let overlaps = |other: metapb::Region| other.id != region.id && have_common_keys(&other, region);
        let table = self.table.read();
        table.values().filter(|replica| replica.meta().is_some_and(overlaps)).cloned().collect()
    }
}

impl Node {
    /// Starts the replicas that are stored here, and what looks after them.
    pub(super) async fn start_replicas(
        self: &Arc<Self>,
        stored: Vec<metapb::Region>,
        unfinished: Vec<Unfinished>,
        events: Events,
    ) -> Result<(), NodeError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        if replicas.raft.is_device_empty()? {
            for region in &stored {
                let applied = meta::load_applied(&*self.scheduler.engine, region.id)?;
                if applied.is_some_and(|(_, applied)| applied.position > Some(Position::ORIGIN)) {
                    return Err(NodeError::LogMissing);
                }
            }
        }
        // Those that are prepared to become parts of others first: the others' logs may say that they have.
        let (mut merging, mut rest) = (Vec::new(), Vec::new());
        for region in stored {
            match meta::load_merging(&*self.scheduler.engine, region.id)? {
                Some(_) => merging.push(region),
                None => rest.push(region),
            }
        }
        for Unfinished { region_id, peer_id, reason } in &unfinished {
            let region = meta::load_region(&*self.scheduler.engine, *region_id)?;
            let error = NodeError::HalfInstalled { region_id: *region_id, reason: reason.clone() };
            if !self.leave_out(*region_id, *peer_id, region, &error)? {
                return Err(error);
            }
        }
        for region in merging.into_iter().chain(rest) {
            if !unfinished.iter().any(|each| each.region_id == region.id) {
                self.start_stored(region).await?;
            }
        }
        let node = Arc::downgrade(self);
        let leaders = Box::new(move |region_id| {
            let replica = node.upgrade()?.replicas.as_ref()?.get(region_id)?;
            let leader = replica.group.status().leader;
            Some(replica.meta()?.peers.into_iter().find(|peer| Some(peer.id) == leader))
        });
        self.regions.set_followed(leaders);
        let tasks = [
            tokio::spawn(follow_events(Arc::downgrade(self), events)),
            tokio::spawn(RaftNode::watch_idleness(Arc::downgrade(&replicas.raft))),
            tokio::spawn(RaftNode::watch_stores(Arc::downgrade(&replicas.raft))),
            tokio::spawn(RaftNode::watch_snapshots(Arc::downgrade(&replicas.raft))),
        ];
        self.tasks.lock().extend(tasks.iter().map(|task| task.abort_handle()));
        Ok(())
    }

    /// Starts a replica that is stored here; one that cannot be started is left where it is, if there are others.
    async fn start_stored(self: &Arc<Self>, region: metapb::Region) -> Result<(), NodeError> {
        let region_id = region.id;
        let started = match self.found_replica(&region).await {
            Ok(()) => self.start_replica(region_id, Some(region.clone())).await,
            Err(error) => Err(error),
        };
        let Err(error) = started else { return Ok(()) };
        let is_damaged = matches!(
            error,
            NodeError::Raft(StartError::Log(DeviceError::Corrupt { .. }) | StartError::Member(_))
                | NodeError::RaftLog(DeviceError::Corrupt { .. })
        );
        let peer_id = meta::load_applied(&*self.scheduler.engine, region_id)?.map(|(peer_id, _)| peer_id);
        match peer_id.filter(|_| is_damaged) {
            Some(peer_id) if self.leave_out(region_id, peer_id, Some(region), &error)? => Ok(()),
            _ => Err(error),
        }
    }

    /// Makes sure that a stored region has a log and knows how far it has applied it: a region that had one copy until now begins so, and one
    /// that was cut out of another before a crash.
    async fn found_replica(&self, region: &metapb::Region) -> Result<(), NodeError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let engine = &self.scheduler.engine;
        match meta::load_applied(&**engine, region.id)? {
            // All of it came in a snapshot, and its log begins there.
            Some((_, applied)) if applied.position > Some(Position::ORIGIN) => return Ok(()),
            Some(_) => {}
            None => {
                let own = region.peers.iter().find(|peer| peer.store_id == self.store_id);
                let own = own.ok_or(DecodeError::Invalid("region without a peer on this store"))?.id;
                let mut batch = WriteBatch::new();
                meta::put_applied(&mut batch, region.id, own, &Applied::origin(members_of(region)));
                engine.write(batch, Durability::Sync)?;
            }
        }
        Ok(replicas.raft.create_origin(region.id).await?)
    }

    async fn start_replica(
        self: &Arc<Self>,
        region_id: u64,
        region: Option<metapb::Region>,
    ) -> Result<(), NodeError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let engine = &*self.scheduler.engine;
        let Some((peer_id, _)) = meta::load_applied(engine, region_id)? else { return Ok(()) };
        if meta::load_tombstone(engine, region_id)?.is_some_and(|gone| gone >= peer_id) {
            // It was removed, and the process ended before its remains were.
            let _ = replicas.events.send(Event::Removed(region_id, peer_id));
            return Ok(());
        }
        self.start_member(region_id, peer_id, region).await
    }

    async fn start_member(
        self: &Arc<Self>,
        region_id: u64,
        peer_id: u64,
        region: Option<metapb::Region>,
    ) -> Result<(), NodeError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let engine = self.scheduler.engine.clone();
        let applied = match region {
            Some(_) => {
                meta::load_applied(&*engine, region_id)?.map(|(_, applied)| applied).unwrap_or_default()
            }
            None => Applied::default(),
        };
        let ties = Arc::new(Ties { node: self.this.clone(), region_id, peer_id });
        let merging_into = meta::load_merging(&*engine, region_id)?;
        let damage = meta::load_damage(&*engine, region_id)?;
        let is_damaged = damage.is_some_and(|damage| damage.peer_id == peer_id);
        let shape = Arc::new(Mutex::new(Shape { region, merging_into, rebuilds: 0, is_damaged }));
        let is_absorbed = Arc::default();
        let machine = RegionMachine {
            region_id,
            peer_id,
            store_id: self.store_id,
            engine,
            shape: shape.clone(),
            is_absorbed: Arc::clone(&is_absorbed),
            hooks: ties.clone(),
            applied,
            install_bytes_max: replicas.install_bytes_max,
        };
        let group = replicas.raft.start(region_id, peer_id, Box::new(machine), ties).await?;
        let (follower, hashed) = (FollowerView::default(), Mutex::default());
        let replica = Arc::new(Replica { group, shape, is_absorbed, follower, hashed });
        replicas.table.write().insert(region_id, replica.clone());
        if replica.shape.lock().is_damaged {
            self.keep_out(&replica);
        }
        // The member may have been quicker.
        let status = replica.group.status();
        if status.role == Role::Leader {
            let _ = replicas.events.send(Event::Leads(region_id, status.term));
        }
        Ok(())
    }

    /// How the replicas of this node are, in the order of their regions.
    pub fn replica_infos(&self) -> Vec<ReplicaInfo> {
        let Some(replicas) = &self.replicas else { return Vec::new() };
        let all: Vec<_> = replicas.table.read().iter().map(|(id, replica)| (*id, replica.clone())).collect();
        let info = |(region_id, replica): (u64, Arc<Replica>)| {
            let status = replica.group.status();
            ReplicaInfo {
                region_id,
                peer_id: replica.group.peer_id(),
                version: replica.meta().and_then(|meta| meta.region_epoch).map_or(0, |epoch| epoch.version),
                term: status.term,
                role: format!("{:?}", status.role),
                leader: status.leader,
                members: status.membership.members.into_keys().collect(),
                applied: replica.group.applied_index(),
                served: self.regions.get(region_id).and_then(|region| Some(region.lead.as_ref()?.term)),
                has_lease: replica.group.has_lease(),
                is_asleep: replica.group.is_asleep(),
            }
        };
        all.into_iter().map(info).collect()
    }

    /// How many regions have a copy here.
    pub fn replica_count(&self) -> usize {
        self.replicas.as_ref().map_or_else(|| self.region_count(), Replicas::count)
    }

    /// Stops all replicas; the node serves nothing any more. Without replicas there is nothing to stop.
    pub async fn close(&self) {
        if let Some(replicas) = &self.replicas {
            replicas.raft.stop_all().await;
            self.regions.all().iter().for_each(|region| self.stop_serving(region.id()));
        }
    }

    /// A message between members.
    pub(super) async fn raft(&self, request: raftpb::Request) -> raftpb::Response {
        use raftpb::refusal::Reason;
        let refusal = |reason: Reason, message: String| raftpb::Response {
            body: Some(raftpb::response::Body::Refusal(raftpb::Refusal { reason: reason.into(), message })),
        };
        let Some(replicas) = &self.replicas else {
            return refusal(Reason::Malformed, "this store replicates nothing".to_owned());
        };
        if let Some(Body::Snapshot(piece)) = &request.body {
            match self.admit_snapshot(request.group_id, piece).await {
                Ok(None) => {}
                Ok(Some(landing)) => {
                    // It goes on if the one who asked goes away.
                    let raft = replicas.raft.clone();
                    let landed = tokio::spawn(async move {
                        let response = raft.handle(request).await;
                        drop(landing);
                        response
                    });
                    return landed.await.unwrap_or_else(|error| refusal(Reason::NotReady, error.to_string()));
                }
                Err((reason, message)) => return refusal(reason, message),
            }
        }
        let known = replicas.get(request.group_id);
        let comes_after = |replica: &Arc<Replica>| replica.group.peer_id() < request.to_peer;
        let idle = replicas.damages.lock().idle_peer(request.group_id);
        let has_predecessor =
            known.as_ref().map_or(idle.is_some_and(|idle| idle < request.to_peer), comes_after);
        if matches!(request.body, Some(Body::Append(_))) && has_predecessor {
            // There was a peer here that was removed, and did not hear of it. A message alone destroys nothing.
            if !self.has_peer_by_pd(request.group_id, request.to_peer).await {
                return refusal(
                    Reason::NotReady,
                    "the placement driver does not know of this peer yet".to_owned(),
                );
            }
            if let Err(error) = self.destroy_replica(request.group_id, request.to_peer, None).await {
                tracing::error!(%error, region = request.group_id, "a removed replica is still here");
            }
        }
        let is_new = request.group_id != 0 && known.is_none_or(|replica| comes_after(&replica));
        // Members that got all of a region in a snapshot know nothing of parts that were split off before: without their votes nobody might ever
        // lead such a part.
        let may_create = matches!(request.body, Some(Body::Append(_) | Body::Vote(_)));
        if is_new && may_create && request.to_store == self.store_id {
            let tombstone = meta::load_tombstone(&*self.scheduler.engine, request.group_id);
            match tombstone {
                Ok(tombstone) if tombstone.is_none_or(|gone| gone < request.to_peer) => {}
                Ok(_) => return refusal(Reason::ReceiverRemoved, "the peer was removed".to_owned()),
                Err(error) => return refusal(Reason::NotReady, error.to_string()),
            }
            if let Some(node) = self.this.upgrade()
                && let Err(error) = node.create_empty(request.group_id, request.to_peer).await
            {
                tracing::warn!(%error, region = request.group_id, "a replica was not created");
            }
        }
        replicas.raft.handle(request).await
    }

    /// A member that has nothing yet: somebody leads its group and will send a snapshot.
    async fn create_empty(self: &Arc<Self>, region_id: u64, peer_id: u64) -> Result<(), NodeError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let _lives = replicas.lives.lock().await;
        // A region that is stored here, or was cut out of another a moment ago, is about to start with what it has.
        let is_known = replicas.get(region_id).is_some()
            || meta::load_applied(&*self.scheduler.engine, region_id)?.is_some();
        if is_known {
            return Ok(());
        }
        // The log of a peer that was removed is still here if the store stopped, or its disk failed, before the log went, too. Its successor has
        // none of what those entries build on. A log with votes and no entries counts as empty, and stays: votes are promises.
        if !replicas.raft.is_log_empty(region_id)? {
            replicas.raft.remove(region_id).await?;
        }
        // What was removed was another peer's: this one has promised nobody anything, or its vote is still here.
        self.start_member(region_id, peer_id, None).await
    }

    pub(super) async fn link_to(
        &self,
        store_id: u64,
    ) -> Result<Arc<dyn StoreService>, super::transfer::MoveError> {
        let known = self.replicas.as_ref().and_then(|replicas| replicas.links.lock().get(&store_id).cloned());
        if let Some(link) = known {
            return Ok(link);
        }
        let link = self.store_at(store_id).await?;
        if let Some(replicas) = &self.replicas {
            replicas.links.lock().insert(store_id, link.clone());
        }
        Ok(link)
    }

    /// Regions that were cut out of another one become replicas of their own.
    async fn begin_parts(self: &Arc<Self>, parts: &[metapb::Region]) {
        let [whole, parts @ ..] = parts else { return };
        let is_led = self.regions.get(whole.id).is_some();
        for part in parts {
            if let Err(error) = self.begin_part(part, is_led).await {
                tracing::error!(%error, region = part.id, "a part of a split region has no replica here");
            }
        }
    }

    async fn begin_part(
        self: &Arc<Self>,
        part: &metapb::Region,
        whole_is_led: bool,
    ) -> Result<(), NodeError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let lives = replicas.lives.lock().await;
        if let Some(existing) = replicas.get(part.id) {
            if existing.meta().is_some() {
                return Ok(());
            }
            // It was created by a message from another member, and has nothing yet: what is needed is here now.
            replicas.raft.stop(part.id).await;
            replicas.table.write().remove(&part.id);
        }
        let engine = &self.scheduler.engine;
        let Some(stored) = meta::load_region(&**engine, part.id)? else { return Ok(()) };
        self.found_replica(&stored).await?;
        self.start_replica(part.id, Some(stored)).await?;
        drop(lives);
        // Nobody leads it yet, and everybody knows who would: the one where the whole was led.
        if let (true, Some(replica)) = (whole_is_led, replicas.get(part.id)) {
            let _ = replica.group.campaign().await;
        }
        Ok(())
    }
}

async fn follow_events(node: Weak<Node>, mut events: Events) {
    let mut asked = BTreeMap::new();
    while let Some(event) = events.0.recv().await {
        let Some(node) = node.upgrade() else { return };
        match event {
            Event::Cut(parts) => node.begin_parts(&parts).await,
            Event::Leads(region_id, term) => {
                tokio::spawn(node.begin_leading(region_id, term));
            }
            Event::Removed(region_id, peer_id) => {
                // A later peer may be here by now.
                if let Err(error) = node.destroy_replica(region_id, peer_id + 1, None).await {
                    tracing::error!(%error, region = region_id, "a removed replica is still here");
                }
            }
            Event::MaybeRemoved(region_id) => {
                let now = tokio::time::Instant::now();
                let is_due = asked.get(&region_id).is_none_or(|last| now - *last >= REMOVAL_PATIENCE);
                if is_due {
                    asked.insert(region_id, now);
                    // The placement driver may be long in coming, and news of leadership cannot wait.
                    tokio::spawn(async move { node.ask_about_removal(region_id).await });
                }
            }
            Event::Merging(region_id) => {
                tokio::spawn(node.finish_merge(region_id));
            }
            Event::Absorbed(region_id) => {
                if let Err(error) = node.bury(region_id).await {
                    tracing::error!(%error, region = region_id, "the log of a merged region is still here");
                }
            }
            Event::Damaged(region_id, reason) => node.take_out(region_id, reason).await,
            Event::Changed(region_id) => {
                if let Some(region) = node.regions.get(region_id) {
                    tokio::spawn(async move { node.report_region(&region).await });
                }
            }
        }
    }
}
