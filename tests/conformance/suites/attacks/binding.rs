//! Attacks on tokens that are bound to a key or a certificate.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::Algorithm;
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

use super::client::{bound, thumbprint, Client};
use super::hop::{digest, hex, ADMIN, GATEWAY};
use super::svid::SVID;
use super::world::{base64url, bearer, certificate, config, get, of, with, Forge, Row, World, CALLER};
use crate::suite::Vectors;

pub fn a46(row: &mut Row, _: &Vectors) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::new(&config());
    let token = client.token.clone();
    row.is("bound, with a proof", &client.clone_send(&mut world), 200);
    row.is("bound, as Bearer", &world.token(&token), 401);
    let proof = client.proof().signed(&client.key);
    row.is(
        "bound, as Bearer, with a proof",
        &world.check(&with(&[("authorization", &format!("Bearer {token}")), ("dpop", &proof)])),
        401,
    );
    row.is(
        "bound, as DPoP, without a proof",
        &world.check(&with(&[("authorization", &format!("DPoP {token}"))])),
        401,
    );
    let key = of(Algorithm::Es256);
    let plain = Forge::new(&key).signed(&key);
    let proof = client.proof().claim("ath", base64url(Sha256::digest(&plain))).signed(&client.key);
    row.is(
        "not bound, as DPoP",
        &world.check(&with(&[("authorization", &format!("DPoP {plain}")), ("dpop", &proof)])),
        401,
    );
    row.is(
        "not bound, as DPoP, without a proof",
        &world.check(&with(&[("authorization", &format!("DPoP {plain}"))])),
        401,
    );
    row.is(
        "not bound, as Bearer, with a stray proof",
        &world.check(&with(&[("authorization", &format!("Bearer {plain}")), ("dpop", &proof)])),
        200,
    );
    for scheme in ["dpop", "DPOP", "dPoP"] {
        let proof = client.proof().signed(&client.key);
        row.is(
            scheme,
            &world.check(&with(&[("authorization", &format!("{scheme} {token}")), ("dpop", &proof)])),
            200,
        );
    }
    // Twice, when the token is remembered.
    for _ in 0..2 {
        row.is("remembered, as Bearer", &world.token(&token), 401);
    }
    // Where tokens must be bound, one that is not is refused.
    let mut strict = config();
    strict["issuers"][0]["required_binding"] = json!("dpop");
    let mut strict = World::new(&strict);
    row.is("required, not bound", &strict.token(&plain), 401);
    row.is("required, bound", &client.clone_send(&mut strict), 200);
    let mut only = config();
    only["credentials"] = json!([{"header": "authorization", "scheme": "Bearer"}]);
    let mut only = World::new(&only);
    row.is("bound, and no scheme DPoP", &only.token(&token), 401);
    row.is("the scheme DPoP, where it is not configured", &client.clone_send(&mut only), 401);
    let mut bare = config();
    bare["credentials"] = json!([{"header": "x-token"}]);
    row.is(
        "bound, in a header of its own",
        &World::new(&bare).check(&with(&[("x-token", &token), ("dpop", &proof)])),
        401,
    );
}

/// Client certificates are read, and a gateway speaks for its clients.
fn certificates() -> Value {
    let mut config = config();
    config["mtls"] = json!({"trust_domains": [], "forwarded": {"hops": [GATEWAY], "appends": false}});
    config
}

pub fn a47(row: &mut Row, vectors: &Vectors) {
    let mut world = World::new(&certificates());
    let own = certificate(SVID);
    let x5t = base64url(digest(&own));
    let with_token = |token: &str, certificate: Option<&str>| WireRequest {
        peer_certificate: certificate.map(str::to_owned),
        ..bearer(token)
    };
    let token = bound(json!({"x5t#S256": x5t}));
    row.is("its certificate", &world.check(&with_token(&token, Some(&own))), 200);
    row.is("no certificate", &world.check(&with_token(&token, None)), 401);
    row.is("another certificate", &world.check(&with_token(&token, Some(&certificate(ADMIN)))), 401);
    row.is(
        "the published certificate",
        &world.check(&with_token(&token, Some(vectors.text("oauth/rfc8705_appendix_a.pem")))),
        401,
    );
    row.is("no certificates are read", &World::new(&config()).check(&with_token(&token, Some(&own))), 401);
    // A digest that the client says.
    let header = format!("Hash={};URI={SVID}", hex(&digest(&own)));
    let claimed = |mut request: WireRequest| {
        request.headers.push(("x-forwarded-client-cert".into(), header.clone().into_bytes()));
        request
    };
    row.is("a header alone", &world.check(&claimed(with_token(&token, None))), 401);
    row.is(
        "a header beside another certificate",
        &world.check(&claimed(with_token(&token, Some(&certificate(ADMIN))))),
        401,
    );
    row.is(
        "a header from a trusted hop",
        &world.check(&claimed(with_token(&token, Some(&certificate(GATEWAY))))),
        200,
    );
    row.is(
        "the hop's own certificate",
        &world.check(&claimed(with_token(
            &bound(json!({"x5t#S256": base64url(digest(&certificate(GATEWAY)))})),
            Some(&certificate(GATEWAY)),
        ))),
        401,
    );
    // Upper case is the same number, so it may match what it is the digest of, and nothing else.
    let loud = |pem: &str| {
        let hash = hex(&digest(pem)).to_uppercase();
        let header = format!("Hash={hash};URI={SVID}");
        let mut request = with_token(&token, Some(&certificate(GATEWAY)));
        request.headers.push(("x-forwarded-client-cert".into(), header.into_bytes()));
        request
    };
    row.any("an upper-case hash", &world.check(&loud(&own)), &[200, 401]);
    row.is("an upper-case hash of another", &world.check(&loud(&certificate(ADMIN))), 401);
    // Forms of the confirmation.
    for cnf in [
        json!("x"),
        json!([]),
        json!({}),
        json!(null),
        json!(true),
        json!(1),
        json!(x5t),
        json!([{"x5t#S256": x5t}]),
        json!({"x5t#S256": null}),
        json!({"x5t#S256": ""}),
        json!({"x5t#S256": [x5t]}),
        json!({"x5t#S256": hex(&digest(&own))}),
        json!({"x5t#S256": format!("{x5t}=")}),
        json!({"x5t#S256": STANDARD.encode(digest(&own))}),
        json!({"x5t#S256": x5t[..40]}),
        json!({"X5T#S256": x5t}),
        json!({"x5t": x5t}),
        json!({"x5t#S512": x5t}),
        json!({"x5t#S256": x5t, "unknown": 1}),
        json!({"x5t#S256": x5t, "kid": "a"}),
        json!({"jwk": {"kty": "EC"}}),
        json!({"kid": "a"}),
        json!({"jku": "https://evil.example"}),
        json!({"jwe": "x"}),
        json!({"osc": {}}),
        json!({"jkt": "x"}),
        json!({"jkt": null, "x5t#S256": x5t}),
    ] {
        let request = with_token(&bound(cnf.clone()), Some(&own));
        row.is(&cnf.to_string(), &world.check(&request), 401);
    }
    both(row, &mut world, &own, &x5t);
    // Where tokens must be bound to certificates.
    let mut strict = certificates();
    strict["issuers"][0]["required_binding"] = json!("certificate");
    let mut strict = World::new(&strict);
    let key = of(Algorithm::Es256);
    row.is(
        "required, not bound",
        &strict.check(&with_token(&Forge::new(&key).signed(&key), Some(&own))),
        401,
    );
    row.is("required, bound", &strict.check(&with_token(&token, Some(&own))), 200);
    row.is(
        "a caller",
        &world.check(&with_token(&Forge::new(&key).claim("sub", CALLER).signed(&key), None)),
        200,
    );
    row.is("no token", &world.check(&WireRequest { peer_certificate: Some(own), ..get("/") }), 401);
}

/// A token that is bound to a key and to a certificate wants both.
fn both(row: &mut Row, world: &mut World, own: &str, x5t: &str) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    client.token = bound(json!({"jkt": thumbprint(&client.key), "x5t#S256": x5t}));
    let other = certificate(ADMIN);
    for (name, certificate, proven, status) in [
        ("both", Some(own), true, 200),
        ("certificate alone", Some(own), false, 401),
        ("key alone", None, true, 401),
        ("key and another certificate", Some(other.as_str()), true, 401),
        ("none", None, false, 401),
    ] {
        let proof = client.proof().signed(&client.key);
        let mut request = client.request(&proof);
        if !proven {
            request.headers.retain(|(name, _)| name != "dpop");
        }
        let request = WireRequest { peer_certificate: certificate.map(str::to_owned), ..request };
        row.is(name, &world.check(&request), status);
    }
    let plain = WireRequest { peer_certificate: Some(own.to_owned()), ..bearer(&client.token) };
    row.is("as Bearer", &world.check(&plain), 401);
}
