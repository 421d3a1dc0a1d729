//! Attacks on where a credential stands, and how: schemes, headers, other places.

use everycall::WireRequest;
use serde_json::json;

use super::world::{
    add_grant, anonymous, base64url, bearer, config, get, key, token, with, Forge, Row, World, CALLER, HOST,
};
use crate::suite::Vectors;

/// A second honest token.
pub fn other() -> String {
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
    let decision = world.check(&with(&[("authorization", &format!("Bearer   {token}"))]));
    row.is("several blanks", &decision, 200);
    for value in [
        format!("Bearer  {token} y"),
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
