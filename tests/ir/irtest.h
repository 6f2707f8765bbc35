/* SPDX-License-Identifier: Apache-2.0 */
/* Shared set-up of the IR tests: an environment, parsing that must succeed, texts of kernels. */
#ifndef IRTEST_H
#define IRTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ir/ir.h"

typedef struct irtest {
    tg_env env;
    jmp_buf oom;
    tg_arena arena;
    tg_sink sink;
} irtest;

/* Fails the test when memory runs out. */
void irtest_init(irtest *t);
void irtest_fini(irtest *t);

/* Parses; NULL when it was rejected. */
tg_module *irtest_try_parse(irtest *t, const char *text, size_t len);
/* Parses and verifies; a failure prints the diagnostics and fails the test. */
tg_module *irtest_parse(irtest *t, const char *text);
const char *irtest_print(irtest *t, const tg_module *m);
/* All diagnostics so far, rendered. */
const char *irtest_messages(irtest *t);

/* "tegula-ir 1" and a tile kernel of the given syms line, params and body; a convenience. */
const char *irtest_kernel(irtest *t, const char *head, const char *args, const char *body);

#endif
