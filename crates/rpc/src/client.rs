//! Connecting: channels, and the seams on top of them.

mod pd;
mod peers;
mod pulse;
mod store;

use std::time::Duration;

use tidewater_proto::TransportError;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::{Security, SecurityError};

pub use pd::GrpcPd;
pub use peers::GrpcPeerConnector;
pub use store::GrpcConnector;

/// How connections are made and kept.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// TLS; everybody must use it or nobody.
    pub security: Security,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long any one request may take.
    pub request_timeout: Duration,
    /// Connections to each store for commands; plan fragments have one of their own.
    pub connections_per_store: usize,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            security: Security::default(),
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(60),
            connections_per_store: 2,
        }
    }
}

/// A silent peer is asked whether it lives, and given up when it does not answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes in flight before the sender waits for the receiver.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

impl ChannelOptions {
    /// The settings of connections to `host:port`, with or without a scheme in front, which the TLS setting replaces.
    fn endpoint(&self, address: &str) -> Result<Endpoint, TransportError> {
        let unreachable =
            |reason: String| TransportError::Unreachable { address: address.to_owned(), reason };
        let host = address.trim_start_matches("http://").trim_start_matches("https://");
        let tls = self.security.client().map_err(|error: SecurityError| unreachable(error.to_string()))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}"))
            .map_err(|error| unreachable(error.to_string()))?
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        if let Some(tls) = tls {
            endpoint = endpoint.tls_config(tls).map_err(|error| unreachable(error.to_string()))?;
        }
        Ok(endpoint)
    }

    /// A channel that connects when it is first used, and again when the connection is lost.
    fn lazy(&self, address: &str) -> Result<Channel, TransportError> {
        Ok(self.endpoint(address)?.connect_lazy())
    }
}

/// What a gRPC status says about a request that brought no answer.
fn lost(address: &str, status: &Status) -> TransportError {
    match status.code() {
        Code::DeadlineExceeded => TransportError::Timeout,
        Code::Cancelled => TransportError::Closed,
        _ => TransportError::Unreachable { address: address.to_owned(), reason: describe(status) },
    }
}

/// The message, and what is behind it: the transport's own words are often only "transport error".
fn describe(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
