//! A module for the conformance run: verifies one signature for each request with the adapter's own
//! code, by the host and in Rust, and answers what both say. It protects nothing.
//!
//! The header `x-probe` holds base64url of `{"jwk": {...}, "alg": "ES256", "message": "<base64url>",
//! "signature": "<base64url>"}`. The answer is `{"key": null | "why it can't be used", "host": true,
//! "rust": true, "by": "host"}`; `by` is who verified where the filter would have had to.

use std::rc::Rc;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use everycall_core::jose::{Key, SignatureVerifier};
use everycall_core::{Algorithm, PureRust};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use serde_json::{json, Value};

#[allow(dead_code)] // the probe calls a few of the host's functions
#[path = "../../../filter/proxy-wasm/src/host.rs"]
mod host;
#[path = "../../../filter/proxy-wasm/src/verifier.rs"]
mod verifier;

use verifier::{HostVerifier, Signatures};

#[allow(unsafe_code, missing_docs)] // the export that the host calls first
mod entry {
    proxy_wasm::main! {{
        crate::host::init_log();
        proxy_wasm::set_root_context(|_| Box::new(super::Root));
    }}
}

/// Verification needs no entropy and nothing here signs: whoever asks for randomness is wrong.
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
fn no_entropy(_: &mut [u8]) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
getrandom::register_custom_getrandom!(no_entropy);

struct Root;

struct Probe;

impl Context for Root {}
impl Context for Probe {}

impl RootContext for Root {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Probe))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl HttpContext for Probe {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let (status, body) = match question().and_then(|question| answer(&question)) {
            Some(answer) => (200, answer.to_string()),
            None => (400, "no question".to_owned()),
        };
        if host::send_local_response(status, "probe", &[], body.as_bytes()).is_err() {
            log::error!("everycall: the host refused to send an answer");
        }
        Action::Pause
    }
}

fn question() -> Option<Value> {
    let headers = host::request_headers().ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(headers.only("x-probe")?).ok()?).ok()
}

fn answer(question: &Value) -> Option<Value> {
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(question.get(name)?.as_str()?).ok();
    let (message, signature) = (bytes("message")?, bytes("signature")?);
    let algorithm = Algorithm::named(question.get("alg")?.as_str()?)?;
    let key = match Key::of_jwk(question.get("jwk")?.as_object()?, algorithm) {
        Ok(key) => key,
        Err(why) => return Some(json!({"key": why})),
    };
    let signatures = Rc::new(Signatures::default());
    let host = HostVerifier::new(Rc::clone(&signatures)).verify(&key, &message, &signature);
    let rust = PureRust.verify(&key, &message, &signature);
    let by = if signatures.host.get() > 0 { "host" } else { "rust" };
    Some(json!({"key": null, "host": host.ok(), "rust": rust.ok(), "by": by}))
}
