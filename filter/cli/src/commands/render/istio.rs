//! `everycall render istio`: a WasmPlugin that pins what runs by its digest, and what it needs in front.

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
    everycall render istio --config policies/everycall.yaml --namespace shop --selector app=orders \\\n    \
    --url oci://registry.example/everycall:0.1.0 --image-digest sha256:… > wasmplugin.yaml")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    /// The module behind an `https://` or `http://` URL, for its SHA-256: without it the WasmPlugin does not pin what runs
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// The digest of the manifest of the image behind an `oci://` URL, as `crane digest` prints it; not of an index of
    /// several images, which Istio compares with none of them. Without it the WasmPlugin does not pin what runs
    #[arg(long, value_name = "sha256:HEX")]
    image_digest: Option<String>,
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
    let pin = Pin::of(args)?;
    let mut spec = Map::new();
    spec.insert("failStrategy".into(), json!(if args.fail_close { "FAIL_CLOSE" } else { "FAIL_RELOAD" }));
    spec.insert("phase".into(), json!("AUTHZ"));
    spec.insert("pluginName".into(), json!("everycall"));
    spec.insert("type".into(), json!("HTTP"));
    spec.insert("url".into(), json!(args.url));
    if let Pin::Sha256(digest) = &pin {
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
    if let Pin::Open(why) = pin {
        eprintln!("WARNING: what runs is not pinned: {why}");
        text.push_str(&format!("\n# What runs is not pinned: {why}."));
    }
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

/// What of the thing behind the URL is fixed. On a mismatch Istio refuses every request.
#[derive(Debug, PartialEq)]
enum Pin {
    /// In the field `sha256`: of an image Istio compares the digest of its manifest, of a file that it fetches the file's.
    Sha256(String),
    /// In the URL itself.
    InUrl,
    Open(&'static str),
}

impl Pin {
    fn of(args: &Args) -> anyhow::Result<Self> {
        let url = &args.url;
        let Some((scheme @ ("oci" | "https" | "http" | "file"), place)) = url.split_once("://") else {
            bail!("`--url {url}`: expected `oci://`, `https://`, `http://` or `file://`");
        };
        match (scheme, &args.module, &args.image_digest) {
            ("oci", Some(_), _) => bail!(
                "`--module`: Istio compares the digest of an image's manifest, not of the module in it, and refuses every \
                 request where they differ; expected `--image-digest` beside `oci://`"
            ),
            ("https" | "http", _, Some(_)) => {
                bail!("`--image-digest`: `{url}` is no image; expected `--module` beside `{scheme}://`")
            }
            ("file", Some(_), _) | ("file", _, Some(_)) => {
                bail!("`--url {url}`: Istio compares no digest of a file; expected neither `--module` nor `--image-digest`")
            }
            ("oci", None, given) => {
                let in_url = place.split_once('@').map(|(_, digest)| sha256(digest, "--url")).transpose()?;
                let given = given.as_ref().map(|digest| sha256(digest, "--image-digest")).transpose()?;
                match (in_url, given) {
                    (Some(one), Some(other)) if one != other => {
                        bail!("`--image-digest sha256:{other}`: `--url` names sha256:{one}")
                    }
                    (_, Some(digest)) => Ok(Self::Sha256(digest)),
                    (Some(_), None) => Ok(Self::InUrl),
                    (None, None) => Ok(Self::Open("`--image-digest` takes the digest of the image's manifest")),
                }
            }
            (_, Some(module), None) => {
                let bytes =
                    std::fs::read(module).with_context(|| format!("`{}` cannot be read", module.display()))?;
                Ok(Self::Sha256(hex::encode(&Sha256::digest(bytes))))
            }
            ("file", ..) => Ok(Self::Open("Istio compares no digest of a file")),
            _ => Ok(Self::Open("`--module` takes the file that the URL leads to")),
        }
    }
}

/// The hex of a digest, as registries write it.
fn sha256(digest: &str, option: &str) -> anyhow::Result<String> {
    let hex = digest.strip_prefix("sha256:").filter(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    });
    hex.map(str::to_owned)
        .with_context(|| format!("`{option}`: `{digest}` is not `sha256:` and 64 hex digits in lower case"))
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
