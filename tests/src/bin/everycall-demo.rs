//! The tour: a devserver, an upstream and a real Envoy with the module, about twenty requests, and
//! each decision as Envoy's access log shows it, compared with what it should be. At last an agent's
//! stream, which is cut when its task ends.
//!
//! `--keep` leaves everything running and prints requests to try. `--json` prints rows as JSON.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{bail, Context};

use everycall::cases::redate::redate;
use everycall::commands::render::{bootstrap, Bootstrap};
use everycall::mint::TestKey;
use everycall_core::{Algorithm, UnixTime};
use everycall_tests::client::{self, OpenStream, RawRequest};
use everycall_tests::devserver::Devserver;
use everycall_tests::envoy::{self, Envoy};
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Map, Value};

const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
/// When the elevations of the reference are active.
const AS_OF: &str = "2026-11-22T09:00:00Z";
const CHECKOUT: &str = "spiffe://shop.example/ns/checkout/sa/checkout";
const AGENT: &str = "spiffe://shop.example/agent/support-bot";
/// What its tokens are bound to.
const TASK: &str = "order:o-1001";
const WORKERS: u32 = 2;

fn main() -> anyhow::Result<()> {
    let arguments: BTreeSet<String> = std::env::args().skip(1).collect();
    if let Some(unknown) =
        arguments.iter().find(|argument| !["--keep", "--json"].contains(&argument.as_str()))
    {
        bail!("unknown argument `{unknown}`; expected `--keep` or `--json`");
    }
    let world = World::start()?;
    if arguments.contains("--keep") {
        return world.keep();
    }
    let agreed = world.tour(arguments.contains("--json"))?;
    match agreed {
        true => Ok(()),
        false => bail!("some decisions are not what they should be"),
    }
}

/// Everything that runs.
struct World {
    devserver: Devserver,
    upstream: Server,
    inbound: SocketAddr,
    envoy: Envoy,
}

fn now() -> anyhow::Result<i64> {
    Ok(i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_secs())?)
}

fn parse_instant(text: &str) -> anyhow::Result<UnixTime> {
    UnixTime::parse_rfc3339(text).with_context(|| format!("`{text}` is no instant"))
}

/// One request of the tour.
struct Call {
    what: &'static str,
    who: &'static str,
    from: IpAddr,
    method: &'static str,
    host: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    /// Outcome and reason, and the policy's own code if there is one.
    expected: (&'static str, &'static str, Option<&'static str>),
    /// It stays open until this task ends.
    cut_by_end_of: Option<&'static str>,
}

impl Call {
    fn request(&self) -> RawRequest {
        let mut headers = vec![("host".to_owned(), self.host.into())];
        headers.extend(
            self.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())),
        );
        RawRequest { method: self.method.into(), path: self.path.into(), headers, body: Vec::new() }
    }
}

impl World {
    fn start() -> anyhow::Result<Self> {
        eprintln!("starting the devserver (issuer and policy decision point), an upstream and Envoy");
        let mut config = everycall_tests::cases::reference()?;
        redate(&mut config, parse_instant(AS_OF)?, UnixTime::from_secs(now()?));
        config["revocations"] = json!({
            "remote": {"cluster": "revocations", "host": "devserver", "path": "/revocations"},
            "keys": TestKey::of(Algorithm::Es256)?.public_jwks(),
        });
        let devserver = Devserver::start(config.clone())?;
        let upstream = Server::start(|request| {
            if request.path.ends_with("/events") {
                return Answer::Events;
            }
            Answer::Http(200, format!("upstream: {} {}\n", request.method, request.path).into())
        })?;
        let options = Bootstrap {
            module: envoy::module()?.display().to_string(),
            listen: parse("127.0.0.1:0")?,
            admin: parse("127.0.0.1:0")?,
            upstream: parse(&upstream.address().to_string())?,
            pdp: vec![parse(&devserver.address().to_string())?],
            keys: Vec::new(),
            keys_ca: String::new(),
            bundles: None,
            revocations: Some(parse(&devserver.address().to_string())?),
            access_log: "{directory}/access.log".into(),
        };
        let envoy = Envoy::start(&bootstrap(&options, &config)?, WORKERS)?;
        let inbound = envoy.listener("inbound")?;
        let world = Self { devserver, upstream, inbound, envoy };
        world.wait_for_revocations()?;
        Ok(world)
    }

    /// Until each worker, and the main thread, knows what was revoked: before that they refuse.
    fn wait_for_revocations(&self) -> anyhow::Result<()> {
        let fresh = "wasmcustom.everycall.feed;instance=shop-inbound;state=fresh;feed=revocations";
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.envoy.stat(fresh)? <= u64::from(WORKERS) {
            if Instant::now() > deadline {
                bail!("the feed of revocations did not reach every worker:\n{}", self.envoy.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn send(&self, call: &Call) -> anyhow::Result<client::Response> {
        client::send(self.inbound, call.from, &call.request(), Duration::from_secs(10))
    }

    /// Opens a stream, ends the task of its caller after a while, and waits until it is cut: status, and
    /// how long that took.
    fn stream(&self, call: &Call, task: &str) -> anyhow::Result<(u16, Option<Duration>)> {
        let stream = OpenStream::open(self.inbound, &call.request())?;
        std::thread::sleep(Duration::from_millis(500));
        if let Some(ended) = stream.ended() {
            bail!("the stream ended {:?} ago, before its task did", ended.elapsed());
        }
        let ending = Instant::now();
        self.devserver
            .post(&format!("/tasks/{task}/end"), &json!({"reason": "the customer has an answer"}))?;
        let cut = stream.wait(Duration::from_secs(5));
        Ok((stream.status, cut.map(|at| at.saturating_duration_since(ending))))
    }

    fn tour(&self, as_json: bool) -> anyhow::Result<bool> {
        let calls = self.calls()?;
        let mut rows = Vec::new();
        let mut agreed = true;
        for call in &calls {
            let faulty = call.what.contains("is down");
            if faulty {
                self.devserver.call("PUT", "/faults/pdp", &json!({"mode": "drop"}))?;
            }
            self.upstream.take();
            let (status, cut) = match call.cut_by_end_of {
                Some(task) => self.stream(call, task)?,
                None => (self.send(call)?.status, None),
            };
            let arrived = self.upstream.take().len();
            if faulty {
                self.devserver.call("PUT", "/faults/pdp", &json!({"mode": "ok"}))?;
            }
            let number = rows.len() + 1;
            let lines = self.envoy.lines("access.log", number);
            let line: Value = serde_json::from_str(lines.get(rows.len()).context("no access log line")?)?;
            let decision = decision(&line)?;
            let (outcome, reason, rule) = call.expected;
            let passed = outcome == "allow";
            let right = decision["decision"] == outcome
                && decision["reason"] == reason
                && decision["rule"].as_str() == rule
                // Nothing refused reaches the upstream, and everything admitted does, once.
                && arrived == usize::from(passed)
                && (status == 200) == passed
                && cut.is_some() == call.cut_by_end_of.is_some()
                && (cut.is_none() || line["cut"] == "revoked");
            agreed &= right;
            let cut = cut.map(|after| (line["cut"].as_str().unwrap_or_default().to_owned(), after));
            rows.push(Row { number, call, decision, status, arrived, cut, right });
        }
        if as_json {
            for row in &rows {
                println!("{}", row.json());
            }
        } else {
            print_table(&rows);
        }
        let traps = self.envoy.stat("wasm.everycall.vm_reload_success")?;
        let wrong = rows.iter().filter(|row| !row.right).count();
        eprintln!(
            "{} requests, {wrong} not as expected; {} refused, none of them seen by the upstream; {traps} crashes of the VM",
            rows.len(),
            rows.iter().filter(|row| row.call.expected.0 == "deny").count(),
        );
        Ok(agreed && traps == 0)
    }

    fn calls(&self) -> anyhow::Result<Vec<Call>> {
        let orders = "orders.shop.example";
        let checkout = self.devserver.token("workloads", json!({"sub": CHECKOUT}))?;
        let ci = self.devserver.token(
            "ci",
            json!({"sub": "repo:shop/deploy:ref:refs/heads/main", "claims": {"environment": "production"}}),
        )?;
        let human = self.devserver.token("humans", json!({"sub": "user:bob"}))?;
        let agent = |task: &str| {
            self.devserver.token("agents", json!({"sub": "user:alice", "act": {"sub": AGENT}, "task": task}))
        };
        let (agent, other_task) = (agent(TASK)?, agent("order:o-2002")?);
        let forged =
            |algorithm, header: Value, claims: Value, foreign| mint(algorithm, header, claims, foreign);
        let now = now()?;
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
        };
        let correction = |what, who, sub: &str, expected| -> anyhow::Result<Call> {
            let token =
                self.devserver.token("humans", json!({"sub": sub, "claims": {"team": "warehouse"}}))?;
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
            headers: vec![
                ("authorization", human.clone()),
                ("x-reason", "alarm 4711: stock below zero".into()),
            ],
            expected,
            cut_by_end_of: None,
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
            },
            report("read a report in the office", OFFICE, allow("report")),
            report("read a report elsewhere", ELSEWHERE, deny("policy_undefined")),
            refund(
                "refund 20 within its task",
                &agent,
                "/orders/o-1001/refund?amount=20",
                allow("small_refund"),
            ),
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
            refund(
                "refund 900: the PDP says no",
                &agent,
                "/orders/o-1001/refund?amount=900",
                deny("pdp_denied"),
            ),
            refund(
                "refund 300 while the PDP is down",
                &agent,
                "/orders/o-1001/refund?amount=300",
                deny("pdp_unavailable"),
            ),
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

    fn keep(&self) -> anyhow::Result<()> {
        let token = self.devserver.token("workloads", json!({"sub": CHECKOUT}))?;
        let (inbound, devserver) = (self.inbound, self.devserver.address());
        println!("Envoy listens on {inbound}, the devserver on http://{devserver} (its first page lists what it offers).");
        println!("The access log is {}/access.log.\n", self.envoy.directory().display());
        println!("As the checkout workload, for five minutes:");
        println!("  curl -i http://{inbound}/orders/o-1001 -H 'host: orders.shop.example' -H 'x-purpose: show-order' \\\n    -H 'authorization: {token}'\n");
        println!("A fresh token:");
        println!("  curl -s http://{devserver}/issuers/workloads/token -H 'content-type: application/json' \\\n    -d '{{\"sub\":\"{CHECKOUT}\"}}'\n");
        println!("Without one:");
        println!("  curl -i http://{inbound}/orders/o-1001 -H 'host: orders.shop.example'\n");
        println!("Press Enter, or close the standard input, to stop.");
        std::io::stdin().read_line(&mut String::new())?;
        Ok(())
    }
}

fn parse<T: std::str::FromStr<Err = String>>(text: &str) -> anyhow::Result<T> {
    text.parse().map_err(anyhow::Error::msg)
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

fn decision(line: &Value) -> anyhow::Result<Value> {
    let text = line["decision"].as_str().with_context(|| format!("no decision in {line}"))?;
    Ok(serde_json::from_str(text)?)
}

struct Row<'a> {
    number: usize,
    call: &'a Call,
    decision: Value,
    status: u16,
    arrived: usize,
    /// Why it was cut, and how long that took.
    cut: Option<(String, Duration)>,
    right: bool,
}

impl Row<'_> {
    fn json(&self) -> Value {
        let cut = self
            .cut
            .as_ref()
            .map(|(reason, after)| json!({"reason": reason, "after_s": after.as_secs_f64()}));
        json!({
            "cut": cut, "number": self.number, "request": self.call.what, "who": self.call.who, "status": self.status,
            "decision": self.decision, "reached_upstream": self.arrived, "as_expected": self.right,
        })
    }

    fn cells(&self) -> [String; 7] {
        let text = |name: &str| self.decision[name].as_str().unwrap_or("").to_owned();
        let reason = match self.decision["rule"].as_str() {
            Some(rule) => format!("{}: {rule}", text("reason")),
            None => text("reason"),
        };
        let (decision, reason) = match &self.cut {
            Some((cut, after)) => (
                format!("{} {}, cut", text("decision"), self.status),
                format!("{reason}; {cut} after {:.1} s", after.as_secs_f64()),
            ),
            None => (format!("{} {}", text("decision"), self.status), reason),
        };
        [
            self.number.to_string(),
            self.call.what.to_owned(),
            self.call.who.to_owned(),
            decision,
            reason,
            text("layer"),
            self.decision["duration_us"].to_string(),
        ]
    }
}

fn print_table(rows: &[Row<'_>]) {
    let head = ["#", "request", "who", "decision", "reason", "layer", "added us"].map(str::to_owned);
    let cells: Vec<[String; 7]> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let colour = std::io::stdout().is_terminal();
    for (index, row) in cells.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            line +=
                &if matches!(column, 0 | 6) { format!("{pad}{cell}  ") } else { format!("{cell}{pad}  ") };
        }
        let wrong = index > 0 && !rows[index - 1].right;
        let mark = if wrong { "NOT AS EXPECTED" } else { "" };
        match (colour, row[3].split(' ').next()) {
            (true, Some("allow")) => println!("\x1b[32m{line}\x1b[0m{mark}"),
            (true, Some("deny")) => println!("\x1b[31m{line}\x1b[0m{mark}"),
            _ => println!("{}", format!("{line}{mark}").trim_end()),
        }
        if index == 0 {
            println!("{}", "-".repeat(line.trim_end().chars().count()));
        }
    }
}
