//! Grants that can not match, and paths that are broader than another.

use super::*;

#[test]
fn grants_can_match() {
    let paths = |change: &dyn Fn(&mut Value)| {
        let mut document = document(
            &[("a.rego", "package everycall\ndecision := {\"allow\": true} if input.identity.id\n")],
            false,
        );
        change(&mut document);
        let findings = lint(&document, NOW);
        findings
            .iter()
            .map(|f| format!("{} {}", f.code, f.place.trim_start_matches("bundle.inline.")))
            .collect::<Vec<_>>()
    };
    let grant = |name: &'static str, value: Value| {
        paths(&move |document| document["bundle"]["inline"]["grants"][0][name] = value.clone())
    };
    assert!(paths(&|_| {}).is_empty());
    for (name, value, finds) in [
        ("valid_until", json!("2020-01-01T00:00:00Z"), "grant_expired grants[0].valid_until"),
        ("issuer", json!("https://other.example"), "grant_never_matches grants[0].issuer"),
        ("kinds", json!(["workload", "human"]), "grant_never_matches grants[0].kinds[1]"),
        ("subject", json!("spiffe://shop.example/a"), "grant_never_matches grants[0].subject"),
        (
            "subject_prefix",
            json!("spiffe://shop.example/ns/"),
            "grant_never_matches grants[0].subject_prefix",
        ),
        ("requires_binding", json!("certificate"), "grant_never_matches grants[0].requires_binding"),
        ("paths", json!(["/a;b"]), "grant_never_matches grants[0].paths[0]"),
        ("paths", json!(["/a", "*"]), "grant_never_matches grants[0].paths[1]"),
        ("paths", json!(["/a/{x}/c", "/a/{y}/c"]), "shadowed_path grants[0].paths[1]"),
        ("paths", json!(["/a/{x...}", "/a/{y...}"]), "shadowed_path grants[0].paths[1]"),
        ("owner", json!(" TODO "), "missing_owner grants[0].owner"),
        ("owner", json!("-"), "missing_owner grants[0].owner"),
    ] {
        assert_eq!(grant(name, value.clone()), [finds], "{name}: {value}");
    }
    for (name, value) in [
        ("valid_until", json!("2126-01-01T00:00:00Z")),
        ("issuer", json!("https://id.example")),
        ("subject", json!("spiffe-not:shop")),
        ("requires_binding", json!("dpop")),
        ("requires_binding", json!("any")),
        ("valid_until", json!("2026-09-21T14:13:21Z")),
        ("valid_from", json!("2126-01-01T00:00:00Z")),
        ("owner", json!("todo-team@shop.example")),
        ("owner", json!("x-ray team")),
        ("paths", json!(["/a/{x}", "/a/b", "/a/{x...}", "/a/{x}/"])),
        ("owner", json!("nobody-in-particular@shop.example")),
    ] {
        assert!(grant(name, value.clone()).is_empty(), "{name}: {value}");
    }
    // What else there is makes it possible, or not.
    for (name, value, grant, finds) in [
        ("mtls", json!({"trust_domains": ["d"]}), json!({"requires_binding": "certificate"}), None),
        (
            "credentials",
            json!([{"header": "x"}]),
            json!({"requires_binding": "dpop"}),
            Some("requires_binding"),
        ),
        (
            "credentials",
            json!([{"header": "x"}]),
            json!({"requires_binding": "any"}),
            Some("requires_binding"),
        ),
        (
            "credentials",
            json!([{"header": "x", "scheme": "dpop"}]),
            json!({"requires_binding": "dpop"}),
            None,
        ),
        ("api_keys", json!([{"subject": "s"}]), json!({"kinds": ["legacy"]}), None),
        ("api_keys", json!([{"subject": "t"}]), json!({"kinds": ["legacy"]}), Some("subject")),
        ("api_keys", json!([{"subject": "t"}]), json!({"kinds": ["legacy", "workload"]}), None),
        ("api_keys", json!([{"subject": "t"}]), json!({"issuer": "api_keys"}), Some("kinds[0]")),
        ("mtls", json!({"trust_domains": ["d"]}), json!({"issuer": "spiffe://d"}), Some("kinds[0]")),
        ("mtls", json!({"trust_domains": ["d"], "kind": "workload"}), json!({"issuer": "spiffe://d"}), None),
        ("mtls", json!({"trust_domains": ["d"], "kind": "agent"}), json!({"kinds": ["agent"]}), None),
    ] {
        let found = paths(&|document| {
            document[name] = value.clone();
            let members = document["bundle"]["inline"]["grants"][0].as_object_mut().unwrap();
            members.extend(grant.as_object().unwrap().clone());
        });
        let finds: Vec<_> =
            finds.map(|at| format!("grant_never_matches grants[0].{at}")).into_iter().collect();
        assert_eq!(found, finds, "{name}: {value}: {grant}");
    }
    let star = |methods: Value| {
        paths(&|document| {
            document["bundle"]["inline"]["grants"][0]["paths"] = json!(["*"]);
            document["bundle"]["inline"]["grants"][0]["methods"] = methods.clone();
        })
    };
    assert!(star(json!(["GET", "OPTIONS"])).is_empty() && star(json!(["CONNECT"])).is_empty());
    let trusted = paths(&|document| {
        document["issuers"][0]["trust_domains"] = json!(["shop.example"]);
        document["bundle"]["inline"]["grants"][0]["subject"] = json!("spiffe://shop.example/a");
    });
    assert!(trusted.is_empty(), "{trusted:?}");
    let two = |change: &dyn Fn(&mut Value)| {
        paths(&|document| {
            let grants = &mut document["bundle"]["inline"]["grants"];
            let mut second = grants[0].clone();
            second["id"] = json!("h");
            change(&mut second);
            grants.as_array_mut().unwrap().push(second);
        })
    };
    assert_eq!(two(&|_| {}), ["shadowed_path grants[1].paths[0]"]);
    for (name, value) in [
        ("methods", json!(["GET", "POST"])),
        ("subject", json!("other")),
        ("hosts", json!(["i"])),
        ("paths", json!(["/y"])),
        ("delegation", json!({})),
    ] {
        assert!(two(&|second| second[name] = value.clone()).is_empty(), "{name}");
    }
}

#[test]
fn a_broader_path_that_lets_others_in_is_said() {
    let lints = |narrow: Value, wide: Value| -> Vec<String> {
        let mut document = document(&[], false);
        let mut grants = Vec::new();
        for (id, change) in [("narrow", narrow), ("wide", wide)] {
            let mut grant = json!({"id": id, "owner": "team@shop.example", "purpose": "p", "kinds": ["workload"],
                "hosts": ["h"], "methods": ["GET"]});
            grant.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            grants.push(grant);
        }
        document["bundle"]["inline"]["grants"] = json!(grants);
        let found = lint(&document, NOW).into_iter().filter(|finding| finding.code == "path_opened");
        found.map(|finding| format!("{} {}", finding.place, finding.message)).collect()
    };
    let role = |role: &str| json!({"role": role});
    let anybody = json!({"iss": "https://id.example"});
    let opened = |narrow: &[&str], wide: &[&str]| {
        !lints(
            json!({"claims": role("admin"), "issuer": "https://id.example", "paths": narrow}),
            json!({"claims": anybody, "issuer": "https://id.example", "paths": wide}),
        )
        .is_empty()
    };
    for (narrow, wide) in [
        ("/admin", "/{rest...}"),
        ("/admin/", "/{rest...}"),
        ("/admin/", "/admin/{rest...}"),
        ("/admin/{rest...}", "/{rest...}"),
        ("/admin/users", "/admin/{x}"),
        ("/admin/users/{id}", "/{area}/users/{id}"),
        ("/admin/{x}", "/admin/{rest...}"),
    ] {
        assert!(opened(&[narrow], &[wide]), "{narrow} {wide}");
        assert!(!opened(&[wide], &[narrow]), "{wide} {narrow}");
    }
    for (narrow, wide) in [
        ("/", "/{rest...}"),
        ("/admin", "/admin"),
        ("/admin/{x}", "/admin/{y}"),
        ("/admin/", "/admin/{x}"),
        ("/admin", "/admin/{rest...}"),
        ("/admin/a/b", "/admin/{x}"),
        ("/admins", "/admin/{rest...}"),
        ("*", "/{rest...}"),
    ] {
        assert!(!opened(&[narrow], &[wide]), "{narrow} {wide}");
    }
    // Hosts that some call has in common.
    let on = |narrow: &str, wide: &str| {
        let grant = |role: Value, host: &str, path: &str| json!({"claims": role, "issuer": "https://id.example", "hosts": [host], "paths": [path]});
        lints(grant(role("admin"), narrow, "/admin"), grant(anybody.clone(), wide, "/{rest...}")).len()
    };
    for (narrow, wide) in [
        ("h:8080", "h:*"),
        ("h:*", "h:8080"),
        ("h", "h:*"),
        ("h:*", "h"),
        ("[::1]", "[::1]:*"),
        ("h:*", "h:*"),
    ] {
        assert_eq!(on(narrow, wide), 1, "{narrow} {wide}");
    }
    for (narrow, wide) in [("h", "h:8080"), ("h:80", "h:8080"), ("hh", "h:*"), ("[::1]", "[::2]:*")] {
        assert_eq!(on(narrow, wide), 0, "{narrow} {wide}");
    }
    // A grant that asks for more, whose path falls to another one for the same callers in another spelling.
    let falls = |hosts: Value, narrow: Value, wide: Value| {
        let mut document = document(&[], false);
        document["hosts"] = hosts;
        let grant = |id: &str, change: Value| {
            let mut grant = json!({"id": id, "owner": "team@shop.example", "purpose": "p", "kinds": ["workload"],
                "subject": "s", "hosts": ["h"], "methods": ["GET"]});
            grant.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            grant
        };
        document["bundle"]["inline"]["grants"] = json!([grant("narrow", narrow), grant("wide", wide)]);
        let found = lint(&document, NOW);
        found.iter().filter(|finding| finding.code == "path_variant").count()
    };
    let strict = |path: &str| json!({"paths": [path], "requires_elevation": true});
    let lax = |path: &str| json!({"paths": [path]});
    assert_eq!(falls(json!({}), strict("/margins/{rest...}"), lax("/{rest...}")), 1);
    assert_eq!(
        falls(json!({}), json!({"paths": ["/margins"], "requires_binding": "dpop"}), lax("/{area}")),
        1
    );
    for other in [json!({"policy": "p"}), json!({"sensitivity": "high"})] {
        let mut narrow = other.clone();
        narrow["paths"] = json!(["/margins"]);
        assert_eq!(falls(json!({}), narrow, lax("/{rest...}")), 1, "{other}");
    }
    for (hosts, narrow, wide) in [
        (json!({"h": {}}), strict("/margins/{rest...}"), lax("/{rest...}")),
        (json!({"h": {"path_case": "fold"}}), strict("/margins/{rest...}"), lax("/{rest...}")),
        (json!({"h:*": {}}), strict("/margins/{rest...}"), lax("/{rest...}")),
        (json!({}), lax("/margins"), json!({"paths": ["/{rest...}"], "requires_binding": "any"})),
        (json!({}), strict("/margins/{rest...}"), strict("/{rest...}")),
        (json!({}), lax("/margins/{rest...}"), lax("/{rest...}")),
        (json!({}), lax("/margins/{rest...}"), strict("/{rest...}")),
        (json!({}), strict("/margins/{rest...}"), lax("/other/{rest...}")),
        (json!({}), strict("/{a}/{rest...}"), lax("/{rest...}")),
        (json!({}), strict("/margins"), json!({"paths": ["/{rest...}"], "subject": "other"})),
        (json!({}), strict("/margins"), json!({"paths": ["/{rest...}"], "methods": ["PUT"]})),
        (json!({}), strict("/margins"), json!({"paths": ["/{rest...}"], "hosts": ["i"]})),
    ] {
        assert_eq!(falls(hosts.clone(), narrow.clone(), wide.clone()), 0, "{hosts} {narrow} {wide}");
    }
    // Whom they choose.
    let by = |narrow: Value, wide: Value| {
        let with = |mut grant: Value, path: &str| {
            grant["paths"] = json!([path]);
            grant
        };
        lints(with(narrow, "/admin"), with(wide, "/{rest...}")).len()
    };
    let claims = |claims: Value| json!({"claims": claims, "issuer": "https://id.example"});
    let prefix = |prefix: &str| json!({"subject_prefix": prefix});
    let subject = |subject: &str| json!({"subject": subject});
    for (narrow, wide) in [
        (claims(role("admin")), claims(role("user"))),
        (claims(json!({"role": "admin", "team": "a"})), claims(role("admin"))),
        (subject("spiffe://d/ns/a"), prefix("spiffe://d/ns/")),
        (prefix("spiffe://d/ns/a/"), prefix("spiffe://d/ns/")),
        (subject("spiffe://d/ns/a"), json!({"subject": "anonymous", "kinds": []})),
        (claims(role("admin")), json!({"subject": "anonymous", "kinds": []})),
    ] {
        assert_eq!(by(narrow.clone(), wide.clone()), 1, "{narrow} {wide}");
    }
    for (narrow, wide) in [
        (claims(role("admin")), claims(role("admin"))),
        (claims(role("admin")), claims(json!({"role": "admin", "team": "a"}))),
        (claims(role("admin")), json!({"claims": anybody, "issuer": "https://other.example"})),
        (
            claims(role("admin")),
            json!({"claims": anybody, "issuer": "https://id.example", "kinds": ["human"]}),
        ),
        (
            claims(role("admin")),
            json!({"claims": anybody, "issuer": "https://id.example", "methods": ["PUT"]}),
        ),
        (claims(role("admin")), json!({"claims": anybody, "issuer": "https://id.example", "hosts": ["i"]})),
        (subject("a"), subject("a")),
        (subject("a"), subject("b")),
        (subject("spiffe://d/nsa"), prefix("spiffe://d/ns/")),
        (prefix("spiffe://d/ns/"), prefix("spiffe://d/ns/")),
        (json!({"subject": "anonymous", "kinds": []}), json!({"subject": "anonymous", "kinds": []})),
        (json!({"subject": "anonymous", "kinds": []}), claims(anybody.clone())),
    ] {
        assert_eq!(by(narrow.clone(), wide.clone()), 0, "{narrow} {wide}");
    }
    // What is excepted is not opened.
    for (except, opened) in [
        (json!(["/admin", "/admin/{rest...}"]), 0),
        (json!(["/{x}"]), 0),
        (json!(["/{rest...}"]), 0),
        (json!(["/admin/{rest...}"]), 1),
        (json!(["/admin/", "/Admin"]), 1),
    ] {
        let mut wide = claims(anybody.clone());
        wide["except"] = except.clone();
        assert_eq!(by(claims(role("admin")), wide), opened, "{except}");
    }
}
