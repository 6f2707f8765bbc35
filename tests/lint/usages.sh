#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every long option that a command parses stands in its usage text, and no other does.
# usage: usages.sh TEGULA
set -u
tegula=$1
tools=$(cd "$(dirname "$0")/../../tools" && pwd)
bad=0
# parsed FILE: long options in the tables of a source file.
parsed() { grep -oE '\{"[a-z-]+", (no|required)_argument' "$1" | cut -d'"' -f2 | sort -u; }
told() { for c in "$@"; do "$tegula" "$c" --help | grep -oE -- '--[a-z][a-z-]*' | sed 's/^--//'; done | sort -u; }
# same FILE COMMAND...: the options of the file are those that the commands' usages tell.
same() {
    local file=$1
    shift
    local differences
    if ! differences=$(diff <(parsed "$tools/$file") <(told "$@")); then
        echo "$*: parsed (<) and told (>) differ:"
        echo "$differences"
        bad=1
    fi
}
same cmd_run.c run interp
same cmd_build.c build
same cmd_conform.c conform
same cmd_bench.c bench
same cmd_demo.c demo
same cmd_source.c check fmt explain
same cmd_inspect.c targets cache pack
exit $bad
