/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the verifier: one rule function per operation, found through the table in verify.c that
 * ops.def spells out; a missing rule does not link. The driver has checked before a rule runs: the
 * operand, result and region counts of the table, attribute keys and kinds, that operands are not
 * NULL and defined before, and that every type is well formed for the level.
 */
#ifndef TG_VERIFY_H
#define TG_VERIFY_H

#include "ir/ir.h"

typedef struct tg_verifier {
    tg_func *f;
    tg_sink *sink;
    tg_op *op; /* under check */
    bool failed;
    int64_t lanes; /* of the function, or of the role around the op */
    bool in_grid;  /* the grid region: scalar code of one lane, no layouts */
} tg_verifier;

typedef bool tg_verify_fn(tg_verifier *v, const tg_op *op);

/* Reports against v->op (or the function) and returns false. */
bool tg_verify_fail(tg_verifier *v, const char *fmt, ...) TG_PRINTF(2, 3);
/* The text of a type, for messages. */
const char *tg_verify_type(tg_verifier *v, const tg_type *t);

#define TG_CHECK(cond, ...)                                                                        \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            return tg_verify_fail(v, __VA_ARGS__);                                                 \
        }                                                                                          \
    } while (0)

static inline const tg_type *tg_operand_type(const tg_op *op, int i) {
    return op->operands[i].value->type;
}

static inline bool tg_is_tile(const tg_type *t) { return t->kind == TG_TY_TILE; }
static inline bool tg_is_tensor(const tg_type *t) { return t->kind == TG_TY_TENSOR; }
static inline bool tg_is_scalar_of(const tg_type *t, tg_dtype d) {
    return t->kind == TG_TY_TILE && t->rank == 0 && t->dtype == d;
}
/* Something elementwise operations work on: a tile or a vector. */
static inline bool tg_is_data(const tg_type *t) {
    return t->kind == TG_TY_TILE || t->kind == TG_TY_VEC;
}
static inline bool tg_same_shape(const tg_type *a, const tg_type *b) {
    if (a->kind != b->kind || a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->shape[i] != b->shape[i]) {
            return false;
        }
    }
    return true;
}

/* verify_placed.c */
bool tg_verify_buffer_type(tg_verifier *v, const tg_type *t);
/* A tile's layout, where it has one: of its rank, covering its shape, for the function's lanes. */
bool tg_verify_layout(tg_verifier *v, const tg_type *t);
/* Exchange buffers at the end of the operands; 0 at the tile level. */
int tg_verify_exchanges(const tg_verifier *v, const tg_op *op);
/* Placed level: every operand has the layout that the op needs. Runs after the op's own rule. */
bool tg_verify_op_layouts(tg_verifier *v, const tg_op *op);

/* The rule functions; several operations may share one. */
/* verify_matrix.c: the matrix unit that a placed product names. */
bool tg_verify_dot_unit(tg_verifier *v, const tg_op *op);

#define TG_OP(ident, ...) tg_verify_fn tg_verify_##ident;
#include "ir/ops.def"
#undef TG_OP

#endif
