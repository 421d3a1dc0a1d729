//! What becomes of a credential once it was verified.

use serde_json::{json, Value};

use super::{configuration, done, engine, get, token, NOW};

/// The headers that are taken out of an admitted request, by names as the client wrote them.
fn removed(credentials: Option<Value>, headers: &[(&str, &str)]) -> Vec<String> {
    let mut config = configuration();
    if let Some(credentials) = credentials {
        config["credentials"] = credentials;
    }
    let decision = done(engine(&config).check(get(1, "/open", headers), NOW));
    let permit = decision.verdict.unwrap_or_else(|denial| panic!("{denial:?}"));
    let mut removed = permit.headers_to_remove().to_vec();
    removed.sort();
    removed
}

#[test]
fn a_credential_is_removed_where_it_is_not_for_the_upstream() {
    let token = token(60);
    let bare = token.strip_prefix("Bearer ").unwrap();
    let places = |forward: bool| {
        Some(json!([{"header": "Authorization", "scheme": "Bearer"},
            {"header": "x-api-token", "forward": forward}]))
    };
    let both = [("authorization", token.as_str()), ("x-api-token", bare)];
    assert_eq!(removed(None, &both[..1]), [""; 0]);
    assert_eq!(removed(places(true), &both), [""; 0]);
    assert_eq!(removed(places(false), &both), ["x-api-token"]);
    assert_eq!(removed(places(false), &both[..1]), [""; 0], "it is not there");
    // However it is spelled for a server that takes it for the same.
    let spelled = [("authorization", token.as_str()), ("x_api_token", bare), ("x-api-tokens", bare)];
    assert_eq!(removed(places(false), &spelled), ["x_api_token"]);
}
