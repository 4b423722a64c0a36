#!/bin/sh
# Runs the workspace's Rust tests with cargo-nextest where it is installed, else with cargo test.
# The last line is the summary.
#
#   scripts/cargo-test.sh PROFILE [CARGO OPTION...]     PROFILE is one of .config/nextest.toml
set -eu

cd "$(dirname "$0")/.."

profile=$1
shift
PARLOR_CHROMIUM=$(scripts/require.sh --path chromium)
export PARLOR_CHROMIUM
# The README has an example in Python, for a client that nobody here wrote.
PARLOR_PYTHON=$(scripts/require.sh --path python-websockets)
export PARLOR_PYTHON
# The client for Python is tested against the real server.
PARLOR_CLIENT_PYTHON=$(scripts/require.sh --path python-client)
export PARLOR_CLIENT_PYTHON
# The served OpenAPI is held against the answers.
PARLOR_SCHEMATHESIS_PYTHON=$(scripts/require.sh --path schemathesis)
export PARLOR_SCHEMATHESIS_PYTHON
# Tests of the cluster start private copies of its services.
scripts/require.sh postgres nats-server redis-server haproxy prometheus promtool faketime

if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run "$@" --workspace --profile "$profile" </dev/null
fi

log=target/cargo-test.log
status=0
{
    cargo test "$@" --workspace --lib --bins --tests --no-fail-fast </dev/null 2>&1 ||
        echo "$?" >"$log.status"
} | tee "$log"
if [ -f "$log.status" ]; then
    status=$(cat "$log.status")
    rm -f "$log.status"
fi
# cargo test has one result for each binary; a person wants one.
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf "test result: %d passed; %d failed; %d ignored in all\n", passed, failed, ignored }' \
    "$log"
exit "$status"
