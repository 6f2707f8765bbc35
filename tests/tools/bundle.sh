#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A failure's folder holds a program on the vendor's interface that builds with the README's command and repeats the launch: for a
# wrong element and for a death, both planted, so that the program itself gives what is right. usage: bundle.sh TEGULA DEVICE LIBRARY WORK_DIR
set -u
tegula=$1
device=$2
library=$3
work=$4
"$tegula" targets 2> /dev/null | grep -q "^device $device" || { echo "skipped: no $device device"; exit 77; }
rm -rf "$work"
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
for fault in corrupt@1 crash@1; do
    "$tegula" conform --device "fake:$fault/$device" --filter rmsnorm --level smoke --bundle "$work/deep/$fault" > "$work.out" 2>&1 &&
        fail "$fault was not found: $(cat "$work.out")"
    folder=$(find "$work/deep/$fault" -mindepth 1 -maxdepth 1 -type d)
    command=$(grep "^  cc main.c" "$folder/README")
    [ "$command" = "  cc main.c -o main -l$library -lm && ./main" ] || fail "the command: $command"
    out=$(cd "$folder" && sh -c "$command" 2>&1) || fail "$fault: the program: $out"
    # y is what the reference says to about 1e-5.
    echo "$out" | grep -Eq "^y: [0-9]+ of 19008 elements differ, largest difference [0-9.]+e-0[6-9]" || fail "$fault: $out"
    [ -s "$folder/tegula.c" ] || fail "the program for the runtime is missing"
done
[ "$failures" -eq 0 ] && echo "bundle on $device: all fine"
exit "$failures"
