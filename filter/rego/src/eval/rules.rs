//! Rules: which of a document's may hold and in which order they are found, and the solutions of each.

use super::*;

impl<'p> Vm<'p> {
    /// Goes through the solutions of a rule, in a frame of its own. Whether its guards admit it may be known.
    /// `each` gives `None` where the head is undefined: then the body does not hold.
    pub(super) fn rule(
        &mut self,
        rule: &'p Rule,
        arguments: &[Value],
        admitted: Option<bool>,
        each: &mut dyn FnMut(&mut Vm<'p>, &'p Branch) -> Outcome<Option<Flow>>,
    ) -> Outcome<()> {
        self.step()?;
        let admitted = match (admitted, rule.branches.as_slice()) {
            (None, [branch]) => Some(self.admits(branch, arguments)?),
            (known, _) => known,
        };
        if admitted == Some(false) && self.watch.is_none() {
            return Ok(());
        }
        let (base, end) = (self.base, self.registers.len());
        self.base = end;
        if rule.frame > 0 {
            if self.registers.capacity() == 0 {
                self.registers = Vec::with_capacity(FRAMES);
            }
            self.registers.resize_with(end.saturating_add(rule.frame), || Value::Null);
        }
        let watched = self.watch.as_mut().and_then(|watch| watch.pause());
        let done = self.branches(rule, arguments, admitted, each);
        if let Some(watch) = &mut self.watch {
            watch.go_on(watched);
        }
        self.registers.truncate(end);
        self.base = base;
        done
    }

    fn branches(
        &mut self,
        rule: &'p Rule,
        arguments: &[Value],
        admitted: Option<bool>,
        each: &mut dyn FnMut(&mut Vm<'p>, &'p Branch) -> Outcome<Option<Flow>>,
    ) -> Outcome<()> {
        for (pattern, value) in rule.arguments.iter().zip(arguments) {
            if !self.matches(pattern, value)? {
                return Ok(());
            }
        }
        for branch in &rule.branches {
            if let Some(watch) = &mut self.watch {
                watch.enter(branch.site);
            }
            let is_admitted = match admitted {
                Some(known) => known,
                None => self.admits(branch, arguments)?,
            };
            if !is_admitted {
                // Where it would have stopped without the index.
                self.aside(|vm| vm.block(&branch.steps, &mut |_| Ok(Flow::Enough)));
                continue;
            }
            let mut found = false;
            self.block(&branch.steps, &mut |vm| {
                let Some(flow) = each(vm, branch)? else { return Ok(Flow::More) };
                found = true;
                if let Some(watch) = &mut vm.watch {
                    watch.hold(branch.site);
                }
                Ok(flow)
            })?;
            if found {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether all rules that may hold come to one constant, so that the first that holds decides; and which of
    /// them may, as far as that was looked at.
    pub(super) fn is_one_enough(
        &mut self,
        document: &'p Document,
        arguments: &[Value],
    ) -> Outcome<(bool, Admitted)> {
        let mut one: Option<&Value> = None;
        let mut admitted = Admitted::default();
        for (at, rule) in document.rules.iter().enumerate() {
            let mut may_hold = false;
            for branch in &rule.branches {
                if !self.admits(branch, arguments)? {
                    continue;
                }
                may_hold = true;
                match (branch.constant(), one) {
                    (Some(constant), None) => one = Some(constant),
                    (Some(constant), Some(known)) if constant == known => {}
                    _ => return Ok((false, admitted)),
                }
            }
            // Of several branches each is asked again.
            if rule.branches.len() == 1 || !may_hold {
                admitted.set(at, may_hold);
            }
        }
        Ok((one.is_some(), admitted))
    }

    /// The order in which OPA's index finds rules, by those of their branches that may hold.
    pub(super) fn as_found(&mut self, document: &Document, arguments: &[Value]) -> Outcome<Vec<usize>> {
        let mut found: Vec<(Rank, Option<Site>, usize)> = Vec::with_capacity(document.rules.len());
        let mut passed_over = Vec::new();
        for (at, rule) in document.rules.iter().enumerate() {
            let mut first: Option<Rank> = None;
            for branch in &rule.branches {
                let mut rank = Vec::with_capacity(branch.guards.len());
                if self.guards(branch, arguments, |level, fit| rank.push((Reverse(level), fit)))? {
                    rank.extend(branch.last);
                    first = Some(match first {
                        Some(first) => first.min(rank),
                        None => rank,
                    });
                }
            }
            match first {
                Some(rank) => found.push((rank, rule.branches.first().map(|branch| branch.site), at)),
                None => passed_over.push(at),
            }
        }
        self.charge(found.len())?;
        found.sort();
        Ok(found.into_iter().map(|(.., at)| at).chain(passed_over).collect())
    }

    /// Whether the guards of a branch let it be tried.
    fn admits(&mut self, branch: &Branch, arguments: &[Value]) -> Outcome<bool> {
        self.guards(branch, arguments, |_, _| {})
    }

    /// The same; `each` is told how they fit.
    fn guards(
        &mut self,
        branch: &Branch,
        arguments: &[Value],
        mut each: impl FnMut(usize, Fit),
    ) -> Outcome<bool> {
        for guard in &branch.guards {
            let value = match &guard.operand {
                Operand::Input(slot, keys) if keys.is_empty() => self.input(*slot),
                Operand::Input(slot, keys) => {
                    keys.iter().try_fold(self.input(*slot), |value, key| Some(value?.get(key))).flatten()
                }
                Operand::Base(slot, keys) => keys
                    .iter()
                    .try_fold(self.base(*slot), |value, key| Some(value?.get_stored(key)))
                    .flatten(),
                Operand::Argument(at) => arguments.get(*at),
            };
            let Some(value) = value else { return Ok(false) };
            let (fit, work) = guard.fits(value);
            if work > 0 {
                self.charge(work)?;
            }
            if fit == Fit::No {
                return Ok(false);
            }
            self.guards_say_all &= fit.is_all();
            each(guard.level, fit);
        }
        Ok(true)
    }

    /// What is carried out for people only, while the evaluation is watched: what the decision passes over.
    /// Nothing that happens on the way counts, and all of it together takes no more than a decision may.
    pub(super) fn aside<T>(&mut self, go: impl FnOnce(&mut Self) -> Outcome<T>) {
        let Some(watch) = &mut self.watch else { return };
        let allowance = watch.begin_aside(&self.budget);
        let watched = watch.branch();
        let around = allowance.map(|allowance| std::mem::replace(&mut self.budget, allowance));
        let (depth, base, end) = (self.depth, self.base, self.registers.len());
        let mut world = self.world();
        let failed = go(self).is_err();
        if failed {
            self.registers.truncate(end);
            (self.depth, self.base) = (depth, base);
            self.swap(&mut world);
        }
        let Some(watch) = &mut self.watch else { return };
        if failed {
            watch.go_on(watched);
        }
        if let Some(around) = around {
            watch.end_aside(std::mem::replace(&mut self.budget, around));
        }
    }

    pub(super) fn stopped(&mut self, site: Site) {
        if let Some(watch) = &mut self.watch {
            watch.stop(site);
        }
    }
}

/// Which of a document's first rules their guards admit, as far as they were looked at: a bit for each.
#[derive(Default)]
pub(super) struct Admitted {
    known: u64,
    may_hold: u64,
}

impl Admitted {
    fn bit(at: usize) -> u64 {
        u32::try_from(at).ok().and_then(|at| 1_u64.checked_shl(at)).unwrap_or(0)
    }

    fn set(&mut self, at: usize, may_hold: bool) {
        self.known |= Self::bit(at);
        if may_hold {
            self.may_hold |= Self::bit(at);
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<bool> {
        (self.known & Self::bit(at) != 0).then_some(self.may_hold & Self::bit(at) != 0)
    }
}
