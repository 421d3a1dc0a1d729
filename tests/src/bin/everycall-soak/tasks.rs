//! Tasks that end, and tokens that are revoked: facts in a signed feed, whose server now and then talks nonsense.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use everycall::clock;
use everycall::mint::TestKey;
use everycall::publisher::Publisher;
use everycall_core::facts::FeedKind;
use everycall_core::UnixTime;
use everycall_tests::feeds;
use everycall_tests::server::{Answer, Received};
use serde_json::json;

use crate::callers::LIFETIME_S;
use crate::run::Run;

/// Until when a revocation is known by every worker at the latest, also if its server failed meanwhile.
const KNOWN: Duration = Duration::from_secs(8);
/// Between two faults of the server.
const EVERY: Duration = Duration::from_secs(20);
const FAULT: Duration = Duration::from_secs(2);

pub struct Tasks {
    publisher: Mutex<Publisher>,
    fault: Mutex<Option<Answer>>,
    /// Tasks that ended, and when.
    ended: Mutex<Vec<(Instant, String)>>,
}

impl Tasks {
    pub fn new() -> anyhow::Result<Self> {
        let publisher = Publisher::new(FeedKind::Revocations, TestKey::es256()?, clock::now());
        Ok(Self { publisher: Mutex::new(publisher), fault: Mutex::default(), ended: Mutex::default() })
    }

    /// What the server says to a request.
    pub fn answer(&self, request: &Received) -> Answer {
        if let Some(fault) = self.fault.lock().unwrap().clone() {
            return fault;
        }
        feeds::answer(&mut self.publisher.lock().unwrap(), request)
    }

    /// Ends a task. The fact is withdrawn when no token of the task can be alive any more.
    pub fn end(&self, task: &str) {
        let now = clock::now();
        let expires_at = UnixTime::from_secs(now.secs() + LIFETIME_S + 20).to_string();
        let fact = json!({"revoke": "task", "id": task, "expires_at": expires_at});
        self.publisher.lock().unwrap().publish([fact], now);
        self.ended.lock().unwrap().push((Instant::now(), task.to_owned()));
    }

    /// A task that ended so long ago that every worker knows, and not so long that it is forgotten.
    pub fn ended(&self, number: usize) -> Option<String> {
        let ended = self.ended.lock().unwrap();
        let window = KNOWN..Duration::from_secs(60);
        let known: Vec<&String> =
            ended.iter().filter(|(at, _)| window.contains(&at.elapsed())).map(|(_, task)| task).collect();
        number.checked_rem(known.len()).and_then(|at| known.get(at)).map(|task| (*task).clone())
    }

    /// Adds facts about nobody who calls, and lets the server fail now and then, until the run is over.
    pub fn change(&self, run: &Run) -> anyhow::Result<()> {
        let faults = [
            Answer::Http(200, b"<html>Maintenance</html>\n".to_vec()),
            Answer::Close,
            Answer::Http(500, Vec::new()),
            Answer::Silence(Duration::from_secs(3)),
        ];
        for (number, fault) in faults.iter().cycle().enumerate() {
            let begun = run.elapsed();
            while run.elapsed() < begun + EVERY - FAULT {
                let expires_at = UnixTime::from_secs(clock::now().secs() + 30).to_string();
                let facts = (0..20).map(|each| {
                    let id = format!("nobody-{number}-{}-{each}", run.elapsed().as_micros());
                    json!({"revoke": "subject", "id": id, "expires_at": expires_at})
                });
                self.publisher.lock().unwrap().publish(facts, clock::now());
                if !run.sleep(Duration::from_secs(1)) {
                    return Ok(());
                }
            }
            *self.fault.lock().unwrap() = Some(fault.clone());
            run.sleep(FAULT);
            *self.fault.lock().unwrap() = None;
        }
        Ok(())
    }
}
