/* SPDX-License-Identifier: Apache-2.0 */
/* Work formulas: attention.md section 6 (K1, K4), moe.md section 12. */
#include "tools/work.h"

#include <string.h>

static const tool_array *arg(const tool_kernel *k, const char *name) {
    for (int i = 0; i < k->n_args; i++) {
        if (strcmp(k->args[i].name, name) == 0) {
            return &k->args[i];
        }
    }
    return NULL;
}

/* Products of x[M, K] with something of N columns. */
static double gemm_flops(const tool_kernel *k) {
    const tool_array *a = &k->args[0], *c = &k->args[k->n_args - 1];
    return 2.0 * (double)a->extent[0] * (double)a->extent[1] * (double)c->extent[1];
}

static int64_t length_of(const tool_kernel *k, const char *ends, int64_t b) {
    const tool_array *a = arg(k, ends);
    return a != NULL ? tool_array_get_int(a, b + 1) - tool_array_get_int(a, b)
                     : tool_array_get_int(arg(k, "len"), b);
}

/* Visible pairs of every request times 2 (d_qk + d_v) a head; keys packed (ck) or paged (len). */
static double flash_flops(const tool_kernel *k) {
    const tool_array *cq = arg(k, "cq"), *q = arg(k, "q"), *o = arg(k, "o");
    int64_t left = tool_array_get_int(arg(k, "left"), 0);
    int64_t right = tool_array_get_int(arg(k, "right"), 0);
    double pairs = 0;
    for (int64_t b = 0; b + 1 < cq->count; b++) {
        int64_t sq = length_of(k, "cq", b), sk = length_of(k, "ck", b);
        for (int64_t i = 0; i < sq; i++) {
            int64_t at = i + sk - sq, lo = left < 0 || at < left ? 0 : at - left;
            int64_t hi = right < 0 || at + right >= sk ? sk : at + right + 1;
            pairs += (double)(hi > lo ? hi - lo : 0);
        }
    }
    return 2.0 * pairs * (double)q->extent[1] * (double)(q->extent[2] + o->extent[2]);
}

/* Decode: q [B, S, H, D], o [B, S, H, E], all keys of every request. */
static double decode_flops(const tool_kernel *k) {
    const tool_array *q = arg(k, "q"), *o = arg(k, "o"), *len = arg(k, "len");
    double tokens = 0, rows = (double)(q->extent[1] * q->extent[2]);
    for (int64_t b = 0; b < len->count; b++) {
        tokens += (double)tool_array_get_int(len, b);
    }
    return 2.0 * tokens * rows * (double)(q->extent[3] + o->extent[3]);
}

static const struct {
    const char *kernel;
    double (*flops)(const tool_kernel *k);
} formulas[] = {
    {"matmul", gemm_flops},
    {"linear", gemm_flops},
    {"linear_silu", gemm_flops},
    {"linear_residual", gemm_flops},
    {"matmul_i8", gemm_flops},
    {"linear_i8", gemm_flops},
    {"gemm_fp8", gemm_flops},
    {"flash_attention", flash_flops},
    {"gqa_decode", decode_flops},
    {"mla_decode", decode_flops},
    {"mla_decode_fp8", decode_flops},
    {"paged_attention", flash_flops},
    {"mla_decode_v4", decode_flops},
    {"mla_decode_mxfp8", decode_flops},
    {"mla_decode_nvfp4", decode_flops},
};

/* Share of a paged cache that the launch touches: pages are drawn with repetition. */
static double touched(const tool_kernel *k, const tool_array *a) {
    const tool_array *len = arg(k, "len");
    bool paged =
        len != NULL && a->rank >= 2 &&
        (strcmp(a->name, "cache") == 0 || strcmp(a->name, "kc") == 0 || strcmp(a->name, "vc") == 0);
    if (!paged) {
        return 1;
    }
    double tokens = 0, rows = (double)(a->extent[0] * a->extent[1]);
    for (int64_t b = 0; b < len->count; b++) {
        tokens += (double)tool_array_get_int(len, b);
    }
    return tokens < rows ? tokens / rows : 1;
}

tool_work tool_work_of(const tool_kernel *k) {
    tool_work w = {0};
    for (size_t i = 0; i < TG_COUNT_OF(formulas); i++) {
        if (strcmp(formulas[i].kernel, k->name) == 0) {
            w.flops = formulas[i].flops(k);
        }
    }
    for (int i = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i];
        if (a->rank == 0) {
            continue;
        }
        if ((a->param->flags & TG_PARAM_OUT) == 0) {
            w.read_bytes += (double)a->bytes * touched(k, a);
        }
        if (tool_array_is_output(a)) {
            w.written_bytes += (double)a->bytes;
        }
    }
    return w;
}

double tool_work_limit(const tool_work *w, const tool_limits *l) {
    double bytes = w->read_bytes + w->written_bytes;
    double bandwidth = w->written_bytes > bytes / 8 ? l->copy_gbs : l->read_gbs;
    double memory = bytes / (bandwidth * 1e9), compute = w->flops / (l->fma_gflops * 1e9);
    return compute > memory ? compute : memory;
}

double tool_work_rate(const tool_work *w, const tool_limits *l, double seconds,
                      const char **out_unit) {
    bool compute = tool_work_limit(w, l) <= w->flops / (l->fma_gflops * 1e9) && w->flops > 0;
    *out_unit = compute ? "GFLOP/s" : "GB/s";
    return (compute ? w->flops : w->read_bytes + w->written_bytes) / seconds / 1e9;
}
