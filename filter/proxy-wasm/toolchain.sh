# Which Rust toolchain compiles for wasm32-unknown-unknown; sourced after .ci/install.sh, never run.
# The ordinary one, if it has the target or rustup can add it. Else Debian's, which has no std for the target
# and compiles it from its sources. EVERYCALL_TOOLCHAIN=ordinary or debian takes the choice out of our hands.

wasm_target=wasm32-unknown-unknown

ordinary_ready() { [ -d "$(rustc --print target-libdir --target "$wasm_target" 2>/dev/null)" ]; }

ordinary_install() {
  command -v rustup >/dev/null || return 1
  say "adding the target $wasm_target to rustup's toolchain"
  at_most 60 rustup --quiet target add "$wasm_target" >.tools/rustup.log 2>&1 && ordinary_ready
}

debian_ready() {
  [ -x /usr/bin/cargo ] && [ -x /usr/bin/rust-lld ] &&
    [ -f "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/Cargo.lock" ]
}

debian_install() { apt_install rustc-web cargo-web rust-web-src rust-web-llvm lld-22 && debian_ready; }

choose_toolchain() {
  local kept=.tools/wasm-toolchain    # so that a failed attempt with rustup isn't made at every run
  toolchain=${EVERYCALL_TOOLCHAIN:-$(cat "$kept" 2>/dev/null || true)}
  case $toolchain in ordinary | debian) if "${toolchain}_ready"; then return; fi ;; esac
  for toolchain in ${EVERYCALL_TOOLCHAIN:-ordinary debian}; do
    if "${toolchain}_ready" || "${toolchain}_install"; then
      echo "$toolchain" >"$kept"
      return
    fi
  done
  fail "no Rust toolchain for $wasm_target: run \`rustup target add $wasm_target\`"
}

# wasm_cargo build|test ARGUMENT...: cargo for the module's target.
wasm_cargo() {
  local command=$1
  shift
  # The machine's own paths stay out of the module: they name its owner, and differ on each machine.
  local flags="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"$'\x1f'"--remap-path-prefix=$PWD=everycall"
  if [ "$toolchain" = debian ]; then
    # rustup's shims must not come first, nor rustup's idea of which toolchain is meant.
    env -u RUSTUP_TOOLCHAIN PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 \
      CARGO_ENCODED_RUSTFLAGS="$flags" \
      /usr/bin/cargo "$command" --locked --target "$wasm_target" -Zbuild-std=std,panic_abort "$@"
  else
    CARGO_ENCODED_RUSTFLAGS="$flags" cargo "$command" --locked --target "$wasm_target" "$@"
  fi
}

choose_toolchain
