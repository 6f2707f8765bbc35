/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a loop module to callable code inside a test: legalise, LLVM, blob, map, call. Failures
 * print their diagnostics to stderr and return false.
 */
#ifndef TG_TEST_LLVM_HARNESS_H
#define TG_TEST_LLVM_HARNESS_H

#include "backends/backend.h"
#include "backends/lower/expand/expand.h"
#include "ir/build.h"

struct tg_test_code {
    tg_env env;
    tg_arena arena;
    tg_blob blob;
    unsigned char *map;
    size_t map_bytes;
};

/* Compiles every loop function of m for the machine (NULL: this host) and maps it. The functions
 * are legalised in place. On success the caller ends it with tg_test_unload. */
bool tg_test_load(tg_module *m, const tg_machine *machine, struct tg_test_code *out);
void *tg_test_symbol(const struct tg_test_code *code, const char *name);
void tg_test_unload(struct tg_test_code *code);

/* Assembly text of the module for the machine, or NULL after printing diagnostics. In m's arena. */
const char *tg_test_asm(tg_module *m, const tg_machine *machine);

/* A module and one loop function under construction: n_args arguments of the given types. */
struct tg_test_func {
    tg_env env;
    tg_arena arena;
    jmp_buf oom;
    tg_module *module;
    tg_func *func;
    tg_builder b;
};
void tg_test_begin(struct tg_test_func *t);
/* Starts a function; its body's arguments are func->body->args. Repeat for more functions. */
void tg_test_function(struct tg_test_func *t, const char *name, int n_args,
                      const tg_type *const *types);
void tg_test_end(struct tg_test_func *t);

#endif
