# The ways into the project. Works with any POSIX make and sh.
.POSIX:

# Passed to every cargo command that builds, such as CARGO_FLAGS=--locked.
CARGO_FLAGS =
# Passed to `parlor serve`, such as ARGS="--listen 127.0.0.1:8000".
ARGS =

.PHONY: help run web test test-web test-typescript test-python test-rust lint fmt soak bench-micro instructions clean

help:
	@echo "make run     build everything and start the server (ARGS=... for parlor serve)"
	@echo "make test    all tests: page, clients, unit, contract, node, journeys, documentation"
	@echo "make lint    formatting, clippy, dependencies, types of page and client"
	@echo "make fmt     format the Rust code"
	@echo "make soak    the tests again, longer and with other seeds (PARLOR_SOAK=minutes of faults)"
	@echo "make bench-micro   how long the operations on the path of a frame take"
	@echo "make instructions  how many instructions they take, against the baseline (Linux)"
	@echo "make web     build the page into web/dist"
	@echo "make clean   remove what was built"

run: web
	@scripts/require.sh cargo cc
	cargo build $(CARGO_FLAGS) --quiet --release -p parlor
	exec target/release/parlor serve $(ARGS)

web:
	@scripts/require.sh node
	@scripts/web.sh build

test: test-web test-typescript test-python test-rust

test-web: web
	cd web && npm run --silent check
	cd web && npm run --silent test
	chromium=$$(scripts/require.sh --path chromium) && cd web && \
		PARLOR_CHROMIUM="$$chromium" npm run --silent test:page

# With the real server it is tested by tests/tests/journeys/typescript.rs.
test-typescript:
	@scripts/require.sh node
	@scripts/web.sh client
	cd clients/typescript && npm run --silent check && npm run --silent test

# Against the real server it is tested with everything else: tests/tests/journeys/python.rs.
test-python:
	python=$$(scripts/require.sh --path python-client) && cd clients/python && \
		"$$python" -m ruff check . && "$$python" -m ruff format --check --quiet . && \
		"$$python" -m mypy && "$$python" -m pytest -q

# Tests of the cluster start their own Postgres, NATS, Redis and so on; scripts/cargo-test.sh makes
# sure that these are installed. Nothing that runs already is used.
test-rust: web
	@scripts/require.sh cargo cc node
	@scripts/web.sh client
	cargo build $(CARGO_FLAGS) -p parlor
	cargo test $(CARGO_FLAGS) --workspace --doc
	scripts/cargo-test.sh default $(CARGO_FLAGS)

soak: web
	@scripts/require.sh cargo cc node
	@scripts/web.sh client
	cargo build $(CARGO_FLAGS) -p parlor
	cargo build $(CARGO_FLAGS) -p parlor --features planted-bugs --target-dir target/planted
	PARLOR_SOAK=$${PARLOR_SOAK:-1} PARLOR_PLANTED_BIN="$$PWD/target/planted/debug/parlor" \
		PROPTEST_CASES=10000 \
		scripts/cargo-test.sh soak $(CARGO_FLAGS) --features parlor-tests/soak

lint:
	@scripts/require.sh cargo cc node
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets \
		--features parlor-broker/bench-internals -- -D warnings
	scripts/deny.sh
	@scripts/web.sh deps
	cd web && npm run --silent check
	@scripts/web.sh client
	cd clients/typescript && npm run --silent check

bench-micro:
	@scripts/require.sh cargo cc
	cargo bench $(CARGO_FLAGS) -p parlor-broker --features bench-internals --profile micro

instructions:
	@scripts/require.sh cargo cc
	CARGO_FLAGS="$(CARGO_FLAGS)" scripts/instructions.sh

fmt:
	cargo fmt --all

clean:
	cargo clean
	rm -rf web/dist web/node_modules clients/typescript/dist clients/typescript/node_modules
