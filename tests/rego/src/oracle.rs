//! The real OPA, in a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use everycall_rego::Value;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cases::plain;
use crate::generate::builtins::guards;
use crate::tree::{Program, Reader};

/// What OPA says.
#[derive(Clone)]
pub enum Opa {
    /// The value, and how OPA writes it.
    Value(Value, Box<RawValue>),
    Undefined,
    /// An error of the evaluation that is one for us, too.
    Conflict(String),
    /// A builtin failed: OPA as people run it goes on.
    Undecided(String),
    /// The program isn't taken.
    Refused(String),
}

impl std::fmt::Display for Opa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(_, text) => f.write_str(text.get()),
            Self::Undefined => f.write_str("undefined"),
            Self::Conflict(message) | Self::Undecided(message) | Self::Refused(message) => {
                f.write_str(message)
            }
        }
    }
}

/// The process.
pub struct Oracle {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

#[derive(Serialize)]
struct Question<'p> {
    modules: BTreeMap<String, String>,
    data: &'p serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'p serde_json::Value>,
    query: &'p str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Option<Vec<Row>>,
    #[serde(default)]
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Row {
    bindings: Bindings,
}

#[derive(Deserialize)]
struct Bindings {
    answer: Box<RawValue>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    message: String,
}

impl Oracle {
    /// Starts the script `OPA_ORACLE` of the environment; it finds OPA below `OPA_BINDINGS`.
    pub fn start() -> io::Result<Self> {
        let script = std::env::var("OPA_ORACLE")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/oracle.py").to_owned());
        let mut child =
            Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the oracle has no pipes"));
        };
        Ok(Self { child, questions: Some(questions), answers: BufReader::new(answers) })
    }

    /// What OPA says to each.
    pub fn ask(&mut self, programs: &[Program]) -> io::Result<Vec<Opa>> {
        self.ask_so(programs, &|text| text)
    }

    /// The same without OPA's early exit: a rule whose values are all one ends at the first of them, and so what
    /// it reads may end before its second value is seen. Here each has a branch with another value, which never
    /// holds.
    pub fn ask_without_early_exit(&mut self, program: &Program) -> io::Result<Option<Opa>> {
        let answers = self.ask_so(std::slice::from_ref(program), &without_early_exit)?;
        Ok(answers.into_iter().next())
    }

    /// The same without OPA's index of comprehensions: one that closes over a variable, and could find that
    /// variable's values by itself, is evaluated for all of them at once, and ends where it has a conflict for a
    /// value that nobody asked about. A statement under a `with` has no index.
    pub fn ask_without_comprehension_index(&mut self, program: &Program) -> io::Result<Option<Opa>> {
        let answers = self.ask_so(std::slice::from_ref(program), &without_comprehension_index)?;
        Ok(answers.into_iter().next())
    }

    fn ask_so(&mut self, programs: &[Program], change: &dyn Fn(String) -> String) -> io::Result<Vec<Opa>> {
        let mut questions = Vec::new();
        for program in programs {
            let mut modules = program.texts(Reader::Oracle);
            modules.iter_mut().for_each(|(_, text)| *text = change(std::mem::take(text)));
            if modules.iter().any(|(_, text)| text.contains("everycall_guarded")) {
                modules.push(("guards.rego".to_owned(), guards(&modules)));
            }
            questions.push(Question {
                modules: modules.into_iter().collect(),
                data: &program.data,
                input: program.input.as_ref(),
                query: &program.query,
            });
        }
        let pipe = self.questions.as_mut().ok_or_else(|| io::Error::other("the oracle has ended"))?;
        pipe.write_all(&[serde_json::to_vec(&questions)?, b"\n".to_vec()].concat())?;
        pipe.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answers: Vec<Answer> = serde_json::from_str(&line)?;
        if answers.len() != programs.len() {
            return Err(io::Error::other("the oracle answered something else"));
        }
        Ok(answers.into_iter().map(Answer::read).collect())
    }
}

/// Each rule and function whose name is written out once more, as one that never holds, with another value.
fn without_early_exit(mut text: String) -> String {
    let mut heads = BTreeSet::new();
    for line in text.lines() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let mut end = line.find(|c| !is_name(c)).unwrap_or(line.len());
        while let Some((key, _)) = line[end..].strip_prefix("[\"").and_then(|key| key.split_once("\"]")) {
            end += "[\"".len() + key.len() + "\"]".len();
            end += line[end..].find(|c| !is_name(c)).unwrap_or(line[end..].len());
        }
        let (name, behind) = line.split_at(end);
        if matches!(name, "" | "package" | "import" | "default" | "else") {
            continue;
        }
        if let Some(arguments) = behind.strip_prefix('(') {
            heads.insert(format!("{name}({})", vec!["_"; count_arguments(arguments)].join(", ")));
        } else if [" :=", " =", " if"].iter().any(|sign| behind.starts_with(sign)) || behind.is_empty() {
            heads.insert(name.to_owned());
        }
    }
    for head in heads {
        text.push_str(&format!("\n{head} := \"never\" if count([]) > 0\n"));
    }
    text
}

/// Each comprehension as a variable of a statement under a `with` that replaces nothing.
fn without_comprehension_index(text: String) -> String {
    const BEFORE: &str = "[everycall_made | everycall_made := ";
    const BEHIND: &str = " with data.everycall_none as 0][0]";
    let mut out = String::new();
    // Of the brackets that are open: where each begins, and whether it is a comprehension's.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        let begins = out.len();
        out.push(c);
        if std::mem::take(&mut escaped) {
            continue;
        }
        match c {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => open.push((begins, false)),
            '|' => {
                if let Some((begins, is_comprehension)) = open.last_mut() {
                    *is_comprehension = !out[*begins..].starts_with('(');
                }
            }
            ')' | ']' | '}' => {
                if let Some((begins, true)) = open.pop() {
                    out.insert_str(begins, BEFORE);
                    out.push_str(BEHIND);
                }
            }
            _ => {}
        }
    }
    out
}

/// How many arguments stand before the bracket that closes them.
fn count_arguments(text: &str) -> usize {
    let (mut depth, mut count, mut quoted) = (0, 1, false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => count += 1,
            _ => {}
        }
    }
    count
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}

impl Answer {
    fn read(self) -> Opa {
        match (self.error, self.result) {
            (Some(Problem { code, message }), _) => {
                let undecided = ["eval_builtin_error", "eval_type_error", "eval_internal_error"];
                if undecided.iter().any(|code| message.contains(code)) {
                    Opa::Undecided(message)
                } else if code == "eval_error" {
                    Opa::Conflict(message)
                } else {
                    Opa::Refused(message)
                }
            }
            (None, rows) => match rows.into_iter().flatten().next() {
                None => Opa::Undefined,
                Some(row) => match Value::from_json(row.bindings.answer.get()) {
                    Some(value) => Opa::Value(plain(&value), row.bindings.answer),
                    None => Opa::Refused("its answer can't be read".to_owned()),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_comprehension_index;

    #[test]
    fn a_comprehension_is_made_under_a_with() {
        let text = r#"x := [y | not "a|]\"" == y] if ({1} | {2}) == {"k": [v, 2]}"#;
        let want = r#"x := [everycall_made | everycall_made := [y | not "a|]\"" == y] with data.everycall_none as 0][0] if ({1} | {2}) == {"k": [v, 2]}"#;
        assert_eq!(without_comprehension_index(text.to_owned()), want);
    }
}
