#!/usr/bin/env bash
# Builds target/everycall.wasm: compiled, optimised, its imports checked.
#   build.sh            refuses a module whose imports differ from imports.txt
#   build.sh --accept   writes imports.txt anew; nothing but the host's own functions, env.proxy_*, gets in
set -euo pipefail
cd "$(dirname "$0")/../.."
source .ci/install.sh
source filter/proxy-wasm/toolchain.sh

module=target/everycall.wasm
made_from=target/everycall.wasm.from
expected=filter/proxy-wasm/imports.txt
# What the host calls. The SDK exports more: each callback that is left out costs a call less (of the response's
# body each piece would be one), and nothing is done in it.
exported=filter/proxy-wasm/exports.txt
binaryen=132.0.0
level=${EVERYCALL_WASM_OPT:--O3}
# Envoy's V8 takes these features and no more: --all-features makes a module that it refuses.
features="--enable-bulk-memory --enable-bulk-memory-opt --enable-sign-ext --enable-nontrapping-float-to-int
  --enable-mutable-globals --enable-multivalue --enable-reference-types"

checksum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }

compile() {
  linked=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  linked=$linked/$wasm_target/release/everycall_filter.wasm
  if ! grep -qs "^$toolchain " "$made_from" || [ -n "$(find Cargo.* filter -newer "$made_from")" ]; then
    say "compiling the module with the $toolchain toolchain (minutes the first time)"
  fi
  wasm_cargo build --quiet --release --package everycall-filter
  input="$toolchain $( { cat "$linked"; echo "$binaryen $level $features"; cat "$exported"; } | checksum)"
}

has_binaryen() { grep -qs "\"version\": \"$binaryen\"" .tools/node/node_modules/binaryen/package.json; }

get_binaryen() {
  get_node || return 1
  if has_binaryen; then return; fi
  say "installing binaryen $binaryen (npm) into .tools/node"
  mkdir -p .tools/node
  cp .ci/npm/package.json .ci/npm/package-lock.json .tools/node/
  npm ci --silent --ignore-scripts --no-audit --no-fund --prefix .tools/node >.tools/npm.log 2>&1
}

binaryen() { node ".tools/node/node_modules/binaryen/bin/$1" "${@:2}"; }

# As wasm-metadce wants it: the host reaches these exports, and nothing reaches another.
exports_graph() {
  echo "[{\"name\": \"host\", \"root\": true, \"reaches\": [$(sed 's/.*/"&"/' "$exported" | paste -sd ,)]}"
  sed 's/.*/, {"name": "&", "export": "&"}/' "$exported"
  echo "]"
}

# True if the module was made from what is linked now, in the way that it would be made now.
up_to_date() {
  [ -f "$module" ] || return 1
  case $(cat "$made_from" 2>/dev/null) in
    "$input optimised") ;;
    "$input as linked") ! has_node ;;
    *) return 1 ;;
  esac
}

make_module() {
  mkdir -p target
  if get_binaryen; then
    say "optimising the module (wasm-opt $level, up to a minute)"
    exports_graph >target/exports.json
    # shellcheck disable=SC2086  # the options are words
    binaryen wasm-metadce $features --graph-file target/exports.json "$linked" -o "$module.new" >/dev/null
    # shellcheck disable=SC2086
    binaryen wasm-opt $level $features "$module.new" -o "$module.new"
    mv "$module.new" "$module"
    echo "$input optimised" >"$made_from"
  else
    say "the module stays unoptimised: wasm-opt needs Node.js 18 or later and npm"
    cp "$linked" "$module"
    echo "$input as linked" >"$made_from"
  fi
}

check_imports() {
  local found
  found=$(python3 filter/proxy-wasm/module.py imports "$module")
  if grep -vE '^env\.proxy_[a-z0-9_]+$' <<<"$found"; then
    fail "the module imports what is not a function of the host (above)"
  fi
  imports="$(wc -l <<<"$found" | tr -d ' ') imports"
  if [ "$(cat "$made_from")" != "$input optimised" ]; then
    # The linker leaves imports that no code can reach; only wasm-opt takes them out.
    if [ "${1:-}" = --accept ]; then fail "only an optimised module tells what it imports"; fi
    imports="$imports, all of the host (not compared with $expected)"
    return
  fi
  if [ "${1:-}" = --accept ]; then printf '%s\n' "$found" >"$expected"; fi
  diff "$expected" - <<<"$found" ||
    fail "the module's imports are not those of $expected (< expected, > found); meant so? $0 --accept"
  imports="$imports as in $expected"
}

size() { wc -c <"$1" | tr -d ' '; }

command -v python3 >/dev/null || apt_install python3-minimal || exit 1
compile
python3 filter/proxy-wasm/module.py crates "$linked"
if up_to_date; then
  check_imports "$@"
  say "$module: up to date, $(size "$module") bytes, $imports"
else
  make_module
  check_imports "$@"
  say "$module: $(size "$linked") bytes linked, $(size "$module") now, $imports"
fi
touch "$made_from"
