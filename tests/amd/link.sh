#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# link.sh TEGULA HSACO_LINK SOURCE-ROOT: our code objects against ld.lld's of the same object (compare_link.py), and as LLVM's
# tools read them: kernels of ours for every row, and objects of other makings with every kind of relocation.
set -u
tegula=$1 link=$2 root=$3
for tool in ld.lld-19 llvm-readelf-19 llvm-objdump-19 python3; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "link.sh: $1" >&2; exit 1; }

# check NAME: NAME.o, NAME.hsaco
check() {
    ld.lld-19 -shared "$work/$1.o" -o "$work/$1.lld" || fail "$1: ld.lld"
    python3 "$root/tests/amd/compare_link.py" "$work/$1.o" "$work/$1.hsaco" "$work/$1.lld" >"$work/log" || fail "$1: $(cat "$work/log")"
    llvm-readelf-19 -a "$work/$1.hsaco" >"$work/readelf" 2>"$work/says" || fail "$1: llvm-readelf"
    [ ! -s "$work/says" ] || fail "$1: llvm-readelf says $(cat "$work/says")"
    for by in hsaco lld; do
        llvm-readelf-19 --notes "$work/$1.$by" | sed 1d >"$work/notes.$by"
        llvm-objdump-19 -d --no-leading-addr "$work/$1.$by" 2>"$work/says" | sed 's|//.*||' | grep -v 'file format' >"$work/code.$by"
        [ ! -s "$work/says" ] || fail "$1: llvm-objdump says $(cat "$work/says")"
    done
    cmp "$work/notes.hsaco" "$work/notes.lld" || fail "$1: other notes"
    grep -q 'amdhsa.kernels' "$work/notes.hsaco" || fail "$1: no metadata"
    [ "$(wc -l <"$work/code.hsaco")" = "$(wc -l <"$work/code.lld")" ] || fail "$1: disassembled otherwise"
}

n=0
while read -r file kernel set; do
    for row in gfx906 gfx908 gfx90a gfx942 gfx1030 gfx1100 gfx1151 gfx1200; do
        for kind in obj:o hsaco:hsaco; do
            # shellcheck disable=SC2086
            "$tegula" build "$root/kernels/$file" --kernel "$kernel" $set --target $row --emit ${kind%:*} -o "$work/$kernel.${kind#*:}" ||
                fail "$kernel for $row does not build"
        done
        check "$kernel"
        n=$((n + 1))
    done
done <<'KERNELS'
norm/norm.tg rmsnorm --set T=f32
elementwise/elementwise.tg softmax --set T=bf16
routing/align.tg moe_align --set E=8 --set AL=16 --set K=2
KERNELS

# Tables of constants and calls: REL32_LO, REL32_HI.
if command -v llc-19 >/dev/null; then
    cat >"$work/table.ll" <<'IR'
target triple = "amdgcn-amd-amdhsa"
@t = internal unnamed_addr addrspace(4) constant [8 x i32] [i32 3, i32 1, i32 4, i32 1, i32 5, i32 9, i32 2, i32 6]
define internal i32 @f(i32 %x) noinline {
  %y = mul i32 %x, 3
  ret i32 %y
}
define amdgpu_kernel void @k(ptr addrspace(1) %p) {
  %i = call i32 @llvm.amdgcn.workitem.id.x()
  %a = getelementptr [8 x i32], ptr addrspace(4) @t, i32 0, i32 %i
  %v = load i32, ptr addrspace(4) %a
  %w = call i32 @f(i32 %v)
  store i32 %w, ptr addrspace(1) %p
  ret void
}
declare i32 @llvm.amdgcn.workitem.id.x()
IR
    for row in gfx906 gfx942 gfx1100 gfx1200; do
        llc-19 -mcpu=$row -filetype=obj "$work/table.ll" -o "$work/table.o" || fail "llc-19 for $row"
        "$link" "$work/table.o" "$work/table.hsaco" || fail "table for $row does not link"
        check table
        grep -q ' 5 relocations' "$work/log" || fail "table for $row: $(cat "$work/log")"
        n=$((n + 1))
    done
fi
echo "$n code objects as ld.lld's"
