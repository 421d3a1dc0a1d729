//! From the word of the devserver until no worker lets the next request through.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context};
use everycall_tests::connection::Connection;
use serde_json::{json, Map, Value};

use crate::figures::{Chance, Figure, Samples};
use crate::proxy::{Caller, Proxy};
use crate::WORKERS;

const ROUNDS: usize = 50;
/// Of which worker each is, is not known: so many that each has some.
const CONNECTIONS: u32 = WORKERS * 12;

pub struct Refused {
    took: Samples,
}

pub fn measure(proxy: &Proxy) -> anyhow::Result<Refused> {
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| Connection::new(proxy.inbound)).collect();
    let mut chance = Chance(1);
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        eprint!("\rrequests: {}/{ROUNDS} tasks ended ", round + 1);
        let task = format!("r-{round}");
        let header =
            format!("authorization: {}\r\n", proxy.token(&Caller::workload("r", &task), 300)?.header);
        let mut ask = |at: usize| -> anyhow::Result<u16> {
            Ok(connections[at].get_with("/t/a", &header).context("Envoy ended a connection")?.0)
        };
        for at in 0..CONNECTIONS as usize {
            ensure!(ask(at)? == 200, "a request is refused before its task ends");
        }
        // Else each would end as long after the last fetch.
        std::thread::sleep(Duration::from_millis(chance.below(600)));
        let began = proxy.end_task(&task)?;
        let mut open: Vec<usize> = (0..CONNECTIONS as usize).collect();
        while !open.is_empty() {
            ensure!(began.elapsed() < Duration::from_secs(10), "{} are let through", open.len());
            let mut still = Vec::new();
            for at in open {
                match ask(at)? {
                    200 => still.push(at),
                    401 => {}
                    other => anyhow::bail!("a request of an ended task came to {other}"),
                }
            }
            open = still;
        }
        took.push(Instant::now().duration_since(began).as_secs_f64());
    }
    eprintln!();
    Ok(Refused { took: Samples::of(took) })
}

impl Refused {
    pub fn report(&self, result: &mut Map<String, Value>, figures: &mut Vec<Figure>) {
        figures.push(Figure::seconds("next request refused by every worker", &self.took, 1.0));
        result.insert("refused_p99_s".into(), json!(self.took.at(0.99)));
        result.insert("refused_rounds".into(), json!(self.took.count()));
        result.insert("refused_max_s".into(), json!(self.took.at(1.0)));
    }
}
