//! Callouts that a host does not make, and replies that it delivers late, broken or not at all.

use std::collections::BTreeMap;

use everycall::cases::PdpAnswer;
use everycall_core::config::PdpProtocol;
use everycall_core::http::Failure;
use everycall_core::Reply;
use serde_json::json;

use crate::fake::{host, BAD_ARGUMENT, INTERNAL_FAILURE, NOT_FOUND};
use crate::faults::{configuration, get, reason, vm, yes};
use crate::vm::{fresh, Vm, PAUSE};

#[test]
fn callouts_that_cannot_be_made_are_failures() {
    let mut vm = vm();
    for status in [BAD_ARGUMENT, INTERNAL_FAILURE] {
        host(|host| host.faults = BTreeMap::from([("http_call", status)]));
        assert_eq!(reason(&vm.request(&get("/ask"), |_| yes())), "pdp_unavailable", "{status}");
    }
}

#[test]
fn the_request_goes_on_only_after_the_last_reply() {
    let mut vm = vm();
    let (context, action) = vm.begin(&get("/ask"));
    assert_eq!(action, PAUSE);
    let callouts = host(|host| std::mem::take(&mut host.callouts));
    assert_eq!(callouts.len(), 2);
    for callout in &callouts {
        assert_eq!((callout.cluster.as_str(), callout.timeout_ms), ("pdp", 200));
        let header =
            |name: &str| callout.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice());
        assert_eq!(header(":path"), Some(&b"/access/v1/evaluation"[..]));
        assert_eq!(header("content-type"), Some(&b"application/json"[..]));
    }
    vm.reply(&callouts[1], &yes());
    assert_eq!(host(|host| host.resumed), 0);
    vm.reply(&callouts[0], &yes());
    assert_eq!(host(|host| host.resumed), 1);
    assert!(vm.end(context, action).passed);
}

#[test]
fn one_failed_reply_of_two_refuses() {
    let mut vm = vm();
    let status = |status: u16| Reply::http(status, br#"{"decision":true}"#);
    let failures = [
        Reply::Failed(Failure::Unavailable),
        Reply::Failed(Failure::TooLarge),
        status(201),
        status(204),
        status(302),
        status(500),
        status(503),
        status(504),
        Reply::http(200, []),
        Reply::http(200, b"{\"decision\":\"true\"}"),
    ];
    for failure in &failures {
        for order in [[0, 1], [1, 0]] {
            let (context, action) = vm.begin(&get("/ask"));
            let callouts = host(|host| std::mem::take(&mut host.callouts));
            vm.reply(&callouts[order[0]], failure);
            vm.reply(&callouts[order[1]], &yes());
            assert_eq!(host(|host| host.resumed), 0, "{failure:?}");
            assert_eq!(reason(&vm.end(context, action)), "pdp_unavailable", "{failure:?}");
        }
    }
}

#[test]
fn replies_that_cannot_be_read_are_failures() {
    for (fault, status) in [("call_headers", BAD_ARGUMENT), ("call_body", NOT_FOUND), ("call_body", 77)] {
        fresh(|| {
            let mut vm = vm();
            host(|host| host.faults = BTreeMap::from([(fault, status)]));
            assert_eq!(reason(&vm.request(&get("/ask"), |_| yes())), "pdp_unavailable", "{fault}");
        });
    }
    let mut vm = vm();
    for headers in
        [vec![], vec![(":status".to_owned(), b"\xff".to_vec())], vec![("x".to_owned(), b"200".to_vec())]]
    {
        let (context, action) = vm.begin(&get("/ask"));
        let callouts = host(|host| std::mem::take(&mut host.callouts));
        for callout in &callouts {
            vm.reply_raw(callout, headers.clone(), br#"{"decision":true}"#.to_vec());
        }
        assert_eq!(reason(&vm.end(context, action)), "pdp_unavailable", "{headers:?}");
    }
}

#[test]
fn pdp_client_leaves() {
    let mut config = configuration();
    config["limits"] = json!({"max_pending": 1});
    let mut vm = Vm::start(&config).unwrap();
    let (first, action) = vm.begin(&get("/ask"));
    assert_eq!(action, PAUSE);
    assert_eq!(reason(&vm.request(&get("/ask"), |_| yes())), "overloaded");
    vm.end(first, action);
    assert_eq!(reason(&vm.request(&get("/ask"), |_| yes())), "allowed");
}

#[test]
fn a_new_configuration_decides_what_waits() {
    let mut vm = vm();
    let (context, action) = vm.begin(&get("/ask"));
    let callouts = host(|host| std::mem::take(&mut host.callouts));
    let mut config = configuration();
    config["bundle"]["inline"]["policies"]["ask.rego"] =
        json!("package everycall.ask\ndecision := {\"allow\": false, \"reason\": \"closed\"}");
    let root = vm.new_root();
    assert!(vm.configure(root, config.to_string().as_bytes()));
    vm.tick_of(root);
    for callout in &callouts {
        vm.reply(callout, &yes());
    }
    assert_eq!(reason(&vm.end(context, action)), "policy_denied");
}

#[test]
fn trailers_that_cannot_be_read_are_failures() {
    let mut config = configuration();
    config["pdps"]["default"]["protocol"] = json!("ext_authz");
    let yes = || PdpAnswer::Allow.reply(PdpProtocol::ExtAuthz);
    for status in [NOT_FOUND, BAD_ARGUMENT, INTERNAL_FAILURE, 77] {
        fresh(|| {
            let mut vm = Vm::start(&config).unwrap();
            host(|host| host.faults = BTreeMap::from([("call_trailers", status)]));
            assert_eq!(reason(&vm.request(&get("/ask"), |_| yes())), "pdp_unavailable", "{status}");
            host(|host| host.faults.clear());
            assert_eq!(reason(&vm.request(&get("/ask"), |_| yes())), "allowed", "{status}");
        });
    }
}
