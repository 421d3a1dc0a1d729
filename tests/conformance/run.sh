#!/usr/bin/env bash
# run.sh VECTORS: runs the conformance suites on each target and merges what came out.
set -euo pipefail
cd "$(dirname "$0")/../.."
vectors=${1:?expected the folder of vectors}

if [ ! -d "$vectors" ]; then
  cat >&2 <<TEXT
error: there is no folder $vectors

The conformance suites read published test vectors, which are not part of this project. Put them into a folder
and name it: make conformance VECTORS=DIR. tests/conformance/suites/ names each file; they come from

  wycheproof/       https://github.com/C2SP/wycheproof (testvectors_v1, the cases with even numbers)
  jose-cookbook/    https://github.com/ietf-jose/cookbook
  rfc-jose/, oauth/ the examples of RFC 7515, 7517, 7519, 7638, 7797, 8037, and 8693, 8705, 9449, as JSON
  istio/            https://github.com/istio/istio (security/tools/jwt, tests/common/jwt)
  spiffe/           https://github.com/spiffe/spiffe, https://github.com/spiffe/go-spiffe (bundle/*/testdata)
  identity-model/   https://github.com/jamescrowley321/identity-model (spec)
  opa-compliance/   https://github.com/open-policy-agent/swift-opa (OPA's compliance cases, as one file)
  opa-envoy-plugin/ https://github.com/open-policy-agent/opa-envoy-plugin (policies and requests of its tests, as files)
  authzen/          https://github.com/openid/authzen (api/schemas, interop/authzen-todo-backend, the MCP profile as JSON)
  mcp/              https://github.com/modelcontextprotocol/modelcontextprotocol (how header values are encoded, as JSON)
  attack-lists/     attacks on token verification, with the expected outcome and its source
TEXT
  exit 2
fi
vectors=$(cd "$vectors" && pwd)

cargo run --locked --quiet --package everycall-rego-tests --bin everycall-rego-compliance -- --vectors "$vectors"

# Results of an earlier run must not speak for this one.
rm -rf target/conformance target/conformance.json
mkdir -p target/conformance
conformance=(cargo run --locked --quiet --package everycall-tests --bin everycall-conformance --)
"${conformance[@]}" run "$vectors"
# Into a file: Node ends without waiting for a pipe.
log=target/conformance.log
EVERYCALL_VECTORS=$vectors bash tests/wasm/run.sh --features conformance --test conformance -- --nocapture >$log ||
  { cat $log; exit 1; }
sed -n 's/^.*everycall-conformance: //p' $log >target/conformance/wasm32.json
grep -o 'opa-compliance on wasm32: .*' $log

source .ci/install.sh
source filter/proxy-wasm/toolchain.sh
wasm_cargo build --quiet --release --package everycall-probe
built=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
EVERYCALL_PROBE=$built/$wasm_target/release/everycall_probe.wasm "${conformance[@]}" envoy "$vectors"
"${conformance[@]}" check
