//! Attacks on requests: paths, hosts, methods.

use everycall::WireRequest;
use everycall_core::{Connection, Headers, Request, StreamId};
use serde_json::{json, Value};

use super::world::{
    add_grant, anonymous, bearer, config, get, key, token, with, Forge, Row, World, HOST, NOW,
};
use crate::suite::Vectors;

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
    row.any("20 kB", &send(long.as_bytes()), &[400, 403, 414]);
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
