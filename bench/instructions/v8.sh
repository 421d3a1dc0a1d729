#!/usr/bin/env bash
# Runs the stages of decisions in V8, compiled as Envoy compiles them: at once, and optimised. They are counted
# natively before (`make bench-instructions`). Without wasm-opt, which the module itself has seen.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/install.sh
get_node || fail "no node: install Node.js 18 or later"
source filter/proxy-wasm/toolchain.sh

say "compiling the stages for V8 (minutes the first time)"
wasm_cargo build --quiet --release --package everycall-instructions --lib
target=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
node --no-liftoff --no-wasm-lazy-compilation bench/instructions/v8.mjs \
  "$target/$wasm_target/release/everycall_instructions.wasm" target/bench-instructions.json target/bench-stages.json
