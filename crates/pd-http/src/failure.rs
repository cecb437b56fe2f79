//! What is wrong with a request, as HTTP tells it: a status and a sentence.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use tidewater_pd::OperatorError;
use tidewater_proto::PdError;

/// A refusal.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    reason: String,
}

impl Failure {
    /// The request cannot be understood, or asks for what cannot be.
    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: reason.into() }
    }

    /// What the request is about does not exist.
    pub(crate) fn missing(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, reason: reason.into() }
    }

    /// The state of the cluster forbids it.
    pub(crate) fn conflict(reason: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, reason: reason.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.reason)).into_response()
    }
}

impl From<PdError> for Failure {
    fn from(error: PdError) -> Self {
        let status = match error {
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
        Self { status, reason: error.to_string() }
    }
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::RegionNotFound { .. } => Self::missing(error.to_string()),
            OperatorError::NotReplicated
            | OperatorError::Busy { .. }
            | OperatorError::NoSuchPeer { .. }
            | OperatorError::StoreUnfit { .. }
            | OperatorError::Unsafe { .. }
            | OperatorError::NoWay { .. }
            | OperatorError::NotNeighbors { .. }
            | OperatorError::Unsettled { .. } => Self::conflict(error.to_string()),
            OperatorError::SplitKey { .. } => Self::bad(error.to_string()),
            OperatorError::Driver(error) => error.into(),
        }
    }
}
