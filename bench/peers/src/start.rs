//! How long Envoy takes from its start to its first answer: with the empty filter, and with Everycall.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use everycall_core::Algorithm::Rs256;
use everycall_tests::client;
use everycall_tests::envoy::{Envoy, Start};

use crate::policy::Setting;
use crate::requests::Source;
use crate::run::{raw, Bench};
use crate::scenario::Filter;

/// Where the first request comes from.
pub const SOURCE: Source = Source::Warm(Rs256);

/// Milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Started {
    pub empty: f64,
    pub everycall: f64,
}

impl Started {
    pub fn measure(bench: &Bench) -> anyhow::Result<Self> {
        let everycall = Filter::Everycall(Setting::of(Rs256));
        Ok(Self { empty: with(bench, &Filter::Empty)?, everycall: with(bench, &everycall)? })
    }
}

fn with(bench: &Bench, filter: &Filter) -> anyhow::Result<f64> {
    let bootstrap = bench.places.bootstrap(filter)?;
    let request = raw(&bench.requests(SOURCE).all[0])?;
    let begun = Instant::now();
    let envoy = Envoy::start_as(&bootstrap, &Start::with(1))?;
    // Ready says the main thread; the worker may still be at it.
    let inbound = envoy.listener("inbound")?;
    let answer = client::send(inbound, Ipv4Addr::LOCALHOST.into(), &request, Duration::from_secs(60))?;
    let took = begun.elapsed();
    ensure!(answer.status == 200, "the first request came to {}", answer.status);
    Ok(took.as_secs_f64() * 1e3)
}
