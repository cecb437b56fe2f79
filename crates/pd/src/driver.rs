pub(crate) mod admin;
mod checks;
mod plans;
mod wishes;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tidewater_proto::{KeyValues, PdError, PdService, keyspacepb::KeyspaceMeta, metapb, pdpb};
use tidewater_types::clock::WallClock;

use crate::balance::{Move, Moves};
use crate::cluster::{Cluster, Update};
use crate::error::storage_failed;
use crate::id::IdAllocator;
use crate::key_values::KeySpace;
use crate::merge::Merges;
use crate::regions::RegionRecord;
use crate::replica::Leadership;
use crate::safe_point::Claim;
use crate::schedule::{self, Coordinator};
use crate::settings::Settings;
use crate::storage::{Batch, Storage, Store};
use crate::tso::{LOGICAL_LIMIT, Oracle, Refill, Taken};
use crate::{OpenError, PdConfig, records};

use checks::{invalid, is_tombstone, valid_region, valid_store};
use plans::{Order, Plans};

/// Most timestamps one call may ask for. A range never crosses a step of the physical part.
const TIMESTAMPS_PER_CALL_MAX: u32 = LOGICAL_LIMIT - 1;
/// Most ids one call may ask for.
const IDS_PER_CALL_MAX: u32 = 1 << 20;
/// Most regions one split may make.
const SPLIT_COUNT_MAX: u32 = 1 << 10;
/// What stores are told the cluster runs.
const CLUSTER_VERSION: &str = "8.5.0";

/// The placement driver of a cluster, in this process.
///
/// Cheap to share through its `Arc`; every method may be called from many tasks at once.
pub struct PlacementDriver {
    cluster_id: u64,
    clock: Arc<dyn WallClock>,
    store: Store,
    oracle: Arc<Oracle>,
    ids: Arc<IdAllocator>,
    cluster: Arc<RwLock<Cluster>>,
    /// Held from deciding on a change until it is durable and applied; readers only take `cluster`.
    writer: Arc<tokio::sync::Mutex<()>>,
    plans: Mutex<Plans>,
    keys: Arc<KeySpace>,
}

/// What a driver begins with.
struct Opening {
    cluster_id: u64,
    cluster: Cluster,
    oracle: Oracle,
    window: i64,
    ids: IdAllocator,
    clock: Arc<dyn WallClock>,
    store: Store,
    keys: Arc<KeySpace>,
    /// To be durable before the driver answers anybody.
    batch: Batch,
}

impl Opening {
    fn prepare(
        config: &PdConfig,
        stored: &BTreeMap<String, Vec<u8>>,
        store: Store,
        clock: Arc<dyn WallClock>,
    ) -> Result<Self, OpenError> {
        let (cluster, counters) = Cluster::load(stored)?;
        let oracle = Oracle::new(&config.tso, clock.clone(), store.clone(), counters.tso_window);
        let (window, mut batch) = oracle.first_window();
        // Zero means "no cluster" on the wire.
        let new_id = || config.cluster_id.unwrap_or(clock.now_micros().unsigned_abs()).max(1);
        let cluster_id = counters.cluster_id.unwrap_or_else(new_id);
        if counters.cluster_id.is_none() {
            batch.push((records::CLUSTER_ID.to_owned(), Some(records::encode_u64(cluster_id))));
        }
        let keys = KeySpace::load(stored, store.clone(), clock.clone())?;
        let ids = IdAllocator::new(store.clone(), config.id_step, counters.id_bound);
        Ok(Self { cluster_id, cluster, oracle, window, ids, clock, store, keys, batch })
    }

    /// The batch is durable.
    fn finish(mut self, config: PdConfig) -> PlacementDriver {
        self.oracle.note_window(self.window);
        let opened_micros = self.clock.now_micros();
        let given = Settings { schedule: config.schedule, replication: config.replication };
        let in_force = given.with(&self.cluster.settings);
        let mut coordinator = Coordinator::new(in_force.replication, opened_micros);
        coordinator.schedulers().set(&self.cluster.resting);
        let plans = Plans {
            given,
            config: in_force.schedule,
            moves: Moves::default(),
            merges: Merges::new(opened_micros),
            coordinator,
        };
        PlacementDriver {
            cluster_id: self.cluster_id,
            clock: self.clock,
            store: self.store,
            oracle: Arc::new(self.oracle),
            ids: Arc::new(self.ids),
            cluster: Arc::new(RwLock::new(self.cluster)),
            writer: Arc::default(),
            plans: Mutex::new(plans),
            keys: self.keys,
        }
    }
}

impl PlacementDriver {
    /// Opens the driver over what an earlier one left in `storage`, or founds a new cluster in an empty one.
    pub fn open(
        config: PdConfig,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn WallClock>,
    ) -> Result<Arc<Self>, OpenError> {
        let stored = storage.load()?;
        if stored.contains_key(records::APPLIED) {
            return Err(OpenError::Member);
        }
        let opening = Opening::prepare(&config, &stored, Store::Local(storage.clone()), clock)?;
        storage.write(opening.batch.clone())?;
        Ok(Arc::new(opening.finish(config)))
    }

    /// Opens the driver of the member that leads, over what its leadership has found.
    pub(crate) async fn lead(
        config: PdConfig,
        leadership: Arc<Leadership>,
        clock: Arc<dyn WallClock>,
    ) -> Result<Arc<Self>, OpenError> {
        let stored = leadership.load().await?;
        let store = Store::Replicated(leadership);
        let opening = Opening::prepare(&config, &stored, store.clone(), clock)?;
        store.write(opening.batch.clone()).await?;
        let driver = opening.finish(config);
        driver.keys.watch_leases();
        Ok(Arc::new(driver))
    }

    /// The id every client and store must name.
    pub fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// The time by the driver's clock, in microseconds since 1970.
    pub fn now_micros(&self) -> i64 {
        self.clock.now_micros()
    }

    /// How many regions are known.
    pub fn region_count(&self) -> usize {
        self.cluster.read().regions.len()
    }

    pub(crate) fn keys(&self) -> &KeySpace {
        &self.keys
    }

    fn header(&self) -> Option<pdpb::ResponseHeader> {
        Some(pdpb::ResponseHeader { cluster_id: self.cluster_id, error: None })
    }

    /// Decides on changes, makes them durable, applies them. `decide` sees a state no other writer can change meanwhile.
    async fn update<T, F>(&self, decide: F) -> Result<T, PdError>
    where
        T: Send + 'static,
        F: FnOnce(&Cluster) -> Result<(Vec<Update>, T), PdError> + Send + 'static,
    {
        let (writer, cluster, store) = (self.writer.clone(), self.cluster.clone(), self.store.clone());
        let work = async move {
            let _writer = writer.lock().await;
            let (updates, answer) = decide(&cluster.read())?;
            let mut batch = Batch::new();
            updates.iter().for_each(|update| update.write_to(&mut batch));
            if !batch.is_empty() {
                store.write(batch).await.map_err(|error| storage_failed(&error))?;
            }
            let mut cluster = cluster.write();
            updates.into_iter().for_each(|update| cluster.apply(update));
            Ok(answer)
        };
        self.store.run(work).await
    }

    /// Takes in a sign of life of a store.
    fn note_store_alive(&self, store_id: u64, stats: Option<pdpb::StoreStats>) -> Result<(), PdError> {
        let (mut cluster, now) = (self.cluster.write(), self.clock.now_micros());
        let record = cluster.stores.get_mut(&store_id).ok_or(PdError::StoreNotFound { store_id })?;
        if is_tombstone(&record.store) {
            return Err(PdError::StoreTombstone { store_id });
        }
        record.heard_micros = now;
        if stats.is_some() {
            record.store.last_heartbeat = now.saturating_mul(1_000);
            record.stats = stats;
        }
        Ok(())
    }

    async fn refill_in_background(&self) {
        let oracle = self.oracle.clone();
        let refill = async move {
            if let Err(error) = oracle.move_window().await {
                tracing::error!(%error, "cannot move the window of timestamps ahead");
            }
        };
        match self.store.is_memory() {
            true => refill.await,
            // Dropping the handle lets the task run on.
            false => drop(tokio::spawn(refill)),
        }
    }

    /// Most reports tell the size that is known; only others need the lock for writing. Zero is "not known".
    fn note_region_size(&self, region_id: u64, mebibytes: u64) {
        if mebibytes != 0 && self.cluster.read().regions.size_of(region_id) != mebibytes {
            self.cluster.write().regions.note_size(region_id, mebibytes);
        }
    }

    /// What a region that has reported itself is to do, put into the answer.
    async fn give_orders(
        &self,
        request: &pdpb::RegionHeartbeatRequest,
        report: &RegionRecord,
        response: pdpb::RegionHeartbeatResponse,
    ) -> Result<pdpb::RegionHeartbeatResponse, PdError> {
        self.note_region_size(report.region.id, request.approximate_size);
        let now = self.clock.now_micros();
        let verdict = {
            let mut plans = self.plans.lock();
            let Plans { config, coordinator, .. } = &mut *plans;
            coordinator.note_report(config, request, now);
            plans.decide(&self.cluster.read(), report, now)
        };
        match verdict {
            Order::None => Ok(response),
            Order::Merge(target) => {
                tracing::info!(region = report.region.id, target = target.id, "a region is to be merged");
                Ok(pdpb::RegionHeartbeatResponse {
                    merge: Some(pdpb::Merge { target: Some(target) }),
                    ..response
                })
            }
            Order::Move(decided) => Ok(pdpb::RegionHeartbeatResponse {
                change_peer_v2: Some(self.order_move(report, decided).await?),
                ..response
            }),
        }
    }

    /// Brings what deciding on orders cannot wait for; tells whether regions are replicated.
    async fn prepare_orders(&self, report: &pdpb::RegionHeartbeatRequest) -> Result<bool, PdError> {
        let (is_replicated, needs_ids) = {
            let plans = self.plans.lock();
            if plans.config.replicated
                && plans.coordinator.is_from_former_leader(&self.cluster.read(), report)
            {
                return Err(invalid("the report is of a leader that another one has followed".to_owned()));
            }
            (plans.config.replicated, plans.coordinator.needs_ids())
        };
        if is_replicated && needs_ids {
            self.refill_peer_ids().await?;
        }
        Ok(is_replicated)
    }

    async fn allocate(&self, count: u32) -> Result<u64, PdError> {
        if let Some(last) = self.ids.try_allocate(count) {
            return Ok(last);
        }
        let ids = self.ids.clone();
        let allocated = async move { ids.allocate(count).await.map_err(|error| storage_failed(&error)) };
        self.store.run(allocated).await
    }

    async fn refill_peer_ids(&self) -> Result<(), PdError> {
        let last = self.allocate(schedule::IDS_PER_REFILL).await?;
        self.plans.lock().coordinator.refill_ids(last);
        Ok(())
    }

    /// What the leader of a replicated region that has reported itself is to do, put into the answer.
    async fn give_replica_orders(
        &self,
        request: &pdpb::RegionHeartbeatRequest,
        report: &RegionRecord,
        response: pdpb::RegionHeartbeatResponse,
    ) -> Result<pdpb::RegionHeartbeatResponse, PdError> {
        self.note_region_size(report.region.id, request.approximate_size);
        let now = self.clock.now_micros();
        let order = {
            let mut plans = self.plans.lock();
            let Plans { config, merges, coordinator, .. } = &mut *plans;
            coordinator.on_report(config, &self.cluster.read(), merges, (request, report), now)
        };
        self.tick().await?;
        Ok(match order {
            None => response,
            Some(schedule::Order::ChangePeer(peer, change_type)) => {
                let change = pdpb::ChangePeer { peer: Some(peer), change_type: change_type.into() };
                pdpb::RegionHeartbeatResponse { change_peer: Some(change), ..response }
            }
            Some(schedule::Order::TransferLeader(peer)) => {
                let transfer = pdpb::TransferLeader { peer: Some(peer), ..Default::default() };
                pdpb::RegionHeartbeatResponse { transfer_leader: Some(transfer), ..response }
            }
            Some(schedule::Order::Merge(target)) => pdpb::RegionHeartbeatResponse {
                merge: Some(pdpb::Merge { target: Some(target) }),
                ..response
            },
            Some(schedule::Order::Split(policy, keys)) => {
                let split = pdpb::SplitRegion { policy: policy.on_the_wire().into(), keys };
                pdpb::RegionHeartbeatResponse { split_region: Some(split), ..response }
            }
        })
    }

    /// Lets the schedulers look around if it is time, and buries stores that have been emptied.
    ///
    /// Heart beats call this: there is no task that could outlive the driver, and nothing happens in a simulation but what it does itself.
    async fn tick(&self) -> Result<(), PdError> {
        self.keys.watch_leases();
        let empty = {
            let mut plans = self.plans.lock();
            let Plans { config, coordinator, .. } = &mut *plans;
            match config.replicated {
                true => coordinator.tick(config, &self.cluster.read(), self.clock.now_micros()),
                false => Vec::new(),
            }
        };
        if empty.is_empty() {
            return Ok(());
        }
        self.update(move |cluster| {
            let is_empty = |id| cluster.regions.of_store(id).is_none_or(|store| store.peers.is_empty());
            let buried = empty.into_iter().filter(|id| is_empty(*id)).filter_map(|id| {
                let store = cluster.stores.get(&id)?.store.clone();
                (store.state() == metapb::StoreState::Offline).then(|| {
                    tracing::info!(store = id, "a store is empty and leaves the cluster");
                    let state = metapb::StoreState::Tombstone.into();
                    Update::Store(metapb::Store { state, ..store })
                })
            });
            Ok((buried.collect(), ()))
        })
        .await
    }

    async fn order_move(&self, report: &RegionRecord, decided: Move) -> Result<pdpb::ChangePeerV2, PdError> {
        let Move { from, to, .. } = decided;
        tracing::info!(region = report.region.id, from, to, "a region is to move");
        let newcomer = metapb::Peer { id: self.alloc_id(1).await?, store_id: to, ..Default::default() };
        let change = |peer, change_type: pdpb::ConfChangeType| pdpb::ChangePeer {
            peer: Some(peer),
            change_type: change_type.into(),
        };
        let leavers = report.region.peers.iter().filter(|peer| peer.store_id == from);
        let mut changes = vec![change(newcomer, pdpb::ConfChangeType::AddNode)];
        changes.extend(leavers.map(|peer| change(*peer, pdpb::ConfChangeType::RemoveNode)));
        Ok(pdpb::ChangePeerV2 { changes })
    }

    fn region_response(&self, record: Option<&Arc<RegionRecord>>) -> pdpb::GetRegionResponse {
        pdpb::GetRegionResponse {
            header: self.header(),
            region: record.map(|record| record.region.clone()),
            leader: record.and_then(|record| record.leader),
            ..Default::default()
        }
    }
}

#[async_trait]
impl PdService for PlacementDriver {
    async fn timestamps(&self, count: u32) -> Result<pdpb::Timestamp, PdError> {
        if count == 0 || count > TIMESTAMPS_PER_CALL_MAX {
            return Err(invalid(format!(
                "cannot give out {count} timestamps at once, between 1 and {TIMESTAMPS_PER_CALL_MAX} can be"
            )));
        }
        loop {
            match self.oracle.take(count) {
                Taken::Range { physical, logical, refill } => {
                    if refill == Refill::Start {
                        self.refill_in_background().await;
                    }
                    return Ok(pdpb::Timestamp { physical, logical, suffix_bits: 0 });
                }
                Taken::Exhausted => {
                    let oracle = self.oracle.clone();
                    let moved =
                        async move { oracle.move_window().await.map_err(|error| storage_failed(&error)) };
                    self.store.run(moved).await?;
                }
            }
        }
    }

    async fn get_region(&self, request: pdpb::GetRegionRequest) -> Result<pdpb::GetRegionResponse, PdError> {
        Ok(self.region_response(self.cluster.read().regions.by_key(&request.region_key)))
    }

    async fn get_prev_region(
        &self,
        request: pdpb::GetRegionRequest,
    ) -> Result<pdpb::GetRegionResponse, PdError> {
        Ok(self.region_response(self.cluster.read().regions.before(&request.region_key)))
    }

    async fn get_region_by_id(
        &self,
        request: pdpb::GetRegionByIdRequest,
    ) -> Result<pdpb::GetRegionResponse, PdError> {
        Ok(self.region_response(self.cluster.read().regions.by_id(request.region_id)))
    }

    async fn scan_regions(
        &self,
        request: pdpb::ScanRegionsRequest,
    ) -> Result<pdpb::ScanRegionsResponse, PdError> {
        let limit = usize::try_from(request.limit).ok().filter(|&limit| limit > 0).unwrap_or(usize::MAX);
        // Heart beats need that lock: most who ask do not.
        let plans = request.with_statistics.then(|| self.plans.lock());
        let cluster = self.cluster.read();
        let mut response = pdpb::ScanRegionsResponse { header: self.header(), ..Default::default() };
        for record in cluster.regions.scan(&request.start_key, &request.end_key).take(limit) {
            // The first two lists are what old clients read.
            response.region_metas.push(record.region.clone());
            response.leaders.push(record.leader.unwrap_or_default());
            response.regions.push(match &plans {
                Some(plans) => admin::region_with_statistics(plans, &cluster, record),
                None => pdpb::Region {
                    region: Some(record.region.clone()),
                    leader: record.leader,
                    ..Default::default()
                },
            });
        }
        Ok(response)
    }

    async fn get_store(&self, request: pdpb::GetStoreRequest) -> Result<pdpb::GetStoreResponse, PdError> {
        let (plans, cluster) = (self.plans.lock(), self.cluster.read());
        let record = cluster
            .stores
            .get(&request.store_id)
            .ok_or(PdError::StoreNotFound { store_id: request.store_id })?;
        let ctx = plans.coordinator.context(&plans.config, &cluster, self.clock.now_micros());
        Ok(pdpb::GetStoreResponse {
            header: self.header(),
            store: Some(record.store.clone()),
            stats: record.stats.clone(),
            statistics: Some(admin::store_statistics(&ctx, record)),
        })
    }

    async fn get_all_stores(
        &self,
        request: pdpb::GetAllStoresRequest,
    ) -> Result<pdpb::GetAllStoresResponse, PdError> {
        let cluster = self.cluster.read();
        let stores = cluster.stores.values().map(|record| record.store.clone());
        let wanted = stores.filter(|store| !(request.exclude_tombstone_stores && is_tombstone(store)));
        Ok(pdpb::GetAllStoresResponse { header: self.header(), stores: wanted.collect() })
    }

    async fn put_store(&self, request: pdpb::PutStoreRequest) -> Result<pdpb::PutStoreResponse, PdError> {
        let mut store = valid_store(request.store)?;
        if store.start_timestamp == 0 {
            // It says that it is there when it starts.
            store.start_timestamp = self.clock.now_micros() / 1_000_000;
        }
        let (store_id, stays) = (store.id, !is_tombstone(&store));
        self.update(move |cluster| {
            let record = cluster.stores.get(&store.id);
            // Labels may have been given by hand, which the store does not know.
            let given = record.map_or(&[][..], |record| &record.store.labels);
            store.labels = admin::merge_labels(given, &store.labels);
            let known = record.map(|known| known.store.state());
            if known == Some(metapb::StoreState::Tombstone) {
                return Err(PdError::StoreTombstone { store_id: store.id });
            }
            // A store that is being emptied says that it is up when it starts again: it does not know.
            if known == Some(metapb::StoreState::Offline) && stays {
                store.set_state(metapb::StoreState::Offline);
            }
            if let Some(other) = cluster.stores.values().find(|other| {
                other.store.id != store.id
                    && other.store.address == store.address
                    && !is_tombstone(&other.store)
            }) {
                return Err(invalid(format!(
                    "store {} already has the address {}",
                    other.store.id, store.address
                )));
            }
            Ok((vec![Update::Store(store)], ()))
        })
        .await?;
        if stays {
            self.note_store_alive(store_id, None)?;
        }
        Ok(pdpb::PutStoreResponse { header: self.header() })
    }

    async fn store_heartbeat(
        &self,
        request: pdpb::StoreHeartbeatRequest,
    ) -> Result<pdpb::StoreHeartbeatResponse, PdError> {
        let stats = request.stats.ok_or_else(|| invalid("the heart beat holds no statistics".to_owned()))?;
        self.note_store_alive(stats.store_id, Some(stats))?;
        self.tick().await?;
        Ok(pdpb::StoreHeartbeatResponse {
            header: self.header(),
            cluster_version: CLUSTER_VERSION.to_owned(),
        })
    }

    async fn is_bootstrapped(&self) -> Result<bool, PdError> {
        Ok(self.cluster.read().bootstrapped)
    }

    async fn bootstrap(&self, request: pdpb::BootstrapRequest) -> Result<pdpb::BootstrapResponse, PdError> {
        let store = valid_store(request.store)?;
        let region = valid_region(request.region)?;
        self.update(move |cluster| {
            if cluster.bootstrapped {
                return Err(PdError::AlreadyBootstrapped);
            }
            let leader = region.peers.iter().find(|peer| peer.store_id == store.id).cloned();
            let mut updates = vec![Update::Bootstrapped, Update::Store(store)];
            updates.extend(region_update(cluster, RegionRecord { region, leader })?);
            Ok((updates, ()))
        })
        .await?;
        Ok(pdpb::BootstrapResponse { header: self.header() })
    }

    async fn alloc_id(&self, count: u32) -> Result<u64, PdError> {
        if count == 0 || count > IDS_PER_CALL_MAX {
            return Err(invalid(format!(
                "cannot give out {count} ids at once, between 1 and {IDS_PER_CALL_MAX} can be"
            )));
        }
        let last = self.allocate(count).await?;
        self.plans.lock().coordinator.note_ids_elsewhere(last);
        Ok(last)
    }

    async fn region_heartbeat(
        &self,
        request: pdpb::RegionHeartbeatRequest,
    ) -> Result<pdpb::RegionHeartbeatResponse, PdError> {
        let region = valid_region(request.region.clone())?;
        let is_replicated = self.prepare_orders(&request).await?;
        let response = pdpb::RegionHeartbeatResponse {
            header: self.header(),
            region_id: region.id,
            region_epoch: region.region_epoch,
            target_peer: request.leader,
            ..Default::default()
        };
        let report = RegionRecord { region, leader: request.leader };
        // Most heart beats say nothing new and must not touch the disk.
        if self.cluster.read().regions.by_id(report.region.id).is_none_or(|known| **known != report) {
            let report = report.clone();
            let gone = self
                .update(move |cluster| {
                    let update = region_update(cluster, report)?;
                    let gone = update.iter().flat_map(Update::removed_regions).copied().collect::<Vec<_>>();
                    Ok((update.into_iter().collect(), gone))
                })
                .await?;
            self.plans.lock().note_gone(&gone, self.clock.now_micros());
        }
        self.plans.lock().merges.note_size(&request);
        match is_replicated {
            true => self.give_replica_orders(&request, &report, response).await,
            false => self.give_orders(&request, &report, response).await,
        }
    }

    async fn ask_batch_split(
        &self,
        request: pdpb::AskBatchSplitRequest,
    ) -> Result<pdpb::AskBatchSplitResponse, PdError> {
        let region = valid_region(request.region)?;
        if request.split_count == 0 || request.split_count > SPLIT_COUNT_MAX {
            return Err(invalid(format!(
                "cannot split into {} regions, between 1 and {SPLIT_COUNT_MAX} can be",
                request.split_count
            )));
        }
        if self.cluster.read().regions.by_id(region.id).is_none() {
            return Err(PdError::RegionNotFound { region_id: region.id });
        }
        let peer_count = u32::try_from(region.peers.len()).unwrap_or(u32::MAX);
        let total = peer_count
            .checked_add(1)
            .and_then(|each| each.checked_mul(request.split_count))
            .ok_or_else(|| invalid(format!("{peer_count} peers are too many")))?;
        let last = self.alloc_id(total).await?;
        let mut fresh = last + 1 - u64::from(total)..=last;
        let ids = (0..request.split_count)
            .map(|_| pdpb::SplitId {
                new_region_id: fresh.next().unwrap_or_default(),
                new_peer_ids: fresh.by_ref().take(peer_count as usize).collect(),
            })
            .collect();
        Ok(pdpb::AskBatchSplitResponse { header: self.header(), ids })
    }

    async fn report_batch_split(
        &self,
        request: pdpb::ReportBatchSplitRequest,
    ) -> Result<pdpb::ReportBatchSplitResponse, PdError> {
        let regions: Vec<_> =
            request.regions.into_iter().map(|region| valid_region(Some(region))).collect::<Result<_, _>>()?;
        let region_ids: Vec<_> = regions.iter().map(|region| region.id).collect();
        let kept = region_ids.clone();
        // All at once: in between, keys would belong to no region.
        let gone = self
            .update(move |cluster| {
                let mut updates = Vec::with_capacity(regions.len());
                // What has the old id comes last: the others take the whole away.
                let (old, new): (Vec<_>, Vec<_>) =
                    regions.into_iter().partition(|region| cluster.regions.by_id(region.id).is_some());
                for region in new.into_iter().chain(old) {
                    let leader = split_leader(cluster, &region);
                    updates.extend(region_update(cluster, RegionRecord { region, leader })?);
                }
                let gone = updates.iter().flat_map(Update::removed_regions).filter(|id| !kept.contains(id));
                let gone: Vec<_> = gone.copied().collect();
                Ok((updates, gone))
            })
            .await?;
        let (mut plans, now) = (self.plans.lock(), self.clock.now_micros());
        let Plans { config, merges, coordinator, .. } = &mut *plans;
        merges.note_split(config, region_ids, now);
        coordinator.note_gone(&gone, now);
        Ok(pdpb::ReportBatchSplitResponse { header: self.header() })
    }

    async fn scatter_region(
        &self,
        request: pdpb::ScatterRegionRequest,
    ) -> Result<pdpb::ScatterRegionResponse, PdError> {
        self.answer_scatter(request).await
    }

    async fn get_operator(
        &self,
        request: pdpb::GetOperatorRequest,
    ) -> Result<pdpb::GetOperatorResponse, PdError> {
        Ok(self.answer_operator(request.region_id))
    }

    async fn split_regions(
        &self,
        request: pdpb::SplitRegionsRequest,
    ) -> Result<pdpb::SplitRegionsResponse, PdError> {
        self.answer_split(request).await
    }

    async fn split_and_scatter_regions(
        &self,
        request: pdpb::SplitAndScatterRegionsRequest,
    ) -> Result<pdpb::SplitAndScatterRegionsResponse, PdError> {
        self.answer_split_and_scatter(request).await
    }

    async fn get_gc_safe_point(
        &self,
        _: pdpb::GetGcSafePointRequest,
    ) -> Result<pdpb::GetGcSafePointResponse, PdError> {
        Ok(pdpb::GetGcSafePointResponse {
            header: self.header(),
            safe_point: self.cluster.read().safe_points.gc,
        })
    }

    async fn update_gc_safe_point(
        &self,
        request: pdpb::UpdateGcSafePointRequest,
    ) -> Result<pdpb::UpdateGcSafePointResponse, PdError> {
        let now = self.clock.now_micros();
        let new_safe_point = self
            .update(move |cluster| {
                let raised = cluster.safe_points.raised(request.safe_point, now);
                let changed = (raised != cluster.safe_points.gc).then_some(Update::GcSafePoint(raised));
                Ok((changed.into_iter().collect(), raised))
            })
            .await?;
        Ok(pdpb::UpdateGcSafePointResponse { header: self.header(), new_safe_point })
    }

    async fn update_service_gc_safe_point(
        &self,
        request: pdpb::UpdateServiceGcSafePointRequest,
    ) -> Result<pdpb::UpdateServiceGcSafePointResponse, PdError> {
        let now = self.clock.now_micros();
        let id = request.service_id.clone();
        self.update(move |cluster| {
            let claim = (request.ttl > 0).then(|| Claim {
                safe_point: request.safe_point,
                expires_micros: now.saturating_add(request.ttl.saturating_mul(1_000_000)),
            });
            // Below the safe point the data may be gone already: such a claim would promise what cannot be kept.
            if claim.is_some_and(|claim| claim.safe_point < cluster.safe_points.gc) {
                let gc = cluster.safe_points.gc;
                return Err(invalid(format!(
                    "the service safe point {} is below the GC safe point {gc}",
                    request.safe_point
                )));
            }
            Ok((vec![Update::Service { id: request.service_id, claim }], ()))
        })
        .await?;
        let cluster = self.cluster.read();
        let lowest = cluster.safe_points.lowest(now);
        Ok(pdpb::UpdateServiceGcSafePointResponse {
            header: self.header(),
            service_id: lowest.map_or(id, |(id, _)| Bytes::copy_from_slice(id)),
            ttl: lowest.map_or(0, |(_, claim)| (claim.expires_micros - now) / 1_000_000),
            min_safe_point: lowest.map_or(cluster.safe_points.gc, |(_, claim)| claim.safe_point),
        })
    }

    async fn members(&self) -> Result<Vec<pdpb::Member>, PdError> {
        let binary_version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(vec![pdpb::Member { name: "pd".to_owned(), binary_version, ..Default::default() }])
    }

    fn key_values(&self) -> Option<&dyn KeyValues> {
        Some(&*self.keys)
    }

    async fn load_keyspace(&self, name: &str) -> Result<KeyspaceMeta, PdError> {
        self.cluster.read().keyspaces.get(name)
    }

    async fn keyspaces(&self) -> Result<Vec<KeyspaceMeta>, PdError> {
        Ok(self.cluster.read().keyspaces.all())
    }

    async fn create_keyspace(&self, name: &str) -> Result<KeyspaceMeta, PdError> {
        let (name, now) = (name.to_owned(), self.clock.now_micros());
        self.update(move |cluster| {
            if let Ok(known) = cluster.keyspaces.get(&name) {
                return Ok((Vec::new(), known));
            }
            let planned = cluster.keyspaces.plan(&name, now)?;
            Ok((vec![Update::Keyspace(planned.clone())], planned))
        })
        .await
    }
}

/// Until the parts of a split report themselves, each is led from the store that led the whole.
fn split_leader(cluster: &Cluster, part: &metapb::Region) -> Option<metapb::Peer> {
    if let Some(known) = cluster.regions.by_id(part.id).and_then(|known| known.leader) {
        return Some(known);
    }
    let whole = cluster.regions.by_key(&part.start_key).and_then(|whole| whole.leader)?;
    part.peers.iter().find(|peer| peer.store_id == whole.store_id).copied()
}

fn region_update(cluster: &Cluster, report: RegionRecord) -> Result<Option<Update>, PdError> {
    let id = report.region.id;
    match cluster.regions.check(report) {
        Ok(change) => Ok(change.map(Update::Region)),
        Err(stale) => Err(invalid(format!(
            "the report of region {id} is older than what is known of region {}",
            stale.newer_id
        ))),
    }
}
