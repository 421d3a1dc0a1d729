//! What is counted: whole decisions, each of which goes further than another. What lies between two of them
//! is the difference.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{bail, ensure};
use everycall::cases::CaseFile;
use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::{json, Algorithm, Decision, Engine, IdSeed, Settings, Step, StreamId, UnixTime};
use everycall_rego::{Budget, Facts, Library, Plan, Value as RegoValue};
use serde_json::{json, Value};

pub const HOST: &str = "orders.shop.example";
pub const ISSUER: &str = "https://id.shop.example/instructions";
const ORDERS: &str = "package everycall.orders\n\n\
    import data.everycall.lib.purpose\n\n\
    decision := {\"allow\": true, \"reason\": \"change\"} if {\n\
    \tinput.request.method == \"POST\"\n\tpurpose.stated\n}\n\n\
    decision := {\"allow\": true, \"reason\": \"read\"} if {\n\
    \tinput.request.method == \"GET\"\n\tinput.identity.claims.scope == \"orders.read\"\n\tpurpose.stated\n}\n";
const PURPOSE: &str = "package everycall.lib.purpose\n\n\
    stated if {\n\t[said] := input.request.headers[\"x-purpose\"]\n\tsaid in data.purposes[input.grant.id]\n}\n";
/// Reads what the rules above read, and looks at nothing of it.
const INPUTS: &str = "package everycall.inputs\n\n\
    decision := {\"allow\": true, \"reason\": \"inputs\"} if {\n\
    \tinput.request.method\n\tinput.request.headers[\"x-purpose\"]\n\tinput.identity.claims.scope\n\
    \tinput.grant.id\n}\n";
const PUBLIC: &str = "package everycall.public\n\ndecision := {\"allow\": true, \"reason\": \"public\"}\n";

/// What one rule costs.
const ONE: &str = "package everycall.one\n\n\
    decision := {\"allow\": true, \"reason\": \"read\"} if {\n\
    \tinput.request.method == \"GET\"\n\tinput.identity.claims.scope == \"orders.read\"\n}\n";

pub const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// What is counted, and how much it may take at most.
#[derive(Debug)]
pub struct Stage {
    pub name: &'static str,
    pub what: &'static str,
    /// Instructions.
    pub bound: u64,
    /// The stage that this one goes on from, and what it adds to that.
    pub beyond: Option<(&'static str, &'static str)>,
    path: &'static str,
    token: Token,
    until: Until,
    /// Policies of ten rules that are there.
    among: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    /// Seen before.
    Warm,
    /// Never remembered: its signature is checked each time.
    Fresh,
    None,
    /// Not a token at all.
    Broken,
}

/// Where a stage ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Until {
    /// Nothing but the evaluation of a policy of one rule.
    Policy,
    Request,
    Decision,
    /// The record is written.
    Line,
    /// The summary, too.
    Summary,
}

use Token::{Broken, Fresh, None as NoToken, Warm};

/// In one order for both ways to measure.
pub const STAGES: [Stage; 13] = [
    stage("policy", "a policy of one rule, evaluated", 1_500, ORDER, Warm).until(Until::Policy),
    stage("request", "a request, as the host hands it over", 16_800, ORDER, Warm).until(Until::Request),
    stage("token_malformed", "refused for what is no token", 33_500, ORDER, Broken)
        .beyond("request", "read the request, refuse"),
    stage("not_granted", "refused for want of a grant", 39_500, "/nowhere", Warm)
        .beyond("token_malformed", "know the token again"),
    stage("constant", "admitted by a policy that reads nothing", 49_600, "/constant/o-1001", Warm)
        .beyond("not_granted", "find the grant, evaluate, admit"),
    stage("inputs", "admitted by a policy that only reads", 55_700, "/inputs/o-1001", Warm)
        .beyond("constant", "build the input"),
    stage("admitted", "admitted by grant and policy, warm token", 58_200, ORDER, Warm)
        .beyond("inputs", "evaluate rules, a library, data"),
    stage("rules_10", "admitted by the last of 10 rules", 54_100, "/many/7/9", Warm),
    stage("rules_1000", "the same, among 100 policies as large", 54_100, "/many/7/9", Warm).among(100),
    stage("line", "the same, with its record", 79_000, ORDER, Warm)
        .until(Until::Line)
        .beyond("admitted", "write the record"),
    stage("recorded", "the same, with record and summary", 84_300, ORDER, Warm)
        .until(Until::Summary)
        .beyond("line", "write the summary"),
    stage("fresh", "admitted, signature checked (ES256)", 3_700_000, ORDER, Fresh)
        .beyond("admitted", "verify and remember the token"),
    stage("anonymous", "admitted without a credential", 39_800, "/healthz", NoToken),
];

const ORDER: &str = "/orders/o-1001";

const fn stage(
    name: &'static str,
    what: &'static str,
    bound: u64,
    path: &'static str,
    token: Token,
) -> Stage {
    Stage { name, what, bound, beyond: None, path, token, until: Until::Decision, among: 8 }
}

impl Stage {
    const fn until(self, until: Until) -> Self {
        Self { until, ..self }
    }

    const fn among(self, among: usize) -> Self {
        Self { among, ..self }
    }

    const fn beyond(self, name: &'static str, adds: &'static str) -> Self {
        Self { beyond: Some((name, adds)), ..self }
    }
}

/// A stage that can be done again and again.
pub struct Ready {
    stage: &'static Stage,
    engine: Engine,
    wire: WireRequest,
    policy: Plan,
}

impl Ready {
    /// Does it once: that fills the cache, and what is measured is what it is called.
    ///
    /// # Errors
    /// It is not.
    pub fn new(stage: &'static Stage) -> anyhow::Result<Self> {
        let mut config = config(stage.among)?;
        if stage.token == Fresh {
            config["limits"] = json!({"tokens_cached": 0});
        }
        let wire = request(&config, stage)?;
        let settings = Settings::from_value(config).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut library = Library::default();
        library.add("one.rego", ONE).map_err(anyhow::Error::msg)?;
        let policy =
            library.plan(&["everycall.one.decision"]).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let engine = Engine::standalone(settings, IdSeed::derive(&[]));
        let mut ready = Self { stage, engine, wire, policy };
        ready.run(1)?;
        Ok(ready)
    }

    /// Does it so often.
    ///
    /// # Errors
    /// The outcome is another than the stage's name says.
    pub fn run(&mut self, times: u64) -> anyhow::Result<()> {
        if self.stage.until == Until::Policy {
            return self.evaluate(times);
        }
        for _ in 0..times {
            let request = self.wire.to_core(StreamId(1));
            if self.stage.until == Until::Request {
                black_box(request);
                continue;
            }
            let Step::Done(decision) = self.engine.check(request, NOW) else {
                bail!("nobody is to be asked")
            };
            judge(self.stage, &decision)?;
            match self.stage.until {
                Until::Policy | Until::Request | Until::Decision => drop(black_box(decision)),
                Until::Line => drop(black_box(json::line(&decision.record)?)),
                Until::Summary => {
                    drop(black_box((json::line(&decision.record)?, decision.record.summary()?)))
                }
            }
        }
        Ok(())
    }
}

/// The values of what a policy reads, in its order.
struct Known(Vec<Option<RegoValue>>);

impl Facts for Known {
    fn fact(&self, slot: usize) -> Option<&RegoValue> {
        self.0.get(slot)?.as_ref()
    }

    fn now_ns(&self) -> Option<i64> {
        None
    }
}

impl Ready {
    fn evaluate(&self, times: u64) -> anyhow::Result<()> {
        let value = |path: &[Arc<str>]| match path.last().map(|name| &**name) {
            Some("method") => Some(RegoValue::from("GET")),
            Some("scope") => Some(RegoValue::from("orders.read")),
            _ => None,
        };
        let facts = Known(self.policy.inputs().map(|(path, _)| value(path)).collect());
        for _ in 0..times {
            let decision = self.policy.evaluate(0, &facts, &mut Budget::new(20_000, 100_000));
            let decision = decision.map_err(|halt| anyhow::anyhow!("{halt}"))?;
            ensure!(decision.is_some(), "the rule does not hold");
            drop(black_box(decision));
        }
        Ok(())
    }
}

/// What is counted has to be what it is called.
fn judge(stage: &Stage, decision: &Decision) -> anyhow::Result<()> {
    let reason = decision.record.reason.map(|reason| reason.code()).unwrap_or_default();
    let expected = match stage.name {
        refused @ ("not_granted" | "token_malformed") => refused,
        _ => "allowed",
    };
    ensure!(reason == expected, "`{}` came to `{reason}`, not to `{expected}`", stage.name);
    Ok(())
}

/// A hundred grants; rules that use a library, and data.
fn config(many: usize) -> anyhow::Result<Value> {
    let grant = |number: usize| {
        json!({"id": format!("grant-{number}"), "owner": "team-orders@shop.example",
            "purpose": "Show customers their orders", "sensitivity": "internal",
            "subject": format!("spiffe://shop.example/caller-{number}"), "kinds": ["workload"], "hosts": [HOST],
            "methods": ["GET", "POST"], "paths": ["/orders/{order}"], "policy": "orders"})
    };
    let mut grants: Vec<Value> = (0..100).map(grant).collect();
    grants.push(json!({"id": "health", "owner": "team-orders@shop.example", "purpose": "Be watched",
        "subject": "anonymous", "hosts": [HOST], "methods": ["GET"], "paths": ["/healthz"], "policy": "public"}));
    for (name, path) in [("constant", "/constant/{order}"), ("inputs", "/inputs/{order}")] {
        let mut one = grant(7);
        (one["id"], one["paths"], one["policy"]) = (json!(name), json!([path]), json!(name));
        grants.push(one);
    }
    let mut policies = json!({"orders.rego": ORDERS, "purpose.rego": PURPOSE, "public.rego": PUBLIC,
        "constant.rego": PUBLIC.replace("public", "constant"), "inputs.rego": INPUTS});
    for set in 0..many {
        let mut one = grant(7);
        (one["id"], one["policy"]) = (json!(format!("many-{set}")), json!(format!("many_{set}")));
        one["paths"] = json!([format!("/many/{set}/{{order}}")]);
        grants.push(one);
        let rule = |rule| {
            format!(
                "decision := {{\"allow\": true, \"reason\": \"r{rule}\"}} if {{\n\tinput.grant.params.order == \"{rule}\"\n\tinput.request.method == \"GET\"\n}}\n\n"
            )
        };
        let rules: String = (0..10).map(rule).collect();
        policies[format!("many_{set}.rego")] = json!(format!("package everycall.many_{set}\n\n{rules}"));
    }
    Ok(json!({
        "version": 1, "instance": "instructions",
        "issuers": [{"issuer": ISSUER, "audiences": ["orders"], "algorithms": ["ES256"], "kind": "workload", "max_lifetime_s": 3600,
            "trust_domains": ["shop.example"],
            "keys": {"inline": TestKey::of(Algorithm::Es256)?.public_jwks()}}],
        "credentials": [{"header": "authorization", "scheme": "Bearer"}],
        "bundle": {"inline": {
            "policies": policies,
            "data": {"purposes": {"grant-7": ["show-order", "track-delivery"]}},
            "grants": grants,
        }},
        "log": {"records": "all"},
    }))
}

fn request(config: &Value, stage: &Stage) -> anyhow::Result<WireRequest> {
    let file = json!({"about": "instructions", "cases": [{
        "name": "one",
        "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": HOST, "path": stage.path,
            "headers": [["x-purpose", "show-order"], ["accept", "*/*"]]},
        "token": {"issuer": ISSUER,
            "claims": {"sub": "spiffe://shop.example/caller-7", "scope": "orders.read"}},
    }]});
    let file = CaseFile::parse("instructions", &file.to_string())?;
    let mut wire = file.cases[0].request(config, NOW)?;
    match stage.token {
        Warm | Fresh => {}
        NoToken => wire.headers.retain(|(name, _)| name != "authorization"),
        Broken => {
            for (_, value) in wire.headers.iter_mut().filter(|(name, _)| name == "authorization") {
                *value = b"Bearer not-a-token".to_vec();
            }
        }
    }
    Ok(wire)
}
