#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes docs/kernels/ (a page a stock kernel) from the kernels; with --check says whether it is up to date.
# usage: docs/make_kernels.sh TEGULA [--check]
set -eu
tegula=$1
here=$(cd "$(dirname "$0")" && pwd)
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"$tegula" docs catalogue -o "$fresh/kernels" > /dev/null
if [ "${2:-}" = --check ]; then
    diff -r "$here/kernels" "$fresh/kernels" || { echo "docs/kernels is old: run docs/make_kernels.sh"; exit 1; }
    exit 0
fi
rm -rf "$here/kernels"
cp -r "$fresh/kernels" "$here/kernels"
