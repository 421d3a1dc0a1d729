//! What cargo builds into the module, and that the native build means the same: cargo unifies the features of all
//! that it builds at once.

use std::collections::BTreeSet;
use std::process::Command;

use everycall_tests::envoy::root;

/// Features that `cargo tree` names when these are built: `crate feature`.
fn features(arguments: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args([
        "tree",
        "--offline",
        "--locked",
        "--edges",
        "normal,features",
        "--prefix",
        "none",
    ]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let words = lines.lines().map(|line| line.replace(['"', '('], " ").replace(" feature ", " "));
    words.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn module() -> BTreeSet<String> {
    features(&["--package", "everycall-filter", "--target", "wasm32-unknown-unknown"])
}

#[test]
fn the_module_holds_no_schemas() {
    let module = module();
    assert!(module.iter().any(|feature| feature.starts_with("regorus ")), "{module:?}");
    let of = |name: &str| module.iter().filter(|feature| feature.starts_with(name)).collect::<Vec<_>>();
    assert_eq!(of("schemars"), [""; 0]);
    assert!(!module.contains("everycall-core schema"), "{module:?}");
}

/// Another feature of one of these, and policies or JSON would mean something else in the module than in the tests.
#[test]
fn what_gives_policies_their_meaning_has_the_same_features_in_both_builds() {
    let (module, native) = (module(), features(&["--package", "everycall", "--package", "everycall-tests"]));
    // `RawValue` is another type; no other one means more with it.
    let harmless = ["serde_json raw_value"];
    for name in ["regorus", "serde_json", "serde", "time"] {
        let of = |all: &BTreeSet<String>| -> BTreeSet<String> {
            let own = all.iter().filter(|feature| feature.split(' ').next() == Some(name));
            // A version stands where the feature would.
            let own = own.filter(|feature| !feature[name.len() + 1..].starts_with('v'));
            own.filter(|feature| !harmless.contains(&feature.as_str())).cloned().collect()
        };
        assert!(!of(&module).is_empty(), "{name}");
        assert_eq!(of(&module), of(&native), "{name}");
    }
}
