# SPDX-License-Identifier: Apache-2.0
# Writes the text of the std module's files, one after the other, as a C array.
#   cmake -DOUT=std.c -DFILES="a.tg|b.tg" -P embed.cmake
string(REPLACE "|" ";" files "${FILES}")
set(hex "")
foreach(f IN LISTS files)
  file(READ ${f} part HEX)
  string(APPEND hex "${part}")
endforeach()
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n    " bytes "${bytes}")
file(WRITE ${OUT} "/* Generated from frontend/std. */
#include \"frontend/program.h\"

static const char text[] = {
    ${bytes}0};

static const tg_source source = {\"std\", text, sizeof(text) - 1};

const tg_source *tg_std_source(void) { return &source; }
")
