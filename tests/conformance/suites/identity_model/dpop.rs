//! Proofs of possession, as a client of these vectors makes them.

use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::jose::Key;
use everycall_core::{Algorithm, UnixTime};
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

use super::{fixture, members, rows};
use crate::suite::{CaseResult, Vectors};
use crate::suites::attacks::world::{add_grant, base64url, config, get, grant, Forge, Row, World};

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

pub(super) fn dpop(vectors: &Vectors) -> Vec<CaseResult> {
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
