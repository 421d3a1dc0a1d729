//! A configuration that comes while another one is in force: its bundle is built between requests.

use std::collections::BTreeMap;

use serde_json::{json, Value};

use crate::fake::{host, INTERNAL_FAILURE};
use crate::faults::{configuration, get, reason};
use crate::vm::{fresh, Vm};

/// Refuses what the ordinary one lets pass, and has so many modules that it is not built in one tick.
fn closed(modules: usize) -> Value {
    let mut config = configuration();
    let policies = config["bundle"]["inline"]["policies"].as_object_mut().unwrap();
    policies.insert("open.rego".into(), json!("package everycall.open\ndecision := {\"allow\": false}"));
    for at in 0..modules {
        policies.insert(format!("z{at:04}.rego"), json!(format!("package other.p{at}\nx := {at}")));
    }
    config
}

fn open(vm: &mut Vm, root: u32) -> String {
    let (context, action) = vm.begin_below(root, &get("/open"));
    reason(&vm.end(context, action))
}

fn period() -> u32 {
    host(|host| host.tick_period)
}

/// A VM with the ordinary configuration in force, and a root context for another one.
fn beside(run: impl FnOnce(&mut Vm, u32) + Send) {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        let root = vm.new_root();
        run(&mut vm, root);
    });
}

#[test]
fn what_was_in_force_decides_until_it_is_built() {
    beside(|vm, root| {
        assert!(vm.configure(root, closed(2_000).to_string().as_bytes()));
        assert_eq!(period(), 2);
        // Also for requests of the new one.
        assert_eq!(open(vm, root), "allowed");
        let mut ticks = 0;
        while open(vm, root) == "allowed" {
            vm.tick_of(root);
            ticks += 1;
            assert!(ticks < 1_000, "it is never built");
        }
        assert!(ticks > 1, "at once");
        for root in [1, root] {
            assert_eq!(open(vm, root), "policy_denied", "{root}");
        }
        vm.tick_of(root);
        host(|host| host.nanos += 100_000_000);
        vm.tick_of(root);
        assert_eq!(period(), 100, "there is nothing more to do");
    });
}

#[test]
fn the_last_one_comes_into_force() {
    for back in [false, true] {
        fresh(|| {
            let mut vm = Vm::start(&configuration()).unwrap();
            let (second, third) = (vm.new_root(), vm.new_root());
            assert!(vm.configure(second, closed(2_000).to_string().as_bytes()));
            vm.tick_of(second);
            // To what is in force still, or to one that is built as well.
            let mut last = configuration();
            if !back {
                last["bundle"]["inline"]["data"] = json!({"a": 1});
            }
            assert!(vm.configure(third, last.to_string().as_bytes()));
            for _ in 0..1_000 {
                vm.tick_of(second);
                vm.tick_of(third);
            }
            for root in [1, second, third] {
                assert_eq!(open(&mut vm, root), "allowed", "{root}");
            }
        });
    }
}

#[test]
fn one_that_turns_out_bad_decides_nothing() {
    // The host has its own VM read it first, so that it does not come to this.
    beside(|vm, root| {
        let mut config = closed(0);
        config["bundle"]["inline"]["policies"]["open.rego"] = json!("package everycall.open\ndecision :=");
        assert!(vm.configure(root, config.to_string().as_bytes()));
        (0..10).for_each(|_| vm.tick_of(root));
        let log = host(|host| host.log.iter().map(|(_, line)| line.clone()).collect::<Vec<_>>().join("\n"));
        assert!(log.contains("configuration refused: bundle.inline.policies[\"open.rego\"]"), "{log}");
        let (context, action) = vm.begin_below(root, &get("/open"));
        let outcome = vm.end(context, action);
        assert!(!outcome.passed, "{outcome:?}");
    });
}

#[test]
fn what_is_wrong_beside_the_bundle_is_told_at_once() {
    beside(|vm, root| {
        let mut config = closed(0);
        config["limits"] = json!({"max_pending": -1});
        assert!(!vm.configure(root, config.to_string().as_bytes()));
        assert!(!vm.configure(root, b"{"));
        assert_eq!(open(vm, 1), "allowed");
    });
}

#[test]
fn without_ticks_it_is_in_force_at_once() {
    beside(|vm, root| {
        host(|host| host.faults = BTreeMap::from([("tick", INTERNAL_FAILURE)]));
        assert!(vm.configure(root, closed(10).to_string().as_bytes()));
        assert_eq!(open(vm, root), "policy_denied");
    });
}
