//! Placement rules, in PD's form. There is one group, `pd`.

use axum::extract::Path;
use axum::response::Json;
use serde_json::{Value, json};
use tidewater_pd::{LabelConstraint, LabelOp, PlacementRule, ReplicaRole};

use crate::asked::{Body, Driver};
use crate::failure::Failure;

const GROUP: &str = "pd";
const OPS: [(LabelOp, &str); 4] = [
    (LabelOp::In, "in"),
    (LabelOp::NotIn, "notIn"),
    (LabelOp::Exists, "exists"),
    (LabelOp::NotExists, "notExists"),
];

pub(crate) async fn list(Driver(pd): Driver) -> Json<Value> {
    Json(pd.placement_rules().iter().map(page).collect())
}

pub(crate) async fn one(
    Driver(pd): Driver,
    Path((group, id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    let found = pd.placement_rules().into_iter().find(|rule| group == GROUP && rule.id == id);
    found.map(|rule| Json(page(&rule))).ok_or_else(|| unknown(&group, &id))
}

pub(crate) async fn set(Driver(pd): Driver, body: Body) -> Result<Json<&'static str>, Failure> {
    pd.set_placement_rule(parse(&body)?).await?;
    Ok(Json("Update rule successfully."))
}

pub(crate) async fn remove(
    Driver(pd): Driver,
    Path((group, id)): Path<(String, String)>,
) -> Result<Json<&'static str>, Failure> {
    if group != GROUP || !pd.placement_rules().iter().any(|rule| rule.id == id) {
        return Err(unknown(&group, &id));
    }
    pd.remove_placement_rule(&id).await?;
    Ok(Json("Delete rule successfully."))
}

fn unknown(group: &str, id: &str) -> Failure {
    Failure::missing(format!("there is no placement rule {id:?} in the group {group:?}"))
}

fn parse(body: &Body) -> Result<PlacementRule, Failure> {
    if body.0.contains_key("group_id") && body.text("group_id")? != GROUP {
        return Err(Failure::bad(format!("there is one group of rules, {GROUP:?}")));
    }
    let role = match body.text("role")? {
        "voter" => ReplicaRole::Voter,
        "learner" => ReplicaRole::Learner,
        other => return Err(Failure::bad(format!("the role {other:?} is not voter or learner"))),
    };
    let constraints = match body.0.get("label_constraints") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(constraints)) => {
            constraints.iter().map(parse_constraint).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(Failure::bad("label_constraints is not a list")),
    };
    Ok(PlacementRule {
        id: body.text("id")?.to_owned(),
        start_key: body.key("start_key")?,
        end_key: body.key("end_key")?,
        role,
        count: usize::try_from(body.number("count")?).unwrap_or(usize::MAX),
        constraints,
    })
}

fn parse_constraint(constraint: &Value) -> Result<LabelConstraint, Failure> {
    let fault = || {
        Failure::bad(format!(
            "a label constraint is a key, an op of in, notIn, exists or notExists, and a list of values, unlike {constraint}"
        ))
    };
    let text = |name: &str| constraint.get(name).and_then(Value::as_str).ok_or_else(fault);
    let name = text("op")?;
    let op = OPS.iter().find(|(_, known)| *known == name).map(|(op, _)| *op).ok_or_else(fault)?;
    let values = match constraint.get("values") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => {
            let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(fault);
            values.iter().map(text).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(fault()),
    };
    Ok(LabelConstraint { key: text("key")?.to_owned(), op, values })
}

fn page(rule: &PlacementRule) -> Value {
    let constraint = |constraint: &LabelConstraint| {
        let op = OPS.iter().find(|(op, _)| *op == constraint.op).map_or("", |(_, name)| name);
        json!({ "key": constraint.key, "op": op, "values": constraint.values })
    };
    json!({
        "group_id": GROUP, "id": rule.id,
        "start_key": hex::encode_upper(&rule.start_key), "end_key": hex::encode_upper(&rule.end_key),
        "role": match rule.role { ReplicaRole::Voter => "voter", ReplicaRole::Learner => "learner" },
        "count": rule.count,
        "label_constraints": rule.constraints.iter().map(constraint).collect::<Vec<_>>(),
    })
}
