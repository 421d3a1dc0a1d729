//! The rules of the standard, each with tokens that keep it and that break it.

use everycall::mint::TestKey;
use everycall_core::jose::{KeyRules, Usage};
use everycall_core::{Algorithm, KeySet};
use serde_json::{json, Value};

use super::{authorities, authority, domain, svid, trust_domain, verify, CASES, SUBJECT};
use crate::suite::{CaseResult, Vectors};
use crate::suites::attacks::world::{config, is_refused, Row, World, NOW};

type Rule = fn(&mut Row);

/// In the order of the file.
const RULES: [Rule; 9] = [
    algorithms,
    types,
    no_other_parameters,
    compact_only,
    subjects,
    audiences,
    expiry,
    keys_for_this_use,
    one_domain_each,
];

pub(super) fn rules(vectors: &Vectors) -> Vec<CaseResult> {
    let file = vectors.json(CASES);
    let published = file["spec_rules"].as_array().expect("the file has rules");
    let mut results: Vec<CaseResult> = (published.iter().enumerate())
        .map(|(index, rule)| {
            let rule = rule.as_str().expect("a rule is text");
            let mut row = Row::new(format!(
                "rule {}: {}",
                index + 1,
                rule.split([':', ',']).next().unwrap_or_default()
            ));
            if let Some(check) = RULES.get(index) {
                check(&mut row);
            }
            row.result()
        })
        .collect();
    let mut es512 = Row::new("rule 1, ES512");
    let mut config = domain(&json!(["audience"]));
    config["issuers"][0]["algorithms"] = json!(["ES384", "RS256", "ES512"]);
    es512.expect("ES512 can be configured", everycall_core::Settings::from_value(config).is_ok(), "it can't");
    results.push(es512.result());
    results
}

pub(super) fn token(row: &mut Row, what: &str, config: &Value, token: &str, accept: bool) {
    let got = verify(token, config);
    row.expect(what, got.is_ok() == accept, format!("{got:?}"));
}

fn algorithms(row: &mut Row) {
    for algorithm in Algorithm::ALL {
        let key = TestKey::of(algorithm).unwrap();
        let keys = [authority(&key, "authority1")];
        let mut config = config();
        let name = algorithm.as_str();
        config["issuers"] = json!([trust_domain("trustdomain", &json!(["audience"]), &[name], &keys)]);
        if algorithm == Algorithm::EdDsa {
            row.expect(name, is_refused(&config), "the configuration is taken");
        } else {
            token(row, name, &config, &svid(&key).signed(&key), true);
        }
    }
    let config = domain(&json!(["audience"]));
    let [key, _] = authorities();
    for alg in ["HS256", "HS384", "HS512", "none", "EdDSA", "Ed25519", "ES256", "ES512", "RS256"] {
        token(row, alg, &config, &svid(&key).header("alg", alg).signed(&key), false);
        token(row, alg, &config, &format!("{}.", svid(&key).header("alg", alg).unsigned()), false);
    }
}

fn types(row: &mut Row) {
    let (config, [key, _]) = (domain(&json!(["audience"])), authorities());
    for typ in ["JWT", "JOSE"] {
        token(row, typ, &config, &svid(&key).header("typ", typ).signed(&key), true);
    }
    token(row, "none", &config, &svid(&key).without_header("typ").signed(&key), true);
    for typ in [
        json!("invalid"),
        json!("at+jwt"),
        json!("wit+jwt"),
        json!(""),
        json!("JWT "),
        json!(null),
        json!(1),
        json!(["JWT"]),
    ] {
        token(row, &typ.to_string(), &config, &svid(&key).header("typ", typ).signed(&key), false);
    }
}

fn no_other_parameters(row: &mut Row) {
    let (config, [key, _]) = (domain(&json!(["audience"])), authorities());
    token(row, "alg, kid, typ", &config, &svid(&key).signed(&key), true);
    for name in [
        "crit", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "cty", "b64", "zip", "enc", "iss", "Kid",
        "nonce", "",
    ] {
        for value in [json!("x"), json!(null), json!([]), json!(true)] {
            token(row, name, &config, &svid(&key).header(name, value).signed(&key), false);
        }
    }
}

fn compact_only(row: &mut Row) {
    let (config, [key, _]) = (domain(&json!(["audience"])), authorities());
    let compact = svid(&key).signed(&key);
    token(row, "compact", &config, &compact, true);
    let parts: Vec<&str> = compact.split('.').collect();
    let flat = json!({"payload": parts[1], "protected": parts[0], "signature": parts[2]});
    let one = json!({"protected": parts[0], "signature": parts[2]});
    token(row, "flattened JSON", &config, &flat.to_string(), false);
    token(
        row,
        "general JSON",
        &config,
        &json!({"payload": parts[1], "signatures": [one]}).to_string(),
        false,
    );
    token(row, "detached", &config, &format!("{}..{}", parts[0], parts[2]), false);
}

fn subjects(row: &mut Row) {
    let (config, [key, _]) = (domain(&json!(["audience"])), authorities());
    for sub in [SUBJECT, "spiffe://trustdomain/a/b.c-d_E"] {
        token(row, sub, &config, &svid(&key).claim("sub", sub).signed(&key), true);
    }
    for sub in [
        json!("host"),
        json!(""),
        json!(null),
        json!(1),
        json!([SUBJECT]),
        json!("spiffe://trustdomain"),
        json!("spiffe://trustdomain/"),
        json!("spiffe://trustdomain//host"),
        json!("spiffe://trustdomain/host/"),
        json!("spiffe://TrustDomain/host"),
        json!("SPIFFE://trustdomain/host"),
        json!("spiffe://trustdomain/%68ost"),
        json!("spiffe://trustdomain/../host"),
        json!("spiffe://trustdomain:1/host"),
        json!("spiffe://user@trustdomain/host"),
        json!("spiffe://trustdomain/host?x"),
        json!("spiffe://trustdomain/host#x"),
        json!("https://trustdomain/host"),
        json!(format!("spiffe://trustdomain/{}", "a".repeat(2048))),
    ] {
        let name: String = sub.to_string().chars().take(60).collect();
        token(row, &name, &config, &svid(&key).claim("sub", sub).signed(&key), false);
    }
    token(row, "missing", &config, &svid(&key).without("sub").signed(&key), false);
}

fn audiences(row: &mut Row) {
    let (config, [key, _]) = (domain(&json!(["audience", "second"])), authorities());
    for aud in [json!("audience"), json!(["audience"]), json!(["other", "second"])] {
        token(row, &aud.to_string(), &config, &svid(&key).claim("aud", aud).signed(&key), true);
    }
    for aud in [
        json!("other"),
        json!([]),
        json!(""),
        json!(null),
        json!(["other"]),
        json!("audience/"),
        json!("Audience"),
        json!({"audience": 1}),
    ] {
        token(row, &aud.to_string(), &config, &svid(&key).claim("aud", aud).signed(&key), false);
    }
    token(row, "missing", &config, &svid(&key).without("aud").signed(&key), false);
}

fn expiry(row: &mut Row) {
    let (config, [key, _]) = (domain(&json!(["audience"])), authorities());
    let until = |exp: Value| svid(&key).claim("iat", NOW.secs() - 100).claim("exp", exp).signed(&key);
    token(row, "a second left", &config, &until(json!(NOW.secs() + 1)), true);
    for exp in [
        json!(NOW.secs()),
        json!(NOW.secs() - 1),
        json!(0),
        json!(-1),
        json!(null),
        json!("4102444800"),
        json!(true),
        json!(1e30),
    ] {
        token(row, &exp.to_string(), &config, &until(exp), false);
    }
    token(row, "missing", &config, &svid(&key).without("exp").signed(&key), false);
}

fn keys_for_this_use(row: &mut Row) {
    let [key, other] = authorities();
    let good = authority(&other, "authority2");
    for (name, change) in [
        ("x509-svid", json!({"use": "x509-svid"})),
        ("wit-svid", json!({"use": "wit-svid"})),
        ("sig", json!({"use": "sig"})),
        ("another case", json!({"use": "JWT-SVID"})),
        ("no use", json!({"use": null})),
        ("no kid", json!({"kid": null})),
    ] {
        let mut jwk = authority(&key, "authority1");
        let members = jwk.as_object_mut().unwrap();
        members.extend(change.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        let set = json!({"keys": [jwk, good]}).to_string();
        let rules = KeyRules { algorithms: &[Algorithm::Es384, Algorithm::Rs256], usage: Usage::JwtSvid };
        let ids = KeySet::fetched(set.as_bytes(), &rules)
            .map(|fetched| fetched.keys.ids().map(str::to_owned).collect::<Vec<_>>());
        row.expect(name, ids == Ok(vec!["authority2".to_owned()]), format!("{ids:?}"));
        // What verifies nothing in a bundle verifies nothing in an engine.
        if name != "no kid" {
            let mut config = config();
            config["issuers"] = json!([trust_domain(
                "trustdomain",
                &json!(["audience"]),
                &["ES384", "RS256"],
                &[jwk, good.clone()]
            )]);
            token(row, name, &config, &svid(&key).signed(&key), false);
        }
    }
}

fn one_domain_each(row: &mut Row) {
    let [first, _] = authorities();
    let second = TestKey::foreign(Algorithm::Es384).unwrap();
    let mut config = config();
    let audience = json!(["audience"]);
    let domains = [("trustdomain", &first), ("another.domain", &second)]
        .map(|(name, key)| trust_domain(name, &audience, &["ES384"], &[authority(key, "authority1")]));
    config["issuers"] = json!(domains);
    let mut world = World::new(&config);
    for (name, sub, key, accept) in [
        ("A by A", SUBJECT, &first, true),
        ("B by B", "spiffe://another.domain/host", &second, true),
        ("A by B", SUBJECT, &second, false),
        ("B by A", "spiffe://another.domain/host", &first, false),
        ("a domain that nobody has", "spiffe://third.domain/host", &first, false),
        ("a domain below", "spiffe://sub.trustdomain/host", &first, false),
    ] {
        let minted = svid(key).claim("sub", sub).signed(key);
        token(row, name, &config, &minted, accept);
        // Nobody has a grant here, so a believed caller is answered 403.
        row.is(name, &world.token(&minted), if accept { 403 } else { 401 });
        let stranger = svid(key).claim("sub", sub).claim("iss", "spiffe://another.domain");
        token(row, &format!("{name}, `iss` of B"), &config, &stranger.signed(key), accept);
    }
}
