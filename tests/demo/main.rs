//! The tour: a devserver, an upstream and a real Envoy with the module, about twenty requests, and
//! each decision as Envoy's access log shows it, compared with what it should be. At last an agent's
//! stream, which is cut when its task ends.
//!
//! `--keep` leaves everything running and prints requests to try. `--json` prints rows as JSON.

mod calls;
mod rows;
mod world;

use std::collections::BTreeSet;

use anyhow::bail;

use rows::{print_table, Row};
use world::World;

fn main() -> anyhow::Result<()> {
    let arguments: BTreeSet<String> = std::env::args().skip(1).collect();
    if let Some(unknown) =
        arguments.iter().find(|argument| !["--keep", "--json"].contains(&argument.as_str()))
    {
        bail!("unknown argument `{unknown}`; expected `--keep` or `--json`");
    }
    let world = World::start()?;
    if arguments.contains("--keep") {
        return world.keep();
    }
    let agreed = tour(&world, arguments.contains("--json"))?;
    match agreed {
        true => Ok(()),
        false => bail!("some decisions are not what they should be"),
    }
}

/// Makes each call and prints what came of it; whether that is what was expected.
fn tour(world: &World, as_json: bool) -> anyhow::Result<bool> {
    let calls = calls::calls(&world.devserver)?;
    let mut rows: Vec<Row<'_>> = Vec::new();
    for call in &calls {
        rows.push(Row::of(world, call, rows.len() + 1)?);
    }
    if as_json {
        for row in &rows {
            println!("{}", row.json());
        }
    } else {
        print_table(&rows);
    }
    let traps = world.envoy.stat("wasm.everycall.vm_reload_success")?;
    let wrong = rows.iter().filter(|row| !row.right).count();
    eprintln!(
        "{} requests, {wrong} not as expected; {} refused, none of them seen by the upstream; {traps} crashes of the VM",
        rows.len(),
        rows.iter().filter(|row| row.call.expected.0 == "deny").count(),
    );
    Ok(wrong == 0 && traps == 0)
}
