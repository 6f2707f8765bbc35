/* SPDX-License-Identifier: Apache-2.0 */
/* Source programs on the interpreter's bench (tests/interp/op_case.h): compile, fill, run, read. */
#ifndef TG_TEST_SEMABENCH_H
#define TG_TEST_SEMABENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frontend/frontend.h"
#include "tests/interp/op_case.h"

typedef struct sb_program {
    bench b;
    tg_program *p;
    tg_module *m;
} sb_program;

/* Loads a text; fails the test when its syntax is wrong. */
void sb_load(sb_program *s, const char *text);
void sb_load_file(sb_program *s, const char *path);
/* Specialises a kernel for "NAME=VALUE ..." ; fails the test when it is refused. */
void sb_kernel(sb_program *s, const char *kernel, const char *settings);
/* Status of specialising, diagnostics in s->b.sink. */
tg_status sb_try(sb_program *s, const char *kernel, const char *settings);
/* Index of a parameter by name. */
int sb_param(const sb_program *s, const char *name);
/* Parameter `name` with extents given as "3,4" and values f(i) (NULL: zeros). */
typedef double (*sb_fill)(int64_t i);
void sb_tensor(sb_program *s, const char *name, const char *extents, sb_fill f);
void sb_values(sb_program *s, const char *name, const char *extents, const double *values);
/* A tensor of records, bytes f(i). */
void sb_bytes(sb_program *s, const char *name, const char *extents, int (*f)(int64_t i));
void sb_scalar(sb_program *s, const char *name, double v);
void sb_run(sb_program *s); /* fails the test when the program misbehaves */
double sb_get(const sb_program *s, const char *name, int64_t i);
const unsigned char *sb_raw(const sb_program *s, const char *name);
void sb_done(sb_program *s);

#endif
