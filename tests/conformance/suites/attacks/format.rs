//! Attacks on how a token is put together: algorithms that are none, extensions, serializations.

use everycall::mint;
use serde_json::json;

use super::world::{base64url, claims, config, key, signed_bytes, text, Forge, Row, World};
use crate::suite::Vectors;

pub fn honest() -> Forge {
    Forge::new(&key())
}

/// The token's three parts.
pub fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

pub fn a01(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    row.is("honest", &world.token(&honest().signed(&key())), 200);
    for alg in ["none", "None", "NONE", "nOnE"] {
        let unsigned = honest().header("alg", alg);
        row.is(alg, &world.token(&format!("{}.", unsigned.unsigned())), 401);
        row.is("without kid", &world.token(&format!("{}.", unsigned.without_header("kid").unsigned())), 401);
    }
}

pub fn a02(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let token = honest().signed(&key());
    let [_, _, signature] = parts(&token);
    for alg in ["none", "None"] {
        let message = honest().header("alg", alg).unsigned();
        row.is("the signature of the honest token", &world.token(&format!("{message}.{signature}")), 401);
        row.is("a signature of its own", &world.token(&honest().header("alg", alg).signed(&key())), 401);
    }
    row.is("no alg", &world.token(&honest().without_header("alg").signed(&key())), 401);
    row.is("alg null", &world.token(&honest().header("alg", json!(null)).signed(&key())), 401);
    row.is("alg in a list", &world.token(&honest().header("alg", json!(["ES256"])).signed(&key())), 401);
}

pub fn a09(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    for crit in [
        json!(["exp"]),
        json!(["unknown"]),
        json!(["b64"]),
        json!(["crit"]),
        json!([]),
        json!("x"),
        json!(null),
        json!({}),
        json!([1]),
    ] {
        row.is(&crit.to_string(), &world.token(&honest().header("crit", crit).signed(&key())), 401);
    }
    let named = honest().header("crit", json!(["unknown"])).header("unknown", true);
    row.is("named and there", &world.token(&named.signed(&key())), 401);
}

pub fn a10(row: &mut Row, vectors: &Vectors) {
    let mut world = World::new(&config());
    let published = vectors.json("jose-cookbook/rfc7797/hmac-sha2_b64_false.json");
    let compact = published["output"]["compact"].as_str().unwrap();
    row.is("published", &world.token(compact), 401);
    row.is("published, without blanks", &world.token(&compact.replace([' ', '!'], "")), 401);
    let published = vectors.json("jose-cookbook/rfc7797/4.2.hmac-sha2_b64_false.json");
    let [message, signature] = ["sig-input", "sig"].map(|name| published["signing"][name].as_str().unwrap());
    row.is("published, JSON only", &world.token(&format!("{message}.{signature}")), 401);
    for (b64, crit) in
        [(json!(false), true), (json!(false), false), (json!(true), true), (json!(true), false)]
    {
        let mut forge = honest().header("b64", b64.clone());
        if crit {
            forge = forge.header("crit", json!(["b64"]));
        }
        row.is(&format!("b64 {b64}, crit {crit}"), &world.token(&forge.signed(&key())), 401);
        // RFC 7797 section 3: the payload as it is, in the signature and in the token.
        let message =
            format!("{}.{}", base64url(text(&forge.header)), text(&claims()).replace(['.', ','], ""));
        let signature = key().signature(message.as_bytes()).unwrap();
        row.is("payload as it is", &world.token(&mint::compact(&message, &signature)), 401);
    }
    let [header, payload, signature] = parts(&honest().signed(&key())).map(str::to_owned);
    row.is("detached", &world.token(&format!("{header}..{signature}")), 401);
    row.is("not detached", &world.token(&format!("{header}.{payload}.{signature}")), 200);
}

/// The JSON forms of an honest token, flattened, general and twice signed, and pieces of them.
fn json_forms() -> Vec<(&'static str, String)> {
    let [header, payload, signature] = parts(&honest().signed(&key())).map(str::to_owned);
    let one = json!({"protected": header, "signature": signature});
    let flat = json!({"payload": payload, "protected": header, "signature": signature});
    vec![
        ("flattened", flat.to_string()),
        ("general", json!({"payload": payload, "signatures": [one]}).to_string()),
        ("two signatures", json!({"payload": payload, "signatures": [one, one]}).to_string()),
        ("with an unprotected header", {
            let kid = json!({"kid": key().id()});
            json!({"payload": payload, "header": kid, "protected": header, "signature": signature})
                .to_string()
        }),
    ]
}

pub fn a11(row: &mut Row, vectors: &Vectors) {
    let mut world = World::new(&config());
    for (form, text) in json_forms() {
        row.any(form, &world.token(&text), &[400, 401]);
        row.is("in base64url", &world.token(&base64url(&text)), 401);
        row.is("without commas", &world.token(&text.replace(',', ";")), 401);
        row.is(
            "as the payload",
            &world.token(&signed_bytes(&key(), super::world::text(&honest().header), &text)),
            401,
        );
    }
    for file in ["4_8.multiple_signatures.json", "4_6.protecting_specific_header_fields.json"] {
        let published = vectors.json(&format!("jose-cookbook/jws/{file}"));
        row.any(file, &world.token(&published["output"]["json"].to_string()), &[400, 401]);
    }
    row.is("alone", &world.token(r#"{"payload":"x"}"#), 401);
}

/// The published status for the forms that hold commas, which is all of them.
pub fn a11_status(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    for (form, text) in json_forms() {
        row.is(form, &world.token(&text), 401);
    }
}

pub fn a12(row: &mut Row, vectors: &Vectors) {
    let mut world = World::new(&config());
    let token = honest().signed(&key());
    let jwe = json!({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": key().id()}).to_string();
    row.is(
        "JWE",
        &world.token(&[base64url(jwe), "AA".into(), "AA".into(), "AA".into(), "AA".into()].join(".")),
        401,
    );
    let nested = vectors.json("jose-cookbook/6.nesting_signatures_and_encryption.json");
    for part in ["sign", "encrypt"] {
        row.is(part, &world.token(nested[part]["output"]["compact"].as_str().unwrap()), 401);
    }
    let header = text(&honest().header("cty", "JWT").header);
    row.is("nested JWS", &world.token(&signed_bytes(&key(), &header, &token)), 401);
    row.is(
        "nested JWS as JSON text",
        &world.token(&signed_bytes(&key(), &header, json!(token).to_string())),
        401,
    );
    for name in ["enc", "zip"] {
        row.is(name, &world.token(&honest().header(name, "DEF").signed(&key())), 401);
    }
    let [header, payload, signature] = parts(&token);
    row.is("five parts", &world.token(&format!("{header}.{payload}.{signature}.{payload}.{signature}")), 401);
}

pub fn a13(row: &mut Row, _: &Vectors) {
    let mut large = config();
    large["limits"] = json!({"token_bytes": 65_536});
    let token = honest().signed(&key());
    let [header, payload, signature] = parts(&token);
    for config in [config(), large] {
        let mut world = World::new(&config);
        row.is("three parts", &world.token(&token), 200);
        for text in [
            ".",
            "..",
            "...",
            "a",
            "a.b",
            "a.b.c.d",
            "a.b.c.d.e",
            &format!("{header}.{payload}"),
            &format!("{header}.{payload}."),
            &format!(".{payload}.{signature}"),
            &format!("{header}..{signature}"),
            &format!("{token}."),
            &format!(".{token}"),
            &format!("{token}.{signature}"),
            &format!("{header}.{payload}.{signature}.."),
        ] {
            row.is(text, &world.token(text), 401);
        }
        for dots in [10_000, 60_000, 1_000_000] {
            row.is(&format!("{dots} dots"), &world.token(&".".repeat(dots)), 401);
        }
        row.is("nothing", &world.token(""), 401);
    }
}
