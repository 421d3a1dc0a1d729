//! `graph.*`: what is reached along the edges of an object of arrays or sets.

use super::arrays::items;
use super::objects::object;
use super::sets::{charge_finding, collect};
use super::{row, Answer, Builtin};
use crate::budget::Budget;
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[row("graph.reachable", 2, reachable)];

/// Where the edges of a node lead; nowhere, if they are neither an array nor a set.
fn neighbors(edges: &Value) -> &[Value] {
    items(std::slice::from_ref(edges), 0).unwrap_or_default()
}

fn reachable(budget: &mut Budget, arguments: &[Value]) -> Answer {
    let (graph, initial) = (object(arguments, 0)?, items(arguments, 1)?);
    budget.charge(graph.len())?;
    let mut seen = vec![false; graph.len()];
    let mut reached = Vec::new();
    // What is reached first comes first: of equal nodes, one may be written differently.
    let mut next = std::collections::VecDeque::from([initial]);
    while let Some(nodes) = next.pop_front() {
        for node in nodes {
            charge_finding(budget, node, graph.len())?;
            let Ok(at) = graph.binary_search_by(|(known, _)| known.cmp(node)) else { continue };
            let here = graph.split_at_checked(at).and_then(|(_, rest)| rest.first());
            let (Some(seen), Some((_, edges))) = (seen.get_mut(at), here) else {
                continue;
            };
            if !std::mem::replace(seen, true) {
                reached.push(node.clone());
                next.push_back(neighbors(edges));
            }
        }
    }
    collect(budget, reached).map(Value::from)
}

#[cfg(test)]
mod tests {
    use crate::builtins::testing::compare;

    #[test]
    fn they_answer_as_opa() {
        compare(&[
            (
                "graph.reachable",
                r#"[{"a": ["b", "x"], "b": {"set": ["a", "c"]}, "c": null}, ["a"]]"#,
                r#"["a","b","c"]"#,
            ),
            ("graph.reachable", r#"[{"a": []}, {"set": ["x"]}]"#, "[]"),
            ("graph.reachable", r#"[{"a": []}, "a"]"#, "error"),
            ("graph.reachable", r#"[[], []]"#, "error"),
        ]);
    }
}
