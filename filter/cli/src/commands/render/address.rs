//! Addresses on the command line: `127.0.0.1:8080`, `[::1]:8080`, `orders:8080`.

use std::net::IpAddr;
use std::str::FromStr;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// The host if it is an address and not a name.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || "expected HOST:PORT".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().map_err(|_| error())?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().map_err(|_| error())?.to_string(),
            None if host.is_empty() => return Err(error()),
            None if host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) => {
                host.to_owned()
            }
            None => return Err(error()),
        };
        Ok(Self { host, port })
    }
}

/// Where a cluster leads: `ADDR:PORT` for all of them, `CLUSTER=ADDR:PORT` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterAddress {
    /// The cluster, if it is for one only.
    pub cluster: Option<String>,
    /// Where it leads.
    pub address: HostPort,
}

impl FromStr for ClusterAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (cluster, address) = match text.rsplit_once('=') {
            Some((cluster, address)) => (Some(cluster.to_owned()), address),
            None => (None, text),
        };
        Ok(Self { cluster, address: address.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        let parse = |text: &str| text.parse::<HostPort>().map(|address| (address.host, address.port));
        assert_eq!(parse("127.0.0.1:80"), Ok(("127.0.0.1".into(), 80)));
        assert_eq!(parse("[::1]:80"), Ok(("::1".into(), 80)));
        assert_eq!(parse("orders_1:8080"), Ok(("orders_1".into(), 8080)));
        for bad in ["", "80", ":80", "h:", "h:x", "h:70000", "::1:80", "[h]:80", "a b:80", "h\n:80"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let cluster: ClusterAddress = "pdp=h:1".parse().unwrap();
        assert_eq!((cluster.cluster.as_deref(), cluster.address.port), (Some("pdp"), 1));
    }
}
