//! Tokens that were verified before: what is checked again, and how many are remembered.

use everycall_core::Reason;
use serde_json::json;

use super::{configuration, engine, later, reason, request, settings, token, NOW};

#[test]
fn a_cached_token_is_the_whole_token_and_is_checked_again() {
    let mut engine = engine(&configuration());
    let token = token(60);
    assert_eq!(reason(engine.check(request(1, "/open", &token), NOW)), Reason::Allowed);
    assert_eq!(engine.stats().tokens_cached, 1);
    // The verified signature under other parts.
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Vec<char> = parts[1].chars().collect();
    claims[20] = if claims[20] == 'A' { 'B' } else { 'A' };
    let forged = format!("{}.{}.{}", parts[0], claims.iter().collect::<String>(), parts[2]);
    assert_ne!(reason(engine.check(request(1, "/open", &forged), NOW)), Reason::Allowed);
    assert_ne!(reason(engine.check(request(1, "/open", &format!("{token}=")), NOW)), Reason::Allowed);
    // What is told of the header and what of the rest: each end of both.
    let (header, rest) = (parts[0].trim_start_matches("Bearer "), format!("{}.{}", parts[1], parts[2]));
    for forged in [
        format!("Bearer {}.{rest}", &header[1..]),
        format!("Bearer {}.{rest}", &header[..header.len() - 1]),
        format!("Bearer e{header}.{rest}"),
        format!("Bearer {header}{rest}"),
        format!("Bearer {header}..{rest}"),
        format!("Bearer {header}.{}", &rest[1..]),
        format!("Bearer {rest}"),
    ] {
        assert_ne!(reason(engine.check(request(1, "/open", &forged), NOW)), Reason::Allowed, "{forged}");
    }
    assert_eq!(reason(engine.check(request(1, "/open", &token), later(60))), Reason::TokenExpired);
}

#[test]
fn a_cached_token_is_verified_again_when_its_issuer_changed() {
    let mut engine = engine(&configuration());
    let token = token(60);
    assert_eq!(reason(engine.check(request(1, "/open", &token), NOW)), Reason::Allowed);
    let mut config = configuration();
    config["issuers"][0]["audiences"] = json!(["https://elsewhere.example"]);
    engine.configure(settings(&config));
    assert_eq!(reason(engine.check(request(1, "/open", &token), NOW)), Reason::TokenAudience);
}

#[test]
fn the_token_cache_is_bounded() {
    let mut config = configuration();
    config["limits"] = json!({"tokens_cached": 3});
    let mut engine = engine(&config);
    for lifetime in 10..20 {
        assert_eq!(reason(engine.check(request(1, "/open", &token(lifetime)), NOW)), Reason::Allowed);
    }
    assert_eq!(engine.stats().tokens_cached, 3);
}

#[test]
fn the_token_cache_is_bounded_by_bytes_too() {
    let mut config = configuration();
    config["limits"] = json!({"tokens_cached_bytes": 20_000});
    let mut engine = engine(&config);
    for lifetime in 10..100 {
        assert_eq!(reason(engine.check(request(1, "/open", &token(lifetime)), NOW)), Reason::Allowed);
    }
    let cached = engine.stats().tokens_cached;
    assert!((3..=12).contains(&cached), "{cached}");
    config["limits"] = json!({"tokens_cached_bytes": 0});
    engine.configure(settings(&config));
    assert_eq!(engine.stats().tokens_cached, 0);
    assert_eq!(reason(engine.check(request(1, "/open", &token(60)), NOW)), Reason::Allowed);
    assert_eq!(engine.stats().tokens_cached, 0);
}

#[test]
fn bad_tokens_push_no_good_one_out() {
    let mut config = configuration();
    config["limits"] = json!({"tokens_cached": 1});
    let mut engine = engine(&config);
    let good = token(60);
    assert_eq!(reason(engine.check(request(1, "/open", &good), NOW)), Reason::Allowed);
    for number in 0..5_000 {
        // The good one's end, so that it would fall on the same entry.
        let bad = format!("Bearer {number}{}", good.trim_start_matches("Bearer "));
        assert_ne!(reason(engine.check(request(1, "/open", &bad), NOW)), Reason::Allowed);
    }
    assert_eq!(engine.stats().tokens_cached, 1);
    assert_eq!(reason(engine.check(request(1, "/open", &good), NOW)), Reason::Allowed);
}
