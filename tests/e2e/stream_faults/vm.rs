//! A VM that has failed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use everycall_tests::envoy::Start;
use everycall_tests::fault::Fault;
use serde_json::{json, Value};

use super::{all_end, behind_door, call, refused, revoke, stale, until};
use crate::streams::{ended, open, still_runs, token, wait_for_list, Revocations};
use crate::world::{connection_manager, plugin, World};

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
