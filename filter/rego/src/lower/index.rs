//! OPA's index over the rules of a document: which of them it passes over, and in which order it finds the others.
//! It is a trie with a level for each operand that is asked about, the most frequent first. Here each branch has its
//! guards, and its rank in the order in which the trie is gone through.

use std::cmp::Reverse;

use super::needs::Needs;
use super::*;
use crate::plan::constants;

/// How often branches of a document are compared with others of it that split texts: more takes too long.
const MAX_COMPARED: usize = 200_000;

/// Where a branch stands in OPA's trie: a level for each operand that is asked about in its document.
struct Place {
    /// Those on which something is asked of it, first to last.
    levels: Vec<Level>,
    /// How many it goes through.
    end: usize,
    /// What ends its rank, if it stands behind the last level.
    last: Option<(Reverse<usize>, Fit)>,
}

#[derive(Clone, PartialEq)]
struct Level {
    at: usize,
    operand: Operand,
    forms: Vec<Form>,
    delimiters: Vec<String>,
}

/// Gives the rules of a document their guards, and brings them into the order in which OPA finds them. `needs` has
/// those of each branch of each rule. Says whether that order depends on which branches may hold.
///
/// # Errors
/// Too many of them split texts.
pub(super) fn guard(rules: &mut Vec<Rule>, needs: Vec<Vec<Needs>>) -> Result<bool, Problem> {
    // How often, and where first.
    let mut counts: BTreeMap<&Operand, (usize, Site, usize)> = BTreeMap::new();
    for (first, (operand, site)) in needs.iter().flatten().flat_map(|needs| &needs.counted).enumerate() {
        let (count, ..) = counts.entry(operand).or_insert((0, *site, first));
        *count = count.saturating_add(1);
    }
    // Arguments, which have no place in the text, are behind what is as frequent.
    let is_argument = |operand: &Operand| matches!(operand, Operand::Argument(_));
    let mut order: Vec<_> = counts.into_iter().collect();
    order.sort_by_key(|(operand, (count, site, first))| {
        (Reverse(*count), is_argument(operand), *site, *first)
    });
    let order: BTreeMap<&Operand, usize> =
        order.into_iter().enumerate().map(|(at, (operand, _))| (operand, at)).collect();
    let places: Vec<Vec<Place>> = needs
        .iter()
        .map(|branches| branches.iter().map(|needs| Place::of(needs, &order)).collect())
        .collect();
    let all = || places.iter().flatten();
    let splitting: Vec<&Place> =
        all().filter(|place| place.levels.iter().any(|level| !level.delimiters.is_empty())).collect();
    if all().count().saturating_mul(splitting.len()) > MAX_COMPARED {
        let splitting = splitting.len();
        return Err(format!("{splitting} of its rules match globs, which are too many beside the others"));
    }
    let mut keyed: Vec<(Rank, Rule)> = Vec::with_capacity(rules.len());
    for ((mut rule, needs), places) in rules.drain(..).zip(&needs).zip(&places) {
        for ((branch, needs), place) in rule.branches.iter_mut().zip(needs).zip(places) {
            branch.guards = place.guards(&splitting);
            branch.last = place.last;
            for step in &mut branch.steps {
                step.guarded = needs.are_guarded(&branch.guards, step.site);
            }
        }
        keyed.push((places.iter().map(Place::rank).min().unwrap_or_default(), rule));
    }
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    rules.extend(keyed.into_iter().map(|(_, rule)| rule));
    Ok(rules.len() > 1 && (rules.iter().any(|rule| rule.branches.len() > 1) || !splitting.is_empty()))
}

impl Place {
    fn of(needs: &Needs, order: &BTreeMap<&Operand, usize>) -> Self {
        let mut levels = Vec::new();
        if needs.is_empty() {
            return Self { levels, end: 0, last: None };
        }
        let asked: BTreeMap<usize, &Operand> =
            needs.operands().filter_map(|operand| Some((*order.get(operand)?, operand))).collect();
        for (at, operand) in asked {
            let (forms, delimiters) = needs.of(operand);
            let are_alternatives = forms.len() > 1;
            levels.push(Level { at, operand: operand.clone(), forms, delimiters });
            // Behind them the index goes no further.
            if are_alternatives {
                return Self { levels, end: at.saturating_add(1), last: None };
            }
        }
        Self { levels, end: order.len(), last: Some((Reverse(order.len()), Fit::No)) }
    }

    fn guards(&self, splitting: &[&Self]) -> Vec<Guard> {
        let guard = |level: &Level| {
            let mut delimiters: Vec<String> = Vec::new();
            // What others that stand beside it split texts by, it sees split, too.
            let beside = splitting.iter().filter(|place| place.before(level.at) == self.before(level.at));
            let others = beside.flat_map(|place| &place.levels).filter(|other| other.at == level.at);
            for other in others.flat_map(|other| &other.delimiters) {
                if !delimiters.contains(other) {
                    delimiters.push(other.clone());
                }
            }
            Guard { level: level.at, operand: level.operand.clone(), forms: level.forms.clone(), delimiters }
        };
        self.levels.iter().map(guard).collect()
    }

    /// What is asked above a level, if it goes so far.
    fn before(&self, at: usize) -> Option<&[Level]> {
        self.levels.get(..self.levels.partition_point(|level| level.at < at)).filter(|_| self.end >= at)
    }

    /// Where the branch is found, if all that it asks for is as it asks.
    fn rank(&self) -> Rank {
        let fit = |level: &Level| {
            let form = |form: &Form| match form {
                Form::Any => Fit::Any,
                Form::Scalar(_) => Fit::Scalar,
                Form::Array(items) if level.delimiters.is_empty() => Fit::Array(constants(items)),
                Form::Array(items) => Fit::Parts(constants(items)),
            };
            Some((Reverse(level.at), level.forms.iter().map(form).min()?))
        };
        self.levels.iter().filter_map(fit).chain(self.last).collect()
    }
}
