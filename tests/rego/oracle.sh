#!/usr/bin/env bash
# oracle.sh COMMAND...: fetches the real OPA into .tools/opa, and runs the command with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/install.sh

bindings=$PWD/.tools/opa
if [ ! -d "$bindings/opa_bindings" ]; then
  mkdir -p "$bindings"
  # A shared library, with a thin layer of Python that runs on older ones than it says.
  # OPA 1.20.2.
  python_requirements opa-golib-python-bindings >"$bindings/requirements.txt"
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.14 --implementation cp \
    --platform "manylinux_2_34_$(uname -m)" --dest "$bindings" --require-hashes --requirement "$bindings/requirements.txt"
  python3 -m zipfile -e "$bindings"/opa_golib_python_bindings-*.whl "$bindings"
fi
export OPA_BINDINGS=$bindings OPA_ORACLE=$PWD/tests/rego/oracle.py
exec "$@"
