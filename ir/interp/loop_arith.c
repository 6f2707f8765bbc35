/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementwise and lane operations of the loop interpreter. Integer rules come from ir/fold.h,
 * conversions and math from the tile interpreter's numbers; what is here is the walk over cells and
 * what undefined operands do to a result.
 */
#include <math.h>
#include <string.h>

#include "ir/fold.h"
#include "ir/interp/loop_internal.h"

static float to_f32(uint64_t bits) {
    uint32_t b = (uint32_t)bits;
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}

static uint64_t of_f32(float f) {
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

static double to_f64(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static uint64_t of_f64(double d) {
    uint64_t b;
    memcpy(&b, &d, sizeof b);
    return b;
}

uint64_t tg_li_canonical(tg_dtype t, uint64_t bits) {
    return tg_dtype_is_float(t) ? tg_num_encode(t, tg_num_decode(NULL, t, bits))
                                : (uint64_t)tg_fold_wrap(t, (int64_t)bits);
}

static double float_of(tg_dtype t, uint64_t bits) {
    return t == TG_DT_F32   ? (double)to_f32(bits)
           : t == TG_DT_F64 ? to_f64(bits)
                            : tg_float_decode(t, bits);
}

/* ---- two operands --------------------------------------------------------------------------- */

static uint64_t binary_f32(tg_opcode code, uint64_t x, uint64_t y) {
    float a = to_f32(x), b = to_f32(y);
    switch ((int)code) {
    case TG_OP_ADD:
        return of_f32(a + b);
    case TG_OP_SUB:
        return of_f32(a - b);
    case TG_OP_MUL:
        return of_f32(a * b);
    case TG_OP_DIV:
        return of_f32(a / b);
    case TG_OP_REM:
        return of_f32(fmodf(a, b));
    case TG_OP_MIN:
        return of_f32((float)tg_num_min((double)a, (double)b));
    case TG_OP_MAX:
        return of_f32((float)tg_num_max((double)a, (double)b));
    }
    return 0;
}

static uint64_t binary_f64(tg_opcode code, uint64_t x, uint64_t y) {
    double a = to_f64(x), b = to_f64(y);
    switch ((int)code) {
    case TG_OP_ADD:
        return of_f64(a + b);
    case TG_OP_SUB:
        return of_f64(a - b);
    case TG_OP_MUL:
        return of_f64(a * b);
    case TG_OP_DIV:
        return of_f64(a / b);
    case TG_OP_REM:
        return of_f64(fmod(a, b));
    case TG_OP_MIN:
        return of_f64(tg_num_min(a, b));
    case TG_OP_MAX:
        return of_f64(tg_num_max(a, b));
    }
    return 0;
}

/* Storage floats (placed code): only min and max, which pick one. */
static uint64_t pick_float(tg_opcode code, tg_dtype t, uint64_t a, uint64_t b) {
    tg_cell v = {.f = code == TG_OP_MIN ? tg_num_min(float_of(t, a), float_of(t, b))
                                        : tg_num_max(float_of(t, a), float_of(t, b))};
    return tg_num_encode(t, v);
}

uint64_t tg_li_binary(tg_opcode code, tg_dtype t, uint64_t a, uint64_t b) {
    if (t == TG_DT_F32) {
        return binary_f32(code, a, b);
    }
    if (t == TG_DT_F64) {
        return binary_f64(code, a, b);
    }
    if (tg_dtype_is_float(t)) {
        return pick_float(code, t, a, b);
    }
    int64_t r = 0;
    switch ((int)code) { /* the frequent ones at once */
    case TG_OP_ADD:
        r = (int64_t)(a + b);
        break;
    case TG_OP_SUB:
        r = (int64_t)(a - b);
        break;
    case TG_OP_MUL:
        r = (int64_t)(a * b);
        break;
    case TG_OP_AND:
        r = (int64_t)(a & b);
        break;
    case TG_OP_OR:
        r = (int64_t)(a | b);
        break;
    default:
        (void)tg_fold_int_binary(code, t, (int64_t)a, (int64_t)b, &r);
        return (uint64_t)r;
    }
    return t == TG_DT_I64 || t == TG_DT_U64 ? (uint64_t)r
           : t == TG_DT_I32                 ? (uint64_t)(int64_t)(int32_t)(uint32_t)r
                                            : (uint64_t)tg_fold_wrap(t, r);
}

/* Undefined operands that the other operand makes irrelevant. */
static bool absorbed(tg_opcode code, tg_dtype t, uint64_t other, bool other_undefined) {
    if (other_undefined || tg_dtype_is_float(t)) {
        return false;
    }
    if (code == TG_OP_AND || code == TG_OP_MUL) {
        return other == 0;
    }
    return code == TG_OP_OR && other == (uint64_t)tg_fold_wrap(t, -1);
}

static void eval_binary(const tg_li_ins *i, uint64_t *cells, uint8_t *undefined) {
    int32_t x = i->arg[0], y = i->arg[1], r = i->result;
    tg_opcode code = (tg_opcode)i->code;
    tg_dtype t = (tg_dtype)i->type;
    for (int32_t k = 0; k < i->n; k++) {
        uint64_t a = cells[x + k], b = cells[y + k];
        uint8_t ua = undefined[x + k], ub = undefined[y + k];
        cells[r + k] = tg_li_binary(code, t, a, b);
        undefined[r + k] =
            (ua | ub) && !(ua && absorbed(code, t, b, ub)) && !(ub && absorbed(code, t, a, ua));
    }
}

static bool compare(tg_cmp_pred p, tg_dtype t, uint64_t a, uint64_t b) {
    return tg_dtype_is_float(t) ? tg_fold_float_cmp(p, float_of(t, a), float_of(t, b))
                                : tg_fold_int_cmp(p, t, (int64_t)a, (int64_t)b);
}

/* ---- one operand ---------------------------------------------------------------------------- */

static uint64_t negate(tg_opcode code, tg_dtype t, uint64_t a) {
    if (!tg_dtype_is_float(t)) {
        int64_t r = 0;
        (void)tg_fold_int_unary(code, t, (int64_t)a, &r);
        return (uint64_t)r;
    }
    uint64_t sign = UINT64_C(1) << (tg_dtype_bits(t) - 1);
    return code == TG_OP_NEG ? a ^ sign : a & ~sign;
}

static uint64_t cast(const tg_li_run *r, const tg_li_ins *i, uint64_t a) {
    tg_dtype from = (tg_dtype)i->from, to = (tg_dtype)i->type;
    bool sat = (i->imm & 1) != 0;
    if (!tg_dtype_is_float(from) && !tg_dtype_is_float(to) && !sat) {
        return to == TG_DT_BOOL ? a != 0 : (uint64_t)tg_fold_wrap(to, (int64_t)a);
    }
    tg_cell c = tg_num_decode(&r->numbers, from, a);
    c = tg_num_cast(&r->numbers, from, to, c, (tg_round)(i->imm / 2), sat);
    return tg_dtype_is_float(to) ? tg_num_encode(to, c) : (uint64_t)c.i;
}

static uint64_t bitcast(tg_dtype to, tg_dtype from, uint64_t a) {
    int bits = tg_dtype_bits(from);
    uint64_t raw = bits == 64 ? a : a & ((UINT64_C(1) << bits) - 1);
    return tg_dtype_is_float(to) ? raw : (uint64_t)tg_fold_wrap(to, (int64_t)raw);
}

static uint64_t math(const tg_li_run *r, const tg_li_ins *i, uint64_t a) {
    bool exact;
    double v = tg_num_math((tg_math_fn)i->imm, float_of((tg_dtype)i->type, a), &exact);
    (void)r;
    return i->type == TG_DT_F32 ? of_f32((float)v) : of_f64(v);
}

static uint64_t unary(const tg_li_run *r, const tg_li_ins *i, uint64_t a) {
    switch ((int)i->code) {
    case TG_OP_CAST:
        return cast(r, i, a);
    case TG_OP_BITCAST:
        return bitcast((tg_dtype)i->type, (tg_dtype)i->from, a);
    case TG_OP_MATH:
        return math(r, i, a);
    }
    return negate((tg_opcode)i->code, (tg_dtype)i->type, a);
}

/* ---- lanes of vectors ----------------------------------------------------------------------- */

static void set(uint64_t *cells, uint8_t *undefined, int32_t to, uint64_t v, uint8_t u) {
    cells[to] = v;
    undefined[to] = u;
}

/* Halves are combined element by element; what an odd length leaves over joins at the end. */
static void eval_reducev(const tg_li_ins *i, uint64_t *cells, uint8_t *undefined) {
    static const tg_opcode codes[] = {TG_OP_ADD, TG_OP_MUL, TG_OP_MIN,
                                      TG_OP_MAX, TG_OP_OR,  TG_OP_AND};
    uint64_t v[256] = {0};
    uint8_t u = 0;
    int32_t n = i->n > 256 ? 256 : i->n;
    for (int32_t k = 0; k < n; k++) {
        v[k] = cells[i->arg[0] + k];
        u |= undefined[i->arg[0] + k];
    }
    for (; n > 1; n = n / 2) {
        for (int32_t k = 0; k < n / 2; k++) {
            v[k] = tg_li_binary(codes[i->imm], (tg_dtype)i->type, v[k], v[k + n / 2]);
        }
        if (n % 2 != 0) {
            v[0] = tg_li_binary(codes[i->imm], (tg_dtype)i->type, v[0], v[n - 1]);
        }
    }
    set(cells, undefined, i->result, v[0], u);
}

static void eval_shuffle(const tg_li_ins *i, uint64_t *cells, uint8_t *undefined) {
    int64_t half = tg_operand(i->op, 0)->type->shape[0];
    uint64_t v[256];
    uint8_t u[256];
    int32_t n = i->n > 256 ? 256 : i->n;
    for (int32_t k = 0; k < n; k++) {
        int64_t from = i->list[k];
        int32_t at = from < half ? i->arg[0] + (int32_t)from : i->arg[1] + (int32_t)(from - half);
        v[k] = from < 0 ? 0 : cells[at];
        u[k] = from < 0 ? 1 : undefined[at];
    }
    memcpy(&cells[i->result], v, (size_t)n * sizeof v[0]);
    memcpy(&undefined[i->result], u, (size_t)n);
}

static void eval_maskbits(const tg_li_ins *i, uint64_t *cells, uint8_t *undefined) {
    uint64_t bits = 0;
    uint8_t u = 0;
    for (int32_t k = 0; k < i->n && k < 64; k++) {
        bits |= (uint64_t)(cells[i->arg[0] + k] != 0) << k;
        u |= undefined[i->arg[0] + k];
    }
    set(cells, undefined, i->result, bits, u);
}

static bool eval_vector(const tg_li_ins *i, uint64_t *cells, uint8_t *undefined) {
    int32_t x = i->arg[0], r = i->result;
    switch ((int)i->code) {
    case TG_OP_SPLAT:
        for (int32_t k = 0; k < i->n; k++) {
            set(cells, undefined, r + k, cells[x], undefined[x]);
        }
        return true;
    case TG_OP_EXTRACT:
        set(cells, undefined, r, cells[x + i->imm], undefined[x + i->imm]);
        return true;
    case TG_OP_INSERT:
        memcpy(&cells[r], &cells[x], (size_t)i->n * sizeof cells[0]);
        memcpy(&undefined[r], &undefined[x], (size_t)i->n);
        set(cells, undefined, r + (int32_t)i->imm, cells[i->arg[1]], undefined[i->arg[1]]);
        return true;
    case TG_OP_SHUFFLE:
        eval_shuffle(i, cells, undefined);
        return true;
    case TG_OP_REDUCEV:
        eval_reducev(i, cells, undefined);
        return true;
    case TG_OP_LANES:
        for (int32_t k = 0; k < i->n; k++) {
            set(cells, undefined, r + k, (uint64_t)tg_fold_wrap((tg_dtype)i->type, k), 0);
        }
        return true;
    case TG_OP_MASKBITS:
        eval_maskbits(i, cells, undefined);
        return true;
    case TG_OP_PMASK:
        for (int32_t k = 0; k < i->n; k++) {
            set(cells, undefined, r + k, k < (int64_t)cells[x], undefined[x]);
        }
        return true;
    }
    return false;
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void eval_constant(const tg_li_ins *i, uint64_t *cells, uint8_t *undefined) {
    tg_dtype t = (tg_dtype)i->type;
    uint64_t v;
    if (i->code == TG_OP_CONST_FLOAT) {
        tg_cell c = {.f = tg_attr_float(i->op, TG_ATTR_VALUE_F, 0)};
        v = tg_num_encode(t, c);
    } else {
        v = tg_dtype_is_float(t) ? (uint64_t)i->imm : (uint64_t)tg_fold_wrap(t, i->imm);
    }
    for (int32_t k = 0; k < i->n; k++) {
        set(cells, undefined, i->result + k, v, 0);
    }
}

static void eval_fma(const tg_li_ins *i, uint64_t *cells, uint8_t *undefined) {
    tg_dtype t = (tg_dtype)i->type;
    for (int32_t k = 0; k < i->n; k++) {
        uint64_t a = cells[i->arg[0] + k], b = cells[i->arg[1] + k], c = cells[i->arg[2] + k];
        uint8_t u = undefined[i->arg[0] + k] | undefined[i->arg[1] + k] | undefined[i->arg[2] + k];
        uint64_t v = t == TG_DT_F32   ? of_f32(fmaf(to_f32(a), to_f32(b), to_f32(c)))
                     : t == TG_DT_F64 ? of_f64(fma(to_f64(a), to_f64(b), to_f64(c)))
                                      : (uint64_t)tg_fold_wrap(t, (int64_t)(a * b + c));
        set(cells, undefined, i->result + k, v, u);
    }
}

static void eval_select(const tg_li_ins *i, uint64_t *cells, uint8_t *undefined) {
    for (int32_t k = 0; k < i->n; k++) {
        int32_t from = (cells[i->arg[0] + k] != 0 ? i->arg[1] : i->arg[2]) + k;
        set(cells, undefined, i->result + k, cells[from],
            (uint8_t)(undefined[from] | undefined[i->arg[0] + k]));
    }
}

bool tg_li_arith(tg_li_run *r, const tg_li_ins *i, uint64_t *cells, uint8_t *undefined) {
    int32_t x = i->arg[0], y = i->arg[1];
    switch ((int)i->code) {
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
        eval_constant(i, cells, undefined);
        return true;
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_MUL:
    case TG_OP_DIV:
    case TG_OP_REM:
    case TG_OP_MIN:
    case TG_OP_MAX:
    case TG_OP_AND:
    case TG_OP_OR:
    case TG_OP_XOR:
    case TG_OP_SHL:
    case TG_OP_SHR:
        eval_binary(i, cells, undefined);
        return true;
    case TG_OP_FMA:
        eval_fma(i, cells, undefined);
        return true;
    case TG_OP_SELECT:
        eval_select(i, cells, undefined);
        return true;
    case TG_OP_CMP:
        for (int32_t k = 0; k < i->n; k++) {
            bool v = compare((tg_cmp_pred)i->imm, (tg_dtype)i->from, cells[x + k], cells[y + k]);
            set(cells, undefined, i->result + k, v, undefined[x + k] | undefined[y + k]);
        }
        return true;
    case TG_OP_NEG:
    case TG_OP_ABS:
    case TG_OP_NOT:
    case TG_OP_POPCOUNT:
    case TG_OP_CAST:
    case TG_OP_BITCAST:
    case TG_OP_MATH:
        for (int32_t k = 0; k < i->n; k++) {
            set(cells, undefined, i->result + k, unary(r, i, cells[x + k]), undefined[x + k]);
        }
        return true;
    case TG_OP_GEP:
        set(cells, undefined, i->result,
            cells[x] + cells[y] * (uint64_t)tg_attr_int(i->op, TG_ATTR_BYTES, 1),
            undefined[x] | undefined[y]);
        return true;
    }
    return eval_vector(i, cells, undefined);
}
