//! The conformance vectors of identity-model: validation, DPoP and JWKS, as far as they are about
//! who receives tokens. What they ask of a client is turned round: we must accept its proofs.

mod dpop;

use everycall::mint::TestKey;
use everycall_core::jose::{Key, KeyRules, Usage};
use everycall_core::{Algorithm, Identity, KeySet, PureRust, Reply, Step, UnixTime};
use serde_json::{json, Map, Value};

use super::attacks::world::{bearer, came, config, done, later, settings, Forge, Row, World, ISSUER, NOW};
use crate::suite::{CaseResult, Suite, Vectors, IN_RUST};
use dpop::dpop;

pub fn suites() -> Vec<Suite> {
    vec![
        Suite { name: "identity-model-validation", minimum: 13, targets: IN_RUST, run: validation },
        Suite { name: "identity-model-dpop", minimum: 8, targets: IN_RUST, run: dpop },
        Suite { name: "identity-model-jwks", minimum: 7, targets: IN_RUST, run: jwks },
    ]
}

const SPEC: &str = "identity-model/spec/conformance";
const FIXTURES: &str = "identity-model/spec/test-fixtures";

fn fixture(vectors: &Vectors, path: &str) -> Value {
    vectors.json(&format!("{FIXTURES}/{path}"))
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// `1h`, `-30s`: seconds.
fn seconds(duration: &str) -> i64 {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let number: i64 = number.parse().expect("a duration starts with a number");
    match unit {
        "h" => number * 3_600,
        "m" => number * 60,
        "s" => number,
        _ => panic!("unknown unit in {duration}"),
    }
}

fn validation(vectors: &Vectors) -> Vec<CaseResult> {
    let file = vectors.json(&format!("{SPEC}/validation.json"));
    let mut results = Vec::new();
    for test in file["tests"].as_array().expect("the file has tests") {
        let id = test["id"].as_str().expect("a test has an id");
        match test["vectors"].as_array() {
            Some(cases) => results.extend(cases.iter().map(|case| validate(vectors, id, case))),
            None if id == "JWT-010" => {
                let mut row = Row::new(id);
                refresh(&mut row);
                results.push(row.result());
            }
            None => results.push(CaseResult {
                id: id.to_owned(),
                agrees: false,
                note: "it has no vectors, and nobody knows what it asks".to_owned(),
            }),
        }
    }
    results
}

/// One vector: the token is minted for its own clock, and the configuration says its options.
fn validate(vectors: &Vectors, id: &str, case: &Value) -> CaseResult {
    let id = match case["name"].as_str() {
        Some(name) => format!("{id} {name}"),
        None => id.to_owned(),
    };
    let options = &case["options"];
    let now = UnixTime::parse_rfc3339(options["now"].as_str().unwrap_or_default()).expect("an instant");
    let text = |name: &str, default: &str| options[name].as_str().unwrap_or(default).to_owned();
    let mut config = config();
    config["issuers"] = json!([{
        "issuer": text("expected_issuer", "https://issuer.example.com"),
        "audiences": [text("expected_audience", "test-client")],
        "algorithms": ["RS256"],
        "max_lifetime_s": 86_400,
        "kind": "human",
        "leeway_s": seconds(&text("clock_skew", "0s")),
        "required_claims": options.get("required_claims").cloned().unwrap_or(json!([])),
        "keys": {"inline": fixture(vectors, "validation/jwks.json")},
    }]);
    let token = minted(vectors, &case["token"], now);
    let got = settings(&config).verify(&token, &PureRust, now);
    let expected = &case["expect"];
    if expected["outcome"] == "accept" {
        let got = got.map_err(|rejection| rejection.reason.code().to_owned());
        return CaseResult::compare(id, true, got.and_then(|identity| holds(&identity, &expected["claims"])));
    }
    let wanted = match (expected["error"].as_str(), expected["claim"].as_str()) {
        (Some("alg_none"), _) => "token_algorithm",
        (Some("signature"), _) => "token_signature",
        (_, Some("exp")) => "token_expired",
        (_, Some("nbf")) => "token_not_yet_valid",
        (_, Some("iss")) => "token_issuer",
        (_, Some("aud")) => "token_audience",
        _ => "token_claims",
    };
    let came = got.map_or_else(|rejection| rejection.reason.code(), |_| "accepted");
    CaseResult { id, agrees: came == wanted, note: format!("published: {expected}; ours: {came}") }
}

fn holds(identity: &Identity, expected: &Value) -> Result<(), String> {
    let claims: Value = serde_json::from_str(identity.claims.text()).unwrap_or_default();
    let missing = members(expected).into_iter().find(|(name, value)| claims.get(name) != Some(value));
    missing.map_or(Ok(()), |(name, _)| Err(format!("the claim {name} is another")))
}

fn minted(vectors: &Vectors, spec: &Value, now: UnixTime) -> String {
    if let Some(path) = spec["static"].as_str() {
        return vectors.text(&format!("{FIXTURES}/{path}")).trim().to_owned();
    }
    let (key, kid) = match spec["signing_key"].as_str() {
        Some("fixture") => {
            let jwk = fixture(vectors, "validation/signing-key.jwk.json");
            let kid = jwk["kid"].clone();
            (TestKey::published("fixture", Algorithm::Rs256, &jwk).unwrap(), kid)
        }
        _ => (TestKey::foreign(Algorithm::Rs256).unwrap(), spec["header_kid"].clone()),
    };
    let mut claims = members(&spec["claims"]);
    for name in ["exp", "nbf", "iat"] {
        let time = claims.get(name).and_then(Value::as_str).map(|duration| now.secs() + seconds(duration));
        if let Some(time) = time {
            claims.insert(name.to_owned(), json!(time));
        }
    }
    let header = members(&json!({"alg": spec["alg"], "kid": kid, "typ": "JWT"}));
    Forge { header, claims }.signed(&key)
}

/// One issuer whose keys are on a server, which gives this set at the beginning.
fn remote(first: &Value) -> World {
    let mut config = config();
    let issuer = config["issuers"][0].as_object_mut().unwrap();
    issuer.insert(
        "keys".into(),
        json!({"remote": {"cluster": "jwks", "host": "id.example", "path": "/keys", "interval_s": 10}}),
    );
    let mut world = World::fetching(&config);
    let fetch = world.tick(NOW).fetches[0].0;
    let _ = world.answer(fetch, Reply::http(200, first.to_string()), NOW);
    world
}

/// A token with an unknown `kid` makes the set be fetched once more before it is refused.
fn refresh(row: &mut Row) {
    let (old, new) = (TestKey::es256().unwrap(), TestKey::foreign(Algorithm::Es256).unwrap());
    for (name, second, status) in [("the key came", &new, 200), ("it did not", &old, 401)] {
        let mut world = remote(&old.public_jwks());
        let token = Forge::new(&new).signed(&new);
        let step = world.step(&bearer(&token), later(20));
        let Step::Wait { pending } = step else {
            row.expect(name, false, "the request does not wait");
            return;
        };
        let due = world.tick(later(20));
        row.expect("one fetch", due.fetches.len() == 1, format!("{}", due.fetches.len()));
        let due =
            world.answer(due.fetches[0].0, Reply::http(200, second.public_jwks().to_string()), later(20));
        row.expect("it is woken", due.woken.len() == 1, format!("{:?}", due.woken));
        row.is(name, &done(world.engine.resume(pending, Vec::new(), later(20))), status);
    }
}

/// A row for each test of the file, filled by its id.
fn rows(vectors: &Vectors, name: &str, fill: impl Fn(&str, &mut Row)) -> Vec<CaseResult> {
    let file = vectors.json(&format!("{SPEC}/{name}.json"));
    let tests = file["tests"].as_array().expect("the file has tests");
    (tests.iter())
        .map(|test| {
            let id = test["id"].as_str().expect("a test has an id");
            let mut row = Row::new(id);
            fill(id, &mut row);
            row.result()
        })
        .collect()
}

fn jwks(vectors: &Vectors) -> Vec<CaseResult> {
    rows(vectors, "jwks", |id, row| match id {
        "JWKS-001" | "JWKS-002" | "JWKS-003" => valid_set(row, vectors),
        "JWKS-004" => refresh(row),
        "JWKS-005" => cached(row),
        "JWKS-006" => bad_signature(row),
        "JWKS-007" => malformed_sets(row, vectors),
        _ => row.expect("a known test", false, "nobody knows what it asks"),
    })
}

const RULES: KeyRules<'static> =
    KeyRules { algorithms: &[Algorithm::Rs256, Algorithm::Es256], usage: Usage::Signature };

fn valid_set(row: &mut Row, vectors: &Vectors) {
    let published = fixture(vectors, "jwks/valid.json");
    let fetched = match KeySet::fetched(published.to_string().as_bytes(), &RULES) {
        Ok(fetched) => fetched,
        Err(error) => return row.expect("the set", false, error),
    };
    row.expect("no key is left out", fetched.skipped.is_empty(), format!("{:?}", fetched.skipped));
    for jwk in published["keys"].as_array().into_iter().flatten() {
        let kid = jwk["kid"].as_str();
        let found = kid.and_then(|kid| fetched.keys.find(kid));
        row.expect("found by its id", found.and_then(Key::id) == kid, format!("{found:?}"));
        let algorithm = found.map(|key| key.algorithm().as_str());
        row.expect("its algorithm", algorithm == jwk["alg"].as_str(), format!("{algorithm:?}"));
    }
    row.expect("no other", fetched.keys.find("other").is_none(), "is found");
}

/// Within the set's lifetime nobody is asked again.
fn cached(row: &mut Row) {
    let key = TestKey::es256().unwrap();
    let mut world = remote(&key.public_jwks());
    let token = Forge::new(&key).claim("exp", NOW.secs() + 600).signed(&key);
    for second in 0..200 {
        row.is("a token", &world.at(&bearer(&token), later(second)), 200);
        let due = world.tick(later(second));
        row.expect("no fetch", due.fetches.is_empty(), format!("after {second} s"));
    }
}

/// Published: a bad signature makes the set be fetched. Anybody could make us do that.
fn bad_signature(row: &mut Row) {
    let (key, foreign) = (TestKey::es256().unwrap(), TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = remote(&key.public_jwks());
    let forged = Forge::new(&key).claim("iss", ISSUER).signed(&foreign);
    let fetches = match world.step(&bearer(&forged), later(20)) {
        Step::Wait { .. } => world.tick(later(20)).fetches.len(),
        other => {
            let decision = done(other);
            row.expect("it is refused", decision.verdict.is_err(), came(&decision));
            world.tick(later(20)).fetches.len()
        }
    };
    row.expect("a fetch", fetches == 1, format!("{fetches}"));
}

fn malformed_sets(row: &mut Row, vectors: &Vectors) {
    let empty = vectors.text(&format!("{FIXTURES}/jwks/empty.json"));
    for text in
        [empty, "", "{", "{}", "[]", "null", "<html>", "{\"keys\":{}}", "{\"keys\":[1]}", "{\"keys\":\"x\"}"]
    {
        let got = KeySet::fetched(text.as_bytes(), &RULES).err();
        row.expect(text.trim(), got.as_ref().is_some_and(|error| !error.is_empty()), format!("{got:?}"));
    }
}
