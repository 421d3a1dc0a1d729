//! Where records go: to the proxy's log or into the access log, and never to both or to none.

use serde_json::json;

use crate::fake::host;
use crate::faults::{configuration, get};
use crate::vm::{fresh, Vm};

#[test]
fn a_record_is_written_once_where_it_is_to_be() {
    // For an admitted and a refused request: its record is in the access log, and in the proxy's log.
    for (log, admitted, refused) in [
        (json!({}), (false, true), (false, true)),
        (json!({"to": "proxy_log"}), (false, true), (false, true)),
        (json!({"to": "access_log"}), (true, false), (true, false)),
        (json!({"to": "access_log", "records": "refusals"}), (false, false), (true, false)),
        (json!({"to": "proxy_log", "records": "refusals"}), (false, false), (false, true)),
        (json!({"to": "access_log", "records": "off"}), (false, false), (false, false)),
    ] {
        fresh(|| {
            let mut config = everycall_tests::cases::reference().unwrap();
            config["log"] = log.clone();
            let grant = json!({"id": "open", "owner": "o", "purpose": "p", "subject": "anonymous", "hosts": ["h"],
                "methods": ["GET"], "paths": ["/open"], "policy": "open"});
            config["bundle"]["inline"]["grants"].as_array_mut().unwrap().push(grant);
            config["bundle"]["inline"]["policies"]["open.rego"] =
                json!("package everycall.open\ndecision := {\"allow\": true}\n");
            let mut vm = Vm::start(&config).unwrap();
            for (path, verdict, expected) in [("/open", "allow", admitted), ("/x", "deny", refused)] {
                let outcome = vm.request(&get(path), |_| unreachable!());
                let shown = outcome.summary.unwrap();
                assert_eq!(shown["decision"], verdict, "{path} under {log}");
                let (in_access_log, in_log) = (shown.get("v").is_some(), outcome.record.is_some());
                assert_eq!((in_access_log, in_log), expected, "{path} under {log}: {shown}");
                if in_access_log {
                    assert_eq!(shown["request"]["path"], path, "{path} under {log}");
                }
            }
        });
    }
}

#[test]
fn ticks_are_brisk_while_records_come_also_after_another_configuration() {
    fresh(|| {
        let mut vm = Vm::start(&configuration()).unwrap();
        let period = || host(|host| host.tick_period);
        assert_eq!(period(), 100);
        for _ in 0..2 {
            // The request ends with a tick, which writes its record.
            vm.request(&get("/open"), |_| unreachable!());
            assert_eq!(period(), 5);
            assert!(vm.configure(1, configuration().to_string().as_bytes()));
            assert_eq!(period(), 100);
        }
        vm.tick();
        assert_eq!(period(), 100, "nothing is to be written");
    });
}
