//! The module in a real Envoy: the case files, bad configurations, and what the table in
//! envoy/README.md says of things that are missing, broken, slow or too big. Without Envoy or the module these fail.

mod admission;
mod bundles;
mod cases;
mod configuration;
mod feed_faults;
mod floods;
mod hosts;
mod keys;
mod limits;
mod metrics;
mod mtls;
mod obligations;
mod observe;
mod pages;
mod pdp;
mod policy;
mod rego;
mod requests;
mod revocations;
mod shadow;
mod signals;
mod source;
mod stream_faults;
mod streams;
mod world;
