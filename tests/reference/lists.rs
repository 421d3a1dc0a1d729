//! The lists of reasons, metrics and record fields in the pages, against the code's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everycall_core::{
    Binding, BundleRecord, Claims, DecisionRecord, ElevationRecord, Exception, FeedRecord, GrantRecord,
    Identity, Kind, Layer, PdpExchange, PolicyRecord, Reason, RequestRecord, ShadowOutcome, ShadowReads,
    ShadowRecord, SignalsRecord, StreamEnd, StreamIdentity, StreamRecord, UnixTime, Verdict, WouldRefuse,
};
use serde_json::{json, Map};

use crate::page::{code, file, leaves, same, section, FRONT, POLICIES, RECORDS};

fn word(layer: Layer) -> String {
    serde_json::to_value(layer).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn reasons_are_those_of_the_code_in_its_order() {
    let rows = section(RECORDS, "## Reasons").table(&["reason", "status", "layer", "meaning"]);
    let real: Vec<Vec<String>> = Reason::ALL
        .iter()
        .map(|reason| {
            let meaning = reason.meaning().split_whitespace().collect::<Vec<_>>().join(" ");
            vec![format!("`{reason}`"), reason.status().to_string(), word(reason.layer()), meaning]
        })
        .collect();
    for (row, real) in rows.iter().zip(&real) {
        assert_eq!(row, real);
    }
    assert_eq!(rows.len(), real.len());
}

#[test]
fn observable_reasons_are_those_of_the_code() {
    let listed = section(POLICIES, "## The first days").block("text");
    let listed: Vec<&str> = listed.split_whitespace().collect();
    let real = Reason::ALL.iter().filter(|reason| reason.observable()).map(|reason| reason.code());
    assert_eq!(listed, real.collect::<Vec<_>>());
}

/// The picture says which layer answers what.
#[test]
fn the_picture_shows_every_answer_of_every_layer() {
    let picture = section(FRONT, "## How a call is decided").block("mermaid");
    let layers: BTreeSet<Layer> = Reason::ALL.iter().map(|reason| reason.layer()).collect();
    for layer in layers {
        let refusals = Reason::ALL.iter().filter(|reason| reason.layer() == layer && !reason.is_allow());
        let statuses: BTreeSet<String> = refusals.map(|reason| reason.status().to_string()).collect();
        let statuses = statuses.into_iter().collect::<Vec<_>>().join(", ");
        let edge = format!("{} -- \"{statuses}\" --> refused", word(layer));
        assert!(picture.lines().any(|line| line.trim() == edge), "expected the line `{edge}`");
    }
}

/// The metrics in the adapter's sources: name to kind and labels.
fn metrics() -> BTreeMap<String, (&'static str, BTreeSet<String>)> {
    let source =
        ["metrics.rs", "metrics/figures.rs"].map(|name| file(&format!("filter/proxy-wasm/src/{name}")));
    let mut metrics: BTreeMap<String, (&'static str, BTreeSet<String>)> = BTreeMap::new();
    for line in source.iter().flat_map(|source| source.lines()) {
        let Some(text) = line.split('"').nth(1).filter(|text| text.starts_with("everycall.")) else {
            continue;
        };
        let kinds = [("MetricKind::Gauge", "gauge"), ("MetricKind::Histogram", "histogram")];
        let kind = kinds.iter().find(|(code, _)| line.contains(code)).map_or("counter", |(_, kind)| kind);
        let mut parts = text.split(';');
        let name = parts.next().unwrap();
        let labels = parts.map(|label| label.split('=').next().unwrap().to_owned());
        let mut all: BTreeSet<String> = labels.chain(["instance".to_owned()]).collect();
        if name.starts_with("everycall.key") {
            all.insert("issuer".into());
        }
        if name.starts_with("everycall.feed") {
            all.insert("feed".into());
        }
        if name.starts_with("everycall.pdp") {
            all.insert("pdp".into());
        }
        let known = metrics.entry(name.to_owned()).or_insert_with(|| (kind, all.clone()));
        assert_eq!(*known, (kind, all), "{name}");
    }
    metrics
}

#[test]
fn metrics_are_those_of_the_filter() {
    let metrics = metrics();
    assert!(metrics.len() > 5);
    let rows = section(RECORDS, "## Metrics").by_name(&["metric", "kind", "labels", "meaning"]);
    same("metrics", rows.keys(), metrics.keys().cloned());
    for (name, row) in rows {
        let (kind, labels) = &metrics[&name];
        assert_eq!(row[1], *kind, "{name}");
        assert_eq!(code(&row[2]).into_iter().collect::<BTreeSet<_>>(), *labels, "{name}");
    }
}

/// A record with everything that a record can hold.
pub fn full() -> DecisionRecord {
    let text = || Some("x".to_owned());
    let identity = Identity {
        kind: Kind::Agent,
        id: "x".into(),
        issuer: "x".into(),
        credential: "jwt".into(),
        principal: text(),
        actors: vec!["x".into()],
        task: text(),
        token_id: Some("x".into()),
        key_id: Some("x".into()),
        bound: Some(Binding::Dpop),
        not_before: UnixTime::default(),
        expires_at: UnixTime::default(),
        claims: Claims::default(),
    };
    DecisionRecord {
        v: 1,
        id: "x".into(),
        time: UnixTime::default(),
        instance: "x".into(),
        revision: "x".into(),
        bundle: Some(BundleRecord { revision: "x".into(), sequence: 1 }),
        decision: Verdict::Deny,
        reason: Some(Reason::PdpDenied),
        status: 403,
        layer: Layer::Pdp,
        detail: text(),
        request: RequestRecord { id: text(), path_and_query: text(), ..RequestRecord::default() },
        connection: Map::new(),
        identity: Some(Arc::new(identity)),
        exception: Some(Arc::new(Exception {
            id: "x".into(),
            owner: "x".into(),
            reason: "x".into(),
            compensating_control: "x".into(),
            valid_from: UnixTime::default(),
            valid_until: UnixTime::default(),
        })),
        revocations: Some(FeedRecord { sequence: 1, issued_at: UnixTime::default(), stale: true }),
        grant: Some(GrantRecord {
            id: "x".into(),
            purpose: "x".into(),
            owner: "x".into(),
            sensitivity: Some("x".into()),
            source: Some("x".into()),
            ticket: Some("x".into()),
            params: Map::new(),
        }),
        elevation: Some(ElevationRecord {
            id: "x".into(),
            owner: text(),
            approver: "x".into(),
            ticket: "x".into(),
            reason: "x".into(),
            valid_from: UnixTime::default(),
            valid_until: UnixTime::default(),
            break_glass: true,
            break_glass_reason: text(),
        }),
        signals: Some(signals()),
        policy: Some(PolicyRecord { rule_set: "x".into(), rule: text(), without_pdp: false }),
        would_refuse: Some(WouldRefuse {
            reason: Reason::PdpDenied,
            status: 403,
            layer: Layer::Pdp,
            detail: text(),
        }),
        pdp: vec![PdpExchange {
            id: "x".into(),
            pdp: "x".into(),
            question: Map::new(),
            answer: Some(json!({})),
        }],
        obligations: Map::new(),
        shadow: vec![ShadowRecord {
            name: "x".into(),
            bundle: Some(BundleRecord { revision: "x".into(), sequence: 1 }),
            outcome: ShadowOutcome::Differs,
            decision: Verdict::Deny,
            reason: Some(Reason::PdpDenied),
            rule: text(),
            detail: text(),
            read: ShadowReads {
                path_and_query: text(),
                headers: json!({"x": ["x"]}).as_object().cloned().unwrap(),
                query: json!({"x": ["x"]}).as_object().cloned().unwrap(),
                connection: json!({"x": "x"}).as_object().cloned().unwrap(),
                signals: Some(signals()),
            },
        }],
        duration_us: Some(1),
    }
}

fn signals() -> SignalsRecord {
    let list = FeedRecord { sequence: 1, issued_at: UnixTime::default(), stale: true };
    SignalsRecord { list: Some(list), actors: vec![Map::new()], ..SignalsRecord::default() }
}

#[test]
fn record_fields_are_those_of_the_record() {
    let rows = section(RECORDS, "## The record").by_name(&["field", "type", "meaning"]);
    let record = serde_json::to_value(full()).unwrap();
    same(
        "record",
        rows.keys(),
        leaves(
            &record,
            &[
                "shadow[].read.headers",
                "shadow[].read.query",
                "shadow[].read.connection",
                "shadow[].read.signals",
            ],
        ),
    );
    for (name, row) in rows {
        let pointer = format!("/{}", name.replace("[]", ".0").replace('.', "/"));
        let kind = match record.pointer(&pointer).unwrap() {
            serde_json::Value::String(_) => "text",
            serde_json::Value::Number(_) => "number",
            serde_json::Value::Bool(_) => "boolean",
            serde_json::Value::Array(_) => "list of text",
            serde_json::Value::Object(_) => "object",
            serde_json::Value::Null => panic!("{name} is null in a full record"),
        };
        assert_eq!(row[1].split(',').next(), Some(kind), "{name}");
    }
}

#[test]
fn fields_of_the_end_of_a_stream_are_those_of_the_record() {
    let rows = section(RECORDS, "### The end of a stream").by_name(&["field", "type", "meaning"]);
    let text = || Some("x".to_owned());
    let record = StreamRecord {
        v: 1,
        event: "stream_ended",
        id: "x".into(),
        time: UnixTime::default(),
        instance: "x".into(),
        reason: StreamEnd::Over(Reason::Revoked),
        detail: text(),
        cut: true,
        open_s: 1.0,
        bytes_received: Some(1),
        bytes_sent: Some(1),
        identity: Some(StreamIdentity {
            id: "x".into(),
            issuer: "x".into(),
            principal: text(),
            task: text(),
            token_id: text(),
            key_id: text(),
        }),
        grant: text(),
        elevation: text(),
    };
    same("record", rows.keys(), leaves(&serde_json::to_value(record).unwrap(), &[]));
}
