//! OPA's index over the rules of a document: which of them it passes over, and in which order it finds the others.
//! It is a trie with a level for each operand that is asked about, the most frequent first. Here each branch has its
//! guards, and its rank in the order in which the trie is gone through.

use std::cmp::Reverse;

use super::needs::Needs;
use super::*;
use crate::plan::constants;

/// Where a branch stands in OPA's trie: a level for each operand that is asked about in its document.
struct Place {
    levels: Vec<Level>,
    /// What ends its rank, if it stands behind the last level.
    last: Option<(Reverse<usize>, Fit)>,
}

#[derive(Clone, PartialEq)]
struct Level {
    operand: Operand,
    /// Nothing, where nothing is asked of it.
    forms: Vec<Form>,
    delimiters: Vec<String>,
}

/// Gives the rules of a document their guards, and brings them into the order in which OPA finds them. `needs` has
/// those of each branch of each rule.
/// Says whether that order depends on which branches may hold.
pub(super) fn guard(rules: &mut Vec<Rule>, needs: Vec<Vec<Needs>>) -> bool {
    let mut counts: Vec<(&Operand, usize, Site)> = Vec::new();
    for (operand, site) in needs.iter().flatten().flat_map(|needs| &needs.counted) {
        match counts.iter_mut().find(|(known, ..)| *known == operand) {
            Some((_, count, _)) => *count = count.saturating_add(1),
            None => counts.push((operand, 1, *site)),
        }
    }
    // Arguments, which have no place in the text, are behind what is as frequent.
    let is_argument = |operand: &Operand| matches!(operand, Operand::Argument(_));
    counts.sort_by_key(|(operand, count, site)| (Reverse(*count), is_argument(operand), *site));
    let places: Vec<Vec<Place>> = needs
        .iter()
        .map(|branches| branches.iter().map(|needs| Place::of(needs, &counts)).collect())
        .collect();
    let all: Vec<&Place> = places.iter().flatten().collect();
    let mut keyed: Vec<(Rank, Rule)> = Vec::with_capacity(rules.len());
    for ((mut rule, needs), places) in rules.drain(..).zip(&needs).zip(&places) {
        for ((branch, needs), place) in rule.branches.iter_mut().zip(needs).zip(places) {
            branch.guards = place.guards(&all);
            branch.last = place.last;
            for step in &mut branch.steps {
                step.guarded = needs.are_guarded(&branch.guards, step.site);
            }
        }
        keyed.push((places.iter().map(Place::rank).min().unwrap_or_default(), rule));
    }
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    rules.extend(keyed.into_iter().map(|(_, rule)| rule));
    let has_parts = || all.iter().flat_map(|place| &place.levels).any(|level| !level.delimiters.is_empty());
    rules.len() > 1 && (rules.iter().any(|rule| rule.branches.len() > 1) || has_parts())
}

impl Place {
    fn of(needs: &Needs, counts: &[(&Operand, usize, Site)]) -> Self {
        let mut levels = Vec::new();
        if needs.is_empty() {
            return Self { levels, last: None };
        }
        for (operand, ..) in counts {
            let (forms, delimiters) = needs.of(operand);
            let are_alternatives = forms.len() > 1;
            levels.push(Level { operand: (*operand).clone(), forms, delimiters });
            // Behind them the index goes no further.
            if are_alternatives {
                return Self { levels, last: None };
            }
        }
        Self { levels, last: Some((Reverse(counts.len()), Fit::No)) }
    }

    fn guards(&self, all: &[&Self]) -> Vec<Guard> {
        let asks = |(_, level): &(usize, &Level)| !level.forms.is_empty();
        let guard = |(at, level): (usize, &Level)| {
            let mut delimiters: Vec<String> = Vec::new();
            // What others that stand beside it split texts by, it sees split, too.
            let beside = all.iter().filter(|place| place.levels.get(..at) == self.levels.get(..at));
            for other in beside.filter_map(|place| place.levels.get(at)).flat_map(|level| &level.delimiters) {
                if !delimiters.contains(other) {
                    delimiters.push(other.clone());
                }
            }
            Guard { level: at, operand: level.operand.clone(), forms: level.forms.clone(), delimiters }
        };
        self.levels.iter().enumerate().filter(asks).map(guard).collect()
    }

    /// Where the branch is found, if all that it asks for is as it asks.
    fn rank(&self) -> Rank {
        let fit = |(at, level): (usize, &Level)| {
            let form = |form: &Form| match form {
                Form::Any => Fit::Any,
                Form::Scalar(_) => Fit::Scalar,
                Form::Array(items) if level.delimiters.is_empty() => Fit::Array(constants(items)),
                Form::Array(items) => Fit::Parts(constants(items)),
            };
            Some((Reverse(at), level.forms.iter().map(form).min()?))
        };
        self.levels.iter().enumerate().filter_map(fit).chain(self.last).collect()
    }
}
