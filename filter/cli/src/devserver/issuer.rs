//! The issuer: short-lived, task-bound tokens for the issuers of the configuration, their key sets
//! and metadata. Whoever asks gets one; a real issuer authenticates its clients.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::http::{header, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use everycall_core::{Algorithm, UnixTime};
use serde::Deserialize;
use serde_json::{json, Map, Value};

use super::reply::{base_url, object, Raw, Refused};
use super::{lock, Shared, Signer};
use crate::clock;

/// Seconds that a token lives if its request does not say.
pub(super) const DEFAULT_LIFETIME_S: i64 = 300;
/// Claims that the issuer sets itself, besides the one that names the task.
const OWN_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "iat", "exp", "jti", "act"];

/// What is needed of the configuration; the rest of it is not looked at here.
#[derive(Deserialize)]
struct Configuration {
    issuers: Vec<Issuer>,
}

#[derive(Deserialize)]
struct Issuer {
    issuer: String,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    max_lifetime_s: i64,
    task_claim: Option<String>,
    types: Option<Vec<String>>,
    kind: String,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    inline: KeySet,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    alg: Option<String>,
}

impl Key {
    /// A key without `alg` serves the one allowed algorithm of its type.
    fn algorithm(&self, allowed: &[Algorithm]) -> &str {
        let fits = |algorithm: &&Algorithm| match algorithm {
            Algorithm::Es256 => self.crv.as_deref() == Some("P-256"),
            Algorithm::Es384 => self.crv.as_deref() == Some("P-384"),
            Algorithm::EdDsa => self.kty == "OKP",
            _ => self.kty == "RSA",
        };
        let only = || allowed.iter().find(fits).map(|algorithm| algorithm.as_str());
        self.alg.as_deref().or_else(only).unwrap_or_default()
    }
}

/// The issuers by name: the last path segment of the issuer's URL.
pub(super) struct Issuers {
    all: BTreeMap<String, Issuer>,
    signer: Arc<dyn Signer>,
    /// Makes token ids unique over restarts.
    started: UnixTime,
    issued: AtomicU64,
}

impl Issuers {
    pub(super) fn read(config: &Value, signer: Arc<dyn Signer>) -> anyhow::Result<Self> {
        let Configuration { issuers } =
            Configuration::deserialize(config).context("the configuration's issuers cannot be read")?;
        let mut all = BTreeMap::new();
        for issuer in issuers {
            let name = issuer.issuer.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
            anyhow::ensure!(!name.is_empty(), "issuer `{}` has no last path segment", issuer.issuer);
            anyhow::ensure!(!issuer.keys.inline.keys.is_empty(), "issuer `{}` has no key", issuer.issuer);
            if let Some(other) = all.insert(name.clone(), issuer) {
                anyhow::bail!("issuer `{}` and another one both end in `{name}`", other.issuer);
            }
        }
        Ok(Self { all, signer, started: clock::now(), issued: AtomicU64::new(0) })
    }

    /// The names, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    fn find(&self, name: &str) -> Result<&Issuer, Refused> {
        self.all.get(name).ok_or_else(|| Refused::not_found(format!("no issuer `{name}` is configured")))
    }

    /// The token, and the seconds that it lives.
    fn issue(&self, name: &str, request: TokenRequest) -> Result<(String, i64), Refused> {
        let issuer = self.find(name)?;
        let lifetime = issuer.lifetime(name, request.lifetime_s)?;
        let now = clock::now().secs();
        let serial = self.issued.fetch_add(1, Ordering::Relaxed);
        let mut claims = issuer.claims(request)?;
        claims.insert("iat".into(), now.into());
        claims.insert("exp".into(), now.saturating_add(lifetime).into());
        claims.insert("jti".into(), format!("{name}-{:x}-{serial}", self.started.micros()).into());
        let token = self.signer.sign(&issuer.issuer, issuer.header(), claims).ok_or_else(|| {
            Refused::server_error(format!("there is no private key for the issuer `{name}`"))
        })?;
        Ok((token, lifetime))
    }
}

impl Issuer {
    fn lifetime(&self, name: &str, asked: Option<i64>) -> Result<i64, Refused> {
        let max = self.max_lifetime_s;
        match asked {
            None => Ok(DEFAULT_LIFETIME_S.min(max)),
            Some(asked) if (1..=max).contains(&asked) => Ok(asked),
            Some(asked) => Err(Refused::bad_request(format!(
                "`lifetime_s` is {asked}; tokens of the issuer `{name}` live 1 to {max} s"
            ))),
        }
    }

    fn header(&self) -> Map<String, Value> {
        let mut header = Map::new();
        let typ = match self.types.as_deref() {
            Some([first, others @ ..]) if first != "jwt" && !others.iter().any(|typ| typ == "jwt") => first,
            _ => "JWT",
        };
        if !typ.is_empty() {
            header.insert("typ".into(), typ.into());
        }
        if let Some(key) = self.keys.inline.keys.first() {
            header.insert("alg".into(), key.algorithm(&self.algorithms).into());
            key.kid.as_deref().map(|kid| header.insert("kid".into(), kid.into()));
        }
        header
    }

    /// All claims but those that come from the clock and the counter.
    fn claims(&self, request: TokenRequest) -> Result<Map<String, Value>, Refused> {
        let TokenRequest { sub, task, act, audience, lifetime_s: _, mut claims } = request;
        if sub.is_empty() {
            return Err(Refused::bad_request("`sub` must not be empty"));
        }
        // A task among the extra claims would not have to be an open one.
        let task_claim = self.task_claim.as_deref();
        if let Some(name) = OWN_CLAIMS.into_iter().chain(task_claim).find(|name| claims.contains_key(*name)) {
            return Err(Refused::bad_request(format!("`claims.{name}` is set by the issuer")));
        }
        let audience = audience.or_else(|| self.audiences.first().cloned()).unwrap_or_default();
        if audience.is_empty() {
            return Err(Refused::bad_request("`audience` must not be empty"));
        }
        if let Some(task) = task {
            let name = task_claim
                .ok_or_else(|| Refused::bad_request("the issuer has no `task_claim` for a `task`"))?;
            claims.insert(name.to_owned(), task.into());
        }
        if let Some(act) = act {
            if act.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(Refused::bad_request("`act.sub` is missing or not text"));
            }
            claims.insert("act".into(), act.into());
        }
        claims.insert("iss".into(), self.issuer.as_str().into());
        claims.insert("sub".into(), sub.into());
        claims.insert("aud".into(), audience.into());
        Ok(claims)
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/issuers/{name}/token", post(token))
        .route("/issuers/{name}/jwks.json", get(jwks))
        .route("/issuers/{name}/.well-known/openid-configuration", get(metadata))
}

/// What a token is asked for with.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    sub: String,
    task: Option<String>,
    act: Option<Map<String, Value>>,
    audience: Option<String>,
    lifetime_s: Option<i64>,
    #[serde(default)]
    claims: Map<String, Value>,
}

/// RFC 6749 section 6.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefreshRequest {
    grant_type: String,
    refresh_token: String,
}

/// The body of a request for a token.
enum Asked {
    New(TokenRequest),
    Refresh(RefreshRequest),
}

impl Asked {
    /// JSON; to refresh, also a form, as clients of OAuth send it.
    fn read(body: &[u8]) -> Result<Self, Refused> {
        let bad = |error: serde_json::Error| Refused::bad_request(error.to_string());
        let is_form = !body.starts_with(b"{") && body.starts_with(b"grant_type=");
        let members = if is_form {
            let form = serde_urlencoded::from_bytes::<Vec<(String, String)>>(body);
            let form = form.map_err(|error| Refused::bad_request(format!("not a form: {error}")))?;
            // Others a server has to ignore (RFC 6749 section 3.2).
            let known = form.into_iter().filter(|(name, _)| REFRESH_MEMBERS.contains(&name.as_str()));
            known.map(|(name, value)| (name, value.into())).collect()
        } else {
            object(body)?
        };
        if members.contains_key("grant_type") {
            serde_json::from_value(Value::Object(members)).map(Self::Refresh).map_err(bad)
        } else {
            serde_json::from_value(Value::Object(members)).map(Self::New).map_err(bad)
        }
    }
}

const REFRESH_MEMBERS: [&str; 2] = ["grant_type", "refresh_token"];

async fn token(
    State(server): State<Shared>,
    Path(name): Path<String>,
    body: Result<Raw, Refused>,
) -> Result<Response, Refused> {
    server.issuers.find(&name)?;
    let Raw(body) = body?;
    let mut tasks = lock(&server.tasks);
    let (request, refreshed) = match Asked::read(&body)? {
        Asked::New(request) => (request, None),
        Asked::Refresh(RefreshRequest { grant_type, refresh_token }) if grant_type == "refresh_token" => {
            (tasks.refresh(&name, &refresh_token)?, Some(refresh_token))
        }
        Asked::Refresh(RefreshRequest { grant_type, .. }) => {
            let message = format!("`grant_type` is `{grant_type}`; expected `refresh_token`");
            return Err(Refused::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", message));
        }
    };
    // The lock is held until the token is the task's: it does not end in between.
    let (token, lifetime) = server.issuers.issue(&name, request.clone())?;
    let mut answer = json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime});
    if let Some(task) = request.task.clone() {
        let again = refreshed.is_none().then_some((name.as_str(), request));
        let refresh_token = tasks.bind(&task, again)?.or(refreshed);
        if let (Some(token), Some(members)) = (refresh_token, answer.as_object_mut()) {
            members.insert("refresh_token".into(), token.into());
        }
    }
    drop(tasks);
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

async fn jwks(State(server): State<Shared>, Path(name): Path<String>) -> Result<Json<Value>, Refused> {
    let issuer = server.issuers.find(&name)?;
    let keys = server.issuers.signer.jwks(&issuer.issuer);
    keys.map(Json).ok_or_else(|| Refused::not_found(format!("there is no key for the issuer `{name}`")))
}

/// OpenID Connect Discovery 1.0 section 3, as far as it applies.
async fn metadata(
    State(server): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let issuer = server.issuers.find(&name)?;
    let base = format!("{}/issuers/{name}", base_url(&server, &headers));
    let algorithms: Vec<&str> =
        issuer.keys.inline.keys.iter().map(|key| key.algorithm(&issuer.algorithms)).collect();
    Ok(Json(json!({
        "issuer": issuer.issuer,
        "jwks_uri": format!("{base}/jwks.json"),
        "token_endpoint": format!("{base}/token"),
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "everycall_kind": issuer.kind,
    })))
}
