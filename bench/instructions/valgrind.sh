#!/usr/bin/env bash
# Gets Valgrind, which counts the instructions of `make bench-instructions`.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/install.sh

command -v valgrind >/dev/null || apt_install valgrind || fail "no valgrind: install it from the system's packages"
