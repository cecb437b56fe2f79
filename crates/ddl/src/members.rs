//! Several SQL nodes on one cluster: who is there, whose schema is how new, and who carries out the jobs.
//!
//! F1's protocol (VLDB 2013, §4) with its leases kept in the store. Any two neighboring versions of the schema may be
//! in use side by side, never more. So a step waits until every node works with the step before:
//!
//! ```text
//!  owner   step v ──> everybody at v, or out of lease ──> step v+1 ──> everybody at v+1, ... ──> backfill ──> ...
//!  node    ... commits by v-1 │ gate closed, schema swapped │ record {v, expires} ──> commits by v ...
//! ```
//!
//! Each node keeps a *record* in the store: the version it has loaded, and a timestamp until which that counts. A node
//! looks for a new version every [`LOOK_INTERVAL`], and renews its record at least every [`RENEWAL_INTERVAL`]. Nobody tells it
//! anything: there is no connection between SQL nodes.
//!
//! # Why a late commit does no harm
//! * A commit asks the gate ([`Ddl::hold_schema`]) before each request that may commit. The gate lets it through while the
//!   lease covers the *commit window* as well, and the commit's timestamp. What the stores choose a timestamp for gets none behind
//!   the window, and what commits in two phases asks again with its final request: so by the time others may think us gone, our
//!   commits are over or will be refused, however late they arrive. Backfills read at timestamps above that. The
//!   timestamps count because the driver's clock may be ahead all at once, after a change of its leader: a lease that is young by our
//!   clock has then run out by everybody else's.
//! * The lease is counted from an instant before the record's transaction began, less a margin for clocks that do not run
//!   alike; the others count from that transaction's timestamp, by timestamps of the placement driver.
//! * The new schema is swapped in under the gate's write lock: no request sent under the old one is unanswered when
//!   the record says the new one is loaded, but for those whose sender gave up (see below).
//! * Who takes a node for gone removes its record first. A renewal under way conflicts with that. And **a renewal
//!   counts only if it found its own record**: the first one, which a waiting worker may have missed because it was
//!   not committed yet, only makes the node known; the second reads the version again, and any later step finds the record.
//!
//! # The owner
//! One node carries out jobs, and collects garbage. Its name stands under a key that all transactions of its steps and
//! batches write again (the *fence*). Somebody takes over when the owner has no record or one out of lease, by writing
//! that key and removing the record: what the old owner still has under way then conflicts. Jobs are in the store with
//! their positions, so the new owner goes on where the old one stopped.
//!
//! Beside this the record's background task looks at [`Notices`], counters of changes that other nodes should load.
//!
//! # What we leave out
//! A lease of its own for the owner (TiDB asks etcd); hints from node to node, which would save the wait of up to
//! [`LOOK_INTERVAL`] for each step; a read of one key at the newest timestamp, which costs no request to the placement driver, checks no
//! lease (the session only sees that the schema it has did not change meanwhile): a node out of touch may answer it by an old one. All other reads wait for the lease ([`Ddl::await_schema`]).
//! A commit that is given up while an answer is missing (its client is gone, say) leaves the gate at once, though its request may
//! still arrive within the commit window. Should the change be two steps further by then, the row is written by an old
//! schema. The same holds on a single node; it would take a gate that such a commit leaves only after the window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidewater_catalog::Job;
use tidewater_codec::{CommitTs, StartTs, TimeStamp};
use tidewater_txn::Transaction;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::error::DdlError;
use crate::meta::{Meta, Notices};
use crate::worker::{Ddl, SchemaGuard, begin};

/// How long a record counts.
const LEASE: Duration = Duration::from_secs(8);
/// What a node does not use of its lease: clocks of machines may run a little differently.
const LEASE_MARGIN: Duration = Duration::from_secs(1);
/// A record is written at least so often.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
/// A renewal that takes longer is begun anew.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(4);
/// How often a node looks for a new version.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How often one who waits for other nodes looks at their records.
const RECORDS_INTERVAL: Duration = Duration::from_millis(50);
/// How often the owner looks for jobs of other nodes, and these for the jobs' ends.
pub(crate) const JOBS_INTERVAL: Duration = Duration::from_millis(100);
/// How long a commit waits for the lease.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a node that leaves waits for its own commits.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// Whether other SQL nodes may work on the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// This node is the only one: no leases, nobody is waited for.
    Alone,
    /// There may be others, each of which says so, too.
    OneOfSeveral,
}

/// Where a SQL node is, and what it runs: for people, nothing follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Where MySQL clients reach it; empty if nobody has told.
    pub address: String,
    /// Where its status pages are; empty if nobody has told.
    pub status_address: String,
    /// The version it tells its clients.
    pub version: String,
    /// When it started, in microseconds since 1970; 0 if nobody has told.
    pub started_micros: i64,
}

/// What a node says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    /// The version of the schema it works with.
    version: i64,
    /// After this timestamp it commits nothing by that version, unless the record was renewed.
    expires_ts: u64,
    #[serde(default)]
    info: NodeInfo,
}

impl NodeRecord {
    fn is_expired(&self, now: u64) -> bool {
        now > self.expires_ts
    }
}

/// This node among the others.
pub(crate) struct Members {
    node: i64,
    /// Until when commits may go by the loaded schema.
    lease: watch::Sender<Lease>,
    /// A commit is beyond the lease: it should be renewed now.
    is_late: AtomicBool,
    /// The version our record tells.
    recorded: AtomicI64,
    is_owner: AtomicBool,
    notices: watch::Sender<Notices>,
    /// Held while the record is written.
    renewing: tokio::sync::Mutex<()>,
}

/// Until when commits may go by the loaded schema: by this machine's clock, so that no request is sent when others may be steps ahead; and by
/// the placement driver's, by which they decide that. That one may run ahead all at once, when its leader changes.
#[derive(Debug, Clone, Copy)]
struct Lease {
    until: Instant,
    until_ts: u64,
}

/// What a renewal found.
struct Renewed {
    /// The record was there before: see the module's essay.
    counts: bool,
    is_owner: bool,
    version: i64,
    expires_ts: u64,
    notices: Notices,
}

impl Members {
    pub(crate) fn new(node: i64) -> Self {
        Self {
            node,
            lease: watch::Sender::new(Lease { until: Instant::now(), until_ts: 0 }),
            is_late: AtomicBool::new(false),
            recorded: AtomicI64::new(-1),
            is_owner: AtomicBool::new(false),
            notices: watch::Sender::default(),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    /// The lease, if it covers a timestamp, and this span from now on.
    fn covering(&self, window: Duration, ts: TimeStamp) -> Option<Lease> {
        let lease = *self.lease.borrow();
        if ts.into_inner() > lease.until_ts {
            self.is_late.store(true, Ordering::Relaxed);
            return None;
        }
        (lease.until > Instant::now() + window).then_some(lease)
    }
}

impl Ddl {
    /// Whether the loaded schema is the one of this time, or the one before that.
    pub(crate) fn is_in_touch(&self, ts: StartTs) -> bool {
        self.members.as_ref().is_none_or(|members| ts.into_inner() <= members.lease.borrow().until_ts)
    }

    /// Whether other SQL nodes may change the schema.
    pub fn is_one_of_several(&self) -> bool {
        self.members.is_some()
    }

    /// Waits until rows as of this time may be read by the loaded schema: where there are several nodes, the lease has to reach so
    /// far, so that others are at most one version ahead. The error says that it was not renewed in time.
    pub async fn await_schema(&self, read: StartTs) -> Result<(), DdlError> {
        let Some(members) = &self.members else { return Ok(()) };
        if members.covering(Duration::ZERO, read.0).is_some() {
            return Ok(());
        }
        let mut lease = members.lease.subscribe();
        let wait = async {
            while members.covering(Duration::ZERO, read.0).is_none() {
                if lease.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        timeout(COMMIT_PATIENCE, wait).await.map_err(|_| DdlError::OutOfDate)
    }

    /// Keeps the schema as it is until the guard is dropped: for the check and the commit of a transaction, which gets a timestamp not
    /// below this one, and not above the one that is given. Where there are several nodes, waits for the lease, if it has run
    /// out; the error says that it was not renewed in time.
    pub async fn hold_schema(&self, commit: CommitTs) -> Result<(SchemaGuard, CommitTs), DdlError> {
        let Some(members) = &self.members else {
            return Ok((self.enter_gate().await, CommitTs(TimeStamp::MAX)));
        };
        let window = self.client.config().commit_window;
        let mut lease = members.lease.subscribe();
        let wait = async {
            loop {
                let guard = self.enter_gate().await;
                if let Some(lease) = members.covering(window, commit.0) {
                    return (guard, CommitTs::new(lease.until_ts));
                }
                drop(guard);
                if lease.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        timeout(COMMIT_PATIENCE, wait).await.map_err(|_| DdlError::OutOfDate)
    }

    /// Whether this node carries out the jobs, and whatever else only one node should do.
    pub fn is_owner(&self) -> bool {
        self.members.as_ref().is_none_or(|members| members.is_owner.load(Ordering::Relaxed))
    }

    /// Tells where this node is; the others can see it with the next renewal of its record.
    pub fn announce(&self, info: NodeInfo) {
        *self.info.lock() = info;
    }

    /// The SQL nodes whose lease runs, each with its id; of a node that is alone, itself with the id 0.
    pub async fn nodes(&self) -> Result<Vec<(i64, NodeInfo)>, DdlError> {
        let own = self.info.lock().clone();
        let Some(members) = &self.members else { return Ok(vec![(0, own)]) };
        let node = members.node;
        let mut known = self
            .with_meta(|meta| {
                Box::pin(async move {
                    let now = meta.now();
                    let mut nodes = meta.nodes().await?;
                    nodes.retain(|(_, record)| !record.is_expired(now));
                    Ok(nodes)
                })
            })
            .await?;
        known.sort_by_key(|(id, _)| *id);
        // What was announced a moment ago is not in our record yet.
        Ok(known
            .into_iter()
            .map(|(id, record)| (id, if id == node { own.clone() } else { record.info }))
            .collect())
    }

    /// Counters of changes that other nodes should load; `None` where there are no other nodes.
    pub fn notices(&self) -> Option<watch::Receiver<Notices>> {
        self.members.as_ref().map(|members| members.notices.subscribe())
    }

    /// Counts a notice up, if there may be others to read it.
    pub async fn notify(&self, bump: fn(&mut Notices)) -> Result<(), DdlError> {
        if self.members.is_none() {
            return Ok(());
        }
        self.with_meta(move |meta| Box::pin(meta.bump_notice(bump))).await
    }

    /// Leaves the cluster in order, so that nobody waits for this node's lease. The node must have been stopped.
    pub async fn leave(&self) {
        let Some(members) = &self.members else { return };
        members.lease.send_replace(Lease { until: Instant::now(), until_ts: 0 });
        let last_commits = async {
            let renewing = members.renewing.lock().await;
            drop(self.close_gate().await);
            renewing
        };
        // Whoever is still in a commit may need the lease.
        let Ok(_renewing) = timeout(LEAVE_PATIENCE, last_commits).await else { return };
        let node = members.node;
        let removed = self.with_meta(move |meta| {
            Box::pin(async move {
                meta.remove_node(node)?;
                if meta.owner().await? == Some(node) {
                    meta.put_owner(None)?;
                }
                Ok(())
            })
        });
        if !matches!(timeout(LEAVE_PATIENCE, removed).await, Ok(Ok(()))) {
            tracing::warn!(node, "the node's record stays until its lease ends");
        }
    }

    /// Starts to keep this node's record, if there may be others.
    pub(crate) fn spawn_membership(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        self.members.as_ref()?;
        let ddl = Arc::clone(self);
        Some(tokio::spawn(async move { ddl.keep_record().await }))
    }

    async fn keep_record(&self) {
        let Some(members) = &self.members else { return };
        let mut due = Instant::now();
        let mut stopped = self.stopped.subscribe();
        loop {
            if *stopped.borrow() {
                return;
            }
            match self.look(members, due).await {
                Ok(true) => due = Instant::now() + RENEWAL_INTERVAL,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, node = members.node, "the node's lease was not renewed"),
            }
            // A timeout is all there is to wait for, or the end.
            let _ = timeout(LOOK_INTERVAL, stopped.wait_for(|stopped| *stopped)).await;
        }
    }

    /// Looks what is new, and renews the record if it is due or tells too old a version. Gives whether it was renewed.
    async fn look(&self, members: &Members, due: Instant) -> Result<bool, DdlError> {
        let deadline = Instant::now() + RENEWAL_PATIENCE;
        let late = |_| DdlError::OutOfDate;
        if Instant::now() < due && !members.is_late.swap(false, Ordering::Relaxed) {
            let (version, notices) =
                timeout_at(deadline, self.with_meta(|meta| Box::pin(meta.news()))).await.map_err(late)??;
            members.tell(notices);
            if version <= members.recorded.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
        while !timeout_at(deadline, self.renew(members)).await.map_err(late)?? {}
        Ok(true)
    }

    /// Writes the record; gives whether it counts.
    async fn renew(&self, members: &Members) -> Result<bool, DdlError> {
        let _renewing = members.renewing.lock().await;
        if *self.stopped.borrow() {
            return Ok(true);
        }
        let begun = Instant::now();
        let mut txn = begin(&self.client).await?;
        self.load(&mut txn).await?;
        let renewed = self.write_record(members, &mut Meta::new(&mut txn)).await;
        let renewed = match renewed {
            Ok(renewed) => renewed,
            Err(error) => {
                txn.rollback().await?;
                return Err(error);
            }
        };
        txn.commit().await?;
        members.tell(renewed.notices);
        members.recorded.store(renewed.version, Ordering::Relaxed);
        if members.is_owner.swap(renewed.is_owner, Ordering::Relaxed) != renewed.is_owner {
            tracing::info!(node = members.node, is_owner = renewed.is_owner, "owner of schema changes");
        }
        if renewed.counts {
            let until = begun + LEASE - LEASE_MARGIN;
            members.lease.send_replace(Lease { until, until_ts: renewed.expires_ts });
        }
        Ok(renewed.counts)
    }

    async fn write_record(&self, members: &Members, meta: &mut Meta<'_>) -> Result<Renewed, DdlError> {
        let node = members.node;
        let counts = meta.node(node).await?.is_some();
        // At least what the transaction sees: a step of our own may have gone further.
        let version = self.schema.get().version();
        let now = TimeStamp::new(meta.now());
        let lease_ms = u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
        let expires_ts = TimeStamp::compose(now.physical_ms().saturating_add(lease_ms), 0).into_inner();
        let info = self.info.lock().clone();
        meta.put_node(node, &NodeRecord { version, expires_ts, info })?;
        let mut owner = meta.owner().await?;
        if counts && owner != Some(node) && self.is_gone(meta, owner).await? {
            if let Some(gone) = owner {
                meta.remove_node(gone)?;
            }
            owner = Some(node);
            meta.put_owner(owner)?;
        }
        let (_, notices) = meta.news().await?;
        Ok(Renewed { counts, is_owner: owner == Some(node), version, expires_ts, notices })
    }

    async fn is_gone(&self, meta: &mut Meta<'_>, node: Option<i64>) -> Result<bool, DdlError> {
        let Some(node) = node else { return Ok(true) };
        let now = meta.now();
        Ok(meta.node(node).await?.is_none_or(|record| record.is_expired(now)))
    }

    /// Makes a transaction of the owner's work conflict with a change of owners.
    pub(crate) async fn fence(&self, meta: &mut Meta<'_>) -> Result<(), DdlError> {
        let Some(members) = &self.members else { return Ok(()) };
        if meta.owner().await? != Some(members.node) {
            members.is_owner.store(false, Ordering::Relaxed);
            return Err(DdlError::NotOwner);
        }
        meta.put_owner(Some(members.node))
    }

    /// Before a step or long work: waits until every node works with the newest version.
    pub(crate) async fn settle(&self) -> Result<(), DdlError> {
        if self.members.is_none() {
            return Ok(());
        }
        self.catch_up().await?;
        self.wait_for_all(self.schema.get().version(), || self.is_owner()).await
    }

    /// Waits until a job of ours has ended, whoever carries it out, and gives it.
    pub(crate) async fn wait_for_end(&self, id: i64) -> Job {
        loop {
            sleep(JOBS_INTERVAL).await;
            let ended = self.with_meta(move |meta| Box::pin(meta.finished_job(id))).await;
            match ended {
                Ok(Some(job)) => return job,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, job = id, "the end of a schema change cannot be read"),
            }
        }
    }

    /// What an ended job did can be seen everywhere from here on.
    pub(crate) async fn wait_until_visible(&self, job: &Job) -> Result<(), DdlError> {
        if self.members.is_none() {
            return Ok(());
        }
        while let Err(error) = self.catch_up().await {
            tracing::warn!(%error, "the schema cannot be loaded");
            sleep(JOBS_INTERVAL).await;
        }
        self.wait_for_all(job.schema_version, || true).await
    }

    /// Asks for the end of a job that another node carries out.
    pub(crate) async fn cancel_elsewhere(&self, id: i64) {
        if self.members.is_none() {
            return;
        }
        let asked = self.with_meta(move |meta| {
            Box::pin(async move {
                // Of a job that is over nothing is left to be cleaned up.
                if meta.job(id).await?.is_some() { meta.put_cancellation(id) } else { Ok(()) }
            })
        });
        if let Err(error) = asked.await {
            tracing::warn!(%error, job = id, "a schema change was not cancelled");
        }
    }

    /// Loads the newest version.
    async fn catch_up(&self) -> Result<(), DdlError> {
        let mut txn = begin(&self.client).await?;
        let loaded = self.load(&mut txn).await;
        txn.rollback().await?;
        loaded
    }

    /// Loads the version that `txn` sees, if it is newer than ours, with no commit under way.
    async fn load(&self, txn: &mut Transaction) -> Result<(), DdlError> {
        if Meta::new(txn).schema_version().await? <= self.schema.get().version() {
            return Ok(());
        }
        let _gate = self.close_gate().await;
        self.refresh(txn).await
    }

    async fn wait_for_all(&self, version: i64, still: impl Fn() -> bool) -> Result<(), DdlError> {
        loop {
            if *self.stopped.borrow() {
                return Err(DdlError::Stopped);
            }
            if !still() {
                return Err(DdlError::NotOwner);
            }
            match self.count_behind(version).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the records of the nodes cannot be read"),
            }
            sleep(RECORDS_INTERVAL).await;
        }
    }

    /// Nodes that may still commit by a version before this one. Records out of lease are removed.
    async fn count_behind(&self, version: i64) -> Result<usize, DdlError> {
        let own = self.members.as_ref().map(|members| members.node);
        self.with_meta(move |meta| {
            Box::pin(async move {
                let now = meta.now();
                let mut behind = 0;
                for (node, record) in meta.nodes().await? {
                    // Our own schema was waited for before.
                    if record.version >= version || Some(node) == own {
                        continue;
                    }
                    if record.is_expired(now) {
                        meta.remove_node(node)?;
                    } else {
                        behind += 1;
                    }
                }
                Ok(behind)
            })
        })
        .await
    }
}

impl Members {
    fn tell(&self, notices: Notices) {
        self.notices.send_if_modified(|told| std::mem::replace(told, notices) != notices);
    }
}
