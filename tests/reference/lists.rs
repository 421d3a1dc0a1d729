//! The lists of reasons, metrics and record fields in the pages, against the code's own.

use std::collections::BTreeSet;
use std::sync::Arc;

use everycall_core::authority::Exception;
use everycall_core::identity::{Binding, Claims};
use everycall_core::record::{
    BundleRecord, ElevationRecord, FeedRecord, GrantRecord, PdpExchange, PolicyRecord, RequestRecord,
    ShadowOutcome, ShadowReads, ShadowRecord, SignalsRecord, StreamEnd, StreamIdentity, StreamRecord,
    WouldRefuse,
};
use everycall_core::{DecisionRecord, Identity, Kind, Layer, Reason, UnixTime, Verdict};
use everycall_filter::METRICS;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{json, Map, Value};

use crate::page::{leaves, same, section, FRONT, POLICIES, RECORDS};
use crate::schemas::{about, is_required};
use crate::tables::{cell, linked, table, Link};

fn word(layer: Layer) -> String {
    serde_json::to_value(layer).unwrap().as_str().unwrap().to_owned()
}

/// All reasons, in the order of the code.
pub fn reasons() -> String {
    let rows = Reason::ALL.iter().map(|reason| {
        let meaning = reason.meaning().split_whitespace().collect::<Vec<_>>().join(" ");
        vec![format!("`{reason}`"), reason.status().to_string(), word(reason.layer()), meaning]
    });
    table(&["reason", "status", "layer", "meaning"], rows)
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

/// All metrics, in the order of the code. What the filter tells a host is held to the same rows by the host of
/// `tests/abi`.
pub fn metrics() -> String {
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len(), "a metric stands twice");
    let rows = METRICS.iter().map(|metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        vec![format!("`{}`", metric.name), metric.kind.to_owned(), labels.join(", "), cell(metric.meaning)]
    });
    table(&["metric", "kind", "labels", "meaning"], rows)
}

/// A record with everything that a record can hold.
pub fn full() -> DecisionRecord {
    let text = || Some("x".to_owned());
    let identity = Identity {
        kind: Kind::Agent,
        id: "x".into(),
        issuer: "x".into(),
        credential: "jwt".into(),
        on_behalf_of: text(),
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
        v: 2,
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

/// What stands below these is chosen by somebody else, or said once.
const FREE: &[&str] =
    &["shadow[].read.headers", "shadow[].read.query", "shadow[].read.connection", "shadow[].read.signals"];

/// What the fields' sentences name, and where it is.
const LINKS: &[Link] = &[
    ("reason", "list of reasons", "#reasons"),
    ("signals", "signals", "configuration.md#signals"),
    ("shadow", "shadows", "../policies/README.md#shadows"),
    ("would_refuse", "`observed`", "../policies/README.md#the-first-days"),
];

/// The names of a document's members, in their order: `a`, `a.b`, those of a list's members as `a[].b`.
#[derive(Default)]
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Names::default())
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self, A::Error> {
        while let Some(Names(below)) = items.next_element()? {
            self.0.extend(below.into_iter().map(|name| format!("[].{name}")));
        }
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
        while let Some((name, Names(below))) = members.next_entry::<String, Names>()? {
            let dot = |below: &str| if below.starts_with('[') { "" } else { "." };
            let below = below.into_iter().map(|below| format!("{name}{}{below}", dot(&below)));
            let below: Vec<String> = below.collect();
            self.0.push(name);
            self.0.extend(below);
        }
        Ok(self)
    }
}

/// The fields of a record that has everything, in their order, but for what stands below those of `FREE`.
fn fields(record: &impl Serialize) -> Vec<String> {
    let Names(all) = serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap();
    let is_free = |name: &str| FREE.iter().any(|free| name.starts_with(&format!("{free}.")));
    all.into_iter().filter(|name| !is_free(name)).collect()
}

/// What a field of a record is, as it is there.
fn kind(record: &Value, name: &str) -> &'static str {
    let pointer = format!("/{}", name.replace("[]", ".0").replace('.', "/"));
    match record.pointer(&pointer).unwrap() {
        Value::String(_) => "text",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Array(items) if items.iter().any(Value::is_object) => "list of objects",
        Value::Array(_) => "list of text",
        Value::Object(_) => "object",
        Value::Null => panic!("{name} is null in a full record"),
    }
}

/// The fields of a record, with what its schema says of them.
fn rendered(record: &impl Serialize, schema: &Value) -> String {
    let value = serde_json::to_value(record).unwrap();
    let rows = fields(record).into_iter().map(|name| {
        let part = about(schema, &name).unwrap_or_else(|| panic!("the schema has no `{name}`"));
        let says_null = |part: &Value| part["type"] == "null" || part["type"][1] == "null";
        let forms = part.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        let is_any = ["type", "anyOf", "oneOf", "$ref", "const"].iter().all(|word| part.get(word).is_none());
        let note = match is_required(schema, &name) {
            false => ", or absent",
            true if is_any || forms.chain([part]).any(says_null) => ", or null",
            true => "",
        };
        let meaning = linked(LINKS, &name, part["description"].as_str().unwrap());
        vec![format!("`{name}`"), format!("{}{note}", kind(&value, &name)), meaning]
    });
    table(&["field", "type", "meaning"], rows.collect::<Vec<_>>())
}

/// The record of a decision.
pub fn record() -> String {
    rendered(&full(), &everycall_core::schema::record())
}

/// The record of the end of a stream.
pub fn stream_record() -> String {
    rendered(&full_stream(), &everycall_core::schema::stream_record())
}

#[test]
fn record_fields_are_those_of_the_record() {
    let rows = section(RECORDS, "## The record").by_name(&["field", "type", "meaning"]);
    let record = serde_json::to_value(full()).unwrap();
    let leaves = leaves(&record, FREE).into_iter().map(|name| name.trim_end_matches("[]").to_owned());
    let above: Vec<String> =
        fields(&full()).into_iter().filter(|name| kind(&record, name).contains("object")).collect();
    same("record", rows.keys(), leaves.chain(above));
    for (name, row) in rows {
        assert_eq!(row[1].split(',').next(), Some(kind(&record, &name)), "{name}");
    }
}

#[test]
fn fields_of_the_end_of_a_stream_are_those_of_the_record() {
    let rows = section(RECORDS, "### The end of a stream").by_name(&["field", "type", "meaning"]);
    let record = full_stream();
    let value = serde_json::to_value(&record).unwrap();
    let above = fields(&record).into_iter().filter(|name| kind(&value, name).contains("object"));
    same("record", rows.keys(), leaves(&value, &[]).into_iter().chain(above));
}

/// The same for the end of a stream.
fn full_stream() -> StreamRecord {
    let text = || Some("x".to_owned());
    StreamRecord {
        v: 2,
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
            on_behalf_of: text(),
            task: text(),
            token_id: text(),
            key_id: text(),
        }),
        grant: text(),
        elevation: text(),
    }
}
