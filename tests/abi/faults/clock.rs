//! A clock that is not there, is lost, or steps back.

use std::collections::BTreeMap;

use everycall_core::{Reason, Verdict};
use serde_json::json;

use super::{configuration, get, reason, token_request, vm, yes};
use crate::fake::{host, INTERNAL_FAILURE};

#[test]
fn clock_absent() {
    let mut vm = vm();
    let token = token_request(&configuration(), json!({}));
    host(|host| host.faults = BTreeMap::from([("time", INTERNAL_FAILURE)]));
    for (what, request) in [("with a token", &token), ("without", &get("/open"))] {
        assert_eq!(reason(&vm.request(request, |_| yes())), "not_ready", "{what}");
    }
    host(|host| host.faults.clear());
    assert_eq!(reason(&vm.request(&token, |_| yes())), "allowed", "nothing was forgotten meanwhile");
    assert_eq!(
        host(|host| host.metrics["everycall.decisions;instance=shop-inbound;outcome=deny;reason=not_ready"]),
        2
    );
}

#[test]
fn clock_lost() {
    let mut vm = vm();
    let (context, action) = vm.begin(&get("/ask"));
    let callouts = host(|host| std::mem::take(&mut host.callouts));
    host(|host| host.faults.insert("time", INTERNAL_FAILURE));
    callouts.iter().for_each(|callout| vm.reply(callout, &yes()));
    assert_eq!(host(|host| host.responses.len()), 1, "it is not kept waiting");
    host(|host| host.faults.clear());
    let outcome = vm.end(context, action);
    assert_eq!(reason(&outcome), "not_ready");
    let record = outcome.record.unwrap();
    assert_eq!((record.decision, record.reason), (Verdict::Deny, Some(Reason::NotReady)));
    assert_eq!(record.detail.as_deref(), Some("the host tells no time"));
    assert_eq!(reason(&vm.request(&get("/ask"), |_| yes())), "allowed", "its place is free again");
}

#[test]
fn a_tick_without_a_clock_leaves_its_work_to_the_next() {
    let mut vm = vm();
    vm.request(&token_request(&configuration(), json!({})), |_| yes());
    let (open, _) = vm.begin(&get("/open"));
    host(|host| {
        host.log.clear();
        host.faults.insert("time", INTERNAL_FAILURE);
    });
    // What ends meanwhile is not taken for a clock that was set back to 1970.
    vm.drop_stream(open);
    vm.tick();
    let metric = |name: &str| {
        host(|host| host.metrics.get(&format!("everycall.{name};instance=shop-inbound")).copied())
    };
    assert!(host(|host| host.log.is_empty()), "no record was written");
    host(|host| host.faults.clear());
    vm.tick();
    assert!(host(|host| host.log.iter().any(|(_, line)| line.contains("allowed"))));
    assert_eq!((metric("clock_stepped"), metric("tokens_cached")), (None, Some(1)));
}

#[test]
fn clock_steps_back() {
    let mut vm = vm();
    let request = token_request(&configuration(), json!({}));
    assert_eq!(reason(&vm.request(&request, |_| yes())), "allowed");
    // A little: time stands still, and the token stays valid.
    host(|host| host.nanos -= 200_000_000_000);
    assert_eq!(reason(&vm.request(&request, |_| yes())), "allowed");
    // A lot: it is followed, and what was believed because of the old time is forgotten.
    host(|host| host.nanos -= 3_600_000_000_000);
    assert_eq!(reason(&vm.request(&request, |_| yes())), "invalid_token", "it is not valid yet");
    assert_eq!(host(|host| host.metrics["everycall.clock_stepped;instance=shop-inbound"]), 1);
    assert_eq!(host(|host| host.metrics["everycall.tokens_cached;instance=shop-inbound"]), 0);
}
