//! What `v8.mjs` calls. A clock is read before and after, never in here: the module imports nothing.

use std::cell::RefCell;

use everycall_core::Engine;

use crate::memory;
use crate::stages::{Ready, STAGES};

thread_local! {
    static READY: RefCell<Option<Ready>> = const { RefCell::new(None) };
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

/// Verification needs no entropy, and test keys sign without.
fn no_entropy(_: &mut [u8]) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}
getrandom::register_custom_getrandom!(no_entropy);

/// Prepares the stage with this index. All of these answer whether it went well.
#[no_mangle]
extern "C" fn prepare(stage: usize) -> bool {
    let ready = STAGES.get(stage).and_then(|stage| Ready::new(stage).ok());
    READY.replace(ready);
    READY.with_borrow(Option::is_some)
}

/// Does the stage that was prepared so often.
#[no_mangle]
extern "C" fn run(times: u32) -> bool {
    READY.with_borrow_mut(|ready| ready.as_mut().is_some_and(|ready| ready.run(times.into()).is_ok()))
}

/// Reads a configuration with that many grants.
#[no_mangle]
extern "C" fn load(grants: usize) -> bool {
    let engine = memory::configuration(grants).and_then(|text| memory::engine(text));
    ENGINE.replace(engine.ok());
    ENGINE.with_borrow(Option::is_some)
}

/// Brings that many different tokens.
#[no_mangle]
extern "C" fn remember(tokens: usize) -> bool {
    ENGINE.with_borrow_mut(|engine| {
        engine.as_mut().is_some_and(|engine| memory::remember(engine, tokens).is_ok())
    })
}
