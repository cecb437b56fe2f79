//! The queue of schema changes and the worker that carries them out.
//!
//! A job makes one step per schema version (F1, VLDB 2013). On this node a step and the commits of transactions shut
//! each other out through the *gate*: a commit holds it shared while it checks that the tables it wrote are still as
//! it saw them, a step holds it alone while it commits and swaps the snapshot. So at any moment all commits go by one
//! schema version. Between steps the worker waits for the other nodes of the cluster, if there may be any (`members`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tidewater_catalog::{InfoSchema, InfoSchemaBuilder, Job, JobState};
use tidewater_codec::StartTs;
use tidewater_table::AutoIds;
use tidewater_txn::{Remedy, Transaction, TxnClient, TxnError, TxnKind, TxnOptions};
use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock, RwLockWriteGuard, oneshot};
use tokio::task::JoinHandle;

use crate::error::{DdlError, job_failure};
use crate::members::{JOBS_INTERVAL, Members, Membership, NodeInfo};
use crate::meta::{Meta, SchemaDiff};
use crate::schema::SchemaCache;
use crate::steps;

/// Tries of a transaction of ours that met another.
const TRIES_MAX: usize = 32;
/// Storage failures of one job before it is given up.
const FAILURES_MAX: u32 = 32;

/// The schema of a node and the way to change it.
pub struct Ddl {
    pub(crate) client: Arc<TxnClient>,
    pub(crate) schema: SchemaCache,
    pub(crate) auto_ids: Arc<AutoIds>,
    /// This node among others; `None` if it is alone.
    pub(crate) members: Option<Members>,
    /// Where this node is, for people.
    pub(crate) info: Mutex<NodeInfo>,
    gate: Arc<RwLock<()>>,
    wake: Notify,
    waiting: Mutex<HashMap<i64, oneshot::Sender<Job>>>,
    /// Flags of jobs; one that is up ends its job's long work, with all it did taken back.
    cancellations: Mutex<HashMap<i64, Arc<AtomicBool>>>,
    pub(crate) stopped: tokio::sync::watch::Sender<bool>,
}

/// Held by a commit: the schema does not change meanwhile.
pub struct SchemaGuard(#[expect(dead_code, reason = "held, not read")] OwnedRwLockReadGuard<()>);

/// What a step left to do.
pub(crate) enum Outcome {
    /// Make the next step.
    Next,
    /// Do work outside of any step, then make the next step.
    Work(Work),
    /// The job is over.
    Finished,
}

/// Long work of a job.
pub(crate) enum Work {
    /// Give every row its entry in the index with this id.
    BackfillIndex(tidewater_codec::IndexId),
    /// Write every row anew, with the column with this id.
    RewriteRows,
}

/// What a step changed.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) diff: SchemaDiff,
    pub(crate) outcome: Option<Outcome>,
    /// Counters to be forgotten.
    pub(crate) forget_counters: Vec<tidewater_codec::TableId>,
}

impl Ddl {
    /// Loads the schema. The worker is started apart, by [`Ddl::spawn`].
    pub async fn open(
        client: Arc<TxnClient>,
        auto_ids: Arc<AutoIds>,
        membership: Membership,
        extend: fn(&mut InfoSchemaBuilder),
    ) -> Result<Arc<Self>, DdlError> {
        let mut txn = begin(&client).await?;
        let schema = SchemaCache::load(&mut txn, extend).await?;
        txn.rollback().await?;
        let mut ddl = Self {
            client,
            schema,
            auto_ids,
            members: None,
            info: Mutex::default(),
            gate: Arc::default(),
            wake: Notify::new(),
            waiting: Mutex::default(),
            cancellations: Mutex::default(),
            stopped: tokio::sync::watch::Sender::new(false),
        };
        if membership == Membership::OneOfSeveral {
            ddl.members = Some(Members::new(ddl.take_ids(1).await?));
        }
        Ok(Arc::new(ddl))
    }

    /// The newest snapshot of the schema.
    pub fn schema(&self) -> Arc<InfoSchema> {
        self.schema.get()
    }

    /// The schema as of a time in the past: the one that statements went by on this node, or, if that is not kept any more, what
    /// is stored as of then.
    pub async fn schema_at(&self, ts: StartTs) -> Result<Arc<InfoSchema>, DdlError> {
        // Out of touch we do not know what has become of the schema since.
        if self.is_in_touch(ts)
            && let Some(schema) = self.schema.at(ts)
        {
            return Ok(schema);
        }
        let options = TxnOptions { kind: TxnKind::Optimistic, start_ts: Some(ts), ..TxnOptions::default() };
        let mut txn = self.client.begin(options).await?;
        let schema = self.schema.load_past(&mut txn).await;
        txn.rollback().await?;
        schema
    }

    /// Waits until no step is under way, and lets none begin.
    pub(crate) async fn enter_gate(&self) -> SchemaGuard {
        SchemaGuard(self.gate.clone().read_owned().await)
    }

    /// Waits until no commit is under way, and lets none begin.
    pub(crate) async fn close_gate(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().await
    }

    /// Starts the worker on the current runtime.
    pub fn spawn(self: &Arc<Self>) -> JoinHandle<()> {
        drop(self.spawn_membership());
        let ddl = Arc::clone(self);
        tokio::spawn(async move { ddl.work().await })
    }

    /// Stops the worker after its current step. Jobs go on at the next start.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
        self.wake.notify_one();
    }

    /// Whether the node is on its way out.
    pub fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Queues a job and waits for its end.
    pub async fn run(&self, job: Job) -> Result<Job, DdlError> {
        self.run_unless(job, std::future::pending()).await
    }

    /// Queues a job and waits for its end. Once `cancelled` is ready, long work ends at the next batch and is taken
    /// back; steps that are short, or that cannot be taken back, are carried out all the same.
    pub async fn run_unless(
        &self,
        mut job: Job,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Job, DdlError> {
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        let mut tries = 0;
        let id = loop {
            match self.enqueue(&mut job, &mut sender).await {
                Ok(id) => break id,
                Err(DdlError::Txn(error)) if may_retry(&error) && tries < TRIES_MAX => {
                    tries += 1;
                    sender = self.waiting.lock().remove(&job.id);
                }
                Err(error) => {
                    self.waiting.lock().remove(&job.id);
                    return Err(error);
                }
            }
        };
        self.wake.notify_one();
        let mut stopped = self.stopped.subscribe();
        let ended = async {
            let mut ended = std::pin::pin!(self.end_of(id, receiver));
            tokio::select! {
                biased;
                job = &mut ended => return job,
                () = cancelled => {}
            }
            self.cancellation(id).store(true, Ordering::Relaxed);
            self.cancel_elsewhere(id).await;
            let job = ended.await;
            self.cancellations.lock().remove(&id);
            job
        };
        let job = tokio::select! {
            biased;
            job = ended => job?,
            _ = stopped.wait_for(|stopped| *stopped) => {
                self.waiting.lock().remove(&id);
                return Err(DdlError::Stopped);
            }
        };
        self.wait_until_visible(&job).await?;
        match &job.error {
            Some(error) => Err(job_failure(error)),
            None => Ok(job),
        }
    }

    /// The job, once it is over; the worker of this node or, where there are others, the history tells.
    async fn end_of(&self, id: i64, receiver: oneshot::Receiver<Job>) -> Result<Job, DdlError> {
        let told = async { receiver.await.map_err(|_| DdlError::Stopped) };
        if self.members.is_none() {
            return told.await;
        }
        let job = tokio::select! {
            biased;
            job = told => job?,
            job = self.wait_for_end(id) => job,
        };
        self.waiting.lock().remove(&id);
        Ok(job)
    }

    /// The flag of a job, for its long work.
    pub(crate) fn cancellation(&self, job: i64) -> Arc<AtomicBool> {
        self.cancellations.lock().entry(job).or_default().clone()
    }

    async fn enqueue(
        &self,
        job: &mut Job,
        sender: &mut Option<oneshot::Sender<Job>>,
    ) -> Result<i64, DdlError> {
        let mut txn = begin(&self.client).await?;
        let mut meta = Meta::new(&mut txn);
        job.id = meta.take_ids(1).await?;
        job.start_ts = meta.now();
        meta.put_job(job)?;
        // Before the commit, so that the worker cannot finish the job unheard.
        if let Some(sender) = sender.take() {
            self.waiting.lock().insert(job.id, sender);
        }
        txn.commit().await?;
        Ok(job.id)
    }

    /// Takes ids for new objects.
    pub async fn take_ids(&self, count: usize) -> Result<i64, DdlError> {
        self.with_meta(move |meta| Box::pin(meta.take_ids(count as i64))).await
    }

    /// Runs a piece of metadata work in a transaction of its own, again if it meets another.
    pub async fn with_meta<T>(
        &self,
        work: impl for<'a, 'b> Fn(&'a mut Meta<'b>) -> BoxFuture<'a, Result<T, DdlError>> + Send + Sync,
    ) -> Result<T, DdlError> {
        let mut tries = 0;
        loop {
            let mut txn = begin(&self.client).await?;
            let result = work(&mut Meta::new(&mut txn)).await?;
            if txn.is_readonly() {
                txn.rollback().await?;
                return Ok(result);
            }
            match txn.commit().await {
                Ok(_) => return Ok(result),
                Err(error) if may_retry(&error) && tries < TRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The waiting and running jobs, and the last of the history, the newest first.
    pub async fn jobs(&self, history: usize) -> Result<Vec<Job>, DdlError> {
        self.with_meta(move |meta| {
            Box::pin(async move {
                let mut jobs = meta.jobs().await?;
                jobs.reverse();
                jobs.extend(meta.history(history).await?);
                Ok(jobs)
            })
        })
        .await
    }

    async fn work(&self) {
        loop {
            if *self.stopped.borrow() {
                return;
            }
            if !self.is_owner() {
                self.wait_for_jobs().await;
                continue;
            }
            match self.first_job().await {
                Ok(Some(job)) => self.carry_out(job).await,
                Ok(None) => self.wait_for_jobs().await,
                Err(error) => {
                    tracing::warn!(%error, "the queue of schema changes cannot be read");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn wait_for_jobs(&self) {
        match self.members {
            None => self.wake.notified().await,
            // Other nodes queue jobs without telling us.
            Some(_) => drop(tokio::time::timeout(JOBS_INTERVAL, self.wake.notified()).await),
        }
    }

    async fn first_job(&self) -> Result<Option<Job>, DdlError> {
        self.with_meta(|meta| Box::pin(async move { Ok(meta.jobs().await?.into_iter().next()) })).await
    }

    async fn carry_out(&self, mut job: Job) {
        while !job.state.is_final() {
            if *self.stopped.borrow() {
                return;
            }
            let error = match self.step(&mut job).await {
                Err(DdlError::NotOwner | DdlError::Stopped) => return,
                Ok(Outcome::Finished) => break,
                Ok(Outcome::Next) => continue,
                Ok(Outcome::Work(work)) => match self.long_work(&mut job, &work).await {
                    Ok(()) => continue,
                    Err(DdlError::NotOwner | DdlError::Stopped) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            match error.final_error() {
                Some(failure) => {
                    let mut failed = job.clone();
                    failed.error = Some(failure);
                    failed.state = JobState::Rollingback;
                    job = failed;
                }
                None => {
                    job.error_count += 1;
                    tracing::warn!(%error, job = job.id, "a schema change failed and is tried again");
                    if matches!(error, DdlError::Txn(TxnError::Undetermined { .. })) {
                        self.read_again(&mut job).await;
                    }
                    if job.error_count > FAILURES_MAX {
                        job.error =
                            Some(tidewater_catalog::JobError { code: 1105, message: error.to_string() });
                        job.state = JobState::Rollingback;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
        self.cancellations.lock().remove(&job.id);
        if let Some(sender) = self.waiting.lock().remove(&job.id) {
            // Nobody may be waiting any more.
            let _ = sender.send(job);
        }
    }

    /// Nobody knows whether the last step happened, except the store.
    async fn read_again(&self, job: &mut Job) {
        let id = job.id;
        let stored = self.with_meta(move |meta| {
            Box::pin(async move {
                match meta.job(id).await? {
                    Some(job) => Ok(Some(job)),
                    None => meta.finished_job(id).await,
                }
            })
        });
        if let Ok(Some(stored)) = stored.await {
            *job = Job { error_count: job.error_count, ..stored };
        }
    }

    async fn long_work(&self, job: &mut Job, work: &Work) -> Result<(), DdlError> {
        self.settle().await?;
        match work {
            Work::BackfillIndex(index) => crate::backfill::index(self, job, *index).await,
            Work::RewriteRows => crate::backfill::rows(self, job).await,
        }
    }

    /// One step: the change, the new version, the job's state and the new snapshot, all under the gate.
    async fn step(&self, job: &mut Job) -> Result<Outcome, DdlError> {
        self.settle().await?;
        let _gate = self.gate.write().await;
        let mut tries = 0;
        loop {
            let mut txn = begin(&self.client).await?;
            let mut changed = job.clone();
            let result = self.apply(&mut txn, &mut changed).await;
            let changes = match result {
                Ok(changes) => changes,
                Err(error) => {
                    txn.rollback().await?;
                    return Err(error);
                }
            };
            match txn.commit().await {
                Ok(_) => {
                    *job = changed;
                    for table in changes.forget_counters {
                        self.auto_ids.forget(table);
                    }
                    let mut txn = begin(&self.client).await?;
                    self.refresh(&mut txn).await?;
                    txn.rollback().await?;
                    return Ok(changes.outcome.unwrap_or(Outcome::Next));
                }
                Err(error) if may_retry(&error) && tries < TRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Loads what `txn` sees of the schema. The gate is closed.
    pub(crate) async fn refresh(&self, txn: &mut Transaction) -> Result<(), DdlError> {
        let changed = self.schema.refresh(txn).await?;
        if self.members.is_some() {
            // Another node may have given a table new numbers, or moved its counters.
            changed.into_iter().for_each(|table| self.auto_ids.forget(table));
        }
        Ok(())
    }

    /// Whether a batch of long work should go on; to be asked in its transaction.
    pub(crate) async fn check_work(&self, meta: &mut Meta<'_>, job: i64) -> Result<(), DdlError> {
        self.fence(meta).await?;
        if self.members.is_some() && meta.is_cancelled(job).await? {
            return Err(DdlError::Cancelled);
        }
        Ok(())
    }

    async fn apply(&self, txn: &mut Transaction, job: &mut Job) -> Result<Changes, DdlError> {
        let mut meta = Meta::new(txn);
        self.fence(&mut meta).await?;
        let schema = self.schema.get();
        let mut changes = if job.state == JobState::Rollingback {
            steps::roll_back(&mut meta, job).await?
        } else {
            job.state = JobState::Running;
            steps::apply(&mut meta, &schema, job).await?
        };
        if !changes.diff.databases.is_empty() || !changes.diff.tables.is_empty() {
            job.schema_version = meta.bump(std::mem::take(&mut changes.diff)).await?;
        }
        match &changes.outcome {
            Some(Outcome::Finished) => {
                job.finish_ts = meta.now();
                job.state = if job.error.is_some() { JobState::RollbackDone } else { JobState::Synced };
                meta.finish_job(job)?;
            }
            Some(Outcome::Next | Outcome::Work(_)) | None => meta.put_job(job)?,
        }
        Ok(changes)
    }
}

/// An optimistic transaction. It writes little, and who drops a table makes room: a full disk does not stop it.
pub(crate) async fn begin(client: &TxnClient) -> Result<Transaction, TxnError> {
    let mut txn = client.begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() }).await?;
    txn.commit_on_full_disk();
    Ok(txn)
}

/// Begins a transaction of long work, whose waits end with the job's cancellation.
pub(crate) async fn begin_unless(
    client: &TxnClient,
    cancelled: &Arc<AtomicBool>,
) -> Result<Transaction, TxnError> {
    let interrupt = Some(Arc::clone(cancelled));
    client.begin(TxnOptions { kind: TxnKind::Optimistic, interrupt, ..TxnOptions::default() }).await
}

/// Whether a transaction of ours may simply be run again.
pub(crate) fn may_retry(error: &TxnError) -> bool {
    matches!(error.remedy(), Remedy::RestartTransaction | Remedy::RetryStatement)
}
