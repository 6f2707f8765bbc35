/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer arithmetic and logic (9.7.1, 9.7.2, 9.7.8). A register holds its value zero-extended to
 * 64 bits, whatever its type.
 */
#include "sim/ptx/decode.h"

#include <string.h>

__extension__ typedef __int128 s128;
__extension__ typedef unsigned __int128 u128;

/* A handler: d = EXPR of a, b, c of type T, stored as unsigned U. */
#define HANDLER(name, T, U, EXPR)                                                                  \
    static void name(sim_warp *w, const sim_insn *in, uint32_t mask) {                             \
        uint64_t *rd = sim_in(w, in, 0);                                                           \
        const uint64_t *ra = sim_in(w, in, 1), *rb = in->n > 2 ? sim_in(w, in, 2) : ra,            \
                       *rc = in->n > 3 ? sim_in(w, in, 3) : ra;                                    \
        EACH_LANE(l, mask) {                                                                       \
            T a = (T)ra[l], b = (T)rb[l], c = (T)rc[l];                                            \
            (void)b;                                                                               \
            (void)c;                                                                               \
            rd[l] = (uint64_t)(U)(EXPR);                                                           \
        }                                                                                          \
    }
#define SIGNED(op, EXPR)                                                                           \
    HANDLER(op##_s16, int16_t, uint16_t, EXPR)                                                     \
    HANDLER(op##_s32, int32_t, uint32_t, EXPR)                                                     \
    HANDLER(op##_s64, int64_t, uint64_t, EXPR)
#define UNSIGNED(op, EXPR)                                                                         \
    HANDLER(op##_u16, uint16_t, uint16_t, EXPR)                                                    \
    HANDLER(op##_u32, uint32_t, uint32_t, EXPR)                                                    \
    HANDLER(op##_u64, uint64_t, uint64_t, EXPR)
#define BOTH(op, EXPR) UNSIGNED(op, EXPR) SIGNED(op, EXPR)

#define TABLE_U(op)                                                                                \
    [T_B16] = op##_u16, [T_B32] = op##_u32, [T_B64] = op##_u64, [T_U16] = op##_u16,                \
    [T_U32] = op##_u32, [T_U64] = op##_u64
#define TABLE_S(op) [T_S16] = op##_s16, [T_S32] = op##_s32, [T_S64] = op##_s64
#define TABLE_SU(op) [T_S16] = op##_u16, [T_S32] = op##_u32, [T_S64] = op##_u64

#define ONES(T) ((T) ~(T)0)
#define BITS(T) ((unsigned)(8 * sizeof(T)))

UNSIGNED(add, (uint64_t)a + b)
UNSIGNED(sub, (uint64_t)a - b)
UNSIGNED(mul, (uint64_t)a *b)
UNSIGNED(mad, (uint64_t)a *b + c)
HANDLER(mulhi_u16, uint16_t, uint16_t, (uint32_t)a *b >> 16)
HANDLER(mulhi_s16, int16_t, uint16_t, (int32_t)a *b >> 16)
HANDLER(mulhi_u32, uint32_t, uint32_t, (uint64_t)a *b >> 32)
HANDLER(mulhi_s32, int32_t, uint32_t, (int64_t)a *b >> 32)
HANDLER(mulhi_u64, uint64_t, uint64_t, (u128)a *b >> 64)
HANDLER(mulhi_s64, int64_t, uint64_t, (s128)a *b >> 64)
HANDLER(madhi_u32, uint32_t, uint32_t, ((uint64_t)a * b >> 32) + c)
HANDLER(madhi_s32, int32_t, uint32_t, (uint64_t)((int64_t)a *b >> 32) + (uint32_t)c)
HANDLER(madhi_u64, uint64_t, uint64_t, ((u128)a * b >> 64) + c)
HANDLER(madhi_s64, int64_t, uint64_t, (u128)((s128)a *b >> 64) + (uint64_t)c)
HANDLER(mulwide_u16, uint16_t, uint32_t, (uint32_t)a *b)
HANDLER(mulwide_s16, int16_t, uint32_t, (int32_t)a *b)
HANDLER(mulwide_u32, uint32_t, uint64_t, (uint64_t)a *b)
HANDLER(mulwide_s32, int32_t, uint64_t, (int64_t)a *b)
/* A quotient by zero is all ones, a remainder the dividend (9.7.1.5, 9.7.1.6: unspecified). */
UNSIGNED(div, b ? (uint64_t)(a / b) : UINT64_MAX)
HANDLER(div_s16, int16_t, uint16_t, b ? (int32_t)a / b : -1)
HANDLER(div_s32, int32_t, uint32_t, b ? (int64_t)a / b : -1)
HANDLER(div_s64, int64_t, uint64_t, b == 0 ? -1 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b)
UNSIGNED(rem, b ? a % b : a)
HANDLER(rem_s16, int16_t, uint16_t, b ? (int32_t)a % b : a)
HANDLER(rem_s32, int32_t, uint32_t, b ? (int64_t)a % b : a)
HANDLER(rem_s64, int64_t, uint64_t, b == 0 ? a : b == -1 ? 0 : a % b)
BOTH(min, a < b ? a : b)
BOTH(max, a > b ? a : b)
SIGNED(abs, a < 0 ? 0 - (uint64_t)a : (uint64_t)a)
SIGNED(neg, 0 - (uint64_t)a)
UNSIGNED(and, a &b)
UNSIGNED(or, a | b)
UNSIGNED(xor, a ^ b)
UNSIGNED(not, ~(uint64_t)a)
UNSIGNED(cnot, a == 0)
HANDLER(popc_u32, uint32_t, uint32_t, __builtin_popcount(a))
HANDLER(popc_u64, uint64_t, uint32_t, __builtin_popcountll(a))
HANDLER(clz_u32, uint32_t, uint32_t, a ? __builtin_clz(a) : 32)
HANDLER(clz_u64, uint64_t, uint32_t, a ? __builtin_clzll(a) : 64)

/* Shifts of as many bits as there are, or more (9.7.8.8: clamped); the count is of 32 bits. */
#define SHIFT(name, T, U, EXPR)                                                                    \
    static void name(sim_warp *w, const sim_insn *in, uint32_t mask) {                             \
        uint64_t *rd = sim_in(w, in, 0);                                                           \
        const uint64_t *ra = sim_in(w, in, 1), *rb = sim_in(w, in, 2);                             \
        EACH_LANE(l, mask) {                                                                       \
            T a = (T)ra[l];                                                                        \
            uint32_t n = (uint32_t)rb[l];                                                          \
            n = n > BITS(T) ? BITS(T) : n;                                                         \
            rd[l] = (uint64_t)(U)(EXPR);                                                           \
        }                                                                                          \
    }
SHIFT(shl_u16, uint16_t, uint16_t, (uint64_t)a << n)
SHIFT(shl_u32, uint32_t, uint32_t, (uint64_t)a << n)
SHIFT(shl_u64, uint64_t, uint64_t, n > 63 ? 0 : a << n)
SHIFT(shr_u16, uint16_t, uint16_t, (uint64_t)a >> n)
SHIFT(shr_u32, uint32_t, uint32_t, (uint64_t)a >> n)
SHIFT(shr_u64, uint64_t, uint64_t, n > 63 ? 0 : a >> n)
SHIFT(shr_s16, int16_t, uint16_t, (int64_t)a >> n)
SHIFT(shr_s32, int32_t, uint32_t, (int64_t)a >> n)
SHIFT(shr_s64, int64_t, uint64_t, a >> (n > 63 ? 63 : n))

static uint32_t reversed(uint32_t v) {
    v = (v >> 1 & 0x55555555) | (v & 0x55555555) << 1;
    v = (v >> 2 & 0x33333333) | (v & 0x33333333) << 2;
    v = (v >> 4 & 0x0f0f0f0f) | (v & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(v);
}
static uint64_t reversed64(uint64_t v) {
    return (uint64_t)reversed((uint32_t)v) << 32 | reversed((uint32_t)(v >> 32));
}
HANDLER(brev_u32, uint32_t, uint32_t, reversed(a))
HANDLER(brev_u64, uint64_t, uint64_t, reversed64(a))

/* 9.7.1.22: a field past the sign is filled with it. */
static uint64_t field(uint64_t a, uint32_t at, uint32_t n, unsigned bits, bool is_signed) {
    at &= 255;
    n &= 255;
    uint32_t last = at + n > 0 && at + n - 1 < bits - 1 ? at + n - 1 : bits - 1;
    uint64_t sign = is_signed && n ? a >> last & 1 : 0, out = sign ? UINT64_MAX : 0;
    if (at < bits) {
        uint64_t kept = n < 64 ? (1ull << n) - 1 : UINT64_MAX;
        uint32_t have = bits - at;
        uint64_t there = have < 64 ? (1ull << have) - 1 : UINT64_MAX;
        kept &= there;
        out = (a >> at & kept) | (out & ~kept);
    }
    return n ? out : 0;
}
HANDLER(bfe_u32, uint32_t, uint32_t, field(a, b, c, 32, false))
HANDLER(bfe_s32, int32_t, uint32_t, field((uint32_t)a, (uint32_t)b, (uint32_t)c, 32, true))
HANDLER(bfe_u64, uint64_t, uint64_t, field(a, (uint32_t)b, (uint32_t)c, 64, false))
HANDLER(bfe_s64, int64_t, uint64_t, field((uint64_t)a, (uint32_t)b, (uint32_t)c, 64, true))

static void bfi(sim_warp *w, const sim_insn *in, uint32_t mask) {
    unsigned bits = 8 * sim_type_bytes((sim_type)in->type);
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l], b = sim_in(w, in, 2)[l];
        uint32_t at = sim_in(w, in, 3)[l] & 255, n = sim_in(w, in, 4)[l] & 255;
        uint64_t kept = n < 64 ? (1ull << n) - 1 : UINT64_MAX;
        kept = at < 64 ? kept << at : 0;
        kept &= bits == 64 ? UINT64_MAX : UINT32_MAX;
        sim_in(w, in, 0)[l] = (b & ~kept) | ((at < 64 ? a << at : 0) & kept);
    }
}

/* Most significant bit that is not the sign's (9.7.1.20). */
static void bfind(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint32_t bits = 8 * sim_type_bytes((sim_type)in->type);
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l];
        bool negative = sim_type_signed((sim_type)in->type) && a >> (bits - 1) & 1;
        a = (negative ? ~a : a) & (bits == 64 ? UINT64_MAX : UINT32_MAX);
        uint32_t at = a ? 63 - (uint32_t)__builtin_clzll(a) : UINT32_MAX;
        sim_in(w, in, 0)[l] = in->mode && a ? bits - 1 - at : at;
    }
}

static void lop3(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint32_t table = (uint32_t)sim_in(w, in, 4)[0];
    EACH_LANE(l, mask) {
        uint32_t a = (uint32_t)sim_in(w, in, 1)[l], b = (uint32_t)sim_in(w, in, 2)[l];
        uint32_t c = (uint32_t)sim_in(w, in, 3)[l], out = 0;
        for (uint32_t k = 0; k < 8; k++) {
            if (table >> k & 1) {
                out |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
            }
        }
        sim_in(w, in, 0)[l] = out;
    }
}

/* Funnel shifts: mode 1 left, 2 right; high: wraps instead of clamping. */
static void shf(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        uint64_t v = sim_in(w, in, 1)[l] | sim_in(w, in, 2)[l] << 32;
        uint32_t n = (uint32_t)sim_in(w, in, 3)[l];
        n = in->high ? n & 31 : n > 32 ? 32 : n;
        sim_in(w, in, 0)[l] = (uint32_t)(in->mode == 1 ? v << n >> 32 : v >> n);
    }
}

static uint8_t byte_of(uint64_t v, uint32_t selector) {
    uint8_t b = (uint8_t)(v >> (8 * (selector & 7)));
    return selector & 8 ? (b & 0x80 ? 0xff : 0) : b;
}

/* 9.7.9.7; mode 0: by the selector, else f4e b4e rc8 ecl ecr rc16. */
static void prmt(sim_warp *w, const sim_insn *in, uint32_t mask) {
    static const uint16_t selectors[][4] = {
        {0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
        {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
        {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
    EACH_LANE(l, mask) {
        uint64_t v = sim_in(w, in, 1)[l] | sim_in(w, in, 2)[l] << 32;
        uint32_t s = (uint32_t)sim_in(w, in, 3)[l], out = 0;
        s = in->mode ? selectors[in->mode - 1][s & 3] : s;
        for (uint32_t i = 0; i < 4; i++) {
            out |= (uint32_t)byte_of(v, s >> (4 * i) & 15) << (8 * i);
        }
        sim_in(w, in, 0)[l] = out;
    }
}

/* dp4a and dp2a: type of a, type2 of b; shape[0] bytes of b used from shape[1]. */
static void dot(sim_warp *w, const sim_insn *in, uint32_t mask) {
    bool wide = in->shape[0] == 2;
    EACH_LANE(l, mask) {
        uint32_t a = (uint32_t)sim_in(w, in, 1)[l], b = (uint32_t)sim_in(w, in, 2)[l];
        int64_t sum = 0;
        for (uint32_t i = 0; i < in->shape[0]; i++) {
            uint32_t x = wide ? a >> (16 * i) & 0xffff : a >> (8 * i) & 0xff;
            uint32_t y = b >> (8 * (i + in->shape[1])) & 0xff;
            int64_t xs = in->type == T_S32 ? (wide ? (int16_t)x : (int8_t)x) : (int64_t)x;
            int64_t ys = in->type2 == T_S32 ? (int8_t)y : (int64_t)y;
            sum += xs * ys;
        }
        sim_in(w, in, 0)[l] = (uint32_t)((uint64_t)sum + sim_in(w, in, 3)[l]);
    }
}

/* Carries (9.7.2): mode 0 add, 1 sub; high: takes the carry; wide: gives it. */
static void carried(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t *carry = sim_row(w, SR_CARRY);
    bool narrow = sim_type_bytes((sim_type)in->type) == 4;
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l], b = sim_in(w, in, 2)[l], in_ = in->high ? carry[l] : 0;
        u128 v = in->mode == 0 ? (u128)a + b + in_ : (u128)a - b - in_;
        sim_in(w, in, 0)[l] = narrow ? (uint32_t)v : (uint64_t)v;
        carry[l] = in->wide ? (uint64_t)(v >> (narrow ? 32 : 64)) & 1 : carry[l];
    }
}
static void mad_carried(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t *carry = sim_row(w, SR_CARRY);
    bool narrow = sim_type_bytes((sim_type)in->type) == 4,
         is_signed = sim_type_signed((sim_type)in->type);
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l], b = sim_in(w, in, 2)[l], part;
        if (narrow) {
            uint64_t p = is_signed ? (uint64_t)((int64_t)(int32_t)a * (int32_t)b) : a * b;
            part = in->mode ? p >> 32 : (uint32_t)p;
        } else {
            u128 p = is_signed ? (u128)((s128)(int64_t)a * (int64_t)b) : (u128)a * b;
            part = in->mode ? (uint64_t)(p >> 64) : (uint64_t)p;
        }
        u128 v = (u128)part + sim_in(w, in, 3)[l] + (in->high ? carry[l] : 0);
        sim_in(w, in, 0)[l] = narrow ? (uint32_t)v : (uint64_t)v;
        carry[l] = in->wide ? (uint64_t)(v >> (narrow ? 32 : 64)) & 1 : carry[l];
    }
}

/* Two halves of 16 bits each. */
#define HALVES(name, T, EXPR)                                                                      \
    static void name(sim_warp *w, const sim_insn *in, uint32_t mask) {                             \
        EACH_LANE(l, mask) {                                                                       \
            uint32_t out = 0;                                                                      \
            for (uint32_t h = 0; h < 32; h += 16) {                                                \
                T a = (T)(sim_in(w, in, 1)[l] >> h), b = (T)(sim_in(w, in, 2)[l] >> h);            \
                out |= (uint32_t)(uint16_t)(EXPR) << h;                                            \
            }                                                                                      \
            sim_in(w, in, 0)[l] = out;                                                             \
        }                                                                                          \
    }
HALVES(add_x2, uint16_t, a + b)
HALVES(min_ux2, uint16_t, a < b ? a : b)
HALVES(min_sx2, int16_t, a < b ? a : b)
HALVES(max_ux2, uint16_t, a > b ? a : b)
HALVES(max_sx2, int16_t, a > b ? a : b)

/* ---- predicates as values -------------------------------------------------------------------- */

HANDLER(and_p, uint8_t, uint8_t, a &b)
HANDLER(or_p, uint8_t, uint8_t, a | b)
HANDLER(xor_p, uint8_t, uint8_t, a ^ b)
HANDLER(not_p, uint8_t, uint8_t, !a)

/* ---- families -------------------------------------------------------------------------------- */

static bool finish(sim_decoder *d, const char *letters, const sim_exec table[N_TYPES]) {
    d->in->type = (uint8_t)sim_took_type(d);
    return sim_operands(d, letters) && sim_execs(d, table[d->in->type], SIM_CLASS_INTEGER);
}

static bool is_float(const sim_decoder *d) {
    for (int i = 0; i < d->n; i++) {
        sim_type t = sim_type_named(d->modifier[i], strlen(d->modifier[i]));
        if (t >= T_F16) {
            return true;
        }
    }
    return false;
}

static bool carry_family(sim_decoder *d) {
    d->in->high = d->op[strlen(d->op) - 1] == 'c';
    d->in->wide = sim_took(d, "cc");
    d->in->mode = strncmp(d->op, "sub", 3) == 0;
    d->in->type = (uint8_t)sim_took_type(d);
    return sim_operands(d, "DSS") && sim_execs(d, carried, SIM_CLASS_INTEGER);
}

static bool add_family(sim_decoder *d) {
    static const sim_exec adds[N_TYPES] = {TABLE_U(add),
                                           TABLE_SU(add), [T_U16X2] = add_x2, [T_S16X2] = add_x2};
    static const sim_exec subs[N_TYPES] = {TABLE_U(sub), TABLE_SU(sub)};
    for (int i = 0; i < d->n; i++) {
        if (strcmp(d->modifier[i], "cc") == 0) {
            return carry_family(d);
        }
    }
    return is_float(d) ? sim_float_arithmetic(d) : finish(d, "DSS", d->op[0] == 'a' ? adds : subs);
}

static bool mul_family(sim_decoder *d) {
    static const sim_exec low[N_TYPES] = {TABLE_U(mul), TABLE_SU(mul)};
    static const sim_exec high[N_TYPES] = {TABLE_U(mulhi), TABLE_S(mulhi)};
    static const sim_exec wide[N_TYPES] = {
        [T_U16] = mulwide_u16, [T_S16] = mulwide_s16, [T_U32] = mulwide_u32, [T_S32] = mulwide_s32};
    if (is_float(d)) {
        return sim_float_arithmetic(d);
    }
    if (sim_took(d, "wide")) {
        return finish(d, "DSS", wide);
    }
    bool is_high = sim_took(d, "hi");
    (void)sim_took(d, "lo");
    return finish(d, "DSS", is_high ? high : low);
}

/* mad.wide: the product's width. */
#define MAD_WIDE(name, T, P, U)                                                                    \
    static void name(sim_warp *w, const sim_insn *in, uint32_t mask) {                             \
        EACH_LANE(l, mask) {                                                                       \
            P p = (P)(T)sim_in(w, in, 1)[l] * (T)sim_in(w, in, 2)[l];                              \
            sim_in(w, in, 0)[l] = (U)((U)p + (U)sim_in(w, in, 3)[l]);                              \
        }                                                                                          \
    }
MAD_WIDE(madwide_u16, uint16_t, uint32_t, uint32_t)
MAD_WIDE(madwide_s16, int16_t, int32_t, uint32_t)
MAD_WIDE(madwide_u32, uint32_t, uint64_t, uint64_t)
MAD_WIDE(madwide_s32, int32_t, int64_t, uint64_t)

static bool mad_family(sim_decoder *d) {
    static const sim_exec low[N_TYPES] = {TABLE_U(mad), TABLE_SU(mad)};
    static const sim_exec high[N_TYPES] = {
        [T_U32] = madhi_u32, [T_S32] = madhi_s32, [T_U64] = madhi_u64, [T_S64] = madhi_s64};
    static const sim_exec wide[N_TYPES] = {
        [T_U16] = madwide_u16, [T_S16] = madwide_s16, [T_U32] = madwide_u32, [T_S32] = madwide_s32};
    if (is_float(d)) {
        return sim_float_arithmetic(d);
    }
    if (sim_took(d, "wide")) {
        return finish(d, "DSSS", wide);
    }
    bool takes = d->op[strlen(d->op) - 1] == 'c', gives = sim_took(d, "cc");
    bool is_high = sim_took(d, "hi");
    (void)sim_took(d, "lo");
    if (takes || gives) {
        d->in->high = takes;
        d->in->wide = gives;
        d->in->mode = is_high;
        d->in->type = (uint8_t)sim_took_type(d);
        return sim_operands(d, "DSSS") && sim_execs(d, mad_carried, SIM_CLASS_INTEGER);
    }
    return finish(d, "DSSS", is_high ? high : low);
}

static bool division(sim_decoder *d) {
    static const sim_exec divs[N_TYPES] = {TABLE_U(div), TABLE_S(div)};
    static const sim_exec rems[N_TYPES] = {TABLE_U(rem), TABLE_S(rem)};
    return is_float(d) ? sim_float_arithmetic(d) : finish(d, "DSS", d->op[0] == 'd' ? divs : rems);
}

static bool extreme(sim_decoder *d) {
    static const sim_exec mins[N_TYPES] = {TABLE_U(min),
                                           TABLE_S(min), [T_U16X2] = min_ux2, [T_S16X2] = min_sx2};
    static const sim_exec maxs[N_TYPES] = {TABLE_U(max),
                                           TABLE_S(max), [T_U16X2] = max_ux2, [T_S16X2] = max_sx2};
    return is_float(d) ? sim_float_arithmetic(d) : finish(d, "DSS", d->op[1] == 'i' ? mins : maxs);
}

static bool signs(sim_decoder *d) {
    static const sim_exec abss[N_TYPES] = {TABLE_S(abs)}, negs[N_TYPES] = {TABLE_S(neg)};
    return is_float(d) ? sim_float_arithmetic(d) : finish(d, "DS", d->op[0] == 'a' ? abss : negs);
}

static bool logic(sim_decoder *d) {
    static const sim_exec ands[N_TYPES] = {TABLE_U(and), [T_PRED] = and_p};
    static const sim_exec ors[N_TYPES] = {TABLE_U(or), [T_PRED] = or_p};
    static const sim_exec xors[N_TYPES] = {TABLE_U(xor), [T_PRED] = xor_p};
    return finish(d, "DSS", d->op[0] == 'a' ? ands : d->op[0] == 'o' ? ors : xors);
}
static bool nots(sim_decoder *d) {
    static const sim_exec plain[N_TYPES] = {TABLE_U(not), [T_PRED] = not_p};
    static const sim_exec counted[N_TYPES] = {TABLE_U(cnot)};
    return finish(d, "DS", d->op[0] == 'n' ? plain : counted);
}
static bool shifts(sim_decoder *d) {
    static const sim_exec left[N_TYPES] = {TABLE_U(shl)};
    static const sim_exec right[N_TYPES] = {TABLE_U(shr), TABLE_S(shr)};
    return finish(d, "DSS", strcmp(d->op, "shl") == 0 ? left : right);
}
static bool bits(sim_decoder *d) {
    static const sim_exec pops[N_TYPES] = {[T_B32] = popc_u32, [T_B64] = popc_u64};
    static const sim_exec clzs[N_TYPES] = {[T_B32] = clz_u32, [T_B64] = clz_u64};
    static const sim_exec revs[N_TYPES] = {[T_B32] = brev_u32, [T_B64] = brev_u64};
    return finish(d, "DS", d->op[0] == 'p' ? pops : d->op[0] == 'c' ? clzs : revs);
}
static bool bfe_family(sim_decoder *d) {
    static const sim_exec table[N_TYPES] = {
        [T_U32] = bfe_u32, [T_S32] = bfe_s32, [T_U64] = bfe_u64, [T_S64] = bfe_s64};
    return finish(d, "DSSS", table);
}
static bool bfi_family(sim_decoder *d) {
    static const sim_exec table[N_TYPES] = {[T_B32] = bfi, [T_B64] = bfi};
    return finish(d, "DSSSS", table);
}
static bool bfind_family(sim_decoder *d) {
    static const sim_exec table[N_TYPES] = {
        [T_U32] = bfind, [T_S32] = bfind, [T_U64] = bfind, [T_S64] = bfind};
    d->in->mode = sim_took(d, "shiftamt");
    return finish(d, "DS", table);
}
static bool lop3_family(sim_decoder *d) {
    static const sim_exec table[N_TYPES] = {[T_B32] = lop3};
    return finish(d, "DSSSS", table);
}
static bool shf_family(sim_decoder *d) {
    static const sim_exec table[N_TYPES] = {[T_B32] = shf};
    d->in->mode = sim_took(d, "l") ? 1 : 2;
    (void)sim_took(d, "r");
    d->in->high = sim_took(d, "wrap");
    (void)sim_took(d, "clamp");
    return finish(d, "DSSS", table);
}
static bool prmt_family(sim_decoder *d) {
    static const char *const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16", NULL};
    static const sim_exec table[N_TYPES] = {[T_B32] = prmt};
    d->in->mode = (uint8_t)sim_took_one(d, modes);
    return finish(d, "DSSS", table);
}
static bool dot_family(sim_decoder *d) {
    static const sim_exec table[N_TYPES] = {[T_U32] = dot, [T_S32] = dot};
    d->in->type2 = (uint8_t)sim_took_type(d); /* a's, the finish takes b's */
    d->in->shape[0] = d->op[2] == '4' ? 4 : 2;
    d->in->shape[1] = sim_took(d, "hi") ? 2 : 0;
    (void)sim_took(d, "lo");
    sim_type of_a = (sim_type)d->in->type2;
    bool ok = finish(d, "DSSS", table);
    d->in->type2 = d->in->type;
    d->in->type = (uint8_t)of_a;
    return ok;
}

const sim_family_row sim_families_integer[] = {
    {"add", add_family},   {"sub", add_family},     {"addc", carry_family}, {"subc", carry_family},
    {"mul", mul_family},   {"mad", mad_family},     {"madc", mad_family},   {"div", division},
    {"rem", division},     {"min", extreme},        {"max", extreme},       {"abs", signs},
    {"neg", signs},        {"and", logic},          {"or", logic},          {"xor", logic},
    {"not", nots},         {"cnot", nots},          {"shl", shifts},        {"shr", shifts},
    {"popc", bits},        {"clz", bits},           {"brev", bits},         {"bfe", bfe_family},
    {"bfi", bfi_family},   {"bfind", bfind_family}, {"lop3", lop3_family},  {"shf", shf_family},
    {"prmt", prmt_family}, {"dp4a", dot_family},    {"dp2a", dot_family},   {NULL, NULL}};
