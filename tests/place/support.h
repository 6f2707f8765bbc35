/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels from source or IR text to placed functions, for the tests of placement. */
#ifndef PLACE_SUPPORT_H
#define PLACE_SUPPORT_H

#include "backends/backend.h"
#include "frontend/frontend.h"
#include "ir/passes.h"

typedef struct place_test {
    tg_env env;
    jmp_buf oom;
    tg_arena arena;
    tg_sink sink;
} place_test;

void place_test_init(place_test *t);
void place_test_fini(place_test *t);
/* Renders what the sink has. */
const char *place_test_messages(place_test *t);
/* NULL when there is no such file. In the arena. */
const tg_source *place_test_read(place_test *t, const char *path);
tg_program *place_test_program(place_test *t, const tg_source *src);
tg_module *place_test_ir(place_test *t, const char *text);
/* The tile pipeline of the CPU and SIMT targets. */
void place_test_optimise(place_test *t, tg_func *f);
/* A modelled machine with a copy unit and a matrix unit: roles, events, rings. */
const tg_machine *place_test_two_roles(void);
const char *place_test_print(place_test *t, const tg_module *m);

#endif
