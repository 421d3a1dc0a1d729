//! The WasmPlugin fits Istio's custom resource definition: the real one where it is to be had, and a
//! short one of our own wherever the tests run.

use std::path::PathBuf;

use everycall_tests::envoy::{connection_manager, root};
use serde_json::{json, Value};

use crate::rendered::{render, ENVOY, ISTIO};
use crate::structural::violations;

/// What a WasmPlugin must have at least: the members that we set, of the definition of Istio 1.30.
fn own() -> Value {
    json!({"type": "object", "required": ["url"], "properties": {
        "failStrategy": {"type": "string", "enum": ["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]},
        "phase": {"type": "string", "enum": ["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]},
        "pluginConfig": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "pluginName": {"type": "string", "minLength": 1, "maxLength": 256},
        "selector": {"type": "object", "properties": {
            "matchLabels": {"type": "object", "maxProperties": 4096, "additionalProperties": {"type": "string", "maxLength": 63}}}},
        "sha256": {"type": "string", "pattern": "(^$|^[a-f0-9]{64}$)"},
        "type": {"type": "string", "enum": ["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]},
        "url": {"type": "string", "minLength": 1, "x-kubernetes-validations": [
            {"message": "url must have schema one of [http, https, file, oci]"}]}}})
}

/// The definition of Istio itself: in the file that ISTIO_CRDS names, or beside the project.
fn istios(kind: &str) -> Option<Value> {
    let file = std::env::var_os("ISTIO_CRDS")
        .map_or_else(|| root().join("../shared/schemas/istio-crds.yaml"), PathBuf::from);
    let text = std::fs::read_to_string(&file).ok()?;
    let document =
        text.split("\n---\n").find(|document| document.contains(&format!("\n    kind: {kind}\n"))).unwrap();
    let crd: Value = serde_yaml_ng::from_str(document).unwrap();
    Some(crd["spec"]["versions"][0].clone())
}

/// The definition's schema of a resource's `spec`, in the version that is rendered.
fn spec_of(definition: &Value, resource: &Value) -> Value {
    let version = resource["apiVersion"].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(definition["name"], version);
    definition["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// The resources that are rendered.
fn resources(more: &[&str]) -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("m.wasm");
    std::fs::write(&module, b"\0asm").unwrap();
    let module = module.display().to_string();
    let from = ["--url", "https://modules.example/everycall.wasm", "--module", &module];
    let text = render(&[ISTIO.1, &from, more].concat());
    text.split("\n---\n").map(|document| serde_yaml_ng::from_str(document).unwrap()).collect()
}

fn plugin(more: &[&str]) -> Value {
    resources(more).swap_remove(0)
}

fn schemas() -> Vec<Value> {
    let istios = istios("WasmPlugin").map(|definition| spec_of(&definition, &plugin(&[])));
    [own()].into_iter().chain(istios).collect()
}

/// What the plugin reads of the connection is put into filter state before it, of the same workloads.
#[test]
fn the_filter_in_front_fits_the_definition() {
    let all = resources(&[]);
    let [plugin, filter] = &all[..] else { panic!("{all:#?}") };
    assert_eq!(filter["kind"], "EnvoyFilter");
    assert_eq!(filter["metadata"], json!({"name": "everycall-source", "namespace": "shop"}));
    assert_eq!(filter["spec"]["workloadSelector"]["labels"], plugin["spec"]["selector"]["matchLabels"]);
    let patches = filter["spec"]["configPatches"].as_array().unwrap();
    let contexts: Vec<_> = patches.iter().map(|patch| &patch["match"]["context"]).collect();
    assert_eq!(contexts, ["SIDECAR_INBOUND", "GATEWAY"]);
    for patch in patches {
        assert_eq!(
            (&patch["applyTo"], &patch["patch"]["operation"]),
            (&json!("HTTP_FILTER"), &json!("INSERT_FIRST"))
        );
        // The same as in a bootstrap, which runs in Envoy.
        let bootstrap: Value = serde_yaml_ng::from_str(&render(ENVOY.1)).unwrap();
        let mut listener = bootstrap["static_resources"]["listeners"][0].clone();
        assert_eq!(patch["patch"]["value"], connection_manager(&mut listener)["http_filters"][0]);
    }
    if let Some(definition) = istios("EnvoyFilter") {
        assert_eq!(violations(&filter["spec"], &spec_of(&definition, filter), "spec"), [""; 0]);
        let mut wrong = filter["spec"].clone();
        wrong["configPatches"][0]["patch"]["operation"] = json!("PUT_FIRST");
        assert_ne!(violations(&wrong, &spec_of(&definition, filter), "spec"), [""; 0]);
    }
}

#[test]
fn a_plugin_fits_the_definition() {
    for schema in schemas() {
        for (more, strategy) in [(&[][..], "FAIL_RELOAD"), (&["--fail-close"], "FAIL_CLOSE")] {
            let plugin = plugin(more);
            assert_eq!(plugin["apiVersion"], "extensions.istio.io/v1alpha1");
            assert_eq!(plugin["kind"], "WasmPlugin");
            assert_eq!(plugin["spec"]["failStrategy"], strategy);
            assert_eq!(violations(&plugin["spec"], &schema, "spec"), [""; 0]);
        }
    }
}

/// The check itself: what does not fit is found.
#[test]
fn what_does_not_fit_is_found() {
    for schema in schemas() {
        for (member, value, expected) in [
            ("failStrategy", json!("FAIL_SAFE"), "spec.failStrategy"),
            ("phase", json!("AUTH"), "spec.phase"),
            ("phase", json!(1), "spec.phase"),
            ("sha256", json!("12"), "spec.sha256"),
            ("url", json!("ftp://x"), "spec.url"),
            ("pluginConfig", json!("{}"), "spec.pluginConfig"),
            ("selector", json!({"matchLabels": {"app": 1}}), "spec.selector.matchLabels.app"),
            ("failureStrategy", json!("FAIL_CLOSE"), "spec.failureStrategy"),
        ] {
            let mut spec = plugin(&[])["spec"].clone();
            spec[member] = value;
            let found = violations(&spec, &schema, "spec");
            assert!(found.iter().any(|violation| violation.starts_with(expected)), "{member}: {found:?}");
        }
        let mut spec = plugin(&[])["spec"].clone();
        spec.as_object_mut().unwrap().remove("url");
        assert_eq!(violations(&spec, &schema, "spec"), ["spec.url: missing"]);
    }
}
