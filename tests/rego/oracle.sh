#!/usr/bin/env bash
# oracle.sh COMMAND...: fetches the real OPA into .tools/opa, and runs the command with it.
set -euo pipefail
cd "$(dirname "$0")/../.."

bindings=$PWD/.tools/opa
version=0.4.4 # OPA 1.20.2
if [ ! -d "$bindings/opa_bindings" ]; then
  mkdir -p "$bindings"
  # A shared library, with a thin layer of Python that runs on older ones than it says.
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.14 --implementation cp \
    --platform manylinux_2_34_x86_64 --dest "$bindings" "opa-golib-python-bindings==$version"
  python3 -m zipfile -e "$bindings"/opa_golib_python_bindings-"$version"-*.whl "$bindings"
fi
export OPA_BINDINGS=$bindings OPA_ORACLE=$PWD/tests/rego/oracle.py
exec "$@"
