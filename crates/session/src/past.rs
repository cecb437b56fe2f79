//! Reads of the past: `tidb_snapshot` names a time, `tidb_read_staleness` an age. Such a statement goes by the schema as it
//! was then: rows that were stored before a column came, or after it went, have no value in it.

use std::sync::Arc;

use tidewater_catalog::InfoSchema;
use tidewater_codec::{StartTs, TimeStamp};
use tidewater_txn::{ReplicaRead, Snapshot};
use tidewater_types::{ErrorCode, SqlError, Time};

use crate::database::Database;
use crate::error::{from_ddl, from_txn, sql_error};
use crate::session::Session;

/// The time in the past that a statement reads at.
pub(crate) struct Past {
    ts: StartTs,
    schema: Arc<InfoSchema>,
    /// Whether any replica may answer that knows what was then.
    from_any_replica: bool,
}

impl Past {
    pub(crate) fn schema(&self) -> &Arc<InfoSchema> {
        &self.schema
    }

    pub(crate) fn snapshot(&self, db: &Database) -> Snapshot {
        let snapshot = db.client().snapshot(self.ts);
        if self.from_any_replica {
            return snapshot.with_replica_read(ReplicaRead::Mixed).with_stale_read();
        }
        snapshot
    }
}

impl Session {
    /// Decides at the start of a query whether it reads the past.
    pub(crate) async fn choose_past(&mut self) -> Result<(), SqlError> {
        self.past = None;
        let named = self.named_snapshot()?;
        let staleness = self.vars.hot.read_staleness_secs;
        let (ts, from_any_replica) = match named {
            Some(ts) => (ts, false),
            None if staleness > 0 && !self.explicit && self.vars.hot.autocommit => {
                (self.ago(staleness).await?, true)
            }
            None => return Ok(()),
        };
        let schema = self.db.ddl().schema_at(ts).await.map_err(from_ddl)?;
        self.past = Some(Past { ts, schema, from_any_replica });
        Ok(())
    }

    /// Error 1105 while `tidb_snapshot` is set: the past cannot be written to.
    pub(crate) fn refuse_writes_to_the_past(&self) -> Result<(), SqlError> {
        if self.vars.by_name("tidb_snapshot").is_empty() {
            return Ok(());
        }
        let message = "can not execute write statement when 'tidb_snapshot' is set";
        Err(sql_error(ErrorCode::UnknownError, message))
    }

    async fn ago(&self, seconds: u64) -> Result<StartTs, SqlError> {
        let now = self.db.client().low_resolution_timestamp().await.map_err(|error| from_txn(&error))?.0;
        let then = now.physical_ms().saturating_sub(seconds.saturating_mul(1000));
        Ok(StartTs(TimeStamp::compose(then, 0)))
    }

    /// `tidb_snapshot`.
    fn named_snapshot(&self) -> Result<Option<StartTs>, SqlError> {
        let text = self.vars.by_name("tidb_snapshot");
        if text.is_empty() {
            return Ok(None);
        }
        let bits = match text.parse::<u64>() {
            Ok(bits) => Some(bits),
            Err(_) => Time::parse(text, 3, self.vars.hot.sql_mode)
                .ok()
                .and_then(|parsed| self.vars.hot.time_zone.utc_micros(parsed.time).ok())
                .map(|micros| TimeStamp::compose(micros as u64 / 1000, 0).into_inner()),
        };
        bits.map(|bits| Some(StartTs::new(bits))).ok_or_else(|| {
            sql_error(
                ErrorCode::WrongValueForVar,
                format!("Variable 'tidb_snapshot' can't be set to the value of '{text}'"),
            )
        })
    }
}
