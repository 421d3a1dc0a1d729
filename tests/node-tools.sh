#!/usr/bin/env bash
# Gets what the tests under Node need: node, and the runner of the wasm-bindgen version in Cargo.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/install.sh

version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
[ -n "$version" ] || fail "Cargo.lock names no wasm-bindgen: the tests in tests/wasm need wasm-bindgen-test"

right_runner() { [ "$(wasm-bindgen-test-runner --version 2>/dev/null)" = "wasm-bindgen-test-runner $version" ]; }

if has_node && right_runner; then
  say "node and wasm-bindgen-test-runner: up to date"
  exit
fi
get_node || fail "no node: install Node.js 18 or later"
right_runner || cargo_tool wasm-bindgen-cli "$version" "two to five minutes"
right_runner || fail "wasm-bindgen-test-runner is not $version"
say "node $(node --version | tr -d v), wasm-bindgen-test-runner $version"
