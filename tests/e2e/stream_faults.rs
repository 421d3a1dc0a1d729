//! Open streams while what watches over them fails, is replaced, or loses the time: the VM, Envoy, the
//! listener, the server of revocations, the clock. Old streams stay accountable.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
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

/// The module with a function that traps: nothing that comes from outside should make it do so.
fn module_that_traps_in(export: &str) -> Vec<u8> {
    fn number(bytes: &[u8], at: &mut usize) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    fn name(bytes: &[u8], at: &mut usize) -> String {
        let length = number(bytes, at);
        *at += length;
        String::from_utf8(bytes[*at - length..*at].to_vec()).unwrap()
    }
    let mut bytes = std::fs::read(everycall_tests::envoy::module().unwrap()).unwrap();
    let (mut at, mut imported, mut function) = (8, 0, None);
    loop {
        let section = bytes[at];
        at += 1;
        let length = number(&bytes, &mut at);
        let end = at + length;
        match section {
            2 => {
                for _ in 0..number(&bytes, &mut at) {
                    name(&bytes, &mut at);
                    name(&bytes, &mut at);
                    assert_eq!(bytes[at], 0, "functions are all that is imported");
                    at += 1;
                    number(&bytes, &mut at);
                    imported += 1;
                }
            }
            7 => {
                for _ in 0..number(&bytes, &mut at) {
                    let found = name(&bytes, &mut at) == export;
                    at += 1;
                    let index = number(&bytes, &mut at);
                    function = if found { Some(index) } else { function };
                }
            }
            10 => {
                number(&bytes, &mut at);
                for _ in imported..function.expect("it is exported") {
                    let size = number(&bytes, &mut at);
                    at += size;
                }
                let size = number(&bytes, &mut at);
                // No locals, `unreachable`, as many `nop` as it takes, `end`.
                let body = [&[0, 0][..], &vec![1; size - 3], &[0x0b]].concat();
                bytes[at..at + size].copy_from_slice(&body);
                return bytes;
            }
            _ => {}
        }
        at = end;
    }
}

/// A request with trailers, after which its VM is none any more.
fn kill_vm(world: &World, token: &str) {
    let mut stream = TcpStream::connect(world.address("only")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head =
        format!("GET /t/a HTTP/1.1\r\nhost: t\r\nauthorization: {token}\r\ntransfer-encoding: chunked\r\n");
    stream.write_all(format!("{head}\r\n1\r\na\r\n0\r\nx-trailer: a\r\n\r\n").as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
}

#[test]
fn stream_whose_vm_has_failed() {
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("module.wasm");
    std::fs::write(&module, module_that_traps_in("proxy_on_request_trailers")).unwrap();
    let revocations = Revocations::start();
    let (world, door) = behind_door(&revocations, revocations.configured(), Start::with(1), |document| {
        let manager = connection_manager(&mut document["static_resources"]["listeners"][0]);
        manager["http_protocol_options"] = json!({"enable_trailers": true});
        plugin(manager)["vm_config"]["code"]["local"]["filename"] = json!(module);
    });
    let (one, other) = (token("t-1", 600), token("t-2", 600));
    wait_for_list(&world, &other);
    revoke(&revocations, "t-1");
    until("it is revoked", &world, || call(&world, &one) == refused());
    let before = open(&world, &other);
    let begun = Instant::now();
    let expiring = open(&world, &token("t-2", 6));
    door.set(Fault::Gone);
    // They have their echo.
    std::thread::sleep(Duration::from_millis(300));
    kill_vm(&world, &other);
    // Who sends is ended by Envoy, at once. Who is silent by the ceiling that it was told when it admitted.
    for stream in [&before[0], &expiring[0]] {
        let end = stream.wait(Duration::from_secs(10)).expect("Envoy ends it").duration_since(begun);
        assert!(end < Duration::from_secs(5), "not by its token: {end:?}");
    }
    still_runs(&before[1], false);
    // The new VM has no list.
    until("there is a new VM", &world, || call(&world, &other) == stale());
    assert_eq!(world.envoy.stat("wasm.everycall.vm_reload_success").unwrap(), 1);
    assert_eq!(call(&world, &one), stale());
    let end = expiring[1].wait(Duration::from_secs(20)).expect("its token has expired").duration_since(begun);
    // Tokens end at whole seconds.
    assert!((5.0..12.0).contains(&end.as_secs_f64()), "{end:?}");
    assert!(before[1].ended().is_none());
    door.set(Fault::None);
    until("it serves again", &world, || call(&world, &other).0 == 200);
    assert_eq!(call(&world, &one), refused());
    // And what is admitted now is accounted for.
    let streams = open(&world, &other);
    revoke(&revocations, "t-2");
    all_end(&streams, Duration::from_secs(5));
    let ended = ended(&world, 2);
    assert_eq!(ended.len(), 2);
    // The VM that failed tells nothing; Envoy does.
    let lines = world.envoy.lines("only.log", 1);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |path: &str, details: &str| {
        lines.iter().filter(|line| line["path"] == path && line["response_code_details"] == details).count()
    };
    assert_eq!(of("/t/events", "wasm_fail_stream"), 2);
    assert_eq!(of("/t/socket", "upstream_max_stream_duration_reached"), 1);
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

/// A clock that can be set.
struct Clock {
    directory: tempfile::TempDir,
}

impl Clock {
    /// Builds the library that tells the time.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Self { directory };
        clock.off_by(0);
        let define = format!("-DOFFSET=\"{}\"", clock.directory.path().join("offset").display());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", &define, "-o"])
            .args([clock.library(), source])
            .status()
            .unwrap();
        assert!(built.success());
        clock
    }

    fn library(&self) -> std::path::PathBuf {
        self.directory.path().join("clock.so")
    }

    fn off_by(&self, secs: i64) {
        let file = self.directory.path().join("offset");
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(file).unwrap();
        file.write_all_at(&secs.to_ne_bytes(), 0).unwrap();
    }
}

#[test]
fn stream_while_the_clock_is_set() {
    let clock = Clock::new();
    let revocations = Revocations::start();
    let how = Start { preload: Some(clock.library()), ..Start::with(1) };
    let (world, _door) = behind_door(&revocations, revocations.configured(), how, |_| {});
    let (short, long) = (token("t-1", 600), token("t-2", 870));
    wait_for_list(&world, &long);
    let (shorts, longs) = (open(&world, &short), open(&world, &long));
    // What is over by the clock ends; nobody gets in by a list that is too old by it.
    clock.off_by(700);
    all_end(&shorts, Duration::from_secs(3));
    run(&longs);
    assert_eq!((call(&world, &short), call(&world, &long)), (refused(), stale()));
    clock.off_by(0);
    until("it serves again", &world, || call(&world, &long).0 == 200);
    run(&longs);
    // Set back, it gives nobody more time.
    let begun = Instant::now();
    let expiring = open(&world, &token("t-3", 6));
    std::thread::sleep(Duration::from_secs(1));
    clock.off_by(-3_600);
    until("tokens are of the future", &world, || call(&world, &long).0 != 200);
    all_end(&expiring, Duration::from_secs(9));
    assert!((4.5..7.5).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    run(&longs);
    assert_eq!(call(&world, &long), refused());
    let ended = ended(&world, 4);
    assert_eq!(ended.len(), 4);
    for record in ended.values() {
        assert_eq!((&record["reason"], &record["cut"]), (&json!("token_expired"), &json!(true)), "{record}");
    }
    // What was revoked meanwhile counts when it is right again.
    revoke(&revocations, "t-2");
    std::thread::sleep(Duration::from_secs(1));
    run(&longs);
    clock.off_by(0);
    all_end(&longs, Duration::from_secs(8));
    let other = token("t-4", 600);
    until("it serves again", &world, || call(&world, &other).0 == 200);
    assert_eq!(call(&world, &long), refused());
    world.assert_no_crash();
}
