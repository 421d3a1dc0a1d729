//! The one policy that every filter here enforces: tokens of one issuer, for one audience, with one
//! scope, may read or change orders on one host. Natively it is jwt_authn and RBAC, here it is Everycall.

use everycall::mint::TestKey;
use everycall_core::Algorithm;
use serde_json::{json, Map, Value};

pub const ISSUER: &str = "https://id.shop.example/bench";
pub const AUDIENCE: &str = "orders";
pub const SCOPE: &str = "orders.read";
pub const HOST: &str = "orders.shop.example";
const PATHS: &str = "/orders/";
const METHODS: [&str; 2] = ["GET", "POST"];
/// Seconds: longer than a run of everything.
pub const LIFETIME_S: i64 = 14_400;
/// Callers. Each has a grant of its own.
pub const IDENTITIES: usize = 100;
/// Rules in a rule set where many are compared with few.
const RULES: usize = 10;

/// What tells one of Everycall's configurations from another.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub algorithm: Algorithm,
    /// Besides those of the callers.
    pub grants: usize,
    pub rules: Rules,
    /// Each request is a question for the PDP, too.
    pub asks: bool,
    /// Enough for all tokens that fit by their number.
    pub caches_all: bool,
}

/// Rules of Rego, and how they are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// One rule set with one rule.
    One,
    /// One rule set with ten rules.
    Ten,
    /// A rule set with ten rules for each grant of a caller.
    Thousand,
}

impl Setting {
    pub const fn of(algorithm: Algorithm) -> Self {
        Self { algorithm, grants: 0, rules: Rules::One, asks: false, caches_all: false }
    }
}

/// Who calls.
pub fn identity(number: usize) -> String {
    format!("spiffe://shop.example/bench/caller-{number}")
}

/// Everycall's configuration.
pub fn everycall(setting: &Setting) -> anyhow::Result<Value> {
    let rule_set = |number: usize| match setting.rules {
        Rules::One | Rules::Ten => "orders".to_owned(),
        Rules::Thousand => format!("orders{number}"),
    };
    let mut policies = Map::new();
    let grant = |id: String, subject: String, path: String, policy: String| {
        json!({"id": id, "owner": "team-orders@shop.example", "purpose": "Show customers their orders",
            "subject": subject, "kinds": ["workload"], "hosts": [HOST], "methods": METHODS, "paths": [path],
            "policy": policy})
    };
    let mut grants = Vec::with_capacity(IDENTITIES + setting.grants);
    for number in 0..IDENTITIES {
        let name = rule_set(number);
        let path = format!("{PATHS}{{order...}}");
        grants.push(grant(format!("caller-{number}"), identity(number), path, name.clone()));
        policies.entry(format!("{name}.rego")).or_insert_with(|| json!(rego(&name, setting)));
    }
    for number in 0..setting.grants {
        let subject = format!("spiffe://shop.example/ns/n{}/sa/s{number}", number % 97);
        grants.push(grant(
            format!("g{number}"),
            subject,
            format!("/s{number}/orders/{{order}}"),
            rule_set(0),
        ));
    }
    let mut config = json!({
        "version": 1, "instance": "bench",
        "issuers": [{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": [setting.algorithm.as_str()],
            "max_lifetime_s": LIFETIME_S, "kind": "workload", "trust_domains": ["shop.example"],
            "keys": {"inline": TestKey::of(setting.algorithm)?.public_jwks()}}],
        "credentials": [{"header": "authorization", "scheme": "Bearer"}],
        "bundle": {"inline": {"policies": policies, "grants": grants}},
        "log": {"records": "all", "to": "access_log"},
    });
    if setting.asks {
        config["pdps"] = json!({"default": {"protocol": "ext_authz", "cluster": "pdp", "host": "pdp"}});
    }
    if setting.caches_all {
        config["limits"] = json!({"tokens_cached_bytes": 256 << 20});
    }
    Ok(config)
}

/// A rule set. Of ten rules nine are for other scopes.
fn rego(name: &str, setting: &Setting) -> String {
    let others = if setting.rules == Rules::One { 0 } else { RULES - 1 };
    let mut text = format!("package everycall.{name}\n");
    for other in 0..others {
        text.push_str(&format!(
            "decision := {{\"allow\": true, \"reason\": \"other_{other}\"}} if input.identity.claims.scope == \"other.{other}\"\n"
        ));
    }
    let mut holds = format!("input.identity.claims.scope == \"{SCOPE}\"");
    if setting.asks {
        text.push_str(
            "ask contains {\"id\": \"q\", \"subject\": {\"type\": \"workload\", \"id\": input.identity.id}, \
             \"action\": {\"name\": input.request.method}, \"resource\": {\"type\": \"order\", \"id\": input.request.path}}\n",
        );
        holds.push_str("; input.pdp.q.decision");
    }
    text.push_str(&format!("decision := {{\"allow\": true, \"reason\": \"reader\"}} if {{ {holds} }}\n"));
    text
}

/// The same natively: jwt_authn, and RBAC over what it found in the token. Any caller below one SPIFFE ID
/// may call, where Everycall has a grant for each.
pub fn native(algorithm: Algorithm, cached: bool) -> anyhow::Result<Vec<Value>> {
    let mut provider = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "require_expiration": true,
        "max_lifetime": format!("{LIFETIME_S}s"), "forward": true, "payload_in_metadata": "payload",
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "local_jwks": {"inline_string": TestKey::of(algorithm)?.public_jwks().to_string()},
    });
    if cached {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": 10 * IDENTITIES});
    }
    let claim = |name: &str, matches: Value| {
        json!({"metadata": {"filter": "envoy.filters.http.jwt_authn",
            "path": [{"key": "payload"}, {"key": name}], "value": {"string_match": matches}}})
    };
    let header =
        |name: &str, value: &str| json!({"header": {"name": name, "string_match": {"exact": value}}});
    let methods: Vec<Value> = METHODS.iter().map(|method| header(":method", method)).collect();
    let policy = json!({
        "permissions": [{"and_rules": {"rules": [
            header(":authority", HOST), {"or_rules": {"rules": methods}}, {"url_path": {"path": {"prefix": PATHS}}}]}}],
        "principals": [{"and_ids": {"ids": [
            claim("sub", json!({"prefix": "spiffe://shop.example/bench/"})), claim("scope", json!({"exact": SCOPE}))]}}],
    });
    Ok(vec![
        json!({"name": "envoy.filters.http.jwt_authn", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"bench": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}]}}),
        json!({"name": "envoy.filters.http.rbac", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": {"orders": policy}}}}),
    ])
}
