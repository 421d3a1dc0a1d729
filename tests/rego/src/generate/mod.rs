//! Programs at random: typed, so that OPA takes most of them, of every construct and builtin, with
//! undefined values, errors and conflicts where policies have them.

mod bindings;
mod bodies;
pub mod builtins;
mod calls;
mod documents;
mod functions;
mod replacements;
mod rules;
mod terms;
mod types;

use serde_json::json;

use crate::random::Random;
use crate::tree::{t, Node, Program};
use documents::Known;
use rules::Rule;
use types::Ty;

/// What every run has to have made, beside the builtins that are offered.
pub const CONSTRUCTS: &[&str] = &[
    "complete rule",
    "constant rule",
    "boolean rule",
    "default",
    "default by comprehension",
    "else",
    "several definitions",
    "function",
    "default function",
    "argument pattern: constant",
    "argument pattern: array",
    "argument pattern: object",
    "argument pattern: wildcard",
    "partial set",
    "partial object",
    "partial object, constant key",
    "head p[x][y]",
    "head p[x].r",
    "head p.a[x]",
    "head a.b.c",
    "head p[x] contains",
    "head p.a contains",
    "head a.b(x)",
    "head with :=",
    "head with =",
    "head without body",
    "some x",
    "some x in",
    "some k, v in",
    "some pattern in",
    "every x",
    "every k, v",
    "not",
    "not comprehension",
    "not call",
    "not undefined",
    "not reference with bound key",
    "not membership",
    "x in",
    "k, v in",
    ":=",
    ":= array pattern",
    "=",
    "= array pattern",
    "= object pattern",
    "= both ways",
    "wildcard",
    "comparison",
    "comparison across types",
    "comparison with what is there",
    "arithmetic",
    "set operation",
    "array comprehension",
    "set comprehension",
    "object comprehension",
    "comprehension in head",
    "comprehension in argument",
    "nested comprehension",
    "reference with unbound variable",
    "reference with two unbound variables",
    "reference with bound key",
    "set lookup",
    "set lookup by pattern",
    "rule of another package",
    "package with dynamic key",
    "with input",
    "with part of input",
    "with data",
    "with function",
    "with value for function",
    "with builtin",
    "with rule",
    "several with",
    "walk",
    "import",
    "import alias",
    "import input",
    "absent member",
    "null",
    "false",
    "call that may fail",
    "call with output argument",
    "user call",
    "statement before its variable",
    "shadowed variable",
    "bare term",
    "negative number",
    "raw string",
    "array literal",
    "object literal",
    "set literal",
    "empty set",
    "key that is no text",
    "query of package",
    "query of rule",
    "query without input",
];

/// A variable in reach.
#[derive(Clone)]
struct Variable {
    name: String,
    ty: Ty,
}

/// What makes a program.
struct Maker {
    random: Random,
    known: Vec<Known>,
    /// Those who are made already, which may be referred to.
    rules: Vec<Rule>,
    /// The package that is being written.
    package: usize,
    scope: Vec<Variable>,
    names: usize,
    /// Bodies within bodies.
    nesting: usize,
    /// What packages are called where the module that is being written imports them.
    aliases: Vec<String>,
    claims_imported: bool,
    /// Whether members may be something else than their shape says, and calls may fail.
    wild: bool,
    constructs: Vec<&'static str>,
}

/// The program of this seed.
pub fn program(seed: u64) -> Program {
    let mut random = Random::new(seed);
    let wild = random.percent(25);
    let input = documents::document(&mut random, &documents::input_shape(), wild);
    let mut base = documents::document(&mut random, &documents::data_shape(), wild);
    base["nothing"] = json!(null);
    let mut known = Vec::new();
    let has_input = random.percent(95);
    for (name, ty) in documents::input_shape() {
        let value = input.get(name).filter(|_| has_input);
        documents::known(&format!("input.{name}"), value, &ty, 2, &mut known);
    }
    for (name, ty) in documents::data_shape() {
        documents::known(&format!("data.base.{name}"), base.get(name), &ty, 2, &mut known);
    }
    for absent in
        ["input.absent", "input.user.absent", "input.claims.absent.more", "data.base.absent", "data.absent.x"]
    {
        known.push(Known { path: absent.to_owned(), ty: Ty::Any, value: None });
    }
    let maker = Maker {
        random,
        known,
        rules: Vec::new(),
        package: 0,
        scope: Vec::new(),
        names: 0,
        nesting: 0,
        aliases: Vec::new(),
        claims_imported: false,
        wild,
        constructs: Vec::new(),
    };
    maker.program(json!({"base": base}), has_input.then_some(input))
}

impl Maker {
    fn program(mut self, data: serde_json::Value, input: Option<serde_json::Value>) -> Program {
        if input.is_none() {
            self.mark("query without input");
        }
        let packages = 1 + self.random.below(3);
        let mut modules = Vec::new();
        for package in 0..packages {
            self.package = package;
            let mut rules = Vec::new();
            let imports = self.imports();
            for _ in 0..(2 + self.random.below(4)) {
                self.rule(&mut rules);
            }
            // Definitions of one rule need not be together, and a rule may stand before what it reads.
            if self.random.percent(40) {
                for at in (1..rules.len()).rev() {
                    let other = self.random.below(at + 1);
                    rules.swap(at, other);
                }
            }
            modules.push(Node::Seq(vec![
                t(format!("package {}\n\n", package_name(package))),
                Node::List { between: "", least: 0, items: imports },
                t("\n"),
                Node::List { between: "\n\n", least: 0, items: rules },
                t("\n"),
            ]));
        }
        // Rules that nothing reads are evaluated by a query of their package only.
        let package = if self.random.percent(75) { packages - 1 } else { self.random.below(packages) };
        let mut query = format!("data.{}", package_name(package));
        if self.random.percent(55) {
            self.mark("query of package");
        } else {
            let documents: Vec<_> = self.rules.iter().filter(|rule| rule.arguments.is_none()).collect();
            let near = documents.len().saturating_sub(4);
            if let Some(rule) = documents.get(near + self.random.below(documents.len() - near)) {
                query = format!("data.{}.{}", package_name(rule.package), rule.name);
                self.constructs.push("query of rule");
            }
        }
        self.constructs.sort_unstable();
        self.constructs.dedup();
        Program { modules, data, input, query, constructs: self.constructs }
    }

    fn mark(&mut self, construct: &'static str) {
        debug_assert!(CONSTRUCTS.contains(&construct), "{construct}");
        self.constructs.push(construct);
    }

    fn fresh(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}{}", self.names)
    }

    fn imports(&mut self) -> Vec<Node> {
        let mut imports = Vec::new();
        self.aliases.clear();
        if self.random.percent(20) {
            imports.push(t("import rego.v1\n"));
        }
        for package in 0..self.package {
            if self.random.percent(50) {
                self.mark("import");
                let name = package_name(package);
                self.aliases.push(name.rsplit('.').next().unwrap_or(name).to_owned());
                imports.push(t(format!("import data.{name}\n")));
            } else {
                self.mark("import alias");
                self.aliases.push(format!("q{package}"));
                imports.push(t(format!("import data.{} as q{package}\n", package_name(package))));
            }
        }
        self.claims_imported = self.random.percent(20);
        if self.claims_imported {
            self.mark("import input");
            imports.push(t("import input.claims as who\n"));
        }
        imports
    }
}

fn package_name(package: usize) -> &'static str {
    ["p0", "p1.inner", "p2"].get(package).copied().unwrap_or("p0")
}
