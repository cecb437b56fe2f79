//! Stores: how they are, and what is to become of them.

use std::time::Duration;

use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use tidewater_pd::{StoreInfo, StoreState};
use tidewater_types::{size_text, span_text};

use crate::asked::{Asked, Body, Driver, Id};
use crate::failure::Failure;

#[derive(Deserialize)]
pub(crate) struct States {
    /// One state, or several between commas; without it all but tombstones are listed.
    state: Option<String>,
}

pub(crate) async fn list(
    Driver(pd): Driver,
    Asked(States { state }): Asked<States>,
) -> Result<Json<Value>, Failure> {
    let wanted = match state.as_deref() {
        None => vec![StoreState::Up, StoreState::Offline],
        Some(states) => states.split(',').map(parse_state).collect::<Result<_, _>>()?,
    };
    let now = pd.now_micros();
    let stores = pd.stores().into_iter().filter(|store| wanted.contains(&store.state));
    let pages: Vec<_> = stores.map(|store| page(&store, now)).collect();
    Ok(Json(json!({ "count": pages.len(), "stores": pages })))
}

pub(crate) async fn one(Driver(pd): Driver, Id(id): Id) -> Result<Json<Value>, Failure> {
    let store = pd.stores().into_iter().find(|store| store.id == id).ok_or_else(|| unknown(id))?;
    Ok(Json(page(&store, pd.now_micros())))
}

pub(crate) async fn remove(Driver(pd): Driver, Id(id): Id) -> Result<Json<&'static str>, Failure> {
    pd.set_store_state(id, StoreState::Offline).await?;
    Ok(Json("The store is set as Offline."))
}

pub(crate) async fn set_state(
    Driver(pd): Driver,
    Id(id): Id,
    Asked(States { state }): Asked<States>,
) -> Result<Json<&'static str>, Failure> {
    let state = state.ok_or_else(|| Failure::bad("the query needs state=Up or state=Offline"))?;
    pd.set_store_state(id, parse_state(&state)?).await?;
    Ok(Json("The store's state is updated."))
}

pub(crate) async fn set_labels(
    Driver(pd): Driver,
    Id(id): Id,
    Body(labels): Body,
) -> Result<Json<&'static str>, Failure> {
    let text = |(key, value): (String, Value)| match value {
        Value::String(value) => Ok((key, value)),
        _ => Err(Failure::bad(format!("the value of the label {key:?} is not a text"))),
    };
    pd.set_store_labels(id, labels.into_iter().map(text).collect::<Result<_, _>>()?).await?;
    Ok(Json("The store's label is updated."))
}

pub(crate) async fn set_weights(
    Driver(pd): Driver,
    Id(id): Id,
    body: Body,
) -> Result<Json<&'static str>, Failure> {
    pd.set_store_weights(id, body.ratio("leader")?, body.ratio("region")?).await?;
    Ok(Json("The store's weight is updated."))
}

fn unknown(store_id: u64) -> Failure {
    Failure::missing(format!("store {store_id} is not known"))
}

/// By name, in any case, or by its number in the protocol.
fn parse_state(text: &str) -> Result<StoreState, Failure> {
    match text.to_ascii_lowercase().as_str() {
        "up" | "0" => Ok(StoreState::Up),
        "offline" | "1" => Ok(StoreState::Offline),
        "tombstone" | "2" => Ok(StoreState::Tombstone),
        _ => Err(Failure::bad(format!("{text:?} is not a state: there are Up, Offline and Tombstone"))),
    }
}

/// PD tells a silent store that is up from one that answers.
fn state_name(store: &StoreInfo) -> &'static str {
    match store.state {
        StoreState::Up if store.is_lost => "Down",
        StoreState::Up if !store.is_alive => "Disconnected",
        StoreState::Up => "Up",
        StoreState::Offline => "Offline",
        StoreState::Tombstone => "Tombstone",
    }
}

fn page(store: &StoreInfo, now_micros: i64) -> Value {
    let label = |(key, value): &(String, String)| json!({ "key": key, "value": value });
    json!({
        "store": {
            "id": store.id, "address": store.address, "status_address": store.status_address,
            "version": store.version, "state_name": state_name(store), "start_timestamp": store.start_seconds,
            "last_heartbeat": store.heard_micros.saturating_mul(1_000),
            "labels": store.labels.iter().map(label).collect::<Vec<_>>(),
        },
        "status": {
            "capacity": size_text(store.capacity), "available": size_text(store.available),
            "used_size": size_text(store.used),
            "leader_weight": store.leader_weight, "region_weight": store.region_weight,
            "leader_count": store.leader_count, "leader_size": store.leader_mebibytes,
            "leader_score": store.leader_score,
            "region_count": store.region_count, "region_size": store.region_mebibytes,
            "region_score": store.region_score,
            "slow_score": store.slow_score, "evicting_leaders": store.evicts_leaders,
            "hot_load": store.hot_load,
            "start_ts": crate::operators::time(store.start_seconds.saturating_mul(1_000_000)),
            "last_heartbeat_ts": crate::operators::time(store.heard_micros),
            "uptime": uptime(store.start_seconds, now_micros),
        },
    })
}

fn uptime(start_seconds: i64, now_micros: i64) -> Option<String> {
    let seconds = (start_seconds > 0).then(|| now_micros / 1_000_000 - start_seconds)?;
    Some(span_text(Duration::from_secs(u64::try_from(seconds).unwrap_or_default())))
}
