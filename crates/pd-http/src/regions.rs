//! Regions: who is in them, who leads them, how large they are.

use axum::extract::Path;
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use tidewater_pd::{PeerInfo, RegionInfo, ReplicaRole};

use crate::asked::{Asked, Driver, Id, key};
use crate::failure::Failure;

/// Regions listed when the asker gives no limit.
const REGIONS_LISTED: usize = 16;

#[derive(Deserialize)]
pub(crate) struct Listing {
    /// At most so many; below zero all.
    limit: Option<i64>,
    /// The first key, encoded.
    key: Option<String>,
    /// The end, encoded, exclusive.
    end_key: Option<String>,
    /// `hex` if the keys are in hexadecimal digits.
    format: Option<String>,
}

impl Listing {
    fn limit(&self) -> usize {
        self.limit.map_or(REGIONS_LISTED, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    }

    fn bytes(&self, name: &str, text: &str) -> Result<Vec<u8>, Failure> {
        match self.format.as_deref() {
            Some("hex") => Ok(key(name, text)?.into()),
            None | Some("raw") => Ok(text.as_bytes().to_vec()),
            Some(other) => {
                Err(Failure::bad(format!("{other:?} is not a format of keys: there are hex and raw")))
            }
        }
    }
}

/// `count` is the number of all regions, listed or not.
pub(crate) async fn list(Driver(pd): Driver, Asked(listing): Asked<Listing>) -> Json<Value> {
    let found = pd.regions(b"", b"", listing.limit());
    Json(json!({ "count": pd.region_count(), "regions": pages(&found) }))
}

pub(crate) async fn count(Driver(pd): Driver) -> Json<Value> {
    Json(json!({ "count": pd.region_count() }))
}

/// The regions of a range of keys.
pub(crate) async fn scan(Driver(pd): Driver, Asked(listing): Asked<Listing>) -> Result<Json<Value>, Failure> {
    let start = listing.bytes("key", listing.key.as_deref().unwrap_or_default())?;
    let end = listing.bytes("end_key", listing.end_key.as_deref().unwrap_or_default())?;
    if !end.is_empty() && start >= end {
        return Err(Failure::bad("the range ends before it starts"));
    }
    let found = pd.regions(&start, &end, listing.limit());
    Ok(Json(json!({ "count": found.len(), "regions": pages(&found) })))
}

/// All of a store, if there is no limit: as in PD.
pub(crate) async fn of_store(
    Driver(pd): Driver,
    Id(store_id): Id,
    Asked(listing): Asked<Listing>,
) -> Result<Json<Value>, Failure> {
    let store = pd.stores().into_iter().find(|store| store.id == store_id);
    let store = store.ok_or_else(|| Failure::missing(format!("store {store_id} is not known")))?;
    let limit = if listing.limit.is_some() { listing.limit() } else { usize::MAX };
    let found = pd.regions_of_store(store_id, limit);
    Ok(Json(json!({ "count": store.region_count, "regions": pages(&found) })))
}

pub(crate) async fn by_id(Driver(pd): Driver, Id(id): Id) -> Result<Json<Value>, Failure> {
    let found = pd.region(id).ok_or_else(|| Failure::missing(format!("region {id} is not known")))?;
    Ok(Json(page(&found)))
}

pub(crate) async fn by_key(
    Driver(pd): Driver,
    Path(text): Path<String>,
    Asked(listing): Asked<Listing>,
) -> Result<Json<Value>, Failure> {
    let key = listing.bytes("the key", &text)?;
    let found = pd.region_of_key(&key).ok_or_else(|| Failure::missing("no known region holds the key"))?;
    Ok(Json(page(&found)))
}

fn pages(regions: &[RegionInfo]) -> Vec<Value> {
    regions.iter().map(page).collect()
}

fn page(region: &RegionInfo) -> Value {
    let leader = region.peers.iter().find(|peer| Some(peer.store_id) == region.leader_store);
    let down = region.peers.iter().filter(|peer| peer.down_seconds > 0);
    let down = down.map(|peer| json!({ "peer": peer_page(peer), "down_seconds": peer.down_seconds }));
    let pending = region.peers.iter().filter(|peer| peer.down_seconds == 0 && !peer.is_caught_up);
    json!({
        "id": region.id,
        "start_key": hex::encode_upper(&region.start_key), "end_key": hex::encode_upper(&region.end_key),
        "epoch": { "conf_ver": region.conf_ver, "version": region.version },
        "peers": region.peers.iter().map(peer_page).collect::<Vec<_>>(),
        "leader": leader.map(peer_page),
        "down_peers": down.collect::<Vec<_>>(),
        "pending_peers": pending.map(peer_page).collect::<Vec<_>>(),
        "written_bytes": region.bytes_written, "read_bytes": region.bytes_read,
        "approximate_size": region.mebibytes, "approximate_keys": region.keys,
    })
}

fn peer_page(peer: &PeerInfo) -> Value {
    let (role, is_learner) = match peer.role {
        ReplicaRole::Voter => ("Voter", false),
        ReplicaRole::Learner => ("Learner", true),
    };
    json!({ "id": peer.id, "store_id": peer.store_id, "role_name": role, "is_learner": is_learner })
}
