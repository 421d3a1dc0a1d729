//! Calls in place of lookups: `purpose.stated` after `import data.lib.purpose` is compiled to a lookup of the
//! whole package, which evaluates each of its rules and makes an object of their values, and then of the one
//! that was meant.

use std::collections::BTreeMap;

use regorus::rvm::instructions::LiteralOrRegister;
use regorus::rvm::program::Program;
use regorus::rvm::Instruction;

/// Turns each lookup of exactly one rule into a call of it; answers the paths of the others.
pub(super) fn in_place_of_lookups(program: &mut Program) -> BTreeMap<usize, String> {
    let mut others = BTreeMap::new();
    for pc in 0..program.instructions.len() {
        let next = pc.saturating_add(1);
        let Some((path, whole, dest)) = lookup(program, pc) else { continue };
        let rule = |path: &str| {
            let index = program.rule_infos.iter().position(|info| info.name == path)?;
            u16::try_from(index).ok()
        };
        // `data.lib.rule` by an import of `data.lib` is a lookup of the package and then of the rule.
        let member = match program.instructions.get(next) {
            Some(Instruction::IndexLiteral { dest: to, container, literal_idx }) if *container == dest => {
                let name =
                    program.literals.get(usize::from(*literal_idx)).and_then(|name| name.as_string().ok());
                name.and_then(|name| Some((*to, rule(&format!("{path}.{name}"))?)))
            }
            _ => None,
        };
        let mut put = |at: usize, new| {
            if let Some(old) = program.instructions.get_mut(at) {
                *old = new;
            }
        };
        match (rule(&path), member) {
            (Some(rule_index), _) if whole => put(pc, Instruction::CallRule { dest, rule_index }),
            (_, Some((to, rule_index))) if whole => {
                put(pc, Instruction::LoadNull { dest });
                put(next, Instruction::CallRule { dest: to, rule_index });
            }
            _ => drop(others.insert(pc, path)),
        }
    }
    others
}

/// The path that a lookup below `data` starts with, whether that is all of it, and where it goes.
fn lookup(program: &Program, pc: usize) -> Option<(String, bool, u8)> {
    let Instruction::VirtualDataDocumentLookup { params_index } = program.instructions.get(pc)? else {
        return None;
    };
    let params = program.instruction_data.get_virtual_data_document_lookup_params(*params_index)?;
    let literals = params.path_components.iter().map_while(|part| match part {
        LiteralOrRegister::Literal(at) => {
            program.literals.get(usize::from(*at))?.as_string().ok().map(|text| text.to_string())
        }
        LiteralOrRegister::Register(_) => None,
    });
    let path: Vec<String> = std::iter::once("data".to_owned()).chain(literals).collect();
    let whole = path.len() == params.path_components.len().saturating_add(1);
    Some((path.join("."), whole, params.dest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Entry, Library, PolicyValue};
    use super::*;
    use crate::config::Limits;

    const LIB: &str = "package lib\n\n\
        yes if input.n > 0\n\n\
        no if input.n < 0\n\n\
        conflict := 1 if input.n > 0\n\n\
        conflict := 2 if input.n > 0\n\n\
        names contains name if some name in input.names\n";

    /// How many lookups a body leaves, and whether it allows for `input.n` = 1 and = -1.
    fn outcome(body: &str) -> (usize, [bool; 2]) {
        let mut library = Library::default();
        let main = format!(
            "package everycall\n\nimport data.lib\n\ndecision := {{\"allow\": true}} if {{\n\t{body}\n}}\n"
        );
        library.add("main.rego", &main).unwrap();
        library.add("lib.rego", LIB).unwrap();
        library.add_data(json!({"lib": {"limit": 5}}).as_object().unwrap().clone()).unwrap();
        let mut rules = library.rule_set(Entry::named(None), &Limits::default()).unwrap();
        let instructions = rules.program.instructions.iter();
        let lookups = instructions
            .filter(|instruction| matches!(instruction, Instruction::VirtualDataDocumentLookup { .. }))
            .count();
        let allows = [1, -1].map(|n| {
            let input = PolicyValue(json!({"n": n, "names": ["a"], "key": "yes"}).into());
            matches!(rules.decide(&input), Ok(Some(outcome)) if outcome.allow)
        });
        (lookups, allows)
    }

    #[test]
    fn a_rule_of_an_import_is_called() {
        assert_eq!(outcome("lib.yes"), (0, [true, false]));
        assert_eq!(outcome("data.lib.yes"), (0, [true, false]));
        assert_eq!(outcome("lib.yes\n\tlib.no"), (0, [false, false]));
        assert_eq!(outcome("\"a\" in lib.names"), (0, [true, true]));
        // What is undefined is not false, and what is negated is not there.
        assert_eq!(outcome("not lib.yes"), (0, [false, true]));
        assert_eq!(outcome("lib.yes == false"), (0, [false, false]));
        assert_eq!(outcome("not lib.no"), (0, [true, false]));
    }

    #[test]
    fn only_the_rule_that_is_meant_is_evaluated() {
        assert_eq!(outcome("lib.conflict == 1").1, [false, false], "it has two values");
        assert_eq!(outcome("lib.yes"), (0, [true, false]), "the other one is not asked for");
    }

    #[test]
    fn what_is_no_rule_stays_a_lookup() {
        assert_eq!(outcome("lib.limit == 5"), (1, [true, true]));
        assert_eq!(outcome("not lib.absent"), (1, [true, true]));
        assert_eq!(outcome("lib[input.key]").1, [true, false]);
        assert_eq!(outcome("not lib[input.key]").1, [false, true]);
        assert_eq!(outcome("lib.yes\n\tx := lib\n\tx.yes").1, [true, false]);
    }
}
