//! Examples of RFC 9449 (DPoP), RFC 8705 (certificates) and RFC 8693 (actors).

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::Engine as _;
use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::jose::{Key, SignatureVerifier as _};
use everycall_core::{Algorithm, Decision, Identity, PureRust, UnixTime};
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use super::attacks::world::{
    base64url, bearer, came, certificate, config, get, settings, with, Forge, Row, World, AUDIENCE,
};
use crate::suite::{CaseResult, Suite, Vectors, IN_RUST};

pub fn suites() -> Vec<Suite> {
    vec![
        Suite { name: "rfc9449", minimum: 12, targets: IN_RUST, run: dpop },
        Suite { name: "rfc8705", minimum: 6, targets: IN_RUST, run: certificates },
        Suite { name: "rfc8693", minimum: 9, targets: IN_RUST, run: actors },
    ]
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn case(id: impl Into<String>, check: impl FnOnce(&mut Row)) -> CaseResult {
    let mut row = Row::new(id);
    check(&mut row);
    row.result()
}

fn dpop(vectors: &Vectors) -> Vec<CaseResult> {
    let file = vectors.json("oauth/dpop_rfc9449.json");
    let mut results = Vec::new();
    for (index, vector) in file["vectors"].as_array().expect("the file has vectors").iter().enumerate() {
        let jwt = vector["jwt"].as_str().expect("a vector has a token");
        let mut parts = jwt.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default());
        let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        results.push(case(format!("{index} parts"), |row| {
            for (name, bytes) in [("header", header), ("payload", payload)] {
                let read = serde_json::from_slice::<Value>(&bytes).ok();
                row.expect(name, read.as_ref() == Some(&vector[name]), "is another");
            }
        }));
        // The access token is signed with a key that is not published.
        let Some(jwk) = vector["header"]["jwk"].as_object() else { continue };
        let key = Key::of_jwk(jwk, Algorithm::Es256).expect("a published key");
        results.push(case(format!("{index} thumbprint"), |row| {
            row.expect("jkt", vector["jkt"] == json!(key.thumbprint()), key.thumbprint());
        }));
        results.push(case(format!("{index} signature"), |row| {
            let (message, signature) = jwt.rsplit_once('.').expect("three parts");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
            let good = PureRust.verify(&key, message.as_bytes(), &signature);
            row.expect("signature", good == Ok(true), format!("{good:?}"));
            let bad = PureRust.verify(&key, &message.as_bytes()[1..], &signature);
            row.expect("of another message", bad == Ok(false), format!("{bad:?}"));
        }));
        results.push(case(format!("{index} in the engine"), |row| all_but_the_token(row, vector)));
    }
    results.push(case("ath", |row| {
        let hash = base64url(Sha256::digest(file["opaque_access_token"].as_str().unwrap_or_default()));
        row.expect("ath", file["ath"] == json!(hash), hash);
    }));
    results.push(case("opaque token", |row| {
        let vector = &file["vectors"][3];
        let (mut world, now) = (World::new(&config()), proof_time(vector));
        let request = proven(vector, file["opaque_access_token"].as_str().unwrap_or_default());
        row.is("the resource request", &world.at(&request, now), 200);
    }));
    results
}

fn proof_time(vector: &Value) -> UnixTime {
    UnixTime::from_secs(vector["payload"]["iat"].as_i64().unwrap_or_default())
}

/// The request that a published proof is for, with this token.
fn proven(vector: &Value, token: &str) -> WireRequest {
    let url = vector["payload"]["htu"].as_str().unwrap_or_default();
    let (host, path) = url.trim_start_matches("https://").split_once('/').expect("a URL with a path");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let proof = text(&vector["jwt"]);
    let request = with(&[("authorization", &format!("DPoP {token}")), ("dpop", &proof)]);
    WireRequest {
        method: text(&vector["payload"]["htm"]),
        host: host.into(),
        path: format!("/{path}").into(),
        ..request
    }
}

/// The published proofs are not for our tokens. That is the last thing to be found, and the only one.
fn all_but_the_token(row: &mut Row, vector: &Value) {
    let key = TestKey::es256().unwrap();
    let now = proof_time(vector);
    let bound = |jkt: &Value| {
        let forge = Forge::new(&key).claim("iat", now.secs() - 60).claim("exp", now.secs() + 600);
        forge.claim("cnf", json!({"jkt": jkt})).signed(&key)
    };
    let token = bound(&vector["jkt"]);
    let request = || proven(vector, &token);
    let mut found = |what: &str, wanted: &str, request: WireRequest, at: i64| {
        let decision = World::new(&config()).at(&request, UnixTime::from_secs(now.secs() + at));
        let detail = decision.record.detail.clone().unwrap_or_default();
        row.expect(what, detail.contains(wanted), format!("{}: {detail}", came(&decision)));
    };
    found("its own request", "`ath`", request(), 0);
    found("a minute later", "`ath`", request(), 60);
    found("too late", "old", request(), 61);
    found("too early", "old", request(), -6);
    found("another method", "`htm`", WireRequest { method: "PUT".into(), ..request() }, 0);
    found("another path", "`htu`", WireRequest { path: b"/other".to_vec(), ..request() }, 0);
    found("another host", "`htu`", WireRequest { host: "other.example".into(), ..request() }, 0);
    found("without TLS", "`htu`", WireRequest { scheme: "http".into(), ..request() }, 0);
    found(
        "with a query",
        "`ath`",
        WireRequest { path: [&request().path[..], b"?x=y"].concat(), ..request() },
        0,
    );
    found("the token of another key", "another key", proven(vector, &bound(&json!(base64url([7; 32])))), 0);
}

const PEM: &str = "oauth/rfc8705_appendix_a.pem";
const GATEWAY: &str = "spiffe://shop.example/gateway";

fn certificates(vectors: &Vectors) -> Vec<CaseResult> {
    let file = vectors.json("oauth/rfc8705.json");
    let pem = vectors.text(PEM);
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let digest = Sha256::digest(STANDARD.decode(body).expect("a certificate"));
    let mut results = vec![case("digest", |row| {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        row.expect("x5t#S256", file["x5t_S256"] == json!(base64url(digest)), base64url(digest));
        row.expect("in hex", file["cert_sha256_hex"] == json!(hex), &hex);
    })];
    for (index, published) in file["cases"].as_array().expect("the file has cases").iter().enumerate() {
        let certificate =
            published["peer_cert"].as_str().map(|name| vectors.text(&format!("oauth/{name}")).to_owned());
        let decision = present(&certificates_read(), &json!({"x5t#S256": published["cnf"]}), certificate);
        let status = if published["expect"] == "match" { 200 } else { 401 };
        results.push(case(format!("case {index}"), |row| {
            row.is("the certificate", &decision, status);
            let challenge = decision.verdict.as_ref().err().map(|denial| denial.refusal().headers);
            let told = challenge.is_none_or(|headers| {
                headers.iter().any(|(_, value)| value.contains("error=\"invalid_token\""))
            });
            row.expect("the challenge", told, "does not say invalid_token");
        }));
    }
    results.push(case("claims of section 3.1", |row| {
        let claims = &file["jwt_claims_example_sec3_1"];
        let decision = present(&certificates_read(), &claims["cnf"], Some(pem.to_owned()));
        row.is("of another certificate", &decision, 401);
    }));
    results.push(case("xfcc_form", |row| {
        let form = file["xfcc_form"].as_str().unwrap_or_default();
        let hash = form.rsplit(' ').next().unwrap_or_default();
        let key = TestKey::es256().unwrap();
        let token = Forge::new(&key).claim("cnf", json!({"x5t#S256": file["x5t_S256"]})).signed(&key);
        let mut request = bearer(&token);
        request.headers.push(("x-forwarded-client-cert".into(), hash.as_bytes().to_vec()));
        let mut world = World::new(&certificates_read());
        row.is("in a header of nobody", &world.check(&request), 401);
        request.peer_certificate = Some(certificate(GATEWAY));
        row.is("in the header of a trusted hop", &world.check(&request), 200);
        row.expect("the form", hash.starts_with("Hash=") && hash.len() == 69, hash);
    }));
    results
}

fn certificates_read() -> Value {
    let mut config = config();
    config["mtls"] = json!({"trust_domains": [], "forwarded": {"hops": [GATEWAY], "appends": false}});
    config
}

/// The decision on a token that is bound like this, over a connection with this certificate.
fn present(config: &Value, cnf: &Value, certificate: Option<String>) -> Decision {
    let key = TestKey::es256().unwrap();
    let token = Forge::new(&key).claim("cnf", cnf.clone()).signed(&key);
    let headers = bearer(&token).headers;
    World::new(config).check(&WireRequest { headers, peer_certificate: certificate, ..get("/") })
}

/// Who calls by a token with these claims.
fn caller(claims: &Value, changes: &Value) -> Result<Identity, String> {
    let key = TestKey::es256().unwrap();
    let mut all = members(claims);
    all.extend(members(changes));
    let time = |name: &str| claims[name].as_i64().unwrap_or_default();
    let mut config = config();
    config["issuers"][0]["issuer"] = claims["iss"].clone();
    config["issuers"][0]["audiences"] = json!([claims["aud"], AUDIENCE]);
    let token = Forge { header: key.header(), claims: all }.signed(&key);
    let now = UnixTime::from_secs(time("nbf") + 1);
    settings(&config)
        .verify(&token, &PureRust, now)
        .map_err(|rejection| format!("{}: {}", rejection.reason.code(), rejection.detail))
}

/// The caller, whom it speaks for, and who acted before.
type Parties = (String, Option<String>, Vec<String>);

fn parties(identity: Identity) -> Parties {
    (identity.id, identity.on_behalf_of, identity.actors)
}

fn actors(vectors: &Vectors) -> Vec<CaseResult> {
    let file = vectors.json("oauth/rfc8693_act.json");
    let some = |text: &str| Some(text.to_owned());
    let expected: [(&str, Parties); 3] = [
        ("delegation", ("admin@example.com".into(), some("user@example.com"), Vec::new())),
        (
            "nested",
            (
                "https://service16.example.com".into(),
                some("user@example.com"),
                vec!["https://service77.example.com".into()],
            ),
        ),
        ("may_act", ("user@example.com".into(), None, Vec::new())),
    ];
    let mut results = Vec::new();
    for (name, wanted) in expected {
        let claims = &file[name];
        for (id, changes) in
            [(name.to_owned(), json!({})), (format!("{name}, with iat"), json!({"iat": claims["nbf"]}))]
        {
            results.push(case(id, |row| {
                let got = caller(claims, &changes).map(parties);
                row.expect("the parties", got.as_ref() == Ok(&wanted), format!("{got:?}"));
            }));
        }
    }
    results.extend(rules(&file));
    results
}

fn rules(file: &Value) -> Vec<CaseResult> {
    let nested = &file["nested"];
    let iat = nested["nbf"].clone();
    let with_act = |act: Value| caller(nested, &json!({"iat": iat, "act": act}));
    let inner = json!({"sub": "b", "exp": 1, "nbf": 9_999_999_999_u64, "aud": "other"});
    vec![
        case("rule: members of `act` other than `sub` mean nothing", |row| {
            let got = with_act(json!({"sub": "a", "exp": 1, "aud": "other", "act": inner})).map(parties);
            let wanted = ("a".to_owned(), Some("user@example.com".to_owned()), vec!["b".to_owned()]);
            row.expect("exp, nbf, aud", got.as_ref() == Ok(&wanted), format!("{got:?}"));
        }),
        case("rule: the depth is bounded", |row| {
            for depth in [10, 20, 31, 100, 300] {
                let deep = (0..depth).fold(json!({"sub": "z"}), |act, _| json!({"sub": "a", "act": act}));
                let got = with_act(deep);
                row.expect(&format!("{depth} deep"), got.is_err(), "is accepted");
            }
            let three = json!({"sub": "a", "act": {"sub": "b", "act": {"sub": "c"}}});
            row.expect("3 deep", with_act(three).is_ok(), "is refused");
        }),
        case("rule: `act` is an object with a subject", |row| {
            for bad in [
                json!("a"),
                json!([]),
                json!(null),
                json!({}),
                json!({"sub": 1}),
                json!({"sub": "a", "act": "b"}),
            ] {
                let name = bad.to_string();
                row.expect(&name, with_act(bad).is_err(), "is accepted");
            }
        }),
    ]
}
