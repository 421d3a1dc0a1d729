//! The real OPA, in a process of its own.

use std::collections::BTreeMap;
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
        let mut questions = Vec::new();
        for program in programs {
            let mut modules = program.texts(Reader::Oracle);
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
