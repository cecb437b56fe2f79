//! What all sessions of one SQL node share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tidewater_catalog::InfoSchema;
use tidewater_ddl::{Ddl, Membership};
use tidewater_distsql::{ResultCache, StoreProtocol};
use tidewater_executor::MemoryTracker;
use tidewater_expr::{NamedLocks, Sleeper};
use tidewater_table::AutoIds;
use tidewater_txn::TxnClient;
use tidewater_types::SqlError;
use tidewater_types::clock::WallClock;
use tokio::runtime::Handle;

use crate::auth::AuthInfo;
use crate::error::from_ddl;
use crate::privileges::Accounts;
use crate::processes::ProcessList;
use crate::session::{Session, SessionOptions};
use crate::statistics::StatsCache;
use crate::variables::GlobalVariables;

/// How new tables are cut into regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TableSplit {
    /// A table begins in the region that holds its keys already.
    #[default]
    Never,
    /// A table begins in a region of its own, which may be moved to another store.
    Apart,
    /// Into many, each with a few rows: for tests.
    Tiny,
}

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
    /// How new tables are cut into regions.
    pub split_tables: TableSplit,
    /// Runs the garbage collection worker.
    pub gc: bool,
    /// How one speaks to the stores; the default is for ours.
    pub protocol: StoreProtocol,
    /// Where answers of the stores are kept; `None`: in a cache of the usual limits.
    pub result_cache: Option<Arc<ResultCache>>,
    /// Other SQL nodes may work on the same cluster; all of them must say so. Schema changes then wait for all nodes.
    pub several_nodes: bool,
    /// How `SLEEP()` waits; `None`: not at all.
    pub sleeper: Option<Arc<dyn Sleeper>>,
}

/// Everything sessions share: catalog, statistics, global variables, accounts, the process list.
pub struct Database {
    pub(crate) options: DatabaseOptions,
    pub(crate) processes: ProcessList,
    pub(crate) variables: GlobalVariables,
    pub(crate) memory: MemoryTracker,
    /// The locks of GET_LOCK().
    pub(crate) locks: Arc<NamedLocks>,
    /// Answers of stores that may be given again.
    pub(crate) results: Arc<ResultCache>,
    ddl: Arc<Ddl>,
    auto_ids: Arc<AutoIds>,
    accounts: ArcSwap<Accounts>,
    stats: Arc<StatsCache>,
    status: Mutex<BTreeMap<&'static str, u64>>,
    /// Statements so far; apart from the others, because every statement counts.
    questions: AtomicU64,
    seeds: AtomicU64,
    started_micros: i64,
}

impl Database {
    /// Opens the database behind a transactional client. The first time the system schema is made.
    pub async fn open(options: DatabaseOptions) -> Result<Arc<Self>, SqlError> {
        let client = options.txn.clone();
        let auto_ids = Arc::new(AutoIds::new(Arc::clone(&client)));
        let membership = if options.several_nodes { Membership::OneOfSeveral } else { Membership::Alone };
        let ddl = Ddl::open(client, Arc::clone(&auto_ids), membership, crate::infoschema::add_to)
            .await
            .map_err(from_ddl)?;
        let database = Arc::new(Self {
            processes: ProcessList::default(),
            variables: GlobalVariables::new(&options.server_version),
            memory: MemoryTracker::unlimited("server"),
            locks: Arc::default(),
            results: options.result_cache.clone().unwrap_or_default(),
            ddl,
            auto_ids,
            accounts: ArcSwap::from_pointee(Accounts::default()),
            stats: Arc::default(),
            status: Mutex::default(),
            questions: AtomicU64::new(0),
            seeds: AtomicU64::new(options.seed),
            started_micros: options.clock.now_micros(),
            options,
        });
        if let Err(error) = database.start().await {
            // Other nodes need not wait for one that never was.
            database.close().await;
            return Err(error);
        }
        Ok(database)
    }

    async fn start(self: &Arc<Self>) -> Result<(), SqlError> {
        drop(self.ddl.spawn());
        crate::bootstrap::run(self).await?;
        self.load_global_variables().await?;
        self.reload_accounts().await?;
        self.load_statistics().await?;
        crate::notices::spawn(self);
        if self.options.gc {
            crate::gc::spawn(self);
        }
        Ok(())
    }

    /// A session for a client that has proved who it is.
    pub fn session(self: &Arc<Self>, options: SessionOptions) -> Result<Session, SqlError> {
        Session::new(self.clone(), options)
    }

    /// A session of the system itself: nobody's rights, everything allowed.
    pub(crate) fn internal_session(self: &Arc<Self>) -> Result<Session, SqlError> {
        let mut session =
            self.session(SessionOptions { user: "system".to_owned(), ..SessionOptions::default() })?;
        session.internal = true;
        self.processes.remove(session.id());
        Ok(session)
    }

    /// The account for a user name and a client address (`127.0.0.1`, `localhost`), the most specific host first.
    pub fn lookup_user(&self, user: &str, client_host: &str) -> Option<AuthInfo> {
        self.accounts.load().matching(user, client_host).map(|account| AuthInfo {
            user: account.user.clone(),
            host: account.host.clone(),
            plugin: account.plugin.clone(),
            auth_string: account.auth_string.clone(),
            locked: account.locked,
            require_tls: account.require_tls,
        })
    }

    /// The running sessions.
    pub fn processes(&self) -> &ProcessList {
        &self.processes
    }

    /// A global system variable's value.
    pub fn global_variable(&self, name: &str) -> Option<String> {
        let id = crate::variables::find(name)?;
        Some(self.variables.values().get(id).to_string())
    }

    /// `@@version`.
    pub fn server_version(&self) -> &str {
        &self.options.server_version
    }

    /// Adds to a counter that `SHOW STATUS` lists, such as `Bytes_sent` or `Aborted_clients`; the server counts these.
    pub fn count_status(&self, name: &'static str, by: u64) {
        *self.status.lock().entry(name).or_default() += by;
    }

    /// How long the database has been open.
    pub fn uptime_secs(&self) -> u64 {
        u64::try_from((self.options.clock.now_micros() - self.started_micros) / 1_000_000).unwrap_or(0)
    }

    pub(crate) fn started_micros(&self) -> i64 {
        self.started_micros
    }

    /// Statements run so far.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    pub(crate) fn count_question(&self) {
        self.questions.fetch_add(1, Ordering::Relaxed);
    }

    /// Stops the background workers and kills all sessions. The store is closed by who opened it.
    pub async fn close(&self) {
        for process in self.processes.list() {
            process.kill_connection();
        }
        self.ddl.stop();
        self.auto_ids.give_back().await;
        self.ddl.leave().await;
    }

    pub(crate) fn client(&self) -> &TxnClient {
        &self.options.txn
    }

    pub(crate) fn ddl(&self) -> &Arc<Ddl> {
        &self.ddl
    }

    pub(crate) fn auto_ids(&self) -> &Arc<AutoIds> {
        &self.auto_ids
    }

    pub(crate) fn schema(&self) -> Arc<InfoSchema> {
        self.ddl.schema()
    }

    pub(crate) fn stats(&self) -> Arc<StatsCache> {
        Arc::clone(&self.stats)
    }

    pub(crate) fn accounts(&self) -> Arc<Accounts> {
        self.accounts.load_full()
    }

    pub(crate) fn set_accounts(&self, accounts: Accounts) {
        self.accounts.store(Arc::new(accounts));
    }

    /// A seed that no other session has.
    pub(crate) fn next_seed(&self) -> u64 {
        self.seeds.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }

    /// Keeps a global variable over restarts.
    pub(crate) async fn persist_global_variable(&self, name: &str, value: &str) -> Result<(), SqlError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.ddl
            .with_meta(move |meta| {
                let (name, value) = (name.clone(), value.clone());
                Box::pin(async move {
                    meta.bump_notice(|notices| notices.variables += 1).await?;
                    meta.put_global_variable(&name, &value)
                })
            })
            .await
            .map_err(from_ddl)
    }

    /// Reads the global variables that were set.
    pub(crate) async fn load_global_variables(&self) -> Result<(), SqlError> {
        let stored = self
            .ddl
            .with_meta(|meta| Box::pin(async move { meta.global_variables().await }))
            .await
            .map_err(from_ddl)?;
        for (name, value) in stored {
            if let Some(id) = crate::variables::find(&name) {
                self.variables.set(id, &value);
            }
        }
        Ok(())
    }

    /// The lines of SHOW STATUS that are the same for all sessions.
    pub(crate) fn status_lines(&self) -> Vec<(String, String)> {
        let mut lines: BTreeMap<String, String> = [
            ("Aborted_clients", 0),
            ("Aborted_connects", 0),
            ("Bytes_received", 0),
            ("Bytes_sent", 0),
            ("Com_select", 0),
            ("Connections", 0),
            ("Max_used_connections", 0),
            ("Open_tables", 0),
            ("Questions", 0),
            ("Slow_queries", 0),
            ("Threads_cached", 0),
            ("Threads_created", 0),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect();
        for (name, value) in self.status.lock().iter() {
            lines.insert((*name).to_owned(), value.to_string());
        }
        lines.insert("Questions".to_owned(), self.questions().to_string());
        let sessions = self.processes.count().to_string();
        lines.insert("Threads_connected".to_owned(), sessions.clone());
        lines.insert("Threads_running".to_owned(), sessions);
        lines.insert("Uptime".to_owned(), self.uptime_secs().to_string());
        lines.insert("ddl_schema_version".to_owned(), self.schema().version().to_string());
        lines.into_iter().collect()
    }
}
