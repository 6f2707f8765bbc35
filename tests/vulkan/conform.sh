#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# conform.sh TEGULA KERNELS: the smallest cases of stock kernels on the Vulkan device. The layers,
# when they are on, also validate every module of SPIR-V. Left out, for `tegula conform --device
# vulkan` to run: flash_attention, gqa_decode, mla_decode and mla_decode_fp8, which lavapipe takes up
# to minutes to compile, and the variants of linear and gemm_fp8.
set -u
tegula=$1
kernels=$2
"$tegula" targets | grep -q "^device vulkan " || { echo "skipped: no Vulkan device"; exit 77; }
bad=0
for filter in add silu_mul softmax transpose row_reduce matmul linear matmul_i8 rmsnorm \
              rmsnorm_residual 'rope_*' topk_select split_combine; do
    "$tegula" conform --device vulkan --level smoke --in-process --filter "$filter" \
        --kernels "$kernels" || bad=1
done
exit $bad
