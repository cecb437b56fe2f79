//! Listening, accepting, and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidewater_session::Database;
use tidewater_session::password::NONCE_LEN;
use tidewater_types::{ErrorCode, SqlError};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::AuthShared;
use crate::connection::{self, Peer};
use crate::packet::{PacketStream, Transport};
use crate::tls::{self, TlsError, TlsSettings};
use crate::{handshake, packets};

/// Connections that are open when the server stops have this long to finish their statement.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// How a server is set up.
pub struct ServerOptions {
    /// The database behind it.
    pub database: Arc<Database>,
    /// TLS for clients.
    pub tls: TlsSettings,
    /// Seed of the nonces of handshakes; must be unguessable.
    pub random_seed: [u8; 32],
    /// Clients beyond this number are refused with error 1040.
    pub max_connections: usize,
    /// How long a client may take to log in.
    pub login_timeout: Duration,
}

impl ServerOptions {
    /// The defaults for a database.
    pub fn new(database: Arc<Database>, random_seed: [u8; 32]) -> Self {
        Self {
            database,
            tls: TlsSettings::default(),
            random_seed,
            max_connections: 4096,
            login_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: String,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// TLS settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What all connections share.
pub struct Shared {
    pub(crate) db: Arc<Database>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) auth: AuthShared,
    pub(crate) login_timeout: Duration,
    pub(crate) stopping: CancellationToken,
    random: Mutex<StdRng>,
    connections: AtomicUsize,
    max_connections: usize,
}

impl Shared {
    pub(crate) fn nonce(&self) -> [u8; NONCE_LEN] {
        handshake::nonce(&mut *self.random.lock())
    }
}

/// A MySQL server that listens.
pub struct Server {
    shared: Arc<Shared>,
    listener: TcpListener,
    tasks: TaskTracker,
}

impl Server {
    /// Takes the address; clients are accepted once [`Server::run`] is polled.
    pub async fn bind(address: &str, options: ServerOptions) -> Result<Self, ServerError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServerError::Bind { address: address.to_owned(), source })?;
        Ok(Self { shared: Arc::new(Self::shared(options)?), listener, tasks: TaskTracker::new() })
    }

    fn shared(options: ServerOptions) -> Result<Shared, ServerError> {
        Ok(Shared {
            db: options.database,
            tls: tls::acceptor(&options.tls)?,
            auth: AuthShared::default(),
            login_timeout: options.login_timeout,
            stopping: CancellationToken::new(),
            random: Mutex::new(StdRng::from_seed(options.random_seed)),
            connections: AtomicUsize::new(0),
            max_connections: options.max_connections,
        })
    }

    /// The address it listens on; of use after binding port 0.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is cancelled. Then idle connections close at once; busy ones finish their statement or are
    /// killed after a few seconds.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, peer)) => self.accept(socket, peer),
                    // Out of file descriptors, or a client that left again: neither ends the server.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                },
            }
        }
        self.drain().await;
    }

    fn accept(&self, socket: TcpStream, peer: SocketAddr) {
        // Answers are small and complete: waiting to fill a segment would only add latency.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let peer = Peer { host: peer.ip().to_canonical().to_string(), address: peer.to_string() };
        let shared = self.shared.clone();
        self.tasks.spawn(async move { serve(shared, Box::new(socket), peer).await });
    }

    async fn drain(self) {
        drop(self.listener);
        self.shared.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN_TIME, self.tasks.wait()).await.is_err() {
            for process in self.shared.db.processes().list() {
                process.kill_connection();
            }
            let _ = tokio::time::timeout(DRAIN_TIME, self.tasks.wait()).await;
        }
    }
}

/// Serves one connection if there is room for it.
async fn serve(shared: Arc<Shared>, transport: Box<dyn Transport>, peer: Peer) {
    let _place = match Place::take(&shared) {
        Some(place) => place,
        None => {
            let mut stream = PacketStream::new(transport);
            let mut payload = Vec::new();
            packets::error(&mut payload, &SqlError::new(ErrorCode::ConCountError, "Too many connections"));
            let _ = stream.queue(&payload);
            stream.shutdown().await;
            return;
        }
    };
    connection::serve(shared, transport, peer).await;
}

/// One of the connections that are allowed; given back when dropped.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let before = shared.connections.fetch_add(1, Ordering::Relaxed);
        let place = Self(shared.clone());
        metrics::gauge!("tidewater_server_connections").set(before as f64 + 1.0);
        (before < shared.max_connections).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.0.connections.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("tidewater_server_connections").set(before as f64 - 1.0);
    }
}
