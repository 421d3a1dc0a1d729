//! What a worker is told: what is as large as it may be, and what is made to be hard to cut.

use std::fmt::Write as _;

use everycall::mint::TestKey;
use everycall_core::facts::FeedKind;
use everycall_core::{Algorithm, UnixTime};
use everycall_tests::hostile;
use serde_json::{json, Map, Value};

/// What a worker is told.
pub(super) enum Told {
    /// A bundle from a server, signed.
    Bundle(Value),
    /// The answer of an issuer's server of keys.
    Keys(String),
    /// A list of so many revocations or signals.
    Feed(FeedKind, usize),
    /// A configuration in the place of a smaller one.
    Configuration(Value),
    /// One while many streams are open, by which all of them are over.
    Closing(Value),
    /// The first one.
    Starting(Value),
}

pub(super) fn worst() -> anyhow::Result<Vec<(String, Told)>> {
    let mut all: Vec<(String, Told)> =
        bundles().into_iter().map(|(name, parts)| (format!("bundle: {name}"), Told::Bundle(parts))).collect();
    all.extend(key_sets()?.into_iter().map(|(name, set)| (format!("keys: {name}"), Told::Keys(set))));
    all.push(("list: 50,000 revocations".to_owned(), Told::Feed(FeedKind::Revocations, 50_000)));
    all.push(("list: 50,000 signals".to_owned(), Told::Feed(FeedKind::Signals, 50_000)));
    let mut configurations = configurations();
    let small = configurations.pop().map(|(name, config)| (name.to_owned(), Told::Closing(config)));
    for (name, config) in configurations {
        all.push((format!("start: {name}"), Told::Starting(config.clone())));
        all.push((format!("configuration: {name}"), Told::Configuration(config)));
    }
    all.extend(small);
    Ok(all)
}

/// Key sets of about as many bytes, and keys, as one may have.
fn key_sets() -> anyhow::Result<Vec<(&'static str, String)>> {
    let keys = |key: &Value, count: usize| -> Vec<Value> {
        let with_id = |at: usize| {
            let mut key = key.clone();
            key["kid"] = json!(format!("k{at}"));
            key
        };
        (0..count).map(with_id).collect()
    };
    let rsa = TestKey::of(Algorithm::Rs256)?.bare_jwk();
    let p384 = TestKey::of(Algorithm::Es384)?.bare_jwk();
    let numbers = |text: &str, bytes: usize| text.repeat(bytes / text.len());
    let ordinary = TestKey::es256()?.public_jwk();
    let beside = |more: String| format!("{{\"keys\":[{ordinary}],\"x\":[{more}0]}}");
    Ok(vec![
        ("100 RSA keys", json!({"keys": keys(&rsa, 100)}).to_string()),
        ("100 keys of P-384", json!({"keys": keys(&p384, 100)}).to_string()),
        ("250 KB of numbers beside a key", beside(numbers("0,", 250_000))),
        ("250 KB of objects beside a key", beside(numbers("{\"\":{}},", 250_000))),
        ("250 KB of fractions beside a key", beside(numbers("1e-300,", 250_000))),
    ])
}

/// Configurations that let nobody pass.
fn configurations() -> Vec<(&'static str, Value)> {
    let with = |bundle: Value| {
        let mut config = hostile::config(&[]);
        config["bundle"]["inline"] = json!({"policies": {"a.rego": "package everycall\ndecision := {\"allow\": false}"},
            "grants": [grant(0)]});
        config["bundle"]["inline"]["grants"][0]["paths"] = json!(["/ordinary"]);
        for (name, part) in bundle.as_object().into_iter().flatten() {
            config["bundle"]["inline"][name] = part.clone();
        }
        config
    };
    let module = |at: usize| {
        let rule = |rule: usize| format!("r if input.request.path == \"/{at}/{rule}\"\n");
        let text = (0..330).map(rule).collect::<String>();
        (format!("m{at}.rego"), json!(format!("package more.p{at}\n\n{text}")))
    };
    let policies: Map<String, Value> = (0..27).map(module).collect();
    let members = |text: &str, bytes: usize| -> Value {
        serde_json::from_str(&format!("[{}0]", text.repeat(bytes / text.len()))).unwrap_or_default()
    };
    let open = |mut config: Value, policies: Map<String, Value>| {
        for (name, text) in policies {
            config["bundle"]["inline"]["policies"][name] = text;
        }
        config
    };
    let grants = |count: usize| {
        let mut all: Vec<Value> = (1..count).map(grant).collect();
        all.insert(0, with(json!({}))["bundle"]["inline"]["grants"][0].clone());
        json!({ "grants": all })
    };
    vec![
        ("8,900 rules in 430 KB of policies", open(with(json!({})), policies)),
        ("1,800 grants", with(grants(1_800))),
        ("many numbers in data", with(json!({"data": {"all": members("0,", 78_000)}}))),
        ("7,900 objects in data", with(json!({"data": {"all": members("{\"\":{}},", 8 * 7_900)}}))),
        ("a text of nothing but escapes", with(json!({"data": {"all": "\"".repeat(250_000)}}))),
        ("1,000 open streams, all of which a configuration closes", with(json!({}))),
    ]
}

/// Bundles whose parts are as large as they may be, each by one thing, and some that are a little larger.
fn bundles() -> Vec<(&'static str, Value)> {
    let rules = |count: usize, rule: &dyn Fn(usize) -> String| {
        let mut text = "package everycall\n\ndecision := {\"allow\": true} if r\n\n".to_owned();
        (0..count).for_each(|at| text.push_str(&rule(at)));
        text
    };
    let one = |text: String| json!({"policies": {"a.rego": text}, "grants": [grant(0)]});
    let allow = || "package everycall\n\ndecision := {\"allow\": true}\n".to_owned();
    let mut others: Map<String, Value> = Map::new();
    for module in 0..5 {
        let mut text = format!("package other.p{module}\n\n");
        for at in 0..1_990 {
            writeln!(text, "r{at} if {{ input.request.path == \"/{at}\" }}").unwrap();
        }
        others.insert(format!("o{module}.rego"), json!(text));
    }
    others.insert("a.rego".into(), json!(allow()));
    let rows =
        |count: usize| -> String { (0..count).map(|at| format!("\t\"k{at}\": [\"a\", \"b\"],\n")).collect() };
    let table = |count: usize| rules(1, &|_| format!("r if input.request.path in {{\n{}}}\n", rows(count)));
    let mut tables: Map<String, Value> = Map::new();
    for module in 0..90 {
        let text =
            format!("package other.p{module}\n\nr if {{\n\tinput.request.path in {{\n{}}}\n}}\n", rows(250));
        tables.insert(format!("t{module}.rego"), json!(text));
    }
    let asked: String = (0..90).map(|at| format!("r if data.other.p{at}.r\n")).collect();
    tables.insert("a.rego".into(), json!(rules(0, &|_| String::new()) + &asked));
    let documents = |count: usize| {
        let asks = |group: usize| {
            let asked = (group * 90..count.min((group + 1) * 90)).map(|at| format!("\tr{at}\n"));
            format!("r if {{\n{}}}\n", asked.collect::<String>())
        };
        rules(count, &|at| format!("r{at} if 1 > {at}\n"))
            + &(0..count.div_ceil(90)).map(asks).collect::<String>()
    };
    let chain = |length: usize| {
        let steps: String = (0..length).map(|at| format!("\tx{at} = x{} + 1\n", at + 1)).collect();
        rules(1, &|_| format!("r if {{\n{steps}\tx{length} = count(input.request.path)\n}}\n"))
    };
    let members = |count: usize| (0..count).map(|at| (format!("k{}", at * 7_919 % 1_000_003), json!(at)));
    vec![
        (
            "rules of 90 KB in one module",
            one(rules(1_100, &|at| {
                format!("r if {{ input.request.path == \"/a/{at}\"; input.request.method == \"GET\" }}\n")
            })),
        ),
        (
            "as many facts as a rule set may read",
            one(rules(500, &|at| format!("r if input.request.query.a{at}[0] == \"{at}\"\n"))),
        ),
        (
            "as many rules and conditions of one name as there may be",
            one(rules(1_000, &|at| {
                format!(
                    "r if {{input.request.path=={at};input.request.host=={at};input.request.method=={at}}}\n"
                )
            })),
        ),
        (
            "as many `else` as there may be",
            one(rules(1_000, &|_| {
                "r if { 1 == 2 } else if { 1 == 3 } else if { 1 == 4 } else if { 1 == 5 }\n".to_owned()
            })),
        ),
        (
            "more rules of one name than there may be",
            one(rules(2_100, &|at| format!("r if input.request.path == \"{at}\"\n"))),
        ),
        (
            "440 globs in the rules of one name",
            one(rules(440, &|at| format!("r if glob.match(\"/a/{at}/*\", [\"/\"], input.request.path)\n"))),
        ),
        ("2,900 rules that are asked for one by one", one(documents(2_900))),
        ("10,000 rules of other packages", json!({"policies": others, "grants": [grant(0)]})),
        (
            "a document of 1,000 members, read by a key that is found",
            one(rules(1_000, &|at| format!("p.a{at} := {at}\n")) + "r if p[input.request.path] == 1\n"),
        ),
        (
            "ten brackets inside each other, over and over",
            one(rules(1_500, &|_| format!("x contains {}1{}\n", "[".repeat(10), "]".repeat(10)))
                + "r if x[1]\n"),
        ),
        (
            "nine objects inside each other, over and over",
            one(rules(1_500, &|_| format!("x contains {}1{}\n", "{1: ".repeat(9), "}".repeat(9)))
                + "r if x[1]\n"),
        ),
        ("a rule as long as one may be", one(table(500))),
        ("tables of 250 rows in 90 modules", json!({"policies": tables, "grants": [grant(0)]})),
        ("a module of names", one(rules(700, &|at| format!("r if data.{}x{at}\n", "x.".repeat(45))))),
        (
            "a module of blank lines",
            one(format!("{}r := true\n{}", rules(0, &|_| String::new()), "\n".repeat(5_000))),
        ),
        ("a line of nothing but escapes", data(vec![json!("\"".repeat(45_000))])),
        ("a rule that is too long", one(table(3_000))),
        ("statements that wait for each other", one(chain(60))),
        ("statements that wait for each other too often", one(chain(95))),
        (
            "data of 39,000 values in one object",
            json!({"policies": {"a.rego": allow()}, "data": {"all": members(39_000).collect::<Map<_, _>>()}, "grants": [grant(0)]}),
        ),
        (
            "data of more values",
            json!({"policies": {"a.rego": allow()}, "data": {"all": members(42_000).collect::<Map<_, _>>()}, "grants": [grant(0)]}),
        ),
        ("a line of as many numbers as there may be", data(vec![json!(0); 19_980])),
        ("a line of fractions", data(vec![json!(1e-300); 14_000])),
        ("a line of objects", data(vec![json!({"": {}}); 3_990])),
        ("1,000 rule sets", one_each(1_000)),
        ("grants of 1,000 paths, many of them alike", alike(100)),
        ("20,000 elevations", elevated(20_000)),
        ("20,000 exceptions", excepted(20_000)),
        (
            "50,000 grants",
            json!({"policies": {"a.rego": allow()}, "grants": (0..50_000).map(grant).collect::<Vec<_>>()}),
        ),
    ]
}

fn grant(number: usize) -> Value {
    json!({"id": format!("g{number}"), "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["h"],
        "methods": ["GET"], "paths": [format!("/{number}")]})
}

fn data(all: Vec<Value>) -> Value {
    json!({"policies": {"a.rego": "package everycall\ndecision := {\"allow\": true}"}, "data": {"all": all},
        "grants": [grant(0)]})
}

/// Rule sets with a grant each.
fn one_each(count: usize) -> Value {
    let module = |at: usize| {
        let text = format!(
            "package everycall.s{at}\n\ndecision := {{\"allow\": true}} if input.request.path == \"/{at}\"\n"
        );
        (format!("s{at}.rego"), json!(text))
    };
    let policies: Map<String, Value> = (0..count).map(module).collect();
    let of = |at: usize| {
        let mut grant = grant(at);
        grant["policy"] = json!(format!("s{at}"));
        grant
    };
    json!({"policies": policies, "grants": (0..count).map(of).collect::<Vec<_>>()})
}

/// Grants for the same paths, each with its own time.
fn alike(count: usize) -> Value {
    let paths: Vec<String> = (0..1_000).map(|at| format!("/a/b/c/{at}")).collect();
    let of = |at: usize| {
        let mut grant = grant(at);
        let time =
            |minutes: usize| UnixTime::from_secs(i64::try_from(minutes * 60).unwrap_or_default()).to_string();
        grant["paths"] = json!(paths);
        grant["valid_from"] = json!(time(at));
        grant["valid_until"] = json!(time(at + 1));
        grant
    };
    let policy = "package everycall\ndecision := {\"allow\": true}";
    json!({"policies": {"a.rego": policy}, "grants": (0..count).map(of).collect::<Vec<_>>()})
}

fn elevated(count: usize) -> Value {
    let mut parts = data(Vec::new());
    let of = |at: usize| {
        json!({"id": format!("e{at}"), "subject": format!("s{}", at / 200), "grants": ["g0"], "approver": "a",
            "ticket": "T", "reason": "r", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-01T01:00:00Z"})
    };
    parts["elevations"] = (0..count).map(of).collect();
    parts
}

fn excepted(count: usize) -> Value {
    let mut parts = data(Vec::new());
    let of = |at: usize| {
        json!({"id": format!("e{at}"), "owner": "o", "reason": "r", "compensating_control": "c",
            "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-02T00:00:00Z"})
    };
    parts["exceptions"] = (0..count).map(of).collect();
    parts
}
