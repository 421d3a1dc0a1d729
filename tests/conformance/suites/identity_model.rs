//! The conformance vectors of identity-model: validation, DPoP and JWKS, as far as they are about
//! who receives tokens. What they ask of a client is turned round: we must accept its proofs.

use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::jose::{Key, KeyRules, Usage};
use everycall_core::{Algorithm, Identity, KeySet, PureRust, Reply, Step, UnixTime};
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use super::attacks::world::{
    add_grant, base64url, bearer, came, config, done, get, grant, later, settings, Forge, Row, World, ISSUER,
    NOW,
};
use crate::suite::{CaseResult, Suite, Vectors, IN_RUST};

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

/// A client as the fixtures describe it: its key, the token that is bound to it, its clock.
struct Client {
    key: TestKey,
    public: Value,
    token: String,
    world: World,
    now: UnixTime,
}

impl Client {
    fn new(vectors: &Vectors, algorithm: Algorithm) -> Self {
        let pair = fixture(vectors, &format!("dpop/dpop-keypair-{}.json", algorithm.as_str().to_lowercase()));
        let key = TestKey::published("fixture", algorithm, &pair["private"]).unwrap();
        let bound = fixture(vectors, "dpop/dpop-bound-token.json");
        let server = TestKey::es256().unwrap();
        let mut claims = members(&bound["payload"]);
        claims.insert("cnf".into(), json!({"jkt": pair["thumbprint"]}));
        let token = Forge { header: members(&bound["header"]), claims: claims.clone() }.signed(&server);
        let mut config = config();
        let issuer = &mut config["issuers"][0];
        issuer["issuer"] = claims["iss"].clone();
        issuer["audiences"] = json!([claims["aud"]]);
        issuer["keys"]["inline"]["keys"][0]["kid"] = bound["header"]["kid"].clone();
        let mut grant = grant(claims["sub"].as_str().unwrap_or_default());
        grant["hosts"] = json!(["server.example.com", "resource.example.com"]);
        add_grant(&mut config, grant);
        let now = UnixTime::from_secs(1_732_200_100);
        Self { key, public: pair["public"].clone(), token, world: World::new(&config), now }
    }

    /// The fixture's proof, with the hash of our token and our key.
    fn proof(&self, vectors: &Vectors, name: &str, jti: &str) -> Forge {
        let fixture = fixture(vectors, &format!("dpop/dpop-proof-{name}-request.json"));
        let mut jwk = self.public.clone();
        jwk.as_object_mut().unwrap().retain(|name, _| !["alg", "use"].contains(&name.as_str()));
        let proof = Forge { header: members(&fixture["header"]), claims: members(&fixture["payload"]) };
        let proof = proof.header("jwk", jwk).header("alg", self.key.algorithm().as_str()).claim("jti", jti);
        proof.claim("iat", self.now.secs()).claim("ath", base64url(Sha256::digest(&self.token)))
    }

    fn send(
        &mut self,
        scheme: &str,
        method: &str,
        url: &str,
        proof: Option<&Forge>,
    ) -> everycall_core::Decision {
        let (host, path) = url.trim_start_matches("https://").split_once('/').unwrap();
        let mut request =
            WireRequest { method: method.into(), host: host.into(), ..get(&format!("/{path}")) };
        request.headers.push(("authorization".into(), format!("{scheme} {}", self.token).into_bytes()));
        if let Some(proof) = proof {
            request.headers.push(("dpop".into(), proof.signed(&self.key).into_bytes()));
        }
        self.world.at(&request, self.now)
    }
}

const RESOURCE: &str = "https://resource.example.com/protectedresource";
const TOKEN_ENDPOINT: &str = "https://server.example.com/token";

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

fn dpop(vectors: &Vectors) -> Vec<CaseResult> {
    rows(vectors, "dpop", |id, row| match id {
        "DPOP-001" => proofs_of_the_form(row, vectors),
        "DPOP-002" => no_ath(row, vectors),
        "DPOP-003" => ath(row, vectors),
        "DPOP-004" => row.expect("a server nonce is asked for", false, "none is issued"),
        "DPOP-005" => thumbprints(row, vectors),
        "DPOP-006" => wrong_requests(row, vectors),
        "DPOP-007" => key_pairs(row, vectors),
        "DPOP-008" => schemes(row, vectors),
        _ => row.expect("a known test", false, "nobody knows what it asks"),
    })
}

fn proofs_of_the_form(row: &mut Row, vectors: &Vectors) {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let mut client = Client::new(vectors, algorithm);
        let proof = client.proof(vectors, "token", "1");
        row.is("the form", &client.send("DPoP", "POST", TOKEN_ENDPOINT, Some(&proof)), 200);
        let pair = fixture(vectors, &format!("dpop/dpop-keypair-{}.json", algorithm.as_str().to_lowercase()));
        let private = client.proof(vectors, "token", "2").header("jwk", pair["private"].clone());
        row.is("a private key", &client.send("DPoP", "POST", TOKEN_ENDPOINT, Some(&private)), 401);
        for claim in ["jti", "htm", "htu", "iat"] {
            let proof = client.proof(vectors, "token", claim).without(claim);
            row.is(claim, &client.send("DPoP", "POST", TOKEN_ENDPOINT, Some(&proof)), 401);
        }
        let other = client.proof(vectors, "token", "3").header("typ", "JWT");
        row.is("typ", &client.send("DPoP", "POST", TOKEN_ENDPOINT, Some(&other)), 401);
    }
}

/// A proof for a token request must not do for a resource.
fn no_ath(row: &mut Row, vectors: &Vectors) {
    let published = fixture(vectors, "dpop/dpop-proof-token-request.json");
    row.expect("the fixture has none", published["payload"].get("ath").is_none(), "it has");
    let mut client = Client::new(vectors, Algorithm::Es256);
    let proof = client.proof(vectors, "token", "1").without("ath");
    row.is("no ath at a resource", &client.send("DPoP", "POST", TOKEN_ENDPOINT, Some(&proof)), 401);
}

fn ath(row: &mut Row, vectors: &Vectors) {
    let pairs = fixture(vectors, "dpop/dpop-ath-pairs.json");
    for pair in pairs["pairs"].as_array().expect("the fixture has pairs") {
        let token = pair["access_token"].as_str().unwrap_or_default();
        let hash = base64url(Sha256::digest(token));
        row.expect("the published hash", pair["ath"] == json!(hash), hash);
    }
    let mut client = Client::new(vectors, Algorithm::Es256);
    let proof = client.proof(vectors, "resource", "1");
    row.is("the token's hash", &client.send("DPoP", "GET", RESOURCE, Some(&proof)), 200);
    let published = fixture(vectors, "dpop/dpop-proof-resource-request.json");
    let proof = client.proof(vectors, "resource", "2").claim("ath", published["payload"]["ath"].clone());
    row.is("another token's hash", &client.send("DPoP", "GET", RESOURCE, Some(&proof)), 401);
}

fn thumbprint(jwk: &Value, algorithm: Algorithm) -> Result<String, String> {
    Key::of_jwk(&members(jwk), algorithm).map(|key| key.thumbprint())
}

fn thumbprints(row: &mut Row, vectors: &Vectors) {
    let pairs = fixture(vectors, "dpop/dpop-thumbprint-pairs.json");
    for pair in pairs["pairs"].as_array().expect("the fixture has pairs") {
        let algorithm = if pair["jwk"]["kty"] == "EC" { Algorithm::Es256 } else { Algorithm::Rs256 };
        let got = thumbprint(&pair["jwk"], algorithm);
        let same = got.as_deref().ok() == pair["thumbprint"].as_str();
        row.expect(pair["description"].as_str().unwrap_or_default(), same, format!("{got:?}"));
    }
    let bound = fixture(vectors, "dpop/dpop-bound-token.json");
    let pair = fixture(vectors, "dpop/dpop-keypair-es256.json");
    let got = thumbprint(&pair["public"], Algorithm::Es256);
    row.expect("cnf.jkt", got.as_deref().ok() == bound["payload"]["cnf"]["jkt"].as_str(), format!("{got:?}"));
    // The token of one key with the proof of the other.
    let mut client = Client::new(vectors, Algorithm::Es256);
    let proof = client.proof(vectors, "resource", "1");
    row.is("its key", &client.send("DPoP", "GET", RESOURCE, Some(&proof)), 200);
    let other = Client::new(vectors, Algorithm::Rs256);
    let proof = other.proof(vectors, "resource", "2").claim("ath", base64url(Sha256::digest(&client.token)));
    client.key = other.key;
    row.is("another key", &client.send("DPoP", "GET", RESOURCE, Some(&proof)), 401);
}

fn wrong_requests(row: &mut Row, vectors: &Vectors) {
    let mut client = Client::new(vectors, Algorithm::Es256);
    let proof = client.proof(vectors, "resource", "1");
    for (method, url) in
        [("POST", RESOURCE), ("GET", "https://resource.example.com/other"), ("GET", TOKEN_ENDPOINT)]
    {
        row.is(&format!("{method} {url}"), &client.send("DPoP", method, url, Some(&proof)), 401);
    }
    for (what, detail, method, url) in
        [("htm", "htm", "POST", RESOURCE), ("htu", "htu", "GET", "https://resource.example.com/other")]
    {
        let decision = client.send("DPoP", method, url, Some(&proof));
        let named = decision.record.detail.as_ref().is_some_and(|text| text.contains(detail));
        row.expect(&format!("the record names {what}"), named, format!("{:?}", decision.record.detail));
    }
    for alg in ["HS256", "none", "HS512"] {
        let proof = client.proof(vectors, "resource", alg).header("alg", alg);
        row.is(alg, &client.send("DPoP", "GET", RESOURCE, Some(&proof)), 401);
    }
    let proof = client.proof(vectors, "resource", "jwk").without_header("jwk");
    row.is("no jwk", &client.send("DPoP", "GET", RESOURCE, Some(&proof)), 401);
    let proof = client.proof(vectors, "resource", "1");
    row.is("the right request", &client.send("DPoP", "GET", RESOURCE, Some(&proof)), 200);
}

fn key_pairs(row: &mut Row, vectors: &Vectors) {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let pair = fixture(vectors, &format!("dpop/dpop-keypair-{}.json", algorithm.as_str().to_lowercase()));
        let key = TestKey::published("fixture", algorithm, &pair["private"]);
        row.expect(algorithm.as_str(), key.is_ok(), format!("{key:?}"));
        let got = thumbprint(&pair["public"], algorithm);
        row.expect("its thumbprint", got.as_deref().ok() == pair["thumbprint"].as_str(), format!("{got:?}"));
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let got = thumbprint(&pair["public"], other);
            row.expect(other.as_str(), got.is_err(), format!("a key of {} serves it", algorithm.as_str()));
        }
        let private = thumbprint(&pair["private"], algorithm);
        row.expect("a private key in a proof", private.is_err(), "is taken");
    }
}

fn schemes(row: &mut Row, vectors: &Vectors) {
    let mut client = Client::new(vectors, Algorithm::Es256);
    let proof = client.proof(vectors, "resource", "1");
    row.is("Bearer", &client.send("Bearer", "GET", RESOURCE, Some(&proof)), 401);
    row.is("Bearer without a proof", &client.send("Bearer", "GET", RESOURCE, None), 401);
    row.is("DPoP without a proof", &client.send("DPoP", "GET", RESOURCE, None), 401);
    row.is("DPoP", &client.send("DPoP", "GET", RESOURCE, Some(&proof)), 200);
    row.is("DPoP again", &client.send("DPoP", "GET", RESOURCE, Some(&proof)), 401);
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
