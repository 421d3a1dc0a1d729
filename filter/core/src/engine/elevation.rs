//! Is what the grant gives approved, for now?

use std::net::IpAddr;

use serde_json::Value;

use super::case::{Case, Refused};
use super::layers::Layers;
use crate::authority::elevations::{self, ElevatedCall};
use crate::authority::grants::Granted;
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::credential::token::cache::Verified;
use crate::http::attributes::SOURCE_IP;

impl Layers<'_> {
    /// Adds the caller's active elevation to the grant. A grant that requires none gets one, too, if
    /// there is one: its policy may want to know.
    pub(super) fn elevation(
        &self,
        case: &mut Case,
        caller: Option<&Verified>,
        granted: Granted,
        now: UnixTime,
    ) -> Result<Granted, Refused> {
        let required = granted.grant.requires_elevation;
        let Some(caller) = caller.map(|caller| &*caller.identity) else {
            return if !required {
                Ok(granted)
            } else {
                Err(Refused::new(Reason::ElevationRequired, "nobody is elevated without a credential"))
            };
        };
        let known = self.bundle.elevations.of(&caller.id, &granted.grant.id);
        if known.is_empty() && !required {
            return Ok(granted);
        }
        let mut source = None;
        if known.iter().any(|elevation| elevation.networks.is_some()) {
            if let Some(address) = case.request.connection.get(SOURCE_IP) {
                source = address.as_str().and_then(|text| text.parse::<IpAddr>().ok());
                case.record.connection.insert(SOURCE_IP.to_owned(), Value::clone(address));
            }
        }
        let call = ElevatedCall {
            caller,
            grant: &granted.grant,
            source,
            networks: &self.settings.networks,
            reasons: case.request.break_glass_reasons(),
            now,
        };
        match elevations::active(known, &call) {
            Ok(elevated) => {
                case.record.elevation = Some(elevated.to_record());
                Ok(Granted { elevated: Some(elevated), ..granted })
            }
            Err((reason, detail)) if required => Err(Refused::new(reason, detail)),
            Err(_) => Ok(granted),
        }
    }
}
