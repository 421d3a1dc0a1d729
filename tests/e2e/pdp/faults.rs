//! Each protocol against a server of it, whole and with faults: gone, silent, cut off, talking garbage.

use everycall_tests::fault::Fault;

use super::points::{POINTS, PROTOCOLS};

/// The question fails in this way while the fault lasts, is not asked twice, and works again after it.
fn fails(name: &str, what: &str, fault: Fault, error: &str) {
    let door = &POINTS.point(name).door;
    let connections = usize::from(fault != Fault::Gone);
    door.set(fault);
    let before = door.connections();
    POINTS.fails(name, what, error);
    assert_eq!(door.connections() - before, connections, "{name}, {what}");
    door.set(Fault::None);
    POINTS.works(name, &format!("after: {what}"));
    POINTS.world.assert_no_crash();
}

/// These bytes are a yes: what is left out of them later is what makes the fault.
fn passes(name: &str, bytes: &[u8]) {
    let door = &POINTS.point(name).door;
    door.set(Fault::Says(bytes.to_vec()));
    POINTS.works(name, "a yes");
    door.set(Fault::None);
}

#[test]
fn servers_of_all_protocols_say_yes_and_no() {
    let _turn = POINTS.turn();
    for name in PROTOCOLS {
        POINTS.works(name, "a yes");
        for who in ["bob", "nobody"] {
            let seen = POINTS.ask(name, who);
            assert_eq!((seen.response.status, seen.reason()), (403, "pdp_denied"), "{name} {who}");
            assert_eq!(POINTS.world.record(&seen)["pdp"][0]["answer"]["decision"], false);
        }
    }
}

#[test]
fn pdp_killed() {
    let _turn = POINTS.turn();
    for name in PROTOCOLS {
        POINTS.works(name, "before");
        fails(name, "gone", Fault::Gone, "unavailable");
    }
}

#[test]
fn pdp_silent() {
    let _turn = POINTS.turn();
    for name in PROTOCOLS {
        fails(name, "silent", Fault::Silent, "timeout");
    }
}

/// What a server of HTTP/1.1 says.
fn http(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n\r\n{body}").into_bytes()
}

#[test]
fn pdp_cut_off() {
    let _turn = POINTS.turn();
    for (name, yes) in [("authzen", r#"{"decision":true}"#), ("opa", r#"{"result":true}"#)] {
        let length = format!("content-length: {}", yes.len());
        let whole = http(&length, yes);
        passes(name, &whole);
        for (what, at) in [("at once", 0), ("in its head", 20), ("in its body", whole.len() - 1)] {
            fails(name, what, Fault::Cut(whole[..at].to_vec()), "unavailable");
        }
        let chunked = http("transfer-encoding: chunked", &format!("{:x}\r\n{yes}\r\n", yes.len()));
        passes(name, &[&chunked[..], b"0\r\n\r\n"].concat());
        fails(name, "without the last chunk", Fault::Cut(chunked.clone()), "unavailable");
        // Where the end of the connection is the end of the body, only the JSON tells.
        fails(name, "with nothing to tell", Fault::Cut(http("x: y", &yes[..9])), "invalid");
        // Envoy has no words for a body that never ends.
        fails(name, "and stays", Fault::Says(chunked), "unavailable");
    }
    let whole = [settings(), headers(&[STATUS, GRPC], false), yes(), trailers("0")];
    passes("ext_authz", &whole.concat());
    for parts in 0..whole.len() {
        let before = whole[..parts].concat();
        fails("ext_authz", &format!("after {parts} frames"), Fault::Cut(before.clone()), "unavailable");
        let half = &whole[parts][..whole[parts].len() - 2];
        let cut = Fault::Cut([&before[..], half].concat());
        fails("ext_authz", &format!("in frame {parts}"), cut, "unavailable");
    }
    let reset = [&whole[..3].concat()[..], &frame(3, 0, 1, &[0, 0, 0, 2])].concat();
    fails("ext_authz", "reset by the server", Fault::Says(reset), "unavailable");
}

#[test]
fn pdp_garbage() {
    let _turn = POINTS.turn();
    let length = |body: &str| format!("content-length: {}", body.len());
    for (name, others) in [("authzen", r#"{"result":true}"#), ("opa", r#"{"result":{"decided":true}}"#)] {
        for body in [
            others,
            "true",
            "yes",
            "\u{0}\u{1}\u{2}",
            "<html>true</html>",
            r#"{"decision":true,"result":true"#,
        ] {
            fails(name, body, Fault::Says(http(&length(body), body)), "invalid");
        }
        fails(name, "not HTTP", Fault::Says(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), "unavailable");
        fails(name, "HTTP/2", Fault::Says(settings()), "unavailable");
    }
    let answers = |kind, message: Vec<u8>, last: Vec<u8>| {
        Fault::Says([settings(), headers(&[STATUS, kind], false), message, last].concat())
    };
    let message = |bytes: &[u8]| frame(0, 0, 1, bytes);
    let ok = || trailers("0");
    for (what, fault) in [
        ("not protobuf", answers(GRPC, message(b"\x00\x00\x00\x00\x03\xff\xff\xff"), ok())),
        ("text", answers(GRPC, message(b"{\"decision\":true}"), ok())),
        ("a message without status", answers(GRPC, message(b"\x00\x00\x00\x00\x00"), ok())),
        ("half a message", answers(GRPC, message(b"\x00\x00\x00\x00\x02\x0a"), ok())),
        ("compressed", answers(GRPC, message(b"\x01\x00\x00\x00\x02\x0a\x00"), ok())),
        ("two messages", answers(GRPC, [yes(), yes()].concat(), ok())),
        ("another content type", answers(("content-type", "application/json"), yes(), ok())),
        ("a page", answers(("content-type", "text/html"), message(b"<html>"), frame(0, 1, 1, b""))),
        ("no status of the call", answers(GRPC, yes(), frame(0, 1, 1, b""))),
        ("a status that is none", answers(GRPC, yes(), trailers("yes"))),
    ] {
        fails("ext_authz", what, fault, "invalid");
    }
    let http1 = http(&length("{}"), "{}");
    fails("ext_authz", "HTTP/1.1", Fault::Says(http1), "unavailable");
    fails("ext_authz", "not HTTP", Fault::Says(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), "unavailable");
}

const STATUS: (&str, &str) = (":status", "200");
const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&size[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

/// HEADERS, each a literal that is not indexed (RFC 7541 section 6.2.2).
fn headers(pairs: &[(&str, &str)], last: bool) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let literal = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    let block: Vec<u8> = pairs.iter().flat_map(literal).collect();
    frame(1, if last { 5 } else { 4 }, 1, &block)
}

fn trailers(status: &str) -> Vec<u8> {
    headers(&[("grpc-status", status)], true)
}

/// A `CheckResponse` whose status has the code 0.
fn yes() -> Vec<u8> {
    frame(0, 0, 1, b"\x00\x00\x00\x00\x02\x0a\x00")
}
