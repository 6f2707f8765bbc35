/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of four bytes a word: unsigned bytes of y times signed bytes of x, neighbours added in
 * 16 bits with saturation (vpmaddubsw), pairs of those in 32.
 *
 * Taken only where no sum of 16 bits can leave its type, or where the machine adds the four
 * products to the word at once (vpdpbusd). y's elements come less their least value, so they are
 * not negative; what that takes from a sum, least * (sum of the row of x), is known once x is
 * staged and is where the sums of the row start.
 */
#include "backends/lower/cpu/dot.h"

static const char *bytes_product(const dot_gen *g) {
    return g->vector_bytes == 64   ? "x86.avx512.pmaddubs.w.512"
           : g->vector_bytes == 32 ? "x86.avx2.pmadd.ub.sw"
                                   : NULL;
}

void dot_choose_quads(dot_gen *g) {
    tg_range x = g->x.op->range, y = g->y.op->range;
    int64_t most_x = tg_max_i64(-x.lo, x.hi), width = y.hi - y.lo;
    bool fits = g->x.op->ranged && g->y.op->ranged && x.lo >= INT8_MIN && x.hi <= INT8_MAX &&
                width > 0 && width <= UINT8_MAX;
    if (!fits || !g->x.k_unit || !g->y.k_unit || bytes_product(g) == NULL) {
        return;
    }
    int64_t products = INT16_MAX / tg_max_i64(2 * width * most_x, 1);
    if (products < 1 && !g->sums_words) {
        return;
    }
    g->per_word = 4;
    g->least = y.lo;
    g->group = g->sums_words ? 1 : products >= 8 ? 8 : products >= 4 ? 4 : products >= 2 ? 2 : 1;
}

tg_value *dot_add_words(dot_gen *g, tg_value *x, tg_value *y, tg_value *acc) {
    tg_value *args[3] = {acc, y, x}; /* of bytes the unsigned ones come first */
    static const char *const bytes[2] = {"x86.avx512.vpdpbusd.256", "x86.avx512.vpdpbusd.512"};
    static const char *const halves[2] = {"x86.avx512.vpdpwssd.256", "x86.avx512.vpdpwssd.512"};
    const char *name = (g->per_word == 4 ? bytes : halves)[g->vector_bytes == 64];
    return tg_build_intrinsic(g->b, name, g->vec_type, 3, args);
}

/* Sums of two products each, in 16 bits. */
tg_value *dot_quad_halves(dot_gen *g, tg_value *x, tg_value *y) {
    tg_module *m = g->b->module;
    tg_value *u = tg_build1(g->b, TG_OP_BITCAST, tg_type_vec(m, TG_DT_U8, 4 * g->vl), 1, y);
    tg_value *s = tg_build1(g->b, TG_OP_BITCAST, tg_type_vec(m, TG_DT_I8, 4 * g->vl), 1, x);
    tg_value *args[2] = {u, s};
    return tg_build_intrinsic(g->b, bytes_product(g), tg_type_vec(m, TG_DT_I16, 2 * g->vl), 2,
                              args);
}

/* Words of sums in 16 bits. */
tg_value *dot_quad_words(dot_gen *g, tg_value *halves) {
    tg_value *args[2] = {halves, tg_build_int(g->b, halves->type, 1)};
    return tg_build_intrinsic(g->b, g->pair_product, g->vec_type, 2, args);
}

void dot_quad_starts(dot_gen *g, tg_value *rows, int64_t pitch_words, tg_value *count,
                     tg_value *words, tg_value *to) {
    if (g->least == 0) {
        return;
    }
    tg_value *ones =
        tg_build1(g->b, TG_OP_BITCAST, g->vec_type, 1,
                  tg_build_int(g->b, tg_type_vec(g->b->module, TG_DT_U8, 4 * g->vl), 1));
    dot_loop r = dot_for(g, dot_ix(g, 0), count, 1);
    tg_value *row = dot_atc(g, rows, r.iv, pitch_words * g->word_bytes);
    tg_value *w, *sum[1] = {dot_zero(g)};
    tg_op *loop = tg_build_for(g->b, dot_ix(g, 0), words, dot_ix(g, g->vl), 1, sum, &w);
    tg_value *x = dot_load(g, dot_atc(g, row, w, g->word_bytes), g->vl, g->word_bytes);
    tg_value *part = dot_quad_words(g, dot_quad_halves(g, x, ones));
    sum[0] = tg_build_binary(g->b, TG_OP_ADD, sum[0], part);
    tg_build_end_for(g->b, loop, 1, sum);
    tg_value *all = tg_build_reducev(g->b, TG_RED_SUM, sum[0]);
    all = tg_build_binary(g->b, TG_OP_MUL, all, tg_build_int(g->b, g->word_type, g->least));
    dot_store(g, dot_atc(g, to, r.iv, g->word_bytes), all, g->word_bytes);
    dot_end_for(g, r);
}
