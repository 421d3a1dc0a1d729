//! The calls of the tour, and what is to become of each.

use std::net::{IpAddr, Ipv4Addr};

use everycall::mint::TestKey;
use everycall_core::Algorithm;
use everycall_tests::client::RawRequest;
use everycall_tests::devserver::Devserver;
use serde_json::{json, Map, Value};

const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
pub const CHECKOUT: &str = "spiffe://shop.example/ns/checkout/sa/checkout";
const AGENT: &str = "spiffe://shop.example/agent/support-bot";
/// What its tokens are bound to.
const TASK: &str = "order:o-1001";

/// One request of the tour.
pub struct Call {
    pub what: &'static str,
    pub who: &'static str,
    pub from: IpAddr,
    method: &'static str,
    host: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    /// Outcome and reason, and the policy's own code if there is one.
    pub expected: (&'static str, &'static str, Option<&'static str>),
    /// It stays open until this task ends.
    pub cut_by_end_of: Option<&'static str>,
    pub while_pdp_is_down: bool,
}

impl Call {
    pub fn request(&self) -> RawRequest {
        let mut headers = vec![("host".to_owned(), self.host.into())];
        headers.extend(
            self.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())),
        );
        RawRequest { method: self.method.into(), path: self.path.into(), headers, body: Vec::new() }
    }
}

/// All of them, in this order.
pub fn calls(devserver: &Devserver) -> anyhow::Result<Vec<Call>> {
    let orders = "orders.shop.example";
    let checkout = devserver.token("workloads", json!({"sub": CHECKOUT}))?;
    let ci = devserver.token(
        "ci",
        json!({"sub": "repo:shop/deploy:ref:refs/heads/main", "claims": {"environment": "production"}}),
    )?;
    let human = devserver.token("humans", json!({"sub": "user:bob"}))?;
    let agent = |task: &str| {
        devserver.token("agents", json!({"sub": "user:alice", "act": {"sub": AGENT}, "task": task}))
    };
    let (agent, other_task) = (agent(TASK)?, agent("order:o-2002")?);
    let forged = |algorithm, header: Value, claims: Value, foreign| mint(algorithm, header, claims, foreign);
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_secs())?;
    let es256 = Algorithm::Es256;
    let read = |what, who, token: Option<String>, expected| Call {
        what,
        who,
        from: OFFICE,
        method: "GET",
        host: orders,
        path: "/orders/o-1001",
        headers: [("x-purpose", "show-order".to_owned())]
            .into_iter()
            .chain(token.map(|token| ("authorization", token)))
            .collect(),
        expected,
        cut_by_end_of: None,
        while_pdp_is_down: false,
    };
    let drain = |what, token: &str, reason: Option<&str>, expected| Call {
        what,
        who: "user:bob, on call",
        from: OFFICE,
        method: "POST",
        host: orders,
        path: "/ops/drain",
        headers: [("authorization", token.to_owned())]
            .into_iter()
            .chain(reason.map(|reason| ("x-everycall-break-glass", reason.to_owned())))
            .collect(),
        expected,
        cut_by_end_of: None,
        while_pdp_is_down: false,
    };
    let refund = |what, token: &String, path, expected| Call {
        what,
        who: "agent for user:alice",
        from: OFFICE,
        method: "POST",
        host: orders,
        path,
        headers: vec![("authorization", token.clone()), ("x-purpose", "refund-complaint".into())],
        expected,
        cut_by_end_of: None,
        while_pdp_is_down: false,
    };
    let correction = |what, who, sub: &str, expected| -> anyhow::Result<Call> {
        let token = devserver.token("humans", json!({"sub": sub, "claims": {"team": "warehouse"}}))?;
        Ok(Call {
            what,
            who,
            from: OFFICE,
            method: "PUT",
            host: "inventory.shop.example",
            path: "/items/sku-42/count",
            headers: vec![("authorization", token), ("x-ticket", "PAM-1187".into())],
            expected,
            cut_by_end_of: None,
            while_pdp_is_down: false,
        })
    };
    let answer = vec![("authorization", agent.clone()), ("x-purpose", "answer-customer".into())];
    let report = |what, from, expected| Call {
        what,
        who: "user:bob, on call",
        from,
        method: "GET",
        host: "inventory.shop.example",
        path: "/reports/stock/today",
        headers: vec![("authorization", human.clone()), ("x-reason", "alarm 4711: stock below zero".into())],
        expected,
        cut_by_end_of: None,
        while_pdp_is_down: false,
    };
    let deny = |reason| ("deny", reason, None);
    let allow = |rule| ("allow", "allowed", Some(rule));
    let mut two = read(
        "read an order with two tokens",
        "checkout",
        Some(checkout.clone()),
        deny("credential_ambiguous"),
    );
    two.headers.push(("authorization", human.clone()));
    let mut ungranted =
        read("write an order's stock", "checkout", Some(checkout.clone()), deny("not_granted"));
    ungranted.method = "DELETE";
    Ok(vec![
        read("read an order", "checkout", Some(checkout.clone()), allow("read_order")),
        read("read an order without a token", "nobody", None, deny("credential_missing")),
        read(
            "… with an expired token",
            "checkout",
            Some(forged(es256, json!({}), json!({"iat": now - 600, "exp": now - 1}), false)?),
            deny("token_expired"),
        ),
        read(
            "… with a forged signature",
            "checkout?",
            Some(forged(es256, json!({}), json!({}), true)?),
            deny("token_signature"),
        ),
        read(
            "… with alg none",
            "checkout?",
            Some(forged(es256, json!({"alg": "none"}), json!({}), false)?),
            deny("token_algorithm"),
        ),
        read(
            "… with another service's token",
            "checkout",
            Some(forged(es256, json!({}), json!({"aud": "https://bank.example"}), false)?),
            deny("token_audience"),
        ),
        read(
            "… with a token for a day",
            "checkout",
            Some(forged(es256, json!({}), json!({"exp": now + 86_400}), false)?),
            deny("token_lifetime"),
        ),
        two,
        Call { what: "delete an order", ..ungranted },
        Call {
            what: "deploy",
            who: "CI runner",
            from: OFFICE,
            method: "POST",
            host: orders,
            path: "/hooks/deploy",
            headers: vec![("authorization", ci)],
            expected: allow("no_freeze"),
            cut_by_end_of: None,
            while_pdp_is_down: false,
        },
        report("read a report in the office", OFFICE, allow("report")),
        report("read a report elsewhere", ELSEWHERE, deny("policy_undefined")),
        refund("refund 20 within its task", &agent, "/orders/o-1001/refund?amount=20", allow("small_refund")),
        refund(
            "refund 20, but its task is another",
            &other_task,
            "/orders/o-1001/refund?amount=20",
            deny("policy_undefined"),
        ),
        refund(
            "refund 300: the PDP says yes",
            &agent,
            "/orders/o-1001/refund?amount=300",
            allow("approved_refund"),
        ),
        refund("refund 900: the PDP says no", &agent, "/orders/o-1001/refund?amount=900", deny("pdp_denied")),
        Call {
            while_pdp_is_down: true,
            ..refund(
                "refund 300 while the PDP is down",
                &agent,
                "/orders/o-1001/refund?amount=300",
                deny("pdp_unavailable"),
            )
        },
        correction(
            "correct stock, approved by dora",
            "user:carol",
            "user:carol",
            allow("approved_correction"),
        )?,
        correction(
            "the same, and nobody approved it",
            "user:erin, same team",
            "user:erin",
            deny("elevation_required"),
        )?,
        drain("take orders out of rotation", &human, None, deny("break_glass_reason")),
        drain(
            "the same, breaking the glass",
            &human,
            Some("charged twice: INC-4711"),
            allow("break_glass_drain"),
        ),
        Call {
            what: "health check",
            who: "nobody",
            from: ELSEWHERE,
            method: "GET",
            host: orders,
            path: "/healthz",
            headers: Vec::new(),
            expected: allow("health"),
            cut_by_end_of: None,
            while_pdp_is_down: false,
        },
        Call {
            what: "follow the order's events until the task ends",
            method: "GET",
            headers: answer.clone(),
            cut_by_end_of: Some(TASK),
            ..refund("", &agent, "/orders/o-1001/events", allow("task_order"))
        },
        Call {
            what: "read the order after that",
            method: "GET",
            headers: answer,
            ..refund("", &agent, "/orders/o-1001", deny("revoked"))
        },
    ])
}

/// A token that the devserver would never hand out.
fn mint(algorithm: Algorithm, header: Value, claims: Value, foreign: bool) -> anyhow::Result<String> {
    let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
    let key = if foreign { TestKey::foreign(algorithm)? } else { TestKey::of(algorithm)? };
    let mut full_header = TestKey::of(algorithm)?.header();
    let mut full_claims = Map::from_iter([
        ("iss".to_owned(), json!("https://id.shop.example/workloads")),
        ("sub".to_owned(), json!(CHECKOUT)),
        ("aud".to_owned(), json!("https://shop.example")),
        ("iat".to_owned(), json!(now)),
        ("exp".to_owned(), json!(now + 300)),
    ]);
    for (into, from) in [(&mut full_header, header), (&mut full_claims, claims)] {
        into.extend(from.as_object().cloned().unwrap_or_default());
    }
    Ok(format!("Bearer {}", key.sign(&full_header, &full_claims)?))
}
