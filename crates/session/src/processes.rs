//! The sessions that exist now: what `SHOW PROCESSLIST` lists and `KILL` ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use parking_lot::Mutex;
use tidewater_executor::{ExecError, KillFlag};
use tidewater_txn::TxnError;
use tokio::sync::Notify;

use crate::dml::DmlError;
use crate::result::StatusFlags;

/// One session as others see it. The session, its running statement and the process list share it.
pub struct Process {
    /// The connection id, as in `CONNECTION_ID()`.
    pub id: u64,
    /// Checked by every loop over chunks of the running statement.
    pub(crate) kill_query: KillFlag,
    kill_connection: AtomicBool,
    killed: Notify,
    pub(crate) status: AtomicU16,
    pub(crate) found_rows: AtomicU64,
    info: Mutex<ProcessInfo>,
}

/// A row of the process list.
#[derive(Debug, Clone, Default)]
pub struct ProcessInfo {
    /// User name.
    pub user: String,
    /// Address of the client.
    pub host: String,
    /// Default database.
    pub db: Option<String>,
    /// `Sleep`, `Query`, `Execute`, ...
    pub command: &'static str,
    /// When the command began, microseconds since the epoch.
    pub since_micros: i64,
    /// `autocommit`, `in transaction` or empty.
    pub state: &'static str,
    /// The running statement.
    pub statement: Option<Arc<str>>,
}

impl Process {
    /// Ends the running statement with error 1317.
    pub fn kill_query(&self) {
        self.kill_query.kill_query();
        self.killed.notify_waiters();
    }

    /// Ends the running statement and the connection.
    pub fn kill_connection(&self) {
        self.kill_connection.store(true, Ordering::SeqCst);
        self.kill_query();
        self.killed.notify_one();
    }

    /// Waits for locks, but not beyond a KILL. Work that is dropped half-way has to leave nothing behind.
    pub(crate) async fn unless_killed<T>(
        &self,
        work: impl Future<Output = Result<T, TxnError>>,
    ) -> Result<T, DmlError> {
        tokio::select! {
            biased;
            done = Box::pin(work) => Ok(done?),
            () = self.query_killed() => Err(ExecError::Killed.into()),
        }
    }

    /// Ready when the running statement was killed.
    pub(crate) async fn query_killed(&self) {
        loop {
            let mut notified = std::pin::pin!(self.killed.notified());
            // Listen first, then look: a KILL in between is not missed.
            notified.as_mut().enable();
            if self.kill_query.check().is_err() {
                return;
            }
            notified.await;
        }
    }

    /// Whether the connection was killed; the server closes it then.
    pub fn is_connection_killed(&self) -> bool {
        self.kill_connection.load(Ordering::SeqCst)
    }

    /// Ready when the connection was killed; for the server's wait on the next command.
    pub async fn connection_killed(&self) {
        loop {
            let notified = self.killed.notified();
            if self.is_connection_killed() {
                return;
            }
            notified.await;
        }
    }

    /// A copy of what the process list shows.
    pub fn info(&self) -> ProcessInfo {
        self.info.lock().clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut ProcessInfo)) {
        change(&mut self.info.lock());
    }

    pub(crate) fn status(&self) -> StatusFlags {
        StatusFlags::from_bits_truncate(self.status.load(Ordering::Relaxed))
    }
}

/// All sessions, by connection id.
#[derive(Default)]
pub struct ProcessList {
    processes: Mutex<BTreeMap<u64, Arc<Process>>>,
    next_id: AtomicU64,
}

/// What `KILL` is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillTarget {
    /// `KILL QUERY id`.
    Query,
    /// `KILL [CONNECTION] id`.
    Connection,
}

impl ProcessList {
    /// A fresh connection id; the server needs it in the handshake, before a session exists.
    pub fn next_connection_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn register(&self, id: u64, info: ProcessInfo) -> Arc<Process> {
        let process = Arc::new(Process {
            id,
            kill_query: KillFlag::default(),
            kill_connection: AtomicBool::new(false),
            killed: Notify::new(),
            status: AtomicU16::new(StatusFlags::AUTOCOMMIT.bits()),
            found_rows: AtomicU64::new(0),
            info: Mutex::new(info),
        });
        self.processes.lock().insert(id, process.clone());
        process
    }

    pub(crate) fn remove(&self, id: u64) {
        self.processes.lock().remove(&id);
    }

    /// The process of a connection.
    pub fn get(&self, id: u64) -> Option<Arc<Process>> {
        self.processes.lock().get(&id).cloned()
    }

    /// All processes in order of their ids.
    pub fn list(&self) -> Vec<Arc<Process>> {
        self.processes.lock().values().cloned().collect()
    }

    /// Number of sessions.
    pub fn count(&self) -> usize {
        self.processes.lock().len()
    }

    /// Kills; `false` when there is no such connection.
    pub fn kill(&self, id: u64, target: KillTarget) -> bool {
        let Some(process) = self.get(id) else { return false };
        match target {
            KillTarget::Query => process.kill_query(),
            KillTarget::Connection => process.kill_connection(),
        }
        true
    }
}
