//! Wire messages, compatible with the public `kvproto` and `tipb` protocols, and the two service seams that carry them.
//!
//! Floor 0: everything that talks to a store or to the placement driver uses these types, in one process and over sockets alike.
//!
//! # Invariants
//! * **No logic.** Messages, two traits, their transport errors; conversions live where the messages are used.
//! * **Generated code is never edited**: `build.rs` compiles `proto/*.proto` with `protox`, no `protoc` needed.
//! * Field numbers are the public protocol's; fields numbered 1000 and above are ours and skipped by strangers.
//! * All `bytes` fields are [`bytes::Bytes`]: cloning one is a reference count.
//!
//! # Tour
//! [`metapb`] and [`errorpb`] describe regions and what can be wrong with them; [`kvrpcpb`] holds the transaction commands;
//! [`tikvpb`] joins them into the closed enums [`StoreRequest`] and [`StoreResponse`]; [`coprocessor`] and [`tipb`] carry plan
//! fragments; [`pdpb`] is the placement driver, [`etcdserverpb`] and [`meta_storagepb`] its keys. [`StoreService`], [`StoreConnector`],
//! [`PdService`] and [`KeyValues`] are the seams; [`PdPeer`] and [`PdPeerConnector`] those between the members of a placement driver.
//!
//! ```
//! use prost::Message;
//! use tidewater_proto::{StoreRequest, kvrpcpb};
//!
//! let get = kvrpcpb::GetRequest { key: "k".into(), version: 7, ..Default::default() };
//! let wire = get.encode_to_vec();
//! assert_eq!(wire, [0x12, 1, b'k', 0x18, 7]);
//! let request = StoreRequest::Get(kvrpcpb::GetRequest::decode(&wire[..])?);
//! assert!(matches!(request, StoreRequest::Get(get) if get.version == 7));
//! # Ok::<(), prost::DecodeError>(())
//! ```

mod key_values;
mod pd;
mod peer;
mod store;

#[allow(missing_docs, clippy::all, reason = "generated from proto/*.proto")]
mod packages {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}

pub use key_values::{KeyValueError, KeyValues, KeyWatch};
pub use packages::{
    coprocessor, deadlock, errorpb, etcdserverpb, keyspacepb, kvrpcpb, meta_storagepb, metapb, pdpb,
    pdpeerpb, raftpb, regionmovepb, regionpb, tikvpb, tipb,
};
pub use pd::{PdError, PdService};
pub use peer::{PdPeer, PdPeerConnector};
pub use store::{
    COMMAND_NAMES, StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError, command_index,
    context_of,
};
