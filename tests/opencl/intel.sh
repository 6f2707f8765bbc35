#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPIR-V executed: a sample of the stock kernels on Intel's CPU runtime for OpenCL, which `./dev deps --intel` puts into a folder of
# the build (proprietary, 0.7 GB; not needed otherwise).
#   intel.sh TEGULA FOLDER
set -u
tegula=$1 folder=$2
[ -e "$folder/vendors/intel.icd" ] || { echo "skipped: no Intel runtime in $folder (./dev deps --intel)"; exit 77; }
export LD_LIBRARY_PATH="$folder/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" OCL_ICD_VENDORS=$folder/vendors/
"$tegula" targets | grep -q '^device opencl .*opencl-spirv' || { echo "skipped: Intel's runtime shows no device that takes SPIR-V"; exit 77; }
sample="--sample 6 --seed ${TEGULA_TEST_SEED:-1}"
[ -n "${TEGULA_TEST_FULL:-}" ] && sample=
# shellcheck disable=SC2086
exec "$tegula" conform --device opencl --deadline 300 $sample
