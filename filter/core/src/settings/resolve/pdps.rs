//! What a policy decision point may be configured to.

use std::collections::BTreeMap;

use super::Resolver;
use crate::config::{self, is_host, is_path, ranges, PdpProtocol};
use crate::pdp::{AUTHZEN_PATH, EXT_AUTHZ_PATH};
use crate::settings::Pdp;

impl Resolver {
    pub(super) fn pdps(&mut self, pdps: BTreeMap<String, config::Pdp>) -> BTreeMap<String, Pdp> {
        let mut resolved = BTreeMap::new();
        for (name, written) in pdps {
            let pdp = self.pdp(&format!("pdps.{name}"), written);
            resolved.insert(name, pdp);
        }
        resolved
    }

    fn pdp(&mut self, at: &str, written: config::Pdp) -> Pdp {
        let config::Pdp {
            protocol,
            cluster,
            host,
            path,
            headers,
            timeout_ms,
            max_in_flight,
            connect_retries,
            breaker,
        } = written;
        if cluster.is_empty() {
            self.error(format!("{at}.cluster"), "must not be empty");
        }
        if !is_host(&host) {
            self.error(format!("{at}.host"), format!("`{host}` is not a host"));
        }
        let in_flight = u32::try_from(max_in_flight).unwrap_or(u32::MAX);
        for (key, value, range) in [
            ("timeout_ms", Some(timeout_ms), ranges::TIMEOUT_MS),
            ("max_in_flight", Some(in_flight), ranges::MAX_IN_FLIGHT),
            ("connect_retries", Some(connect_retries), ranges::CONNECT_RETRIES),
            ("breaker.failures", breaker.map(|breaker| breaker.failures), ranges::BREAKER_FAILURES),
            ("breaker.open_ms", breaker.map(|breaker| breaker.open_ms), ranges::BREAKER_OPEN_MS),
        ] {
            if let Some(value) = value {
                self.range(format!("{at}.{key}"), i64::from(value), range);
            }
        }
        let path = self.pdp_path(&format!("{at}.path"), protocol, path);
        let headers = headers.map(|names| self.pdp_headers(&format!("{at}.headers"), protocol, names));
        Pdp { protocol, cluster, host, path, headers, timeout_ms, max_in_flight, connect_retries, breaker }
    }

    fn pdp_path(&mut self, at: &str, protocol: PdpProtocol, path: Option<String>) -> String {
        match (protocol, path) {
            (PdpProtocol::Authzen, None) => AUTHZEN_PATH.to_owned(),
            (PdpProtocol::ExtAuthz, None) => EXT_AUTHZ_PATH.to_owned(),
            (PdpProtocol::ExtAuthz, Some(path)) => {
                self.error(at, format!("`{path}` can't be chosen: `ext_authz` has one path"));
                path
            }
            (PdpProtocol::Opa, None) => {
                self.error(
                    at,
                    "is needed for `opa`: expected `/v1/data/` and the rule, such as `/v1/data/shop/allow`",
                );
                String::new()
            }
            (PdpProtocol::Authzen | PdpProtocol::Opa, Some(path)) => {
                if !is_path(&path) {
                    self.error(at, format!("`{path}` is not a path"));
                }
                path
            }
        }
    }

    fn pdp_headers(&mut self, at: &str, protocol: PdpProtocol, mut names: Vec<String>) -> Vec<String> {
        if protocol != PdpProtocol::ExtAuthz {
            self.error(
                at,
                "only an `ext_authz` server is told headers; policies put them into their questions",
            );
        }
        for (index, name) in names.iter_mut().enumerate() {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                self.error(format!("{at}[{index}]"), format!("`{name}` is not the name of a header"));
            }
            name.make_ascii_lowercase();
        }
        names
    }
}
