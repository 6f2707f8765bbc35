#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles the CUDA kernels of this folder to the PTX that the tests keep. Needs nvcc; the release that
# made what is there stands in the files.
set -eu
cd "$(dirname "$0")"
arch() { case $1 in hopper.cu | async.cu | wgmma.cu) echo sm_90a ;; *) echo sm_80 ;; esac; }
for f in *.cu; do nvcc -ptx -arch="$(arch "$f")" -lineinfo -o - "$f" | grep -v '^// Compiler Build' | sed 's|"[^"]*/\([^/"]*\)"|"\1"|' >"${f%.cu}.ptx"; done
