//! A policy decision point that is now and then slow, wrong, silent or gone.

use std::sync::Mutex;
use std::time::Duration;

use everycall_tests::fault::{Door, Fault};
use everycall_tests::server::{Answer, Received};

use crate::run::Run;

/// How long each state lasts.
const EACH: Duration = Duration::from_secs(4);

/// What it does with questions.
#[derive(Debug, Clone, Copy)]
pub enum State {
    Well,
    /// Answers within its time, and late in it.
    Slow,
    /// Answers when nobody waits any more.
    TooSlow,
    Error,
    Garbage,
    /// A yes that asks for what is not understood.
    Obligations,
    /// Ends the connection instead of an answer.
    Reset,
    /// Nobody listens.
    Gone,
}

/// Well in between: a breaker that opened has to close again.
const STATES: [State; 14] = [
    State::Well,
    State::Slow,
    State::Well,
    State::TooSlow,
    State::Well,
    State::Error,
    State::Well,
    State::Garbage,
    State::Well,
    State::Obligations,
    State::Well,
    State::Reset,
    State::Well,
    State::Gone,
];

pub struct Point(Mutex<State>);

impl Point {
    pub const fn new() -> Self {
        Self(Mutex::new(State::Well))
    }

    /// What it says to a question: no to one in four.
    pub fn answer(&self, request: &Received) -> Answer {
        let is_yes = request.body.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 4 != 0;
        let says = Answer::Http(200, format!(r#"{{"decision":{is_yes}}}"#).into_bytes());
        match *self.0.lock().unwrap() {
            State::Well | State::Gone => says,
            State::Slow => {
                std::thread::sleep(Duration::from_millis(120));
                says
            }
            State::TooSlow => {
                std::thread::sleep(Duration::from_millis(400));
                says
            }
            State::Error => Answer::Http(500, b"down\n".to_vec()),
            State::Garbage => Answer::Http(200, br#"{"decision":"perhaps"}"#.to_vec()),
            State::Obligations => {
                Answer::Http(200, br#"{"decision":true,"context":{"obligations":[{"id":"x"}]}}"#.to_vec())
            }
            State::Reset => Answer::Close,
        }
    }

    /// Goes through the states until the run is over.
    pub fn change(&self, door: &Door, run: &Run) -> anyhow::Result<()> {
        for state in STATES.iter().cycle() {
            *self.0.lock().unwrap() = *state;
            let is_gone = matches!(state, State::Gone);
            if is_gone {
                door.set(Fault::Gone);
            }
            let goes_on = run.sleep(EACH);
            if is_gone {
                door.set(Fault::None);
            }
            if !goes_on {
                break;
            }
        }
        *self.0.lock().unwrap() = State::Well;
        Ok(())
    }
}
