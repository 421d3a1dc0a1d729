//! Everything that facts can be taken from.

use super::*;

pub(super) fn callers() -> Vec<Option<Verified>> {
    let identity = |claims: Json, delegated: bool| Identity {
        kind: Kind::Agent,
        id: "agent".into(),
        issuer: "https://id".into(),
        credential: "jwt".into(),
        on_behalf_of: delegated.then(|| "alice".to_owned()),
        actors: if delegated { vec!["first".into(), "second".into()] } else { Vec::new() },
        task: delegated.then(|| "t-1".to_owned()),
        token_id: None,
        key_id: None,
        bound: delegated.then_some(Binding::Dpop),
        not_before: at(0),
        expires_at: at(NOW + 288),
        claims: Claims::from(map(claims)),
    };
    let exception = Exception {
        id: "e".into(),
        owner: "o".into(),
        reason: "r".into(),
        compensating_control: "c".into(),
        valid_from: at(0),
        valid_until: at(1_800_000_000),
    };
    let claims = json!({"role": "admin", "deep": {"list": [1, 2.50], "": null}, "n": 1e300, "id": "x", "claims": {"role": 1}});
    vec![
        None,
        Some(Verified::new(identity(json!({}), false))),
        Some(Verified { exception: Some(Arc::new(exception)), ..Verified::new(identity(claims, true)) }),
    ]
}

pub(super) fn grants() -> Vec<Granted> {
    let grant = |more: bool| Grant {
        id: "g".into(),
        owner: "o".into(),
        purpose: "p".into(),
        sensitivity: more.then(|| "high".into()),
        source: more.then(|| "iga".into()),
        ticket: more.then(|| "T-1".into()),
        kinds: Kinds::default(),
        issuer: None,
        methods: "GET".into(),
        except: Box::default(),
        valid_from: None,
        valid_until: None,
        delegation: None,
        semicolons: false,
        requires_elevation: false,
        break_glass_kinds: Kinds::default(),
        requires_binding: None,
        rule_set: 0,
    };
    let elevation = |more: bool| Elevation {
        id: "el".into(),
        owner: more.then(|| "o".to_owned()),
        approver: "boss".into(),
        ticket: "T-2".into(),
        reason: "because".into(),
        valid_from: at(NOW - 5),
        valid_until: at(NOW + 5),
        networks: None,
        break_glass: more,
    };
    let granted = |more: bool, params: &[(&str, &str)], elevated: Option<bool>| Granted {
        grant: Arc::new(grant(more)),
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        elevated: elevated.map(|more| Elevated {
            elevation: Arc::new(elevation(more)),
            break_glass_reason: more.then(|| "the house is on fire".to_owned()),
        }),
    };
    vec![
        granted(false, &[], None),
        granted(true, &[("order", "7"), ("id", "a b"), ("", "empty")], Some(false)),
        granted(true, &[("zone", "eu")], Some(true)),
    ]
}

/// A request, its target and its connection.
pub(super) fn requests() -> Vec<(RequestRecord, Target, Map<String, Json>)> {
    let target = |path: &str, segments: &[&str], query: Option<&str>, scheme: &str| Target {
        method: "GET".into(),
        scheme: scheme.into(),
        host: "orders.shop.example".into(),
        path: path.into(),
        segments: segments.iter().map(|segment| (*segment).to_owned()).collect(),
        query: query.map(|query| query.as_bytes().to_vec()),
        has_semicolon: false,
    };
    let request = |target: &Target, id: Option<&str>, headers: Json, query: Json| RequestRecord {
        id: id.map(str::to_owned),
        method: target.method.clone(),
        scheme: target.scheme.clone(),
        host: target.host.clone(),
        path: target.path.clone(),
        headers: map(headers),
        query: map(query),
        ..RequestRecord::default()
    };
    let plain = target("/", &[], None, "");
    let full = target("/orders/a%20b/", &["orders", "a b", ""], Some("q=1&q=a+b&r"), "https");
    vec![
        (request(&plain, None, json!({}), json!({})), plain, Map::new()),
        (
            request(
                &full,
                Some("r-1"),
                json!({"x-a": ["1", "2"], "x-b": [""], "path": ["odd"], "host": ["h"]}),
                json!({"q": ["1", "a b"], "r": [""]}),
            ),
            full,
            map(
                json!({"mtls": true, "peer_id": "spiffe://a/b", "source_ip": "10.1.2.3", "destination_ip": "10.0.0.9",
                "protocol": "HTTP/2", "tls_version": "TLSv1.3", "sni": "orders"}),
            ),
        ),
        (
            request(&target("/x", &["x"], Some(""), "http"), None, json!({"x-a": ["é"]}), json!({})),
            target("/x", &["x"], Some(""), "http"),
            map(json!({"mtls": false, "source_ip": "192.0.2.1"})),
        ),
    ]
}

pub(super) fn signals() -> Vec<Option<SignalsRecord>> {
    let some = SignalsRecord {
        identity: map(json!({"risk": "high", "score": 1.5})),
        actors: vec![map(json!({"risk": true})), Map::new()],
        task: map(json!({"seen": 3})),
        ..SignalsRecord::default()
    };
    vec![None, Some(SignalsRecord::default()), Some(some)]
}

pub(super) fn networks() -> Vec<Network> {
    let network =
        |name: &str, range: &str| Network { name: name.into(), ranges: vec![range.parse().unwrap()] };
    vec![network("office", "10.0.0.0/8"), network("lab", "10.1.0.0/16"), network("far", "203.0.113.0/24")]
}

/// Calls `each` with everything that facts can be taken from: every two of them meet.
pub(super) fn for_all(mut each: impl FnMut(&Sources<'_>)) {
    let (networks, callers, grants, requests, signals) =
        (networks(), callers(), grants(), requests(), signals());
    let times = [at(NOW), UnixTime::from_micros(NOW * 1_000_000 + 1), UnixTime::from_micros(i64::MAX)];
    let rows =
        (0..3_usize).flat_map(|a| (0..3_usize).flat_map(move |b| (0..3_usize).map(move |c| [a, b, c])));
    for [a, b, c] in rows {
        let (request, target, connection) = &requests[c];
        let third = |sum: usize| sum.checked_rem(3).unwrap();
        each(&Sources {
            now: times[third([a, b, c].iter().sum())],
            request,
            target,
            connection,
            caller: callers[a].as_ref().map(Verified::caller),
            granted: &grants[b],
            signals: signals[third([a, b, b].iter().sum())].as_ref(),
            networks: &networks,
        });
    }
}
