//! How long a worker is held by requests that are as large as they may be, by what they ask of decision points, and by
//! grants that are hard to tell apart: the worker's processor time for one, with all that Envoy does.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context};
use everycall::clock;
use everycall::mint::TestKey;
use everycall_tests::bundle;
use everycall_tests::client::{self, RawRequest};
use everycall_tests::envoy::{self, Envoy};
use everycall_tests::hostile;
use everycall_tests::server::{Answer, Server};
use everycall_tests::worker::WorkerTime;
use serde_json::{json, Map, Value};

use crate::BOUND_MS;

const TIMES: usize = 10;

/// A request, and what it comes to.
struct Case {
    name: &'static str,
    status: u16,
    config: Value,
    /// What the configuration's bundle is in the place of the inline one.
    bundle: Option<Value>,
    /// What decision points answer.
    answer: Value,
    path: String,
    headers: Vec<(&'static str, String)>,
}

/// A row for each whose name has `only` in it, in milliseconds.
pub(crate) fn rows(only: &str) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    for case in cases()?.into_iter().filter(|case| case.name.contains(only)) {
        let held = measure(&case).with_context(|| case.name)?;
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| (time.as_secs_f64() * 1e4).round() / 10.0);
        rows.push(
            json!({"request": case.name, "first_ms": ms(held.first()), "least_ms": ms(held.iter().min()),
                         "most_ms": ms(held.iter().max()), "bound_ms": BOUND_MS}),
        );
    }
    Ok(rows)
}

/// What the worker took each time.
fn measure(case: &Case) -> anyhow::Result<Vec<Duration>> {
    let key = TestKey::es256()?;
    let mut config = case.config.clone();
    let file = match &case.bundle {
        Some(parts) => {
            let remote = json!({"cluster": "remote", "host": "remote.example", "path": "/bundle", "max_bytes": 33_554_432});
            config["bundle"] = json!({"keys": key.public_jwks(), "remote": remote});
            bundle::signed(parts, 1, &key, 3_600)?
        }
        None => Vec::new(),
    };
    let answer = case.answer.to_string().into_bytes();
    let server = Server::start(move |request| match &*request.path {
        "/bundle" => Answer::Http(200, file.clone()),
        _ => Answer::Http(200, answer.clone()),
    })?;
    let upstream = Server::start(|_| Answer::Http(200, b"upstream\n".to_vec()))?;
    let module = envoy::module()?.display().to_string();
    let document = envoy::rendered(&module, &config, upstream.address(), server.address())?;
    let envoy = Envoy::start(&document.to_string(), 1)?;
    let (listener, time) = (envoy.listener("inbound")?, WorkerTime::of(&envoy)?);
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let status = send(listener, case)?;
        if status == case.status {
            break;
        }
        ensure!(Instant::now() < deadline, "it comes to {status}:\n{}", envoy.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut held = Vec::new();
    for _ in 0..TIMES {
        // Whatever a bundle left to do is done, and ticks are few.
        std::thread::sleep(Duration::from_millis(300));
        let before = time.time()?;
        let status = send(listener, case)?;
        held.push(time.time()?.saturating_sub(before));
        ensure!(status == case.status, "it comes to {status}");
    }
    Ok(held)
}

fn send(listener: SocketAddr, case: &Case) -> anyhow::Result<u16> {
    let mut headers = vec![("host".to_owned(), b"h".to_vec())];
    headers.extend(case.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())));
    let request =
        RawRequest { method: "GET".into(), path: case.path.clone().into(), headers, body: Vec::new() };
    Ok(client::send(listener, Ipv4Addr::LOCALHOST.into(), &request, Duration::from_secs(20))?.status)
}

fn cases() -> anyhow::Result<Vec<Case>> {
    let of = |name: &'static str, body: &str, path: String| Case {
        name,
        status: 200,
        config: hostile::config(&[body.to_owned()]),
        bundle: None,
        answer: json!({"decision": true}),
        path,
        headers: Vec::new(),
    };
    let when = |condition: &str| format!("decision := {{\"allow\": true}} if {{ {condition} }}");
    let asking = |questions: usize, condition: &str| {
        let ask = |at: usize| {
            format!(
                "ask contains {{\"id\": \"q{at}\", \"pdp\": \"p\", \"subject\": {{\"type\": \"user\", \"id\": \"u\"}}, \
                 \"action\": {{\"name\": \"read\"}}, \"resource\": {{\"type\": \"o\", \"id\": \"{at}\"}}}}\n"
            )
        };
        (0..questions).map(ask).collect::<String>() + &when(condition)
    };
    let answered = |name: &'static str, questions: usize, filler: Value| {
        let condition =
            (0..questions).map(|at| format!("count(input.pdp.q{at}.context.items) > 1")).collect::<Vec<_>>();
        let mut case = of(name, &asking(questions, &condition.join("; ")), "/0".to_owned());
        case.config["pdps"] = json!({"p": {"protocol": "authzen", "cluster": "pdp", "host": "pdp"}});
        case.config["limits"] = json!({"builtin_work": 1_000_000_000, "instructions": 10_000_000});
        case.answer = json!({"decision": true, "context": {"items": filler}});
        case
    };
    let mut all = vec![
        answered("an answer of 19,900 numbers", 1, json!(vec![0; 19_900])),
        answered("an answer of 19,900 objects", 1, json!(vec![json!({}); 19_900])),
        answered("four answers of 5,300 objects", 4, json!(vec![json!({}); 5_300])),
        answered("an answer of 62,000 bytes", 1, json!(["", "\u{85}".repeat(30_900)])),
        of(
            "3,200 parameters, all of which the policy reads",
            &when("count(input.request.query) > 0"),
            format!("/0?{}", (0..).map(|at| format!("{:x}", at)).take(3_200).collect::<Vec<_>>().join("&")),
        ),
        of(
            "one parameter 8,000 times",
            &when("count(input.request.query.a) > 0"),
            format!("/0?{}", "a&".repeat(8_000)),
        ),
    ];
    let mut escaped = of("a path of 5,400 escapes", &when("count(input.request.path) > 1"), String::new());
    escaped.path = format!("/0/{}", "%C3%A9".repeat(2_700));
    escaped.config["bundle"]["inline"]["grants"][1]["paths"] = json!(["/0/{x}"]);
    all.push(escaped);
    let mut headers =
        of("55 KB of 90 headers, all read", &when("count(input.request.headers) > 1"), "/0".into());
    headers.headers = (0..90).map(|at| (&*format!("x-h{at}").leak(), "x".repeat(600))).collect();
    all.push(headers);
    let mut cookies =
        of("55 KB of one header", &when("count(input.request.headers[\"x-text\"][0]) > 1"), "/0".into());
    cookies.headers = vec![("x-text", "\u{e9}".repeat(27_000))];
    all.push(cookies);
    all.push(with_token(of(
        "a token of 45 KB, 19,000 values",
        &when("input.identity.id == \"s\""),
        "/0".into(),
    ))?);
    // None of them fits, which is known at the last segment of each.
    let mut tree = of("32,768 templates that nearly fit", &when("true"), "/a".repeat(15) + "/y");
    let grant = |at: usize, path: String| {
        json!({"id": format!("g{at}"), "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["h"],
               "methods": ["GET"], "paths": [path]})
    };
    let grants = hostile::templates(15)
        .enumerate()
        .map(|(at, path)| grant(at, path))
        .chain([grant(32_768, "/{rest...}".to_owned())]);
    tree.bundle = Some(json!({"policies": {"a.rego": "package everycall\ndecision := {\"allow\": true}"},
        "grants": grants.collect::<Vec<_>>()}));
    // Too many to try.
    tree.status = 401;
    all.push(tree);
    Ok(all)
}

/// With a token that has as many claims as fit.
fn with_token(mut case: Case) -> anyhow::Result<Case> {
    let key = TestKey::es256()?;
    case.config["issuers"] = json!([{"issuer": "i", "audiences": ["a"], "algorithms": ["ES256"], "max_lifetime_s": 600,
        "kind": "workload", "keys": {"inline": key.public_jwks()}}]);
    case.config["limits"] = json!({"token_bytes": 65_536, "tokens_cached": 0});
    case.config["bundle"]["inline"]["grants"][1]["subject"] = json!("s");
    case.config["bundle"]["inline"]["grants"][1]["kinds"] = json!(["workload"]);
    let now = clock::now().secs();
    let claims =
        json!({"iss": "i", "aud": "a", "sub": "s", "iat": now, "exp": now + 600, "all": vec![0; 16_500]});
    let claims: Map<String, Value> = claims.as_object().cloned().context("no object")?;
    case.headers = vec![("authorization", format!("Bearer {}", key.sign(&key.header(), &claims)?))];
    Ok(case)
}
