//! What the endpoints have in common: strict request bodies, and refusals in the form of RFC 6749
//! section 5.2.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{header, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use everycall_core::json;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Server;

/// An answer that is not the one asked for.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into() }
    }

    pub(super) fn bad_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub(super) fn not_found(description: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", description)
    }

    pub(super) fn server_error(description: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", description)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = serde_json::json!({"error": self.error, "error_description": self.description});
        (self.status, Json(body)).into_response()
    }
}

pub(super) async fn not_found() -> Refused {
    Refused::not_found("no such endpoint; `/` lists them")
}

pub(super) async fn method_not_allowed() -> Refused {
    Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "no such method here; `/` lists the endpoints",
    )
}

/// A body that is one JSON object without duplicate members, read as `T`.
pub(super) struct Strict<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Strict<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let Raw(bytes) = Raw::from_request(request, state).await?;
        let members = object(&bytes)?;
        serde_json::from_value(Value::Object(members))
            .map(Self)
            .map_err(|error| Refused::bad_request(error.to_string()))
    }
}

/// A body of any bytes.
pub(super) struct Raw(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        Bytes::from_request(request, state).await.map(Self).map_err(|error| {
            Refused::new(error.status(), "invalid_request", error.body_text().to_lowercase())
        })
    }
}

/// One strict JSON object.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Refused> {
    json::parse_object(bytes)
        .map_err(|error| Refused::bad_request(format!("not a strict JSON object: {error}")))
}

/// One object, an array of objects, or one object a line.
pub(super) fn objects(body: &[u8]) -> Result<Vec<Value>, Refused> {
    if let Ok(Value::Object(object)) = json::parse(body) {
        return Ok(vec![Value::Object(object)]);
    }
    if body.trim_ascii_start().starts_with(b"[") {
        return match json::parse(body) {
            Ok(Value::Array(objects)) if objects.iter().all(Value::is_object) => Ok(objects),
            Ok(_) => Err(Refused::bad_request("expected an array of objects")),
            Err(error) => Err(Refused::bad_request(format!("not strict JSON: {error}"))),
        };
    }
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let objects: Vec<Value> = lines.map(|line| object(line).map(Value::Object)).collect::<Result<_, _>>()?;
    if objects.is_empty() {
        Err(Refused::bad_request("expected an object"))
    } else {
        Ok(objects)
    }
}

/// The URL that the client reached the server by.
pub(super) fn base_url(server: &Server, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match host.and_then(|host| host.parse::<axum::http::uri::Authority>().ok()) {
        Some(authority) => format!("http://{authority}"),
        None => format!("http://{}", server.address),
    }
}
