#!/bin/sh
# Makes sure that tools are there.
#
#   scripts/require.sh NAME...          fails with what to do when one is missing
#   scripts/require.sh --path NAME      prints where it is
#
# Names: cargo cc node chromium cargo-deny python-websockets python-client schemathesis postgres
# nats-server redis-server haproxy prometheus promtool faketime valgrind mosquitto. What can be
# installed without asking is installed: Debian's or Ubuntu's packages when apt-get and root are there,
# the others into target/tools. A new tool is a new pair of functions, find_NAME and install_NAME.
set -eu

cd "$(dirname "$0")/.."

DENY_VERSION=0.20.2
WEBSOCKETS_VERSION=17.4
NODE_MIN=20.19

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

first_of() {
    for candidate in "$@"; do
        if command -v "$candidate" 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

first_named() {
    [ -n "$1" ] && command -v "$1"
}

apt_install() {
    command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || return 1
    say "installing the package $1 with apt-get"
    DEBIAN_FRONTEND=noninteractive
    # Where there is no systemd, packages start their services by the run level, and in this one they
    # do not. The tests start their own copies.
    RUNLEVEL=1
    export DEBIAN_FRONTEND RUNLEVEL
    { apt-get install -y --no-install-recommends "$1" ||
        { apt-get update && apt-get install -y --no-install-recommends "$1"; }; } </dev/null >&2
}

find_cargo() { command -v cargo; }
install_cargo() {
    fail "cargo was not found. Install Rust 1.95 or newer: https://rustup.rs"
}

find_cc() { first_of cc gcc clang; }
install_cc() {
    apt_install gcc && apt_install libc6-dev && return 0
    fail "a C compiler was not found. Debian, Ubuntu: apt-get install gcc libc6-dev. macOS: xcode-select --install"
}

find_node() {
    path=$(command -v node) || return 1
    command -v npm >/dev/null || return 1
    # The newer of two versions sorts last.
    found=$("$path" --version | sed 's/^v//')
    oldest=$(printf '%s\n%s\n' "$NODE_MIN" "$found" | sort -t . -k 1,1n -k 2,2n | head -n 1)
    if [ "$oldest" != "$NODE_MIN" ]; then
        say "node $found is too old"
        return 1
    fi
    printf '%s\n' "$path"
}
install_node() {
    fail "node $NODE_MIN or newer with npm was not found. Install it from https://nodejs.org, with your package manager, or with nvm"
}

find_chromium() {
    if [ -n "${CHROMIUM:-${PARLOR_CHROMIUM:-}}" ]; then
        wanted=${CHROMIUM:-$PARLOR_CHROMIUM}
        command -v "$wanted" && return 0
        fail "CHROMIUM is set to $wanted, but that is not a program"
    fi
    first_of chromium chromium-browser google-chrome google-chrome-stable && return 0
    for app in \
        "/Applications/Chromium.app/Contents/MacOS/Chromium" \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        if [ -x "$app" ]; then
            printf '%s\n' "$app"
            return 0
        fi
    done
    return 1
}
install_chromium() {
    apt_install chromium && return 0
    fail "the tests of the page need Chromium or Chrome, and none was found. Debian: apt-get install chromium (as root, make test does it itself). Elsewhere install Chrome, or set CHROMIUM to the program"
}

find_cargo_deny() {
    for candidate in target/tools/bin/cargo-deny "$(command -v cargo-deny || true)"; do
        case $("$candidate" --version 2>/dev/null || true) in
            "cargo-deny ${DENY_VERSION%.*}."*)
                printf '%s\n' "$candidate"
                return 0
                ;;
        esac
    done
    return 1
}
install_cargo_deny() {
    say "installing cargo-deny $DENY_VERSION into target/tools (about two minutes)"
    cargo install --locked --debug --root target/tools "cargo-deny@$DENY_VERSION" </dev/null >&2 ||
        fail "cargo-deny could not be installed; try: cargo install --locked cargo-deny@$DENY_VERSION"
}

# A Python with the library that the README's example uses.
find_python_websockets() {
    for candidate in target/tools/python/bin/python3 python3; do
        if "$candidate" -c 'import websockets.asyncio.client' 2>/dev/null; then
            case $candidate in
                */*) printf '%s\n' "$PWD/$candidate" ;;
                *) command -v "$candidate" ;;
            esac
            return 0
        fi
    done
    return 1
}
install_python_websockets() {
    say "installing websockets $WEBSOCKETS_VERSION for Python into target/tools/python"
    mkdir -p target/tools
    {
        { python3 -m venv target/tools/python ||
            { apt_install python3-venv && python3 -m venv target/tools/python; }; } &&
            target/tools/python/bin/python3 -m pip install --quiet "websockets==$WEBSOCKETS_VERSION"
    } </dev/null >&2 || fail "Python 3 with venv and the library websockets could not be set up. Debian, Ubuntu: apt-get install python3-venv. macOS: xcode-select --install"
}

# A Python of its own for each purpose, with exactly the libraries that a file of requirements names.
# The copy of that file in the environment tells whether it is up to date.
find_python_with() {
    cmp -s "$2" "target/tools/$1/requirements.txt" && printf '%s\n' "$PWD/target/tools/$1/bin/python3"
}
install_python_with() {
    say "installing the libraries of $2 into target/tools/$1"
    mkdir -p target/tools
    rm -rf "target/tools/$1"
    {
        { python3 -m venv "target/tools/$1" ||
            { apt_install python3-venv && python3 -m venv "target/tools/$1"; }; } &&
            "target/tools/$1/bin/python3" -m pip install --quiet --requirement "$2" &&
            cp "$2" "target/tools/$1/requirements.txt"
    } </dev/null >&2 || fail "Python $3 or newer with venv and the libraries of $2 could not be set up (the package index must be reachable once). Debian, Ubuntu: apt-get install python3-venv. macOS: brew install python"
}

# What the client for Python is checked and tested with.
find_python_client() { find_python_with python-client clients/python/requirements-dev.txt; }
install_python_client() {
    install_python_with python-client clients/python/requirements-dev.txt 3.10
}

# Makes up requests from the served OpenAPI.
find_schemathesis() { find_python_with schemathesis tests/openapi/requirements.txt; }
install_schemathesis() {
    install_python_with schemathesis tests/openapi/requirements.txt 3.10
}

# Programs that tests start private copies of. They look in the same places as this does.
find_service() {
    first_of "$1" "/usr/sbin/$1" "/usr/local/sbin/$1" "/usr/local/bin/$1" "/opt/homebrew/bin/$1" \
        "/opt/homebrew/sbin/$1"
}
install_service() {
    apt_install "$2" && return 0
    fail "the tests start their own $1, and it was not found. Debian, Ubuntu: apt-get install $2 (as root, make test does it itself). macOS: brew install $3. Elsewhere set $4 to the program"
}

find_postgres() {
    first_named "${PARLOR_TEST_POSTGRES:-}" && return 0
    # Debian keeps the server of each version in a folder that is not on the PATH.
    first_of postgres /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres \
        /opt/homebrew/opt/postgresql@*/bin/postgres /usr/local/opt/postgresql@*/bin/postgres
}
install_postgres() { install_service postgres postgresql postgresql@15 PARLOR_TEST_POSTGRES; }

find_nats_server() { first_named "${PARLOR_TEST_NATS_SERVER:-}" || find_service nats-server; }
install_nats_server() {
    install_service nats-server nats-server nats-server PARLOR_TEST_NATS_SERVER
}

find_redis_server() { first_named "${PARLOR_TEST_REDIS_SERVER:-}" || find_service redis-server; }
install_redis_server() {
    install_service redis-server redis-server redis PARLOR_TEST_REDIS_SERVER
}

find_haproxy() { first_named "${PARLOR_TEST_HAPROXY:-}" || find_service haproxy; }
install_haproxy() { install_service haproxy haproxy haproxy PARLOR_TEST_HAPROXY; }

find_prometheus() { first_named "${PARLOR_TEST_PROMETHEUS:-}" || find_service prometheus; }
install_prometheus() {
    install_service prometheus prometheus prometheus PARLOR_TEST_PROMETHEUS
}

find_promtool() { first_named "${PARLOR_TEST_PROMTOOL:-}" || find_service promtool; }
install_promtool() { install_service promtool prometheus prometheus PARLOR_TEST_PROMTOOL; }

find_faketime() { first_named "${PARLOR_TEST_FAKETIME:-}" || find_service faketime; }
install_faketime() { install_service faketime faketime libfaketime PARLOR_TEST_FAKETIME; }

# Counts instructions for scripts/instructions.sh, and is needed by no test.
find_valgrind() { find_service valgrind; }
install_valgrind() {
    apt_install valgrind && return 0
    fail "valgrind was not found; scripts/instructions.sh counts instructions with it, and nothing else needs it. Debian, Ubuntu: apt-get install valgrind. It does not run on macOS with Apple's processors: use Linux for this step"
}

# Measured by bench/compare beside Parlor, and by no test.
find_mosquitto() { find_service mosquitto; }
install_mosquitto() {
    apt_install mosquitto && return 0
    fail "mosquitto was not found. Debian, Ubuntu: apt-get install mosquitto. macOS: brew install mosquitto"
}

require() {
    function=$(printf '%s' "$1" | tr '-' '_')
    case $1 in
        cargo | cc | node | chromium | cargo-deny | python-websockets) ;;
        python-client | schemathesis) ;;
        postgres | nats-server | redis-server | haproxy | prometheus | promtool | faketime) ;;
        valgrind | mosquitto) ;;
        *) fail "scripts/require.sh does not know the tool $1" ;;
    esac
    "find_$function" && return 0
    "install_$function" >&2
    "find_$function" || fail "$1 was installed but cannot be found"
}

if [ "${1:-}" = --path ]; then
    require "${2:?name the tool}"
    exit 0
fi
for tool in "$@"; do
    require "$tool" >/dev/null
done
