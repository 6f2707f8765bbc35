#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The stock kernels' cases on an OpenCL device: one of each kernel, all with TEGULA_TEST_FULL.
#   conform.sh TEGULA DEVICE
set -u
tegula=$1 device=$2
"$tegula" targets | grep -q "^device ${device%%:*} " || { echo "skipped: no device $device"; exit 77; }
exec "$tegula" conform --device "$device" --deadline 600 --level "$([ -n "${TEGULA_TEST_FULL:-}" ] && echo core || echo smoke)"
