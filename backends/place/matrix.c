/* SPDX-License-Identifier: Apache-2.0 */
/*
 * units: which products run on the machine's matrix units.
 *
 * Takes a function before staging. Gives every `dot` that one of the machine's units can do the
 * attribute `unit`; from it the layout of the accumulator, the rows of the operands' buffers and
 * the lowering follow. What no unit can do stays with the lanes.
 *
 * Before:
 *   %5 = dot %2, %3, %4 : f32[64, 64]
 * After:
 *   %5 = dot %2, %3, %4 {unit = "mma.m16n8k16.f16"} : f32[64, 64]
 *
 * A unit can do a product when both operands' types are its own or widen exactly to them, it adds
 * up in the accumulator's type and as exactly as asked for, and its block divides all three
 * extents. Units of several sub-groups that read shared memory by themselves come first, for plain
 * products of their own types; where the operands can lie as such a unit wants them says swizzle.c.
 * Units of 8-bit floats keep fewer bits of their sums than f32 has: without `@ fast` they take at
 * most 128 products along K, from 0, and f32 adds the results up.
 * f32 operands are rounded to TF32 only where the source says so (`@ tf32`). Among those
 * that can, one with the operands' own types comes first, then the table's order.
 */
#include "backends/place/place.h"
#include "ir/matrix.h"

enum { F32_BITS = 24, REDUCED_WITHIN = 8, PROMOTED_BITS = 13, PROMOTED_K = 128 };

/* Narrow elements are widened on their way to the unit. */
static bool widens(tg_dtype from, tg_dtype to) {
    return from == to || (tg_dtype_bits(to) <= 16 && tg_dtype_holds(to, from));
}

static bool types_fit(const tg_matrix_unit *u, const tg_op *dot, bool own) {
    for (int i = 0; i < 2; i++) {
        tg_dtype t = dot->operands[i].value->type->dtype;
        if (own ? t != u->type[i] : !widens(t, u->type[i])) {
            return false;
        }
    }
    return dot->results[0].type->dtype == u->type[TG_PART_C];
}

/* The unit adds up in fewer bits: it starts from 0 and f32 takes what it has after so many
 * products. */
static bool promotes(const tg_matrix_unit *u, const tg_op *dot) {
    const tg_type *a = dot->operands[0].value->type;
    return u->type[TG_PART_C] == TG_DT_F32 && u->acc_bits < F32_BITS &&
           u->acc_bits >= PROMOTED_BITS && a->shape[a->rank - 1] <= PROMOTED_K &&
           tg_attr_int(dot, TG_ATTR_NUMERIC, TG_DOT_EXACT) == TG_DOT_EXACT;
}

static bool exact_enough(const tg_matrix_unit *u, const tg_op *dot) {
    tg_dot_numeric numeric = (tg_dot_numeric)tg_attr_int(dot, TG_ATTR_NUMERIC, TG_DOT_EXACT);
    if (tg_matrix_rounds(u)) {
        return numeric == TG_DOT_TF32;
    }
    return u->type[TG_PART_C] != TG_DT_F32 || u->acc_bits >= F32_BITS || numeric == TG_DOT_FAST ||
           promotes(u, dot);
}

static bool extents_fit(const tg_matrix_unit *u, const tg_op *dot) {
    const tg_type *a = dot->operands[0].value->type, *c = dot->results[0].type;
    return c->shape[c->rank - 2] % u->m == 0 && c->shape[c->rank - 1] % u->n == 0 &&
           a->shape[a->rank - 1] % u->k == 0;
}

static int64_t acc_bytes(const tg_op *dot) {
    const tg_type *t = dot->results[0].type;
    return tg_round_up_i64(tg_type_count(t) * tg_place_elem_bytes(t->dtype), 16);
}

/* An operand in shared memory, a unit's row of padding behind each of its rows. */
static int64_t operand_bytes(const tg_op *dot, int i) {
    enum { PADDING = 16 };
    const tg_type *t = dot->operands[i].value->type;
    int64_t rows = t->shape[t->rank - 2];
    return rows * (t->shape[t->rank - 1] * tg_place_elem_bytes(t->dtype) + PADDING);
}

/* A unit that reads shared memory by itself takes the elements as they lie there, all of them. A
 * unit that keeps its fragments to itself takes the product through shared memory: plain ones
 * that it has room for. */
static bool form_fits(const tg_machine *mc, const tg_matrix_unit *u, const tg_op *dot) {
    if (tg_matrix_reads_memory(u)) {
        return dot->n_operands == 3;
    }
    return tg_matrix_is_open(u) ||
           (dot->results[0].type->rank == 2 && dot->n_operands == 3 &&
            acc_bytes(dot) + operand_bytes(dot, 0) + operand_bytes(dot, 1) <= mc->shared_bytes);
}

static bool reduced_along_rows(const tg_value *v, int depth);

/* What op makes of the value in one of its operands is reduced; a sum of products is one value. */
static bool reduces(const tg_use *u, int last, int depth) {
    const tg_op *op = u->user, *around = op->parent->parent;
    ptrdiff_t i = u - op->operands;
    switch ((int)op->code) {
    case TG_OP_REDUCE:
        return tg_attr_int(op, TG_ATTR_AXIS, -1) == last;
    case TG_OP_DOT:
        return i == 2 && reduced_along_rows(&op->results[0], depth);
    case TG_OP_YIELD:
        return around != NULL && around->code == TG_OP_IF &&
               reduced_along_rows(&around->results[i], depth - 1);
    }
    return (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0 &&
           reduced_along_rows(&op->results[0], depth - 1);
}

/* v, or what elementwise operations make of it, is reduced along its last axis: lanes that hold a
 * row's elements should then be in one sub-group. */
static bool reduced_along_rows(const tg_value *v, int depth) {
    for (const tg_use *u = v->uses; u != NULL && depth > 0; u = u->next) {
        if (reduces(u, v->type->rank - 1, depth)) {
            return true;
        }
    }
    return false;
}

/*
 * Units of large blocks read less for a product; where sub-groups would go without a block, or rows
 * that are reduced would be spread over several, one of smaller blocks is better.
 */
static bool too_coarse(const tg_matrix_unit *u, int64_t lanes, const tg_op *dot) {
    const tg_type *t = dot->results[0].type;
    int64_t blocks = tg_type_count(t) / (u->m * u->n), groups = lanes / u->lanes;
    if (reduced_along_rows(&dot->results[0], REDUCED_WITHIN)) {
        blocks = blocks * u->n / t->shape[t->rank - 1];
    }
    return blocks < groups;
}

/* Which units are asked, one kind after the other. */
typedef enum preference { MEMORY, OWN_TYPES, WIDENED, PREFERENCES } preference;

/* The unit, or NULL and why there is none. */
static const tg_matrix_unit *unit_for(const tg_machine *mc, int64_t lanes, const tg_op *dot,
                                      const char **out_why) {
    const tg_matrix_unit *u, *coarse = NULL;
    *out_why = "no unit has these types";
    for (preference now = MEMORY; now < PREFERENCES; now++) {
        for (size_t i = 0; (u = tg_matrix_at(i)) != NULL; i++) {
            bool own = now != WIDENED || !tg_matrix_is_open(u);
            if ((mc->matrix >> i & 1) == 0 || tg_matrix_reads_memory(u) != (now == MEMORY) ||
                !types_fit(u, dot, own) || !exact_enough(u, dot)) {
                continue;
            }
            if (lanes % u->lanes != 0) {
                *out_why = "the program has too few lanes";
            } else if (!extents_fit(u, dot)) {
                *out_why = "the extents are no multiples of a unit's block";
            } else if (!form_fits(mc, u, dot)) {
                *out_why = "the unit takes plain products that shared memory holds";
            } else if (!too_coarse(u, lanes, dot)) {
                return u;
            } else if (coarse == NULL || u->m * u->n < coarse->m * coarse->n) {
                coarse = u;
            }
        }
        if (coarse != NULL) {
            return coarse;
        }
    }
    return NULL;
}

bool tg_place_wants_plain(const tg_placer *p, const tg_op *dot) {
    const tg_matrix_unit *u;
    for (size_t i = 0; (u = tg_matrix_at(i)) != NULL; i++) {
        if ((p->machine->matrix >> i & 1) != 0 && tg_matrix_is_open(u) &&
            p->lanes % u->lanes == 0 && types_fit(u, dot, true) && exact_enough(u, dot) &&
            extents_fit(u, dot)) {
            return true;
        }
    }
    return false;
}

static bool is_zero(const tg_value *v) {
    return v->def != NULL && v->def->code == TG_OP_CONST_FLOAT &&
           tg_attr_float(v->def, TG_ATTR_VALUE_F, 1.0) == 0.0;
}

/* acc + a b, the product by itself. */
static void promote(tg_op *dot) {
    tg_value *acc = tg_operand(dot, 2), *own = &dot->results[0];
    if (is_zero(acc)) {
        return;
    }
    tg_builder b = tg_builder_before(dot);
    b.span = dot->span;
    tg_set_operand(dot, 2, tg_build_float(&b, own->type, 0.0));
    b = tg_builder_before(dot->next);
    b.span = dot->span;
    tg_value *sum = tg_build_binary(&b, TG_OP_ADD, acc, own);
    for (tg_use *u = own->uses, *next; u != NULL; u = next) {
        next = u->next;
        if (u->user != sum->def) {
            tg_set_operand(u->user, (int)(u - u->user->operands), sum);
        }
    }
}

/* *memory: the most bytes of shared memory that an accumulator passes through. */
static void visit_region(tg_placer *p, tg_region *r, int64_t *memory) {
    const char *why;
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            visit_region(p, op->regions[i], memory);
        }
        const tg_matrix_unit *u =
            op->code == TG_OP_DOT ? unit_for(p->machine, p->lanes, op, &why) : NULL;
        if (u != NULL && (p->replicas <= 1 || tg_matrix_is_open(u))) { /* one place for them all */
            tg_op_set_str(op, TG_ATTR_UNIT, u->name);
            if (promotes(u, op)) {
                promote(op);
            }
            *memory = tg_max_i64(*memory, tg_matrix_is_open(u) ? 0 : acc_bytes(op));
        }
    }
}

tg_status tg_place_units(tg_placer *p) {
    if (p->machine->matrix != 0) {
        int64_t memory = 0;
        visit_region(p, p->f->body, &memory);
        p->shared_bytes -= memory;
    }
    return TG_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

typedef struct rows {
    const tg_placer *p;
    bool whole, split; /* at these lanes; at twice as many */
    int64_t bytes;     /* of accumulators, a lane */
} rows;

static void visit_rows(rows *s, const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            visit_rows(s, op->regions[i]);
        }
        const tg_matrix_unit *u =
            op->code == TG_OP_DOT ? tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT)) : NULL;
        if (u == NULL || !tg_matrix_is_open(u)) {
            continue;
        }
        const tg_type *t = op->results[0].type;
        s->bytes += tg_type_count(t) * tg_place_elem_bytes(t->dtype) / s->p->lanes;
        if (reduced_along_rows(&op->results[0], REDUCED_WITHIN)) {
            int64_t blocks = tg_type_count(t) / t->shape[t->rank - 1] / u->m;
            s->whole &= blocks % (s->p->lanes / u->lanes) == 0;
            s->split |= blocks % (2 * s->p->lanes / u->lanes) != 0;
        }
    }
}

bool tg_place_rows_whole(const tg_placer *p) {
    rows s = {.p = p, .whole = true};
    visit_rows(&s, p->f->body);
    return s.whole && s.split && s.bytes <= p->machine->register_bytes * 3 / 4;
}

/* ---- operands where the unit reads them ------------------------------------------------------ */

/* Whole buffers of shared memory, turned or copies of a ring: their rows are aligned as units
 * want; those of a part may not be. */
static bool readable(const tg_op *dot, int i) {
    const tg_value *v = dot->operands[i].value;
    bool in_shared = v->type->kind == TG_TY_BUFFER && v->type->space == TG_SPACE_SHARED;
    while (v->def != NULL && v->def->code == TG_OP_WINDOW) {
        const tg_value *of = tg_operand(v->def, 0);
        if (tg_type_count(of->type) != tg_type_count(v->type)) {
            return false;
        }
        v = of;
    }
    return in_shared;
}

static void visit_operands(tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            visit_operands(op->regions[i]);
        }
        const tg_matrix_unit *u =
            op->code == TG_OP_DOT ? tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT)) : NULL;
        if (u != NULL && !tg_matrix_is_open(u) && (!readable(op, 0) || !readable(op, 1))) {
            tg_op_remove_attr(op, TG_ATTR_UNIT);
        }
    }
}

/*
 * operands: units that keep their fragments to themselves read shared memory. A product whose
 * operands ended elsewhere, or as a part of something, goes back to the lanes.
 */
tg_status tg_place_operands(tg_placer *p) {
    if (p->machine->matrix != 0) {
        visit_operands(p->f->body);
    }
    return TG_OK;
}

/* ---- remarks --------------------------------------------------------------------------------- */

static void tell_region(const tg_placer *p, const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            tell_region(p, op->regions[i]);
        }
        if (op->code != TG_OP_DOT) {
            continue;
        }
        const char *name = tg_attr_str(op, TG_ATTR_UNIT), *why = "";
        const tg_type *a = op->operands[0].value->type, *c = op->results[0].type;
        if (name == NULL) {
            bool could = unit_for(p->machine, p->lanes, op, &why) != NULL;
            why = could ? "its operands are not where a unit reads" : why;
        }
        tg_report(p->sink, TG_SEV_REMARK, TG_D_UNIT, op->span,
                  name != NULL ? "product of %s, %lld x %lld x %lld: matrix unit %s"
                               : "product of %s, %lld x %lld x %lld: FMA of the lanes, as %s",
                  tg_dtype_name(a->dtype), (long long)c->shape[c->rank - 2],
                  (long long)c->shape[c->rank - 1], (long long)a->shape[a->rank - 1],
                  name != NULL ? name : why);
    }
}

void tg_place_tell_units(const tg_placer *p) {
    if (p->machine->matrix != 0) {
        tell_region(p, p->f->body);
    }
}

/* ---- layouts --------------------------------------------------------------------------------- */

/* Operand a is what lanes computed. */
static bool is_computed(const tg_value *a) {
    for (const tg_use *u = a->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_PUT) {
            return true;
        }
    }
    return false;
}

/* What a choice of warps costs: registers first, then elements read for one step along K. */
static bool better(int64_t regs, int64_t reads, int64_t best_regs, int64_t best_reads) {
    return regs < best_regs || (regs == best_regs && reads < best_reads);
}

const tg_layout *tg_place_fragments(tg_placer *p, const tg_op *dot, int64_t like,
                                    int64_t *out_warps) {
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(dot, TG_ATTR_UNIT));
    const tg_type *t = dot->results[0].type;
    int m = t->rank - 2, n = t->rank - 1;
    int64_t all = p->lanes / u->lanes, best_regs = INT64_MAX, best_reads = INT64_MAX;
    int64_t blocks_m = t->shape[m] / u->m, blocks_n = t->shape[n] / u->n;
    int64_t batches = t->rank > 2 ? t->shape[m - 1] : 1, best[TG_MAX_RANK];
    bool computed = is_computed(dot->operands[0].value);
    bool reduced = reduced_along_rows(&dot->results[0], REDUCED_WITHIN);
    for (int a = 0; a < t->rank; a++) {
        best[a] = 1;
    }
    for (int64_t wb = 1; wb <= all; wb *= 2) {
        for (int64_t wm = 1; wm * wb <= all; wm *= 2) {
            for (int64_t wn = 1; wn * wm * wb <= all; wn *= 2) {
                if (batches % wb != 0 || blocks_m % wm != 0 || blocks_n % wn != 0) {
                    continue;
                }
                int64_t bm = blocks_m / wm, bn = blocks_n / wn, regs = batches / wb * bm * bn;
                int64_t reads = batches / wb * (bm * u->m + bn * u->n);
                if (tg_matrix_reads_memory(u)) { /* each block of rows reads all columns */
                    reads = batches / wb * bm * (u->m + bn * u->n);
                }
                if (computed && like == wm && wn == 1) { /* registers.c: it stays where it is */
                    reads -= batches / wb * bm * u->m;
                }
                reads += (reduced && wn > 1 ? reads : 0) + (like > 0 && like != wm ? reads / 2 : 0);
                if (better(regs, reads, best_regs, best_reads)) {
                    best_regs = regs;
                    best_reads = reads;
                    if (t->rank > 2) {
                        best[m - 1] = wb;
                    }
                    best[m] = wm;
                    best[n] = wn;
                }
            }
        }
    }
    *out_warps = best[m];
    return tg_matrix_accumulator(p->m, u, t->rank, t->shape, best, p->lanes);
}
