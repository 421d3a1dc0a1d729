#!/usr/bin/env bash
# Runs the tests of this folder on the module's target, under Node.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/install.sh
bash tests/node-tools.sh
source filter/proxy-wasm/toolchain.sh
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner \
  wasm_cargo test --package everycall-tests-wasm "$@"
