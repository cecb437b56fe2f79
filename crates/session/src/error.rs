//! The one mapping from our errors to MySQL's numbers. No `_` arm: a new variant has to choose its number.

use tidewater_executor::ExecError;
use tidewater_types::{ErrorCode, SqlError};

pub(crate) fn from_exec(error: ExecError) -> SqlError {
    match error {
        ExecError::Sql(error) => error,
        error => SqlError::new(ErrorCode::UnknownError, error.to_string()),
    }
}
