//! A caller, and what ends it: for each kind of line its nearest neighbours.

use serde_json::json;

use super::*;
use crate::base::time::UnixTime;
use crate::facts::content::{Content as _, Full};
use crate::identity::{Identity, Kind};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const HOUR: i64 = 3_600;

fn at(secs: i64) -> UnixTime {
    NOW.plus_secs(secs)
}

/// An agent that acts for `alice`, with `planner` before it in the chain.
fn identity() -> Identity {
    Identity {
        kind: Kind::Agent,
        id: "agent".into(),
        issuer: "https://id".into(),
        credential: "jwt".into(),
        on_behalf_of: Some("alice".into()),
        actors: vec!["planner".into()],
        task: Some("t-1".into()),
        token_id: Some("j-1".into()),
        key_id: Some("k-1".into()),
        bound: None,
        not_before: NOW,
        expires_at: at(HOUR),
        claims: json!({"iat": NOW.secs()}).as_object().cloned().unwrap().into(),
    }
}

fn read(line: Value) -> Result<Resolved, String> {
    Revocation::read(line)?.resolve()
}

/// What a caller is refused for after this line.
fn revoked_by(mut line: Value, identity: &Identity) -> Option<RevocationKind> {
    let members = line.as_object_mut().unwrap();
    members.entry("expires_at").or_insert_with(|| json!(at(HOUR).to_string()));
    let mut all = Revocations::default();
    all.insert(&read(line).unwrap(), NOW, 10).unwrap();
    all.check(&Revocable::of(identity), NOW)
}

/// For each kind the line that hits, and its nearest neighbours that do not.
#[test]
fn each_kind_ends_what_it_names_and_nothing_near_it() {
    use RevocationKind::{Actor, Issuer, Key, Subject, Task, Token};
    let now = NOW.to_string();
    let hits = [
        (Token, json!({"revoke": "token", "issuer": "https://id", "id": "j-1"})),
        (Subject, json!({"revoke": "subject", "issuer": "https://id", "id": "agent"})),
        (Subject, json!({"revoke": "subject", "id": "agent"})),
        (Subject, json!({"revoke": "subject", "issuer": "https://id", "id": "alice"})),
        (Subject, json!({"revoke": "subject", "id": "alice"})),
        (Actor, json!({"revoke": "actor", "issuer": "https://id", "id": "agent"})),
        (Actor, json!({"revoke": "actor", "id": "agent"})),
        (Actor, json!({"revoke": "actor", "issuer": "https://id", "id": "planner"})),
        (Actor, json!({"revoke": "actor", "id": "planner"})),
        (Task, json!({"revoke": "task", "issuer": "https://id", "id": "t-1"})),
        (Task, json!({"revoke": "task", "id": "t-1"})),
        (Key, json!({"revoke": "key", "issuer": "https://id", "id": "k-1"})),
        (Issuer, json!({"revoke": "issuer", "issuer": "https://id", "issued_before": at(1).to_string()})),
    ];
    for (kind, line) in hits {
        assert_eq!(revoked_by(line.clone(), &identity()), Some(kind), "{line}");
        let mut near = Vec::new();
        let mut change = |member: &str, value: Value| {
            let mut other = line.clone();
            other[member] = value;
            near.push(other);
        };
        // A token that was issued in this very second is not issued before it.
        change("issued_before", json!(now));
        change("expires_at", json!(now));
        if let Some(issuer) = line["issuer"].as_str() {
            change("issuer", json!(format!("{issuer}/")));
            change("issuer", json!(issuer.get(..issuer.len() - 1)));
            change("issuer", json!("j-1"));
        }
        if let Some(id) = line["id"].as_str() {
            change("id", json!(id.get(..id.len() - 1)));
            change("id", json!(format!("{id} ")));
            change("id", json!(id.to_uppercase()));
            for other in RevocationKind::ALL.iter().filter(|other| **other != kind && **other != Issuer) {
                // The agent is a subject and an actor.
                if id == "agent" && matches!(other, Subject | Actor) {
                    continue;
                }
                let mut of_other = line.clone();
                of_other["revoke"] = json!(other.as_str());
                of_other["issuer"] = json!("https://id");
                near.push(of_other);
            }
        }
        for line in near {
            assert_eq!(revoked_by(line.clone(), &identity()), None, "{line}");
        }
    }
}

#[test]
fn callers_are_found_by_what_they_are() {
    // Nobody acts for anybody here.
    let plain = Identity { on_behalf_of: None, actors: Vec::new(), task: None, token_id: None, ..identity() };
    for line in [
        json!({"revoke": "actor", "id": "agent"}),
        json!({"revoke": "subject", "id": "alice"}),
        json!({"revoke": "task", "id": "t-1"}),
        json!({"revoke": "token", "issuer": "https://id", "id": "j-1"}),
    ] {
        assert_eq!(revoked_by(line.clone(), &plain), None, "{line}");
    }
    // A prior actor is not the subject.
    assert_eq!(revoked_by(json!({"revoke": "subject", "id": "planner"}), &identity()), None);
    // What tells no time of issue is issued before any time.
    let older = json!({"revoke": "subject", "id": "agent", "issued_before": "1970-01-01T00:00:01Z"});
    assert_eq!(revoked_by(older.clone(), &identity()), None);
    let timeless = Identity { claims: Default::default(), ..identity() };
    assert_eq!(revoked_by(older, &timeless), Some(RevocationKind::Subject));
    // The tokens of a trust domain are not its certificates.
    let peer = Identity { credential: "mtls".into(), key_id: None, ..timeless };
    let line = json!({"revoke": "issuer", "issuer": "https://id", "issued_before": at(1).to_string()});
    assert_eq!(revoked_by(line, &peer), None);
    assert_eq!(revoked_by(json!({"revoke": "subject", "id": "agent"}), &peer), Some(RevocationKind::Subject));
}

#[test]
fn times_round_to_where_nothing_is_missed() {
    let line = |before: &str| json!({"revoke": "task", "id": "t-1", "issued_before": before});
    let mut identity = identity();
    identity.claims = json!({"iat": 100.7}).as_object().cloned().unwrap().into();
    for (before, revoked) in [
        ("1970-01-01T00:01:40Z", false),
        ("1970-01-01T00:01:40.5Z", true),
        ("1970-01-01T00:01:41Z", true),
        ("1970-01-01T01:01:41+01:00", true),
        ("1970-01-01T01:01:40+01:00", false),
        ("9999-01-01T00:00:00Z", true),
    ] {
        assert_eq!(revoked_by(line(before), &identity).is_some(), revoked, "{before}");
    }
}

#[test]
fn lines_that_are_not_understood_are_errors() {
    let good = json!({"revoke": "task", "id": "t", "expires_at": at(1).to_string()});
    assert!(read(good.clone()).is_ok());
    for (member, value, error) in [
        ("revoke", json!("jti"), "revoke: unknown variant `jti`"),
        ("revoke", json!(null), "revoke: invalid type"),
        ("ids", json!("t"), "ids: unknown field `ids`"),
        ("id", json!(""), "id: not 1 to 2048 bytes"),
        ("id", json!("x".repeat(2049)), "id: not 1 to 2048 bytes"),
        ("id", json!(null), "id: missing"),
        ("issuer", json!(""), "issuer: not 1 to 2048 bytes"),
        ("ticket", json!(""), "ticket: not 1 to 2048 bytes"),
        ("revoke", json!("token"), "issuer: missing"),
        ("revoke", json!("key"), "issuer: missing"),
        ("revoke", json!("issuer"), "issuer: missing"),
        ("expires_at", json!("tomorrow"), "expires_at: `tomorrow` is not"),
        ("expires_at", json!(1), "expires_at: invalid type"),
        ("issued_before", json!("2026-01-01"), "issued_before: `2026-01-01` is not"),
    ] {
        let mut line = good.clone();
        line[member] = value;
        let message = read(line).unwrap_err();
        assert!(message.starts_with(error), "{message}");
    }
    let issuer = json!({"revoke": "issuer", "issuer": "i", "expires_at": at(1).to_string()});
    assert!(read(issuer.clone()).unwrap_err().starts_with("issued_before: missing"));
    let mut named = issuer;
    named["issued_before"] = json!(at(1).to_string());
    assert!(read(named.clone()).is_ok());
    named["id"] = json!("x");
    assert!(read(named).unwrap_err().starts_with("id: an issuer has none"));
    let mut endless = good;
    endless.as_object_mut().unwrap().remove("expires_at");
    assert!(read(endless).unwrap_err().starts_with("missing field `expires_at`"));
}

fn task(id: &str, before: Option<i64>, expires: i64) -> Resolved {
    let before = before.map(|before| at(before).to_string());
    read(json!({"revoke": "task", "id": id, "issued_before": before, "expires_at": at(expires).to_string()}))
        .unwrap()
}

#[test]
fn what_became_effective_is_told_once() {
    let mut all = Revocations::default();
    let handle = Handle::of(RevocationKind::Task, None, "t-1");
    let caller = Revocable::of(&identity());
    assert!(caller.handles().any(|one| one == handle));
    assert_eq!(all.insert(&task("t-1", Some(-5), 10), NOW, 10), Ok(Some(handle)));
    assert_eq!(all.insert(&task("t-1", Some(-5), 10), NOW, 10), Ok(None), "the same");
    assert_eq!(all.check(&caller, NOW), None, "it was issued later");
    assert_eq!(all.insert(&task("t-1", Some(5), 10), NOW, 10), Ok(Some(handle)), "more is revoked");
    assert_eq!(all.insert(&task("t-1", Some(-5), 10), NOW, 10), Ok(None), "less is revoked");
    assert_eq!(all.insert(&task("t-1", None, 10), NOW, 10), Ok(Some(handle)));
    assert_eq!(all.check(&caller, at(9)), Some(RevocationKind::Task));
    assert_eq!(all.check(&caller, at(10)), None, "it has expired");
    assert_eq!(all.insert(&task("t-1", None, 20), NOW, 10), Ok(Some(handle)), "it lasts longer");
    assert_eq!(all.check(&caller, at(10)), Some(RevocationKind::Task));
    assert_eq!(all.insert(&task("t-1", None, -1), NOW, 10), Ok(None), "withdrawn");
    assert_eq!((all.check(&caller, NOW), all.len()), (None, 0));
}

#[test]
fn the_number_of_entries_is_bounded_and_what_is_over_goes_by_the_time_of_the_list() {
    let mut all = Revocations::default();
    for number in 0..10 {
        all.insert(&task(&format!("t-{number}"), None, 10 + number), NOW, 10).unwrap();
    }
    assert_eq!(all.insert(&task("more", None, 10), NOW, 10), Err(Full::ENTRIES));
    assert!(all.insert(&task("t-1", None, 100), NOW, 10).is_ok(), "that is there already");
    let tidy = |all: &mut Revocations, time| {
        let mut slices = 0;
        while all.tidy(3, time, false) {
            slices += 1;
        }
        slices
    };
    assert!(tidy(&mut all, at(9)) > 3, "in slices");
    assert_eq!(all.len(), 10);
    tidy(&mut all, at(12));
    assert_eq!(all.len(), 8, "t-0 and t-2 are over");
    assert_eq!(all.check(&Revocable::of(&identity()), at(12)), Some(RevocationKind::Task));
    tidy(&mut all, at(100));
    assert_eq!(all.len(), 0);
}

#[test]
fn a_full_list_is_in_force_line_by_line_and_what_it_leaves_out_goes_at_its_end() {
    let mut all = Revocations::default();
    let caller = Revocable::of(&identity());
    all.insert(&task("t-1", None, 10), NOW, 10).unwrap();
    all.insert(&task("other", None, 10), NOW, 10).unwrap();
    all.begin_full();
    all.insert(&task("third", None, 10), NOW, 10).unwrap();
    assert_eq!((all.check(&caller, NOW), all.len()), (Some(RevocationKind::Task), 3));
    while all.tidy(1, NOW, false) {}
    assert_eq!(all.len(), 3, "it is not complete");
    all.insert(&task("other", None, 10), NOW, 10).unwrap();
    while all.tidy(1, NOW, true) {}
    assert_eq!((all.check(&caller, NOW), all.len()), (None, 2));
}
