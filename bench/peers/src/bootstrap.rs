//! Envoy's bootstrap for a scenario: the project's own rendering, with other filters in it. So listener,
//! connection manager, statistics and what they cost are the same for all.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use everycall_tests::envoy::{self, connection_manager};
use serde_json::{json, Value};

use crate::scenario::Filter;

/// The access log of a proxy with Everycall: its records, and how each request ended.
const RECORDS: &str = "{\"code\":%RESPONSE_CODE%,\"flags\":\"%RESPONSE_FLAGS%\",\"details\":\"%RESPONSE_CODE_DETAILS%\",\
    \"duration_ms\":%DURATION%,\"bytes_sent\":%BYTES_SENT%,\"record\":%FILTER_STATE(wasm.everycall.decision:PLAIN)%}\n";

/// What scenarios share.
pub struct Places {
    /// The module that is measured.
    pub module: PathBuf,
    /// The module that does nothing.
    pub empty: PathBuf,
    /// The server that says yes.
    pub sidecar: SocketAddr,
}

impl Places {
    /// With the module that does nothing written into this directory.
    pub fn new(directory: &Path, sidecar: SocketAddr) -> anyhow::Result<Self> {
        let empty = directory.join("empty.wasm");
        fs::write(&empty, wat::parse_str(include_str!("../empty.wat"))?)?;
        Ok(Self { module: envoy::module()?, empty, sidecar })
    }

    pub fn bootstrap(&self, filter: &Filter) -> anyhow::Result<String> {
        let config = filter.config()?;
        let module = self.module.display().to_string();
        let mut document = envoy::rendered(&module, &config, self.sidecar, self.sidecar)?;
        for cluster in document["static_resources"]["clusters"].as_array_mut().context("no clusters")? {
            // Connections to the sidecar are kept.
            cluster.as_object_mut().context("no cluster")?.remove("max_requests_per_connection");
        }
        let manager = connection_manager(&mut document["static_resources"]["listeners"][0]);
        // What an upstream would add is the same for all, and would hide what differs.
        manager["route_config"]["virtual_hosts"][0]["routes"] = json!([{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}}}]);
        let log = match filter.instead(&self.empty.display().to_string())? {
            Some(instead) => {
                envoy::without_filters(manager);
                let filters = manager["http_filters"].as_array_mut().context("no filters")?;
                filters.splice(0..0, instead);
                json!({"json_format": ordinary_log()})
            }
            None => json!({"text_format_source": {"inline_string": RECORDS}}),
        };
        manager["access_log"][0]["typed_config"]["log_format"] = log;
        Ok(document.to_string())
    }
}

/// What Istio writes for each request by default, in JSON: about as many bytes as a record of Everycall's.
fn ordinary_log() -> Value {
    json!({
        "start_time": "%START_TIME%", "method": "%REQ(:METHOD)%", "protocol": "%PROTOCOL%",
        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "authority": "%REQ(:AUTHORITY)%",
        "response_code": "%RESPONSE_CODE%", "response_flags": "%RESPONSE_FLAGS%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%",
        "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
        "bytes_received": "%BYTES_RECEIVED%", "bytes_sent": "%BYTES_SENT%", "duration": "%DURATION%",
        "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
        "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%", "user_agent": "%REQ(USER-AGENT)%",
        "request_id": "%REQ(X-REQUEST-ID)%", "route_name": "%ROUTE_NAME%",
        "upstream_host": "%UPSTREAM_HOST%", "upstream_cluster": "%UPSTREAM_CLUSTER%",
        "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
        "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "requested_server_name": "%REQUESTED_SERVER_NAME%",
    })
}
