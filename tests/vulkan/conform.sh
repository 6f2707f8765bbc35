#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# conform.sh TEGULA KERNELS [--full] [--seed N] [--sample N]: smallest cases of stock kernels on the Vulkan device. With the
# validation layers on (VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation, where they are installed) every module is shown to
# their copy of spirv-val and every call to the API is watched; whatever they say fails. A sample of 6 cases drawn by the
# seed, or every kernel (--full: half an hour on lavapipe, whose compiler takes up to half a minute a kernel).
set -u
tegula=$1 kernels=$2
shift 2
seed=1 sample=6 what=()
while [ $# -gt 0 ]; do
    case $1 in
    --full) sample= ;;
    --seed) seed=$2 && shift ;;
    --sample) sample=$2 && shift ;;
    *) echo "unknown argument $1" && exit 2 ;;
    esac
    shift
done
"$tegula" targets | grep -q "^device vulkan " || { echo "skipped: no Vulkan device"; exit 77; }
# lavapipe chooses the row of its sub-groups; that of other devices is right on it, too.
"$tegula" conform --device vulkan@vulkan --filter matmul --kernels "$kernels" || exit 1
# Sums of nothing but -0 are -0 here and +0 in the interpreter: either is right.
"$tegula" conform --device vulkan --level smoke --exact --schedules 8 --seed 11 --filter ll_combine --kernels "$kernels" || exit 1
[ -n "$sample" ] && what=(--sample "$sample")
said=$(mktemp) && trap 'rm -f "$said"' EXIT
{
    # An op of several kernels: together they declare more shared memory than a device has.
    "$tegula" conform --device vulkan --level smoke --filter topk --kernels "$kernels" &&
        "$tegula" conform --device vulkan --level smoke --seed "$seed" --deadline 400 --kernels "$kernels" "${what[@]}"
} 2>&1 | tee "$said"
status=${PIPESTATUS[0]}
if grep -q "VUID-\|Validation Error" "$said"; then
    echo "the validation layers found mistakes"
    exit 1
fi
exit "$status"
