//! Embeds the reference configuration and the case files: a module under Node has no file system.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let config =
        everycall::load::load(&root.join("policies/everycall.yaml")).expect("the reference configuration");
    fs::write(Path::new(&out).join("config.json"), config.to_string()).expect("OUT_DIR is writable");
    let mut list = String::from("&[\n");
    for directory in ["policies/cases", "tests/cases"] {
        let mut files: Vec<_> = fs::read_dir(root.join(directory))
            .expect(directory)
            .map(|entry| entry.expect(directory).path())
            .collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        {
            let path = file.canonicalize().expect("it was listed");
            writeln!(list, "({path:?}, include_str!({path:?})),").expect("a String takes it");
        }
    }
    list.push(']');
    fs::write(Path::new(&out).join("cases.rs"), list).expect("OUT_DIR is writable");
    for watched in ["policies", "tests/cases", "tests/keys"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
}
