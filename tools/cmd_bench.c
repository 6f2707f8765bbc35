/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: every `bench` line of the stock kernels, as ratios. Line by line: in each of its rounds
 * the limits are measured again, then Tegula and its peers run side by side, best of many calls.
 * Arguments rotate over enough copies that weights come from memory, not from cache; they are freed
 * before the next line's are made.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/peers.h"
#include "tools/report.h"
#include "tools/rotation.h"
#include "tools/tuning.h"
#include "tools/work.h"

enum { MAX_ROUNDS = 1000 };
static const double TURN_SECONDS = 0.25;

/* A `bench` line, where it stands. */
typedef struct bench_line {
    tg_program *program;
    const char *path;
    const tg_case *line;
} bench_line;

/* The line that is being measured; one at a time, since its arguments may fill half the memory. */
typedef struct bench_row {
    tool_rotation sets;
    tool_code *code;
    tool_work work;
    tool_row row;
    tool_limits limits; /* of the row's own rounds */
    const tg_case *line;
    double best, peer_best;
    const char *peer;
} bench_row;

typedef struct bench {
    const char *filter, *dir, *json, *html, *peers, *device;
    int threads, rounds;
    bool no_schedule, tuned;
    tuning *store; /* of --tuned; NULL: there is none yet */
    tool_device *dev;
    tool_limits best; /* of all rounds of all rows */
    TG_LIST(bench_line) lines;
} bench;

static bool parse(tool *t, int argc, char **argv, bench *b) {
    static const struct option options[] = {{"filter", required_argument, NULL, 'f'},
                                            {"device", required_argument, NULL, 'd'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"peers", required_argument, NULL, 'p'},
                                            {"kernels", required_argument, NULL, 'k'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"html", required_argument, NULL, 'h'},
                                            {"no-schedule", no_argument, NULL, 'n'},
                                            {"tuned", no_argument, NULL, 'T'},
                                            {0}};
    int o;
    bool ok = true;
    while (ok && (o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (o) {
        case 'f':
            b->filter = optarg;
            break;
        case 't':
            ok = tool_option_threads(t, optarg, &b->threads);
            break;
        case 'r':
            ok = tool_option_int(t, "rounds", optarg, 1, MAX_ROUNDS, &b->rounds);
            break;
        case 'd':
            b->device = optarg;
            break;
        case 'p':
            b->peers = optarg;
            break;
        case 'k':
            b->dir = optarg;
            break;
        case 'j':
            b->json = optarg;
            break;
        case 'h':
            b->html = optarg;
            break;
        case 'n':
            b->no_schedule = true;
            break;
        case 'T':
            b->tuned = true;
            break;
        default:
            return false;
        }
    }
    return ok && optind == argc;
}

static const char *shape_text(tool *t, const tg_case *c) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (int i = 0; i < c->n_settings; i++) {
        tg_sb_addf(&sb, "%s%s=%s", i == 0 ? "" : " ", c->settings[i].name, c->settings[i].value);
    }
    return sb.data;
}

/* The CPU device reads the host's arrays, which rotate; others keep one copy of their own. */
static bool on_host(const bench *b) { return strcmp(b->device, "cpu") == 0; }

static bool make_first(tool *t, const bench *b, const bench_line *at, bench_row *r) {
    const char *why;
    tg_target_query target = {.vendor = tool_device_vendor(b->dev), .arch = ""};
    tool_kernel *k = &r->sets.sets[0];
    r->sets.n = 1;
    if (!tool_kernel_make(t, at->program, r->line->kernel, r->line->settings, r->line->n_settings,
                          b->no_schedule ? NULL : &target, k) ||
        !tool_kernel_allocate(t, k, 0)) {
        return false;
    }
    tool_kernel_fill_full(t, k, tool_reference_of(t, at->path, k, &why), 1);
    r->work = tool_work_of(k);
    if (on_host(b)) {
        tool_rotation_fill(t, &r->sets, r->work.read_bytes + r->work.written_bytes);
    }
    return true;
}

/* Arguments, their copies and the code; false after reporting. */
static bool prepare(tool *t, bench *b, const bench_line *at, bench_row *r) {
    tool_compile_options options = {.no_schedule = b->no_schedule, .no_cache = true};
    const tg_setting *settings = at->line->settings;
    int n = at->line->n_settings;
    if (!make_first(t, b, at, r)) {
        return false;
    }
    if (b->tuned) {
        settings = tuning_apply(t, b->store, tool_device_machine(t, b->dev), at->program,
                                &r->sets.sets[0], settings, n, &n);
    }
    r->code = tool_device_compile(t, b->dev, at->path, at->line->kernel, settings, n, &options,
                                  &r->row.compile_ms);
    if (r->code != NULL) {
        tool_code_resident(r->code, !on_host(b));
    }
    return r->code != NULL;
}

static void visit(tool *t, void *user, const char *path) {
    bench *b = user;
    tg_program *p = tool_load_program(t, path);
    for (int i = 0; p != NULL && i < tg_program_n_cases(p); i++) {
        const tg_case *line = tg_program_case(p, i);
        if (line->is_bench && (b->filter == NULL || fnmatch(b->filter, line->kernel, 0) == 0)) {
            bench_line at = {p, path, line};
            TG_LIST_PUSH(&t->arena, &b->lines, at);
        }
    }
    tool_flush_diagnostics(t);
}

static bool turn(tool *t, bench_row *r) {
    return tool_rotation_run(t, &r->sets, r->code, TURN_SECONDS, &r->best);
}

static void keep_best(tool_limits *best, const tool_limits *l) {
    best->fma_gflops = l->fma_gflops > best->fma_gflops ? l->fma_gflops : best->fma_gflops;
    best->read_gbs = l->read_gbs > best->read_gbs ? l->read_gbs : best->read_gbs;
    best->copy_gbs = l->copy_gbs > best->copy_gbs ? l->copy_gbs : best->copy_gbs;
    best->instructions = l->instructions;
}

/* Limits, Tegula, its peers, Tegula again: what a drifting machine does to one it does to all. */
static bool round_of(tool *t, bench *b, bench_row *r, tool_peers *peers, bool has_peers) {
    tool_limits_measure(&r->limits, b->threads);
    if (!turn(t, r)) {
        return false;
    }
    if (has_peers) {
        const char *name = NULL;
        double took = tool_peers_run(t, peers, TURN_SECONDS, &name);
        if (took > 0 && (r->peer_best == 0 || took < r->peer_best)) {
            r->peer_best = took;
            r->peer = name;
        }
    }
    return turn(t, r);
}

static void measure(tool *t, bench *b, bench_row *r, tool_peers *peers) {
    bool has_peers = peers != NULL && tool_peers_prepare(peers, r->line->kernel, r->line->settings,
                                                         r->line->n_settings);
    for (int i = 0; i < b->rounds; i++) {
        if (!round_of(t, b, r, peers, has_peers)) {
            r->row.status = "FAIL";
            break;
        }
    }
    if (has_peers) {
        tool_peers_drop(peers);
    }
    keep_best(&b->best, &r->limits);
}

/* What a launch costs by itself. */
static void add_overhead(tool *t, const bench *b, tool_report *report) {
    double seconds = tool_launch_overhead(t, b->dev);
    tool_row row = {.name = "launch", .shape = "one element", .status = "PASS", .unit = "GB/s"};
    if (seconds > 0) {
        row.best_us = 1e6 * seconds;
        (void)printf("%-18s %-44s %10.2f us\n", row.name, row.shape, row.best_us);
        tool_report_add(t, report, &row);
    }
}

static void finish_row(tool *t, bench_row *r, tool_report *report) {
    double least = tool_work_limit(&r->work, &r->limits);
    r->row.best_us = 1e6 * r->best;
    r->row.share = r->best > 0 ? least / r->best : 0;
    r->row.rate = r->best > 0 ? tool_work_rate(&r->work, &r->limits, r->best, &r->row.unit) : 0;
    r->row.unit = r->row.unit != NULL ? r->row.unit : "GB/s";
    r->row.peer = r->peer;
    r->row.peer_share = r->peer_best > 0 ? least / r->peer_best : 0;
    (void)printf("%-18s %-44s %10.1f us %8.1f %-7s %5.1f %%", r->row.name, r->row.shape,
                 r->row.best_us, r->row.rate, r->row.unit, 100 * r->row.share);
    if (r->peer != NULL) {
        (void)printf("   %s %.1f %% (x%.2f)", r->peer, 100 * r->row.peer_share,
                     r->peer_best / r->best);
    }
    (void)printf("   compile %.0f ms\n", r->row.compile_ms);
    (void)fflush(stdout);
    tool_report_add(t, report, &r->row);
}

static void bench_one(tool *t, bench *b, const bench_line *at, tool_peers *peers,
                      tool_report *report) {
    bench_row r = {.line = at->line, .row = {.name = at->line->kernel, .status = "PASS"}};
    r.row.shape = shape_text(t, at->line);
    if (prepare(t, b, at, &r)) {
        measure(t, b, &r, peers);
        finish_row(t, &r, report);
    }
    tool_flush_diagnostics(t);
    tool_rotation_free(&r.sets);
    tool_code_free(r.code);
}

static void run_all(tool *t, bench *b, tool_report *report) {
    bool with_peers = on_host(b) && (b->peers == NULL || strcmp(b->peers, "none") != 0);
    tool_peers *peers = with_peers ? tool_peers_start(t, b->threads) : NULL;
    for (size_t i = 0; i < b->lines.count; i++) {
        (void)fprintf(stderr, "\r%zu of %zu ", i + 1, b->lines.count);
        bench_one(t, b, &b->lines.data[i], peers, report);
    }
    tool_peers_stop(peers);
}

int cmd_bench(tool *t, int argc, char **argv) {
    bench b = {.dir = TEGULA_KERNELS_DIR, .device = "cpu", .threads = 0, .rounds = 3};
    if (!parse(t, argc, argv, &b)) {
        return TOOL_USAGE;
    }
    b.threads = b.threads > 0 ? b.threads : tool_processors();
    b.dev = tool_device_open(t, b.device, b.threads);
    if (b.dev == NULL) {
        return TOOL_NO_DEVICE;
    }
    if (b.tuned && (b.store = tuning_open(t, NULL, true)) == NULL) {
        tool_device_close(b.dev);
        return TOOL_FAILED;
    }
    bool alone = b.filter != NULL && strcmp(b.filter, "launch") == 0;
    if ((tool_each_kernel_file(t, b.dir, visit, &b) == 0 || b.lines.count == 0) && !alone) {
        tool_error(t, TG_D_TOOL, "no bench line matches");
        return TOOL_FAILED;
    }
    char processor[128];
    tool_processor_name(processor, sizeof processor);
    tool_report report;
    tool_report_init(&report, "Benchmark", processor);
    if (b.filter == NULL || fnmatch(b.filter, "launch", 0) == 0) {
        add_overhead(t, &b, &report);
    }
    run_all(t, &b, &report);
    report.preamble =
        tg_arena_printf(&t->arena,
                        "%s on %s, %d threads, %s: %.1f GFLOP/s f32 FMA, %.1f GB/s read, "
                        "%.1f GB/s copy; %s; best of %d rounds",
                        b.device, processor, b.threads, b.best.instructions, b.best.fma_gflops,
                        b.best.read_gbs, b.best.copy_gbs,
                        b.no_schedule ? "no schedules"
                        : b.tuned     ? "tuned schedules"
                                      : "with schedules",
                        b.rounds);
    (void)printf("%s\n", report.preamble);
    tuning_close(b.store);
    tool_device_close(b.dev);
    bool ok = b.json == NULL || tool_report_json(t, &report, b.json);
    ok = (b.html == NULL || tool_report_html(t, &report, b.html)) && ok;
    return ok ? TOOL_OK : TOOL_FAILED;
}
