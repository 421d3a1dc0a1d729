//! Lists: their pages, their size, and what changes from one to the next.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use everycall::feed_file::test_feed_documents;
use everycall_core::http::Failure;
use everycall_core::sync::FileFault;
use everycall_core::{Reason, Reply, UnixTime};
use everycall_tests::feeds::document;
use serde_json::{json, Value};

use super::{at, configuration, end, issue, key, poll, ready, started, Workers, ALLOWED};
use crate::{later, NOW};

#[test]
fn pages_are_fetched_one_by_one_and_count_when_they_are_read() {
    let many: Vec<Value> = (0..20_000).map(|number| end(&format!("{number}-{}", "x".repeat(100)))).collect();
    let last = many.last().unwrap()["id"].as_str().unwrap().to_owned();
    let mut workers = started(1, &configuration());
    workers.server.publisher.publish(many.clone(), NOW);
    workers.tick(NOW);
    let pages: Vec<String> = workers.server.answers.iter().map(|(_, path)| path.clone()).collect();
    assert!(pages.len() > 3 && pages[0] == "/revocations" && pages[2] == "/revocations?page=3", "{pages:?}");
    assert_eq!(workers.all_say(&last, NOW), [Reason::Revoked]);
    assert_eq!(workers.stats(0).entries, 20_000);
    assert!(workers.slices > 200, "{}", workers.slices);
    // The list moves on while a second worker fetches it: it starts again.
    workers.add(&configuration());
    let moved = Rc::new(RefCell::new(0));
    let count = Rc::clone(&moved);
    workers.feel(move |call, reply| {
        let is_page = call.headers.iter().any(|(name, value)| name == ":path" && value.ends_with("page=3"));
        if is_page && *count.borrow() < 2 {
            *count.borrow_mut() += 1;
            return Reply::http(412, "");
        }
        reply
    });
    workers.tick(at(100));
    assert_eq!(workers.decides(1, "t-1", at(100)), Reason::RevocationsStale, "it is not complete");
    assert_eq!(workers.decides(1, "19-x", at(100)), Reason::RevocationsStale);
    workers.ticks(200, 5_000);
    assert_eq!(*moved.borrow(), 2);
    assert_eq!(workers.all_say(&last, at(5_000)), [Reason::Revoked; 2]);
    assert_eq!(workers.stats(1).entries, 20_000);
    // A page that does not come is asked for again, and not the whole.
    workers.add(&configuration());
    let cut = Rc::new(RefCell::new(false));
    let count = Rc::clone(&cut);
    workers.feel(move |call, reply| {
        let is_page = call.headers.iter().any(|(name, value)| name == ":path" && value.ends_with("page=2"));
        if is_page && !count.replace(true) {
            return Reply::Failed(Failure::Unavailable);
        }
        reply
    });
    workers.server.answers.clear();
    workers.ticks(5_100, 8_000);
    assert_eq!(workers.decides(2, &last, at(8_000)), Reason::Revoked);
    let full = workers
        .server
        .answers
        .iter()
        .filter(|(status, path)| *status == 200 && path == "/revocations")
        .count();
    assert_eq!(full, 1);
}

/// Pages of two lists never make one.
#[test]
fn pages_of_another_list_are_not_taken() {
    let facts: Vec<Value> = (0..10_000).map(|number| end(&format!("{number}-{}", "x".repeat(100)))).collect();
    let pages =
        |sequence, issued_at| test_feed_documents(&facts, &issue(sequence, None, issued_at), &key()).unwrap();
    let (one, later_one, next) = (pages(50, NOW), pages(50, later(1)), pages(51, NOW));
    assert_eq!(one.len(), 2);
    for (what, wrong) in
        [("signed later", &later_one[1]), ("of the next list", &next[1]), ("the first again", &one[0])]
    {
        let mut workers = started(1, &configuration());
        let (first, second) = (one[0].clone(), wrong.clone());
        workers.feel(move |call, _| {
            let is_page = call.headers.iter().any(|(name, value)| name == ":path" && value.contains("page="));
            Reply::http(200, if is_page { second.clone() } else { first.clone() })
        });
        workers.tick(NOW);
        assert_eq!(workers.refused(0), BTreeMap::from([(FileFault::Malformed, 1)]), "{what}");
        assert_eq!(workers.all_say("t", NOW), [Reason::RevocationsStale], "{what}");
    }
}

#[test]
fn a_list_is_bounded() {
    let mut config = configuration();
    config["revocations"]["remote"]["max_entries"] = json!(10);
    let facts = |many: usize| (0..many).map(|number| end(&format!("t-{number}"))).collect::<Vec<_>>();
    let mut workers = started(1, &config);
    workers.server.publisher.publish(facts(11), NOW);
    workers.tick(NOW);
    assert_eq!(workers.refused(0), BTreeMap::from([(FileFault::TooLarge, 1)]));
    assert_eq!(workers.all_say("t", NOW), [Reason::RevocationsStale]);
    assert_eq!(workers.stats(0).entries, 0);
    let mut workers = started(1, &config);
    workers.server.publisher.publish(facts(10), NOW);
    workers.tick(NOW);
    assert_eq!((workers.all_say("t-9", NOW), workers.stats(0).entries), (vec![Reason::Revoked], 10));
    // One more change than fits: the list is incomplete and grows old; what is known counts.
    workers.server.publisher.publish([end("more")], NOW);
    workers.ticks(500, 60_000);
    assert_eq!(workers.all_say("t-9", at(60_000)), [Reason::Revoked]);
    assert_eq!(workers.stats(0).entries, 10);
    assert_eq!(workers.all_say("more", at(62_000)), [Reason::RevocationsStale]);
    // A list that fits heals it: what expired is left out.
    let over = facts(5).into_iter().map(|mut fact| {
        fact["expires_at"] = json!(later(61).to_string());
        fact
    });
    workers.server.publisher.publish(over, at(62_000));
    workers.ticks(62_000, 70_000);
    workers.server.publisher.publish([end("t-9")], at(70_000));
    workers.ticks(70_000, 80_000);
    assert_eq!(workers.all_say("more", at(80_000)), [Reason::Revoked]);
    assert_eq!(workers.all_say("t-1", at(80_000)), [ALLOWED]);
}

/// A delta with a gap: the server forgot what changed, or says what leads on from elsewhere.
#[test]
fn who_can_not_follow_the_changes_fetches_the_list() {
    let mut workers = ready(&configuration());
    // More changes than are kept.
    for number in 0..1_100 {
        workers.server.publisher.publish([end(&format!("t-{number}"))], NOW);
    }
    poll(&mut workers, 100);
    workers.ticks(800, 2_000);
    assert_eq!(workers.all_say("t-0", at(2_000)), [Reason::Revoked; 2]);
    assert!(workers.server.answers.iter().any(|(status, _)| *status == 200));
    // What is sent does not lead on from here: the full list is asked for.
    let sequence = workers.server.publisher.sequence();
    workers.server.publisher.publish([end("next")], at(2_000));
    workers.server.answers.clear();
    workers.feel(move |_, reply| match reply {
        Reply::Http { status: 226, .. } => {
            Reply::http(226, document(&[end("x")], &issue(sequence + 9, Some(sequence + 8), NOW), &key()))
        }
        other => other,
    });
    workers.ticks(2_100, 6_000);
    assert_eq!(workers.all_say("next", at(6_000)), [Reason::Revoked; 2]);
    assert_eq!(workers.all_say("x", at(6_000)), [ALLOWED; 2]);
}

/// What a full list leaves out is not revoked any more, and what it has stays so all the time.
#[test]
fn a_full_list_replaces_what_was_known() {
    let mut workers = started(1, &configuration());
    let sequence = workers.server.publisher.sequence();
    let serve = |workers: &mut Workers, facts: Vec<Value>, sequence: u64, now: UnixTime| {
        let text = document(&facts, &issue(sequence, None, now), &key());
        workers.feel(move |_, _| Reply::http(200, text.clone()));
    };
    serve(&mut workers, vec![end("t-1"), end("t-2")], sequence, NOW);
    workers.tick(NOW);
    serve(&mut workers, vec![end("t-2"), end("t-3")], sequence + 1, NOW);
    workers.ticks(600, 1_200);
    for (task, expected) in [("t-1", ALLOWED), ("t-2", Reason::Revoked), ("t-3", Reason::Revoked)] {
        assert_eq!(workers.all_say(task, at(1_200)), [expected], "{task}");
    }
    assert_eq!(workers.stats(0).entries, 2);
    // A server without entity tags sends it again and again: that is no work, and renews it.
    workers.slices = 0;
    serve(&mut workers, vec![end("t-2"), end("t-3")], sequence + 1, later(50));
    workers.ticks(50_000, 51_000);
    assert!(workers.slices < 5, "{}", workers.slices);
    assert_eq!(workers.stats(0).signed, Some((sequence + 1, later(50))));
}

#[test]
fn a_worker_that_starts_anew_takes_no_older_list() {
    let mut workers = ready(&configuration());
    let sequence = workers.server.publisher.sequence();
    workers.server.publisher.publish([end("t-1")], NOW);
    workers.ticks(100, 700);
    workers.engines.clear();
    workers.add(&configuration());
    let old = document(&[], &issue(sequence, None, at(700)), &key());
    workers.feel(move |_, _| Reply::http(200, old.clone()));
    workers.ticks(800, 5_000);
    assert_eq!(workers.all_say("t-1", at(5_000)), [Reason::RevocationsStale]);
    assert!(workers.refused(0).contains_key(&FileFault::Older));
    workers.server.mood = None;
    workers.ticks(5_100, 11_000);
    assert_eq!(workers.all_say("t-1", at(11_000)), [Reason::Revoked]);
}
