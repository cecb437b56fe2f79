//! What the SQL node says of itself over HTTP.

use std::sync::Arc;

use serde::Serialize;
use tidewater_session::Database;

/// The answer of `/status`; the names are TiDB's.
#[derive(Serialize)]
struct Status {
    connections: usize,
    version: String,
}

/// Makes the answer of `/status` whenever it is asked for.
pub fn status_report(db: Arc<Database>) -> impl Fn() -> serde_json::Value + Send + Sync + 'static {
    move || {
        let status = Status { connections: db.processes().count(), version: db.server_version().to_owned() };
        serde_json::to_value(status).unwrap_or_default()
    }
}
