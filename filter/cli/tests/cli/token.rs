//! `everycall token verify`: one line for each token, and never the token.

use serde_json::json;

use crate::common::{everycall, forged, token, unsigned, Files, NOW};

#[test]
fn each_token_gets_its_line_and_is_not_repeated() {
    let files = Files::with_config();
    let verify = |input: &str, at: i64| {
        everycall(
            &["token", "verify", "--config", &files.name("config.json"), "--at", &at.to_string()],
            input,
        )
    };
    let good = token(json!({}));
    let output = verify(&format!("\n{good}\r\n\n"), NOW);
    assert_eq!((output.code, output.json().len()), (0, 1), "{}", output.all());
    assert_eq!(output.json()[0]["identity"]["id"], "checkout");
    assert_eq!(output.json()[0]["identity"]["claims"]["exp"], NOW + 300);
    assert!(!output.all().contains(&good));

    let tokens = [
        (good.clone(), None),
        (token(json!({"aud": ["other"]})), Some("token_audience")),
        (token(json!({"exp": NOW + 1000})), Some("token_lifetime")),
        (token(json!({"iat": NOW + 5})), None),
        (token(json!({"iat": NOW + 6})), Some("token_not_yet_valid")),
        (forged(), Some("token_signature")),
        (unsigned(), Some("token_algorithm")),
        ("not a token".to_owned(), Some("token_malformed")),
    ];
    let input: String = tokens.iter().map(|(token, _)| format!("{token}\n")).collect();
    let output = verify(&input, NOW);
    assert_eq!(output.code, 1);
    for (result, (token, reason)) in output.json().iter().zip(&tokens) {
        assert_eq!(result["ok"], json!(reason.is_none()));
        assert_eq!(result["reason"], json!(reason));
        let parts = token.split('.').filter(|part| part.len() > 20);
        assert!(parts.chain([token.as_str()]).all(|part| !output.all().contains(part)), "{}", output.all());
    }

    let output = verify(&good, NOW + 300);
    assert_eq!((output.code, &output.json()[0]["reason"]), (1, &json!("token_expired")));
    // Without `--at` it is the clock that counts, and by it the token is not valid yet or long gone.
    let output = everycall(&["token", "verify", "--config", &files.name("config.json")], &good);
    assert_eq!(output.code, 1);
}

#[test]
fn bytes_that_are_not_text_are_no_token() {
    let files = Files::with_config();
    let config = files.name("config.json");
    let output = everycall(&["token", "verify", "--config", &config], "\u{e9}\u{fffd}\n");
    assert_eq!((output.code, &output.json()[0]["reason"]), (1, &json!("token_malformed")));
    assert_eq!(everycall(&["token", "verify", "--config", "-"], "{}").code, 2);
}
