//! The keys in a rule's head.

use super::*;

/// A component of a head's reference.
pub(super) enum Key<'a> {
    Name(&'a str),
    Expr(&'a Expr),
}

/// How many keys the definition's head has below its document: of what it adds to a set, the element is one.
pub(crate) fn head_keys(definition: &Definition) -> usize {
    match &*definition.rule {
        ast::Rule::Spec { head: RuleHead::Compr { refr, .. }, .. } => tail_of(refr, definition.named).len(),
        ast::Rule::Spec { head: RuleHead::Set { refr, .. }, .. } => {
            tail_of(refr, definition.named).len().saturating_add(1)
        }
        _ => 0,
    }
}

/// What stands behind the first components of a head's reference.
pub(super) fn tail_of(refr: &Expr, named: usize) -> Vec<Key<'_>> {
    let mut keys = Vec::new();
    let mut open = refr;
    loop {
        match open {
            Expr::RefDot { refr, field, .. } => {
                keys.push(Key::Name(field.0.text()));
                open = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                keys.push(Key::Expr(index));
                open = refr;
            }
            _ => break,
        }
    }
    keys.reverse();
    keys.split_off(named.saturating_sub(1).min(keys.len()))
}
