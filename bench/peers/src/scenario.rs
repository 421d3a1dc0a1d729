//! What is compared. Each scenario is a line here; the rest of the program knows none by name but those
//! that the ratios are between.

use everycall_core::Algorithm::{self, Es256, Rs256};
use serde_json::{json, Value};

use crate::policy::{self, Rules, Setting};
use crate::requests::Source;

pub struct Scenario {
    /// How it is called in options and in the figures; its letter comes first.
    pub name: &'static str,
    pub what: &'static str,
    pub filter: Filter,
    pub source: Source,
    /// Compared by cost only: its latency is not measured.
    pub cost_only: bool,
}

/// What stands before the router.
#[derive(Debug, Clone, Copy)]
pub enum Filter {
    None,
    Empty,
    Native { algorithm: Algorithm, cached: bool },
    ExtAuthz,
    Everycall(Setting),
}

impl Filter {
    /// Whether it enforces the policy.
    pub const fn decides(&self) -> bool {
        matches!(self, Filter::Native { .. } | Filter::Everycall(_))
    }
}

const fn everycall(name: &'static str, what: &'static str, source: Source) -> Scenario {
    let filter = Filter::Everycall(Setting::of(source.algorithm()));
    Scenario { name, what, filter, source, cost_only: false }
}

const fn native(name: &'static str, what: &'static str, algorithm: Algorithm, cached: bool) -> Scenario {
    let filter = Filter::Native { algorithm, cached };
    Scenario { name, what, filter, source: Source::Warm(algorithm), cost_only: false }
}

const fn other(name: &'static str, what: &'static str, filter: Filter) -> Scenario {
    Scenario { name, what, filter, source: Source::Warm(Rs256), cost_only: false }
}

/// Everycall with a warm token, but for this.
const fn variant(name: &'static str, what: &'static str, grants: usize, rules: Rules) -> Scenario {
    let setting = Setting { grants, rules, ..Setting::of(Rs256) };
    Scenario { name, what, filter: Filter::Everycall(setting), source: Source::Warm(Rs256), cost_only: true }
}

/// All of them, in the order of the table.
pub const SCENARIOS: [Scenario; 17] = [
    other("a", "no filter", Filter::None),
    other("b", "an empty wasm filter", Filter::Empty),
    native("c_rs256", "jwt_authn and RBAC, RS256", Rs256, false),
    native("c_es256", "jwt_authn and RBAC, ES256", Es256, false),
    native("c_cached_rs256", "the same with its cache, RS256", Rs256, true),
    native("c_cached_es256", "the same with its cache, ES256", Es256, true),
    Scenario {
        source: Source::Large(Rs256),
        ..native("c_large", "jwt_authn and RBAC, RS256, 30 headers", Rs256, false)
    },
    other("d", "ext_authz (gRPC), always yes", Filter::ExtAuthz),
    everycall("e_rs256", "Everycall, warm tokens, RS256", Source::Warm(Rs256)),
    everycall("e_es256", "Everycall, warm tokens, ES256", Source::Warm(Es256)),
    everycall("f_rs256", "Everycall, new tokens, RS256", Source::Fresh(Rs256)),
    everycall("f_es256", "Everycall, new tokens, ES256", Source::Fresh(Es256)),
    Scenario {
        filter: Filter::Everycall(Setting { asks: true, ..Setting::of(Rs256) }),
        ..everycall("g", "Everycall, warm, and a PDP says yes (gRPC)", Source::Warm(Rs256))
    },
    everycall("h", "Everycall, warm, 30 headers of 4 KB", Source::Large(Rs256)),
    variant("e_100k_grants", "Everycall, warm, 100,000 grants (else 100)", 99_900, Rules::One),
    variant("e_10_rules", "Everycall, warm, 10 rules for all grants", 0, Rules::Ten),
    variant("e_1000_rules", "Everycall, warm, 1,000 rules: 10 a grant", 0, Rules::Thousand),
];

impl Scenario {
    /// What it is a variant of.
    pub fn letter(&self) -> &'static str {
        self.name.split('_').next().unwrap_or(self.name)
    }

    /// The scenario that does natively what this one is about.
    pub fn native(&self) -> &'static str {
        match self.source {
            Source::Large(_) => "c_large",
            Source::Warm(Es256) | Source::Fresh(Es256) => "c_es256",
            Source::Warm(_) | Source::Fresh(_) => "c_rs256",
        }
    }
}

impl Filter {
    /// Everycall's configuration, from which the bootstrap is rendered in any case.
    pub fn config(&self) -> anyhow::Result<Value> {
        match self {
            Filter::Everycall(setting) => policy::everycall(setting),
            _ => policy::everycall(&Setting { asks: true, ..Setting::of(Rs256) }),
        }
    }

    /// The filters that take Everycall's place.
    pub fn instead(&self, empty: &str) -> anyhow::Result<Option<Vec<Value>>> {
        Ok(match self {
            Filter::Everycall(_) => None,
            Filter::None => Some(Vec::new()),
            Filter::Native { algorithm, cached } => Some(policy::native(*algorithm, *cached)?),
            Filter::Empty => Some(vec![json!({"name": "envoy.filters.http.wasm", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {"name": "empty", "root_id": "empty", "failure_policy": "FAIL_RELOAD", "vm_config": {
                    "vm_id": "empty", "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": empty}}}}}})]),
            Filter::ExtAuthz => Some(vec![json!({"name": "envoy.filters.http.ext_authz", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": "pdp"}, "timeout": "1s"}}})]),
        })
    }
}
