//! For each builtin that policies may call: a wrong-typed and a missing input never pass, neither
//! in an allow rule nor in a deny rule behind a type check.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // a test that fails panics

use everycall_core::policy::offered_builtins;
use everycall_core::{DecisionRecord, Engine, IdSeed, Reason, Settings, UnixTime};
use serde_json::{json, Value};

/// Builtin, a value that it takes, and a condition over `v` that this value fulfils and no value
/// of another type does.
fn table() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("abs", json!(-2), "abs(v) == 2"),
        ("and", json!(["a"]), "and({x | some x in v}, {\"a\"}) == {\"a\"}"),
        ("array.concat", json!(["a"]), "array.concat(v, [1]) == [\"a\", 1]"),
        ("array.flatten", json!(["a", ["b", 1]]), "array.flatten(v) == [\"a\", \"b\", 1]"),
        ("array.reverse", json!(["a", 1]), "array.reverse(v) == [1, \"a\"]"),
        ("array.slice", json!(["a", 1]), "array.slice(v, 0, 1) == [\"a\"]"),
        ("base64.decode", json!("YQ=="), "base64.decode(v) == \"a\""),
        ("base64.encode", json!("a"), "base64.encode(v) == \"YQ==\""),
        ("base64.is_valid", json!("YQ=="), "base64.is_valid(v)"),
        ("base64url.decode", json!("YQ=="), "base64url.decode(v) == \"a\""),
        ("base64url.encode", json!("a"), "base64url.encode(v) == \"YQ==\""),
        ("base64url.encode_no_pad", json!("a"), "base64url.encode_no_pad(v) == \"YQ\""),
        ("bits.and", json!(3), "bits.and(v, 1) == 1"),
        ("bits.lsh", json!(3), "bits.lsh(v, 2) == 12"),
        ("bits.negate", json!(0), "bits.negate(v) == -1"),
        ("bits.or", json!(2), "bits.or(v, 1) == 3"),
        ("bits.rsh", json!(12), "bits.rsh(v, 2) == 3"),
        ("bits.xor", json!(3), "bits.xor(v, 1) == 2"),
        ("ceil", json!(1.5), "ceil(v) == 2"),
        ("concat", json!(["a", "b"]), "concat(\"/\", v) == \"a/b\""),
        ("contains", json!("abc"), "contains(v, \"b\")"),
        ("count", json!(["a", "b", "c"]), "count(v) == 3"),
        ("crypto.hmac.equal", json!("ab"), "crypto.hmac.equal(v, \"ab\")"),
        ("crypto.hmac.md5", json!("a"), "crypto.hmac.md5(v, \"k\") == \"ddcf3d210049e7135f61affae73731cd\""),
        ("crypto.hmac.sha1", json!("a"), "crypto.hmac.sha1(v, \"k\") == \"40e7d441cadb17b07f050341aa23a6820ed81c8b\""),
        ("crypto.hmac.sha256", json!("a"), "crypto.hmac.sha256(v, \"k\") == \"78da91511e675587f5b9df78bedebaf5560da2abb88162ee875dcdf744951d9e\""),
        ("crypto.hmac.sha512", json!("a"), "crypto.hmac.sha512(v, \"k\") == \"82e0c15e0d62ab17984bea225bf7d28ad54f343dd6520c283c3a2cd43852a2f79c349cc9b7583317399ee38d722489b45a942667e55bc38c42a5bb203c0900c7\""),
        ("crypto.md5", json!("a"), "crypto.md5(v) == \"0cc175b9c0f1b6a831c399e269772661\""),
        ("crypto.sha1", json!("a"), "crypto.sha1(v) == \"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\""),
        ("crypto.sha256", json!("a"), "crypto.sha256(v) == \"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\""),
        ("div", json!(6), "div(v, 2) == 3"),
        ("endswith", json!("abc"), "endswith(v, \"c\")"),
        ("equal", json!("a"), "equal(v, \"a\")"),
        ("floor", json!(1.5), "floor(v) == 1"),
        ("format_int", json!(255), "format_int(v, 16) == \"ff\""),
        ("glob.match", json!("a.b"), "glob.match(\"a.*\", [\".\"], v)"),
        ("glob.quote_meta", json!("*"), "glob.quote_meta(v) == \"\\\\*\""),
        ("graph.reachable", json!({"a": ["b"], "b": []}), "graph.reachable(v, {\"a\"}) == {\"a\", \"b\"}"),
        ("gt", json!(3), "gt(v, 2); is_number(v)"),
        ("gte", json!(3), "gte(v, 3); is_number(v)"),
        ("hex.decode", json!("61"), "hex.decode(v) == \"a\""),
        ("hex.encode", json!("a"), "hex.encode(v) == \"61\""),
        ("indexof", json!("abc"), "indexof(v, \"b\") == 1"),
        ("indexof_n", json!("abb"), "indexof_n(v, \"b\") == [1, 2]"),
        ("intersection", json!(["a"]), "intersection({{x | some x in v}, {\"a\"}}) == {\"a\"}"),
        ("is_array", json!([]), "is_array(v)"),
        ("is_boolean", json!(true), "is_boolean(v)"),
        ("is_null", json!(null), "is_null(v)"),
        ("is_number", json!(1), "is_number(v)"),
        ("is_object", json!({}), "is_object(v)"),
        ("is_set", json!(["a"]), "is_set({x | some x in v; x == \"a\"}); \"a\" in v"),
        ("is_string", json!("a"), "is_string(v)"),
        ("json.filter", json!({"a": 1, "b": 2}), "json.filter(v, [\"a\"]) == {\"a\": 1}"),
        ("json.is_valid", json!("{\"a\":1}"), "json.is_valid(v); json.unmarshal(v).a == 1"),
        ("json.marshal", json!("a"), "json.marshal(v) == \"\\\"a\\\"\""),
        ("json.marshal_with_options", json!("a"), "json.marshal_with_options(v, {}) == \"\\\"a\\\"\""),
        ("json.patch", json!({"a": 1}), "json.patch(v, [{\"op\": \"add\", \"path\": \"b\", \"value\": 2}]) == {\"a\": 1, \"b\": 2}"),
        ("json.remove", json!({"a": 1, "b": 2}), "json.remove(v, [\"a\"]) == {\"b\": 2}"),
        ("json.unmarshal", json!("[1]"), "json.unmarshal(v) == [1]"),
        ("lower", json!("A"), "lower(v) == \"a\""),
        ("lt", json!(1), "lt(v, 2); is_number(v)"),
        ("lte", json!(2), "lte(v, 2); is_number(v)"),
        ("max", json!([1, 2]), "max(v) == 2"),
        ("min", json!([1, 2]), "min(v) == 1"),
        ("minus", json!(3), "minus(v, 1) == 2"),
        ("mul", json!(3), "mul(v, 2) == 6"),
        ("neq", json!("a"), "neq(v, \"b\"); v == \"a\""),
        ("net.cidr_contains", json!("10.0.0.0/8"), "net.cidr_contains(v, \"10.1.2.3\")"),
        ("net.cidr_contains_matches", json!("10.0.0.0/8"), "net.cidr_contains_matches(v, \"10.1.2.3\") == {[\"10.0.0.0/8\", \"10.1.2.3\"]}"),
        ("net.cidr_expand", json!("10.0.0.0/31"), "net.cidr_expand(v) == {\"10.0.0.0\", \"10.0.0.1\"}"),
        ("net.cidr_intersects", json!("10.0.0.0/8"), "net.cidr_intersects(v, \"10.1.0.0/16\")"),
        ("net.cidr_is_valid", json!("10.0.0.0/8"), "net.cidr_is_valid(v)"),
        ("net.cidr_merge", json!(["10.0.0.0/9", "10.128.0.0/9"]), "net.cidr_merge(v) == {\"10.0.0.0/8\"}"),
        ("numbers.range", json!(2), "numbers.range(v, 3) == [2, 3]"),
        ("numbers.range_step", json!(2), "numbers.range_step(v, 5, 2) == [2, 4]"),
        ("object.filter", json!({"a": 1, "b": 2}), "object.filter(v, [\"a\"]) == {\"a\": 1}"),
        ("object.get", json!({"a": 1}), "object.get(v, \"a\", 0) == 1"),
        ("object.keys", json!({"a": 1}), "object.keys(v) == {\"a\"}"),
        ("object.remove", json!({"a": 1, "b": 2}), "object.remove(v, [\"a\"]) == {\"b\": 2}"),
        ("object.subset", json!({"a": 1, "b": 2}), "object.subset(v, {\"a\": 1})"),
        ("object.union", json!({"a": 1}), "object.union(v, {\"b\": 2}) == {\"a\": 1, \"b\": 2}"),
        ("object.union_n", json!([{"a": 1}]), "object.union_n(v) == {\"a\": 1}"),
        ("or", json!(["a"]), "or({x | some x in v}, {\"b\"}) == {\"a\", \"b\"}"),
        ("plus", json!(1), "plus(v, 2) == 3"),
        ("product", json!([2, 3]), "product(v) == 6"),
        ("regex.find_all_string_submatch_n", json!("ab"), "regex.find_all_string_submatch_n(\"a(b)\", v, 1) == [[\"ab\", \"b\"]]"),
        ("regex.find_n", json!("aab"), "regex.find_n(\"a\", v, 2) == [\"a\", \"a\"]"),
        ("regex.is_valid", json!("a+"), "regex.is_valid(v); v == \"a+\""),
        ("regex.match", json!("aab"), "regex.match(\"^a+b$\", v)"),
        ("regex.replace", json!("aab"), "regex.replace(v, \"a+\", \"c\") == \"cb\""),
        ("regex.split", json!("a-b"), "regex.split(\"-\", v) == [\"a\", \"b\"]"),
        ("regex.template_match", json!("urn:a"), "regex.template_match(\"urn:{[a-z]}\", v, \"{\", \"}\")"),
        ("rem", json!(7), "rem(v, 4) == 3"),
        ("replace", json!("aab"), "replace(v, \"a\", \"c\") == \"ccb\""),
        ("round", json!(1.6), "round(v) == 2"),
        ("semver.compare", json!("1.2.3"), "semver.compare(v, \"1.2.3\") == 0"),
        ("semver.is_valid", json!("1.2.3"), "semver.is_valid(v)"),
        ("sort", json!(["b", "a"]), "sort(v) == [\"a\", \"b\"]"),
        ("split", json!("a/b"), "split(v, \"/\") == [\"a\", \"b\"]"),
        ("sprintf", json!("a"), "sprintf(\"%s-%s\", [v, type_name(v)]) == \"a-string\""),
        ("startswith", json!("abc"), "startswith(v, \"a\")"),
        ("strings.any_prefix_match", json!("abc"), "strings.any_prefix_match(v, [\"a\"])"),
        ("strings.any_suffix_match", json!("abc"), "strings.any_suffix_match(v, [\"c\"])"),
        ("strings.count", json!("aab"), "strings.count(v, \"a\") == 2"),
        ("strings.replace_n", json!("ab"), "strings.replace_n({\"a\": \"c\"}, v) == \"cb\""),
        ("strings.reverse", json!("ab"), "strings.reverse(v) == \"ba\""),
        ("substring", json!("abc"), "substring(v, 1, 1) == \"b\""),
        ("sum", json!([1, 2]), "sum(v) == 3"),
        ("time.add_date", json!(0), "time.add_date(v, 1, 0, 0) == 31536000000000000; is_number(v)"),
        ("time.clock", json!(3661000000000_i64), "time.clock(v) == [1, 1, 1]; is_number(v)"),
        ("time.date", json!(0), "time.date(v) == [1970, 1, 1]; is_number(v)"),
        ("time.diff", json!(1000000000), "time.diff(v, 0) == [0, 0, 0, 0, 0, 1]; is_number(v)"),
        ("time.parse_duration_ns", json!("1s"), "time.parse_duration_ns(v) == 1000000000"),
        ("time.parse_rfc3339_ns", json!("1970-01-01T00:00:01Z"), "time.parse_rfc3339_ns(v) == 1000000000"),
        ("time.weekday", json!(0), "time.weekday(v) == \"Thursday\"; is_number(v)"),
        ("to_number", json!("12"), "to_number(v) == 12"),
        ("trim", json!("-a-"), "trim(v, \"-\") == \"a\""),
        ("trim_left", json!("-a"), "trim_left(v, \"-\") == \"a\""),
        ("trim_prefix", json!("-a"), "trim_prefix(v, \"-\") == \"a\""),
        ("trim_right", json!("a-"), "trim_right(v, \"-\") == \"a\""),
        ("trim_space", json!(" a "), "trim_space(v) == \"a\""),
        ("trim_suffix", json!("a-"), "trim_suffix(v, \"-\") == \"a\""),
        ("type_name", json!("a"), "type_name(v) == \"string\""),
        ("union", json!(["a"]), "union({{x | some x in v}, {\"b\"}}) == {\"a\", \"b\"}"),
        ("units.parse", json!("1K"), "units.parse(v) == 1000"),
        ("units.parse_bytes", json!("1KB"), "units.parse_bytes(v) == 1000"),
        ("upper", json!("a"), "upper(v) == \"A\""),
        ("urlquery.decode", json!("a%20b"), "urlquery.decode(v) == \"a b\""),
        ("urlquery.decode_object", json!("a=b"), "urlquery.decode_object(v) == {\"a\": [\"b\"]}"),
        ("urlquery.encode", json!("a b"), "urlquery.encode(v) == \"a+b\""),
        ("urlquery.encode_object", json!({"a": "b"}), "urlquery.encode_object(v) == \"a=b\""),
        ("uuid.parse", json!("00000000-0000-1000-8000-000000000000"), "uuid.parse(v).version == 1"),
    ]
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// An engine whose one grant is decided by this module body over `v`, a claim.
fn engine(body: &str) -> Engine {
    let policy = format!("package everycall\nv := input.identity.claims.v\n{body}\n");
    let config = json!({
        "version": 1,
        "instance": "builtins",
        "issuers": [{
            "issuer": "i", "audiences": ["a"], "algorithms": ["EdDSA"], "max_lifetime_s": 60, "kind": "workload",
            "keys": {"inline": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}
        }],
        "bundle": {"inline": {
            "policies": {"p.rego": policy},
            "grants": [{"id": "g", "owner": "o", "purpose": "p", "subject": "s", "kinds": ["workload"],
                        "hosts": ["h"], "methods": ["GET"], "paths": ["/"]}]
        }}
    });
    let settings = Settings::from_value(config).unwrap_or_else(|errors| panic!("{body}: {errors}"));
    Engine::standalone(settings, IdSeed::derive(&[]))
}

/// Decides for a caller whose claim `v` is this, or is missing.
fn reason(engine: &mut Engine, v: Option<&Value>) -> Reason {
    let claims = v.map_or(json!({}), |v| json!({"v": v}));
    let record: DecisionRecord = serde_json::from_value(json!({
        "v": 1, "id": "x", "time": 1000, "instance": "", "revision": "", "decision": "ask", "reason": null,
        "status": 0, "layer": "request", "connection": {}, "grant": null, "policy": null, "pdp": [],
        "request": {"id": null, "method": "GET", "scheme": "http", "host": "h", "path": "/", "headers": {}, "query": {}},
        "identity": {"kind": "workload", "id": "s", "issuer": "i", "credential": "jwt", "on_behalf_of": null,
                     "actors": [], "task": null, "token_id": null, "key_id": null, "not_before": 0,
                     "expires_at": 2000, "claims": claims}
    }))
    .unwrap();
    assert_eq!(record.time, UnixTime::from_secs(1000));
    engine.replay(&record).record.reason.unwrap()
}

#[test]
pub fn the_table_covers_exactly_what_is_offered() {
    let names: Vec<_> = table().iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, offered_builtins());
}

#[test]
pub fn wrong_typed_and_missing_inputs_never_pass() {
    let others = [json!(null), json!(false), json!(7.25), json!("zz"), json!([7]), json!({"zz": 7})];
    for (name, valid, condition) in table() {
        let mut allow = engine(&format!("decision := {{\"allow\": true}} if {{ {condition} }}"));
        // The guarded deny rule: a value of another type is refused before the condition counts.
        let mut guarded = engine(&format!(
            "typed if {{ type_name(v) == \"{}\" }}\n\
             holds if {{ {condition} }}\n\
             deny contains \"type\" if not typed\n\
             deny contains \"value\" if not holds\n\
             decision := {{\"allow\": true}} if count(deny) == 0",
            kind(&valid)
        ));
        for (form, engine) in [("allow", &mut allow), ("guarded deny", &mut guarded)] {
            assert_eq!(reason(engine, Some(&valid)), Reason::Allowed, "{name}, {form}: {condition}");
            assert_ne!(reason(engine, None), Reason::Allowed, "{name}, {form}, missing");
            for other in others.iter().filter(|other| kind(other) != kind(&valid)) {
                assert_ne!(reason(engine, Some(other)), Reason::Allowed, "{name}, {form}, {other}");
            }
        }
    }
}

#[test]
pub fn builtins_that_are_not_offered_do_not_compile() {
    for call in [
        "time.parse_ns(\"2006\", \"2024\")",
        "regex.globs_match(\"a*\", \"b*\")",
        "http.send({})",
        "io.jwt.decode(\"x\")",
        "rand.intn(\"x\", 2)",
        "opa.runtime()",
        "net.lookup_ip_addr(\"a\")",
        "print(\"x\")",
        "trace(\"x\")",
        "graph.reachable_paths({}, {})",
        "any([true])",
        "all([true])",
        "re_match(\"a\", \"b\")",
        "set_diff({1}, {2})",
        "no.such(1)",
    ] {
        let policy = format!("package everycall\ndecision := {{\"allow\": true}} if {{ x := {call}; x }}\n");
        let config = json!({
            "version": 1, "instance": "i", "issuers": [],
            "bundle": {"inline": {"policies": {"p.rego": policy}, "grants": [
                {"id": "g", "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["h"], "methods": ["GET"], "paths": ["/"]}]}}
        });
        let errors = Settings::from_value(config).unwrap_err();
        let grants = errors.iter().filter(|error| error.path.starts_with("bundle.inline")).count();
        assert_eq!(grants, 1, "{call}: {errors}");
        // What OPA has is told with what to write instead.
        let is_told = !errors.to_string().contains("no function has this name");
        assert_eq!(is_told, call != "no.such(1)", "{call}: {errors}");
    }
}
