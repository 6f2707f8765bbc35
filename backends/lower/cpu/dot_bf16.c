/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of two bf16 a word: vdpbf16ps adds the second element's product to an f32, then the
 * first's, each rounded once, as two fused multiply-adds do. But it takes subnormal elements, sums
 * and results for 0.
 *
 * So the smallest elements but zero of both operands are looked for. Where the sum of their
 * exponents keeps every product a multiple of the smallest normal number, so is every sum of
 * products, and the instruction's bits are those of fused multiply-adds. Elsewhere the same words
 * are multiplied by these, element by element and in the same order: the bits do not depend on the
 * way that is taken. Floats of 8 bits and fewer are bf16 whose products are never subnormal.
 */
#include "backends/lower/cpu/dot.h"

/* Biased exponents of bf16; a product of elements of exponents e and f is a multiple of 2^(e + f -
 * 2 * (BIAS + MANTISSA)), and the smallest normal f32 is 2^(1 - BIAS). */
enum { BIAS = 127, MANTISSA = 7, LEAST_SUM = 2 * (BIAS + MANTISSA) + 1 - BIAS };

static bool small_float(tg_dtype t) { return tg_dtype_is_float(t) && tg_dtype_bits(t) <= 8; }

void dot_choose_bf16(dot_gen *g) {
    const tg_dot_desc *d = g->d;
    bool small = small_float(d->a.dtype) && small_float(d->b.dtype) && d->a.dtype != TG_DT_F8E8M0 &&
                 d->b.dtype != TG_DT_F8E8M0;
    bool both = d->compute == TG_DT_F32 &&
                (small || (d->a.dtype == TG_DT_BF16 && d->b.dtype == TG_DT_BF16));
    g->sure = small;
    if (both && (g->mc->features & TG_CPU_AVX512_BF16) && g->vector_bytes == 64) {
        g->bf16 = true;
        g->per_word = 2;
    }
}

tg_value *dot_bf16_bits(dot_gen *g, tg_value *x) {
    bool vector = x->type->kind == TG_TY_VEC;
    tg_module *m = g->b->module;
    const tg_type *t =
        vector ? tg_type_vec(m, TG_DT_U32, x->type->shape[0]) : tg_type_scalar(m, TG_DT_U32);
    x = tg_build1(g->b, TG_OP_BITCAST, t, 1, x);
    x = tg_build_binary(g->b, TG_OP_SHR, x, tg_build_int(g->b, t, 16));
    return tg_build_cast(g->b, x, TG_DT_U16);
}

/*
 * Codes of f8e4m3 as bf16: sign, exponent and mantissa go to their places and the biases'
 * difference is added; subnormal numbers are looked up.
 */
static tg_value *e4m3_bits(dot_gen *g, tg_value *code) {
    enum { LANES = 32, MAGNITUDE = 0x7F, EXPONENT = 0x78, BIASES = 120 << MANTISSA, NAN = 0x7FC0 };
    tg_builder *b = g->b;
    const tg_type *one = tg_type_scalar(b->module, TG_DT_U16);
    tg_value *z = tg_build_cast(b, code, TG_DT_U16), *zero = tg_build_int(b, z->type, 0);
    tg_value *at = tg_build_binary(b, TG_OP_SHL, z, tg_build_int(b, z->type, 4));
    at = tg_build_binary(b, TG_OP_AND, at, tg_build_int(b, z->type, MAGNITUDE << 4));
    at = tg_build_binary(b, TG_OP_ADD, at, tg_build_int(b, z->type, BIASES));
    tg_value *table = zero;
    for (int i = 0; i < LANES; i++) { /* by the low five bits of a code, of which three count */
        double v = tg_float_decode(TG_DT_F8E4M3, (uint64_t)(i & 7));
        uint64_t bits = tg_float_encode(TG_DT_BF16, v, TG_ROUND_RNE, false);
        table = tg_build_insert(b, table, tg_build_int(b, one, (int64_t)bits), i);
    }
    tg_value *args[2] = {table, z};
    tg_value *low = tg_build_intrinsic(b, "x86.avx512.permvar.hi.512", z->type, 2, args);
    tg_value *exponent = tg_build_binary(b, TG_OP_AND, z, tg_build_int(b, z->type, EXPONENT));
    at = tg_build_select(b, tg_build_cmp(b, TG_CMP_EQ, exponent, zero), low, at);
    tg_value *all = tg_build_int(b, z->type, MAGNITUDE);
    tg_value *is_nan = tg_build_cmp(b, TG_CMP_EQ, tg_build_binary(b, TG_OP_AND, z, all), all);
    at = tg_build_select(b, is_nan, tg_build_int(b, z->type, NAN), at);
    tg_value *sign = tg_build_binary(b, TG_OP_SHL, z, tg_build_int(b, z->type, 8));
    sign = tg_build_binary(b, TG_OP_AND, sign, tg_build_int(b, z->type, 0x8000));
    return tg_build_binary(b, TG_OP_OR, at, sign);
}

tg_value *dot_bf16_of(dot_gen *g, tg_value *x, tg_dtype from) {
    if (from == TG_DT_BF16) {
        return x;
    }
    if (from == TG_DT_F8E4M3 && x->type->kind == TG_TY_VEC && x->type->shape[0] == 32) {
        return e4m3_bits(g, x);
    }
    return dot_bf16_bits(g,
                         tg_expand_convert(g->b, g->mc, x, from, TG_DT_F32, TG_ROUND_RNE, false));
}

/* Element `second` of every word, as f32. */
static tg_value *element(dot_gen *g, tg_value *words, bool second) {
    const tg_type *t = tg_type_vec(g->b->module, TG_DT_U32, g->vl);
    tg_value *bits = tg_build1(g->b, TG_OP_BITCAST, t, 1, words);
    bits = second
               ? tg_build_binary(g->b, TG_OP_AND, bits, tg_build_int(g->b, t, (int64_t)0xFFFF0000))
               : tg_build_binary(g->b, TG_OP_SHL, bits, tg_build_int(g->b, t, 16));
    return tg_build1(g->b, TG_OP_BITCAST, g->vec_type, 1, bits);
}

/* The elements of a vector of words. */
static const tg_type *bits_type(dot_gen *g) {
    return tg_type_vec(g->b->module, TG_DT_U16, 2 * g->vl);
}

tg_value *dot_bf16_add(dot_gen *g, tg_value *x, tg_value *y, tg_value *acc) {
    if (!g->apart) {
        const tg_type *pairs = bits_type(g);
        tg_value *args[3] = {acc, tg_build1(g->b, TG_OP_BITCAST, pairs, 1, x),
                             tg_build1(g->b, TG_OP_BITCAST, pairs, 1, y)};
        return tg_build_intrinsic(g->b, "x86.avx512bf16.dpbf16ps.512", g->vec_type, 3, args);
    }
    acc = tg_build_fma(g->b, element(g, x, true), element(g, y, true), acc);
    return tg_build_fma(g->b, element(g, x, false), element(g, y, false), acc);
}

/* ---- the smallest element
 * --------------------------------------------------------------------------------------- */

tg_value *dot_least_none(dot_gen *g) { return tg_build_int(g->b, bits_type(g), UINT16_MAX); }

/* Twice the magnitude's bits, less one: zero becomes the greatest of all. */
tg_value *dot_least_add(dot_gen *g, tg_value *least, tg_value *words) {
    const tg_type *t = bits_type(g);
    tg_value *x = tg_build1(g->b, TG_OP_BITCAST, t, 1, words);
    x = tg_build_binary(g->b, TG_OP_ADD, x, x);
    x = tg_build_binary(g->b, TG_OP_SUB, x, tg_build_int(g->b, t, 1));
    return tg_build_binary(g->b, TG_OP_MIN, least, x);
}

tg_value *dot_least_of(dot_gen *g, tg_value *least) {
    return tg_build_cast(g->b, tg_build_reducev(g->b, TG_RED_MIN, least), TG_DT_I64);
}

tg_value *dot_least_rows(dot_gen *g, tg_value *rows, int64_t pitch_words, tg_value *count,
                         tg_value *words) {
    tg_value *r, *w, *least[1] = {dot_least_none(g)};
    tg_op *outer = tg_build_for(g->b, dot_ix(g, 0), count, dot_ix(g, 1), 1, least, &r);
    tg_value *row = dot_atc(g, rows, r, pitch_words * g->word_bytes);
    tg_op *inner = tg_build_for(g->b, dot_ix(g, 0), words, dot_ix(g, g->vl), 1, least, &w);
    tg_value *x = dot_load(g, dot_atc(g, row, w, g->word_bytes), g->vl, g->word_bytes);
    least[0] = dot_least_add(g, least[0], x);
    tg_build_end_for(g->b, inner, 1, least);
    tg_build_end_for(g->b, outer, 1, least);
    return dot_least_of(g, least[0]);
}

tg_value *dot_bf16_fits(dot_gen *g, tg_value *least_x, tg_value *least_y) {
    tg_value *eight = dot_ix(g, 8);
    tg_value *ex = tg_build_binary(g->b, TG_OP_SHR, least_x, eight);
    tg_value *ey = tg_build_binary(g->b, TG_OP_SHR, least_y, eight);
    tg_value *normal = dot_lt(g, dot_ix(g, 0), dot_min(g, ex, ey));
    tg_value *enough = dot_lt(g, dot_ix(g, LEAST_SUM - 1), dot_add(g, ex, ey));
    return tg_build_binary(g->b, TG_OP_AND, normal, enough);
}
