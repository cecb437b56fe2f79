//! The garbage collection worker: old versions below the safe point, and the data of dropped tables.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tidewater_codec::{Key, StartTs, TimeStamp};
use tidewater_types::SqlError;

use crate::database::Database;
use crate::error::{from_ddl, from_txn};
use crate::variables::duration_secs;

/// Shortest time between two rounds.
const INTERVAL_SECS_MIN: u64 = 10;

/// Starts the worker; it ends with the database.
pub(crate) fn spawn(database: &Arc<Database>) {
    let database = Arc::downgrade(database);
    tokio::spawn(async move {
        while let Some(wait) = interval(&database) {
            tokio::time::sleep(wait).await;
            let Some(database) = database.upgrade() else { return };
            // One node of a cluster is enough.
            if !database.ddl().is_owner()
                || database.global_variable("tidb_gc_enable").as_deref() != Some("ON")
            {
                continue;
            }
            if let Err(error) = round(&database).await {
                tracing::warn!(%error, "garbage collection");
            }
        }
    });
}

fn interval(database: &Weak<Database>) -> Option<Duration> {
    let database = database.upgrade()?;
    let secs =
        database.global_variable("tidb_gc_run_interval").and_then(|text| duration_secs(&text)).unwrap_or(600);
    Some(Duration::from_secs(secs.max(INTERVAL_SECS_MIN)))
}

/// One round: everything older than `tidb_gc_life_time` that no running transaction needs.
pub(crate) async fn round(database: &Arc<Database>) -> Result<StartTs, SqlError> {
    let life_secs =
        database.global_variable("tidb_gc_life_time").and_then(|text| duration_secs(&text)).unwrap_or(600);
    let now = database.client().current_timestamp().await.map_err(|error| from_txn(&error))?;
    let wanted = StartTs(TimeStamp::compose(now.physical_ms().saturating_sub(life_secs * 1000), 0));
    let safe_point = database.client().collect_garbage(wanted).await.map_err(|error| from_txn(&error))?;
    let ranges = database
        .ddl()
        .with_meta(|meta| Box::pin(async move { meta.delete_ranges().await }))
        .await
        .map_err(from_ddl)?;
    for (key, range) in ranges {
        if range.ts >= safe_point.into_inner() {
            continue;
        }
        let doomed = Key::new(range.start)..Key::new(range.end);
        database.client().destroy_range(doomed).await.map_err(|error| from_txn(&error))?;
        database
            .ddl()
            .with_meta(move |meta| {
                let key = key.clone();
                Box::pin(async move { meta.forget_delete_range(key) })
            })
            .await
            .map_err(from_ddl)?;
    }
    Ok(safe_point)
}
