//! The values that the rules of one evaluation looked at, for explanations.

use std::collections::{BTreeMap, BTreeSet};

use everycall_core::policy::Trace;
use everycall_rego::syntax_tree::Expr;
use serde_json::Value;

use super::{walk, Place, RegoFile};

/// The values that the evaluated rules refer to, by their path; `None` where there is nothing. What
/// stands behind a path that only the evaluation knows counts as the value that holds it.
pub(crate) fn values_read(
    trace: &Trace,
    modules: &[RegoFile],
    data: &Value,
) -> BTreeMap<String, Option<Value>> {
    let entered = trace.rules.iter().filter(|rule| rule.entered);
    let entered: BTreeSet<Place> = entered.map(|rule| (rule.file.clone(), rule.start)).collect();
    let roots = Roots { input: &trace.input, data };
    let mut found = BTreeMap::new();
    let mut visit = |expr: &Expr| {
        let Some((path, value)) = roots.resolve(expr) else { return true };
        // A rule of another package is no value.
        if path != "input" && path != "data" && (path.starts_with("input") || value.is_some()) {
            found.insert(path, value.cloned());
        }
        // What the brackets hold is read as well.
        let mut inner = expr;
        while let Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } = inner {
            if let Expr::RefBrack { index, .. } = inner {
                let mut more = values_in(&roots, index);
                found.append(&mut more);
            }
            inner = refr;
        }
        false
    };
    for file in modules {
        for body in file.bodies().iter().filter(|body| entered.contains(&body.place)) {
            walk::head(body.head, &mut visit);
            body.written.iter().for_each(|body| walk::body(body, &mut visit));
        }
    }
    found
}

fn values_in(roots: &Roots<'_>, expr: &Expr) -> BTreeMap<String, Option<Value>> {
    let mut found = BTreeMap::new();
    walk::expression(expr, &mut |expr| match roots.resolve(expr) {
        Some((path, value)) => {
            found.insert(path, value.cloned());
            false
        }
        None => true,
    });
    found
}

struct Roots<'v> {
    input: &'v Value,
    data: &'v Value,
}

impl<'v> Roots<'v> {
    /// The path of a reference below `input` or `data`, and its value.
    fn resolve(&self, expr: &Expr) -> Option<(String, Option<&'v Value>)> {
        match expr {
            Expr::Var { span, .. } => match span.text() {
                "input" => Some(("input".to_owned(), Some(self.input))),
                "data" => Some(("data".to_owned(), Some(self.data))),
                _ => None,
            },
            Expr::RefDot { refr, field, .. } => {
                let (path, value) = self.resolve(refr)?;
                let name = field.0.text();
                Some((format!("{path}.{name}"), value.and_then(|value| value.get(name))))
            }
            Expr::RefBrack { refr, index, .. } => {
                let (path, value) = self.resolve(refr)?;
                let key = match index.as_ref() {
                    Expr::String { value, .. }
                    | Expr::RawString { value, .. }
                    | Expr::Number { value, .. } => serde_json::to_value(value).ok(),
                    other => self.resolve(other).and_then(|(_, value)| value.cloned()),
                };
                match key {
                    Some(Value::String(name)) => {
                        Some((format!("{path}[{name:?}]"), value.and_then(|value| value.get(&name))))
                    }
                    Some(Value::Number(number)) => {
                        let index = number.as_u64().and_then(|index| usize::try_from(index).ok());
                        let item = value.and_then(|value| index.and_then(|index| value.get(index)));
                        Some((format!("{path}[{number}]"), item))
                    }
                    _ => Some((path, value)),
                }
            }
            _ => None,
        }
    }
}
