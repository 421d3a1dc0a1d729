//! Attacks on times: when a token was issued, and how long it lives.

use everycall_core::UnixTime;
use serde_json::json;

use super::claims::{claim, honest, written};
use super::world::{bearer, config, key, later, Row, World, NOW};
use crate::suite::Vectors;

pub fn a23(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let now = NOW.secs();
    for good in
        [format!("{}", now + 60), format!("{}.5", now + 60), format!("{}.0", now + 60), "1.80000006e9".into()]
    {
        row.is(&good, &written(&mut world, "exp", &good), 200);
    }
    for bad in [
        format!("{now}.5"),
        format!("{}.999999", now - 1),
        "1.5e9".into(),
        "1e400".into(),
        "-1e400".into(),
        "1e308".into(),
        "-1".into(),
        "0".into(),
        "-0.0".into(),
        "1e-5".into(),
        format!("\"{}\"", now + 60),
        "\"\"".into(),
        "null".into(),
        "true".into(),
        "[]".into(),
        format!("[{}]", now + 60),
        "{}".into(),
        "9007199254740993".into(),
        "9223372036854775807".into(),
        "9223372036854775808".into(),
        "18446744073709551615".into(),
        "18446744073709551616".into(),
        "-9223372036854775808".into(),
        "253402300800".into(),
        "NaN".into(),
        "Infinity".into(),
        format!("0{}", now + 60),
        format!("+{}", now + 60),
        "0x7fffffff".into(),
        // Milliseconds.
        format!("{}000", now + 60),
    ] {
        row.is(&bad, &written(&mut world, "exp", &bad), 401);
    }
    row.is("missing", &world.token(&honest().without("exp").signed(&key())), 401);
    row.is("too long a life", &claim(&mut world, "exp", json!(now + 3_601)), 401);
}

/// The configuration with this leeway; 5 without one.
fn lenient(leeway_s: i64) -> World {
    let mut config = config();
    config["issuers"][0]["leeway_s"] = json!(leeway_s);
    World::new(&config)
}

pub fn a24(row: &mut Row, _: &Vectors) {
    let mut world = lenient(0);
    let now = NOW.secs();
    row.is("now", &claim(&mut world, "nbf", json!(now)), 200);
    row.is("before `iat`", &claim(&mut world, "nbf", json!(now - 100)), 200);
    for bad in [
        format!("{}", now + 1),
        format!("{}", now + 299),
        format!("{}", now + 10_000),
        format!("{}.0", now + 1),
        "9223372036854775807".into(),
        "9223372036854775808".into(),
        "-9223372036854775808".into(),
        "-1".into(),
        "1e400".into(),
        format!("\"{now}\""),
        "null".into(),
        "false".into(),
        "[]".into(),
        "{}".into(),
    ] {
        row.is(&bad, &written(&mut world, "nbf", &bad), 401);
    }
    // The second time too, when it might be remembered.
    let early = honest().claim("nbf", now + 100).signed(&key());
    row.is("early", &world.token(&early), 401);
    row.is("early again", &world.token(&early), 401);
    row.is("in time", &world.at(&bearer(&early), later(100)), 200);
}

pub fn a25(row: &mut Row, _: &Vectors) {
    let now = NOW.secs();
    let at = |iat: i64| honest().claim("iat", iat).claim("exp", iat + 300).signed(&key());
    let mut world = lenient(0);
    row.is("now", &world.token(&at(now)), 200);
    row.is("a second ahead, no leeway", &world.token(&at(now + 1)), 401);
    let (mut five, mut ordinary) = (lenient(5), World::new(&config()));
    for world in [&mut five, &mut ordinary] {
        row.is("within the leeway", &world.token(&at(now + 5)), 200);
        row.is("beyond the leeway", &world.token(&at(now + 6)), 401);
    }
    for world in [&mut world, &mut five, &mut ordinary] {
        row.is("far ahead", &world.token(&at(now + 100_000)), 401);
        for bad in [
            "-1",
            "-9223372036854775808",
            "9223372036854775807",
            "253402300800",
            "1e400",
            "\"0\"",
            "null",
            "true",
            "[]",
        ] {
            row.is(bad, &written(world, "iat", bad), 401);
        }
        row.is("0", &written(world, "iat", "0"), 401);
        row.is("after `exp`", &claim(world, "iat", json!(now + 400)), 401);
        row.is("at `exp`", &world.token(&honest().claim("iat", now).claim("exp", now).signed(&key())), 401);
        row.is("missing", &world.token(&honest().without("iat").signed(&key())), 401);
    }
}

pub fn a26(row: &mut Row, _: &Vectors) {
    let now = NOW.secs();
    for leeway in [0, 5, 60] {
        let mut config = config();
        config["issuers"][0]["leeway_s"] = json!(leeway);
        let mut world = World::new(&config);
        let until = |exp: i64| honest().claim("iat", now - 1_000).claim("exp", exp).signed(&key());
        row.is("a second left", &world.token(&until(now + 1)), 200);
        for (name, exp) in [
            ("now", now),
            ("a second ago", now - 1),
            ("the leeway ago", now - leeway),
            ("a second less than the leeway ago", now - leeway + leeway.min(1)),
            ("a minute ago", now - 60),
        ] {
            row.is(&format!("{name}, leeway {leeway}"), &world.token(&until(exp)), 401);
        }
        // Remembered, and over a moment later.
        let token = until(now + 10);
        row.is("fresh", &world.token(&token), 200);
        let almost = UnixTime::from_micros((now + 10) * 1_000_000 - 1);
        row.is("a microsecond left", &world.at(&bearer(&token), almost), 200);
        row.is("over", &world.at(&bearer(&token), later(10)), 401);
        let half = World::new(&config).at(&bearer(&until(now)), UnixTime::from_micros(now * 1_000_000 - 1));
        row.is("a microsecond before", &half, 200);
    }
}
