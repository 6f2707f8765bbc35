/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: the table of goals.def and every other `bench` line of the stock kernels, as ratios. Row
 * by row: in each of its rounds the limits are measured again, then Tegula and its peers run side
 * by side, best of many calls. Arguments rotate over enough copies that weights come from memory,
 * not from cache; they are freed before the next row's are made, and a row that would not fit in
 * memory is skipped with that reason.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench.h"
#include "tools/commands.h"
#include "tools/peers.h"
#include "tools/rotation.h"
#include "tools/tuning.h"
#include "tools/work.h"

enum { MAX_ROUNDS = 1000, MAX_COUNTS = 8 };
static const double TURN_SECONDS = 0.12;
static const double FELL_PERCENT = 10;

/* A number of threads to measure with, and what runs there. */
typedef struct crew {
    int threads;
    tool_device *dev;
    tool_peers *peers; /* NULL: none */
} crew;

typedef struct bench {
    const char *filter, *dir, *json, *html, *peers, *device, *baseline, *from;
    int rounds, fell;
    bool no_schedule, tuned, table, work, save;
    crew crews[MAX_COUNTS];
    int n_crews;
    tuning *store; /* of --tuned; NULL: there is none yet */
    bench_lines lines;
    bench_results results;
} bench;

/* The row that is being measured; one at a time, since its arguments may fill half the memory. */
typedef struct bench_row {
    const bench_line *at;
    tool_rotation sets;
    tool_work work;
} bench_row;

static bool parse_threads(tool *t, bench *b, const char *list) {
    char *text = tg_arena_strdup(&t->arena, list), *rest = NULL;
    bool ok = true;
    b->n_crews = 0;
    for (char *word = strtok_r(text, ",", &rest); ok && word != NULL;
         word = strtok_r(NULL, ",", &rest)) {
        int threads = 0;
        ok = b->n_crews < MAX_COUNTS && tool_option_threads(t, word, &threads);
        b->crews[b->n_crews++ % MAX_COUNTS].threads = threads > 0 ? threads : tool_processors();
    }
    return ok && b->n_crews > 0;
}

static const struct option options[] = {{"filter", required_argument, NULL, 'f'},
                                        {"device", required_argument, NULL, 'd'},
                                        {"threads", required_argument, NULL, 't'},
                                        {"rounds", required_argument, NULL, 'r'},
                                        {"peers", required_argument, NULL, 'p'},
                                        {"kernels", required_argument, NULL, 'k'},
                                        {"json", required_argument, NULL, 'j'},
                                        {"html", required_argument, NULL, 'h'},
                                        {"baseline", required_argument, NULL, 'b'},
                                        {"fell", required_argument, NULL, 'F'},
                                        {"from", required_argument, NULL, 'o'},
                                        {"no-schedule", no_argument, NULL, 'n'},
                                        {"tuned", no_argument, NULL, 'T'},
                                        {"table", no_argument, NULL, 'g'},
                                        {"work", no_argument, NULL, 'w'},
                                        {"save", no_argument, NULL, 's'},
                                        {0}};

static bool take_flag(bench *b, int o) {
    bool *const flags[] = {&b->no_schedule, &b->tuned, &b->table, &b->work, &b->save};
    const char *letter = strchr("nTgws", o);
    if (letter != NULL) {
        *flags[letter - "nTgws"] = true;
    }
    return letter != NULL;
}

static bool take_option(tool *t, bench *b, int o) {
    const char **const texts[] = {&b->filter, &b->device, &b->peers,    &b->dir,
                                  &b->json,   &b->html,   &b->baseline, &b->from};
    static const char letters[] = "fdpkjhbo";
    const char *letter = o != 0 ? strchr(letters, o) : NULL;
    if (letter != NULL) {
        *texts[letter - letters] = optarg;
        return true;
    }
    switch (o) {
    case 't':
        return parse_threads(t, b, optarg);
    case 'r':
        return tool_option_int(t, "rounds", optarg, 1, MAX_ROUNDS, &b->rounds);
    case 'F':
        return tool_option_int(t, "fell", optarg, 0, 100, &b->fell);
    default:
        return false;
    }
}

static bool parse(tool *t, int argc, char **argv, bench *b) {
    int o;
    bool ok = parse_threads(t, b, "0");
    while (ok && (o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        ok = o != '?' && (take_flag(b, o) || take_option(t, b, o));
    }
    return ok && optind == argc;
}

/* The CPU device reads the host's arrays, which rotate; others keep one copy of their own. */
static bool on_host(const bench *b) { return strcmp(b->device, "cpu") == 0; }

/* ---- a row's arguments --------------------------------------------------------------------------
 */

/* Bytes the system can still give; infinite where it does not tell. */
static double free_memory(void) {
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    double kib = INFINITY;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "MemAvailable:", 13) == 0) {
            kib = strtod(line + 13, NULL);
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return 1024 * kib;
}

/* Arguments, a second set to rotate to, and what references draw inputs in: records and integers as
 * they are (doubles are few, see tool_kernel_fill_full). */
static double wanted_memory(const tool_kernel *k) {
    double bytes = 0, drawn = 0;
    for (int i = 0; i < k->n_args; i++) {
        const tg_type *type = k->args[i].param->type;
        double n = 1;
        for (int d = 0; d < type->rank; d++) {
            n *= (double)tg_dim_eval(type->dims[d], k->syms);
        }
        double own = type->dtype == TG_DT_RECORD ? n * (double)type->elem_bytes
                                                 : n * tg_dtype_bits(type->dtype) / 8.0;
        bytes += own;
        drawn += type->dtype == TG_DT_RECORD ? own : tg_dtype_is_float(type->dtype) ? 0 : 8 * n;
    }
    return fmax(bytes + drawn, 2 * bytes);
}

/* Arguments and their copies. False after saying why in *out_status and *out_detail. */
static bool prepare(tool *t, const bench *b, bench_row *r, const char **out_status,
                    const char **out_detail) {
    const char *why;
    const bench_line *at = r->at;
    tg_target_query target = {.vendor = tool_device_vendor(b->crews[0].dev), .arch = ""};
    tool_kernel *k = &r->sets.sets[0];
    *out_status = "FAIL";
    *out_detail = "its arguments cannot be made";
    if (!tool_kernel_make(t, at->program, at->kernel, at->settings, at->n_settings,
                          b->no_schedule ? NULL : &target, k)) {
        return false;
    }
    double wanted = wanted_memory(k), there = free_memory();
    if (wanted > 0.9 * there) {
        *out_status = "SKIP";
        *out_detail = tg_arena_printf(&t->arena, "needs %.1f GB of memory, %.1f GB are free",
                                      wanted / 1e9, there / 1e9);
        return false;
    }
    r->sets.n = 1;
    if (!tool_kernel_allocate(t, k, 0)) {
        return false;
    }
    tool_kernel_fill_full(t, k, tool_reference_of(t, at->path, k, &why), 1);
    r->work = tool_work_of(k);
    if (at->goal != NULL && at->goal->hot) { /* nothing comes from memory */
        r->work.read_bytes = r->work.written_bytes = 0;
    }
    if (on_host(b) && !b->work && (at->goal == NULL || !at->goal->hot)) {
        tool_rotation_fill(t, &r->sets, r->work.read_bytes + r->work.written_bytes);
    }
    return true;
}

/* ---- measuring ----------------------------------------------------------------------------------
 */

static tool_code *compile(tool *t, const bench *b, const crew *c, bench_row *r, double *out_ms) {
    tool_compile_options how = {.no_schedule = b->no_schedule, .no_cache = true};
    const bench_line *at = r->at;
    const tg_setting *settings = at->settings;
    int n = at->n_settings;
    if (b->tuned) {
        settings = tuning_apply(t, b->store, tool_device_machine(t, c->dev), at->program,
                                &r->sets.sets[0], settings, n, &n);
    }
    tool_code *code =
        tool_device_compile(t, c->dev, at->path, at->kernel, settings, n, &how, out_ms);
    if (code != NULL) {
        tool_code_resident(code, !on_host(b));
    }
    return code;
}

/* Limits, Tegula, its peers, limits, Tegula again: what a drifting machine does to one it does to
 * all. */
static bool round_of(tool *t, const crew *c, bench_row *r, tool_code *code, bool peers,
                     bench_result *out, double *best) {
    tool_limits_measure(&out->limits, c->threads);
    bool ok = tool_rotation_run(t, &r->sets, code, TURN_SECONDS, best);
    if (ok && peers) {
        tool_peers_run(t, c->peers, TURN_SECONDS, out);
    }
    tool_limits_measure(&out->limits, c->threads);
    return ok && tool_rotation_run(t, &r->sets, code, TURN_SECONDS, best);
}

static void measure(tool *t, const bench *b, const crew *c, bench_row *r, bench_result *out) {
    double best = 0;
    tool_code *code = compile(t, b, c, r, &out->compile_ms);
    bool ok = code != NULL, peers = ok && tool_peers_prepare(c->peers, r->at);
    for (int i = 0; ok && i < b->rounds; i++) {
        ok = round_of(t, c, r, code, peers, out, &best);
    }
    if (peers) {
        tool_peers_drop(c->peers);
    }
    tool_code_free(code);
    if (!ok) {
        out->status = "FAIL";
        out->detail = code == NULL ? "it does not compile" : "a launch failed";
        return;
    }
    out->us = 1e6 * best;
    out->share = best > 0 ? tool_work_limit(&r->work, &out->limits) / best : 0;
    out->computes = tool_work_computes(&r->work, &out->limits);
}

static bool wanted(const bench_line *at, const crew *c) {
    return at->goal == NULL || at->goal->threads == 0 || at->goal->threads == c->threads;
}

static bench_result blank(tool *t, const bench_line *at, int threads) {
    bench_result r = {.kernel = at->kernel,
                      .shape = bench_shape(t, at->settings, at->n_settings),
                      .work = "",
                      .status = "PASS",
                      .detail = "",
                      .threads = threads};
    if (at->goal != NULL) {
        r.work = at->goal->work;
        r.goal = at->goal->share;
        r.times = at->goal->times;
    }
    return r;
}

static void bench_one(tool *t, bench *b, const bench_line *at) {
    bench_row r = {.at = at};
    const char *status, *detail;
    bool ready = prepare(t, b, &r, &status, &detail);
    for (int i = 0; i < b->n_crews; i++) {
        bench_result out = blank(t, at, b->crews[i].threads);
        if (!wanted(at, &b->crews[i])) {
            continue;
        }
        out.flops = r.work.flops;
        out.bytes = r.work.read_bytes + r.work.written_bytes;
        if (!ready) {
            out.status = status;
            out.detail = detail;
        } else {
            measure(t, b, &b->crews[i], &r, &out);
        }
        tool_flush_diagnostics(t);
        bench_print_row(&out);
        TG_LIST_PUSH(&t->arena, &b->results.rows, out);
    }
    tool_rotation_free(&r.sets);
}

/* The work of every row, without measuring anything. */
static void print_work(tool *t, bench *b, const bench_line *at) {
    bench_row r = {.at = at};
    const char *status, *detail, *shape = bench_shape(t, at->settings, at->n_settings);
    if (prepare(t, b, &r, &status, &detail)) {
        (void)printf("%s %s: %.0f FLOP, %.0f bytes read, %.0f written\n", at->kernel, shape,
                     r.work.flops, r.work.read_bytes, r.work.written_bytes);
    } else {
        (void)printf("%s %s: %s %s\n", at->kernel, shape, status, detail);
    }
    (void)fflush(stdout);
    tool_flush_diagnostics(t);
    tool_rotation_free(&r.sets);
}

/* What a launch costs by itself. */
static void add_overhead(tool *t, bench *b) {
    for (int i = 0; i < b->n_crews; i++) {
        bench_result r = {.work = "",
                          .kernel = "launch",
                          .shape = "one element",
                          .status = "PASS",
                          .threads = b->crews[i].threads,
                          .us = 1e6 * tool_launch_overhead(t, b->crews[i].dev)};
        if (r.us > 0) {
            bench_print_row(&r);
            TG_LIST_PUSH(&t->arena, &b->results.rows, r);
        }
    }
}

static void run_all(tool *t, bench *b) {
    if (!b->work && (b->filter == NULL || fnmatch(b->filter, "launch", 0) == 0)) {
        add_overhead(t, b);
    }
    for (size_t i = 0; i < b->lines.count; i++) {
        if (b->work) {
            print_work(t, b, &b->lines.data[i]);
            continue;
        }
        (void)fprintf(stderr, "%zu of %zu: ", i + 1, b->lines.count);
        (void)fflush(stderr);
        bench_one(t, b, &b->lines.data[i]);
    }
}

/* ---- the command --------------------------------------------------------------------------------
 */

static void close_all(bench *b) {
    for (int i = 0; i < b->n_crews; i++) {
        tool_peers_stop(b->crews[i].peers);
        if (b->crews[i].dev != NULL) {
            tool_device_close(b->crews[i].dev);
        }
    }
    tuning_close(b->store);
}

static bool open_all(tool *t, bench *b) {
    bool with_peers = on_host(b) && !b->work && (b->peers == NULL || strcmp(b->peers, "none") != 0);
    for (int i = 0; i < b->n_crews; i++) {
        crew *c = &b->crews[i];
        const char *about;
        c->dev = tool_device_open(t, b->device, c->threads);
        if (c->dev == NULL) {
            return false;
        }
        if (with_peers) {
            c->peers = tool_peers_start(t, c->threads, &about);
            (void)fprintf(stderr, "%s%s%s", i == 0 ? "peers: " : "", i == 0 ? about : "",
                          i == 0 ? "\n" : "");
        }
    }
    return true;
}

static int run(tool *t, bench *b) {
    if (!open_all(t, b)) {
        return TOOL_NO_DEVICE;
    }
    if (b->tuned && (b->store = tuning_open(t, NULL, true)) == NULL) {
        return TOOL_FAILED;
    }
    bool alone = b->filter != NULL && strcmp(b->filter, "launch") == 0;
    if ((!bench_collect(t, b->dir, b->filter, b->table, &b->lines) || b->lines.count == 0) &&
        !alone) {
        tool_error(t, TG_D_TOOL, "no bench line matches");
        return TOOL_FAILED;
    }
    run_all(t, b);
    return TOOL_OK;
}

/* What is made of the results: a summary, files, a comparison. */
static bool tell(tool *t, const bench *b) {
    bench_results before;
    bench_print_summary(t, &b->results);
    bool ok = b->json == NULL || bench_write(t, &b->results, b->json);
    ok = (b->html == NULL || bench_html(t, &b->results, b->html)) && ok;
    if (b->baseline != NULL) {
        bool there = bench_read(t, b->baseline, &before);
        ok = there && bench_compare(&before, &b->results, b->fell) == 0 && ok;
    }
    const char *kept = bench_kept_path(t, b->results.processor);
    return (!b->save || bench_merge(t, &b->results, kept)) && ok;
}

int cmd_bench(tool *t, int argc, char **argv) {
    bench b = {.dir = TEGULA_KERNELS_DIR, .device = "cpu", .rounds = 3, .fell = (int)FELL_PERCENT};
    char processor[192];
    if (!parse(t, argc, argv, &b)) {
        return TOOL_USAGE;
    }
    tool_processor_model(processor, sizeof processor);
    b.results.processor = processor;
    int rc = TOOL_OK;
    if (b.from != NULL) {
        rc = bench_read(t, b.from, &b.results) ? TOOL_OK : TOOL_FAILED;
    } else {
        rc = run(t, &b);
        close_all(&b);
    }
    return rc != TOOL_OK || b.work || tell(t, &b) ? rc : TOOL_FAILED;
}
