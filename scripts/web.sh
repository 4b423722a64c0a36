#!/bin/sh
# Builds the page into web/dist, or does nothing when nothing has changed.
#
#   scripts/web.sh deps     installs what web/package-lock.json names, if that has changed
#   scripts/web.sh build    also builds the page, if a source has changed
#   scripts/web.sh client   installs what the tests of clients/typescript need, if that has changed
set -eu

cd "$(dirname "$0")/../web"

STAMPS=../target/stamps
mkdir -p "$STAMPS"

# Installs what the lock file of the present folder names: install STAMP WHAT
install() {
    if [ -d node_modules ] && cmp -s package-lock.json "$1"; then
        return 0
    fi
    echo "installing what $2 needs"
    rm -f "$1"
    npm ci --no-audit --no-fund --loglevel=error </dev/null
    cp package-lock.json "$1"
}

deps() {
    install "$STAMPS/web-deps" "the page"
}

client() {
    cd ../clients/typescript
    install "../$STAMPS/client-deps" "the TypeScript client"
}

# Sources are everything that is not made by a tool. The client library is part of the page.
is_built() {
    [ -f dist/index.html ] && [ -f "$STAMPS/web-dist" ] || return 1
    changed=$(find . ../clients/typescript/src ../clients/typescript/package.json \( -name node_modules -o -name dist \) -prune -o \
        -newer "$STAMPS/web-dist" -print | head -n 1)
    [ -z "$changed" ]
}

build() {
    if is_built; then
        return 0
    fi
    echo "building the page"
    # Dated before the build: what changes while it runs counts as changed.
    : >"$STAMPS/web-dist.new"
    npm run --silent build </dev/null
    mv "$STAMPS/web-dist.new" "$STAMPS/web-dist"
    # A binary that was built before there was a page does not know that there is one now.
    touch ../broker/src/http/assets.rs
}

case ${1:-} in
    deps) deps ;;
    build) deps && build ;;
    client) client ;;
    *) echo "usage: scripts/web.sh deps|build|client" >&2 && exit 64 ;;
esac
