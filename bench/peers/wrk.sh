#!/usr/bin/env bash
# Gets wrk, which makes the load of `make bench-peers`.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/install.sh

command -v wrk >/dev/null || apt_install wrk || fail "no wrk: install it from the system's packages"
