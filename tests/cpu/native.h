/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter's bench with a second opinion: every run that the interpreter accepts is lowered
 * for this machine, compiled, run on the same arguments and compared element by element.
 */
#ifndef TG_TEST_CPU_NATIVE_H
#define TG_TEST_CPU_NATIVE_H

#include "tests/interp/op_case.h"

/* Lowers b->func, runs it on b->args (syms already bound) `calls` ways over the programs; TG_OK or
 * what went wrong, with diagnostics printed. */
tg_status native_run(bench *b);
/* Relative difference allowed between the two, where float order is free; 0: bit-equal. */
extern double native_tolerance;

#endif
