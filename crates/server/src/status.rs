//! Status and metrics over HTTP: `/status` (JSON), `/metrics` (Prometheus text), `/health`.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use tidewater_session::Database;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::ServerError;

/// Upper bounds of the buckets of durations, from the time of a cached point read to that of a report.
const SECONDS: [f64; 15] =
    [2e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 2.5, 10.0];
/// Upper bounds of the buckets of group sizes.
const BATCHES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0];
/// How often recorded samples are put into their buckets. Until then each takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Collects what the crates count with the `metrics` macros. Once per process; a second call gives `None`.
///
/// Samples of histograms pile up until somebody calls the handle's `run_upkeep`, as a [`StatusServer`] does.
pub fn install_metrics() -> Option<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_batches".to_owned()), &BATCHES))
        .and_then(PrometheusBuilder::install_recorder)
        .ok()
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
        let metrics = self.state.metrics.clone();
        let router = Router::new()
            .route("/status", get(status))
            .route("/metrics", get(metrics_text))
            .route("/health", get(|| async { "ok\n" }))
            .with_state(self.state);
        let serving = axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned());
        let served = tokio::select! {
            served = serving.into_future() => served,
            never = upkeep(metrics) => match never {},
        };
        if let Err(error) = served {
            tracing::warn!(%error, "the status server stopped");
        }
    }
}

/// Keeps the histograms small, for ever.
async fn upkeep(metrics: Option<PrometheusHandle>) -> Infallible {
    let mut turns = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        turns.tick().await;
        if let Some(metrics) = &metrics {
            metrics.run_upkeep();
        }
    }
}

async fn status(State(state): State<StatusState>) -> Json<Status> {
    Json(Status { connections: state.db.processes().count(), version: state.db.server_version().to_owned() })
}

async fn metrics_text(State(state): State<StatusState>) -> String {
    state.metrics.map(|handle| handle.render()).unwrap_or_default()
}
