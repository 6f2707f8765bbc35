#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes docs/kernels.md, the list of the stock kernels, from the kernels; with --check says whether it is up to
# date. The pages themselves (one a kernel, half a megabyte) are written by `tegula docs catalogue -o DIR`.
# usage: docs/make_kernels.sh TEGULA [--check]
set -eu
tegula=$1
here=$(cd "$(dirname "$0")" && pwd)
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"$tegula" docs catalogue -o "$fresh" > /dev/null
sed -e 's/\[\([a-z0-9_]*\)\]([a-z0-9_]*\.md)/\1/' -e 's/^A page for each, made by/Made from the kernels. The page of each, with shapes and calls from C, is written by/' \
    -e 's/`tegula docs catalogue`/`tegula docs catalogue -o DIR`/' "$fresh/README.md" > "$fresh/kernels.md"
if [ "${2:-}" = --check ]; then
    diff "$here/kernels.md" "$fresh/kernels.md" || { echo "docs/kernels.md is old: run docs/make_kernels.sh TEGULA"; exit 1; }
    exit 0
fi
cp "$fresh/kernels.md" "$here/kernels.md"
