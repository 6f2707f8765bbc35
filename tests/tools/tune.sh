#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `tegula tune` finds, checks, keeps, moves and replays schedules; wrong candidates, files and
# databases are told. No assertion depends on a time. usage: tune.sh TEGULA WORK_DIR
set -u
tegula=$1
work=$2
rm -rf "$work"
mkdir -p "$work/kernels"
failures=0
TEGULA_TUNING=$work/tuned.sqlite
export TEGULA_TUNING

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

cat > "$work/kernels/scale.tg" <<'TG'
kernel scale(x: f32[N], out y: f32[N])
  tune B = 64 in {16, 64, 256, 1024}
  require B <= 256
  grid i: N by B
{
  y[i] = x[i] * 2.0
}

case scale N=100
bench scale N=100000
bench scale N=5
TG

# The model alone: the default, then points from the fastest; what breaks a `require` is none.
"$tegula" tune --kernels "$work/kernels" --dry-run > "$work/dry.out" 2>&1 || fail "dry run: $(cat "$work/dry.out")"
[ "$(grep -c '^  .* us  B=' "$work/dry.out")" = 6 ] || fail "points of two shapes: $(cat "$work/dry.out")"
grep -q 'B=1024' "$work/dry.out" && fail "a point that the kernel refuses is ranked"
sed -n '/N=<131072/,/N=5/p' "$work/dry.out" | grep -v default | awk '/ us /{ if ($1 + 0 < last + 0) bad = 1; last = $1 } END { exit bad }' \
    || fail "the ranking is not in order"

"$tegula" tune --kernels "$work/kernels" --rounds 1 --threads 1 > "$work/tune.out" 2>&1 || fail "tune: $(cat "$work/tune.out")"
grep -q '^2 shapes on .* x1: .* 0 candidates or shapes failed' "$work/tune.out" || fail "summary: $(cat "$work/tune.out")"
[ "$("$tegula" tune --list | grep -c 'scale  *N=')" = 2 ] || fail "list: $("$tegula" tune --list)"

# Out and in again: the same entries, byte for byte.
"$tegula" tune --export "$work/a.txt" || fail "export"
"$tegula" tune --db "$work/second.sqlite" --import "$work/a.txt" | grep -q '^2 entries taken' || fail "import"
"$tegula" tune --db "$work/second.sqlite" --export "$work/b.txt" && cmp -s "$work/a.txt" "$work/b.txt" || fail "export of the import differs"

# What is stored is used: a setting that only the database gives must reach the kernel.
sed 's/\t\(B=[0-9]*\)*\t\([^\t]*\)\t\([^\t]*\)$/\tB=7\t\2\t\3/' "$work/a.txt" > "$work/seven.txt"
"$tegula" tune --import "$work/seven.txt" > /dev/null || fail "import of B=7"
"$tegula" run "$work/kernels/scale.tg" --set N=5 --threads 1 --tuned --check > "$work/run.out" 2>&1 || fail "run --tuned: $(cat "$work/run.out")"
"$tegula" tune --kernels "$work/kernels" --threads 1 --rounds 1 --replay > "$work/replay.out" 2>&1 || fail "replay: $(cat "$work/replay.out")"
grep -q '2 measured' "$work/replay.out" || fail "replay does not measure the stored point: $(cat "$work/replay.out")"

# Ahead of time, too; on as many threads as there are processors. A shape that nobody tuned keeps the default and says so.
TEGULA_TUNING=$work/all.sqlite "$tegula" tune --kernels "$work/kernels" --rounds 1 --budget 1000 > "$work/budget.out" 2>&1 || fail "tune with a budget: $(cat "$work/budget.out")"
grep -q '^2 of 2, .* s: scale' "$work/budget.out" || fail "progress: $(cat "$work/budget.out")"
TEGULA_TUNING=$work/all.sqlite "$tegula" tune --export "$work/all.txt" || fail "export"
sed 's/\t\(B=[0-9]*\)*\t\([^\t]*\)\t\([^\t]*\)$/\tB=7\t\2\t\3/' "$work/all.txt" > "$work/all7.txt"
TEGULA_TUNING=$work/all.sqlite "$tegula" tune --import "$work/all7.txt" > /dev/null || fail "import of B=7"
build_tuned() {
    TEGULA_TUNING=$work/all.sqlite "$tegula" build "$work/kernels/scale.tg" --emit tile --tuned "$@" > "$work/build.out" 2>&1
}
build_tuned --kernel scale --set N=5 && grep -q 'axis i by 7$' "$work/build.out" || fail "build --tuned: $(cat "$work/build.out")"
build_tuned --kernel scale --set N=9 && grep -q 'axis i by 64$' "$work/build.out" || fail "build --tuned of another shape: $(cat "$work/build.out")"
grep -q 'nothing better than the default is known for N=9' "$work/build.out" || fail "a shape without an answer is not told"
build_tuned && fail "build --tuned without a kernel"

# An entry of another text of the kernel is not used: nothing to replay.
sed -i 's/2\.0/3.0/' "$work/kernels/scale.tg"
"$tegula" tune --kernels "$work/kernels" --threads 1 --rounds 1 --replay | grep -q '^0 shapes' || fail "an entry outlived its kernel"

# A device that gives a wrong element: no candidate but the default is believed, the command fails.
"$tegula" tune --kernels "$work/kernels" --device fake:corrupt@2 --threads 1 --rounds 1 --db "$work/wrong.sqlite" > "$work/wrong.out" 2>&1 \
    && fail "a wrong result passed"
grep -q "differs from the default's\|FAIL_" "$work/wrong.out" || fail "a wrong result is not told: $(cat "$work/wrong.out")"

# Files that are something else.
printf 'tegula tuned schedules 1\nhalf a line\n' > "$work/bad.txt"
"$tegula" tune --import "$work/bad.txt" > "$work/bad.out" 2>&1 && fail "a torn list is taken"
grep -q 'bad.txt:2: not an entry' "$work/bad.out" || fail "torn list: $(cat "$work/bad.out")"
echo 'no database' > "$work/bad.sqlite"
"$tegula" tune --db "$work/bad.sqlite" --list > "$work/bad.out" 2>&1 && fail "a damaged database is read"
grep -q 'bad.sqlite: .*not a database' "$work/bad.out" || fail "damaged database: $(cat "$work/bad.out")"

[ "$failures" = 0 ] && echo "all of tune holds"
exit "$((failures > 0))"
