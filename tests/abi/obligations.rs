//! Changes to the response's headers, in the one callback where the host takes them.

use everycall_core::Reason;
use serde_json::{json, Value};

use crate::fake::{host, INTERNAL_FAILURE};
use crate::faults::get;
use crate::vm::{fresh, Vm, CONTINUE, PAUSE};

/// `/NAME` has the result `NAME` of these.
fn vm() -> Vm {
    let mut config = everycall_tests::cases::reference().unwrap();
    let changes = json!({"response_headers": {"set": {"x-frame-options": "DENY"}, "remove": ["server"]}});
    config["api_keys"] = json!([]);
    config["bundle"]["inline"] = json!({
        "policies": {"everycall.rego": "package everycall\ndecision := data.results[input.grant.params.name]"},
        "data": {"results": {
            "changed": {"allow": true, "obligations": changes},
            "plain": {"allow": true},
            "refused": {"allow": false, "obligations": {"response_headers": {"set": {"x-frame-options": "DENY"}}}},
        }},
        "grants": [{"id": "g", "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["h"],
                    "methods": ["GET"], "paths": ["/{name}"]}]});
    Vm::start(&config).unwrap()
}

const RESPONSE: &[(&str, &str)] = &[(":status", "200"), ("server", "secret"), ("x-frame-options", "ALLOW")];

fn names(headers: &[(String, Vec<u8>)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap())).collect()
}

#[test]
fn responses_of_admitted_requests_are_changed_and_no_others() {
    fresh(|| {
        let mut vm = vm();
        let (context, action) = vm.begin(&get("/changed"));
        assert_eq!(action, CONTINUE);
        let (action, headers) = vm.respond(context, RESPONSE);
        assert_eq!(action, CONTINUE);
        assert_eq!(names(&headers), [(":status", "200"), ("x-frame-options", "DENY")]);
        assert!(vm.end(context, CONTINUE).passed);

        let (context, _) = vm.begin(&get("/plain"));
        assert_eq!(names(&vm.respond(context, RESPONSE).1), RESPONSE);

        // The callback comes for our own answers, too.
        let (context, action) = vm.begin(&get("/refused"));
        assert_eq!(action, PAUSE);
        let answer = host(|host| host.responses[0].clone());
        assert!(answer.headers.contains(&("x-frame-options".into(), b"DENY".to_vec())));
        let (action, headers) = vm.respond(context, RESPONSE);
        assert_eq!((action, names(&headers).as_slice()), (CONTINUE, RESPONSE));
    });
}

#[test]
fn host_refuses_changes_to_the_response() {
    for fault in ["set_header", "remove_header"] {
        fresh(move || {
            let mut vm = vm();
            let (context, action) = vm.begin(&get("/changed"));
            assert_eq!(action, CONTINUE, "{fault}");
            host(|host| host.faults.insert(fault, INTERNAL_FAILURE));
            let (action, _) = vm.respond(context, RESPONSE);
            assert_eq!(action, PAUSE, "the client must not get the response");
            let answer = host(|host| host.responses[0].clone());
            assert_eq!(answer.status, 503, "{fault}");
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["reason"], Reason::NotReady.code(), "{fault}");
            let state = host(|host| host.filter_state["everycall.decision"].clone());
            let state: Value = serde_json::from_str(&state).unwrap();
            assert_eq!((&state["decision"], &state["id"]), (&json!("deny"), &body["decision_id"]), "{fault}");
            // The answer itself is left alone, though the host is broken still.
            assert_eq!(vm.respond(context, RESPONSE).0, CONTINUE, "{fault}");
            assert_eq!(host(|host| host.responses.len()), 1, "{fault}");
        });
    }
}
