//! Open streams while what watches over them fails, is replaced, or loses the time: the VM, Envoy, the
//! listener, the server of revocations, the clock. Old streams stay accountable.

mod clock;
mod vm;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use everycall_tests::client::OpenStream;
use everycall_tests::envoy::Start;
use everycall_tests::fault::{Door, Fault};
use serde_json::{json, Value};

use crate::streams::{
    ended, get, lines, open, start_as, still_runs, token, wait_for_list, wait_for_open, Revocations,
};
use crate::world::{connection_manager, keep, lead, plugin, World};

/// Status and reason of a call with this token.
fn call(world: &World, token: &str) -> (u16, String) {
    let response = world.send_raw_unlogged(&get("/t/a", token, &[]));
    let body = serde_json::from_slice::<Value>(&response.body).unwrap_or_default();
    (response.status, body["reason"].as_str().unwrap_or_default().to_owned())
}

fn stale() -> (u16, String) {
    (503, "revocations_stale".into())
}

/// All that are revoked or expired get one answer.
fn refused() -> (u16, String) {
    (401, "invalid_token".into())
}

fn until(what: &str, world: &World, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}:\n{}", world.envoy.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn all_end(streams: &[OpenStream], within: Duration) -> Duration {
    let begun = Instant::now();
    for stream in streams {
        stream.wait(within.saturating_sub(begun.elapsed())).expect("it is cut");
    }
    begun.elapsed()
}

fn run(streams: &[OpenStream; 2]) {
    still_runs(&streams[0], true);
    still_runs(&streams[1], false);
}

fn revoke(revocations: &Revocations, task: &str) {
    revocations.add(json!({"revoke": "task", "id": task}));
}

/// A world whose way to the server of revocations leads through a door.
fn behind_door(
    revocations: &Revocations,
    config: Value,
    how: Start,
    change: impl FnOnce(&mut Value),
) -> (Arc<World>, Door) {
    let door = Door::to(revocations.server.address()).unwrap();
    let world = start_as(config, how, |document| {
        lead(document, "revocations", &[door.address()]);
        change(document);
    });
    (world, door)
}

#[test]
fn stream_while_the_feed_is_gone() {
    let revocations = Revocations::start();
    let mut config = revocations.configured();
    config["revocations"]["max_age_s"] = json!(7);
    let (world, door) = behind_door(&revocations, config, Start::with(1), |_| {});
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    wait_for_list(&world, &other);
    let (streams, decoys) = (open(&world, &one), open(&world, &other));
    let expiring = open(&world, &token("t-2", 12));
    for fault in [
        Fault::Silent,
        Fault::Says(b"HTTP/1.1 226 IM Used\r\ncontent-length: 3\r\n\r\n{}\n".to_vec()),
        Fault::Cut(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\neyJ".to_vec()),
        Fault::Gone,
    ] {
        door.set(fault);
        std::thread::sleep(Duration::from_millis(1_500));
        run(&streams);
    }
    // Nobody is told; new calls are refused as soon as the list is too old, and who was let in stays.
    revoke(&revocations, "t-1");
    until("the list is too old", &world, || call(&world, &other) == stale());
    run(&streams);
    run(&decoys);
    // The end of a token needs no server.
    all_end(&expiring, Duration::from_secs(14));
    door.set(Fault::None);
    all_end(&streams, Duration::from_secs(8));
    until("it serves again", &world, || call(&world, &other).0 == 200);
    assert_eq!(call(&world, &one), refused());
    run(&decoys);
    let ended = ended(&world, 4);
    let of = |reason: &str| ended.values().filter(|record| record["reason"] == reason).count();
    assert_eq!((ended.len(), of("revoked"), of("token_expired")), (4, 2, 2));
    wait_for_open(&world, 2);
    world.assert_no_crash();
}

#[test]
fn stream_whose_client_is_gone_before_it_is_revoked() {
    let revocations = Revocations::start();
    let mut config = revocations.configured();
    config["log"] = json!({"streams_after_s": 0});
    let (world, _door) = behind_door(&revocations, config, Start::with(1), |_| {});
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    wait_for_list(&world, &other);
    let decoys = open(&world, &other);
    let (young, settled) = (open(&world, &one), open(&world, &one));
    std::thread::sleep(Duration::from_secs(1));
    for stream in young.into_iter().chain(settled) {
        stream.close();
    }
    wait_for_open(&world, 2);
    revoke(&revocations, "t-1");
    revoke(&revocations, "t-3");
    let third = token("t-3", 600);
    until("they are revoked", &world, || call(&world, &third) == refused());
    assert_eq!(call(&world, &one), refused());
    std::thread::sleep(Duration::from_secs(1));
    let of_task = |record: &&Value| record["identity"]["task"] == "t-1";
    let ended = ended(&world, 4);
    let closed: Vec<_> = ended.values().filter(of_task).collect();
    assert_eq!(closed.len(), 4, "{ended:?}");
    assert!(closed.iter().all(|record| record["reason"] == "closed" && record["cut"] == false));
    assert_eq!(world.envoy.admin("/stats?filter=everycall.streams_cut").unwrap().trim(), "");
    run(&decoys);
    wait_for_open(&world, 2);
    world.assert_no_crash();
}

#[test]
fn stream_while_envoy_is_restarted() {
    let revocations = Revocations::start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = revocations.configured();
    // Of the decoys, which last for longer, and not of single calls.
    config["log"] = json!({"streams_after_s": 2});
    let (world, door) = behind_door(&revocations, config, Start::with(1), |document| {
        // The next process asks for it by its number.
        document["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = json!(port);
    });
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    wait_for_list(&world, &other);
    let (streams, decoys) = (open(&world, &one), open(&world, &other));
    door.set(Fault::Gone);
    let old = Arc::clone(&world.envoy);
    let next = keep(move || old.restarted()).unwrap();
    assert_eq!(next.listener("only").unwrap(), world.address("only"));
    // Who comes now comes to the new process, which has no list yet.
    until("the old one takes nobody", &world, || call(&world, &other) == stale());
    run(&streams);
    run(&decoys);
    door.set(Fault::None);
    revoke(&revocations, "t-1");
    all_end(&streams, Duration::from_secs(8));
    until("the new one serves", &world, || call(&world, &other).0 == 200);
    assert_eq!(call(&world, &one), refused());
    run(&decoys);
    let ended = ended(&world, 2);
    assert_eq!(ended.len(), 2);
    assert!(ended.values().all(|record| record["reason"] == "revoked" && record["cut"] == true));
    let cut: Vec<_> = lines(&world, 2).into_iter().filter(|(id, _)| ended.contains_key(id)).collect();
    assert_eq!(cut.len(), 2);
    for (_, line) in cut {
        assert_eq!(line["response_code_details"], "everycall_cut{reason=revoked}", "{line}");
    }
    // The old process goes, and tells of what it ends by that.
    assert!(Command::new("kill").arg(world.envoy.id().to_string()).status().unwrap().success());
    all_end(&decoys, Duration::from_secs(5));
    until("their end is recorded", &world, || recorded_as_closed(&world, "t-2") == 2);
    for log in [world.envoy.log(), next.log()] {
        assert!(!log.contains("Uncaught RuntimeError") && !log.contains("panicked"), "{log}");
    }
}

/// Streams of a task that just ended.
fn recorded_as_closed(world: &World, task: &str) -> usize {
    let is_one = |record: &&Value| record["reason"] == "closed" && record["identity"]["task"] == task;
    ended(world, 0).values().filter(is_one).count()
}

/// The listeners in a file that can be replaced while Envoy runs (LDS).
struct Listeners {
    directory: tempfile::TempDir,
    listener: Value,
}

impl Listeners {
    fn of(document: &mut Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut listener = document["static_resources"]["listeners"].as_array_mut().unwrap().remove(0);
        connection_manager(&mut listener)["access_log"][0]["typed_config"]["path"] =
            json!(directory.path().join("access.log"));
        let path = json!({"path": directory.path().join("lds.json"), "watched_directory": {"path": directory.path()}});
        document["dynamic_resources"] =
            json!({"lds_config": {"resource_api_version": "V3", "path_config_source": path}});
        document["node"] = json!({"id": "test", "cluster": "test"});
        Self { directory, listener }
    }

    fn put(&self, config: &Value) {
        let mut listener = self.listener.clone();
        listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        plugin(connection_manager(&mut listener))["configuration"]["value"] = json!(config.to_string());
        let resource = json!({"resources": [listener]});
        // Whole or not at all.
        std::fs::write(self.directory.path().join("new"), resource.to_string()).unwrap();
        std::fs::rename(self.directory.path().join("new"), self.directory.path().join("lds.json")).unwrap();
    }
}

#[test]
fn stream_of_a_replaced_listener() {
    let revocations = Revocations::start();
    let mut config = revocations.configured();
    config["instance"] = json!("only");
    config["log"] = json!({"streams_after_s": 0});
    let mut listeners = None;
    let how = Start { drain_s: 12, ..Start::with(1) };
    let (world, _door) = behind_door(&revocations, config.clone(), how, |document| {
        let found = Listeners::of(document);
        found.put(&config);
        listeners = Some(found);
    });
    let listeners = listeners.unwrap();
    let [one, other, third] = ["t-1", "t-2", "t-3"].map(|task| token(task, 600));
    wait_for_list(&world, &other);
    let [revoked, forbidden, decoys] = [&one, &other, &third].map(|token| open(&world, token));
    std::thread::sleep(Duration::from_millis(500));
    let replaced = Instant::now();
    // A change that means nothing for the streams.
    config["limits"] = json!({"instructions": 40_000});
    listeners.put(&config);
    until("it is replaced", &world, || world.envoy.stat("listener_manager.lds.update_success").unwrap() > 1);
    std::thread::sleep(Duration::from_secs(1));
    for streams in [&revoked, &forbidden, &decoys] {
        run(streams);
    }
    revoke(&revocations, "t-1");
    all_end(&revoked, Duration::from_secs(5));
    run(&forbidden);
    let rego = "package everycall.t\ndecision := {\"allow\": true} if input.identity.task.id != \"t-2\"";
    config["bundle"]["inline"]["policies"]["t.rego"] = json!(rego);
    listeners.put(&config);
    all_end(&forbidden, Duration::from_secs(5));
    run(&decoys);
    let drained = Duration::from_secs(12);
    assert!(replaced.elapsed() < drained, "the cuts were not the end of the drain");
    let cut = ended(&world, 4);
    let of = |reason: &str| {
        cut.values().filter(|record| record["reason"] == reason && record["cut"] == true).count()
    };
    assert_eq!((of("revoked"), of("policy_undefined")), (2, 2), "{cut:#?}");
    // What is left Envoy closes when the drain is over.
    all_end(&decoys, Duration::from_secs(20));
    until("their end is recorded", &world, || recorded_as_closed(&world, "t-3") == 2);
    wait_for_open(&world, 0);
    world.assert_no_crash();
}
