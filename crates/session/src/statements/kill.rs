//! KILL.

use tidewater_parser::ast::Kill;
use tidewater_types::{Datum, ErrorCode, SqlError};

use crate::error::sql_error;
use crate::processes::KillTarget;
use crate::result::OkResult;
use crate::session::Session;

impl Session {
    pub(crate) async fn run_kill(&mut self, kill: &Kill) -> Result<OkResult, SqlError> {
        let (value, _) = self.evaluate(&kill.id).await?;
        let id = match value {
            Datum::Int(id) => u64::try_from(id).unwrap_or(0),
            Datum::UInt(id) => id,
            value => self.datum_text(&value).parse().unwrap_or(0),
        };
        self.kill_process(id, if kill.query { KillTarget::Query } else { KillTarget::Connection })?;
        Ok(self.ok())
    }

    /// KILL and COM_PROCESS_KILL: one's own sessions always, others' with the right to.
    pub fn kill_process(&mut self, id: u64, target: KillTarget) -> Result<(), SqlError> {
        let unknown = || sql_error(ErrorCode::NoSuchThread, format!("Unknown thread id: {id}"));
        let process = self.db.processes.get(id).ok_or_else(unknown)?;
        if process.info().user != self.options.user && self.require_admin("SUPER").is_err() {
            return Err(sql_error(ErrorCode::KillDeniedError, format!("You are not owner of thread {id}")));
        }
        if self.db.processes.kill(id, target) { Ok(()) } else { Err(unknown()) }
    }
}
