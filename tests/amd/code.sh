#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# code.sh TEGULA SOURCE-ROOT: what every row's assembly has to be: five words of arguments and no hidden ones, no generic
# addresses, no scratch, what was written to LDS waited for before every barrier, matrix instructions of the row.
set -u
tegula=$1 root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "code.sh: $1" >&2; exit 1; }

# check KERNEL ROW: the assembly in $work/s
check() {
    grep -q 'kernarg_segment_size: 40' "$work/s" || fail "$1 for $2: the arguments are not five words"
    grep -q 'value_kind: *hidden' "$work/s" && fail "$1 for $2: hidden arguments"
    grep -Eq '^[[:space:]](flat_(load|store|atomic)|scratch_|buffer_(load|store).*offen)' "$work/s" && fail "$1 for $2: generic addresses or scratch"
    awk '/^\tds_(write|store)/ { pending = 1 } /^\ts_waitcnt.*lgkmcnt\(0\)|^\ts_wait_dscnt 0x0|^\ts_waitcnt_lgkmcnt/ { pending = 0 }
         /^\ts_barrier/ { n++; if (pending) bad++ } END { exit bad || !n }' "$work/s" || fail "$1 for $2: a write to LDS crosses a barrier, or there is none"
}

n=0
while read -r file kernel set; do
    for row in gfx906 gfx908 gfx90a gfx942 gfx1030 gfx1100 gfx1151 gfx1200; do
        # shellcheck disable=SC2086
        "$tegula" build "$root/kernels/$file" --kernel "$kernel" $set --target $row --emit amdgcn >"$work/s" || fail "$kernel for $row does not build"
        check "$kernel" $row
        case "$kernel/$row" in
        linear/gfx908 | linear/gfx90a | linear/gfx942) grep -q v_mfma_f32 "$work/s" || fail "$kernel for $row: no MFMA" ;;
        linear/gfx11* | linear/gfx12*) grep -q v_wmma_f32 "$work/s" || fail "$kernel for $row: no WMMA" ;;
        esac
        n=$((n + 1))
    done
done <<'KERNELS'
norm/norm.tg rmsnorm --set T=f32
gemm/gemm.tg linear --set T=bf16 --set BM=64 --set BN=64 --set BK=64
KERNELS
echo "$n kernels"

# Matrix units read shared memory whole: where narrow stores need words, that is refused in words.
"$tegula" build "$root/kernels/gemm/gemm.tg" --kernel matmul --set T=bf16 --target gfx942+narrow-stores-race \
    --emit amdgcn -o "$work/refused.s" 2>"$work/refused" && fail "narrow stores under matrix units are not refused"
grep -q 'quirk narrow-stores-race' "$work/refused" || { cat "$work/refused"; fail "the quirk is not named"; }
