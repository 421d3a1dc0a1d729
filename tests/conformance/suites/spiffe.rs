//! JWT-SVIDs and bundles: the cases of go-spiffe, the rules of the standard.

mod rules;

use everycall::mint::TestKey;
use everycall_core::jose::{KeyRules, Usage};
use everycall_core::{Algorithm, KeySet, PureRust};
use serde_json::{json, Map, Value};

use super::attacks::world::{claims, config, settings, Forge, NOW};
use crate::suite::{CaseResult, Suite, Vectors, IN_RUST};
use rules::rules;

pub fn suites() -> Vec<Suite> {
    vec![
        Suite { name: "spiffe-jwt-svid", minimum: 13, targets: IN_RUST, run: recipes },
        Suite { name: "spiffe-rules", minimum: 9, targets: IN_RUST, run: rules },
        Suite { name: "spiffe-bundles", minimum: 9, targets: IN_RUST, run: bundles },
    ]
}

const CASES: &str = "spiffe/jwt_svid_cases.json";
const SUBJECT: &str = "spiffe://trustdomain/host";

/// `authority1` and `authority2` of the cases.
fn authorities() -> [TestKey; 2] {
    [TestKey::of(Algorithm::Es384).unwrap(), TestKey::rs256().unwrap()]
}

/// A key as an authority: under this id, for JWT-SVIDs.
fn authority(key: &TestKey, kid: &str) -> Value {
    let mut jwk = key.public_jwk();
    jwk["kid"] = json!(kid);
    jwk["use"] = json!("jwt-svid");
    jwk
}

fn trust_domain(name: &str, audience: &Value, algorithms: &[&str], keys: &[Value]) -> Value {
    json!({
        "issuer": format!("spiffe://{name}"), "profile": "spiffe", "audiences": audience, "kind": "workload",
        "algorithms": algorithms, "keys": {"inline": {"keys": keys}},
    })
}

/// The trust domain of the cases.
fn domain(audience: &Value) -> Value {
    let [first, second] = authorities();
    let keys = [authority(&first, "authority1"), authority(&second, "authority2")];
    let mut config = config();
    config["issuers"] = json!([trust_domain("trustdomain", audience, &["ES384", "RS256"], &keys)]);
    config
}

fn verify(token: &str, config: &Value) -> Result<(), String> {
    match settings(config).verify(token, &PureRust, NOW) {
        Ok(_) => Ok(()),
        Err(rejection) => Err(format!("{}: {}", rejection.reason.code(), rejection.detail)),
    }
}

/// Puts the changes over the members; null takes one out, `now-60` is a time.
fn change(members: &mut Map<String, Value>, changes: Option<&Value>) {
    for (name, value) in changes.and_then(Value::as_object).into_iter().flatten() {
        let offset = value
            .as_str()
            .and_then(|text| text.strip_prefix("now"))
            .and_then(|text| text.parse::<i64>().ok());
        match (value, offset) {
            (Value::Null, _) => drop(members.remove(name)),
            (_, Some(offset)) => drop(members.insert(name.clone(), json!(NOW.secs() + offset))),
            (value, None) => drop(members.insert(name.clone(), value.clone())),
        }
    }
}

fn recipes(vectors: &Vectors) -> Vec<CaseResult> {
    let file = vectors.json(CASES);
    let cases = file["cases"].as_array().expect("the file has cases");
    cases
        .iter()
        .map(|case| {
            let audience = case.get("configured_audience").cloned().unwrap_or(json!(["audience"]));
            let got = verify(&recipe(case), &domain(&audience));
            let accept = case["expect"].as_str() == Some("accept");
            CaseResult::compare(case["name"].as_str().expect("a case has a name"), accept, got)
        })
        .collect()
}

/// The token that a case says how to mint.
fn recipe(case: &Value) -> String {
    if let Some(token) = case["token"].as_str() {
        return token.to_owned();
    }
    let [first, second] = authorities();
    let key = if case["sign"] == "key2" { second } else { first };
    let mut forge = Forge {
        header: key.header(),
        claims: json!({
            "sub": SUBJECT, "iss": "issuer", "aud": ["audience"], "iat": NOW.secs(), "exp": NOW.secs() + 60,
        })
        .as_object()
        .cloned()
        .unwrap_or_default(),
    };
    forge.header.insert("kid".into(), json!("authority1"));
    change(&mut forge.claims, case.get("change"));
    change(&mut forge.header, case.get("header"));
    // The Go library leaves an empty id out.
    if forge.header["kid"] == "" {
        forge = forge.without_header("kid");
    }
    forge.signed(&key)
}

/// An honest SVID by `authority1`.
fn svid(key: &TestKey) -> Forge {
    let forge = Forge { header: key.header(), claims: claims() };
    forge.header("kid", "authority1").without("iss").claim("sub", SUBJECT).claim("aud", "audience")
}

/// What go-spiffe says of each file: the ids of the JWT authorities, or that it is refused.
fn bundles(vectors: &Vectors) -> Vec<CaseResult> {
    let refused = [
        "jwks_missing_kid.json",
        "spiffebundle_missing_kid.json",
        "spiffebundle_multiple_x509.json",
        "spiffebundle_no_keys.json",
    ];
    let files = vectors.0.iter().filter(|(path, _)| path.starts_with("spiffe/bundle/"));
    files
        .map(|(path, body)| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let got = bundle(path, body);
            CaseResult::compare(name, !refused.contains(&name), got)
        })
        .collect()
}

/// Whether all its JWT authorities are there and nothing else.
fn bundle(path: &str, body: &[u8]) -> Result<(), String> {
    let algorithms = [Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256];
    let fetched = KeySet::fetched(body, &KeyRules { algorithms: &algorithms, usage: Usage::JwtSvid })?;
    let document: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let all = document["keys"].as_array().into_iter().flatten();
    let mut wanted: Vec<&str> = all
        .filter(|key| path.contains("jwtbundle") || key["use"] == "jwt-svid")
        .filter_map(|key| key["kid"].as_str())
        .collect();
    let mut ids: Vec<&str> = fetched.keys.ids().collect();
    wanted.sort_unstable();
    ids.sort_unstable();
    if ids != wanted {
        return Err(format!("its keys are {ids:?}"));
    }
    let hints = (fetched.sequence, fetched.refresh_hint_s);
    match hints == (document["spiffe_sequence"].as_u64(), document["spiffe_refresh_hint"].as_u64()) {
        true => Ok(()),
        false => Err(format!("its sequence and hint are {hints:?}")),
    }
}
