//! Listening: what is served, on which port, until when.

mod etcd;
mod meta_storage;
mod pd;
mod pd_http;
mod pd_members;
mod store;
mod watching;

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::{Security, SecurityError};

pub use pd::{PdIdentity, pd_member_routes, pd_routes};
pub use pd_http::pd_leader_pages;
pub use pd_members::pd_peer_routes;
pub use store::store_routes;

/// Bytes in flight on one stream, and on one connection, before the sender waits for the receiver.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Requests under way on one connection.
const STREAMS_MAX: u32 = 1024;
/// A peer that is silent is asked whether it lives, and given up when it does not answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long requests under way may take to end after a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Why a port is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificates are not usable.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The transport refused its settings, or broke down.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// A port with gRPC, and HTTP beside it where the routes have some.
pub struct RpcServer {
    listener: TcpListener,
    security: Security,
}

impl RpcServer {
    /// Takes the address.
    pub async fn bind(address: &str, security: Security) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Bind { address: address.to_owned(), source })?;
        Ok(Self { listener, security })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is cancelled; then tells watchers of the health service, lets requests under way end, and returns.
    pub async fn run(self, routes: Routes, stop: CancellationToken) -> Result<(), ServeError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status("", tonic_health::ServingStatus::Serving).await;
        let mut server = Server::builder()
            .accept_http1(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(STREAMS_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
        if let Some(tls) = self.security.server()? {
            server = server.tls_config(tls)?;
        }
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let told = {
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
            }
        };
        let serving = server
            .add_routes(with_fallback(routes.add_service(health_service)))
            .serve_with_incoming_shutdown(incoming, told)
            .fuse();
        let out_of_patience = async {
            stop.cancelled().await;
            // Streams of clients end when the clients do, which may be never.
            tokio::time::sleep(STOP_PATIENCE).await;
        };
        tokio::select! {
            served = serving => Ok(served?),
            () = out_of_patience => Ok(()),
        }
    }
}

/// What is not there is told in the asker's protocol.
fn with_fallback(mut routes: Routes) -> Routes {
    let router = routes.axum_router_mut();
    *router = std::mem::take(router).fallback(async |request: axum::extract::Request| {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/grpc")) {
            Status::unimplemented(format!("there is no {}", request.uri().path())).into_http()
        } else {
            StatusCode::NOT_FOUND.into_response()
        }
    });
    routes
}
