//! What a server answers: sets of keys and what is none, how long they count, where discovery leads.

use std::rc::Rc;

use everycall::mint::TestKey;
use everycall_core::http::Failure;
use everycall_core::sync::{Freshness, LocalData};
use everycall_core::{
    Algorithm, Effect, Engine, FetchId, Headers, IdSeed, PureRust, Reason, Reply, UnixTime,
};
use serde_json::{json, Value};

use super::{configuration, millis, set, token, Workers, ISSUER};
use crate::{later, settings, NOW};

#[test]
fn keys_serve_stale_until_the_hard_age_and_recover() {
    let mut workers = Workers::new(2, &configuration(json!({})));
    workers.tick(NOW);
    workers.tick(millis(100));
    workers.server.reply = Reply::Failed(Failure::Unavailable);
    for second in 1..=601 {
        workers.tick(later(second));
        let reason = workers.send(1, 1, &token(Algorithm::Es256, 60, later(second)), later(second));
        match second {
            0..=600 => assert_eq!(reason, Some(Reason::Allowed), "{second}"),
            _ => assert_eq!(reason, None, "{second}: it waits"),
        }
        let expected = match second {
            0..=60 => Freshness::Fresh,
            61..=600 => Freshness::Stale,
            _ => Freshness::Expired,
        };
        assert_eq!(workers.state(1), expected, "{second}");
    }
    workers.tick(later(603));
    assert_eq!(workers.decided.last(), Some(&(1, Reason::KeysUnavailable)));
    assert!(workers.warnings.iter().all(|warning| warning.contains(ISSUER)) && !workers.warnings.is_empty());
    let name = format!("the key set of `{ISSUER}`");
    let said = |warnings: &[String], how: &str| {
        warnings
            .iter()
            .filter(|warning| **warning == format!("{name} {how}; keys serve for 600 s at most"))
            .count()
    };
    assert_eq!(said(&workers.warnings, "is stale: it is 61 s old"), 2, "{:?}", workers.warnings);
    assert_eq!(said(&workers.warnings, "has expired: it is 601 s old"), 2, "{:?}", workers.warnings);
    assert_eq!(workers.notes, [""; 0]);
    workers.server.reply = set(&[Algorithm::Es256]);
    for second in 604..620 {
        workers.tick(later(second));
    }
    assert_eq!(
        workers.send(0, 2, &token(Algorithm::Es256, 60, later(620)), later(620)),
        Some(Reason::Allowed)
    );
    assert_eq!(workers.state(0), Freshness::Fresh);
    assert_eq!(workers.notes, [format!("{name} is fresh again"), format!("{name} is fresh again")]);
}

#[test]
fn a_cached_token_ends_with_its_key_and_others_stay() {
    let mut workers = Workers::new(1, &configuration(json!({})));
    workers.server.reply = set(&[Algorithm::Es256, Algorithm::EdDsa]);
    workers.tick(NOW);
    let (gone, stays) = (token(Algorithm::EdDsa, 600, NOW), token(Algorithm::Es256, 600, NOW));
    for token in [&gone, &stays] {
        assert_eq!(workers.send(0, 1, token, later(1)), Some(Reason::Allowed));
    }
    assert_eq!(workers.engines[0].stats().tokens_cached, 2);
    workers.server.reply = set(&[Algorithm::Es256]);
    let rotated = (2..61).map(later).find(|now| {
        workers.tick(*now);
        workers.server.asked == 2
    });
    let now = rotated.unwrap();
    assert_eq!(workers.send(0, 1, &gone, now), Some(Reason::TokenKeyUnknown), "at once: it was taken away");
    assert_eq!(workers.send(0, 1, &stays, now), Some(Reason::Allowed));
    assert_eq!(workers.engines[0].stats().tokens_cached, 1);
}

#[test]
fn what_is_no_key_set_changes_nothing() {
    let jwk = TestKey::of(Algorithm::Es256).unwrap().public_jwk();
    let mut other = TestKey::foreign(Algorithm::Es256).unwrap().public_jwk();
    other["kid"] = jwk["kid"].clone();
    let mut private = jwk.clone();
    private["d"] = json!("AAAA");
    let mut weak = TestKey::of(Algorithm::Rs256).unwrap().public_jwk();
    weak["e"] = json!("Aw");
    let big = format!("{{\"keys\":[],\"pad\":\"{}\"}}", "x".repeat(5 << 20));
    for reply in [
        Reply::http(200, "<html><body>Sign in</body></html>"),
        Reply::http(200, ""),
        Reply::http(200, "{}"),
        Reply::http(200, r#"{"keys":{}}"#),
        Reply::http(200, r#"{"keys":[]}"#),
        Reply::http(200, json!({"keys": [private]}).to_string()),
        Reply::http(200, json!({"keys": [weak]}).to_string()),
        Reply::http(200, json!({"keys": [jwk, other]}).to_string()),
        Reply::http(200, json!({"keys": [jwk]}).to_string().replace("\"keys\"", "\"keys\":[],\"keys\"")),
        Reply::http(200, format!("{} trailing", json!({"keys": [jwk]}))),
        Reply::http(200, big),
        Reply::http(204, ""),
        Reply::http(301, json!({"keys": [jwk]}).to_string()),
        Reply::http(500, json!({"keys": [jwk]}).to_string()),
        Reply::Failed(Failure::TooLarge),
        Reply::Failed(Failure::Unavailable),
    ] {
        // Nothing was there before: nothing is there after.
        let mut workers = Workers::new(1, &configuration(json!({})));
        workers.server.reply = reply.clone();
        assert_eq!(workers.send(0, 1, &token(Algorithm::Es256, 60, NOW), NOW), None, "{reply:?}");
        workers.tick(millis(100));
        workers.tick(millis(1_000));
        assert_eq!(workers.decided, [(1, Reason::KeysUnavailable)], "{reply:?}");
        assert_eq!((workers.state(0), workers.server.asked), (Freshness::Missing, 1), "{reply:?}");
        assert_eq!(workers.warnings.len(), 1, "{reply:?}: {:?}", workers.warnings);
        // A good set was there before: it stays.
        let mut workers = Workers::new(1, &configuration(json!({})));
        workers.tick(NOW);
        workers.server.reply = reply.clone();
        for second in 1..100 {
            workers.tick(later(second));
        }
        assert!(workers.server.asked > 2, "{reply:?}");
        let at = later(100);
        assert_eq!(
            workers.send(0, 1, &token(Algorithm::Es256, 60, at), at),
            Some(Reason::Allowed),
            "{reply:?}"
        );
    }
}

#[test]
fn the_servers_max_age_is_kept_within_the_interval_and_the_refresh() {
    let fetches = |header: &str| {
        let mut workers = Workers::new(1, &configuration(json!({})));
        let headers = Headers::new(vec![("cache-control".into(), header.as_bytes().to_vec())]);
        let Reply::Http { body, .. } = set(&[Algorithm::Es256]) else { panic!() };
        workers.server.reply = Reply::Http { status: 200, headers, body, trailers: Headers::default() };
        for second in 0..300 {
            workers.tick(later(second));
        }
        workers.server.asked
    };
    let by_refresh = fetches("no-transform");
    assert!((5..=8).contains(&by_refresh), "{by_refresh}");
    assert_eq!(fetches("public, max-age=9999"), by_refresh, "no longer than refresh_s");
    assert!((10..=16).contains(&fetches("Max-Age=30, must-revalidate")));
    assert!(fetches("max-age=0") <= 30, "no more often than interval_s");
    assert_eq!(fetches("max-age=soon"), by_refresh);
}

#[test]
fn discovery_leads_to_the_configured_server_only() {
    let config = configuration(json!({"discovery": true, "path": null, "host": "id.shop.example"}));
    let document = |uri: &str| {
        let document = json!({"issuer": ISSUER, "jwks_uri": uri});
        Reply::http(200, document.to_string())
    };
    let run = |first: Reply| {
        let data = Rc::<LocalData>::default();
        let mut engine = Engine::new(settings(&config), Box::new(PureRust), data, IdSeed::derive(&[]));
        let fetch = |effects: Vec<Effect>| {
            effects.into_iter().find_map(|effect| match effect {
                Effect::Fetch { id, call } => {
                    let header =
                        |name: &str| call.headers.iter().find(|(other, _)| other == name).unwrap().1.clone();
                    Some((id, header(":path"), header(":authority")))
                }
                _ => None,
            })
        };
        let (id, path, host) = fetch(engine.tick(NOW)).unwrap();
        assert_eq!(
            (path.as_str(), host.as_str()),
            ("/workloads/.well-known/openid-configuration", "id.shop.example")
        );
        let next: Option<(FetchId, String, String)> = fetch(engine.fetched(id, first, NOW));
        let (id, path, host) = next?;
        assert_eq!(host, "id.shop.example");
        drop(engine.fetched(id, set(&[Algorithm::Es256]), NOW));
        assert_eq!(engine.stats().keys[0].freshness, Freshness::Fresh);
        Some(path)
    };
    assert_eq!(run(document("https://id.shop.example/keys/1")), Some("/keys/1".into()));
    assert_eq!(run(document("https://evil.example/keys")), None);
    assert_eq!(run(Reply::http(302, "")), None);
    let other =
        json!({"issuer": "https://id.shop.example/other", "jwks_uri": "https://id.shop.example/keys"});
    assert_eq!(run(Reply::http(200, other.to_string())), None);
}

#[test]
fn a_clock_that_steps_back_neither_hangs_nor_keeps_keys_for_ever() {
    let mut workers = Workers::new(1, &configuration(json!({})));
    workers.tick(NOW);
    assert_eq!(workers.send(0, 1, &token(Algorithm::EdDsa, 60, later(20)), later(20)), None);
    workers.server.reply = Reply::Failed(Failure::Unavailable);
    let back = later(-100_000);
    workers.tick(back);
    workers.tick(UnixTime::from_micros(back.micros() + 1_100_000));
    assert_eq!(workers.decided, [(1, Reason::KeysUnavailable)]);
    let at = |seconds: i64| UnixTime::from_secs(back.secs() + seconds);
    assert_eq!(workers.send(0, 2, &token(Algorithm::Es256, 60, at(2)), at(2)), Some(Reason::Allowed));
    workers.tick(at(601));
    assert_eq!(
        workers.send(0, 3, &token(Algorithm::Es256, 60, at(602)), at(602)),
        None,
        "older than max_stale_s"
    );
    assert_eq!(workers.state(0), Freshness::Expired);
    workers.server.reply = set(&[Algorithm::Es256]);
    for second in 602..640 {
        workers.tick(at(second));
    }
    assert_eq!(
        workers.send(0, 4, &token(Algorithm::Es256, 60, at(640)), at(640)),
        Some(Reason::Allowed),
        "it recovers"
    );
}

#[test]
fn a_bundle_never_goes_back_and_says_when_to_ask_again() {
    let mut config = configuration(json!({"refresh_s": 600, "max_stale_s": 3600}));
    let id = "spiffe://shop.example/ns/checkout/sa/checkout";
    let issuer = &mut config["issuers"][0];
    for (name, value) in [
        ("issuer", json!("spiffe://shop.example")),
        ("profile", json!("spiffe")),
        ("algorithms", json!(["ES256", "ES384"])),
        ("trust_domains", json!([])),
    ] {
        issuer[name] = value;
    }
    config["bundle"]["inline"]["grants"][2]["subject"] = json!(id);
    let bundle = |sequence: u64, algorithms: &[Algorithm]| {
        let keys: Vec<Value> = (algorithms.iter())
            .map(|algorithm| {
                let mut jwk = TestKey::of(*algorithm).unwrap().public_jwk();
                jwk["use"] = json!("jwt-svid");
                jwk
            })
            .collect();
        Reply::http(
            200,
            json!({"spiffe_sequence": sequence, "spiffe_refresh_hint": 30, "keys": keys}).to_string(),
        )
    };
    let svid = |algorithm: Algorithm, now: UnixTime| {
        let key = TestKey::of(algorithm).unwrap();
        let claims = json!({"aud": "https://shop.example", "sub": id, "exp": now.secs() + 60});
        format!("Bearer {}", key.sign(&key.header(), claims.as_object().unwrap()).unwrap())
    };
    let mut workers = Workers::new(2, &config);
    workers.server.reply = bundle(5, &[Algorithm::Es256]);
    workers.tick(NOW);
    workers.tick(millis(100));
    for worker in 0..2 {
        assert_eq!(workers.send(worker, 1, &svid(Algorithm::Es256, NOW), later(1)), Some(Reason::Allowed));
    }
    // An older bundle, with a key that was taken away since.
    workers.server.reply = bundle(4, &[Algorithm::Es256, Algorithm::Es384]);
    for second in 2..40 {
        workers.tick(later(second));
    }
    assert!(workers.server.asked >= 2, "the hint is followed, not refresh_s");
    assert!(workers.warnings.iter().any(|warning| warning.contains("went back from 5 to 4")));
    let at = later(40);
    assert_ne!(workers.send(0, 2, &svid(Algorithm::Es384, at), at), Some(Reason::Allowed));
    assert_eq!(workers.send(0, 3, &svid(Algorithm::Es256, at), at), Some(Reason::Allowed));
    // All keys taken away.
    workers.server.reply = bundle(6, &[]);
    for second in 41..80 {
        workers.tick(later(second));
    }
    let at = later(80);
    for worker in 0..2 {
        assert_ne!(workers.send(worker, 4, &svid(Algorithm::Es256, at), at), Some(Reason::Allowed));
    }
}
