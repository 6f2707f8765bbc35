/* SPDX-License-Identifier: Apache-2.0 */
/* See op_case.h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/interp/op_case.h"

void bench_init(bench *b) {
    *b = (bench){0};
    tg_env_init(&b->env, tg_allocator_default(), (size_t)1 << 30);
    if (TG_ENV_GUARD(&b->env, b->oom)) {
        fail_msg("out of memory");
    }
    tg_arena_init(&b->arena, &b->env);
    tg_sink_init(&b->sink, &b->arena);
    tg_sb_init(&b->printed, &b->arena);
    b->options = (tg_interp_options){
        .check_races = true, .check_facts = true, .print_to = &b->printed, .max_steps = 100000000};
}

void bench_fini(bench *b) { tg_arena_fini(&b->arena); }

void bench_print_diags(const bench *b) {
    for (const tg_diag *d = b->sink.first; d != NULL; d = d->next) {
        print_message("E%04d: %s\n", (int)d->id, d->text);
    }
}

void bench_load(bench *b, const char *text) {
    tg_module *m = NULL;
    b->source = (tg_source){.name = "case", .text = text, .len = strlen(text)};
    if (tg_module_parse(&b->source, &b->arena, &b->sink, &m) != TG_OK ||
        tg_module_verify(m, &b->sink) != TG_OK) {
        bench_print_diags(b);
        fail_msg("the case's text is not right:\n%s", text);
    }
    b->func = m->first_func;
}

static uint64_t encode(tg_dtype t, double v) {
    if (tg_dtype_is_float(t)) {
        return tg_float_encode(t, v, TG_ROUND_RNE, false);
    }
    return v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
}

static double decode(tg_dtype t, uint64_t bits) {
    if (tg_dtype_is_float(t)) {
        return tg_float_decode(t, bits);
    }
    int64_t v = tg_int_decode(t, bits);
    return t == TG_DT_U64 ? (double)(uint64_t)v : (double)v;
}

void bench_open(bench *b, const char *text) {
    bench_init(b);
    bench_load(b, text);
}

void bench_tensor(bench *b, int p, int rank, const int64_t *extents, const double *values) {
    tg_dtype t = b->func->params[p].type->dtype;
    tg_interp_arg *a = &b->args[p];
    int64_t bytes = t == TG_DT_RECORD ? b->func->params[p].type->elem_bytes : tg_dtype_bits(t) / 8;
    int64_t count = 1, row = 1;
    if (rank > 0 && tg_dtype_bits(t) == 4) { /* rows start on a byte */
        row = extents[rank - 1];
        bytes = (row + 1) / 2;
    }
    for (int d = rank - 1; d >= 0; d--) {
        a->extent[d] = extents[d];
        count *= extents[d];
        if (d == rank - 1 && tg_dtype_bits(t) == 4) {
            continue;
        }
        a->stride_bytes[d] = bytes;
        bytes *= extents[d];
    }
    a->data = tg_arena_alloc(&b->arena, (size_t)bytes + 1);
    int64_t row_bytes = tg_dtype_bits(t) == 4 ? (row + 1) / 2 : 0;
    for (int64_t i = 0; values != NULL && i < count; i++) {
        char *base = (char *)a->data + (row_bytes > 0 ? i / row * row_bytes : 0);
        tg_bits_store(base, t, (size_t)(row_bytes > 0 ? i % row : i), encode(t, values[i]));
    }
}

void bench_scalar(bench *b, int p, double value) {
    b->args[p].scalar = encode(b->func->params[p].type->dtype, value);
}

tg_status bench_run_interp(bench *b) {
    tg_status s = tg_interp_bind(b->func, b->args, b->syms, &b->sink);
    return s != TG_OK ? s
                      : tg_interp_run(b->func, b->args, b->syms, &b->options, &b->arena, &b->sink);
}

#ifndef TG_BENCH_NATIVE /* tests/cpu compares each run with compiled code */
tg_status bench_run(bench *b) { return bench_run_interp(b); }
#endif

double bench_get(const bench *b, int p, int64_t i) {
    const tg_type *type = b->func->params[p].type;
    const char *base = b->args[p].data;
    if (tg_dtype_bits(type->dtype) == 4 && type->rank > 0) {
        int64_t row = b->args[p].extent[type->rank - 1];
        base += i / row * ((row + 1) / 2);
        i %= row;
    }
    return decode(type->dtype, tg_bits_load(base, type->dtype, (size_t)i));
}

bool bench_told(const bench *b, tg_diag_id id) {
    for (const tg_diag *d = b->sink.first; d != NULL; d = d->next) {
        if (d->id == id) {
            return true;
        }
    }
    return false;
}

/* ---- one operation ------------------------------------------------------------------------------
 */

typedef struct shape_text {
    char dtype[16];
    int rank;
    int64_t extent[TG_MAX_RANK];
} shape_text;

static shape_text parse_shape(const char *s) {
    shape_text t = {.rank = 0};
    size_t n = strcspn(s, "[");
    memcpy(t.dtype, s, n);
    for (s += n; *s == '[' || *s == ',';) {
        char *end;
        t.extent[t.rank++] = strtoll(s + 1, &end, 10);
        s = end;
    }
    return t;
}

/* A scalar lives in a tensor of one element. */
static void add_param(tg_sb *sb, const char *prefix, int i, const shape_text *t,
                      const char *flags) {
    tg_sb_addf(sb, "  param %s%d: tensor<%s[", prefix, i, t->dtype);
    for (int d = 0; d < t->rank; d++) {
        tg_sb_addf(sb, "%s%lld", d > 0 ? ", " : "", (long long)t->extent[d]);
    }
    tg_sb_addf(sb, "%s]>%s\n", t->rank == 0 ? "1" : "", flags);
}

static void add_type(tg_sb *sb, const shape_text *t, bool tensor) {
    tg_sb_add(sb, tensor ? "tensor<" : "");
    tg_sb_add(sb, t->dtype);
    for (int d = 0; d < t->rank; d++) {
        tg_sb_addf(sb, "%s%lld", d > 0 ? ", " : "[", (long long)t->extent[d]);
    }
    tg_sb_add(sb, t->rank > 0 ? "]" : tensor ? "[1]" : "");
    tg_sb_add(sb, tensor ? ">" : "");
}

/* Spans over all axes, as operands and as the axes attribute. */
static void add_spans(tg_sb *sb, const char *prefix, int i, const shape_text *t) {
    for (int d = 0; d < t->rank; d++) {
        tg_sb_addf(sb, "    %%%sn%d_%d = const {i = %lld} : i64\n", prefix, i, d,
                   (long long)t->extent[d]);
        tg_sb_addf(sb, "    %%%ss%d_%d = span %%zero, %%%sn%d_%d : span<%lld>\n", prefix, i, d,
                   prefix, i, d, (long long)t->extent[d]);
    }
}

static void add_indices(tg_sb *sb, const char *prefix, int i, const shape_text *t) {
    for (int d = 0; d < t->rank; d++) {
        tg_sb_addf(sb, ", %%%ss%d_%d", prefix, i, d);
    }
    tg_sb_add(sb, t->rank == 0 ? ", %zero {axes = [" : " {axes = [");
    for (int d = 0; d < t->rank; d++) {
        tg_sb_addf(sb, "%s%d", d > 0 ? ", " : "", d);
    }
    tg_sb_add(sb, "]}");
}

static int count_of(const char *const *list, int max) {
    int n = 0;
    while (n < max && list[n] != NULL) {
        n++;
    }
    return n;
}

static void add_op(tg_sb *sb, const op_case *c, const shape_text *out, int n_out) {
    tg_sb_add(sb, "    ");
    for (int o = 0; o < n_out; o++) {
        tg_sb_addf(sb, "%s%%r%d", o > 0 ? ", " : "", o);
    }
    tg_sb_add(sb, " = ");
    for (const char *s = c->op; *s != '\0'; s++) {
        if (*s == '$') {
            tg_sb_add(sb, "%v");
        } else {
            tg_sb_addc(sb, *s);
        }
    }
    for (int o = 0; o < n_out; o++) {
        tg_sb_add(sb, o > 0 ? ", " : " : ");
        add_type(sb, &out[o], false);
    }
    tg_sb_addf(sb, " %s\n", c->region != NULL ? c->region : "");
}

static void add_region_args(tg_sb *sb, const char *prefix, const shape_text *in, int n_in,
                            const shape_text *out, int n_out) {
    for (int i = 0; i < n_in + n_out; i++) {
        tg_sb_addf(sb, "%s%%%s%s%d: ", i > 0 ? ", " : "", prefix, i < n_in ? "x" : "y",
                   i < n_in ? i : i - n_in);
        add_type(sb, i < n_in ? &in[i] : &out[i - n_in], true);
    }
}

static void build_text(tg_sb *sb, const op_case *c, const shape_text *in, int n_in,
                       const shape_text *out, int n_out) {
    tg_sb_add(sb, "tegula-ir 1\nkernel tile t {\n");
    for (int i = 0; i < n_in; i++) {
        add_param(sb, "x", i, &in[i], "");
    }
    for (int o = 0; o < n_out; o++) {
        add_param(sb, "y", o, &out[o], " out");
    }
    tg_sb_add(sb, "  grid (");
    add_region_args(sb, "g", in, n_in, out, n_out);
    tg_sb_add(sb, ") {\n    yield\n  }\n  body (");
    add_region_args(sb, "", in, n_in, out, n_out);
    tg_sb_add(sb, ") {\n    %zero = const {i = 0} : i64\n");
    for (int i = 0; i < n_in; i++) {
        add_spans(sb, "x", i, &in[i]);
        tg_sb_addf(sb, "    %%v%d = load %%x%d", i, i);
        add_indices(sb, "x", i, &in[i]);
        tg_sb_add(sb, " : ");
        add_type(sb, &in[i], false);
        tg_sb_add(sb, "\n");
    }
    add_op(sb, c, out, n_out);
    for (int o = 0; o < n_out; o++) {
        add_spans(sb, "y", o, &out[o]);
        tg_sb_addf(sb, "    store %%y%d, %%r%d", o, o);
        add_indices(sb, "y", o, &out[o]);
        tg_sb_add(sb, "\n");
    }
    tg_sb_add(sb, "    yield\n  }\n}\n");
}

static bool same(double a, double b) {
    return isnan(a) ? isnan(b) != 0 : a == b && signbit(a) == signbit(b);
}

static void check_result(const char *where, const bench *b, int p, const shape_text *t,
                         const double *want) {
    int64_t n = 1;
    for (int d = 0; d < t->rank; d++) {
        n *= t->extent[d];
    }
    for (int64_t i = 0; i < n; i++) {
        double got = bench_get(b, p, i);
        if (!same(got, want[i])) {
            fail_msg("%s: element %lld is %.17g, not %.17g", where, (long long)i, got, want[i]);
        }
    }
}

void check_op(const char *where, const op_case *c, tg_interp_mode mode) {
    const int64_t one[] = {1};
    int n_in = count_of(c->in, 6), n_out = count_of(c->out, 4);
    shape_text in[6], out[4];
    bench b;
    tg_sb sb;
    bench_init(&b);
    b.options.mode = mode;
    for (int i = 0; i < n_in; i++) {
        in[i] = parse_shape(c->in[i]);
    }
    for (int o = 0; o < n_out; o++) {
        out[o] = parse_shape(c->out[o]);
    }
    tg_sb_init(&sb, &b.arena);
    build_text(&sb, c, in, n_in, out, n_out);
    bench_load(&b, sb.data);
    for (int i = 0; i < n_in; i++) {
        bench_tensor(&b, i, in[i].rank == 0 ? 1 : in[i].rank, in[i].rank == 0 ? one : in[i].extent,
                     c->in_values[i]);
    }
    for (int o = 0; o < n_out; o++) {
        bench_tensor(&b, n_in + o, out[o].rank == 0 ? 1 : out[o].rank,
                     out[o].rank == 0 ? one : out[o].extent, NULL);
    }
    if (bench_run(&b) != TG_OK) {
        bench_print_diags(&b);
        fail_msg("%s: the run failed", where);
    }
    for (int o = 0; o < n_out; o++) {
        check_result(where, &b, n_in + o, &out[o], c->want[o]);
    }
    bench_fini(&b);
}
