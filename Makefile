# Holdfast. `make demo` shows it, `make test` tests it, `make check` is what a change must pass.
CARGO ?= cargo
DATA  ?=
PORT  ?= 8080
DIR   ?= .demo
BENCH ?=
WEIGHTS ?=

# Where the data sets and golden files lie that are too large for the repository; tests that need them skip without.
export HOLDFAST_SHARED ?= $(abspath ../shared)

.PHONY: demo gallery build cuda test test-slow golden simd miri check fmt clippy doc deny bench openapi clean-demo

demo: ## Train, attack, compare and serve, on the toy shop or on DATA=folder; PORT and DIR may be set.
	@CARGO="$(CARGO)" CARGO_BIN="$(CURDIR)/target/release" DATA="$(DATA)" PORT="$(PORT)" DIR="$(DIR)" configs/demo/run.sh

gallery: ## Search your own pictures, DATA=folder: trains a small robust net on them, stores and serves them; PORT, DIR, WEIGHTS may be set.
	@CARGO="$(CARGO)" CARGO_BIN="$(CURDIR)/target/release" DATA="$(DATA)" PORT="$(PORT)" WEIGHTS="$(WEIGHTS)" \
	  DIR="$(if $(filter file,$(origin DIR)),.gallery,$(DIR))" configs/gallery/run.sh

build: ## Both programs.
	$(CARGO) build --release --locked --workspace --bins

cuda: ## The trainer for NVIDIA GPUs, in target/cuda; needs the CUDA toolkit and cuDNN. CUDA_COMPUTE_CAP=90 says for which GPU, where there is none.
	$(CARGO) build --release --locked --target-dir target/cuda -p holdfast-trainer --features cuda

test: build ## Everything that this machine can test.
	$(CARGO) test --release --locked --workspace

test-slow: build ## The proofs that take minutes: hundreds of kills and power cuts, a hundred thousand operations.
	$(CARGO) test --release --locked --workspace --lib --test end_to_end --test service -- --ignored --nocapture --test-threads 1

golden: ## The reference implementation's numbers alone; HOLDFAST_GOLDEN=folder takes another set of the same format.
	$(CARGO) test --release --locked --workspace --test golden -- --nocapture

# The instruction sets that this machine can run, as HOLDFAST_SIMD names them.
SIMD := portable $(if $(shell grep -m1 -ow avx2 /proc/cpuinfo 2>/dev/null),avx2) \
  $(if $(shell grep -m1 -ow avx512f /proc/cpuinfo 2>/dev/null),avx512)

simd: ## Every operation and the reference's numbers again, once with each instruction set that this machine has.
	@set -e; for simd in $(SIMD); do echo "HOLDFAST_SIMD=$$simd"; \
	  HOLDFAST_SIMD=$$simd $(CARGO) test --release --locked --workspace --test operations --test golden --test networks; done

miri: ## The unsafe code on its portable path, looked at by Miri; needs a nightly compiler with the components miri and rust-src.
	HOLDFAST_SIMD=portable MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-tree-borrows" \
	  $(CARGO) +nightly miri test --locked --target-dir target/miri -p holdfast-ops --lib --test operations -- \
	  aligned::tests fresh::tests pullback::tests simd::tests linear::untracked --skip gradients_add_up_over

check: fmt clippy test doc deny ## What a change must pass.

fmt:
	$(CARGO) fmt --all -- --check

clippy:
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

doc: ## The API documentation, in target/doc.
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items

deny: ## Licences and advisories of the dependencies, where cargo-deny is installed.
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: skipped (cargo install cargo-deny)"; fi

bench: ## Compare with PyTorch: all comparisons or BENCH=hm-c2f2; BENCH_PYTHON has torch, else pip installs it into target/.
	@CARGO="$(CARGO)" BENCH_PYTHON="$(BENCH_PYTHON)" BENCH_FLAGS="$(BENCH_FLAGS)" tests/benches/run.sh $(BENCH)

openapi: build ## Regenerate docs/openapi.json from the handlers.
	target/release/holdfast openapi > docs/openapi.json

clean-demo: ## Forget what `make demo` trained and stored.
	rm -rf "$(DIR)"
