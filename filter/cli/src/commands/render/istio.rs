//! `everycall render istio`: a WasmPlugin with the module pinned by its digest.

use std::path::PathBuf;

use anyhow::{bail, Context as _};
use everycall_core::hex;
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

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
    let mut metadata = Map::from_iter([("name".to_owned(), json!(args.name))]);
    if let Some(namespace) = &args.namespace {
        metadata.insert("namespace".into(), json!(namespace));
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
    let plugin = Map::from_iter([
        ("apiVersion".to_owned(), json!("extensions.istio.io/v1alpha1")),
        ("kind".to_owned(), json!("WasmPlugin")),
        ("metadata".to_owned(), Value::Object(metadata)),
        ("spec".to_owned(), Value::Object(spec)),
    ]);
    let how =
        "# Rendered by `everycall render istio`: change the configuration or the options, and render again.";
    Ok(format!("{how}\n{}", yaml::text(&plugin)))
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
