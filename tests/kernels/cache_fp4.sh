#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The interpreter knows the two elements of a byte in a record's sub-byte field apart. usage: cache_fp4.sh TEGULA
set -u
kernels=$(cd "$(dirname "$0")/../../kernels" && pwd)
"$1" conform --kernels "$kernels" --device interp --filter append_index_fp4
