/* SPDX-License-Identifier: Apache-2.0 */
/* Structured loop functions to flat instructions; see loop_internal.h. */
#include <string.h>

#include "ir/interp/loop_internal.h"

typedef struct compiler {
    tg_li_code *code;
    tg_arena *arena;
    TG_LIST(int32_t) trips; /* of the loops around the current place */
    tg_li_cells_fn *cells;
    void *user;
    bool placed;
} compiler;

static int32_t loop_cells(void *user, const tg_type *t) {
    (void)user;
    return t->kind == TG_TY_VEC ? (int32_t)t->shape[0] : 1;
}

static int32_t cells_of(const compiler *c, const tg_type *t) { return c->cells(c->user, t); }

static int32_t new_register(compiler *c, int32_t n) {
    int32_t r = c->code->n_regs;
    c->code->n_regs += n;
    return r;
}

static int32_t reg(compiler *c, const tg_value *v) {
    int32_t *slot = &c->code->reg_of[v->id];
    if (*slot < 0) {
        *slot = new_register(c, cells_of(c, v->type));
    }
    return *slot;
}

static uint8_t dtype_of(const tg_type *t) {
    return (uint8_t)(t->kind == TG_TY_PTR ? TG_DT_U64 : t->dtype);
}

/* Appends an instruction and gives its number. */
static int32_t emit(compiler *c, tg_li_ins i) {
    TG_LIST_PUSH(c->arena, &c->code->ins, i);
    return (int32_t)c->code->ins.count - 1;
}

static int32_t here(const compiler *c) { return (int32_t)c->code->ins.count; }

static void patch(compiler *c, int32_t at) { c->code->ins.data[at].target = here(c); }

static void give_up(compiler *c, tg_op *op, const char *why) {
    if (c->code->wrong == NULL) {
        c->code->wrong = why;
        c->code->wrong_op = op;
    }
}

/* ---- moves ---------------------------------------------------------------------------------- */

/* The values of `n` operands of `from` starting at `first` go to the registers of `to`. */
static void emit_moves(compiler *c, tg_op *from, int first, tg_value *const *to, int n) {
    int32_t start = (int32_t)c->code->moves.count, cells = 0;
    for (int k = 0; k < n; k++) {
        tg_li_move m = {reg(c, tg_operand(from, first + k)), reg(c, to[k]),
                        cells_of(c, to[k]->type)};
        if (m.from != m.to) {
            TG_LIST_PUSH(c->arena, &c->code->moves, m);
            cells += m.n;
        }
    }
    int32_t count = (int32_t)c->code->moves.count - start;
    if (count > 0) {
        c->code->max_moves = cells > c->code->max_moves ? cells : c->code->max_moves;
        emit(c, (tg_li_ins){.code = LI_MOVES, .imm = start, .n = count, .op = from});
    }
}

static tg_value **results_of(compiler *c, const tg_op *op) {
    tg_value **v = TG_NEW_ARRAY(c->arena, tg_value *, op->n_results + 1);
    for (int k = 0; k < op->n_results; k++) {
        v[k] = &op->results[k];
    }
    return v;
}

static tg_op *compile_region(compiler *c, tg_region *r);

/* ---- control -------------------------------------------------------------------------------- */

static void compile_for(compiler *c, tg_op *op) {
    tg_region *body = op->regions[0];
    int n = op->n_results;
    int32_t trip = new_register(c, 1), step = reg(c, tg_operand(op, 2));
    emit(c, (tg_li_ins){.code = LI_ZERO, .result = trip, .op = op});
    emit_moves(c, op, 0, &body->args[0], 1);
    emit_moves(c, op, 3, body->args + 1, n);
    int32_t test = emit(c, (tg_li_ins){.code = LI_FOR_TEST, .op = op});
    c->code->ins.data[test].arg[0] = reg(c, body->args[0]);
    c->code->ins.data[test].arg[1] = reg(c, tg_operand(op, 1));
    TG_LIST_PUSH(c->arena, &c->trips, trip);
    tg_op *y = compile_region(c, body);
    c->trips.count--;
    if (y != NULL) {
        emit_moves(c, y, 0, body->args + 1, n);
    }
    tg_li_ins next = {.code = LI_FOR_NEXT, .result = trip, .target = test, .op = op};
    next.arg[0] = reg(c, body->args[0]);
    next.arg[1] = step;
    emit(c, next);
    patch(c, test);
    int32_t start = (int32_t)c->code->moves.count, cells = 0;
    for (int k = 0; k < n; k++) {
        tg_li_move m = {reg(c, body->args[1 + k]), reg(c, &op->results[k]),
                        cells_of(c, op->results[k].type)};
        TG_LIST_PUSH(c->arena, &c->code->moves, m);
        cells += m.n;
    }
    if (n > 0) {
        c->code->max_moves = cells > c->code->max_moves ? cells : c->code->max_moves;
        emit(c, (tg_li_ins){.code = LI_MOVES, .imm = start, .n = n, .op = op});
    }
}

static void compile_while(compiler *c, tg_op *op) {
    tg_region *cond = op->regions[0], *body = op->regions[1];
    int n = op->n_results;
    int32_t trip = new_register(c, 1);
    emit(c, (tg_li_ins){.code = LI_ZERO, .result = trip, .op = op});
    emit_moves(c, op, 0, cond->args, n);
    int32_t head = here(c);
    TG_LIST_PUSH(c->arena, &c->trips, trip);
    tg_op *test = compile_region(c, cond);
    if (test == NULL || test->n_operands < 1) {
        give_up(c, op, "a while without a condition");
        return;
    }
    emit_moves(c, test, 1, results_of(c, op), n);
    tg_li_ins leave = {.code = LI_UNLESS, .op = op};
    leave.arg[0] = reg(c, tg_operand(test, 0));
    int32_t out = emit(c, leave);
    int32_t limit = emit(
        c, (tg_li_ins){
               .code = LI_TRIP, .result = trip, .imm = tg_attr_int(op, TG_ATTR_MAX, 0), .op = op});
    emit_moves(c, test, 1, body->args, n);
    tg_op *y = compile_region(c, body);
    c->trips.count--;
    if (y != NULL) {
        emit_moves(c, y, 0, cond->args, n);
    }
    emit(c, (tg_li_ins){.code = LI_JUMP, .target = head, .op = op});
    patch(c, out);
    patch(c, limit);
}

static void compile_if(compiler *c, tg_op *op) {
    tg_li_ins test = {.code = LI_UNLESS, .op = op};
    test.arg[0] = reg(c, tg_operand(op, 0));
    int32_t to_else = emit(c, test);
    tg_value **results = results_of(c, op);
    tg_op *y = compile_region(c, op->regions[0]);
    if (y != NULL) {
        emit_moves(c, y, 0, results, op->n_results);
    }
    int32_t to_end = emit(c, (tg_li_ins){.code = LI_JUMP, .op = op});
    patch(c, to_else);
    y = compile_region(c, op->regions[1]);
    if (y != NULL) {
        emit_moves(c, y, 0, results, op->n_results);
    }
    patch(c, to_end);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void compile_array(compiler *c, tg_op *op) {
    const tg_type *t = op->results[0].type;
    tg_li_array a = {.space = t->space, .dtype = t->dtype, .count = t->rank == 1 ? t->shape[0] : 0};
    a.elem_bytes = tg_li_elem_bytes(t->dtype);
    a.offset = tg_attr_int(op, TG_ATTR_OFFSET, 0);
    if (t->kind != TG_TY_BUFFER || t->rank != 1 || t->space == TG_SPACE_SCRATCH) {
        give_up(c, op, "an array is a rank-1 buffer of private or shared memory");
        return;
    }
    if (t->space == TG_SPACE_PRIVATE) {
        if (a.count > INT32_MAX / 64) {
            give_up(c, op, "the private array is too large");
            return;
        }
        a.cell = new_register(c, (int32_t)a.count);
    } else if (a.offset < 0 || a.offset % a.elem_bytes != 0 ||
               a.offset + a.count * a.elem_bytes > c->code->func->shared_bytes) {
        give_up(c, op, "the array is not aligned or does not fit the function's shared memory");
    }
    c->code->reg_of[op->results[0].id] = (int32_t)c->code->arrays.count;
    TG_LIST_PUSH(c->arena, &c->code->arrays, a);
}

/* The value that decides how many elements an operation works on. */
static const tg_type *worked_on(const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_STOREM:
        return tg_operand(op, 1)->type;
    case TG_OP_ASTORE:
    case TG_OP_SCATTERM:
    case TG_OP_FRAGSTORE:
        return tg_operand(op, 2)->type;
    case TG_OP_REDUCEV:
    case TG_OP_EXTRACT:
    case TG_OP_MASKBITS:
        return tg_operand(op, 0)->type;
    }
    return op->n_results > 0 ? op->results[0].type : tg_operand(op, 0)->type;
}

static int64_t immediate(const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_GEP:
    case TG_OP_GATHERM:
    case TG_OP_SCATTERM:
    case TG_OP_ALLOCA:
        return tg_attr_int(op, TG_ATTR_BYTES, 1);
    case TG_OP_LOADM:
    case TG_OP_STOREM:
        return tg_attr_int(op, TG_ATTR_ALIGN, 0);
    case TG_OP_ALOAD:
    case TG_OP_ASTORE:
        return tg_attr_int(op, TG_ATTR_ALIGN, 1);
    case TG_OP_CMP:
        return tg_attr_int(op, TG_ATTR_PRED, 0);
    case TG_OP_MATH:
        return tg_attr_int(op, TG_ATTR_FN, 0);
    case TG_OP_CAST:
        return tg_attr_int(op, TG_ATTR_ROUND, 0) * 2 + tg_attr_int(op, TG_ATTR_SAT, 0);
    case TG_OP_REDUCEV:
        return tg_attr_int(op, TG_ATTR_RED, 0);
    case TG_OP_AATOMIC:
    case TG_OP_ATOMICM:
        return tg_attr_int(op, TG_ATTR_ATOMIC, 0);
    case TG_OP_SHFL:
        return tg_attr_int(op, TG_ATTR_SHUFFLE, 0);
    }
    return tg_attr_int(op, TG_ATTR_VALUE_I, 0);
}

/* Operations that find operands beyond four by their values. */
static bool has_many(const tg_op *op) {
    return op->code == TG_OP_TMAP || op->code == TG_OP_TCOPY || op->code == TG_OP_GMMA ||
           op->code == TG_OP_GWAIT;
}

static void compile_plain(compiler *c, tg_op *op) {
    if (op->n_operands > 4 && !has_many(op)) {
        give_up(c, op, "too many operands");
        return;
    }
    tg_li_ins i = {.code = (uint16_t)op->code, .op = op, .result = -1, .imm = immediate(op)};
    if (op->n_operands > 0 || op->n_results > 0) {
        const tg_type *t = worked_on(op);
        i.n = cells_of(c, t);
        i.type = dtype_of(t);
    }
    i.from = op->n_operands > 0 ? dtype_of(tg_operand(op, 0)->type) : i.type;
    i.masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    i.list = axes != NULL ? axes->list : NULL;
    for (int k = 0; k < op->n_operands; k++) {
        int32_t at = reg(c, tg_operand(op, k));
        i.arg[k < 4 ? k : 3] = at;
    }
    for (int k = 0; k < op->n_results; k++) {
        int32_t at = reg(c, &op->results[k]);
        i.result = k == 0 ? at : i.result;
    }
    if (op->code == TG_OP_BARRIER) { /* where in which loops: equal for lanes that meet here */
        i.imm = (int64_t)c->code->trips.count;
        i.n = (int32_t)c->trips.count;
        for (size_t k = 0; k < c->trips.count; k++) {
            TG_LIST_PUSH(c->arena, &c->code->trips, c->trips.data[k]);
        }
        c->code->roles |= tg_attr_int(op, TG_ATTR_N, 0) != 0;
    }
    c->code->roles |= op->code == TG_OP_MBAR_INIT;
    if (op->code == TG_OP_ALLOCA) {
        i.n = (int32_t)((c->code->stack_bytes + 63) / 64 * 64);
        c->code->stack_bytes = i.n + i.imm;
    }
    emit(c, i);
}

static void compile_role(compiler *c, tg_op *op) {
    int32_t at = emit(c, (tg_li_ins){.code = LI_ROLE, .op = op});
    c->code->ins.data[at].result = reg(c, op->regions[0]->args[0]);
    (void)compile_region(c, op->regions[0]);
    emit(c, (tg_li_ins){.code = LI_END});
    patch(c, at);
}

/* One instruction; what the operation needs beyond four registers it finds by its values. */
static void compile_placed(compiler *c, tg_op *op) {
    tg_li_ins i = {.code = (uint16_t)op->code, .op = op, .result = -1, .imm = immediate(op)};
    for (int k = 0; k < op->n_operands; k++) {
        int32_t r = reg(c, tg_operand(op, k));
        i.arg[k < 4 ? k : 3] = r;
    }
    for (int k = 0; k < op->n_results; k++) {
        int32_t r = reg(c, &op->results[k]);
        i.result = k == 0 ? r : i.result;
    }
    if (op->n_results > 0) {
        i.n = cells_of(c, op->results[0].type);
        i.type = dtype_of(op->results[0].type);
    }
    i.from = op->n_operands > 0 ? dtype_of(tg_operand(op, 0)->type) : i.type;
    emit(c, i);
}

static void compile_op(compiler *c, tg_op *op) {
    if (!c->placed &&
        (strchr(tg_op_info_get(op->code)->levels, 'l') == NULL || op->code == TG_OP_INTRINSIC)) {
        give_up(c, op, "an operation that loop code of any machine does not have");
        return;
    }
    switch ((int)op->code) {
    case TG_OP_FOR:
        compile_for(c, op);
        return;
    case TG_OP_WHILE:
        compile_while(c, op);
        return;
    case TG_OP_IF:
        compile_if(c, op);
        return;
    case TG_OP_ARRAY:
        compile_array(c, op);
        return;
    case TG_OP_ROLE:
        compile_role(c, op);
        return;
    }
    if (c->placed) {
        compile_placed(c, op);
    } else {
        compile_plain(c, op);
    }
}

/* The region's yield, NULL when it has none. */
static tg_op *compile_region(compiler *c, tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_YIELD) {
            return op;
        }
        compile_op(c, op);
    }
    return NULL;
}

static tg_li_code *compile_function(compiler c, tg_func *f) {
    tg_arena *a = c.arena;
    c.code = TG_NEW(a, tg_li_code);
    c.code->func = f;
    c.code->reg_of = TG_NEW_ARRAY(a, int32_t, f->next_value_id + 1);
    for (uint32_t v = 0; v <= f->next_value_id; v++) {
        c.code->reg_of[v] = -1;
    }
    for (int k = 0; k < f->body->n_args; k++) {
        (void)reg(&c, f->body->args[k]);
    }
    (void)compile_region(&c, f->body);
    emit(&c, (tg_li_ins){.code = LI_END});
    return c.code;
}

tg_li_code *tg_li_compile(tg_func *f, tg_arena *a) {
    return compile_function((compiler){.arena = a, .cells = loop_cells}, f);
}

tg_li_code *tg_li_compile_placed(tg_func *f, tg_li_cells_fn *cells, void *user, tg_arena *a) {
    return compile_function((compiler){.arena = a, .cells = cells, .user = user, .placed = true},
                            f);
}
