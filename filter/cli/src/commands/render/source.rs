//! What a proxy needs for the `source` of a configuration.

use serde_json::Value;

/// Where the configuration says that the client's address comes from.
pub(super) enum Source {
    NotKnown,
    Connection,
    /// Of a proxy that believes so many proxies in front.
    UseRemoteAddress {
        hops: u64,
    },
}

impl Source {
    /// Of a configuration that holds.
    pub(super) fn of(document: &Value) -> Self {
        let source = document.get("source").filter(|source| !source.is_null());
        match source {
            None => Self::NotKnown,
            Some(source) if source.get("from").is_some_and(|from| from == "connection") => Self::Connection,
            Some(source) => {
                let hops = source.get("trusted_hops").and_then(Value::as_u64).unwrap_or_default();
                Self::UseRemoteAddress { hops }
            }
        }
    }
}

/// The filter that keeps the connection's own address for ours, in front of which it has to be: a list of one,
/// in YAML.
pub(super) const FILTER: &str = include_str!("source.yaml");

#[cfg(test)]
mod tests {
    use everycall_core::http::SOURCE_STATE;
    use serde_json::{json, Value};

    use super::*;

    #[test]
    fn the_filter_keeps_it_where_ours_looks() {
        let filters: Value = serde_yaml_ng::from_str(FILTER).unwrap();
        let kept = &filters[0]["typed_config"]["on_request_headers"];
        assert_eq!(kept.as_array().map(Vec::len), Some(1));
        assert_eq!(kept[0]["object_key"], SOURCE_STATE);
    }

    #[test]
    fn every_way_to_write_it_is_read() {
        let of = |source: Value| Source::of(&json!({"source": source}));
        assert!(matches!(Source::of(&json!({})), Source::NotKnown));
        assert!(matches!(of(json!(null)), Source::NotKnown));
        assert!(matches!(of(json!({"from": "connection"})), Source::Connection));
        let remote = of(json!({"from": "use_remote_address"}));
        assert!(matches!(remote, Source::UseRemoteAddress { hops: 0 }));
        let hops = of(json!({"from": "use_remote_address", "trusted_hops": 2}));
        assert!(matches!(hops, Source::UseRemoteAddress { hops: 2 }));
    }
}
