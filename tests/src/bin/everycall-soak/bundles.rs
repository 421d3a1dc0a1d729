//! Bundles on their server: a new revision every few seconds, under which callers fare differently, and now and
//! then what must not be taken.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use everycall::clock;
use everycall::mint::TestKey;
use everycall_core::{Algorithm, UnixTime};
use everycall_tests::bundle;
use everycall_tests::server::{Answer, Received};
use serde_json::{json, Value};

use crate::run::Run;

/// Between two revisions.
const EVERY: Duration = Duration::from_secs(4);
/// What must not be taken is there for so long: each worker asks once a second.
const FAULT: Duration = Duration::from_millis(1_500);
/// Grants that nobody calls by: a bundle of one page would be prepared at once.
const MORE_GRANTS: u64 = 300;

pub struct Bundles {
    answer: Mutex<Answer>,
    /// Every revision that was published, by its sequence: records name them.
    files: Mutex<BTreeMap<u64, PathBuf>>,
    directory: PathBuf,
    lifetime_s: i64,
}

impl Bundles {
    /// With the first one published.
    pub fn new(directory: &Path, run_s: u64) -> anyhow::Result<Self> {
        let bundles = Self {
            answer: Mutex::new(Answer::Close),
            files: Mutex::default(),
            directory: directory.to_owned(),
            lifetime_s: i64::try_from(run_s)? + 3_600,
        };
        bundles.publish(1)?;
        Ok(bundles)
    }

    /// Where the revisions are that were published.
    pub fn files(&self) -> BTreeMap<u64, PathBuf> {
        self.files.lock().unwrap().clone()
    }

    /// What the server says to a request.
    pub fn answer(&self, request: &Received) -> Answer {
        let answer = self.answer.lock().unwrap().clone();
        let Answer::Full(200, headers, _) = &answer else { return answer };
        let tag = headers.iter().find(|(name, _)| name == "etag").map(|(_, tag)| tag.as_bytes());
        match tag.is_some() && request.all("if-none-match").first().copied() == tag {
            true => Answer::Full(304, headers.clone(), Vec::new()),
            false => answer,
        }
    }

    /// Publishes revision after revision until the run is over.
    pub fn change(&self, run: &Run) -> anyhow::Result<()> {
        let mut sequence = 1;
        while run.sleep(EVERY) {
            sequence += 1;
            self.publish(sequence)?;
            if sequence % 3 != 0 || !run.sleep(EVERY / 2) {
                continue;
            }
            let good = self.answer.lock().unwrap().clone();
            *self.answer.lock().unwrap() = self.fault(sequence)?;
            run.sleep(FAULT);
            *self.answer.lock().unwrap() = good;
        }
        Ok(())
    }

    fn publish(&self, sequence: u64) -> anyhow::Result<()> {
        let file = self.signed(sequence, &TestKey::es256()?)?;
        let path = self.directory.join(format!("{sequence}.bundle"));
        fs::write(&path, &file)?;
        self.files.lock().unwrap().insert(sequence, path);
        *self.answer.lock().unwrap() = served(sequence, file);
        Ok(())
    }

    /// What must change nothing while this revision is in force: the kinds take turns.
    fn fault(&self, sequence: u64) -> anyhow::Result<Answer> {
        let key = TestKey::es256()?;
        Ok(match sequence / 3 % 5 {
            0 => {
                let mut tampered = self.signed(sequence + 1, &key)?;
                let last = tampered.len().checked_sub(40).and_then(|at| tampered.get_mut(at));
                *last.context("a bundle is that short")? ^= 1;
                served(sequence + 1_000, tampered)
            }
            1 => served(sequence + 2_000, self.signed(sequence + 1, &TestKey::foreign(Algorithm::Es256)?)?),
            // An old one, as it was: somebody kept it.
            2 => {
                let old = self.files().get(&(sequence - 1)).cloned().context("no revision before this")?;
                served(sequence + 3_000, fs::read(old)?)
            }
            3 => Answer::Http(500, b"down\n".to_vec()),
            _ => Answer::Close,
        })
    }

    fn signed(&self, sequence: u64, key: &TestKey) -> anyhow::Result<Vec<u8>> {
        bundle::signed(&parts(sequence, self.lifetime_s), sequence, key, self.lifetime_s)
    }
}

fn served(tag: u64, file: Vec<u8>) -> Answer {
    Answer::Full(200, vec![("etag".to_owned(), format!("\"{tag}\""))], file)
}

const OPEN: &str = "package everycall\ndecision := {\"allow\": true}";

/// What it allows is in the data, which is another in each revision.
const ORDERS: &str = r#"package everycall.orders

decision := {"allow": true, "reason": "within_limit"} if {
	amount <= data.limit
	input.request.headers["x-purpose"][0] in data.purposes
}

decision := {"allow": false, "reason": "above_ceiling"} if amount > data.ceiling

amount := to_number(input.request.query.amount[0])
"#;

/// The question is another in each revision: a request that waits while they change has to ask anew.
const ASKED: &str = r#"package everycall.asked

ask contains {
	"id": "q",
	"subject": {"type": "workload", "id": input.identity.id},
	"action": {"name": "read"},
	"resource": {"type": "thing", "id": input.grant.params.thing},
	"context": {"revision": data.number},
}

decision := {"allow": true, "reason": "answered"} if input.pdp.q.decision

decision := {"allow": true, "reason": "unasked", "without_pdp": true} if {
	data.lenient
	input.pdp.q.error
}
"#;

/// Allowed in even seconds.
const TIMED: &str = r#"package everycall.timed

decision := {"allow": true, "reason": "in_time"} if input.time % 2 == 0
"#;

/// Reads a header that may be very long.
const READ: &str = r#"package everycall.read

decision := {"allow": true} if input.request.headers.origin
"#;

/// Who may do what in a revision.
fn parts(sequence: u64, lifetime_s: i64) -> Value {
    let anonymous = |id: &str, method: &str, path: &str| {
        json!({"id": id, "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["h"],
            "methods": [method], "paths": [path]})
    };
    let workloads = |id: &str, path: &str, policy: Option<&str>| {
        let mut grant = json!({"id": id, "owner": "o", "purpose": "p", "kinds": ["workload"],
            "subject_prefix": "spiffe://shop.example/soak/", "hosts": ["h"], "methods": ["GET"], "paths": [path]});
        if let Some(policy) = policy {
            grant["policy"] = json!(policy);
        }
        grant
    };
    let parity = if sequence % 2 == 1 { "/odd/{page}" } else { "/even/{page}" };
    let mut read = anonymous("read", "GET", "/read/{rest...}");
    read["policy"] = json!("read");
    let mut grants = vec![
        anonymous("page", "GET", "/page/{page}"),
        anonymous("parity", "GET", parity),
        anonymous("upload", "POST", "/upload/{file}"),
        anonymous("flood", "GET", "/flood/{rest...}"),
        read,
        workloads("orders", "/orders/{order}", Some("orders")),
        workloads("asked", "/asked/{thing}", Some("asked")),
        workloads("timed", "/timed/{thing}", Some("timed")),
        workloads("events", "/events/{stream}", None),
        json!({"id": "scan", "owner": "o", "purpose": "p", "kinds": ["legacy"], "subject": "legacy:scanner",
            "hosts": ["h"], "methods": ["GET"], "paths": ["/scan/{item}"]}),
    ];
    grants.extend((0..MORE_GRANTS).map(|number| {
        json!({"id": format!("g{number}"), "owner": "o", "purpose": "p", "kinds": ["workload"], "hosts": ["h"],
            "subject": format!("spiffe://shop.example/else/{number}"), "methods": ["GET"],
            "paths": [format!("/else/{number}/{{x}}")]})
    }));
    let now = clock::now().secs();
    let [from, until] = [now - 3_600, now + lifetime_s].map(|secs| UnixTime::from_secs(secs).to_string());
    let exceptions = match sequence % 4 {
        0 => json!([]),
        _ => json!([{"id": "scanner-until-replacement", "owner": "o", "reason": "r",
            "compensating_control": "c", "valid_from": from, "valid_until": until}]),
    };
    let purposes = if sequence % 2 == 1 { json!(["show", "track"]) } else { json!(["show"]) };
    json!({
        "policies": {"all.rego": OPEN, "orders.rego": ORDERS, "asked.rego": ASKED, "timed.rego": TIMED,
            "read.rego": READ},
        "data": {"number": sequence, "limit": 20 + sequence * 13 % 60, "ceiling": 90, "purposes": purposes,
            "lenient": sequence % 3 == 0},
        "grants": grants, "exceptions": exceptions,
    })
}
