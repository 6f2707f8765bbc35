/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluators of structure, constants, index and the small rest of ops.def. */
#include <string.h>

#include "ir/interp/internal.h"

/* ---- loops ---------------------------------------------------------------------------------- */

/* Two sets of buffers for carried values: the region reads one while its yield is copied to the
 * other. */
typedef struct carried {
    int n;
    void **now, **next;
} carried;

static carried carried_make(tg_interp *in, const tg_op *op, int first) {
    carried c = {.n = op->n_operands - first};
    c.now = tg_stack_alloc(&in->stack, sizeof(void *) * (size_t)(c.n + 1));
    c.next = tg_stack_alloc(&in->stack, sizeof(void *) * (size_t)(c.n + 1));
    for (int i = 0; i < c.n; i++) {
        const tg_value *v = tg_operand(op, first + i);
        size_t bytes = tg_iv_bytes(v->type);
        c.now[i] = tg_stack_alloc(&in->stack, bytes);
        c.next[i] = tg_stack_alloc(&in->stack, bytes);
        memcpy(c.now[i], tg_iv_get(in, v), bytes);
    }
    return c;
}

static void carried_bind(tg_interp *in, const carried *c, tg_value *const *args) {
    for (int i = 0; i < c->n; i++) {
        tg_iv_set(in, args[i], c->now[i]);
    }
}

static void carried_take(tg_interp *in, carried *c, const tg_op *yield, int first) {
    for (int i = 0; i < c->n; i++) {
        const tg_value *v = tg_operand(yield, first + i);
        memcpy(c->next[i], tg_iv_get(in, v), tg_iv_bytes(v->type));
        void *t = c->now[i];
        c->now[i] = c->next[i];
        c->next[i] = t;
    }
}

static void carried_results(tg_interp *in, const carried *c, const tg_op *op) {
    for (int i = 0; i < c->n; i++) {
        tg_iv_set(in, &op->results[i], c->now[i]);
    }
}

void tg_eval_FOR(tg_interp *in, tg_op *op) {
    int64_t lo = tg_iv_cells(in, op, 0)[0].i, hi = tg_iv_cells(in, op, 1)[0].i;
    int64_t step = tg_iv_cells(in, op, 2)[0].i;
    tg_region *body = op->regions[0];
    if (step <= 0) {
        tg_interp_fatal(in, op, TG_D_INTERP, "a loop's step is %lld", (long long)step);
        return;
    }
    carried c = carried_make(in, op, 3);
    tg_cell *iv = tg_stack_alloc(&in->stack, sizeof *iv);
    tg_stack_mark mark = tg_stack_get_mark(&in->stack);
    for (int64_t i = lo; i < hi;) {
        iv->i = i;
        tg_iv_set(in, body->args[0], iv);
        carried_bind(in, &c, body->args + 1);
        tg_interp_step(in, op, 1);
        tg_op *yield = in->stop ? NULL : tg_interp_region(in, body);
        if (yield == NULL) {
            return;
        }
        carried_take(in, &c, yield, 0);
        tg_stack_release(&in->stack, mark);
        if (!tg_add_i64(i, step, &i)) {
            break;
        }
    }
    carried_results(in, &c, op);
}

void tg_eval_WHILE(tg_interp *in, tg_op *op) {
    carried c = carried_make(in, op, 0);
    int64_t max = tg_attr_int(op, TG_ATTR_MAX, 0);
    tg_stack_mark mark = tg_stack_get_mark(&in->stack);
    for (int64_t trip = 0;; trip++) {
        carried_bind(in, &c, op->regions[0]->args);
        tg_interp_step(in, op, 1);
        tg_op *yield = in->stop ? NULL : tg_interp_region(in, op->regions[0]);
        if (yield == NULL) {
            return;
        }
        bool go_on = tg_iv_cells(in, yield, 0)[0].i != 0;
        carried_take(in, &c, yield, 1);
        tg_stack_release(&in->stack, mark);
        if (!go_on) {
            break;
        }
        if (trip >= max) {
            tg_interp_fatal(in, op, TG_D_INTERP_WHILE, "the loop runs more than %lld times",
                            (long long)max);
            return;
        }
        carried_bind(in, &c, op->regions[1]->args);
        yield = tg_interp_region(in, op->regions[1]);
        if (yield == NULL) {
            return;
        }
        carried_take(in, &c, yield, 0);
        tg_stack_release(&in->stack, mark);
    }
    carried_results(in, &c, op);
}

void tg_eval_IF(tg_interp *in, tg_op *op) {
    void **kept = tg_stack_alloc(&in->stack, sizeof(void *) * (size_t)(op->n_results + 1));
    for (int i = 0; i < op->n_results; i++) {
        kept[i] = tg_stack_alloc(&in->stack, tg_iv_bytes(op->results[i].type));
    }
    tg_stack_mark mark = tg_stack_get_mark(&in->stack);
    bool taken = tg_iv_cells(in, op, 0)[0].i != 0;
    tg_op *yield = tg_interp_region(in, op->regions[taken ? 0 : 1]);
    if (yield == NULL) {
        return;
    }
    for (int i = 0; i < op->n_results; i++) {
        memcpy(kept[i], tg_iv_get(in, tg_operand(yield, i)), tg_iv_bytes(op->results[i].type));
        tg_iv_set(in, &op->results[i], kept[i]);
    }
    tg_stack_release(&in->stack, mark);
}

/* The region driver sees yields itself; one that is evaluated does nothing. */
void tg_eval_YIELD(tg_interp *in, tg_op *op) {
    (void)in;
    (void)op;
}

/* ---- constants and index ----------------------------------------------------------------------
 */

static void fill(tg_interp *in, const tg_op *op, tg_cell v) {
    tg_cell *r = tg_iv_result(in, op, 0);
    for (int64_t i = 0, n = tg_type_count(op->results[0].type); i < n; i++) {
        r[i] = v;
    }
}

void tg_eval_CONST_INT(tg_interp *in, tg_op *op) {
    tg_dtype t = op->results[0].type->dtype;
    int64_t v = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
    fill(in, op, (tg_cell){.i = t == TG_DT_BOOL ? v != 0 : tg_num_wrap(t, v)});
}

void tg_eval_CONST_FLOAT(tg_interp *in, tg_op *op) {
    const tg_attr *a = tg_attr_get(op, TG_ATTR_VALUE_F);
    tg_dtype t = op->results[0].type->dtype;
    uint64_t bits = tg_float_encode(t, a != NULL ? a->f : 0.0, TG_ROUND_RNE, false);
    fill(in, op, tg_num_decode(in, t, bits));
}

void tg_eval_IOTA(tg_interp *in, tg_op *op) {
    tg_cell *r = tg_iv_result(in, op, 0);
    for (int64_t i = 0, n = tg_type_count(op->results[0].type); i < n; i++) {
        r[i].i = tg_num_wrap(op->results[0].type->dtype, i);
    }
}

void tg_eval_SYM(tg_interp *in, tg_op *op) {
    tg_iv_result(in, op, 0)->i = in->syms[tg_attr_int(op, TG_ATTR_SYM, 0)];
}

void tg_eval_DIM(tg_interp *in, tg_op *op) {
    const tg_iv_tensor *t = tg_iv_get(in, tg_operand(op, 0));
    tg_iv_result(in, op, 0)->i = t->extent[tg_attr_int(op, TG_ATTR_AXIS, 0)];
}

void tg_eval_SPAN(tg_interp *in, tg_op *op) {
    int64_t lo = tg_iv_cells(in, op, 0)[0].i, hi = tg_iv_cells(in, op, 1)[0].i;
    tg_cell *r = tg_iv_result(in, op, 0);
    r[0].i = lo;
    r[1].i = hi;
}

/* Is position lo + t of the span present? lo + t may not wrap into range. */
static bool span_has(const tg_cell *span, int64_t t, int64_t *out_position) {
    return tg_add_i64(span[0].i, t, out_position) && *out_position < span[1].i;
}

void tg_eval_SPAN_MASK(tg_interp *in, tg_op *op) {
    const tg_cell *span = tg_iv_cells(in, op, 0);
    tg_cell *r = tg_iv_result(in, op, 0);
    int64_t position = 0;
    for (int64_t i = 0, n = tg_type_count(op->results[0].type); i < n; i++) {
        r[i].i = span_has(span, i, &position);
    }
}

void tg_eval_PRESENT(tg_interp *in, tg_op *op) {
    const tg_value *index = tg_operand(op, 0);
    const tg_cell *c = tg_iv_get(in, index);
    int64_t extent = tg_iv_cells(in, op, 1)[0].i;
    tg_cell *r = tg_iv_result(in, op, 0);
    bool span = index->type->kind == TG_TY_SPAN;
    for (int64_t i = 0, n = tg_type_count(op->results[0].type); i < n; i++) {
        int64_t position = span ? 0 : c[i].i;
        bool present = span ? span_has(c, i, &position) : true;
        r[i].i = present && position >= 0 && position < extent;
    }
}

/* ---- other ------------------------------------------------------------------------------------
 */

static void print_cell(tg_sb *sb, tg_dtype t, tg_cell c) {
    if (tg_dtype_is_float(t)) {
        tg_sb_add_double(sb, c.f);
    } else if (t == TG_DT_BOOL) {
        tg_sb_add(sb, c.i ? "true" : "false");
    } else if (t == TG_DT_U64) {
        tg_sb_addf(sb, "%llu", (unsigned long long)c.i);
    } else {
        tg_sb_addf(sb, "%lld", (long long)c.i);
    }
}

/* [a, b, ...] per axis; returns the cell behind the last printed. */
static const tg_cell *print_tile(tg_sb *sb, const tg_type *t, int axis, const tg_cell *c) {
    if (axis == t->rank) {
        print_cell(sb, t->dtype, *c);
        return c + 1;
    }
    tg_sb_addc(sb, '[');
    for (int64_t i = 0; i < t->shape[axis]; i++) {
        tg_sb_add(sb, i > 0 ? ", " : "");
        c = print_tile(sb, t, axis + 1, c);
    }
    tg_sb_addc(sb, ']');
    return c;
}

void tg_eval_PRINT(tg_interp *in, tg_op *op) {
    tg_sb *sb = in->opt->print_to;
    const tg_attr *text = tg_attr_get(op, TG_ATTR_TEXT);
    if (sb == NULL) {
        return;
    }
    tg_sb_add(sb, text != NULL && text->s != NULL ? text->s : "");
    for (int i = 0; i < op->n_operands; i++) {
        const tg_value *v = tg_operand(op, i);
        const tg_cell *c = tg_iv_cells(in, op, i);
        tg_sb_add(sb, sb->len > 0 && sb->data[sb->len - 1] != '\n' ? " " : "");
        if (v->type->kind == TG_TY_SPAN) {
            tg_sb_addf(sb, "%lld .. %lld", (long long)c[0].i, (long long)c[1].i);
        } else if (v->type->kind == TG_TY_TILE) {
            (void)print_tile(sb, v->type, 0, c);
        }
    }
    tg_sb_addc(sb, '\n');
}

static const char *text_of(const tg_op *op) {
    const tg_attr *text = tg_attr_get(op, TG_ATTR_TEXT);
    return text != NULL && text->s != NULL ? text->s : "";
}

void tg_eval_ASSERT(tg_interp *in, tg_op *op) {
    if (tg_iv_cells(in, op, 0)[0].i == 0) {
        tg_interp_fatal(in, op, TG_D_INTERP_ASSERT, "assertion failed: %s", text_of(op));
    }
}

void tg_eval_ASSUME(tg_interp *in, tg_op *op) {
    if (in->opt->check_facts && tg_iv_cells(in, op, 0)[0].i == 0) {
        tg_interp_fatal(in, op, TG_D_INTERP_ASSUME, "the assumption does not hold: %s",
                        text_of(op));
    }
}

void tg_eval_EXTERN(tg_interp *in, tg_op *op) {
    const tg_attr *name = tg_attr_get(op, TG_ATTR_NAME);
    tg_interp_fatal(in, op, TG_D_INTERP_EXTERN, "the vendor function %s has no portable body here",
                    name != NULL && name->s != NULL ? name->s : "?");
}

/* ---- loop level: never reached, tg_interp_run takes tile-level kernels only -------------------
 */

#define LOOP_LEVEL_OPS(X)                                                                          \
    X(SLOT)                                                                                        \
    X(ALLOCA)                                                                                      \
    X(GEP)                                                                                         \
    X(LOADM)                                                                                       \
    X(STOREM)                                                                                      \
    X(GATHERM)                                                                                     \
    X(SCATTERM)                                                                                    \
    X(PREFETCH)                                                                                    \
    X(MEMSET)                                                                                      \
    X(MEMCPY) X(SPLAT) X(EXTRACT) X(INSERT) X(SHUFFLE) X(LANES) X(REDUCEV) X(INTRINSIC) X(PMASK)   \
        X(MASKBITS) X(ATOMICM) X(TRAP) X(BUFFER) X(WINDOW) X(CONVERT) X(PUT) X(GET) X(GET_AT)      \
            X(COPY) X(WAIT) X(EVENT) X(SIGNAL) X(AWAIT) X(ROLE) X(TEAM) X(ARRAY) X(ALOAD)          \
                X(ASTORE) X(AATOMIC) X(BARRIER) X(SHFL) X(BALLOT) X(ACOPY) X(AGROUP) X(ALAND)      \
                    X(FRAGLOAD) X(FRAGSTORE) X(MMA) X(MBAR_INIT) X(MBAR_ARRIVE) X(MBAR_EXPECT)     \
                        X(MBAR_COPIED) X(MBAR_WAIT) X(SETREGS) X(TMAP) X(TMAP_OK) X(TCOPY)         \
                            X(PFENCE) X(GFENCE) X(GMMA) X(GCOMMIT) X(GWAIT)

#define X(ident)                                                                                   \
    void tg_eval_##ident(tg_interp *in, tg_op *op) {                                               \
        tg_interp_fatal(in, op, TG_D_INTERP_LEVEL, "`%s` is not an operation of the tile level",   \
                        tg_op_info_get(op->code)->name);                                           \
    }
LOOP_LEVEL_OPS(X)
#undef X
