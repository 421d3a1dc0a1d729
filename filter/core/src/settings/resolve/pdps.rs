//! What a policy decision point may be configured to.

use std::collections::BTreeMap;

use super::Resolver;
use crate::config::{Pdp, PdpProtocol};
use crate::pdp::PathRule;

impl Resolver {
    pub(super) fn pdps(&mut self, mut pdps: BTreeMap<String, Pdp>) -> BTreeMap<String, Pdp> {
        for (name, pdp) in &mut pdps {
            self.pdp(&format!("pdps.{name}"), pdp);
        }
        pdps
    }

    fn pdp(&mut self, at: &str, pdp: &mut Pdp) {
        self.server(at, &pdp.cluster, &pdp.host);
        let (protocol, rules) = (pdp.protocol.name(), pdp.protocol.rules());
        match (&rules.path, &pdp.path) {
            (PathRule::Only(_), Some(path)) => {
                self.error(
                    format!("{at}.path"),
                    format!("`{path}` can't be chosen: `{protocol}` has one path"),
                );
            }
            (PathRule::Needed(expected), None) => {
                self.error(format!("{at}.path"), format!("is needed for `{protocol}`: expected {expected}"));
            }
            (_, Some(path)) => self.path(&format!("{at}.path"), path),
            (PathRule::Default(_) | PathRule::Only(_), None) => {}
        }
        let Some(names) = &mut pdp.headers else { return };
        if rules.told.is_none() {
            let told = PdpProtocol::ALL.iter().filter(|other| other.rules().told.is_some());
            let told: Vec<&str> = told.map(|other| other.name()).collect();
            let told = told.join("` or `");
            let message =
                format!("only an `{told}` server is told headers; policies put them into their questions");
            self.error(format!("{at}.headers"), message);
        }
        for (index, name) in names.iter_mut().enumerate() {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                self.error(format!("{at}.headers[{index}]"), format!("`{name}` is not the name of a header"));
            }
            name.make_ascii_lowercase();
        }
    }
}
