#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `tegula bench`: the work of rows by hand, goals that fit their kernels, pages and comparisons from a made-up result
# file, rows that would not fit in memory. No assertion depends on a time. usage: bench.sh TEGULA WORK_DIR
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

# expect_work KERNEL "SETTINGS" "FLOP" "READ" "WRITTEN": a row of the table as a hand computes it.
expect_work() {
    grep -qxF "$1 $2: $3 FLOP, $4 bytes read, $5 written" "$work/work.out" || fail "work of $1 $2: $(grep -F "$1 $2:" "$work/work.out")"
}

for k in matmul matmul_i8 linear linear_q4_0 flash_attention mla_decode indexer_fp8 sinkhorn softmax rope_half_first; do
    "$tegula" bench --table --work --filter $k >> "$work/work.out" 2> "$work/work.err" || fail "work of $k: $(cat "$work/work.err")"
done
# 2 * 1024^3; two operands of 4 MiB; one result.
expect_work matmul "T=f32 M=1024 N=1024 K=1024" 2147483648 8388608 4194304
# What stays in cache has no bytes to wait for.
expect_work matmul "T=f32 M=64 N=64 K=64" 524288 0 0
expect_work matmul_i8 "M=1024 N=1024 K=1024" 2147483648 2097152 4194304
# 2 * 4096^2; 64 MiB of weights, a row of 16 KiB; the same out.
expect_work linear "T=f32 M=1 N=4096 K=4096" 33554432 67125248 16384
# 18 bytes for 32 weights: 4096 * 128 * 18 + 16384.
expect_work linear_q4_0 "T=f32 M=1 N=4096 B=128" 33554432 9453568 16384
# Causal: 2048 * 2049 / 2 pairs, 16 heads, 2 * (128 + 128) each; q, k, v of 16 MiB, ends, sinks, ...; out and lse.
grep -q '^flash_attention T=f32 D=128 E=128 TQ=2048 TK=2048 H=16 HK=16 B=1 right=0: 17188257792 FLOP, 503317[0-9]* bytes read, 16908288 written$' "$work/work.out" \
    || fail "flash attention: $(grep flash_attention "$work/work.out")"
# 4096 keys, 128 heads, 2 * (576 + 512) each; the cache is 4096 * 576 * 4 bytes, read once for all heads.
grep -q '^mla_decode T=f32 HK=1 BS=64 B=1 S=1 H=128 P=64 NB=64 W=4: 1140850688 FLOP, 97[0-9]* bytes read, 262656 written$' "$work/work.out" \
    || fail "MLA decode: $(grep 'H=128 P=64' "$work/work.out")"
# 8 rows of 64 heads of 128 against 16384 keys.
grep -q '^indexer_fp8 .*M=8 N=16384: 2147483648 FLOP' "$work/work.out" || fail "indexer: $(grep indexer "$work/work.out")"
# 20 steps of 8 lines of (3 sums, eps, 4 quotients) for 65536 matrices; 64 bytes in, 64 out.
expect_work sinkhorn "ITERS=20 T=65536" 83886080 4194304 4194304
expect_work softmax "T=f32 M=4096 N=4096" 0 67108864 67108864
# The table of angles has 4096 rows, of which a random choice of 4096 touches some.
grep -q '^rope_half_first .*: 0 FLOP, 3[4-5][0-9]* bytes read, 33554432 written$' "$work/work.out" || fail "RoPE: $(grep rope "$work/work.out")"
grep -qi 'nan' "$work/work.out" && fail "a formula is wrong: $(grep -i nan "$work/work.out")"

# Rows are freed one by one: eight of 256 MiB in less than 1.5 GB.
mkdir -p "$work/eight"
printf 'kernel scale(x: f32[N], out y: f32[N])\n  grid i: N by 1024\n{\n  y[i] = x[i] * 2.0\n}\n' > "$work/eight/scale.tg"
for i in 1 2 3 4 5 6 7 8; do echo "bench scale N=3355443$i"; done >> "$work/eight/scale.tg"
(ulimit -v 1500000 2> /dev/null; "$tegula" bench --work --kernels "$work/eight" > "$work/eight.out" 2>&1)
[ "$(grep -c '^scale N=3355443[1-8]: 0 FLOP, 1342177[0-9]* bytes read, 1342177[0-9]* written$' "$work/eight.out")" = 8 ] \
    || fail "eight rows in bounded memory: $(cat "$work/eight.out")"

# A folder of one's own: its lines alone; a row beyond any memory is skipped with the reason and the next one runs.
cat > "$work/kernels/scale.tg" <<'TG'
kernel scale(x: f32[N], out y: f32[N])
  grid i: N by 1024
{
  y[i] = x[i] * 2.0
}

bench scale N=1000000000000
bench scale N=100000
TG
"$tegula" bench --kernels "$work/kernels" --peers none --threads 1 --rounds 1 --json "$work/own.jsonl" --html "$work/own.html" > "$work/own.out" 2>&1 \
    || fail "own folder: $(cat "$work/own.out")"
grep -q 'scale N=1000000000000, 1 thread: SKIP needs .* GB of memory' "$work/own.out" || fail "a row beyond memory: $(cat "$work/own.out")"
grep -q '"shape":"N=100000","threads":1,.*"status":"PASS"' "$work/own.jsonl" || fail "result line: $(cat "$work/own.jsonl")"
[ "$(grep -c '' "$work/own.jsonl")" = 4 ] || fail "a header, the launch and two rows: $(cat "$work/own.jsonl")"

# Several numbers of threads: a row each.
"$tegula" bench --kernels "$work/kernels" --filter launch --threads 1,2 --json "$work/two.jsonl" > "$work/two.out" 2>&1 || fail "two: $(cat "$work/two.out")"
[ "$(grep -c '"kernel":"launch"' "$work/two.jsonl")" = 2 ] || fail "rows by threads: $(cat "$work/two.jsonl")"

# A made-up machine: one row at its goal, one beyond a limit that is none for it (bytes have wider units), one behind its peer, one failed, one that must be three times as fast.
cat > "$work/was.jsonl" <<'JSON'
{"tegula_bench":1,"processor":"Made Up <Nine>"}
{"kernel":"matmul","shape":"M=512","threads":2,"work":"GEMM","status":"PASS","us":1000,"flops":1e8,"bytes":1e6,"share":0.95,"bound":"F","goal":0.9,"times":1,"fma_gflops":105.3,"read_gbs":40,"copy_gbs":50,"instructions":"avx2+fma","peers":{"blis":1100,"openblas":1200}}
{"kernel":"matmul_i8","shape":"M=512","threads":2,"work":"GEMM int8","status":"PASS","us":500,"flops":1e8,"bytes":1e6,"share":1.9,"bound":"F","goal":0.92,"times":1,"fma_gflops":105.3,"read_gbs":40,"copy_gbs":50,"instructions":"avx2+fma","peers":{}}
{"kernel":"linear","shape":"M=1","threads":2,"work":"linear","status":"PASS","us":1000,"flops":1e7,"bytes":2e7,"share":0.5,"bound":"D","goal":0.4,"times":1,"fma_gflops":105.3,"read_gbs":40,"copy_gbs":50,"instructions":"avx2+fma","peers":{"ggml":800}}
{"kernel":"topk","shape":"R=1","threads":2,"work":"top-k","status":"PASS","us":100,"flops":0,"bytes":1e6,"share":0.2,"bound":"D","goal":0,"times":3,"fma_gflops":105.3,"read_gbs":40,"copy_gbs":50,"instructions":"avx2+fma","peers":{"numpy":350}}
{"kernel":"moe","shape":"T=8","threads":2,"work":"MoE","status":"FAIL","detail":"a launch failed","us":0,"share":0,"bound":"D","goal":0.8,"times":1,"peers":{}}
JSON
"$tegula" bench --from "$work/was.jsonl" --html "$work/page.html" --json "$work/again.jsonl" > "$work/from.out" 2>&1 || fail "from: $(cat "$work/from.out")"
# Geometric mean of 0.95, 1 and 0.5; linear is behind ggml, so it is not at its goal.
grep -q '4 rows with goals: 3 at goal, 1 behind a peer, geometric mean 78.0 % of the limit; 1 failed' "$work/from.out" || fail "summary: $(cat "$work/from.out")"
for text in 'Made Up &#60;Nine&#62;' '<svg' 'class=p1 ' 'class=p0 ' 'x1.10' 'FAIL a launch failed' '<b>blis 86.4 %</b>' 'avx2+fma'; do
    grep -qF "$text" "$work/page.html" || fail "the page lacks $text"
done
"$tegula" bench --from "$work/again.jsonl" --json "$work/third.jsonl" > /dev/null 2>&1 && cmp -s "$work/again.jsonl" "$work/third.jsonl" || fail "results change when they are read and written"

# Against earlier results: the same, then one row that fell by a fifth.
"$tegula" bench --from "$work/was.jsonl" --baseline "$work/was.jsonl" > "$work/same.out" 2>&1 || fail "the same fell: $(cat "$work/same.out")"
sed 's/"share":0.95/"share":0.76/' "$work/was.jsonl" > "$work/now.jsonl"
"$tegula" bench --from "$work/now.jsonl" --baseline "$work/was.jsonl" > "$work/fell.out" 2>&1 && fail "a row that fell is no failure"
grep -q '^fell: matmul M=512, 2 threads: 76.0 % of the limit, was 95.0 %$' "$work/fell.out" || fail "what fell: $(cat "$work/fell.out")"
"$tegula" bench --from "$work/now.jsonl" --baseline "$work/was.jsonl" --fell 25 > /dev/null 2>&1 || fail "a fifth is more than a quarter"

# Files that are something else.
echo 'half a line' > "$work/bad.jsonl"
"$tegula" bench --from "$work/bad.jsonl" > "$work/bad.out" 2>&1 && fail "a torn file is taken"
grep -q 'bad.jsonl:1: not a line of benchmark results' "$work/bad.out" || fail "torn file: $(cat "$work/bad.out")"
"$tegula" bench --threads 1,x > "$work/bad.out" 2>&1 && fail "threads of x"

[ "$failures" = 0 ] && echo "all of bench holds"
exit "$((failures > 0))"
