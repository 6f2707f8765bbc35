#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Wrong kernels must fail their cases: a sample by seed, or all of them with TEGULA_TEST_FULL=1.
# usage: mutation.sh MUTATION TEGULA KERNELS LISTS WORK
set -eu
export TEGULA_CACHE_DIR="$5/cache"
named=12 random=8
[ "${TEGULA_TEST_FULL:-0}" = 1 ] && named=1000 random=60
exec "$1" "$2" "$3" "$4" "$5" --seed "${TEGULA_TEST_SEED:-1}" --named "$named" --random "$random"
