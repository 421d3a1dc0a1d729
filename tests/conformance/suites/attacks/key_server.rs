//! Attacks on the server of keys: answers without keys, sets that come and go, floods, discovery.

use std::collections::BTreeMap;

use everycall::mint::{self, TestKey};
use everycall::WireRequest;
use everycall_core::http::Failure;
use everycall_core::{Algorithm, Decision, Headers, Reply, Step, UnixTime};
use serde_json::{json, Value};

use super::world::{
    bearer, config, done, get, later, of, signed_bytes, text, waits, with, Forge, Row, World, AUDIENCE,
    ISSUER, NOW,
};
use crate::suite::Vectors;

/// One issuer whose keys are on a server.
pub fn remote() -> Value {
    let mut config = config();
    config["issuers"][0] = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["ES256"], "max_lifetime_s": 3600,
        "kind": "workload",
        "keys": {"remote": {
            "cluster": "jwks", "host": "id.example", "path": "/keys",
            "refresh_s": 60, "interval_s": 10, "max_stale_s": 300, "wait_ms": 1000, "max_waiting": 100,
        }},
    });
    config
}

pub fn honest() -> String {
    let key = of(Algorithm::Es256);
    Forge::new(&key).signed(&key)
}

impl World {
    /// Answers the fetch that is due now with this set.
    pub fn feed(&mut self, set: Value) {
        let due = self.tick(NOW);
        let fetch = due.fetches.first().expect("a fetch is due").0;
        let due = self.answer(fetch, Reply::http(200, set.to_string()), NOW);
        assert!(due.fetches.is_empty());
    }

    /// The decision on a request that waits for keys, if it has to, for as long as it may.
    pub fn patient(&mut self, request: &WireRequest, now: UnixTime) -> Decision {
        match self.step(request, now) {
            Step::Wait { pending } => {
                let late = UnixTime::from_secs(now.secs() + 2);
                done(self.engine.resume(pending, Vec::new(), late))
            }
            step => done(step),
        }
    }
}

/// Answers of a server of keys that bring none.
fn failures() -> Vec<(&'static str, Reply)> {
    let set = of(Algorithm::Es256).public_jwks().to_string();
    let redirect = Headers::new(vec![("location".into(), b"https://evil.example/keys".to_vec())]);
    vec![
        ("unreachable", Reply::Failed(Failure::Unavailable)),
        ("too large", Reply::Failed(Failure::TooLarge)),
        ("timeout", Reply::http(504, "upstream request timeout")),
        ("500", Reply::http(500, set.clone())),
        ("404", Reply::http(404, set.clone())),
        ("204", Reply::http(204, set.clone())),
        ("301", moved(301, redirect.clone(), set.clone().into_bytes())),
        ("302", moved(302, redirect, Vec::new())),
        ("HTML", Reply::http(200, "<html><body>Sign in</body></html>")),
        ("truncated", Reply::http(200, set[..set.len() / 2].to_owned())),
        ("nothing", Reply::http(200, "")),
        ("no keys", Reply::http(200, "{\"keys\":[]}")),
        ("an error in JSON", Reply::http(200, "{\"error\":\"try again\"}")),
    ]
}

pub fn a42(row: &mut Row, _: &Vectors) {
    failing_fetches(row);
    lifetimes(row);
    flips(row);
    floods(row);
    discovery(row);
}

/// A failed fetch lets nobody in, without keys and with old ones alike.
fn failing_fetches(row: &mut Row) {
    for (name, reply) in failures() {
        let mut world = World::fetching(&remote());
        let pending = waits(world.step(&bearer(&honest()), NOW));
        let due = world.tick(NOW);
        row.expect(name, due.fetches.len() == 1, format!("{due:?}"));
        let due = world.answer(due.fetches[0].0, reply.clone(), NOW);
        row.expect(name, due.fetches.is_empty() && due.woken.is_empty(), format!("{due:?}"));
        row.expect(name, due.warnings.len() == 1, format!("warns {:?}", due.warnings));
        let again = world.tick(later(1));
        row.expect(name, again.fetches.is_empty(), "is tried again within the interval");
        row.expect(name, again.woken.len() == 1, "who waited is not woken");
        row.is(name, &done(world.engine.resume(pending, Vec::new(), later(1))), 503);
        // After the interval a good answer is taken.
        let due = world.tick(later(10));
        row.expect(name, due.fetches.len() == 1, format!("is not tried again: {due:?}"));
        let set = of(Algorithm::Es256).public_jwks().to_string();
        let _ = world.answer(due.fetches[0].0, Reply::http(200, set), later(10));
        row.is("keys at last", &world.at(&bearer(&honest()), later(10)), 200);
        // Keys that are there stay, but not for ever.
        let due = world.tick(later(80));
        row.expect(name, due.fetches.len() == 1, format!("is not refreshed: {due:?}"));
        let _ = world.answer(due.fetches[0].0, reply, later(80));
        row.is("old keys", &world.at(&bearer(&honest()), later(81)), 200);
    }
}

/// A token that lives until long after its keys.
fn long_lived() -> String {
    let key = of(Algorithm::Es256);
    Forge::new(&key).claim("exp", NOW.secs() + 3_600).signed(&key)
}

fn lifetimes(row: &mut Row) {
    for (name, reply) in failures() {
        let mut world = World::fetching(&remote());
        world.feed(of(Algorithm::Es256).public_jwks());
        row.is("fresh", &world.at(&bearer(&long_lived()), NOW), 200);
        for at in (10..=300).step_by(10) {
            for (fetch, ..) in world.tick(later(at)).fetches {
                let _ = world.answer(fetch, reply.clone(), later(at));
            }
        }
        row.is(&format!("{name}, 300 s old"), &world.at(&bearer(&long_lived()), later(300)), 200);
        // Also a token that was verified before.
        let decision = world.patient(&bearer(&long_lived()), later(301));
        row.is(&format!("{name}, 301 s old"), &decision, 503);
    }
    // Nobody answers at all.
    let mut world = World::fetching(&remote());
    world.feed(of(Algorithm::Es256).public_jwks());
    for at in 1..=301 {
        let _ = world.tick(later(at));
    }
    row.is("no answer ever", &world.patient(&bearer(&long_lived()), later(301)), 503);
}

/// Sets that come and go: who was taken away is out, also with a token that was verified before.
fn flips(row: &mut Row) {
    let (first, second) = (of(Algorithm::Es256), TestKey::foreign(Algorithm::Es256).unwrap());
    let mut world = World::fetching(&remote());
    world.feed(first.public_jwks());
    let token = |key: &TestKey| Forge::new(key).claim("exp", NOW.secs() + 3_000).signed(key);
    row.is("key 1", &world.at(&bearer(&token(&first)), NOW), 200);
    for turn in 1..6 {
        let now = later(turn * 130);
        let (in_set, out) = if turn % 2 == 1 { (&second, &first) } else { (&first, &second) };
        for (fetch, ..) in world.tick(now).fetches {
            let _ = world.answer(fetch, Reply::http(200, in_set.public_jwks().to_string()), now);
        }
        row.is("the key of the set", &world.at(&bearer(&token(in_set)), now), 200);
        let decision = world.patient(&bearer(&token(out)), now);
        row.any("the key that was taken away", &decision, &[401, 503]);
        // One key id under another key.
        let mut renamed = in_set.public_jwks();
        renamed["keys"][0]["kid"] = json!(out.id());
        let later = UnixTime::from_secs(now.secs() + 60);
        for (fetch, ..) in world.tick(later).fetches {
            let _ = world.answer(fetch, Reply::http(200, renamed.to_string()), later);
        }
        row.is("its id over another key", &world.at(&bearer(&token(out)), later), 401);
    }
}

/// Ids that no set has: few fetches, few that wait, and nobody else suffers.
fn floods(row: &mut Row) {
    let key = of(Algorithm::Es256);
    let mut world = World::fetching(&remote());
    world.feed(key.public_jwks());
    let mut fetches: BTreeMap<i64, usize> = BTreeMap::new();
    let mut waiting = 0_usize;
    let mut pendings = Vec::new();
    for second in 0..60 {
        for id in 0..300 {
            // Nobody gets as far as the signature.
            let message = Forge::new(&key).header("kid", format!("{second} {id}")).unsigned();
            match world.step(&bearer(&mint::compact(&message, &[7; 64])), later(second)) {
                Step::Wait { pending } => pendings.push(pending),
                step => row.any("an unknown id", &done(step), &[401, 503]),
            }
        }
        waiting = waiting.max(world.engine.stats().awaiting_keys);
        let due = world.tick(later(second));
        *fetches.entry(second / 10).or_default() += due.fetches.len();
        for (fetch, ..) in due.fetches {
            let _ = world.answer(fetch, Reply::http(200, key.public_jwks().to_string()), later(second));
        }
        for pending in pendings.drain(..) {
            if let Step::Done(decision) = world.engine.resume(pending, Vec::new(), later(second)) {
                row.any("an unknown id that waited", &decision, &[401, 503]);
            }
        }
        let good = Forge::new(&key).signed(&key);
        row.is("a good token meanwhile", &world.at(&bearer(&good), later(second)), 200);
    }
    let most = fetches.values().max().copied().unwrap_or_default();
    row.expect("one fetch per interval", most == 1, format!("{most}: {fetches:?}"));
    row.expect("a bounded number waits", waiting <= 100, format!("{waiting}"));
    // Without a credential nobody asks for keys.
    row.is("no token", &world.at(&get("/"), later(60)), 401);
    row.is("a key id in a header", &world.at(&with(&[("kid", "x")]), later(60)), 401);
    let plain = signed_bytes(&key, text(&key.header()), "{}");
    row.is("no issuer, no fetch", &world.at(&bearer(&plain), later(60)), 401);
}

/// The discovery document leads to no other server and no other issuer.
fn discovery(row: &mut Row) {
    let mut config = remote();
    let keys = &mut config["issuers"][0]["keys"]["remote"];
    keys.as_object_mut().unwrap().remove("path");
    keys["discovery"] = json!(true);
    for (name, document, follows) in [
        ("honest", json!({"issuer": ISSUER, "jwks_uri": "https://id.example/jwks"}), true),
        ("another server", json!({"issuer": ISSUER, "jwks_uri": "https://evil.example/jwks"}), false),
        ("a metadata address", json!({"issuer": ISSUER, "jwks_uri": "http://169.254.169.254/"}), false),
        ("a user", json!({"issuer": ISSUER, "jwks_uri": "https://id.example@evil.example/"}), false),
        ("another scheme", json!({"issuer": ISSUER, "jwks_uri": "http://id.example/jwks"}), false),
        ("another port", json!({"issuer": ISSUER, "jwks_uri": "https://id.example:8443/jwks"}), false),
        (
            "another issuer",
            json!({"issuer": "https://evil.example", "jwks_uri": "https://id.example/jwks"}),
            false,
        ),
        ("no issuer", json!({"jwks_uri": "https://id.example/jwks"}), false),
    ] {
        let mut world = World::fetching(&config);
        let due = world.tick(NOW);
        let (fetch, cluster, host, path) = due.fetches.first().unwrap().clone();
        let well_known = (cluster.as_str(), host.as_str(), path.as_str());
        let expected = ("jwks", "id.example", "/.well-known/openid-configuration");
        row.expect(name, well_known == expected, format!("{well_known:?}"));
        let due = world.answer(fetch, Reply::http(200, document.to_string()), NOW);
        let asked: Vec<(&str, &str)> =
            due.fetches.iter().map(|(_, cluster, host, _)| (cluster.as_str(), host.as_str())).collect();
        let expected = if follows { vec![("jwks", "id.example")] } else { Vec::new() };
        row.expect(name, asked == expected, format!("{:?}", due.fetches));
    }
}

fn moved(status: u16, headers: Headers, body: Vec<u8>) -> Reply {
    Reply::Http { status, headers, body, trailers: Headers::default() }
}
