//! Settings that can be changed while the driver runs.

use axum::response::Json;
use serde_json::{Map, Value, json};
use tidewater_pd::{PlacementDriver, SettingSection, SettingValue};

use crate::asked::{Body, Driver};
use crate::failure::Failure;

pub(crate) async fn all(Driver(pd): Driver) -> Json<Value> {
    let (schedule, replication) =
        (section(&pd, SettingSection::Schedule), section(&pd, SettingSection::Replication));
    Json(json!({ "schedule": schedule, "replication": replication }))
}

/// Who the cluster is, and how many copies its regions have.
pub(crate) async fn cluster(Driver(pd): Driver) -> Json<Value> {
    let copies = if pd.schedule_config().replicated { pd.replication_config().max_replicas } else { 1 };
    Json(json!({ "id": pd.cluster_id(), "max_peer_count": copies }))
}

pub(crate) async fn schedule(Driver(pd): Driver) -> Json<Value> {
    Json(section(&pd, SettingSection::Schedule).into())
}

pub(crate) async fn replication(Driver(pd): Driver) -> Json<Value> {
    Json(section(&pd, SettingSection::Replication).into())
}

/// Changes those that the body names, all or none; `null` brings back what the driver was started with.
pub(crate) async fn set(Driver(pd): Driver, Body(body): Body) -> Result<Json<&'static str>, Failure> {
    if body.is_empty() {
        return Err(Failure::bad("the body names no setting"));
    }
    let change = |(name, value): (String, Value)| {
        let bare = name.strip_prefix("schedule.").or_else(|| name.strip_prefix("replication."));
        let bare = bare.unwrap_or(&name).to_owned();
        match value {
            Value::Null => Ok((bare, None)),
            Value::String(text) => Ok((bare, Some(text))),
            Value::Number(_) | Value::Bool(_) => Ok((bare, Some(value.to_string()))),
            Value::Array(_) | Value::Object(_) => Err(Failure::bad(format!("{name}: one value is needed"))),
        }
    };
    pd.change_settings(body.into_iter().map(change).collect::<Result<_, _>>()?).await?;
    Ok(Json("The config is updated."))
}

fn section(pd: &PlacementDriver, section: SettingSection) -> Map<String, Value> {
    let of_section = pd.settings().into_iter().filter(|(of, ..)| *of == section);
    of_section.map(|(_, name, value)| (name.to_owned(), shown(value))).collect()
}

fn shown(value: SettingValue) -> Value {
    match value {
        SettingValue::Number(number) => number.into(),
        SettingValue::Ratio(hundredths) => (hundredths as f64 / 100.0).into(),
        SettingValue::Flag(flag) => flag.into(),
        SettingValue::Text(text) => text.into(),
    }
}
