/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: every `bench` line of the stock kernels, as ratios. One interleaved run: in each round the
 * limits are measured again, then each row runs Tegula and its peers side by side, best of many
 * calls. Arguments of a row rotate over enough copies that weights come from memory, not from
 * cache.
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

typedef struct bench_row {
    tool_rotation sets;
    tool_code *code;
    tool_work work;
    tool_row row;
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
    tool_limits limits;
    TG_LIST(bench_row *) rows;
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

static bool make_first(tool *t, const bench *b, bench_row *r, tg_program *p, const char *path) {
    const char *why;
    tg_target_query target = {.vendor = tool_device_vendor(b->dev), .arch = ""};
    tool_kernel *k = &r->sets.sets[0];
    if (!tool_kernel_make(t, p, r->line->kernel, r->line->settings, r->line->n_settings,
                          b->no_schedule ? NULL : &target, k) ||
        !tool_kernel_allocate(t, k, 0)) {
        return false;
    }
    tool_kernel_fill_full(t, k, tool_reference_of(t, path, k, &why), 1);
    return true;
}

/* The CPU device reads the host's arrays, which rotate; others keep one copy of their own. */
static bool on_host(const bench *b) { return strcmp(b->device, "cpu") == 0; }

static void add_row(tool *t, bench *b, tg_program *p, const char *path, const tg_case *line) {
    bench_row *r = TG_NEW(&t->arena, bench_row);
    tool_compile_options options = {.no_schedule = b->no_schedule, .no_cache = true};
    r->line = line;
    r->row = (tool_row){.name = line->kernel, .shape = shape_text(t, line), .status = "PASS"};
    if (!make_first(t, b, r, p, path)) {
        tool_flush_diagnostics(t);
        return;
    }
    r->work = tool_work_of(&r->sets.sets[0]);
    if (on_host(b)) {
        tool_rotation_fill(t, &r->sets, r->work.read_bytes + r->work.written_bytes);
    } else {
        r->sets.n = 1;
    }
    const tg_setting *settings = line->settings;
    int n = line->n_settings;
    if (b->tuned) {
        settings = tuning_apply(t, b->store, tool_device_machine(t, b->dev), p, &r->sets.sets[0],
                                settings, n, &n);
    }
    r->code = tool_device_compile(t, b->dev, path, line->kernel, settings, n, &options,
                                  &r->row.compile_ms);
    tool_flush_diagnostics(t);
    if (r->code != NULL) {
        tool_code_resident(r->code, !on_host(b));
        TG_LIST_PUSH(&t->arena, &b->rows, r);
    }
}

static void visit(tool *t, void *user, const char *path) {
    bench *b = user;
    tg_program *p = tool_load_program(t, path);
    for (int i = 0; p != NULL && i < tg_program_n_cases(p); i++) {
        const tg_case *line = tg_program_case(p, i);
        if (line->is_bench && (b->filter == NULL || fnmatch(b->filter, line->kernel, 0) == 0)) {
            add_row(t, b, p, path, line);
        }
    }
    tool_flush_diagnostics(t);
}

static bool turn(tool *t, bench_row *r) {
    return tool_rotation_run(t, &r->sets, r->code, TURN_SECONDS, &r->best);
}

static void round_of(tool *t, bench *b, tool_peers *peers) {
    tool_limits_measure(&b->limits, b->threads);
    for (size_t i = 0; i < b->rows.count; i++) {
        bench_row *r = b->rows.data[i];
        if (!turn(t, r)) {
            r->row.status = "FAIL";
            tool_flush_diagnostics(t);
            continue;
        }
        if (peers != NULL &&
            tool_peers_prepare(peers, r->line->kernel, r->line->settings, r->line->n_settings)) {
            const char *name = NULL;
            double took = tool_peers_run(t, peers, TURN_SECONDS, &name);
            if (took > 0 && (r->peer_best == 0 || took < r->peer_best)) {
                r->peer_best = took;
                r->peer = name;
            }
            tool_peers_drop(peers);
            (void)turn(t, r);
        }
    }
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

static void finish_row(tool *t, bench *b, bench_row *r, tool_report *report) {
    double least = tool_work_limit(&r->work, &b->limits);
    r->row.best_us = 1e6 * r->best;
    r->row.share = r->best > 0 ? least / r->best : 0;
    r->row.rate = r->best > 0 ? tool_work_rate(&r->work, &b->limits, r->best, &r->row.unit) : 0;
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
    tool_report_add(t, report, &r->row);
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
    if ((tool_each_kernel_file(t, b.dir, visit, &b) == 0 || b.rows.count == 0) && !alone) {
        tool_error(t, TG_D_TOOL, "no bench line matches");
        return TOOL_FAILED;
    }
    bool with_peers = on_host(&b) && (b.peers == NULL || strcmp(b.peers, "none") != 0);
    tool_peers *peers = with_peers ? tool_peers_start(t, b.threads) : NULL;
    for (int r = 0; r < b.rounds; r++) {
        (void)fprintf(stderr, "round %d of %d\n", r + 1, b.rounds);
        round_of(t, &b, peers);
    }
    tool_peers_stop(peers);
    char processor[128];
    tool_processor_name(processor, sizeof processor);
    tool_report report;
    tool_report_init(&report, "Benchmark", processor);
    report.preamble =
        tg_arena_printf(&t->arena,
                        "%s on %s, %d threads, %s: %.1f GFLOP/s f32 FMA, %.1f GB/s read, "
                        "%.1f GB/s copy; %s; best of %d rounds",
                        b.device, processor, b.threads, b.limits.instructions, b.limits.fma_gflops,
                        b.limits.read_gbs, b.limits.copy_gbs,
                        b.no_schedule ? "no schedules"
                        : b.tuned     ? "tuned schedules"
                                      : "with schedules",
                        b.rounds);
    (void)printf("%s\n", report.preamble);
    if (b.filter == NULL || fnmatch(b.filter, "launch", 0) == 0) {
        add_overhead(t, &b, &report);
    }
    for (size_t i = 0; i < b.rows.count; i++) {
        finish_row(t, &b, b.rows.data[i], &report);
        tool_rotation_free(&b.rows.data[i]->sets);
        tool_code_free(b.rows.data[i]->code);
    }
    tuning_close(b.store);
    tool_device_close(b.dev);
    bool ok = b.json == NULL || tool_report_json(t, &report, b.json);
    ok = (b.html == NULL || tool_report_html(t, &report, b.html)) && ok;
    return ok ? TOOL_OK : TOOL_FAILED;
}
