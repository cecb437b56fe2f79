//! The MySQL wire protocol: clients connect here and talk to a [`tidewater_session::Database`].
//!
//! Sits above `session`, below the programs in `apps`. Everything a statement means is the session's; this crate knows
//! packets, handshakes, TLS, passwords on the wire, and how to send a stream of chunks without holding it.
//!
//! # Invariants
//! * **No SQL here**: texts go to the session as they came; results come back as chunks and [`SqlError`]s.
//! * **Input from the network never panics**: every read of a packet is checked, sizes are limited, and before login a
//!   client can make the server hold no more than [`LOGIN_PACKET_BYTES`].
//! * **A result is never collected**: rows go from chunk to socket, and a slow client slows its statement.
//! * **One task per connection**, and no lock held while it waits.
//!
//! # Tour
//! [`Server`] accepts; `handshake` and `auth` let a client in; `connection` runs its commands (`command` reads them,
//! `parameters` decodes bound values, `rows` encodes chunks, `packets` everything else); `packet` is the framing below
//! all of these. [`status_report`] is what it says of itself over HTTP.
//!
//! # Use
//! ```no_run
//! # async fn run(database: std::sync::Arc<tidewater_session::Database>) -> Result<(), tidewater_server::ServerError> {
//! use tidewater_server::{Server, ServerOptions};
//!
//! let server = Server::bind("127.0.0.1:4000", ServerOptions::new(database, [7; 32])).await?;
//! let stop = tokio_util::sync::CancellationToken::new();
//! server.run(stop).await;
//! # Ok(())
//! # }
//! ```
//!
//! [`SqlError`]: tidewater_types::SqlError

mod auth;
mod command;
mod connection;
mod error;
mod handshake;
mod packet;
mod packets;
mod parameters;
mod rows;
mod server;
mod sleep;
mod status;
mod tls;

pub use packet::{FLUSH_BYTES, LOGIN_PACKET_BYTES};
pub use rows::{RowError, RowFormat, encode_chunk};
pub use server::{Server, ServerError, ServerOptions};
pub use sleep::ThreadSleeper;
pub use status::status_report;
pub use tls::{TlsError, TlsSettings};
