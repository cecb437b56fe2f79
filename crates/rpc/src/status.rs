//! Status and metrics over HTTP: `/status` (JSON), `/metrics` (Prometheus text), `/health`.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::ServeError;

/// Upper bounds of the buckets of durations, from the time of a cached point read to that of a report.
const SECONDS: [f64; 15] =
    [2e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 2.5, 10.0];
/// Upper bounds of the buckets of group sizes.
const BATCHES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0];
/// How often recorded samples are put into their buckets. Until then each takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Collects what the crates count with the `metrics` macros. Once per process; further calls give the same.
///
/// Samples of histograms pile up until somebody calls the handle's `run_upkeep`, as [`StatusPages::upkeep`] does.
pub fn install_metrics() -> Option<PrometheusHandle> {
    static INSTALLED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_batches".to_owned()), &BATCHES)
            })
            .and_then(PrometheusBuilder::install_recorder)
            .ok()
    };
    INSTALLED.get_or_init(install).clone()
}

/// What `/status` answers.
type Report = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// The pages for operators, for a port of their own ([`StatusServer`]) or beside others.
#[derive(Clone)]
pub struct StatusPages {
    report: Report,
    metrics: Option<PrometheusHandle>,
}

impl StatusPages {
    /// `report` makes the answer to `/status`, each time it is asked for.
    pub fn new(
        report: impl Fn() -> serde_json::Value + Send + Sync + 'static,
        metrics: Option<PrometheusHandle>,
    ) -> Self {
        Self { report: Arc::new(report), metrics }
    }

    /// `/status`, `/metrics` and `/health`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/status", get(status))
            .route("/metrics", get(metrics_text))
            .route("/health", get(|| async { "ok\n" }))
            .with_state(self.clone())
    }

    /// Keeps the histograms small, for ever.
    pub async fn upkeep(&self) -> Infallible {
        let mut turns = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            turns.tick().await;
            if let Some(metrics) = &self.metrics {
                metrics.run_upkeep();
            }
        }
    }
}

async fn status(State(pages): State<StatusPages>) -> Json<serde_json::Value> {
    Json((pages.report)())
}

async fn metrics_text(State(pages): State<StatusPages>) -> String {
    pages.metrics.map(|handle| handle.render()).unwrap_or_default()
}

/// The HTTP server for operators.
pub struct StatusServer {
    listener: TcpListener,
    pages: StatusPages,
    beside: Router,
}

impl StatusServer {
    /// Takes the address.
    pub async fn bind(address: &str, pages: StatusPages) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Bind { address: address.to_owned(), source })?;
        Ok(Self { listener, pages, beside: Router::new() })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves these pages, too.
    pub fn beside(self, pages: Router) -> Self {
        Self { beside: self.beside.merge(pages), ..self }
    }

    /// Serves until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let serving = axum::serve(self.listener, self.pages.router().merge(self.beside))
            .with_graceful_shutdown(stop.cancelled_owned());
        let served = tokio::select! {
            served = serving.into_future() => served,
            never = self.pages.upkeep() => match never {},
        };
        if let Err(error) = served {
            tracing::warn!(%error, "the status server stopped");
        }
    }
}
