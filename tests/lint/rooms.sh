#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rooms: which folder may include which (docs/decisions/0001-rooms.md). Prints offenders, exits 1.
set -u
cd "$(dirname "$0")/../.."
bad=0
# deny FOLDER REGEX: no source of FOLDER may include a path matching REGEX.
deny() {
    local hits
    hits=$(grep -rnE "^#include [\"<]($2)" "$1" --include='*.c' --include='*.h' --include='*.def' 2>/dev/null)
    if [ -n "$hits" ]; then echo "rooms: $1 may not include ($2):"; echo "$hits"; bad=1; fi
}
deny ir '(frontend|backends|compiler|tools|kernels|runtime)/'
deny ir 'tegula/(tegula|compiler|package_format)'
deny frontend '(backends|compiler|tools|kernels|runtime)/'
deny backends '(frontend|compiler|tools|kernels|runtime)/'
deny runtime '(ir|frontend|backends|compiler|tools|kernels)/'
deny sim '(ir|frontend|backends|compiler|tools|kernels|runtime)/'
deny runtime 'sim/'
deny kernels '(ir|frontend|backends|compiler|tools)/'
for d in ir frontend runtime compiler tools kernels backends/lower backends/pack; do deny "$d" 'llvm-c/'; done
for d in ir frontend runtime compiler tools kernels backends/llvm backends/lower backends/pack backends/place backends/simt_c; do [ -d "$d" ] && deny "$d" 'spirv/'; done
# What both lowerings need is in lower/expand; the checker shares nothing with what it checks.
deny backends/lower/simt 'backends/(lower/cpu|place)/'
deny backends/lower/cpu 'backends/(lower/simt|place)/'
deny backends/lower/expand 'backends/(lower/cpu|lower/simt|place)/'
deny backends/place 'backends/lower/'
deny ir/check 'ir/passes'
exit $bad
