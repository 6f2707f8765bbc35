/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo: the main job in one command. Compiles the stock kernels for this processor, runs them at
 * the shapes of DeepSeek-V2-Lite and V3, checks each against its reference in double precision on
 * sampled rows, columns or heads, checks whole products by Freivalds' method, and prints speed as a
 * share of limits measured in the same run. Writes one HTML page.
 */
#include <getopt.h>
#include <math.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/report.h"
#include "tools/rotation.h"
#include "tools/work.h"

typedef struct demo_item {
    const char *file, *kernel;
    const char *settings; /* NAME=VALUE separated by blanks */
    const char
        *sample; /* NAME:COUNT of dims to check a random part of; equal names share indices */
    const char *model;
} demo_item;

/* Shapes: attention.md section 2 (V2-Lite: hidden 2048, 16 heads; V3: hidden 7168, 128 heads). */
static const demo_item items[] = {
    {"elementwise/elementwise.tg", "add", "T=f32 N=16777216", "N:65536", "any"},
    {"elementwise/elementwise.tg", "silu_mul", "T=bf16 M=1024 N=10944", "M:64", "V2-Lite MLP"},
    {"elementwise/elementwise.tg", "softmax", "T=f32 M=512 N=102400", "M:64", "V2-Lite vocabulary"},
    {"elementwise/elementwise.tg", "transpose", "T=bf16 M=4096 N=7168", "", "V3"},
    {"elementwise/elementwise.tg", "row_reduce", "T=f32 M=4096 N=7168", "M:64", "V3"},
    {"norm/norm.tg", "rmsnorm", "T=bf16 M=4096 D=7168 eps=1e-6", "M:64", "V3"},
    {"norm/norm.tg", "rmsnorm_residual", "T=bf16 D=7168 M=4096 eps=1e-6", "M:64", "V3"},
    {"rope/rope.tg", "rope_interleaved_first", "T=bf16 D=64 R=32 N=2048 H=128 P=4096", "N:64",
     "V3 q_pe"},
    {"rope/rope.tg", "rope_half_first", "T=bf16 D=128 R=32 N=4096 H=64 P=4096", "N:64",
     "V3.2 indexer"},
    {"select/select.tg", "topk_select", "T=f32 R=8 N=65536 KTOP=2048", "", "V3.2 indexer"},
    {"gemm/gemm.tg", "matmul", "T=f32 M=1024 N=1024 K=1024", "M:64 N:64", "any"},
    {"gemm/gemm.tg", "linear", "T=bf16 M=1 N=2112 K=7168", "N:64", "V3 q_a and kv_a, decode"},
    {"gemm/gemm.tg", "linear", "T=bf16 M=128 N=2112 K=7168", "M:64 N:64", "V3 q_a and kv_a"},
    {"gemm/gemm.tg", "linear", "T=f16 M=4 N=3072 K=2048", "N:64", "V2-Lite q, small batch"},
    {"gemm/gemm.tg", "linear_silu", "T=f32 M=128 N=1408 K=2048", "M:64 N:64", "V2-Lite expert"},
    {"gemm/gemm.tg", "linear_i8", "T=f32 M=16 N=4096 K=4096", "N:64", "int8 weights"},
    {"gemm/blocks.tg", "gemm_fp8", "T=bf16 B=128 M=128 N=2112 K=7168", "", "V3 fp8, block 128"},
    {"attention/attention.tg", "flash_attention",
     "T=bf16 D=192 E=128 TQ=1024 TK=1024 H=16 HK=16 B=1 right=0", "H:2 HK:2", "V2-Lite prefill"},
    {"attention/decode.tg", "gqa_decode",
     "T=bf16 S=1 H=32 HK=4 D=128 E=128 BS=64 B=4 P=256 NB=32 W=4", "", "GQA decode"},
    {"mla/mla.tg", "mla_decode", "T=bf16 HK=1 BS=64 B=1 S=1 H=16 P=64 NB=32 W=2", "",
     "V2-Lite decode"},
    {"mla/mla.tg", "mla_decode", "T=bf16 HK=1 BS=64 B=1 S=1 H=128 P=64 NB=16 W=4", "", "V3 decode"},
    {"mla/mla.tg", "mla_decode_fp8", "BS=64 B=1 S=1 H=128 P=64 NB=16 W=4", "",
     "V3.2 decode, 656-byte rows"},
    {"attention/split.tg", "split_combine", "T=bf16 D=512 B=16 S=1 H=128 N=64", "", "V3 decode"},
};

enum { MAX_SAMPLED = 4 };
static const double MEASURE_SECONDS = 0.3;

/* Indices checked of every sampled dimension. */
typedef struct sampling {
    const char *name[MAX_SAMPLED];
    int64_t *index[MAX_SAMPLED];
    int64_t count[MAX_SAMPLED];
    int n;
} sampling;

static tg_setting *split_settings(tool *t, const char *text, int *out_n) {
    TG_LIST(tg_setting) list = {0};
    char *copy = tg_arena_strdup(&t->arena, text);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        tg_setting s;
        if (tool_parse_setting(t, word, &s)) {
            TG_LIST_PUSH(&t->arena, &list, s);
        }
    }
    *out_n = (int)list.count;
    return list.data;
}

static int64_t sym_value(const tool_kernel *k, const char *name) {
    for (int i = 0; i < k->n_syms; i++) {
        if (strcmp(k->sym_names[i].name, name) == 0) {
            return k->syms[i];
        }
    }
    return -1;
}

/* The same stream for every dimension, so that H and HK of equal extent get the same heads. */
static sampling choose(tool *t, const tool_kernel *k, const char *text) {
    sampling s = {0};
    char *copy = tg_arena_strdup(&t->arena, text);
    for (char *word = strtok(copy, " "); word != NULL && s.n < MAX_SAMPLED;
         word = strtok(NULL, " ")) {
        char *colon = strchr(word, ':');
        *colon = '\0';
        int64_t extent = sym_value(k, word), want = atoll(colon + 1);
        tgk_random r = {.state = 7};
        if (extent <= want) {
            continue;
        }
        s.name[s.n] = word;
        s.count[s.n] = want;
        s.index[s.n] = TG_NEW_ARRAY(&t->arena, int64_t, want);
        for (int64_t i = 0; i < want; i++) {
            s.index[s.n][i] = i == 0 ? extent - 1 : tgk_random_below(&r, extent);
        }
        s.n++;
    }
    return s;
}

/* Which sampled dimension axis d of the argument is; -1: none. */
static int sampled_axis(const tool_kernel *k, const sampling *s, const tool_array *a, int d) {
    const tg_dim *dim = a->param->type->dims[d];
    for (int i = 0; i < s->n; i++) {
        if (dim->code == TG_DIM_SYM && strcmp(k->sym_names[dim->value].name, s->name[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* The part of an argument that is checked, as an array of its own. */
static bool take_part(tool *t, const tool_kernel *k, const sampling *s, const tool_array *a,
                      tool_array *out) {
    *out = *a;
    out->block = NULL;
    out->data = NULL;
    if (a->rank == 0) {
        return true;
    }
    const int rank = a->rank;
    int axis[TG_MAX_RANK] = {0};
    for (int d = 0; d < rank; d++) {
        axis[d] = sampled_axis(k, s, a, d);
        out->extent[d] = axis[d] >= 0 ? s->count[axis[d]] : a->extent[d];
    }
    if (!tool_array_make(t, out, 0)) {
        return false;
    }
    if (a->dtype == TG_DT_RECORD) {
        memcpy(out->data, a->data, a->bytes);
        return true;
    }
    for (int64_t e = 0; e < out->count; e++) {
        int64_t rest = e, at = 0, scale = 1;
        for (int d = rank - 1; d >= 0; d--) {
            int64_t i = rest % out->extent[d];
            rest /= out->extent[d];
            at += (axis[d] >= 0 ? s->index[axis[d]][i] : i) * scale;
            scale *= a->extent[d];
        }
        size_t from_at, to_at;
        const unsigned char *from = tool_array_row(a, at, &from_at);
        unsigned char *to = tool_array_row(out, e, &to_at);
        tg_bits_store(to, a->dtype, to_at, tg_bits_load(from, a->dtype, from_at));
    }
    return true;
}

static bool take_parts(tool *t, const tool_kernel *k, const sampling *s, tool_kernel *out) {
    *out = *k;
    out->args = TG_NEW_ARRAY(&t->arena, tool_array, k->n_args + 1);
    for (int i = 0; i < k->n_args; i++) {
        if (!take_part(t, k, s, &k->args[i], &out->args[i])) {
            return false;
        }
    }
    return true;
}

/*
 * Freivalds: c r = a (b r) for a random sign vector r. Allowed in row i: half a unit of c's type in
 * every c_ij, and K * 2^-24 * sum_jk |a_ik||b_kj| of f32 accumulation.
 */
static const char *freivalds(tool *t, const tool_kernel *k) {
    const tool_array *a = &k->args[0], *b = &k->args[1], *c = &k->args[k->n_args - 1];
    bool transposed = strcmp(k->name, "linear") == 0;
    if (strcmp(k->name, "matmul") != 0 && !transposed) {
        return NULL;
    }
    int64_t m = a->extent[0], depth = a->extent[1], n = c->extent[1];
    double *sign = TG_NEW_ARRAY(&t->arena, double, n + 1),
           *br = TG_NEW_ARRAY(&t->arena, double, depth + 1);
    double *mag = TG_NEW_ARRAY(&t->arena, double, depth + 1);
    tgk_random r = {.state = 11};
    for (int64_t j = 0; j < n; j++) {
        sign[j] = tgk_random_below(&r, 2) == 0 ? 1 : -1;
    }
    for (int64_t e = 0; e < b->count; e++) {
        double v = tool_array_get(b, e);
        int64_t i = transposed ? e % depth : e / n, j = transposed ? e / depth : e % n;
        br[i] += v * sign[j];
        mag[i] += fabs(v);
    }
    double half = c->dtype == TG_DT_BF16 ? 0x1p-9 : c->dtype == TG_DT_F16 ? 0x1p-11 : 0x1p-24;
    for (int64_t i = 0; i < m; i++) {
        double left = 0, right = 0, bound = 1e-30, total = 0;
        for (int64_t j = 0; j < n; j++) {
            double v = tool_array_get(c, i * n + j);
            left += v * sign[j];
            bound += half * fabs(v);
        }
        for (int64_t p = 0; p < depth; p++) {
            double v = tool_array_get(a, i * depth + p);
            right += v * br[p];
            total += fabs(v) * mag[p];
        }
        if (!(fabs(left - right) <= bound + (double)depth * 0x1p-24 * total)) {
            return tg_arena_printf(&t->arena, "Freivalds' check fails in row %lld", (long long)i);
        }
    }
    return NULL;
}

/* Compares the sampled outputs with the reference; fills status, detail, error. */
static void judge(tool *t, const tool_kernel *k, const sampling *s, const tgk_reference *ref,
                  const tgk_arg *want, tool_row *row) {
    const char *broken = freivalds(t, k);
    for (int i = 0; broken == NULL && i < k->n_args; i++) {
        const tgk_output_rule *rule = tgk_rule_find(ref, k->args[i].name);
        tool_array part;
        if (!tool_array_is_output(&k->args[i])) {
            continue;
        }
        if (!take_part(t, k, s, &k->args[i], &part)) {
            broken = "no memory for the check";
            break;
        }
        tool_verdict v = tool_compare(t, &part, &want[i], NULL, rule);
        row->max_ulp = fmax(row->max_ulp, v.max_ulp);
        row->max_rel = fmax(row->max_rel, v.max_rel);
        row->metric = fmax(row->metric, v.metric);
        broken = v.pass ? NULL
                        : tg_arena_printf(
                              &t->arena, "%s: %s at index %lld (max ulp %.3g, metric %.3g)",
                              k->args[i].name, v.why, (long long)v.first_bad, v.max_ulp, v.metric);
        if (!tool_array_guards_ok(&k->args[i])) {
            broken = tg_arena_printf(&t->arena, "memory around %s was written", k->args[i].name);
        }
        tool_array_free(&part);
    }
    row->status = broken == NULL ? "PASS" : "FAIL_NUMERIC";
    row->detail = broken;
}

/* The limits are measured again beside every row and the best figures count: on a machine that does
 * other work, too, one measurement at the start would be low. */
static void run_item(tool *t, tool_device *dev, tool_limits *limits, const char *dir,
                     const demo_item *item, tool_row *row) {
    static const tg_target_query cpu = {.vendor = "cpu", .arch = ""};
    const char *path = tg_arena_printf(&t->arena, "%s/%s", dir, item->file);
    const tgk_reference *ref = tgk_reference_find(item->kernel);
    int n;
    tg_setting *settings = split_settings(t, item->settings, &n);
    tg_program *p = tool_load_program(t, path);
    tool_rotation sets = {.n = 1};
    tool_kernel *k = &sets.sets[0], part = {0};
    tool_compile_options options = {.no_cache = true};
    row->status = "COMPILE_FAIL";
    tool_code *code = NULL;
    if (p == NULL || ref == NULL || !tool_kernel_make(t, p, item->kernel, settings, n, &cpu, k) ||
        !tool_kernel_allocate(t, k, 0) ||
        (code = tool_device_compile(t, dev, path, item->kernel, settings, n, &options,
                                    &row->compile_ms)) == NULL) {
        tool_rotation_free(&sets);
        return;
    }
    tool_kernel_fill_full(t, k, ref, 1);
    sampling s = choose(t, k, item->sample);
    tgk_arg *want = TG_NEW_ARRAY(&t->arena, tgk_arg, k->n_args + 1);
    double best = 0;
    row->status = "FAIL";
    if (take_parts(t, k, &s, &part) && tool_kernel_reference(t, &part, ref, want) &&
        tool_code_launch(t, code, k)) {
        judge(t, k, &s, ref, want, row);
        tool_work w = tool_work_of(k);
        tool_rotation_fill(t, &sets, w.read_bytes + w.written_bytes);
        tool_limits_measure(limits, limits->threads);
        if (tool_rotation_run(t, &sets, code, MEASURE_SECONDS, &best)) {
            row->best_us = best * 1e6;
            row->rate = tool_work_rate(&w, limits, best, &row->unit);
            row->share = tool_work_limit(&w, limits) / best;
        }
    }
    tool_args_free(want, k->n_args);
    tool_kernel_free(&part);
    tool_rotation_free(&sets);
    tool_code_free(code);
}

int cmd_demo(tool *t, int argc, char **argv) {
    static const struct option options[] = {{"filter", required_argument, NULL, 'f'},
                                            {"kernels", required_argument, NULL, 'k'},
                                            {"html", required_argument, NULL, 'h'},
                                            {"threads", required_argument, NULL, 't'},
                                            {0}};
    const char *dir = TEGULA_KERNELS_DIR, *html = "build/demo.html", *filter = "*";
    int threads = tool_processors(), o, failed = 0, run = 0;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (o) {
        case 'f':
            filter = optarg;
            break;
        case 'k':
            dir = optarg;
            break;
        case 'h':
            html = optarg;
            break;
        case 't':
            if (!tool_option_threads(t, optarg, &threads)) {
                return TOOL_USAGE;
            }
            threads = threads > 0 ? threads : tool_processors();
            break;
        default:
            return TOOL_USAGE;
        }
    }
    tool_device *dev = tool_device_open(t, "cpu", threads);
    if (dev == NULL) {
        return TOOL_NO_DEVICE;
    }
    char processor[128];
    tool_limits limits = {0};
    tool_report report;
    tool_processor_name(processor, sizeof processor);
    (void)printf("measuring %s, %d threads ...\n", processor, threads);
    (void)fflush(stdout);
    tool_limits_measure(&limits, threads);
    tool_report_init(&report, "Demo", processor);
    report.preamble = tg_arena_printf(
        &t->arena, "%s, %d threads, %s: %.1f GFLOP/s f32 FMA, %.1f GB/s read, %.1f GB/s copy",
        processor, threads, limits.instructions, limits.fma_gflops, limits.read_gbs,
        limits.copy_gbs);
    (void)printf("%s\n%-24s %-52s %-9s %10s %11s %18s %s\n", report.preamble, "kernel", "shape",
                 "check", "compile ms", "best us", "rate", "of the limit");
    for (size_t i = 0; i < TG_COUNT_OF(items); i++) {
        if (fnmatch(filter, items[i].kernel, 0) != 0) {
            continue;
        }
        run++;
        tool_row row = {
            .name = items[i].kernel,
            .unit = "GB/s",
            .detail = "",
            .shape = tg_arena_printf(&t->arena, "%s (%s)", items[i].settings, items[i].model)};
        run_item(t, dev, &limits, dir, &items[i], &row);
        failed += strcmp(row.status, "PASS") != 0;
        (void)printf("%-24s %-52s %-9s %10.1f %11.1f %10.1f %-7s %5.1f %%%s%s\n", row.name,
                     items[i].settings, row.status, row.compile_ms, row.best_us, row.rate, row.unit,
                     100 * row.share, row.detail != NULL && row.detail[0] != '\0' ? "  " : "",
                     row.detail != NULL ? row.detail : "");
        (void)fflush(stdout);
        tool_flush_diagnostics(t);
        tool_report_add(t, &report, &row);
    }
    tool_device_close(dev);
    bool written = tool_report_html(t, &report, html);
    (void)printf("%d kernels run and checked, %d failed; report: %s\n", run, failed,
                 written ? html : "not written");
    if (run == 0) {
        tool_error(t, TG_D_TOOL, "the demo has no kernel like `%s`", filter);
    }
    return run > 0 && failed == 0 && written ? TOOL_OK : TOOL_FAILED;
}
