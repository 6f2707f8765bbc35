#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# code.sh AMD_RUN HSACO_LINK TEGULA SOURCE_DIR: the simulator of AMD's code against LLVM's disassembler, small programs with
# a defect each, and damaged files.
set -u
run=$1 link=$2 tegula=$3 root=$4
for t in llvm-mc-19 llvm-objdump-19; do
    command -v $t >/dev/null || { echo "skipped: no $t"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
fail() { echo "code.sh: $*"; bad=1; }

count=0
# same_names HSACO WHAT
same_names() {
    "$run" names "$1" | sed 's/ s_code_end.*//' >"$work/ours" || fail "names of $2"
    llvm-objdump-19 -d "$1" | awk -F'//' '/^\t/ {
        split($2, a, ":"); sub(/^ 0*/, "", a[1]); split($1, w, " "); name = w[1]
        if (match($1, /:: v_[a-z0-9_]+/)) { second = substr($1, RSTART + 3, RLENGTH - 3); name = name " " second }
        print tolower(a[1]), name }' |
        sed -E 's/_(e32|e64|sdwa|dpp|e64_dpp)( |$)/\2/g; s/ v_dual_/ v_/g; s/s_code_end.*//' >"$work/theirs"
    sed -i -E 's/(flat|scratch|global)_(load|store|atomic)/global_\2/' "$work/theirs"
    diff <(grep -v ' s_nop\| s_code_end' "$work/ours" | grep ' ') <(grep -v ' s_nop\| s_code_end' "$work/theirs" | grep ' .') >"$work/diff" ||
        { head -5 "$work/diff"; fail "names of $2"; }
    count=$((count + $(wc -l <"$work/ours")))
}

# ---- names: every instruction of these kernels as the disassembler has it
for row in gfx942 gfx1100; do
    for k in "gemm/gemm.tg matmul bf16" "norm/norm.tg rmsnorm bf16" "attention/attention.tg flash_attention f16 --set D=64 --set E=64" "gemm/grouped.tg kgrouped f16"; do
        set -- $k
        # shellcheck disable=SC2086
        "$tegula" build "$root/kernels/$1" --kernel "$2" --set T="$3" ${4:-} ${5:-} ${6:-} ${7:-} --target $row --emit hsaco -o "$work/k.hsaco" || fail "build $2"
        same_names "$work/k.hsaco" "$2 for $row"
    done
done
for f in "$root"/tests/sim/opencl/*.hsaco; do
    same_names "$f" "${f##*/}"
done
echo "$count instructions have the disassembler's names"

# ---- programs: NAME LANES, what is expected, code. s[0:1]: arguments; v0: the lane
program() {
    local name=$1 lanes=$2 lds=$3 expected=$4
    { cat <<'S'
        .amdgcn_target "amdgcn-amd-amdhsa--gfx942"
        .text
        .globl k
        .p2align 8
        .type k,@function
k:
        s_load_dwordx4 s[4:7], s[0:1], 0x0
        v_and_b32 v0, 0x3ff, v0
        v_lshlrev_b32 v1, 2, v0
S
        cat
        cat <<S
        s_endpgm
        .rodata
        .p2align 6
        .amdhsa_kernel k
          .amdhsa_next_free_vgpr 16
          .amdhsa_next_free_sgpr 32
          .amdhsa_accum_offset 16
          .amdhsa_user_sgpr_kernarg_segment_ptr 1
          .amdhsa_kernarg_size 16
          .amdhsa_group_segment_fixed_size $lds
        .end_amdhsa_kernel
S
    } >"$work/$name.s"
    llvm-mc-19 -triple=amdgcn-amd-amdhsa -mcpu=gfx942 -filetype=obj "$work/$name.s" -o "$work/$name.o" &&
        "$link" "$work/$name.o" "$work/$name.hsaco" || { fail "$name does not assemble"; return; }
    "$run" run "$work/$name.hsaco" "$lanes" >"$work/log"
    grep -q "$expected" "$work/log" || { cat "$work/log"; fail "$name: expected $expected"; }
}

program doubled 64 0 '^fine 0 2 4 6 8 10 12 14$' <<'S'
        s_waitcnt lgkmcnt(0)
        global_load_dword v2, v1, s[6:7]
        s_waitcnt vmcnt(0)
        v_add_u32 v2, v2, v2
        global_store_dword v1, v2, s[4:5]
S
program no_wait 64 0 'asynchronous: v_add_u32' <<'S'
        s_waitcnt lgkmcnt(0)
        global_load_dword v2, v1, s[6:7]
        v_add_u32 v2, v2, v2
        global_store_dword v1, v2, s[4:5]
S
program no_scalar_wait 64 0 'asynchronous: global_store_dword' <<'S'
        global_store_dword v1, v0, s[4:5]
S
program half_wait 64 0 'asynchronous: v_add_u32' <<'S'
        s_waitcnt lgkmcnt(0)
        global_load_dword v2, v1, s[6:7]
        global_load_dword v3, v1, s[6:7]
        s_waitcnt vmcnt(1)
        v_add_u32 v2, v2, v3
S
program bounds 64 0 'out of bounds: global_store_dword' <<'S'
        s_waitcnt lgkmcnt(0)
        v_add_u32 v1, 0xf10, v1
        global_store_dword v1, v0, s[4:5]
S
# the neighbour's word across waves: right with a barrier, a race without
exchange='        ds_write_b32 v1, v0
        BARRIER
        v_xor_b32 v3, 0x100, v1
        ds_read_b32 v2, v3
        s_waitcnt lgkmcnt(0)
        global_store_dword v1, v2, s[4:5]'
program barrier 128 512 '^fine 64 65 66' <<<"${exchange/BARRIER/s_waitcnt lgkmcnt(0)
        s_barrier}"
program race 128 512 'race: ds_' <<<"${exchange/BARRIER/s_waitcnt lgkmcnt(0)}"
# a count by atomics that is read before everybody has counted; only what a compare finds out may be read so
program counted 128 512 'race: ds_read_b32' <<'S'
        v_mov_b32 v3, 0
        ds_add_u32 v3, v0
        ds_read_b32 v2, v3
        s_waitcnt lgkmcnt(0)
        global_store_dword v1, v2, s[4:5]
S
program clamped 64 0 '^fine 4294967295 4294967295 4294967295' <<'S'
        s_waitcnt lgkmcnt(0)
        v_sub_u32 v2, 0, v0
        v_sub_u32 v2, v2, 1 clamp
        v_add_u32 v2, v2, 64
        v_add_u32 v2, v2, -1 clamp
        global_store_dword v1, v2, s[4:5]
S
program lds_unwritten 64 512 'uninitialised: ds_read_b32' <<'S'
        s_waitcnt lgkmcnt(0)
        ds_read_b32 v2, v1
        s_waitcnt lgkmcnt(0)
        global_store_dword v1, v2, s[4:5]
S
program lds_bounds 64 128 'out of bounds: ds_write_b32' <<'S'
        ds_write_b32 v1, v0
        s_waitcnt lgkmcnt(0)
S
program misaligned 64 0 'misaligned: global_atomic_add' <<'S'
        s_waitcnt lgkmcnt(0)
        global_atomic_add v1, v0, s[4:5] offset:2
S
program for_ever 64 0 'runaway' <<'S'
        s_branch -1
S
program trap 64 0 'trap: s_trap' <<'S'
        s_trap 2
S
# lanes that are off write nothing; DPP, SDWA, permutes and matrix products
program lanes_off 64 0 '^fine 0 9 2 9 4 9 6 9$' <<'S'
        s_waitcnt lgkmcnt(0)
        v_and_b32 v2, 1, v0
        v_cmp_eq_u32 vcc, 1, v2
        s_and_saveexec_b64 s[10:11], vcc
        v_mov_b32 v3, 9
        global_store_dword v1, v3, s[4:5]
S
program dpp 64 0 '^fine 3 2 1 0 7 6 5 4$' <<'S'
        s_waitcnt lgkmcnt(0)
        s_nop 1
        v_mov_b32_dpp v2, v0 quad_perm:[3,2,1,0] row_mask:0xf bank_mask:0xf
        global_store_dword v1, v2, s[4:5]
S
program row_shift 64 0 '^fine 7 0 1 2 3 4 5 6$' <<'S'
        s_waitcnt lgkmcnt(0)
        v_mov_b32 v2, 7
        s_nop 1
        v_mov_b32_dpp v2, v0 row_shr:1 row_mask:0xf bank_mask:0xf
        global_store_dword v1, v2, s[4:5]
S
program sdwa 64 0 '^fine 0 256 512 768' <<'S'
        s_waitcnt lgkmcnt(0)
        v_mov_b32_sdwa v2, v0 dst_sel:BYTE_1 dst_unused:UNUSED_PAD src0_sel:BYTE_0
        global_store_dword v1, v2, s[4:5]
S
program permute 64 0 '^fine 63 62 61 60' <<'S'
        v_sub_u32 v2, 63, v0
        v_lshlrev_b32 v2, 2, v2
        ds_bpermute_b32 v3, v2, v0
        s_waitcnt lgkmcnt(0)
        global_store_dword v1, v3, s[4:5]
S
program quotient 64 0 '^fine 2139095040 1065353216 1056964608 1051372203 1048576000' <<'S'
        s_waitcnt lgkmcnt(0)
        v_cvt_f32_u32 v2, v0
        v_mov_b32 v3, 1.0
        v_div_scale_f32 v4, s[8:9], v2, v2, v3
        v_div_scale_f32 v5, vcc, v3, v2, v3
        v_rcp_f32 v6, v4
        v_fma_f32 v7, -v4, v6, 1.0
        v_fma_f32 v6, v7, v6, v6
        v_mul_f32 v7, v5, v6
        v_fma_f32 v8, -v4, v7, v5
        v_fma_f32 v7, v8, v6, v7
        v_fma_f32 v8, -v4, v7, v5
        v_div_fmas_f32 v7, v8, v6, v7
        v_div_fixup_f32 v7, v7, v2, v3
        global_store_dword v1, v7, s[4:5]
S
# 32x32x2: A row i is i, B all ones: row i of D is 2 i; lane 0 holds rows 0 1 2 3 8 ..
program mfma 64 0 '^fine 0 0 0 0 0 0 0 0$' <<'S'
        s_waitcnt lgkmcnt(0)
        v_and_b32 v2, 31, v0
        v_cvt_f32_u32 v2, v2
        v_mov_b32 v3, 1.0
        s_nop 4
        v_mfma_f32_32x32x2_f32 a[0:15], v2, v3, 0
        s_nop 15
        v_accvgpr_read_b32 v4, a0
        v_lshrrev_b32 v5, 5, v0
        v_cvt_u32_f32 v4, v4
        global_store_dword v1, v4, s[4:5]
S
program mfma_rows 64 0 '^fine 18 18 18 18' <<'S'
        s_waitcnt lgkmcnt(0)
        v_and_b32 v2, 31, v0
        v_cvt_f32_u32 v2, v2
        v_mov_b32 v3, 1.0
        s_nop 4
        v_mfma_f32_32x32x2_f32 a[0:15], v2, v3, 0
        s_nop 15
        v_accvgpr_read_b32 v4, a5
        v_cvt_u32_f32 v4, v4
        global_store_dword v1, v4, s[4:5]
S

"$run" garble "$work/barrier.hsaco" 3000 || fail "damaged files"
"$run" garble "$work/mfma.hsaco" 2000 || fail "damaged files"
exit $bad
