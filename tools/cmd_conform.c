/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conform: every case of every stock kernel on a device, each batch of cases in its own process, so
 * that the run survives a driver that crashes, hangs or loses the device. The parts are in
 * conform.h.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/conform.h"
#include "tools/sim.h"
#include "tools/supervise.h"

typedef enum conform_level { LEVEL_SMOKE, LEVEL_CORE, LEVEL_FULL } conform_level;
static const char *const level_names[] = {"smoke", "core", "full", NULL};

enum { BATCH = 32, FULL_SCHEDULES = 64 };

typedef struct conform {
    tool *t;
    const char *device, *filter, *dir, *json, *html, *junit, *journal, *bundle;
    uint64_t seed;
    int threads, level, schedules, deadline, sample;
    bool exact, no_schedule, resume, in_process, list, replay;
    TG_LIST(conform_case) cases;    /* all, in order */
    TG_LIST(tg_program *) programs; /* of each case */
    TG_LIST(int) todo;              /* cases not found in the journal */
    conform_device dev;             /* opened in the worker; limits known before */
    tool_report report;
    int passed, failed, skipped;
    bool broken; /* a file does not load, no device: the run fails whatever the cases say */
} conform;

/* ---- options ----------------------------------------------------------------------------------
 */

static bool parse(tool *t, int argc, char **argv, conform *c) {
    static const struct option options[] = {{"device", required_argument, NULL, 'd'},
                                            {"level", required_argument, NULL, 'l'},
                                            {"filter", required_argument, NULL, 'f'},
                                            {"kernels", required_argument, NULL, 'k'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"exact", no_argument, NULL, 'e'},
                                            {"schedules", required_argument, NULL, 'S'},
                                            {"no-schedule", no_argument, NULL, 'n'},
                                            {"deadline", required_argument, NULL, 'D'},
                                            {"journal", required_argument, NULL, 'q'},
                                            {"resume", no_argument, NULL, 'r'},
                                            {"bundle", required_argument, NULL, 'b'},
                                            {"in-process", no_argument, NULL, 'i'},
                                            {"replay", no_argument, NULL, 'R'},
                                            {"sample", required_argument, NULL, 'm'},
                                            {"list", no_argument, NULL, 'L'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"html", required_argument, NULL, 'h'},
                                            {"junit", required_argument, NULL, 'J'},
                                            {0}};
    int o;
    bool ok = true;
    while (ok && (o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (o) {
        case 'd':
            c->device = optarg;
            break;
        case 'l':
            ok = tool_option_word(t, "level", optarg, level_names, &c->level);
            break;
        case 'f':
            c->filter = optarg;
            break;
        case 'k':
            c->dir = optarg;
            break;
        case 's':
            ok = tool_option_u64(t, "seed", optarg, &c->seed);
            break;
        case 't':
            ok = tool_option_threads(t, optarg, &c->threads);
            break;
        case 'e':
            c->exact = true;
            break;
        case 'S':
            ok = tool_option_int(t, "schedules", optarg, 1, 4096, &c->schedules);
            break;
        case 'n':
            c->no_schedule = true;
            break;
        case 'm':
            ok = tool_option_int(t, "sample", optarg, 1, 1000000, &c->sample);
            break;
        case 'D':
            ok = tool_option_int(t, "deadline", optarg, 1, 86400, &c->deadline);
            break;
        case 'q':
            c->journal = optarg;
            break;
        case 'r':
            c->resume = true;
            break;
        case 'b':
            c->bundle = optarg;
            break;
        case 'i':
            c->in_process = true;
            break;
        case 'R':
            c->replay = true;
            break;
        case 'L':
            c->list = true;
            break;
        case 'j':
            c->json = optarg;
            break;
        case 'h':
            c->html = optarg;
            break;
        case 'J':
            c->junit = optarg;
            break;
        default:
            return false;
        }
    }
    if (ok && c->resume && c->journal == NULL) {
        tool_error(t, TG_D_TOOL, "--resume needs the --journal FILE of the run to go on with");
        return false;
    }
    return ok && optind == argc;
}

/* ---- the list of cases ------------------------------------------------------------------------
 */

static const char *describe(tool *t, const tg_case *c) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_add(&sb, c->kernel);
    for (int i = 0; i < c->n_settings; i++) {
        tg_sb_addf(&sb, " %s=%s", c->settings[i].name, c->settings[i].value);
    }
    return sb.data;
}

static bool seen_kernel(const conform *c, const char *kernel) {
    for (size_t i = 0; i < c->cases.count; i++) {
        if (strcmp(c->cases.data[i].line->kernel, kernel) == 0) {
            return true;
        }
    }
    return false;
}

static void add_case(conform *c, tg_program *p, const char *path, const tg_case *line) {
    tool *t = c->t;
    const char *file = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    conform_case k = {.path = path,
                      .line = line,
                      .name = describe(t, line),
                      .seed = c->seed,
                      .exact = c->exact,
                      .no_schedule = c->no_schedule,
                      .schedules = c->schedules,
                      .device = c->device,
                      .bundle = c->bundle};
    k.key = tg_arena_printf(&t->arena, "%s %s on %s seed %llu%s%s schedules %d", file, k.name,
                            c->device, (unsigned long long)c->seed, c->exact ? " exact" : "",
                            c->no_schedule ? " no-schedule" : "", c->schedules);
    TG_LIST_PUSH(&t->arena, &c->cases, k);
    TG_LIST_PUSH(&t->arena, &c->programs, p);
}

static void visit(tool *t, void *user, const char *path) {
    conform *c = user;
    tg_program *p = tool_load_program(t, path);
    c->broken = c->broken || p == NULL;
    for (int i = 0; p != NULL && i < tg_program_n_cases(p); i++) {
        const tg_case *line = tg_program_case(p, i);
        bool wanted = c->filter == NULL || fnmatch(c->filter, line->kernel, 0) == 0;
        wanted = wanted && (c->level != LEVEL_SMOKE || !seen_kernel(c, line->kernel));
        if (!line->is_bench && wanted) {
            add_case(c, p, path, line);
        }
    }
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static void take_row(conform *c, const tool_row *row) {
    bool pass = strcmp(row->status, "PASS") == 0, skip = strcmp(row->status, "SKIP") == 0;
    c->passed += pass;
    c->skipped += skip;
    c->failed += !pass && !skip;
    (void)printf("%-13s %s%s%s\n", row->status, row->name, row->detail[0] != '\0' ? ": " : "",
                 row->detail);
    (void)fflush(stdout);
    tool_report_add(c->t, &c->report, row);
}

static void finish_row(conform *c, const conform_case *k, const tool_row *row) {
    if (c->journal != NULL && !conform_journal_add(c->t, c->journal, k->key, row)) {
        c->broken = true;
        tool_flush_diagnostics(c->t);
        c->journal = NULL;
    }
    take_row(c, row);
}

/* ---- worker -----------------------------------------------------------------------------------
 */

static void open_device(void *user) {
    conform *c = user;
    c->dev.vendor = "cpu";
    c->dev.machine = tool_sim_device(c->device);
    if (c->dev.machine != NULL) {
        c->dev.vendor = tool_sim_vendor(c->t, c->dev.machine);
    } else if (strcmp(c->device, "interp") != 0) {
        c->dev.device = tool_device_open(c->t, c->device, c->threads);
        tool_flush_diagnostics(c->t);
        if (c->dev.device == NULL) {
            _exit(TOOL_NO_DEVICE);
        }
        if (c->replay) {
            tool_device_replay(c->dev.device);
        }
        c->dev.vendor = tool_device_vendor(c->dev.device);
    }
}

static const char *run_job(void *user, int job, bool *out_last) {
    conform *c = user;
    int i = c->todo.data[job];
    tool_row row;
    conform_case_run(c->t, &c->dev, c->programs.data[i], &c->cases.data[i], &row);
    tool_flush_diagnostics(c->t);
    *out_last = c->dev.lost;
    return conform_row_text(c->t, c->cases.data[i].key, &row);
}

/* ---- supervisor -------------------------------------------------------------------------------
 */

static const char *last_line(tool *t, const char *text) {
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '\n') {
        n--;
    }
    size_t from = n;
    while (from > 0 && text[from - 1] != '\n') {
        from--;
    }
    return tg_arena_strndup(&t->arena, text + from, n - from);
}

static void died(conform *c, const conform_case *k, const supervise_result *r, tool_row *row) {
    tool *t = c->t;
    const char *said = last_line(t, r->errors);
    *row = (tool_row){.name = k->name, .seconds = r->seconds};
    if (r->end == SUPERVISE_HUNG) {
        row->status = "TIMEOUT";
        row->detail = tg_arena_printf(&t->arena, "no answer within %d s; the process was killed",
                                      c->deadline);
    } else if (r->end == SUPERVISE_CRASHED) {
        row->status = "CRASH";
        row->detail = tg_arena_printf(&t->arena, "the process died of %s", strsignal(r->code));
    } else {
        row->status = r->code == TOOL_NO_DEVICE ? "DEVICE_LOST" : "CRASH";
        row->detail = tg_arena_printf(&t->arena,
                                      r->code == TOOL_NO_DEVICE ? "the device does not open again"
                                                                : "the process left with status %d",
                                      r->code);
    }
    if (said[0] != '\0') {
        row->detail = tg_arena_printf(&t->arena, "%s (%s)", row->detail, said);
    }
}

/* What a dead worker leaves: the device is opened in another one, which may die as well. */
typedef struct death {
    conform *c;
    int i;
    const tool_row *row;
} death;

static void death_start(void *user) { open_device(((death *)user)->c); }

static const char *death_run(void *user, int job, bool *out_last) {
    death *d = user;
    (void)job;
    *out_last = true;
    conform_bundle_inputs(d->c->t, d->c->programs.data[d->i], &d->c->cases.data[d->i],
                          d->c->dev.device, d->row);
    return "";
}

static void death_done(void *user, int job, const supervise_result *r) {
    (void)user;
    (void)job;
    (void)r;
}

static void bundle_of_death(conform *c, int i, const tool_row *row) {
    death d = {c, i, row};
    supervise_work work = {1, 1, c->deadline, &d, death_start, death_run, death_done};
    (void)tool_supervise(c->t, &work);
}

static void job_done(void *user, int job, const supervise_result *r) {
    conform *c = user;
    int i = c->todo.data[job];
    const conform_case *k = &c->cases.data[i];
    tool_row row;
    const char *key;
    if (r->end == SUPERVISE_DONE && conform_row_parse(c->t, r->text, &key, &row)) {
        (void)fputs(r->errors, stderr);
    } else {
        died(c, k, r, &row);
        if (c->bundle != NULL) {
            bundle_of_death(c, i, &row);
            tool_flush_diagnostics(c->t);
        }
    }
    finish_row(c, k, &row);
}

static bool run_in_process(conform *c) {
    bool last = false;
    open_device(c);
    for (size_t j = 0; j < c->todo.count && !last; j++) {
        const char *key, *text = run_job(c, (int)j, &last);
        tool_row row;
        if (conform_row_parse(c->t, text, &key, &row)) {
            finish_row(c, &c->cases.data[c->todo.data[j]], &row);
        }
    }
    if (c->dev.device != NULL) {
        tool_device_close(c->dev.device);
    }
    return !last;
}

static bool run_all(conform *c) {
    supervise_work work = {.n_jobs = (int)c->todo.count,
                           .batch = BATCH,
                           .deadline = c->deadline,
                           .user = c,
                           .start = open_device,
                           .run = run_job,
                           .done = job_done};
    return c->in_process ? run_in_process(c) : tool_supervise(c->t, &work);
}

/* Keeps `sample` of the cases, drawn by seed, in their order. */
static void draw_sample(conform *c) {
    tgk_random r = {.state = c->seed};
    size_t left = c->cases.count, kept = 0, need = (size_t)c->sample;
    if (c->sample == 0 || need >= left) {
        return;
    }
    if (!c->list) {
        (void)printf("%zu of %zu cases, drawn by seed %llu\n", need, left,
                     (unsigned long long)c->seed);
    }
    for (size_t i = 0; i < c->cases.count; i++, left--) {
        if ((size_t)tgk_random_below(&r, (int64_t)left) < need) {
            c->cases.data[kept] = c->cases.data[i];
            c->programs.data[kept++] = c->programs.data[i];
            need--;
        }
    }
    c->cases.count = kept;
    c->programs.count = kept;
}

/* A line a case: file, kernel, settings. */
static int list_cases(const conform *c) {
    for (size_t i = 0; i < c->cases.count; i++) {
        (void)printf("%s %s\n", c->cases.data[i].path, c->cases.data[i].name);
    }
    return c->broken || c->cases.count == 0 ? TOOL_FAILED : TOOL_OK;
}

/* Rows of the journal are taken over; the rest is to do. */
static bool plan(conform *c) {
    conform_journal j = {0};
    if (c->journal != NULL && !c->resume) {
        (void)remove(c->journal); /* there may be none */
    }
    if (c->resume && !conform_journal_load(c->t, c->journal, &j)) {
        return false;
    }
    for (size_t i = 0; i < c->cases.count; i++) {
        const tool_row *row = conform_journal_find(&j, c->cases.data[i].key);
        if (row != NULL) {
            take_row(c, row);
        } else {
            TG_LIST_PUSH(&c->t->arena, &c->todo, (int)i);
        }
    }
    return true;
}

/* Opens the device once in a child, so that a missing one is told before any case. */
static void probe_done(void *user, int job, const supervise_result *r) {
    (void)job;
    conform *c = user;
    tool_limits *l = &c->dev.limits;
    (void)fputs(r->errors, stderr);
    c->broken = r->end != SUPERVISE_DONE;
    if (!c->broken && sscanf(r->text, "%lf %lf", &l->fma_gflops, &l->copy_gbs) == 2) {
        l->read_gbs = l->copy_gbs;
        c->report.preamble = tg_arena_printf(
            &c->t->arena,
            "limits of this device, by tools/limits.tg: f32 FMA %.4g GFLOP/s, copy %.4g GB/s",
            l->fma_gflops, l->copy_gbs);
    }
}

/* With a report asked for: what the device can do, as "GFLOP/s GB/s". */
static const char *probe_run(void *user, int job, bool *out_last) {
    (void)job;
    conform *c = user;
    tool_limits l;
    *out_last = true;
    bool wanted = c->dev.device != NULL && (c->json != NULL || c->html != NULL);
    if (!wanted || !tool_limits_of_device(c->t, c->dev.device, &l)) {
        return "";
    }
    return tg_arena_printf(&c->t->arena, "%.6g %.6g", l.fma_gflops, l.copy_gbs);
}

static bool device_is_there(conform *c) {
    supervise_work work = {.n_jobs = 1,
                           .batch = 1,
                           .deadline = c->deadline,
                           .user = c,
                           .start = open_device,
                           .run = probe_run,
                           .done = probe_done};
    return tool_supervise(c->t, &work) && !c->broken;
}

int cmd_conform(tool *t, int argc, char **argv) {
    conform c = {.t = t,
                 .device = "cpu",
                 .dir = TEGULA_KERNELS_DIR,
                 .seed = 1,
                 .level = LEVEL_CORE,
                 .deadline = 120};
    if (!parse(t, argc, argv, &c)) {
        return TOOL_USAGE;
    }
    if (c.level == LEVEL_FULL && c.exact && c.schedules == 0) {
        c.schedules = FULL_SCHEDULES;
    }
    tool_report_init(&c.report, "Conformance", c.device);
    if (!c.list && !device_is_there(&c)) {
        tool_error(t, TG_D_TOOL, "there is no device '%s' here", c.device);
        return TOOL_NO_DEVICE;
    }
    if (tool_each_kernel_file(t, c.dir, visit, &c) == 0) {
        tool_error(t, TG_D_TOOL, "no .tg file below %s", c.dir);
        return TOOL_FAILED;
    }
    draw_sample(&c);
    if (c.list) {
        return list_cases(&c);
    }
    bool ok = plan(&c) && run_all(&c) && !c.broken;
    (void)printf("%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped);
    if (c.filter != NULL && c.passed + c.failed + c.skipped == 0) {
        tool_error(t, TG_D_TOOL, "no case of level %s matches '%s' below %s",
                   c.level == LEVEL_SMOKE  ? "smoke"
                   : c.level == LEVEL_CORE ? "core"
                                           : "full",
                   c.filter, c.dir);
    }
    ok = c.failed == 0 && c.passed > 0 && ok;
    ok = (c.json == NULL || tool_report_json(t, &c.report, c.json)) && ok;
    ok = (c.html == NULL || tool_report_html(t, &c.report, c.html)) && ok;
    ok = (c.junit == NULL || tool_report_junit(t, &c.report, c.junit)) && ok;
    return ok ? TOOL_OK : TOOL_FAILED;
}
