# What users, developers and CI run. The work is in scripts, one subject each; what they install goes below .tools/.
SHELL := bash
.NOTPARALLEL:
.PHONY: help wasm envoy node-tools demo demo-program run render test test-native test-wasm conformance lint bench holds soak bench-continuous bench-peers bench-instructions bench-stages rego-differential fuzz fmt clean

export EVERYCALL_WASM := $(CURDIR)/target/everycall.wasm
export EVERYCALL_ENVOY := $(CURDIR)/.tools/envoy
VECTORS ?= ../shared/vectors
FUZZ_SECONDS ?= 3600

# Tests run without a network, too; `make lint` by itself insists on the database of advisories.
test: export EVERYCALL_OFFLINE ?= 1

help: ## this table
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

wasm: ## the module: target/everycall.wasm
	@bash filter/proxy-wasm/build.sh

envoy: ## Envoy itself: .tools/envoy
	@bash envoy/get.sh

node-tools: ## what the tests under Node need
	@bash tests/node-tools.sh

# Without what only the tests need: that takes longer to build than all of it.
demo := --locked --package everycall-tests --no-default-features --bin everycall-demo

demo-program:
	@echo "compiling the demo and the devserver (minutes the first time; cargo says how far it is)"
	@cargo build $(demo)

demo: wasm envoy demo-program ## the tour: Envoy with the module, requests and decisions, then done
	@cargo run --quiet $(demo)
	@echo "next: 'make run' keeps this set-up running; README.md says where to go from here"

run: wasm envoy demo-program ## the same set-up, kept running for your own requests
	@cargo run --quiet $(demo) -- --keep

render: ## envoy/envoy.yaml, envoy/istio/wasmplugin.yaml and the tables of the pages, rendered anew
	EVERYCALL_RENDER=1 cargo test --locked --quiet --package everycall-tests --test reference are_current

test: lint test-native test-wasm ## everything that CI checks

# The evaluator's tests by themselves: they have more of regorus, and all would be built once more with that.
test-native: wasm envoy ## unit tests, and the module in a real Envoy
	set -o pipefail; cargo test --locked --workspace --exclude everycall-tests-wasm --exclude everycall-rego-tests | tee target/test.log
	cargo test --locked --package everycall-rego-tests
	@python3 tests/truth_table.py envoy/README.md SECURITY.md target/test.log

test-wasm: ## the core on the module's target, under Node
	@bash tests/wasm/run.sh

conformance: wasm envoy ## published test vectors, from the folder VECTORS
	@bash tests/conformance/run.sh "$(VECTORS)"

rego-differential: ## what programs made at random come to here and in OPA: ARGUMENTS=--help
	@bash tests/rego/oracle.sh cargo run --locked --quiet --package everycall-rego-tests --bin everycall-rego-differential -- $(ARGUMENTS)

fuzz: ## an hour of libFuzzer on reading, compiling and evaluating policies: FUZZ_SECONDS=60 for less
	@bash tests/fuzz/run.sh $(FUZZ_SECONDS) $(wildcard $(VECTORS)/opa-compliance/cases.json)

lint: ## format, clippy, licences, advisories
	@bash tests/lint.sh

bench: ## micro benchmarks
	cargo bench --locked --package everycall-bench

holds: wasm envoy ## how long the worst policies hold a worker of Envoy
	@cargo run --locked --quiet --package everycall-tests --bin everycall-holds

soak: wasm envoy ## ten minutes of changes, faults and floods in Envoy: memory, traps, each record decided again: ARGUMENTS=--help
	@cargo run --locked --quiet --package everycall-tests --bin everycall-soak -- $(ARGUMENTS)

bench-continuous: wasm envoy ## how soon access ends: revocations, ended tasks, expired tokens, in Envoy
	@cargo run --locked --quiet --package everycall-tests --bin everycall-continuous

bench-peers: wasm envoy ## beside native filters and a sidecar, in Envoy: a quarter of an hour; ARGUMENTS=--help
	@bash bench/peers/wrk.sh
	@cargo run --locked --quiet --profile measured --package everycall-peers -- $(ARGUMENTS)

bench-instructions: ## how many instructions decisions take, each with its bound
	@bash bench/instructions/valgrind.sh
	@cargo run --locked --quiet --profile measured --package everycall-instructions -- --check

bench-stages: bench-instructions ## how long the parts of a decision take in V8, beside their instructions
	@bash bench/instructions/v8.sh

fmt: ## format the sources
	cargo fmt --all

clean: ## remove what was built; .tools/ stays
	cargo clean --quiet
	rm -rf target
