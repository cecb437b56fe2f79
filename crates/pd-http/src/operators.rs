//! Operators: what regions are being brought to, and what somebody wants them brought to.

use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use tidewater_pd::{FinishedOperator, OperatorInfo, OperatorKind, OperatorResult, ReplicaRole, Step};

use crate::asked::{Asked, Body, Driver, Id};
use crate::failure::Failure;

#[derive(Deserialize)]
pub(crate) struct Kinds {
    kind: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Since {
    /// Seconds since 1970.
    from: Option<i64>,
}

/// The running ones, by region; all, or those of one kind.
pub(crate) async fn list(
    Driver(pd): Driver,
    Asked(Kinds { kind }): Asked<Kinds>,
) -> Result<Json<Value>, Failure> {
    if let Some(kind) = kind.as_deref().filter(|kind| !KINDS.iter().any(|(_, name)| name == kind)) {
        let names: Vec<_> = KINDS.iter().map(|(_, name)| *name).collect();
        return Err(Failure::bad(format!(
            "{kind:?} is not a kind of operators: there are {}",
            names.join(", ")
        )));
    }
    let running = pd.operators().into_iter();
    let wanted =
        running.filter(|operator| kind.as_deref().is_none_or(|kind| kind_name(operator.kind) == kind));
    Ok(Json(wanted.map(|operator| page(&operator)).collect()))
}

/// What a region is being brought to.
pub(crate) async fn one(Driver(pd): Driver, Id(region_id): Id) -> Result<Json<Value>, Failure> {
    let operator = pd.operators().into_iter().find(|operator| operator.region_id == region_id);
    operator.map(|operator| Json(page(&operator))).ok_or_else(|| none(region_id))
}

/// Those that ended, the latest at the end.
pub(crate) async fn records(Driver(pd): Driver, Asked(Since { from }): Asked<Since>) -> Json<Value> {
    let since = from.unwrap_or_default().saturating_mul(1_000_000);
    let finished = pd.finished_operators().into_iter().filter(|finished| finished.ended_micros >= since);
    Json(finished.map(|finished| finished_page(&finished)).collect())
}

pub(crate) async fn add(Driver(pd): Driver, body: Body) -> Result<Json<&'static str>, Failure> {
    let (name, region_id) = (body.text("name")?, || body.number("region_id"));
    match name {
        "transfer-leader" => pd.transfer_leader(region_id()?, body.number("to_store_id")?).await?,
        "add-peer" => pd.add_peer(region_id()?, body.number("store_id")?, ReplicaRole::Voter).await?,
        "add-learner" => pd.add_peer(region_id()?, body.number("store_id")?, ReplicaRole::Learner).await?,
        "remove-peer" => pd.remove_peer(region_id()?, body.number("store_id")?).await?,
        other => {
            return Err(Failure::bad(format!(
                "{other:?} is not an operator that can be asked for: there are transfer-leader, add-peer, add-learner and remove-peer"
            )));
        }
    }
    Ok(Json("The operator is created."))
}

pub(crate) async fn cancel(Driver(pd): Driver, Id(region_id): Id) -> Result<Json<&'static str>, Failure> {
    match pd.cancel_operator(region_id) {
        true => Ok(Json("The pending operator is canceled.")),
        false => Err(none(region_id)),
    }
}

fn none(region_id: u64) -> Failure {
    Failure::missing(format!("region {region_id} has no operator"))
}

const KINDS: [(OperatorKind, &str); 6] = [
    (OperatorKind::Repair, "replica"),
    (OperatorKind::Region, "region"),
    (OperatorKind::Leader, "leader"),
    (OperatorKind::Hot, "hot-region"),
    (OperatorKind::Merge, "merge"),
    (OperatorKind::Admin, "admin"),
];

fn kind_name(kind: OperatorKind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name)
}

fn result_name(result: OperatorResult) -> &'static str {
    match result {
        OperatorResult::Success => "SUCCESS",
        OperatorResult::Timeout => "TIMEOUT",
        OperatorResult::Stale => "REPLACED",
        OperatorResult::StoreLost => "STORE_LOST",
        OperatorResult::RegionGone => "REGION_GONE",
        OperatorResult::Canceled => "CANCEL",
    }
}

fn step_text(step: &Step) -> String {
    match step {
        Step::AddLearner { store_id, peer_id } => format!("add learner peer {peer_id} on store {store_id}"),
        Step::Promote { store_id, peer_id } => {
            format!("promote learner peer {peer_id} on store {store_id} to voter")
        }
        Step::TransferLeader { from_store, to_store } => {
            format!("transfer leader from store {from_store} to store {to_store}")
        }
        Step::RemovePeer { store_id, peer_id } => format!("remove peer {peer_id} on store {store_id}"),
        Step::Merge { target } => format!("merge into region {target}"),
    }
}

fn page(operator: &OperatorInfo) -> Value {
    json!({
        "region_id": operator.region_id, "kind": kind_name(operator.kind), "desc": operator.reason,
        "steps": operator.steps.iter().map(step_text).collect::<Vec<_>>(),
        "current_step": operator.steps_done,
        "create_time": time(operator.created_micros), "deadline": time(operator.deadline_micros),
    })
}

fn finished_page(finished: &FinishedOperator) -> Value {
    let mut page = page(&finished.operator);
    if let Value::Object(fields) = &mut page {
        fields.insert("status".to_owned(), result_name(finished.result).into());
        fields.insert("finish_time".to_owned(), time(finished.ended_micros).into());
    }
    page
}

/// A moment as RFC 3339 writes it; `None` for none, which is 0.
pub(crate) fn time(micros: i64) -> Option<String> {
    let moment = jiff::Timestamp::from_microsecond(micros).ok().filter(|_| micros != 0)?;
    Some(moment.to_string())
}
