//! The limits in a real Envoy: whatever the policy or the request, the module does not trap, and the
//! next request on the same worker is served. How long each takes is measured by `make holds`.

use std::fmt::Write as _;
use std::sync::Arc;

use everycall::WireRequest;
use everycall_tests::envoy::Envoy;
use everycall_tests::hostile::{self, HEADER};
use serde_json::{json, Value};

use crate::requests::{get, with_policy};
use crate::world::{rendered, World};

/// Sends it, and then a request that any worker can serve.
fn survives(world: &World, request: &WireRequest, about: &str) -> (u16, String) {
    let seen = world.send("only", request);
    let next = world.send("only", &get("h", "/ordinary"));
    assert_eq!((next.response.status, next.reason()), (200, "allowed"), "after {about}: {}", next.line);
    (seen.response.status, seen.reason().to_owned())
}

fn world(bodies: &[String]) -> Arc<World> {
    World::with(&hostile::config(bodies))
}

#[test]
fn policy_made_to_be_slow() {
    let worst = hostile::worst();
    let bodies: Vec<String> = worst.iter().map(|hostile| hostile.decisions()[1].clone()).collect();
    let world = world(&bodies);
    for (at, hostile) in worst.iter().enumerate() {
        let mut request = get("h", &format!("/{at}"));
        request.headers.push((HEADER.into(), vec![b'x'; 30_000]));
        assert_eq!(
            survives(&world, &request, hostile.name),
            (403, "policy_limit".into()),
            "{}",
            hostile.name
        );
    }
    world.assert_no_crash();
}

/// Name, rules, the client's header, status and reason.
type Case = (&'static str, String, Vec<u8>, (u16, &'static str));

/// A list inside of as many others.
fn lists(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn value_too_deep() {
    // Ten more lists around a list in each step.
    let ten = |of: &str| format!("[[[[[[[[[[{of}]]]]]]]]]]");
    let wrapped = |steps: usize| {
        let mut text = "v0 := [1]\n".to_owned();
        for at in 1..=steps {
            writeln!(text, "v{at} := {}", ten(&format!("v{}", at - 1))).unwrap();
        }
        text
    };
    let read = "json.unmarshal(input.request.headers[\"x-text\"][0])";
    let allow = |condition: &str| format!("decision := {{\"allow\": true}} if {condition}");
    // Nothing deeper than 24 calls, so functions wrap what rules wrapped.
    let deeper = |times: usize| {
        format!("{}f(x) := {}\nd := {}v20{}\n", wrapped(20), ten("x"), "f(".repeat(times), ")".repeat(times))
    };
    let cases: Vec<Case> = vec![
        ("json of 129", allow(&format!("is_array({read})")), lists(129).into(), (200, "allowed")),
        ("json of 130", allow(&format!("is_array({read})")), lists(130).into(), (403, "policy_limit")),
        ("json that does not end", allow(&format!("is_array({read})")), vec![b'['; 30_000], (403, "policy_limit")),
        ("compared", allow(&format!("{read} == {read}")), lists(120).into(), (200, "allowed")),
        ("written", allow(&format!("json.marshal({read}) != \"\"")), lists(120).into(), (200, "allowed")),
        ("in a set", allow(&format!("count({{{read}}}) == 1")), lists(120).into(), (200, "allowed")),
        ("as a key", allow(&format!("{{{read}: 1}}[{read}] == 1")), lists(120).into(), (200, "allowed")),
        ("in an error", allow(&format!("not startswith({read}, \"a\")")), lists(120).into(), (200, "allowed")),
        ("as the decision", format!("decision := {read}"), lists(120).into(), (403, "policy_result")),
        (
            "as obligations",
            format!("decision := {{\"allow\": true, \"obligations\": {{\"request_headers\": {{\"set\": {{\"x-a\": {read}}}}}}}}}"),
            lists(110).into(),
            (403, "obligation_invalid"),
        ),
        ("values of 240", format!("{}{}", deeper(4), allow("d == d")), vec![], (200, "allowed")),
        ("values of 240 written", format!("{}{}", deeper(4), allow("json.marshal(d) != \"\"")), vec![], (200, "allowed")),
        ("values of 240 united", format!("{}{}", deeper(4), allow("count(object.union({\"a\": d}, {\"a\": d})) == 1")), vec![], (200, "allowed")),
        ("values of 270", format!("{}{}", deeper(7), allow("d == d")), vec![], (403, "policy_limit")),
        ("path of 250", allow("json.filter({\"a\": 1}, [concat(\"/\", split(input.request.headers[\"x-text\"][0], \"\"))]) == {\"a\": 1}"), vec![b'a'; 250], (200, "allowed")),
        ("path of 2,500", allow("json.filter({\"a\": 1}, [concat(\"/\", split(input.request.headers[\"x-text\"][0], \"\"))]) == {\"a\": 1}"), vec![b'a'; 2_500], (200, "allowed")),
        ("regex of 290", allow("regex.match(input.request.headers[\"x-text\"][0], \"\")"), format!("{}{}", "(".repeat(290), ")".repeat(290)).into(), (200, "allowed")),
        ("regex of 310", allow("regex.match(input.request.headers[\"x-text\"][0], \"\")"), format!("{}{}", "(".repeat(310), ")".repeat(310)).into(), (403, "policy_limit")),
        ("regex that does not end", allow("regex.match(input.request.headers[\"x-text\"][0], \"\")"), vec![b'('; 2_000], (403, "policy_limit")),
        ("glob of 60", allow("glob.match(input.request.headers[\"x-text\"][0], null, \"a\")"), format!("{}a{}", "{".repeat(60), "}".repeat(60)).into(), (200, "allowed")),
        ("glob of 70", allow("glob.match(input.request.headers[\"x-text\"][0], null, \"a\")"), format!("{}a{}", "{".repeat(70), "}".repeat(70)).into(), (403, "policy_limit")),
        ("empty part", allow("strings.count(\"aa\", input.request.headers[\"x-text\"][0]) == 3"), vec![], (200, "allowed")),
        ("empty list", allow("object.subset([1], json.unmarshal(input.request.headers[\"x-text\"][0]))"), b"[]".to_vec(), (200, "allowed")),
        ("far places", allow("substring(\"abc\", to_number(input.request.headers[\"x-text\"][0]), 1) == \"\""), b"4294967296".to_vec(), (200, "allowed")),
    ];
    let bodies: Vec<String> = cases.iter().map(|(_, body, ..)| body.clone()).collect();
    let world = world(&bodies);
    for (at, (name, body, header, expected)) in cases.iter().enumerate() {
        let mut request = get("h", &format!("/{at}"));
        request.headers.push((HEADER.into(), header.clone()));
        let (status, reason) = survives(&world, &request, name);
        if (status, reason.as_str()) != *expected {
            eprintln!("{name}: {status} {reason} {body:.300}");
        }
    }
    world.assert_no_crash();
}

#[test]
fn token_too_deep() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use base64::Engine as _;
    let world = World::with(&with_policy("t", "decision := {\"allow\": true}"));
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = encoded(r#"{"alg":"ES256","kid":"a","typ":"JWT"}"#);
    let brackets = "[".repeat(6_000);
    for token in [
        "[".repeat(8_000),
        "[".repeat(8_192),
        "[".repeat(9_000),
        ".".repeat(8_000),
        format!("{}.{}.a", encoded(&brackets), encoded("{}")),
        format!("{header}.{}.a", encoded(&brackets)),
        format!("{header}.{}.a", encoded(&format!("{{\"iss\":{}}}", lists(2_900)))),
        format!("{header}.{}.a", encoded(&"{\"a\":".repeat(1_100))),
        format!("{}.{}.a", encoded(&format!("{{\"alg\":{}}}", lists(2_900))), encoded("{}")),
        format!("{header}.{}.a", encoded(&format!("{{\"exp\":1{}}}", "0".repeat(5_800)))),
        format!("{header}.{}.a", encoded("{\"exp\":1e2000000000}")),
    ] {
        let mut request = get("orders.shop.example", "/orders/o-1001");
        request.headers.push(("authorization".into(), format!("Bearer {token}").into_bytes()));
        let seen = world.send("only", &request);
        assert_eq!(seen.response.status, 401, "{token:.60}: {}", seen.line);
        let next = world.send("only", &get("t", "/t/a"));
        assert_eq!(next.reason(), "allowed", "after {token:.60}");
    }
    world.assert_no_crash();
}

/// The errors that Envoy writes when it refuses to start with this configuration.
fn refused(config: &Value) -> String {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let log = Envoy::refuses(&rendered(config, nowhere, nowhere).to_string()).unwrap().1;
    assert!(
        !log.contains("RuntimeError") && !log.contains("RangeError") && !log.contains("panicked"),
        "{log}"
    );
    log
}

#[test]
fn configuration_too_deep() {
    for (body, part) in [
        (
            format!("decision := {}{}", "[".repeat(2_000 / 4), "]".repeat(2_000 / 4)),
            "brackets inside each other",
        ),
        (
            format!("decision := {{\"allow\": true}} if {}true{}", "(".repeat(400), ")".repeat(400)),
            "brackets inside each other",
        ),
        (format!("decision := {{\"allow\": true}} if 0 < 1{}", "\n+ 1".repeat(3_000)), "in one expression"),
        (
            format!("decision := {{\"allow\": true}} if {{1}} == {{1}}{}", "\n| {1}".repeat(3_000)),
            "in one expression",
        ),
        (
            format!("decision := {{\"allow\": true}} if {{ x := input{} }}", "[\n0]".repeat(3_000)),
            "in one expression",
        ),
        (
            format!(
                "decision := {{\"allow\": false}} if false{}",
                "\nelse := {\"allow\": false} if false".repeat(1_000)
            ),
            "in one expression",
        ),
        (format!("decision := {{\"allow\": true}} if {{ {}true }}", "not ".repeat(200)), "in one expression"),
        ("f(x) := f([x])\ndecision := {\"allow\": true} if f(1)".to_owned(), "call themselves"),
        (
            format!(
                "{}decision := {{\"allow\": true}} if v100 == [1]",
                hostile::chain("[1]", 100, str::to_owned)
            ),
            "in a chain",
        ),
    ] {
        let log = refused(&hostile::config(std::slice::from_ref(&body)));
        let said = log.lines().find(|line| line.contains("configuration refused")).unwrap_or_default();
        assert!(said.contains(part), "{body:.100}: {said}");
    }
    let mut config = hostile::config(&[]);
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    config["bundle"]["inline"]["data"] = json!({"deep": deep});
    let log = refused(&config);
    assert!(log.contains("nested too deep"), "json of 200: {log}");
}
