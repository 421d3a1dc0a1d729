//! Embeds the reference configuration, the case files and, for the feature `conformance`, the vectors:
//! a module under Node has no file system.

#[path = "../conformance/files.rs"]
mod files;

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use files::files_below;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let mut config =
        everycall::load::load(&root.join("policies/everycall.yaml")).expect("the reference configuration");
    // There is no server here that could tell of them.
    config.as_object_mut().expect("an object").remove("revocations");
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
    for watched in ["policies", "tests/cases", "tests/keys", "tests/conformance/files.rs"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    if env::var_os("CARGO_FEATURE_CONFORMANCE").is_some() {
        embed_vectors(Path::new(&out));
    }
}

fn embed_vectors(out: &Path) {
    println!("cargo::rerun-if-env-changed=EVERYCALL_VECTORS");
    let folder = env::var("EVERYCALL_VECTORS").expect("EVERYCALL_VECTORS names the folder of vectors");
    let folder = Path::new(&folder).canonicalize().expect(&folder);
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut list = String::from("&[\n");
    for (name, path) in files_below(&folder) {
        writeln!(list, "({name:?}, include_bytes!({path:?})),").expect("a String takes it");
    }
    list.push(']');
    fs::write(out.join("vectors.rs"), list).expect("OUT_DIR is writable");
}
