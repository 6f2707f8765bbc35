/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a benchmark found, in files. A file holds rows of one processor model, one JSON object a
 * line, so that it is merged and compared row by row. Rows are compared by their share of the limit
 * measured beside them, never by time.
 */
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/bench.h"

const bench_peer *bench_best_peer(const bench_result *r) {
    const bench_peer *best = NULL;
    for (int i = 0; i < r->n_peers; i++) {
        best = best == NULL || r->peers[i].us < best->us ? &r->peers[i] : best;
    }
    return best;
}

double bench_ratio(const bench_result *r) {
    const bench_peer *best = bench_best_peer(r);
    return best != NULL && r->us > 0 ? best->us / r->us : 0;
}

bool bench_at_goal(const bench_result *r) {
    double ratio = bench_ratio(r);
    return strcmp(r->status, "PASS") == 0 && r->share >= r->goal &&
           (r->n_peers > 0 ? ratio >= r->times : r->times <= 1);
}

bench_summary bench_sum_up(const bench_results *r, int threads) {
    bench_summary s = {0};
    double logs = 0;
    int shares = 0;
    for (size_t i = 0; i < r->rows.count; i++) {
        const bench_result *row = &r->rows.data[i];
        if (row->threads != threads) {
            continue;
        }
        s.failed += strcmp(row->status, "FAIL") == 0;
        if (row->times <= 0 || strcmp(row->status, "PASS") != 0) {
            continue;
        }
        s.rows++;
        s.at_goal += bench_at_goal(row);
        s.behind += row->n_peers > 0 && bench_ratio(row) < 1;
        if (row->goal > 0 && row->share > 0) {
            logs += log(fmin(row->share, 1));
            shares++;
        }
    }
    s.mean = shares > 0 ? exp(logs / shares) : 0;
    return s;
}

/* ---- files --------------------------------------------------------------------------------------
 */

/* Figures that a reader can use: five digits. */
static json_t *figure(double v) {
    char text[32];
    (void)snprintf(text, sizeof text, "%.5g", v);
    return json_real(strtod(text, NULL));
}

static json_t *to_json(const bench_result *r) {
    json_t *peers = json_object(), *o = json_object();
    for (int i = 0; i < r->n_peers; i++) {
        (void)json_object_set_new(peers, r->peers[i].name, figure(r->peers[i].us));
    }
    (void)json_object_set_new(o, "kernel", json_string(r->kernel));
    (void)json_object_set_new(o, "shape", json_string(r->shape));
    (void)json_object_set_new(o, "threads", json_integer(r->threads));
    (void)json_object_set_new(o, "work", json_string(r->work));
    (void)json_object_set_new(o, "status", json_string(r->status));
    if (r->detail != NULL && r->detail[0] != '\0') {
        (void)json_object_set_new(o, "detail", json_string(r->detail));
    }
    (void)json_object_set_new(o, "us", figure(r->us));
    (void)json_object_set_new(o, "compile_ms", figure(r->compile_ms));
    (void)json_object_set_new(o, "flops", figure(r->flops));
    (void)json_object_set_new(o, "bytes", figure(r->bytes));
    (void)json_object_set_new(o, "share", figure(r->share));
    (void)json_object_set_new(o, "bound", json_string(r->computes ? "F" : "D"));
    (void)json_object_set_new(o, "goal", figure(r->goal));
    (void)json_object_set_new(o, "times", figure(r->times));
    (void)json_object_set_new(o, "fma_gflops", figure(r->limits.fma_gflops));
    (void)json_object_set_new(o, "bf16_gflops", figure(r->limits.bf16_gflops));
    (void)json_object_set_new(o, "int8_gops", figure(r->limits.int8_gops));
    (void)json_object_set_new(o, "read_gbs", figure(r->limits.read_gbs));
    (void)json_object_set_new(o, "far_gbs", figure(r->limits.far_gbs));
    (void)json_object_set_new(o, "copy_gbs", figure(r->limits.copy_gbs));
    (void)json_object_set_new(
        o, "instructions",
        json_string(r->limits.instructions != NULL ? r->limits.instructions : ""));
    (void)json_object_set_new(o, "peers", peers);
    return o;
}

static void add_line(tg_sb *sb, json_t *o) {
    char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    if (text != NULL) {
        tg_sb_addf(sb, "%s\n", text);
    }
    free(text);
    json_decref(o);
}

bool bench_write(tool *t, const bench_results *r, const char *path) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    json_t *head = json_object();
    (void)json_object_set_new(head, "tegula_bench", json_integer(1));
    (void)json_object_set_new(head, "processor", json_string(r->processor));
    add_line(&sb, head);
    for (size_t i = 0; i < r->rows.count; i++) {
        add_line(&sb, to_json(&r->rows.data[i]));
    }
    return tool_write_file(t, path, sb.data, sb.len);
}

static const char *text_of(tool *t, const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? tg_arena_strdup(&t->arena, s) : NULL;
}

static double number_of(const json_t *o, const char *key) {
    return json_number_value(json_object_get(o, key));
}

static void peers_of(tool *t, json_t *o, bench_result *out) {
    const char *name;
    json_t *us;
    json_object_foreach(json_object_get(o, "peers"), name, us) {
        if (out->n_peers < BENCH_MAX_PEERS && json_number_value(us) > 0) {
            out->peers[out->n_peers++] =
                (bench_peer){tg_arena_strdup(&t->arena, name), json_number_value(us)};
        }
    }
}

/* False when the object is no row. */
static bool from_json(tool *t, json_t *o, bench_result *out) {
    const char *bound = text_of(t, o, "bound"), *work = text_of(t, o, "work");
    *out = (bench_result){.kernel = text_of(t, o, "kernel"),
                          .shape = text_of(t, o, "shape"),
                          .status = text_of(t, o, "status"),
                          .detail = text_of(t, o, "detail"),
                          .work = work != NULL ? work : "",
                          .threads = (int)number_of(o, "threads"),
                          .us = number_of(o, "us"),
                          .compile_ms = number_of(o, "compile_ms"),
                          .flops = number_of(o, "flops"),
                          .bytes = number_of(o, "bytes"),
                          .share = number_of(o, "share"),
                          .computes = bound != NULL && bound[0] == 'F',
                          .goal = number_of(o, "goal"),
                          .times = number_of(o, "times")};
    out->limits = (tool_limits){.threads = out->threads,
                                .fma_gflops = number_of(o, "fma_gflops"),
                                .bf16_gflops = number_of(o, "bf16_gflops"),
                                .int8_gops = number_of(o, "int8_gops"),
                                .read_gbs = number_of(o, "read_gbs"),
                                .far_gbs = number_of(o, "far_gbs"),
                                .copy_gbs = number_of(o, "copy_gbs"),
                                .instructions = text_of(t, o, "instructions")};
    peers_of(t, o, out);
    return out->kernel != NULL && out->shape != NULL && out->status != NULL && out->threads > 0;
}

static bool take_line(tool *t, const char *path, int number, const char *line, size_t n,
                      bench_results *out) {
    json_t *o = json_loadb(line, n, 0, NULL);
    bench_result row;
    bool ok = json_is_object(o);
    if (ok && number == 1) {
        ok = json_integer_value(json_object_get(o, "tegula_bench")) == 1;
        out->processor = ok ? text_of(t, o, "processor") : NULL;
        ok = out->processor != NULL;
    } else if (ok) {
        ok = from_json(t, o, &row);
        if (ok) {
            TG_LIST_PUSH(&t->arena, &out->rows, row);
        }
    }
    json_decref(o);
    if (!ok) {
        tool_error(t, TG_D_TOOL, "%s:%d: not a line of benchmark results", path, number);
    }
    return ok;
}

bool bench_read(tool *t, const char *path, bench_results *out) {
    size_t bytes;
    const char *text = tool_read_file(t, path, &bytes), *end = text + bytes;
    *out = (bench_results){0};
    int number = 0;
    while (text != NULL && text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop != NULL ? stop : end;
        if (stop > text && !take_line(t, path, ++number, text, (size_t)(stop - text), out)) {
            return false;
        }
        text = stop + 1;
    }
    if (text != NULL && number == 0) {
        tool_error(t, TG_D_TOOL, "%s: no benchmark results", path);
    }
    return text != NULL && number > 0;
}

static const bench_result *same_row(const bench_results *in, const bench_result *r) {
    for (size_t i = 0; i < in->rows.count; i++) {
        const bench_result *x = &in->rows.data[i];
        if (x->threads == r->threads && strcmp(x->kernel, r->kernel) == 0 &&
            strcmp(x->shape, r->shape) == 0) {
            return x;
        }
    }
    return NULL;
}

bool bench_merge(tool *t, const bench_results *now, const char *path) {
    bench_results kept = {0}, all = {.processor = now->processor};
    if (access(path, F_OK) == 0 && !bench_read(t, path, &kept)) {
        return false;
    }
    if (kept.processor != NULL && strcmp(kept.processor, now->processor) != 0) {
        tool_error(t, TG_D_TOOL, "%s is of another processor: %s", path, kept.processor);
        return false;
    }
    for (size_t i = 0; i < kept.rows.count; i++) {
        const bench_result *newer = same_row(now, &kept.rows.data[i]);
        bool take = newer != NULL && strcmp(newer->status, "PASS") == 0;
        TG_LIST_PUSH(&t->arena, &all.rows, take ? *newer : kept.rows.data[i]);
    }
    for (size_t i = 0; i < now->rows.count; i++) {
        if (same_row(&kept, &now->rows.data[i]) == NULL) {
            TG_LIST_PUSH(&t->arena, &all.rows, now->rows.data[i]);
        }
    }
    return bench_write(t, &all, path);
}

const char *bench_kept_path(tool *t, const char *processor) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    bool gap = false;
    for (const char *p = processor; *p != '\0'; p++) {
        bool plain = isalnum((unsigned char)*p) != 0;
        if (plain && gap && sb.len > 0) {
            tg_sb_addc(&sb, '-');
        }
        if (plain) {
            tg_sb_addc(&sb, (char)tolower((unsigned char)*p));
        }
        gap = !plain;
    }
    return tg_arena_printf(&t->arena, TEGULA_TOOLS_DIR "/../bench/%s.jsonl",
                           sb.len > 0 ? sb.data : "unknown");
}

int bench_compare(const bench_results *before, const bench_results *now, double percent) {
    int fell = 0, both = 0;
    if (strcmp(before->processor, now->processor) != 0) {
        (void)printf(
            "the baseline is of another processor (%s): shares of the limit may differ for "
            "that alone\n",
            before->processor);
    }
    for (size_t i = 0; i < now->rows.count; i++) {
        const bench_result *r = &now->rows.data[i], *was = same_row(before, r);
        if (was == NULL || strcmp(was->status, "PASS") != 0 || was->share <= 0) {
            continue;
        }
        both++;
        if (strcmp(r->status, "PASS") != 0 || r->share < was->share * (1 - percent / 100)) {
            fell++;
            (void)printf("fell: %s %s, %d threads: %.1f %% of the limit, was %.1f %%%s%s\n",
                         r->kernel, r->shape, r->threads, 100 * r->share, 100 * was->share,
                         strcmp(r->status, "PASS") == 0 ? "" : ": ",
                         strcmp(r->status, "PASS") == 0 ? "" : r->status);
        }
    }
    (void)printf("%d of %d rows that the baseline has fell by more than %g %%\n", fell, both,
                 percent);
    return fell;
}
