//! Operators: what regions are being brought to, and what somebody wants them brought to.

use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use tidewater_pd::{
    FinishedOperator, OperatorInfo, OperatorKind, OperatorResult, PlacementDriver, ReplicaRole, SplitPolicy,
    Step,
};

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
    let parse = |kind: String| {
        OperatorKind::from_name(&kind).map_err(|names| {
            Failure::bad(format!("{kind:?} is not a kind of operators: there are {}", names.join(", ")))
        })
    };
    let kind = kind.map(parse).transpose()?;
    let running = pd.operators().into_iter();
    let wanted = running.filter(|operator| kind.is_none_or(|kind| operator.kind == kind));
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
        "transfer-peer" => {
            let (from, to) = (body.number("from_store_id")?, body.number("to_store_id")?);
            pd.transfer_peer(region_id()?, from, to).await?;
        }
        "merge-region" => {
            pd.merge_regions(body.number("source_region_id")?, body.number("target_region_id")?).await?;
        }
        "split-region" => {
            let policy = split_policy(body.text("policy")?)?;
            pd.split_region(region_id()?, policy, body.keys("keys")?).await?;
        }
        "scatter-region" => scatter(&pd, &[region_id()?], body.optional_text("group")?)?,
        "scatter-regions" => scatter(&pd, &body.numbers("region_ids")?, body.optional_text("group")?)?,
        other => {
            return Err(Failure::bad(format!(
                "{other:?} is not an operator that can be asked for: there are {}",
                WISHES.join(", ")
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

/// What can be asked for.
const WISHES: [&str; 9] = [
    "transfer-leader",
    "add-peer",
    "add-learner",
    "remove-peer",
    "transfer-peer",
    "merge-region",
    "split-region",
    "scatter-region",
    "scatter-regions",
];

fn split_policy(name: &str) -> Result<SplitPolicy, Failure> {
    let refusal =
        || Failure::bad(format!("{name:?} is not a policy: there are scan, approximate and usekey"));
    SplitPolicy::from_name(&name.to_ascii_lowercase()).ok_or_else(refusal)
}

/// Regions that wait to be spread, until they report themselves.
fn scatter(pd: &PlacementDriver, region_ids: &[u64], group: &str) -> Result<(), Failure> {
    if region_ids.is_empty() {
        return Err(Failure::bad("no region is named"));
    }
    let refused = pd.scatter_regions(region_ids.iter().copied(), group)?;
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::missing(format!("these regions are not known, or too many wait: {refused:?}"))),
    }
}

fn none(region_id: u64) -> Failure {
    Failure::missing(format!("region {region_id} has no operator"))
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
        Step::Split { policy, .. } => format!("split with policy {}", policy.name()),
    }
}

fn page(operator: &OperatorInfo) -> Value {
    json!({
        "region_id": operator.region_id, "kind": operator.kind.name(), "desc": operator.reason,
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
