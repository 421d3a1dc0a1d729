//! What `everycall` says of itself: its version, its help, and to shells.

use everycall_core::UnixTime;
use serde_json::{json, Value};

use crate::common::{config, everycall, request, token, Files, NOW};

#[test]
fn the_version_is_told_as_a_command_and_as_an_option() {
    let expected = format!("everycall {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [&["version"][..], &["--version"], &["-V"]] {
        let output = everycall(arguments, "");
        assert_eq!((output.code, output.out.as_str()), (0, expected.as_str()), "{arguments:?}");
    }
    // It is about the program: nothing else goes with it.
    for arguments in [&["version", "check"][..], &["version", "--json"], &["check", "--version"]] {
        let output = everycall(arguments, "");
        assert_eq!((output.code, output.out.as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn each_shell_gets_a_script_that_knows_commands_and_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = everycall(&["completion", shell], "");
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{shell}");
        for word in ["everycall", "devserver", "coverage-min"] {
            assert!(output.out.contains(word), "{shell}: {word}");
        }
    }
    for (arguments, message) in [
        (&["completion", "tcsh"][..], "invalid value 'tcsh' for '<SHELL>'"),
        (&["completion"], "required"),
        (&["completion", "bash", "zsh"], "unexpected argument 'zsh'"),
    ] {
        let output = everycall(arguments, "");
        assert_eq!((output.code, output.out.as_str()), (2, ""), "{arguments:?}");
        assert!(output.err.contains(message), "{}", output.err);
    }
    let output = everycall(&["completion", "tcsh"], "");
    assert!(output.err.contains("possible values: bash, elvish, fish, powershell, zsh"), "{}", output.err);
}

/// Where there is no terminal, as here, the help is as wide as most of them.
#[test]
fn no_line_of_the_help_is_wider_than_a_page() {
    for command in ["check", "test", "decide", "devserver", "init", "completion", "exceptions"] {
        let help = everycall(&[command, "--help"], "").out;
        // Examples are shown as they are written.
        let (text, _) = help.split_once("Example:").unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!((40..=100).contains(&widest), "{command}: {widest}: {help}");
    }
}

/// One way to name a time: whatever goes by the clock can be told another.
#[test]
fn each_at_takes_an_instant_and_unix_seconds() {
    let files = Files::with_config();
    let config = files.name("config.json");
    let good = token(json!({}));
    let request = request("GET", json!([["x-purpose", "fulfilment"]]), Some(&good));
    let (now, late) = ("2026-09-21T14:13:20Z", "2026-09-21T16:18:20+02:00");
    assert_eq!(UnixTime::parse_rfc3339(now), Some(UnixTime::from_secs(NOW)));
    let (seconds, late_seconds) = (NOW.to_string(), (NOW + 300).to_string());
    for (at, late) in [(now, late), (seconds.as_str(), late_seconds.as_str())] {
        for (arguments, input) in [
            (&["token", "verify", "--config", &config][..], &good),
            (&["decide", "--config", &config], &request),
        ] {
            let run = |at: &str| everycall(&[arguments, &["--at", at]].concat(), input).out;
            let (good, bad) = (run(at), run(late));
            assert!(!good.contains("token_expired") && bad.contains("token_expired"), "{good}{bad}");
        }
    }
    let timed = |at: Value| {
        let mut line: Value = serde_json::from_str(&request).unwrap();
        line["at"] = at;
        everycall(&["decide", "--config", &config], &line.to_string())
    };
    for at in [json!(NOW), json!(now), json!(NOW as f64 + 0.5)] {
        assert_eq!(timed(at.clone()).json()[0]["decision"], "allow", "{at}");
    }
    // The value may be anything, and is not repeated.
    let output = timed(json!("secret"));
    assert!(
        output.code == 1 && output.err.contains("at: invalid value: string, expected an RFC 3339 instant")
    );
    assert!(!output.all().contains("secret"));
    let mut ending = self::config();
    ending["bundle"]["inline"]["grants"][0]["valid_until"] = json!(now);
    let check = |at: &str| everycall(&["check", "-", "--at", at], &ending.to_string()).all();
    let (before, after) = (check(&(NOW - 1).to_string()), check(now));
    assert!(!before.contains("grant_expired") && after.contains("grant_expired"), "{before}{after}");
    for command in
        [&["check", &config][..], &["exceptions", &config], &["test"], &["decide", "--config", &config]]
    {
        let output = everycall(&[command, &["--at", "tomorrow"]].concat(), "");
        let expected = "invalid value 'tomorrow' for '--at <TIME>': expected an RFC 3339 instant such as";
        assert!(output.code == 2 && output.err.contains(expected), "{command:?}: {}", output.err);
    }
}

/// One way to name the configuration: `--config`, in every command that takes one.
#[test]
fn each_configuration_can_be_named_by_its_option() {
    let files = Files::with_config();
    let config = files.name("config.json");
    for command in ["check", "exceptions"] {
        let named = everycall(&[command, "--config", &config], "");
        let bare = everycall(&[command, &config], "");
        assert_eq!((named.code, named.all()), (0, bare.all()), "{command}");
        let read = everycall(&[command, "--config", "-"], &self::config().to_string());
        assert_eq!((read.code, read.all()), (0, bare.all()), "{command}");
        for (arguments, message) in [
            (&[][..], "required arguments were not provided"),
            (&["--config", &config, &config], "cannot be used with"),
            (&[&config, &config], "unexpected argument"),
            (&["--config", &files.name("nowhere.json")], "nowhere.json`: cannot be read"),
        ] {
            let output = everycall(&[&[command], arguments].concat(), "");
            assert_eq!((output.code, output.out.as_str()), (2, ""), "{command} {arguments:?}");
            assert!(output.err.contains(message), "{command} {arguments:?}: {}", output.err);
        }
    }
    for command in [
        &["check"][..],
        &["exceptions"],
        &["decide"],
        &["test"],
        &["token", "verify"],
        &["render", "config"],
        &["render", "envoy"],
        &["render", "istio"],
        #[cfg(feature = "server")]
        &["devserver"],
    ] {
        let help = everycall(&[command, &["--help"]].concat(), "").out;
        assert!(help.contains("--config <FILE>"), "{command:?}: {help}");
    }
}
