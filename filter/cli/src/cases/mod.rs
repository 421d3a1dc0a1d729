//! Case files: requests, the PDP's answers and the expected outcomes, as data. The same files drive
//! the core natively and on wasm32, the filter behind the real ABI, and a real Envoy.

mod expect;
mod patch;
mod pdp;
mod proof;
pub mod redate;
mod request;
#[cfg(feature = "cli")]
mod schema;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use everycall_core::config::PdpProtocol;
use everycall_core::{json, Decision, Engine, Reply, Step, StreamId, UnixTime};
use serde::Deserialize;
use serde_json::{Map, Value};

pub use expect::Expect;
pub use pdp::{asks, spoken, PdpAnswer};
pub use token::TokenSpec;

use crate::mint::MintError;
use crate::wire::WireRequest;
use crate::At;
use request::RequestSpec;
#[cfg(feature = "cli")]
pub(crate) use schema::schema_of;

/// What is wrong with a case file, or with one of its cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {message}")]
pub struct CaseError {
    file: String,
    message: String,
}

impl CaseError {
    /// What is wrong, without the file.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// A case file.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// The JSON Schema of this file, for editors: a path or a URL. Nothing is read from there.
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    /// What the cases are about, in a line.
    pub about: String,
    /// The instant at which the authority records of the base configuration are looked at: their
    /// validity moves along with it to now. Absent: they stand as they are.
    #[serde(default)]
    as_of: Option<redate::Instant>,
    /// Members of each grant of `config`, where the grant says nothing else: a `null` there leaves one out.
    #[serde(default)]
    grant_defaults: Map<String, Value>,
    /// A merge patch (RFC 7396) over the base configuration; `{"$instant": 60}` in it is an instant so many
    /// seconds from now, `{"$now": 60}` the same as a number, `{"$null": 0}` a null that stays.
    #[serde(default)]
    config: Map<String, Value>,
    /// The cases.
    #[cfg_attr(feature = "cli", schemars(length(min = 1)))]
    pub cases: Vec<Case>,
}

/// One request and what is to come of it.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique in its file.
    pub name: String,
    /// When it takes place: what it calls now, as does the configuration that it runs under. Absent: whenever the
    /// cases run.
    at: Option<At>,
    /// As on the wire.
    request: RequestSpec,
    /// Goes into the header `authorization`, behind its scheme.
    token: Option<TokenSpec>,
    /// Answers by question id.
    #[serde(default)]
    pdp: BTreeMap<String, PdpAnswer>,
    /// What the core decides.
    pub expect: Expect,
    /// What a client of Envoy sees where that isn't what the core decides.
    pub envoy: Option<EnvoyAnswer>,
    /// As `envoy`, where the connection manager mends no paths.
    pub envoy_plain: Option<EnvoyAnswer>,
}

/// Envoy answers by itself, before the filter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnvoyAnswer {
    /// The status of its answer.
    pub status: u16,
    /// Why.
    pub why: String,
}

impl CaseFile {
    /// Reads a case file. `file` is its name, for errors.
    ///
    /// # Errors
    /// The first mistake, with its JSON path.
    pub fn parse(file: &str, text: &str) -> Result<Self, CaseError> {
        let error = |message: String| CaseError { file: file.to_owned(), message };
        let document =
            json::parse(text.as_bytes()).map_err(|cause| error(format!("not strict JSON: {cause}")))?;
        let cases: Self = serde_path_to_error::deserialize(document)
            .map_err(|cause| error(format!("{}: {}", cause.path(), cause.inner())))?;
        let mut names = BTreeSet::new();
        if let Some(twice) = cases.cases.iter().find(|case| !names.insert(case.name.as_str())) {
            return Err(error(format!("two cases have the name `{}`", twice.name)));
        }
        let grants = cases.config.get("bundle").and_then(|bundle| bundle.pointer("/inline/grants"));
        if !cases.grant_defaults.is_empty() && grants.is_none() {
            return Err(error("grant_defaults: `config` has no grants".to_owned()));
        }
        if cases.cases.is_empty() {
            Err(error("it holds no case".to_owned()))
        } else {
            Ok(cases)
        }
    }

    /// The configuration that the cases of a time run under.
    pub fn config(&self, base: &Value, now: UnixTime) -> Value {
        let mut config = base.clone();
        if let Some(redate::Instant(as_of)) = self.as_of {
            redate::redate(&mut config, as_of, now);
        }
        let change = patch::at(&self.patch(), now);
        // Elevations are for grants: where a file has its own, those of the base mean nothing.
        let base = config.pointer_mut("/bundle/inline").and_then(Value::as_object_mut);
        if let (Some(base), Some(_)) = (base, change.pointer("/bundle/inline/grants")) {
            base.remove("elevations");
        }
        patch::merge(&mut config, &change);
        config
    }

    /// The cases in the order of the file, those together that follow one another at the same time, each lot with that
    /// time: their own, or `now` for those that have none. A lot runs under [`Self::config`] of its time, in an engine
    /// of its own, whose time does not run backwards.
    pub fn by_time(&self, now: UnixTime) -> impl Iterator<Item = (UnixTime, &[Case])> {
        let lots = self.cases.chunk_by(|case, next| case.at == next.at);
        lots.map(move |lot| (lot.first().and_then(Case::at).unwrap_or(now), lot))
    }

    /// The merge patch, its grants with all that they have.
    fn patch(&self) -> Value {
        let mut patch = Value::Object(self.config.clone());
        let grants = patch.pointer_mut("/bundle/inline/grants").and_then(Value::as_array_mut);
        for grant in grants.into_iter().flatten().filter_map(Value::as_object_mut) {
            for (name, value) in &self.grant_defaults {
                match grant.get(name) {
                    None => drop(grant.insert(name.clone(), value.clone())),
                    Some(Value::Null) => drop(grant.remove(name)),
                    Some(_) => {}
                }
            }
        }
        patch
    }
}

impl Case {
    /// When it takes place, if it says so: a runner that can't set the clock can't run it then.
    pub fn at(&self) -> Option<UnixTime> {
        self.at.map(|At(at)| at)
    }

    /// The request on the wire, tokens minted.
    ///
    /// # Errors
    /// A test key can't be read or can't sign.
    pub fn request(&self, config: &Value, now: UnixTime) -> Result<WireRequest, MintError> {
        self.request.wire(self.token.as_ref(), &self.name, config, now)
    }

    /// The PDP's reply to a question, in the protocol that it is asked in; a question that the case
    /// doesn't name finds nobody there.
    pub fn pdp_reply(&self, question_id: &str, protocol: PdpProtocol) -> Reply {
        self.pdp_answer(question_id).reply(protocol)
    }

    /// What the PDP does about a question.
    pub fn pdp_answer(&self, question_id: &str) -> PdpAnswer {
        self.pdp.get(question_id).unwrap_or(&PdpAnswer::Absent).clone()
    }
}

/// Runs one case through an engine of its file's configuration.
///
/// # Errors
/// A test key can't be read or can't sign.
pub fn run_case(
    engine: &mut Engine,
    case: &Case,
    config: &Value,
    now: UnixTime,
) -> Result<Decision, MintError> {
    Ok(decide_case(engine, case, &case.request(config, now)?, now))
}

/// Runs one case, whose request is on the wire already, through an engine.
pub fn decide_case(engine: &mut Engine, case: &Case, wire: &WireRequest, now: UnixTime) -> Decision {
    let mut step = engine.check(wire.to_core(StreamId(1)), now);
    loop {
        match step {
            Step::Done(decision) => return decision,
            // A standalone engine never waits: it has nobody to wait for.
            Step::Wait { pending } => step = engine.resume(pending, Vec::new(), now),
            Step::Ask { calls, pending } => {
                let open = pending.record().pdp.iter().filter(|exchange| exchange.answer.is_none());
                let asked = open.zip(&calls);
                let replies =
                    asked.map(|(exchange, call)| case.pdp_reply(&exchange.id, spoken(call))).collect();
                step = engine.resume(pending, replies, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
