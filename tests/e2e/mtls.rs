//! Real mTLS, and proofs of possession over it. The clients are listeners of the same Envoy: each
//! takes plain requests and passes them on with a certificate of its own, as a sidecar does.

mod mesh;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::Engine as _;
use everycall::mint::TestKey;
use everycall_core::Algorithm;
use everycall_tests::envoy::root;
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

use crate::world::now;
use mesh::Mesh;

const CHECKOUT: &str = "spiffe://shop.example/ns/checkout/sa/checkout";
const URL: &str = "https://orders.shop.example/orders/o-1";

fn pem(name: &str) -> String {
    root().join(format!("tests/keys/mtls/test-only-{name}.pem")).canonicalize().unwrap().display().to_string()
}

/// The SHA-256 of a certificate's DER form.
fn digest(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(pem(name)).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    Sha256::digest(STANDARD.decode(body).unwrap()).to_vec()
}

static SERIAL: AtomicU64 = AtomicU64::new(0);

const ALLOWED: &str = "200 upstream";

/// A token of the checkout, bound to what `cnf` says.
fn token(issuer: &str, cnf: Option<Value>) -> String {
    let key = TestKey::of(Algorithm::Es256).unwrap();
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut claims = json!({"iss": issuer, "aud": "https://shop.example", "sub": CHECKOUT, "jti": serial.to_string(),
        "iat": now().secs(), "exp": now().secs() + 300});
    if let Some(cnf) = cnf {
        claims["cnf"] = cnf;
    }
    key.sign(&key.header(), claims.as_object().unwrap()).unwrap()
}

fn workload(cnf: Option<Value>) -> String {
    token("https://id.shop.example/workloads", cnf)
}

fn x5t(name: &str) -> Value {
    json!({"x5t#S256": URL_SAFE_NO_PAD.encode(digest(name))})
}

fn jkt(algorithm: Algorithm) -> Value {
    json!({"jkt": TestKey::of(algorithm).unwrap().thumbprint().unwrap()})
}

/// A DPoP proof for a request with this token, with these claims changed.
fn proof(algorithm: Algorithm, token: &str, changes: Value) -> String {
    let key = TestKey::of(algorithm).unwrap();
    let header = json!({"typ": "dpop+jwt", "alg": algorithm.as_str(), "jwk": key.bare_jwk()});
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut claims = json!({"jti": format!("proof-{serial}"), "htm": "GET", "htu": URL, "iat": now().secs(),
        "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(token))});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    key.sign(header.as_object().unwrap(), claims.as_object().unwrap()).unwrap()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn certificate_bound_tokens_need_their_certificate() {
    let mesh = Mesh::get();
    let bound = bearer(&workload(Some(x5t("checkout"))));
    let call = |listener: &str| mesh.outcome(listener, &[("authorization", &bound)]);
    assert_eq!(call("as-checkout"), ALLOWED);
    assert_eq!(call("as-other"), "certificate_mismatch");
    assert_eq!(call("as-foreign"), "certificate_mismatch");
    assert_eq!(call("plain"), "binding_missing");
    assert_eq!(call("as-checkout"), ALLOWED, "cached, and still with the right certificate");
    // Through the gateway it is the certificate of the client, not the gateway's.
    assert_eq!(call("via-checkout"), ALLOWED);
    assert_eq!(call("via-other"), "certificate_mismatch");
    let gateways = bearer(&workload(Some(x5t("gateway"))));
    assert_eq!(mesh.outcome("via-checkout", &[("authorization", &gateways)]), "certificate_mismatch");
    // An unbound token does not need one.
    assert_eq!(mesh.outcome("as-other", &[("authorization", &bearer(&workload(None)))]), ALLOWED);
}

#[test]
fn dpop_proofs_are_for_one_request() {
    let mesh = Mesh::get();
    for algorithm in
        [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es384]
    {
        let token = workload(Some(jkt(algorithm)));
        let scheme = format!("DPoP {token}");
        let call = |authorization: &str, proof: &str| {
            mesh.outcome("as-checkout", &[("authorization", authorization), ("dpop", proof)])
        };
        let good = proof(algorithm, &token, json!({}));
        assert_eq!(call(&scheme, &good), ALLOWED, "{algorithm:?}");
        assert_eq!(call(&scheme, &good), "dpop_replayed");
        assert_eq!(
            call(&bearer(&token), &proof(algorithm, &token, json!({}))),
            "binding_missing",
            "a downgrade"
        );
        let elsewhere = "https://orders.shop.example/orders/o-2";
        for changes in [
            json!({"htu": elsewhere}),
            json!({"htu": "http://orders.shop.example/orders/o-1"}),
            json!({"htm": "POST"}),
            json!({"iat": now().secs() - 120}),
            json!({"iat": now().secs() + 60}),
            json!({"ath": URL_SAFE_NO_PAD.encode(Sha256::digest("another token"))}),
        ] {
            assert_eq!(
                call(&scheme, &proof(algorithm, &token, changes.clone())),
                "dpop_invalid",
                "{changes}"
            );
        }
        let response = mesh.send("as-checkout", &[("authorization", &scheme)]);
        assert_eq!(mesh.reason("as-checkout", &response), "binding_missing");
        let response = mesh.send("as-checkout", &[("authorization", &scheme), ("dpop", "x")]);
        let ask = response.header("www-authenticate").unwrap();
        assert!(ask.starts_with("DPoP ") && ask.contains("invalid_dpop_proof"), "{ask}");
        // Another client's key.
        let other = if algorithm == Algorithm::Es256 { Algorithm::EdDsa } else { Algorithm::Es256 };
        assert_eq!(call(&scheme, &proof(other, &token, json!({}))), "dpop_invalid");
        // The proof of one request does not serve a second URL.
        let second = proof(algorithm, &token, json!({}));
        let response =
            mesh.send_to("as-checkout", "/orders/o-2", &[("authorization", &scheme), ("dpop", &second)]);
        assert_eq!(mesh.reason("as-checkout", &response), "dpop_invalid");
        assert_eq!(call(&scheme, &second), ALLOWED, "what was refused was not used up");
    }
}

#[test]
fn a_proof_passes_once_over_all_workers() {
    Mesh::get();
    let token = workload(Some(jkt(Algorithm::EdDsa)));
    let scheme = format!("DPoP {token}");
    for _ in 0..5 {
        let proof = proof(Algorithm::EdDsa, &token, json!({}));
        let clients: Vec<_> = (0..12)
            .map(|_| {
                let (scheme, proof) = (scheme.clone(), proof.clone());
                std::thread::spawn(move || {
                    Mesh::get().send("as-checkout", &[("authorization", &scheme), ("dpop", &proof)]).status
                })
            })
            .collect();
        let mut statuses: Vec<u16> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200);
        assert!(statuses[1..].iter().all(|status| *status == 401), "{statuses:?}");
    }
}

#[test]
fn a_peer_is_a_caller_of_its_own() {
    let mesh = Mesh::get();
    assert_eq!(mesh.outcome("as-checkout", &[]), ALLOWED);
    assert_eq!(mesh.outcome("as-other", &[]), "not_granted");
    assert_eq!(mesh.outcome("as-two-names", &[]), "peer_invalid");
    assert_eq!(mesh.outcome("as-foreign", &[]), "peer_invalid");
    assert_eq!(mesh.outcome("plain", &[]), "credential_missing");
    // A bad credential in a header is not made good by a good peer.
    assert_eq!(mesh.outcome("as-checkout", &[("authorization", "Bearer x")]), "token_malformed");
    // The upstream learns who it was.
    mesh.send("as-checkout", &[("x-everycall-identity", "spiffe://shop.example/ns/other/sa/other")]);
    let received = mesh.upstream.take();
    let last = received.last().unwrap();
    assert_eq!(last.all("x-everycall-identity"), [CHECKOUT.as_bytes()]);
}

#[test]
fn forwarded_certificates_count_from_listed_hops_only() {
    let mesh = Mesh::get();
    let lie = format!("By=spiffe://shop.example/ns/edge/sa/gateway;Hash={};URI={CHECKOUT}", "ab".repeat(32));
    for prefix in ["", "appending-"] {
        let call =
            |listener: &str, headers: &[(&str, &str)]| mesh.outcome(&format!("{prefix}{listener}"), headers);
        // The gateway tells who its client is, whatever the client says.
        assert_eq!(call("via-checkout", &[]), ALLOWED, "{prefix}");
        assert_eq!(call("via-other", &[]), "not_granted", "{prefix}");
        assert_eq!(call("via-other", &[("x-forwarded-client-cert", &lie)]), "not_granted", "{prefix}");
        assert_eq!(call("via-foreign", &[]), "peer_invalid", "{prefix}");
        // Anybody else's header is their own word.
        assert_eq!(call("as-other", &[("x-forwarded-client-cert", &lie)]), "not_granted", "{prefix}");
        assert_eq!(call("as-checkout", &[("x-forwarded-client-cert", "nonsense\"")]), ALLOWED, "{prefix}");
        // A hop that names nobody does not speak for itself.
        assert_eq!(call("as-gateway", &[]), "peer_invalid", "{prefix}");
        assert_eq!(
            call("as-gateway", &[("x-forwarded-client-cert", "nonsense\"")]),
            "peer_invalid",
            "{prefix}"
        );
    }
}

#[test]
fn token_and_peer_can_be_required_to_agree() {
    let mesh = Mesh::get();
    let strict = |cnf| bearer(&token("https://strict.shop.example", cnf));
    let bound = strict(Some(x5t("checkout")));
    assert_eq!(mesh.outcome("as-checkout", &[("authorization", &bound)]), ALLOWED);
    assert_eq!(mesh.outcome("via-checkout", &[("authorization", &bound)]), ALLOWED);
    assert_eq!(mesh.outcome("as-checkout", &[("authorization", &strict(None))]), "binding_missing");
    // Bound to the other's certificate by a careless issuer: the peer is still somebody else.
    let careless = strict(Some(x5t("other")));
    assert_eq!(mesh.outcome("as-other", &[("authorization", &careless)]), "peer_mismatch");
    let key_bound = token("https://strict.shop.example", Some(jkt(Algorithm::EdDsa)));
    let proof = proof(Algorithm::EdDsa, &key_bound, json!({}));
    let scheme = format!("DPoP {key_bound}");
    assert_eq!(mesh.outcome("as-other", &[("authorization", &scheme), ("dpop", &proof)]), "peer_mismatch");
    assert_eq!(mesh.outcome("as-checkout", &[("authorization", &scheme), ("dpop", &proof)]), ALLOWED);
    assert_eq!(mesh.outcome("plain", &[("authorization", &scheme), ("dpop", &proof)]), "peer_mismatch");
}

#[test]
fn signatures_go_through_the_host_where_it_can() {
    let mesh = Mesh::get();
    let count = |by: &str| {
        mesh.envoy.stat(&format!("wasmcustom.everycall.signatures;instance=mtls-false;by={by}")).unwrap()
    };
    let settled = |by: &str| {
        std::thread::sleep(Duration::from_millis(300));
        count(by)
    };
    let before = settled("host");
    assert_eq!(mesh.outcome("as-checkout", &[("authorization", &bearer(&workload(None)))]), ALLOWED);
    assert!(settled("host") > before);
}
