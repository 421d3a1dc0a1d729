//! The default mappings of AuthZEN's profile for MCP (COAZ), by a policy that reads `Mcp-Method` and `Mcp-Name`.
//! What a mapping takes from other parameters of a body is not there: such a method is refused.

use everycall::mint::TestKey;
use everycall::WireRequest;
use everycall_core::UnixTime;
use serde_json::{json, Map, Value};

use super::{Row, Scenario};
use crate::suite::Vectors;
use crate::suites::attacks::world::{claims, config, get, Forge};

const POLICY: &str = include_str!("coaz.rego");
const ALICE: &str = "alice@example.com";
/// Methods about the server, and those about what `Mcp-Name` names.
const OF_THE_SERVER: [&str; 4] = ["tools/list", "resources/list", "prompts/list", "tasks/list"];
const NAMED: [(&str, &str); 3] =
    [("tools/call", "tool"), ("resources/read", "resource"), ("prompts/get", "prompt")];
/// To whom the decision point says no.
const MALLORY: &str = "mallory@example.com";
/// For whom it does not answer.
const NOBODY: &str = "nobody@example.com";

/// The published binding, and how requests and questions are made from it.
struct Binding {
    file: Value,
    now: UnixTime,
}

pub fn scenario(vectors: &Vectors, now: UnixTime) -> Scenario {
    let binding = Binding { file: vectors.json("authzen/coaz_mcp_binding.json"), now };
    Scenario { config: binding.config(), rows: binding.rows(vectors) }
}

impl Binding {
    /// The claims of the published example, for this caller and from now on.
    fn claims(&self, subject: &str) -> Map<String, Value> {
        let examples = self.file["examples"].as_array().expect("examples");
        let example =
            examples.iter().find(|example| example["id"] == "fig-token-claims").expect("its claims");
        let mut all = claims();
        all.extend(example["json"].as_object().expect("an object").clone());
        all.insert("sub".into(), json!(subject));
        all.insert("iat".into(), json!(self.now.secs()));
        all.insert("exp".into(), json!(self.now.secs() + 300));
        all
    }

    fn config(&self) -> Value {
        let claims = self.claims(ALICE);
        let mut config = config();
        config["issuers"][0]["issuer"] = claims["iss"].clone();
        config["issuers"][0]["audiences"] = json!([claims["aud"]]);
        config["pdps"] = json!({"default": {"protocol": "authzen", "cluster": "pdp", "host": "pdp"}});
        let inline = &mut config["bundle"]["inline"];
        inline["policies"] = json!({"coaz.rego": POLICY});
        inline["data"] = json!({"coaz": {
            "server": claims["aud"],
            "of_the_server": OF_THE_SERVER,
            "named": NAMED.map(|(method, kind)| (method.to_owned(), json!(kind))).into_iter().collect::<Map<_, _>>(),
        }});
        let mut grant = inline["grants"][0].clone();
        inline["grants"] = json!([]);
        for (index, subject) in [ALICE, MALLORY, NOBODY].into_iter().enumerate() {
            grant["id"] = json!(format!("mcp-{index}"));
            grant["subject"] = json!(subject);
            inline["grants"].as_array_mut().expect("a list").push(grant.clone());
        }
        config
    }

    /// What the default mapping of a method makes of these claims, with this parameter for each that it takes.
    fn question(&self, method: &str, claims: &Map<String, Value>, parameter: &str) -> Value {
        fn resolve(value: &Value, claims: &Map<String, Value>, parameter: &str) -> Option<Value> {
            match value {
                Value::Object(members) => {
                    let resolved = members
                        .iter()
                        .filter_map(|(name, value)| Some((name.clone(), resolve(value, claims, parameter)?)));
                    Some(Value::Object(resolved.collect()))
                }
                Value::String(text) => match text.strip_prefix("$token.") {
                    Some(name) => claims.get(name.trim_start_matches('?')).cloned(),
                    None if text.starts_with("$params.") => Some(json!(parameter)),
                    None => Some(value.clone()),
                },
                _ => Some(value.clone()),
            }
        }
        let mapping = &self.file["default_mappings"][method]["evaluation"];
        assert!(mapping.is_object(), "`{method}` has no mapping");
        resolve(mapping, claims, parameter).expect("an object")
    }

    fn rows(&self, vectors: &Vectors) -> Vec<Row> {
        let mut rows = Vec::new();
        let alice = self.claims(ALICE);
        let mut add = |id: String, claims: &Map<String, Value>, headers: &[(&str, &str)], asks, status| {
            // A decision point that does not answer is our 503, where the profile has the error -32603.
            let code = (status == 403).then_some(-32001);
            rows.push(Row { id, request: request(claims, headers), asks, status, code });
        };
        for method in self.file["default_mappings"].as_object().expect("mappings").keys() {
            let is_in_headers =
                OF_THE_SERVER.contains(&method.as_str()) || NAMED.iter().any(|(named, _)| named == method);
            let all = [(ALICE, Some(true), 200), (MALLORY, Some(false), 403), (NOBODY, None, 503)];
            // One row for what we can't ask.
            for (subject, answer, status) in all.into_iter().take(if is_in_headers { 3 } else { 1 }) {
                let claims = self.claims(subject);
                let asks = vec![(self.question(method, &claims, "get_customer"), answer)];
                let headers = [("mcp-method", method.as_str()), ("mcp-name", "get_customer")];
                add(format!("{method}: {subject}"), &claims, &headers, asks, status);
            }
        }
        // Names as MCP encodes them in its header.
        let names = vectors.json("mcp/mcp_http_authorization_cases.json");
        for case in names["header_value_encoding"].as_array().expect("encodings") {
            let (value, header) = (case["value"].as_str(), case["header"].as_str());
            let (value, header) = (value.expect("text"), header.expect("text"));
            let asks = vec![(self.question("tools/call", &alice, value), Some(true))];
            let headers = [("mcp-method", "tools/call"), ("mcp-name", header)];
            add(format!("name {header}"), &alice, &headers, asks, 200);
        }
        let mut without_agent = alice.clone();
        without_agent.remove("client_id");
        let question = self.question("tools/list", &without_agent, "");
        let list = [("mcp-method", "tools/list")];
        add("no client_id".into(), &without_agent, &list, vec![(question, Some(true))], 200);
        let mut audiences = alice.clone();
        audiences.insert("aud".into(), json!([alice["aud"], "https://other.example"]));
        let question = self.question("tools/list", &alice, "");
        add("one audience of two".into(), &audiences, &list, vec![(question, Some(true))], 200);
        for method in ["ping", "notifications/initialized", "notifications/cancelled"] {
            add(format!("passes: {method}"), &alice, &[("mcp-method", method)], Vec::new(), 200);
        }
        for (id, headers) in [
            ("no method", &[("mcp-name", "get_customer")][..]),
            ("an empty method", &[("mcp-method", ""), ("mcp-name", "get_customer")]),
            ("an unknown method", &[("mcp-method", "tools/destroy"), ("mcp-name", "get_customer")]),
            ("a method in capitals", &[("mcp-method", "Tools/List")]),
            ("a longer method", &[("mcp-method", "tools/list/all")]),
            ("almost ping", &[("mcp-method", "pings")]),
            ("almost a notification", &[("mcp-method", "notifications")]),
            ("two methods", &[("mcp-method", "ping"), ("mcp-method", "tools/list")]),
            ("methods in one value", &[("mcp-method", "ping, tools/list")]),
            ("a call of nothing", &[("mcp-method", "tools/call")]),
            ("a call of no name", &[("mcp-method", "tools/call"), ("mcp-name", "")]),
            ("a call of two", &[("mcp-method", "tools/call"), ("mcp-name", "a"), ("mcp-name", "b")]),
            ("a name in broken base64", &[("mcp-method", "tools/call"), ("mcp-name", "=?base64?*?=")]),
        ] {
            add(format!("refused: {id}"), &alice, headers, Vec::new(), 403);
        }
        let request =
            WireRequest { headers: request(&alice, &list).headers.split_off(1), ..request(&alice, &[]) };
        rows.push(Row { id: "refused: no token".into(), request, asks: Vec::new(), status: 401, code: None });
        rows
    }
}

/// The token comes first.
fn request(claims: &Map<String, Value>, headers: &[(&str, &str)]) -> WireRequest {
    let key = TestKey::es256().expect("the test key");
    let token = Forge { header: key.header(), claims: claims.clone() }.signed(&key);
    let mut all = vec![("authorization".to_owned(), format!("Bearer {token}").into_bytes())];
    all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
    WireRequest { method: "POST".into(), scheme: "http".into(), headers: all, ..get("/mcp") }
}
