/* SPDX-License-Identifier: Apache-2.0 */
/* Shrinks a failing kernel: see reduce.c. */
#ifndef TG_TEST_RANDOM_REDUCE_H
#define TG_TEST_RANDOM_REDUCE_H

#include "tests/random/run.h"

/* Text of a kernel, and whether it still fails. Run in a child process: it may crash. */
typedef bool reduce_still_fails(void *user, const char *text);

/* The smallest text found; in the arena. */
const char *reduce_text(const char *text, reduce_still_fails *still, void *user, tg_arena *a);

#endif
