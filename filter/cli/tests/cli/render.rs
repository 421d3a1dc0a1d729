//! `everycall render`: what is rendered holds exactly the configuration.

use serde_json::{json, Value};

use crate::common::{config, everycall, Files};

fn render(args: &[&str]) -> crate::common::Output {
    let files = Files::with_config();
    let config = files.name("config.json");
    everycall(&[&["render", args[0], "--config", &config], &args[1..]].concat(), "")
}

fn yaml(args: &[&str]) -> Value {
    let output = render(args);
    assert_eq!(output.code, 0, "{}", output.err);
    serde_yaml_ng::from_str(&output.out).unwrap()
}

#[test]
fn config_is_the_document_of_the_filter() {
    let output = render(&["config"]);
    assert_eq!(serde_json::from_str::<Value>(&output.out).unwrap(), config());
}

#[test]
fn envoy_gets_a_listener_that_fails_closed() {
    let args = [
        "envoy",
        "--module",
        "/a \"b\"/m.wasm",
        "--listen",
        "[::1]:1",
        "--upstream",
        "orders:2",
        "--pdp",
        "127.0.0.1:3",
    ];
    let envoy = yaml(&args);
    let listener = &envoy["static_resources"]["listeners"][0];
    assert_eq!(listener["address"]["socket_address"], json!({"address": "::1", "port_value": 1}));
    let hcm = &listener["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(hcm["path_with_escaped_slashes_action"], "REJECT_REQUEST");
    for option in ["normalize_path", "merge_slashes", "use_remote_address"] {
        assert_eq!(hcm[option], true, "{option}");
    }
    assert_eq!((&hcm["request_timeout"], &hcm["stream_idle_timeout"]), (&json!("15s"), &json!("300s")));
    let filters: Vec<&str> =
        hcm["http_filters"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(filters, ["envoy.filters.http.wasm", "envoy.filters.http.router"]);
    let plugin = &hcm["http_filters"][0]["typed_config"]["config"];
    assert_eq!(plugin["failure_policy"], "FAIL_RELOAD");
    assert_eq!(plugin["vm_config"]["code"]["local"]["filename"], "/a \"b\"/m.wasm");
    let text = plugin["configuration"]["value"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), config());
    let clusters = envoy["static_resources"]["clusters"].as_array().unwrap();
    let summary: Vec<_> =
        clusters.iter().map(|c| (c["name"].as_str().unwrap(), c["type"].as_str().unwrap())).collect();
    assert_eq!(summary, [("upstream", "STRICT_DNS"), ("pdp", "STATIC")]);
}

#[test]
fn envoy_needs_an_address_for_each_cluster_and_a_private_admin() {
    assert!(render(&["envoy"]).err.contains("the cluster `pdp` of `pdps` needs `--pdp`"));
    assert_eq!(render(&["envoy", "--pdp", "pdp=h:1"]).code, 0);
    assert_eq!(render(&["envoy", "--pdp", "other=h:1"]).code, 2);
    assert_eq!(render(&["envoy", "--pdp", "nowhere"]).code, 2);
    for admin in ["0.0.0.0:9901", "10.0.0.1:9901", "localhost:9901"] {
        assert_eq!(render(&["envoy", "--pdp", "h:1", "--admin", admin]).code, 2, "{admin}");
    }
}

#[test]
fn istio_gets_a_pinned_plugin() {
    let files = Files::new();
    let module = files.put("m.wasm", "module");
    let options = ["istio", "--module", &module, "--namespace", "shop", "--selector", "app=orders"];
    let plugin = yaml(&[&options[..], &["--url", "https://r.example/e.wasm"]].concat());
    assert_eq!(
        (&plugin["apiVersion"], &plugin["kind"]),
        (&json!("extensions.istio.io/v1alpha1"), &json!("WasmPlugin"))
    );
    assert_eq!(plugin["metadata"], json!({"name": "everycall", "namespace": "shop"}));
    let spec = &plugin["spec"];
    assert_eq!(spec["sha256"], "120970d812836f19888625587a4606a5ad23cef31c8684e601771552548fc6b9");
    assert_eq!((&spec["phase"], &spec["failStrategy"]), (&json!("AUTHZ"), &json!("FAIL_RELOAD")));
    assert_eq!(spec["selector"], json!({"matchLabels": {"app": "orders"}}));
    assert_eq!(spec["pluginConfig"], config());
    assert_eq!(yaml(&["istio", "--fail-close"])["spec"]["failStrategy"], "FAIL_CLOSE");
    assert_eq!(render(&["istio", "--url", "ftp://x"]).code, 2);
    assert_eq!(render(&["istio", "--selector", "app"]).code, 2);
    assert_eq!(render(&["istio", "--url", "https://x/y", "--module", "/absent"]).code, 2);
}

/// Istio compares an image's digest, and a mismatch is a mesh that refuses every request.
#[test]
fn istio_is_told_the_digest_of_what_it_fetches() {
    let files = Files::new();
    let module = files.put("m.wasm", "module");
    let of_module = "120970d812836f19888625587a4606a5ad23cef31c8684e601771552548fc6b9";
    let image = "a".repeat(64);
    let digest = format!("sha256:{image}");
    let in_url = format!("oci://r.example/e@{digest}");
    let (oci, https, file) = ("oci://r.example/e:1", "https://r.example/e.wasm", "file:///e.wasm");
    for (url, options, pinned) in [
        (oci, vec!["--image-digest", &digest], Some(image.as_str())),
        (oci, vec![], None),
        (&in_url, vec![], None),
        (&in_url, vec!["--image-digest", &digest], Some(&image)),
        (https, vec!["--module", &module], Some(of_module)),
        ("http://r.example/e.wasm", vec!["--module", &module], Some(of_module)),
        (https, vec![], None),
        (file, vec![], None),
    ] {
        let output = render(&[&["istio", "--url", url], &options[..]].concat());
        let plugin = output.out.split("\n---\n").next().unwrap();
        let plugin: Value = serde_yaml_ng::from_str(plugin).unwrap();
        assert_eq!(
            plugin["spec"].get("sha256").map(|pin| pin.as_str().unwrap()),
            pinned,
            "{url} {options:?}"
        );
        let is_open = pinned.is_none() && url != in_url;
        assert_eq!(output.err.contains("WARNING: what runs is not pinned"), is_open, "{url}: {}", output.err);
        assert_eq!(output.out.contains("# What runs is not pinned"), is_open, "{url}");
    }
    let (upper, short) = (digest.to_uppercase(), &digest[..70]);
    let other = format!("sha256:{}", "b".repeat(64));
    for (url, options, why) in [
        (oci, vec!["--module", &module], "expected `--image-digest` beside `oci://`"),
        (
            oci,
            vec!["--module", &module, "--image-digest", &digest],
            "expected `--image-digest` beside `oci://`",
        ),
        (https, vec!["--image-digest", &digest], "expected `--module` beside `https://`"),
        (file, vec!["--module", &module], "Istio compares no digest of a file"),
        (file, vec!["--image-digest", &digest], "Istio compares no digest of a file"),
        (oci, vec!["--image-digest", &image], "is not `sha256:` and 64 hex digits"),
        (oci, vec!["--image-digest", &upper], "is not `sha256:` and 64 hex digits"),
        (oci, vec!["--image-digest", short], "is not `sha256:` and 64 hex digits"),
        ("oci://r.example/e@sha256:1", vec![], "`--url`: `sha256:1` is not"),
        (&in_url, vec!["--image-digest", &other], "`--url` names sha256:aaaa"),
        ("r.example/e:1", vec![], "expected `oci://`"),
        ("gs://r.example/e", vec![], "expected `oci://`"),
    ] {
        let output = render(&[&["istio", "--url", url], &options[..]].concat());
        assert_eq!((output.code, output.out.as_str()), (2, ""), "{url} {options:?}");
        assert!(output.err.contains(why), "{url} {options:?}: {}", output.err);
    }
}

#[test]
fn envoy_gets_a_cluster_for_each_server_that_is_pulled_from() {
    let files = Files::new();
    let mut config = config();
    config.as_object_mut().unwrap().remove("pdps");
    let keys = everycall::mint::TestKey::es256().unwrap().public_jwks();
    let remote =
        |cluster: &str| json!({"cluster": cluster, "host": format!("{cluster}.example"), "path": "/x"});
    config["revocations"] = json!({"remote": remote("feeds"), "keys": keys});
    let render = |config: &Value, more: &[&str]| {
        let config = files.put("config.json", &config.to_string());
        everycall(&[&["render", "envoy", "--config", &config], more].concat(), "")
    };
    let clusters = |output: &crate::common::Output| -> Vec<(String, bool)> {
        let envoy: Value = serde_yaml_ng::from_str(&output.out).unwrap();
        let clusters = envoy["static_resources"]["clusters"].as_array().unwrap();
        let cluster =
            |c: &Value| (c["name"].as_str().unwrap().to_owned(), c.get("transport_socket").is_some());
        clusters.iter().map(cluster).collect()
    };
    let named = |name: &str, tls| (name.to_owned(), tls);
    let missing = render(&config, &[]);
    assert!(
        missing.code == 2
            && missing.err.contains("the cluster `feeds` of `revocations.remote` needs `--revocations`"),
        "{}",
        missing.err
    );
    let plain = render(&config, &["--revocations", "127.0.0.1:8081"]);
    assert_eq!(clusters(&plain), [named("upstream", false), named("feeds", false)]);
    let tls = render(&config, &["--revocations", "feeds.example:443"]);
    assert_eq!(clusters(&tls), [named("upstream", false), named("feeds", true)]);
    // One cluster for both is made once.
    config["bundle"] = json!({"remote": remote("feeds"), "keys": keys});
    let shared = render(&config, &["--bundles", "127.0.0.1:8081"]);
    assert_eq!(clusters(&shared), [named("upstream", false), named("feeds", false)]);
    config["bundle"]["remote"] = remote("bundles");
    let both = render(&config, &["--bundles", "127.0.0.1:8081", "--revocations", "127.0.0.1:8082"]);
    assert_eq!(clusters(&both), [named("upstream", false), named("bundles", false), named("feeds", false)]);
    config["signals"] = json!({"remote": remote("signals"), "keys": keys});
    let addresses =
        ["--bundles", "127.0.0.1:8081", "--revocations", "127.0.0.1:8082", "--signals", "127.0.0.1:8083"];
    let all = render(&config, &addresses);
    assert!(clusters(&all).contains(&named("signals", false)), "{}", all.err);
    let missing = render(&config, &addresses[..4]);
    assert!(missing.code == 2 && missing.err.contains("needs `--signals`"), "{}", missing.err);
}
