//! `everycall render istio`: a WasmPlugin with the module pinned by its digest, and what it needs in front.

use std::path::PathBuf;

use anyhow::{bail, Context as _};
use everycall_core::hex;
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use super::source::{Source, FILTER};
use super::{yaml, ConfigArg};

/// Print an Istio WasmPlugin with the configuration in it
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall render istio --config policies/everycall.yaml --module target/everycall.wasm \\\n    \
    --namespace shop --selector app=orders --url oci://registry.example/everycall:0.1.0 > wasmplugin.yaml")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    /// The module, for its SHA-256; without it the WasmPlugin does not pin what runs
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Where Istio gets the module
    #[arg(long, value_name = "URL", default_value = concat!("oci://registry.example/everycall:", env!("CARGO_PKG_VERSION")))]
    url: String,
    /// Name of the WasmPlugin
    #[arg(long, default_value = "everycall")]
    name: String,
    /// Namespace of the WasmPlugin
    #[arg(long)]
    namespace: Option<String>,
    /// A label of the workloads that it is for; may be repeated; absent: the whole namespace
    #[arg(long, value_name = "LABEL=VALUE")]
    selector: Vec<String>,
    /// Fail closed for good, for releases of Istio that do not know FAIL_RELOAD
    #[arg(long)]
    fail_close: bool,
}

pub(super) fn render(args: &Args, document: &Value) -> anyhow::Result<String> {
    if !["oci://", "https://", "http://", "file://"].iter().any(|scheme| args.url.starts_with(scheme)) {
        bail!("`--url {}`: expected `oci://`, `https://`, `http://` or `file://`", args.url);
    }
    let mut spec = Map::new();
    spec.insert("failStrategy".into(), json!(if args.fail_close { "FAIL_CLOSE" } else { "FAIL_RELOAD" }));
    spec.insert("phase".into(), json!("AUTHZ"));
    spec.insert("pluginName".into(), json!("everycall"));
    spec.insert("type".into(), json!("HTTP"));
    spec.insert("url".into(), json!(args.url));
    if let Some(module) = &args.module {
        let bytes =
            std::fs::read(module).with_context(|| format!("`{}` cannot be read", module.display()))?;
        let digest = hex::encode(&Sha256::digest(bytes));
        spec.insert("sha256".into(), json!(digest));
    }
    if !args.selector.is_empty() {
        spec.insert("selector".into(), json!({"matchLabels": labels(&args.selector)?}));
    }
    spec.insert("pluginConfig".into(), document.clone());
    let plugin = resource(args, "extensions.istio.io/v1alpha1", "WasmPlugin", "", spec);
    let how =
        "# Rendered by `everycall render istio`: change the configuration or the options, and render again.";
    let (hops, beside) = match Source::of(document) {
        Source::NotKnown => (None, None),
        Source::Connection => (None, Some(source_filter(args)?)),
        Source::UseRemoteAddress { hops } => (Some(hops), None),
    };
    let mut text = how.to_owned();
    if let Some(hops) = hops {
        text.push_str(&format!(
            "\n# For gateways whose `numTrustedProxies` is {hops}. In a sidecar a client would say where it is: \
             there it is `from: connection`."
        ));
    }
    text.extend(["\n", &yaml::text(&plugin)]);
    if let Some(beside) = beside {
        text.extend(["---\n", &yaml::text(&beside)]);
    }
    Ok(text)
}

/// The EnvoyFilter that puts [`FILTER`] in front of all others.
fn source_filter(args: &Args) -> anyhow::Result<Map<String, Value>> {
    let filters: Vec<Value> = serde_yaml_ng::from_str(FILTER)?;
    let patch = |context: &str| {
        json!({
            "applyTo": "HTTP_FILTER",
            "match": {
                "context": context,
                "listener": {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}},
            },
            "patch": {"operation": "INSERT_FIRST", "value": filters.first()},
        })
    };
    let mut spec =
        Map::from_iter([("configPatches".to_owned(), json!([patch("SIDECAR_INBOUND"), patch("GATEWAY")]))]);
    if !args.selector.is_empty() {
        spec.insert("workloadSelector".into(), json!({"labels": labels(&args.selector)?}));
    }
    Ok(resource(args, "networking.istio.io/v1alpha3", "EnvoyFilter", "-source", spec))
}

/// A resource beside the others of this rendering.
fn resource(
    args: &Args,
    version: &str,
    kind: &str,
    suffix: &str,
    spec: Map<String, Value>,
) -> Map<String, Value> {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(format!("{}{suffix}", args.name)))]);
    if let Some(namespace) = &args.namespace {
        metadata.insert("namespace".into(), json!(namespace));
    }
    Map::from_iter([
        ("apiVersion".to_owned(), json!(version)),
        ("kind".to_owned(), json!(kind)),
        ("metadata".to_owned(), Value::Object(metadata)),
        ("spec".to_owned(), Value::Object(spec)),
    ])
}

fn labels(written: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut labels = Map::new();
    for text in written {
        // The rules of the CRD.
        let label = text.split_once('=').filter(|(name, value)| {
            !name.is_empty() && !name.contains('*') && !value.contains('*') && value.len() <= 63
        });
        let (name, value) = label.with_context(|| format!("`--selector {text}`: expected LABEL=VALUE"))?;
        labels.insert(name.to_owned(), json!(value));
    }
    Ok(labels)
}
