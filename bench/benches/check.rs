//! What one decision costs in the core, natively: the reference bundle, a warm token.

use std::hint::black_box;
use std::path::Path;

use criterion::{criterion_group, criterion_main, BatchSize, Criterion};
use everycall::cases::CaseFile;
use everycall::WireRequest;
use everycall_core::{Engine, IdSeed, Settings, Step, StreamId, UnixTime};
use serde_json::{json, Value};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn reference() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut config = everycall::load::reference_config(&root).expect("the reference configuration");
    // Nobody is there to tell what was revoked.
    config["revocations"] = json!({"inline": []});
    config
}

fn engine(config: &Value) -> Engine {
    let settings = Settings::from_value(config.clone()).expect("the reference configuration is valid");
    Engine::standalone(settings, IdSeed::derive(&[]))
}

fn request(config: &Value, issuer: &str, claims: &Value, path: &str, host: &str) -> WireRequest {
    let file = json!({"about": "a", "cases": [{"name": "a", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": host, "path": path, "headers": [["x-purpose", "show-order"], ["accept", "*/*"]]},
        "token": {"issuer": issuer, "claims": claims}}]});
    let file = CaseFile::parse("bench", &file.to_string()).expect("a case");
    file.cases[0].request(config, NOW).expect("a request")
}

fn decide(engine: &mut Engine, wire: &WireRequest) {
    match engine.check(wire.to_core(StreamId(1)), NOW) {
        Step::Done(decision) => assert!(black_box(decision).verdict.is_ok()),
        Step::Ask { .. } | Step::Wait { .. } => panic!("nothing is asked here"),
    }
}

fn check(criterion: &mut Criterion) {
    let config = reference();
    let checkout = json!({"sub": "spiffe://shop.example/ns/checkout/sa/checkout"});
    let workloads = "https://id.shop.example/workloads";
    let wire = request(&config, workloads, &checkout, "/orders/o-1001", "orders.shop.example");

    let mut warm = engine(&config);
    decide(&mut warm, &wire);
    criterion.bench_function("check, token cached", |bencher| {
        bencher.iter_batched(
            || wire.to_core(StreamId(1)),
            |request| black_box(warm.check(request, NOW)),
            BatchSize::SmallInput,
        );
    });

    let mut cold = config.clone();
    cold["limits"] = json!({"tokens_cached": 0});
    let mut cold = engine(&cold);
    criterion.bench_function("check, ES256 verified each time", |bencher| {
        bencher.iter_batched(
            || wire.to_core(StreamId(1)),
            |request| black_box(cold.check(request, NOW)),
            BatchSize::SmallInput,
        );
    });

    let mut anonymous = wire.clone();
    anonymous.headers.clear();
    anonymous.path = b"/healthz".to_vec();
    criterion.bench_function("check, anonymous", |bencher| {
        bencher.iter_batched(
            || anonymous.to_core(StreamId(1)),
            |request| black_box(warm.check(request, NOW)),
            BatchSize::SmallInput,
        );
    });

    let mut refused = wire.clone();
    refused.path = b"/nowhere".to_vec();
    criterion.bench_function("check, not granted", |bencher| {
        bencher.iter_batched(
            || refused.to_core(StreamId(1)),
            |request| black_box(warm.check(request, NOW)),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, check);
criterion_main!(benches);
