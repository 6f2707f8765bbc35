#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kv_bytes.sh TEGULA [--write]: KV-cache bytes a token of published models, computed from the sizes that the
# compiler gives the records of kernels/cache/kv_rows.tg. They must be the figures of the specification, and
# docs/kv-cache.md must be what this script prints (--write makes it).
set -eu
tegula=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
rows=$root/kernels/cache/kv_rows.tg
page=$root/docs/kv-cache.md
out=$(mktemp)
trap 'rm -f "$out"' EXIT

declare -A size
while IFS='|' read -r name bytes; do size[$name]=$bytes; done < <(
    "$tegula" check --json "$rows" | sed -n 's/^{"record":"\([A-Za-z0-9]*\)","bytes":\([0-9]*\)}$/\1|\2/p')

# Layers x records a token, as "layers/tokens*(record+record..)" joined by spaces; and what the specification says:
# bytes a token without the windows (128 rows of each layer named), GiB with them at 10^6 tokens and at 2^20. (Of
# V4-Pro in bf16 at 2^20 it says 9.63, by rounding 9.625 up; vLLM's own figure is the 9.62 computed here.)
models=$(cat <<'END'
Qwen3-235B, 8-bit;94/1*(GqaToken);;96256;89.65;94.00
GLM-5, 8-bit latent, 16-bit index;78/1*(MlaIdeal+IndexIdeal);;64896;60.44;63.38
V4-Pro, 8-bit, 16-bit index;30/4*(V4Ideal+IndexIdeal) 31/128*(V4Ideal);61*V4Ideal;5884;5.48;5.75
V4-Flash, 8-bit, 16-bit index;21/4*(V4Ideal+IndexIdeal) 20/128*(V4Ideal);43*V4Ideal;4112;3.83;4.02
V3, bf16;61/1*(MlaBf16);;70272;65.4;68.6
V3.2, 656-byte rows, fp8 index;61/1*(MlaFp8+IndexFp8);;48068;44.8;46.9
V3.2, 8-bit, 16-bit index;61/1*(MlaIdeal+IndexIdeal);;50752;47.3;49.6
V4-Pro, 584-byte rows, fp8 index;30/4*(V4+IndexFp8) 31/128*(V4);61*V4;5511;5.14;5.39
V4-Pro, 584-byte rows, mxfp4 index;30/4*(V4+IndexFp4) 31/128*(V4);61*V4;5031;4.69;4.92
V4-Flash, 584-byte rows, mxfp4 index;21/4*(V4+IndexFp4) 20/128*(V4);43*V4;3514;3.28;3.43
V4-Pro, bf16, 16-bit index;30/4*(V4Bf16+IndexIdeal) 31/128*(V4Bf16);61*V4Bf16;9848;9.18;9.62
V4.1-Flash, nvfp4 rows, mxfp4 index;3/2*(V41Entry+IndexFp4) 1/1*(V41Entry+IndexFp4);40*V41Window;890;0.83;0.87
V4-Pro, whole pages of 64 and 2 rows, fp8 index;30/4*(V4Page64/64+IndexFp8) 31/128*(V4Page2/2);61*V4;;;
END
)

# Bytes a token of one formula, with four digits behind the point.
bytes_of() {
    local total=0 term layers tokens record rows sum
    for term in $1; do
        layers=${term%%/*}; tokens=${term#*/}; tokens=${tokens%%\**}; sum=0
        term=${term#*(}; term=${term%)}
        for record in ${term//+/ }; do
            rows=1
            case $record in */*) rows=${record#*/}; record=${record%/*} ;; esac
            [ -n "${size[$record]:-}" ] || { echo "kv_bytes: there is no record $record" >&2; return 1; }
            sum=$((sum + size[$record] * 10000 / rows))
        done
        total=$((total + layers * sum / tokens))
    done
    echo "$total"
}

bad=0
{
    echo '# KV-cache bytes a token'
    echo
    echo 'Made by `tests/kernels/kv_bytes.sh` from the record sizes that the compiler reports (`tegula check --json'
    echo 'kernels/cache/kv_rows.tg`). A term `30/4*(A + B)` is 30 layers that keep one row of A and one of B for every'
    echo '4 tokens. A window keeps 128 rows a layer; the GiB count it, the bytes a token do not. The state of the'
    echo 'compressors is left out; the last row counts the padding of the pages too. The often quoted 5.48, 60.4 and'
    echo '89.6 are GiB at 10^6 tokens with ideal records: 8-bit latents, 16-bit index keys, no scales.'
    echo
    echo '| model, format | rows | window | B/token | GiB at 10^6 | GiB at 2^20 |'
    echo '|---|---|---|---|---|---|'
    while IFS=';' read -r name formula window want million binary; do
        total=$(bytes_of "$formula")
        kept=0
        [ -z "$window" ] || kept=$((${window%%\**} * 128 * size[${window#*\*}]))
        line=$(awk -v b="$total" -v k="$kept" -v w="$want" -v m="$million" -v n="$binary" '
            function near(x, text,   d) {   # as many digits as the specification gives
                d = index(text, ".") ? length(text) - index(text, ".") : 0
                return text == "" || sprintf("%." d "f", x) == text
            }
            BEGIN {
                b /= 10000; g = (b * 1000000 + k) / 1073741824; h = (b * 1048576 + k) / 1073741824
                printf "%s %.0f %.2f %.2f", near(b, w) && near(g, m) && near(h, n) ? "ok" : "bad", b, g, h
            }')
        read -r verdict bytes at_million at_binary <<< "$line"
        if [ "$verdict" != ok ]; then
            echo "kv_bytes: $name: $bytes B, $at_million and $at_binary GiB; the specification says $want, $million, $binary" >&2
            bad=1
        fi
        echo "| $name | \`$formula\` | ${window:+\`$window\`} | $bytes | $at_million | $at_binary |"
    done <<< "$models"
    echo
    echo '| record | bytes |'
    echo '|---|---|'
    for name in GqaToken MlaBf16 MlaFp8 MlaIdeal V4 V4Page64 V4Page2 V4Bf16 V4Ideal V41Entry V41Window IndexFp8 IndexFp4 IndexIdeal; do
        echo "| $name | ${size[$name]} |"
    done
} > "$out"

if [ "${2:-}" = --write ]; then
    cp "$out" "$page"
elif ! cmp -s "$out" "$page"; then
    echo "kv_bytes: docs/kv-cache.md is old: run tests/kernels/kv_bytes.sh TEGULA --write" >&2
    diff "$page" "$out" >&2 || true
    bad=1
fi
exit $bad
