#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The pages that are made: every kernel has one, the C of each compiles; the support table counts
# what reports say. usage: docs.sh TEGULA RUNTIME_INCLUDE WORK_DIR
set -eu
tegula=$1
include=$2
work=$3
rm -rf "$work"
mkdir -p "$work"
cd "$work"
fail() {
    echo "FAILED: $*"
    exit 1
}

"$tegula" docs catalogue -o pages > out.txt
pages=$(find pages -name '*.md' ! -name README.md | wc -l)
grep -q "^$pages pages" out.txt || fail "pages: $(cat out.txt)"
: > all.c
for page in pages/*.md; do
    case $page in */README.md) continue ;; esac
    grep -q '^case ' "$page" || fail "$page has no case"
    awk '/^```c/ { on = 1; next } /^```/ { on = 0 } on' "$page" >> all.c
done
[ "$(grep -c '^tgr_status call_' all.c)" -eq "$pages" ] || fail "a page has no call"
"${CC:-cc}" -std=c11 -Wall -Wextra -Werror -fsyntax-only -I"$include" all.c || fail "the calls do not compile"

"$tegula" conform --filter rmsnorm --json cpu.json > /dev/null
"$tegula" conform --filter rmsnorm --device interp --json interp.json > /dev/null
"$tegula" docs support cpu.json interp.json -o support.md
grep -q '^| kernel | T | cpu (executed) | interp (executed) |' support.md || fail "$(cat support.md)"
cases=$(grep -c '"T=\|T=bf16' cpu.json)
grep -q "^| rmsnorm | bf16 | $cases, " support.md || fail "bf16: $(cat support.md)"
"$tegula" conform --filter rmsnorm --journal cpu.jsonl > /dev/null
"$tegula" docs support cpu.jsonl interp.json -o journal.md
cmp support.md journal.md || fail "a journal tells something else than its report"
# A case done again counts once, as it was last; T=7 is an extent, no type; simulators have their own label.
row() { echo "{\"key\": \"$1 on sim:sm_80 seed 1\", \"name\": \"$1\", \"status\": \"$2\", \"max_ulp\": 0}"; }
{ row "expand T=bf16 N=5" TIMEOUT; row "gather T=7 N=5" PASS; row "expand T=bf16 N=5" PASS; } > again.jsonl
"$tegula" docs support again.jsonl -o again.md
grep -qF '| sim:sm_80 (emulated) |' again.md && grep -qF '| expand | bf16 | 1, exact |' again.md && grep -qF '| gather |  | 1, exact |' again.md ||
    fail "$(cat again.md)"
echo broken > bad.json
"$tegula" docs support bad.json -o bad.md 2> /dev/null && fail "a broken report is taken"
echo "$pages pages, all fine"
