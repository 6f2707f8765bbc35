/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floats of 8 bits as bf16, looked up in registers: the magnitude's seven bits choose the low byte
 * of a bf16 from one table of 128 and the high byte from another, the sign is put in, and the bytes
 * of a register of codes become two vectors of bf16 by interleaving inside lanes of 16 bytes. So
 * each of the two takes every other group of eight elements of k, and the other operand's rows are
 * brought into that order once.
 */
#include "backends/lower/cpu/dot.h"

enum { CODES = 64, LANE = 16, MAGNITUDES = 128, SIGN = 0x80 };

bool dot_splits_bytes(const dot_gen *g, const dot_side *s) {
    const tg_dot_operand *op = s->op;
    return g->bf16 && g->vector_bytes == CODES && (g->mc->features & TG_CPU_AVX512_VBMI) &&
           g->d->kmask == NULL && op->base != NULL && s->k_unit && op->unit_cols >= 0 &&
           (op->dtype == TG_DT_F8E4M3 || op->dtype == TG_DT_F8E5M2);
}

static const tg_type *codes_type(dot_gen *g) { return tg_type_vec(g->b->module, TG_DT_U8, CODES); }

/* Byte `high` of the bf16 that magnitude first + lane stands for. */
static tg_value *table(dot_gen *g, tg_dtype of, int first, bool high) {
    const tg_type *one = tg_type_scalar(g->b->module, TG_DT_U8);
    tg_value *v = tg_build_int(g->b, codes_type(g), 0);
    for (int l = 0; l < CODES; l++) {
        double value = tg_float_decode(of, (uint64_t)(first + l));
        uint64_t bits = tg_float_encode(TG_DT_BF16, value, TG_ROUND_RNE, false);
        int64_t byte = (int64_t)(high ? bits >> 8 : bits & UINT8_MAX);
        v = tg_build_insert(g->b, v, tg_build_int(g->b, one, byte), l);
    }
    return v;
}

static tg_value *look_up(dot_gen *g, tg_dtype of, tg_value *codes, bool high) {
    tg_value *args[3] = {table(g, of, 0, high), codes, table(g, of, MAGNITUDES / 2, high)};
    return tg_build_intrinsic(g->b, "x86.avx512.vpermi2var.qi.512", codes_type(g), 3, args);
}

void dot_fetch_bytes(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, tg_value **out) {
    tg_builder *b = g->b;
    const tg_dot_operand *op = s->op;
    tg_value *p = dot_at(g, dot_at(g, op->base, row, s->row_bytes), k, s->k_bytes);
    tg_value *codes = tg_build_loadm(b, codes_type(g), p, 1);
    tg_value *sign =
        tg_build_binary(b, TG_OP_AND, codes, tg_build_int(b, codes->type, (int64_t)SIGN));
    tg_value *lo = look_up(g, op->dtype, codes, false);
    tg_value *hi = tg_build_binary(b, TG_OP_OR, look_up(g, op->dtype, codes, true), sign);
    for (int h = 0; h < 2; h++) {
        int64_t map[CODES];
        for (int i = 0; i < CODES; i++) {
            int from = i / LANE * LANE + h * LANE / 2 + i % LANE / 2;
            map[i] = i % 2 == 0 ? from : CODES + from;
        }
        tg_value *words = tg_build_shuffle(b, lo, hi, CODES, map);
        out[h] = tg_build1(b, TG_OP_BITCAST, g->vec_type, 1, words);
    }
}

/* Two vectors of words, in the order of dot_fetch_bytes. */
static void split_lanes(dot_gen *g, tg_value **v) {
    int lane = (int)(LANE / g->word_bytes);
    tg_value *out[2];
    for (int h = 0; h < 2; h++) {
        int64_t map[DOT_MAX_LANES];
        for (int i = 0; i < g->vl; i++) {
            map[i] = (int64_t)(2 * (i / lane) + h) * lane + i % lane;
        }
        out[h] = tg_build_shuffle(g->b, v[0], v[1], g->vl, map);
    }
    v[0] = out[0];
    v[1] = out[1];
}

void dot_split_rows(dot_gen *g, tg_value *at, int64_t pitch_words, tg_value *count, tg_value *len) {
    int64_t unit = g->word_bytes / g->per_word;
    dot_loop rows = dot_for(g, dot_ix(g, 0), count, 1);
    tg_value *row = dot_atc(g, at, rows.iv, pitch_words * g->word_bytes), *v[2];
    dot_loop e = dot_for(g, dot_ix(g, 0), dot_addc(g, len, 1 - CODES), CODES);
    tg_value *to = dot_atc(g, row, e.iv, unit), *next = dot_atc(g, to, dot_ix(g, CODES / 2), unit);
    v[0] = dot_load(g, to, g->vl, g->word_bytes);
    v[1] = dot_load(g, next, g->vl, g->word_bytes);
    split_lanes(g, v);
    dot_store(g, to, v[0], g->word_bytes);
    dot_store(g, next, v[1], g->word_bytes);
    dot_end_for(g, e);
    dot_end_for(g, rows);
}
