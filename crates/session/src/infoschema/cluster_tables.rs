//! CLUSTER_INFO and the TIKV tables: what the placement driver knows of regions and stores. They are for who may see what others do (PROCESS).

use std::collections::BTreeMap;
use std::time::Duration;

use tidewater_codec::{EncodedKey, Key, table_key};
use tidewater_proto::{metapb, pdpb};
use tidewater_types::{Datum, Json, SqlError, Time, size_text, span_text};

use super::{Row, Source, optional, text};
use crate::database::Database;
use crate::privileges::Rights;

/// The tables of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClusterTable {
    Info,
    RegionPeers,
    RegionStatus,
    StoreStatus,
}

impl ClusterTable {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "cluster_info" => Some(Self::Info),
            "tikv_region_peers" => Some(Self::RegionPeers),
            "tikv_region_status" => Some(Self::RegionStatus),
            "tikv_store_status" => Some(Self::StoreStatus),
            _ => None,
        }
    }

    /// Asks for the rows.
    pub(super) async fn rows(self, source: &Source, database: &Database) -> Result<Vec<Row>, SqlError> {
        source.privileges.check_global(Rights::PROCESS, "PROCESS")?;
        let everything = Key::default()..Key::default();
        match self {
            Self::Info => cluster_info(source, database).await,
            Self::RegionPeers => {
                Ok(database.cluster_regions(&everything).await?.iter().flat_map(peer_rows).collect())
            }
            Self::RegionStatus => {
                let owners = Owners::new(source);
                let regions = database.cluster_regions(&everything).await?;
                Ok(regions.iter().flat_map(|region| owners.rows(region)).collect())
            }
            Self::StoreStatus => {
                let stores = database.cluster_stores().await?;
                Ok(stores.iter().map(|store| store_row(source, store)).collect())
            }
        }
    }
}

fn uint(value: u64) -> Datum {
    Datum::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn moment(source: &Source, micros: i64) -> Datum {
    if micros == 0 {
        return Datum::Null;
    }
    let utc = Time::from_micros_since_epoch(micros / 1_000_000 * 1_000_000);
    utc.map_or(Datum::Null, |_| Datum::Time(source.time_zone.local_time(micros / 1_000_000 * 1_000_000)))
}

fn uptime(source: &Source, started_micros: i64) -> Datum {
    if started_micros == 0 {
        return Datum::Null;
    }
    let micros = u64::try_from(source.now_micros.saturating_sub(started_micros)).unwrap_or_default();
    text(span_text(Duration::from_micros(micros)))
}

/// SQL nodes, members of the placement driver, stores. What runs in one process with its asker has no address.
async fn cluster_info(source: &Source, database: &Database) -> Result<Vec<Row>, SqlError> {
    let row = |kind: &str, address: &str, status: &str, version: &str, started: i64, id: i64| {
        vec![
            text(kind),
            text(address),
            text(status),
            text(version),
            text(""),
            moment(source, started),
            uptime(source, started),
            Datum::UInt(id.unsigned_abs()),
        ]
    };
    let host = |url: &str| url.trim_start_matches("http://").trim_start_matches("https://").to_owned();
    let mut rows = Vec::new();
    for (id, node) in database.cluster_nodes().await? {
        rows.push(row("tidb", &node.address, &node.status_address, &node.version, node.started_micros, id));
    }
    for member in database.cluster_members().await? {
        let address = member.client_urls.first().map(|url| host(url)).unwrap_or_default();
        rows.push(row("pd", &address, &address, &member.binary_version, 0, 0));
    }
    for found in database.cluster_stores().await? {
        let store = found.store.unwrap_or_default();
        let started = store.start_timestamp.saturating_mul(1_000_000);
        rows.push(row("tikv", &store.address, &store.status_address, &store.version, started, 0));
    }
    Ok(rows)
}

fn peer_rows(region: &pdpb::Region) -> Vec<Row> {
    let Some(meta) = &region.region else { return Vec::new() };
    let row = |peer: &metapb::Peer| {
        let down = region.down_peers.iter().find(|down| down.peer.is_some_and(|down| down.id == peer.id));
        let is_pending = region.pending_peers.iter().any(|pending| pending.id == peer.id);
        let status = match (down, is_pending) {
            (Some(_), _) => "DOWN",
            (None, true) => "PENDING",
            (None, false) => "NORMAL",
        };
        let is_learner = peer.role() == metapb::PeerRole::Learner;
        let is_leader = region.leader.is_some_and(|leader| leader.id == peer.id);
        vec![
            uint(meta.id),
            uint(peer.id),
            uint(peer.store_id),
            Datum::Int(is_learner.into()),
            Datum::Int(is_leader.into()),
            text(status),
            down.map_or(Datum::Null, |down| uint(down.down_seconds)),
        ]
    };
    meta.peers.iter().map(row).collect()
}

/// Whose keys are where: ranges of encoded keys, disjoint and in order.
struct Owners(Vec<Owner>);

/// The rows of a table, or one of its indexes.
struct Owner {
    start: Vec<u8>,
    end: Vec<u8>,
    table_id: i64,
    database: String,
    table: String,
    index: Option<(i64, String)>,
}

impl Owners {
    fn new(source: &Source) -> Self {
        let mut owners = Vec::new();
        let encoded = |key: &Key| key.encode().into_bytes();
        for database in source.schema.databases() {
            for table in source.schema.tables(database.name.lower()) {
                if table.is_view() || table.is_virtual() {
                    continue;
                }
                let mut own = |range: std::ops::Range<Key>, index| {
                    owners.push(Owner {
                        start: encoded(&range.start),
                        end: encoded(&range.end),
                        table_id: table.id.0,
                        database: database.name.as_str().to_owned(),
                        table: table.name.as_str().to_owned(),
                        index,
                    });
                };
                own(table_key::row_range(table.id), None);
                // A clustered primary key is the rows themselves.
                for index in table.public_indices().filter(|index| !(index.primary && table.is_common_handle))
                {
                    let name = index.name.as_str().to_owned();
                    own(table_key::index_range(table.id, index.id), Some((index.id.0, name)));
                }
            }
        }
        owners.sort_by(|one, other| one.start.cmp(&other.start));
        Self(owners)
    }

    /// A row for each table and index with keys in the region; one without if there is none.
    fn rows(&self, region: &pdpb::Region) -> Vec<Row> {
        let Some(meta) = &region.region else { return Vec::new() };
        let first = self.0.partition_point(|owner| owner.end[..] <= meta.start_key[..]);
        let inside = self.0[first..]
            .iter()
            .take_while(|owner| meta.end_key.is_empty() || owner.start[..] < meta.end_key[..]);
        let rows: Vec<_> = inside.map(|owner| region_row(region, meta, Some(owner))).collect();
        if rows.is_empty() { vec![region_row(region, meta, None)] } else { rows }
    }
}

fn region_row(region: &pdpb::Region, meta: &metapb::Region, owner: Option<&Owner>) -> Row {
    let statistics = region.statistics.unwrap_or_default();
    let epoch = meta.region_epoch.unwrap_or_default();
    let index = owner.and_then(|owner| owner.index.as_ref());
    vec![
        uint(meta.id),
        text(hex::encode_upper(&meta.start_key)),
        text(hex::encode_upper(&meta.end_key)),
        owner.map_or(Datum::Null, |owner| Datum::Int(owner.table_id)),
        optional(owner.map(|owner| owner.database.as_str())),
        optional(owner.map(|owner| owner.table.as_str())),
        Datum::Int(index.is_some().into()),
        index.map_or(Datum::Null, |(id, _)| Datum::Int(*id)),
        optional(index.map(|(_, name)| name.as_str())),
        Datum::Int(0),
        Datum::Null,
        Datum::Null,
        uint(epoch.conf_ver),
        uint(epoch.version),
        uint(statistics.bytes_written),
        uint(statistics.bytes_read),
        uint(statistics.approximate_size),
        uint(statistics.approximate_keys),
        Datum::Null,
        Datum::Null,
    ]
}

fn store_row(source: &Source, found: &pdpb::GetStoreResponse) -> Row {
    let store = found.store.clone().unwrap_or_default();
    let stats = found.stats.clone().unwrap_or_default();
    let counts = found.statistics.unwrap_or_default();
    let (state, name) = match store.state() {
        metapb::StoreState::Up if counts.is_lost => (0, "Down"),
        metapb::StoreState::Up if !counts.is_alive => (0, "Disconnected"),
        metapb::StoreState::Up => (0, "Up"),
        metapb::StoreState::Offline => (1, "Offline"),
        metapb::StoreState::Tombstone => (2, "Tombstone"),
    };
    let started = store.start_timestamp.saturating_mul(1_000_000);
    vec![
        uint(store.id),
        text(store.address.as_str()),
        Datum::Int(state),
        text(name),
        Datum::Json(labels(&store)),
        text(store.version.as_str()),
        text(size_text(stats.capacity)),
        text(size_text(stats.available)),
        uint(counts.leader_count),
        Datum::Double(counts.leader_weight),
        Datum::Double(counts.leader_score as f64),
        uint(counts.leader_size),
        uint(counts.region_count),
        Datum::Double(counts.region_weight),
        Datum::Double(counts.region_score as f64),
        uint(counts.region_size),
        moment(source, started),
        moment(source, counts.heard_micros),
        uptime(source, started),
    ]
}

/// A list of objects with key and value, as in PD.
fn labels(store: &metapb::Store) -> Json {
    let labels = store.labels.iter();
    let list: Vec<_> =
        labels.map(|label| BTreeMap::from([("key", &label.key), ("value", &label.value)])).collect();
    serde_json::to_string(&list).ok().and_then(|text| Json::parse(&text).ok()).unwrap_or_else(Json::null)
}

/// A region's bound as people read it: the rows or the index of a table that it cuts. TiDB's form.
pub(crate) fn bound_text(encoded: &[u8], table: &tidewater_catalog::TableInfo) -> String {
    if encoded.is_empty() {
        return String::new();
    }
    let Ok(key) = EncodedKey::from_encoded(encoded).decode() else { return hex::encode(encoded) };
    let key = key.as_bytes();
    let Some(owner) = table_key::table_of(key) else { return hex::encode(key) };
    let prefix = table_key::table_prefix(owner);
    let rest = key.strip_prefix(prefix.as_bytes()).unwrap_or_default();
    if owner != table.id {
        return format!("t_{}_{}", owner.0, hex::encode(rest));
    }
    if let Some(handle) = key.strip_prefix(table_key::row_prefix(owner).as_bytes()) {
        let is_unsigned = table.handle_column().is_some_and(|column| column.field_type.is_unsigned());
        return match (handle.is_empty(), table.is_common_handle, table_key::decode_row_key(key)) {
            (true, ..) => format!("t_{}_r", owner.0),
            (false, false, Ok((_, tidewater_codec::Handle::Int(handle)))) if is_unsigned => {
                format!("t_{}_r_{}", owner.0, handle as u64)
            }
            (false, false, Ok((_, tidewater_codec::Handle::Int(handle)))) => {
                format!("t_{}_r_{handle}", owner.0)
            }
            _ => format!("t_{}_r_{}", owner.0, hex::encode(handle)),
        };
    }
    match table_key::decode_index_key(key) {
        Ok((_, index, values)) => format!("t_{}_i_{}_{}", owner.0, index.0, hex::encode(values)),
        Err(_) => format!("t_{}_{}", owner.0, hex::encode(rest)),
    }
}

#[cfg(test)]
mod tests {
    use tidewater_catalog::TableInfo;
    use tidewater_codec::{Handle, IndexId, TableId};

    use super::*;

    #[test]
    fn bounds_are_told_in_the_table_s_terms() {
        let table = TableInfo::new(TableId(75), "t");
        let row = |table, handle| table_key::row_key(TableId(table), &Handle::Int(handle));
        for (key, text) in [
            (row(75, 31_717), "t_75_r_31717"),
            (row(75, -5), "t_75_r_-5"),
            (table_key::row_prefix(TableId(75)), "t_75_r"),
            (table_key::table_prefix(TableId(75)), "t_75_"),
            (table_key::index_prefix(TableId(75), IndexId(2)), "t_75_i_2_"),
            (table_key::table_prefix(TableId(76)), "t_76_"),
            (row(76, 1), "t_76_5f728000000000000001"),
            (Key::new("m"), "6d"),
        ] {
            assert_eq!(bound_text(&key.encode().into_bytes(), &table), text);
        }
        assert_eq!(bound_text(b"", &table), "");
        assert_eq!(bound_text(b"short", &table), hex::encode("short"));
    }
}
