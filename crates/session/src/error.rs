//! The one mapping from our errors to MySQL's numbers. No `_` arm: a new variant has to choose its number.

use tidewater_ddl::DdlError;
use tidewater_executor::ExecError;
use tidewater_expr::ExprError;
use tidewater_planner::PlanError;
use tidewater_table::TableError;
use tidewater_txn::{Pause, TxnError};
use tidewater_types::{ErrorCode, SqlError};

/// An error with MySQL's number.
pub(crate) fn sql_error(code: ErrorCode, message: impl Into<String>) -> SqlError {
    SqlError::new(code, message)
}

/// An error with one of TiDB's numbers, which MySQL does not have.
pub(crate) fn tidb_error(code: u16, message: impl Into<String>) -> SqlError {
    SqlError { code, sqlstate: *b"HY000", message: message.into() }
}

/// 1235.
pub(crate) fn unsupported(what: &str) -> SqlError {
    sql_error(ErrorCode::NotSupportedYet, format!("This version of Tidewater doesn't yet support '{what}'"))
}

/// 1347.
pub(crate) fn wrong_object(message: String) -> SqlError {
    SqlError { code: 1347, sqlstate: *b"HY000", message }
}

/// 1049.
pub(crate) fn unknown_database(name: &str) -> SqlError {
    sql_error(ErrorCode::BadDbError, format!("Unknown database '{name}'"))
}

/// 1046.
pub(crate) fn no_database() -> SqlError {
    sql_error(ErrorCode::NoDbError, "No database selected")
}

/// 1146.
pub(crate) fn no_such_table(database: &str, table: &str) -> SqlError {
    sql_error(ErrorCode::NoSuchTable, format!("Table '{database}.{table}' doesn't exist"))
}

pub(crate) fn from_exec(error: ExecError) -> SqlError {
    match error {
        ExecError::Sql(error) => error,
        ExecError::Expr(error) => from_expr(&error),
        ExecError::QuotaExceeded { .. } => tidb_error(8175, error.to_string()),
        ExecError::Killed => sql_error(ErrorCode::QueryInterrupted, "Query execution was interrupted"),
        ExecError::TimedOut => sql_error(
            ErrorCode::QueryTimeout,
            "Query execution was interrupted, maximum statement execution time exceeded",
        ),
        ExecError::MoreThanOneRow => sql_error(ErrorCode::SubqueryNo1Row, "Subquery returns more than 1 row"),
        ExecError::Arrow(_) | ExecError::Chunk(_) | ExecError::InvalidPlan { .. } => {
            sql_error(ErrorCode::UnknownError, error.to_string())
        }
        ExecError::Storage(source) => from_storage(source),
    }
}

/// The operators carry errors of the crates below as boxes.
fn from_storage(source: Box<dyn std::error::Error + Send + Sync>) -> SqlError {
    let source = match source.downcast::<TxnError>() {
        Ok(error) => return from_txn(&error),
        Err(source) => source,
    };
    let source = match source.downcast::<SqlError>() {
        Ok(error) => return *error,
        Err(source) => source,
    };
    match source.downcast::<PlanError>() {
        Ok(error) => from_plan(&error),
        Err(source) => {
            // An error of a reader wraps the transaction's.
            let mut cause: Option<&(dyn std::error::Error + 'static)> = source.source();
            while let Some(error) = cause {
                if let Some(error) = error.downcast_ref::<TxnError>() {
                    return from_txn(error);
                }
                cause = error.source();
            }
            sql_error(ErrorCode::UnknownError, source.to_string())
        }
    }
}

pub(crate) fn from_expr(error: &ExprError) -> SqlError {
    error.to_sql_error()
}

pub(crate) fn from_plan(error: &PlanError) -> SqlError {
    error.to_sql_error()
}

pub(crate) fn from_txn(error: &TxnError) -> SqlError {
    match error {
        TxnError::WriteConflict { start, conflict_start, conflict_commit, key, .. } => tidb_error(
            9007,
            format!(
                "Write conflict, txnStartTS={start}, conflictStartTS={conflict_start}, \
                 conflictCommitTS={conflict_commit}, key={key} [try again later]"
            ),
        ),
        TxnError::KeyExists { key } => {
            sql_error(ErrorCode::DupEntry, format!("Duplicate entry '{key}' for key 'PRIMARY'"))
        }
        TxnError::Deadlock { .. } => sql_error(
            ErrorCode::LockDeadlock,
            "Deadlock found when trying to get lock; try restarting transaction",
        ),
        TxnError::LockWaitTimeout { .. } => {
            sql_error(ErrorCode::LockWaitTimeout, "Lock wait timeout exceeded; try restarting transaction")
        }
        TxnError::LockNotAvailable { .. } => sql_error(
            ErrorCode::LockNowait,
            "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set.",
        ),
        TxnError::LockNotResolved { .. } => tidb_error(9004, format!("Resolve lock timeout: {error}")),
        TxnError::AssertionFailed { .. } => tidb_error(8141, error.to_string()),
        TxnError::RolledBack { .. } => {
            tidb_error(8022, format!("Error: KV error safe to retry {error} [try again later]"))
        }
        TxnError::Undetermined { .. } => tidb_error(8501, "execution result undetermined"),
        TxnError::CommitRefused { reason } => tidb_error(8028, reason.clone()),
        TxnError::CommitUnsure { reason } => tidb_error(8027, reason.clone()),
        TxnError::TooLarge { bytes, .. } => {
            tidb_error(8004, format!("Transaction is too large, size: {bytes}"))
        }
        TxnError::EntryTooLarge { bytes, limit, .. } => tidb_error(
            8025,
            format!("entry too large, the max entry size is {limit}, the size of data is {bytes}"),
        ),
        TxnError::Finished { .. } => sql_error(ErrorCode::UnknownError, error.to_string()),
        TxnError::Interrupted => sql_error(ErrorCode::QueryInterrupted, "Query execution was interrupted"),
        TxnError::Unavailable { gave_up } if gave_up.last_pause == Pause::LockOfWrite => {
            sql_error(ErrorCode::LockWaitTimeout, "Lock wait timeout exceeded; try restarting transaction")
        }
        TxnError::Unavailable { .. } => tidb_error(9005, format!("Region is unavailable: {error}")),
        TxnError::Pd(_) => tidb_error(9001, format!("PD server timeout: {error}")),
        TxnError::Store { .. } | TxnError::Protocol { .. } => {
            sql_error(ErrorCode::UnknownError, error.to_string())
        }
    }
}

pub(crate) fn from_table(error: TableError) -> SqlError {
    match error {
        TableError::Duplicate { .. } => sql_error(ErrorCode::DupEntry, error.to_string()),
        TableError::AutoIncrementExhausted => tidb_error(1467, error.to_string()),
        TableError::Conversion { .. } => sql_error(ErrorCode::WarnDataTruncated, error.to_string()),
        TableError::NullNotAllowed { .. } => sql_error(ErrorCode::BadNullError, error.to_string()),
        TableError::EntryTooLarge { .. } => tidb_error(8025, error.to_string()),
        TableError::InvalidLocalTime { .. } => sql_error(ErrorCode::TruncatedWrongValue, error.to_string()),
        TableError::Corrupt { .. } => sql_error(ErrorCode::UnknownError, error.to_string()),
        TableError::Txn(error) => from_txn(&error),
    }
}

/// 8028.
pub(crate) const SCHEMA_CHANGED: &str = "Information schema is changed during the execution of the statement(for example, \
                                         table definition may be updated by other DDL ran in parallel). If you see this \
                                         error often, try increasing `tidb_max_delta_schema_count`. [try again later]";

/// 8027.
pub(crate) const SCHEMA_OUT_OF_DATE: &str = "Information schema is out of date: schema failed to update in 1 lease, \
                                             please make sure Tidewater can connect to its stores";

pub(crate) fn from_ddl(error: DdlError) -> SqlError {
    match error {
        DdlError::Rejected(error) => error,
        DdlError::Txn(error) => from_txn(&error),
        DdlError::Table(error) => from_table(error),
        DdlError::Cancelled => sql_error(ErrorCode::QueryInterrupted, error.to_string()),
        DdlError::OutOfDate => tidb_error(8027, SCHEMA_OUT_OF_DATE),
        DdlError::Corrupt { .. } | DdlError::Stopped | DdlError::NotOwner => {
            sql_error(ErrorCode::UnknownError, error.to_string())
        }
    }
}
