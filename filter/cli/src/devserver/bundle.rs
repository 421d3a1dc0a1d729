//! A bundle file, as a server of bundles gives it out: read anew at each request, with an entity tag.

use axum::extract::State;
use axum::http::{header, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::Router;
use sha2::{Digest as _, Sha256};

use super::reply::Refused;
use super::Shared;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/bundle", get(bundle))
}

async fn bundle(State(server): State<Shared>, headers: HeaderMap) -> Result<Response, Refused> {
    let file = server.bundle.as_ref();
    let file = file.ok_or_else(|| Refused::not_found("the server was started without `--bundle`"))?;
    let bytes = tokio::fs::read(file).await;
    let bytes =
        bytes.map_err(|cause| Refused::server_error(format!("the bundle cannot be read: {cause}")))?;
    let digest = Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
    let tag = format!("\"{digest}\"");
    // RFC 9110 section 13.1.2, as far as the filter asks: one tag.
    let same = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let head = [(header::ETAG, tag), (header::CONTENT_TYPE, "application/x-ndjson".to_owned())];
    Ok(if same { (StatusCode::NOT_MODIFIED, head).into_response() } else { (head, bytes).into_response() })
}
