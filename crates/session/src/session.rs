//! One session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_catalog::{DbInfo, InfoSchema, TableInfo};
use tidewater_chunk::Chunk;
use tidewater_expr::{RandomSource, SessionInfo};
use tidewater_parser::ast::ObjectName;
use tidewater_types::{Datum, ErrorCode, FieldType, SqlError, SqlMode};

use crate::batch::Batch;
use crate::database::Database;
use crate::error::{no_database, no_such_table, sql_error, unknown_database};
use crate::infile::LocalInfile;
use crate::past::Past;
use crate::prepared::{Parameter, PreparedInfo, PreparedStatements};
use crate::privileges::{Privileges, Rights};
use crate::processes::{Process, ProcessInfo};
use crate::result::{OkResult, ResultField, StatementResult, StatusFlags};
use crate::statement_end::StatementEnd;
use crate::transaction::{NextTransaction, OpenTransaction};
use crate::variables::{self, Kind, SessionVariables, VariableId};
use crate::warnings::WarningList;

/// Who a session belongs to and what its client asked for.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// From [`ProcessList::next_connection_id`](crate::ProcessList::next_connection_id); `None` takes the next.
    pub connection_id: Option<u64>,
    /// User name the client gave: with `client_host` it is `USER()`.
    pub user: String,
    /// Address of the client, without port.
    pub client_host: String,
    /// `client_host:port`, for the process list.
    pub client_address: String,
    /// The matched account as `(user, host pattern)`: `CURRENT_USER()`, and whose privileges count. `None` is the
    /// library's own session: it may do everything.
    pub account: Option<(String, String)>,
    /// Default database.
    pub database: Option<String>,
    /// `CLIENT_FOUND_ROWS`: UPDATE reports matched rows in place of changed ones.
    pub found_rows: bool,
    /// `CLIENT_LOCAL_FILES`: the client can send files.
    pub local_files: bool,
    /// `CLIENT_INTERACTIVE`: `wait_timeout` starts as `interactive_timeout`.
    pub interactive: bool,
    /// The collation id of the handshake; 0 takes the default.
    pub collation_id: u16,
    /// Connection attributes.
    pub attributes: Vec<(String, String)>,
    /// TLS protocol and cipher, when the connection has TLS.
    pub tls: Option<(String, String)>,
}

/// A session: one client's state, one statement at a time.
pub struct Session {
    pub(crate) db: Arc<Database>,
    pub(crate) process: Arc<Process>,
    pub(crate) options: SessionOptions,
    pub(crate) vars: SessionVariables,
    pub(crate) warnings: WarningList,
    pub(crate) user_vars: Arc<Mutex<BTreeMap<String, (Datum, FieldType)>>>,
    pub(crate) current_db: Option<Arc<str>>,
    pub(crate) txn: Option<OpenTransaction>,
    /// BEGIN was said: the transaction lasts until COMMIT or ROLLBACK.
    pub(crate) explicit: bool,
    pub(crate) next_transaction: NextTransaction,
    /// The time that the statement reads at, if it does not read the present.
    pub(crate) past: Option<Past>,
    pub(crate) prepared: PreparedStatements,
    /// `LAST_INSERT_ID()`.
    pub(crate) last_insert_id: u64,
    /// `ROW_COUNT()`.
    pub(crate) row_count: i64,
    pub(crate) random: RandomSource,
    /// What the information functions tell; made anew when something in it changes.
    pub(crate) session_info: Option<Arc<SessionInfo>>,
    /// A piece of the system itself: no privileges are asked.
    pub(crate) internal: bool,
}

impl Session {
    pub(crate) fn new(db: Arc<Database>, options: SessionOptions) -> Result<Self, SqlError> {
        let id = options.connection_id.unwrap_or_else(|| db.processes.next_connection_id());
        let process = db.processes.register(
            id,
            ProcessInfo {
                user: options.user.clone(),
                host: options.client_address.clone(),
                db: None,
                command: "Sleep",
                since_micros: db.options.clock.now_micros(),
                state: "autocommit",
                statement: None,
            },
        );
        let vars = SessionVariables::new(&db.variables);
        let random = RandomSource::new(db.next_seed());
        let mut session = Self {
            db,
            process,
            options,
            vars,
            warnings: WarningList::default(),
            user_vars: Arc::default(),
            current_db: None,
            txn: None,
            explicit: false,
            next_transaction: NextTransaction::default(),
            past: None,
            prepared: PreparedStatements::default(),
            last_insert_id: 0,
            row_count: -1,
            random,
            session_info: None,
            internal: false,
        };
        session.apply_options()?;
        Ok(session)
    }

    /// What the handshake asked for.
    fn apply_options(&mut self) -> Result<(), SqlError> {
        if let Some(collation) = tidewater_types::Collation::from_id(self.options.collation_id) {
            let charset = collation.charset().name();
            for name in ["character_set_client", "character_set_results", "character_set_connection"] {
                self.vars.set_known(name, charset);
            }
            self.vars.set_known("collation_connection", collation.name());
        }
        if self.options.interactive {
            let timeout = self.vars.by_name("interactive_timeout").to_owned();
            self.vars.set_known("wait_timeout", &timeout);
        }
        self.refresh_status();
        if let Some(database) = self.options.database.clone().filter(|database| !database.is_empty()) {
            self.run_use(&database)?;
        }
        Ok(())
    }

    /// Connection id.
    pub fn id(&self) -> u64 {
        self.process.id
    }

    /// This session's entry of the process list: status, kill state.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Runs the next statement of a batch; `None` when the batch is at its end. An error ends the batch.
    pub async fn next_result(&mut self, batch: &mut Batch) -> Option<Result<StatementResult, SqlError>> {
        self.next_of_batch(batch).await
    }

    /// Runs one statement.
    pub async fn execute(&mut self, sql: &str) -> Result<StatementResult, SqlError> {
        let mut batch = Batch::new(sql);
        match self.next_result(&mut batch).await {
            Some(result) => result,
            None => Err(sql_error(ErrorCode::EmptyQuery, "Query was empty")),
        }
    }

    /// Runs one statement and collects its rows; empty for statements without rows.
    pub async fn query(&mut self, sql: &str) -> Result<(Arc<[ResultField]>, Vec<Chunk>), SqlError> {
        match self.execute(sql).await? {
            StatementResult::Rows(mut rows) => {
                let mut chunks = Vec::new();
                while let Some(chunk) = rows.next().await? {
                    chunks.push(chunk);
                }
                Ok((rows.fields().clone(), chunks))
            }
            StatementResult::Ok(_) | StatementResult::LocalInfile(_) => Ok((Arc::from([]), Vec::new())),
        }
    }

    /// Prepares one statement.
    pub async fn prepare(&mut self, sql: &str) -> Result<PreparedInfo, SqlError> {
        self.prepare_text(sql).await
    }

    /// Runs a prepared statement.
    pub async fn execute_prepared(
        &mut self,
        id: u32,
        params: Vec<Parameter>,
    ) -> Result<StatementResult, SqlError> {
        self.run_prepared(id, params).await
    }

    /// Number of `?` of a prepared statement; `None` when there is no such statement.
    pub fn prepared_param_count(&self, id: u32) -> Option<usize> {
        self.prepared.by_id(id).map(|prepared| prepared.parameters)
    }

    /// Forgets a prepared statement. Cursors are the server's: it holds their `RecordSet`.
    pub fn close_prepared(&mut self, id: u32) {
        self.prepared.close(id);
    }

    /// Columns of a table, for `COM_FIELD_LIST`; `pattern` is a LIKE pattern or empty.
    pub async fn field_list(&mut self, table: &str, pattern: &str) -> Result<Vec<ResultField>, SqlError> {
        let schema = self.db.schema();
        let (database, table) = self.known_table(&schema, &ObjectName::bare(table))?;
        Ok(table
            .public_columns()
            .filter(|column| pattern.is_empty() || crate::show::like(column.name.as_str(), pattern))
            .map(|column| ResultField {
                db: database.clone(),
                table: table.name.to_string(),
                org_table: table.name.to_string(),
                name: column.name.to_string(),
                org_name: column.name.to_string(),
                field_type: column.field_type.clone(),
            })
            .collect())
    }

    /// Takes a piece of the file of a `LOAD DATA LOCAL`.
    pub async fn infile_data(&mut self, infile: &mut LocalInfile, data: Bytes) -> Result<(), SqlError> {
        self.load_feed(&mut infile.loader, &data).await
    }

    /// Ends a `LOAD DATA LOCAL`.
    pub async fn infile_finish(&mut self, infile: LocalInfile) -> Result<OkResult, SqlError> {
        let result = self.load_finish(*infile.loader).await;
        self.after_statement(result.as_ref().err());
        result
    }

    /// `COM_INIT_DB`.
    pub async fn use_database(&mut self, database: &str) -> Result<OkResult, SqlError> {
        self.run_use(database)
    }

    /// `COM_RESET_CONNECTION`: as a fresh session of the same user.
    pub async fn reset(&mut self) -> Result<OkResult, SqlError> {
        let (options, database) = (self.options.clone(), self.current_db.clone());
        self.change_user(options).await?;
        // MySQL keeps the default database, and pools count on it.
        self.process.update(|info| info.db = database.as_deref().map(str::to_owned));
        self.current_db = database;
        Ok(self.ok())
    }

    /// `COM_CHANGE_USER`, after authentication: as a fresh session of another user, under the same connection id.
    pub async fn change_user(&mut self, options: SessionOptions) -> Result<OkResult, SqlError> {
        self.rollback_open().await;
        self.db.locks.release_all(self.process.id);
        self.options = options;
        self.vars = SessionVariables::new(&self.db.variables);
        self.warnings = WarningList::default();
        self.user_vars = Arc::default();
        self.current_db = None;
        self.next_transaction = NextTransaction::default();
        self.prepared = PreparedStatements::default();
        self.last_insert_id = 0;
        self.row_count = -1;
        self.session_info = None;
        let (user, host) = (self.options.user.clone(), self.options.client_address.clone());
        self.process.update(|info| {
            info.user = user;
            info.host = host;
            info.db = None;
        });
        self.apply_options()?;
        Ok(self.ok())
    }

    /// Rolls back what is open and leaves the process list. Dropping a session does the same without waiting.
    pub async fn close(mut self) {
        self.rollback_open().await;
    }

    /// Warnings of the last statement.
    pub fn warnings_count(&self) -> u16 {
        self.warnings.count()
    }

    /// Status flags for the next OK or EOF.
    pub fn status_flags(&self) -> StatusFlags {
        self.process.status()
    }

    /// A system variable as this session sees it, as text; for the server: `max_allowed_packet`, `wait_timeout`,
    /// `net_write_timeout`, `character_set_results`.
    pub fn variable(&self, name: &str) -> Option<String> {
        variables::find(name).map(|id| self.variable_text(id))
    }

    /// `max_allowed_packet` in bytes; cheap.
    pub fn max_allowed_packet(&self) -> u64 {
        self.vars.hot.max_allowed_packet
    }

    /// How long the server waits for the next command, in seconds; cheap.
    pub fn wait_timeout_secs(&self) -> u64 {
        self.vars.hot.wait_timeout_secs
    }

    /// The value of a variable, computed ones included.
    pub(crate) fn variable_text(&self, id: VariableId) -> String {
        let definition = id.definition();
        if definition.kind == Kind::Computed {
            return match definition.name {
                "warning_count" => self.warnings.count().to_string(),
                "error_count" => self
                    .warnings
                    .list()
                    .iter()
                    .filter(|warning| warning.level == tidewater_types::WarningLevel::Error)
                    .count()
                    .to_string(),
                "last_insert_id" | "identity" => self.last_insert_id.to_string(),
                "pseudo_thread_id" => self.id().to_string(),
                "tidb_current_ts" => {
                    self.txn.as_ref().map_or(0, |open| open.txn.start_ts().into_inner()).to_string()
                }
                _ => definition.default.to_owned(),
            };
        }
        if definition.name == "timestamp" && self.vars.hot.timestamp_micros.is_none() {
            return format!("{:.6}", self.db.options.clock.now_micros() as f64 / 1e6);
        }
        if definition.scope == variables::Scope::Global {
            return self.db.variables.values().get(id).to_string();
        }
        self.vars.get(id).to_string()
    }

    /// An OK of nothing.
    pub(crate) fn ok(&self) -> OkResult {
        OkResult { status: self.status_flags(), warnings: self.warnings.count(), ..OkResult::default() }
    }

    /// Recomputes the status flags.
    pub(crate) fn refresh_status(&mut self) {
        let mut status = StatusFlags::empty();
        status.set(StatusFlags::AUTOCOMMIT, self.vars.hot.autocommit);
        status.set(StatusFlags::IN_TRANS, self.in_transaction());
        status.set(
            StatusFlags::NO_BACKSLASH_ESCAPES,
            self.vars.hot.sql_mode.contains(SqlMode::NO_BACKSLASH_ESCAPES),
        );
        status.set(
            StatusFlags::IN_TRANS_READONLY,
            self.txn.as_ref().is_some_and(|open| open.read_only) && self.in_transaction(),
        );
        self.process.status.store(status.bits(), Ordering::Relaxed);
    }

    pub(crate) fn statement_end(&self) -> StatementEnd {
        StatementEnd::new(self.process.clone(), self.warnings.clone())
    }

    /// The text of a value.
    pub(crate) fn datum_text(&self, value: &Datum) -> String {
        tidewater_table::datum_text(value, &FieldType::string())
    }

    /// What this session's account may do.
    pub(crate) fn privileges(&self) -> Privileges {
        let account = if self.internal { None } else { self.options.account.clone() };
        Privileges::new(self.db.accounts(), account)
    }

    pub(crate) fn require_admin(&self, name: &str) -> Result<(), SqlError> {
        self.privileges().check_global(Rights::SUPER, name)
    }

    pub(crate) fn require_database(&self, database: &str) -> Result<(), SqlError> {
        let privileges = self.privileges();
        if privileges.sees_database(database) { Ok(()) } else { Err(privileges.database_denied(database)) }
    }

    /// The current database's name, or 1046.
    pub(crate) fn database_name(&self, schema: Option<&str>) -> Result<String, SqlError> {
        match schema {
            Some(schema) => Ok(schema.to_owned()),
            None => self.current_db.as_deref().map(str::to_owned).ok_or_else(no_database),
        }
    }

    /// A database, or 1049.
    pub(crate) fn known_database(
        &self,
        schema: &InfoSchema,
        name: Option<&str>,
    ) -> Result<Arc<DbInfo>, SqlError> {
        let name = self.database_name(name)?;
        let database = schema.database(&name).ok_or_else(|| unknown_database(&name))?;
        self.require_database(database.name.lower())?;
        Ok(Arc::clone(database))
    }

    /// A table or view with the name of its database, or 1146.
    pub(crate) fn known_table(
        &self,
        schema: &InfoSchema,
        name: &ObjectName,
    ) -> Result<(String, Arc<TableInfo>), SqlError> {
        let database = self.database_name(name.schema.as_deref())?;
        let Some(info) = schema.database(&database) else {
            return Err(unknown_database(&database));
        };
        let table =
            schema.table(&database, &name.name).ok_or_else(|| no_such_table(&database, &name.name))?;
        let privileges = self.privileges();
        if !privileges.sees_table(info.name.lower(), table.name.lower()) {
            privileges.check_table(info.name.lower(), table.name.lower(), Rights::SELECT, "SELECT")?;
        }
        Ok((info.name.to_string(), Arc::clone(table)))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.db.processes.remove(self.process.id);
        self.db.locks.release_all(self.process.id);
    }
}
