/* SPDX-License-Identifier: Apache-2.0 */
/* Constant evaluation; see fold.h. */
#include "ir/fold.h"

#include <math.h>

static uint64_t width_mask(int bits) { return bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1; }

int64_t tg_fold_wrap(tg_dtype t, int64_t v) {
    if (t == TG_DT_BOOL) {
        return v != 0;
    }
    int bits = tg_dtype_bits(t);
    if (bits >= 64 || bits == 0) {
        return v;
    }
    uint64_t u = (uint64_t)v & width_mask(bits);
    if (tg_dtype_is_signed(t) && (u >> (bits - 1)) != 0) {
        u |= ~width_mask(bits);
    }
    return (int64_t)u;
}

/* ---- integers ------------------------------------------------------------------------------- */

static int64_t div_of(tg_dtype t, int64_t a, int64_t b) {
    if (tg_dtype_is_signed(t)) {
        return tg_div_i64(a, b);
    }
    return b == 0 ? 0 : (int64_t)((uint64_t)a / (uint64_t)b);
}

static int64_t rem_of(tg_dtype t, int64_t a, int64_t b) {
    if (tg_dtype_is_signed(t)) {
        return tg_mod_i64(a, b);
    }
    return b == 0 ? a : (int64_t)((uint64_t)a % (uint64_t)b);
}

static int64_t shift_of(tg_opcode code, tg_dtype t, int64_t a, int64_t b) {
    int bits = tg_dtype_bits(t);
    unsigned n = (unsigned)((uint64_t)b & (uint64_t)(bits - 1));
    if (code == TG_OP_SHL) {
        return (int64_t)((uint64_t)a << n);
    }
    if (tg_dtype_is_signed(t)) {
        /* Arithmetic shift spelled out: >> of a negative value is the implementation's choice. */
        return a < 0 ? (int64_t)~(~(uint64_t)a >> n) : a >> n;
    }
    return (int64_t)((uint64_t)a >> n);
}

static bool less_int(tg_dtype t, int64_t a, int64_t b) {
    return tg_dtype_is_signed(t) ? a < b : (uint64_t)a < (uint64_t)b;
}

bool tg_fold_int_binary(tg_opcode code, tg_dtype t, int64_t a, int64_t b, int64_t *out) {
    bool arithmetic = t != TG_DT_BOOL;
    bool is_logic = code == TG_OP_AND || code == TG_OP_OR || code == TG_OP_XOR;
    if (!arithmetic && !is_logic) {
        return false;
    }
    int64_t r;
    if (code == TG_OP_ADD) {
        r = (int64_t)((uint64_t)a + (uint64_t)b);
    } else if (code == TG_OP_SUB) {
        r = (int64_t)((uint64_t)a - (uint64_t)b);
    } else if (code == TG_OP_MUL) {
        r = (int64_t)((uint64_t)a * (uint64_t)b);
    } else if (code == TG_OP_DIV) {
        r = div_of(t, a, b);
    } else if (code == TG_OP_REM) {
        r = rem_of(t, a, b);
    } else if (code == TG_OP_MIN) {
        r = less_int(t, a, b) ? a : b;
    } else if (code == TG_OP_MAX) {
        r = less_int(t, a, b) ? b : a;
    } else if (code == TG_OP_AND) {
        r = a & b;
    } else if (code == TG_OP_OR) {
        r = a | b;
    } else if (code == TG_OP_XOR) {
        r = a ^ b;
    } else if (code == TG_OP_SHL || code == TG_OP_SHR) {
        r = shift_of(code, t, a, b);
    } else {
        return false;
    }
    *out = tg_fold_wrap(t, r);
    return true;
}

bool tg_fold_int_unary(tg_opcode code, tg_dtype t, int64_t a, int64_t *out) {
    if (t == TG_DT_BOOL) {
        if (code != TG_OP_NOT) {
            return false;
        }
        *out = a == 0;
        return true;
    }
    if (code == TG_OP_NEG || (code == TG_OP_ABS && a < 0 && tg_dtype_is_signed(t))) {
        *out = tg_fold_wrap(t, (int64_t)(0 - (uint64_t)a));
    } else if (code == TG_OP_ABS) {
        *out = a;
    } else if (code == TG_OP_NOT) {
        *out = tg_fold_wrap(t, ~a);
    } else if (code == TG_OP_POPCOUNT) {
        *out = __builtin_popcountll((uint64_t)a & width_mask(tg_dtype_bits(t)));
    } else {
        return false;
    }
    return true;
}

bool tg_fold_int_cmp(tg_cmp_pred p, tg_dtype t, int64_t a, int64_t b) {
    switch (p) {
    case TG_CMP_EQ:
        return a == b;
    case TG_CMP_NE:
        return a != b;
    case TG_CMP_LT:
        return less_int(t, a, b);
    case TG_CMP_LE:
        return !less_int(t, b, a);
    case TG_CMP_GT:
        return less_int(t, b, a);
    case TG_CMP_GE:
        return !less_int(t, a, b);
    }
    return false;
}

/* ---- floats --------------------------------------------------------------------------------- */

static bool less_float(double a, double b) {
    return a < b || (a == b && signbit(a) && !signbit(b));
}

/* One operation in f32: the operands are exact floats and each operation rounds once. */
static bool apply_f32(tg_opcode code, float a, float b, float *out) {
    if (code == TG_OP_ADD) {
        *out = a + b;
    } else if (code == TG_OP_SUB) {
        *out = a - b;
    } else if (code == TG_OP_MUL) {
        *out = a * b;
    } else if (code == TG_OP_DIV) {
        *out = a / b;
    } else if (code == TG_OP_REM) {
        *out = fmodf(a, b);
    } else {
        return false;
    }
    return true;
}

static bool apply_f64(tg_opcode code, double a, double b, double *out) {
    if (code == TG_OP_ADD) {
        *out = a + b;
    } else if (code == TG_OP_SUB) {
        *out = a - b;
    } else if (code == TG_OP_MUL) {
        *out = a * b;
    } else if (code == TG_OP_DIV) {
        *out = a / b;
    } else if (code == TG_OP_REM) {
        *out = fmod(a, b);
    } else {
        return false;
    }
    return true;
}

bool tg_fold_float_binary(tg_opcode code, tg_dtype t, double a, double b, double *out) {
    double r;
    if (isnan(a) || isnan(b) || (t != TG_DT_F32 && t != TG_DT_F64)) {
        return false;
    }
    if (code == TG_OP_MIN) {
        r = less_float(a, b) ? a : b;
    } else if (code == TG_OP_MAX) {
        r = less_float(a, b) ? b : a;
    } else if (t == TG_DT_F32) {
        float f;
        if (!apply_f32(code, (float)a, (float)b, &f)) {
            return false;
        }
        r = (double)f;
    } else if (!apply_f64(code, a, b, &r)) {
        return false;
    }
    if (isnan(r)) {
        return false;
    }
    *out = r;
    return true;
}

bool tg_fold_float_unary(tg_opcode code, tg_dtype t, double a, double *out) {
    if (isnan(a) || t == TG_DT_F8E8M0) {
        return false;
    }
    if (code == TG_OP_NEG && !(t == TG_DT_F8E4M3FNUZ && a == 0)) {
        *out = -a;
        return true;
    }
    if (code == TG_OP_ABS) {
        *out = fabs(a);
        return true;
    }
    return false;
}

bool tg_fold_float_cmp(tg_cmp_pred p, double a, double b) {
    switch (p) {
    case TG_CMP_EQ:
        return a == b;
    case TG_CMP_NE:
        return a != b;
    case TG_CMP_LT:
        return a < b;
    case TG_CMP_LE:
        return a <= b;
    case TG_CMP_GT:
        return a > b;
    case TG_CMP_GE:
        return a >= b;
    }
    return false;
}

bool tg_fold_float_to(tg_dtype t, double v, tg_round round, bool sat, double *out) {
    if (isnan(v) || !tg_dtype_is_float(t)) {
        return false;
    }
    double r = tg_float_decode(t, tg_float_encode(t, v, round, sat));
    if (isnan(r)) {
        return false;
    }
    *out = r;
    return true;
}

bool tg_fold_float_to_int(tg_dtype t, double v, int64_t *out) {
    if (!tg_dtype_is_int(t)) {
        return false;
    }
    int bits = tg_dtype_bits(t);
    bool is_signed = tg_dtype_is_signed(t);
    double top = ldexp(1.0, is_signed ? bits - 1 : bits);
    double low = is_signed ? -top : 0.0;
    if (isnan(v)) {
        *out = 0;
    } else if (v >= top) {
        *out = (int64_t)(is_signed ? width_mask(bits - 1) : width_mask(bits));
    } else if (v <= low) {
        *out = is_signed ? tg_fold_wrap(t, (int64_t)((uint64_t)1 << (bits - 1))) : 0;
    } else if (is_signed) {
        *out = (int64_t)v;
    } else {
        *out = (int64_t)(uint64_t)v;
    }
    return true;
}

bool tg_fold_int_to_float(tg_dtype from, int64_t v, tg_dtype to, double *out) {
    bool is_signed = from == TG_DT_BOOL || tg_dtype_is_signed(from);
    if (to == TG_DT_F64) {
        *out = is_signed ? (double)v : (double)(uint64_t)v;
        return true;
    }
    if (to == TG_DT_F32) {
        /* From the integer at once: through double would round twice. */
        *out = (double)(is_signed ? (float)v : (float)(uint64_t)v);
        return true;
    }
    /* Narrower targets: exact in double below 2^53, so one rounding. */
    uint64_t magnitude = is_signed && v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    if (magnitude >= (uint64_t)1 << 53) {
        return false;
    }
    return tg_fold_float_to(to, is_signed ? (double)v : (double)(uint64_t)v, TG_ROUND_RNE, false,
                            out);
}
