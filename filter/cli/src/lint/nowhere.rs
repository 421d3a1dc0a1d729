//! What policies read and where nothing ever stands: unknown members of `input`, and paths below `data` that no module
//! and no data provides. It goes by the plan: a key that only the evaluation knows ends a path.

use std::collections::BTreeSet;
use std::sync::Arc;

use everycall_core::input::{nowhere, Nowhere};
use everycall_rego::{Plan, Site};
use serde_json::Value;

use super::nearest::nearest;
use super::program::Program;
use super::{note, Finding, Lint, DATA_ABSENT, INPUT_UNKNOWN};
use crate::rego::number;

pub(super) fn lint(program: &Program<'_>, document: &Value, found: &mut Vec<Finding>) {
    let data = document.pointer("/bundle/inline/data");
    for entry in &program.entries {
        let Some(plan) = &entry.plan else { continue };
        let replaced = plan.replaced_input();
        for (path, site) in plan.inputs().filter(|(path, _)| !touches(&replaced, path)) {
            if let Some(nothing) = nowhere(entry.format(), path) {
                note_at(program, site, &INPUT_UNKNOWN, &unknown(&nothing), found);
            }
        }
        absent(program, plan, data, found);
    }
}

fn absent(program: &Program<'_>, plan: &Plan, data: Option<&Value>, found: &mut Vec<Finding>) {
    let replaced = plan.replaced_data();
    for (path, site) in plan.absent().filter(|(path, _)| !touches(&replaced, path)) {
        let text = path.join(".");
        let mut known: BTreeSet<String> = program.rules.keys().cloned().collect();
        known.extend(data.into_iter().flat_map(|data| paths(data, path.len())));
        let hint =
            nearest(&text, &known).map_or_else(String::new, |near| format!("; did you mean `data.{near}`?"));
        let message = format!("no module and no data provides `data.{text}`{hint}");
        note_at(program, site, &DATA_ABSENT, &message, found);
    }
}

/// Whether `with` puts something at a path, above it or below it.
fn touches(replaced: &BTreeSet<&[Arc<str>]>, path: &[Arc<str>]) -> bool {
    replaced.iter().any(|at| at.iter().zip(path).all(|(a, b)| a == b))
}

fn unknown(nothing: &Nowhere) -> String {
    let Nowhere { path, because, instead, beside } = nothing;
    let near = || nearest(path, beside).map(str::to_owned);
    match (because, instead.clone().or_else(near)) {
        (Some(because), Some(instead)) => format!("`{path}` is never there: {because}; read `{instead}`"),
        (Some(because), None) => format!("`{path}` is never there: {because}"),
        (None, Some(near)) => format!("`{path}` is never there; did you mean `{near}`?"),
        (None, None) => {
            let beside: Vec<&str> = beside.iter().map(String::as_str).collect();
            format!("`{path}` is never there; there are `{}`", beside.join("`, `"))
        }
    }
}

fn note_at(program: &Program<'_>, site: Site, lint: &Lint, message: &str, found: &mut Vec<Finding>) {
    if let Some(file) = program.modules.get(number(site.module)) {
        note(found, file, number(site.line), lint, message);
    }
}

/// The paths of data, as deep as so many names.
fn paths(data: &Value, depth: usize) -> Vec<String> {
    let Some(rest) = depth.checked_sub(1) else { return Vec::new() };
    let mut all = Vec::new();
    for (name, value) in data.as_object().into_iter().flatten() {
        all.push(name.clone());
        all.extend(paths(value, rest).into_iter().map(|below| format!("{name}.{below}")));
    }
    all
}
