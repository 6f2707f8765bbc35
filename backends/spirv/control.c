/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured control flow, which the loop IR has and SPIR-V wants. Carried values are phis of the
 * loop's header; the header dominates all, so the loop's results are those same phis:
 *
 *   for:    header: phis, iv < hi?        LoopMerge exit, latch  ─▶ body ─▶ latch ─▶ header | exit
 *   while:  header: phis, cond region     LoopMerge exit, latch  ─▶ body ─▶ latch ─▶ header | exit
 *   if:     SelectionMerge join           ─▶ then | else ─▶ join: phis
 */
#include "backends/spirv/spirv.h"

void tg_spv_label(tg_spv *s, uint32_t label) {
    TG_SPV(s, TG_SPV_BODY, SpvOpLabel, label);
    s->block = label;
    s->line = 0;
}

void tg_spv_branch(tg_spv *s, uint32_t to) { TG_SPV(s, TG_SPV_BODY, SpvOpBranch, to); }

static void select_branch(tg_spv *s, uint32_t cond, uint32_t yes, uint32_t no, uint32_t merge) {
    TG_SPV(s, TG_SPV_BODY, SpvOpSelectionMerge, merge, SpvSelectionControlMaskNone);
    TG_SPV(s, TG_SPV_BODY, SpvOpBranchConditional, cond, yes, no);
}

uint32_t tg_spv_then(tg_spv *s, uint32_t cond) {
    uint32_t yes = tg_spv_id(s), merge = tg_spv_id(s);
    select_branch(s, cond, yes, merge, merge);
    tg_spv_label(s, yes);
    return merge;
}

void tg_spv_end(tg_spv *s, uint32_t merge) {
    tg_spv_branch(s, merge);
    tg_spv_label(s, merge);
}

uint32_t tg_spv_guarded(tg_spv *s, uint32_t cond, uint32_t type, uint32_t otherwise,
                        uint32_t (*make)(tg_spv *s, void *user), void *user) {
    uint32_t before = s->block, merge = tg_spv_then(s, cond);
    uint32_t made = make(s, user), after = s->block;
    tg_spv_end(s, merge);
    return TG_SPV_VALUE(s, SpvOpPhi, type, otherwise, before, made, after);
}

static void emit_op(tg_spv *s, tg_op *op);

void tg_spv_region(tg_spv *s, tg_region *r) {
    for (tg_op *op = r->first; op && op->code != TG_OP_YIELD; op = op->next) {
        emit_op(s, op);
    }
}

static const tg_op *yield_of(const tg_region *r) {
    return r->last && r->last->code == TG_OP_YIELD ? r->last : NULL;
}

/* ---- phis whose second edge is known later -----------------------------------------------------
 */

typedef struct phi {
    uint32_t id;
    size_t hole; /* in BODY: the value, then the block of the second edge */
} phi;

static phi open_phi(tg_spv *s, uint32_t type, uint32_t first, uint32_t from) {
    phi p = {.id = TG_SPV_VALUE(s, SpvOpPhi, type, first, from, 0, 0)};
    p.hole = s->section[TG_SPV_BODY].count - 2;
    return p;
}

static void close_phi(tg_spv *s, phi p, uint32_t value, uint32_t from) {
    s->section[TG_SPV_BODY].data[p.hole] = value;
    s->section[TG_SPV_BODY].data[p.hole + 1] = from;
}

/* One phi a lane of each carried value; sets them as the values of args. */
static phi *open_carried(tg_spv *s, const tg_op *op, int first, int n, tg_value **args,
                         uint32_t from) {
    int total = 0;
    for (int i = 0; i < n; i++) {
        total += tg_spv_lanes(args[i]->type);
    }
    phi *phis = TG_NEW_ARRAY(s->arena, phi, total + 1), *next = phis;
    for (int i = 0; i < n; i++) {
        tg_spv_value init = tg_spv_operand(s, op, first + i), row = tg_spv_row(s, init.n);
        uint32_t type = tg_spv_type(s, args[i]->type);
        for (int l = 0; l < init.n; l++, next++) {
            *next = open_phi(s, type, init.id[l], from);
            row.id[l] = next->id;
        }
        tg_spv_set(s, args[i], row);
    }
    return phis;
}

static void close_carried(tg_spv *s, phi *phis, const tg_spv_value *values, int n, uint32_t from) {
    for (int i = 0; i < n; i++) {
        tg_spv_value x = values[i];
        for (int l = 0; l < x.n; l++, phis++) {
            close_phi(s, *phis, x.id[l], from);
        }
    }
}

/* ---- for ------------------------------------------------------------------------------------- */

static bool constant(const tg_value *v, int64_t *out) {
    if (!v->def || v->def->code != TG_OP_CONST_INT) {
        return false;
    }
    *out = tg_attr_int(v->def, TG_ATTR_VALUE_I, 0);
    return true;
}

/*
 * iv + step may pass INT64_MAX on the last trip unless step is 1 or the end is known. Then: the old
 * iv below hi - step means the sum stays below hi, else the loop is over and hi says so. When
 * hi - step wraps the test holds, and the sum, beyond hi, ends the loop.
 */
static uint32_t next_index(tg_spv *s, const tg_op *op, uint32_t iv) {
    uint32_t i64 = tg_spv_type_int(s, 64);
    uint32_t hi = tg_spv_operand(s, op, 1).id[0], step = tg_spv_operand(s, op, 2).id[0];
    uint32_t next = TG_SPV_VALUE(s, SpvOpIAdd, i64, iv, step);
    int64_t known_hi = 0, known_step = 0;
    bool has_step = constant(tg_operand(op, 2), &known_step);
    bool has_hi = constant(tg_operand(op, 1), &known_hi);
    if (has_step && (known_step == 1 || (has_hi && known_hi <= INT64_MAX - known_step))) {
        return next;
    }
    uint32_t last = TG_SPV_VALUE(s, SpvOpISub, i64, hi, step);
    uint32_t more = TG_SPV_VALUE(s, SpvOpSLessThan, tg_spv_type_bool(s), iv, last);
    return TG_SPV_VALUE(s, SpvOpSelect, i64, more, next, hi);
}

typedef struct loop_labels {
    uint32_t header, body, latch, exit;
} loop_labels;

static loop_labels open_loop(tg_spv *s) {
    loop_labels l = {.header = tg_spv_id(s)};
    l.body = tg_spv_id(s);
    l.latch = tg_spv_id(s);
    l.exit = tg_spv_id(s);
    tg_spv_branch(s, l.header);
    tg_spv_label(s, l.header);
    return l;
}

/* Behind the phis: the header ends here, the test follows in its own block. */
static void loop_merge(tg_spv *s, loop_labels l, bool unroll) {
    uint32_t test = tg_spv_id(s);
    TG_SPV(s, TG_SPV_BODY, SpvOpLoopMerge, l.exit, l.latch,
           unroll ? SpvLoopControlUnrollMask : SpvLoopControlMaskNone);
    tg_spv_branch(s, test);
    tg_spv_label(s, test);
}

static void loop_test(tg_spv *s, loop_labels l, uint32_t cond) {
    TG_SPV(s, TG_SPV_BODY, SpvOpBranchConditional, cond, l.body, l.exit);
    tg_spv_label(s, l.body);
}

/* The index and the carried values on their way through the copies of a body. */
typedef struct for_state {
    uint32_t iv;
    tg_spv_value *carried;
} for_state;

static void run_body(tg_spv *s, tg_op *op, for_state *f) {
    tg_region *body = op->regions[0];
    tg_spv_value index = tg_spv_row(s, 1);
    index.id[0] = f->iv;
    tg_spv_set(s, body->args[0], index);
    for (int i = 0; i < op->n_results; i++) {
        tg_spv_set(s, body->args[1 + i], f->carried[i]);
    }
    tg_spv_region(s, body);
    for (int i = 0; i < op->n_results; i++) {
        f->carried[i] = tg_spv_operand(s, yield_of(body), i);
    }
    f->iv = next_index(s, op, f->iv);
}

/* One more copy of the body, run when the index is still below the end. */
static void run_again(tg_spv *s, tg_op *op, for_state *f) {
    uint32_t hi = tg_spv_operand(s, op, 1).id[0], i64 = tg_spv_type_int(s, 64);
    uint32_t more = TG_SPV_VALUE(s, SpvOpSLessThan, tg_spv_type_bool(s), f->iv, hi);
    uint32_t before = s->block, old_iv = f->iv;
    tg_spv_value *old = TG_NEW_ARRAY(s->arena, tg_spv_value, op->n_results + 1);
    for (int i = 0; i < op->n_results; i++) {
        old[i] = f->carried[i];
    }
    uint32_t merge = tg_spv_then(s, more);
    run_body(s, op, f);
    uint32_t after = s->block;
    tg_spv_end(s, merge);
    f->iv = TG_SPV_VALUE(s, SpvOpPhi, i64, old_iv, before, f->iv, after);
    for (int i = 0; i < op->n_results; i++) {
        tg_spv_value joined = tg_spv_row(s, old[i].n);
        uint32_t type = tg_spv_type(s, op->results[i].type);
        for (int l = 0; l < joined.n; l++) {
            joined.id[l] =
                TG_SPV_VALUE(s, SpvOpPhi, type, old[i].id[l], before, f->carried[i].id[l], after);
        }
        f->carried[i] = joined;
    }
}

static void emit_for(tg_spv *s, tg_op *op) {
    tg_region *body = op->regions[0];
    uint32_t i64 = tg_spv_type_int(s, 64), before = s->block;
    loop_labels l = open_loop(s);
    phi iv = open_phi(s, i64, tg_spv_operand(s, op, 0).id[0], before);
    phi *carried = open_carried(s, op, 3, op->n_results, body->args + 1, before);
    for_state f = {.iv = iv.id, .carried = TG_NEW_ARRAY(s->arena, tg_spv_value, op->n_results + 1)};
    for (int i = 0; i < op->n_results; i++) {
        f.carried[i] = tg_spv_get(s, body->args[1 + i]);
        tg_spv_set(s, &op->results[i], f.carried[i]);
    }
    loop_merge(s, l, tg_attr_int(op, TG_ATTR_UNROLL, 0) > 1);
    loop_test(s, l,
              TG_SPV_VALUE(s, SpvOpSLessThan, tg_spv_type_bool(s), iv.id,
                           tg_spv_operand(s, op, 1).id[0]));
    run_body(s, op, &f);
    for (int copies = tg_spv_copies(s, op); copies > 1; copies--) {
        run_again(s, op, &f);
    }
    tg_spv_branch(s, l.latch);
    tg_spv_label(s, l.latch);
    close_phi(s, iv, f.iv, l.latch);
    close_carried(s, carried, f.carried, op->n_results, l.latch);
    tg_spv_branch(s, l.header);
    tg_spv_label(s, l.exit);
    tg_spv_for_ended(s, op, iv.id);
}

/* ---- trap -------------------------------------------------------------------------------------
 */

static void emit_trap(tg_spv *s, tg_op *op) {
    uint32_t cond = tg_spv_operand(s, op, 0).id[0];
    if (op->code == TG_OP_ASSERT) {
        cond = TG_SPV_VALUE(s, SpvOpLogicalNot, tg_spv_type_bool(s), cond);
    }
    tg_spv_trap_if(s, cond, op->span, tg_attr_int(op, TG_ATTR_VALUE_I, TG_CPU_TRAP_ASSERT));
}

/* ---- while, if --------------------------------------------------------------------------------
 */

/* A loop past its greatest trip count is recorded and ends as if its condition had failed. */
static void emit_while(tg_spv *s, tg_op *op) {
    tg_region *cond = op->regions[0], *body = op->regions[1];
    uint32_t i64 = tg_spv_type_int(s, 64), truth = tg_spv_type_bool(s);
    tg_spv_while_begins(s);
    uint32_t before = s->block;
    loop_labels l = open_loop(s);
    phi trips = open_phi(s, i64, tg_spv_const(s, 64, 0), before);
    phi *carried = open_carried(s, op, 0, op->n_results, cond->args, before);
    loop_merge(s, l, false);
    tg_spv_region(s, cond);
    const tg_op *test = yield_of(cond);
    for (int i = 0; i < op->n_results; i++) {
        tg_spv_set(s, body->args[i], tg_spv_operand(s, test, 1 + i));
        tg_spv_set(s, &op->results[i], tg_spv_operand(s, test, 1 + i));
    }
    uint32_t go = tg_spv_operand(s, test, 0).id[0];
    uint32_t most = tg_spv_const(s, 64, (uint64_t)tg_attr_int(op, TG_ATTR_MAX, 0));
    uint32_t over = TG_SPV_VALUE(s, SpvOpSGreaterThanEqual, truth, trips.id, most);
    tg_spv_trap_if(s, TG_SPV_VALUE(s, SpvOpLogicalAnd, truth, go, over), op->span,
                   TG_CPU_TRAP_LIMIT);
    over = TG_SPV_VALUE(s, SpvOpLogicalNot, truth, over);
    uint32_t exit = l.exit;
    uint32_t way_out = tg_spv_while_leaves(s, exit);
    l.exit = way_out;
    loop_test(s, l, TG_SPV_VALUE(s, SpvOpLogicalAnd, truth, go, over));
    tg_spv_region(s, body);
    tg_spv_branch(s, l.latch);
    tg_spv_label(s, l.latch);
    uint32_t next = TG_SPV_VALUE(s, SpvOpIAdd, i64, trips.id, tg_spv_const(s, 64, 1));
    close_phi(s, trips, next, l.latch);
    tg_spv_value *values = TG_NEW_ARRAY(s->arena, tg_spv_value, op->n_results + 1);
    for (int i = 0; i < op->n_results; i++) {
        values[i] = tg_spv_operand(s, yield_of(body), i);
    }
    close_carried(s, carried, values, op->n_results, l.latch);
    tg_spv_branch(s, l.header);
    tg_spv_while_way_out(s, way_out, exit);
    tg_spv_label(s, exit);
    tg_spv_while_ended(s, op);
}

static void emit_if(tg_spv *s, tg_op *op) {
    uint32_t side[2] = {tg_spv_id(s), tg_spv_id(s)}, end[2], join = tg_spv_id(s);
    select_branch(s, tg_spv_operand(s, op, 0).id[0], side[0], side[1], join);
    for (int i = 0; i < 2; i++) {
        tg_spv_label(s, side[i]);
        tg_spv_region(s, op->regions[i]);
        end[i] = s->block;
        tg_spv_branch(s, join);
    }
    tg_spv_label(s, join);
    for (int i = 0; i < op->n_results; i++) {
        tg_spv_value yes = tg_spv_operand(s, yield_of(op->regions[0]), i);
        tg_spv_value no = tg_spv_operand(s, yield_of(op->regions[1]), i);
        tg_spv_value row = tg_spv_row(s, yes.n);
        uint32_t type = tg_spv_type(s, op->results[i].type);
        for (int l = 0; l < row.n; l++) {
            row.id[l] = TG_SPV_VALUE(s, SpvOpPhi, type, yes.id[l], end[0], no.id[l], end[1]);
        }
        tg_spv_set(s, &op->results[i], row);
    }
}

/* ---- barrier -----------------------------------------------------------------------------------
 */

static void emit_barrier(tg_spv *s, tg_op *op) {
    uint32_t seen = SpvMemorySemanticsAcquireReleaseMask | s->flavour->visible;
    int64_t fence = tg_attr_int(op, TG_ATTR_FENCE, TG_FENCE_SHARED);
    if (fence != TG_FENCE_GLOBAL) {
        seen |= SpvMemorySemanticsWorkgroupMemoryMask;
    }
    if (fence != TG_FENCE_SHARED) {
        seen |= s->flavour->device_semantics;
    }
    uint32_t group = tg_spv_const(s, 32, SpvScopeWorkgroup);
    TG_SPV(s, TG_SPV_BODY, SpvOpControlBarrier, group, group, tg_spv_const(s, 32, seen));
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static tg_spv_value emit_value(tg_spv *s, tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_REM:
    case TG_OP_MIN:
    case TG_OP_MAX:
    case TG_OP_NEG:
    case TG_OP_ABS:
    case TG_OP_FMA:
    case TG_OP_AND:
    case TG_OP_OR:
    case TG_OP_XOR:
    case TG_OP_NOT:
    case TG_OP_SHL:
    case TG_OP_SHR:
    case TG_OP_POPCOUNT:
    case TG_OP_CMP:
    case TG_OP_SELECT:
    case TG_OP_MATH:
        return tg_spv_arith(s, op);
    case TG_OP_CAST:
    case TG_OP_BITCAST:
        return tg_spv_convert(s, op);
    case TG_OP_REDUCEV:
        return tg_spv_reducev(s, op);

    case TG_OP_SLOT:
    case TG_OP_GEP:
    case TG_OP_LOADM:
    case TG_OP_STOREM:
    case TG_OP_GATHERM:
    case TG_OP_SCATTERM:
    case TG_OP_PREFETCH:
    case TG_OP_MEMSET:
    case TG_OP_MEMCPY:
        return tg_spv_memory(s, op);

    case TG_OP_SPLAT:
    case TG_OP_EXTRACT:
    case TG_OP_INSERT:
    case TG_OP_SHUFFLE:
    case TG_OP_LANES:
    case TG_OP_PMASK:
    case TG_OP_SHFL:
    case TG_OP_BALLOT:
        return tg_spv_lane_op(s, op);

    case TG_OP_ATOMICM:
    case TG_OP_AATOMIC:
        return tg_spv_atomic(s, op);

    case TG_OP_ARRAY:
    case TG_OP_ALOAD:
    case TG_OP_ASTORE:
        return tg_spv_array_op(s, op);

    case TG_OP_FRAGLOAD:
    case TG_OP_FRAGSTORE:
    case TG_OP_MMA:
        return tg_spv_matrix(s, op);

    case TG_OP_ALLOCA:
    case TG_OP_INTRINSIC:
        tg_spv_refuse(s, op, "it belongs to the loop level of a CPU");
        break;

    default:
        tg_spv_refuse(s, op, "it does not belong to the loop level");
        break;
    }
    return (tg_spv_value){0};
}

static void emit_op(tg_spv *s, tg_op *op) {
    tg_spv_line(s, op->span);
    switch ((int)op->code) {
    case TG_OP_FOR:
        emit_for(s, op);
        return;
    case TG_OP_WHILE:
        emit_while(s, op);
        return;
    case TG_OP_IF:
        emit_if(s, op);
        return;
    case TG_OP_TRAP:
    case TG_OP_ASSERT:
        emit_trap(s, op);
        return;
    case TG_OP_BARRIER:
        emit_barrier(s, op);
        return;
    }
    tg_spv_value x = emit_value(s, op);
    if (op->n_results != 1 || op->results[0].type->kind == TG_TY_BUFFER) {
        return;
    }
    if (!x.id) { /* refused: zeros stand in for it */
        x = tg_spv_row(s, tg_spv_lanes(op->results[0].type));
    }
    tg_spv_set(s, &op->results[0], x);
}
