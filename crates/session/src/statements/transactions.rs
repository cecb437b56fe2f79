//! BEGIN, COMMIT, ROLLBACK and savepoints.

use tidewater_parser::ast::{Begin, Completion};
use tidewater_types::{ErrorCode, SqlError};

use crate::error::sql_error;
use crate::result::OkResult;
use crate::session::Session;

impl Session {
    pub(crate) async fn run_begin(&mut self, begin: &Begin) -> Result<OkResult, SqlError> {
        self.commit_open().await?;
        if begin.read_only == Some(true) {
            self.next_transaction.set("transaction_read_only", "ON");
        } else if begin.read_only == Some(false) {
            self.next_transaction.set("transaction_read_only", "OFF");
        }
        self.next_transaction.pessimistic = begin.pessimistic;
        self.explicit = true;
        self.open_transaction().await?;
        self.refresh_status();
        Ok(self.ok())
    }

    pub(crate) async fn run_commit(&mut self, completion: Completion) -> Result<OkResult, SqlError> {
        self.commit_open().await?;
        self.complete(completion).await
    }

    pub(crate) async fn run_rollback(&mut self, completion: Completion) -> Result<OkResult, SqlError> {
        self.rollback_open().await;
        self.complete(completion).await
    }

    async fn complete(&mut self, completion: Completion) -> Result<OkResult, SqlError> {
        let default = self.vars.by_name("completion_type");
        let chain = completion.chain.unwrap_or(default == "CHAIN");
        let release = completion.release.unwrap_or(default == "RELEASE" && completion.chain != Some(true));
        if chain {
            self.run_begin(&Begin::default()).await?;
        }
        if release {
            self.process.kill_connection();
        }
        self.refresh_status();
        Ok(self.ok())
    }

    pub(crate) async fn run_savepoint(&mut self, name: &str) -> Result<OkResult, SqlError> {
        if self.in_transaction() || !self.vars.hot.autocommit {
            self.open_transaction().await?;
            self.set_savepoint(name);
        }
        Ok(self.ok())
    }

    pub(crate) fn run_rollback_to(&mut self, name: &str) -> Result<OkResult, SqlError> {
        if self.rollback_to_savepoint(name) { Ok(self.ok()) } else { Err(no_savepoint(name)) }
    }

    pub(crate) fn run_release(&mut self, name: &str) -> Result<OkResult, SqlError> {
        if self.release_savepoint(name) { Ok(self.ok()) } else { Err(no_savepoint(name)) }
    }
}

fn no_savepoint(name: &str) -> SqlError {
    sql_error(ErrorCode::SpDoesNotExist, format!("SAVEPOINT {name} does not exist"))
}
