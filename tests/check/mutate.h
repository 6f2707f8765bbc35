/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defects: each changes a correct function at one of the places where it applies, number `pick`
 * modulo how many there are. False when there is no such place.
 */
#ifndef TG_TEST_CHECK_MUTATE_H
#define TG_TEST_CHECK_MUTATE_H

#include "ir/layout.h"

typedef struct mutation {
    const char *name;
    bool (*apply)(tg_func *f, uint64_t pick);
} mutation;

extern const mutation placed_mutations[];
extern const int n_placed_mutations;
extern const mutation role_mutations[]; /* of placed functions with roles */
extern const int n_role_mutations;
extern const mutation replica_mutations[]; /* of roles with replicas */
extern const int n_replica_mutations;
extern const mutation loop_mutations[];
extern const int n_loop_mutations;

/* Operations of a function in order. */
typedef bool op_test(const tg_op *op);
tg_op *pick_op(tg_func *f, op_test *test, uint64_t pick);
/* A scalar constant before op, and op's operand replaced by `operand code constant`. */
void nudge_operand(tg_op *op, int operand, tg_opcode code, int64_t by);
bool is_barrier(const tg_op *op);

/* Defects of placed and loop functions alike. */
bool erase_op(tg_func *f, op_test *test, uint64_t pick);
bool drop_barrier(tg_func *f, uint64_t pick);
bool wrong_fence(tg_func *f, uint64_t pick);

#endif
