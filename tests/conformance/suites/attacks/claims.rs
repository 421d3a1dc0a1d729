//! Attacks on what a token says: audience, issuer, type, actors.

use everycall::mint::TestKey;
use serde_json::{json, Value};

use super::world::{
    add_grant, anonymous, config, grant, issuer, key, signed_bytes, text, with, Forge, Row, World, AUDIENCE,
    CALLER, ISSUER, NOW,
};
use crate::suite::Vectors;

pub fn honest() -> Forge {
    Forge::new(&key())
}

/// The status for an honest token with this claim, and with the claim as it is written.
pub fn claim(world: &mut World, name: &str, value: Value) -> everycall_core::Decision {
    world.token(&honest().claim(name, value).signed(&key()))
}

pub fn written(world: &mut World, name: &str, value: &str) -> everycall_core::Decision {
    let rest = text(&honest().without(name).claims);
    let payload = format!("{{\"{name}\":{value},{}", &rest[1..]);
    world.token(&signed_bytes(&key(), text(&honest().header), payload))
}

pub fn a27(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    for good in [json!(AUDIENCE), json!([AUDIENCE]), json!(["other", AUDIENCE]), json!([AUDIENCE, AUDIENCE])]
    {
        row.is(&good.to_string(), &claim(&mut world, "aud", good), 200);
    }
    for bad in [
        json!([]),
        json!(""),
        json!([""]),
        json!([AUDIENCE, 1]),
        json!([1, AUDIENCE]),
        json!([AUDIENCE, null]),
        json!([[AUDIENCE]]),
        json!({AUDIENCE: true}),
        json!({"aud": AUDIENCE}),
        json!(null),
        json!(1),
        json!(true),
        json!(AUDIENCE.to_uppercase()),
        json!("https://API.example"),
        json!(format!("{AUDIENCE}/")),
        json!(format!(" {AUDIENCE}")),
        json!(format!("{AUDIENCE} ")),
        json!(format!("{AUDIENCE}\0")),
        json!(format!("{AUDIENCE}/x")),
        json!(format!("{AUDIENCE} other")),
        json!(format!("other,{AUDIENCE}")),
        json!("https://api.exampl"),
        json!("api.example"),
        json!("https://api.example:443"),
        json!("*"),
        json!(["https://other.example"]),
    ] {
        row.is(&bad.to_string(), &claim(&mut world, "aud", bad), 401);
    }
    row.is("missing", &world.token(&honest().without("aud").signed(&key())), 401);
}

pub fn a28(row: &mut Row, _: &Vectors) {
    let mut config = config();
    add_grant(&mut config, anonymous());
    let mut world = World::new(&config);
    row.is("honest", &world.token(&honest().signed(&key())), 200);
    for bad in [
        json!([ISSUER]),
        json!([ISSUER, "https://evil.example"]),
        json!({"iss": ISSUER}),
        json!(null),
        json!(1),
        json!(""),
        json!(format!("{ISSUER}/")),
        json!(ISSUER.to_uppercase()),
        json!("HTTPS://id.example"),
        json!("https://\u{456}d.example"),
        json!("https://id\u{2024}example"),
        json!("https://id.example\u{200b}"),
        json!("https://%69d.example"),
        json!("https://id.example#"),
        json!("https://id.example?"),
        json!("https://id.example:443"),
        json!("http://id.example"),
        json!(" https://id.example"),
        json!("https://id.example\0"),
        json!("https://id.example.evil.example"),
        json!("id.example"),
    ] {
        row.is(&bad.to_string(), &claim(&mut world, "iss", bad), 401);
    }
    row.is("missing", &world.token(&honest().without("iss").signed(&key())), 401);
}

/// Two issuers, each with a header of its own.
fn two_places() -> Value {
    let mut config = config();
    let second = issuer("https://second.example", &TestKey::eddsa().unwrap());
    config["issuers"].as_array_mut().unwrap().push(second);
    config["credentials"] = json!([{"header": "x-one"}, {"header": "x-two"}]);
    config
}

pub fn a30(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&two_places());
    let eddsa = TestKey::eddsa().unwrap();
    let first = honest().signed(&key());
    let second = Forge::new(&eddsa).claim("iss", "https://second.example").signed(&eddsa);
    row.is("token 1 in header 1", &world.check(&with(&[("x-one", &first)])), 200);
    row.is("token 2 in header 2", &world.check(&with(&[("x-two", &second)])), 200);
    row.is("token 2 in header 1", &world.check(&with(&[("x-one", &second)])), 401);
}

pub fn a31(row: &mut Row, _: &Vectors) {
    let mut config = config();
    add_grant(&mut config, anonymous());
    let mut world = World::new(&config);
    row.is("no credential", &world.check(&with(&[])), 200);
    let unknown = honest().claim("iss", "https://unknown.example");
    row.is("unknown issuer", &world.token(&unknown.signed(&key())), 401);
    let foreign = TestKey::foreign(key().algorithm()).unwrap();
    row.is("unknown issuer, unknown key", &world.token(&unknown.signed(&foreign)), 401);
    for bad in ["x", "a.b.c", "..", "null", "undefined"] {
        row.is(bad, &world.token(bad), 401);
    }
    row.is("expired", &claim(&mut world, "exp", json!(NOW.secs() - 1)), 401);
    row.is("Basic", &world.check(&with(&[("authorization", "Basic YTpi")])), 401);
    row.is("empty", &world.check(&with(&[("authorization", "")])), 401);
    row.is("scheme alone", &world.check(&with(&[("authorization", "Bearer")])), 401);
    row.is("an API key", &world.token("ek_a_b"), 401);
    // Whom the token names has no grant of its own, but the open one.
    row.is("a stranger with a good token", &claim(&mut world, "sub", json!("stranger")), 200);
    let named = claim(&mut world, "sub", json!("anonymous"));
    row.is("a caller by the name of `anonymous`", &named, 200);
    row.expect("is not the one without a credential", named.record.identity.is_some(), "it has no identity");
}

/// The profile of RFC 9068.
fn access_tokens() -> Value {
    let mut config = config();
    config["issuers"][0]["profile"] = json!("at+jwt");
    config["issuers"][0].as_object_mut().unwrap().remove("max_lifetime_s");
    config
}

fn access_token() -> Forge {
    honest().header("typ", "at+jwt").claim("client_id", "client")
}

pub fn a36(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&access_tokens());
    row.is("at+jwt", &world.token(&access_token().signed(&key())), 200);
    row.is("ID token", &world.token(&access_token().without_header("typ").signed(&key())), 401);
    let mut generic = World::new(&config());
    for typ in [
        "logout+jwt",
        "dpop+jwt",
        "statuslist+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "kb+jwt",
        "dc+sd-jwt",
        "JOSE",
        "jose+json",
        "at+jwt2",
        "xat+jwt",
        "at jwt",
        "",
    ] {
        let token = access_token().header("typ", typ).signed(&key());
        row.is(&format!("`{typ}`"), &world.token(&token), 401);
        row.is(&format!("`{typ}` without a profile"), &generic.token(&token), 401);
    }
    row.is("JWT", &world.token(&access_token().header("typ", "JWT").signed(&key())), 401);
    for typ in [json!(null), json!(1), json!(["at+jwt"]), json!({"typ": "at+jwt"})] {
        let token = access_token().header("typ", typ.clone()).signed(&key());
        row.is(&typ.to_string(), &world.token(&token), 401);
        row.is(&format!("{typ} without a profile"), &generic.token(&token), 401);
    }
    for claim in ["client_id", "jti", "sub", "iss", "aud", "exp", "iat"] {
        row.is(&format!("no {claim}"), &world.token(&access_token().without(claim).signed(&key())), 401);
    }
    // `cty` is not `typ`.
    let content = access_token().without_header("typ").header("cty", "at+jwt");
    row.is("cty at+jwt", &world.token(&content.signed(&key())), 401);
}

pub fn a37(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&access_tokens());
    for typ in
        ["at+jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/AT+JWT", "application/AT+jwt"]
    {
        row.is(typ, &world.token(&access_token().header("typ", typ).signed(&key())), 200);
    }
    for typ in [
        "application/application/at+jwt",
        "application/",
        "application",
        "/at+jwt",
        "text/at+jwt",
        "at+jwt ",
        " at+jwt",
        "at+jwt; charset=utf-8",
        "at+jwt,JWT",
        "at\u{2b}jwt\0",
        "application /at+jwt",
        "\u{212b}t+jwt",
    ] {
        row.is(typ, &world.token(&access_token().header("typ", typ).signed(&key())), 401);
    }
    let mut nameless = World::new(&config());
    row.is(
        "`application/` is no type",
        &nameless.token(&honest().header("typ", "application/").signed(&key())),
        401,
    );
}

/// A chain of actors, the outermost first.
fn chain(actors: &[&str]) -> Value {
    actors.iter().rev().fold(json!(null), |inner, actor| match inner {
        Value::Null => json!({"sub": actor}),
        inner => json!({"sub": actor, "act": inner}),
    })
}

pub fn a49(row: &mut Row, _: &Vectors) {
    let mut config = config();
    let mut delegated = grant("agent");
    delegated["delegation"] = json!({"on_behalf_of": [CALLER]});
    add_grant(&mut config, delegated);
    config["limits"] = json!({"token_bytes": 65_536});
    let mut world = World::new(&config);
    let act = |world: &mut World, act: Value| claim(world, "act", act);
    let decision = act(&mut world, chain(&["agent"]));
    row.is("an actor with a grant", &decision, 200);
    let identity = decision.record.identity.clone().unwrap();
    let who = (identity.id.as_str(), identity.on_behalf_of.as_deref());
    row.expect("actor and principal", who == ("agent", Some(CALLER)), format!("{who:?}"));
    let decision = act(&mut world, chain(&["agent", "stranger", "admin"]));
    row.is("prior actors", &decision, 200);
    let prior = decision.record.identity.as_ref().map(|identity| identity.actors.clone());
    row.expect(
        "are told",
        prior.as_deref() == Some(&["stranger".into(), "admin".into()]),
        format!("{prior:?}"),
    );
    row.is("a prior actor has the grant", &act(&mut world, chain(&["stranger", "agent"])), 403);
    row.is("the principal has the grant", &act(&mut world, chain(&["stranger"])), 403);
    row.is("the principal itself is the actor", &act(&mut world, chain(&[CALLER])), 403);
    let other = honest().claim("sub", "other").claim("act", chain(&["agent"]));
    row.is("for another principal", &world.token(&other.signed(&key())), 403);
    for depth in [9, 10, 20, 30, 33, 1_000, 10_000] {
        let mut written = chain(&vec!["agent"; depth.min(30)]).to_string();
        if depth > 30 {
            written = format!(
                "{}{{\"sub\":\"agent\"}}{}",
                "{\"sub\":\"agent\",\"act\":".repeat(depth - 1),
                "}".repeat(depth - 1)
            );
        }
        let status = if depth <= 9 { 200 } else { 401 };
        row.is(&format!("{depth} deep"), &self::written(&mut world, "act", &written), status);
    }
    for bad in [
        json!("agent"),
        json!(["agent"]),
        json!([{"sub": "agent"}]),
        json!(null),
        json!(true),
        json!(1),
        json!({}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": ["agent"]}),
        json!({"sub": "agent\n"}),
        json!({"client_id": "agent"}),
        json!({"Sub": "agent"}),
        json!({"act": {"sub": "agent"}}),
        json!({"sub": "agent", "act": "x"}),
        json!({"sub": "agent", "act": null}),
        json!({"sub": "agent", "act": {}}),
        json!({"sub": "agent", "iss": "https://evil.example"}),
        json!({"sub": "agent", "iss": null}),
        json!({"sub": "spiffe://shop.example/agent"}),
    ] {
        row.is(&bad.to_string(), &act(&mut world, bad), 401);
    }
    // Times and audiences inside `act` mean nothing, good or bad.
    row.is("exp inside", &act(&mut world, json!({"sub": "agent", "exp": 1, "aud": "other"})), 200);
    let bound = honest().claim("act", chain(&["agent"]));
    for (name, may_act, status) in [
        ("the actor", json!({"sub": "agent"}), 200),
        ("another", json!({"sub": "other"}), 401),
        ("a prior one", json!({"sub": CALLER}), 401),
        ("nobody", json!({}), 401),
        ("null", json!(null), 401),
        ("a list", json!([{"sub": "agent"}]), 401),
        ("of another issuer", json!({"sub": "agent", "iss": "https://evil.example"}), 401),
    ] {
        let token = bound.clone().claim("may_act", may_act).signed(&key());
        row.is(&format!("may_act {name}"), &world.token(&token), status);
    }
    // A right to act is no act.
    row.is("may_act alone", &claim(&mut world, "may_act", json!({"sub": "agent"})), 200);
    let decision = claim(&mut world, "may_act", json!({"sub": "agent"}));
    let id = decision.record.identity.map(|identity| identity.id.clone());
    row.expect("may_act makes nobody an actor", id.as_deref() == Some(CALLER), format!("{id:?}"));
}

/// A token whose status nobody has looked up. Not built yet: nothing of the lists is read.
pub fn a48(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let status = json!({"status_list": {"idx": 0, "uri": "https://id.example/statuslists/1"}});
    row.any("a status that is not at hand", &claim(&mut world, "status", status), &[401, 503]);
}
