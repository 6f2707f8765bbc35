#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The driver `hip`, with a package that is compiled here.
set -eu
tegula=$1 test=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$tegula" build "$(dirname "$0")/axpy.tg" --target gfx942 -o "$work/axpy.tgp"
"$test" "$work/axpy.tgp"
