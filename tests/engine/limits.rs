//! The limits of one evaluation, natively: the policies of `everycall_tests::hostile` end at them, and
//! what would end the module is refused with the configuration. In Envoy: `tests/e2e/limits.rs`.

use std::rc::Rc;

use everycall_core::jose::{Key, SignatureVerifier, Unavailable};
use everycall_core::sync::LocalData;
use everycall_core::{DecisionRecord, Effect, Engine, IdSeed, PureRust, Reason, Settings, Work};
use everycall_tests::hostile::{self, chain};
use serde_json::json;

use crate::{configuration, done, get, later, request, settings, token, NOW};

fn engine(bodies: &[String]) -> Engine {
    let settings =
        Settings::from_value(hostile::config(bodies)).unwrap_or_else(|errors| panic!("{errors:.2000}"));
    Engine::standalone(settings, IdSeed::derive(&[]))
}

/// What comes of a request to this path, with what hurts most in a header.
fn decided(engine: &mut Engine, path: &str) -> Reason {
    let text = "x".repeat(30_000);
    done(engine.check(get(1, path, &[(hostile::HEADER, &text)]), NOW)).record.reason.unwrap()
}

/// What comes of a request to this policy.
fn decided_by(body: &str) -> Reason {
    decided(&mut engine(&[body.to_owned()]), "/0")
}

#[test]
fn every_one_of_the_worst_ends_at_a_limit() {
    let all = hostile::worst();
    for form in 0..4 {
        let bodies: Vec<String> = all.iter().map(|hostile| hostile.decisions()[form].clone()).collect();
        let mut engine = engine(&bodies);
        for (at, hostile) in all.iter().enumerate() {
            let reason = decided(&mut engine, &format!("/{at}"));
            assert_eq!(reason, Reason::PolicyLimit, "{}: {:.500}", hostile.name, bodies[at]);
            assert_eq!(decided(&mut engine, "/ordinary"), Reason::Allowed, "after {}", hostile.name);
        }
    }
}

#[test]
fn a_worker_goes_on_after_a_limit() {
    let text = format!(
        "{}\ndecision := {{\"allow\": true}} if {{ input.request.path == \"/0\"; contains(v9, \"x\") }}",
        chain("\"x\"", 9, |v| format!("concat(\"\", [{v}, {v}])"))
    );
    let mut engine = engine(&[text]);
    // What one evaluation takes is not missing in the next.
    for _ in 0..50 {
        assert_eq!(decided(&mut engine, "/0"), Reason::Allowed);
    }
}

#[test]
fn rules_that_call_themselves_do_not_compile() {
    let deep = |n: usize| {
        format!("{}decision := {{\"allow\": true}} if v{n} == [1]", chain("[1]", n, str::to_owned))
    };
    assert_eq!(decided_by(&deep(20)), Reason::Allowed);
    for (text, part) in [
        ("f(x) := f([x])\ndecision := {\"allow\": true} if f(1)".to_owned(), "call themselves"),
        ("f(x) := g([x])\ng(x) := f(x)\ndecision := {\"allow\": true} if f(1)".to_owned(), "call themselves"),
        ("decision := q\nq := decision".to_owned(), "call themselves"),
        (
            "decision := {\"allow\": true} if data.everycall[input.request.method]".to_owned(),
            "call themselves",
        ),
        ("x := 1e3090\ndecision := {\"allow\": true} if x > 1".to_owned(), "digits"),
        ("x := 1e2000000000\ndecision := {\"allow\": true} if x > 1".to_owned(), "digits"),
        ("x := 1.5E+2000000000\ndecision := {\"allow\": true} if x > 1".to_owned(), "digits"),
        (format!("x := {}\ndecision := {{\"allow\": true}} if x > 1", "9".repeat(40)), "digits"),
        (deep(60), "in a chain"),
        (deep(900), "in a chain"),
        (format!("decision := {}{}", "[".repeat(500), "]".repeat(500)), "brackets inside each other"),
        (format!("decision := {}1{}", "{\"a\":".repeat(500), "}".repeat(500)), "brackets inside each other"),
        (format!("decision := {}1{}", "count(".repeat(500), ")".repeat(500)), "brackets inside each other"),
    ] {
        let errors =
            Settings::from_value(hostile::config(std::slice::from_ref(&text))).unwrap_err().to_string();
        assert!(errors.contains(part), "{text:.100}: {errors:.300}");
    }
}

/// What would hold a worker while it compiles, and as much as does not.
#[test]
fn what_takes_long_to_compile_is_refused() {
    let rules = |count: usize, rule: &dyn Fn(usize) -> String| (0..count).map(rule).collect::<String>();
    let all = |text: String| format!("{text}decision := {{\"allow\": true}} if r\n");
    let condition = |at: usize| format!("r if input.request.path == \"/{at}\"\n");
    let conditions = |at: usize| {
        format!(
            "r if {{ input.request.path == \"/{at}\"; input.request.method == \"{at}\"; input.time > 1 }}\n"
        )
    };
    let elses = |_| "r if { 1 == 2 } else := true if { 1 == 2 } else := true if { 1 == 1 }\n".to_owned();
    let fact = |at: usize| format!("r if input.request.query.a{at}[0] == \"1\"\n");
    let member = |at: usize| format!("p.a{at} := {at}\n");
    let deep = |at: usize| format!("p.a{at}.b.c.d := {at}\n");
    let reader = |at: usize| format!("r if p[input.request.path].k{at} == 1\n");
    let globs = |at: usize| format!("r if glob.match(\"/a/{at}/*\", [\"/\"], input.request.path)\n");
    // Of one name there may not be so many.
    let documents = |count: usize| {
        let asked = |at: usize| format!("r{at}\n");
        let groups = (0..count.div_ceil(90)).map(|group| {
            let asked = rules(90.min(count - group * 90), &|at| asked(group * 90 + at));
            format!("r if {{\n{asked}}}\n")
        });
        rules(count, &|at| format!("r{at} if input.time > {at}\n")) + &groups.collect::<String>()
    };
    let import = |at: usize| format!("import data.x{at}\n");
    let row = |at: usize| format!("\"k{at}\": [\"a\", \"b\"],\n");
    let table = |rows: usize| format!("r if input.request.path in {{\n{}}}\n", rules(rows, &row));
    type Case<'a> = (&'a str, usize, usize, &'a dyn Fn(usize) -> String);
    let cases: [Case<'_>; 13] = [
        ("rules, `else` and conditions", 2_000, 2_001, &|count| rules(count, &condition)),
        ("rules, `else` and conditions", 1_000, 1_335, &|count| rules(count, &conditions)),
        ("rules, `else` and conditions", 1_333, 1_334, &|count| rules(count, &elses)),
        ("different parts of `input`", 500, 501, &|count| rules(count, &fact)),
        ("more than 1000 names", 1_000, 1_001, &|count| rules(count, &member) + &reader(0)),
        ("more than 1000 names", 250, 251, &|count| rules(count, &deep) + &reader(0)),
        ("more than 1000 names", 1_000, 1_001, &|count| rules(count, &member) + "r if count(p) == 1\n"),
        ("more than 10000 to those below", 20, 21, &|count| rules(500, &member) + &rules(count, &reader)),
        ("match globs", 440, 460, &|count| rules(count, &globs)),
        ("parts of data are read", 2_990, 3_010, &documents),
        ("more than 100 imports", 100, 101, &|count| rules(count, &import) + "r := true\n"),
        ("too long", 500, 800, &table),
        ("a line of more than 4096 bytes", 100, 5_000, &|count| format!("r := true{}\n", " ".repeat(count))),
    ];
    for (part, most, more, text) in cases {
        let of = |count: usize| hostile::config(std::slice::from_ref(&all(text(count))));
        assert!(
            Settings::from_value(of(most)).is_ok(),
            "{part}: {most}: {:?}",
            Settings::from_value(of(most))
        );
        let errors = Settings::from_value(of(more)).unwrap_err().to_string();
        assert!(errors.contains(part), "{part}: {more}: {errors:.300}");
    }
}

/// What is easily answered with a panic, which would end the module.
#[test]
fn no_builtin_panics() {
    for condition in [
        r#"strings.count("aa", "") == 3"#,
        "object.subset([1, 2], [])",
        r#"object.subset({"a": [1]}, {"a": []})"#,
        r#"split("", "") == []"#,
        r#"replace("", "", "a") == "a""#,
        r#"regex.split("", "a") == ["a"]"#,
        r#"concat("", []) == """#,
        "object.union_n([]) == {}",
        "not array.slice([1], -1, -2) == [1]",
    ] {
        let body = format!("decision := {{\"allow\": true}} if {condition}");
        assert_eq!(decided_by(&body), Reason::Allowed, "{condition}");
    }
}

/// Checks that take long, where others wait.
struct Dear;

impl SignatureVerifier for Dear {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<bool, Unavailable> {
        PureRust.verify(key, message, signature)
    }

    fn cost_us(&self, _: &Key) -> u64 {
        4_000
    }
}

#[test]
fn signatures_too_many() {
    let mut config = configuration();
    config["limits"] = json!({"signature_ms": 10});
    let data = Rc::<LocalData>::default();
    let mut engine = Engine::new(settings(&config), Box::new(Dear), data, IdSeed::derive(&[]));
    let mut decided = |token: &str, secs: i64| {
        let decision = done(engine.check(request(1, "/open", token), later(secs))).record;
        (decision.reason.unwrap(), decision.status)
    };
    let known = token(100);
    assert_eq!(decided(&known, 0), (Reason::Allowed, 200));
    // Whoever sends what has to be checked: no key fits these.
    let forged = |at: i64| {
        let token = token(200 + at);
        let (signed, _) = token.rsplit_once('.').unwrap();
        format!("{signed}.{}", known.rsplit('.').next().unwrap())
    };
    assert_eq!(decided(&forged(0), 0), (Reason::TokenSignature, 401));
    assert_eq!(decided(&forged(1), 0), (Reason::TokenSignature, 401));
    for at in 2..10 {
        assert_eq!(decided(&forged(at), 0), (Reason::Overloaded, 503));
    }
    assert_eq!(decided(&token(101), 0), (Reason::Overloaded, 503), "nobody knows which are good");
    assert_eq!(decided(&known, 0), (Reason::Allowed, 200), "what was checked is known");
    assert_eq!(decided(&token(101), 1), (Reason::Allowed, 200), "another second");
    assert_eq!(decided(&forged(1), 1), (Reason::TokenSignature, 401));
}

/// What a client sends does not make a record long: neither what the policy reads, nor what is said of it.
#[test]
fn records_hold_beginnings() {
    let mut config = configuration();
    let bundle = &mut config["bundle"]["inline"];
    bundle["policies"]["open.rego"] = json!(
        "package everycall.open\ndecision := {\"allow\": true} if count(input.request.headers[\"x-a\"]) > 0"
    );
    let mut engine = Engine::standalone(settings(&config), IdSeed::derive(&[]));
    let (token, long) = (token(60), "y".repeat(5_000));
    let mut line = |headers: &[(&str, &str)]| {
        let mut all = vec![("authorization", token.as_str()), ("x-request-id", &long)];
        all.extend(headers);
        let record = done(engine.check(get(1, "/open", &all), NOW)).record;
        assert_eq!((record.reason.unwrap(), &record.request.id), (Reason::Allowed, &None));
        engine.record(&record);
        let Some(Effect::Emit { record }) = engine.work(Work::Records, NOW).pop() else {
            panic!("no record")
        };
        record.into_line().unwrap()
    };
    let all: Vec<(&str, &str)> = vec![("x-a", &long); 12];
    let (short, long) = (line(&[("x-a", "y")]), line(&all));
    assert!(long.len() < short.len() + 8 * 1_024 + 12 * 128, "{}", long.len());
    let record: DecisionRecord = serde_json::from_str(&long).unwrap();
    assert_eq!(record.cut_values(), ["x-a"]);
    let forged = format!("Bearer {}.{}.x", "a".repeat(3_000), "b".repeat(3_000));
    let decision =
        done(engine.check(get(1, &format!("/{}", "p".repeat(300)), &[("authorization", &forged)]), NOW));
    assert!(decision.record.detail.unwrap().len() <= 503);
}
