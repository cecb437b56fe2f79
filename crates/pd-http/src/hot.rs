//! Hot spots: regions that are read or written much, by the store that leads them.

use std::collections::BTreeMap;

use axum::response::Json;
use serde_json::{Value, json};
use tidewater_pd::{PlacementDriver, RegionInfo};

use crate::asked::Driver;

/// Regions of one store that are listed.
const HOT_PER_STORE_MAX: usize = 100;

pub(crate) async fn read(Driver(pd): Driver) -> Json<Value> {
    Json(page(&pd, |region| region.read_load))
}

pub(crate) async fn write(Driver(pd): Driver) -> Json<Value> {
    Json(page(&pd, |region| region.write_load))
}

/// The regions that are hot by all they do, with the part that is asked for. Flows are bytes per second, a key counting as 100 bytes.
fn page(pd: &PlacementDriver, flow: impl Fn(&RegionInfo) -> u64) -> Value {
    let mut by_store: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for hot in pd.hot_regions(HOT_PER_STORE_MAX) {
        let flow = pd.region(hot.region_id).map_or(0, |region| flow(&region));
        if flow > 0 {
            by_store.entry(hot.leader_store).or_default().push((flow, hot.region_id));
        }
    }
    let of_store = |(store_id, mut regions): (u64, Vec<(u64, u64)>)| {
        regions.sort_unstable_by_key(|&(flow, id)| (std::cmp::Reverse(flow), id));
        let statistics = regions.iter().map(
            |(flow, region_id)| json!({ "store_id": store_id, "region_id": region_id, "flow_bytes": flow }),
        );
        let page = json!({
            "total_flow_bytes": regions.iter().map(|(flow, _)| flow).sum::<u64>(),
            "regions_count": regions.len(),
            "statistics": statistics.collect::<Vec<_>>(),
        });
        (store_id.to_string(), page)
    };
    let stores: serde_json::Map<_, _> = by_store.into_iter().map(of_store).collect();
    json!({ "as_leader": stores })
}
