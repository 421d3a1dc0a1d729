//! `everycall task` against the devserver.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use serde_json::{json, Value};

use crate::common::{everycall, Devserver, Files, Output};

fn task(server: &str, args: &[&str]) -> Output {
    everycall(&[&["task"], args, &["--server", server]].concat(), "")
}

#[test]
fn a_task_is_started_shown_and_ended() {
    let files = Files::with_config();
    let devserver = Devserver::start(&files, &[]);
    let url = devserver.url();
    assert_eq!(task(&url, &["list"]).out, "no tasks\n");

    let started = task(&url, &["start", "order:o-1", "--owner", "user:alice", "--json"]);
    assert_eq!((started.code, started.err.as_str()), (0, ""));
    let started = &started.json()[0];
    assert_eq!((&started["id"], &started["state"]), (&json!("order:o-1"), &json!("open")));
    let counted = task(&format!("{url}/"), &["start", "--owner", "user:bob"]);
    assert!(
        counted.out.contains("id          t-1\n") && counted.out.contains("state       open\n"),
        "{}",
        counted.out
    );
    assert_eq!(task(&url, &["show", "order:o-1", "--json"]).json()[0], *started);

    let ended = task(&url, &["end", "order:o-1", "--reason", "done", "--ticket", "INC-1"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(
        ended.out.contains("state       ended\n")
            && ended.out.contains("revoked by  ")
            && ended.out.contains("ticket      INC-1\n"),
        "{}",
        ended.out
    );
    assert_eq!(task(&url, &["end", "order:o-1"]).out, ended.out, "no error, and nothing changes");

    let list = task(&url, &["list"]);
    let rows: Vec<Vec<&str>> =
        list.out.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(
        rows,
        [
            vec!["id", "owner", "state"],
            vec!["order:o-1", "user:alice", "ended"],
            vec!["t-1", "user:bob", "open"],
        ]
    );
    let listed = task(&url, &["list", "--json"]).json().remove(0);
    assert_eq!(listed["tasks"][1]["owner"], "user:bob");
}

#[test]
fn what_the_server_refuses_is_said_in_its_words() {
    let files = Files::with_config();
    let devserver = Devserver::start(&files, &[]);
    let url = devserver.url();
    task(&url, &["start", "t-1", "--owner", "alice"]);
    for (args, words) in [
        (&["show", "t-9"][..], "no task `t-9`"),
        (&["end", "t-9"], "no task `t-9`"),
        // One segment of the path, whatever it holds.
        (&["show", "../healthz"], "no task `../healthz`"),
        (&["start", "t-1", "--owner", "alice"], "an id is used once"),
        (&["start", "a/b", "--owner", "alice"], "`id` is not"),
        (&["start", "--owner", ""], "`owner` is not"),
        (&["end", "t-1", "--reason", ""], "`reason` is not"),
    ] {
        let output = task(&url, args);
        assert!(
            output.code == 1 && output.err.contains(words) && output.out.is_empty(),
            "{args:?}: {}",
            output.err
        );
    }
}

#[test]
fn a_server_that_is_none_is_exit_code_2() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = task(&format!("http://{closed}"), &["list"]);
    assert!(output.code == 2 && output.err.starts_with("error: "), "{}", output.err);
    for url in ["127.0.0.1:1", "ftp://h", ""] {
        assert_eq!(task(url, &["list"]).code, 2, "{url}");
    }

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        for body in ["<html>", "[]"] {
            let (mut stream, _) = other.accept().unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
            while head.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    for args in [&["list"][..], &["show", "t-1"]] {
        let output = task(&url, args);
        assert!(output.code == 2 && output.out.is_empty(), "{args:?}: {}", output.err);
    }
    serving.join().unwrap();
    let help: Value = json!(everycall(&["task", "end", "--help"], "").out);
    assert!(help.as_str().unwrap().contains("Example:\n  everycall task end"), "{help}");
}
