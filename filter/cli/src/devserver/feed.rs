//! What was revoked, and the signals: each told in two ways, as the signed feed that filters follow, and
//! as a list for people.

use std::sync::Mutex;

use anyhow::Context as _;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Query, State};
use axum::http::{header, HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::facts::FeedKind;
use everycall_core::{json as strict, UnixTime};
use serde::Deserialize;
use serde_json::{json, Map, Value};

use super::fault::Fault;
use super::issuer::DEFAULT_LIFETIME_S;
use super::listener::Hangup;
use super::reply::{objects, Raw, Refused};
use super::{lock, Server, Shared, LARGE_BODY_BYTES};
use crate::clock;
use crate::mint::{self, TestKey};
use crate::publisher::{Answer, Asked, MadeUp, Publisher, DELTA};

/// The most facts that are kept.
const MAX_FACTS: usize = 100_000;
/// Facts that are listed if the query does not say.
const DEFAULT_LIMIT: usize = 1_000;
/// A revocation outlives the tokens by so many seconds: clocks differ.
const LEEWAY_S: i64 = 60;
/// RFC 3229 section 10.5.3.
const A_IM: HeaderName = HeaderName::from_static("a-im");
/// RFC 3229 section 10.5.2.
const IM: HeaderName = HeaderName::from_static("im");

/// The feed at its source.
pub(super) struct Feed {
    kind: FeedKind,
    /// Absent: there is no private key for who may sign.
    publisher: Option<Mutex<Publisher>>,
    key: TestKey,
    /// How long a token of the configured issuers can live.
    longest_s: i64,
    pub(super) fault: Mutex<Fault>,
}

impl Feed {
    /// The key that signs is the first one of `keys` of this kind, if that is a test key; where there is
    /// nothing of the kind, it is the one for ES256.
    pub(super) fn read(kind: FeedKind, config: &Value) -> anyhow::Result<Self> {
        let issuers = config.get("issuers").and_then(Value::as_array).into_iter().flatten();
        let lifetimes = issuers.filter_map(|issuer| issuer.get("max_lifetime_s")?.as_i64());
        let longest_s = lifetimes.max().unwrap_or(DEFAULT_LIFETIME_S);
        let trusted = config.pointer(&format!("/{kind}/keys/keys/0"));
        let (key, is_trusted) = match trusted.map(mint::test_key_in) {
            None => (TestKey::es256()?, true),
            Some(Some(id)) => (TestKey::named(id)?, true),
            Some(None) => (TestKey::es256()?, false),
        };
        if !is_trusted {
            eprintln!(
                "everycall devserver: the first key of `{kind}.keys` is not a test key: there are no {kind}"
            );
        }
        let signing = TestKey::named(key.id()).with_context(|| format!("the key of {kind}"))?;
        let publisher = Publisher::new(kind, signing, clock::now());
        let publisher = is_trusted.then(|| Mutex::new(publisher));
        Ok(Self { kind, publisher, key, longest_s, fault: Mutex::default() })
    }

    fn publisher(&self) -> Result<&Mutex<Publisher>, Refused> {
        let kind = self.kind;
        let missing = || Refused::server_error(format!("there is no private key for who may sign {kind}"));
        self.publisher.as_ref().ok_or_else(missing)
    }

    /// When the last token that there is now has expired.
    fn until(&self, now: UnixTime) -> UnixTime {
        UnixTime::from_secs(now.secs().saturating_add(self.longest_s).saturating_add(LEEWAY_S))
    }

    /// Revokes all that is bound to a task, whoever issued it. Answers the sequence that says so; `None`
    /// without a key.
    pub(super) fn end_task(
        &self,
        id: &str,
        reason: Option<&str>,
        ticket: Option<&str>,
        now: UnixTime,
    ) -> Result<Option<u64>, Refused> {
        if self.publisher.is_none() {
            return Ok(None);
        }
        let mut fact = Map::from_iter([
            ("revoke".to_owned(), json!("task")),
            ("id".to_owned(), json!(id)),
            ("expires_at".to_owned(), json!(self.until(now).to_string())),
        ]);
        for (name, text) in [("reason", reason), ("ticket", ticket)] {
            text.map(|text| fact.insert(name.to_owned(), text.into()));
        }
        self.publish(vec![Value::Object(fact)], now).map(Some)
    }

    /// All of the facts as one change, or none. Answers its sequence.
    fn publish(&self, facts: Vec<Value>, now: UnixTime) -> Result<u64, Refused> {
        for (index, fact) in facts.iter().enumerate() {
            self.kind
                .check(fact.clone())
                .map_err(|message| Refused::bad_request(format!("[{index}]: {message}")))?;
        }
        let mut publisher = lock(self.publisher()?);
        if publisher.facts().len().saturating_add(facts.len()) > MAX_FACTS {
            let kind = self.kind;
            let message = format!("at most {MAX_FACTS} {kind} are kept; restart the devserver");
            let code = match kind {
                FeedKind::Revocations => "too_many_revocations",
                FeedKind::Signals => "too_many_signals",
            };
            return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, code, message));
        }
        publisher.publish(facts, now);
        Ok(publisher.sequence())
    }

    /// So many facts more that are made up.
    pub(super) async fn fill(&self, entries: usize) -> Result<(), Refused> {
        if entries == 0 && self.publisher.is_none() {
            return Ok(());
        }
        let publisher = self.publisher()?;
        let until = self.until(clock::now()).to_string();
        let kind = self.kind;
        let made_up = move |index: usize| {
            let id = format!("made-up-{index}");
            match kind {
                FeedKind::Revocations => json!({"revoke": "token", "issuer": "https://nowhere.example",
                    "id": id, "expires_at": until}),
                FeedKind::Signals => json!({"about": "task", "id": id, "signal": "risk", "value": "low",
                    "expires_at": until}),
            }
        };
        // A million takes seconds.
        let pages = tokio::task::spawn_blocking(move || MadeUp::new(entries, made_up)).await;
        let pages = pages
            .map_err(|error| error.to_string())
            .and_then(|pages| pages)
            .map_err(Refused::server_error)?;
        lock(publisher).fill(pages);
        Ok(())
    }
}

pub(super) fn routes() -> Router<Shared> {
    let limit = DefaultBodyLimit::max(LARGE_BODY_BYTES);
    let mut router = Router::new();
    for kind in [FeedKind::Revocations, FeedKind::Signals] {
        let ask = get(move |server, hangup, page, headers| feed(kind, server, hangup, page, headers));
        let routes = ask.post(move |server, body| tell(kind, server, body));
        router = router
            .route(&format!("/{kind}"), routes.layer(limit))
            .route(&format!("/{kind}/list"), get(move |server, limit| list(kind, server, limit)));
    }
    router
}

impl Server {
    pub(super) const fn feed(&self, kind: FeedKind) -> &Feed {
        match kind {
            FeedKind::Revocations => &self.revocations,
            FeedKind::Signals => &self.signals,
        }
    }
}

/// Lines of a feed; `expires_at` may be left out.
async fn tell(
    kind: FeedKind,
    State(server): State<Shared>,
    Raw(body): Raw,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let feed = server.feed(kind);
    let now = clock::now();
    let mut facts = objects(&body)?;
    let until = feed.until(now).to_string();
    for fact in facts.iter_mut().filter_map(Value::as_object_mut) {
        fact.entry("expires_at").or_insert_with(|| until.clone().into());
    }
    let accepted = facts.len();
    let sequence = feed.publish(facts, now)?;
    Ok((StatusCode::CREATED, Json(json!({"sequence": sequence, "accepted": accepted}))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: Option<usize>,
}

/// What counts now, without what was made up.
async fn list(
    kind: FeedKind,
    State(server): State<Shared>,
    limit: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    let Query(Limit { limit }) = limit.map_err(|error| unreadable(&error))?;
    let publisher = lock(server.feed(kind).publisher()?);
    let facts: Vec<&Value> = publisher.facts().take(limit.unwrap_or(DEFAULT_LIMIT)).collect();
    let total = publisher.facts().len();
    Ok(Json(json!({"sequence": publisher.sequence(), "total": total, (kind.as_str()): facts})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    page: Option<usize>,
}

async fn feed(
    kind: FeedKind,
    State(server): State<Shared>,
    ConnectInfo(hangup): ConnectInfo<Hangup>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let Query(Page { page }) = page.map_err(|error| unreadable(&error))?;
    let first = |name: HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        text.split(',').map(str::trim).next().map(str::to_owned)
    };
    let accepts = headers.get_all(A_IM).iter().filter_map(|value| value.to_str().ok());
    let delta = accepts
        .flat_map(|value| value.split(','))
        .any(|manipulation| manipulation.split(';').next().is_some_and(|name| name.trim() == DELTA));
    let asked = Asked { page, known: first(header::IF_NONE_MATCH), of: first(header::IF_MATCH), delta };

    let feed = server.feed(kind);
    let fault = lock(&feed.fault).clone();
    let response = match fault.answer(&hangup) {
        Some(response) => response,
        None => {
            let answer = lock(feed.publisher()?).answer(&asked, clock::now());
            let answer = answer.map_err(Refused::server_error)?;
            respond(spoilt(answer, &fault, &feed.key)?)
        }
    };
    fault.wait(server.stop.clone()).await;
    Ok(response)
}

fn unreadable(error: &QueryRejection) -> Refused {
    Refused::bad_request(error.body_text().to_lowercase())
}

fn respond(Answer { status, etag, body }: Answer) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match status {
        StatusCode::NOT_FOUND => Refused::not_found("the list has no such page").into_response(),
        StatusCode::PRECONDITION_FAILED => {
            let message = "the list that the page is of is gone; begin with the first page";
            Refused::new(status, "precondition_failed", message).into_response()
        }
        _ => (status, body).into_response(),
    };
    let headers = response.headers_mut();
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
        headers.insert(header::ETAG, etag);
    }
    if status == StatusCode::IM_USED {
        headers.insert(IM, HeaderValue::from_static(DELTA));
    }
    if status.is_success() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    }
    response
}

/// What a fault makes of an answer.
fn spoilt(answer: Answer, fault: &Fault, key: &TestKey) -> Result<Answer, Refused> {
    let no_key = |error: mint::MintError| Refused::server_error(error.to_string());
    Ok(match fault {
        _ if answer.body.is_empty() => answer,
        Fault::Truncated {} => {
            let half = answer.body.len() / 2;
            let body = answer.body.into_iter().take(half).collect();
            Answer { body, ..answer }
        }
        Fault::Older {} => {
            let older = |claims: &mut Map<String, Value>| {
                claims.remove("since");
                claims.insert("sequence".into(), 1.into());
            };
            Answer { status: 200, body: signed_again(&answer.body, key, older)?, ..answer }
        }
        Fault::OtherKey {} => {
            let other = TestKey::foreign(key.algorithm()).map_err(no_key)?;
            Answer { body: signed_again(&answer.body, &other, |_| ())?, ..answer }
        }
        _ => answer,
    })
}

/// The document with other claims in its head, and a signature of this key under the same name.
fn signed_again(
    document: &[u8],
    key: &TestKey,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<Vec<u8>, Refused> {
    let broken = || Refused::server_error("the document has no head");
    let end = document.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
    let (head, below) = document.split_at_checked(end).ok_or_else(broken)?;
    let part = |index: usize| {
        let text = head.split(|byte| *byte == b'.').nth(index)?;
        strict::parse_object(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    let (header, mut claims) = part(0).zip(part(1)).ok_or_else(broken)?;
    change(&mut claims);
    let head = key.sign(&header, &claims).map_err(|error| Refused::server_error(error.to_string()))?;
    Ok([head.as_bytes(), below].concat())
}
