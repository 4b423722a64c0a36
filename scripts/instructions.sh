#!/bin/sh
# Counts the instructions of the operations in broker/benches under callgrind and compares them with
# bench/instructions.toml. Unlike times, the counts are the same in every run.
#
#   scripts/instructions.sh                 fails when an operation needs over 5 % more than before
#   scripts/instructions.sh --accept "WHY"  makes what is counted now the baseline, and notes why
#
# Another compiler, target or C library counts otherwise: then the table is printed and nothing is
# compared. CARGO_FLAGS is passed to cargo.
set -eu

cd "$(dirname "$0")/.."

BASELINE=bench/instructions.toml
# Calls of each operation that are counted. All take the same; a few show that.
CALLS=8
GROWTH_PERCENT=5

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

why=
case ${1:-} in
    '') ;;
    --accept)
        why=$(printf '%s' "${2:-}" | tr '\n' ' ' | sed 's/[\\"]/\\&/g')
        [ -n "$why" ] || fail "say why: scripts/instructions.sh --accept \"what it is good for\""
        ;;
    *) fail "usage: scripts/instructions.sh [--accept \"WHY\"]" ;;
esac

valgrind=$(scripts/require.sh --path valgrind)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The flags are words.
# shellcheck disable=SC2086
cargo build ${CARGO_FLAGS:-} --quiet --profile micro -p parlor-broker --features bench-internals \
    --bench instructions --message-format json-render-diagnostics >"$work/built"
program=$(sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p' "$work/built")
[ -x "$program" ] || fail "cargo did not say where it has put the bench instructions"

# The C library copies memory in another way on each kind of processor; this one all have. And now and
# then it tidies up what other calls have freed.
plain=glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-ERMS,-FSRM,-SSSE3,-SSE4_1,-SSE4_2
plain=$plain:glibc.malloc.mxfast=0
"$program" list >"$work/operations"
while read -r operation; do
    GLIBC_TUNABLES=$plain "$valgrind" --tool=callgrind --callgrind-out-file="$work/out" \
        --toggle-collect='*counted_by_callgrind*' "$program" "$operation" "$CALLS" \
        >"$work/log" 2>&1 </dev/null || { cat "$work/log" >&2; fail "callgrind could not run $operation"; }
    total=$(awk '$1 == "summary:" || $1 == "totals:" { print $2; exit }' "$work/out")
    [ "${total:-0}" -gt 0 ] || fail "callgrind has counted nothing for $operation"
    printf '%s %s\n' "$operation" "$((total / CALLS))"
done <"$work/operations" >"$work/counts"

rustc=$(rustc --version | cut -d ' ' -f 2-)
target=$(rustc -vV | sed -n 's/^host: //p')
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || echo unknown)
setting() {
    sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" "$BASELINE" 2>/dev/null | head -n 1
}
comparable=1
for pair in "rustc|$rustc" "target|$target" "libc|$libc"; do
    name=${pair%%|*}
    if [ "$(setting "$name")" != "${pair#*|}" ]; then
        comparable=0
        counted=$(setting "$name")
        printf '%s is %s here, and the baseline was counted with %s.\n' \
            "$name" "${pair#*|}" "${counted:-nothing yet}"
    fi
done
sed -n '/^\[instructions\]$/,/^\[\[/s/^\([a-z0-9-]*\) = \([0-9]*\)$/\1 \2/p' "$BASELINE" \
    2>/dev/null >"$work/baseline" || true

# Writes a line for each operation: name, instructions before (or -) and now, and what that is.
awk -v growth="$GROWTH_PERCENT" -v comparable="$comparable" '
    FILENAME == ARGV[1] { before[$1] = $2; next }
    { now[$1] = $2; old = $1 in before ? before[$1] : "-"; kind = "same" }
    old == "-" { kind = "new" }
    old != "-" && $2 * 100 > old * (100 + growth) { kind = "more" }
    old != "-" && $2 * 100 < old * (100 - growth) { kind = "less" }
    comparable == 0 { kind = "other" }
    { print $1, old, $2, kind }
    END { for (name in before) if (!(name in now)) print name, before[name], "-", "gone" }
' "$work/baseline" "$work/counts" >"$work/compared"

awk 'BEGIN { printf "%-26s %12s %12s %9s\n", "instructions for one call", "baseline", "now", "change" }
    $2 == "-" || $3 == "-" {
        printf "%-26s %12s %12s %9s\n", $1, $2, $3, $4 == "other" ? "" : $4
        next
    }
    { printf "%-26s %12d %12d %+8.1f%%\n", $1, $2, $3, ($3 - $2) * 100 / $2 }' "$work/compared"

if [ -n "$why" ]; then
    # What stays within the bound keeps its number, or it could creep.
    {
        echo "# Instructions for one call of each operation in broker/benches. Written by"
        echo "# scripts/instructions.sh --accept \"WHY\"; each change of a number has its note below."
        printf '\nrustc = "%s"\ntarget = "%s"\nlibc = "%s"\n' "$rustc" "$target" "$libc"
        printf '\n[instructions]\n'
        awk '$4 == "same" { print $1, "=", $2 } $4 != "same" && $3 != "-" { print $1, "=", $3 }' \
            "$work/compared"
        sed -n '/^\[\[note\]\]$/,$p' "$BASELINE" 2>/dev/null | sed '1s/^/\n/' || true
        printf '\n[[note]]\ndate = "%s"\nwhy = "%s"\nchanges = [\n' "$(date -u +%Y-%m-%d)" "$why"
        awk '$4 != "same" { printf "    \"%s: %s -> %s\",\n", $1, $2, $3 }' "$work/compared"
        echo "]"
    } >"$work/accepted"
    cp "$work/accepted" "$BASELINE"
    echo "accepted: $BASELINE has the new numbers and the reason"
    exit 0
fi

if [ "$comparable" = 0 ]; then
    echo "Nothing was compared. To count from here on: scripts/instructions.sh --accept \"new compiler\""
    exit 0
fi
awk '
    $4 == "more" {
        printf "error: %s needs %d instructions, and needed %d before (%+.1f %%).\n", \
            $1, $3, $2, ($3 - $2) * 100 / $2
    }
    $4 == "new" { printf "error: %s has no baseline yet.\n", $1 }
    $4 == "gone" { printf "error: %s has a baseline and is not measured any more.\n", $1 }
    $4 == "less" { better++ }
    $4 == "more" || $4 == "new" || $4 == "gone" { wrong++ }
    END {
        accept = "scripts/instructions.sh --accept \"why\""
        if (wrong) print "Find the cause, or accept it with the reason: " accept
        else if (better) print "Less than before: keep the gain with " accept
        exit wrong > 0
    }
' "$work/compared" >&2
