//! Taking requests apart, with refusals that are JSON like everything else.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidewater_pd::PlacementDriver;
use tidewater_proto::PdError;

use crate::Leader;
use crate::failure::Failure;

/// The driver, if this member leads.
pub(crate) struct Driver(pub(crate) Arc<PlacementDriver>);

/// The number in the path.
pub(crate) struct Id(pub(crate) u64);

/// What follows the question mark.
pub(crate) struct Asked<T>(pub(crate) T);

/// The body, an object of JSON whatever its content type says: `curl -d` calls it a form.
pub(crate) struct Body(pub(crate) serde_json::Map<String, Value>);

impl FromRequestParts<Leader> for Driver {
    type Rejection = Failure;

    async fn from_request_parts(_: &mut Parts, leader: &Leader) -> Result<Self, Failure> {
        (leader.0)().map(Self).ok_or_else(|| PdError::NotLeader.into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| Failure::bad(error.to_string()))?;
        let id = text.parse().map_err(|_| Failure::bad(format!("{text:?} in the path is not an id")))?;
        Ok(Self(id))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Query(asked) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|error| Failure::bad(error.body_text()))?;
        Ok(Self(asked))
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body =
            Bytes::from_request(request, state).await.map_err(|error| Failure::bad(error.body_text()))?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            Ok(_) => Err(Failure::bad("the body is not an object of JSON")),
            Err(error) => Err(Failure::bad(format!("the body is not JSON: {error}"))),
        }
    }
}

impl Body {
    /// A text that must be there.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Failure> {
        self.0.get(name).and_then(Value::as_str).ok_or_else(|| missing(name, "a text"))
    }

    /// A whole number, not negative, that must be there.
    pub(crate) fn number(&self, name: &str) -> Result<u64, Failure> {
        self.0.get(name).and_then(Value::as_u64).ok_or_else(|| missing(name, "a number"))
    }

    /// A text; empty if it is not there.
    pub(crate) fn optional_text(&self, name: &str) -> Result<&str, Failure> {
        match self.0.get(name) {
            None => Ok(""),
            Some(_) => self.text(name),
        }
    }

    /// A number that must be there.
    pub(crate) fn ratio(&self, name: &str) -> Result<f64, Failure> {
        self.0.get(name).and_then(Value::as_f64).ok_or_else(|| missing(name, "a number"))
    }

    /// A list of whole numbers that must be there.
    pub(crate) fn numbers(&self, name: &str) -> Result<Vec<u64>, Failure> {
        let list = self.0.get(name).and_then(Value::as_array);
        let numbers = list.and_then(|list| list.iter().map(Value::as_u64).collect());
        numbers.ok_or_else(|| missing(name, "a list of numbers"))
    }

    /// A list of keys in hexadecimal digits; empty if it is not there.
    pub(crate) fn keys(&self, name: &str) -> Result<Vec<Bytes>, Failure> {
        let Some(list) = self.0.get(name) else { return Ok(Vec::new()) };
        let list = list.as_array().ok_or_else(|| missing(name, "a list of keys"))?;
        let digits = |value: &Value| match value.as_str() {
            Some(digits) => key(name, digits),
            None => Err(missing(name, "a list of keys")),
        };
        list.iter().map(digits).collect()
    }

    /// A key in hexadecimal digits; nothing if it is not there.
    pub(crate) fn key(&self, name: &str) -> Result<Bytes, Failure> {
        match self.0.get(name) {
            None => Ok(Bytes::new()),
            Some(_) => key(name, self.text(name)?),
        }
    }
}

fn missing(name: &str, what: &str) -> Failure {
    Failure::bad(format!("the body needs {name:?}, {what}"))
}

/// A key in hexadecimal digits.
pub(crate) fn key(name: &str, digits: &str) -> Result<Bytes, Failure> {
    let key =
        hex::decode(digits).map_err(|error| Failure::bad(format!("{name} is not hexadecimal: {error}")))?;
    Ok(key.into())
}
