//! What `everycall` says of itself: its version, its help, and to shells.

use crate::common::everycall;

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
