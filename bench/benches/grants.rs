//! What the number of grants costs: a decision among 100 to 100,000 of them, and their loading.
//! And what each layer of a decision costs.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{criterion_group, criterion_main, BatchSize, BenchmarkId, Criterion};
use everycall::cases::CaseFile;
use everycall::WireRequest;
use everycall_core::{Engine, IdSeed, Settings, Step, StreamId, UnixTime};
use serde_json::{json, Value};

/// The module's allocator. That of the system can spend microseconds on the holes that loading many
/// grants leaves behind.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const COUNTS: [usize; 4] = [100, 1_000, 10_000, 100_000];
/// A request is made shortly before it is decided, as in the proxy. Thousands made ahead would be
/// spread over all memory, and what it costs to read them would be measured.
const FEW: BatchSize = BatchSize::NumIterations(16);
const ISSUER: &str = "https://id.shop.example/workloads";

/// The reference configuration with `extra` grants of other subjects, each on a route of its own.
fn config(extra: usize) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut config = everycall::load::reference_config(&root).expect("the reference configuration");
    // Nobody is there to tell what was revoked.
    config["revocations"] = json!({"inline": []});
    let inline = &mut config["bundle"]["inline"];
    inline["policies"]["bench.rego"] = json!("package everycall.bench\ndecision := {\"allow\": true}");
    let grants = inline["grants"].as_array_mut().expect("grants");
    let service = |at: usize| format!("spiffe://shop.example/ns/n{}/sa/s{at}", at % 97);
    for at in 0..extra {
        grants.push(json!({
            "id": format!("g{at}"), "owner": format!("team-{}", at % 50), "purpose": "fulfil orders",
            "subject": service(at), "kinds": ["workload"], "hosts": ["orders.shop.example"],
            "methods": ["GET", "POST"], "paths": [format!("/s{at}/orders/{{order}}")], "policy": "bench",
            "source": "iga.shop.example", "ticket": format!("REQ-{at}"),
        }));
    }
    // The caller of the benchmarks, in the middle of them.
    let target = |id: &str, path: &str, members: Value| {
        let mut grant = json!({"id": id, "owner": "o", "purpose": "p", "subject": service(42), "kinds": ["workload"],
            "hosts": ["orders.shop.example"], "methods": ["GET"], "paths": [path], "policy": "bench"});
        if let Some((all, more)) = grant.as_object_mut().zip(members.as_object()) {
            all.extend(more.clone());
        }
        grant
    };
    grants.push(target("plain", "/bench/{order}", json!({})));
    grants.push(target("elevated", "/elevated/{order}", json!({"requires_elevation": true})));
    inline["elevations"] = json!([{"id": "e", "subject": service(42), "grants": ["elevated"], "approver": "a",
        "ticket": "t", "reason": "r", "valid_from": NOW.to_string(),
        "valid_until": UnixTime::from_secs(NOW.secs() + 3_600).to_string()}]);
    config
}

fn request(config: &Value, path: &str) -> WireRequest {
    let file = json!({"about": "a", "cases": [{"name": "a", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": "orders.shop.example", "path": path},
        "token": {"issuer": ISSUER, "claims": {"sub": "spiffe://shop.example/ns/n42/sa/s42"}}}]});
    let file = CaseFile::parse("bench", &file.to_string()).expect("a case");
    file.cases[0].request(config, NOW).expect("a request")
}

fn engine(config: &Value) -> Engine {
    let settings = Settings::from_value(config.clone()).expect("a valid configuration");
    Engine::standalone(settings, IdSeed::derive(&[]))
}

/// What is measured is what it is called.
fn comes_to(engine: &mut Engine, wire: &WireRequest, reason: &str) {
    let Step::Done(decision) = engine.check(wire.to_core(StreamId(1)), NOW) else {
        panic!("nothing is asked here");
    };
    assert_eq!(decision.record.reason.map(|reason| reason.code()), Some(reason));
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decision, by number of grants");
    for count in COUNTS {
        let config = config(count);
        let mut engine = engine(&config);
        for (name, path, reason) in
            [("admitted", "/bench/o-1", "allowed"), ("refused", "/s41/orders/o-1", "not_granted")]
        {
            let wire = request(&config, path);
            comes_to(&mut engine, &wire, reason);
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter_batched(
                    || wire.to_core(StreamId(1)),
                    |request| black_box(engine.check(request, NOW)),
                    FEW,
                );
            });
        }
    }
}

/// Each line goes one layer further: the difference is what the layer costs.
fn layers(criterion: &mut Criterion) {
    let config = config(100_000);
    let mut engine = engine(&config);
    let mut group = criterion.benchmark_group("layers");
    for (name, path, reason) in [
        ("target and cached credential, refused by the grants' hosts", "/bench/o-1", "not_granted"),
        ("and the grant, which is missing", "/s41/orders/o-1", "not_granted"),
        ("and grant, input and policy", "/bench/o-1", "allowed"),
        ("and an elevation", "/elevated/o-1", "allowed"),
    ] {
        let mut wire = request(&config, path);
        if name.contains("hosts") {
            wire.host = "nowhere.shop.example".into();
        }
        comes_to(&mut engine, &wire, reason);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || wire.to_core(StreamId(1)),
                |request| black_box(engine.check(request, NOW)),
                FEW,
            );
        });
    }
}

fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loading");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    let text = config(100_000).to_string();
    group.bench_function("a configuration of 100,000 grants, from its text", |bencher| {
        let read = || serde_json::from_str(&text).map(Settings::from_value);
        bencher.iter_with_large_drop(|| read().expect("it is JSON").expect("it is valid"));
    });
}

criterion_group!(benches, decisions, layers, loading);
criterion_main!(benches);
