//! What the page on running it says that a worker holds at most is what the bounds are, and adds up.

use everycall_core::Settings;
use serde_json::json;

use crate::page::{file, PROXY};

#[test]
fn what_a_worker_holds_is_bounded_as_the_page_says() {
    let page = file(PROXY);
    let rows: Vec<Vec<&str>> = page
        .lines()
        .map(|line| line.trim().split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let mut config = everycall_tests::cases::reference().unwrap();
    // One issuer with a server of keys, as the table has it.
    config["issuers"][0]["keys"] =
        json!({"remote": {"cluster": "keys", "host": "id.shop.example", "path": "/jwks.json"}});
    let settings = Settings::from_value(config).unwrap();
    let bounds = settings.memory_bounds();
    for (what, bytes) in &bounds {
        let row =
            rows.iter().find(|row| row.first() == Some(what)).unwrap_or_else(|| panic!("no row `{what}`"));
        let mib = format!("{} MiB", bytes.div_ceil(1 << 20));
        assert!(row[1].contains(&mib), "`{what}`: {mib}, and not {}", row[1]);
    }
    let sum = bounds.iter().map(|(_, bytes)| bytes).sum::<usize>();
    let some = format!("some {} MiB", (sum >> 20).next_multiple_of(10));
    assert!(page.contains(&format!("With the defaults that is {some}")), "{some}");
}
