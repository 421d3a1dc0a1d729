//! One request. [`Check::act`] is the only place that acts on a step, [`Check::admit`] the only
//! one that writes upstream headers, [`Check::refuse`] the only one that answers.

use std::rc::Rc;

use everycall_core::engine::{Admission, StreamClose};
use everycall_core::obligations::HeaderChanges;
use everycall_core::{
    json, Connection, Decision, DecisionRecord, Denial, Pending, Permit, Reason, Reply, Request, Step,
    StreamId, UnixTime,
};
use proxy_wasm::types::Action;
use serde_json::{json, Value};

use crate::calls::Calls;
use crate::host::{self, Error, Message, ReplySize};
use crate::registry::Instance;

/// The filter state object that the access log shows.
const FILTER_STATE: &str = "everycall.decision";
/// Another: why an admitted request's stream was cut.
const STREAM_STATE: &str = "everycall.cut";

pub(crate) struct Check {
    id: StreamId,
    /// `None` if the root has no valid configuration.
    instance: Option<Rc<Instance>>,
    arrived: UnixTime,
    state: State,
}

enum State {
    /// Not decided. The request must not go on.
    Undecided,
    /// Waits for the replies to its calls.
    Waiting(Calls),
    /// Waits to be woken by the root context.
    Parked(Pending),
    /// Passed on, with a permit that wants this done to the response.
    Admitted { id: String, response: HeaderChanges },
    /// Answered.
    Refused,
    /// It is over, and the engine knows.
    Ended,
}

impl Check {
    pub(crate) fn new(id: StreamId, instance: Option<Rc<Instance>>) -> Self {
        Self { id, instance, arrived: UnixTime::default(), state: State::Undecided }
    }

    /// Decides a request whose headers have come.
    pub(crate) fn begin(&mut self) -> Action {
        let Some(instance) = self.instance.clone() else {
            return self.refuse_unread("there is no valid configuration");
        };
        let (Ok(now), Ok(request)) = (host::now(), self.request(&instance)) else {
            return self.refuse_unread("the clock or the request's headers can't be read from the host");
        };
        self.arrived = now;
        let step = instance.engine.borrow_mut().check(request, self.arrived);
        self.act(step)
    }

    /// Goes on with a parked request; Continue: it may pass.
    pub(crate) fn wake(&mut self) -> Action {
        if !self.is_parked() {
            return Action::Pause;
        }
        let (State::Parked(pending), Some(instance)) =
            (std::mem::replace(&mut self.state, State::Undecided), self.instance.clone())
        else {
            return Action::Pause;
        };
        let step = resume(&instance, pending, Vec::new());
        self.act(step)
    }

    /// Takes the reply to a callout; Continue: the request may pass.
    pub(crate) fn replied(&mut self, token: u32, size: ReplySize) -> Action {
        let State::Waiting(calls) = &mut self.state else { return Action::Pause };
        calls.take_reply(token, size);
        match self.resume_if_complete() {
            Some(step) => self.act(step),
            None => Action::Pause,
        }
    }

    /// The stream has ended, and the host can still tell of it.
    pub(crate) fn log(&mut self) {
        let (Some(instance), State::Admitted { .. }) = (self.instance.clone(), &self.state) else { return };
        let now = host::now_or_last_told();
        // Host calls that most requests are spared.
        let asks = instance.engine.borrow().open_stream(self.id).is_some_and(|open| open.asks_for_close(now));
        let close = if asks { close() } else { StreamClose::default() };
        let reason = instance.engine.borrow_mut().ended(self.id, close, now);
        if let Some(reason) = reason {
            host::set_filter_state(STREAM_STATE, reason.code());
        }
        instance.write_overflow();
        self.state = State::Ended;
    }

    /// Forgets the request.
    pub(crate) fn end(&mut self) {
        if let (Some(instance), false) = (&self.instance, matches!(self.state, State::Ended)) {
            let now = host::now_or_last_told();
            instance.engine.borrow_mut().ended(self.id, StreamClose::default(), now);
        }
        self.state = State::Ended;
    }

    /// Whether it waits to be woken.
    pub(crate) const fn is_parked(&self) -> bool {
        matches!(self.state, State::Parked(_))
    }

    /// The callouts whose replies it waits for.
    pub(crate) fn callouts(&self) -> Vec<u32> {
        match &self.state {
            State::Waiting(calls) => calls.callouts().collect(),
            _ => Vec::new(),
        }
    }

    /// Takes the request to its decision as far as it goes now. INVARIANT: answers Continue for an
    /// admitted request only.
    fn act(&mut self, mut step: Step) -> Action {
        loop {
            match step {
                Step::Done(Decision { verdict, record }) => {
                    let verdict = verdict.and_then(|permit| Self::admit(permit, &record));
                    return match verdict {
                        Ok((response, admission)) => {
                            if let Some(instance) = &self.instance {
                                instance.engine.borrow_mut().admitted(admission);
                            }
                            self.state = State::Admitted { id: record.id.clone(), response };
                            self.note(record, None);
                            Action::Continue
                        }
                        Err(denial) => {
                            self.note(record, Some(&denial));
                            self.refuse(&denial)
                        }
                    };
                }
                Step::Ask { calls, pending } => {
                    self.state = State::Waiting(Calls::make(&calls, pending));
                    match self.resume_if_complete() {
                        Some(next) => step = next,
                        None => return Action::Pause,
                    }
                }
                Step::Wait { pending } => {
                    self.state = State::Parked(pending);
                    return Action::Pause;
                }
            }
        }
    }

    /// The next step, once every call is answered, failed or timed out.
    fn resume_if_complete(&mut self) -> Option<Step> {
        if !matches!(&self.state, State::Waiting(calls) if calls.is_complete()) {
            return None;
        }
        let State::Waiting(calls) = std::mem::replace(&mut self.state, State::Undecided) else {
            return None;
        };
        let (pending, replies) = calls.into_parts();
        Some(resume(self.instance.as_ref()?, pending, replies))
    }

    /// Prepares the request for the upstream. If the host does not do what the permit says, the
    /// request must not go on: a client's own `x-everycall-…` would reach the upstream.
    fn admit(permit: Permit, record: &DecisionRecord) -> Result<(HeaderChanges, Box<Admission>), Denial> {
        let remove = permit.headers_to_remove().iter().map(String::as_str);
        match host::change_headers(Message::Request, remove, permit.headers_to_set()) {
            Ok(()) => Ok(permit.into_parts()),
            Err(_) => {
                log::error!("the host refused to change the request's headers");
                Err(Denial::new(Reason::NotReady, &record.id))
            }
        }
    }

    /// Prepares the response of an admitted request; our own answers come here as well. If the host
    /// does not do what the permit says, the client must not get the response.
    pub(crate) fn respond(&mut self) -> Action {
        let State::Admitted { id, response } = &self.state else { return Action::Continue };
        if response.is_empty() || self.is_cut() {
            return Action::Continue;
        }
        let remove = response.remove.iter().map(String::as_str);
        let set = response.set.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        if host::change_headers(Message::Response, remove, set).is_ok() {
            return Action::Continue;
        }
        let denial = Denial::new(Reason::NotReady, id);
        log::error!("{id}: the host refused to change the response's headers");
        self.overrule(&denial);
        self.refuse(&denial)
    }

    /// The stream is being cut: the response is ours.
    fn is_cut(&self) -> bool {
        let is_cut = |instance: &Rc<Instance>| Some(instance.engine.borrow().open_stream(self.id)?.is_cut());
        self.instance.as_ref().and_then(is_cut).unwrap_or_default()
    }

    /// Answers the request.
    fn refuse(&mut self, denial: &Denial) -> Action {
        self.state = State::Refused;
        let refusal = denial.refusal();
        let headers: Vec<(&str, &str)> =
            refusal.headers.iter().map(|(name, value)| (&**name, value.as_str())).collect();
        if host::send_local_response(refusal.status, &refusal.details, &headers, &refusal.body).is_err() {
            // It stays paused until the proxy's own timeout: unanswered, and not passed on.
            log::error!("the host refused to send an answer");
        }
        Action::Pause
    }

    /// Answers a request that could not be handed to the engine: there is nothing to record of it
    /// but that it was refused, and why.
    fn refuse_unread(&mut self, why: &str) -> Action {
        let denial = Denial::new(Reason::NotReady, &format!("unread-{}", self.id.0));
        log::error!("request {} refused: {why}", denial.decision_id);
        self.overrule(&denial);
        self.refuse(&denial)
    }

    /// Counts a refusal that no record tells of, and shows it to the access log.
    fn overrule(&self, denial: &Denial) {
        if let Some(instance) = &self.instance {
            instance.metrics.decided(denial.reason);
        }
        let summary = json!({
            "id": denial.decision_id, "decision": "deny", "reason": denial.reason, "layer": denial.layer(),
        });
        host::set_filter_state(FILTER_STATE, &line(&summary));
    }

    /// Counts the decision, shows it to the access log and hands its record on. `denial` is the one
    /// that is acted upon; it overrules a record that allows.
    fn note(&self, mut record: DecisionRecord, denial: Option<&Denial>) {
        let Some(instance) = &self.instance else { return };
        if let Some(denial) = denial.filter(|denial| record.reason != Some(denial.reason)) {
            record.overrule(denial.reason, "the host refused to change the request's headers");
        }
        let micros = host::now_or_last_told().micros().saturating_sub(self.arrived.micros());
        record.duration_us = u64::try_from(micros).ok();
        if let Some(reason) = record.reason {
            instance.metrics.decided(reason);
            if record.is_break_glass() {
                instance.metrics.broke_glass(reason);
            }
        }
        if let Some(would) = &record.would_refuse {
            instance.metrics.would_refuse(would.reason);
        }
        for shadow in &record.shadow {
            instance.metrics.shadow(&shadow.name, shadow.outcome);
        }
        let shown = instance.engine.borrow_mut().record(&record);
        host::set_filter_state(FILTER_STATE, &shown);
        instance.write_overflow();
    }

    /// What the core needs to know of this request.
    fn request(&self, instance: &Instance) -> Result<Request, Error> {
        let headers = host::request_headers()?;
        let mut connection = Connection::default();
        let attributes = instance.engine.borrow().attributes();
        for attribute in attributes.iter() {
            if let Ok(bytes) = host::property(attribute.host) {
                connection.set(attribute, &bytes);
            }
        }
        Ok(Request::new(self.id, headers, connection))
    }

    /// Takes out of the trailers what must not reach the upstream. If the host does not do it, the request ends here.
    pub(crate) fn trailers(&self) -> Action {
        let (Action::Continue, Some(instance)) = (self.gate(), &self.instance) else { return Action::Pause };
        let taken_out = host::request_trailers().and_then(|trailers| {
            let engine = instance.engine.borrow();
            let open = engine.open_stream(self.id);
            // Of a stream that nobody knows any more nothing passes.
            let withheld = |name: &&str| open.as_ref().is_none_or(|open| open.withholds_trailer(name));
            let remove: Vec<&str> = trailers.iter().map(|(name, _)| name).filter(withheld).collect();
            drop(engine);
            host::change_headers(Message::RequestTrailers, remove.into_iter(), std::iter::empty())
        });
        if taken_out.is_ok() {
            return Action::Continue;
        }
        log::error!("the host refused to change the request's trailers");
        if host::close_stream().is_err() {
            log::error!("the host refused to end a request");
        }
        Action::Pause
    }

    /// The answer of every request callback: nothing passes before there is a permit.
    pub(crate) fn gate(&self) -> Action {
        match self.state {
            State::Admitted { .. } => Action::Continue,
            State::Undecided | State::Waiting(_) | State::Parked(_) | State::Refused | State::Ended => {
                Action::Pause
            }
        }
    }
}

/// Goes on with what waited.
fn resume(instance: &Instance, pending: Pending, replies: Vec<Reply>) -> Step {
    let now = host::now().ok();
    instance.engine.borrow_mut().resume(pending, replies, now)
}

/// What the host tells of the stream that is ending.
fn close() -> StreamClose {
    let bytes = |path: &[&str]| Some(u64::from_le_bytes(host::property(path).ok()?.try_into().ok()?));
    let details = host::property(&["response", "code_details"]).unwrap_or_default();
    StreamClose {
        received: bytes(&["request", "total_size"]),
        sent: bytes(&["response", "total_size"]),
        timed_out: details == b"upstream_max_stream_duration_reached",
    }
}

/// JSON in one line; nothing in it acts on who reads it.
fn line(value: &Value) -> String {
    json::line(value).unwrap_or_default()
}
