//! In which order the parts of one expression are evaluated.

use super::*;

/// Whether a call stands behind another part, and it can be seen which of them comes first: one may end in a
/// conflict, and the other may be undefined.
pub(super) fn is_call_late(terms: &[&Term]) -> bool {
    let mut seen = Seen { undefined: false, conflict: false, late: false };
    terms.iter().for_each(|term| seen.look(term));
    seen.late
}

/// Whether rules are read or called inside an array, object or set: OPA evaluates that before it compares the
/// whole.
pub(super) fn is_read_inside(side: &Term) -> bool {
    matches!(side, Term::Array(_) | Term::Object(_) | Term::Set(_)) && may_conflict(side)
}

/// Whether a reference that finds its keys stands behind another part, and it can be seen which of them comes
/// first: what it goes through may have no members, or end in a conflict.
pub(super) fn is_found_late(term: &Term, is_open: &dyn Fn(&Term) -> bool) -> bool {
    let (mut undefined, mut conflict, mut late) = (false, false, false);
    term.visit(&mut |part| {
        if let Term::Ref(head, keys) = part {
            late |= keys.iter().any(is_open) && (conflict || undefined && matches!(head, Head::Data));
        }
        // What the whole is made of comes before it.
        if !std::ptr::eq(part, term) {
            undefined |= matches!(part, Term::Call(..) | Term::In(..) | Term::Ref(..) | Term::Collect(..));
            conflict |= is_conflict(part);
        }
    });
    late
}

struct Seen {
    /// A part that may be undefined.
    undefined: bool,
    /// A part that may end in a conflict.
    conflict: bool,
    late: bool,
}

impl Seen {
    fn look(&mut self, term: &Term) {
        match term {
            Term::Const(_) | Term::Var(_) => {}
            Term::Collect(..) => (self.undefined, self.conflict) = (true, true),
            Term::Ref(head, keys) => {
                if let Head::Term(inner) = head {
                    self.look(inner);
                }
                self.undefined = true;
                self.conflict |= matches!(head, Head::Data);
                keys.iter().for_each(|key| self.look(key));
            }
            Term::Array(items) | Term::Set(items) => items.iter().for_each(|item| self.look(item)),
            Term::Object(members) => members.iter().for_each(|(key, value)| {
                self.look(key);
                self.look(value);
            }),
            Term::Call(_, arguments, _) => self.call(term, &arguments.iter().collect::<Vec<_>>()),
            Term::In(key, value, collection) => {
                let parts: Vec<&Term> =
                    key.iter().map(|key| &**key).chain([&**value, &**collection]).collect();
                self.call(term, &parts);
            }
        }
    }

    fn call(&mut self, call: &Term, parts: &[&Term]) {
        self.late |= self.conflict || self.undefined && may_conflict(call) || is_call_late(parts);
    }
}

/// A rule is called or read in it.
pub(super) fn may_conflict(term: &Term) -> bool {
    let mut found = false;
    term.visit(&mut |part| found |= is_conflict(part));
    found
}

fn is_conflict(part: &Term) -> bool {
    matches!(part, Term::Call(Function::Rule(_), ..) | Term::Ref(Head::Data, _) | Term::Collect(..))
}
