//! Streams while their configuration is replaced, or their listener drains.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    configuration, ended, get, lines, open, start, still_runs, token, wait_for_list, wait_for_open,
    Revocations,
};
use crate::world::Discovery;

#[test]
fn stream_of_a_replaced_configuration() {
    let mut config = configuration();
    config["instance"] = json!("only");
    let mut discovery = None;
    let world = start(config.clone(), |document| {
        let found = Discovery::of(document);
        found.put(&config);
        discovery = Some(found);
    });
    let discovery = discovery.unwrap();
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    let begun = Instant::now();
    while world.send_raw_unlogged(&get("/t/a", &other, &[])).status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", world.envoy.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let (streams, decoys) = (open(&world, &one), open(&world, &other));
    let expiring = open(&world, &token("t-2", 8));
    std::thread::sleep(Duration::from_millis(500));
    let rego = "package everycall.t\ndecision := {\"allow\": true} if input.identity.task.id == \"t-2\"";
    config["bundle"]["inline"]["policies"]["t.rego"] = json!(rego);
    discovery.put(&config);
    for stream in &streams {
        stream.wait(Duration::from_secs(10)).expect("it is cut");
    }
    still_runs(&decoys[0], true);
    still_runs(&decoys[1], false);
    let ended = ended(&world, 2);
    assert!(ended.values().all(|record| record["reason"] == "policy_undefined"), "{ended:?}");
    assert!(world.records(1).iter().any(|record| record["decision"] == "allow"));
    // The others are accountable as before.
    for stream in &expiring {
        stream.wait(Duration::from_secs(10)).expect("its token has expired");
    }
    let cut: Vec<_> = lines(&world, 5).into_iter().filter(|(id, _)| ended.contains_key(id)).collect();
    assert_eq!(cut.len(), 2);
    for (_, line) in cut {
        assert_eq!(line["response_code_details"], "everycall_cut{reason=policy_undefined}", "{line}");
    }
    still_runs(&decoys[0], true);
    wait_for_open(&world, 2);
    world.assert_no_crash();
}

#[test]
fn stream_while_the_listener_drains() {
    let revocations = Revocations::start();
    let world = revocations.world(revocations.configured());
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    wait_for_list(&world, &other);
    let (streams, decoys) = (open(&world, &one), open(&world, &other));
    world.envoy.tell_admin("/drain_listeners").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    still_runs(&decoys[0], true);
    revocations.add(json!({"revoke": "task", "id": "t-1"}));
    for stream in &streams {
        stream.wait(Duration::from_secs(5)).expect("it is cut");
    }
    still_runs(&decoys[0], true);
    still_runs(&decoys[1], false);
    assert_eq!(ended(&world, 2).len(), 2);
    world.assert_no_crash();
}
