#!/bin/sh
# Checks licenses, bans and sources of all dependencies. Known vulnerabilities are checked as well
# when the database of them can be reached, because it is fetched from the internet.
set -eu

cd "$(dirname "$0")/.."

DATABASE=https://github.com/rustsec/advisory-db

deny=$(scripts/require.sh --path cargo-deny)
"$deny" --log-level error check --hide-inclusion-graph bans licenses sources
if curl --silent --fail --head --max-time 5 --output /dev/null "$DATABASE" 2>/dev/null; then
    "$deny" --log-level error check advisories
else
    echo "advisories were not checked: $DATABASE cannot be reached"
fi
