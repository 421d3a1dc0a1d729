//! How long the slices are in which a worker reads a bundle: those that are hardest to cut.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{bail, Context};
use everycall::mint::TestKey;
use everycall_tests::bundle;
use everycall_tests::envoy::{self, Envoy};
use everycall_tests::hostile;
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Map, Value};

/// Each time with an Envoy of its own. The shortest of the longest slices counts: others are on the machine, too.
const TIMES: usize = 3;
/// What no slice takes, in milliseconds.
pub(crate) const BOUND_MS: f64 = 10.0;

/// A row for each bundle: whether it is taken, and its longest slice in milliseconds.
pub(crate) fn rows() -> anyhow::Result<Vec<Value>> {
    let all = worst();
    let mut rows = Vec::new();
    for (at, (name, parts)) in all.iter().enumerate() {
        eprint!("\rbundle {}/{} ", at + 1, all.len());
        let mut most = Vec::new();
        let mut outcome = "";
        for _ in 0..TIMES {
            let (came_to, ms) = prepare(parts).with_context(|| (*name).to_owned())?;
            outcome = came_to;
            most.push(ms);
        }
        let most_ms = most.into_iter().fold(f64::INFINITY, f64::min);
        rows.push(json!({"bundle": name, "outcome": outcome, "most_ms": most_ms, "bound_ms": BOUND_MS}));
    }
    eprint!("\r");
    crate::slowest_first(&mut rows);
    Ok(rows)
}

/// What becomes of a bundle, and its longest slice.
fn prepare(parts: &Value) -> anyhow::Result<(&'static str, f64)> {
    let key = TestKey::es256()?;
    let file = bundle::signed(parts, 1, &key, 3_600)?;
    let server =
        Server::start(move |_| Answer::Full(200, vec![("etag".into(), "\"1\"".into())], file.clone()))?;
    let mut config = hostile::config(&[]);
    config["bundle"] = json!({"keys": key.public_jwks(),
        "remote": {"cluster": "bundles", "host": "b.example", "path": "/b", "max_bytes": 33_554_432}});
    let module = envoy::module()?.display().to_string();
    let document = envoy::rendered(&module, &config, server.address(), server.address())?;
    let envoy = Envoy::start(&document.to_string(), 1)?;
    let deadline = Instant::now() + Duration::from_secs(120);
    let outcome = loop {
        let log = envoy.log();
        // Of the worker; the main thread reads it, too.
        let of_both = |what: &str| log.matches(what).count() >= 2;
        if of_both("(sequence 1) is in force") {
            break "in force";
        }
        if of_both("a bundle is refused") {
            break "refused";
        }
        if Instant::now() > deadline {
            bail!("nothing becomes of it:\n{log}");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    // What it was made of is dropped, and the host has the figures.
    std::thread::sleep(Duration::from_secs(1));
    Ok((outcome, longest(&envoy)?))
}

/// The longest slice so far, in milliseconds: the host's last quantile of what it has counted since it started.
fn longest(envoy: &Envoy) -> anyhow::Result<f64> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let stats = envoy.admin("/stats?filter=slice_us.*updates&usedonly")?;
        let most = stats.rsplit_once("P100(").and_then(|(_, most)| most.split(['(', ',', ')']).nth(1));
        if let Some(most) = most.and_then(|most| most.parse::<f64>().ok()).filter(|most| most.is_finite()) {
            return Ok(most.round() / 1e3);
        }
        // Histograms are merged when they are flushed.
        if Instant::now() > deadline {
            bail!("no slices in the statistics: {stats}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Bundles whose parts are as large as they may be, each by one thing, and some that are a little larger.
fn worst() -> Vec<(&'static str, Value)> {
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
    let table = |rows: usize| {
        let rows: String = (0..rows).map(|at| format!("\t\"k{at}\": [\"a\", \"b\"],\n")).collect();
        rules(1, &|_| format!("r if input.request.path in {{\n{rows}}}\n"))
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
            "as many rules of one name as there may be, each asks for another fact",
            one(rules(1_999, &|at| format!("r if input.request.query.a{at}[0] == \"{at}\"\n"))),
        ),
        (
            "more rules of one name than there may be",
            one(rules(2_100, &|at| format!("r if input.request.path == \"{at}\"\n"))),
        ),
        (
            "500 globs in the rules of one name",
            one(rules(500, &|at| format!("r if glob.match(\"/a/{at}/*\", [\"/\"], input.request.path)\n"))),
        ),
        ("10,000 rules of other packages", json!({"policies": others, "grants": [grant(0)]})),
        (
            "a document of 1,900 members, read by a key that is found",
            one(rules(1_900, &|at| format!("p.a{at} := {at}\n")) + "r if p[input.request.path] == 1\n"),
        ),
        (
            "ten brackets inside each other, over and over",
            one(rules(2_000, &|_| format!("x contains {}1{}\n", "[".repeat(10), "]".repeat(10)))
                + "r if x[1]\n"),
        ),
        (
            "eight objects inside each other, over and over",
            one(rules(1_500, &|_| format!("x contains {}1{}\n", "{1: ".repeat(8), "}".repeat(8)))
                + "r if x[1]\n"),
        ),
        ("a rule as long as one may be", one(table(300))),
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
        (
            "a line of data as long as one may be",
            json!({"policies": {"a.rego": allow()}, "data": {"all": vec![0; 38_000]}, "grants": [grant(0)]}),
        ),
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
