//! Attacks on DPoP proofs: their headers, claims and URLs, replays.

use std::rc::Rc;

use everycall::mint::{self, TestKey};
use everycall::WireRequest;
use everycall_core::sync::LocalData;
use everycall_core::{Algorithm, Engine, IdSeed, PureRust, StreamId, UnixTime};
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};

use super::client::{bound, disproven, thumbprint, Client};
use super::hop::hex;
use super::world::{
    add_grant, base64url, config, done, grant, issuer, later, of, settings, with, Row, World, NOW,
};
use crate::suite::Vectors;

pub fn a45(row: &mut Row, _: &Vectors) {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
        let mut client = Client::new(TestKey::foreign(algorithm).unwrap());
        let mut world = World::new(&config());
        row.is(algorithm.as_str(), &client.clone_send(&mut world), 200);
        headers_of_proofs(row, &mut client, &mut world);
        claims_of_proofs(row, &mut client, &mut world);
    }
    urls_of_proofs(row);
    replays(row);
}

fn headers_of_proofs(row: &mut Row, client: &mut Client, world: &mut World) {
    let one = client.proof().signed(&client.key);
    let two = client.proof().signed(&client.key);
    let twice = |first: &str, second: &str| {
        let token = format!("DPoP {}", client.token);
        with(&[("authorization", &token), ("dpop", first), ("DPoP", second)])
    };
    disproven(row, "two headers", &world.check(&twice(&one, &two)));
    disproven(row, "one header twice", &world.check(&twice(&one, &one)));
    disproven(row, "an empty one first", &world.check(&twice("", &one)));
    disproven(row, "joined", &world.check(&client.request(&format!("{one},{two}"))));
    disproven(row, "joined with a blank", &world.check(&client.request(&format!("{one}, {two}"))));
    for text in [
        "",
        "x",
        "..",
        "null",
        &client.token.clone(),
        &format!("{one}."),
        &format!("{one}="),
        &format!(" {one}"),
    ] {
        disproven(row, text, &world.check(&client.request(text)));
    }
    for typ in [
        json!("JWT"),
        json!("at+jwt"),
        json!("dpop"),
        json!("dpop+jwt2"),
        json!(""),
        json!(null),
        json!(["dpop+jwt"]),
    ] {
        let proof = client.proof().header("typ", typ.clone());
        disproven(row, &format!("typ {typ}"), &client.send(world, &proof));
    }
    let proof = client.proof().without_header("typ");
    disproven(row, "no typ", &client.send(world, &proof));
    for alg in [
        json!("none"),
        json!("None"),
        json!("HS256"),
        json!("ES512"),
        json!(""),
        json!(null),
        json!(["ES256"]),
    ] {
        let proof = client.proof().header("alg", alg.clone());
        disproven(row, &format!("alg {alg}"), &client.send(world, &proof));
        let unsigned = format!("{}.", proof.unsigned());
        disproven(row, &format!("alg {alg}, not signed"), &world.check(&client.request(&unsigned)));
    }
    let proof = client.proof().without_header("alg");
    disproven(row, "no alg", &client.send(world, &proof));
    let other = match client.key.algorithm() {
        Algorithm::Rs256 => "PS256",
        Algorithm::Es256 => "ES384",
        _ => "ES256",
    };
    let proof = client.proof().header("alg", other);
    disproven(row, "another alg", &client.send(world, &proof));
    let jwk = client.proof().header["jwk"].clone();
    let stranger = TestKey::foreign(match client.key.algorithm() {
        Algorithm::EdDsa => Algorithm::Es256,
        _ => Algorithm::EdDsa,
    })
    .unwrap();
    let changed = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    for (name, value) in [
        ("private", changed("d", json!("AAAA"))),
        ("private, null", changed("d", json!(""))),
        ("with p", changed("p", json!("AAAA"))),
        ("with k", changed("k", json!("AAAA"))),
        ("symmetric", json!({"kty": "oct", "k": "AAAA"})),
        ("of another key", stranger.public_jwk()),
        ("with another alg", changed("alg", json!("ES512"))),
        ("for encryption", changed("use", json!("enc"))),
        ("for signing", changed("key_ops", json!(["sign"]))),
        ("of another type", changed("kty", json!("OKP2"))),
        ("text", json!(jwk.to_string())),
        ("a list", json!([jwk])),
        ("null", json!(null)),
        ("empty", json!({})),
    ] {
        let proof = client.proof().header("jwk", value);
        disproven(row, &format!("jwk {name}"), &client.send(world, &proof));
    }
    let proof = client.proof().without_header("jwk").header("kid", thumbprint(&client.key));
    disproven(row, "kid for jwk", &client.send(world, &proof));
    for (name, value) in
        [("crit", json!(["exp"])), ("b64", json!(false)), ("enc", json!("A128GCM")), ("zip", json!("DEF"))]
    {
        let proof = client.proof().header(name, value);
        disproven(row, name, &client.send(world, &proof));
    }
    // Signed by somebody else, with the client's key or with its own in the header.
    let proof = client.proof();
    disproven(row, "signed by another", &world.check(&client.request(&proof.signed(&stranger))));
    let proof = proof.header("jwk", stranger.public_jwk()).header("alg", stranger.algorithm().as_str());
    disproven(row, "another key altogether", &world.check(&client.request(&proof.signed(&stranger))));
    let proof = client.proof().unsigned();
    disproven(row, "no signature", &world.check(&client.request(&format!("{proof}."))));
    let mut signature = client.key.signature(proof.as_bytes()).unwrap();
    signature[5] ^= 1;
    disproven(
        row,
        "a bit of the signature",
        &world.check(&client.request(&mint::compact(&proof, &signature))),
    );
    // A media type may be written in full, and its case does not matter.
    for typ in ["application/dpop+jwt", "DPoP+JWT"] {
        let proof = client.proof().header("typ", typ);
        row.is(typ, &client.send(world, &proof), 200);
    }
}

fn claims_of_proofs(row: &mut Row, client: &mut Client, world: &mut World) {
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
        let proof = client.proof().without(claim);
        disproven(row, &format!("no {claim}"), &client.send(world, &proof));
        for value in [json!(null), json!(""), json!([]), json!({}), json!(true), json!(["x"])] {
            let proof = client.proof().claim(claim, value.clone());
            disproven(row, &format!("{claim} {value}"), &client.send(world, &proof));
        }
    }
    for htm in ["get", "Get", "POST", "GET ", " GET", "GET,POST", "*"] {
        let proof = client.proof().claim("htm", htm);
        disproven(row, &format!("htm {htm}"), &client.send(world, &proof));
    }
    let now = NOW.secs();
    for (name, iat, good) in [
        ("now", json!(now), true),
        ("60 s ago", json!(now - 60), true),
        ("61 s ago", json!(now - 61), false),
        ("an hour ago", json!(now - 3_600), false),
        ("5 s ahead", json!(now + 5), true),
        ("6 s ahead", json!(now + 6), false),
        ("a day ahead", json!(now + 86_400), false),
        ("0", json!(0), false),
        ("-1", json!(-1), false),
        ("text", json!(now.to_string()), false),
        ("milliseconds", json!(now * 1_000), false),
        ("the largest", json!(i64::MAX), false),
        ("with a fraction", json!(now as f64 - 0.5), true),
    ] {
        let proof = client.proof().claim("iat", iat);
        let decision = client.send(world, &proof);
        match good {
            true => row.is(&format!("iat {name}"), &decision, 200),
            false => disproven(row, &format!("iat {name}"), &decision),
        }
    }
    let own = Sha256::digest(&client.token);
    let hash = base64url(own);
    for (name, ath) in [
        ("of another token", base64url(Sha256::digest("other"))),
        ("padded", format!("{hash}=")),
        ("in hex", hex(&own)),
        ("in the standard alphabet", format!("{}+", &hash[..hash.len() - 1])),
        ("cut", hash[..20].to_owned()),
        ("of `DPoP` and the token", base64url(Sha256::digest(format!("DPoP {}", client.token)))),
        ("the token itself", client.token.clone()),
        ("a blank behind", format!("{hash} ")),
    ] {
        let proof = client.proof().claim("ath", ath);
        disproven(row, &format!("ath {name}"), &client.send(world, &proof));
    }
    for length in [257, 1_000, 5_000] {
        let proof = client.proof().claim("jti", "j".repeat(length));
        disproven(row, &format!("a jti of {length} bytes"), &client.send(world, &proof));
    }
    let proof = client.proof().claim("jti", "j".repeat(100_000));
    disproven(row, "a huge jti", &client.send(world, &proof));
    let proof = client.proof().claim("jti", 7);
    disproven(row, "a jti that is a number", &client.send(world, &proof));
    // A token for another key.
    let other = bound(json!({"jkt": thumbprint(&of(Algorithm::Es384))}));
    let proof = client.proof().claim("ath", base64url(Sha256::digest(&other))).signed(&client.key);
    let request = with(&[("authorization", &format!("DPoP {other}")), ("dpop", &proof)]);
    disproven(row, "another jkt", &world.check(&request));
}

fn urls_of_proofs(row: &mut Row) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::new(&config());
    let mut send = |path: &str, htu: &str| {
        let proof = client.proof().claim("htu", htu).signed(&client.key);
        world.check(&WireRequest { path: path.into(), ..client.request(&proof) })
    };
    for (path, htu) in [
        ("/a/b?x=1", "https://api.example/a/b"),
        ("/a/b?x=1", "https://api.example/a/b?y=2"),
        ("/a/b", "https://api.example/a/b#here"),
        ("/a/b", "HTTPS://API.Example:443/a/b"),
        ("/a/~b", "https://api.example/%61/%7Eb"),
        ("/%61/b", "https://api.example/a/b"),
        ("/", "https://api.example"),
    ] {
        row.is(&format!("{path} as {htu}"), &send(path, htu), 200);
    }
    for (path, htu) in [
        ("/a/b", "https://api.example/a"),
        ("/a/b", "https://api.example/a/b/"),
        ("/a/b/", "https://api.example/a/b"),
        ("/a/b", "https://api.example/a/b/c"),
        ("/a/b", "https://api.example/A/b"),
        ("/a/b", "https://api.example//a/b"),
        ("/a/b", "https://api.example/a/./b"),
        ("/a/b", "https://api.example/x/../a/b"),
        ("/a/b", "https://api.example/a%2Fb"),
        ("/a/b", "https://api.example/a%252Fb"),
        ("/a/b", "https://api.example/%2561/b"),
        ("/a/b", "https://api.example/a/b%00"),
        ("/a/b", "https://api.example/a\\b"),
        ("/a/b", "https://api.example\\@evil.example/a/b"),
        ("/a/b", "http://api.example/a/b"),
        ("/a/b", "ftp://api.example/a/b"),
        ("/a/b", "https://api.example:80/a/b"),
        ("/a/b", "https://api.example:8443/a/b"),
        ("/a/b", "https://api.example:0443/a/b"),
        ("/a/b", "https://api.example:/a/b"),
        ("/a/b", "https://user@api.example/a/b"),
        ("/a/b", "https://user:pass@api.example/a/b"),
        ("/a/b", "https://@api.example/a/b"),
        ("/a/b", "https://api.example@evil.example/a/b"),
        ("/a/b", "https://evil.example/a/b"),
        ("/a/b", "https://api.example.evil.example/a/b"),
        ("/a/b", "https://evil.api.example/a/b"),
        ("/a/b", "https://api.example,evil.example/a/b"),
        ("/a/b", "https://api%2Eexample/a/b"),
        ("/a/b", "//api.example/a/b"),
        ("/a/b", "://api.example/a/b"),
        ("/a/b", "https:/api.example/a/b"),
        ("/a/b", "https:api.example/a/b"),
        ("/a/b", "https:///a/b"),
        ("/a/b", "/a/b"),
        ("/a/b", "api.example/a/b"),
        ("/a/b", " https://api.example/a/b"),
        ("/a/b", "https://api.example/a/b "),
        ("/a/b", "https://api.example/a/b\n"),
        ("/a/b", "https://api.example/a/b\0"),
        ("/a/b", "https://api.example/a/b;x"),
        ("/", "*"),
    ] {
        disproven(row, &format!("{path} as {htu:?}"), &send(path, htu));
    }
    // Behind something that ends TLS, clients call https.
    let mut config = config();
    config["dpop"] = json!({"scheme": "https"});
    let mut world = World::new(&config);
    for (htu, good) in [("https://api.example/", true), ("http://api.example/", false)] {
        let proof = client.proof().claim("htu", htu).signed(&client.key);
        let request = WireRequest { scheme: "http".into(), ..client.request(&proof) };
        row.is(htu, &world.check(&request), if good { 200 } else { 401 });
    }
}

fn replays(row: &mut Row) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let data = Rc::new(LocalData::default());
    let worker = |name: &[u8]| {
        let shared = Rc::clone(&data);
        Engine::new(settings(&config()), Box::new(PureRust), shared, IdSeed::derive(&[name]))
    };
    let mut workers = [worker(b"1"), worker(b"2")];
    let mut check = |worker: usize, request: &WireRequest, now: UnixTime| {
        done(workers[worker].check(request.to_core(StreamId(1)), now))
    };
    let proof = client.proof();
    let request = client.request(&proof.signed(&client.key));
    row.is("first", &check(0, &request, NOW), 200);
    for at in [0, 1, 30, 60] {
        for worker in [0, 1] {
            disproven(
                row,
                &format!("again, worker {worker}, {at} s later"),
                &check(worker, &request, later(at)),
            );
        }
    }
    // The id is what counts, not the text: the same one with other claims, until the first is too old.
    let twin = client.proof().claim("jti", proof.claims["jti"].clone()).claim("iat", NOW.secs() + 20);
    disproven(row, "one jti in two proofs", &check(1, &client.request(&twin.signed(&client.key)), later(60)));
    disproven(row, "too late", &check(1, &request, later(61)));
    let other = Client::new(of(Algorithm::Es384));
    let mut other = Client { proofs: 0, ..other };
    let same = other.proof().claim("jti", proof.claims["jti"].clone()).claim("iat", NOW.secs() + 61);
    row.is("one jti of two keys", &check(1, &other.request(&same.signed(&other.key)), later(61)), 200);
    let fresh = client.proof().claim("iat", NOW.secs() + 61);
    row.is("another proof", &check(1, &client.request(&fresh.signed(&client.key)), later(61)), 200);
    // One that was refused for something else is not used up, and one from the future is remembered for longer.
    let ahead = client.proof().claim("iat", NOW.secs() + 66);
    let ahead = client.request(&ahead.signed(&client.key));
    row.is("ahead", &check(0, &ahead, later(61)), 200);
    disproven(row, "ahead, at its last", &check(1, &ahead, later(126)));
    disproven(row, "ahead, after its last", &check(1, &ahead, later(127)));
}

/// A proof that was used stays used when the configuration changes in something else.
pub fn a45_configure(row: &mut Row, _: &Vectors) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut grants = config();
    add_grant(&mut grants, grant("another"));
    let mut issuers = config();
    let second = issuer("https://second.example", &of(Algorithm::EdDsa));
    issuers["issuers"].as_array_mut().unwrap().push(second);
    for (name, changed) in [("grants", grants), ("issuers", issuers)] {
        let mut world = World::new(&config());
        let proof = client.proof();
        row.is("first", &client.send(&mut world, &proof), 200);
        world.engine.configure(settings(&changed));
        disproven(row, &format!("again, with other {name}"), &client.send(&mut world, &proof));
    }
}

/// Nonces of the server (RFC 9449 section 9) are not issued, so none can be missing or old.
pub fn a45_nonce(row: &mut Row, _: &Vectors) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::new(&config());
    let proof = client.proof().claim("nonce", "old");
    disproven(row, "an old nonce", &client.send(&mut world, &proof));
}

/// RFC 3986 section 6.2.2.2: only unreserved characters mean the same encoded and not.
pub fn a45_reserved(row: &mut Row, _: &Vectors) {
    let mut client = Client::new(TestKey::foreign(Algorithm::Es256).unwrap());
    let mut config = config();
    config["bundle"]["inline"]["grants"][0]["semicolons"] = json!(true);
    let mut world = World::new(&config);
    for (path, htu) in
        [("/a;b", "/a%3Bb"), ("/a%3Bb", "/a;b"), ("/a@b", "/a%40b"), ("/a+b", "/a%2Bb"), ("/a=b", "/a%3Db")]
    {
        let proof = client.proof().claim("htu", format!("https://api.example{htu}")).signed(&client.key);
        let decision = world.check(&WireRequest { path: path.into(), ..client.request(&proof) });
        disproven(row, &format!("{path} as {htu}"), &decision);
    }
}
