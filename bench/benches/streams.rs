//! What accounting for streams costs: each request, 10,000 open streams, and the revocation of one
//! task among them. Run natively, with the module's allocator.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{criterion_group, BatchSize, Criterion};
use everycall::cases::CaseFile;
use everycall::feed_file::{test_feed_documents, FeedIssue};
use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::engine::StreamClose;
use everycall_core::facts::FeedKind;
use everycall_core::{Effect, Engine, IdSeed, Reply, Settings, Step, StreamId, UnixTime, Work};
use serde_json::{json, Value};

/// Counts what is in use.
struct Counting(dlmalloc::GlobalDlmalloc);

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all of it is dlmalloc's work.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { self.0.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting(dlmalloc::GlobalDlmalloc);

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const STREAMS: u64 = 10_000;
const CALLER: &str = "spiffe://shop.example/ns/checkout/sa/checkout";

fn config() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut config = everycall::load::reference_config(&root).expect("the reference configuration");
    config["issuers"][0]["task_claim"] = json!("task");
    config["limits"] = json!({"tokens_cached": 100_000, "tokens_cached_bytes": 1_000_000_000});
    config["revocations"] = json!({"keys": TestKey::es256().expect("a key").public_jwks(),
        "remote": {"cluster": "r", "host": "r", "path": "/r"}});
    config
}

fn engine(config: &Value) -> Engine {
    let settings = Settings::from_value(config.clone()).expect("a valid configuration");
    Engine::standalone(settings, IdSeed::derive(&[]))
}

/// A request as browsers send them, of a token for this task.
fn request(config: &Value, task: &str, token: u64) -> WireRequest {
    let headers = [
        ("x-purpose", "show-order"),
        ("accept", "text/event-stream"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("x-request-id", "0318d83c-17e6-4316-8b4d-91a6fa6fa216"),
        ("x-forwarded-proto", "https"),
    ];
    let file = json!({"about": "a", "cases": [{"name": "a", "expect": {"decision": "allow"},
        "request": {"method": "GET", "host": "orders.shop.example", "path": "/orders/o-1001", "headers": headers},
        "token": {"issuer": "https://id.shop.example/workloads",
                  "claims": {"sub": CALLER, "task": task, "jti": format!("j-{token}"), "exp": {"$now": 600}}}}]});
    let file = CaseFile::parse("bench", &file.to_string()).expect("a case");
    file.cases[0].request(config, NOW).expect("a request")
}

fn admit(engine: &mut Engine, wire: &WireRequest, stream: u64) {
    let Step::Done(decision) = engine.check(wire.to_core(StreamId(stream)), NOW) else { panic!("it waits") };
    engine.admitted(decision.verdict.expect("it is admitted").into_parts().1);
}

/// How long this thread was on a processor: others may want it, too.
fn running() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// Feeds the engine with this list, and answers how long each piece of work took, and what was cut.
fn tick(engine: &mut Engine, now: UnixTime, list: &[u8]) -> (Vec<Duration>, usize) {
    let (mut took, mut cut) = (Vec::new(), 0);
    let mut begun = running();
    let mut effects = engine.tick(now);
    loop {
        took.push(running().saturating_sub(begun));
        let mut more = Vec::new();
        for effect in effects {
            match effect {
                Effect::Fetch { id, .. } => more.extend(engine.fetched(id, Reply::http(200, list), now)),
                Effect::Cut { stream, .. } => {
                    cut += 1;
                    engine.ended(stream, StreamClose::default(), now);
                }
                _ => {}
            }
        }
        begun = running();
        effects = match (more.is_empty(), engine.has_work(Work::Updates), engine.has_work(Work::Streams)) {
            (false, ..) => more,
            (true, true, _) => engine.work(Work::Updates, now),
            (true, false, true) => engine.work(Work::Streams, now),
            (true, false, false) => return (took, cut),
        };
    }
}

fn list(sequence: u64, at: UnixTime, facts: &[Value]) -> Vec<u8> {
    let expires_at = UnixTime::from_secs(at.secs() + 600);
    let issue = FeedIssue { feed: FeedKind::Revocations, sequence, since: None, issued_at: at, expires_at };
    test_feed_documents(facts, &issue, &TestKey::es256().expect("a key")).expect("a list").swap_remove(0)
}

/// `tasks` tasks share the streams, and each stream has a token of its own or that of its task.
fn revocation(tasks: u64, own_tokens: bool) {
    let config = config();
    let mut engine = engine(&config);
    tick(&mut engine, NOW, &list(1, NOW, &[]));
    let wires: Vec<WireRequest> = (0..if own_tokens { STREAMS } else { tasks })
        .map(|token| request(&config, &format!("t-{}", token % tasks), token))
        .collect();
    // The tokens are known, so that what is measured is the streams.
    for wire in &wires {
        admit(&mut engine, wire, 0);
    }
    engine.ended(StreamId(0), StreamClose::default(), NOW);
    let before = IN_USE.load(Ordering::Relaxed);
    for (stream, wire) in (1..=STREAMS).zip(wires.iter().cycle()) {
        admit(&mut engine, wire, stream);
    }
    let young = IN_USE.load(Ordering::Relaxed) - before;
    let later = |millis: i64| UnixTime::from_micros(NOW.micros() + millis * 1_000);
    let unchanged = list(1, NOW, &[]);
    let mut settling = Vec::new();
    for step in 1..=10 {
        settling.extend(tick(&mut engine, later(step * 100), &unchanged).0);
    }
    let settled = IN_USE.load(Ordering::Relaxed) - before;
    let fact = json!({"revoke": "task", "id": "t-0", "expires_at": later(600_000).to_string()});
    let revoked = list(2, later(1_000), &[fact]);
    let begun = Instant::now();
    let (mut slices, mut cut) = (Vec::new(), 0);
    for step in 11..=30 {
        let (took, count) = tick(&mut engine, later(step * 100), &revoked);
        slices.extend(took);
        cut += count;
    }
    let total = begun.elapsed();
    assert_eq!(cut as u64, STREAMS / tasks, "all of them, and no other");
    let longest = |took: &[Duration]| took.iter().max().copied().unwrap_or_default();
    println!(
        "{STREAMS} streams, {tasks:>5} tasks, {:>6} tokens: {} B young, {} B settled each; settling {:?} at most a \
         slice; {cut:>5} cut in {total:?}, {:?} at most a slice",
        wires.len(), young as u64 / STREAMS, settled as u64 / STREAMS, longest(&settling), longest(&slices),
    );
    assert!(longest(&slices) < Duration::from_millis(2) || cfg!(debug_assertions), "a slice over 2 ms");
}

/// A new configuration comes, and all streams are decided again.
fn redecision() {
    let mut config = config();
    if let Some(members) = config.as_object_mut() {
        members.remove("revocations");
    }
    let mut engine = engine(&config);
    let wires: Vec<WireRequest> =
        (0..100).map(|token| request(&config, &format!("t-{token}"), token)).collect();
    for (stream, wire) in (1..=STREAMS).zip(wires.iter().cycle()) {
        admit(&mut engine, wire, stream);
    }
    let later = |millis: i64| UnixTime::from_micros(NOW.micros() + millis * 1_000);
    for step in 1..=10 {
        tick(&mut engine, later(step * 100), &[]);
    }
    config["bundle"]["inline"]["data"]["more"] = json!("news");
    engine.configure(Settings::from_value(config).expect("a valid configuration"));
    let begun = Instant::now();
    let (took, cut) = tick(&mut engine, later(1_100), &[]);
    let total = begun.elapsed();
    assert_eq!(cut, 0, "they may go on");
    println!(
        "{STREAMS} streams are decided again in {total:?}, {:?} at most a slice",
        took.iter().max().copied().unwrap_or_default()
    );
}

fn each_request(criterion: &mut Criterion) {
    let mut config = config();
    if let Some(members) = config.as_object_mut() {
        members.remove("revocations");
    }
    let wire = request(&config, "t-1", 1);
    let mut group = criterion.benchmark_group("a request");
    for open in [0, 100, 10_000] {
        let mut engine = engine(&config);
        for stream in 1..=open {
            admit(&mut engine, &wire, stream);
        }
        let next = open + 1;
        group.bench_function(format!("that is checked only, {open} are open"), |bencher| {
            bencher.iter_batched(
                || wire.to_core(StreamId(next)),
                |request| black_box(engine.check(request, NOW)),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("that is admitted and ends, {open} are open"), |bencher| {
            bencher.iter_batched(
                || wire.to_core(StreamId(next)),
                |request| {
                    let Step::Done(decision) = engine.check(request, NOW) else { panic!("it waits") };
                    engine.admitted(decision.verdict.expect("it is admitted").into_parts().1);
                    engine.ended(StreamId(next), StreamClose::default(), NOW)
                },
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, each_request);

fn main() {
    for (tasks, own_tokens) in [(100, false), (100, true), (1, false), (10_000, true)] {
        revocation(tasks, own_tokens);
    }
    redecision();
    benches();
}
