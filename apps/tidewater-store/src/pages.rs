//! What operators ask a store for over HTTP, beside its status.

use std::sync::Weak;

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Json, Response},
    routing::post,
};
use serde::Deserialize;
use tidewater_kv::{ConsistencyError, Node};

/// `POST /consistency-check?region=7` compares the replicas of a region that the store leads, and answers with what they have found.
pub fn pages(node: Weak<Node>) -> Router {
    Router::new().route("/consistency-check", post(check_consistency)).with_state(node)
}

#[derive(Debug, Deserialize)]
struct Wanted {
    region: u64,
}

async fn check_consistency(State(node): State<Weak<Node>>, Query(wanted): Query<Wanted>) -> Response {
    let Some(node) = node.upgrade() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the store is closing\n").into_response();
    };
    match node.check_consistency(wanted.region).await {
        Ok(report) => Json(report).into_response(),
        Err(error) => {
            let status = match error {
                ConsistencyError::NotLed(_) => StatusCode::NOT_FOUND,
                ConsistencyError::Changed(_) => StatusCode::CONFLICT,
                ConsistencyError::Raft(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{error}\n")).into_response()
        }
    }
}
