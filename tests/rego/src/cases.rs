//! OPA's compliance cases: what each expects, how it is asked, and what may be refused. Without I/O, so
//! that it runs on the module's target, too.

use std::collections::BTreeMap;
use std::fmt;

use everycall_rego::{Object, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ours::{Evaluate, Ours};

/// As many of the cases as may be refused.
pub const MAY_BE_REFUSED: usize = 270;

/// What policies may not use, by what a case that uses it holds: the names of the groups that are printed.
const LEFT_OUT: &[(&str, &[&str])] = &[
    ("graphql", &["graphql."]),
    ("io.jwt", &["io.jwt."]),
    ("x509 and keys", &["crypto.x509.", "crypto.parse_"]),
    ("aws", &["providers.aws."]),
    ("json schema", &["json.match_schema", "json.verify_schema"]),
    ("yaml", &["yaml."]),
    ("http.send", &["http.send"]),
    ("regex.globs_match", &["regex.globs_match"]),
    ("rego.metadata", &["rego.metadata.", "rego.parse_module"]),
    ("strings.render_template", &["strings.render_template"]),
    ("opa.runtime", &["opa.runtime"]),
    ("template strings", &["$\"", "$`"]),
    ("net.lookup", &["net.lookup_ip_addr"]),
    ("rand", &["rand."]),
    ("uuid.rfc4122", &["uuid.rfc4122"]),
    ("time zones", &["America/", "Asia/", "Europe/", "\"Local\""]),
    ("time.format, parse_ns, diff", &["time.format", "time.parse_ns", "time.diff"]),
    ("urlquery", &["urlquery."]),
    ("net.cidr_merge, expand, intersects", &["net.cidr_merge", "net.cidr_expand", "net.cidr_intersects"]),
    ("graph.reachable_paths", &["graph.reachable_paths"]),
];

/// The cases of this folder use keywords as references.
const KEYWORD_REFERENCES: (&str, &str) = ("keyword references", "keywordrefs");

#[derive(Deserialize)]
struct File<'t> {
    #[serde(borrow)]
    cases: Vec<Case<'t>>,
}

/// One case, as it is published.
#[derive(Deserialize)]
pub struct Case<'t> {
    /// What it is about.
    pub note: String,
    folder: String,
    query: String,
    #[serde(default)]
    modules: Option<Vec<String>>,
    #[serde(borrow, default)]
    data: Option<&'t RawValue>,
    #[serde(borrow, default)]
    input: Option<&'t RawValue>,
    #[serde(default)]
    input_term: Option<String>,
    #[serde(borrow, default)]
    want_result: Option<Vec<BTreeMap<String, &'t RawValue>>>,
    #[serde(default)]
    want_error_code: Option<String>,
    #[serde(default)]
    sort_bindings: bool,
    #[serde(default)]
    strict_error: bool,
}

/// What a case wants.
enum Want {
    Undefined,
    Conflict,
    /// Values of one variable, by one path.
    Value(Value),
    /// One object for each way to satisfy the query.
    Results(Vec<Value>),
}

/// How the cases of one folder did.
#[derive(Default)]
struct Tally {
    met: usize,
    refused: usize,
    failed: usize,
}

/// What running the cases came to.
#[derive(Default)]
pub struct Report {
    folders: BTreeMap<String, Tally>,
    refused: BTreeMap<&'static str, usize>,
    /// What failed: the case, what it expects, what it got.
    pub failures: Vec<String>,
}

impl Report {
    fn sum(&self, count: impl Fn(&Tally) -> usize) -> usize {
        self.folders.values().map(count).sum()
    }

    /// Whether every case is as in OPA, or refused and may be.
    pub fn met(&self) -> bool {
        self.failures.is_empty() && self.sum(|tally| tally.refused) <= MAY_BE_REFUSED
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{failure}\n")?;
        }
        for (folder, Tally { met, refused, failed }) in &self.folders {
            writeln!(f, "{folder:<40} {met:>4} as in OPA {refused:>4} refused {failed:>4} failed")?;
        }
        writeln!(f, "\nrefused, by what is left out:")?;
        for (group, cases) in &self.refused {
            writeln!(f, "  {group:<38} {cases:>4}")?;
        }
        let [met, refused, failed] =
            [self.sum(|tally| tally.met), self.sum(|tally| tally.refused), self.sum(|tally| tally.failed)];
        write!(
            f,
            "{} cases: {met} as in OPA, {refused} refused (at most {MAY_BE_REFUSED}), {failed} failed",
            met + refused + failed
        )
    }
}

/// Runs the cases whose note contains `only`.
pub fn run(text: &str, only: &str, evaluate: Evaluate) -> Result<Report, serde_json::Error> {
    let file: File<'_> = serde_json::from_str(text)?;
    let mut report = Report::default();
    for case in file.cases.iter().filter(|case| case.note.contains(only)) {
        let tally = report.folders.entry(case.folder.clone()).or_default();
        match case.run(evaluate) {
            Ok(()) => tally.met += 1,
            Err(Failed::Refused(group)) => {
                tally.refused += 1;
                *report.refused.entry(group).or_default() += 1;
            }
            Err(Failed::Differs(text)) => {
                tally.failed += 1;
                report.failures.push(text);
            }
        }
    }
    Ok(report)
}

enum Failed {
    Refused(&'static str),
    Differs(String),
}

impl Case<'_> {
    fn run(&self, evaluate: Evaluate) -> Result<(), Failed> {
        let mut modules: Vec<(String, String)> = Vec::new();
        for (at, text) in self.modules.iter().flatten().enumerate() {
            modules.push((format!("case-{at}.rego"), text.clone()));
        }
        let empty = Value::from(Object::default());
        let data = match self.data {
            Some(text) => self.read(text)?,
            None => empty.clone(),
        };
        let input = match (&self.input, &self.input_term) {
            (Some(text), _) => Some(self.read(text)?),
            (None, Some(term)) => {
                let module =
                    [("input.rego".to_owned(), format!("package everycall_input\n\nterm := {term}\n"))];
                match evaluate(&module, &empty, None, "data.everycall_input.term") {
                    Ours::Value(value) => Some(value),
                    other => return Err(self.judge_refusal("the term of its input", &other)),
                }
            }
            (None, None) => None,
        };
        let want = self.want()?;
        let asked = |way: &str, entry: &str, modules: &[(String, String)]| {
            let got = evaluate(modules, &data, input.as_ref(), entry);
            match self.meets(&want, &got) {
                true => Ok(()),
                false => Err(self.judge(way, &want, &got, modules)),
            }
        };
        let Some((path, _)) = self.path() else {
            modules.push(("query.rego".to_owned(), self.query_module()));
            return asked("its query", "data.everycall_query.results", &modules);
        };
        asked("the rule itself", path, &modules)?;
        if path == "data" {
            return Ok(());
        }
        modules.push(("reader.rego".to_owned(), format!("package everycall_reader\n\nresult := {path}\n")));
        asked("the rule, read by another", "data.everycall_reader.result", &modules)
    }

    /// The path and the variable, if that is all that the query is: `data.a.p = x`, `data.a.f(1) = x`.
    fn path(&self) -> Option<(&str, &str)> {
        let (path, variable) = self.query.split_once(" = ")?;
        let name = |text: &str| {
            text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !text.starts_with(|c: char| c.is_ascii_digit())
        };
        let (names, call) = path.split_once('(').map_or((path, None), |(names, rest)| (names, Some(rest)));
        let simple = call
            .is_none_or(|rest| rest.strip_suffix(')').is_some_and(|argument| argument.parse::<u8>().is_ok()));
        (simple
            && (path == "data" || path.starts_with("data."))
            && names.split('.').all(name)
            && name(variable))
        .then_some((path, variable))
    }

    /// A rule that holds one object for each way to satisfy the query.
    fn query_module(&self) -> String {
        let variables = self.want_result.iter().flatten().next();
        let members: Vec<String> =
            variables.into_iter().flat_map(BTreeMap::keys).map(|name| format!("{name:?}: {name}")).collect();
        format!(
            "package everycall_query\n\nresults contains {{{}}} if {{\n\t{}\n}}\n",
            members.join(", "),
            self.query.trim()
        )
    }

    fn want(&self) -> Result<Want, Failed> {
        let direct = self.path().is_some();
        match self.want_error_code.as_deref() {
            Some("eval_conflict_error") => return Ok(Want::Conflict),
            // A package is an object also where the value of its rule is undefined.
            Some(_) if self.note == "baseandvirtualdocs/enumerate virtual errors" => {
                return Ok(Want::Value(Value::from_json(r#"{"b": {"c": {}}}"#).unwrap_or(Value::Null)));
            }
            // An error of a builtin is one where OPA is asked to be strict, and undefined otherwise.
            Some(_) if self.strict_error && direct => return Ok(Want::Undefined),
            Some(_) if self.strict_error => return Ok(Want::Results(Vec::new())),
            Some(code) => return Err(Failed::Differs(format!("{}: what is {code}?", self.note))),
            None => {}
        }
        let mut results = Vec::new();
        for bindings in self.want_result.iter().flatten() {
            let mut members = Vec::new();
            for (name, text) in bindings {
                let value = self.read(text)?;
                members.push((Value::from(name.as_str()), self.sorted(value)));
            }
            results.push(Value::from(Object::from(members)));
        }
        if !direct {
            results.sort();
            return Ok(Want::Results(results));
        }
        Ok(match results.first().and_then(Value::as_object).and_then(|bindings| bindings.values().next()) {
            Some(value) => Want::Value(value.clone()),
            None => Want::Undefined,
        })
    }

    fn meets(&self, want: &Want, got: &Ours) -> bool {
        match (want, got) {
            (Want::Undefined, Ours::Undefined) | (Want::Conflict, Ours::Error(_)) => true,
            (Want::Value(want), Ours::Value(got)) => *want == self.sorted(plain(got)),
            (Want::Results(want), Ours::Value(Value::Set(got))) => {
                let mut got: Vec<_> = got.iter().map(plain).collect();
                got.sort();
                *want == got
            }
            _ => false,
        }
    }

    fn sorted(&self, value: Value) -> Value {
        match value.as_array() {
            Some(items) if self.sort_bindings => {
                let mut items = items.to_vec();
                items.sort();
                Value::from(items)
            }
            _ => value,
        }
    }

    fn read(&self, text: &RawValue) -> Result<Value, Failed> {
        Value::from_json(text.get())
            .ok_or_else(|| Failed::Differs(format!("{}: cannot read {text}", self.note)))
    }

    /// What is left out that this case uses.
    fn group(&self) -> Option<&'static str> {
        if self.folder == KEYWORD_REFERENCES.1 {
            return Some(KEYWORD_REFERENCES.0);
        }
        let holds = |sign: &&str| {
            let mut texts = self.modules.iter().flatten().chain([&self.query]).chain(&self.input_term);
            texts.any(|text| text.contains(sign))
        };
        LEFT_OUT.iter().find(|(_, signs)| signs.iter().any(&holds)).map(|(group, _)| *group)
    }

    fn judge_refusal(&self, what: &str, got: &Ours) -> Failed {
        match (self.group(), got) {
            (Some(group), Ours::Refused(_)) => Failed::Refused(group),
            _ => Failed::Differs(format!("FAILED {}: {what}\n  got       {got}", self.note)),
        }
    }

    fn judge(&self, way: &str, want: &Want, got: &Ours, modules: &[(String, String)]) -> Failed {
        if let (Some(group), Ours::Refused(_)) = (self.group(), got) {
            return Failed::Refused(group);
        }
        let want = match want {
            Want::Undefined => "undefined".to_owned(),
            Want::Conflict => "an error, as values conflict".to_owned(),
            Want::Value(value) => value.to_json().to_string(),
            Want::Results(values) => Value::from(values.clone()).to_json().to_string(),
        };
        let got = match got {
            Ours::Value(value) => self.sorted(plain(value)).to_json().to_string(),
            other => other.to_string(),
        };
        let mut text = format!("FAILED {} ({way})\n  expected  {want}\n  got       {got}", self.note);
        for (name, module) in modules {
            text.push_str(&format!("\n  -- {name}"));
            for line in module.lines() {
                text.push_str("\n  ");
                text.push_str(line);
            }
        }
        for (name, json) in [("data", &self.data), ("input", &self.input)] {
            if let Some(json) = json {
                text.push_str(&format!("\n  -- {name}: {json}"));
            }
        }
        if let Some(term) = &self.input_term {
            text.push_str(&format!("\n  -- input: {term}"));
        }
        Failed::Differs(text)
    }
}

/// A value as OPA writes results: sets as arrays, keys that are no texts as their JSON, bytes that are no
/// text as what stands for them.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::from(items.iter().map(plain).collect::<Vec<_>>()),
        Value::Set(items) => Value::from(items.iter().map(plain).collect::<Vec<_>>()),
        Value::Object(members) => Value::from(
            members
                .iter()
                .map(|(key, value)| {
                    let key = match key {
                        Value::String(_) => plain(key),
                        other => Value::from(other.to_json().to_string()),
                    };
                    (key, plain(value))
                })
                .collect::<Object>(),
        ),
        Value::String(_) => Value::from(value.to_json()),
        scalar => scalar.clone(),
    }
}
