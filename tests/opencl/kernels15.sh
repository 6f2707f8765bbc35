#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the cases of kernels15.txt on a device and holds them against the interpreter:
#   kernels15.sh TEGULA DEVICE [FILTER]
set -u
here=$(cd "$(dirname "$0")" && pwd)
tegula=$1 device=$2 filter=${3:-.}
"$tegula" targets | grep -q "^device ${device%%:*} " || { echo "skipped: no device $device"; exit 77; }
failed=0 ran=0
while read -r file kernel settings; do
    case $file in '#'*|'') continue ;; esac
    grep -q "$filter" <<<"$kernel" || continue
    set=()
    for s in $settings; do set+=(--set "$s"); done
    if out=$("$tegula" run "$here/../kernels15/$file.tg" --kernel "$kernel" --device "$device" "${set[@]}" --check 2>&1); then
        ran=$((ran + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s %s\n%s\n' "$kernel" "$settings" "$(head -n 12 <<<"$out")"
    fi
done < "$here/kernels15.txt"
echo "$ran right, $failed wrong on $device"
[ $failed = 0 ] && [ $ran -gt 0 ]
