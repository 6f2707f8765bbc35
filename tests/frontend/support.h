/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the front end's tests: an environment with one arena, files, loading of programs. */
#ifndef TG_TEST_FRONTEND_SUPPORT_H
#define TG_TEST_FRONTEND_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frontend/program.h"

typedef struct tf {
    tg_env env;
    tg_arena arena;
    tg_sink sink;
    jmp_buf oom;
} tf;

/* Must be called in the frame that outlives all use of t (longjmp target is inside t). */
void tf_init(tf *t);
void tf_fini(tf *t);
/* Whole file below tests/frontend, NUL-terminated, in the arena; NULL when missing. */
char *tf_read(tf *t, const char *path, size_t *out_len);
tg_source *tf_source(tf *t, const char *name, const char *text);
/* Parses one text as a file. */
tg_file *tf_parse(tf *t, const char *text);
/* The tree of a text; fails the test when the text is wrong. */
const char *tf_tree(tf *t, const char *text);
/* Names of the files in a folder below tests/frontend, sorted. */
char **tf_list(tf *t, const char *folder, int *out_n);
/* Imports of tests: lib.tg, broken.tg, circle.tg, circle2.tg; all else is missing. */
const tg_source *tf_import(void *user, tg_arena *a, const char *path, const tg_source *from);

#endif
