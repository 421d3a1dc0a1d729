//! What the number of revocations costs: memory for each, their loading in slices, and what asking for
//! a known caller's adds to a decision. Times are of the thread on its processor, and the least of
//! many: a difference of two averages would tell more about the machine.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use everycall::cases::CaseFile;
use everycall::mint::TestKey;
use everycall::publisher::{Asked, Publisher};
use everycall::WireRequest;
use everycall_core::facts::FeedKind;
use everycall_core::sync::LocalData;
use everycall_core::{Effect, Engine, IdSeed, PureRust, Reply, Settings, Step, StreamId, UnixTime, Work};
use serde_json::{json, Value};

/// The module's allocator, counted.
struct Counted;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// With what it keeps beside each piece.
const fn taken(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16)
}

unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(taken(layout), Ordering::Relaxed);
        unsafe { dlmalloc::GlobalDlmalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(taken(layout), Ordering::Relaxed);
        unsafe { dlmalloc::GlobalDlmalloc.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const COUNTS: [usize; 4] = [0, 1_000, 100_000, 1_000_000];
const ISSUER: &str = "https://id.shop.example/workloads";

fn config() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut config = everycall::load::reference_config(&root).expect("the reference configuration");
    let keys = TestKey::es256().expect("a test key").public_jwks();
    config["issuers"][0]["task_claim"] = json!("task");
    config["revocations"] =
        json!({"keys": keys, "remote": {"cluster": "c", "host": "h", "path": "/", "max_entries": 2_000_000}});
    config
}

/// Tokens, tasks and subjects in equal parts.
fn facts(count: usize) -> impl Iterator<Item = Value> {
    (0..count).map(|number| {
        let kind = ["token", "task", "subject"][number % 3];
        json!({"revoke": kind, "issuer": ISSUER, "id": format!("{kind}-{number}"),
            "expires_at": "2030-01-01T00:00:00Z", "ticket": format!("INC-{number}")})
    })
}

/// What does not concern the caller: it was issued later.
fn known() -> Value {
    json!({"revoke": "task", "issuer": ISSUER, "id": "task-known", "expires_at": "2030-01-01T00:00:00Z",
        "issued_before": "2020-01-01T00:00:00Z"})
}

/// How long this thread was on a processor: others may want it, too.
fn running() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

/// The pages of a list of so many.
fn pages(count: usize) -> Vec<Vec<u8>> {
    let mut publisher = Publisher::new(FeedKind::Revocations, TestKey::es256().expect("a test key"), NOW);
    publisher.publish(facts(count).chain((count > 0).then(known)), NOW);
    let mut pages = Vec::new();
    loop {
        let page = Some(pages.len() + 1).filter(|page| *page > 1);
        let answer = publisher.answer(&Asked { page, ..Asked::default() }, NOW).expect("an answer");
        if answer.status != 200 {
            break;
        }
        pages.push(answer.body);
    }
    pages
}

/// An engine that has read these pages, what it takes, and how long each slice of that took.
fn load(config: &Value, pages: Vec<Vec<u8>>) -> (Engine, usize, Vec<Duration>) {
    let settings = Settings::from_value(config.clone()).expect("a valid configuration");
    let data = Rc::<LocalData>::default();
    let mut engine = Engine::new(settings, Box::new(PureRust), data, IdSeed::derive(&[]));
    // The pages will be gone.
    let held: usize = pages.iter().map(|page| page.capacity() + 16).sum();
    let before = LIVE.load(Ordering::Relaxed).saturating_sub(held);
    let mut effects = engine.tick(NOW);
    let (mut slices, mut pages) = (Vec::new(), pages.into_iter());
    loop {
        for effect in std::mem::take(&mut effects) {
            if let Effect::Fetch { id, .. } = effect {
                let page = pages.next().expect("no page too much is asked for");
                drop(engine.fetched(id, Reply::http(200, page), NOW));
            }
        }
        if !engine.has_work(Work::Updates) {
            break;
        }
        let began = Instant::now();
        effects = engine.work(Work::Updates, NOW);
        slices.push(began.elapsed());
    }
    drop(effects);
    let slices_take = slices.capacity() * size_of::<Duration>();
    (engine, LIVE.load(Ordering::Relaxed).saturating_sub(before + slices_take), slices)
}

fn request(config: &Value, task: &str) -> WireRequest {
    let file = json!({"about": "a", "cases": [{"name": "a", "expect": {"decision": "deny"},
        "request": {"method": "GET", "host": "nowhere.shop.example", "path": "/"},
        "token": {"issuer": ISSUER, "claims": {"sub": "spiffe://shop.example/ns/a/sa/b", "jti": "j", "task": task}}}]});
    let file = CaseFile::parse("bench", &file.to_string()).expect("a case");
    file.cases[0].request(config, NOW).expect("a request")
}

/// The least time that a decision takes which ends behind the credential.
fn least(engine: &mut Engine, wire: &WireRequest) -> Duration {
    // The system counts in steps of some milliseconds.
    const MANY: u32 = 50_000;
    let batch = |engine: &mut Engine| {
        let requests: Vec<_> = (0..MANY).map(|_| wire.to_core(StreamId(1))).collect();
        let began = running();
        for request in requests {
            let Step::Done(decision) = black_box(engine.check(request, NOW)) else { panic!("it waits") };
            assert_eq!(decision.record.reason.map(|reason| reason.code()), Some("not_granted"));
        }
        running().saturating_sub(began) / MANY
    };
    (0..10).map(|_| batch(engine)).min().unwrap_or_default()
}

/// What a decision takes more than without a list is the check.
fn main() {
    let config = config();
    let mut without = config.clone();
    without.as_object_mut().expect("an object").remove("revocations");
    let settings = Settings::from_value(without).expect("a valid configuration");
    let mut bare = Engine::standalone(settings, IdSeed::derive(&[]));
    // Of the task of the second something is said that does not concern it: it is looked up each time.
    let requests = ["t", "task-known"].map(|task| request(&config, task));
    let baseline = requests.each_ref().map(|wire| least(&mut bare, wire));
    println!("target and cached credential: {baseline:?}");
    for count in COUNTS {
        let pages = pages(count);
        let (mut engine, bytes, mut slices) = load(&config, pages.clone());
        // A slice is as long as it is when nobody interrupts it.
        for _ in 0..4 {
            let (_, _, again) = load(&config, pages.clone());
            assert_eq!(again.len(), slices.len());
            slices.iter_mut().zip(again).for_each(|(slice, again)| *slice = again.min(*slice));
        }
        let longest = slices.into_iter().max().unwrap_or_default();
        assert!(engine.stats().feeds.iter().all(|stats| stats.entries >= count));
        let [nothing_new, looked_up] = requests.each_ref().map(|wire| least(&mut engine, wire));
        let more = |time: Duration, than: Duration| {
            let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or_default();
            nanos(time) - nanos(than)
        };
        println!(
            "{count} revocations: {bytes} bytes, {:.1} each; longest slice {longest:?}; a check, in ns: nothing new {}, looked up {}",
            bytes as f64 / count.max(1) as f64,
            more(nothing_new, baseline[0]),
            more(looked_up, baseline[1]),
        );
    }
}
