#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The stock kernels through ptxas against the kept table docs/registers.txt: a draw by seed (all: TEGULA_TEST_FULL=1).
# Then the tool itself: a table that promises more than there is must fail.
set -u
tegula=$1 root=$2
ptxas=$(command -v ptxas || ls /usr/local/cuda/bin/ptxas 2>/dev/null) || { echo "skipped: no ptxas"; exit 77; }
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "registers.sh: $1" >&2; exit 1; }
run() { PYTHONDONTWRITEBYTECODE=1 python3 "$root/tools/registers.py" "$tegula" --ptxas "$ptxas" "$@"; }

sample="--sample 6 --seed 3"
[ -z "${TEGULA_TEST_FULL:-}" ] || sample=
# shellcheck disable=SC2086
run $sample --compare "$root/docs/registers.txt" || fail "worse than the table; if it must be, write it anew (--write)"

run --filter softmax --rows sm_80 --write "$work/kept" >/dev/null || fail "--write"
run --filter softmax --rows sm_80 --compare "$work/kept" >/dev/null || fail "a table does not agree with itself"
sed 's|^softmax .*|softmax 8/0/0/0|' "$work/kept" >"$work/better"
run --filter softmax --rows sm_80 --compare "$work/better" >"$work/log" && fail "more registers than the table says pass"
grep -q 'softmax for sm_80: [0-9]* registers, 8 in the table' "$work/log" || fail "the message does not say what is worse"
grep -v '^softmax' "$work/kept" >"$work/less"
run --filter softmax --rows sm_80 --compare "$work/less" | grep -q '^1 entries are not in' || fail "a kernel that the table lacks is not told"
# A stand-in for an assembler that put matrix instructions in order.
printf '#!/bin/sh\n[ "$1" = --version ] && exec %s --version\necho "ptxas info    : (C7510) Potential Performance Loss"\n' "$ptxas" >"$work/ptxas"
chmod +x "$work/ptxas"
PYTHONDONTWRITEBYTECODE=1 python3 "$root/tools/registers.py" "$tegula" --ptxas "$work/ptxas" --filter softmax --rows sm_80 >"$work/log" &&
    fail "C7510 passes"
grep -q C7510 "$work/log" || fail "C7510 is not named"
