//! The root context: takes the configuration, and runs what belongs to no single request.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use everycall_core::engine::{Refusal, StreamClose};
use everycall_core::http::Failure;
use everycall_core::{ConfigErrors, Configuring, Effect, FetchId, Reply, StreamId, UnixTime, Work};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use crate::calls::Calls;
use crate::check::Check;
use crate::host::{self, ReplySize};
use crate::metrics::Timed;
use crate::registry::{self, Instance};
use crate::stream::Stream;

/// Between ticks while nothing happens: how long a record may wait before it is written.
const TICK: Duration = Duration::from_millis(100);
/// The same while there is something to write, so that few records are written at a time.
const BRISK_TICK: Duration = Duration::from_millis(5);
/// The same while work is left over from the last one, as when a bundle or a feed is read: that leaves
/// requests more than half.
const BUSY_TICK: Duration = Duration::from_millis(2);
/// Until when a tick works on bundles and feeds, then on open streams, then on records, in microseconds
/// since it began: slices are begun until then, and one of each in any case. No request on the worker is to
/// wait for it for long.
const WORKING: u64 = 1_000;
/// How often figures are published while ticks come often, in microseconds.
const PUBLISHING: u64 = 100_000;

pub(crate) struct Root {
    id: u32,
    /// `None` until a valid configuration has come.
    instance: Option<Rc<Instance>>,
    /// The configuration, while its bundle is built. Until then the one before it is in force, as for its open
    /// streams.
    configuring: Option<Configuring>,
    /// Fetches under way, by callout, with the largest body that their reply may have.
    fetches: BTreeMap<u32, (FetchId, usize)>,
    /// Callouts of requests that went on after this context woke them: their replies come here.
    woken: BTreeMap<u32, (StreamId, Weak<RefCell<Check>>)>,
    /// Open streams that are decided again, and wait for replies.
    asking: BTreeMap<StreamId, Calls>,
    /// Their callouts.
    asked: BTreeMap<u32, StreamId>,
    /// Between ticks.
    pace: Duration,
    /// The last tick had records to write.
    wrote: bool,
    /// When figures were published last.
    published: UnixTime,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            instance: None,
            configuring: None,
            fetches: BTreeMap::new(),
            woken: BTreeMap::new(),
            asking: BTreeMap::new(),
            asked: BTreeMap::new(),
            pace: TICK,
            wrote: false,
            published: UnixTime::default(),
        }
    }

    fn run(&mut self, effects: Vec<Effect>) {
        let mut open = VecDeque::from(effects);
        while let Some(effect) = open.pop_front() {
            match effect {
                Effect::Emit { record } => host::write_record(record),
                Effect::Info { message } => tell(log::Level::Info, &message),
                Effect::Warn { message } => tell(log::Level::Warn, &message),
                Effect::Fetch { id, call } => match host::http_call(&call) {
                    Ok(token) => drop(self.fetches.insert(token, (id, call.max_body))),
                    Err(_) => open.extend(self.fetched(id, Reply::Failed(Failure::Unavailable))),
                },
                Effect::Wake { stream } => self.wake(stream),
                Effect::Cut { stream, refusal } => self.cut(stream, &refusal),
                Effect::Ask { stream, calls, pending } => {
                    let calls = Calls::make(&calls, pending);
                    self.asked.extend(calls.callouts().map(|token| (token, stream)));
                    self.asking.insert(stream, calls);
                    open.extend(self.go_on_asking(stream));
                }
            }
        }
    }

    fn fetched(&self, id: FetchId, reply: Reply) -> Vec<Effect> {
        let Some(instance) = &self.instance else { return Vec::new() };
        let now = host::now_or_last_told();
        let effects = instance.engine.borrow_mut().fetched(id, reply, now);
        effects
    }

    /// Ends a stream that was admitted, in whichever root context.
    fn cut(&self, stream: StreamId, refusal: &Refusal) {
        let Some(instance) = &self.instance else { return };
        let context = u32::try_from(stream.0).unwrap_or_default();
        if host::set_effective_context(context).is_err() {
            // The client was faster, and the host did not say so.
            let now = host::now_or_last_told();
            instance.engine.borrow_mut().ended(stream, StreamClose::default(), now);
            return;
        }
        let headers: Vec<(&str, &str)> =
            refusal.headers.iter().map(|(name, value)| (&**name, value.as_str())).collect();
        let Refusal { status, details, body, .. } = refusal;
        // The host takes one local reply for a stream; at the second attempt it has had that.
        if host::send_local_response(*status, details, &headers, body).is_err()
            && host::close_stream().is_err()
        {
            log::error!("the host refused to end a stream: {details}");
        }
        self.take_effect_back();
    }

    /// Hands the replies on once all have come. If no clock tells when, they count for nothing.
    fn go_on_asking(&mut self, stream: StreamId) -> Vec<Effect> {
        let Some(instance) = &self.instance else { return Vec::new() };
        if !self.asking.get(&stream).is_some_and(Calls::is_complete) {
            return Vec::new();
        }
        let Some(calls) = self.asking.remove(&stream) else { return Vec::new() };
        let (pending, replies) = calls.into_parts();
        let effects = instance.engine.borrow_mut().answered(pending, replies, host::now().ok());
        effects
    }

    /// Works for a while on the configuration, if it came while another one was in force.
    fn go_on_configuring(&mut self, begun: UnixTime) {
        let Some(instance) = self.instance.clone() else { return };
        let Ok(mut now) = host::now() else { return };
        while let Some(mut configuring) = self.configuring.take() {
            if configuring.work() {
                self.configuring = Some(configuring);
            } else if let Err(errors) = self.put_in_force(configuring) {
                // A VM of the host read the same before it was handed to this one. Refused is what it is.
                refuse(&errors);
                self.instance = None;
            }
            let Ok(after) = host::now() else { break };
            instance.metrics.took(Timed::Updates, micros_between(now, after));
            now = after;
            if micros_between(begun, now) >= WORKING {
                break;
            }
        }
    }

    /// What is left of reading the configuration, at once.
    fn put_in_force(&mut self, configuring: Configuring) -> Result<(), ConfigErrors> {
        let settings = configuring.finish()?;
        for (place, id) in settings.test_keys() {
            log::warn!("`{place}` has the public test key `{id}`: anybody can forge what it is for");
        }
        for (place, why) in settings.keys_left_out() {
            log::warn!("`{place}` is left out: {why}");
        }
        self.instance = Some(registry::configure(settings, self.id));
        Ok(())
    }

    /// Reads the configuration, and puts it in force if there is none before it; whether there is one. The host gave
    /// the same to a VM of its own before, where it was read to its end: here that may take its time, and what was in
    /// force decides meanwhile.
    fn configure(&mut self, text: Vec<u8>) -> Result<bool, ConfigErrors> {
        let configuring = Configuring::begin(text)?;
        // Without a clock no end is near enough: a configuration that observes is refused.
        configuring.check_at(host::now().unwrap_or_default())?;
        let before = registry::known(configuring.instance());
        let Some(instance) = before.filter(|_| !configuring.is_wrong()) else {
            host::set_tick_period(TICK);
            return self.put_in_force(configuring).map(|()| false);
        };
        instance.newest.set(self.id);
        let same = *instance.revision.borrow() == configuring.revision();
        self.instance = Some(instance);
        self.pace = if same { TICK } else { BUSY_TICK };
        // Without ticks it would stay on its way.
        if host::set_tick_period(self.pace) || same {
            self.configuring = (!same).then_some(configuring)
        } else {
            self.put_in_force(configuring)?
        }
        Ok(true)
    }

    /// Does such work for a while, if there is any.
    fn work(&mut self, work: Work, begun: UnixTime) {
        let Some(instance) = self.instance.clone() else { return };
        let Ok(mut now) = host::now() else { return };
        while instance.engine.borrow().has_work(work) {
            let effects = instance.engine.borrow_mut().work(work, now);
            // The host carries cuts out when the tick is over.
            let cuts = effects.iter().any(|effect| matches!(effect, Effect::Cut { .. }));
            self.run(effects);
            let Ok(after) = host::now() else { break };
            match work {
                Work::Updates => instance.metrics.took(Timed::Updates, micros_between(now, after)),
                Work::Streams => instance.metrics.took(Timed::Streams, micros_between(now, after)),
                Work::Records | Work::Overflow => {}
            }
            now = after;
            if cuts || micros_between(begun, now) >= WORKING {
                break;
            }
        }
    }

    /// Files how long this took.
    fn took(&self, work: Timed, begun: UnixTime) {
        let Some(instance) = &self.instance else { return };
        instance.metrics.took(work, micros_between(begun, host::now_or_last_told()));
    }

    fn set_pace(&mut self) {
        let Some(instance) = &self.instance else { return };
        let busy = {
            let engine = instance.engine.borrow();
            let has_work = |work| engine.has_work(work);
            self.configuring.is_some()
                || [Work::Updates, Work::Streams, Work::Records].into_iter().any(has_work)
        };
        let pace = match (busy, self.wrote) {
            (true, _) => BUSY_TICK,
            (false, true) => BRISK_TICK,
            (false, false) => TICK,
        };
        if std::mem::replace(&mut self.pace, pace) != pace {
            host::set_tick_period(pace);
        }
    }

    /// Lets a parked request go on, unless its stream is gone.
    fn wake(&mut self, stream: StreamId) {
        let Some(instance) = &self.instance else { return };
        let parked = instance.parked.borrow_mut().remove(&stream);
        if let Some(check) = parked.and_then(|parked| parked.upgrade()) {
            self.go_on(stream, &check, Check::wake);
        }
    }

    /// Runs a part of a request in its own context.
    fn go_on(
        &mut self,
        stream: StreamId,
        check: &Rc<RefCell<Check>>,
        run: impl FnOnce(&mut Check) -> Action,
    ) {
        let context = u32::try_from(stream.0).unwrap_or_default();
        if host::set_effective_context(context).is_err() {
            return;
        }
        let action = run(&mut check.borrow_mut());
        if action == Action::Continue {
            host::resume_request();
        }
        // The SDK delivers replies to the context whose callback made the callout: this one.
        for token in check.borrow().callouts() {
            self.woken.insert(token, (stream, Rc::downgrade(check)));
        }
        if let Some(instance) = &self.instance {
            instance.park(stream, check);
        }
        self.take_effect_back();
    }

    /// Calls of the host are this context's again.
    fn take_effect_back(&self) {
        if host::set_effective_context(self.id).is_err() {
            log::error!("the host does not know the root context any more");
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        let size = ReplySize { headers, body, trailers };
        if let Some((id, max_body)) = self.fetches.remove(&token) {
            let begun = host::now_or_last_told();
            let effects = self.fetched(id, host::call_reply(size, max_body));
            self.run(effects);
            self.took(Timed::Fetched, begun);
            self.set_pace();
        } else if let Some(stream) = self.asked.remove(&token) {
            if let Some(calls) = self.asking.get_mut(&stream) {
                calls.take_reply(token, size);
            }
            let effects = self.go_on_asking(stream);
            self.run(effects);
            self.set_pace();
        } else if let Some((stream, check)) = self.woken.remove(&token) {
            if let Some(check) = check.upgrade() {
                self.go_on(stream, &check, |check| check.replied(token, size));
            }
        }
    }

    fn on_done(&mut self) -> bool {
        // The last chance to write down what was decided.
        if let Some(instance) = self.instance.clone() {
            // No reply will come here any more.
            for calls in std::mem::take(&mut self.asking).into_values() {
                let (pending, _) = calls.into_parts();
                let effects = instance.engine.borrow_mut().answered(pending, Vec::new(), None);
                self.run(effects);
            }
            let now = host::now_or_last_told();
            while instance.engine.borrow().has_work(Work::Records) {
                let records = instance.engine.borrow_mut().work(Work::Records, now);
                self.run(records);
            }
        }
        self.instance = None;
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let Ok(text) = host::plugin_configuration() else {
            log::error!("the configuration can't be read from the host");
            return false;
        };
        let begun = host::now_or_last_told();
        match self.configure(text) {
            Ok(held) => {
                // Without one before, it is the start of a worker, or a VM of the host that only tries it.
                self.took(if held { Timed::Configure } else { Timed::Start }, begun);
                true
            }
            // Never true: the proxy then keeps the old configuration, or does not start.
            Err(errors) => {
                refuse(&errors);
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(instance) = self.instance.clone() else { return };
        // A root whose configuration was replaced lives on for its streams, and does not tick.
        if instance.newest.get() != self.id {
            return;
        }
        let Ok(now) = host::now() else { return };
        let effects = instance.engine.borrow_mut().tick(now);
        // Ticks that come often would tell the host little each.
        if self.pace == TICK || micros_between(self.published, now) >= PUBLISHING {
            instance.metrics.publish(&instance.engine.borrow(), &instance.signatures);
            self.published = now;
        }
        // A reply that never came belongs to a stream that is gone.
        self.woken.retain(|_, (_, check)| check.strong_count() > 0);
        self.run(effects);
        self.go_on_configuring(now);
        self.work(Work::Updates, now);
        self.work(Work::Streams, now);
        self.wrote = instance.engine.borrow().has_work(Work::Records);
        self.work(Work::Records, now);
        self.set_pace();
        self.took(Timed::Tick, now);
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context_id, self.instance.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

fn refuse(errors: &ConfigErrors) {
    for error in errors.iter() {
        log::error!("configuration refused: {error}");
    }
}

/// A clock that went back tells nothing: then it was long.
fn micros_between(from: UnixTime, to: UnixTime) -> u64 {
    u64::try_from(to.micros().saturating_sub(from.micros())).unwrap_or(u64::MAX)
}

/// One line for the operator, whatever a server may have put into it.
fn tell(level: log::Level, message: &str) {
    log::log!(level, "{}", message.escape_debug());
}
