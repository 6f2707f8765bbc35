/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs tile kernels in the interpreter on generated data and compares two kernels bit for bit: the
 * proof that a pass keeps the meaning.
 */
#ifndef IRRUN_H
#define IRRUN_H

#include "tests/ir/irtest.h"

/*
 * Runs both kernels (same signature) for the dimension values syms, on equal inputs made from seed.
 * Returns false when outputs differ, *out_why saying which parameter or what else; true when they
 * are equal or the launch is not legal for these dimensions (*out_ran then stays false).
 */
bool irrun_equal(irtest *t, tg_func *before, tg_func *after, const int64_t *syms, uint64_t seed,
                 bool *out_ran, const char **out_why);

/* Copy of one kernel in a module of its own, by text. */
tg_func *irrun_copy(irtest *t, const tg_func *f);

#endif
