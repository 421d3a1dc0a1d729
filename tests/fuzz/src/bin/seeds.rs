//! `seeds DIRECTORY CASES...`: the first inputs of the fuzzer, from cases of the project and OPA's own, and a
//! dictionary of what policies are written with. The inputs are tried on the way: none may fail.

use std::collections::BTreeMap;
use std::path::Path;

use everycall_fuzz::{run, BETWEEN};
use everycall_rego::offered_builtins;
use serde_json::Value;

const WORDS: &[&str] = &[
    "package p\n",
    "import data.",
    "import input.",
    "default ",
    " := ",
    " = ",
    " != ",
    " >= ",
    " if ",
    " contains ",
    " else ",
    "some ",
    " in ",
    "every ",
    "not ",
    " with input as ",
    " with data.",
    " as ",
    "{ ",
    " }",
    "[_]",
    " | ",
    " & ",
    "input.",
    "data.",
    "set()",
    "null",
    "true",
    "false",
    "`",
    "\"",
    "\\u0000",
    "1e308",
    "-0",
    "😀",
    "\n",
    BETWEEN,
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: seeds DIRECTORY CASES...")?;
    let directory = Path::new(&directory);
    let corpus = directory.join("corpus");
    std::fs::create_dir_all(&corpus)?;
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    let mut written = 0_usize;
    for file in arguments {
        for case in cases(&std::fs::read_to_string(&file)?)? {
            let Some(modules) = case.get("modules").and_then(Value::as_array) else { continue };
            let documents = serde_json::json!({"data": case.get("data"), "input": case.get("input")});
            let texts: Vec<&str> = modules.iter().filter_map(Value::as_str).collect();
            let input = format!("{documents}{BETWEEN}{}", texts.join(BETWEEN));
            *counted.entry(format!("{:?}", run(input.as_bytes()))).or_default() += 1;
            std::fs::write(corpus.join(format!("seed-{written:05}")), input)?;
            written += 1;
        }
    }
    let builtins = offered_builtins();
    let words: Vec<String> =
        WORDS.iter().chain(&builtins).map(|word| format!("\"{}\"\n", escaped(word))).collect();
    std::fs::write(directory.join("dictionary"), words.concat())?;
    println!("{written} first inputs {counted:?}, {} words", words.len());
    Ok(())
}

/// A file of cases is JSON, or JSON by lines.
fn cases(file: &str) -> serde_json::Result<Vec<Value>> {
    match serde_json::from_str(file) {
        Ok(Value::Array(cases)) => Ok(cases),
        Ok(Value::Object(file)) => {
            Ok(file.get("cases").and_then(Value::as_array).cloned().unwrap_or_default())
        }
        _ => file.lines().map(serde_json::from_str).collect(),
    }
}

/// The text of a module, as the fuzzer's dictionaries have it.
fn escaped(word: &str) -> String {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' | 0..0x20 | 0x7f.. => format!("\\x{byte:02x}"),
        plain => char::from(plain).to_string(),
    };
    word.bytes().map(byte).collect()
}
