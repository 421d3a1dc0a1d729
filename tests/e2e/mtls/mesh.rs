//! Listeners of one Envoy that call each other with certificates.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use everycall_tests::client::{self, RawRequest, Response};
use everycall_tests::envoy::{without_filters, Envoy};
use everycall_tests::server::{Answer, Server};
use serde_json::{json, Value};

use super::{pem, CHECKOUT};
use crate::world::{connection_manager, plugin, rendered, start_envoy};

/// TLS with the certificate of this name, on both sides the same authority.
fn tls(side: &str, name: &str) -> Value {
    let key = pem(name).replace(".pem", ".key.pem");
    let mut context = json!({
        "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext"),
        "common_tls_context": {
            "tls_certificates": [{"certificate_chain": {"filename": pem(name)}, "private_key": {"filename": key}}],
            "validation_context": {"trusted_ca": {"filename": pem("ca")}},
        }
    });
    if side == "Downstream" {
        context["require_client_certificate"] = json!(true);
    }
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

fn pipe(name: &str) -> Value {
    json!({"pipe": {"path": format!("{{directory}}/{name}.sock")}})
}

/// A cluster that leads to a listener on a pipe, with a client certificate.
fn cluster(name: &str, to: &str, certificate: &str) -> Value {
    json!({"name": name, "connect_timeout": "1s", "max_requests_per_connection": 1,
           "transport_socket": tls("Upstream", certificate),
           "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
               {"endpoint": {"address": pipe(to)}}]}]}})
}

pub(super) struct Mesh {
    pub(super) envoy: Arc<Envoy>,
    pub(super) upstream: Server,
}

impl Mesh {
    /// `inbound` is behind real mTLS, `plain` is not; both have the filter. `as-NAME` calls inbound
    /// with the certificate of that name, `via-NAME` calls a gateway with it, which passes on.
    pub(super) fn get() -> &'static Self {
        static MESH: OnceLock<Mesh> = OnceLock::new();
        MESH.get_or_init(Self::start)
    }

    fn start() -> Self {
        let upstream = Server::start(|_| Answer::Http(200, b"upstream\n".to_vec())).unwrap();
        let mut config = everycall_tests::cases::reference().unwrap();
        // The listeners are joined by sockets of files, which have no address.
        config["source"] = Value::Null;
        config["mtls"] = json!({"trust_domains": ["shop.example"], "kind": "workload",
            "forwarded": {"hops": ["spiffe://shop.example/ns/edge/sa/gateway"], "appends": false}});
        config["bundle"]["inline"]["policies"]["any.rego"] =
            json!("package everycall.any\ndecision := {\"allow\": true}");
        let grant = json!({"id": "any", "owner": "tests", "purpose": "tests", "subject": CHECKOUT, "kinds": ["workload"],
            "hosts": ["orders.shop.example"], "methods": ["GET"], "paths": ["/orders/{order}"], "policy": "any"});
        config["bundle"]["inline"]["elevations"] = json!([]);
        config["bundle"]["inline"]["grants"] = json!([grant]);
        let mut strict = config["issuers"][0].clone();
        strict["issuer"] = json!("https://strict.shop.example");
        strict["peer_match"] = json!(true);
        strict["required_binding"] = json!("any");
        config["issuers"].as_array_mut().unwrap().push(strict);

        let mut document = rendered(&config, upstream.address(), upstream.address());
        let template = document["static_resources"]["listeners"][0].clone();
        let filtered = |name: &str, appends: bool| {
            let mut listener = template.clone();
            listener["name"] = json!(name);
            let mut config = config.clone();
            config["instance"] = json!(format!("mtls-{appends}"));
            config["mtls"]["forwarded"]["appends"] = json!(appends);
            let manager = connection_manager(&mut listener);
            manager["access_log"][0]["typed_config"]["path"] = json!(format!("{{directory}}/{name}.log"));
            manager["stat_prefix"] = json!(name);
            manager["forward_client_cert_details"] =
                json!(if appends { "APPEND_FORWARD" } else { "FORWARD_ONLY" });
            manager["set_current_client_cert_details"] = json!({"uri": true});
            plugin(manager)["configuration"]["value"] = json!(config.to_string());
            listener
        };
        let routed = |name: &str, to: &str| {
            let mut listener = template.clone();
            listener["name"] = json!(name);
            let manager = connection_manager(&mut listener);
            manager["stat_prefix"] = json!(name);
            manager["access_log"] = json!([]);
            without_filters(manager);
            // What the client sends goes through: a lying client is the test's business.
            manager["forward_client_cert_details"] = json!("ALWAYS_FORWARD_ONLY");
            manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = json!(to);
            listener
        };
        let behind_tls = |mut listener: Value, certificate: &str| {
            listener["address"] = pipe(listener["name"].as_str().unwrap());
            listener["filter_chains"][0]["transport_socket"] = tls("Downstream", certificate);
            listener
        };
        let mut gateway = routed("gateway", "to-inbound-as-gateway");
        let manager = connection_manager(&mut gateway);
        manager["forward_client_cert_details"] = json!("SANITIZE_SET");
        manager["set_current_client_cert_details"] = json!({"uri": true});
        let mut appending = gateway.clone();
        appending["name"] = json!("gateway-appending");
        connection_manager(&mut appending)["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
            ["cluster"] = json!("to-appending-as-gateway");
        let mut listeners = vec![
            behind_tls(filtered("inbound", false), "orders"),
            behind_tls(filtered("appending", true), "orders"),
            filtered("plain", false),
            behind_tls(gateway, "gateway"),
            behind_tls(appending, "gateway"),
        ];
        let mut clusters = vec![cluster("to-appending-as-gateway", "appending", "gateway")];
        for name in ["checkout", "other", "gateway", "two-names", "foreign"] {
            for (listener, to) in [
                ("as", "inbound"),
                ("via", "gateway"),
                ("appending-as", "appending"),
                ("appending-via", "gateway-appending"),
            ] {
                let target = format!("to-{to}-as-{name}");
                listeners.push(routed(&format!("{listener}-{name}"), &target));
                if target != "to-appending-as-gateway" {
                    clusters.push(cluster(&target, to, name));
                }
            }
        }
        document["static_resources"]["listeners"] = json!(listeners);
        document["static_resources"]["clusters"].as_array_mut().unwrap().extend(clusters);
        Self { envoy: start_envoy(document.to_string(), 4).unwrap(), upstream }
    }

    pub(super) fn address(&self, listener: &str) -> SocketAddr {
        self.envoy.listener(listener).unwrap()
    }

    pub(super) fn send(&self, listener: &str, headers: &[(&str, &str)]) -> Response {
        self.send_to(listener, "/orders/o-1", headers)
    }

    pub(super) fn send_to(&self, listener: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut all = vec![("host".to_owned(), b"orders.shop.example".to_vec())];
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
        let request = RawRequest { method: "GET".into(), path: path.into(), headers: all, body: Vec::new() };
        client::send(self.address(listener), [127, 0, 0, 1].into(), &request, Duration::from_secs(10))
            .unwrap()
    }

    /// The reason that the filter gave, by the decision id in the answer.
    pub(super) fn reason(&self, listener: &str, response: &Response) -> String {
        let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(&response.body) else {
            return format!("{} {}", response.status, String::from_utf8_lossy(&response.body).trim());
        };
        let id = body["decision_id"].as_str().unwrap();
        let file = match listener {
            "plain" => "plain.log",
            name if name.starts_with("appending") => "appending.log",
            _ => "inbound.log",
        };
        for _ in 0..400 {
            let lines = self.envoy.lines(file, 0);
            if let Some(line) = lines.iter().find(|line| line.contains(id)) {
                let line: Value = serde_json::from_str(line).unwrap();
                let decision: Value = serde_json::from_str(line["decision"].as_str().unwrap()).unwrap();
                return decision["reason"].as_str().unwrap().to_owned();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no line in the access log for {body:?}");
    }

    pub(super) fn outcome(&self, listener: &str, headers: &[(&str, &str)]) -> String {
        let response = self.send(listener, headers);
        self.reason(listener, &response)
    }
}
