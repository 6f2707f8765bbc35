/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The static count of bank conflicts; see banks.h.
 *
 * A value is known per lane up to a part that all lanes share: `at[lane] + u`, where u is a
 * multiple of `step` (0: there is no such part, the values are exact). Everything computed from
 * values that are alike in all lanes is alike in all lanes, whatever it is.
 */
#include "ir/banks.h"
#include "ir/build.h"

#include <string.h>

enum { MAX_GROUP = 64, MAX_BANKS = 64, WORD = 4, MAX_WORDS = 8192 };

typedef struct lanes {
    bool known;
    int64_t step; /* of the common part; 0: exact */
    int64_t at[MAX_GROUP];
} lanes;

typedef struct counter {
    const tg_func *f;
    tg_arena *arena;
    int banks, group;
    const lanes **memo; /* by value id */
    uint64_t *words;
    TG_LIST(tg_bank_access) found;
} counter;

static const lanes *of(counter *c, const tg_value *v);

static bool alike(const counter *c, const lanes *x) {
    for (int l = 1; x->known && l < c->group; l++) {
        if (x->at[l] != x->at[0]) {
            return false;
        }
    }
    return x->known;
}

static bool exact(const lanes *x) { return x->known && x->step == 0; }

/* ---- values ---------------------------------------------------------------------------------- */

/* Exact operands; false where the result is not known. */
static bool compute(const tg_op *op, int64_t x, int64_t y, int64_t *r) {
    switch ((int)op->code) {
    case TG_OP_ADD:
        return tg_add_i64(x, y, r);
    case TG_OP_SUB:
        return y != INT64_MIN && tg_add_i64(x, -y, r);
    case TG_OP_MUL:
        return tg_mul_i64(x, y, r);
    case TG_OP_DIV:
    case TG_OP_REM: /* floors and truncation agree */
        if (x < 0 || y <= 0) {
            return false;
        }
        *r = op->code == TG_OP_DIV ? x / y : x % y;
        return true;
    case TG_OP_AND:
        *r = x & y;
        return true;
    case TG_OP_OR:
        *r = x | y;
        return true;
    case TG_OP_XOR:
        *r = x ^ y;
        return true;
    case TG_OP_SHL:
    case TG_OP_SHR:
        if (x < 0 || x > INT32_MAX || y < 0 || y > 30) {
            return false;
        }
        *r = op->code == TG_OP_SHL ? x << y : x >> y;
        return true;
    case TG_OP_MIN:
        *r = x < y ? x : y;
        return true;
    case TG_OP_MAX:
        *r = x > y ? x : y;
        return true;
    default:
        return false;
    }
}

static bool compare(tg_cmp_pred pred, int64_t x, int64_t y) {
    switch (pred) {
    case TG_CMP_EQ:
        return x == y;
    case TG_CMP_NE:
        return x != y;
    case TG_CMP_LT:
        return x < y;
    case TG_CMP_LE:
        return x <= y;
    case TG_CMP_GT:
        return x > y;
    case TG_CMP_GE:
        return x >= y;
    }
    return false;
}

static bool lane_by_lane(counter *c, const tg_op *op, const lanes *x, const lanes *y, lanes *r) {
    for (int l = 0; l < c->group; l++) {
        if (op->code == TG_OP_CMP) {
            r->at[l] = compare((tg_cmp_pred)tg_attr_int(op, TG_ATTR_PRED, 0), x->at[l], y->at[l]);
        } else if (!compute(op, x->at[l], y->at[l], &r->at[l])) {
            return false;
        }
    }
    return true;
}

/* Sums, and products with a constant, keep the common part. */
static bool linear(counter *c, const tg_op *op, const lanes *x, const lanes *y, lanes *r) {
    if (op->code == TG_OP_MUL) {
        const lanes *k = exact(y) && alike(c, y) ? y : exact(x) && alike(c, x) ? x : NULL;
        const lanes *v = k == y ? x : y;
        if (k == NULL || k->at[0] > INT32_MAX || k->at[0] < -INT32_MAX) {
            return false;
        }
        r->step = v->step * k->at[0];
        r->step = r->step < 0 ? -r->step : r->step;
        for (int l = 0; l < c->group; l++) {
            r->at[l] = v->at[l] * k->at[0];
        }
        return r->step < INT32_MAX;
    }
    if (op->code != TG_OP_ADD && op->code != TG_OP_SUB) {
        return false;
    }
    r->step = tg_gcd_i64(x->step, y->step);
    return lane_by_lane(c, op, x, y, r);
}

static bool all_alike(counter *c, const tg_op *op) {
    for (int i = 0; i < op->n_operands; i++) {
        if (op->operands[i].value->type->kind != TG_TY_BUFFER &&
            !alike(c, of(c, tg_operand(op, i)))) {
            return false;
        }
    }
    return true;
}

/* The same in all lanes, and nothing else is known of it. */
static bool common(counter *c, const tg_op *op, lanes *r) {
    bool private_ = op->code == TG_OP_ALOAD && tg_operand(op, 0)->type->space != TG_SPACE_SHARED;
    bool moves = op->code == TG_OP_SHFL || op->code == TG_OP_AATOMIC || op->code == TG_OP_ATOMIC;
    if (op->n_regions > 0 || private_ || moves || !all_alike(c, op)) {
        return false;
    }
    memset(r->at, 0, sizeof r->at);
    r->step = 1;
    return true;
}

static bool evaluate(counter *c, const tg_op *op, lanes *r) {
    int64_t k;
    if (tg_value_const_int(&op->results[0], &k)) {
        for (int l = 0; l < c->group; l++) {
            r->at[l] = k;
        }
        return true;
    }
    if (op->code == TG_OP_CAST && !tg_dtype_is_float(op->results[0].type->dtype) &&
        !tg_dtype_is_float(op->operands[0].value->type->dtype)) {
        *r = *of(c, tg_operand(op, 0));
        if (r->known) {
            return true;
        }
    }
    if (op->code == TG_OP_SELECT && exact(of(c, tg_operand(op, 0)))) {
        const lanes *ok = of(c, tg_operand(op, 0));
        const lanes *x = of(c, tg_operand(op, 1)), *y = of(c, tg_operand(op, 2));
        if (exact(x) && exact(y)) {
            for (int l = 0; l < c->group; l++) {
                r->at[l] = ok->at[l] != 0 ? x->at[l] : y->at[l];
            }
            return true;
        }
    }
    if (op->n_operands == 2) {
        const lanes *x = of(c, tg_operand(op, 0)), *y = of(c, tg_operand(op, 1));
        if (x->known && y->known &&
            ((exact(x) && exact(y) && lane_by_lane(c, op, x, y, r)) || linear(c, op, x, y, r))) {
            return true;
        }
    }
    return common(c, op, r);
}

/* Arguments: the lane's number; loop variables, that go from the lane's start by common steps. */
static bool argument(counter *c, const tg_value *v, lanes *r) {
    const tg_op *op = v->region->parent;
    if (op == NULL) {
        bool lane = v->index == 2;
        for (int l = 0; l < c->group; l++) {
            r->at[l] = lane ? l : 0;
        }
        r->step = lane ? 0 : 1;
        return true;
    }
    if (op->code != TG_OP_FOR || v->index != 0) {
        return false;
    }
    const lanes *from = of(c, tg_operand(op, 0)), *step = of(c, tg_operand(op, 2));
    if (!from->known || !alike(c, step)) {
        return false;
    }
    *r = *from;
    r->step = tg_gcd_i64(from->step, exact(step) ? step->at[0] : 1);
    return true;
}

static const lanes *of(counter *c, const tg_value *v) {
    if (c->memo[v->id] == NULL) {
        lanes *r = TG_NEW(c->arena, lanes);
        memset(r, 0, sizeof *r);
        c->memo[v->id] = r; /* a value that depends on itself is not known */
        lanes made = {0};
        bool whole = v->type->kind != TG_TY_BUFFER && v->type->kind != TG_TY_VEC;
        made.known = whole && (v->def != NULL ? evaluate(c, v->def, &made) : argument(c, v, &made));
        if (made.known) {
            made.known = true;
            *r = made;
        }
    }
    return c->memo[v->id];
}

/* ---- accesses -------------------------------------------------------------------------------- */

/* Lanes for which an `if` around an access is known to be false take no part. */
static void narrow(counter *c, const tg_value *v, bool holds, bool *on) {
    const tg_op *op = v->def;
    if (op != NULL && op->code == TG_OP_AND && holds) {
        narrow(c, tg_operand(op, 0), true, on);
        narrow(c, tg_operand(op, 1), true, on);
        return;
    }
    const lanes *x = of(c, v);
    for (int l = 0; exact(x) && l < c->group; l++) {
        on[l] &= (x->at[l] != 0) == holds;
    }
}

static void taking_part(counter *c, const tg_op *op, bool *on) {
    for (int l = 0; l < c->group; l++) {
        on[l] = l < c->f->lanes;
    }
    for (const tg_region *r = op->parent; r->parent != NULL; r = r->parent->parent) {
        if (r->parent->code == TG_OP_IF) {
            narrow(c, tg_operand(r->parent, 0), r == r->parent->regions[0], on);
        }
    }
}

static int degree_at(counter *c, const lanes *x, const bool *on, int64_t shift, int64_t elem,
                     int64_t bytes) {
    int64_t load[MAX_BANKS] = {0}, most = 0;
    size_t n = 0;
    for (int l = 0; l < c->group; l++) {
        int64_t first = x->at[l] * elem + shift;
        for (int64_t w = first / WORD; on[l] && w <= (first + bytes - 1) / WORD; w++) {
            bool seen = false;
            for (size_t k = 0; k < n && !seen; k++) {
                seen = c->words[k] == (uint64_t)w;
            }
            if (!seen && n < MAX_WORDS) {
                c->words[n++] = (uint64_t)w;
                most = tg_max_i64(most, ++load[w % c->banks]);
            }
        }
    }
    int64_t least = tg_cdiv_i64((int64_t)n, c->banks);
    return n == 0 ? 1 : (int)tg_cdiv_i64(most, least);
}

/* Of one lane; of one row of a matrix unit's block. */
static int64_t bytes_of(const tg_op *op, int64_t elem) {
    if (op->code == TG_OP_ACOPY) {
        return tg_attr_int(op, TG_ATTR_BYTES, 0);
    }
    if (op->code == TG_OP_FRAGLOAD) {
        return TG_UNIT_BYTES;
    }
    const tg_type *t = op->code == TG_OP_ASTORE ? op->operands[2].value->type : op->results[0].type;
    return elem * (t->kind == TG_TY_VEC ? t->shape[0] : 1);
}

/* A matrix unit reads 8 rows of a block at a time, along the axis whose elements lie side by side.
 * Its index is alike in all lanes, whatever it is. */
static void block_rows(const counter *c, const tg_op *op, lanes *x, bool *on) {
    const int64_t *strides = tg_attr_get(op, TG_ATTR_STRIDES)->list;
    if (!x->known) {
        memset(x, 0, sizeof *x);
        x->step = tg_attr_int(op, TG_ATTR_ALIGN, 1);
    }
    x->known = strides[0] == 1 || strides[1] == 1;
    for (int l = 0; l < c->group; l++) {
        on[l] = l < TG_UNIT_ROWS;
        x->at[l] += l % TG_UNIT_ROWS * strides[strides[1] == 1 ? 0 : 1];
    }
}

static void visit_access(counter *c, const tg_op *op) {
    const tg_value *array = op->operands[0].value;
    if (array->type->kind != TG_TY_BUFFER || array->type->space != TG_SPACE_SHARED) {
        return;
    }
    int bits = tg_dtype_bits(array->type->dtype);
    int64_t elem = bits < 8 ? 1 : bits / 8, least = 0;
    lanes x = *of(c, tg_operand(op, 1));
    tg_bank_access a = {.op = op, .array = array->def, .bytes = bytes_of(op, elem)};
    bool on[MAX_GROUP];
    taking_part(c, op, on);
    if (op->code == TG_OP_FRAGLOAD) {
        block_rows(c, op, &x, on);
    }
    for (int l = 0; l < c->group; l++) {
        least = tg_min_i64(least, x.at[l]);
    }
    int64_t back = tg_round_up_i64(-least * elem, (int64_t)WORD * c->banks) / elem;
    for (int l = 0; l < c->group; l++) {
        x.at[l] += back; /* a whole number of rounds through the banks */
    }
    int64_t base = tg_attr_int(array->def, TG_ATTR_OFFSET, 0);
    int64_t shift = x.step == 0 ? WORD : tg_gcd_i64(x.step * elem, WORD);
    for (int64_t s = 0; x.known && s < WORD; s += shift) {
        a.degree = (int)tg_max_i64(a.degree, degree_at(c, &x, on, base + s, elem, a.bytes));
    }
    TG_LIST_PUSH(c->arena, &c->found, a);
}

static void visit_region(counter *c, const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_ALOAD || op->code == TG_OP_ASTORE || op->code == TG_OP_AATOMIC ||
            op->code == TG_OP_ACOPY || op->code == TG_OP_FRAGLOAD) {
            visit_access(c, op);
        }
        for (int i = 0; i < op->n_regions; i++) {
            visit_region(c, op->regions[i]);
        }
    }
}

size_t tg_bank_count(const tg_func *f, const tg_bank_options *options, tg_arena *a,
                     tg_bank_access **out) {
    int group = options->group > 0 && options->group <= MAX_GROUP ? options->group : 32;
    int banks = options->banks > 0 && options->banks <= MAX_BANKS ? options->banks : 32;
    counter c = {.f = f, .arena = a, .banks = banks, .group = group};
    c.memo = TG_NEW_ARRAY(a, const lanes *, f->next_value_id + 1);
    memset(c.memo, 0, (f->next_value_id + 1) * sizeof *c.memo);
    c.words = TG_NEW_ARRAY(a, uint64_t, MAX_WORDS);
    visit_region(&c, f->body);
    *out = c.found.data;
    return c.found.count;
}

/* ---- remarks --------------------------------------------------------------------------------- */

static void tell_array(const tg_op *array, const tg_bank_access *all, size_t n, tg_arena *a,
                       tg_sink *sink) {
    const tg_type *t = array->results[0].type;
    int64_t bytes = tg_type_count(t) * tg_max_i64(1, tg_dtype_bits(t->dtype) / 8);
    const char *name = tg_attr_str(array, TG_ATTR_NAME);
    tg_sb sb;
    tg_sb_init(&sb, a);
    for (size_t i = 0; i < n; i++) {
        const tg_bank_access *x = &all[i];
        if (x->array != array) {
            continue;
        }
        int line = 0, column = 0;
        if (x->op->span.source != NULL) {
            tg_source_position(x->op->span.source, x->op->span.begin, &line, &column);
        }
        tg_sb_addf(&sb, "%s%s of %lld bytes in line %d: ", sb.len > 0 ? ", " : "",
                   tg_op_info_get(x->op->code)->name, (long long)x->bytes, line);
        if (x->degree > 0) {
            tg_sb_addf(&sb, "degree %d", x->degree);
        } else {
            tg_sb_addf(&sb, "where the data says");
        }
    }
    tg_report(sink, TG_SEV_REMARK, TG_D_BANKS, array->span,
              "shared memory%s%s, %lld bytes: bank conflicts of %s", name != NULL ? " " : "",
              name != NULL ? name : "", (long long)bytes, sb.len > 0 ? sb.data : "no access");
}

void tg_bank_remarks(const tg_func *f, const tg_bank_options *options, tg_arena *a, tg_sink *sink) {
    tg_bank_access *all;
    size_t n = tg_bank_count(f, options, a, &all);
    for (const tg_op *op = f->body->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_ARRAY && op->results[0].type->space == TG_SPACE_SHARED) {
            tell_array(op, all, n, a, sink);
        }
    }
}
