//! A tree, to matchers: what alternatives have in common goes before and behind them, and what stands
//! side by side becomes as few matchers as it can.

use std::rc::Rc;

use super::matcher::{Matcher, Tree};
use super::syntax::Node;
use crate::budget::{Budget, Failure};

type Compiled = Result<Rc<Matcher>, Failure>;

pub(super) fn compile(node: &Node, delimiters: &Rc<[char]>, budget: &mut Budget) -> Compiled {
    budget.charge(16)?;
    let matcher = match node {
        Node::AnyOf(nodes) => {
            if let Some(node) = common(nodes, budget)? {
                return compile(&node, delimiters, budget);
            }
            return Ok(Rc::new(Matcher::AnyOf(compile_all(nodes, delimiters, budget)?)));
        }
        Node::Pattern(nodes) if nodes.is_empty() => return Ok(Rc::new(Matcher::Nothing)),
        Node::Pattern(nodes) => {
            let matchers = compile_all(nodes, delimiters, budget)?;
            joined(&minimized(matchers, budget)?, budget)?
        }
        Node::Any => Rc::new(Matcher::Any(Rc::clone(delimiters))),
        Node::Super => Rc::new(Matcher::Super),
        Node::Single => Rc::new(Matcher::Single(Rc::clone(delimiters))),
        Node::Nothing => Rc::new(Matcher::Nothing),
        Node::List(list, not) => Rc::new(Matcher::List(list.as_slice().into(), *not)),
        Node::Range(lo, hi, not) => Rc::new(Matcher::Range(*lo, *hi, *not)),
        Node::Text(text) => Rc::new(Matcher::Text(text.as_str().into())),
    };
    Ok(optimized(matcher))
}

fn compile_all(
    nodes: &[Node],
    delimiters: &Rc<[char]>,
    budget: &mut Budget,
) -> Result<Vec<Rc<Matcher>>, Failure> {
    nodes.iter().map(|node| compile(node, delimiters, budget).map(optimized)).collect()
}

/// A matcher that does the same in one step, where there is one.
fn optimized(matcher: Rc<Matcher>) -> Rc<Matcher> {
    let better = match &*matcher {
        Matcher::Any(delimiters) if delimiters.is_empty() => Matcher::Super,
        Matcher::AnyOf(matchers) => match matchers.as_slice() {
            [one] => return Rc::clone(one),
            _ => return matcher,
        },
        Matcher::List(list, false) => match &**list {
            [one] => Matcher::Text(one.to_string().into()),
            _ => return matcher,
        },
        Matcher::Tree(tree) => {
            let mut tree = tree.clone();
            tree.left = tree.left.map(optimized);
            tree.right = tree.right.map(optimized);
            let better = match &*tree.value {
                Matcher::Text(text) => beside_text(text, tree.left.as_deref(), tree.right.as_deref()),
                _ => None,
            };
            better.unwrap_or(Matcher::Tree(tree))
        }
        _ => return matcher,
    };
    Rc::new(better)
}

fn beside_text(text: &Rc<str>, left: Option<&Matcher>, right: Option<&Matcher>) -> Option<Matcher> {
    let text = Rc::clone(text);
    Some(match (left, right) {
        (None, None) => Matcher::Text(text),
        (Some(Matcher::Super), Some(Matcher::Super)) => Matcher::Contains(text, false),
        (Some(Matcher::Super), None) => Matcher::Suffix(text),
        (None, Some(Matcher::Super)) => Matcher::Prefix(text),
        (None, Some(Matcher::Suffix(suffix))) => Matcher::PrefixSuffix(text, Rc::clone(suffix)),
        (Some(Matcher::Prefix(prefix)), None) => Matcher::PrefixSuffix(Rc::clone(prefix), text),
        (Some(Matcher::Any(delimiters)), None) => Matcher::SuffixAny(text, Rc::clone(delimiters)),
        (None, Some(Matcher::Any(delimiters))) => Matcher::PrefixAny(text, Rc::clone(delimiters)),
        _ => return None,
    })
}

/// Matchers side by side as one: around the last one of those that are longest.
fn joined(matchers: &[Rc<Matcher>], budget: &mut Budget) -> Compiled {
    budget.charge(matchers.len().saturating_mul(4))?;
    match matchers {
        [] => return Err(Failure::Error("a pattern")),
        [one] => return Ok(Rc::clone(one)),
        _ => {}
    }
    if let Some(glued) = glued(matchers, budget)? {
        return Ok(glued);
    }
    let mut longest: Option<(usize, usize)> = None;
    for (at, matcher) in matchers.iter().enumerate() {
        if let Some(length) = matcher.length() {
            if longest.is_none_or(|(_, known)| length >= known) {
                longest = Some((at, length));
            }
        }
    }
    let (left, value, right) = match (longest, matchers) {
        (Some((at, _)), _) => {
            let (left, rest) = matchers.split_at_checked(at).ok_or(Failure::Limit)?;
            let (value, right) = rest.split_first().ok_or(Failure::Limit)?;
            (left, value, right)
        }
        (None, [first, rest @ ..]) => (&[][..], first, rest),
        (None, []) => return Err(Failure::Limit),
    };
    let mut side = |side: &[Rc<Matcher>]| match side {
        [] => Ok(None),
        _ => joined(side, budget).map(Some),
    };
    let (left, right) = (side(left)?, side(right)?);
    Ok(Rc::new(Matcher::Tree(Tree::new(Rc::clone(value), left, right))))
}

fn glued(matchers: &[Rc<Matcher>], budget: &mut Budget) -> Result<Option<Rc<Matcher>>, Failure> {
    budget.charge((matchers.len() / 8).saturating_add(1))?;
    if matchers.len() <= 1 {
        return Ok(None);
    }
    let glued = match as_every(matchers) {
        None => as_row(matchers),
        every => every,
    };
    Ok(glued.map(Rc::new))
}

/// Matchers that each have a length.
fn as_row(matchers: &[Rc<Matcher>]) -> Option<Matcher> {
    let length = matchers.iter().try_fold(0_usize, |sum, one| Some(sum.saturating_add(one.length()?)))?;
    Some(Matcher::Row(length, matchers.to_vec()))
}

/// Matchers that take the same characters each.
fn as_every(matchers: &[Rc<Matcher>]) -> Option<Matcher> {
    let (mut any, mut all, mut least) = (false, false, 0_usize);
    let mut excluded: Option<&[char]> = None;
    for matcher in matchers {
        let these: &[char] = match &**matcher {
            Matcher::Super => {
                all = true;
                &[]
            }
            Matcher::Any(delimiters) => {
                any = true;
                delimiters
            }
            Matcher::Single(list) | Matcher::List(list, true) => {
                least = least.saturating_add(1);
                list
            }
            _ => return None,
        };
        if **excluded.get_or_insert(these) != *these {
            return None;
        }
    }
    let excluded = excluded.unwrap_or_default();
    if all && !any && least == 0 {
        return Some(Matcher::Super);
    }
    if any && !all && least == 0 {
        return Some(Matcher::Any(excluded.into()));
    }
    if (any || all) && least > 0 && excluded.is_empty() {
        return Some(Matcher::Min(least));
    }
    let mut every = Vec::new();
    if least > 0 {
        every.push(Rc::new(Matcher::Min(least)));
        if !any && !all {
            every.push(Rc::new(Matcher::Max(least)));
        }
    }
    if !excluded.is_empty() {
        // Not any of them, but all of them one after the other.
        every.push(Rc::new(Matcher::Contains(excluded.iter().collect::<String>().into(), true)));
    }
    Some(Matcher::EveryOf(every))
}

/// With the best run of matchers glued, again and again.
fn minimized(mut matchers: Vec<Rc<Matcher>>, budget: &mut Budget) -> Result<Vec<Rc<Matcher>>, Failure> {
    loop {
        let mut best: Option<(Rc<Matcher>, usize, usize)> = None;
        for from in 0..matchers.len() {
            for to in (from.saturating_add(1)..=matchers.len()).rev() {
                let run = matchers.get(from..to).unwrap_or_default();
                let Some(glued) = glued(run, budget)? else { continue };
                let better = match &best {
                    None => true,
                    Some((known, start, end)) => {
                        let longer =
                            known.length().zip(glued.length()).is_some_and(|(known, new)| new > known);
                        longer || end.saturating_sub(*start) < run.len()
                    }
                };
                if better {
                    best = Some((glued, from, to));
                }
            }
        }
        let Some((glued, from, to)) = best else { return Ok(matchers) };
        matchers.splice(from..to, [glued]);
    }
}

/// Alternatives without what they have in common at their starts and ends, between those.
fn common(nodes: &[Node], budget: &mut Budget) -> Result<Option<Node>, Failure> {
    let mut patterns = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Node::Pattern(children) = node else { return Ok(None) };
        budget.charge(children.len().saturating_mul(8))?;
        patterns.push(children.as_slice());
    }
    let (left, right) = common_ends(&patterns);
    if left == 0 && right == 0 {
        return Ok(None);
    }
    let Some(first) = patterns.first() else { return Ok(None) };
    let mut result = Vec::new();
    if left > 0 {
        result.push(Node::Pattern(first.iter().take(left).cloned().collect()));
    }
    let mut between: Vec<Node> = Vec::new();
    for pattern in &patterns {
        let rest = pattern.get(left..pattern.len().saturating_sub(right)).ok_or(Failure::Limit)?;
        let node = if rest.is_empty() { Node::Nothing } else { Node::Pattern(rest.to_vec()) };
        budget.charge(between.len())?;
        if !between.contains(&node) {
            between.push(node);
        }
    }
    match between.len() {
        0 => {}
        1 if between.first() == Some(&Node::Nothing) => {}
        1 => result.append(&mut between),
        _ => result.push(Node::AnyOf(between)),
    }
    if right > 0 {
        let skipped = first.len().saturating_sub(right);
        result.push(Node::Pattern(first.iter().skip(skipped).cloned().collect()));
    }
    Ok(Some(Node::Pattern(result)))
}

/// How many nodes all of them start with, and how many they end with.
fn common_ends(patterns: &[&[Node]]) -> (usize, usize) {
    // The first one of the shortest.
    let Some((shortest, pattern)) = patterns.iter().enumerate().min_by_key(|(_, pattern)| pattern.len())
    else {
        return (0, 0);
    };
    if patterns.len() <= 1 {
        return (0, 0);
    }
    let (mut left, mut right) = (0_usize, 0_usize);
    let (mut left_ends, mut right_ends) = (false, false);
    for at in 0..pattern.len() {
        if left.saturating_add(right) >= pattern.len() || (left_ends && right_ends) {
            break;
        }
        let from_end = at.saturating_add(1);
        let end_of = |pattern: &&[Node]| pattern.len().checked_sub(from_end);
        for (which, other) in patterns.iter().enumerate() {
            if which == shortest || (left_ends && right_ends) {
                continue;
            }
            left_ends = left_ends || pattern.get(at) != other.get(at);
            // What is common from the start is not common from the end, too.
            right_ends = right_ends || (!left_ends && end_of(pattern).is_none_or(|end| end <= at));
            let ends = end_of(pattern).zip(end_of(other));
            right_ends = right_ends || ends.is_none_or(|(own, others)| pattern.get(own) != other.get(others));
        }
        left = left.saturating_add(usize::from(!left_ends));
        right = right.saturating_add(usize::from(!right_ends));
    }
    (left, right)
}
