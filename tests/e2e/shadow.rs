//! Shadows in a real Envoy: counted, written down, and noticed by nobody else.

use std::collections::BTreeMap;

use serde_json::{json, Value};

use crate::requests::get;
use crate::world::World;

const HOST: &str = "orders.shop.example";

fn config() -> Value {
    let mut config = everycall_tests::cases::reference().unwrap();
    let grant = |paths: &[&str]| {
        json!({"id": "g", "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": [HOST],
               "methods": ["GET"], "paths": paths, "policy": "old"})
    };
    config["api_keys"] = json!([]);
    config["bundle"]["inline"] = json!({
        "policies": {
            "old.rego": "package everycall.old\ndecision := {\"allow\": true, \"reason\": \"old\"} if input.request.headers[\"x-old\"]",
            "new.rego": "package everycall.new\ndecision := {\"allow\": true, \"reason\": \"new\", \"obligations\": \
                         {\"request_headers\": {\"set\": {\"x-new-upstream\": \"1\"}}, \"response_headers\": {\"set\": {\"x-new-client\": \"1\"}}}} \
                         if input.request.headers[\"x-new\"]",
        },
        "rule_sets": {"old": {"shadow": "new"}},
        "grants": [grant(&["/a"])],
    });
    config["shadow"] = json!({"inline": {
        "policies": {"old.rego": "package everycall.old\ndecision := {\"allow\": true} if input.connection.source_ip != \"\""},
        "grants": [grant(&["/b"])],
    }});
    config
}

fn alone(mut config: Value) -> Value {
    config.as_object_mut().unwrap().remove("shadow");
    config["bundle"]["inline"].as_object_mut().unwrap().remove("rule_sets");
    config
}

/// Path, headers, what was decided, what the rule set's shadow and the shadow bundle make of it.
type Case = (&'static str, &'static [&'static str], u16, Option<&'static str>, &'static str);

fn names<T>(headers: &[(String, T)]) -> Vec<&str> {
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn shadow_differences_are_counted_and_change_no_answer() {
    let (shadowed, plain) = (World::with(&config()), World::with(&alone(config())));
    let cases: [Case; 6] = [
        ("/a", &["x-old", "x-new"], 200, Some("same"), "differs"),
        ("/a", &["x-old"], 200, Some("differs"), "differs"),
        ("/a", &["x-new"], 403, Some("differs"), "same"),
        ("/a", &[], 403, Some("same"), "same"),
        ("/b", &["x-old"], 401, None, "differs"),
        ("/c", &["x-old"], 401, None, "same"),
    ];
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (path, headers, status, by_rule_set, by_bundle) in cases {
        let mut request = get(HOST, path);
        request.headers = headers.iter().map(|name| ((*name).to_owned(), b"1".to_vec())).collect();
        let [seen, unshadowed] = [&shadowed, &plain].map(|world| world.send("only", &request));
        assert_eq!(seen.response.status, status, "{path} {headers:?}: {}", seen.line);
        assert_eq!((unshadowed.response.status, unshadowed.reason()), (status, seen.reason()));
        assert_eq!(names(&seen.response.headers), names(&unshadowed.response.headers));
        assert_eq!(seen.upstream.len(), unshadowed.upstream.len());
        for (one, other) in seen.upstream.iter().zip(&unshadowed.upstream) {
            assert_eq!(names(&one.headers), names(&other.headers));
        }
        let record = shadowed.record(&seen);
        let said = |name: &str| {
            let all = record["shadow"].as_array().unwrap();
            all.iter().find(|shadow| shadow["name"] == name).map(|shadow| shadow["outcome"].clone())
        };
        assert_eq!(said("new"), by_rule_set.map(Value::from), "{record}");
        assert_eq!(said("bundle"), Some(json!(by_bundle)), "{record}");
        for (name, outcome) in
            by_rule_set.map(|outcome| ("new", outcome)).into_iter().chain([("bundle", by_bundle)])
        {
            *counts.entry((name, outcome)).or_default() += 1;
        }
        assert!(plain.record(&unshadowed).get("shadow").is_none());
    }
    for ((name, outcome), count) in counts {
        let stat = format!("wasmcustom.everycall.shadow;instance=only;shadow={name};outcome={outcome}");
        assert_eq!(shadowed.envoy.stat(&stat).unwrap(), count, "{stat}");
    }
    shadowed.assert_no_crash();
}
