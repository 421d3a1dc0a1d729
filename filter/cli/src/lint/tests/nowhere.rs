//! Members of `input` that are never there, `data` that nobody provides, and their nearest neighbours.

use super::*;

fn messages(modules: &[(&str, &str)], format: Option<&str>) -> Vec<String> {
    let mut document = document(modules, false);
    if let Some(format) = format {
        document["bundle"]["inline"]["grants"][0]["policy"] = json!("other");
        document["bundle"]["inline"]["rule_sets"] = json!({"other": {"input_format": format}});
    }
    let mut found = lint(&document, NOW);
    found.retain(|finding| ["input_unknown", "data_absent"].contains(&finding.code));
    found.iter().map(|finding| format!("{}: {}", finding.place, finding.message)).collect()
}

fn own(condition: &str) -> Vec<String> {
    messages(&[("a.rego", &format!("package everycall\n{}", decision(condition)))], None)
}

fn opa(condition: &str) -> Vec<String> {
    messages(&[("a.rego", &format!("package envoy.authz\nallow if {condition}\n"))], Some("opa-envoy"))
}

#[test]
fn members_of_input_that_are_never_there_are_found() {
    for (condition, says) in [
        (
            "input.identity.isuer == \"x\"",
            "`input.identity.isuer` is never there; did you mean `input.identity.issuer`?",
        ),
        ("input[\"identiy\"].id", "`input.identiy` is never there; did you mean `input.identity`?"),
        ("input.method == \"GET\"", "`input.method` is never there; did you mean `input.request.method`?"),
        ("not input.identity.suspended", "`input.identity.suspended` is never there; there are `input.identity.actors`, "),
        (
            "input.request.headers[\"X-Tenant\"][0] == \"a\"",
            "`input.request.headers[\"X-Tenant\"]` is never there: names of headers are in lower case; read `input.request.headers[\"x-tenant\"]`",
        ),
        (
            "input.request.headers.authorization",
            "`input.request.headers.authorization` is never there: no policy sees credentials; read `input.identity.claims`",
        ),
        ("input.identity.id.name == \"a\"", "`input.identity.id.name` is never there: it stands below a text"),
        ("input.identity.actors.first == \"a\"", "`input.identity.actors.first` is never there: it stands below a list"),
        ("input.connection.source == \"a\"", "`input.connection.source` is never there; there are "),
        ("input.pdp.risk.descision", "`input.pdp.risk.descision` is never there; did you mean `input.pdp.risk.decision`?"),
        ("input.parsed_path[0] == \"a\"", "`input.parsed_path` is never there: OPA-Envoy's input has it"),
        // Also where nothing else fails, and deep inside.
        ("count([1 | input.tim > 1]) == 0", "`input.tim` is never there; did you mean `input.time`?"),
        ("object.get(input.request.header, \"x\", 1) == 1", "`input.request.header` is never there; did you mean `input.request.headers`?"),
    ] {
        let found = own(condition);
        assert!(found.len() == 1 && found[0].starts_with(&format!("a.rego:4: {says}")), "{condition}: {found:?}");
    }
    for condition in [
        "input.identity.issuer == \"x\"",
        "input.request.headers[\"x-tenant\"][0] == \"a\"",
        "input.identity.claims.Whatever.it == \"x\"",
        "input.request.query[\"X-Tenant\"][0] == \"a\"",
        "input.grant.params.Order == \"a\"",
        "input.identity.actors[0] == \"a\"",
        "input.signals.identity.any == \"a\"",
        "input.pdp.risk.context.any.thing",
        "input.pdp[input.request.method].descision",
        // Only the evaluation knows these names.
        "some k; input.identity[k] == \"isuer\"",
        "input[input.request.method]",
        "x := input; x.isuer",
        "walk(input, [[\"isuer\"], _])",
        // What is put there.
        "input.tenant == \"x\" with input.tenant as \"x\"",
        "f(1) with input as {\"tenant\": 1}",
        "input.tenant.name == \"x\" with input.tenant as {\"name\": \"x\"}",
    ] {
        let module = format!("package everycall\n{}f(x) if x == input.time\n", decision(condition));
        assert!(messages(&[("a.rego", &module)], None).is_empty(), "{condition}");
    }
    // `with` of another part is no excuse, and a comment is.
    assert_eq!(own("input.tenant == \"x\" with input.time as 1").len(), 1);
    assert!(own("# everycall:allow input_unknown an older filter has it\n\tinput.tenant == \"x\"").is_empty());
}

#[test]
fn the_form_of_opa_has_members_of_its_own() {
    for (condition, says) in [
        (
            "input.attributes.request.http.headers[\"X-Tenant\"] == \"a\"",
            "`input.attributes.request.http.headers[\"X-Tenant\"]` is never there: names of headers are in lower case",
        ),
        (
            "input.attributes.request.http.headers[\":autority\"] == \"a\"",
            "`input.attributes.request.http.headers[\":autority\"]` is never there: no such header is told",
        ),
        // As Go spells it.
        (
            "input.attributes.source.address.Address.SocketAddress.address == \"10.1.2.3\"",
            "`input.attributes.source.address.Address` is never there; there are `input.attributes.source.address.socketAddress`",
        ),
        (
            "input.attributes.source.address.socketAddress.adress == \"10.1.2.3\"",
            "`input.attributes.source.address.socketAddress.adress` is never there; did you mean `input.attributes.source.address.socketAddress.address`?",
        ),
        (
            "input.attributes.request.method == \"GET\"",
            "`input.attributes.request.method` is never there; did you mean ",
        ),
        ("input.parsed_paths[0] == \"a\"", "`input.parsed_paths` is never there; did you mean `input.parsed_path`?"),
        ("input.identity.kind == \"agent\"", "`input.identity` is never there; did you mean `input.everycall.identity`?"),
        (
            "input.everycall.identity.knd == \"agent\"",
            "`input.everycall.identity.knd` is never there; did you mean `input.everycall.identity.kind`?",
        ),
    ] {
        let found = opa(condition);
        assert!(found.len() == 1 && found[0].starts_with(&format!("a.rego:2: {says}")), "{condition}: {found:?}");
    }
    for condition in [
        "input.attributes.request.http.headers[\"x-tenant\"] == \"a\"",
        "input.attributes.request.http.headers[\":authority\"] == \"a\"",
        "input.attributes.source.address.socketAddress.address == \"1.2.3.4\"",
        "input.parsed_query.Any[0] == \"a\"",
        "input.parsed_path[0] == \"a\"",
        "input.everycall.identity.claims.any == \"agent\"",
    ] {
        assert!(opa(condition).is_empty(), "{condition}: {:?}", opa(condition));
    }
}

#[test]
fn data_that_nobody_provides_is_found() {
    for (condition, says) in [
        (
            "data.limit.high > 1",
            "no module and no data provides `data.limit.high`; did you mean `data.limits.high`?",
        ),
        ("data.limits.hihg > 1", "no module and no data provides `data.limits.hihg`"),
        ("not data.text.x", "no module and no data provides `data.text.x`"),
        ("input.time in data.nothing", "no module and no data provides `data.nothing`"),
        ("lib.knwn", "no module and no data provides `data.lib.knwn`; did you mean `data.lib.known`?"),
    ] {
        let module = format!("package everycall\nimport data.lib\n{}", decision(condition));
        let found =
            messages(&[("a.rego", &module), ("b.rego", "package lib\nknown if input.time > 1\n")], None);
        assert_eq!(found.len(), 1, "{condition}: {found:?}");
        assert!(found[0].starts_with(&format!("a.rego:5: {says}")), "{condition}: {found:?}");
    }
    for condition in [
        "data.limits.high > 1",
        "data.limits[input.request.method] > 1",
        "data.banned[0] == \"x\"",
        "object.get(data.limits, \"hihg\", 2) > 1",
        "lib.known",
        "lib.table.whatever",
        "data.lib.f(1)",
        "data.limit == 1 with data.limit as 1",
        "data.limit.high == 1 with data.limit as {\"high\": 1}",
    ] {
        let module = format!("package everycall\nimport data.lib\n{}", decision(condition));
        let lib = "package lib\nknown if input.time > 1\ntable := {\"a\": input.time}\nf(x) if x == 1\n";
        let found = messages(&[("a.rego", &module), ("b.rego", lib)], None);
        assert!(found.is_empty(), "{condition}: {found:?}");
    }
}
