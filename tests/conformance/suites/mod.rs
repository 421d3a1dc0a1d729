//! The suites, each from published vectors.

mod attacks;
pub mod authzen;
mod cookbook;
mod identity_model;
pub mod istio;
mod jose;
mod oauth;
pub mod opa_envoy;
mod rfc_jose;
mod spiffe;
mod wycheproof;

use crate::suite::Suite;

/// All of them.
pub fn all() -> Vec<Suite> {
    let all = [
        wycheproof::suites(),
        rfc_jose::suites(),
        cookbook::suites(),
        spiffe::suites(),
        identity_model::suites(),
        oauth::suites(),
        istio::suites(),
        opa_envoy::suites(),
        authzen::suites(),
        attacks::suites(),
    ];
    all.into_iter().flatten().collect()
}
