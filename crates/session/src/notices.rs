//! What this node keeps copies of is loaded again when another node has changed it: accounts, global variables, statistics.
//!
//! The change is counted in the store ([`Notices`]), with it or right after it; every node looks at the counters a few times
//! a second. A node that dies between a change of accounts and its count leaves the others with the old accounts until the
//! next change.

use std::sync::Arc;
use std::time::Duration;

use tidewater_ddl::Notices;
use tidewater_types::SqlError;

use crate::database::Database;
use crate::error::from_ddl;

/// Pause after a copy could not be loaded.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Starts to follow the counters; ends with the database. Alone on a cluster there is nothing to follow.
pub(crate) fn spawn(database: &Arc<Database>) {
    let Some(mut notices) = database.ddl().notices() else { return };
    let database = Arc::downgrade(database);
    tokio::spawn(async move {
        // Something may have changed between our first loading and our first look.
        let mut loaded = None;
        loop {
            let told = *notices.borrow_and_update();
            let Some(database) = database.upgrade() else { return };
            if database.ddl().is_stopped() {
                return;
            }
            if let Err(error) = load(&database, loaded, told).await {
                tracing::warn!(%error, "changes of another node were not loaded");
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
            drop(database);
            loaded = Some(told);
            if notices.changed().await.is_err() {
                return;
            }
        }
    });
}

async fn load(database: &Arc<Database>, loaded: Option<Notices>, told: Notices) -> Result<(), SqlError> {
    let is_new =
        |count: fn(&Notices) -> u64| loaded.as_ref().is_none_or(|loaded| count(loaded) != count(&told));
    if is_new(|notices| notices.variables) {
        database.load_global_variables().await?;
    }
    if is_new(|notices| notices.accounts) {
        database.reload_accounts().await?;
    }
    if is_new(|notices| notices.statistics) {
        database.load_statistics().await?;
    }
    Ok(())
}

impl Database {
    /// Tells other nodes what to load again.
    pub(crate) async fn notify(&self, bump: fn(&mut Notices)) -> Result<(), SqlError> {
        self.ddl().notify(bump).await.map_err(from_ddl)
    }
}
