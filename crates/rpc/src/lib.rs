//! The network between components: the seams of [`tidewater_proto`] over gRPC, in both directions, and status over HTTP.
//!
//! Floor 1: knows the messages and the three service traits, nothing else. A [`StoreService`](tidewater_proto::StoreService) or
//! [`PdService`](tidewater_proto::PdService) goes in on one machine and comes out on another.
//!
//! # Invariants
//! * **The protocol is the public one** of TiKV and PD: programs written for those are served, and our clients reach theirs.
//!   Commands that the public protocol does not have travel in the batch stream under numbers of their own.
//! * **Bytes from the network never panic**: what cannot be decoded is a gRPC status.
//! * **A lost answer is an error, never a guess**: [`TransportError`](tidewater_proto::TransportError) says that nothing is known.
//! * No retries in here: who asks decides whether asking again is right. The exception is a placement driver of several members, whose
//!   changes of leaders callers do not see ([`GrpcPd`]).
//!
//! # Tour
//! [`RpcServer`] listens; [`store_routes`], [`pd_routes`] and [`pd_member_routes`] say what it serves. [`GrpcConnector`] reaches stores (many commands share
//! one stream), [`GrpcPd`] the placement driver (it follows the leader), [`GrpcPeerConnector`] members of it each other. [`Security`] is TLS for both. [`StatusServer`] is the HTTP port
//! for operators.

mod client;
mod pd_error;
mod security;
mod server;
mod status;

pub use client::{ChannelOptions, GrpcConnector, GrpcPd, GrpcPeerConnector};
pub use security::{Security, SecurityError};
pub use server::{
    PdIdentity, RpcServer, ServeError, pd_leader_pages, pd_member_routes, pd_peer_routes, pd_routes,
    store_routes,
};
pub use status::{StatusPages, StatusServer, install_metrics};

/// The largest message taken in or given out, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 256 << 20;
