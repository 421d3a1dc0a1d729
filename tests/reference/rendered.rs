//! The renderings that are committed are what `everycall render` prints now. `make render` writes
//! them anew: it runs this test with EVERYCALL_RENDER set.

use everycall_tests::envoy::{connection_manager, plugin as plugin_in, root};
use serde_json::Value;

use crate::page::{file, section, PROXY};

/// The options behind `--config policies/everycall.yaml`. Addresses are those of the compose file.
pub const ENVOY: (&str, &[&str]) = (
    "envoy/envoy.yaml",
    &[
        "envoy",
        "--module",
        "/etc/envoy/everycall.wasm",
        "--listen",
        "0.0.0.0:8080",
        "--upstream",
        "upstream:8082",
        "--pdp",
        "devserver:8081",
        "--revocations",
        "devserver:8081",
    ],
);
pub const ISTIO: (&str, &[&str]) =
    ("envoy/istio/wasmplugin.yaml", &["istio", "--namespace", "shop", "--selector", "app=orders"]);

/// What `everycall render` prints for the reference configuration.
pub fn render(options: &[&str]) -> String {
    let config = root().join("policies/everycall.yaml").display().to_string();
    let (what, options) = options.split_first().unwrap();
    let mut out = Vec::new();
    let code = everycall::commands::run(
        [&["everycall", "render", what, "--config", &config], options].concat(),
        &mut out,
    );
    assert_eq!(code, 0, "render {what}");
    String::from_utf8(out).unwrap()
}

#[test]
fn committed_renderings_are_current() {
    if std::env::var_os("EVERYCALL_RENDER").is_some() {
        std::fs::write(root().join(ENVOY.0), render(ENVOY.1)).unwrap();
        std::fs::write(root().join(ISTIO.0), render(ISTIO.1)).unwrap();
    }
    let stale = "is not what the configuration renders to now: run `make render`";
    assert!(file(ENVOY.0) == render(ENVOY.1), "{} {stale}", ENVOY.0);
    assert!(file(ISTIO.0) == render(ISTIO.1), "{} {stale}", ISTIO.0);
}

/// Both hold the one configuration that the demo runs and, but for revocations, every test starts from.
#[test]
fn renderings_hold_the_configuration_of_the_demo() {
    let config = everycall_tests::cases::whole_reference().unwrap();
    let committed = file(ISTIO.0);
    let plugin: Value = serde_yaml_ng::from_str(committed.split("\n---\n").next().unwrap()).unwrap();
    assert_eq!(plugin["spec"]["pluginConfig"], config);
    let envoy: Value = serde_yaml_ng::from_str(&file(ENVOY.0)).unwrap();
    let mut listener = envoy["static_resources"]["listeners"][0].clone();
    let text = &plugin_in(connection_manager(&mut listener))["configuration"]["value"];
    assert_eq!(serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap(), config);
    let printed: Value = serde_json::from_str(&render(&["config"])).unwrap();
    assert_eq!(printed, config);
}

/// The page shows the committed plugin without its long configuration.
#[test]
fn the_page_shows_the_committed_plugin() {
    let shown = section(PROXY, "## Loading it").block("yaml");
    let committed = file(ISTIO.0);
    let mut rest = committed.lines();
    for line in shown.lines().filter(|line| !line.contains('…')) {
        assert!(rest.any(|other| other == line), "`{line}` is not in {}, or stands elsewhere", ISTIO.0);
    }
}
