#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make_hsaco.sh [LEVEL FOLDER ROW...]: compiles the OpenCL kernels of this folder for AMD's machines with clang and lld of LLVM
# 19, one code object a file and machine. Without arguments: those that the tests keep.
set -eu
here=$(cd "$(dirname "$0")" && pwd) level=${1:--O2} to=${2:-$(cd "$(dirname "$0")" && pwd)}
shift $(($# < 2 ? $# : 2))
for row in "${@:-942 1100}"; do
    for m in $row; do
        for f in elements groups flow matrix; do
            clang-19 -x cl -cl-std=CL2.0 -target amdgcn-amd-amdhsa -mcpu=gfx"$m" -mcode-object-version=5 -nogpulib "$level" \
                -Wall -Werror -ffp-contract=off -cl-fp32-correctly-rounded-divide-sqrt -fno-ident -Wno-unused-function \
                -I"$here" -c "$here/$f.cl" -o "$to/$f.o"
            ld.lld-19 -shared --strip-debug "$to/$f.o" -o "$to/${f}_$m.hsaco"
            rm "$to/$f.o"
        done
    done
done
