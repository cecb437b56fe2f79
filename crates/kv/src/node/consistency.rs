//! Whether the replicas of a region are equal.
//!
//! ```text
//!  leader    ComputeHash ──▶ each replica, when it applies the entry, takes a snapshot of its engine and hashes it, beside everything else
//!  leader    asks all members what they have found ── a majority of the voters have the same? ──▶ VerifyHash(index, hash)
//!  replica   found something else at that index: it is damaged, see `damage`
//! ```
//!
//! As in TiKV (`ComputeHash`, `VerifyHash`), but there the leader's own hash is the right one; here the leader may be the damaged one.
//!
//! What is hashed is what a snapshot would contain, which entries alone have made. One thing is not: data that is removed on every store by itself
//! (`UnsafeDestroyRange`). A replica in which that happened a moment ago has no say, since others may be about to do the same.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use parking_lot::Mutex;
use prost::Message;
use serde::Serializer;
use tidewater_proto::{StoreRequest, StoreResponse, metapb, regionpb};
use tidewater_raft::GroupError;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, sleep},
};

use super::{Node, replicas::Event};
use crate::{
    EngineError,
    region::Region,
    replica::{HashState, HashTask, Hashed, Lead, Replica, encode_compute_hash, encode_verify_hash},
};

/// Hashes that wait for their turn keep old data alive: no more of them than this.
const HASHES_WAITING_MAX: usize = 4;
/// How long the members have for hashing.
const HASH_PATIENCE: Duration = Duration::from_secs(600);
/// Between questions whether a member has its hash; the pause grows up to a hundred times this.
const HASH_LOOK: Duration = Duration::from_millis(20);
/// Questions that a member does not answer, or has nothing to say to, before it counts as absent.
const QUESTIONS_MAX: u32 = 8;
/// How long after data was removed on this store alone its replicas have no say.
const UNSETTLED: Duration = Duration::from_secs(600);
/// Between looks for a region that is due, at least.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// And at most.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a node knows for comparing its replicas.
pub(super) struct Consistency {
    /// One at a time is hashed.
    turn: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Replicas here that were found to differ.
    mismatches: AtomicUsize,
    /// What was removed on this store alone lately.
    destroyed: Mutex<Vec<Destroyed>>,
}

/// A range of engine keys that was removed.
struct Destroyed {
    lower: Vec<u8>,
    upper: Vec<u8>,
    when: Instant,
}

impl Default for Consistency {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            mismatches: AtomicUsize::new(0),
            destroyed: Mutex::default(),
        }
    }
}

impl Consistency {
    /// Notes that a range is removed here, whatever others do.
    pub(super) fn note_destroyed(&self, lower: &[u8], upper: &[u8]) {
        let mut destroyed = self.destroyed.lock();
        destroyed.retain(|each| each.when.elapsed() < UNSETTLED);
        destroyed.push(Destroyed { lower: lower.to_vec(), upper: upper.to_vec(), when: Instant::now() });
    }

    fn is_settled(&self, region: &Region) -> bool {
        let destroyed = self.destroyed.lock();
        let concerns = |each: &Destroyed| {
            each.when.elapsed() < UNSETTLED && region.meets_engine_range(&each.lower, &each.upper)
        };
        !destroyed.iter().any(concerns)
    }
}

/// What one member has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Its hash.
    Hash(#[serde(serialize_with = "in_hexadecimal")] u64),
    /// It has no say: data was removed on its store alone a moment ago.
    Unsettled,
    /// It did not answer, or not in time.
    Absent,
}

/// What a comparison of the replicas of a region has found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ConsistencyReport {
    /// The region.
    pub region_id: u64,
    /// The entry after which the replicas were compared.
    pub index: u64,
    /// By peer.
    pub findings: BTreeMap<u64, Finding>,
    /// What a majority of the voters has found; nothing if there is no such majority.
    #[serde(serialize_with = "maybe_in_hexadecimal")]
    pub agreed: Option<u64>,
}

/// JSON's numbers have no 64 bits everywhere.
fn in_hexadecimal<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{hash:016x}"))
}

fn maybe_in_hexadecimal<S: Serializer>(hash: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match hash {
        Some(hash) => in_hexadecimal(hash, serializer),
        None => serializer.serialize_none(),
    }
}

impl ConsistencyReport {
    /// Peers that differ from the majority.
    pub fn damaged(&self) -> Vec<u64> {
        let Some(agreed) = self.agreed else { return Vec::new() };
        let differs = |finding: &Finding| matches!(finding, Finding::Hash(hash) if *hash != agreed);
        self.findings.iter().filter(|(_, finding)| differs(finding)).map(|(peer, _)| *peer).collect()
    }
}

/// Why replicas were not compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsistencyError {
    /// Somebody else leads the region, or nobody.
    #[error("region {0} is not led here")]
    NotLed(u64),
    /// The region has changed meanwhile.
    #[error("region {0} has changed, ask again")]
    Changed(u64),
    /// The log took nothing.
    #[error(transparent)]
    Raft(#[from] GroupError),
}

/// Compares the regions that are led here with their other replicas, each once in `interval`, until the node is gone.
pub(super) async fn check_regularly(node: Weak<Node>, interval: Duration) {
    let mut checked: BTreeMap<u64, Instant> = BTreeMap::new();
    loop {
        let Some(regions) = node.upgrade().map(|node| node.regions.all()) else { return };
        checked.retain(|id, _| regions.iter().any(|region| region.id() == *id));
        // Spread over the interval, so that no two are due at the same time.
        let pause = interval / u32::try_from(regions.len().max(1)).unwrap_or(u32::MAX);
        sleep(pause.clamp(PAUSE_MIN, PAUSE_MAX)).await;
        let now = Instant::now();
        for region in &regions {
            checked.entry(region.id()).or_insert(now);
        }
        let oldest = checked.iter().min_by_key(|(_, when)| **when).map(|(id, when)| (*id, *when));
        let Some((region_id, when)) = oldest else { continue };
        // The first time counts from when the region came.
        if now.duration_since(when) < interval {
            continue;
        }
        checked.insert(region_id, now);
        let Some(node) = node.upgrade() else { return };
        if let Err(error) = node.check_consistency(region_id).await {
            tracing::info!(%error, region = region_id, "the replicas were not compared");
        }
    }
}

impl Node {
    /// Compares the replicas of a region that is led here. Those that differ from the majority take themselves out of service.
    ///
    /// # Errors
    /// See [`ConsistencyError`]: nothing is known then.
    pub async fn check_consistency(&self, region_id: u64) -> Result<ConsistencyReport, ConsistencyError> {
        let region = self.regions.get(region_id).filter(|region| region.is_open());
        let lead = region.as_ref().and_then(|region| region.lead.clone());
        let (Some(region), Some(lead)) = (region, lead) else {
            return Err(ConsistencyError::NotLed(region_id));
        };
        let index = propose(&lead, region_id, encode_compute_hash(&region.meta)).await?;
        let asked = region.meta.peers.iter().map(|peer| self.ask_hash(region_id, index, peer));
        let findings: BTreeMap<_, _> = join_all(asked).await.into_iter().collect();
        let report =
            ConsistencyReport { region_id, index, agreed: agreed(&region.meta, &findings), findings };
        metrics::counter!("tidewater_kv_consistency_checks_total").increment(1);
        match report.agreed {
            Some(hash) => {
                if !report.damaged().is_empty() {
                    tracing::error!(region = region_id, index, ?report, "replicas of a region are not equal");
                }
                propose(&lead, region_id, encode_verify_hash(&region.meta, index, hash)).await?;
            }
            None => {
                let hashes = report.findings.values().filter(|finding| matches!(finding, Finding::Hash(_)));
                if hashes.clone().any(|finding| Some(finding) != hashes.clone().next()) {
                    metrics::counter!("tidewater_kv_consistency_undecided_total").increment(1);
                    tracing::error!(
                        region = region_id,
                        index,
                        ?report,
                        "replicas of a region are not equal, and no majority says which of them are right"
                    );
                }
            }
        }
        Ok(report)
    }

    /// How many replicas here were found to differ from most others since the node was opened.
    pub fn mismatch_count(&self) -> usize {
        self.consistency.mismatches.load(Ordering::Relaxed)
    }

    /// Asks a member for its hash until it has it.
    async fn ask_hash(&self, region_id: u64, index: u64, peer: &metapb::Peer) -> (u64, Finding) {
        let request = regionpb::CheckHashRequest { region_id, index };
        let deadline = Instant::now() + HASH_PATIENCE;
        let (mut missed, mut pause) = (0, HASH_LOOK);
        while missed < QUESTIONS_MAX && Instant::now() < deadline {
            let answer = match peer.store_id == self.store_id {
                true => Some(self.check_hash(&request)),
                false => self.ask_hash_there(peer.store_id, request).await,
            };
            match answer.map(|answer| (answer.state(), answer.hash)) {
                Some((regionpb::HashState::Known, hash)) => return (peer.id, Finding::Hash(hash)),
                Some((regionpb::HashState::Unsettled, _)) => return (peer.id, Finding::Unsettled),
                Some((regionpb::HashState::Pending, _)) => missed = 0,
                Some((regionpb::HashState::Unknown, _)) | None => missed += 1,
            }
            sleep(pause).await;
            pause = (pause * 2).min(HASH_LOOK * 100);
        }
        (peer.id, Finding::Absent)
    }

    async fn ask_hash_there(
        &self,
        store_id: u64,
        request: regionpb::CheckHashRequest,
    ) -> Option<regionpb::CheckHashResponse> {
        let link = self.link_to(store_id).await.ok()?;
        match link.call(StoreRequest::CheckHash(request)).await {
            Ok(StoreResponse::CheckHash(answer)) => Some(answer),
            _ => None,
        }
    }

    /// What this store's replica has found at an entry.
    pub(super) fn check_hash(&self, request: &regionpb::CheckHashRequest) -> regionpb::CheckHashResponse {
        let replica = self.replicas.as_ref().and_then(|replicas| replicas.get(request.region_id));
        let hashed = replica.map(|replica| *replica.hashed.lock()).unwrap_or_default();
        let (state, hash) = match hashed.state {
            _ if hashed.index != request.index => (regionpb::HashState::Unknown, 0),
            HashState::Unknown => (regionpb::HashState::Unknown, 0),
            HashState::Pending => (regionpb::HashState::Pending, 0),
            HashState::Known(hash) => (regionpb::HashState::Known, hash),
            HashState::Unsettled => (regionpb::HashState::Unsettled, 0),
        };
        regionpb::CheckHashResponse { state: state.into(), hash }
    }

    /// Hashes a replica as it is after an entry, beside everything else.
    pub(super) fn begin_hashing(&self, task: HashTask) {
        let Some(replica) = self.replicas.as_ref().and_then(|replicas| replicas.get(task.region.id)) else {
            return;
        };
        let Ok(region) = Region::new(task.region.clone(), self.store_id) else { return };
        let mut hashed = Hashed { index: task.index, ..Hashed::default() };
        if !self.consistency.is_settled(&region) {
            hashed.state = HashState::Unsettled;
        } else if self.consistency.waiting.load(Ordering::Relaxed) < HASHES_WAITING_MAX {
            hashed.state = HashState::Pending;
        }
        *replica.hashed.lock() = hashed;
        if hashed.state != HashState::Pending {
            return;
        }
        self.consistency.waiting.fetch_add(1, Ordering::Relaxed);
        let (turn, node) = (self.consistency.turn.clone(), self.this.clone());
        self.compute.spawn(async move {
            let turn = turn.acquire_owned().await;
            let found = task.run().await;
            drop(turn);
            let Some(node) = node.upgrade() else { return };
            node.consistency.waiting.fetch_sub(1, Ordering::Relaxed);
            node.end_hashing(&replica, task.index, found);
        });
    }

    fn end_hashing(&self, replica: &Replica, index: u64, found: Result<u64, EngineError>) {
        let region_id = replica.group.id();
        let mut hashed = replica.hashed.lock();
        // Another one may have been asked for meanwhile.
        if hashed.index != index {
            return;
        }
        match found {
            Ok(hash) => {
                hashed.state = HashState::Known(hash);
                let compared = *hashed;
                drop(hashed);
                self.compare(region_id, &compared);
            }
            Err(error) => {
                hashed.state = HashState::Unknown;
                drop(hashed);
                tracing::error!(%error, region = region_id, index, "a replica cannot be read");
                if matches!(error, EngineError::Corrupt { .. }) {
                    self.report_damage(region_id, error.to_string());
                }
            }
        }
    }

    /// The majority has found this at that entry.
    pub(super) fn verify_hash(&self, region_id: u64, index: u64, hash: u64) {
        let Some(replica) = self.replicas.as_ref().and_then(|replicas| replicas.get(region_id)) else {
            return;
        };
        let compared = {
            let mut hashed = replica.hashed.lock();
            if hashed.index != index {
                return;
            }
            hashed.expected = Some(hash);
            *hashed
        };
        self.compare(region_id, &compared);
    }

    fn compare(&self, region_id: u64, hashed: &Hashed) {
        let (HashState::Known(own), Some(expected)) = (hashed.state, hashed.expected) else { return };
        if own == expected {
            return;
        }
        let index = hashed.index;
        self.consistency.mismatches.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("tidewater_kv_consistency_mismatches_total").increment(1);
        tracing::error!(region = region_id, index, own, expected, "this replica is not what the others are");
        let reason =
            format!("at entry {index} its hash was {own:016x}, and {expected:016x} that of most others");
        self.report_damage(region_id, reason);
    }

    fn report_damage(&self, region_id: u64, reason: String) {
        if let Some(replicas) = &self.replicas {
            let _ = replicas.events.send(Event::Damaged(region_id, reason));
        }
    }
}

/// What more than half of the voters have found.
fn agreed(region: &metapb::Region, findings: &BTreeMap<u64, Finding>) -> Option<u64> {
    let voters = region.peers.iter().filter(|peer| peer.role() == metapb::PeerRole::Voter);
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for voter in voters.clone() {
        if let Some(Finding::Hash(hash)) = findings.get(&voter.id) {
            *counts.entry(*hash).or_default() += 1;
        }
    }
    let needed = voters.count() / 2 + 1;
    counts.into_iter().find(|(_, count)| *count >= needed).map(|(hash, _)| hash)
}

/// Appends a command in the term the region is served in; gives the index that its entry has.
async fn propose(lead: &Lead, region_id: u64, command: bytes::Bytes) -> Result<u64, ConsistencyError> {
    let (done, answer) = oneshot::channel();
    lead.group.propose_with(Some(lead.term), command, move |answer| drop(done.send(answer))).await;
    let answer = answer.await.unwrap_or(Err(GroupError::Unknown))?;
    match regionpb::Answer::decode(answer) {
        Ok(regionpb::Answer { refusal: None, index }) => Ok(index),
        _ => Err(ConsistencyError::Changed(region_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(voters: u64, learners: u64) -> metapb::Region {
        let peer =
            |id: u64, role: metapb::PeerRole| metapb::Peer { id, role: role.into(), ..Default::default() };
        let learners = (voters + 1..=voters + learners).map(|id| peer(id, metapb::PeerRole::Learner));
        let peers = (1..=voters).map(|id| peer(id, metapb::PeerRole::Voter)).chain(learners).collect();
        metapb::Region { peers, ..Default::default() }
    }

    fn damaged(region: &metapb::Region, findings: &[Finding]) -> Option<Vec<u64>> {
        let findings: BTreeMap<_, _> = (1..).zip(findings.iter().copied()).collect();
        let agreed = agreed(region, &findings);
        agreed.map(|_| ConsistencyReport { region_id: 1, index: 1, findings, agreed }.damaged())
    }

    #[test]
    fn a_majority_of_the_voters_is_right() {
        use Finding::{Absent, Hash, Unsettled};
        let three = region(3, 0);
        assert_eq!(damaged(&three, &[Hash(7), Hash(7), Hash(7)]), Some(vec![]));
        assert_eq!(damaged(&three, &[Hash(5), Hash(7), Hash(7)]), Some(vec![1]));
        assert_eq!(damaged(&three, &[Hash(7), Hash(7), Absent]), Some(vec![]));
        assert_eq!(damaged(&three, &[Hash(7), Hash(7), Unsettled]), Some(vec![]));
        assert_eq!(damaged(&three, &[Hash(5), Hash(7), Unsettled]), None);
        assert_eq!(damaged(&three, &[Hash(5), Hash(6), Hash(7)]), None);
        assert_eq!(damaged(&region(2, 0), &[Hash(5), Hash(6)]), None);
        assert_eq!(damaged(&region(1, 0), &[Hash(5)]), Some(vec![]));
        // Learners have no say, and may be damaged.
        assert_eq!(damaged(&region(2, 2), &[Hash(5), Hash(6), Hash(6), Hash(6)]), None);
        assert_eq!(damaged(&region(2, 2), &[Hash(5), Hash(5), Hash(6), Hash(5)]), Some(vec![3]));
    }
}
