//! Attacks on JWT-SVIDs.

use everycall::mint::TestKey;
use everycall_core::Algorithm;
use serde_json::{json, Value};

use super::world::{add_grant, config, grant, is_refused, issuer, of, Forge, Row, World, ISSUER, NOW};
use crate::suite::Vectors;

pub const DOMAIN: &str = "spiffe://shop.example";
pub const SVID: &str = "spiffe://shop.example/caller";

/// One trust domain, whose authority is this key.
fn domain(name: &str, key: &TestKey) -> Value {
    let mut issuer = issuer(name, key);
    issuer["profile"] = json!("spiffe");
    issuer["keys"]["inline"]["keys"][0]["use"] = json!("jwt-svid");
    issuer
}

fn svids() -> Value {
    let mut config = config();
    config["issuers"][0] = domain(DOMAIN, &of(Algorithm::Es256));
    add_grant(&mut config, grant(SVID));
    config
}

fn svid(key: &TestKey) -> Forge {
    Forge::new(key).without("iss").claim("sub", SVID)
}

pub fn a43(row: &mut Row, _: &Vectors) {
    let key = of(Algorithm::Es256);
    let mut world = World::new(&svids());
    row.is("honest", &world.token(&svid(&key).signed(&key)), 200);
    for typ in ["JWT", "JOSE"] {
        row.is(typ, &world.token(&svid(&key).header("typ", typ).signed(&key)), 200);
    }
    row.is("no typ", &world.token(&svid(&key).without_header("typ").signed(&key)), 200);
    for sub in [
        "caller",
        "",
        "spiffe://evil.example/caller",
        "spiffe://shop.example.evil.example/caller",
        "spiffe://evil.shop.example/caller",
        "spiffe://SHOP.example/caller",
        "SPIFFE://shop.example/caller",
        "spiffe://shop.example",
        "spiffe://shop.example/",
        "spiffe://shop.example//caller",
        "spiffe://shop.example/caller/",
        "spiffe://shop.example/./caller",
        "spiffe://shop.example/x/../caller",
        "spiffe://shop.example/%63aller",
        "spiffe://shop.example:443/caller",
        "spiffe://user@shop.example/caller",
        "spiffe://shop.example/caller?x",
        "spiffe://shop.example/caller#x",
        "spiffe:///caller",
        "spiffe:/shop.example/caller",
        "https://shop.example/caller",
        " spiffe://shop.example/caller",
        "spiffe://shop.example/caller\0",
    ] {
        row.is(sub, &world.token(&svid(&key).claim("sub", sub).signed(&key)), 401);
    }
    for sub in [json!(null), json!([SVID]), json!({"sub": SVID}), json!(1)] {
        row.is(&sub.to_string(), &world.token(&svid(&key).claim("sub", sub).signed(&key)), 401);
    }
    for claim in ["sub", "aud", "exp"] {
        row.is(&format!("no {claim}"), &world.token(&svid(&key).without(claim).signed(&key)), 401);
    }
    row.is("no iat", &world.token(&svid(&key).without("iat").signed(&key)), 200);
    let long = svid(&key).without("iat").claim("exp", NOW.secs() + 3_601);
    row.is("no iat, too long a life", &world.token(&long.signed(&key)), 401);
    for aud in [json!([]), json!(""), json!("https://other.example"), json!(null)] {
        row.is(&format!("aud {aud}"), &world.token(&svid(&key).claim("aud", aud).signed(&key)), 401);
    }
    for typ in ["at+jwt", "dpop+jwt", "wit+jwt", "invalid", "JWT+x", ""] {
        row.is(&format!("typ `{typ}`"), &world.token(&svid(&key).header("typ", typ).signed(&key)), 401);
    }
    for (name, value) in [
        ("jku", json!("https://evil.example")),
        ("jwk", key.public_jwk()),
        ("x5u", json!("https://evil.example")),
        ("x5c", json!([])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("cty", json!("JWT")),
        ("crit", json!(["exp"])),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("foo", json!(null)),
    ] {
        row.is(name, &world.token(&svid(&key).header(name, value).signed(&key)), 401);
    }
    // An algorithm that JWT-SVIDs have not.
    row.expect(
        "EdDSA in the configuration",
        is_refused(&with_domain(domain(DOMAIN, &of(Algorithm::EdDsa)))),
        "it is taken",
    );
    for other in [of(Algorithm::EdDsa), of(Algorithm::Rs256)] {
        let token = svid(&other).header("kid", key.id()).signed(&other);
        row.is(other.algorithm().as_str(), &world.token(&token), 401);
    }
    row.is("none", &world.token(&format!("{}.", svid(&key).header("alg", "none").unsigned())), 401);
    // Keys for something else.
    for usage in
        [json!("sig"), json!("x509-svid"), json!("wit-svid"), json!("JWT-SVID"), json!(null), json!("")]
    {
        let mut issuer = domain(DOMAIN, &key);
        issuer["keys"]["inline"]["keys"][0]["use"] = usage.clone();
        row.expect(&format!("use {usage}"), is_refused(&with_domain(issuer)), "the configuration is taken");
    }
    let mut nameless = domain(DOMAIN, &key);
    nameless["keys"]["inline"]["keys"][0].as_object_mut().unwrap().remove("kid");
    row.expect("a key without kid", is_refused(&with_domain(nameless)), "the configuration is taken");
    two_domains(row);
}

fn with_domain(issuer: Value) -> Value {
    let mut config = config();
    config["issuers"] = json!([issuer]);
    config
}

/// Two trust domains, with keys of one id, and an issuer of other tokens.
fn two_domains(row: &mut Row) {
    let (key, other) = (of(Algorithm::Es256), TestKey::foreign(Algorithm::Es256).unwrap());
    let mut config = svids();
    let mut second = domain("spiffe://other.example", &other);
    second["keys"]["inline"]["keys"][0]["kid"] = json!(key.id());
    let issuers = config["issuers"].as_array_mut().unwrap();
    issuers.push(second);
    issuers.push(issuer(ISSUER, &of(Algorithm::Rs256)));
    add_grant(&mut config, grant("spiffe://other.example/caller"));
    let mut world = World::new(&config);
    let sub = |sub: &str| svid(&key).claim("sub", sub);
    let far = "spiffe://other.example/caller";
    row.is("domain 1, key 1", &world.token(&sub(SVID).signed(&key)), 200);
    row.is("domain 2, key 2", &world.token(&sub(far).signed(&other)), 200);
    row.is("domain 1, key 2", &world.token(&sub(SVID).signed(&other)), 401);
    row.is("domain 2, key 1", &world.token(&sub(far).signed(&key)), 401);
    let rsa = of(Algorithm::Rs256);
    let borrowed = Forge::new(&rsa).claim("sub", SVID);
    row.is("a SPIFFE ID from another issuer", &world.token(&borrowed.signed(&rsa)), 401);
    row.is(
        "the domain's key under its `iss`",
        &world.token(&sub(SVID).claim("iss", ISSUER).signed(&key)),
        401,
    );
    row.is(
        "an actor of the other domain",
        &world.token(&sub(SVID).claim("act", json!({"sub": far})).signed(&key)),
        401,
    );
    row.is(
        "`iss` names the other domain",
        &world.token(&sub(SVID).claim("iss", "spiffe://other.example").signed(&other)),
        401,
    );
}
