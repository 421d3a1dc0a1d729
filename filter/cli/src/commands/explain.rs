//! A decision for people: the layers in their order, and the fact that decided.

use everycall_core::{DecisionRecord, Exception, Identity, Reason, Verdict};

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
            let proof = proof(identity, record.exception.as_deref());
            let mut text = format!("{} `{}`, by {proof}", identity.kind.as_str(), identity.id);
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
    for (name, value) in &record.obligations {
        line("obliged to", format!("{name}: {value}"));
    }
    if let Some(detail) = &record.detail {
        line("fact", detail.clone());
    }
    for condition in unmet {
        line("not met", condition.clone());
    }
    lines.join("\n")
}

/// How the caller proved itself.
fn proof(identity: &Identity, exception: Option<&Exception>) -> String {
    let issuer = &identity.issuer;
    let mut text = match (identity.credential.as_str(), exception) {
        ("jwt_svid", _) => format!("a JWT-SVID of `{issuer}`"),
        ("mtls", _) => format!("a client certificate of `{issuer}`"),
        ("api_key", Some(Exception { id, owner, valid_until, .. })) => {
            format!("an API key by exception `{id}` (owner: {owner}) until {valid_until}")
        }
        ("api_key", None) => "an API key".to_owned(),
        _ => format!("a token of `{issuer}`"),
    };
    if let Some(bound) = identity.bound {
        text.push_str(&format!(", bound by {}", bound.as_str()));
    }
    text
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
pub(super) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => visible.extend(c.escape_default()),
            false => visible.push(c),
        }
    }
    visible
}

#[cfg(test)]
mod tests {
    use everycall_core::{Binding, Kind, UnixTime};

    use super::*;

    #[test]
    fn each_credential_says_how_the_caller_proved_itself() {
        let identity = |credential: &str, bound| Identity {
            kind: Kind::Workload,
            id: "x".into(),
            issuer: "spiffe://a".into(),
            credential: credential.into(),
            principal: None,
            actors: Vec::new(),
            task: None,
            token_id: None,
            key_id: None,
            bound,
            not_before: UnixTime::default(),
            expires_at: UnixTime::default(),
            claims: serde_json::Map::new(),
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
            ("api_key", None, "an API key by exception `e` (owner: o) until 1970-01-01T00:01:00Z"),
        ] {
            assert_eq!(proof(&identity(credential, bound), Some(&exception)), text);
        }
    }
}
