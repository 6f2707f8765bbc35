#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An installed tree, moved to another place: the command builds and runs, the example compiles with
# what pkg-config says, as C and as C++, and launches without the compiler's library.
# usage: install.sh CMAKE BUILD_DIR SOURCE_DIR SCRATCH_DIR
set -eu
cmake=$1 build=$2 source=$3 dir=$4
command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }
rm -rf "$dir" && mkdir -p "$dir"
"$cmake" --install "$build" --prefix "$dir/first" >/dev/null
mv "$dir/first" "$dir/moved"
cd "$dir"
pc=$(dirname "$(find moved -name tegula-rt.pc)")
export PKG_CONFIG_PATH=$PWD/$pc
libs=$(pkg-config --variable=libdir tegula-rt)
export LD_LIBRARY_PATH=$libs
moved/bin/tegula build "$source/examples/embed/add.tg" -o add.tgp
cc -Wall -Wextra -Werror "$source/examples/embed/main.c" -o embed $(pkg-config --cflags --libs tegula-rt)
./embed add.tgp | grep -F "fine, c[999] = 999.5"
if command -v c++ >/dev/null; then
    c++ -Wall -Wextra -Werror -x c++ "$source/examples/embed/main.c" -o embed_cc $(pkg-config --cflags --libs tegula-rt)
    ./embed_cc add.tgp | grep -F "fine, c[999] = 999.5"
fi
if ldd embed | grep -F LLVM; then
    echo "the runtime needs LLVM"
    exit 1
fi
# Every header by itself, as C and as C++.
for h in $(find "$PWD/moved/include/tegula" -name '*.h'); do
    cc -std=c17 -fsyntax-only -I"$PWD/moved/include" -x c "$h"
    ! command -v c++ >/dev/null || c++ -fsyntax-only -I"$PWD/moved/include" -x c++ "$h"
done
if pkg-config --exists tegula; then
    cc -Wall -Wextra -Werror "$source/examples/embed/jit.c" -o jit $(pkg-config --cflags --libs tegula)
    TEGULA_CACHE_DIR=$PWD/cache ./jit | grep -F "y[999] = 1999"
fi
# The simulators are found from bin/ too.
moved/bin/tegula run "$source/examples/embed/add.tg" --set N=100 --device sim:sm_80 --check
echo "installed: fine"
