//! What Rego has elsewhere and not here, and what to write instead.

/// Builtins by name, or by the beginning of their names if it ends in a dot.
const BUILTINS: &[(&str, &str)] = &[
    (
        "io.jwt.",
        "tokens are verified before any policy runs: read `input.identity.claims`, or \
                 `input.everycall.identity.claims` where the input is OPA-Envoy's",
    ),
    (
        "crypto.",
        "signatures and certificates are checked before any policy runs: read `input.identity`, or \
                 `input.everycall.identity` where the input is OPA-Envoy's",
    ),
    (
        "http.send",
        "a policy does not reach the network: ask a decision point by the rule `ask`, or put \
                   what it needs into `data`",
    ),
    (
        "time.",
        "compare Unix seconds with `input.time`, or use `input.clock` (weekday, hour, minute, date); both \
                 are below `input.everycall` where the input is OPA-Envoy's",
    ),
    ("net.cidr_overlap", "use `net.cidr_contains`"),
    ("net.", "a policy does not reach the network: put addresses into `data`"),
    ("opa.runtime", "put settings into `data`"),
    ("rand.", "decisions can be made again from their records: nothing in them is random"),
    ("uuid.", "decisions can be made again from their records: nothing in them is random"),
    ("print", "remove it: `everycall decide --explain` shows where a rule stops"),
    ("trace", "remove it: `everycall decide --explain` shows where a rule stops"),
    ("yaml.", "put what was parsed into `data`"),
    ("json.", "check members by `is_string` and its like"),
    ("graph.reachable_paths", "use `graph.reachable`"),
    ("graphql.", "the decision is made before the body arrives"),
    ("any", "use `some x in list`, or `true in list`"),
    ("all", "use `every x in list { … }`"),
    ("re_match", "use `regex.match`"),
    ("set_diff", "use `a - b`"),
    ("regex.globs_match", "use `glob.match`"),
    ("strings.render_template", "use `sprintf` or `concat`"),
    ("providers.aws.", "a policy signs nothing: let the service do it"),
    ("rego.", "put what describes a rule into its result"),
    ("internal.", "use what the language has for it: `in`, `print`"),
];

/// What to write instead of a builtin.
pub fn builtin(name: &str) -> Option<&'static str> {
    let is = |known: &str| name == known || (known.ends_with('.') && name.starts_with(known));
    BUILTINS.iter().find(|(known, _)| is(known)).map(|(_, instead)| *instead)
}
