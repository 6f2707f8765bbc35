/* SPDX-License-Identifier: Apache-2.0 */
/* mov, cvt, cvta and what control flow needs (9.7.9, 9.7.12). */
#include "sim/ptx/decode.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- mov ------------------------------------------------------------------------------------- */

static void mov(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t *d = sim_in(w, in, 0);
    const uint64_t *a = sim_in(w, in, 1);
    EACH_LANE(l, mask) { d[l] = a[l]; }
}
static void mov_clock(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) { sim_in(w, in, 0)[l] = w->run->issues; }
}
static void pack(sim_warp *w, const sim_insn *in, uint32_t mask) {
    const sim_operand *v = &in->op[1];
    uint32_t bits = 8 * sim_type_bytes((sim_type)in->type) / v->n;
    uint64_t kept = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
    EACH_LANE(l, mask) {
        uint64_t out = 0;
        for (uint32_t i = 0; i < v->n; i++) {
            out |= (sim_row(w, w->parts[v->row + i])[l] & kept) << (bits * i);
        }
        sim_in(w, in, 0)[l] = out;
    }
}
static void unpack(sim_warp *w, const sim_insn *in, uint32_t mask) {
    const sim_operand *v = &in->op[0];
    uint32_t bits = 8 * sim_type_bytes((sim_type)in->type) / v->n;
    uint64_t kept = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l];
        for (uint32_t i = 0; i < v->n; i++) {
            if (w->parts[v->row + i] != ROW_NONE) {
                sim_row(w, w->parts[v->row + i])[l] = a >> (bits * i) & kept;
            }
        }
    }
}
static bool mov_family(sim_decoder *d) {
    sim_insn *in = d->in;
    in->type = (uint8_t)sim_took_type(d);
    if (!in->type || in->type == T_B128 || !sim_operands(d, "Vv")) {
        return false;
    }
    bool out = in->op[0].kind == OPERAND_VECTOR, from = in->op[1].kind == OPERAND_VECTOR;
    bool clock = in->op[1].kind == OPERAND_ROW && in->op[1].row == SR_CLOCK;
    in->copies = !out && !from && !clock && in->op[0].kind == OPERAND_ROW;
    return !(out && from) && sim_execs(d,
                                       out     ? unpack
                                       : from  ? pack
                                       : clock ? mov_clock
                                               : mov,
                                       SIM_CLASS_MOVE);
}

/* ---- cvt (9.7.9.21) -------------------------------------------------------------------------- */

static bool is_float(sim_type t) { return t >= T_F16; }

static double float_in(const sim_insn *in, sim_type t, uint64_t v) {
    switch ((int)t) {
    case T_F16:
        return (double)sim_f16_to_f32((uint16_t)v);
    case T_BF16:
        return (double)sim_bf16_to_f32((uint16_t)v);
    case T_F64:
        return sim_as_f64(v);
    default: {
        float f = sim_as_f32(v);
        return (double)(in->ftz && fpclassify(f) == FP_SUBNORMAL ? copysignf(0, f) : f);
    }
    }
}

static double to_whole(double v, sim_round r) {
    return r == ROUND_Z   ? trunc(v)
           : r == ROUND_M ? floor(v)
           : r == ROUND_P ? ceil(v)
                          : nearbyint(v);
}

/* Out of range: the nearest value. NaN: the top bit alone where either side has 64 bits, else 0
 * (9.7.9.21, "Integer rounding"). */
static uint64_t to_integer(double v, sim_type from, sim_type t, sim_round r) {
    uint32_t bits = 8 * sim_type_bytes(t);
    bool s = sim_type_signed(t);
    uint64_t kept = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
    if (isnan(v)) {
        return from == T_F64 || bits == 64 ? (kept >> 1) + 1 : 0;
    }
    double x = to_whole(v, r), top = ldexp(1, (int)bits - s), low = s ? -top : 0;
    if (x >= top) {
        return s ? kept >> 1 : kept;
    }
    if (x < low) {
        return s ? (kept >> 1) + 1 : 0;
    }
    return (s ? (uint64_t)(int64_t)x : (uint64_t)x) & kept;
}

static uint64_t from_integer(uint64_t a, sim_type from, sim_type to, bool sat) {
    uint32_t shift = 64 - 8 * sim_type_bytes(from), bits = 8 * sim_type_bytes(to);
    bool s = sim_type_signed(from);
    int64_t v = (int64_t)(a << shift) >> shift;
    uint64_t u = a << shift >> shift, kept = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
    if (sat) {
        bool ts = sim_type_signed(to);
        uint64_t top = ts ? kept >> 1 : kept;
        if (s && v < 0) {
            int64_t low = ts ? -(int64_t)(kept >> 1) - 1 : 0;
            return (uint64_t)(v < low ? low : v) & kept;
        }
        return u > top ? top : u;
    }
    return (s ? (uint64_t)v : u) & kept;
}

/* u64 and s64 to f32: once, from the integer; a double in between is rounded to odd. */
static double whole_as_double(uint64_t a, sim_type from) {
    uint32_t shift = 64 - 8 * sim_type_bytes(from);
    bool s = sim_type_signed(from);
    int64_t v = (int64_t)(a << shift) >> shift;
    uint64_t u = s ? (v < 0 ? 0 - (uint64_t)v : (uint64_t)v) : a << shift >> shift;
    if (u >> 53) {
        int cut = 64 - __builtin_clzll(u) - 53;
        u = (u >> cut | ((u & ((1ull << cut) - 1)) != 0)) << cut;
    }
    return s && v < 0 ? -(double)u : (double)u;
}

/* Integers of 64 bits to f64: nearest, or the neighbour on the side of the rounding. Long double
 * holds both. */
static double whole_to_double(uint64_t a, sim_type from, sim_round r) {
    uint32_t shift = 64 - 8 * sim_type_bytes(from);
    bool s = sim_type_signed(from);
    int64_t v = (int64_t)(a << shift) >> shift;
    uint64_t u = a << shift >> shift;
    long double exact = s ? (long double)v : (long double)u;
    double d = (double)exact;
    bool below = r == ROUND_M || (r == ROUND_Z && exact > 0);
    bool above = r == ROUND_P || (r == ROUND_Z && exact < 0);
    if (below && (long double)d > exact) {
        d = nextafter(d, -INFINITY);
    }
    if (above && (long double)d < exact) {
        d = nextafter(d, INFINITY);
    }
    return d;
}

static uint64_t float_out(const sim_insn *in, sim_type t, double v) {
    sim_round r = (sim_round)in->round;
    if (in->relu && !(v > 0) && !isnan(v)) {
        v = 0;
    }
    if (in->sat && t != T_E4M3 && t != T_E5M2) {
        v = !(v > 0) ? 0 : v > 1 ? 1 : v;
    }
    switch ((int)t) {
    case T_F64:
        return sim_of_f64(v);
    case T_F16:
    case T_BF16: {
        double once =
            isfinite(v) ? sim_round_to(v, t == T_F16 ? 10 : 7, t == T_F16 ? -14 : -126, r) : v;
        once = isfinite(v) ? fmax(-(double)FLT_MAX, fmin(once, (double)FLT_MAX)) : v;
        return t == T_F16 ? sim_f32_to_f16((float)once, r) : sim_f32_to_bf16((float)once, r);
    }
    case T_TF32: {
        float f = (float)sim_round_to(v, 10, -126, r == ROUND_NONE ? ROUND_A : r);
        return isnan(v) ? 0x7fffffff : sim_of_f32(f);
    }
    case T_E4M3:
    case T_E5M2:
        return sim_f32_to_f8((float)v, t);
    default: {
        float f = sim_round_f32(v, r);
        f = in->ftz && fpclassify(f) == FP_SUBNORMAL ? copysignf(0, f) : f;
        return isnan(f) ? 0x7fffffff : sim_of_f32(f);
    }
    }
}

static void cvt(sim_warp *w, const sim_insn *in, uint32_t mask) {
    sim_type to = (sim_type)in->type, from = (sim_type)in->type2;
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l], out;
        if (!is_float(from)) {
            out = to == T_F64    ? sim_of_f64(whole_to_double(a, from, (sim_round)in->round))
                  : is_float(to) ? float_out(in, to, whole_as_double(a, from))
                                 : from_integer(a, from, to, in->sat);
        } else if (!is_float(to)) {
            out = to_integer(float_in(in, from, a), from, to, (sim_round)in->round);
        } else {
            double v = float_in(in, from, a);
            out = float_out(in, to, in->whole ? to_whole(v, (sim_round)in->round) : v);
        }
        sim_in(w, in, 0)[l] = sim_extended(out, to, in->op[0].width);
    }
}

static sim_type half_of(sim_type t) {
    return t == T_F16X2 ? T_F16 : t == T_BF16X2 ? T_BF16 : t == T_E4M3X2 ? T_E4M3 : T_E5M2;
}

/* cvt.rn.T2.f32 d, a, b: a above b. */
static void cvt_pair(sim_warp *w, const sim_insn *in, uint32_t mask) {
    sim_type t = half_of((sim_type)in->type);
    uint32_t bits = 8 * sim_type_bytes(t);
    EACH_LANE(l, mask) {
        uint64_t a = float_out(in, t, float_in(in, T_F32, sim_in(w, in, 1)[l]));
        uint64_t b = float_out(in, t, float_in(in, T_F32, sim_in(w, in, 2)[l]));
        sim_in(w, in, 0)[l] = a << bits | b;
    }
}

/* Two packed values each: f16x2 from e4m3x2 and the other way about. */
static void cvt_packed(sim_warp *w, const sim_insn *in, uint32_t mask) {
    sim_type t = half_of((sim_type)in->type), f = half_of((sim_type)in->type2);
    uint32_t to = 8 * sim_type_bytes(t), from = 8 * sim_type_bytes(f);
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l], out = 0;
        for (uint32_t i = 0; i < 2; i++) {
            uint64_t u = a >> (from * i) & ((1u << from) - 1);
            double v = from == 8 ? (double)sim_f8_to_f32((uint8_t)u, f) : float_in(in, f, u);
            out |= float_out(in, t, v) << (to * i);
        }
        sim_in(w, in, 0)[l] = out;
    }
}

static bool cvt_family(sim_decoder *d) {
    static const char *const whole[] = {"rni", "rzi", "rmi", "rpi", NULL};
    sim_insn *in = d->in;
    for (int i = 0; i < d->n; i++) {
        for (int k = 0; whole[k]; k++) {
            in->whole = in->whole || strcmp(d->modifier[i], whole[k]) == 0;
        }
    }
    sim_took_round(d);
    in->ftz = sim_took(d, "ftz");
    bool finite = sim_took(d, "satfinite");
    in->sat = sim_took(d, "sat");
    in->relu = sim_took(d, "relu");
    in->type = (uint8_t)sim_took_type(d);
    in->type2 = (uint8_t)sim_took_type(d);
    bool packed =
        in->type == T_F16X2 || in->type == T_BF16X2 || in->type == T_E4M3X2 || in->type == T_E5M2X2;
    if (packed) {
        bool two = in->type2 == T_F32, eight = in->type == T_E4M3X2 || in->type == T_E5M2X2;
        return finite == eight && sim_operands(d, two ? "DSS" : "DS") &&
               sim_execs(d, two ? cvt_pair : cvt_packed, SIM_CLASS_CONVERT);
    }
    return !finite && in->type && in->type2 && sim_operands(d, "DS") &&
           sim_execs(d, cvt, SIM_CLASS_CONVERT);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static uint64_t window_of(const sim_insn *in) {
    return in->space == SPACE_SHARED  ? SHARED_WINDOW
           : in->space == SPACE_LOCAL ? LOCAL_WINDOW
           : in->space == SPACE_PARAM ? PARAM_WINDOW
                                      : 0;
}
static void cvta(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l];
        sim_in(w, in, 0)[l] = in->mode ? a - window_of(in) : a + window_of(in);
    }
}
static bool cvta_family(sim_decoder *d) {
    d->in->mode = sim_took(d, "to");
    d->in->space = (uint8_t)sim_took_space(d);
    d->in->type = (uint8_t)sim_took_type(d);
    return d->in->type == T_U64 && sim_operands(d, "DS") && sim_execs(d, cvta, SIM_CLASS_MOVE);
}
static void isspacep(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        sim_in(w, in, 0)[l] = (sim_in(w, in, 1)[l] & WINDOW_MASK) == window_of(in);
    }
}
static bool isspacep_family(sim_decoder *d) {
    d->in->space = (uint8_t)sim_took_space(d);
    return sim_operands(d, "DS") && sim_execs(d, isspacep, SIM_CLASS_MOVE);
}
/* mapa: the same place of another block (9.7.9.23). */
static void mapa(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        uint64_t a = sim_in(w, in, 1)[l], offset = a & ((1u << CTA_SHIFT) - 1);
        uint64_t window = in->type == T_U64 && in->space == SPACE_GENERIC ? SHARED_WINDOW : 0;
        sim_in(w, in, 0)[l] =
            window | (uint64_t)((uint32_t)sim_in(w, in, 2)[l] + 1) << CTA_SHIFT | offset;
    }
}
static bool mapa_family(sim_decoder *d) {
    d->in->space = (uint8_t)sim_took_space(d);
    d->in->type = (uint8_t)sim_took_type(d);
    return sim_operands(d, "DSS") && sim_execs(d, mapa, SIM_CLASS_MOVE);
}

/* ---- control flow ---------------------------------------------------------------------------- */

static void nothing(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)w;
    (void)in;
    (void)mask;
}
static bool control(sim_decoder *d, sim_control c) {
    d->in->control = (uint8_t)c;
    return sim_execs(d, nothing, SIM_CLASS_CONTROL);
}
static bool bra_family(sim_decoder *d) {
    d->in->uniform = sim_took(d, "uni");
    return sim_operands(d, "L") && control(d, CONTROL_BRANCH);
}
static bool brx_family(sim_decoder *d) {
    (void)sim_took(d, "idx");
    d->in->uniform = sim_took(d, "uni");
    return sim_operands(d, "SL") && control(d, CONTROL_TABLE);
}
static bool exit_family(sim_decoder *d) { return sim_operands(d, "") && control(d, CONTROL_EXIT); }
static bool trap_family(sim_decoder *d) { return sim_operands(d, "") && control(d, CONTROL_TRAP); }
static bool ret_family(sim_decoder *d) {
    d->in->uniform = sim_took(d, "uni");
    return sim_operands(d, "") && control(d, d->p->function->entry ? CONTROL_EXIT : CONTROL_RETURN);
}
static bool ignored_family(sim_decoder *d) {
    for (int i = 0; i < d->n; i++) {
        d->used[i] = true;
    }
    while (!sim_is_punct(d->p, ';') && d->p->lex.kind != TOKEN_END) {
        sim_lex_next(&d->p->lex);
    }
    return sim_execs(d, nothing, SIM_CLASS_CONTROL);
}

/* Copies n bytes of the lanes' own memory: op 0 to, 1 from, both offsets. */
static void copy_local(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        for (uint32_t i = 0; i < in->op[2].row; i++) {
            sim_place to = sim_resolve(w, (int)l, SPACE_LOCAL, (uint64_t)in->op[0].offset + i, 1,
                                       ACCESS_WRITE);
            sim_place from = sim_resolve(w, (int)l, SPACE_LOCAL, (uint64_t)in->op[1].offset + i, 1,
                                         ACCESS_WRITE);
            if (to.data && from.data) {
                *to.data = *from.data;
            }
        }
    }
}
static bool add_copy(sim_decoder *d, uint64_t to, uint64_t from, uint32_t bytes) {
    sim_insn in = *d->in;
    in.exec = copy_local;
    in.class_ = SIM_CLASS_MOVE;
    in.control = CONTROL_NONE;
    in.n = 3;
    in.op[0] = (sim_operand){.kind = OPERAND_NONE, .row = ROW_NONE, .offset = (int64_t)to};
    in.op[1] = (sim_operand){.kind = OPERAND_NONE, .row = ROW_NONE, .offset = (int64_t)from};
    in.op[2] = (sim_operand){.kind = OPERAND_NONE, .row = bytes};
    return SIM_PUSH(&d->p->module->code, in) || sim_parse_fail(d->p, SIM_E_NOMEM, "out of memory");
}

typedef struct sim_arguments {
    uint64_t offset[64];
    uint32_t n;
} sim_arguments;

static bool arguments(sim_decoder *d, sim_arguments *out) {
    sim_parser *p = d->p;
    out->n = 0;
    if (!sim_expect(p, '(')) {
        return false;
    }
    while (!sim_take_punct(p, ')')) {
        uint32_t row;
        const sim_symbol *s =
            p->lex.kind == TOKEN_WORD ? sim_symbol_find(p, p->lex.text, &row) : NULL;
        if (!s || s->kind != SYMBOL_LOCAL || out->n == 64) {
            return sim_parse_fail(p, SIM_E_UNSUPPORTED, "arguments that are no .param variables");
        }
        out->offset[out->n++] = s->offset;
        sim_lex_next(&p->lex);
        (void)sim_take_punct(p, ',');
    }
    return true;
}

/* call (results), f, (arguments): copies in, the call, copies out, as instructions of their own. */
static bool call_family(sim_decoder *d) {
    sim_parser *p = d->p;
    sim_arguments results = {.n = 0}, given = {.n = 0};
    d->in->uniform = sim_took(d, "uni");
    if (sim_is_punct(p, '(') && (!arguments(d, &results) || !sim_expect(p, ','))) {
        return false;
    }
    sim_kernel *f = p->lex.kind == TOKEN_WORD ? sim_function_named(p, p->lex.text) : NULL;
    if (!f || f->entry) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "the call of `%.80s`", p->lex.text);
    }
    if (f == p->function) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "recursion in `%.80s`", f->name);
    }
    sim_lex_next(&p->lex);
    if (sim_take_punct(p, ',') && !arguments(d, &given)) {
        return false;
    }
    if (given.n != f->n_params || results.n != f->n_results) {
        return sim_parse_fail(p, SIM_E_SYNTAX, "`%.80s` takes other arguments", f->name);
    }
    for (uint32_t i = 0; i < given.n; i++) {
        if (!add_copy(d, f->params[i].offset, given.offset[i], f->params[i].bytes)) {
            return false;
        }
    }
    sim_insn call = *d->in;
    call.control = CONTROL_CALL;
    call.exec = nothing;
    call.class_ = SIM_CLASS_CONTROL;
    call.callee = f;
    if (!SIM_PUSH(&p->module->code, call)) {
        return sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
    }
    for (uint32_t i = 0; i < results.n; i++) {
        if (!add_copy(d, results.offset[i], f->results[i].offset, f->results[i].bytes)) {
            return false;
        }
    }
    return sim_execs(d, nothing, SIM_CLASS_CONTROL);
}

const sim_family_row sim_families_move[] = {{"mov", mov_family},
                                            {"cvt", cvt_family},
                                            {"cvta", cvta_family},
                                            {"isspacep", isspacep_family},
                                            {"mapa", mapa_family},
                                            {"bra", bra_family},
                                            {"brx", brx_family},
                                            {"exit", exit_family},
                                            {"trap", trap_family},
                                            {"brkpt", trap_family},
                                            {"ret", ret_family},
                                            {"call", call_family},
                                            {"nanosleep", ignored_family},
                                            {"pmevent", ignored_family},
                                            {"discard", ignored_family},
                                            {"applypriority", ignored_family},
                                            {NULL, NULL}};
