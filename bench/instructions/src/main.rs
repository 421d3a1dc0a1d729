//! How many instructions a decision takes in the core, natively, counted by Valgrind: figures that do not
//! depend on what else the machine does. Each has a bound, so that what makes decisions dearer is seen when
//! it is made. A table, or with `--json` a row a line; both stand in `target/bench-instructions.json` as well.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{bail, ensure, Context};
use everycall::cases::CaseFile;
use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::{json, Algorithm, Decision, Engine, IdSeed, Settings, Step, StreamId, UnixTime};
use serde_json::{json, Value};

const HELP: &str = "Counts the instructions that a decision takes in the core.\n\n\
    usage: everycall-instructions [--json] [--check]\n\n\
    \x20 --json    the figures as JSON, no table\n\
    \x20 --check   exit code 1 if a figure is above its bound\n\n\
    example: make bench-instructions";

const HOST: &str = "orders.shop.example";
const ISSUER: &str = "https://id.shop.example/instructions";
const ORDERS: &str = "package everycall.orders\n\n\
    import data.everycall.lib.purpose\n\n\
    decision := {\"allow\": true, \"reason\": \"change\"} if {\n\
    \tinput.request.method == \"POST\"\n\tpurpose.stated\n}\n\n\
    decision := {\"allow\": true, \"reason\": \"read\"} if {\n\
    \tinput.request.method == \"GET\"\n\tinput.identity.claims.scope == \"orders.read\"\n\tpurpose.stated\n}\n";
const PURPOSE: &str = "package everycall.lib.purpose\n\n\
    stated if {\n\t[said] := input.request.headers[\"x-purpose\"]\n\tsaid in data.purposes[input.grant.id]\n}\n";
const PUBLIC: &str = "package everycall.public\n\ndecision := {\"allow\": true, \"reason\": \"public\"}\n";

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// So often each is done in two runs: what a run takes besides is the same in both.
const TIMES: [u64; 2] = [50, 250];

/// What is counted, and how much it may take at most.
struct Stage {
    name: &'static str,
    what: &'static str,
    bound: u64,
    path: &'static str,
    token: Token,
    /// The record and the summary are written, too.
    recorded: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    /// Seen before.
    Warm,
    /// Never remembered: its signature is checked each time.
    Fresh,
    None,
    /// Not a token at all.
    Broken,
}

const STAGES: [Stage; 6] = [
    stage("admitted", "admitted by grant and policy, warm token", 134_000, "/orders/o-1001", Token::Warm),
    Stage {
        recorded: true,
        ..stage("recorded", "the same, with record and summary", 168_000, "/orders/o-1001", Token::Warm)
    },
    stage("fresh", "the same, signature checked (ES256)", 3_750_000, "/orders/o-1001", Token::Fresh),
    stage("anonymous", "admitted without a credential", 54_000, "/healthz", Token::None),
    stage("not_granted", "refused for want of a grant", 43_000, "/nowhere", Token::Warm),
    stage("token_malformed", "refused for what is no token", 37_000, "/orders/o-1001", Token::Broken),
];

const fn stage(
    name: &'static str,
    what: &'static str,
    bound: u64,
    path: &'static str,
    token: Token,
) -> Stage {
    Stage { name, what, bound, path, token, recorded: false }
}

fn main() -> anyhow::Result<ExitCode> {
    let (mut as_json, mut check) = (false, false);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [run, name, times] = arguments.as_slice() {
        if run == "--run" {
            let stage = STAGES.iter().find(|stage| stage.name == name).context("no such stage")?;
            run_stage(stage, times.parse()?)?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    for argument in &arguments {
        match argument.as_str() {
            "--json" => as_json = true,
            "--check" => check = true,
            "--help" => {
                println!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => bail!("unknown argument `{other}`; see `--help`"),
        }
    }
    let mut rows = Vec::new();
    for stage in &STAGES {
        eprintln!("counting: {}", stage.what);
        let [few, many] = [count(stage, TIMES[0])?, count(stage, TIMES[1])?];
        rows.push((stage, many.saturating_sub(few) / (TIMES[1] - TIMES[0])));
    }
    let figures: Vec<Value> = rows
        .iter()
        .map(|(stage, counted)| json!({"name": stage.name, "instructions": counted, "bound": stage.bound}))
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::create_dir_all(root.join("target"))?;
    std::fs::write(root.join("target/bench-instructions.json"), format!("{}\n", json!(figures)))?;
    if as_json {
        figures.iter().for_each(|figure| println!("{figure}"));
    } else {
        println!("{:44}  instructions       bound", "");
        for (stage, counted) in &rows {
            let broken = if *counted > stage.bound { "  broken" } else { "" };
            println!("{:44}  {counted:12}  {:10}{broken}", stage.what, stage.bound);
        }
    }
    let holds = rows.iter().all(|(stage, counted)| counted <= &stage.bound);
    Ok(if holds || !check { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that a run of this stage takes, in instructions.
fn count(stage: &Stage, times: u64) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--run", stage.name, &times.to_string()])
        .output()
        .context("no `valgrind`: install it from the system's packages")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {told}");
    let counted = told.lines().find_map(|line| line.split_once("Collected : "));
    let (_, counted) = counted.with_context(|| format!("valgrind counted nothing: {told}"))?;
    Ok(counted.trim().parse()?)
}

fn run_stage(stage: &Stage, times: u64) -> anyhow::Result<()> {
    let mut config = config()?;
    if stage.token == Token::Fresh {
        config["limits"] = json!({"tokens_cached": 0});
    }
    let wire = request(&config, stage)?;
    let settings = Settings::from_value(config).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut engine = Engine::standalone(settings, IdSeed::derive(&[]));
    // The one before the first is not counted: it fills the cache.
    for _ in 0..=times {
        let Step::Done(decision) = engine.check(wire.to_core(StreamId(1)), NOW) else {
            bail!("nobody is to be asked")
        };
        judge(stage, &decision)?;
        if stage.recorded {
            black_box((json::line(&decision.record)?, decision.record.summary()?));
        }
    }
    Ok(())
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
fn config() -> anyhow::Result<Value> {
    let grant = |number: usize| {
        json!({"id": format!("grant-{number}"), "owner": "team-orders@shop.example",
            "purpose": "Show customers their orders", "sensitivity": "internal",
            "subject": format!("spiffe://shop.example/caller-{number}"), "kinds": ["workload"], "hosts": [HOST],
            "methods": ["GET", "POST"], "paths": ["/orders/{order}"], "policy": "orders"})
    };
    let mut grants: Vec<Value> = (0..100).map(grant).collect();
    grants.push(json!({"id": "health", "owner": "team-orders@shop.example", "purpose": "Be watched",
        "subject": "anonymous", "hosts": [HOST], "methods": ["GET"], "paths": ["/healthz"], "policy": "public"}));
    Ok(json!({
        "version": 1, "instance": "instructions",
        "issuers": [{"issuer": ISSUER, "audiences": ["orders"], "algorithms": ["ES256"], "kind": "workload", "max_lifetime_s": 3600,
            "trust_domains": ["shop.example"],
            "keys": {"inline": TestKey::of(Algorithm::Es256)?.public_jwks()}}],
        "credentials": [{"header": "authorization", "scheme": "Bearer"}],
        "bundle": {"inline": {
            "policies": {"orders.rego": ORDERS, "purpose.rego": PURPOSE, "public.rego": PUBLIC},
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
        Token::Warm | Token::Fresh => {}
        Token::None => wire.headers.retain(|(name, _)| name != "authorization"),
        Token::Broken => {
            for (_, value) in wire.headers.iter_mut().filter(|(name, _)| name == "authorization") {
                *value = b"Bearer not-a-token".to_vec();
            }
        }
    }
    Ok(wire)
}
