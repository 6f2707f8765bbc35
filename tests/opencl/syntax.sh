#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The OpenCL C of the kernels of tests/kernels15 and of the stock kernels through clang as a second
# front end: syntax.sh TEGULA SCRATCH_FOLDER
set -u
here=$(cd "$(dirname "$0")" && pwd)
tegula=$1 tmp=$2 failed=0 n=0
command -v clang-19 >/dev/null || { echo "skipped: no clang-19"; exit 77; }
mkdir -p "$tmp"
check() { # file, kernel, settings
    local set=() s out
    for s in $3; do set+=(--set "$s"); done
    n=$((n + 1))
    if ! out=$("$tegula" build "$1" --kernel "$2" "${set[@]}" --target opencl --emit opencl 2>&1 >"$tmp/$2.cl") ||
        ! out=$(clang-19 -x cl -cl-std=CL1.2 --target=spir64 -fsyntax-only -Xclang -finclude-default-header "$tmp/$2.cl" 2>&1) ||
        [ -n "$out" ]; then
        failed=$((failed + 1))
        printf 'FAIL %s %s\n%s\n' "$2" "$3" "$(head -n 10 <<<"$out")"
    fi
}
# Dimensions are no setting of a build: only names in brackets and tunes are.
brackets() { sed -n "s/^kernel $2\[\([^]]*\)\].*/\1/p" "$1" | tr ',' '\n' | sed 's/:.*//; s/ //g'; }
while read -r file kernel settings; do
    case $file in '#'*|'') continue ;; esac
    path=$here/../kernels15/$file.tg keep=''
    for s in $settings; do
        if brackets "$path" "$kernel" | grep -qx "${s%%=*}" || grep -qw "tune ${s%%=*}" "$path"; then keep="$keep $s"; fi
    done
    check "$path" "$kernel" "$keep"
done < "$here/kernels15.txt"
# The stock kernels with the settings of their first case, as their pages say.
"$tegula" docs catalogue -o "$tmp/pages" > /dev/null || failed=$((failed + 1))
while read -r _ _ file _ kernel rest; do
    rest=" $rest" rest=${rest% -o *}
    check "$here/../../$file" "$kernel" "${rest//--set /}"
done < <(grep -l '^Kernel of' "$tmp"/pages/*.md | xargs grep -h '^tegula build ')
echo "$n kernels, $failed refused"
[ $failed = 0 ] && [ $n -gt 180 ]
