//! Attacks on how the parts of a token are encoded: base64, JSON, character sets, size.

use everycall::mint;
use serde_json::json;

use super::format::{honest, parts};
use super::world::{claims, config, key, signed_bytes, text, Row, World};
use crate::suite::Vectors;

pub fn a14(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let token = honest().signed(&key());
    row.is("honest", &world.token(&token), 200);
    let owned = parts(&token).map(str::to_owned);
    for index in 0..3 {
        let part = &owned[index];
        // A last character whose unused bits are set decodes to the same bytes for lenient readers.
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = part.bytes().last().unwrap();
        let at = alphabet.iter().position(|byte| *byte == last).unwrap();
        let twin = char::from(alphabet[at ^ 1]);
        let head = &part[..part.len() - 1];
        let mut variants = vec![
            format!("{part}="),
            format!("{part}=="),
            format!("{part}==="),
            format!("={part}"),
            format!("{head}+"),
            format!("{head}/"),
            format!("{part}\t"),
            format!("{part}\r\n"),
            format!("{part}\n"),
            // In front of the first part a blank is one more behind the scheme (RFC 9110 section 11.4).
            format!("{}{part}", if index == 0 { "\t" } else { " " }),
            format!("{part} "),
            format!("{}\n{}", &part[..8], &part[8..]),
            format!("{}?{}", &part[..8], &part[8..]),
            format!("{}#{}", &part[..8], &part[8..]),
            format!("{}%3D{}", &part[..8], &part[8..]),
            format!("{}\0{}", &part[..8], &part[8..]),
            format!("{part}A"),
        ];
        if part.len() % 4 != 0 {
            variants.push(format!("{head}{twin}"));
        }
        for variant in variants {
            let mut changed = owned.clone();
            changed[index].clone_from(&variant);
            row.is(&format!("part {index}: {variant:?}"), &world.token(&changed.join(".")), 401);
            // A signature over the changed text makes it no better.
            if index < 2 {
                let message = changed[..2].join(".");
                let signed = mint::compact(&message, &key().signature(message.as_bytes()).unwrap());
                row.is(&format!("signed, part {index}: {variant:?}"), &world.token(&signed), 401);
            }
        }
    }
    // All alphabets agree on these, and only this spelling is the token's.
    row.is("percent-encoded dots", &world.token(&token.replace('.', "%2E")), 401);
}

pub fn a15(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let plain = text(&claims());
    for (name, first, second) in [
        ("alg", "none", "ES256"),
        ("alg", "ES256", "none"),
        ("alg", "ES256", "ES256"),
        ("kid", "other", "test-only-es256"),
        ("kid", "test-only-es256", "other"),
        ("typ", "other", "JWT"),
        ("typ", "JWT", "other"),
    ] {
        let rest = text(&honest().without_header(name).header);
        for twice in [
            format!("{{\"{name}\":\"{first}\",\"{name}\":\"{second}\",{}", &rest[1..]),
            format!("{{\"{name}\":\"{first}\",{},\"{name}\":\"{second}\"}}", &rest[1..rest.len() - 1]),
            format!(
                "{{\"{name}\":\"{first}\",\"\\u00{:02x}{}\":\"{second}\",{}",
                name.as_bytes()[0],
                &name[1..],
                &rest[1..]
            ),
        ] {
            row.is(&twice, &world.token(&signed_bytes(&key(), &twice, &plain)), 401);
        }
    }
}

pub fn a16(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let header = text(&honest().header);
    for (name, other) in [
        ("sub", json!("admin")),
        ("aud", json!("https://elsewhere.example")),
        ("exp", json!(1)),
        ("iss", json!("https://evil.example")),
        ("other", json!(1)),
    ] {
        let mut base = claims();
        let own = base.remove(name).unwrap_or(json!(2));
        let rest = text(&base);
        for (first, second) in [(&own, &other), (&other, &own), (&own, &own)] {
            let twice = format!("{{\"{name}\":{first},\"{name}\":{second},{}", &rest[1..]);
            row.is(&twice, &world.token(&signed_bytes(&key(), &header, &twice)), 401);
            let apart = format!("{{\"{name}\":{first},{},\"{name}\":{second}}}", &rest[1..rest.len() - 1]);
            row.is(&apart, &world.token(&signed_bytes(&key(), &header, &apart)), 401);
        }
    }
    let inner = honest().claim("cnf", json!({"jkt": "x"}));
    let twice = text(&inner.claims).replace("\"jkt\":\"x\"", "\"jkt\":\"x\",\"jkt\":\"y\"");
    row.is("deeper down", &world.token(&signed_bytes(&key(), &header, &twice)), 401);
}

pub fn a17(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let header = text(&honest().header);
    let escaped = header.replace("\"alg\"", "\"\\u0061lg\"").replace("\"kid\"", "\"k\\u0069d\"");
    let decision = world.token(&signed_bytes(&key(), &escaped, text(&claims())));
    row.is("escaped header names", &decision, 200);
    let none = escaped.replace("ES256", "none");
    row.is("an escaped `alg` that is none", &world.token(&signed_bytes(&key(), none, text(&claims()))), 401);
    let escaped = text(&claims()).replace("\"sub\"", "\"s\\u0075b\"").replace("\"exp\"", "\"\\u0065xp\"");
    let decision = world.token(&signed_bytes(&key(), &header, &escaped));
    let identity = decision.record.identity.as_ref().map(|identity| identity.id.clone());
    row.is("escaped claim names", &decision, 200);
    row.expect(
        "the identity is the plain one",
        identity.as_deref() == Some("caller"),
        format!("{identity:?}"),
    );
    let second = escaped.replacen('{', "{\"sub\":\"admin\",", 1);
    row.is("a plain one beside it", &world.token(&signed_bytes(&key(), &header, second)), 401);
    let value = text(&claims()).replace("\"caller\"", "\"c\\u0061ller\"");
    row.is("an escaped value", &world.token(&signed_bytes(&key(), &header, value)), 200);
    let expired = escaped.replace(&format!("{}", super::world::later(300).secs()), "1");
    row.is("an escaped `exp` that is over", &world.token(&signed_bytes(&key(), &header, expired)), 401);
}

/// Texts in other encodings, or with bytes that are no text.
fn encodings(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let utf16 = |units: Vec<[u8; 2]>| units.concat();
    let inside = |bytes: &[u8]| {
        let end = text.len() - 1;
        [&text.as_bytes()[..end], b",\"x\":\"", bytes, b"\"}"].concat()
    };
    vec![
        ("BOM", ["\u{feff}".as_bytes(), text.as_bytes()].concat()),
        ("UTF-16 LE", utf16(text.encode_utf16().map(u16::to_le_bytes).collect())),
        ("UTF-16 BE", utf16(text.encode_utf16().map(u16::to_be_bytes).collect())),
        (
            "UTF-16 LE with BOM",
            utf16([0xfeff].into_iter().chain(text.encode_utf16()).map(u16::to_le_bytes).collect()),
        ),
        (
            "UTF-16 BE with BOM",
            utf16([0xfeff].into_iter().chain(text.encode_utf16()).map(u16::to_be_bytes).collect()),
        ),
        ("a byte that is never in UTF-8", inside(b"\xff")),
        ("a lone continuation", inside(b"\x81")),
        ("a sequence cut off", inside(b"\xe0")),
        ("an overlong NUL", inside(b"\xc0\x80")),
        ("an overlong slash", inside(b"\xc0\xaf")),
        ("an overlong of three bytes", inside(b"\xe0\x80\xaf")),
        ("an overlong of six bytes", inside(b"\xfc\x83\xbf\xbf\xbf\xbf")),
        ("a surrogate in UTF-8", inside(b"\xed\xa0\x80")),
        ("beyond Unicode", inside(b"\xf4\xbf\xbf\xbf")),
        ("Latin-1", inside(b"\xe9")),
        ("a lone high surrogate", inside(b"\\uD800")),
        ("a lone low surrogate", inside(b"\\uDC00")),
        ("surrogates in the wrong order", inside(b"\\uDC00\\uD800")),
        ("two high surrogates", inside(b"\\uD800\\uD800")),
        ("half a surrogate pair", inside(b"\\uD800x")),
        ("half an escape", inside(b"\\u00")),
        ("an unknown escape", inside(b"\\x00")),
        ("a raw newline", inside(b"\n")),
        ("a raw NUL", inside(b"\0")),
    ]
}

pub fn a18(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let (header, payload) = (text(&honest().header), text(&claims()));
    for (name, bytes) in encodings(&payload) {
        row.is(&format!("claims: {name}"), &world.token(&signed_bytes(&key(), &header, bytes)), 401);
    }
    for (name, bytes) in encodings(&header) {
        row.is(&format!("header: {name}"), &world.token(&signed_bytes(&key(), bytes, &payload)), 401);
    }
    let pair = honest().claim("x", "\u{1f600}\u{e9}");
    row.is("proper UTF-8", &world.token(&pair.signed(&key())), 200);
}

pub fn a19(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let (header, payload) = (text(&honest().header), text(&claims()));
    for (before, after) in [
        ("", "x"),
        ("", "{}"),
        ("", "}"),
        ("", "\0"),
        ("", ","),
        ("", "null"),
        ("", " x"),
        ("", "//"),
        ("", "\u{c}"),
        ("x", ""),
        ("\0", ""),
        ("\u{a0}", ""),
        (")]}'\n", ""),
        ("[", "]"),
        ("/**/", ""),
    ] {
        let name = format!("{before:?} {after:?}");
        let around = |text: &str| format!("{before}{text}{after}");
        row.is(
            &format!("claims: {name}"),
            &world.token(&signed_bytes(&key(), &header, around(&payload))),
            401,
        );
        row.is(
            &format!("header: {name}"),
            &world.token(&signed_bytes(&key(), around(&header), &payload)),
            401,
        );
    }
    for (before, after) in [("", "\n"), (" ", ""), ("\r\n\t ", " \r\n\t")] {
        let around = format!("{before}{payload}{after}");
        row.is("whitespace", &world.token(&signed_bytes(&key(), &header, around)), 200);
    }
}

pub fn a20(row: &mut Row, _: &Vectors) {
    let mut world = World::new(&config());
    let (header, payload) = (text(&honest().header), text(&claims()));
    for other in ["\"str\"", "1", "null", "[]", "true", "", " ", "[{}]", &format!("[{payload}]"), "{}", "NaN"]
    {
        row.is(&format!("claims: {other}"), &world.token(&signed_bytes(&key(), &header, other)), 401);
        row.is(&format!("header: {other}"), &world.token(&signed_bytes(&key(), other, &payload)), 401);
    }
}

pub fn a21(row: &mut Row, _: &Vectors) {
    let mut config = config();
    config["limits"] = json!({"token_bytes": 65_536});
    let mut world = World::new(&config);
    let (header, payload) = (text(&honest().header), text(&claims()));
    for depth in [33, 128, 1_000, 20_000, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let depth = if open.len() > 1 { depth / 4 + 33 } else { depth };
            let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for value in [nested, open.repeat(depth)] {
                let name = format!("{depth} times {open}");
                let inside = |text: &str| format!("{},\"x\":{value}}}", &text[..text.len() - 1]);
                row.is(&name, &world.token(&signed_bytes(&key(), &header, inside(&payload))), 401);
                row.is(&name, &world.token(&signed_bytes(&key(), inside(&header), &payload)), 401);
                row.is(&name, &world.token(&signed_bytes(&key(), &header, &value)), 401);
            }
        }
    }
    let flat = format!("[{}1]", "1,".repeat(1_000));
    let wide = format!("{},\"x\":{flat}}}", &payload[..payload.len() - 1]);
    row.is("wide, not deep", &world.token(&signed_bytes(&key(), &header, wide)), 200);
}

pub fn a22(row: &mut Row, _: &Vectors) {
    let long = |bytes: usize| honest().claim("x", "a".repeat(bytes)).signed(&key());
    let mut default = World::new(&config());
    row.is("1 kB", &default.token(&long(1_000)), 200);
    for size in [8_192, 16_384, 61_440, 1_048_576] {
        row.is(&format!("{size} bytes"), &default.token(&long(size)), 401);
        let header = honest().header("x", "a".repeat(size)).signed(&key());
        row.is(&format!("a header of {size} bytes"), &default.token(&header), 401);
        row.is(&format!("{size} bytes of nothing"), &default.token(&"a".repeat(size)), 401);
    }
    let mut config = config();
    config["limits"] = json!({"token_bytes": 65_536});
    let mut large = World::new(&config);
    row.is("8 kB where the cap says so", &large.token(&long(8_192)), 200);
    row.is("44 kB where the cap says so", &large.token(&long(45_000)), 200);
    row.is("1 MB", &large.token(&long(1_048_576)), 401);
    config["limits"] = json!({"token_bytes": 1_048_576});
    row.expect("no cap is larger than 64 KiB", super::world::is_refused(&config), "it is");
}
