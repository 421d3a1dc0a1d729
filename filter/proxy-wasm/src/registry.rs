//! One engine per instance name in a VM. A new configuration of the same instance finds the engine
//! of the old one, so that caches live on and old streams answer to the new settings.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use everycall_core::{Effect, Engine, IdSeed, Settings, StreamId, Work};

use crate::check::Check;
use crate::host;
use crate::metrics::Metrics;
use crate::shared::HostData;
use crate::verifier::{HostVerifier, Signatures};

/// An engine with what the adapter keeps beside it.
pub(crate) struct Instance {
    // INVARIANT: never borrowed across a call to the host, which may call back.
    pub(crate) engine: RefCell<Engine>,
    pub(crate) metrics: Metrics,
    pub(crate) signatures: Rc<Signatures>,
    /// Requests that wait to be woken.
    pub(crate) parked: RefCell<BTreeMap<StreamId, Weak<RefCell<Check>>>>,
    /// Of the configuration in force.
    pub(crate) revision: RefCell<String>,
    /// The root context that ticks: the one configured last.
    pub(crate) newest: Cell<u32>,
}

impl Instance {
    /// Lets the root context find a request if it waits to be woken.
    pub(crate) fn park(&self, stream: StreamId, check: &Rc<RefCell<Check>>) {
        if check.borrow().is_parked() {
            self.parked.borrow_mut().insert(stream, Rc::downgrade(check));
        }
    }

    /// Writes the records that don't have room until the next tick, which a busy worker may not come to.
    pub(crate) fn write_overflow(&self) {
        if self.engine.borrow().has_work(Work::Overflow) {
            let now = host::now_or_last_told();
            let effects = self.engine.borrow_mut().work(Work::Overflow, now);
            for effect in effects {
                if let Effect::Emit { record } = effect {
                    host::write_record(record);
                }
            }
        }
    }
}

thread_local! {
    // Statics are shared by all configurations in a VM. An entry lives as long as a root holds it.
    static INSTANCES: RefCell<BTreeMap<String, Weak<Instance>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The engine of this name, if there is one.
pub(crate) fn known(name: &str) -> Option<Rc<Instance>> {
    INSTANCES.with_borrow(|instances| instances.get(name).and_then(Weak::upgrade))
}

/// Puts valid settings in force and answers the engine that they belong to.
pub(crate) fn configure(settings: Settings, root: u32) -> Rc<Instance> {
    let (name, revision) = (settings.instance().to_owned(), settings.revision().to_owned());
    if let Some(instance) = known(&name) {
        instance.engine.borrow_mut().configure(settings);
        *instance.revision.borrow_mut() = revision;
        instance.newest.set(root);
        return instance;
    }
    let signatures = Rc::new(Signatures::default());
    let verifier = HostVerifier::new(Rc::clone(&signatures));
    let engine = Engine::new(settings, Box::new(verifier), Rc::new(HostData), id_seed());
    let instance = Rc::new(Instance {
        engine: RefCell::new(engine),
        signatures,
        parked: RefCell::default(),
        metrics: Metrics::new(&name),
        revision: RefCell::new(revision),
        newest: Cell::new(root),
    });
    INSTANCES.with_borrow_mut(|instances| {
        instances.retain(|_, instance| instance.strong_count() > 0);
        instances.insert(name, Rc::downgrade(&instance));
    });
    instance
}

/// Differs between proxies, restarts, workers and reloads of a VM.
fn id_seed() -> IdSeed {
    let node = host::property(&["xds", "node", "id"]).unwrap_or_default();
    IdSeed::derive(&[&node, &host::now_or_last_told().micros().to_le_bytes(), &worker_number().to_le_bytes()])
}

/// Nothing in the host names a worker, and all workers may start in one microsecond: so they count
/// themselves.
fn worker_number() -> u64 {
    const KEY: &str = "everycall.worker";
    // Of N writers at once one wins each round.
    for _ in 0..64 {
        // A number other than 0 creates a missing entry for one writer only.
        let (bytes, cas) = host::shared_data(KEY).unwrap_or((Vec::new(), u32::MAX));
        let number = bytes.try_into().map(u64::from_le_bytes).unwrap_or_default().wrapping_add(1);
        if host::set_shared_data(KEY, &number.to_le_bytes(), cas.max(1)).is_ok() {
            return number;
        }
    }
    0
}
