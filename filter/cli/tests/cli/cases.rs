//! Every case file through the binary: `everycall decide` comes to the outcome that the case
//! expects, and explains what it refused.

use std::path::Path;

use base64::Engine as _;
use everycall::cases::CaseFile;
use everycall::commands::explain::failed_again;
use everycall_core::{DecisionRecord, UnixTime};
use serde_json::{json, Value};

use crate::common::everycall;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

#[test]
fn decide_agrees_with_every_case_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut base = everycall::load::reference_config(&root).unwrap();
    // There is no server here that could tell of them.
    base.as_object_mut().unwrap().remove("revocations");
    let directory = tempfile::tempdir().unwrap();
    let b64 = |bytes: &[u8]| json!({"b64": base64::engine::general_purpose::STANDARD.encode(bytes)});
    let (mut decided, mut asked, mut timed, mut failures) = (0, 0, 0, Vec::new());
    for cases in ["policies/cases", "tests/cases"] {
        for entry in std::fs::read_dir(root.join(cases)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            let file = CaseFile::parse(&name, &std::fs::read_to_string(&path).unwrap()).unwrap();
            for (now, cases) in file.by_time(NOW) {
                let config = file.config(&base, now);
                let config_file = directory.path().join("config.json");
                std::fs::write(&config_file, config.to_string()).unwrap();
                let mut lines = String::new();
                for case in cases {
                    timed += usize::from(case.at().is_some());
                    let wire = case.request(&config, now).unwrap();
                    let headers: Vec<Value> =
                        wire.headers.iter().map(|(name, value)| json!([name, b64(value)])).collect();
                    let line = json!({"method": wire.method, "host": wire.host, "path": b64(&wire.path), "scheme": wire.scheme,
                    "headers": headers, "source_ip": wire.source_ip, "peer_id": wire.peer_id,
                    "peer_certificate": wire.peer_certificate});
                    lines.push_str(&format!("{line}\n"));
                }
                let config_file = config_file.display().to_string();
                let at = now.to_string();
                let output = everycall(&["decide", "--config", &config_file, "--at", &at], &lines);
                let records = output.json();
                assert_eq!(records.len(), cases.len(), "{name}: {}", output.err);
                for (case, record) in cases.iter().zip(records) {
                    // What the decision point would say is the other runners' business.
                    if record["decision"] == "ask" {
                        asked += 1;
                        continue;
                    }
                    decided += 1;
                    let record: DecisionRecord = serde_json::from_value(record).unwrap();
                    if let Err(error) = case.expect.compare(&record) {
                        let name = format!("{name}: {}", case.name);
                        failures.push(failed_again(&config, &name, &error, &record));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(decided > 500 && asked > 20, "{decided} decided, {asked} asked");
    assert!(timed > 5, "{timed} with a time of their own");
}
