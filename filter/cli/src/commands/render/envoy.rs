//! `everycall render envoy`: a complete bootstrap, from a template with its reasons as comments.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{bail, Context as _};
use serde_json::{json, Value};

use super::address::{ClusterAddress, HostPort};
use super::source::{Source, FILTER};
use super::ConfigArg;

const TEMPLATE: &str = include_str!("envoy.yaml");
const CLUSTER: &str = include_str!("cluster.yaml");
const HTTP2: &str = include_str!("http2.yaml");
const TLS: &str = include_str!("tls.yaml");

/// Where the parts of a bootstrap are.
#[derive(Debug, Clone, clap::Args)]
pub struct Bootstrap {
    /// Where Envoy finds the module
    #[arg(long, value_name = "PATH", default_value = "target/everycall.wasm")]
    pub module: String,
    /// Where Envoy listens
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: HostPort,
    /// Where its admin interface listens; a loopback address
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9901")]
    pub admin: HostPort,
    /// Where admitted requests go
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8082")]
    pub upstream: HostPort,
    /// Where the clusters of `pdps` lead; with `CLUSTER=` in front for one of them; may be repeated
    #[arg(long, value_name = "[CLUSTER=]ADDR:PORT")]
    pub pdp: Vec<ClusterAddress>,
    /// Where the clusters of `keys.remote` lead, by TLS if the port is 443; with `CLUSTER=` in front
    /// for one of them; may be repeated
    #[arg(long, value_name = "[CLUSTER=]ADDR:PORT")]
    pub keys: Vec<ClusterAddress>,
    /// The certificate authorities that vouch for them
    #[arg(long, value_name = "PATH", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub keys_ca: String,
    /// Where the cluster of `bundle.remote` leads, by TLS if the port is 443, under the same authorities
    #[arg(long, value_name = "ADDR:PORT")]
    pub bundles: Option<HostPort>,
    /// Where the cluster of `revocations.remote` leads, by TLS if the port is 443, under the same
    /// authorities
    #[arg(long, value_name = "ADDR:PORT")]
    pub revocations: Option<HostPort>,
    /// Where the cluster of `signals.remote` leads, as `--revocations`
    #[arg(long, value_name = "ADDR:PORT")]
    pub signals: Option<HostPort>,
    /// Where the access log goes, one JSON object a line
    #[arg(long, value_name = "PATH", default_value = "/dev/stdout")]
    pub access_log: String,
}

/// Print a complete Envoy bootstrap with the filter in it
#[derive(clap::Args)]
#[command(after_help = "Example:\n  \
    everycall render envoy --config policies/everycall.yaml --module target/everycall.wasm \\\n    \
    --listen 127.0.0.1:8080 --upstream 127.0.0.1:8082 --pdp 127.0.0.1:8081 > envoy.yaml")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    #[command(flatten)]
    pub(super) bootstrap: Bootstrap,
}

/// A complete bootstrap around a self-contained configuration.
///
/// # Errors
/// An address that Envoy must not have, or a cluster without an address.
pub fn bootstrap(args: &Bootstrap, document: &Value) -> anyhow::Result<String> {
    // It can stop Envoy, and it shows the whole configuration to whoever asks.
    if !args.admin.ip().is_some_and(|ip| ip.is_loopback()) {
        bail!("`--admin {}`: expected a loopback address", args.admin.host);
    }
    if args.listen.ip().is_none() {
        bail!("`--listen {}`: expected an address", args.listen.host);
    }
    let mut clusters = vec![cluster("upstream", &args.upstream)?];
    for name in pdp_clusters(document) {
        let address = address(&name, &args.pdp);
        let address = address.with_context(|| format!("the cluster `{name}` of `pdps` needs `--pdp`"))?;
        clusters.push(cluster(&name, address)?);
        if is_grpc(&name, document) {
            clusters.push(HTTP2.to_owned());
        }
    }
    for (name, host) in key_clusters(document) {
        let address = address(&name, &args.keys);
        let address =
            address.with_context(|| format!("the cluster `{name}` of `keys.remote` needs `--keys`"))?;
        clusters.push(cluster(&name, address)?);
        if address.port == 443 {
            clusters.push(tls(&host, &args.keys_ca)?);
        }
    }
    let sources = [
        ("bundle", "--bundles", &args.bundles),
        ("revocations", "--revocations", &args.revocations),
        ("signals", "--signals", &args.signals),
    ];
    let mut known: BTreeSet<String> = pdp_clusters(document);
    known.extend(key_clusters(document).into_keys());
    for (part, option, address) in sources {
        // One that is there for something else is not made again.
        let Some((name, host)) =
            remote_cluster(document, part).filter(|(name, _)| known.insert(name.clone()))
        else {
            continue;
        };
        let address = address
            .as_ref()
            .with_context(|| format!("the cluster `{name}` of `{part}.remote` needs `{option}`"))?;
        clusters.push(cluster(&name, address)?);
        if address.port == 443 {
            clusters.push(tls(&host, &args.keys_ca)?);
        }
    }
    let source = Source::of(document);
    fill(TEMPLATE, &|name| {
        Some(match name {
            "module" => quoted(&args.module),
            "listen_host" => quoted(&args.listen.host),
            "listen_port" => args.listen.port.to_string(),
            "admin_host" => quoted(&args.admin.host),
            "admin_port" => args.admin.port.to_string(),
            "access_log" => quoted(&args.access_log),
            "hops" => match &source {
                Source::UseRemoteAddress { hops } if *hops > 0 => format!(
                    "\n          # Who connected to the proxies in front, of which there are so many.\
                     \n          xff_num_trusted_hops: {hops}"
                ),
                _ => String::new(),
            },
            "source_filter" => match &source {
                Source::Connection => format!("\n{}{}", " ".repeat(10), indent(FILTER, 10)),
                _ => String::new(),
            },
            // The text below `value: |`, which ends where the indentation does.
            "config" => indent(&super::ascii_json(document).ok()?, 20),
            "clusters" => clusters.concat().trim_end().to_owned(),
            _ => return None,
        })
    })
}

/// The distinct clusters that the decision points name.
fn pdp_clusters(document: &Value) -> BTreeSet<String> {
    let pdps = document.get("pdps").and_then(Value::as_object).into_iter().flatten();
    pdps.filter_map(|(_, pdp)| pdp.get("cluster")?.as_str().map(str::to_owned)).collect()
}

/// Whether gRPC is spoken with this cluster: it needs HTTP/2.
fn is_grpc(cluster: &str, document: &Value) -> bool {
    let pdps = document.get("pdps").and_then(Value::as_object).into_iter().flatten();
    pdps.into_iter().any(|(_, pdp)| {
        pdp.get("cluster").is_some_and(|name| name == cluster)
            && pdp.get("protocol").is_some_and(|protocol| protocol == "ext_authz")
    })
}

/// The distinct clusters that lead to keys, and the server behind each.
fn key_clusters(document: &Value) -> BTreeMap<String, String> {
    let issuers = document.get("issuers").and_then(Value::as_array).into_iter().flatten();
    let remotes = issuers.filter_map(|issuer| issuer.pointer("/keys/remote"));
    let text = |remote: &Value, key: &str| Some(remote.get(key)?.as_str()?.to_owned());
    remotes.filter_map(|remote| Some((text(remote, "cluster")?, text(remote, "host")?))).collect()
}

/// The cluster that leads to bundles, or to what else the configuration has on a server, and the server
/// behind it.
fn remote_cluster(document: &Value, part: &str) -> Option<(String, String)> {
    let remote = document.pointer(&format!("/{part}/remote"))?;
    let text = |key: &str| Some(remote.get(key)?.as_str()?.to_owned());
    Some((text("cluster")?, text("host")?))
}

/// The address that is for this cluster, else the one that is for all.
fn address<'a>(cluster: &str, addresses: &'a [ClusterAddress]) -> Option<&'a HostPort> {
    let own = addresses.iter().find(|address| address.cluster.as_deref() == Some(cluster));
    own.or_else(|| addresses.iter().find(|address| address.cluster.is_none())).map(|found| &found.address)
}

/// What a cluster needs besides for TLS.
fn tls(host: &str, authorities: &str) -> anyhow::Result<String> {
    let name = host.split(':').next().unwrap_or(host);
    fill(TLS, &|key| {
        Some(match key {
            "name" => quoted(name),
            "authorities" => quoted(authorities),
            _ => return None,
        })
    })
}

fn cluster(name: &str, address: &HostPort) -> anyhow::Result<String> {
    fill(CLUSTER, &|key| {
        Some(match key {
            "name" => quoted(name),
            "type" => if address.ip().is_some() { "STATIC" } else { "STRICT_DNS" }.to_owned(),
            "host" => quoted(&address.host),
            "port" => address.port.to_string(),
            _ => return None,
        })
    })
}

/// Replaces each `{{name}}` of the template; what is put in is not looked at again.
fn fill(template: &str, value: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let mut text = String::with_capacity(template.len());
    let mut parts = template.split("{{");
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once("}}").context("the template has `{{` without `}}`")?;
        text.push_str(&value(name).with_context(|| format!("the template's `{name}` has no value"))?);
        text.push_str(rest);
    }
    Ok(text)
}

/// JSON text is a YAML scalar.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn indent(text: &str, blanks: usize) -> String {
    text.lines().collect::<Vec<_>>().join(&format!("\n{}", " ".repeat(blanks)))
}
