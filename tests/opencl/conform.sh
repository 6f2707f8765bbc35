#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The stock kernels' cases on an OpenCL device: a sample by seed, all with TEGULA_TEST_FULL.
#   conform.sh TEGULA DEVICE
set -u
tegula=$1 device=$2
"$tegula" targets | grep -q "^device ${device%%:*} " || { echo "skipped: no device $device"; exit 77; }
sample="--sample 30 --seed ${TEGULA_TEST_SEED:-1}"
[ -n "${TEGULA_TEST_FULL:-}" ] && sample=
# PoCL 3.1 lost the guard of stores behind a function's last barrier in these.
for kernel in compress_plain_state engram_grad_w_reduce; do
    "$tegula" conform --device "$device" --filter "$kernel" || exit 1
done
# ... and dropped loops behind barriers in these, in the first one with 4 warps and more.
"$tegula" conform --device "$device" --filter inplace_unique_group_indices --exact --schedules 16 --seed 11 || exit 1
"$tegula" conform --device "$device" --filter gate || exit 1
# A CPU chooses the row without banks; the row of GPUs, with padded rows of shared memory, is right on it, too.
[ "$device" != opencl ] || "$tegula" conform --device opencl@opencl --filter matmul || exit 1
# shellcheck disable=SC2086
exec "$tegula" conform --device "$device" --deadline 600 $sample
