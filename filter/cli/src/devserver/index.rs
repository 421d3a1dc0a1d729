//! The page at `/`: what this is and what can be asked of it.

use axum::extract::State;
use axum::http::HeaderMap;

use super::reply::base_url;
use super::Shared;

const PAGE: &str = include_str!("index.txt");

pub(super) async fn page(State(server): State<Shared>, headers: HeaderMap) -> String {
    let names: Vec<&str> = server.issuers.names().collect();
    PAGE.replace("{base}", &base_url(&server, &headers))
        .replace("{issuers}", &names.join(", "))
        .replace("{issuer}", names.first().copied().unwrap_or("none"))
}
