/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the runtime and its drivers share: expectations, and packages from IR text. */
#ifndef TESTS_COMMON_H
#define TESTS_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tegula/tegula.h>

#include "backends/pack/package_write.h"

/* Asserts the status, printing the context's message when it differs. */
void test_expect(tgr_context *context, tgr_status got, tgr_status want);
/* Asserts that the last message contains `part`. */
void test_expect_message(tgr_context *context, const char *part);

/* A module that parses (and verifies, where asked), or the test fails with the diagnostics. */
tg_module *test_parse(const char *text, bool verify, tg_arena *a, tg_sink *sink);
/* The package that `describe` tells of, as bytes to free(). What it tells may lie in the arena,
 * which lives until the bytes are there. */
unsigned char *test_package(void (*describe)(tg_arena *, tg_sink *, const void *,
                                             tg_package_desc *),
                            const void *what, size_t *out_bytes);

#endif
