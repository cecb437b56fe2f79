//! Schedulers: which there are, which of them rest, which stores are to lead nothing.

use std::time::Duration;

use axum::extract::Path;
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use tidewater_pd::SchedulerKind;

use crate::asked::{Asked, Body, Driver};
use crate::failure::Failure;
use crate::operators::time;

/// The longest pause, in seconds.
const PAUSE_SECONDS_MAX: u64 = 366 * 24 * 3600;

#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// `paused`: those that rest; `disabled`: those that were removed. Without it: all that were not removed.
    status: Option<String>,
    /// With `paused`: whether to tell until when.
    timestamp: Option<bool>,
}

pub(crate) async fn list(Driver(pd): Driver, Asked(wanted): Asked<Wanted>) -> Result<Json<Value>, Failure> {
    let there = pd.schedulers();
    let names = match wanted.status.as_deref() {
        None => there.iter().map(|scheduler| Value::from(scheduler.kind.name())).collect(),
        Some("paused") => there
            .iter()
            .filter_map(|scheduler| {
                let (name, until) = (scheduler.kind.name(), scheduler.paused_until_micros?);
                Some(match wanted.timestamp {
                    Some(true) => json!({ "name": name, "resume_at": time(until) }),
                    _ => Value::from(name),
                })
            })
            .collect(),
        Some("disabled") => {
            let is_there = |kind| there.iter().any(|scheduler| scheduler.kind == kind);
            let removed = SchedulerKind::ALL.into_iter().filter(|kind| !is_there(*kind));
            removed.map(|kind| Value::from(kind.name())).collect()
        }
        Some(other) => {
            return Err(Failure::bad(format!("{other:?} is not a status: there are paused and disabled")));
        }
    };
    Ok(Json(names))
}

/// Brings one back that was removed. With `evict-leader-scheduler` and a `store_id`, that store is to lead nothing.
pub(crate) async fn add(Driver(pd): Driver, body: Body) -> Result<Json<&'static str>, Failure> {
    let kind = parse_kind(body.text("name")?)?;
    if kind == SchedulerKind::EvictLeader {
        let store_id = body.number("store_id")?;
        pd.evict_leaders(store_id).await?;
        pd.add_scheduler(kind).await?;
    } else if !pd.add_scheduler(kind).await? {
        return Err(Failure::conflict(format!("the scheduler {} is there already", kind.name())));
    }
    Ok(Json("The scheduler is created."))
}

/// Removes one. `evict-leader-scheduler-5` lets store 5 lead again.
pub(crate) async fn remove(
    Driver(pd): Driver,
    Path(name): Path<String>,
) -> Result<Json<&'static str>, Failure> {
    if let Some(store) = name.strip_prefix(SchedulerKind::EvictLeader.name()).filter(|rest| !rest.is_empty())
    {
        let store_id = store.strip_prefix('-').and_then(|id| id.parse().ok());
        let store_id = store_id.ok_or_else(|| unknown(&name))?;
        if !pd.stores().iter().any(|store| store.id == store_id) {
            return Err(Failure::missing(format!("store {store_id} is not known")));
        }
        pd.stop_evicting_leaders(store_id).await?;
    } else if !pd.remove_scheduler(parse_kind(&name)?).await? {
        return Err(Failure::missing(format!("the scheduler {name} was removed already")));
    }
    Ok(Json("The scheduler is removed."))
}

/// Has one rest for `delay` seconds, or go on with 0; `all` names all.
pub(crate) async fn pause(
    Driver(pd): Driver,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<&'static str>, Failure> {
    let kinds = match name.as_str() {
        "all" => pd.schedulers().into_iter().map(|scheduler| scheduler.kind).collect(),
        _ => vec![parse_kind(&name)?],
    };
    let seconds = body.number("delay")?;
    if seconds > PAUSE_SECONDS_MAX {
        return Err(Failure::bad(format!("a pause is {PAUSE_SECONDS_MAX} seconds long at most")));
    }
    for kind in kinds {
        if !pd.pause_scheduler(kind, Duration::from_secs(seconds)).await? {
            return Err(Failure::missing(format!("the scheduler {} was removed", kind.name())));
        }
    }
    Ok(Json("Pause or resume the scheduler successfully."))
}

fn parse_kind(name: &str) -> Result<SchedulerKind, Failure> {
    SchedulerKind::from_name(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failure {
    let names = SchedulerKind::ALL.map(SchedulerKind::name).join(", ");
    Failure::missing(format!("there is no scheduler {name:?}; there are {names}"))
}
