#!/usr/bin/env bash
# run.sh SECONDS [CASES...]: libFuzzer on what reads, compiles and evaluates policies, for so long, FUZZ_JOBS at a
# time: as many as the machine has processors. What it finds stays in target/fuzz/artifacts, the inputs it made in
# target/fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/install.sh

seconds=$1
shift
here=$PWD/target/fuzz
mkdir -p "$here/corpus" "$here/artifacts"
command -v c++ >/dev/null || apt_install g++
command -v cargo-fuzz >/dev/null || cargo_tool cargo-fuzz 0.13.2 "a minute or two"

cargo run --quiet --locked --release --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz/seeds --bin seeds -- \
  "$here" tests/rego/cases/{stored.jsonl,asked.jsonl,faults.json} "$@"

# The module's stack is 1 MB. A frame of what is built for coverage is larger than one of the module.
ulimit -s 2048
jobs=${FUZZ_JOBS:-$(nproc 2>/dev/null || echo 1)}
say "fuzzing for $seconds s, $jobs at a time: a line of each now and then; any find ends it with an error"
exec cargo fuzz run policies --fuzz-dir tests/fuzz --target-dir target/fuzz/build --sanitizer none --features fuzzing \
  --jobs "$jobs" "$here/corpus" -- \
  -max_total_time="$seconds" -timeout=5 -max_len=4096 -dict="$here/dictionary" -artifact_prefix="$here/artifacts/" \
  -print_final_stats=1
