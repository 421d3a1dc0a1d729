//! What a host can do wrong: each fault has a defined answer, none lets a request pass, none traps.

mod clock;

use std::collections::BTreeMap;

use everycall::WireRequest;
use everycall_core::{Reason, Reply, Verdict};
use serde_json::{json, Value};

use crate::fake::{host, Crypto, BAD_ARGUMENT, INTERNAL_FAILURE, NOT_FOUND};
use crate::vm::{fresh, Outcome, Vm, CONTINUE, PAUSE};

/// Open to everybody at `/open`; `/ask` asks the decision point twice over, `/token` wants a token.
pub fn configuration() -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["source"] = json!({"from": "use_remote_address"});
    config["credentials"] = json!([{"header": "authorization", "scheme": "Bearer"}]);
    config["pdps"] = json!({"default": {"protocol": "authzen", "cluster": "pdp", "host": "pdp"}});
    let anonymous = |id: &str, path: &str, policy: &str| {
        json!({"id": id, "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["h"],
               "methods": ["GET"], "paths": [path], "policy": policy})
    };
    let question = r#"{"subject": {"type": "t", "id": "s"}, "action": {"name": "a"}, "resource": {"type": "t", "id": "r"}}"#;
    config["api_keys"] = json!([]);
    config["bundle"] = json!({"inline": {
        "policies": {
            "open.rego": "package everycall.open\ndecision := {\"allow\": true}",
            "ask.rego": format!(
                "package everycall.ask\n\
                 ask contains object.union({{\"id\": \"one\"}}, {question}) if true\n\
                 ask contains object.union({{\"id\": \"two\"}}, {question}) if true\n\
                 decision := {{\"allow\": true}} if {{ input.pdp.one.decision; input.pdp.two.decision }}"
            ),
            "source.rego": "package everycall.source\ndecision := {\"allow\": true} if input.connection.source_ip == \"10.0.0.1\"",
        },
        "grants": [anonymous("open", "/open", "open"), anonymous("ask", "/ask", "ask"), anonymous("source", "/source", "source"),
            {"id": "token", "owner": "o", "purpose": "p", "subject": "s", "kinds": ["workload"], "hosts": ["h"],
             "methods": ["GET"], "paths": ["/token"], "policy": "open"}]
    }});
    config
}

pub fn get(path: &str) -> WireRequest {
    WireRequest {
        method: "GET".into(),
        scheme: "http".into(),
        host: "h".into(),
        path: path.into(),
        headers: Vec::new(),
        source_ip: "10.0.0.1".into(),
        peer_id: None,
        peer_certificate: None,
    }
}

pub fn yes() -> Reply {
    Reply::http(200, br#"{"decision":true}"#)
}

pub fn reason(outcome: &Outcome) -> String {
    assert_eq!(outcome.passed, outcome.response.is_none(), "answered or passed on, never both: {outcome:?}");
    let body: Option<Value> =
        outcome.response.as_ref().map(|response| serde_json::from_slice(&response.body).unwrap());
    body.map_or("allowed".into(), |body| body["reason"].as_str().unwrap().to_owned())
}

pub fn vm() -> Vm {
    Vm::start(&configuration()).unwrap()
}

#[test]
fn config_absent() {
    let mut vm = Vm::unconfigured();
    let outcome = vm.request(&get("/open"), |_| yes());
    assert_eq!(reason(&outcome), "not_ready");
    assert_eq!(outcome.response.unwrap().status, 503);
}

#[test]
fn a_bad_configuration_is_never_accepted() {
    for text in [&b""[..], b"{}", b"nonsense", b"\xff", b"[]", br#"{"version":1,"version":1}"#] {
        let log = fresh(|| Vm::start_raw(text).err().unwrap());
        assert!(log.contains("configuration refused"), "{log}");
    }
    for (member, value) in
        [("nonsense", json!(1)), ("version", json!("1")), ("issuers", json!([])), ("instance", json!(""))]
    {
        let mut config = configuration();
        config[member] = value;
        let log = fresh(|| Vm::start(&config).err().unwrap());
        assert!(log.contains(member), "{member}: {log}");
    }
    host(|host| host.faults.insert("configuration", INTERNAL_FAILURE));
    assert!(Vm::start(&configuration()).is_err());
}

#[test]
fn a_bad_configuration_leaves_the_old_one_in_force() {
    let mut vm = vm();
    let root = vm.new_root();
    assert!(!vm.configure(root, b"{}"));
    assert_eq!(reason(&vm.request(&get("/open"), |_| yes())), "allowed");
}

#[test]
fn host_hides_headers() {
    let mut vm = vm();
    for status in [NOT_FOUND, BAD_ARGUMENT, INTERNAL_FAILURE, 77] {
        host(|host| host.faults = BTreeMap::from([("headers", status)]));
        assert_eq!(reason(&vm.request(&get("/open"), |_| yes())), "not_ready", "{status}");
    }
}

#[test]
fn host_refuses_changes() {
    let mut vm = vm();
    let mut request = get("/open");
    request.headers.push(("x-everycall-identity".into(), b"admin".to_vec()));
    for name in ["set_header", "remove_header"] {
        host(|host| host.faults = BTreeMap::from([(name, INTERNAL_FAILURE)]));
        let outcome = vm.request(&request, |_| yes());
        assert_eq!(reason(&outcome), "not_ready", "{name}");
        let record = outcome.record.unwrap();
        assert_eq!((record.decision, record.reason), (Verdict::Deny, Some(Reason::NotReady)), "{name}");
    }
}

#[test]
fn host_refuses_answer() {
    let mut vm = vm();
    host(|host| host.faults = BTreeMap::from([("respond", INTERNAL_FAILURE)]));
    let (context, action) = vm.begin(&get("/nowhere"));
    assert_eq!(action, PAUSE);
    assert!(!vm.end(context, action).passed);
}

#[test]
fn faults_beside_the_decision_do_not_change_it() {
    for name in ["log", "tick", "filter_state", "metric", "shared", "property"] {
        fresh(|| {
            host(|host| host.faults = BTreeMap::from([(name, INTERNAL_FAILURE)]));
            let mut vm = vm();
            for (path, expected) in [("/open", "allowed"), ("/nowhere", "credential_missing")] {
                assert_eq!(reason(&vm.request(&get(path), |_| yes())), expected, "{name} {path}");
            }
        });
    }
}

#[test]
fn a_missing_attribute_is_absent_and_denies() {
    let mut vm = vm();
    assert_eq!(reason(&vm.request(&get("/source"), |_| yes())), "allowed");
    for status in [NOT_FOUND, INTERNAL_FAILURE, 77] {
        host(|host| host.faults = BTreeMap::from([("property", status)]));
        assert_eq!(reason(&vm.request(&get("/source"), |_| yes())), "policy_undefined", "{status}");
    }
}

#[test]
fn source_untold() {
    let mut config = configuration();
    config["source"] = json!({"from": "connection"});
    let mut vm = Vm::start(&config).unwrap();
    for path in ["/source", "/open"] {
        assert_eq!(reason(&vm.request(&get(path), |_| yes())), "allowed", "{path}");
    }
    let read = host(|host| host.properties_read.clone());
    assert!(read.contains("filter_state.everycall.source") && !read.contains("source.address"), "{read:?}");
    for status in [NOT_FOUND, INTERNAL_FAILURE, 77] {
        host(|host| host.faults = BTreeMap::from([("property", status)]));
        // Whether a policy reads it or not: the proxy is not set up as the configuration says.
        for path in ["/source", "/open"] {
            assert_eq!(reason(&vm.request(&get(path), |_| yes())), "not_ready", "{path} {status}");
        }
    }
    // It is no address.
    let mut request = get("/open");
    request.source_ip = "/run/client.sock".into();
    host(|host| host.faults.clear());
    assert_eq!(reason(&vm.request(&request, |_| yes())), "not_ready");
}

#[test]
fn only_attributes_that_a_policy_reads_are_asked_for() {
    let mut vm = vm();
    host(|host| host.properties_read.clear());
    vm.request(&get("/source"), |_| yes());
    let read = host(|host| host.properties_read.clone());
    assert_eq!(read.into_iter().collect::<Vec<_>>(), ["source.address"]);
}

/// Reasons that a good and a forged token get with this host.
fn with_crypto(crypto: Crypto) -> (String, String) {
    let config = configuration();
    fresh(|| {
        let mut vm = Vm::start(&config).unwrap();
        host(|host| host.crypto = crypto);
        let good = reason(&vm.request(&token_request(&config, json!({})), |_| yes()));
        let forged = reason(&vm.request(&token_request(&config, json!({"sign": "foreign"})), |_| yes()));
        (good, forged)
    })
}

/// A request with a token of the subject `s`, minted now with these changes.
fn token_request(config: &Value, change: Value) -> WireRequest {
    let issuers = config["issuers"].as_array().unwrap();
    let issuer = issuers.iter().find(|issuer| issuer["kind"] == "workload").unwrap()["issuer"].clone();
    let mut token = json!({"issuer": issuer, "claims": {"sub": "s"}});
    token.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let file = json!({"about": "a", "cases": [{"name": "a", "expect": {"decision": "allow"}, "token": token,
        "request": {"method": "GET", "host": "h", "path": "/token"}}]});
    let file = everycall::cases::CaseFile::parse("inline", &file.to_string()).unwrap();
    let now = everycall_core::UnixTime::from_micros(i64::try_from(host(|host| host.nanos / 1_000)).unwrap());
    file.cases[0].request(config, now).unwrap()
}

#[test]
fn crypto_absent() {
    assert_eq!(with_crypto(Crypto::Absent), ("allowed".into(), "invalid_token".into()));
}

#[test]
fn crypto_failing() {
    // Not "bad signature": the token may be good, and nobody knows.
    assert_eq!(with_crypto(Crypto::Fails), ("verifier_unavailable".into(), "verifier_unavailable".into()));
}

#[test]
fn the_hosts_crypto_is_what_counts() {
    assert_eq!(with_crypto(Crypto::SaysNo), ("invalid_token".into(), "invalid_token".into()));
    // Whoever gives us crypto that says yes has the keys already.
    assert_eq!(with_crypto(Crypto::SaysYes), ("allowed".into(), "allowed".into()));
}

#[test]
fn log_too_full() {
    let mut vm = vm();
    // More records than may wait for a tick: what has no room is written at once.
    let written = || {
        host(|host| host.log.iter().filter(|(_, line)| line.contains(everycall_tests::RECORD_BEGINS)).count())
    };
    for sent in 1..=5_000 {
        let (context, action) = vm.begin(&get("/nowhere"));
        assert_eq!(action, PAUSE);
        vm.drop_stream(context);
        assert!(written() <= sent && (sent < 4_000 || written() > 1_000), "{sent}: {}", written());
    }
    let (context, action) = vm.begin(&get("/open"));
    assert_eq!(action, CONTINUE, "a log that is full holds nobody up");
    vm.drop_stream(context);
    for _ in 0..200 {
        vm.tick();
    }
    assert_eq!(written(), 5_001, "each once");
    assert_eq!(
        host(|host| host.metrics.get("everycall.records_dropped;instance=shop-inbound").copied()),
        None
    );
}

#[test]
fn a_refusal_says_why_to_the_access_log_and_no_more_than_it_should_to_the_client() {
    let mut vm = vm();
    let mut request = get("/token");
    request.headers.push(("authorization".into(), b"Bearer a.b.c".to_vec()));
    let response = vm.request(&request, |_| yes()).response.unwrap();
    assert_eq!(
        (response.status, response.details.as_str()),
        (401, "everycall_denied{reason=token_malformed}")
    );
    let header = |name: &str| {
        response.headers.iter().find(|(n, _)| n == name).map(|(_, v)| String::from_utf8_lossy(v))
    };
    assert_eq!(
        header("www-authenticate").as_deref(),
        Some(r#"Bearer realm="everycall", error="invalid_token""#)
    );
    assert_eq!(header("content-type").as_deref(), Some("application/problem+json"));
    let body = String::from_utf8(response.body).unwrap();
    assert!(!body.contains("malformed") && !body.contains("a.b.c"), "{body}");
}

#[test]
fn figures_are_published_no_oftener_while_ticks_come_often() {
    let mut vm = vm();
    // More records than a tick writes.
    for _ in 0..500 {
        let (context, _) = vm.begin(&get("/nowhere"));
        vm.drop_stream(context);
    }
    let open = || host(|host| host.metrics.get("everycall.streams_open;instance=shop-inbound").copied());
    vm.tick();
    vm.begin(&get("/open"));
    vm.tick();
    assert_eq!(open(), None);
    host(|host| host.nanos += 100_000_000);
    vm.tick();
    assert_eq!(open(), Some(1));
}

#[test]
fn what_is_not_pulled_any_more_is_in_no_state() {
    let keys = everycall::mint::TestKey::es256().unwrap().public_jwks();
    let mut config = configuration();
    config["bundle"]["keys"] = keys.clone();
    config["bundle"]["remote"] = json!({"cluster": "b", "host": "b", "path": "/b"});
    config["signals"] = json!({"keys": keys, "remote": {"cluster": "s", "host": "s", "path": "/s"}});
    let vm = Vm::start(&config).unwrap();
    vm.tick();
    let workers = || {
        [
            "bundle;instance=shop-inbound;state=serving",
            "feed;instance=shop-inbound;state=missing;feed=signals",
        ]
        .map(|name| host(|host| host.metrics[&format!("everycall.{name}")]))
    };
    assert_eq!(workers(), [1, 1]);
    assert!(vm.configure(1, configuration().to_string().as_bytes()));
    vm.tick();
    host(|host| host.nanos += 100_000_000);
    vm.tick();
    assert_eq!(workers(), [0, 0]);
}

#[test]
fn gauges_and_counters_are_published() {
    let mut vm = vm();
    vm.request(&get("/open"), |_| yes());
    vm.request(&get("/nowhere"), |_| yes());
    let metrics = host(|host| host.metrics.clone());
    assert_eq!(metrics["everycall.decisions;instance=shop-inbound;outcome=allow;reason=allowed"], 1);
    assert_eq!(
        metrics["everycall.decisions;instance=shop-inbound;outcome=deny;reason=credential_missing"],
        1
    );
    assert_eq!(metrics.get("everycall.pending;instance=shop-inbound"), None, "nothing waited");
}
