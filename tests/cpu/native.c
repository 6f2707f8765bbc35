/* SPDX-License-Identifier: Apache-2.0 */
/* See native.h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cpu/native.h"
#include "tests/llvm/harness.h"

double native_tolerance = 0;

enum { MAX_SLOTS = 256, GUARD = 64 };

static int64_t tensor_bytes(const bench *b, int p) {
    const tg_type *t = b->func->params[p].type;
    const tg_interp_arg *a = &b->args[p];
    int64_t elem = t->dtype == TG_DT_RECORD ? t->elem_bytes : (tg_dtype_bits(t->dtype) + 7) / 8;
    int64_t bytes = elem;
    for (int d = 0; d < t->rank; d++) {
        if (a->extent[d] == 0) {
            return 0;
        }
        if (a->stride_bytes[d] == 0 && tg_dtype_bits(t->dtype) == 4) {
            bytes = (a->extent[d] + 1) / 2;
            continue;
        }
        bytes += (a->extent[d] - 1) * a->stride_bytes[d];
    }
    if (t->rank > 0 && tg_dtype_bits(t->dtype) == 4) {
        bytes = (a->extent[t->rank - 1] + 1) / 2;
        for (int d = 0; d < t->rank - 1; d++) {
            bytes += (a->extent[d] - 1) * a->stride_bytes[d];
        }
    }
    return bytes;
}

static int fill_slots(const bench *b, void *const *data, int64_t *slots) {
    int n = 0;
    for (int p = 0; p < b->func->n_params; p++) {
        const tg_type *t = b->func->params[p].type;
        const tg_interp_arg *a = &b->args[p];
        if (t->kind != TG_TY_TENSOR) {
            slots[n++] = (int64_t)a->scalar;
            continue;
        }
        slots[n++] = (int64_t)(intptr_t)data[p];
        for (int d = 0; d < t->rank; d++) {
            slots[n++] = a->extent[d];
        }
        for (int d = 0; d < t->rank; d++) {
            slots[n++] = a->stride_bytes[d];
        }
    }
    for (int s = 0; s < b->func->n_syms; s++) {
        slots[n++] = b->syms[s];
    }
    return n;
}

static void print_diags(const tg_sink *sink, tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    for (const tg_diag *d = sink->first; d != NULL; d = d->next) {
        tg_diag_render(&sb, d);
    }
    print_message("%s\n", sb.data != NULL ? sb.data : "");
}

static int32_t call(const bench *b, const struct tg_test_code *code, const int64_t *slots,
                    int pieces) {
    char name[256];
    tg_cpu_plan plan = {0};
    snprintf(name, sizeof name, "%s.plan", b->func->name);
    tg_cpu_plan_fn plan_fn = (tg_cpu_plan_fn)(uintptr_t)tg_test_symbol(code, name);
    snprintf(name, sizeof name, "%s.phase0", b->func->name);
    tg_cpu_phase_fn phase = (tg_cpu_phase_fn)(uintptr_t)tg_test_symbol(code, name);
    assert_non_null(plan_fn);
    assert_non_null(phase);
    int32_t r = plan_fn(slots, &plan);
    struct tg_cpu_report report = {0};
    size_t bytes = ((size_t)plan.scratch_bytes + 63) / 64 * 64 + 64;
    unsigned char *scratch = aligned_alloc(64, bytes + 64);
    memset(scratch, 0xfb, bytes + 64); /* NaNs, should anything unwritten be read */
    for (int i = 0; i < pieces && r == 0; i++) {
        int64_t lo = plan.programs[0] * i / pieces, hi = plan.programs[0] * (i + 1) / pieces;
        r = phase(slots, lo, hi, scratch, NULL, &report);
    }
    for (size_t i = (size_t)plan.scratch_bytes; i < bytes + 64; i++) {
        if (scratch[i] != 0xfb) {
            fail_msg("scratch written behind its end, at +%zu of %lld", i,
                     (long long)plan.scratch_bytes);
        }
    }
    free(scratch);
    return r;
}

tg_status native_run(bench *b) {
    tg_module *out = tg_module_make(&b->arena);
    tg_status s = tg_lower_cpu(b->func, tg_machine_host(), out, &b->sink);
    if (s != TG_OK) {
        print_diags(&b->sink, &b->arena);
        return s;
    }
    if (getenv("TG_DUMP") != NULL) {
        tg_sb sb;
        tg_sb_init(&sb, &b->arena);
        tg_module_print(&sb, out);
        fputs(sb.data, stderr);
    }
    s = tg_module_verify(out, &b->sink);
    if (s != TG_OK) {
        print_diags(&b->sink, &b->arena);
        return s;
    }
    struct tg_test_code code;
    if (!tg_test_load(out, NULL, &code)) {
        return TG_E_INTERNAL;
    }
    /* Tensors run in guarded copies, so that a store outside one is seen. */
    void *data[BENCH_MAX_ARGS] = {0};
    unsigned char *block[BENCH_MAX_ARGS] = {0};
    for (int p = 0; p < b->func->n_params; p++) {
        if (b->func->params[p].type->kind == TG_TY_TENSOR) {
            size_t n = (size_t)tensor_bytes(b, p);
            block[p] = malloc(n + 2 * GUARD);
            memset(block[p], 0xa5, n + 2 * GUARD);
            memcpy(block[p] + GUARD, b->args[p].data, n);
            data[p] = block[p] + GUARD;
        }
    }
    int64_t slots[MAX_SLOTS];
    fill_slots(b, data, slots);
    int32_t r = call(b, &code, slots, 2);
    for (int p = 0; p < b->func->n_params; p++) {
        if (block[p] == NULL) {
            continue;
        }
        size_t n = (size_t)tensor_bytes(b, p);
        for (size_t i = 0; i < GUARD; i++) {
            if (block[p][i] != 0xa5 || block[p][GUARD + n + i] != 0xa5) {
                fail_msg("parameter %d: written outside (%s, byte %zu)", p,
                         block[p][i] != 0xa5 ? "before" : "behind", i);
            }
        }
        memcpy(b->args[p].data, data[p], n);
        free(block[p]);
    }
    tg_test_unload(&code);
    return r == 0 ? TG_OK : TG_E_SOURCE;
}

static bool close_enough(double a, double b) {
    if (isnan(a) || isnan(b)) {
        return isnan(a) && isnan(b);
    }
    if (a == b) {
        return native_tolerance > 0 || signbit(a) == signbit(b);
    }
    return fabs(a - b) <= native_tolerance * (1e-3 + fabs(b));
}

static int64_t element_count(const bench *b, int p) {
    int64_t n = 1;
    for (int d = 0; d < b->func->params[p].type->rank; d++) {
        n *= b->args[p].extent[d];
    }
    return n;
}

static void compare(const bench *b, int p, const void *native, void *expected) {
    bench x = *b, y = *b;
    if (b->func->params[p].type->dtype == TG_DT_RECORD) {
        if (memcmp(native, expected, (size_t)tensor_bytes(b, p)) != 0) {
            fail_msg("parameter %d differs from the interpreter", p);
        }
        return;
    }
    x.args[p].data = (void *)(uintptr_t)native;
    y.args[p].data = expected;
    for (int64_t i = 0; i < element_count(b, p); i++) {
        double got = bench_get(&x, p, i), want = bench_get(&y, p, i);
        if (!close_enough(got, want)) {
            fail_msg("parameter %d, element %lld: compiled %.17g, interpreted %.17g", p,
                     (long long)i, got, want);
        }
    }
}

tg_status bench_run(bench *b) {
    void *before[BENCH_MAX_ARGS] = {0};
    for (int p = 0; p < b->func->n_params; p++) {
        if (b->func->params[p].type->kind == TG_TY_TENSOR && b->args[p].data == NULL) {
            return bench_run_interp(b);
        }
        if (b->func->params[p].type->kind == TG_TY_TENSOR) {
            size_t n = (size_t)tensor_bytes(b, p);
            before[p] = tg_arena_alloc(&b->arena, n + 1);
            memcpy(before[p], b->args[p].data, n);
        }
    }
    tg_status s = bench_run_interp(b);
    if (s != TG_OK || b->options.mode != TG_INTERP_F32) {
        return s;
    }
    void *expected[BENCH_MAX_ARGS] = {0};
    for (int p = 0; p < b->func->n_params; p++) {
        if (before[p] != NULL) {
            size_t n = (size_t)tensor_bytes(b, p);
            expected[p] = tg_arena_alloc(&b->arena, n + 1);
            memcpy(expected[p], b->args[p].data, n);
            memcpy(b->args[p].data, before[p], n);
        }
    }
    s = native_run(b);
    for (int p = 0; p < b->func->n_params && s == TG_OK; p++) {
        if (before[p] != NULL) {
            compare(b, p, b->args[p].data, expected[p]);
        }
    }
    return s;
}
