//! The worst policies that could be thought of: each ends at a limit, whatever stands around it, and
//! the longest time that one took is printed.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // a test that fails panics
#![allow(clippy::arithmetic_side_effects, clippy::disallowed_methods)] // it counts up to 20, and it measures

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use everycall_core::{DecisionRecord, Engine, IdSeed, Reason, Settings};
use serde_json::{json, Value};

fn config(body: &str) -> Value {
    json!({
        "version": 1,
        "instance": "limits",
        "issuers": [{
            "issuer": "i", "audiences": ["a"], "algorithms": ["EdDSA"], "max_lifetime_s": 60, "kind": "workload",
            "keys": {"inline": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}
        }],
        "bundle": {"inline": {
            "data": {"many": (0..2_000).collect::<Vec<_>>(), "text": "aB".repeat(10_000)},
            "policies": {"p.rego": format!("package everycall\n{body}\n")},
            "grants": [{"id": "g", "owner": "o", "purpose": "p", "subject": "anonymous",
                        "hosts": ["h"], "methods": ["GET"], "paths": ["/"]}]}}
    })
}

fn record() -> DecisionRecord {
    serde_json::from_value(json!({
        "v": 1, "id": "x", "time": 1000, "instance": "", "revision": "", "decision": "ask", "reason": null,
        "status": 0, "layer": "request", "connection": {}, "grant": null, "policy": null, "pdp": [],
        "request": {"id": null, "method": "GET", "scheme": "http", "host": "h", "path": "/", "headers": {}, "query": {}},
        "identity": null}))
    .unwrap()
}

/// The reason, and how long the decision took.
fn decided(body: &str) -> (Reason, Duration) {
    let settings =
        Settings::from_value(config(body)).unwrap_or_else(|errors| panic!("{body:.200}: {errors}"));
    let mut engine = Engine::standalone(settings, IdSeed::derive(&[]));
    let record = record();
    let start = Instant::now();
    let reason = engine.replay(&record).record.reason.unwrap();
    (reason, start.elapsed())
}

/// `v0` and `n` rules, each made of the one before.
fn chain(first: &str, n: usize, next: impl Fn(&str) -> String) -> String {
    let mut text = format!("v0 := {first}\n");
    for at in 1..=n {
        writeln!(text, "v{at} := {}", next(&format!("v{}", at - 1))).unwrap();
    }
    text
}

/// Name, rules, and the condition that is hard to tell.
fn worst() -> Vec<(&'static str, String, &'static str)> {
    let each = |call: &str| format!("all := [y | some n in data.many; y := {call}]");
    // Four million times, if nothing ended it.
    let two = "some a in data.many; some b in data.many";
    let pairs = |call: &str| format!("all := [1 | {two}; y := {call}]");
    let big = chain("3", 9, |v| format!("{v} * {v}"));
    let tree = chain("[1]", 6, |v| format!("[{v}, {v}, {v}, {v}]"));
    let trees = format!("{tree}{}", tree.replace('v', "w"));
    vec![
        (
            "doubled text",
            chain("\"x\"", 20, |v| format!("concat(\"\", [{v}, {v}, {v}, {v}])")),
            "contains(v20, \"y\")",
        ),
        (
            "doubled by replace",
            chain("\"x\"", 20, |v| format!("replace({v}, \"x\", \"xxxx\")")),
            "contains(v20, \"y\")",
        ),
        (
            "doubled list",
            chain("[1]", 20, |v| format!("array.concat(array.concat({v}, {v}), {v})")),
            "count(v20) == 1",
        ),
        (
            "doubled by regex",
            chain("\"x\"", 20, |v| format!("regex.replace({v}, \"x\", \"xxxx\")")),
            "count(v20) == 1",
        ),
        (
            "a tree that is written out",
            chain("[1]", 20, |v| format!("[{v}, {v}, {v}, {v}]")),
            "count(json.marshal(v20)) == 1",
        ),
        ("squared by product", chain("3", 20, |v| format!("product([{v}, {v}])")), "v20 == 1"),
        ("regex on a long text", each("regex.match(\"(a|b)*c\", data.text)"), "count(all) == 1"),
        ("regex that counts", each("regex.match(\"([a-z]{1,30}){1,9}!\", data.text)"), "count(all) == 1"),
        ("regex that is compiled", each("regex.match(\"(a|b)*c\", \"a\")"), "count(all) == 1"),
        (
            "quadratic search",
            each("regex.find_n(\"[^A-Z]*[^a-zA-Z]|[A-Z]\", data.text, -1)"),
            "count(all) == 1",
        ),
        ("glob", each("glob.match(\"a*b*c*\", [\".\"], \"abc\")"), "count(all) == 1"),
        ("sorting", each("sort(split(data.text, \"\"))"), "count(all) == 1"),
        ("splitting", each("count(split(data.text, \"a\"))"), "count(all) == 1"),
        ("upper case", each("upper(data.text)"), "count(all) == 1"),
        (
            "many prefixes",
            each("strings.any_prefix_match(split(data.text, \"\"), split(data.text, \"\"))"),
            "count(all) == 1",
        ),
        (
            "parsing",
            each("json.unmarshal(concat(\"\", [\"[\\\"\", data.text, \"\\\"]\"]))"),
            "count(all) == 1",
        ),
        ("long numbers", each("to_number(replace(lower(data.text), \"ab\", \"99\"))"), "count(all) == 1"),
        ("base64", each("base64.encode(data.text)"), "count(all) == 1"),
        ("squared", chain("3", 20, |v| format!("{v} * {v}")), "v20 == 1"),
        ("multiplied", "x := product([n | some n in data.many; n > 0])".into(), "x == 1"),
        ("calculated over and over", format!("{big}{}", pairs("(v9 * v9) / v9")), "count(all) == 1"),
        ("large numbers in errors", format!("{big}{}", pairs("startswith(v9, \"\")")), "count(all) == 1"),
        ("counted text", pairs("count(data.text)"), "count(all) == 1"),
        ("counted numbers", format!("{big}{}", pairs("count(v9)")), "count(all) == 1"),
        ("compared trees", format!("{trees}{}", pairs("v6 == w6")), "count(all) == 1"),
        ("ordered trees", format!("{trees}{}", pairs("v6 < w6")), "count(all) == 1"),
        ("trees that are told apart", format!("{trees}{}", pairs("v6 != w6")), "count(all) == 1"),
        ("trees that are searched", format!("{trees}{}", pairs("w5 in v6")), "count(all) == 1"),
        ("trees as keys", format!("{trees}{}", pairs("{v6: 1}[w6]")), "count(all) == 1"),
        ("trees in sets", format!("{trees}all := {{x | {two}; x := [v6, a, b]}}"), "count(all) == 1"),
        (
            "trees of two definitions",
            format!("{trees}f(n) := v6 if n >= 0\nf(n) := w6 if n >= 0\n{}", pairs("f(a)")),
            "count(all) == 1",
        ),
        (
            "set differences",
            format!("s := {{x | some x in data.many}}\n{}", pairs("s - {1, a}")),
            "count(all) == 1",
        ),
        (
            "set unions",
            format!("s := {{x | some x in data.many}}\n{}", pairs("s | {1, a}")),
            "count(all) == 1",
        ),
        ("searches", pairs("-1 in data.many"), "count(all) == 1"),
        ("deep values", deep(), "count(f3([1])) == 1"),
        (
            "loops",
            "all := [1 | some _ in data.many; some _ in data.many; some _ in data.many]".into(),
            "count(all) == 1",
        ),
        (
            "sets",
            "all := {x | some a in data.many; some b in data.many; x := [a, b]}".into(),
            "count(all) == 1",
        ),
    ]
}

/// `f3` puts a value into ten thousand lists.
fn deep() -> String {
    let ten = |f: &str| format!("{}x{}", f.repeat(10), if f == "[" { "]" } else { ")" }.repeat(10));
    let next = |n: usize| format!("f{n}(x) := {}\n", ten(&format!("f{}(", n - 1)));
    format!("f0(x) := {}\n{}", ten("["), (1..=3).map(next).collect::<String>())
}

#[test]
fn every_one_of_the_worst_ends_at_a_limit() {
    let mut longest = (Duration::ZERO, "");
    for (name, rules, condition) in worst() {
        for decision in [
            format!("decision := {{\"allow\": true}} if {condition}"),
            format!("decision := {{\"allow\": true}} if not held\nheld if {condition}"),
            format!("decision := {{\"allow\": true}} if count(deny) == 0\ndeny contains 1 if {condition}"),
            format!("decision := {{\"allow\": true}} if count([1 | {condition}]) == 0"),
        ] {
            let (reason, took) = decided(&format!("{rules}\n{decision}"));
            assert_eq!(reason, Reason::PolicyLimit, "{name}: {decision}");
            if took > longest.0 {
                longest = (took, name);
            }
            eprintln!("{:>10.1} ms  {name}", took.as_secs_f64() * 1e3);
        }
    }
    eprintln!("longest: {:.1} ms, {}", longest.0.as_secs_f64() * 1e3, longest.1);
}

#[test]
fn a_worker_goes_on_after_a_limit() {
    let text = format!(
        "{}\ndecision := {{\"allow\": true}} if {{ input.request.path == \"/\"; contains(v9, \"x\") }}",
        chain("\"x\"", 9, |v| format!("concat(\"\", [{v}, {v}])"))
    );
    let mut engine = Engine::standalone(Settings::from_value(config(&text)).unwrap(), IdSeed::derive(&[]));
    // What one evaluation takes is not missing in the next.
    for _ in 0..50 {
        assert_eq!(engine.replay(&record()).record.reason, Some(Reason::Allowed));
    }
}

#[test]
fn rules_that_call_themselves_do_not_compile() {
    let deep = |n: usize| {
        format!("{}decision := {{\"allow\": true}} if v{n} == [1]", chain("[1]", n, str::to_owned))
    };
    assert_eq!(decided(&deep(20)).0, Reason::Allowed);
    for (text, part) in [
        ("f(x) := f([x])\ndecision := {\"allow\": true} if f(1)".to_owned(), "call themselves"),
        ("f(x) := g([x])\ng(x) := f(x)\ndecision := {\"allow\": true} if f(1)".to_owned(), "call themselves"),
        ("decision := q\nq := decision".to_owned(), "call themselves"),
        ("decision := {\"allow\": true} if data.everycall[input.request.method]".to_owned(), "recursion"),
        ("x := 1e309\ndecision := {\"allow\": true} if x > 1".to_owned(), "digits"),
        ("x := 1e2000000000\ndecision := {\"allow\": true} if x > 1".to_owned(), "digits"),
        ("x := 1.5E+2000000000\ndecision := {\"allow\": true} if x > 1".to_owned(), "digits"),
        (format!("x := {}\ndecision := {{\"allow\": true}} if x > 1", "9".repeat(40)), "digits"),
        (deep(30), "in a chain"),
        (deep(900), "in a chain"),
        (format!("decision := {}{}", "[".repeat(2_000), "]".repeat(2_000)), "brackets inside each other"),
        (
            format!("decision := {}1{}", "{\"a\":".repeat(2_000), "}".repeat(2_000)),
            "brackets inside each other",
        ),
        (
            format!("decision := {}1{}", "count(".repeat(2_000), ")".repeat(2_000)),
            "brackets inside each other",
        ),
    ] {
        let errors = Settings::from_value(config(&text)).unwrap_err().to_string();
        assert!(errors.contains(part), "{text:.100}: {errors:.300}");
    }
}
