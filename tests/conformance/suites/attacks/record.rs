//! Attacks on what is written down.

use everycall::WireRequest;
use everycall_core::Decision;
use serde_json::{json, Value};

use super::world::{bearer, config, get, key, token, with, Forge, Row, World};
use crate::suite::Vectors;

/// The line that the filter writes.
fn line(decision: &Decision) -> String {
    everycall_core::json::line(&decision.record).unwrap()
}

/// One line of JSON, with every control character escaped, and none of the secrets.
fn is_one_line(row: &mut Row, what: &str, decision: &Decision, secrets: &[&str]) {
    let line = line(decision);
    row.expect(what, serde_json::from_str::<Value>(&line).is_ok(), "is not JSON");
    let ends = |c: char| c.is_ascii_control() && c != '\u{7f}';
    row.expect(what, !line.contains(ends), format!("holds {:?}", line.chars().find(|c| ends(*c))));
    for secret in secrets {
        row.expect(what, !line.contains(secret), format!("holds a secret of {} characters", secret.len()));
    }
}

/// The policy reads every header and the query, so all of them stand in the record.
fn curious() -> Value {
    let mut config = config();
    config["bundle"]["inline"]["policies"] = json!({"all.rego":
        "package everycall\ndecision := {\"allow\": true} if { count(input.request.headers) >= 0; count(input.request.query) >= 0; count(input.identity.claims) > 0 }"});
    config
}

const NASTY: [&str; 10] = [
    "a\nb",
    "a\r\n{\"v\":2,\"decision\":\"allow\"}",
    "a\"b",
    "a\\b",
    "a\\\"b",
    "a\tb\u{8}\u{c}",
    "\u{1b}[31mred",
    "a\0b",
    "</script>",
    "${jndi:x}",
];

pub fn a54(row: &mut Row, _: &Vectors) {
    for config in [config(), curious()] {
        let mut world = World::new(&config);
        for nasty in NASTY {
            for claim in ["sub", "name", "jti", "iss", "aud", "azp"] {
                let token = Forge::new(&key()).claim(claim, nasty).signed(&key());
                let (_, signature) = token.rsplit_once('.').unwrap();
                is_one_line(row, &format!("{claim} {nasty:?}"), &world.token(&token), &[&token, signature]);
            }
            for header in ["kid", "typ", "alg"] {
                let token = Forge::new(&key()).header(header, nasty).signed(&key());
                let (_, signature) = token.rsplit_once('.').unwrap();
                is_one_line(row, &format!("{header} {nasty:?}"), &world.token(&token), &[&token, signature]);
            }
            let good = token();
            let (_, signature) = good.rsplit_once('.').unwrap();
            for (what, request) in [
                ("path", WireRequest { path: format!("/{nasty}").into(), ..bearer(&good) }),
                ("query", WireRequest { path: format!("/?a={nasty}").into(), ..bearer(&good) }),
                ("host", WireRequest { host: nasty.into(), ..bearer(&good) }),
                ("method", WireRequest { method: nasty.into(), ..bearer(&good) }),
                (
                    "x-request-id",
                    with(&[("authorization", &format!("Bearer {good}")), ("x-request-id", nasty)]),
                ),
                ("a header", with(&[("authorization", &format!("Bearer {good}")), ("x-other", nasty)])),
                ("the name of a header", with(&[("authorization", &format!("Bearer {good}")), (nasty, "x")])),
                ("credential", with(&[("authorization", &format!("Bearer {good}{nasty}"))])),
                ("scheme", with(&[("authorization", &format!("{nasty} {good}"))])),
            ] {
                is_one_line(row, &format!("{what} {nasty:?}"), &world.check(&request), &[&good, signature]);
            }
        }
        let good = token();
        let (message, signature) = good.rsplit_once('.').unwrap();
        for path in [&b"/\xff"[..], b"/\xc0\xaf", b"/a\xed\xa0\x80"] {
            let request = WireRequest { path: path.to_vec(), ..bearer(&good) };
            is_one_line(row, "bytes that are no text", &world.check(&request), &[&good, message, signature]);
        }
        for size in [60_000, 1_000_000] {
            let request = WireRequest { path: format!("/{}", "a".repeat(size)).into(), ..bearer(&good) };
            is_one_line(row, "a long path", &world.check(&request), &[signature]);
            let long = Forge::new(&key()).claim("x", "a".repeat(size)).signed(&key());
            is_one_line(row, "long claims", &world.token(&long), &[long.rsplit_once('.').unwrap().1]);
        }
        // Every credential that does not get in is as secret as one that does.
        for (what, headers) in [
            (
                "twice",
                vec![
                    ("authorization", format!("Bearer {good}")),
                    ("authorization", format!("Bearer {good}")),
                ],
            ),
            ("another scheme", vec![("authorization", format!("Token {good}"))]),
            ("DPoP", vec![("authorization", format!("DPoP {good}")), ("dpop", good.clone())]),
            ("an API key", vec![("authorization", "Bearer ek_a_sesame-sesame-sesame".to_owned())]),
            ("Basic", vec![("authorization", "Basic sesame-sesame-sesame".to_owned())]),
        ] {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            is_one_line(row, what, &world.check(&with(&headers)), &[&good, message, signature, "sesame"]);
        }
        let in_query = WireRequest { path: format!("/?access_token={good}").into(), ..get("/") };
        is_one_line(row, "a refused token in the query", &world.check(&in_query), &[&good, signature]);
    }
}

/// JSON escapes what is below the blank; DEL and the C1 controls steer terminals too, and some
/// readers end lines at U+0085, U+2028 and U+2029.
pub fn a54_controls(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    for nasty in ['\u{7f}', '\u{85}', '\u{9b}', '\u{2028}', '\u{2029}'] {
        let claim = Forge::new(&key()).claim("name", format!("a{nasty}b")).signed(&key());
        let path = WireRequest { path: format!("/{nasty}").into(), ..bearer(&token()) };
        for decision in [world.token(&claim), world.check(&path)] {
            row.expect(
                &nasty.escape_unicode().to_string(),
                !line(&decision).contains(nasty),
                "stands as it is",
            );
        }
    }
}

/// A proof is as much a credential as the token, also to a policy that reads all headers.
pub fn a54_dpop(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&curious());
    let proof = "eyJ.proof.sesame";
    let decision = world.check(&with(&[("authorization", &format!("Bearer {}", token())), ("dpop", proof)]));
    row.is("allowed", &decision, 200);
    row.expect("no proof", !line(&decision).contains("sesame"), "the record holds the header `dpop`");
}
