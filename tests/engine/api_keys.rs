//! API keys: each exists by an exception, and ends with it.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::authority::api_key_hash;
use everycall_core::{Engine, Reason, Settings};
use serde_json::{json, Value};

use super::{configuration, done, engine, later, reason, request, NOW};

const SECRET: &str = "c2VjcmV0c2VjcmV0c2VjcmV0";

fn config() -> Value {
    let mut config = configuration();
    let salt = [7; 16];
    config["api_keys"] = json!([{"id": "billing", "subject": "s", "exception": "ex-1",
        "salt": URL_SAFE_NO_PAD.encode(salt), "hash": URL_SAFE_NO_PAD.encode(api_key_hash(&salt, SECRET))}]);
    let bundle = &mut config["bundle"]["inline"];
    bundle["exceptions"] = json!([{"id": "ex-1", "owner": "o", "reason": "r", "compensating_control": "c",
        "valid_from": later(-100).to_string(), "valid_until": later(100).to_string()}]);
    bundle["grants"][2]["kinds"] = json!(["legacy"]);
    config
}

fn call(engine: &mut Engine, key: &str) -> Reason {
    reason(engine.check(request(1, "/open", &format!("Bearer {key}")), NOW))
}

#[test]
fn an_api_key_is_allowed_and_its_exception_is_in_the_record() {
    let mut engine = engine(&config());
    let key = format!("Bearer ek_billing_{SECRET}");
    let decision = done(engine.check(request(1, "/open", &key), NOW));
    assert!(decision.verdict.is_ok());
    let record = serde_json::to_value(&decision.record).unwrap();
    assert_eq!(record["exception"]["id"], "ex-1");
    assert_eq!(record["identity"]["credential"], "api_key");
    assert_eq!(record["identity"]["kind"], "legacy");
    assert!(!record.to_string().contains(SECRET));
    // A stream of it ends with the exception at the latest.
    let permit = decision.verdict.unwrap();
    let ceiling =
        permit.headers_to_set().find(|(name, _)| *name == "x-envoy-upstream-stream-duration-ms").unwrap().1;
    assert_eq!(ceiling, "100000");
}

#[test]
fn api_key_wrong() {
    let mut engine = engine(&config());
    for key in [
        "ek_billing_c2VjcmV0c2VjcmV0c2VjcmV1".to_owned(),
        format!("ek_billing_{SECRET}A"),
        format!("ek_billing_{}", &SECRET[1..]),
        "ek_billing_".to_owned(),
        "ek_billing".to_owned(),
        "ek_".to_owned(),
        format!("ek_other_{SECRET}"),
        format!("ek__{SECRET}"),
        format!("ek_Billing_{SECRET}"),
    ] {
        assert_eq!(call(&mut engine, &key), Reason::ApiKeyInvalid, "{key}");
    }
    assert_eq!(call(&mut engine, &format!("EK_billing_{SECRET}")), Reason::TokenMalformed);
    assert_eq!(call(&mut engine, &format!("ek_billing_{SECRET}")), Reason::Allowed);
}

#[test]
fn api_key_without_a_valid_exception() {
    let mut engine = engine(&config());
    let key = format!("Bearer ek_billing_{SECRET}");
    for (at, expected) in [
        (-101, Reason::ExceptionExpired),
        (-100, Reason::Allowed),
        (99, Reason::Allowed),
        (100, Reason::ExceptionExpired),
    ] {
        assert_eq!(reason(engine.check(request(1, "/open", &key), later(at))), expected, "{at}");
    }
}

/// That a bundle on a server lacks it shows when it is asked for: its key is as good as none then.
#[test]
fn an_api_key_whose_exception_the_bundle_lacks_is_refused() {
    let mut config = config();
    config["bundle"]["inline"]["exceptions"] = json!([]);
    assert!(Settings::from_value(config.clone()).is_err());
    config["bundle"]["remote"] = json!({"cluster": "b", "host": "b.example", "path": "/b"});
    config["bundle"]["keys"] = everycall::mint::TestKey::es256().unwrap().public_jwks();
    let record =
        done(engine(&config).check(request(1, "/open", &format!("Bearer ek_billing_{SECRET}")), NOW)).record;
    assert_eq!((record.reason, record.exception), (Some(Reason::ExceptionExpired), None));
    assert!(record.detail.unwrap().starts_with("the bundle has no exception `"), "it is named");
}

#[test]
fn an_api_key_is_legacy_and_nothing_else() {
    let mut config = config();
    config["bundle"]["inline"]["grants"][2]["kinds"] = json!(["workload"]);
    assert_eq!(call(&mut engine(&config), &format!("ek_billing_{SECRET}")), Reason::NotGranted);
}
