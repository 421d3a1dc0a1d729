//! `observe` where there is a clock: its end is looked at when a configuration comes.

use everycall_core::UnixTime;
use serde_json::{json, Value};

use crate::fake::{host, INTERNAL_FAILURE};
use crate::faults::get;
use crate::vm::{fresh, Vm};

fn config(days: i64) -> Value {
    let now = host(|host| host.nanos / 1_000_000_000);
    let until = UnixTime::from_secs(i64::try_from(now).unwrap() + days * 86_400);
    let mut config = everycall_tests::cases::reference().unwrap();
    config["observe"] = json!({"hosts": ["h"], "paths": ["/{rest...}"], "until": until.to_string()});
    config
}

#[test]
fn observe_too_long() {
    fresh(|| {
        let log = Vm::start(&config(31)).err().unwrap();
        assert!(log.contains("observe.until") && log.contains("more than 30 days ahead"), "{log}");
    });
    fresh(|| assert!(Vm::start(&config(29)).is_ok()));
    // Without a clock it can't be told.
    fresh(|| {
        host(|host| host.faults.insert("time", INTERNAL_FAILURE));
        assert!(Vm::start(&config(29)).is_err());
    });
}

#[test]
fn a_refusal_that_is_passed_on_is_counted() {
    fresh(|| {
        let mut vm = Vm::start(&config(1)).unwrap();
        let outcome = vm.request(&get("/x"), |_| unreachable!());
        assert!(outcome.passed);
        let summary = outcome.summary.unwrap();
        assert_eq!(
            (&summary["reason"], &summary["would_refuse"]),
            (&json!("observed"), &json!("credential_missing"))
        );
        let count = |name: &str| host(|host| host.metrics.get(name).copied());
        assert_eq!(count("everycall.decisions;instance=shop-inbound;outcome=allow;reason=observed"), Some(1));
        assert_eq!(count("everycall.would_refuse;instance=shop-inbound;reason=credential_missing"), Some(1));
    });
}
