//! Status and metrics over HTTP: `/status` (JSON), `/metrics` (Prometheus text), `/health`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use tidewater_session::Database;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::ServerError;

/// Collects what the crates count with the `metrics` macros. Once per process; a second call gives `None`.
pub fn install_metrics() -> Option<PrometheusHandle> {
    PrometheusBuilder::new().install_recorder().ok()
}

/// The HTTP server for operators.
pub struct StatusServer {
    listener: TcpListener,
    state: StatusState,
}

#[derive(Clone)]
struct StatusState {
    db: Arc<Database>,
    metrics: Option<PrometheusHandle>,
}

/// The answer of `/status`; the names are TiDB's.
#[derive(Serialize)]
struct Status {
    connections: usize,
    version: String,
}

impl StatusServer {
    /// Takes the address.
    pub async fn bind(
        address: &str,
        db: Arc<Database>,
        metrics: Option<PrometheusHandle>,
    ) -> Result<Self, ServerError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServerError::Bind { address: address.to_owned(), source })?;
        Ok(Self { listener, state: StatusState { db, metrics } })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let router = Router::new()
            .route("/status", get(status))
            .route("/metrics", get(metrics_text))
            .route("/health", get(|| async { "ok\n" }))
            .with_state(self.state);
        let served = axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::warn!(%error, "the status server stopped");
        }
    }
}

async fn status(State(state): State<StatusState>) -> Json<Status> {
    Json(Status { connections: state.db.processes().count(), version: state.db.server_version().to_owned() })
}

async fn metrics_text(State(state): State<StatusState>) -> String {
    state.metrics.map(|handle| handle.render()).unwrap_or_default()
}
