#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What an embedding relies on: libtegula-rt is small, needs libc only, has no writable globals, exports
# tgr_* alone; its headers compile as C11 and C++. Usage: check_library.sh LIBRARY INCLUDE_DIR
set -eu
lib=$1
include=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
complain() { echo "check_library: $*"; bad=1; }

cp "$lib" "$work/lib.so" && strip "$work/lib.so"
size=$(stat -c %s "$work/lib.so")
[ "$size" -le 524288 ] || complain "stripped it has $size bytes, 524288 are the most"

needed=$(readelf -d "$lib" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -vE '^(libc|libm)\.so\.|^ld-linux|^libgcc_s' || true)
[ -z "$needed" ] || complain "it needs $needed"

# .data holds the linker's own __dso_handle (8 bytes), .bss the start-up code's flag (8 bytes).
writable=$(size -A "$lib" | awk '$1 ~ /^\.(data|bss|tbss|tdata)$/ && $2 > 8 {print $1, $2}')
[ -z "$writable" ] || complain "writable globals: $writable"

foreign=$(nm -D --defined-only "$lib" | awk '{print $3}' | grep -vE '^(tgr_|_init$|_fini$|__bss_start$|_edata$|_end$)' || true)
[ -z "$foreign" ] || complain "it exports $foreign"

# Every declaration has its definition.
tr '\n' ' ' <"$include/tegula/tegula.h" | grep -oE 'TGR_API [^;(]*\btgr_[a-z0-9_]+\(' | grep -oE 'tgr_[a-z0-9_]+\($' | tr -d '(' |
    sort -u >"$work/declared"
nm -D --defined-only "$lib" | awk '{print $3}' | sort -u >"$work/defined"
[ -s "$work/declared" ] || complain "no declarations found"
comm -23 "$work/declared" "$work/defined" >"$work/missing"
[ ! -s "$work/missing" ] || complain "declared and not exported: $(tr '\n' ' ' <"$work/missing")"

for h in tegula abi package_format compiler dlpack sim_ptx; do
    echo "#include <tegula/$h.h>" >"$work/t.c"
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$include" -fsyntax-only "$work/t.c" || complain "$h.h as C11"
    c++ -Wall -Wextra -Werror -I"$include" -fsyntax-only -x c++ "$work/t.c" || complain "$h.h as C++"
done
exit $bad
