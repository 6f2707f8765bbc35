#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes docs/checker.md: docs/checker.in.md with the table of seeded defects in place of @TABLE@.
# Usage: docs/make_checker.sh PATH_TO_check_defects
set -eu
cd "$(dirname "$0")"
table=$(mktemp)
trap 'rm -f "$table"' EXIT
"$1" --markdown > "$table"
sed -e "/@TABLE@/r $table" -e '/@TABLE@/d' checker.in.md > checker.md
