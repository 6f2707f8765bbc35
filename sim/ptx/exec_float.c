/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point (9.7.3 to 9.7.5) and comparisons (9.7.6, 9.7.7). What the manual calls approximate
 * is computed in double precision and rounded once: nearer to the truth than a device need be.
 */
#include "sim/ptx/decode.h"

#include <math.h>
#include <string.h>

static const uint32_t NAN32 = 0x7fffffff; /* the canonical NaN, 9.7.3 */

/* ---- f32 and f64 ----------------------------------------------------------------------------- */

static float flush(float v) { return fpclassify(v) == FP_SUBNORMAL ? copysignf(0, v) : v; }

static float input(const sim_insn *in, uint64_t v) {
    float f = sim_as_f32(v);
    return in->ftz ? flush(f) : f;
}
static uint64_t output(const sim_insn *in, float v) {
    if (in->sat) {
        v = !(v > 0) ? 0 : v > 1 ? 1 : v;
    }
    v = in->ftz ? flush(v) : v;
    return isnan(v) ? NAN32 : sim_of_f32(v);
}

/* a + b in double precision, the last bit odd where that is not exact: rounding the result again to
 * at most 51 bits gives what rounding the sum once would. */
static double sum_to_odd(double a, double b, sim_round r) {
    double s = a + b, t = s - a, error = (a - (s - t)) + (b - t);
    if (s == 0) { /* x - x: minus zero downwards */
        return r == ROUND_M && (signbit(a) || signbit(b)) ? -0.0 : s;
    }
    uint64_t u = sim_of_f64(s);
    if (error != 0 && isfinite(s) && !(u & 1)) {
        u += (error > 0) == (s > 0) ? 1 : (uint64_t)-1;
    }
    return sim_as_f64(u);
}

typedef enum sim_float_op {
    F_ADD,
    F_SUB,
    F_MUL,
    F_FMA,
    F_DIV,
    F_MIN,
    F_MAX,
    F_ABS,
    F_NEG
} sim_float_op;

static float plain32(sim_float_op op, float a, float b, float c) {
    switch ((int)op) {
    case F_ADD:
        return a + b;
    case F_SUB:
        return a - b;
    case F_MUL:
        return a * b;
    case F_FMA:
        return fmaf(a, b, c);
    case F_DIV:
        return a / b;
    case F_MIN:
        return isnan(b) || (a == b ? signbit(a) : a < b) ? a : b;
    case F_MAX:
        return isnan(b) || (a == b ? signbit(b) : a > b) ? a : b;
    case F_ABS:
        return fabsf(a);
    case F_NEG:
    default:
        return -a;
    }
}

static float directed32(sim_float_op op, sim_round r, float a, float b, float c) {
    double p = (double)a * b;
    switch ((int)op) {
    case F_ADD:
        return sim_round_f32(sum_to_odd((double)a, (double)b, r), r);
    case F_SUB:
        return sim_round_f32(sum_to_odd((double)a, -(double)b, r), r);
    case F_MUL:
        return sim_round_f32(p, r);
    case F_FMA:
        return sim_round_f32(sum_to_odd(p, (double)c, r), r);
    case F_DIV:
    case F_MIN:
    case F_MAX:
    case F_ABS:
    case F_NEG:
    default:
        return plain32(op, a, b, c);
    }
}

static inline void run32(sim_warp *w, const sim_insn *in, uint32_t mask, sim_float_op op) {
    uint64_t *rd = sim_in(w, in, 0);
    const uint64_t *ra = sim_in(w, in, 1), *rb = in->n > 2 ? sim_in(w, in, 2) : ra,
                   *rc = in->n > 3 ? sim_in(w, in, 3) : ra;
    bool directed = in->round > ROUND_N;
    EACH_LANE(l, mask) {
        float a = input(in, ra[l]), b = input(in, rb[l]), c = input(in, rc[l]);
        float v = directed ? directed32(op, (sim_round)in->round, a, b, c) : plain32(op, a, b, c);
        if (in->nan && (isnan(a) || isnan(b))) {
            v = NAN;
        }
        rd[l] = output(in, v);
    }
}
static inline void run64(sim_warp *w, const sim_insn *in, uint32_t mask, sim_float_op op) {
    EACH_LANE(l, mask) {
        double a = sim_as_f64(sim_in(w, in, 1)[l]),
               b = in->n > 2 ? sim_as_f64(sim_in(w, in, 2)[l]) : a;
        double c = in->n > 3 ? sim_as_f64(sim_in(w, in, 3)[l]) : a, v;
        v = op == F_ADD   ? a + b
            : op == F_SUB ? a - b
            : op == F_MUL ? a * b
            : op == F_FMA ? fma(a, b, c)
            : op == F_DIV ? a / b
            : op == F_MIN ? (isnan(b) || (a == b ? signbit(a) : a < b) ? a : b)
            : op == F_MAX ? (isnan(b) || (a == b ? signbit(b) : a > b) ? a : b)
            : op == F_ABS ? fabs(a)
                          : -a;
        sim_in(w, in, 0)[l] = sim_of_f64(v);
    }
}
#define OP(name, op)                                                                               \
    static void name##_f32(sim_warp *w, const sim_insn *in, uint32_t mask) {                       \
        run32(w, in, mask, op);                                                                    \
    }                                                                                              \
    static void name##_f64(sim_warp *w, const sim_insn *in, uint32_t mask) {                       \
        run64(w, in, mask, op);                                                                    \
    }
OP(add, F_ADD)
OP(sub, F_SUB)
OP(mul, F_MUL)
OP(fma, F_FMA)
OP(div, F_DIV)
OP(min, F_MIN)
OP(max, F_MAX)
OP(abs, F_ABS)
OP(neg, F_NEG)

/* ---- f16 and bf16 ---------------------------------------------------------------------------- */

/* Sums and products of two values are exact enough in f32 (24 >= 2 * 11 + 2 bits); a fused one is
 * rounded to odd in double precision first. */
static uint16_t half_op(sim_float_op op, const sim_insn *in, bool bf, uint16_t ua, uint16_t ub,
                        uint16_t uc) {
    if (op == F_NEG) {
        return ua ^ 0x8000;
    }
    if (op == F_ABS) {
        return ua & 0x7fff;
    }
    float a = bf ? sim_bf16_to_f32(ua) : sim_f16_to_f32(ua),
          b = bf ? sim_bf16_to_f32(ub) : sim_f16_to_f32(ub);
    float c = bf ? sim_bf16_to_f32(uc) : sim_f16_to_f32(uc), v;
    if (in->ftz && !bf) { /* subnormals of f16 are normal in f32 */
        a = fabsf(a) < 0x1p-14f ? copysignf(0, a) : a;
        b = fabsf(b) < 0x1p-14f ? copysignf(0, b) : b;
        c = fabsf(c) < 0x1p-14f ? copysignf(0, c) : c;
    }
    if (op == F_FMA) {
        double s = sum_to_odd((double)a * b, (double)c, ROUND_N);
        v = (float)(isfinite(s) ? sim_round_to(s, bf ? 7 : 10, bf ? -126 : -14, ROUND_N) : s);
    } else {
        v = plain32(op, a, b, c);
    }
    if (in->nan && (isnan(a) || isnan(b))) {
        v = NAN;
    }
    if (in->sat) {
        v = !(v > 0) ? 0 : v > 1 ? 1 : v;
    }
    if (in->relu) {
        v = v < 0 ? 0 : v;
    }
    uint16_t out = bf ? sim_f32_to_bf16(v, ROUND_N) : sim_f32_to_f16(v, ROUND_N);
    return in->ftz && !bf && (out & 0x7c00) == 0 ? out & 0x8000 : out;
}
static inline void run16(sim_warp *w, const sim_insn *in, uint32_t mask, sim_float_op op) {
    bool bf = in->type == T_BF16 || in->type == T_BF16X2,
         two = in->type == T_F16X2 || in->type == T_BF16X2;
    EACH_LANE(l, mask) {
        uint32_t a = (uint32_t)sim_in(w, in, 1)[l],
                 b = in->n > 2 ? (uint32_t)sim_in(w, in, 2)[l] : a;
        uint32_t c = in->n > 3 ? (uint32_t)sim_in(w, in, 3)[l] : a;
        uint32_t v = half_op(op, in, bf, (uint16_t)a, (uint16_t)b, (uint16_t)c);
        if (two) {
            v |= (uint32_t)half_op(op, in, bf, (uint16_t)(a >> 16), (uint16_t)(b >> 16),
                                   (uint16_t)(c >> 16))
                 << 16;
        }
        sim_in(w, in, 0)[l] = v;
    }
}
#define HALF(name, op)                                                                             \
    static void name##_half(sim_warp *w, const sim_insn *in, uint32_t mask) {                      \
        run16(w, in, mask, op);                                                                    \
    }
HALF(add, F_ADD)
HALF(sub, F_SUB)
HALF(mul, F_MUL)
HALF(fma, F_FMA)
HALF(min, F_MIN)
HALF(max, F_MAX)
HALF(abs, F_ABS)
HALF(neg, F_NEG)

#define ROW(name)                                                                                  \
    {[T_F32] = name##_f32,   [T_F64] = name##_f64,    [T_F16] = name##_half,                       \
     [T_BF16] = name##_half, [T_F16X2] = name##_half, [T_BF16X2] = name##_half}

bool sim_float_arithmetic(sim_decoder *d) {
    static const struct {
        const char *op, *letters;
        sim_exec execs[N_TYPES];
    } rows[] = {{"add", "DSS", ROW(add)},  {"sub", "DSS", ROW(sub)},
                {"mul", "DSS", ROW(mul)},  {"fma", "DSSS", ROW(fma)},
                {"mad", "DSSS", ROW(fma)}, {"min", "DSS", ROW(min)},
                {"max", "DSS", ROW(max)},  {"abs", "DS", ROW(abs)},
                {"neg", "DS", ROW(neg)},   {"div", "DSS", {[T_F32] = div_f32, [T_F64] = div_f64}}};
    sim_insn *in = d->in;
    sim_took_round(d);
    in->ftz = sim_took(d, "ftz");
    in->sat = sim_took(d, "sat");
    in->nan = sim_took(d, "NaN");
    in->relu = sim_took(d, "relu");
    bool approximate = sim_took(d, "approx") || sim_took(d, "full");
    in->type = (uint8_t)sim_took_type(d);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].op, d->op) == 0) {
            bool is_div = rows[i].op[0] == 'd';
            if ((approximate && !is_div) ||
                (in->round > ROUND_N && (is_div || in->type != T_F32)) ||
                (in->relu && in->type == T_F32)) {
                return sim_refuse(d, "this rounding is not simulated");
            }
            return sim_operands(d, rows[i].letters) &&
                   sim_execs(d, rows[i].execs[in->type],
                             in->type == T_F64 ? SIM_CLASS_DOUBLE
                             : is_div          ? SIM_CLASS_SPECIAL
                                               : SIM_CLASS_FLOAT);
        }
    }
    return false;
}

/* ---- functions ------------------------------------------------------------------------------- */

typedef enum sim_function {
    FN_RCP,
    FN_SQRT,
    FN_RSQRT,
    FN_SIN,
    FN_COS,
    FN_LG2,
    FN_EX2,
    FN_TANH
} sim_function;

static double function(sim_function f, double a) {
    switch ((int)f) {
    case FN_RCP:
        return 1 / a;
    case FN_SQRT:
        return sqrt(a);
    case FN_RSQRT:
        return 1 / sqrt(a);
    case FN_SIN:
        return sin(a);
    case FN_COS:
        return cos(a);
    case FN_LG2:
        return log2(a);
    case FN_EX2:
        return exp2(a);
    case FN_TANH:
    default:
        return tanh(a);
    }
}
static void special(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l], *d = &sim_in(w, in, 0)[l];
        switch (in->type) {
        case T_F64:
            *d = sim_of_f64(function((sim_function)in->mode, sim_as_f64(a)));
            break;
        case T_F16:
            *d = sim_f32_to_f16(
                (float)function((sim_function)in->mode, (double)sim_f16_to_f32((uint16_t)a)),
                ROUND_N);
            break;
        case T_BF16:
            *d = sim_f32_to_bf16(
                (float)function((sim_function)in->mode, (double)sim_bf16_to_f32((uint16_t)a)),
                ROUND_N);
            break;
        case T_F16X2:
        case T_BF16X2: {
            uint32_t out = 0;
            for (uint32_t h = 0; h < 2; h++) {
                uint16_t u = (uint16_t)(a >> (16 * h));
                bool bf = in->type == T_BF16X2;
                float v = (float)function((sim_function)in->mode,
                                          (double)(bf ? sim_bf16_to_f32(u) : sim_f16_to_f32(u)));
                out |= (uint32_t)(bf ? sim_f32_to_bf16(v, ROUND_N) : sim_f32_to_f16(v, ROUND_N))
                       << (16 * h);
            }
            *d = out;
            break;
        }
        default:
            *d = output(in, in->round == ROUND_N && in->mode == FN_SQRT
                                ? sqrtf(input(in, a))
                                : (float)function((sim_function)in->mode, (double)input(in, a)));
            break;
        }
    }
}
static bool special_family(sim_decoder *d) {
    static const char *const names[] = {"rcp", "sqrt", "rsqrt", "sin", "cos",
                                        "lg2", "ex2",  "tanh",  NULL};
    for (int i = 0; names[i]; i++) {
        d->in->mode = strcmp(names[i], d->op) == 0 ? (uint8_t)i : d->in->mode;
    }
    (void)sim_took(d, "approx");
    sim_took_round(d);
    d->in->ftz = sim_took(d, "ftz");
    d->in->type = (uint8_t)sim_took_type(d);
    bool known = d->in->type >= T_F16 && d->in->type <= T_BF16X2 && d->in->round <= ROUND_N;
    return sim_operands(d, "DS") && sim_execs(d, known ? special : NULL, SIM_CLASS_SPECIAL);
}

static void copysign_(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t sign = in->type == T_F64 ? 1ull << 63 : 1ull << 31;
    EACH_LANE(l, mask) {
        sim_in(w, in, 0)[l] = (sim_in(w, in, 1)[l] & sign) | (sim_in(w, in, 2)[l] & (sign - 1));
    }
}
static bool copysign_family(sim_decoder *d) {
    d->in->type = (uint8_t)sim_took_type(d);
    return sim_operands(d, "DSS") && sim_execs(d, copysign_, SIM_CLASS_FLOAT);
}

static void testp(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        uint64_t u = sim_in(w, in, 1)[l];
        bool wide = in->type == T_F64;
        double v = wide ? sim_as_f64(u) : (double)sim_as_f32(u);
        int c = wide ? fpclassify(v) : fpclassify(sim_as_f32(u));
        bool out = in->mode == 1   ? isfinite(v)
                   : in->mode == 2 ? isinf(v) != 0
                   : in->mode == 3 ? !isnan(v)
                   : in->mode == 4 ? isnan(v) != 0
                   : in->mode == 5 ? c == FP_NORMAL || c == FP_ZERO /* as the manual says */
                                   : c == FP_SUBNORMAL;
        sim_in(w, in, 0)[l] = out;
    }
}
static bool testp_family(sim_decoder *d) {
    static const char *const tests[] = {"finite", "infinite",  "number", "notanumber",
                                        "normal", "subnormal", NULL};
    d->in->mode = (uint8_t)sim_took_one(d, tests);
    d->in->type = (uint8_t)sim_took_type(d);
    return sim_operands(d, "DS") && sim_execs(d, testp, SIM_CLASS_FLOAT);
}

/* ---- comparisons ----------------------------------------------------------------------------- */

static const char *const compares[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                       "neu", "ltu", "leu", "gtu", "geu", "num", "nan",
                                       "lo",  "ls",  "hi",  "hs",  NULL};

/* -1, 0, 1; 2 with a NaN. */
static int order_of(const sim_insn *in, sim_type t, uint64_t ua, uint64_t ub) {
    double a, b;
    switch ((int)t) {
    case T_F32:
        a = (double)input(in, ua);
        b = (double)input(in, ub);
        break;
    case T_F64:
        a = sim_as_f64(ua);
        b = sim_as_f64(ub);
        break;
    case T_F16:
    case T_F16X2:
        a = (double)sim_f16_to_f32((uint16_t)ua);
        b = (double)sim_f16_to_f32((uint16_t)ub);
        break;
    case T_BF16:
    case T_BF16X2:
        a = (double)sim_bf16_to_f32((uint16_t)ua);
        b = (double)sim_bf16_to_f32((uint16_t)ub);
        break;
    default: {
        unsigned shift = 64 - 8 * sim_type_bytes(t);
        if (sim_type_signed(t)) {
            int64_t x = (int64_t)(ua << shift), y = (int64_t)(ub << shift);
            return x < y ? -1 : x > y;
        }
        uint64_t x = ua << shift, y = ub << shift;
        return x < y ? -1 : x > y;
    }
    }
    return isnan(a) || isnan(b) ? 2 : a < b ? -1 : a > b;
}
static bool compared(const sim_insn *in, int order) {
    bool nan = order == 2;
    switch (in->cmp) {
    case 1:
        return order == 0;
    case 2:
        return !nan && order != 0;
    case 3:
    case 15:
        return order == -1;
    case 4:
    case 16:
        return order <= 0;
    case 5:
    case 17:
        return order == 1;
    case 6:
    case 18:
        return order == 0 || order == 1;
    case 7:
        return nan || order == 0;
    case 8:
        return order != 0;
    case 9:
        return nan || order == -1;
    case 10:
        return nan || order <= 0;
    case 11:
        return order >= 1;
    case 12:
        return order >= 0;
    case 13:
        return !nan;
    default:
        return nan;
    }
}
static bool combined(const sim_insn *in, bool v, bool c) {
    return in->logic == 0 ? v : in->logic == 1 ? v && c : in->logic == 2 ? v || c : v != c;
}
static bool predicate(const sim_warp *w, const sim_insn *in, int i, uint32_t l) {
    return (sim_in(w, in, i)[l] & 1) != in->op[i].negate;
}

/* 0 p, 1 q, 2 a, 3 b, 4 c; of two halves p is the lower one's and q the upper one's. */
static void setp(sim_warp *w, const sim_insn *in, uint32_t mask) {
    bool two = in->type == T_F16X2 || in->type == T_BF16X2, has_q = in->op[1].kind == OPERAND_ROW;
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 2)[l], b = sim_in(w, in, 3)[l];
        bool c = in->logic != 0 && predicate(w, in, 4, l);
        bool v = compared(in, order_of(in, (sim_type)in->type, a, b));
        bool q = two ? compared(in, order_of(in, (sim_type)in->type, a >> 16, b >> 16)) : !v;
        if (in->op[0].kind == OPERAND_ROW) {
            sim_in(w, in, 0)[l] = combined(in, v, c);
        }
        if (has_q) {
            sim_in(w, in, 1)[l] = combined(in, q, c);
        }
    }
}
/* .CmpOp{.BoolOp}{.ftz}.type */
static bool took_comparison(sim_decoder *d) {
    static const char *const logics[] = {"and", "or", "xor", NULL};
    d->in->cmp = (uint8_t)sim_took_one(d, compares);
    d->in->logic = (uint8_t)sim_took_one(d, logics);
    d->in->ftz = sim_took(d, "ftz");
    d->in->type = (uint8_t)sim_took_type(d);
    return d->in->cmp && d->in->type;
}
static bool setp_family(sim_decoder *d) {
    const sim_insn *in = d->in;
    return took_comparison(d) && sim_operands(d, in->logic ? "TSSP" : "TSS") &&
           sim_execs(d, setp, SIM_CLASS_INTEGER);
}

/* 0 d, 1 a, 2 b, 3 c; type: of d, type2: what is compared. */
static void set(sim_warp *w, const sim_insn *in, uint32_t mask) {
    bool two = in->type2 == T_F16X2 || in->type2 == T_BF16X2;
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l], b = sim_in(w, in, 2)[l], one, out = 0;
        bool c = in->logic != 0 && predicate(w, in, 3, l);
        bool v = combined(in, compared(in, order_of(in, (sim_type)in->type2, a, b)), c);
        switch (in->type) {
        case T_F32:
            one = sim_of_f32(1);
            break;
        case T_F16:
        case T_F16X2:
            one = 0x3c00;
            break;
        case T_BF16:
        case T_BF16X2:
            one = 0x3f80;
            break;
        default:
            one = two || in->type == T_U16 || in->type == T_S16 ? 0xffff : UINT32_MAX;
            break;
        }
        out = v ? one : 0;
        if (two) {
            bool u =
                combined(in, compared(in, order_of(in, (sim_type)in->type2, a >> 16, b >> 16)), c);
            out |= (u ? one : 0) << 16;
        }
        sim_in(w, in, 0)[l] = out;
    }
}
static bool set_family(sim_decoder *d) {
    sim_insn *in = d->in;
    bool ok = took_comparison(d);
    in->type2 = (uint8_t)sim_took_type(d);
    return ok && in->type2 && sim_operands(d, in->logic ? "DSSP" : "DSS") &&
           sim_execs(d, set, SIM_CLASS_INTEGER);
}

static void selp(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        sim_in(w, in, 0)[l] = predicate(w, in, 3, l) ? sim_in(w, in, 1)[l] : sim_in(w, in, 2)[l];
    }
}
static bool selp_family(sim_decoder *d) {
    d->in->type = (uint8_t)sim_took_type(d);
    return sim_operands(d, "DSSP") && sim_execs(d, selp, SIM_CLASS_INTEGER);
}
static void slct(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        uint64_t c = sim_in(w, in, 3)[l];
        bool first = in->type2 == T_F32 ? input(in, c) >= 0 : (int32_t)c >= 0;
        sim_in(w, in, 0)[l] = first ? sim_in(w, in, 1)[l] : sim_in(w, in, 2)[l];
    }
}
static bool slct_family(sim_decoder *d) {
    d->in->ftz = sim_took(d, "ftz");
    d->in->type = (uint8_t)sim_took_type(d);
    d->in->type2 = (uint8_t)sim_took_type(d);
    return sim_operands(d, "DSSS") && sim_execs(d, slct, SIM_CLASS_INTEGER);
}

const sim_family_row sim_families_float[] = {
    {"fma", sim_float_arithmetic}, {"rcp", special_family},
    {"sqrt", special_family},      {"rsqrt", special_family},
    {"sin", special_family},       {"cos", special_family},
    {"lg2", special_family},       {"ex2", special_family},
    {"tanh", special_family},      {"copysign", copysign_family},
    {"testp", testp_family},       {"setp", setp_family},
    {"set", set_family},           {"selp", selp_family},
    {"slct", slct_family},         {NULL, NULL}};
