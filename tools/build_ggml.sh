#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds ggml as a peer of `tegula bench`, from the source that a PyPI package carries, into
# build/peers/ggml (where bench_ggml.py finds it). A few minutes on two cores; nothing is installed.
# usage: tools/build_ggml.sh [JOBS]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
into=$root/build/peers
jobs=${1:-$(nproc)}
mkdir -p "$into/source"
[ -e "$into"/source/llama_cpp_python-*.tar.gz ] 2> /dev/null ||
    python3 -m pip download --quiet --no-deps --no-binary :all: -d "$into/source" llama-cpp-python
tar -xzf "$into"/source/llama_cpp_python-*.tar.gz -C "$into/source" --wildcards '*/vendor/llama.cpp/ggml/*' '*/vendor/llama.cpp/LICENSE'
ggml=$(echo "$into"/source/llama_cpp_python-*/vendor/llama.cpp/ggml)
touch "$ggml/ggml.pc.in" # the package leaves it out
cmake -S "$ggml" -B "$into/ggml" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=ON \
    -DGGML_LLAMAFILE=ON -DGGML_CCACHE=OFF -DGGML_BUILD_TESTS=OFF -DGGML_BUILD_EXAMPLES=OFF > "$into/ggml.log"
cmake --build "$into/ggml" -j "$jobs" >> "$into/ggml.log"
find "$into/ggml" -name 'libggml-cpu*.so*' | head -n 1
