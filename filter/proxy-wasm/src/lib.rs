//! The proxy-wasm adapter: carries requests from Envoy to the core, and its decisions back.
//!
//! `root` takes the configuration and runs what belongs to no request, `check` takes one request
//! through, `host` is the only file that calls the host. Nothing is decided here.

mod calls;
mod check;
mod host;
mod metrics;
mod registry;
mod root;
mod shared;
mod stream;
mod verifier;

pub use metrics::table::{MetricRow, METRICS};

use proxy_wasm::traits::RootContext;

#[allow(unsafe_code, missing_docs)] // the export that the host calls first
mod entry {
    proxy_wasm::main! {{
        crate::host::init_log();
        proxy_wasm::set_root_context(super::start);
    }}
}

fn start(context_id: u32) -> Box<dyn RootContext> {
    Box::new(root::Root::new(context_id))
}

/// Verification needs no entropy and nothing here signs: whoever asks for randomness is wrong.
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
fn no_entropy(_: &mut [u8]) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
getrandom::register_custom_getrandom!(no_entropy);
