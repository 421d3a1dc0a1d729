//! The compose file fits what it starts: its mounts are there, its addresses are those of the
//! rendered bootstrap, and nothing of it can be reached from elsewhere.

use everycall_tests::envoy::root;
use serde_json::Value;

use crate::page::file;
use crate::rendered::ENVOY;

fn compose() -> Value {
    let mut document: serde_yaml_ng::Value = serde_yaml_ng::from_str(&file("envoy/compose.yaml")).unwrap();
    document.apply_merge().unwrap();
    serde_json::to_value(&document["services"]).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn nothing_is_published_beyond_this_machine() {
    let mut published = Vec::new();
    for (name, service) in compose().as_object().unwrap() {
        assert!(service.get("network_mode").is_none(), "{name}");
        published.extend(texts(&service["ports"]).into_iter().map(|port| format!("{name} {port}")));
    }
    assert_eq!(published, ["envoy 127.0.0.1:8080:8080"]);
}

#[test]
fn mounted_files_are_there_and_read_only() {
    for (name, service) in compose().as_object().unwrap() {
        for volume in texts(&service["volumes"]) {
            let parts: Vec<&str> = volume.split(':').collect();
            let [from, _, "ro"] = parts[..] else { panic!("{name}: {volume}") };
            // `make wasm` builds it.
            let made = from == "../target/everycall.wasm";
            assert!(made || root().join("envoy").join(from).exists(), "{name}: {from}");
        }
        let dockerfile = service["build"]["dockerfile"].as_str();
        assert!(dockerfile.is_none_or(|dockerfile| root().join(dockerfile).exists()), "{name}");
    }
    // The image is built from the sources, without what was built here.
    let ignored = file(".dockerignore");
    assert!(["target", ".tools", ".git"].iter().all(|name| ignored.lines().any(|line| line == *name)));
}

#[test]
fn envoy_gets_the_rendered_bootstrap_and_the_module_where_it_looks() {
    let services = compose();
    let envoy = &services["envoy"];
    let mounts = texts(&envoy["volumes"]);
    let rendered = ENVOY.0.strip_prefix("envoy/").unwrap();
    let bootstrap =
        mounts.iter().find_map(|mount| mount.strip_prefix(&format!("./{rendered}:"))?.strip_suffix(":ro"));
    assert!(texts(&envoy["command"]).contains(&bootstrap.unwrap()));
    let module =
        mounts.iter().find_map(|mount| mount.strip_prefix("../target/everycall.wasm:")?.strip_suffix(":ro"));
    assert!(file(ENVOY.0).contains(&format!("filename: \"{}\"", module.unwrap())));
    // About the Envoy that the other tests run: its image may come some weeks later.
    let script = file("envoy/get.sh");
    let version = script.lines().find_map(|line| line.strip_prefix("version=")).unwrap();
    let image = envoy["image"].as_str().unwrap();
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    assert!(minor(version).abs_diff(minor(image)) <= 1, "{version} and {image}");
}

/// What a tag leads to can be exchanged.
#[test]
fn images_are_named_by_their_digests() {
    let mut images: Vec<String> = Vec::new();
    for (_, service) in compose().as_object().unwrap() {
        let built = service.get("build").is_some();
        images.extend((!built).then(|| service["image"].as_str().unwrap().to_owned()));
    }
    for line in file("envoy/Dockerfile").lines() {
        let from = line.strip_prefix("FROM ").and_then(|image| image.split(' ').next());
        images.extend(from.map(str::to_owned));
    }
    assert_eq!(images.len(), 4, "{images:?}");
    for image in images {
        let (name, digest) = image.split_once("@sha256:").unwrap_or_else(|| panic!("{image}"));
        assert!(name.contains(':'), "{image}: and by the tag, for people");
        assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{image}");
    }
}

#[test]
fn addresses_are_those_of_the_bootstrap() {
    let services = compose();
    let bootstrap: Value = serde_yaml_ng::from_str(&file(ENVOY.0)).unwrap();
    let socket = |value: &Value| {
        let socket = &value["address"]["socket_address"];
        (socket["address"].as_str().unwrap().to_owned(), socket["port_value"].to_string())
    };
    // The option of the service that listens there.
    for (index, option) in [(0, "--upstream"), (1, "--listen")] {
        let cluster = &bootstrap["static_resources"]["clusters"][index];
        let (host, port) = socket(&cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]);
        let command = texts(&services[&host]["command"]);
        let at =
            command.iter().position(|word| *word == option).unwrap_or_else(|| panic!("{host}: {command:?}"));
        assert_eq!(command[at + 1], format!("0.0.0.0:{port}"));
    }
    let inbound = socket(&bootstrap["static_resources"]["listeners"][0]);
    assert_eq!(inbound, ("0.0.0.0".into(), "8080".into()));
    assert_eq!(socket(&bootstrap["admin"]).0, "127.0.0.1");
    let client = &services["client"]["environment"];
    assert_eq!(
        (&client["ENVOY"], &client["DEVSERVER"]),
        (&"http://envoy:8080".into(), &"http://devserver:8081".into())
    );
}
