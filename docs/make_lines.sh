#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes docs/lines.md: the lines of the stock kernels against those of public versions, which docs/lines.txt lists
# with repository, commit and functions. With --check says whether the page is up to date and every kernel has at
# most half the lines of the median public version. With --recount DIR the public lines are counted again in clones
# DIR/OWNER+NAME. usage: docs/make_lines.sh [--check | --recount DIR]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ "${1:-}" = --recount ] && exec python3 "$here/count_lines.py" recount "$2"
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
{
    cat "$here/lines.in.md"
    python3 "$here/count_lines.py" table
} > "$fresh"
if [ "${1:-}" = --check ]; then
    diff "$here/lines.md" "$fresh" || { echo "docs/lines.md is old: run docs/make_lines.sh"; exit 1; }
    exit 0
fi
cp "$fresh" "$here/lines.md"
