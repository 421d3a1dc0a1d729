//! A decision for people: the layers in their order, and the fact that decided.

use everycall_core::authority::Exception;
use everycall_core::policy::Trace;
use everycall_core::record::{ShadowOutcome, ShadowRecord, SignalsRecord};
use everycall_core::{DecisionRecord, Engine, IdSeed, Identity, Layer, Reason, Settings, Verdict};
use serde_json::Value;

use crate::rego::{values_read, RegoFile};

/// What the policies of a configuration say, for explanations of what they did.
pub(super) struct Policies {
    modules: Vec<RegoFile>,
    data: Value,
}

impl Policies {
    pub(super) fn of(document: &Value) -> Self {
        let data = document.pointer("/bundle/inline/data").cloned().unwrap_or_default();
        Self { modules: RegoFile::all(document), data }
    }
}

/// A case that failed, as `everycall test` shows it: its name, what differs from what it expects, and the
/// explanation of its decision.
pub(super) fn failed(
    name: &str,
    failure: &str,
    record: &DecisionRecord,
    traces: &[Trace],
    policies: &Policies,
) -> String {
    let text = text(record, traces, policies);
    let lines = [visible(failure)].into_iter().chain(text.lines().map(str::to_owned));
    let lines: String = lines.map(|line| format!("    {line}\n")).collect();
    format!("\n  FAILED: {}\n{lines}", visible(name))
}

/// The same, for whoever knows the record alone: an engine of the case's configuration decides it once more.
pub fn failed_again(config: &Value, name: &str, failure: &str, record: &DecisionRecord) -> String {
    let mut traces = Vec::new();
    if let Ok(settings) = Settings::from_value(config.clone()) {
        let mut engine = Engine::standalone(settings, IdSeed::derive(&[]));
        engine.traces();
        engine.replay(record);
        traces = engine.traces();
    }
    failed(name, failure, record, &traces, &Policies::of(config))
}

/// What is known of a call, in a line.
fn known(signals: &SignalsRecord) -> String {
    let SignalsRecord { list, identity, on_behalf_of, actors, task } = signals;
    let mut parts = Vec::new();
    let named = [("identity", identity), ("on_behalf_of", on_behalf_of), ("task", task)];
    for (part, all) in named.into_iter().chain(actors.iter().map(|actor| ("actor", actor))) {
        parts.extend(all.iter().map(|(name, value)| format!("{part}.{name} = {value}")));
    }
    if parts.is_empty() {
        parts.push("none".to_owned());
    }
    let stale = list.is_some_and(|list| list.stale).then(|| "; the list is too old".to_owned());
    format!("{}{}", parts.join(", "), stale.unwrap_or_default())
}

/// The decision, layer by layer as far as it came. `traces` are what its policy did, round by round.
pub(super) fn text(record: &DecisionRecord, traces: &[Trace], policies: &Policies) -> String {
    let mut lines = Lines(Vec::new());
    let reason = record.reason.map_or("an answer is awaited", Reason::code);
    let status = if record.status == 0 { String::new() } else { format!(" ({})", record.status) };
    lines.0.push(format!("{} {reason}{status}", record.decision));
    lines.add("decision", format!("{} at {}, revision {}", record.id, record.time, record.revision));
    let request = &record.request;
    lines.add("request", format!("{} {}://{}{}", request.method, request.scheme, request.host, request.path));
    match &record.identity {
        Some(identity) => {
            let proof = proof(identity);
            let mut text = format!("{} `{}`, by {proof}", identity.kind.as_str(), identity.id);
            let more = [
                ("for", identity.on_behalf_of.as_deref()),
                ("task", identity.task.as_deref()),
                ("key", identity.key_id.as_deref()),
            ];
            for (name, value) in more {
                if let Some(value) = value {
                    text.push_str(&format!(", {name} `{value}`"));
                }
            }
            let left = identity.expires_at.secs().saturating_sub(record.time.secs());
            lines.add("credential", format!("{text}, expires in {left} s"));
        }
        None => lines.add("credential", "no verified caller".to_owned()),
    }
    if let Some(exception) = record.exception.as_deref() {
        lines.add("exception", exempt(exception));
        lines.add("", format!("made up for by: {}", exception.compensating_control));
    }
    if let Some(grant) = &record.grant {
        lines.add("grant", format!("`{}`: {} (owner: {})", grant.id, grant.purpose, grant.owner));
        for (name, value) in &grant.params {
            lines.add("", format!("{name} = {value}"));
        }
    }
    if let Some(elevation) = &record.elevation {
        lines.add(
            "elevation",
            format!(
                "`{}`: {} (approver: {}, ticket: {}), until {}",
                elevation.id, elevation.reason, elevation.approver, elevation.ticket, elevation.valid_until
            ),
        );
        if elevation.break_glass {
            let reason = elevation.break_glass_reason.as_deref().unwrap_or_default();
            lines.add("", format!("BREAKS THE GLASS: {reason}"));
        }
    }
    if let Some(signals) = &record.signals {
        lines.add("signals", known(signals));
    }
    if let Some(policy) = &record.policy {
        let without = if policy.without_pdp { ", which can do without the decision point" } else { "" };
        let rule = policy
            .rule
            .as_ref()
            .map_or("no rule with a code".to_owned(), |rule| format!("rule `{rule}`{without}"));
        lines.add("policy", format!("{}: {rule}", policy.rule_set));
    }
    // What earlier rounds saw, the last one sees too, and the answers besides.
    if let Some(trace) = traces.iter().rfind(|trace| !trace.shadow) {
        rules(&mut lines, trace, policies);
    }
    for exchange in &record.pdp {
        let question = Value::Object(exchange.question.clone());
        lines.add("pdp", format!("`{}` asked `{}`: {question}", exchange.pdp, exchange.id));
        lines.add(
            "",
            exchange
                .answer
                .as_ref()
                .map_or("no answer yet".to_owned(), |answer| format!("answered {answer}")),
        );
    }
    let layer =
        |layer: Layer| serde_json::to_value(layer).ok().and_then(|name| Some(name.as_str()?.to_owned()));
    if record.decision == Verdict::Deny {
        lines.add("refused by", layer(record.layer).unwrap_or_default());
    }
    for (name, value) in &record.obligations {
        lines.add("obliged to", format!("{name}: {value}"));
    }
    if let Some(would) = &record.would_refuse {
        let layer = layer(would.layer).unwrap_or_default();
        lines.add(
            "OBSERVED",
            format!("passed on; without `observe` {layer} refuses: {} ({})", would.reason, would.status),
        );
        lines.add("fact", would.detail.clone().unwrap_or_default());
    }
    if let Some(detail) = &record.detail {
        lines.add("fact", detail.clone());
    }
    for shadow in &record.shadow {
        lines.add("shadow", opinion(shadow));
        if let Some(detail) = &shadow.detail {
            lines.add("", detail.clone());
        }
    }
    lines.0.join("\n")
}

/// What a shadow says, which nobody obeys.
fn opinion(shadow: &ShadowRecord) -> String {
    let reason = shadow.reason.map_or("a question", Reason::code);
    let rule = shadow.rule.as_ref().map_or(String::new(), |rule| format!(", rule `{rule}`"));
    let of = match &shadow.bundle {
        Some(bundle) => format!(" (revision {}, sequence {})", bundle.revision, bundle.sequence),
        None => String::new(),
    };
    let compared = match shadow.outcome {
        ShadowOutcome::Same => "says the same",
        ShadowOutcome::Differs => "DIFFERS",
        ShadowOutcome::Unknown => "wants to know more",
        ShadowOutcome::Error => "CAN'T DECIDE",
    };
    format!("`{}`{of} {compared}: {} {reason}{rule}", shadow.name, shadow.decision)
}

/// The rules that were evaluated, where those stopped that did not hold, and what they looked at.
fn rules(lines: &mut Lines, trace: &Trace, policies: &Policies) {
    let held = trace.rules.iter().filter(|rule| rule.held);
    lines.all("held", held.map(|rule| format!("{}:{}: {}", rule.file, rule.line, rule.rule)));
    let stopped = trace.rules.iter().filter_map(|rule| Some((rule, rule.stopped.as_ref()?)));
    lines.all("not met", stopped.map(|(rule, (line, text))| format!("{}:{line}: {text}", rule.file)));
    let values = values_read(trace, &policies.modules, &policies.data);
    lines.all(
        "read",
        values.into_iter().map(|(path, value)| match value {
            Some(value) => format!("{path} = {}", short(&value.to_string())),
            None => format!("{path} is undefined"),
        }),
    );
}

struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, name: &str, text: String) {
        self.0.push(format!("  {name:<12}{}", visible(&text)));
    }

    /// The name stands before the first.
    fn all(&mut self, name: &str, texts: impl Iterator<Item = String>) {
        for (index, text) in texts.enumerate() {
            self.add(if index == 0 { name } else { "" }, text);
        }
    }
}

/// At most so much that it stays one line of a terminal.
fn short(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// How the caller proved itself.
fn proof(identity: &Identity) -> String {
    let issuer = &identity.issuer;
    let mut text = match &*identity.credential {
        "jwt_svid" => format!("a JWT-SVID of `{issuer}`"),
        "mtls" => format!("a client certificate of `{issuer}`"),
        "api_key" => "an API key".to_owned(),
        _ => format!("a token of `{issuer}`"),
    };
    if let Some(bound) = identity.bound {
        text.push_str(&format!(", bound by {}", bound.as_str()));
    }
    text
}

/// By which exception the credential exists, and who answers for that.
fn exempt(exception: &Exception) -> String {
    let Exception { id, owner, reason, valid_until, .. } = exception;
    format!("`{id}`: {reason} (owner: {owner}), until {valid_until}")
}

/// Paths and claims are a client's: none of them may end a line or drive a terminal.
pub(super) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            visible.extend(c.escape_default())
        } else {
            visible.push(c)
        }
    }
    visible
}

#[cfg(test)]
mod tests {
    use everycall_core::identity::{Binding, Claims};
    use everycall_core::{Kind, UnixTime};

    use super::*;

    #[test]
    fn each_credential_says_how_the_caller_proved_itself() {
        let identity = |credential: &str, bound| Identity {
            kind: Kind::Workload,
            id: "x".into(),
            issuer: "spiffe://a".into(),
            credential: credential.into(),
            on_behalf_of: None,
            actors: Vec::new(),
            task: None,
            token_id: None,
            key_id: None,
            bound,
            not_before: UnixTime::default(),
            expires_at: UnixTime::default(),
            claims: Claims::default(),
        };
        let exception = Exception {
            id: "e".into(),
            owner: "o".into(),
            reason: "r".into(),
            compensating_control: "c".into(),
            valid_from: UnixTime::default(),
            valid_until: UnixTime::from_secs(60),
        };
        for (credential, bound, text) in [
            ("jwt", None, "a token of `spiffe://a`"),
            ("jwt", Some(Binding::Dpop), "a token of `spiffe://a`, bound by dpop"),
            ("jwt", Some(Binding::Both), "a token of `spiffe://a`, bound by both"),
            ("jwt_svid", Some(Binding::Certificate), "a JWT-SVID of `spiffe://a`, bound by certificate"),
            ("mtls", None, "a client certificate of `spiffe://a`"),
            ("api_key", None, "an API key"),
        ] {
            assert_eq!(proof(&identity(credential, bound)), text);
        }
        assert_eq!(exempt(&exception), "`e`: r (owner: o), until 1970-01-01T00:01:00Z");
    }
}
