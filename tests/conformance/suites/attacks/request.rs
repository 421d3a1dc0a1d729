//! Attacks on requests, on answers of decision points, and on what is written down.

use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::http::Failure;
use everycall_core::pdp::MAX_ANSWER;
use everycall_core::{Connection, Decision, Headers, Reply, Request, Step, StreamId};
use serde_json::{json, Value};

use super::world::{
    add_grant, anonymous, base64url, bearer, came, config, done, get, with, Forge, Row, World, CALLER, HOST,
    NOW,
};
use crate::suite::Vectors;

fn key() -> TestKey {
    TestKey::es256().unwrap()
}

fn token() -> String {
    Forge::new(&key()).signed(&key())
}

/// A second honest token.
fn other() -> String {
    Forge::new(&key()).claim("jti", "2").signed(&key())
}

pub fn a32(row: &mut Row, _: &Vectors) {
    let mut config = config();
    add_grant(&mut config, anonymous());
    config["credentials"] = json!([
        {"header": "authorization", "scheme": "Bearer"}, {"header": "authorization", "scheme": "DPoP"}, {"header": "x-token"},
    ]);
    let mut world = World::new(&config);
    let (one, two) = (format!("Bearer {}", token()), format!("Bearer {}", other()));
    row.is("one", &world.check(&with(&[("authorization", &one)])), 200);
    for (name, headers) in [
        ("the same twice", [("authorization", one.as_str()), ("authorization", &one)]),
        ("different", [("authorization", &one), ("authorization", &two)]),
        ("different case of the name", [("authorization", &one), ("Authorization", &two)]),
        ("Bearer and Basic", [("authorization", &one), ("authorization", "Basic YTpi")]),
        ("Basic and Bearer", [("authorization", "Basic YTpi"), ("authorization", &one)]),
        ("an empty one behind", [("authorization", &one), ("authorization", "")]),
        ("an empty one in front", [("authorization", ""), ("authorization", &one)]),
        ("Bearer and DPoP", [("authorization", &one), ("authorization", "DPoP x")]),
        ("in two places", [("authorization", &one), ("x-token", &two[7..])]),
        ("a bad one in the second place", [("authorization", &one), ("x-token", "x")]),
        ("an empty second place", [("authorization", &one), ("x-token", "")]),
        ("a bad one in the first place", [("authorization", "Bearer x"), ("x-token", &one[7..])]),
        ("Basic in the first place", [("authorization", "Basic YTpi"), ("x-token", &one[7..])]),
    ] {
        row.any(name, &world.check(&with(&headers)), &[400, 401]);
    }
    for joined in [
        format!("{one},{two}"),
        format!("{one}, {two}"),
        format!("{one},{one}"),
        format!("{one}, Basic YTpi"),
        format!("Basic YTpi, {one}"),
        format!("{one},"),
        format!(",{one}"),
        format!("{one}, "),
    ] {
        row.any("joined by a comma", &world.check(&with(&[("authorization", &joined)])), &[400, 401]);
    }
}

pub fn a33(row: &mut Row, _: &Vectors) {
    let mut config = config();
    add_grant(&mut config, anonymous());
    let mut world = World::new(&config);
    let token = token();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let decision = world.check(&with(&[("authorization", &format!("{scheme} {token}"))]));
        row.is(scheme, &decision, 200);
        let who = decision.record.identity.map(|identity| identity.id.clone());
        row.expect(scheme, who.as_deref() == Some(CALLER), format!("{who:?}"));
    }
    for value in [
        format!("Bearer  {token}"),
        format!("Bearer\t{token}"),
        format!("Bearer \t{token}"),
        format!(" Bearer {token}"),
        format!("\tBearer {token}"),
        format!("Bearer {token} "),
        format!("Bearer {token}\t"),
        format!("Bearer {token} y"),
        format!("Bearer {token}\u{a0}"),
        format!("Bearer {token};x=y"),
        format!("Bearer \"{token}\""),
        format!("Bearer token={token}"),
        format!("Bearer: {token}"),
        format!("Bearer={token}"),
        format!("Bearer{token}"),
        format!("Bearer\u{a0}{token}"),
        format!("Bearer\0{token}"),
        format!("Bearer {token}\0"),
        format!("Bearer {token}\r\n"),
        format!("Bearer {token}\r\nx: y"),
        format!("Bearer Bearer {token}"),
        format!("Token {token}"),
        format!("Basic {token}"),
        format!("Basic {}", base64url(&token)),
        format!("Be\u{e4}rer {token}"),
        format!("B\u{435}arer {token}"),
        token.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        " ".to_owned(),
        String::new(),
    ] {
        let name: String = value.replace(&token, "x").escape_debug().to_string();
        row.is(&name, &world.check(&with(&[("authorization", &value)])), 401);
    }
    for value in [&b"Bearer \xff"[..], b"\xff\xfe", b"Bearer \xc3\x28"] {
        let request = WireRequest { headers: vec![("authorization".into(), value.to_vec())], ..get("/") };
        row.is("bytes that are no text", &world.check(&request), 401);
    }
    row.any("joined", &world.token(&format!("{token},Bearer {}", other())), &[400, 401]);
}

/// The published status for two credentials joined by a comma.
pub fn a33_comma(row: &mut Row, _: &Vectors) {
    row.is("joined", &World::new(&config()).token(&format!("{},Bearer {}", token(), other())), 401);
}

pub fn a34(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let token = token();
    for name in
        ["access_token", "token", "authorization", "Authorization", "id_token", "jwt", "bearer", "assertion"]
    {
        row.is(&format!("?{name}="), &world.check(&get(&format!("/?{name}={token}"))), 401);
        row.is(&format!("?{name}=Bearer"), &world.check(&get(&format!("/?{name}=Bearer%20{token}"))), 401);
        row.is(
            &format!("cookie {name}"),
            &world.check(&with(&[("cookie", &format!("{name}={token}"))])),
            401,
        );
    }
    for (name, value) in [
        ("cookie", format!("Bearer {token}")),
        ("proxy-authorization", format!("Bearer {token}")),
        ("x-authorization", format!("Bearer {token}")),
        ("x-forwarded-authorization", format!("Bearer {token}")),
        ("x-access-token", token.clone()),
        ("x-api-key", token.clone()),
        ("x-everycall-identity", CALLER.to_owned()),
        ("x-forwarded-user", CALLER.to_owned()),
        ("sec-websocket-protocol", format!("bearer, {token}")),
        ("www-authenticate", format!("Bearer {token}")),
        ("x-jwt-assertion", token.clone()),
    ] {
        row.is(name, &world.check(&with(&[(name, &value)])), 401);
    }
    row.is("in the fragment", &world.check(&get(&format!("/#access_token={token}"))), 400);
    row.is("in the path", &world.check(&get(&format!("/{token}"))), 401);
    row.is(
        "as a user of the host",
        &world.check(&WireRequest { host: format!("{token}@{HOST}"), ..get("/") }),
        400,
    );
    let form = with(&[("content-type", "application/x-www-form-urlencoded"), ("content-length", "20")]);
    row.is("in the body", &world.check(&WireRequest { method: "POST".into(), ..form }), 401);
    row.is("where it belongs", &world.token(&token), 200);
    // One in a place that is not configured does not count beside a good one.
    let both = WireRequest { path: format!("/?access_token={}", other()).into(), ..bearer(&token) };
    row.is("a second one in the query", &world.check(&both), 200);
}

pub fn a35(row: &mut Row, _: &Vectors) {
    let mut mesh = config();
    mesh["mtls"] = json!({"trust_domains": ["shop.example"], "kind": "workload"});
    let mut world = World::new(&config());
    let mut mesh = World::new(&mesh);
    let value = format!("Bearer {}", token());
    for name in [
        "authorization_",
        "_authorization",
        "authorization ",
        " authorization",
        "authorization\t",
        "authorization\0",
        "authorization:",
        "authorization\r",
        "\u{430}uthorization",
        "author_ization",
        "x_authorization",
        "authorization-",
    ] {
        row.is(name, &world.check(&with(&[(name, &value)])), 401);
        let decision = world.check(&with(&[(name, "Bearer x"), ("authorization", &value)]));
        row.is(&format!("{name} beside a good one"), &decision, 200);
    }
    for name in [
        "x_forwarded_client_cert",
        "x-forwarded_client-cert",
        "x-forwarded-client-cert",
        "x-forwarded-client-cert ",
    ] {
        let said = format!("By=a;URI=spiffe://shop.example/{CALLER}");
        row.is(name, &mesh.check(&with(&[(name, &said)])), 401);
    }
    // Ours don't reach the upstream as the client wrote them, in no spelling.
    for name in [
        "x-everycall-identity",
        "X-Everycall-Identity",
        "x_everycall_identity",
        "x-everycall_kind",
        "X_EVERYCALL-GRANT",
    ] {
        let decision = world.check(&with(&[(name, "admin"), ("authorization", &value)]));
        let permit = decision.verdict.expect("the token is good");
        let taken_out = permit.headers_to_remove().iter().any(|removed| removed.eq_ignore_ascii_case(name));
        row.expect(name, taken_out, format!("{:?}", permit.headers_to_remove()));
    }
}

/// `CALLER` may read below `/public` and nothing else.
fn public_only() -> Value {
    let mut config = config();
    config["bundle"]["inline"]["grants"][0]["paths"] = json!(["/public", "/public/{rest...}"]);
    config
}

pub fn a50(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&public_only());
    let token = token();
    let mut send = |path: &[u8]| world.check(&WireRequest { path: path.to_vec(), ..bearer(&token) });
    for path in [
        "/public",
        // `{rest...}` takes an empty last segment, as in every template.
        "/public/",
        "/public/a",
        "/public/a/b",
        "/public/%61",
        "/public/a%20b",
        "/public/a..b",
        "/public/~",
        "/public?/../admin",
        "/%70ublic/a",
    ] {
        let decision = send(path.as_bytes());
        row.is(path, &decision, 200);
        // The path that was decided on is the one that goes on: nothing rewrites it.
        let own = path.split('?').next().unwrap_or_default();
        row.expect(path, decision.record.request.path == own, &decision.record.request.path);
        let names: Vec<&str> = decision
            .verdict
            .as_ref()
            .map(|permit| permit.headers_to_set().map(|(name, _)| name).collect())
            .unwrap_or_default();
        row.expect(path, !names.iter().any(|name| name.starts_with(':')), format!("sets {names:?}"));
    }
    for path in [
        "/admin",
        "/admin/",
        "/ADMIN",
        "/Public/a",
        "/public2",
        "/publi",
        "/",
        "/%61dmin",
        "/admin?public",
        "/admin;/public",
        "/public;/../admin",
        "/public;x/a",
        "/public%3bx/a",
        "/public/a;b",
        "/public/a%3Bb",
        "/public/../admin",
        "/public/..",
        "/public/.",
        "/public/./../admin",
        "/public/a/../../admin",
        "/./admin",
        "/../admin",
        "/public/%2e%2e/admin",
        "/public/%2E%2e/admin",
        "/public/.%2e/admin",
        "/public/%2e./admin",
        "/public/%2e/a",
        "/public/..%2fadmin",
        "/public/..%2Fadmin",
        "/public%2f..%2fadmin",
        "/%2e%2e%2fadmin",
        "/public/%2fadmin",
        "/%2fadmin",
        "/public/..\\admin",
        "/public\\..\\admin",
        "\\admin",
        "/public/..%5cadmin",
        "/public%5C..%5Cadmin",
        "/public/%5cadmin",
        "//admin",
        "//public/a",
        "/public//a",
        "/public//../admin",
        "/public/a//",
        "///",
        "/public/%2f%2fadmin",
        "/public/..;/admin",
        "/public/..;a=b/admin",
        "/public/.;/a",
        "/public/%2e%2e;/admin",
        "/public/..%3b/admin",
        "/;/admin",
        "/public/%252e%252e/admin",
        "/public/%25%32%65%25%32%65/admin",
        "/public/%252fadmin",
        "/public/..%252fadmin",
        "/%2561dmin",
        "/public/%25",
        "/public/%c0%ae%c0%ae/admin",
        "/public/%c0%af..%c0%afadmin",
        "/public/%e0%80%ae%e0%80%ae/admin",
        "/public/%uff0e%uff0e/admin",
        "/public/%u002e%u002e/admin",
        "/public/%ff",
        "/public/%",
        "/public/%2",
        "/public/%zz",
        "/public/%2g",
        "/public/%-1",
        "/public/%00",
        "/public/a%00/../admin",
        "/public/..%00/admin",
        "/public/a%0d%0aHost:%20x",
        "/public/%0a",
        "/public/%09",
        "/public/%7f",
        "/public/%1b",
        "/public#/../admin",
        "/public/#",
        "/public%23/../admin",
        "/public/%23",
        "/public%3f/../admin",
        "/public/%3f",
        "http://api.example/public/a",
        "https://evil.example/public/a",
        "//evil.example/public/a",
        "api.example/public/a",
        "public/a",
        "*",
        "",
        "?",
        "?/public",
        "/public/a b",
        "/public/a\tb",
        "/public/a\r\nx: y",
        "/public/a\0",
        "/public/\u{7f}",
        "/public/a?x y",
        "/public/a?x#y",
        "/public/a?x\ny",
        "/public/\u{ff0e}\u{ff0e}/admin",
        "/public/\u{2025}/admin",
        "/publi\u{441}/a",
        "/public/\u{e9}",
        "/public\u{2215}admin",
    ] {
        row.any(&format!("{path:?}"), &send(path.as_bytes()), &[400, 403]);
    }
    for path in
        [&b"/public/\xff"[..], b"/public/\xc0\xae\xc0\xae/admin", b"/public/\xed\xa0\x80", b"/public/\x80"]
    {
        row.is("bytes that are no text", &send(path), 400);
    }
    let long = format!("/public/{}", "a".repeat(20_000));
    row.any("20 kB", &send(long.as_bytes()), &[400, 403]);
    row.any("100 segments", &send(format!("/public{}", "/a".repeat(100)).as_bytes()), &[400, 403]);
    others(row);
}

/// Other places that name a path or a host, and ambiguous pseudo-headers.
fn others(row: &mut Row) {
    let token = format!("Bearer {}", token());
    let mut world = World::new(&public_only());
    for name in [
        "x-original-url",
        "x-rewrite-url",
        "x-envoy-original-path",
        "X-Original-URL",
        "x_original_url",
        "x-envoy_original-path",
    ] {
        let request =
            WireRequest { path: "/public".into(), ..with(&[(name, "/admin"), ("authorization", &token)]) };
        let decision = world.check(&request);
        row.is(name, &decision, 200);
        let permit = decision.verdict.expect("the path is granted");
        let taken_out = permit.headers_to_remove().iter().any(|removed| removed.eq_ignore_ascii_case(name));
        row.expect(&format!("{name} goes no further"), taken_out, "it does");
        let request =
            WireRequest { path: "/admin".into(), ..with(&[(name, "/public"), ("authorization", &token)]) };
        row.is(name, &world.check(&request), 403);
    }
    for host in [
        "evil.example",
        "api.example.evil.example",
        "api.example@evil.example",
        "user@api.example",
        "api.example,evil.example",
        "api.example evil.example",
        "api.example\0",
        "api.example\r\n",
        "api.example/",
        "api.example/public",
        "api.example#",
        "api.example?",
        "api.example:80",
        "api.example:0443",
        "api.example:",
        "api.example:443:443",
        "api.example:x",
        "api..example",
        ".api.example",
        "",
        "[api.example]",
        "[::1",
        "ap\u{131}.example",
        "api\u{3002}example",
        "*",
        "api.example..",
        "%61pi.example",
        // The proxy routes by these bytes: other virtual hosts.
        "api.example:443",
        "api.example.",
    ] {
        let request =
            WireRequest { host: host.into(), path: "/public".into(), ..with(&[("authorization", &token)]) };
        row.any(&format!("host {host:?}"), &world.check(&request), &[400, 403]);
    }
    for host in [HOST, "API.Example"] {
        let request =
            WireRequest { host: host.into(), path: "/public".into(), ..with(&[("authorization", &token)]) };
        row.is(host, &world.check(&request), 200);
    }
    for (name, pairs) in [
        ("two paths", vec![(":path", "/public"), (":path", "/admin")]),
        ("two hosts", vec![(":path", "/public"), (":authority", "evil.example")]),
        ("two methods", vec![(":path", "/public"), (":method", "POST")]),
        ("no path", vec![]),
    ] {
        row.is(name, &world.raw(raw(&pairs, &token)), 400);
    }
    row.is("one of each", &world.raw(raw(&[(":path", "/public")], &token)), 200);
}

/// A request of these pseudo-headers besides `GET` on `HOST`.
fn raw(pairs: &[(&str, &str)], token: &str) -> Request {
    let mut all = vec![(":method", "GET"), (":scheme", "https"), (":authority", HOST)];
    all.extend_from_slice(pairs);
    all.push(("authorization", token));
    let all = all.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
    Request::new(StreamId(9), Headers::new(all), Connection::default())
}

pub fn a51(row: &mut Row, _: &Vectors) {
    let mut config = config();
    config["bundle"]["inline"]["grants"][0]["methods"] = json!(["GET"]);
    let mut world = World::new(&config);
    let token = token();
    let value = format!("Bearer {token}");
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "X-HTTP-Method-Override",
        "x_http_method_override",
        "x-http_method-override",
    ] {
        for method in ["DELETE", "POST", "PUT"] {
            let decision = world.check(&with(&[(name, method), ("authorization", &value)]));
            row.is(name, &decision, 200);
            row.expect(name, decision.record.request.method == "GET", &decision.record.request.method);
            let permit = decision.verdict.expect("the method is granted");
            let taken_out =
                permit.headers_to_remove().iter().any(|removed| removed.eq_ignore_ascii_case(name));
            row.expect(&format!("{name} goes no further"), taken_out, "it does");
        }
        let post = WireRequest { method: "POST".into(), ..with(&[(name, "GET"), ("authorization", &value)]) };
        row.is(&format!("POST that wants to be GET by {name}"), &world.check(&post), 403);
    }
    row.is(
        "_method in the query",
        &world.check(&WireRequest { path: "/?_method=DELETE".into(), ..bearer(&token) }),
        200,
    );
    for method in
        ["TRACE", "TRACK", "CONNECT", "OPTIONS", "HEAD", "POST", "PATCH", "PROPFIND", "DEBUG", "PRI", "GETX"]
    {
        let request = WireRequest { method: method.into(), ..bearer(&token) };
        row.is(method, &world.check(&request), 403);
        let bare = WireRequest { method: method.into(), ..get("/") };
        row.is(&format!("{method} without a token"), &world.check(&bare), 401);
    }
    for method in ["get", "Get", "", "GET ", " GET", "GET\0", "GET\r\n", "G\u{c9}T", "GET,POST"] {
        row.is(
            &format!("{method:?}"),
            &world.check(&WireRequest { method: method.into(), ..bearer(&token) }),
            400,
        );
    }
    let connect = |pairs: &[(&str, &str)]| {
        let mut all = vec![(":method", "CONNECT"), (":authority", HOST), ("authorization", value.as_str())];
        all.extend_from_slice(pairs);
        let all = all.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
        Request::new(StreamId(9), Headers::new(all), Connection::default())
    };
    row.any("CONNECT without a path", &world.raw(connect(&[])), &[400, 403]);
    row.any("CONNECT to *", &world.raw(connect(&[(":path", "*")])), &[400, 403]);
    row.any(
        "extended CONNECT",
        &world.raw(connect(&[(":path", "/"), (":protocol", "websocket")])),
        &[400, 403],
    );
    preflights(row);
}

/// No OPTIONS is let through for what it says of itself: only a grant does it.
fn preflights(row: &mut Row) {
    let mut strict = config();
    strict["bundle"]["inline"]["grants"][0]["methods"] = json!(["GET"]);
    let mut open = strict.clone();
    let mut grant = anonymous();
    grant["methods"] = json!(["OPTIONS"]);
    add_grant(&mut open, grant);
    let expired = Forge::new(&key()).claim("exp", NOW.secs() - 1).signed(&key());
    let (origin, asked) = (("origin", "https://shop.example"), ("access-control-request-method", "POST"));
    for headers in [vec![], vec![origin], vec![asked], vec![origin, asked]] {
        let request = |token: Option<&str>| {
            let mut request = with(&headers);
            if let Some(token) = token {
                request.headers.push(("authorization".into(), format!("Bearer {token}").into_bytes()));
            }
            WireRequest { method: "OPTIONS".into(), ..request }
        };
        let (mut strict, mut open) = (World::new(&strict), World::new(&open));
        let name = format!("{} headers", headers.len());
        row.is(&format!("{name}, no token"), &strict.check(&request(None)), 401);
        row.is(&format!("{name}, a bad token"), &strict.check(&request(Some(&expired))), 401);
        row.is(&format!("{name}, a good token"), &strict.check(&request(Some(&token()))), 403);
        row.is(&format!("{name}, granted, no token"), &open.check(&request(None)), 200);
        row.is(&format!("{name}, granted, a bad token"), &open.check(&request(Some(&expired))), 401);
        row.is(&format!("{name}, granted, a good token"), &open.check(&request(Some(&token()))), 200);
    }
}

/// A policy that asks one question, or two.
fn asking(questions: &[&str], rule: &str) -> Value {
    let mut config = config();
    let body = r#""subject": {"type": "t", "id": "s"}, "action": {"name": "a"}, "resource": {"type": "t", "id": "r"}"#;
    let asks: Vec<String> =
        questions.iter().map(|id| format!("ask contains {{\"id\": \"{id}\", {body}}} if true")).collect();
    config["bundle"]["inline"]["policies"] =
        json!({"ask.rego": format!("package everycall\n{}\n{rule}\n", asks.join("\n"))});
    config["pdps"]["default"] = json!({"protocol": "authzen", "cluster": "pdp", "host": "pdp"});
    config
}

fn answered(world: &mut World, replies: Vec<Reply>) -> Decision {
    match world.step(&bearer(&token()), NOW) {
        Step::Ask { pending, .. } => done(world.engine.resume(pending, replies, NOW)),
        other => done(other),
    }
}

pub fn a53(row: &mut Row, _: &Vectors) {
    let rules = [
        "decision := {\"allow\": true} if input.pdp.q.decision",
        // Sloppy policies: what is no answer must not be one for them either.
        "decision := {\"allow\": true} if input.pdp.q.decision == true",
        "decision := {\"allow\": true} if input.pdp.q",
        "decision := {\"allow\": true} if not input.pdp.q.decision == false",
        "decision := {\"allow\": true} if not input.pdp.q.error",
    ];
    for rule in rules {
        let mut world = World::new(&asking(&["q"], rule));
        let yes = Reply::http(200, r#"{"decision":true}"#);
        row.is(&format!("yes, {rule}"), &answered(&mut world, vec![yes.clone()]), 200);
        for (name, reply) in bad_answers() {
            let decision = answered(&mut world, vec![reply]);
            row.any(&format!("{name}, {rule}"), &decision, &[403, 503]);
            let logged = decision.record.pdp.first().and_then(|exchange| exchange.answer.clone());
            row.expect(&format!("{name} is logged"), logged.is_some(), "no answer in the record");
        }
    }
    let mut world = World::new(&asking(&["q"], rules[0]));
    row.is("no", &answered(&mut world, vec![Reply::http(200, r#"{"decision":false}"#)]), 403);
    row.any("no reply", &answered(&mut world, Vec::new()), &[403, 503]);
    // Unknown members are no reason to refuse; several answers to one question are not asked for.
    let extra = Reply::http(200, r#"{"decision":true,"context":{"reason":"r"},"evaluations":[]}"#);
    row.is("unknown members", &answered(&mut world, vec![extra]), 200);
    let mut two = World::new(&asking(
        &["q", "r"],
        "decision := {\"allow\": true} if { input.pdp.q.decision; input.pdp.r.decision }",
    ));
    let reply = |decision: bool| Reply::http(200, format!("{{\"decision\":{decision}}}"));
    row.is("two of two", &answered(&mut two, vec![reply(true), reply(true)]), 200);
    row.any("one of two", &answered(&mut two, vec![reply(true)]), &[403, 503]);
    row.any("none of two", &answered(&mut two, vec![]), &[403, 503]);
    row.is("yes and no", &answered(&mut two, vec![reply(true), reply(false)]), 403);
    row.is("no and yes", &answered(&mut two, vec![reply(false), reply(true)]), 403);
    row.is(
        "no, and one more than asked",
        &answered(&mut two, vec![reply(true), reply(false), reply(true)]),
        403,
    );
    let (down, array) = (
        Reply::Failed(Failure::Unavailable),
        Reply::http(200, r#"{"evaluations":[{"decision":true},{"decision":true}]}"#),
    );
    row.any("yes and a failure", &answered(&mut two, vec![reply(true), down]), &[403, 503]);
    row.any("an array for the first", &answered(&mut two, vec![array, reply(true)]), &[403, 503]);
}

fn bad_answers() -> Vec<(&'static str, Reply)> {
    let yes = r#"{"decision":true}"#;
    let moved = |status| Reply::Http {
        status,
        headers: Headers::new(vec![("location".into(), b"https://evil.example/".to_vec())]),
        body: yes.into(),
        trailers: Headers::default(),
    };
    let mut answers = vec![
        ("redirect", moved(302)),
        ("moved", moved(308)),
        ("unreachable", Reply::Failed(Failure::Unavailable)),
        ("too large", Reply::Failed(Failure::TooLarge)),
        ("timeout", Reply::http(504, "upstream request timeout")),
        ("a slow drip that was cut", Reply::http(504, yes)),
    ];
    for status in [201, 202, 204, 206, 400, 401, 403, 404, 429, 500, 502, 503] {
        answers.push(("another status with a yes", Reply::http(status, yes)));
    }
    for body in [
        "",
        "yes",
        "true",
        "null",
        "1",
        "[]",
        "[true]",
        "{}",
        "\"true\"",
        "<html>true</html>",
        "decision=true",
        r#"{"decision":"true"}"#,
        r#"{"decision":"yes"}"#,
        r#"{"decision":1}"#,
        r#"{"decision":null}"#,
        r#"{"decision":[true]}"#,
        r#"{"decision":{"allow":true}}"#,
        r#"{"Decision":true}"#,
        r#"{"DECISION":true}"#,
        r#"{"decision ":true}"#,
        r#"{"allow":true}"#,
        r#"{"result":true}"#,
        r#"{"result":{"decision":true}}"#,
        r#"{"error":"x"}"#,
        r#"{"error":{"status":500}}"#,
        r#"{"context":{"decision":true}}"#,
        r#"{"decision":false,"decision":true}"#,
        r#"{"decision":true,"decision":false}"#,
        r#"{"decision":true,"decision":true}"#,
        r#"{"decision":true}{}"#,
        r#"{"decision":true}x"#,
        r#"{"decision":true"#,
        r#"{"decision":true,}"#,
        r#"{"decision":tru"#,
        r#"{"decision":true}{"decision":false}"#,
        "{\"decision\":true}\0",
        "\u{feff}{\"decision\":true}",
        r#"{"evaluations":[{"decision":true}]}"#,
        r#"[{"decision":true}]"#,
        r#"{"decision":TRUE}"#,
        r#"{'decision':true}"#,
        r#"{"decision":true,"context":[]}"#,
        r#"{"decision":true,"context":"x"}"#,
        r#"{"decision":true,"context":null}"#,
        r#"{"decision":true,"context":{"obligations":[{"id":"x"}]}}"#,
        r#"{"decision":true,"context":{"obligations":"x"}}"#,
    ] {
        answers.push((body, Reply::http(200, body)));
    }
    answers
        .push(("bytes that are no text", Reply::http(200, b"{\"decision\":true,\"x\":\"\xff\"}".to_vec())));
    answers.push((
        "deep",
        Reply::http(200, format!("{{\"decision\":true,\"x\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000))),
    ));
    answers
}

/// A host that hands in more than it was told to is outside the core's word, but not believed blindly.
pub fn a53_size(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&asking(&["q"], "decision := {\"allow\": true} if input.pdp.q.decision"));
    match world.step(&bearer(&token()), NOW) {
        Step::Ask { calls, pending } => {
            let most = calls.iter().map(|call| call.max_body).max().unwrap_or_default();
            row.expect("the largest body", (1..=MAX_ANSWER).contains(&most), most);
            let timeouts = calls.iter().all(|call| (1..=60_000).contains(&call.timeout_ms));
            row.expect("a timeout", timeouts, "there is none");
            drop(pending);
        }
        other => row.expect("a question", false, came(&done(other))),
    }
}

/// The line that the filter writes.
fn line(decision: &Decision) -> String {
    everycall_core::json::line(&decision.record).unwrap()
}

/// One line of JSON, with every control character escaped, and none of the secrets.
fn is_one_line(row: &mut Row, what: &str, decision: &Decision, secrets: &[&str]) {
    let line = line(decision);
    row.expect(what, serde_json::from_str::<Value>(&line).is_ok(), "is not JSON");
    let ends = |c: char| c.is_ascii_control() && c != '\u{7f}';
    row.expect(what, !line.contains(ends), format!("holds {:?}", line.chars().find(|c| ends(*c))));
    for secret in secrets {
        row.expect(what, !line.contains(secret), format!("holds a secret of {} characters", secret.len()));
    }
}

/// The policy reads every header and the query, so all of them stand in the record.
fn curious() -> Value {
    let mut config = config();
    config["bundle"]["inline"]["policies"] = json!({"all.rego":
        "package everycall\ndecision := {\"allow\": true} if { count(input.request.headers) >= 0; count(input.request.query) >= 0; count(input.identity.claims) > 0 }"});
    config
}

const NASTY: [&str; 10] = [
    "a\nb",
    "a\r\n{\"v\":2,\"decision\":\"allow\"}",
    "a\"b",
    "a\\b",
    "a\\\"b",
    "a\tb\u{8}\u{c}",
    "\u{1b}[31mred",
    "a\0b",
    "</script>",
    "${jndi:x}",
];

pub fn a54(row: &mut Row, _: &Vectors) {
    for config in [config(), curious()] {
        let mut world = World::new(&config);
        for nasty in NASTY {
            for claim in ["sub", "name", "jti", "iss", "aud", "azp"] {
                let token = Forge::new(&key()).claim(claim, nasty).signed(&key());
                let (_, signature) = token.rsplit_once('.').unwrap();
                is_one_line(row, &format!("{claim} {nasty:?}"), &world.token(&token), &[&token, signature]);
            }
            for header in ["kid", "typ", "alg"] {
                let token = Forge::new(&key()).header(header, nasty).signed(&key());
                let (_, signature) = token.rsplit_once('.').unwrap();
                is_one_line(row, &format!("{header} {nasty:?}"), &world.token(&token), &[&token, signature]);
            }
            let good = token();
            let (_, signature) = good.rsplit_once('.').unwrap();
            for (what, request) in [
                ("path", WireRequest { path: format!("/{nasty}").into(), ..bearer(&good) }),
                ("query", WireRequest { path: format!("/?a={nasty}").into(), ..bearer(&good) }),
                ("host", WireRequest { host: nasty.into(), ..bearer(&good) }),
                ("method", WireRequest { method: nasty.into(), ..bearer(&good) }),
                (
                    "x-request-id",
                    with(&[("authorization", &format!("Bearer {good}")), ("x-request-id", nasty)]),
                ),
                ("a header", with(&[("authorization", &format!("Bearer {good}")), ("x-other", nasty)])),
                ("the name of a header", with(&[("authorization", &format!("Bearer {good}")), (nasty, "x")])),
                ("credential", with(&[("authorization", &format!("Bearer {good}{nasty}"))])),
                ("scheme", with(&[("authorization", &format!("{nasty} {good}"))])),
            ] {
                is_one_line(row, &format!("{what} {nasty:?}"), &world.check(&request), &[&good, signature]);
            }
        }
        let good = token();
        let (message, signature) = good.rsplit_once('.').unwrap();
        for path in [&b"/\xff"[..], b"/\xc0\xaf", b"/a\xed\xa0\x80"] {
            let request = WireRequest { path: path.to_vec(), ..bearer(&good) };
            is_one_line(row, "bytes that are no text", &world.check(&request), &[&good, message, signature]);
        }
        for size in [60_000, 1_000_000] {
            let request = WireRequest { path: format!("/{}", "a".repeat(size)).into(), ..bearer(&good) };
            is_one_line(row, "a long path", &world.check(&request), &[signature]);
            let long = Forge::new(&key()).claim("x", "a".repeat(size)).signed(&key());
            is_one_line(row, "long claims", &world.token(&long), &[long.rsplit_once('.').unwrap().1]);
        }
        // Every credential that does not get in is as secret as one that does.
        for (what, headers) in [
            (
                "twice",
                vec![
                    ("authorization", format!("Bearer {good}")),
                    ("authorization", format!("Bearer {good}")),
                ],
            ),
            ("another scheme", vec![("authorization", format!("Token {good}"))]),
            ("DPoP", vec![("authorization", format!("DPoP {good}")), ("dpop", good.clone())]),
            ("an API key", vec![("authorization", "Bearer ek_a_sesame-sesame-sesame".to_owned())]),
            ("Basic", vec![("authorization", "Basic sesame-sesame-sesame".to_owned())]),
        ] {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            is_one_line(row, what, &world.check(&with(&headers)), &[&good, message, signature, "sesame"]);
        }
        let in_query = WireRequest { path: format!("/?access_token={good}").into(), ..get("/") };
        is_one_line(row, "a refused token in the query", &world.check(&in_query), &[&good, signature]);
    }
}

/// JSON escapes what is below the blank; DEL and the C1 controls steer terminals too, and some
/// readers end lines at U+0085, U+2028 and U+2029.
pub fn a54_controls(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    for nasty in ['\u{7f}', '\u{85}', '\u{9b}', '\u{2028}', '\u{2029}'] {
        let claim = Forge::new(&key()).claim("name", format!("a{nasty}b")).signed(&key());
        let path = WireRequest { path: format!("/{nasty}").into(), ..bearer(&token()) };
        for decision in [world.token(&claim), world.check(&path)] {
            row.expect(
                &nasty.escape_unicode().to_string(),
                !line(&decision).contains(nasty),
                "stands as it is",
            );
        }
    }
}

/// A proof is as much a credential as the token, also to a policy that reads all headers.
pub fn a54_dpop(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&curious());
    let proof = "eyJ.proof.sesame";
    let decision = world.check(&with(&[("authorization", &format!("Bearer {}", token())), ("dpop", proof)]));
    row.is("allowed", &decision, 200);
    row.expect("no proof", !line(&decision).contains("sesame"), "the record holds the header `dpop`");
}
