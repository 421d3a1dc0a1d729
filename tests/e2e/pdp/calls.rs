//! How decision points are called: retries of what they have not seen, breakers, trace context.

use std::time::{Duration, Instant};

use everycall_tests::fault::Fault;

use super::points::{FAILURES, OPEN_MS, POINTS, PROTOCOLS};

fn stat(name: &str) -> u64 {
    POINTS.world.envoy.stat(name).unwrap()
}

#[test]
fn what_a_decision_point_has_not_seen_is_tried_again() {
    let _turn = POINTS.turn();
    for protocol in PROTOCOLS {
        // Of two servers one is gone: every second call would fail.
        let twice = format!("twice_{protocol}");
        for _ in 0..6 {
            POINTS.works(&twice, "the other server");
        }
        assert!(stat(&format!("cluster.{twice}.upstream_rq_retry")) > 0);
        assert!(stat(&format!("cluster.{twice}.upstream_rq_retry_success")) > 0);
        let once = format!("once_{protocol}");
        let passed = (0..6).filter(|_| POINTS.ask(&once, "alice").response.status == 200).count();
        assert!((1..6).contains(&passed), "{once}: {passed} of 6 passed");
        assert_eq!(stat(&format!("cluster.{once}.upstream_rq_retry")), 0);
    }
}

#[test]
fn pdp_left_alone_while_its_breaker_is_open() {
    let _turn = POINTS.turn();
    for protocol in PROTOCOLS {
        let name = format!("breaking_{protocol}");
        let door = &POINTS.point(&name).door;
        let short_circuited = |times: usize| {
            let before = door.connections();
            for _ in 0..times {
                POINTS.fails(&name, "short_circuited", "unavailable");
            }
            assert_eq!(door.connections(), before, "{name} is left alone");
        };
        POINTS.works(&name, "closed");
        door.set(Fault::Cut(Vec::new()));
        let before = door.connections();
        let opened = Instant::now();
        for _ in 0..FAILURES {
            POINTS.ask(&name, "alice");
        }
        assert_eq!(door.connections() - before, usize::try_from(FAILURES).unwrap());
        short_circuited(1);
        assert!(opened.elapsed() < Duration::from_millis(OPEN_MS.into()), "this machine is too busy");
        // One is tried, and fails: open again.
        std::thread::sleep(Duration::from_millis(u64::from(OPEN_MS) + 10));
        let before = door.connections();
        POINTS.ask(&name, "alice");
        assert_eq!(door.connections() - before, 1, "{name} is tried once");
        door.set(Fault::None);
        // That it works again is not known yet.
        short_circuited(1);
        gauge(&name, 1);
        // One is tried, and works: closed.
        std::thread::sleep(Duration::from_millis(u64::from(OPEN_MS) + 10));
        for _ in 0..3 {
            POINTS.works(&name, "closed again");
        }
        gauge(&name, 0);
    }
}

/// Waits until the workers whose breaker for this decision point is open are so many.
fn gauge(name: &str, expected: u64) {
    let metric = format!("wasmcustom.everycall.pdp_breakers_open;instance=points;pdp={name}");
    let deadline = Instant::now() + Duration::from_secs(10);
    while stat(&metric) != expected {
        assert!(Instant::now() < deadline, "{metric} is {}", stat(&metric));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_question_stands_in_the_trace_of_its_request() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let _turn = POINTS.turn();
    for name in PROTOCOLS {
        let point = POINTS.point(name);
        let asked = |headers: &[(&str, &str)]| {
            point.asked(&[]);
            let seen = POINTS.ask_with(name, "alice", headers);
            assert_eq!(seen.reason(), "allowed", "{name}");
            let mut all = point.asked(&["traceparent", "tracestate", "x-request-id"]);
            assert_eq!(all.len(), 1, "{name}");
            let [parent, state, id] = all.remove(0).try_into().unwrap();
            assert_eq!(id.as_deref(), seen.decision.unwrap()["id"].as_str(), "{name}");
            (parent, state)
        };
        let both = asked(&[("traceparent", PARENT), ("tracestate", "rojo=1, congo=t61")]);
        assert_eq!(both, (Some(PARENT.into()), Some("rojo=1,congo=t61".into())), "{name}");
        for bad in ["00-0-0-00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", "x"] {
            assert_eq!(
                asked(&[("traceparent", bad), ("tracestate", "rojo=1")]),
                (None, None),
                "{name} {bad}"
            );
        }
        assert_eq!(asked(&[("traceparent", PARENT), ("tracestate", "rojo")]).1, None, "{name}");
        assert_eq!(asked(&[("traceparent", PARENT), ("traceparent", PARENT)]), (None, None), "{name}");
        assert_eq!(asked(&[]), (None, None), "{name}");
    }
}
