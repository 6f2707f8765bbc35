#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every probe of devices, as code objects of ours in the simulator of AMD's machine code.
set -u
tegula=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEGULA_CACHE_DIR=$work/cache
for device in sim:gfx942 sim:gfx1100; do
    "$tegula" targets --probe $device >"$work/probes" || { echo "amd_probes.sh: targets --probe $device"; exit 1; }
    tail -1 "$work/probes"
    right=$(grep -c ' right ' "$work/probes")
    if ! grep -q ' 0 wrong, 0 more marked' "$work/probes" || [ "$right" -lt 100 ]; then
        grep -v ' right ' "$work/probes"
        echo "amd_probes.sh: $right probes are right on $device"
        exit 1
    fi
done
