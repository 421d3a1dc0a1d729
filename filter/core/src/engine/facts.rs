//! What the policy gets to see of a request, and the record with it.

use serde_json::Value;

use super::case::{Case, Refused};
use super::layers::Layers;
use crate::authority::grants::Granted;
use crate::base::reads::Names;
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::config::InputFormat;
use crate::credential::token::cache::Verified;
use crate::http::attributes;
use crate::http::target::Target;
use crate::input::{PolicyInput, Sources};
use crate::record::PolicyRecord;

impl Layers<'_> {
    /// What a rule set gets to see: only what it reads, and the record holds the same.
    pub(super) fn input(
        &self,
        case: &mut Case,
        caller: Option<&Verified>,
        granted: &Granted,
        rule_set: usize,
        target: &Target,
        now: UnixTime,
    ) -> Result<PolicyInput, Refused> {
        let Some(rules) = self.bundle.rule_sets.get(rule_set) else {
            return Err(Refused::new(Reason::PolicyError, "the grant has no rule set"));
        };
        let (reads, headers, query_names) = (rules.reads(), rules.headers(), rules.query());
        case.record.policy =
            Some(PolicyRecord { rule_set: rules.shared_package(), rule: None, without_pdp: false });
        let mut bytes = case.record.request.path.len();
        if let Some(caller) = caller {
            bytes = bytes.saturating_add(caller.bytes);
        }
        if !headers.are_none() {
            for (name, value) in case.request.headers().iter() {
                if !headers.hold(name) || self.settings.is_secret(name) || name.starts_with(':') {
                    continue;
                }
                let Ok(text) = std::str::from_utf8(value) else {
                    return Err(Refused::new(
                        Reason::HeaderInvalid,
                        format!("the header `{name}` is not UTF-8"),
                    ));
                };
                bytes = bytes.saturating_add(name.len()).saturating_add(text.len());
                let text = Value::from(text);
                match case.record.request.headers.get_mut(name) {
                    Some(Value::Array(values)) => values.push(text),
                    _ => drop(case.record.request.headers.insert(name.to_owned(), Value::Array(vec![text]))),
                }
            }
        }
        if !query_names.are_none() {
            let mut query = target.query_values()?;
            query.retain(|name, _| query_names.hold(name));
            for (name, values) in &query {
                let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
                bytes = values
                    .fold(bytes.saturating_add(name.len()), |sum, value| sum.saturating_add(value.len()));
            }
            case.record.request.query = query;
            if rules.format() == InputFormat::OpaEnvoy && matches!(query_names, Names::All) {
                case.record.request.path_and_query = Some(target.path_and_query());
            }
        }
        if rules.reads_signals() {
            let signals = self.signals(case, caller, reads, now)?;
            bytes = bytes.saturating_add(signals.bytes());
            case.record.signals = Some(signals);
        }
        let limit = *self.settings.limits.input_bytes;
        if bytes > limit {
            return Err(Refused::new(
                Reason::PolicyLimit,
                format!("an input of {bytes} bytes; the limit is {limit}"),
            ));
        }
        let is_read = |name: &str| attributes::is_read(name, rules.connection());
        let connection = case.request.connection.iter().filter(|(name, _)| is_read(name));
        case.record.connection.extend(connection.map(|(name, value)| (name.to_owned(), value.clone())));
        Ok(rules.input(&Sources {
            // Its own time, also where it has waited since: the record tells no other.
            now: case.record.time,
            request: &case.record.request,
            target,
            connection: &case.record.connection,
            caller: caller.map(Verified::caller),
            granted,
            signals: case.record.signals.as_ref(),
            networks: &self.settings.networks,
        }))
    }
}
