//! What people are told of a fact, beside what answers it. The module has no sentences: nothing is kept there.

use everycall_rego::Kind;

/// What stands below a fact: its name, what it is, and a sentence.
pub(super) type Member = (&'static str, Kind, &'static str);

/// What people are told of one fact.
#[derive(Clone, Copy)]
pub(super) struct Description {
    #[cfg(feature = "schema")]
    row: Row,
}

#[cfg(not(feature = "schema"))]
impl Description {
    pub(super) const NOTHING: Self = Self {};

    pub(super) const fn kind(self, _: Kind) -> Self {
        self
    }

    pub(super) const fn items(self, _: Kind) -> Self {
        self
    }

    pub(super) const fn lower_case(self) -> Self {
        self
    }

    pub(super) const fn says(self, _: &'static str) -> Self {
        self
    }

    pub(super) const fn members(self, _: &'static [Member]) -> Self {
        self
    }
}

#[cfg(feature = "schema")]
use with_sentences::Row;
#[cfg(feature = "schema")]
pub use with_sentences::{input_rows, InputRow};

#[cfg(feature = "schema")]
mod with_sentences {
    use everycall_rego::Kind;

    use super::{Description, Member};
    use crate::http::attributes::{Encoding, ATTRIBUTES};
    use crate::input::facts::FACTS;

    #[derive(Clone, Copy)]
    pub(super) struct Row {
        kind: Kind,
        items: Kind,
        /// Empty: the rows below it say all.
        meaning: &'static str,
        members: &'static [Member],
        lower_case: bool,
    }

    impl Description {
        pub(in crate::input) const NOTHING: Self = Self {
            row: Row { kind: Kind::Any, items: Kind::Text, meaning: "", members: &[], lower_case: false },
        };

        pub(in crate::input) const fn what(&self) -> Kind {
            self.row.kind
        }

        pub(in crate::input) const fn below(&self) -> &'static [Member] {
            self.row.members
        }

        pub(in crate::input) const fn is_lower_case(&self) -> bool {
            self.row.lower_case
        }

        pub(in crate::input) const fn lower_case(self) -> Self {
            Self { row: Row { lower_case: true, ..self.row } }
        }

        pub(in crate::input) const fn kind(self, kind: Kind) -> Self {
            Self { row: Row { kind, ..self.row } }
        }

        pub(in crate::input) const fn items(self, items: Kind) -> Self {
            Self { row: Row { items, ..self.row } }
        }

        pub(in crate::input) const fn says(self, meaning: &'static str) -> Self {
            Self { row: Row { meaning, ..self.row } }
        }

        pub(in crate::input) const fn members(self, members: &'static [Member]) -> Self {
            Self { row: Row { members, ..self.row } }
        }
    }

    /// One part of `input`, for people.
    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
    pub struct InputRow {
        /// Where it stands below `input`.
        pub path: String,
        /// What it is: `text`, `number`, `boolean`, `object`, a list of one of them; `or null`.
        pub kind: String,
        /// What it says.
        pub meaning: &'static str,
    }

    /// All that policies may find below `input`, by path.
    pub fn input_rows() -> Vec<InputRow> {
        let mut rows = Vec::new();
        for fact in FACTS {
            let Row { kind, items, meaning, members, .. } = fact.description.row;
            let mut add = |path: String, kind: String, meaning| rows.push(InputRow { path, kind, meaning });
            let below = |name: &str| format!("{}.{name}", fact.path());
            if fact.path() == "connection" {
                for attribute in ATTRIBUTES {
                    let kind = match attribute.encoding {
                        Encoding::Bool => Kind::Boolean,
                        Encoding::Text | Encoding::Address => Kind::Text,
                    };
                    add(below(attribute.name), word(kind).to_owned(), attribute.meaning);
                }
            }
            for (name, kind, meaning) in members {
                add(below(name), word(*kind).to_owned(), meaning);
            }
            if !meaning.is_empty() {
                let kind = match (kind, items) {
                    (Kind::Array, Kind::Object) => "list of objects",
                    (Kind::Array, _) => "list of text",
                    (kind, _) => word(kind),
                };
                let null = if fact.is_null_at_times() { " or null" } else { "" };
                add(fact.path().to_owned(), format!("{kind}{null}"), meaning);
            }
        }
        rows.sort();
        rows
    }

    const fn word(kind: Kind) -> &'static str {
        match kind {
            Kind::Text => "text",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Array => "list",
            Kind::Set => "set",
            Kind::Object => "object",
            Kind::Any => "any value",
        }
    }
}
