/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix product on the CPU: acc[m,n] += a[m,k] * b[k,n] as loop IR.
 *
 * Takes operands as callbacks that give converted vectors in either direction, with their memory
 * when they are plain; gives loops over register blocks. The form follows from the static extents,
 * the direction in which memory runs and, where m is only known at run time, a branch on it:
 *
 *   few columns, A contiguous along k          products along k, operands exchanged
 *   few rows, B of codes of four bits          look-ups in registers
 *   few rows, B contiguous along k             products along k
 *   very few rows, B contiguous along n        updates along rows
 *   else                                       packed panels
 */
#include "backends/lower/cpu/dot.h"

/* Rows up to which products along k beat packing: the transposing pack of B costs about as much as
 * a third of a multiply per element and lane, adding up lanes the same per result. */
enum { FEW_COLUMNS = 4, FEW_ROWS = 4, ROWS_ALONG_K = 32, LONG_K = 256 };

tg_value *tg_scratch_take(tg_scratch *s, tg_builder *b, int64_t bytes) {
    int64_t at = s->used;
    s->used = at + tg_round_up_i64(bytes, 64);
    s->peak = tg_max_i64(s->peak, s->used);
    return at == 0 ? s->base : tg_build_gep(b, s->base, tg_build_index(b, at), 1);
}

/* ---- set-up ------------------------------------------------------------------------------------
 */

static bool small_int(tg_dtype t) { return tg_dtype_is_int(t) && tg_dtype_bits(t) <= 8; }

static const char *pair_intrinsic(const tg_machine *mc, int vector_bytes) {
    if (!(mc->features & TG_CPU_MADDUBS)) {
        return NULL;
    }
    return vector_bytes == 64 ? "x86.avx512.pmaddw.d.512"
                              : (vector_bytes == 32 ? "x86.avx2.pmadd.wd" : NULL);
}

/* Bytes along a k that ends within a whole vector: half a vector takes it without a tail. */
static int choose_vector(const tg_machine *mc, const tg_dot_desc *d) {
    int whole = mc->vector_bytes;
    bool bytes = d->compute == TG_DT_I32 && small_int(d->a.dtype) && small_int(d->b.dtype);
    bool half = d->k > 0 && d->k < 4 * whole && d->k % whole != 0 && d->k % (whole / 2) == 0;
    return bytes && half && whole == 64 ? whole / 2 : whole;
}

static int64_t const_or(const tg_value *v, int64_t otherwise) {
    int64_t c;
    return tg_value_const_int(v, &c) ? c : otherwise;
}

static dot_side make_side(const tg_dot_desc *d, bool is_a) {
    const tg_dot_operand *op = is_a ? &d->a : &d->b;
    tg_value *len = is_a ? d->m_len : d->n_len;
    return (dot_side){
        .op = op,
        .is_a = is_a,
        .len = len,
        .extent = is_a ? d->m : d->n,
        .len_const = const_or(len, -1),
        .k_unit = is_a ? op->unit_cols != 0 : op->unit_cols == 0,
        .row_bytes = is_a ? op->row_bytes : op->col_bytes,
        .k_bytes = is_a ? op->col_bytes : op->row_bytes,
    };
}

static dot_gen make_gen(tg_builder *b, const tg_machine *mc, tg_scratch *scratch,
                        const tg_dot_desc *d) {
    dot_gen g = {.b = b, .mc = mc, .scratch = scratch, .d = d};
    g.vector_bytes = choose_vector(mc, d);
    g.x = make_side(d, true);
    g.y = make_side(d, false);
    g.acc_x_elems = d->acc_pitch;
    g.acc_y_elems = 1;
    g.word = d->compute;
    g.per_word = 1;
    if (d->compute == TG_DT_I32 && small_int(d->a.dtype) && small_int(d->b.dtype)) {
        g.pair_product = pair_intrinsic(mc, g.vector_bytes);
        g.per_word = g.pair_product ? 2 : 1;
        g.sums_words = (mc->features & TG_CPU_AVX512_VNNI) != 0;
    }
    dot_choose_bf16(&g);
    g.word_bytes = tg_dtype_bits(g.word) / 8;
    g.vl = (int)(g.vector_bytes / g.word_bytes);
    g.word_type = tg_type_scalar(b->module, g.word);
    g.vec_type = tg_type_vec(b->module, g.word, g.vl);
    g.k_divisor = tg_max_i64(const_or(d->k_len, 1), 0);
    return g;
}

static void exchange_operands(dot_gen *g) {
    dot_side t = g->x;
    g->x = g->y;
    g->y = t;
    int64_t e = g->acc_x_elems;
    g->acc_x_elems = g->acc_y_elems;
    g->acc_y_elems = e;
}

/* ---- choice -------------------------------------------------------------------------------------
 */

/* Most rows for which the skinny form of this direction is worth having. */
static int64_t skinny_rows(const dot_gen *g) {
    if (!g->y.k_unit) {
        return FEW_ROWS;
    }
    /* Four bytes a word leave little to do along a short k: there adding up lanes is most of it. */
    int64_t k = g->d->k > 0 ? g->d->k / (g->per_word == 4 ? 16 : 1) : INT64_MAX;
    return tg_max_i64(tg_min_i64(ROWS_ALONG_K, k / 3), g->per_word == 4 ? 1 : FEW_ROWS);
}

static void emit_skinny(dot_gen *g, int64_t max_rows) {
    if (g->y.k_unit) {
        dot_emit_along_k(g, max_rows);
    } else {
        dot_gen wide = *g; /* to put words together costs more than to multiply one by one */
        wide.per_word = g->bf16 ? 1 : g->per_word;
        wide.bf16 = false;
        dot_emit_along_rows(&wide, max_rows);
    }
}

/*
 * The number of rows is known only at run time: a chain of branches, each form serving up to so
 * many rows. Over the whole of a long k (weights read once from memory), one row and few rows are
 * worth a form of their own. A product over a tile's k stands inside loops that are often peeled
 * into copies: there a second form has to pay for its code.
 */
static void emit_by_rows(dot_gen *g) {
    int64_t most = g->x.extent, limit = skinny_rows(g);
    bool streams = g->d->k <= 0;
    /* What decodes y costs as much as several products: two rows do not pay for four. */
    bool decodes = g->bf16 && g->sure && g->y.k_unit && limit > 2;
    int64_t up_to[3] = {streams ? 1 : decodes ? 2 : limit, streams ? FEW_ROWS : limit, limit};
    tg_op *branch[3] = {NULL, NULL, NULL};
    int depth = 0;
    if (!streams && limit < most && (!g->y.k_unit || g->d->k < LONG_K)) {
        dot_emit_packed(g);
        return;
    }
    for (int i = 0; i < 3; i++) {
        if (i > 0 && (up_to[i] <= up_to[i - 1] || up_to[i - 1] >= most)) {
            continue;
        }
        if (up_to[i] < most) {
            tg_value *few = dot_lt(g, g->x.len, dot_ix(g, up_to[i] + 1));
            branch[depth] = tg_build_if(g->b, few, 0, NULL);
        }
        emit_skinny(g, tg_min_i64(up_to[i], most));
        if (up_to[i] < most) {
            tg_build_else(g->b, branch[depth++], 0, NULL);
        }
    }
    if (limit < most) {
        dot_emit_packed(g);
    }
    while (depth > 0) {
        tg_build_end_if(g->b, branch[--depth], 0, NULL);
    }
}

static void emit_known_rows(dot_gen *g) {
    if (g->x.len_const <= skinny_rows(g)) {
        emit_skinny(g, tg_max_i64(g->x.len_const, 1));
    } else {
        dot_emit_packed(g);
    }
}

tg_status tg_emit_dot(tg_builder *b, const tg_machine *mc, tg_scratch *scratch,
                      const tg_dot_desc *d, tg_sink *sink) {
    bool computes = d->compute == TG_DT_F32 || d->compute == TG_DT_F64 ||
                    (tg_dtype_is_int(d->compute) && tg_dtype_bits(d->compute) >= 16);
    if (!computes) {
        tg_error(sink, TG_D_BACKEND, b->span, "dot: %s has no product on %s",
                 tg_dtype_name(d->compute), mc->name);
        return TG_E_UNSUPPORTED;
    }
    if (d->m <= 0 || d->n <= 0) {
        return TG_OK;
    }
    dot_gen g = make_gen(b, mc, scratch, d);
    bool few_columns = d->n <= FEW_COLUMNS && d->n < d->m && d->a.unit_cols == 1;
    if (few_columns) {
        exchange_operands(&g);
    }
    if (g.per_word == 2 && !g.bf16) {
        dot_choose_quads(&g);
    }
    tg_op *otherwise = NULL;
    if (!few_columns && dot_emit_codes(&g, &otherwise) && otherwise == NULL) {
        return TG_OK;
    }
    if (few_columns) {
        dot_emit_along_k(&g, d->n);
    } else if (g.x.len_const >= 0) {
        emit_known_rows(&g);
    } else {
        emit_by_rows(&g);
    }
    if (otherwise != NULL) {
        tg_build_end_if(b, otherwise, 0, NULL);
    }
    return TG_OK;
}
