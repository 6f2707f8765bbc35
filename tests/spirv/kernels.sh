#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernels.sh TEGULA KERNELS SPIRV_VAL [--full] [--seed N] [--sample N]: stock kernels as SPIR-V in both flavours, every module
# shown to spirv-val. A sample of 10 cases drawn by the seed, or the smallest case of every kernel (--full).
set -u
tegula=$1 kernels=$2 validator=$3
shift 3
seed=1 what=(--sample 10)
while [ $# -gt 0 ]; do
    case $1 in
    --full) what=() ;;
    --seed) seed=$2 && shift ;;
    --sample) what=(--sample "$2") && shift ;;
    *) echo "unknown argument $1" && exit 2 ;;
    esac
    shift
done
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"$tegula" conform --list --level smoke --seed "$seed" --kernels "$kernels" "${what[@]}" >"$work/names"
[ -s "$work/names" ] || { echo "no cases"; exit 1; }
bad=0 good=0 refused=0
check() { # TARGET ENVIRONMENT FILE KERNEL SETTINGS...
    local target=$1 env=$2 path=$3 kernel=$4 sets=()
    shift 4
    for s in "$@"; do sets+=(--set "$s"); done
    if ! "$tegula" build "$path" --kernel "$kernel" --target "$target" --emit spirv -o "$work/m.spv" "${sets[@]}" >"$work/said" 2>&1
    then
        # What a target has no code for is said by a diagnostic, which is no wrong module.
        if grep -q "unsupported\|cannot\|beyond\|too " "$work/said"; then refused=$((refused + 1)); else bad=1; fi
        echo "no module: $kernel $* for $target: $(head -n 1 "$work/said")"
        return
    fi
    # OpenCL has 64-bit atomics by an extension that its environment of spirv-val does not know.
    [ "$env" = opencl2.2 ] && od -An -v -tu4 -w8 -j20 -N160 "$work/m.spv" | grep -q '^ *131089 *12$' && env=spv1.2
    if "$validator" --target-env "$env" --scalar-block-layout "$work/m.spv" >"$work/said" 2>&1; then
        good=$((good + 1))
    else
        bad=1
        echo "FAIL $kernel $* for $target: $(head -n 3 "$work/said")"
    fi
}
while read -r file kernel settings; do
    # shellcheck disable=SC2086 # one word a setting
    check vulkan vulkan1.3 "$file" "$kernel" $settings
    # shellcheck disable=SC2086
    check opencl-spirv opencl2.2 "$file" "$kernel" $settings
done <"$work/names"
echo "$good modules valid, $refused not made"
exit $bad
