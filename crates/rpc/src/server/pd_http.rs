//! The placement driver's pages about its members and keyspaces over HTTP, on the port of its gRPC; paths and names are PD's.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::{delete, get};
use axum::{Router, extract::Path};
use serde::Deserialize;
use serde_json::{Value, json};
use tidewater_proto::{PdError, PdPeer, pdpb, pdpeerpb};

use super::pd::Inner;
use super::pd_members::{Known, Membership};

type Shared = State<Arc<Inner>>;

pub(super) fn router(inner: Arc<Inner>) -> Router {
    let by_any_member = Router::new()
        .route("/pd/api/v1/version", get(version))
        .route("/pd/api/v1/status", get(version))
        .route("/pd/api/v1/health", get(health))
        .route("/pd/api/v1/members", get(members))
        .route("/pd/api/v1/leader", get(leader))
        .route("/pd/api/v1/members/name/{name}", delete(remove_by_name))
        .route("/pd/api/v1/members/id/{id}", delete(remove_by_id));
    Router::new()
        .route("/pd/api/v2/keyspaces", get(keyspaces).post(create_keyspace))
        .route("/pd/api/v2/keyspaces/{name}", get(keyspace))
        .layer(from_fn_with_state(inner.membership.clone(), to_the_leader))
        .merge(by_any_member)
        .with_state(inner)
}

/// Pages that only the leader can answer: a member that does not lead sends who asks for them there, whatever the method.
pub fn pd_leader_pages(pages: Router, member: Arc<dyn PdPeer>) -> Router {
    pages.layer(from_fn_with_state(Membership::Member(member), to_the_leader))
}

/// What only the leader knows is asked for there.
async fn to_the_leader(State(membership): State<Membership>, request: Request, next: Next) -> Response {
    if let Ok(known) = membership.known().await
        && let Some(leader) = known.leader.filter(|leader| leader.member_id != known.me.member_id)
        && let Some(url) = leader.client_urls.first()
    {
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        return Redirect::temporary(&format!("{}{path}", url.trim_end_matches('/'))).into_response();
    }
    next.run(request).await
}

/// The driver's errors as HTTP: a status and a sentence.
struct Failure(PdError);

impl From<PdError> for Failure {
    fn from(error: PdError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0 {
            PdError::RegionNotFound { .. }
            | PdError::StoreNotFound { .. }
            | PdError::KeyspaceNotFound { .. } => StatusCode::NOT_FOUND,
            PdError::InvalidValue { .. } | PdError::AlreadyBootstrapped => StatusCode::BAD_REQUEST,
            PdError::StoreTombstone { .. } => StatusCode::GONE,
            PdError::NotBootstrapped
            | PdError::Storage { .. }
            | PdError::NotLeader
            | PdError::LeadershipLost
            | PdError::Transport(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(json!(self.0.to_string()))).into_response()
    }
}

type Page = Result<Json<Value>, Failure>;

async fn known(inner: &Inner) -> Result<Known, Failure> {
    Ok(inner.known().await.map_err(PdError::from)?)
}

async fn version(State(inner): Shared) -> Page {
    let known = known(&inner).await?;
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "cluster_id": known.cluster_id,
        "name": known.me.name,
    })))
}

/// Of members that do not lead it is not known how they are: whether they are listed is what counts.
async fn health(State(inner): Shared) -> Page {
    let pages = known(&inner).await?.members.into_iter().map(|member| {
        json!({ "name": member.name, "member_id": member.member_id, "client_urls": member.client_urls, "health": true })
    });
    Ok(Json(pages.collect()))
}

fn member_page(member: &pdpb::Member) -> Value {
    json!({
        "name": member.name, "member_id": member.member_id,
        "peer_urls": member.peer_urls, "client_urls": member.client_urls,
    })
}

async fn members(State(inner): Shared) -> Page {
    let known = known(&inner).await?;
    let leader = known.leader.as_ref().map(member_page);
    Ok(Json(json!({
        "header": { "cluster_id": known.cluster_id },
        "members": known.members.iter().map(member_page).collect::<Vec<_>>(),
        "leader": leader, "etcd_leader": leader,
    })))
}

async fn leader(State(inner): Shared) -> Page {
    let leader = known(&inner).await?.leader.ok_or(PdError::NotLeader)?;
    Ok(Json(member_page(&leader)))
}

async fn remove_by_name(State(inner): Shared, Path(name): Path<String>) -> Response {
    remove(&inner, pdpeerpb::Remove { name, id: 0 }).await
}

async fn remove_by_id(State(inner): Shared, Path(id): Path<u64>) -> Response {
    remove(&inner, pdpeerpb::Remove { name: String::new(), id }).await
}

/// Any member takes it; the leader does it.
async fn remove(inner: &Inner, remove: pdpeerpb::Remove) -> Response {
    use pdpeerpb::change_response::Outcome;
    let Membership::Member(member) = &inner.membership else {
        let reason = "the last member cannot be removed";
        return (StatusCode::BAD_REQUEST, Json(json!(reason))).into_response();
    };
    let change = Some(pdpeerpb::change_request::Change::Remove(remove));
    let request = pdpeerpb::ChangeRequest { change, ..Default::default() };
    match member.change(request).await {
        Ok(answer) => match answer.outcome() {
            Outcome::Done => Json(json!("removed")).into_response(),
            Outcome::Refused => (StatusCode::BAD_REQUEST, Json(json!(answer.reason))).into_response(),
            Outcome::NotLeader => {
                (StatusCode::SERVICE_UNAVAILABLE, Json(json!(answer.reason))).into_response()
            }
        },
        Err(error) => Failure(error.into()).into_response(),
    }
}

fn keyspace_page(keyspace: &tidewater_proto::keyspacepb::KeyspaceMeta) -> Value {
    json!({ "id": keyspace.id, "name": keyspace.name, "state": "ENABLED", "created_at": keyspace.created_at })
}

async fn keyspaces(State(inner): Shared) -> Page {
    let all = inner.pd.keyspaces().await?;
    Ok(Json(json!({ "keyspaces": all.iter().map(keyspace_page).collect::<Vec<_>>() })))
}

async fn keyspace(State(inner): Shared, Path(name): Path<String>) -> Page {
    Ok(Json(keyspace_page(&inner.pd.load_keyspace(&name).await?)))
}

#[derive(Deserialize)]
struct NewKeyspace {
    name: String,
}

async fn create_keyspace(State(inner): Shared, Json(new): Json<NewKeyspace>) -> Page {
    Ok(Json(keyspace_page(&inner.pd.create_keyspace(&new.name).await?)))
}
