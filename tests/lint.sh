#!/usr/bin/env bash
# Format, lints, and the dependencies' licences, sources and advisories.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/install.sh

cargo fmt --all --check
cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
cargo metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml >/dev/null ||
  fail "tests/fuzz/Cargo.lock is not what its crates need: cargo update --workspace --manifest-path tests/fuzz/Cargo.toml"
cargo clippy --locked --quiet --workspace --all-targets -- --deny warnings
command -v cargo-deny >/dev/null || cargo_tool cargo-deny 0.20.2 "three to six minutes"
if at_most 60 cargo deny fetch db >.tools/deny.log 2>&1; then
  cargo deny --offline --log-level error check
elif [ "${EVERYCALL_OFFLINE:-}" = 1 ]; then
  say "ADVISORIES WERE NOT CHECKED: their database can't be fetched (log: .tools/deny.log)"
  cargo deny --log-level error check bans licenses sources
else
  fail "advisories can't be read (log: .tools/deny.log). EVERYCALL_OFFLINE=1 does without them"
fi
