//! The questions of a policy on their way to decision points and back: bounds, breakers, answers.

use std::collections::BTreeMap;

use super::case::{Case, Refused};
use crate::base::reason::Reason;
use crate::base::time::UnixTime;
use crate::http::call::{Call, Reply};
use crate::http::request::StreamId;
use crate::pdp::{self, Answer, AnswerError, Asker, Breaker, Question, MAX_ANSWER};
use crate::record::PdpExchange;
use crate::settings::Settings;

/// Figures of one decision point, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PdpStats {
    /// Its name in the configuration.
    pub pdp: String,
    /// Its breaker is open: questions fail at once.
    pub breaker_open: bool,
    /// Questions that it answered, or refused to.
    pub answered: u64,
    /// Questions that failed.
    pub failed: u64,
    /// Questions that were not asked because its breaker was open.
    pub short_circuited: u64,
}

/// What an engine knows of one decision point.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PdpState {
    breaker: Breaker,
    in_flight: usize,
    answered: u64,
    failed: u64,
    short_circuited: u64,
}

/// All decision points of an engine, and the streams that wait for them.
#[derive(Debug, Default)]
pub(super) struct Pdps {
    states: BTreeMap<String, PdpState>,
    /// By stream: the decision point of each of its open questions.
    waiting: BTreeMap<StreamId, Vec<String>>,
}

impl Pdps {
    /// Streams that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Breakers know nothing of a new configuration, or of a clock that was wrong.
    pub(super) fn reset(&mut self, settings: &Settings) {
        for state in self.states.values_mut() {
            state.breaker = Breaker::default();
        }
        self.states.retain(|name, state| settings.pdps.contains_key(name) || state.in_flight > 0);
        for name in settings.pdps.keys() {
            self.states.entry(name.clone()).or_default();
        }
    }

    /// The stream's questions are not open any more.
    fn close(&mut self, stream: StreamId) {
        for name in self.waiting.remove(&stream).into_iter().flatten() {
            if let Some(state) = self.states.get_mut(&name) {
                state.in_flight = state.in_flight.saturating_sub(1);
            }
        }
    }

    /// The stream is gone.
    pub(super) fn forget(&mut self, stream: StreamId, now: UnixTime) {
        self.close(stream);
        for state in self.states.values_mut() {
            state.breaker.forget(stream, now);
        }
    }

    /// Whether these questions can be asked at all, and the bounds of this decision and of all that wait.
    pub(super) fn may_ask(&self, settings: &Settings, case: &Case, open: &[Question]) -> Result<(), Refused> {
        let limits = &settings.limits;
        for question in open {
            let Some(pdp) = settings.pdps.get(&question.pdp) else {
                return Err(Refused::new(
                    Reason::PolicyResult,
                    format!("no decision point `{}` is configured", question.pdp),
                ));
            };
            question.check(pdp.protocol).map_err(|detail| Refused::new(Reason::PolicyResult, detail))?;
        }
        if case.rounds >= *limits.pdp_rounds {
            return Err(Refused::new(
                Reason::PolicyLimit,
                format!("more than {} rounds of questions", limits.pdp_rounds),
            ));
        }
        if case.answered.len().saturating_add(open.len()) > *limits.pdp_questions {
            return Err(Refused::new(
                Reason::PolicyLimit,
                format!("more than {} questions", limits.pdp_questions),
            ));
        }
        if self.waiting() >= *limits.max_pending {
            return Err(Refused::new(
                Reason::Overloaded,
                format!("{} requests wait already", limits.max_pending),
            ));
        }
        for (name, pdp) in &settings.pdps {
            let in_flight = self.states.get(name).map_or(0, |state| state.in_flight);
            let more = open.iter().filter(|question| question.pdp == *name).count();
            if more > 0 && in_flight.saturating_add(more) > *pdp.max_in_flight {
                return Err(Refused::new(
                    Reason::Overloaded,
                    format!("{in_flight} questions to `{name}` are open already"),
                ));
            }
        }
        Ok(())
    }

    /// Answers the questions that were answered before something changed, and those whose decision point is left
    /// alone; the others are to go out.
    pub(super) fn left_to_ask(
        &mut self,
        settings: &Settings,
        case: &mut Case,
        open: Vec<Question>,
        now: UnixTime,
    ) -> Vec<Question> {
        case.rounds = case.rounds.saturating_add(1);
        let stream = case.request.stream;
        let mut asked = Vec::with_capacity(open.len());
        for question in open {
            let has_breaker = settings.pdps.get(&question.pdp).is_some_and(|pdp| pdp.breaker.is_some());
            let state = self.states.entry(question.pdp.clone()).or_default();
            case.record.pdp.retain(|exchange| exchange.id != question.id);
            case.record.pdp.push(PdpExchange {
                id: question.id.clone(),
                pdp: question.pdp.clone(),
                question: question.body.clone(),
                answer: None,
            });
            if let Some(at) = case.known.iter().position(|(known, _)| *known == question) {
                let (question, answer) = case.known.swap_remove(at);
                case.note_answer(question, answer);
            } else if !has_breaker || state.breaker.lets_through(stream, now) {
                asked.push(question);
            } else {
                state.short_circuited = state.short_circuited.saturating_add(1);
                case.note_answer(question, Answer::Error(AnswerError::Unavailable));
            }
        }
        asked
    }

    /// The calls of these questions, which are open from now on.
    pub(super) fn ask(&mut self, settings: &Settings, case: &Case, open: &[Question]) -> Vec<Call> {
        let asker = Asker {
            is_secret: &|name| settings.is_secret(name),
            decision_id: &case.record.id,
            request: &case.request,
            now: case.record.time,
        };
        let calls = open
            .iter()
            .filter_map(|question| Some(pdp::call(settings.pdps.get(&question.pdp)?, question, &asker)));
        let calls = calls.collect();
        for question in open {
            let state = self.states.entry(question.pdp.clone()).or_default();
            state.in_flight = state.in_flight.saturating_add(1);
        }
        let names = open.iter().map(|question| question.pdp.clone()).collect();
        self.waiting.insert(case.request.stream, names);
        calls
    }

    /// Files the replies as answers. A reply that is missing is a failure.
    pub(super) fn note_answers(
        &mut self,
        settings: &Settings,
        case: &mut Case,
        (open, replies): (Vec<Question>, Vec<Reply>),
        now: UnixTime,
    ) {
        let stream = case.request.stream;
        self.close(stream);
        let (mut replies, mut left) = (replies.into_iter(), MAX_ANSWER);
        for question in open {
            let pdp = settings.pdps.get(&question.pdp);
            let answer = match (pdp, replies.next()) {
                (Some(pdp), Some(reply)) => pdp::answer(pdp, &reply, &mut left),
                _ => Answer::Error(AnswerError::Unavailable),
            };
            if let (Some(pdp), Some(state)) = (pdp, self.states.get_mut(&question.pdp)) {
                let lives = answer.is_sign_of_life();
                let counter = if lives { &mut state.answered } else { &mut state.failed };
                *counter = counter.saturating_add(1);
                if let Some(rule) = pdp.breaker {
                    state.breaker.note(rule, stream, lives, now);
                }
            }
            case.note_answer(question, answer);
        }
        // Whatever became of its questions: it tries nothing any more.
        self.forget(stream, now);
    }

    /// Current figures of the decision points.
    pub(super) fn stats(&self, settings: &Settings) -> Vec<PdpStats> {
        let configured = self.states.iter().filter(|(name, _)| settings.pdps.contains_key(*name));
        configured
            .map(|(name, state)| PdpStats {
                pdp: name.clone(),
                breaker_open: state.breaker.is_open(),
                answered: state.answered,
                failed: state.failed,
                short_circuited: state.short_circuited,
            })
            .collect()
    }
}

impl Case {
    /// Files an answer, in the record too.
    pub(super) fn note_answer(&mut self, question: Question, answer: Answer) {
        for exchange in self.record.pdp.iter_mut().filter(|exchange| exchange.id == question.id) {
            exchange.answer = Some(answer.to_json());
        }
        self.answered.push((question, answer));
    }
}
