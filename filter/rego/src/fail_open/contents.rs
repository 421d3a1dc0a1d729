//! What members can be missing from.

use super::*;

impl<'p> Look<'p> {
    /// Whether members can be missing from a collection: one that rules or a comprehension build.
    pub(super) fn contents(&mut self, scope: Scope<'_, 'p>, expr: &'p Expr) -> Why {
        match scope.origins.behind(expr) {
            Expr::Const(_) | Expr::Local(_) | Expr::Input(_) | Expr::Base(_) | Expr::In(_) => None,
            collect @ Expr::Collect(..) => self.lost_expr(scope, collect),
            Expr::Call(call) => match call.callee {
                Callee::Builtin(_) => {
                    call.arguments.iter().find_map(|argument| self.contents(scope, argument))
                }
                Callee::Rule(id) => {
                    let kinds = self.kinds(scope, &call.arguments);
                    self.lost_document(id, scope.facts, kinds)
                }
                Callee::Now => None,
            },
            // A set that lost members takes fewer away.
            Expr::Operator(Operator::Arithmetic(Arithmetic::Minus), sides) => self.contents(scope, &sides.0),
            Expr::Operator(_, sides) => {
                self.contents(scope, &sides.0).or_else(|| self.contents(scope, &sides.1))
            }
            Expr::Array(items) | Expr::Set(items) => items.iter().find_map(|item| self.contents(scope, item)),
            Expr::Object(members) => members.iter().find_map(|(_, value)| self.contents(scope, value)),
            Expr::Get { base, .. } => self.contents(scope, base),
            Expr::Document(id) | Expr::Member(id, _) => self.document_contents(*id, scope.facts),
            // Each rule below is a member.
            Expr::Node(node, _) => {
                let mut below = self.plan.below(*node).into_iter();
                below.find_map(|id| self.lost_document(id, scope.facts, Vec::new()))
            }
        }
    }

    /// A document that collects, or whose value is made of what others collect.
    fn document_contents(&mut self, id: DocumentId, facts: &Facts) -> Why {
        let document = self.plan.documents.get(id)?;
        if document.kind != Made::Complete {
            return self.lost_document(id, facts, Vec::new());
        }
        if self.left == 0 {
            return Some("the rules are too many to be looked through".to_owned());
        }
        self.left = self.left.saturating_sub(1);
        let mut branches = document.rules.iter().flat_map(|rule| &rule.branches);
        branches.find_map(|branch| {
            let origins = Origins::of(branch);
            let mut facts = facts.outside();
            facts.learn(self.plan, &origins, &branch.steps);
            self.contents(Scope { facts: &facts, origins: &origins, site: branch.site }, &branch.value)
        })
    }
}
