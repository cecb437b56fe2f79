//! One session.

use std::sync::Arc;

use bytes::Bytes;
use tidewater_chunk::Chunk;
use tidewater_types::{ErrorCode, SqlError};

use crate::batch::Batch;
use crate::database::Database;
use crate::infile::LocalInfile;
use crate::prepared::{Parameter, PreparedInfo};
use crate::processes::{Process, ProcessInfo};
use crate::result::{OkResult, ResultField, StatementResult, StatusFlags};
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
    pub(crate) warnings: WarningList,
    pub(crate) options: SessionOptions,
}

impl Session {
    pub(crate) fn new(db: Arc<Database>, options: SessionOptions) -> Result<Self, SqlError> {
        let id = options.connection_id.unwrap_or_else(|| db.processes.next_connection_id());
        let process = db.processes.register(
            id,
            ProcessInfo {
                user: options.user.clone(),
                host: options.client_address.clone(),
                db: options.database.clone(),
                command: "Sleep",
                since_micros: db.options.clock.now_micros(),
                state: "autocommit",
                statement: None,
            },
        );
        Ok(Self { db, process, warnings: WarningList::default(), options })
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
        if batch.position >= batch.text.len() {
            return None;
        }
        batch.position = batch.text.len();
        Some(Err(SqlError::new(ErrorCode::UnknownError, "not there yet".to_owned())))
    }

    /// Runs one statement.
    pub async fn execute(&mut self, sql: &str) -> Result<StatementResult, SqlError> {
        let mut batch = Batch::new(sql);
        match self.next_result(&mut batch).await {
            Some(result) => result,
            None => Err(SqlError::new(ErrorCode::EmptyQuery, "Query was empty".to_owned())),
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
        let _ = sql;
        Err(SqlError::new(ErrorCode::UnknownError, "not there yet".to_owned()))
    }

    /// Runs a prepared statement.
    pub async fn execute_prepared(&mut self, id: u32, params: Vec<Parameter>) -> Result<StatementResult, SqlError> {
        let _ = (id, params);
        Err(SqlError::new(ErrorCode::UnknownError, "not there yet".to_owned()))
    }

    /// Number of `?` of a prepared statement; `None` when there is no such statement.
    pub fn prepared_param_count(&self, id: u32) -> Option<usize> {
        let _ = id;
        None
    }

    /// Forgets a prepared statement. Cursors are the server's: it holds their `RecordSet`.
    pub fn close_prepared(&mut self, id: u32) {
        let _ = id;
    }

    /// Columns of a table, for `COM_FIELD_LIST`; `pattern` is a LIKE pattern or empty.
    pub async fn field_list(&mut self, table: &str, pattern: &str) -> Result<Vec<ResultField>, SqlError> {
        let _ = (table, pattern);
        Ok(Vec::new())
    }

    /// Takes a piece of the file of a `LOAD DATA LOCAL`.
    pub async fn infile_data(&mut self, infile: &mut LocalInfile, data: Bytes) -> Result<(), SqlError> {
        let _ = (infile, data);
        Ok(())
    }

    /// Ends a `LOAD DATA LOCAL`.
    pub async fn infile_finish(&mut self, infile: LocalInfile) -> Result<OkResult, SqlError> {
        let _ = infile;
        Ok(OkResult::default())
    }

    /// `COM_INIT_DB`.
    pub async fn use_database(&mut self, database: &str) -> Result<OkResult, SqlError> {
        let _ = database;
        Ok(self.ok())
    }

    /// `COM_RESET_CONNECTION`: as a fresh session of the same user.
    pub async fn reset(&mut self) -> Result<OkResult, SqlError> {
        Ok(self.ok())
    }

    /// `COM_CHANGE_USER`, after authentication: as a fresh session of another user, under the same connection id.
    pub async fn change_user(&mut self, options: SessionOptions) -> Result<OkResult, SqlError> {
        self.options = options;
        Ok(self.ok())
    }

    /// Rolls back what is open and leaves the process list. Dropping a session does the same without waiting.
    pub async fn close(self) {}

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
        let _ = name;
        None
    }

    /// `max_allowed_packet` in bytes; cheap.
    pub fn max_allowed_packet(&self) -> u64 {
        64 << 20
    }

    /// How long the server waits for the next command, in seconds; cheap.
    pub fn wait_timeout_secs(&self) -> u64 {
        28800
    }

    fn ok(&self) -> OkResult {
        OkResult { status: self.status_flags(), ..OkResult::default() }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.db.processes.remove(self.process.id);
    }
}
