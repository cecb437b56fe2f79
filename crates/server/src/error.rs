//! How a connection ends.

use tidewater_types::SqlError;

use crate::packet::PacketError;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The client is told why, then the connection closes.
    #[error("{}", .0.message)]
    Refused(SqlError),
    /// Reading or writing failed; there may be nobody left to tell.
    #[error(transparent)]
    Packet(#[from] PacketError),
}
