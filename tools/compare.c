/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is an output right? Each tolerance is derived from the arithmetic (kernels/ *_ref.c,
 * docs/tolerances.md) and evaluated in double here. NaN is right exactly where the reference has
 * NaN; an output that is one constant while the reference is not fails whatever the tolerance says.
 */
#include "tools/tool.h"

#include <math.h>
#include <string.h>

/* Gap between v and the next value away from zero in dtype, at least the smallest subnormal's. */
static double ulp_of(tg_dtype t, double v) {
    static const struct {
        tg_dtype dtype;
        int mantissa, min_exponent;
    } formats[] = {{TG_DT_F64, 52, -1022}, {TG_DT_F32, 23, -126},    {TG_DT_F16, 10, -14},
                   {TG_DT_BF16, 7, -126},  {TG_DT_F8E4M3, 3, -6},    {TG_DT_F8E5M2, 2, -14},
                   {TG_DT_F4E2M1, 1, 0},   {TG_DT_F8E4M3FNUZ, 3, -7}};
    int mantissa = 23, least = -126, e = 0;
    for (size_t i = 0; i < TG_COUNT_OF(formats); i++) {
        if (formats[i].dtype == t) {
            mantissa = formats[i].mantissa;
            least = formats[i].min_exponent;
        }
    }
    (void)frexp(v, &e);
    e = v == 0 || e - 1 < least ? least : e - 1;
    return ldexp(1, e - mantissa);
}

typedef struct sums {
    double xx, yy, xy, slack; /* slack: squares of what elements may be off */
    double row_yy, row_err,
        worst_row; /* of the current row of the innermost axis; max of err / rms */
    bool constant, want_constant;
} sums;

/* The gate's second half, a row at a time: the rows of a causal prefill differ in magnitude by the
 * number of keys they average, so one rms for all would judge the first rows by the last ones. */
static void end_row(sums *s, int64_t inner) {
    double rms = sqrt(s->row_yy / (double)inner);
    if (s->row_err > 0) {
        s->worst_row = fmax(s->worst_row, rms > 0 ? s->row_err / rms : INFINITY);
    }
    s->row_yy = 0;
    s->row_err = 0;
}

static bool one_ok(const tool_array *a, double got, double want, tgk_tolerance kind, double bound,
                   double abs_bound, double rel_bound, tool_verdict *v) {
    if (isnan(want) || isnan(got)) {
        return isnan(want) && isnan(got);
    }
    if (isinf(want) || isinf(got)) {
        /* An infinite result of a narrow type is right when the reference overflows it. */
        double limit =
            tg_float_decode(a->dtype, tg_float_encode(a->dtype, want, TG_ROUND_RNE, false));
        return got == want || got == limit;
    }
    double err = fabs(got - want), ulp = ulp_of(a->dtype, want);
    v->max_abs = fmax(v->max_abs, err);
    v->max_ulp = fmax(v->max_ulp, err / ulp);
    v->max_rel = fmax(v->max_rel, want != 0 ? err / fabs(want) : 0);
    switch (kind) {
    case TGK_TOL_EXACT:
        return got == want && (got != 0 || signbit(got) == signbit(want));
    case TGK_TOL_ULP:
    case TGK_TOL_DERIVED:
        return err <= bound * ulp + abs_bound + rel_bound * fabs(want);
    case TGK_TOL_LSE:
        return err <= 1e-5 + 1.2e-4 * fabs(want);
    case TGK_TOL_GATE:
    case TGK_TOL_NMSE:
    case TGK_TOL_CALC_DIFF:
        return true;
    case TGK_TOL_STEPS: /* of records alone */
        break;
    }
    return false;
}

/* The case's own `tol`, in the terms of an output rule. */
static tgk_output_rule effective_rule(const tg_case *tol, const tgk_output_rule *rule,
                                      double *out_rel) {
    tgk_output_rule r = rule != NULL ? *rule : (tgk_output_rule){.tol = TGK_TOL_EXACT};
    *out_rel = 0;
    if (tol == NULL) {
        return r;
    }
    switch (tol->tol) {
    case TG_TOL_NONE:
        break;
    case TG_TOL_EXACT:
        r.tol = TGK_TOL_EXACT;
        break;
    case TG_TOL_ULP:
        r = (tgk_output_rule){.tol = TGK_TOL_ULP, .bound = tol->tol_a};
        break;
    case TG_TOL_ABS_REL:
        r = (tgk_output_rule){.tol = TGK_TOL_ULP, .bound = 1, .abs = tol->tol_a};
        *out_rel = tol->tol_b;
        break;
    case TG_TOL_NMSE:
        r = (tgk_output_rule){.tol = TGK_TOL_NMSE, .bound = tol->tol_a};
        break;
    case TG_TOL_CALC_DIFF:
        r = (tgk_output_rule){.tol = TGK_TOL_CALC_DIFF, .bound = tol->tol_a};
        break;
    case TG_TOL_GATE:
        r = (tgk_output_rule){.tol = TGK_TOL_GATE, .bound = tol->tol_a, .abs = tol->tol_b};
        break;
    }
    return r;
}

static void judge_sums(const sums *s, const tgk_output_rule *r, tool_verdict *v) {
    double calc_diff = s->xx + s->yy > 0 ? 1 - 2 * s->xy / (s->xx + s->yy) : 0;
    if (r->tol == TGK_TOL_CALC_DIFF) {
        /* |x - y|^2 / (|x|^2 + |y|^2): where every element is as far off as it may be, slack^2. */
        double known = s->slack > 0 ? s->slack / (s->xx + s->yy) : 0;
        v->metric = calc_diff;
        if (!(v->metric <= r->bound + known)) {
            v->pass = false;
            v->why = "calc_diff above the bound";
        }
    } else if (r->tol == TGK_TOL_NMSE) {
        double error = s->xx - 2 * s->xy + s->yy;
        v->metric = s->yy > 0 ? error / s->yy : s->xx > 0 ? INFINITY : 0;
        if (!(v->metric <= r->bound)) {
            v->pass = false;
            v->why = "nmse above the bound";
        }
    } else if (r->tol == TGK_TOL_GATE && s->yy > 0) {
        double diff = r->bound > 0 ? r->bound : 5e-6, worst = r->abs > 0 ? r->abs : 0.03;
        v->metric = calc_diff;
        if (!(v->metric <= diff) || !(s->worst_row <= worst)) {
            v->pass = false;
            v->why = "outside the gate (calc_diff, and the largest error over the row's rms)";
        }
    }
}

/* Whether bytes got are those wanted but for a few that are one step off. */
static bool within_steps(const tool_array *a, const tgk_arg *want, double share) {
    int64_t off = 0;
    for (int64_t i = 0; i < a->count * a->elem_bytes; i++) {
        int got = tool_array_record(a, i / a->elem_bytes)[i % a->elem_bytes];
        int d = got > want->bytes[i] ? got - want->bytes[i] : want->bytes[i] - got;
        if (d > 1 && d < 255) { /* 255: a bf16's lower byte that carries */
            return false;
        }
        off += d != 0;
    }
    return (double)off <= share * (double)(a->count * a->elem_bytes);
}

/* Records are bytes: equal or not, unless their rule allows steps. */
static tool_verdict compare_records(const tool_array *a, const tgk_arg *want,
                                    const tgk_output_rule *rule) {
    tool_verdict v = {.pass = true, .first_bad = -1};
    if (rule != NULL && rule->tol == TGK_TOL_STEPS && within_steps(a, want, rule->bound)) {
        return v;
    }
    for (int64_t e = 0; e < a->count && v.pass; e++) {
        if (memcmp(tool_array_record(a, e), want->bytes + e * a->elem_bytes,
                   (size_t)a->elem_bytes) != 0) {
            v = (tool_verdict){.first_bad = e, .why = "a record's bytes differ"};
        }
    }
    return v;
}

tool_verdict tool_compare(tool *t, const tool_array *a, const tgk_arg *want, const tg_case *tol,
                          const tgk_output_rule *rule) {
    (void)t;
    double rel;
    if (a->dtype == TG_DT_RECORD) {
        return compare_records(a, want, rule);
    }
    tgk_output_rule r = effective_rule(tol, rule, &rel);
    /* A reference that knows what each element may be off is heard beside the sum of all. */
    bool each = r.tol == TGK_TOL_CALC_DIFF && want->slack != NULL;
    tool_verdict v = {.pass = true, .first_bad = -1};
    sums s = {.constant = a->count > 8, .want_constant = true};
    double first = 0, want_first = 0;
    int64_t inner = a->rank > 0 ? a->extent[a->rank - 1] : 1;
    for (int64_t e = 0; e < a->count; e++) {
        double got = tool_array_get(a, e), ref = want->f != NULL ? want->f[e] : (double)want->i[e];
        if (want->f == NULL && got == ref && tool_array_get_int(a, e) != want->i[e]) {
            got = ref + 1; /* beyond 2^53 doubles would hide it */
        }
        first = e == 0 ? got : first;
        want_first = e == 0 ? ref : want_first;
        s.constant = s.constant && got == first;
        s.want_constant = s.want_constant && ref == want_first;
        double slack = want->slack != NULL ? want->slack[e] : 0;
        if (!one_ok(a, got, ref, each ? TGK_TOL_DERIVED : r.tol, each ? 1 : r.bound, r.abs + slack,
                    rel, &v) &&
            v.first_bad < 0) {
            v.pass = false;
            v.first_bad = e;
            v.why = isnan(got) != isnan(ref)
                        ? "NaN where the reference has a number, or the reverse"
                        : "outside the tolerance";
        }
        if (isfinite(got) && isfinite(ref)) {
            s.xx += got * got;
            s.yy += ref * ref;
            s.xy += got * ref;
            s.slack += each ? slack * slack : 0;
            s.row_yy += ref * ref;
            s.row_err = fmax(s.row_err, fabs(got - ref));
        }
        if (inner > 0 && (e + 1) % inner == 0) {
            end_row(&s, inner);
        }
    }
    judge_sums(&s, &r, &v);
    if (s.constant && !s.want_constant) {
        v.pass = false;
        v.why = "the output is one constant, the reference is not";
    }
    return v;
}

/* Bit for bit; any NaN is as good as any other, and any zero where `zeros`. */
static bool same_bits(const tool_array *a, const tool_array *b, int64_t e, bool zeros) {
    if (a->dtype == TG_DT_RECORD) {
        return memcmp(tool_array_record(a, e), tool_array_record(b, e), (size_t)a->elem_bytes) == 0;
    }
    size_t at, bt;
    const unsigned char *x = tool_array_row(a, e, &at), *y = tool_array_row(b, e, &bt);
    uint64_t u = tg_bits_load(x, a->dtype, at), w = tg_bits_load(y, b->dtype, bt);
    if (u == w || !tg_dtype_is_float(a->dtype)) {
        return u == w;
    }
    double x_value = tg_float_decode(a->dtype, u), y_value = tg_float_decode(b->dtype, w);
    return (isnan(x_value) && isnan(y_value)) || (zeros && x_value == 0 && y_value == 0);
}

static int64_t count_different(const tool_array *a, const tool_array *b, bool zeros,
                               int64_t *out_first) {
    int64_t bad = 0;
    *out_first = -1;
    for (int64_t e = 0; e < a->count; e++) {
        if (!same_bits(a, b, e, zeros)) {
            *out_first = bad++ == 0 ? e : *out_first;
        }
    }
    return bad;
}

int64_t tool_compare_bits(const tool_array *a, const tool_array *b, int64_t *out_first) {
    return count_different(a, b, false, out_first);
}

int64_t tool_compare_exact(const tool_array *a, const tool_array *b, int64_t *out_first) {
    return count_different(a, b, true, out_first);
}
