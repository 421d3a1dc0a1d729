//! The server of revocations, in a real Envoy, when it is slow, when changes that it tells of are bad, and
//! when pages of its list are.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everycall::feed_file::FeedIssue;
use everycall::mint::TestKey;
use everycall::publisher::Publisher;
use everycall_core::facts::FeedKind;
use everycall_core::{Algorithm, UnixTime};
use everycall_tests::feeds::{self, answer};
use everycall_tests::server::{Answer, Received, Server};
use serde_json::{json, Value};

use crate::streams::{get, start, token, wait_for_list, Revocations};
use crate::world::{lead, now, World};

/// What the server makes of a good answer.
type Spoil = dyn Fn(&Received, Answer) -> Answer + Send + Sync;

struct Faulty {
    world: Arc<World>,
    publisher: Arc<Mutex<Publisher>>,
    spoil: Arc<Mutex<Arc<Spoil>>>,
}

impl Faulty {
    /// A server that has these facts, and Envoy that asks it.
    fn start(facts: Vec<Value>, spoil: impl Fn(&Received, Answer) -> Answer + Send + Sync + 'static) -> Self {
        let mut publisher = Publisher::new(FeedKind::Revocations, TestKey::es256().unwrap(), now());
        publisher.publish(facts, now());
        let publisher = Arc::new(Mutex::new(publisher));
        let spoil: Arc<Mutex<Arc<Spoil>>> = Arc::new(Mutex::new(Arc::new(spoil)));
        let (behind, bad) = (Arc::clone(&publisher), Arc::clone(&spoil));
        let server = Server::start(move |request| {
            let good = answer(&mut behind.lock().unwrap(), request);
            // One that is slow keeps nobody else waiting.
            let spoil = Arc::clone(&bad.lock().unwrap());
            spoil(request, good)
        })
        .unwrap();
        let world = start(Revocations::start().configured(), |document| {
            lead(document, "revocations", &[server.address()]);
        });
        Self { world, publisher, spoil }
    }

    fn spoil(&self, spoil: impl Fn(&Received, Answer) -> Answer + Send + Sync + 'static) {
        *self.spoil.lock().unwrap() = Arc::new(spoil);
    }

    fn end(&self, task: &str) {
        self.publisher.lock().unwrap().publish([end(task)], now());
    }

    fn says(&self, task: &str) -> u16 {
        self.world.send_raw_unlogged(&get("/t/a", &token(task, 600), &[])).status
    }

    fn stat(&self, name: &str, labels: &str) -> u64 {
        let name = format!("wasmcustom.everycall.{name};instance=only{labels};feed=revocations");
        self.world.envoy.stat(&name).unwrap()
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) -> Duration {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}:\n{}", self.world.envoy.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        begun.elapsed()
    }
}

fn end(task: &str) -> Value {
    json!({"revoke": "task", "id": task, "expires_at": UnixTime::from_secs(now().secs() + 600).to_string()})
}

fn good(_: &Received, answer: Answer) -> Answer {
    answer
}

/// An answer with another body, if it tells of changes.
fn changed(answer: Answer, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Answer {
    match answer {
        Answer::Full(226, headers, body) => Answer::Full(226, headers, change(body)),
        other => other,
    }
}

#[test]
fn revocation_feed_slow() {
    let faulty = Faulty::start(Vec::new(), good);
    wait_for_list(&faulty.world, &token("t-0", 600));
    // Within `timeout_ms`, of 2 s: what is new is late, and nobody waits for it.
    faulty.spoil(|_, answer| {
        std::thread::sleep(Duration::from_millis(1_200));
        answer
    });
    std::thread::sleep(Duration::from_secs(1));
    faulty.end("t-1");
    let mut slowest = Duration::ZERO;
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        let status = faulty.says("t-1");
        slowest = slowest.max(asked.elapsed());
        if status == 401 {
            break;
        }
        assert!(status == 200 && begun.elapsed() < Duration::from_secs(10), "{status}");
    }
    println!("it is known after {:?}; the slowest request took {slowest:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5) && slowest < Duration::from_millis(500));
    // Beyond it: as if nobody answered.
    faulty.spoil(|_, answer| {
        std::thread::sleep(Duration::from_millis(2_600));
        answer
    });
    let failed = faulty.stat("feed_fetches", ";outcome=failed");
    faulty.until("it is too slow", || faulty.stat("feed_fetches", ";outcome=failed") > failed);
    assert_eq!((faulty.says("t-1"), faulty.says("t-2")), (401, 200));
    faulty.world.assert_no_crash();
}

#[test]
fn revocation_feed_with_bad_changes() {
    let faulty = Faulty::start(Vec::new(), good);
    wait_for_list(&faulty.world, &token("t-0", 600));
    let sequence = || faulty.publisher.lock().unwrap().sequence();
    let document = |fact: &Value, key: &TestKey, since: u64| {
        let issue = feeds::issue(FeedKind::Revocations, since + 1, now());
        feeds::document(std::slice::from_ref(fact), &FeedIssue { since: Some(since), ..issue }, key)
    };
    let key = TestKey::es256().unwrap();
    let foreign = TestKey::foreign(Algorithm::Es256).unwrap();
    let mut unknown: Value = end("t-9");
    unknown["unless"] = json!("friend");
    for (number, reason) in
        ["signature", "digest", "malformed", "invalid", "too_large"].into_iter().enumerate()
    {
        let task = format!("t-{}", number + 1);
        let bad = match reason {
            "signature" => Some(document(&end("t-9"), &foreign, sequence())),
            "invalid" => Some(document(&unknown, &key, sequence())),
            "malformed" => Some(b"<html>Maintenance</html>\n".to_vec()),
            "too_large" => Some(vec![b'x'; 2_000_000]),
            _ => None,
        };
        let before = faulty.stat("feed_refused", &format!(";reason={reason}"));
        faulty.spoil(move |_, answer| {
            changed(answer, |body| bad.clone().unwrap_or_else(|| body[..body.len() - 10].to_vec()))
        });
        faulty.end(&task);
        faulty.until(reason, || faulty.stat("feed_refused", &format!(";reason={reason}")) > before);
        // What is known goes on to count, and nothing else does.
        assert_eq!((faulty.says(&task), faulty.says("t-9"), faulty.says("t-0")), (200, 200, 200), "{reason}");
        faulty.spoil(good);
        faulty.until("it is revoked", || faulty.says(&task) == 401);
        assert_eq!(faulty.says("t-0"), 200);
    }
    // Changes of another list, and the cheapest one to send: an older state.
    faulty.spoil(|_, answer| match answer {
        Answer::Full(226, ..) => Answer::Http(404, Vec::new()),
        other => other,
    });
    faulty.end("t-6");
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!((faulty.says("t-6"), faulty.says("t-1")), (200, 401));
    let other_list = document(&end("t-9"), &key, sequence() + 40);
    faulty.spoil(move |_, answer| changed(answer, |_| other_list.clone()));
    // They lead on from a state that is not ours: the full list is fetched.
    faulty.until("the full list is taken", || faulty.says("t-6") == 401);
    assert_eq!((faulty.says("t-1"), faulty.says("t-9"), faulty.says("t-0")), (401, 200, 200));
    faulty.world.assert_no_crash();
}

/// Each page of a list stands for itself, and a list without all of them is none.
#[test]
fn revocation_feed_with_bad_pages() {
    let faults = Mutex::new(vec![
        Answer::Http(412, Vec::new()),
        Answer::Http(404, Vec::new()),
        Answer::Close,
        Answer::Http(200, b"{}\n".to_vec()),
    ]);
    let facts = (0..20_000).map(|number| end(&format!("t-{number}"))).collect();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let faulty = Faulty::start(facts, move |request, answer| {
        seen.lock().unwrap().push(request.path.clone());
        if let Answer::Full(_, _, body) = &answer {
            assert!(body.len() <= (1 << 20) + 8 * 1024, "{} bytes", body.len());
        }
        match request.path.ends_with("?page=2") {
            true => faults.lock().unwrap().pop().unwrap_or(answer),
            false => answer,
        }
    });
    // Until then nobody with a credential gets in.
    let mut statuses = Vec::new();
    let took = faulty.until("the list is complete", || faulty.stat("feed", ";state=fresh") == 2);
    for task in ["t-0", "t-19999", "t-20000"] {
        statuses.push(faulty.says(task));
    }
    println!("complete after {took:?}: {:?}", asked.lock().unwrap());
    assert_eq!((statuses, faulty.stat("feed_entries", "")), (vec![401, 401, 200], 20_000));
    assert!(asked.lock().unwrap().iter().filter(|path| path.ends_with("?page=2")).count() > 4);
    faulty.world.assert_no_crash();
}
