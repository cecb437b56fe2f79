//! How requests find their regions: locate, address, send, and read the region errors.
//!
//! A region error means that nothing was executed. Some can be cured for the same region (another leader, a busy store), the others end in
//! [`Sent::RegionChanged`]: the caller must find the region of its keys anew, and there may be several by then.
//!
//! A lost answer is different: the command may have been executed. It is sent again, for all commands are idempotent, and
//! [`Backoff::lost_answers`] remembers it for those who must tell "failed" from "unknown".

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_codec::{Key, TimeStamp};
use tidewater_proto::{PdError, PdService, StoreConnector, errorpb, kvrpcpb, metapb, pdpb};

use crate::backoff::{Backoff, Pause};
use crate::command::Command;
use crate::keyspace::{KeyForm, Mode, Prefix};
use crate::oracle::Oracle;
use crate::resolver::Outcomes;
use crate::stores::{ConnectError, Stores};
use crate::wire_keys::Incoming;
use crate::{Region, RegionCache, ReplicaRead, TxnConfig, TxnError};

pub(crate) struct Cluster {
    pub(crate) pd: Arc<dyn PdService>,
    pub(crate) config: TxnConfig,
    pub(crate) regions: RegionCache,
    pub(crate) stores: Stores,
    pub(crate) outcomes: Mutex<Outcomes>,
    key_form: KeyForm,
    oracle: Oracle,
    /// How many back-offs were made: each gets a seed of its own.
    backoffs: AtomicU64,
}

/// What became of a request.
pub(crate) enum Sent<R> {
    Answer(R),
    /// The region is not what it was: group the keys anew.
    RegionChanged,
}

/// What to do after a region error.
enum Next {
    SameRegion,
    Regroup,
}

impl Cluster {
    pub(crate) fn new(
        pd: Arc<dyn PdService>,
        connector: Arc<dyn StoreConnector>,
        config: TxnConfig,
        mode: Mode,
    ) -> Self {
        Self {
            key_form: KeyForm::new(mode, config.keyspace),
            oracle: Oracle::new(pd.clone(), config.timestamps_per_call_max),
            stores: Stores::new(pd.clone(), connector),
            regions: RegionCache::new(),
            outcomes: Mutex::new(Outcomes::new(config.outcomes_cached_max)),
            backoffs: AtomicU64::new(0),
            pd,
            config,
        }
    }

    pub(crate) fn backoff(&self, budget: Duration) -> Backoff {
        let number = self.backoffs.fetch_add(1, Ordering::Relaxed);
        Backoff::new(budget, self.config.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) async fn timestamp(&self) -> Result<TimeStamp, TxnError> {
        let mut backoff = self.backoff(self.config.patience.timestamp);
        loop {
            match self.oracle.timestamp().await {
                Ok(timestamp) => return Ok(timestamp),
                Err(error) => self.pause_for_pd(&mut backoff, error).await?,
            }
        }
    }

    /// A timestamp of late: as old as the settings allow.
    pub(crate) async fn low_resolution_timestamp(&self) -> Result<TimeStamp, TxnError> {
        match self.oracle.recent(self.config.low_resolution_age_max) {
            Some(timestamp) => Ok(timestamp),
            None => self.timestamp().await,
        }
    }

    async fn pause_for_pd(&self, backoff: &mut Backoff, error: PdError) -> Result<(), TxnError> {
        match error {
            PdError::InvalidValue { .. }
            | PdError::AlreadyBootstrapped
            | PdError::KeyspaceNotFound { .. } => Err(TxnError::Pd(error)),
            PdError::NotBootstrapped
            | PdError::StoreTombstone { .. }
            | PdError::RegionNotFound { .. }
            | PdError::StoreNotFound { .. }
            | PdError::Storage { .. }
            | PdError::NotLeader
            | PdError::LeadershipLost
            | PdError::Transport(_) => backoff.pause(Pause::Pd, error).await,
        }
    }

    /// The region that holds a raw key.
    pub(crate) async fn locate(&self, key: &[u8], backoff: &mut Backoff) -> Result<Arc<Region>, TxnError> {
        if let Some(region) = self.regions.find(key) {
            return Ok(region);
        }
        let region_key = self.key_form.boundary(key);
        loop {
            let request = pdpb::GetRegionRequest { region_key: region_key.clone(), ..Default::default() };
            if let Some(region) = self.learn(self.pd.get_region(request).await, backoff).await? {
                if region.contains(key) {
                    return Ok(region);
                }
                return Err(TxnError::Protocol {
                    reason: format!("region {} does not hold the key it was found by", region.id()),
                });
            }
        }
    }

    /// The region that holds the keys just below `end`; an empty `end` is unbounded.
    pub(crate) async fn locate_before(
        &self,
        end: &[u8],
        backoff: &mut Backoff,
    ) -> Result<Arc<Region>, TxnError> {
        if let Some(region) = self.regions.find_before(end) {
            return Ok(region);
        }
        let region_key = match end.is_empty() {
            true => self.key_form.last_boundary(),
            false => self.key_form.boundary(end),
        };
        loop {
            let request = pdpb::GetRegionRequest { region_key: region_key.clone(), ..Default::default() };
            let Some(region) = self.learn(self.pd.get_region(request.clone()).await, backoff).await? else {
                continue;
            };
            if end.is_empty() || region.start()[..] < *end {
                return Ok(region);
            }
            if let Some(region) = self.learn(self.pd.get_prev_region(request).await, backoff).await? {
                return Ok(region);
            }
        }
    }

    /// Takes in what the placement driver says; `None` means ask again.
    async fn learn(
        &self,
        answer: Result<pdpb::GetRegionResponse, PdError>,
        backoff: &mut Backoff,
    ) -> Result<Option<Arc<Region>>, TxnError> {
        match answer {
            Ok(pdpb::GetRegionResponse { region: Some(region), leader, .. }) => {
                let Some(region) = self.region(region, leader.as_ref())? else {
                    return Err(TxnError::Protocol { reason: "a region of another keyspace".to_owned() });
                };
                Ok(Some(self.regions.insert(region)))
            }
            Ok(_) => {
                backoff
                    .pause(Pause::RegionChanged, "the placement driver knows no region for the key")
                    .await?;
                Ok(None)
            }
            Err(error) => {
                self.pause_for_pd(backoff, error).await?;
                Ok(None)
            }
        }
    }

    /// Sends a command to a region until it is answered or the region has changed. `make` builds it anew for each attempt.
    pub(crate) async fn send<C: Command>(
        &self,
        region: &Region,
        backoff: &mut Backoff,
        make: impl Fn() -> C,
    ) -> Result<Sent<C::Response>, TxnError> {
        let (mut retry, mut stale) = (false, true);
        loop {
            let mut command = make();
            let context = command.context_mut();
            context.is_retry_request = retry || backoff.lost_answers > 0;
            let store_id = match backoff.replica {
                ReplicaRead::Leader => region.address(context),
                replica => region.address_read(replica, context, |count| backoff.pick(count)),
            };
            if !stale {
                context.stale_read = false;
            }
            let is_leaders = !context.stale_read && !context.replica_read;
            backoff.region_id = Some(region.id());
            backoff.store_id = Some(store_id);
            let Some(mut response) = self.call(store_id, region, command, backoff).await? else {
                backoff.replica = ReplicaRead::Leader;
                return Ok(Sent::RegionChanged);
            };
            let Some(error) = C::take_region_error(&mut response) else {
                return Ok(Sent::Answer(response));
            };
            // Who asked for less than the leader's word gets that, if nothing less will do.
            if !is_leaders && error.epoch_not_match.is_none() {
                (stale, backoff.replica) = (false, ReplicaRead::Leader);
                continue;
            }
            match self.handle(region, error, backoff).await? {
                Next::SameRegion => retry = true,
                Next::Regroup => return Ok(Sent::RegionChanged),
            }
        }
    }

    /// Sends a command to a store as it is, region errors and all; `None` if no answer came.
    pub(crate) async fn call<C: Command>(
        &self,
        store_id: u64,
        region: &Region,
        mut command: C,
        backoff: &mut Backoff,
    ) -> Result<Option<C::Response>, TxnError> {
        if let Some(prefix) = self.key_form.prefix() {
            command.context_mut().api_version = Prefix::API_VERSION;
            command.add(prefix);
        }
        let connection = match self.stores.opened(store_id) {
            Some(connection) => connection,
            None => match self.stores.open(store_id).await {
                Ok(connection) => connection,
                Err(error) => {
                    self.regions.forget(region);
                    let kind =
                        if matches!(error, ConnectError::Pd(_)) { Pause::Pd } else { Pause::Transport };
                    backoff.pause(kind, error).await?;
                    return Ok(None);
                }
            },
        };
        match connection.call(command.into_request()).await {
            Ok(response) => {
                let Some(mut response) = C::from_response(response) else {
                    // It did something, and we do not know what.
                    backoff.lost_answers += 1;
                    return Err(TxnError::Protocol {
                        reason: format!("store {store_id} answered a {} with something else", C::NAME),
                    });
                };
                if let Some(prefix) = self.key_form.prefix() {
                    response.strip(prefix);
                }
                Ok(Some(response))
            }
            Err(error) => {
                backoff.lost_answers += 1;
                self.stores.forget(store_id);
                self.regions.forget(region);
                backoff.pause(Pause::Transport, error).await?;
                Ok(None)
            }
        }
    }

    async fn handle(
        &self,
        region: &Region,
        error: errorpb::Error,
        backoff: &mut Backoff,
    ) -> Result<Next, TxnError> {
        metrics::counter!("tidewater_txn_region_errors_total").increment(1);
        let message = error.message;
        if let Some(not_leader) = error.not_leader {
            return self.handle_not_leader(region, not_leader, &message, backoff).await;
        }
        if let Some(mismatch) = error.epoch_not_match {
            return self.handle_epoch(region, mismatch, &message, backoff).await;
        }
        if let Some(busy) = error.server_is_busy {
            // The store knows best how long; not longer than the longest pause, though.
            backoff.pause(Pause::StoreBusy, busy.reason).await?;
            return Ok(Next::SameRegion);
        }
        if let Some(too_large) = error.raft_entry_too_large {
            let bytes = usize::try_from(too_large.entry_size).unwrap_or(usize::MAX);
            return Err(TxnError::EntryTooLarge { key: Key::default(), bytes, limit: 0 });
        }
        if error.undetermined_result.is_some() {
            backoff.lost_answers += 1;
        }
        if error.disk_full.is_some() {
            backoff.pause(Pause::DiskFull, message).await?;
            return Ok(Next::SameRegion);
        }
        let not_ready = error.max_timestamp_not_synced.is_some()
            || error.read_index_not_ready.is_some()
            || error.proposal_in_merging_mode.is_some()
            || error.data_is_not_ready.is_some()
            || error.stale_command.is_some();
        if not_ready {
            backoff.pause(Pause::StoreNotReady, message).await?;
            return Ok(Next::SameRegion);
        }
        if error.store_not_match.is_some() {
            self.stores.forget(region.leader().store_id);
        }
        // Region not found, key not in region, wrong peer, or something newer than this client.
        self.regions.forget(region);
        backoff.pause(Pause::RegionChanged, message).await?;
        Ok(Next::Regroup)
    }

    async fn handle_not_leader(
        &self,
        region: &Region,
        not_leader: errorpb::NotLeader,
        message: &str,
        backoff: &mut Backoff,
    ) -> Result<Next, TxnError> {
        let known = not_leader.leader.as_ref().filter(|leader| region.follow(leader));
        if known.is_none() {
            self.regions.forget(region);
            backoff.pause(Pause::NoLeader, message).await?;
            return Ok(Next::Regroup);
        }
        // The first time the answer is as good as new; then two peers may be naming each other.
        if backoff.attempts(Pause::LeaderMoved) > 0 {
            backoff.pause(Pause::LeaderMoved, message).await?;
        } else {
            backoff.note(Pause::LeaderMoved);
        }
        Ok(Next::SameRegion)
    }

    async fn handle_epoch(
        &self,
        region: &Region,
        mismatch: errorpb::EpochNotMatch,
        message: &str,
        backoff: &mut Backoff,
    ) -> Result<Next, TxnError> {
        let current = mismatch.current_regions;
        let behind = current.iter().any(|now| {
            now.id == region.id() && now.region_epoch.as_ref().is_some_and(|now| !region.is_older_than(now))
        });
        if behind {
            // The store has not caught up with what we know.
            backoff.pause(Pause::StoreNotReady, message).await?;
            return Ok(Next::SameRegion);
        }
        self.regions.forget(region);
        let store_id = region.leader().store_id;
        for now in current {
            let leader = now.peers.iter().find(|peer| peer.store_id == store_id).copied();
            self.install(now, leader.as_ref())?;
        }
        if backoff.attempts(Pause::RegionChanged) > 0 {
            backoff.pause(Pause::RegionChanged, message).await?;
        } else {
            backoff.note(Pause::RegionChanged);
        }
        Ok(Next::Regroup)
    }

    pub(crate) fn install(
        &self,
        region: metapb::Region,
        leader: Option<&metapb::Peer>,
    ) -> Result<(), TxnError> {
        // Neighbors may belong to another keyspace.
        if let Some(region) = self.region(region, leader)? {
            self.regions.insert(region);
        }
        Ok(())
    }

    fn region(
        &self,
        region: metapb::Region,
        leader: Option<&metapb::Peer>,
    ) -> Result<Option<Arc<Region>>, TxnError> {
        let Some((start, end)) = self.key_form.range_of(&region)? else { return Ok(None) };
        Ok(Some(Arc::new(Region::new(region, start, end, leader)?)))
    }

    /// Locates and sends until the region holds still: for commands about one key.
    pub(crate) async fn send_to_key<C: Command>(
        &self,
        key: &[u8],
        backoff: &mut Backoff,
        make: impl Fn() -> C,
    ) -> Result<C::Response, TxnError> {
        loop {
            let region = self.locate(key, backoff).await?;
            if let Sent::Answer(response) = self.send(&region, backoff, &make).await? {
                return Ok(response);
            }
        }
    }
}

/// A context with nothing but the isolation level.
pub(crate) fn context(isolation: kvrpcpb::IsolationLevel) -> kvrpcpb::Context {
    kvrpcpb::Context { isolation_level: isolation as i32, ..Default::default() }
}
