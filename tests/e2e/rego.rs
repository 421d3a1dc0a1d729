//! The ways in that a policy engine leaves open where it takes what is undefined for a value, the last of
//! several for the only one, or skips what it doesn't know: each with its neighbours, in a rule that
//! allows and under `not`, with the answers that OPA gives (`tests/rego/cases/faults.json`).

use everycall::cases::CaseFile;
use serde::Deserialize;
use serde_json::{json, Value};

use crate::world::{now, World};

const CALLER: &str = "spiffe://shop.example/ns/checkout/sa/checkout";

/// A policy with its input, and what OPA says `data.authz.allow` is: a boolean, or an error.
#[derive(Deserialize)]
struct Fault {
    fault: u32,
    what: String,
    modules: Vec<String>,
    data: Value,
    input: Value,
    want: Value,
}

impl Fault {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../rego/cases/faults.json")).unwrap()
    }

    /// The modules in a package of the case's own. What the case has at the top of its input are claims here.
    fn policies(&self, number: usize) -> Vec<(String, String)> {
        let at_top = regex::Regex::new(r"\binput\.(user|name|roles|absent)\b").unwrap();
        let named = |(index, text): (usize, &String)| {
            let text = at_top.replace_all(text, "input.identity.claims.$1");
            if text.starts_with("package authz\n") {
                let text = text.replacen("package authz", &format!("package everycall.case_{number}"), 1);
                (format!("case_{number}.rego"), format!("{text}\ndecision := {{\"allow\": allow}}\n"))
            } else {
                (format!("facts_{index}.rego"), text.into_owned())
            }
        };
        self.modules.iter().enumerate().map(named).collect()
    }

    /// The claims of the caller's token.
    fn claims(&self) -> Value {
        let mut claims = self.input["identity"]["claims"].clone();
        for name in ["user", "name", "roles"] {
            claims[name] = self.input[name].clone();
        }
        claims["sub"] = json!(CALLER);
        claims
    }

    /// Status and reason that OPA's answer comes to.
    fn outcome(&self) -> (u16, &'static str) {
        match &self.want {
            want if want["value"] == true => (200, "allowed"),
            want if want["value"] == false => (403, "policy_denied"),
            want if want == "error" => (403, "policy_error"),
            want => panic!("{}: {want}", self.what),
        }
    }
}

#[test]
fn what_let_callers_in_is_as_in_opa() {
    let faults = Fault::all();
    let mut config = everycall_tests::cases::reference().unwrap();
    let bundle = &mut config["bundle"]["inline"];
    bundle["data"]["base"] = faults[0].data["base"].clone();
    for (number, fault) in faults.iter().enumerate() {
        assert_eq!((&fault.data, &fault.input), (&faults[0].data, &faults[0].input), "{}", fault.what);
        for (file, text) in fault.policies(number) {
            bundle["policies"][file] = json!(text);
        }
        bundle["grants"].as_array_mut().unwrap().push(json!({
            "id": format!("case_{number}"), "owner": "o", "purpose": "p", "subject": CALLER, "hosts": ["t"],
            "methods": ["GET"], "kinds": ["workload"], "paths": [format!("/{number}")], "policy": format!("case_{number}")}));
    }
    let world = World::with(&config);
    let mut wrong = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        let case = json!({"name": "a", "expect": {"decision": "allow"},
            "request": {"method": "GET", "host": "t", "path": format!("/{number}")},
            "token": {"issuer": "https://id.shop.example/workloads", "claims": fault.claims()}});
        let file = json!({"about": "a", "cases": [case]}).to_string();
        let request = CaseFile::parse("inline", &file).unwrap().cases[0].request(&config, now()).unwrap();
        let seen = world.send("only", &request);
        let outcome = (seen.response.status, seen.reason());
        if outcome != fault.outcome() || (outcome.0 == 200) == seen.upstream.is_empty() {
            wrong.push(format!("{}: {}: {outcome:?}, not {:?}", fault.fault, fault.what, fault.outcome()));
        }
    }
    world.assert_no_crash();
    eprintln!(
        "{} policies in Envoy, {} of them refused",
        faults.len(),
        faults.iter().filter(|f| f.outcome().0 != 200).count()
    );
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), faults.len(), wrong.join("\n"));
    for number in 1..=7 {
        let of = faults.iter().filter(|fault| fault.fault == number);
        let (under_not, allowing): (Vec<_>, Vec<_>) = of.partition(|fault| fault.what.ends_with("under not"));
        assert!(under_not.len() >= 4 && under_not.len() == allowing.len(), "fault {number}");
    }
}
