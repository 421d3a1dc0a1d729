//! The adapter through the real proxy-wasm ABI, natively: the case files, and the faults of a host
//! that a real Envoy does not have on demand.

// Links the adapter: it is called through its exports only, as Envoy does.
use everycall_filter as _;

mod callouts;
mod cases;
mod configuring;
mod fake;
mod faults;
mod keys;
mod obligations;
mod observe;
mod records;
mod streams;
mod vm;
