//! Open streams that are cut or decided again by the root context, and a host that refuses.

use everycall_core::Reply;
use serde_json::{json, Value};

use crate::fake::{host, Callout, BAD_ARGUMENT, INTERNAL_FAILURE};
use crate::faults::get;
use crate::vm::{fresh, Vm, CONTINUE};

const ROOT: u32 = 1;

/// Anybody may get `/NAME`, for ten seconds; `/ask` if the decision point says so.
fn configuration() -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["streams"] = json!({"max_s": 10});
    config["api_keys"] = json!([]);
    let question = r#""subject": {"type": "t", "id": "s"}, "action": {"name": "a"}, "resource": {"type": "t", "id": "r"}"#;
    let asks = format!(
        "package everycall.ask\nask contains {{\"id\": \"q\", {question}}} if true\n\
        decision := {{\"allow\": true}} if input.pdp.q.decision"
    );
    let changes = json!({"response_headers": {"set": {"x-frame-options": "DENY"}}});
    let grant = |id: &str, policy: &str| {
        json!({"id": id, "owner": "o", "purpose": "p", "subject": "anonymous",
        "hosts": ["h"], "methods": ["GET"], "paths": [format!("/{id}")], "policy": policy})
    };
    config["bundle"]["inline"] = json!({
        "policies": {"ask.rego": asks, "open.rego": "package everycall.open\ndecision := data.result"},
        "data": {"result": {"allow": true, "obligations": changes}},
        "grants": [grant("a", "open"), grant("b", "open"), grant("ask", "ask")]});
    config
}

fn wait(vm: &Vm, secs: u64) {
    for _ in 0..secs * 2 {
        host(|host| host.nanos += 500_000_000);
        vm.tick();
    }
}

/// The records of ended streams in the log.
fn ended() -> Vec<Value> {
    let lines: Vec<String> = host(|host| host.log.iter().map(|(_, line)| line.clone()).collect());
    let records = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.filter(|record| record["event"] == "stream_ended").collect()
}

#[test]
fn a_stream_is_cut_in_its_own_context_and_the_host_tells_of_it() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        let (context, action) = vm.begin(&get("/a"));
        assert_eq!(action, CONTINUE);
        let (other, _) = vm.begin(&get("/b"));
        wait(&vm, 9);
        vm.drop_stream(other);
        wait(&vm, 1);
        let cut = host(|host| host.responses.clone());
        assert_eq!(cut.iter().map(|cut| (cut.context, cut.status)).collect::<Vec<_>>(), [(context, 503)]);
        assert_eq!(cut[0].details, "everycall_cut{reason=duration_cap}");
        // The policy's changes are not for an answer of ours.
        let ours = [(":status", "503"), ("retry-after", "1")];
        let (_, headers) = vm.respond(context, &ours);
        assert_eq!(headers.len(), 2);
        host(|host| {
            let bytes = |number: u64| number.to_le_bytes().to_vec();
            host.properties.insert("request.total_size".into(), bytes(120));
            host.properties.insert("response.total_size".into(), bytes(5_000));
        });
        vm.drop_stream(context);
        assert_eq!(host(|host| host.filter_state["everycall.cut"].clone()), "duration_cap");
        vm.tick();
        let ended = ended();
        let record = ended.last().unwrap();
        assert_eq!((&record["reason"], &record["cut"]), (&json!("duration_cap"), &json!(true)));
        assert_eq!((&record["bytes_received"], &record["bytes_sent"]), (&json!(120), &json!(5_000)));
        wait(&vm, 3);
        assert_eq!(host(|host| host.responses.len()), 1, "once it has ended nothing more is said");
    });
}

#[test]
fn the_host_is_asked_about_streams_only_that_are_recorded() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        let (context, _) = vm.begin(&get("/a"));
        vm.drop_stream(context);
        assert!(!host(|host| host.properties_read.contains("response.total_size")));
        assert!(!host(|host| host.filter_state.contains_key("everycall.cut")));
        assert!(ended().is_empty());
    });
}

#[test]
fn a_host_that_refuses_an_answer_closes_the_stream() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        let (context, _) = vm.begin(&get("/a"));
        wait(&vm, 9);
        host(|host| host.faults.insert("respond", BAD_ARGUMENT));
        wait(&vm, 2);
        assert!(host(|host| host.responses.is_empty()));
        assert!(host(|host| !host.closed.is_empty() && host.closed.iter().all(|closed| *closed == context)));
        // And if it does not do that either, it is told again, and the log says so.
        host(|host| host.faults.insert("close", BAD_ARGUMENT));
        wait(&vm, 3);
        assert!(host(|host| host.log.iter().any(|(_, line)| line.contains("refused to end a stream"))));
        host(|host| host.faults.clear());
        wait(&vm, 2);
        assert_eq!(host(|host| host.responses[0].context), context);
    });
}

#[test]
fn a_stream_that_the_host_does_not_know_any_more_is_over() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        vm.begin(&get("/a"));
        wait(&vm, 9);
        host(|host| host.faults_after_context = true);
        wait(&vm, 2);
        host(|host| host.faults_after_context = false);
        wait(&vm, 3);
        assert!(host(|host| host.responses.is_empty() && host.closed.is_empty()));
        assert_eq!(ended().len(), 1);
    });
}

/// A stream that was let through by the decision point, and the question that is asked again.
fn asked_again() -> (Vm, u32, Callout) {
    let mut config = configuration();
    let mut vm = Vm::start(&config).unwrap();
    let (context, _) = vm.begin(&get("/ask"));
    let callout = host(|host| host.callouts.pop()).unwrap();
    vm.reply(&callout, &Reply::http(200, r#"{"decision":true}"#));
    wait(&vm, 1);
    config["limits"] = json!({"pdp_rounds": 1});
    assert!(vm.configure(ROOT, config.to_string().as_bytes()));
    wait(&vm, 1);
    (vm, context, the_question())
}

fn the_question() -> Callout {
    let [callout]: [Callout; 1] = host(|host| std::mem::take(&mut host.callouts)).try_into().unwrap();
    callout
}

/// The stream that was cut first, and why.
fn first_cut() -> Option<(u32, String)> {
    host(|host| host.responses.first().map(|cut| (cut.context, cut.details.clone())))
}

#[test]
fn the_root_context_asks_about_open_streams() {
    for (answer, expected) in [
        (Reply::http(200, r#"{"decision":true}"#), None),
        (Reply::http(200, r#"{"decision":false}"#), Some("everycall_cut{reason=pdp_denied}")),
        (Reply::http(500, ""), Some("everycall_cut{reason=pdp_unavailable}")),
    ] {
        fresh(|| {
            let (vm, context, again) = asked_again();
            vm.reply(&again, &answer);
            wait(&vm, 1);
            assert_eq!(first_cut(), expected.map(|details| (context, details.to_owned())), "{answer:?}");
        });
    }
}

#[test]
fn open_streams_are_asked_about_again_when_the_clock_is_back() {
    fresh(|| {
        let (vm, context, again) = asked_again();
        host(|host| host.faults.insert("time", INTERNAL_FAILURE));
        vm.reply(&again, &Reply::http(200, r#"{"decision":false}"#));
        wait(&vm, 1);
        assert!(host(|host| host.responses.is_empty() && host.callouts.is_empty()));
        host(|host| host.faults.clear());
        wait(&vm, 1);
        vm.reply(&the_question(), &Reply::http(200, r#"{"decision":false}"#));
        wait(&vm, 1);
        assert_eq!(first_cut(), Some((context, "everycall_cut{reason=pdp_denied}".to_owned())));
        assert_eq!(
            host(|host| host.metrics.get("everycall.clock_stepped;instance=shop-inbound").copied()),
            None
        );
    });
}
