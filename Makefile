# Holdfast. `make demo` shows it, `make test` tests it, `make check` is what a change must pass.
CARGO ?= cargo
DATA  ?=
PORT  ?= 8080
DIR   ?= .demo

# Where the data sets and golden files lie that are too large for the repository; tests that need them skip without.
export HOLDFAST_SHARED ?= $(abspath ../shared)

.PHONY: demo build test golden check fmt clippy doc deny bench openapi clean-demo

demo: ## Train, attack, compare and serve, on the toy shop or on DATA=folder; PORT and DIR may be set.
	@CARGO="$(CARGO)" CARGO_BIN="$(CURDIR)/target/release" DATA="$(DATA)" PORT="$(PORT)" DIR="$(DIR)" configs/demo/run.sh

build: ## Both programs.
	$(CARGO) build --release --locked --workspace --bins

test: build ## Everything that this machine can test.
	$(CARGO) test --release --locked --workspace

golden: ## The reference implementation's numbers alone; HOLDFAST_GOLDEN=folder takes another set of the same format.
	$(CARGO) test --release --locked -p holdfast-model -p holdfast-attack -p holdfast-trainer --test golden -- --nocapture

check: fmt clippy test doc deny ## What a change must pass.

fmt:
	$(CARGO) fmt --all -- --check

clippy:
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

doc: ## The API documentation, in target/doc.
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items

deny: ## Licences and advisories of the dependencies, where cargo-deny is installed.
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: skipped (cargo install cargo-deny)"; fi

bench: ## How long a batch takes, forward and with gradients.
	$(CARGO) bench --locked -p holdfast-model --bench embedding

openapi: build ## Regenerate docs/openapi.json from the handlers.
	target/release/holdfast openapi > docs/openapi.json

clean-demo: ## Forget what `make demo` trained and stored.
	rm -rf "$(DIR)"
