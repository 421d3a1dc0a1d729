//! The root context: takes the configuration, and runs what belongs to no single request.

use std::rc::Rc;
use std::time::Duration;

use everycall_core::{Budget, Call, Effect, Settings};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::host;
use crate::registry::{self, Instance};
use crate::stream::Stream;

/// How long a record may wait before it is written.
const TICK: Duration = Duration::from_millis(100);
/// What one tick may do, so that no request on the worker waits for it for long.
const BUDGET: Budget = Budget { records: 1_000 };

pub(crate) struct Root {
    id: u32,
    /// `None` until a valid configuration has come.
    instance: Option<Rc<Instance>>,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, instance: None }
    }

    fn run(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Emit { record } => match serde_json::to_string(&record) {
                    // JSON escapes control characters: no value can start a line of its own.
                    Ok(line) => log::info!("{line}"),
                    Err(error) => log::error!("everycall: a record can't be written: {error}"),
                },
                Effect::Share { key, bytes, expect } => {
                    // Losing the race is fine: another worker has written.
                    let _ = host::set_shared_data(&key, &bytes, expect.unwrap_or_default());
                }
                // The core names none of these yet; should it, that must not go unseen.
                Effect::Fetch { call: Call { cluster, .. }, .. } => {
                    log::error!("everycall: no fetch from `{cluster}` is made");
                }
                Effect::Cut { stream, .. } | Effect::Wake { stream } | Effect::Ask { stream, .. } => {
                    log::error!("everycall: nothing is done about stream {}", stream.0);
                }
            }
        }
    }
}

impl Context for Root {
    fn on_done(&mut self) -> bool {
        // The last chance to write down what was decided.
        if let Some(instance) = self.instance.take() {
            // The time does not matter to records.
            let now = host::now().unwrap_or_default();
            let effects = instance.engine.borrow_mut().tick(now, Budget { records: usize::MAX });
            self.run(effects);
        }
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let Ok(text) = host::plugin_configuration() else {
            log::error!("everycall: the configuration can't be read from the host");
            return false;
        };
        match Settings::from_json(&text) {
            Ok(settings) => {
                for (issuer, kid) in settings.test_keys() {
                    log::warn!("everycall: issuer `{issuer}` trusts the public test key `{kid}`: anybody can forge its tokens");
                }
                self.instance = Some(registry::configure(settings, self.id));
                host::set_tick_period(TICK);
                true
            }
            // Never true: the proxy then keeps the old configuration, or does not start.
            Err(errors) => {
                for error in errors.iter() {
                    log::error!("everycall: configuration refused: {error}");
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(instance) = &self.instance else { return };
        // A root whose configuration was replaced lives on for its streams, and does not tick.
        if instance.newest.get() != self.id {
            return;
        }
        let Ok(now) = host::now() else { return };
        let (effects, stats) = {
            let mut engine = instance.engine.borrow_mut();
            (engine.tick(now, BUDGET), engine.stats())
        };
        instance.metrics.publish(stats);
        self.run(effects);
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context_id, self.instance.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
