//! Workers of one proxy that share one map and one clock, and the server that they fetch from.

use std::rc::Rc;

use everycall_core::http::Failure;
use everycall_core::sync::{LocalData, SharedData};
use everycall_core::{Call, Effect, Engine, IdSeed, PureRust, Reply, UnixTime, Work};
use serde_json::Value;

use super::settings;

/// What answers fetches.
pub trait Server {
    fn answer(&mut self, call: &Call, now: UnixTime) -> Reply;
}

pub struct Workers<S, D = LocalData> {
    pub engines: Vec<Engine>,
    pub data: Rc<D>,
    pub server: S,
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
    pub slices: usize,
}

impl<S: Server, D: SharedData + 'static> Workers<S, D> {
    pub fn with(count: usize, config: &Value, data: D, server: S) -> Self {
        let mut workers = Self {
            engines: Vec::new(),
            data: Rc::new(data),
            server,
            notes: Vec::new(),
            warnings: Vec::new(),
            slices: 0,
        };
        (0..count).for_each(|_| workers.add(config));
        workers
    }

    pub fn add(&mut self, config: &Value) {
        let seed = IdSeed::derive(&[&self.engines.len().to_le_bytes()]);
        let data = Rc::clone(&self.data);
        self.engines.push(Engine::new(settings(config), Box::new(PureRust), data, seed));
    }

    /// Ticks every worker, answers what they fetch, and does all the work.
    pub fn tick(&mut self, now: UnixTime) {
        for worker in 0..self.engines.len() {
            let effects = self.engines[worker].tick(now);
            self.run(worker, effects, now);
            self.prepare(worker, now);
        }
    }

    pub fn prepare(&mut self, worker: usize, now: UnixTime) {
        while self.engines[worker].has_work(Work::Updates) {
            self.slices += 1;
            let effects = self.engines[worker].work(Work::Updates, now);
            self.run(worker, effects, now);
        }
    }

    pub fn run(&mut self, worker: usize, effects: Vec<Effect>, now: UnixTime) {
        for effect in effects {
            match effect {
                Effect::Fetch { id, call } => {
                    let reply = match self.server.answer(&call, now) {
                        Reply::Http { body, .. } if body.len() > call.max_body => {
                            Reply::Failed(Failure::TooLarge)
                        }
                        reply => reply,
                    };
                    let effects = self.engines[worker].fetched(id, reply, now);
                    self.run(worker, effects, now);
                }
                Effect::Info { message } => self.notes.push(message),
                Effect::Warn { message } => self.warnings.push(message),
                other => panic!("{other:?}"),
            }
        }
    }
}
