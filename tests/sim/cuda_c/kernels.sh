#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernels.sh TEGULA FOLDER: stock kernels printed as CUDA C++, compiled to PTX by nvcc and by clang-19 (what there is of
# them) and executed (a draw of the smoke cases, all with TEGULA_TEST_FULL=1). FOLDER has the plug-in that does it (plugin.c).
set -u
tegula=$1
compilers=
command -v clang++-19 >/dev/null && compilers="clang"
command -v nvcc >/dev/null && compilers="$compilers nvcc"
[ -n "$compilers" ] || { echo "skipped: neither clang++-19 nor nvcc"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEGULA_CACHE_DIR=$work/cache TEGULA_PLUGINS=$2
"$tegula" targets | grep -q '^device sim .*cuda-c cuda-c' || { echo "kernels.sh: no device sim:cuda-c"; exit 1; }
bad=0
for compiler in $compilers; do
    sample=--sample\ 4
    [ -n "${TEGULA_TEST_FULL:-}" ] && sample=
    # shellcheck disable=SC2086
    TEGULA_SIM_CUDA=$compiler "$tegula" conform --device sim:cuda-c --level smoke $sample --seed "${TEGULA_TEST_SEED:-3}" >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log"; bad=1; }
    echo "$compiler: $(tail -1 "$work/log")"
done
exit $bad
