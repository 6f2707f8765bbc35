#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes docs/tour.md from tour.in.md: each line `@run ARGS` becomes the command and its real output.
# usage: make_tour.sh TEGULA [--check]   (--check: exit 1 when the page is not up to date)
set -eu
tegula=$1
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
cd "$here"
while IFS= read -r line; do
    case $line in
    '@run '*)
        args=${line#@run }
        printf '```\n$ tegula %s\n' "$args"
        eval "\"$tegula\" $args" 2>&1 || true
        printf '```\n'
        ;;
    '@file '*) printf '```\n'; cat "${line#@file }"; printf '```\n' ;;
    *) printf '%s\n' "$line" ;;
    esac
done <tour.in.md >"$out"
if [ "${2:-}" = --check ]; then
    diff -u tour.md "$out" || { echo "docs/tour.md is out of date: run docs/make_tour.sh TEGULA"; exit 1; }
else
    cp "$out" tour.md
fi
