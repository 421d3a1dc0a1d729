//! The first days of a route in a real Envoy.

use everycall_core::UnixTime;
use serde_json::json;

use crate::requests::get;
use crate::world::{now, World};

fn observed(until: UnixTime) -> std::sync::Arc<World> {
    let mut config = everycall_tests::cases::reference().unwrap();
    config["observe"] =
        json!({"hosts": ["orders.shop.example"], "paths": ["/orders/{order}"], "until": until.to_string()});
    World::with(&config)
}

#[test]
fn observe_passes_refusals_on() {
    let world = observed(UnixTime::from_secs(now().secs() + 86_400));
    let mut request = get("orders.shop.example", "/orders/o-1");
    request.headers = vec![("x-everycall-identity".into(), b"root".to_vec())];
    let seen = world.send("only", &request);
    assert_eq!((seen.response.status, seen.reason()), (200, "observed"), "{}", seen.line);
    let upstream = &seen.upstream[0];
    assert_eq!(upstream.all("x-everycall-observed"), [b"credential_missing"]);
    assert!(upstream.all("x-everycall-identity").is_empty());
    let record = world.records(1).remove(0);
    assert_eq!((&record["decision"], &record["reason"]), (&json!("allow"), &json!("observed")));
    assert_eq!(record["would_refuse"]["reason"], "credential_missing");
    let counted =
        world.envoy.stat("wasmcustom.everycall.would_refuse;instance=only;reason=credential_missing");
    assert_eq!(counted.unwrap(), 1);

    // What is wrong is refused all the same, and so is what is not observed.
    request.headers = vec![("authorization".into(), b"Bearer x.y.z".to_vec())];
    let seen = world.send("only", &request);
    assert_eq!((seen.response.status, seen.reason()), (401, "token_malformed"));
    assert!(seen.upstream.is_empty());
    let seen = world.send("only", &get("orders.shop.example", "/orders/o-1/events"));
    assert_eq!((seen.response.status, seen.reason()), (401, "credential_missing"));
    world.assert_no_crash();
}

#[test]
fn observe_over() {
    let request = get("orders.shop.example", "/orders/o-1");
    // On a busy machine the end may have come before Envoy has started.
    let started = [5, 20, 60].into_iter().find_map(|secs| {
        let until = UnixTime::from_secs(now().secs() + secs);
        let world = observed(until);
        (world.send("only", &request).reason() == "observed").then_some((world, until))
    });
    let (world, until) = started.unwrap();
    while now() < until {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let seen = world.send("only", &request);
    assert_eq!((seen.response.status, seen.reason()), (401, "credential_missing"), "{}", seen.line);
    assert!(seen.upstream.is_empty());
}
