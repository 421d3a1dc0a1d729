//! A decision for people: the layers in their order, and the fact that decided.

use everycall_core::{DecisionRecord, Reason, Verdict};

/// The decision, a line for each layer that was reached. `unmet` are the policy's conditions that
/// did not hold.
pub(super) fn text(record: &DecisionRecord, unmet: &[String]) -> String {
    let mut lines = Vec::new();
    let reason = record.reason.map_or("an answer is awaited", Reason::code);
    let status = if record.status == 0 { String::new() } else { format!(" ({})", record.status) };
    lines.push(format!("{} {reason}{status}", verdict(record.decision)));
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<12}{}", visible(&text)));
    line("decision", format!("{} at {}, revision {}", record.id, record.time, record.revision));
    let request = &record.request;
    line("request", format!("{} {}://{}{}", request.method, request.scheme, request.host, request.path));
    match &record.identity {
        Some(identity) => {
            let mut text =
                format!("{} `{}`, by a token of `{}`", identity.kind.as_str(), identity.id, identity.issuer);
            for (name, value) in
                [("for", &identity.principal), ("task", &identity.task), ("key", &identity.key_id)]
            {
                if let Some(value) = value {
                    text.push_str(&format!(", {name} `{value}`"));
                }
            }
            let left = identity.expires_at.secs().saturating_sub(record.time.secs());
            line("credential", format!("{text}, expires in {left} s"));
        }
        None => line("credential", "no verified caller".to_owned()),
    }
    if let Some(grant) = &record.grant {
        line("grant", format!("`{}`: {} (owner: {})", grant.id, grant.purpose, grant.owner));
        for (name, value) in &grant.params {
            line("", format!("{name} = {value}"));
        }
    }
    if let Some(policy) = &record.policy {
        line("rule set", policy.rule_set.clone());
        let without = if policy.without_pdp { ", which can do without the decision point" } else { "" };
        let rule =
            policy.rule.as_ref().map_or("none with a code".to_owned(), |rule| format!("`{rule}`{without}"));
        line("rule", rule);
    }
    for exchange in &record.pdp {
        let question = serde_json::Value::Object(exchange.question.clone());
        line("question", format!("`{}` to `{}`: {question}", exchange.id, exchange.pdp));
        line("answer", exchange.answer.as_ref().map_or("awaited".to_owned(), ToString::to_string));
    }
    if let Some(detail) = &record.detail {
        line("fact", detail.clone());
    }
    for condition in unmet {
        line("not met", condition.clone());
    }
    lines.join("\n")
}

/// `allow`, `deny` or `ask`.
pub(super) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
        Verdict::Ask => "ask",
    }
}

/// Paths and claims are a client's: none of them may end a line or drive a terminal.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => visible.extend(c.escape_default()),
            false => visible.push(c),
        }
    }
    visible
}
