//! Requests that wait for keys, which the root context fetches, and proofs that the host remembers.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::{Algorithm, Reply};
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

use crate::fake::{self, host, Callout, Crypto, BAD_ARGUMENT, INTERNAL_FAILURE};
use crate::vm::{fresh, Vm, CONTINUE, PAUSE};

fn configuration() -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["issuers"][0]["keys"] =
        json!({"remote": {"cluster": "keys", "host": "id.shop.example", "path": "/jwks", "wait_ms": 1000}});
    config
}

fn jwks() -> Reply {
    Reply::http(200, TestKey::of(Algorithm::Es256).unwrap().public_jwks().to_string())
}

/// A request of the checkout, at the host's time.
fn request() -> WireRequest {
    let key = TestKey::of(Algorithm::Es256).unwrap();
    let now = host(|host| host.nanos) / 1_000_000_000;
    let claims = json!({"iss": "https://id.shop.example/workloads", "aud": "https://shop.example",
        "sub": "spiffe://shop.example/ns/checkout/sa/checkout", "iat": now, "exp": now + 60});
    let token = key.sign(&key.header(), claims.as_object().unwrap()).unwrap();
    WireRequest {
        method: "GET".into(),
        scheme: "http".into(),
        host: "orders.shop.example".into(),
        path: b"/orders/o-1".to_vec(),
        headers: vec![
            ("x-purpose".into(), b"show-order".to_vec()),
            ("authorization".into(), format!("Bearer {token}").into_bytes()),
        ],
        source_ip: "127.0.0.1".into(),
        peer_id: None,
        peer_certificate: None,
    }
}

fn wait(millis: u64) {
    host(|host| host.nanos += millis * 1_000_000);
}

fn fetches() -> Vec<Callout> {
    host(|host| std::mem::take(&mut host.callouts))
}

#[test]
fn a_request_waits_and_goes_on_in_its_own_context() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        let (context, action) = vm.begin(&request());
        assert_eq!(action, PAUSE);
        unsafe {
            assert_eq!(fake::proxy_on_request_body(context, 5, true), PAUSE);
            assert_eq!(fake::proxy_on_request_trailers(context, 1), PAUSE);
        }
        vm.tick();
        let calls = fetches();
        let [call] = calls.as_slice() else { panic!("{calls:?}") };
        assert_eq!((call.cluster.as_str(), call.timeout_ms), ("keys", 2000));
        vm.reply(call, &jwks());
        assert_eq!(host(|host| (host.resumed, host.resumed_in)), (1, context));
        assert!(host(|host| host.request_headers.iter().any(|(name, _)| name == "x-everycall-grant")));
        unsafe { assert_eq!(fake::proxy_on_request_body(context, 5, true), CONTINUE) };
        assert!(vm.end(context, action).passed);
        // The keys are there now.
        assert!(vm.request(&request(), |_| panic!("asks nobody")).passed);
        // While there are records to write, ticks come oftener than figures are published.
        host(|host| host.nanos += 100_000_000);
        vm.tick();
        assert_eq!(
            host(|host| {
                host.metrics["everycall.keys;instance=shop-inbound;state=fresh;issuer=https://id.shop.example/workloads"]
            }),
            1
        );
    });
}

#[test]
fn a_stream_that_left_is_left_alone() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        let (context, _) = vm.begin(&request());
        vm.tick();
        let calls = fetches();
        vm.drop_stream(context);
        vm.reply(&calls[0], &jwks());
        vm.tick();
        assert_eq!(host(|host| (host.resumed, host.responses.len())), (0, 0));
    });
}

#[test]
fn keys_that_can_not_be_fetched_are_a_503_in_time() {
    for (fault, reply) in [
        (Some(("http_call", BAD_ARGUMENT)), None),
        (Some(("http_call", INTERNAL_FAILURE)), None),
        (None, Some(Reply::http(503, "upstream connect error"))),
        (None, Some(Reply::http(200, "<html>"))),
        (None, Some(Reply::Failed(everycall_core::http::Failure::Unavailable))),
        (None, None),
    ] {
        let case = format!("{fault:?}, {reply:?}");
        fresh(move || {
            let mut vm = Vm::start(&configuration()).unwrap();
            host(|host| host.faults.extend(fault));
            let (context, action) = vm.begin(&request());
            assert_eq!(action, PAUSE, "{case}");
            vm.tick();
            if let (Some(reply), Some(call)) = (&reply, fetches().first()) {
                vm.reply(call, reply);
            }
            assert_eq!(host(|host| host.responses.len()), 0, "it waits: {case}");
            wait(1_000);
            vm.tick();
            let outcome = vm.end(context, action);
            assert!(!outcome.passed, "{case}");
            let response = outcome.response.unwrap();
            assert_eq!(
                (response.status, response.details.as_str()),
                (503, "everycall_denied{reason=keys_unavailable}"),
                "{case}"
            );
            assert_eq!(outcome.record.unwrap().reason.unwrap().code(), "keys_unavailable", "{case}");
        });
    }
}

#[test]
fn keys_that_come_while_there_is_no_clock_serve_those_who_come_later() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        let (context, action) = vm.begin(&request());
        vm.tick();
        let calls = fetches();
        host(|host| host.faults.extend([("time", INTERNAL_FAILURE)]));
        vm.reply(&calls[0], &jwks());
        host(|host| host.faults.clear());
        let outcome = vm.end(context, action);
        assert_eq!(outcome.response.unwrap().details, "everycall_denied{reason=not_ready}");
        assert!(vm.request(&request(), |_| panic!("asks nobody")).passed);
    });
}

#[test]
fn without_shared_data_keys_are_fetched_all_the_same() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        host(|host| host.faults.extend([("shared", INTERNAL_FAILURE)]));
        let (context, action) = vm.begin(&request());
        vm.tick();
        vm.reply(&fetches()[0], &jwks());
        assert!(vm.end(context, action).passed);
    });
}

#[test]
fn a_host_that_does_not_change_the_context_lets_nothing_pass() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        let (context, action) = vm.begin(&request());
        vm.tick();
        let calls = fetches();
        let [call] = calls.as_slice() else { panic!("{calls:?}") };
        vm.reply_without_context(call, &jwks());
        assert_eq!(host(|host| host.resumed), 0);
        unsafe { assert_eq!(fake::proxy_on_request_body(context, 5, true), PAUSE) };
        host(|host| host.faults.clear());
        assert!(!vm.end(context, action).passed);
    });
}

#[test]
fn signatures_are_counted_by_who_checked_them() {
    for (crypto, by) in [(Crypto::Absent, "rust"), (Crypto::SaysYes, "host"), (Crypto::SaysNo, "host")] {
        fresh(move || {
            let mut vm = Vm::start(&everycall_tests::cases::reference().unwrap()).unwrap();
            host(|host| host.crypto = crypto);
            let passed = vm.request(&request(), |_| panic!("asks nobody")).passed;
            assert_eq!(passed, crypto != Crypto::SaysNo, "{by}");
            vm.tick();
            let count = |by: &str| {
                host(|host| {
                    host.metrics.get(&format!("everycall.signatures;instance=shop-inbound;by={by}")).copied()
                })
            };
            assert_eq!(count(by), Some(1), "{crypto:?}");
            assert_eq!(count(if by == "host" { "rust" } else { "host" }), None, "{crypto:?}");
        });
    }
}

/// A request with a token that is bound to a key, and a proof of it.
fn bound_request() -> WireRequest {
    let key = TestKey::of(Algorithm::EdDsa).unwrap();
    let issuer = TestKey::of(Algorithm::Es256).unwrap();
    let nanos = host(|host| host.nanos);
    let now = nanos / 1_000_000_000;
    let claims = json!({"iss": "https://id.shop.example/workloads", "aud": "https://shop.example", "cnf": {"jkt": key.thumbprint().unwrap()},
        "sub": "spiffe://shop.example/ns/checkout/sa/checkout", "iat": now, "exp": now + 60});
    let token = issuer.sign(&issuer.header(), claims.as_object().unwrap()).unwrap();
    let claims = json!({"jti": nanos.to_string(), "htm": "GET", "htu": "http://orders.shop.example/orders/o-1", "iat": now,
        "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(&token))});
    let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": key.bare_jwk()});
    let proof = key.sign(header.as_object().unwrap(), claims.as_object().unwrap()).unwrap();
    let mut request = request();
    request.headers[1].1 = format!("DPoP {token}").into_bytes();
    request.headers.push(("dpop".into(), proof.into_bytes()));
    request
}

#[test]
fn dpop_memory_failing() {
    fresh(|| {
        let mut vm = Vm::start(&everycall_tests::cases::reference().unwrap()).unwrap();
        let reason = |vm: &mut Vm, request: &WireRequest| {
            let outcome = vm.request(request, |_| panic!("asks nobody"));
            assert_eq!(outcome.passed, outcome.response.is_none());
            outcome.record.unwrap().reason.unwrap().code()
        };
        let request = bound_request();
        assert_eq!(reason(&mut vm, &request), "allowed");
        assert_eq!(reason(&mut vm, &request), "dpop_replayed");
        host(|host| host.faults.extend([("shared", INTERNAL_FAILURE)]));
        wait(1);
        assert_eq!(reason(&mut vm, &bound_request()), "dpop_unavailable");
        host(|host| host.faults.clear());
        // What another plugin writes over it does not make a used proof new.
        host(|host| host.overwrite_shared(b"not ours"));
        assert_eq!(reason(&mut vm, &request), "dpop_unavailable");
    });
}
