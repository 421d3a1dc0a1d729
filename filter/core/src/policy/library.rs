//! The modules of a bundle, and how a rule set is compiled from them.

use std::sync::Arc;

use everycall_rego::{Budget, Planning, Site, Value};

use super::{opa, Entrypoint, RuleSet};
use crate::base::reads::Names;
use crate::config::{InputFormat, Limits};
use crate::input::{self, Slots};

/// One module: its file, and its text.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
}

/// A rule set that is being compiled.
#[derive(Debug)]
pub(crate) struct Compiling {
    entry: Entrypoint,
    /// It may ask.
    asks: bool,
    planning: Planning,
}

/// The modules of a bundle, parsed, and their data: what rule sets are compiled from.
#[derive(Debug)]
pub(crate) struct Library {
    rego: everycall_rego::Library,
    sources: Arc<Vec<Source>>,
}

impl Default for Library {
    fn default() -> Self {
        Self { rego: everycall_rego::Library::in_slices("signals"), sources: Arc::default() }
    }
}

impl Library {
    /// A piece of what policies see as `data`.
    ///
    /// # Errors
    /// Two pieces have a value at one place.
    pub(crate) fn add_data(
        &mut self,
        data: serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), String> {
        self.rego.add_data(Value::from(serde_json::Value::Object(data)))
    }

    /// Takes one module, which [`Self::read`] parses.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub(crate) fn begin(&mut self, file: &str, text: &str) -> Result<(), String> {
        self.rego.begin(file, text)?;
        let source = Source { file: file.to_owned(), text: text.to_owned() };
        Arc::make_mut(&mut self.sources).push(source);
        Ok(())
    }

    /// Parses a part of it: a few milliseconds at most. Whether there is more.
    ///
    /// # Errors
    /// `file:line:column: message`.
    pub(crate) fn read(&mut self) -> Result<bool, String> {
        self.rego.read()
    }

    /// Drops some of what it holds; whether there is more.
    pub(crate) fn take_apart(&mut self) -> bool {
        self.rego.take_apart()
    }

    /// Begins to compile a rule set of the modules that were read.
    ///
    /// # Errors
    /// None has its package.
    pub(crate) fn begin_rule_set(&self, entry: Entrypoint) -> Result<Compiling, String> {
        let Entrypoint { package, rule, format } = &entry;
        if !self.rego.has_package(package) {
            return Err(format!("no module has the package `{package}`"));
        }
        let (decision, ask) = (format!("{package}.{rule}"), format!("{package}.ask"));
        let entries = [decision.as_str(), ask.as_str()];
        // OPA-Envoy knows no questions: a rule that happens to be called so is only a rule.
        let asks = *format == InputFormat::Everycall && self.rego.declares(package, "ask");
        let planning = Planning::of(if asks { &entries } else { entries.get(..1).unwrap_or_default() });
        Ok(Compiling { entry, asks, planning })
    }

    /// Compiles some of a rule set, for a few milliseconds at most; the whole, once it is done.
    ///
    /// # Errors
    /// Its rule is missing, something does not compile, or a builtin or a member of `input` is not
    /// offered: each place with what to write instead, where that is known.
    pub(crate) fn compile(
        &mut self,
        compiling: &mut Compiling,
        limits: &Limits,
    ) -> Result<Option<RuleSet>, Vec<String>> {
        let Compiling { entry, asks, planning } = compiling;
        let Entrypoint { package, rule, format } = &*entry;
        let Some(plan) = self.rego.go_on(planning)? else { return Ok(None) };
        if !self.rego.declares(package, rule) {
            return Err(vec![format!("the package `{package}` has no rule `{rule}`")]);
        }
        if let Some(path) = self.rego.overlaps().first() {
            return Err(vec![format!("`data` and rules overlap: base data stands at the rule `{path}`")]);
        }
        let (slots, mut reads) = Slots::resolve(*format, plan.inputs().map(|(path, _)| path));
        if reads.any(&["signals"]) && self.rego.mentions(&plan) {
            reads.name_signals();
        }
        let mut refused = Vec::new();
        for (path, site) in plan.inputs() {
            let absent = match format {
                InputFormat::OpaEnvoy => opa::absent(path),
                InputFormat::Everycall => None,
            };
            if let Some((absent, instead)) = absent.or_else(|| input::renamed(*format, path)) {
                refused.push(self.at(site, &format!("`input.{absent}` is not there: {instead}")));
            }
        }
        for (site, slot) in plan.conditions() {
            if let Some(path) = plan.input(slot).filter(|_| slots.is_nullable(slot)) {
                let message = format!(
                    "`input.{}` is null where there is none, and null holds as a condition: compare it with null",
                    path.join(".")
                );
                refused.push(self.at(site, &message));
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let number = |limit: usize| u64::try_from(limit).unwrap_or(u64::MAX);
        Ok(Some(RuleSet {
            budget: Budget::new(number(*limits.instructions), number(*limits.builtin_work)),
            headers: Names::of(&reads, &["request", "headers"]),
            query: Names::of(&reads, &["request", "query"]),
            connection: Names::of(&reads, &["connection"]),
            sources: Arc::clone(&self.sources),
            entry: entry.clone(),
            plan,
            asks: *asks,
            slots,
            reads,
        }))
    }

    #[cfg(test)]
    pub(crate) fn rule_set(&mut self, entry: Entrypoint, limits: &Limits) -> Result<RuleSet, Vec<String>> {
        let mut compiling = self.begin_rule_set(entry).map_err(|message| vec![message])?;
        loop {
            if let Some(rules) = self.compile(&mut compiling, limits)? {
                return Ok(rules);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn add(&mut self, file: &str, text: &str) -> Result<(), String> {
        self.begin(file, text)?;
        while self.read()? {}
        Ok(())
    }

    /// `file:line: message`.
    fn at(&self, site: Site, message: &str) -> String {
        let file = self.rego.source(site).map_or("", |(file, _)| file);
        format!("{file}:{}: {message}", site.line)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value as Json};

    use super::*;

    fn library(modules: &[&str], data: &Json) -> Library {
        let mut library = Library::default();
        for (at, module) in modules.iter().enumerate() {
            library.add(&format!("{at}.rego"), module).unwrap();
        }
        library.add_data(data.as_object().cloned().unwrap()).unwrap();
        library
    }

    fn compiled(entry: Entrypoint, modules: &[&str], data: &Json) -> Result<RuleSet, Vec<String>> {
        library(modules, data).rule_set(entry, &Limits::default())
    }

    fn refused(entry: Entrypoint, modules: &[&str], data: &Json) -> Vec<String> {
        compiled(entry, modules, data).err().unwrap_or_default()
    }

    #[test]
    fn what_is_null_where_there_is_none_is_no_condition() {
        let own = |body: &str| {
            let module = format!("package everycall\n\nimport input.identity as who\n\nx := input.time\n\ndecision := {{\"allow\": true}} if {body}");
            refused(Entrypoint::named(None), &[&module], &json!({}))
        };
        for (body, line, member) in [
            ("input.identity", 7, "identity"),
            ("{\n\t# a comment\n\tinput.identity.task\n}", 9, "identity.task"),
            ("{ x > 1; input.elevation; true }", 7, "elevation"),
            ("{\n  input[\"exception\"]\n}", 8, "exception"),
            ("who", 7, "identity"),
            ("who.on_behalf_of", 7, "identity.on_behalf_of"),
            ("not input.exception", 7, "exception"),
            ("count([1 | input.grant.ticket]) == 1", 7, "grant.ticket"),
        ] {
            let expected = format!("0.rego:{line}: `input.{member}` is null where there is none, and null holds as a condition: compare it with null");
            assert_eq!(own(body), [expected], "{body}");
        }
        for body in [
            "input.identity.id",
            "input.identity != null",
            "is_object(input.identity)",
            "{\n\tinput.identity.task.id == \"x\"\n}",
            "x == input.identity",
            "true # input.identity",
            "{ y := input.identity; y.id == \"a\" }",
            "input.connection",
            "who.kind",
        ] {
            assert_eq!(own(body), [""; 0], "{body}");
        }
        let module = "package envoy.authz\n\nallow if input.everycall.identity";
        let found = refused(Entrypoint::opa(None).unwrap(), &[module], &json!({}));
        assert!(
            found.len() == 1 && found[0].starts_with("0.rego:3: `input.everycall.identity` is null"),
            "{found:?}"
        );
    }

    #[test]
    fn members_that_are_absent_in_the_other_form_are_refused_where_they_are_read() {
        let opa = |body: &str| {
            let module = format!(
                "package envoy.authz\n\nimport input.attributes.request.http as r\n\nallow if {body}"
            );
            refused(
                Entrypoint::opa(None).unwrap(),
                &[&module, "package lib\n\nok if input.truncated_body"],
                &json!({}),
            )
        };
        for (body, message) in [
            ("input.parsed_body.a == 1", "0.rego:5: `input.parsed_body` is not there: everycall decides before the body"),
            ("not r.body", "0.rego:5: `input.attributes.request.http.body` is not there"),
            ("r.headers.authorization != \"\"", "0.rego:5: `input.attributes.request.http.headers.authorization` is not there: no policy sees"),
            ("data.lib.ok", "1.rego:3: `input.truncated_body` is not there"),
            ("input.attributes.metadataContext.filterMetadata.x", "0.rego:5: `input.attributes.metadataContext` is not there"),
            // As protobuf and Go spell it.
            ("input.attributes.metadata_context.x", "0.rego:5: `input.attributes.metadataContext` is not there"),
            ("r.RawBody", "0.rego:5: `input.attributes.request.http.rawBody` is not there"),
        ] {
            let found = opa(body);
            assert!(found.len() == 1 && found[0].starts_with(message), "{body}: {found:?}");
        }
        for body in [
            "r.method == \"GET\"",
            "r.headers[\"x-a\"] == \"\"",
            "count(input) > 0",
            "input.attributes.source.principal",
        ] {
            assert_eq!(opa(body), [""; 0], "{body}");
        }
    }

    /// A rule that negates what is read under a name of before would hold for everybody.
    #[test]
    fn names_of_before_are_refused_where_they_are_read() {
        let own = |body: &str| {
            let module = format!("package everycall\n\nimport input.identity as who\n\ndecision := {{\"allow\": true}} if {body}");
            refused(Entrypoint::named(None), &[&module], &json!({}))
        };
        for (body, name) in [
            ("not input.identity.principal == \"x\"", "identity.principal"),
            ("who.principal != null", "identity.principal"),
            ("who[\"principal\"] == \"x\"", "identity.principal"),
            ("count(object.get(input.signals, \"principal\", {})) == 0", ""),
            ("not input.signals.principal.risk", "signals.principal.risk"),
        ] {
            let expected =
                format!("0.rego:5: `input.{name}` is not there: it is called `on_behalf_of`, beside it");
            let expected: Vec<String> = Some(expected).filter(|_| !name.is_empty()).into_iter().collect();
            assert_eq!(own(body), expected, "{body}");
        }
        for body in [
            "who.on_behalf_of != null",
            "who.claims.principal == \"x\"",
            "input.grant.params.principal == \"x\"",
        ] {
            assert_eq!(own(body), [""; 0], "{body}");
        }
        let opa = "package envoy.authz\n\nallow if input.attributes.source.principal == input.everycall.identity.principal";
        let found = refused(Entrypoint::opa(None).unwrap(), &[opa], &json!({}));
        assert_eq!(found, ["0.rego:3: `input.everycall.identity.principal` is not there: it is called `on_behalf_of`, beside it"]);
    }

    #[test]
    fn entry_points_are_written_with_dots() {
        assert!(Entrypoint::opa(Some("istio.authz.allow")).is_ok());
        for text in ["envoy/authz/allow", "data.envoy.authz.allow", "data/envoy/authz/allow"] {
            let expected = format!("write `{text}` as `envoy.authz.allow`");
            assert_eq!(Entrypoint::opa(Some(text)), Err(expected));
        }
        for text in ["", "allow", "a b.c", "/envoy/authz/allow", "1.a"] {
            assert!(Entrypoint::opa(Some(text)).is_err_and(|why| why.contains("is not a package")), "{text}");
        }
    }

    #[test]
    fn what_decides_is_a_rule_of_its_package() {
        let named = || Entrypoint::named(Some("a"));
        let one = |module: &str, data: Json| refused(named(), &[module], &data);
        assert_eq!(one("package everycall", json!({})), ["no module has the package `everycall.a`"]);
        let missing = ["the package `everycall.a` has no rule `decision`"];
        assert_eq!(one("package everycall.a\nx := 1", json!({})), missing);
        let by_data = json!({"everycall": {"a": {"decision": {"allow": true}}}});
        assert_eq!(one("package everycall.a\nx := 1", by_data), missing);
        let below = ["package everycall.a\nx := 1", "package everycall.a.decision\nallow := true"];
        assert_eq!(refused(named(), &below, &json!({})), missing);
        assert!(one("package everycall.a\ndecision.allow := true", json!({})).is_empty());
        let asks = |modules: &[&str]| compiled(named(), modules, &json!({})).unwrap().asks;
        let decides = "package everycall.a\ndecision := {\"allow\": true}";
        assert!(!asks(&[decides]) && !asks(&[decides, "package everycall.a.ask\nx := 1"]));
        assert!(asks(&[decides, "package everycall.a\nask contains 1"]));
    }

    #[test]
    fn base_data_has_no_place_where_rules_stand() {
        let module = "package everycall.a\ndecision := {\"allow\": true}\nlimits[k] := 1 if some k in [\"x\"]\nq.r := 1";
        let with = |data: Json| refused(Entrypoint::named(Some("a")), &[module], &data);
        for (data, rule) in [
            (json!({"decision": {"allow": true}}), "decision"),
            (json!({"decision": null}), "decision"),
            (json!({"limits": {"y": 2}}), "limits"),
            (json!({"q": {"r": {"x": 1}}}), "q.r"),
            (json!({"q": 1}), "q.r"),
        ] {
            let found = with(json!({"everycall": {"a": data}}));
            assert_eq!(
                found,
                [format!("`data` and rules overlap: base data stands at the rule `data.everycall.a.{rule}`")],
                "{data}"
            );
        }
        assert_eq!(with(json!({"everycall": {"a": {"other": 1, "q": {"s": 1}}, "b": 1}, "c": 1})), [""; 0]);
        assert!(!with(json!({"everycall": 1})).is_empty());
    }

    #[test]
    fn signals_are_read_where_they_are_named() {
        let reads = |body: &str| {
            let module = format!("package everycall.a\ndecision := {{\"allow\": true}} if {body}");
            let other = "package other\nx if input.signals.task.risk";
            compiled(Entrypoint::named(Some("a")), &[&module, other], &json!({})).unwrap().reads_signals()
        };
        for body in [
            "input.signals.task.risk == 1",
            "not input[\"s\\u0069gnals\"].task",
            "{ all := input; not all.signals.task.risk }",
            "{ name := \"signals\"; not input[name].task.risk }",
            "object.get(input, [\"signals\", \"task\"], 1) == 1",
            "data.other.x",
        ] {
            assert!(reads(body), "{body}");
        }
        for body in [
            "count(input) > 0",
            "true # signals",
            "input.request.path == \"/signals\"",
            "count(input) > 0 # signals",
        ] {
            assert!(!reads(body), "{body}");
        }
    }
}
