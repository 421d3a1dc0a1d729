//! Sets of networks, by name: policies and elevations ask which of them hold an address.

use std::net::IpAddr;

use ipnet::IpNet;

/// A named set of networks.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) ranges: Vec<IpNet>,
}

impl Network {
    pub(crate) fn holds(&self, ip: IpAddr) -> bool {
        // An IPv4 client of an IPv6 listener is the same client.
        let ip = ip.to_canonical();
        self.ranges.iter().any(|range| range.contains(&ip))
    }
}
