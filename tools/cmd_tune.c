/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tune: for every `bench` line and row of the benchmark's table, the schedule that is fastest on
 * this machine.
 *
 *   1. The points of the schedule space (conform_schedules.c) that the kernel accepts are ranked by
 *      the cost model (backends/cost.h).
 *   2. The best few and the default are compiled and checked: each runs some of the kernel's
 *      conformance cases, and its outputs on the measured launch must agree with the default's.
 *   3. Those that are right take turns, round by round, on the same arguments; the best of each
 *      counts. A winner has to beat the default by more than the turns scatter.
 *   4. The answer goes into the database (tuning.h), also when it is the default.
 *
 * With a budget of seconds, shapes that have no answer yet come first.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cost.h"
#include "tools/bench.h"
#include "tools/commands.h"
#include "tools/conform.h"
#include "tools/rotation.h"
#include "tools/tuning.h"
#include "tools/work.h"

enum {
    MAX_POINTS = 65536,
    MAX_MEASURED = 256,
    MAX_ROUNDS = 1000,
    CHECKED_CASES = 3,
    MAX_BUDGET = 1000000
};
static const double TURN_SECONDS = 0.05;
static const double LEAST_GAIN = 1.02; /* below it a winner is noise, whatever the turns say */

typedef struct candidate {
    const tg_setting *point; /* beside the line's settings; n 0: the default */
    int n;
    double model; /* seconds by the cost model */
    tool_code *code;
    double best, worst_turn; /* seconds: the best launch, and the worst of the turns' best */
} candidate;

typedef struct tune {
    const char *filter, *dir, *device, *db, *export_to, *import_from;
    int threads, points, measured, rounds;
    int budget; /* seconds; 0: none */
    double begin;
    uint64_t seed;
    bool list, dry_run, replay, table;
    tool_device *dev;
    conform_device tested;
    const tg_machine *machine;
    const char *machine_name;
    tuning *store;
    int lines, gained, failed;
    double log_gain;
} tune;

typedef TG_LIST(candidate) candidates;

static const struct option tune_table[] = {{"filter", required_argument, NULL, 'f'},
                                           {"device", required_argument, NULL, 'd'},
                                           {"threads", required_argument, NULL, 't'},
                                           {"rounds", required_argument, NULL, 'r'},
                                           {"kernels", required_argument, NULL, 'k'},
                                           {"points", required_argument, NULL, 'p'},
                                           {"measure", required_argument, NULL, 'm'},
                                           {"seed", required_argument, NULL, 's'},
                                           {"budget", required_argument, NULL, 'b'},
                                           {"table", no_argument, NULL, 'g'},
                                           {"db", required_argument, NULL, 'D'},
                                           {"export", required_argument, NULL, 'e'},
                                           {"import", required_argument, NULL, 'i'},
                                           {"list", no_argument, NULL, 'l'},
                                           {"dry-run", no_argument, NULL, 'n'},
                                           {"replay", no_argument, NULL, 'R'},
                                           {0}};

static bool take_option(tool *t, tune *u, int o) {
    switch (o) {
    case 'f':
        u->filter = optarg;
        return true;
    case 'd':
        u->device = optarg;
        return true;
    case 'k':
        u->dir = optarg;
        return true;
    case 'D':
        u->db = optarg;
        return true;
    case 'e':
        u->export_to = optarg;
        return true;
    case 'i':
        u->import_from = optarg;
        return true;
    case 't':
        return tool_option_threads(t, optarg, &u->threads);
    case 'r':
        return tool_option_int(t, "rounds", optarg, 1, MAX_ROUNDS, &u->rounds);
    case 'p':
        return tool_option_int(t, "points", optarg, 2, MAX_POINTS, &u->points);
    case 'm':
        return tool_option_int(t, "measure", optarg, 1, MAX_MEASURED, &u->measured);
    case 's':
        return tool_option_u64(t, "seed", optarg, &u->seed);
    case 'b':
        return tool_option_int(t, "budget", optarg, 1, MAX_BUDGET, &u->budget);
    case 'g':
        u->table = true;
        return true;
    case 'l':
        u->list = true;
        return true;
    case 'n':
        u->dry_run = true;
        return true;
    case 'R':
        u->replay = true;
        return true;
    default:
        return false;
    }
}

static bool parse(tool *t, int argc, char **argv, tune *u) {
    int o;
    while ((o = getopt_long(argc, argv, "", tune_table, NULL)) != -1) {
        if (!take_option(t, u, o)) {
            return false;
        }
    }
    return optind == argc;
}

/* ---- candidates --------------------------------------------------------------------------------
 */

static tg_setting *joined(tool *t, const tg_case *line, const candidate *c, int *out_n) {
    tg_setting *all = TG_NEW_ARRAY(&t->arena, tg_setting, line->n_settings + c->n + 1);
    memcpy(all, line->settings, (size_t)line->n_settings * sizeof *all);
    if (c->n > 0) {
        memcpy(all + line->n_settings, c->point, (size_t)c->n * sizeof *all);
    }
    *out_n = line->n_settings + c->n;
    return all;
}

static const char *point_text(tool *t, const candidate *c) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (int i = 0; i < c->n; i++) {
        tg_sb_addf(&sb, "%s%s=%s", i > 0 ? " " : "", c->point[i].name, c->point[i].value);
    }
    return sb.len > 0 ? sb.data : "";
}

/* The kernel at a point; what it does not accept is no candidate and no error. */
static bool make_at(tool *t, const tune *u, tg_program *p, const tg_case *line, const candidate *c,
                    tool_kernel *out) {
    tg_target_query target = {.vendor = tool_device_vendor(u->dev), .arch = ""};
    int n;
    const tg_setting *all = joined(t, line, c, &n);
    bool ok = tool_kernel_make(t, p, line->kernel, all, n, &target, out) && out->func != NULL;
    tg_sink_init(&t->sink, &t->arena);
    return ok;
}

static bool is_default(tool *t, const tune *u, tg_program *p, const tg_case *line,
                       const candidate *c, const char *default_source) {
    tool_kernel k = {0};
    return c->n > 0 && make_at(t, u, p, line, c, &k) &&
           strcmp(tuning_source(t, &k), default_source) == 0 &&
           strncmp(c->point[0].name, "schedule.", 9) != 0;
}

static int by_model(const void *a, const void *b) {
    double x = ((const candidate *)a)->model, y = ((const candidate *)b)->model;
    return x < y ? -1 : x > y;
}

/* The default first, then the accepted points by rising modelled time; returns how many there are.
 */
static int collect(tool *t, tune *u, tg_program *p, const tg_case *line, candidates *out) {
    const tg_setting **points;
    int *sizes;
    int n = conform_schedules(t, p, line, tool_device_vendor(u->dev), u->points, u->seed, &points,
                              &sizes);
    for (int i = 0; i < n; i++) {
        candidate c = {.point = points[i], .n = sizes[i]};
        tool_kernel k = {0};
        if (make_at(t, u, p, line, &c, &k)) {
            c.model = tg_cost_of(k.func, k.syms, u->machine, tool_device_threads(u->dev)).seconds;
            TG_LIST_PUSH(&t->arena, out, c);
        }
    }
    if (out->count > 1) {
        qsort(out->data + 1, out->count - 1, sizeof *out->data, by_model);
    }
    return (int)out->count;
}

/* ---- right? ------------------------------------------------------------------------------------
 */

static bool same_types(const tg_case *a, const tg_case *line) {
    for (int i = 0; i < a->n_settings; i++) {
        tg_dtype type;
        for (int j = 0; j < line->n_settings; j++) {
            const tg_setting *x = &a->settings[i], *y = &line->settings[j];
            if (strcmp(x->name, y->name) == 0 && strcmp(x->value, y->value) != 0 &&
                tg_dtype_from_name(x->value, strlen(x->value), &type)) {
                return false;
            }
        }
    }
    return true;
}

/* Some of the kernel's own cases at the candidate's point. One that the point does not fit says
 * nothing; a kernel without a reference has none (agrees() below still holds it to the default). */
static bool cases_pass(tool *t, tune *u, tg_program *p, const char *path, const tg_case *line,
                       const candidate *c, const char **out_why) {
    int ran = 0;
    for (int i = 0; i < tg_program_n_cases(p) && ran < CHECKED_CASES; i++) {
        const tg_case *one = tg_program_case(p, i);
        tool_row row;
        if (one->is_bench || strcmp(one->kernel, line->kernel) != 0 || !same_types(one, line)) {
            continue;
        }
        tg_case at = *one;
        at.settings = joined(t, one, c, &at.n_settings);
        conform_case run = {.path = path, .line = &at, .name = one->kernel, .seed = u->seed};
        conform_case_run(t, &u->tested, p, &run, &row);
        tg_sink_init(&t->sink, &t->arena);
        if (strcmp(row.status, "COMPILE_FAIL") == 0 || strcmp(row.status, "UNSUPPORTED") == 0) {
            continue;
        }
        ran++;
        if (strcmp(row.status, "PASS") != 0) {
            *out_why = tg_arena_printf(&t->arena, "%s: %s", row.status, row.detail);
            return false;
        }
    }
    return true;
}

/* Both are within the tolerance of the true result, so they are within twice it of each other. */
static bool agrees(tool *t, const tool_kernel *got, const tool_kernel *by_default,
                   const tgk_reference *ref, const tg_case *line, const char **out_why) {
    for (int i = 0; i < got->n_args; i++) {
        const tool_array *a = &got->args[i];
        int64_t first;
        if (!tool_array_is_output(a) || tool_compare_bits(a, &by_default->args[i], &first) == 0) {
            continue;
        }
        const tgk_output_rule *rule = ref != NULL ? tgk_rule_find(ref, a->name) : NULL;
        tgk_output_rule twice =
            rule != NULL ? *rule
                         : (tgk_output_rule){.name = a->name,
                                             .tol = TGK_TOL_CALC_DIFF,
                                             .bound = tg_dtype_is_float(a->dtype) ? 1e-5 : 0};
        tg_case own = *line;
        twice.bound *= 2;
        twice.abs *= 2;
        own.tol_a *= 2;
        own.tol_b *= 2;
        tgk_arg want = {0};
        if (!tool_array_decode(t, &by_default->args[i], &want)) {
            *out_why = "there is no memory to check it";
            return false;
        }
        bool by_rule = own.tol == TG_TOL_NONE || (a->param->flags & TG_PARAM_INOUT) != 0;
        tool_verdict v = tool_compare(t, a, &want, by_rule ? NULL : &own, &twice);
        tool_args_free(&want, 1);
        if (!v.pass) {
            *out_why =
                tg_arena_printf(&t->arena, "%s differs from the default's: %s", a->name, v.why);
            return false;
        }
    }
    return true;
}

/* ---- one line ----------------------------------------------------------------------------------
 */

typedef struct subject {
    tg_program *program;
    const char *path, *shape, *source;
    const tg_case *line;
    const tgk_reference *ref;
    tool_rotation sets;
    tool_kernel by_default; /* a copy with the default's results */
} subject;

static bool compile(tool *t, tune *u, const subject *s, candidate *c) {
    tool_compile_options options = {.no_cache = true};
    int n;
    const tg_setting *all = joined(t, s->line, c, &n);
    c->code = tool_device_compile(t, u->dev, s->path, s->line->kernel, all, n, &options, NULL);
    return c->code != NULL;
}

/* Launches once on copies and keeps or compares the outputs. */
static bool check(tool *t, tune *u, subject *s, candidate *c, const char **out_why) {
    tool_kernel got = {0};
    bool first = s->by_default.n_args == 0;
    *out_why = "the launch failed";
    bool ok = tool_kernel_copy(t, &s->sets.sets[0], &got) && tool_code_launch(t, c->code, &got);
    if (ok && first) {
        s->by_default = got;
        return true;
    }
    ok = ok && cases_pass(t, u, s->program, s->path, s->line, c, out_why) &&
         agrees(t, &got, &s->by_default, s->ref, s->line, out_why);
    tool_kernel_free(&got);
    tg_sink_init(&t->sink, &t->arena);
    return ok;
}

static bool prepare(tool *t, tune *u, subject *s) {
    candidate by_default = {0};
    tool_kernel *k = &s->sets.sets[0];
    if (!make_at(t, u, s->program, s->line, &by_default, k) || !tool_kernel_allocate(t, k, 0)) {
        return false;
    }
    const char *why;
    s->ref = tool_reference_of(t, s->path, k, &why);
    tool_kernel_fill_full(t, k, s->ref, u->seed);
    s->shape = tuning_shape(t, s->program, k, s->line->settings, s->line->n_settings);
    s->source = tuning_source(t, k);
    s->sets.n = 1;
    if (tool_device_on_host(u->dev)) {
        tool_work work = tool_work_of(k);
        tool_rotation_fill(t, &s->sets, work.read_bytes + work.written_bytes);
    }
    return true;
}

/* Rounds of turns. */
static void measure(tool *t, tune *u, subject *s, candidates *chosen) {
    for (int r = 0; r < u->rounds; r++) {
        for (size_t i = 0; i < chosen->count; i++) {
            candidate *c = &chosen->data[i];
            double turn = 0;
            if (c->code == NULL || !tool_rotation_run(t, &s->sets, c->code, TURN_SECONDS, &turn)) {
                tool_code_free(c->code);
                c->code = NULL;
                continue;
            }
            c->best = c->best == 0 || turn < c->best ? turn : c->best;
            c->worst_turn = fmax(c->worst_turn, turn);
        }
    }
}

/* The fastest; the default unless it is beaten by more than its turns scatter. */
static const candidate *winner_of(const candidates *chosen) {
    const candidate *base = &chosen->data[0], *best = base;
    for (size_t i = 1; i < chosen->count; i++) {
        const candidate *c = &chosen->data[i];
        best = c->code != NULL && c->best < best->best ? c : best;
    }
    double scatter = best->best > 0 ? best->worst_turn / best->best : 1;
    double gain = best->best > 0 ? base->best / best->best : 1;
    return gain > LEAST_GAIN && gain > scatter ? best : base;
}

static void conclude(tool *t, tune *u, const subject *s, const candidates *chosen, int space) {
    const candidate *base = &chosen->data[0], *best = winner_of(chosen);
    if (base->code == NULL || base->best <= 0) {
        u->failed++;
        return;
    }
    const char *text = point_text(t, best);
    tuning_entry e = {.machine = u->machine_name,
                      .kernel = s->line->kernel,
                      .shape = s->shape,
                      .source = s->source,
                      .settings = text,
                      .seconds = best->best,
                      .default_seconds = base->best};
    u->gained += best != base;
    u->log_gain += log(base->best / best->best);
    (void)printf("%-20s %-46s %5d points, %2zu measured: %-28s x%.2f  (%.1f us, default %.1f us)\n",
                 s->line->kernel, s->shape, space, chosen->count,
                 best != base ? text : "the default", base->best / best->best, 1e6 * best->best,
                 1e6 * base->best);
    if (!tuning_put(t, u->store, &e)) {
        u->failed++;
    }
}

static void print_ranking(tool *t, const subject *s, const candidates *all) {
    (void)printf("%s %s: modelled\n", s->line->kernel, s->shape);
    for (size_t i = 0; i < all->count; i++) {
        const candidate *c = &all->data[i];
        (void)printf("  %10.1f us  %s\n", 1e6 * c->model, c->n > 0 ? point_text(t, c) : "default");
    }
}

/* What to measure: the default, and the model's first ones that are not it in other words. */
static candidates choose(tool *t, tune *u, const subject *s, const candidates *all) {
    candidates chosen = {0};
    for (size_t i = 0; i < all->count && (int)chosen.count <= u->measured; i++) {
        if (i == 0 || !is_default(t, u, s->program, s->line, &all->data[i], s->source)) {
            TG_LIST_PUSH(&t->arena, &chosen, all->data[i]);
        }
    }
    return chosen;
}

/* The stored answer beside the default: does it still hold? */
static candidates stored(tool *t, tune *u, const subject *s) {
    candidates chosen = {0};
    candidate base = {0}, found = {0};
    int n = s->line->n_settings, total;
    const tool_kernel *k = &s->sets.sets[0];
    const tg_setting *all =
        tuning_apply(t, u->store, u->machine_name, s->program, k, s->line->settings, n, &total);
    TG_LIST_PUSH(&t->arena, &chosen, base);
    if (total > n) {
        found.point = all + n;
        found.n = total - n;
        TG_LIST_PUSH(&t->arena, &chosen, found);
    }
    return chosen;
}

static void tune_line(tool *t, tune *u, subject *s) {
    candidates all = {0}, chosen;
    int space = 0;
    if (u->replay) {
        chosen = stored(t, u, s);
        if (chosen.count < 2) {
            return;
        }
        space = 1;
    } else {
        space = collect(t, u, s->program, s->line, &all);
        if (all.count < 2) {
            return; /* nothing to choose */
        }
        if (u->dry_run) {
            print_ranking(t, s, &all);
            return;
        }
        chosen = choose(t, u, s, &all);
    }
    u->lines++;
    for (size_t i = 0; i < chosen.count; i++) {
        candidate *c = &chosen.data[i];
        const char *why = "it does not compile";
        if (!compile(t, u, s, c) || !check(t, u, s, c, &why)) {
            (void)fprintf(stderr, "%s %s: %s: %s\n", s->line->kernel, s->shape,
                          c->n > 0 ? point_text(t, c) : "the default", why);
            tg_sink_init(&t->sink, &t->arena);
            tool_code_free(c->code);
            c->code = NULL;
            u->failed++;
        } else {
            tool_code_resident(c->code, !tool_device_on_host(u->dev));
        }
    }
    if (chosen.data[0].code != NULL) {
        measure(t, u, s, &chosen);
        conclude(t, u, s, &chosen, space);
    }
    for (size_t i = 0; i < chosen.count; i++) {
        tool_code_free(chosen.data[i].code);
    }
}

/* There is an answer for the line in the database: of this machine, shape and text of the kernel.
 */
static bool answered(tool *t, tune *u, const bench_line *at) {
    candidate by_default = {0};
    tool_kernel k = {0};
    tuning_entry e;
    return make_at(t, u, at->program, at->line, &by_default, &k) &&
           tuning_find(t, u->store, u->machine_name, at->kernel,
                       tuning_shape(t, at->program, &k, at->settings, at->n_settings),
                       tuning_source(t, &k), &e);
}

static void visit(tool *t, tune *u, const bench_line *at) {
    subject s = {.program = at->program,
                 .path = at->path,
                 .line = at->line,
                 .ref = tgk_reference_find(at->kernel)};
    if (prepare(t, u, &s)) {
        tune_line(t, u, &s);
    }
    tool_kernel_free(&s.by_default);
    tool_rotation_free(&s.sets);
    tool_flush_diagnostics(t);
    (void)fflush(stdout);
}

/* The lines in turn until the budget is used up; how many were not reached. */
static size_t visit_all(tool *t, tune *u, const bench_lines *lines) {
    size_t reached = 0;
    for (int pass = 0; pass < (u->budget > 0 ? 2 : 1); pass++) {
        for (size_t i = 0; i < lines->count; i++) {
            const bench_line *at = &lines->data[i];
            if (u->budget > 0 && answered(t, u, at) != (pass == 1)) {
                continue;
            }
            if (u->budget > 0 && tool_now() - u->begin > u->budget) {
                return lines->count - reached;
            }
            (void)fprintf(stderr, "%zu of %zu, %.0f s: %s\n", ++reached, lines->count,
                          tool_now() - u->begin, at->kernel);
            visit(t, u, at);
        }
    }
    return 0;
}

/* Rows whose kernels leave something to choose. */
static bool lines_of(tool *t, const tune *u, bench_lines *out) {
    bench_lines all;
    *out = (bench_lines){0};
    if (!bench_collect(t, u->dir, u->filter, u->table, &all)) {
        return false;
    }
    for (size_t i = 0; i < all.count; i++) {
        if (tg_program_n_tunes(all.data[i].program, all.data[i].kernel) > 0) {
            TG_LIST_PUSH(&t->arena, out, all.data[i]);
        }
    }
    return true;
}

/* ---- the command -------------------------------------------------------------------------------
 */

static void print_entry(tool *t, void *user, const tuning_entry *e) {
    (void)t;
    (void)user;
    (void)printf("%s  %-20s %-46s %-28s x%.2f\n", e->machine, e->kernel, e->shape,
                 *e->settings != '\0' ? e->settings : "the default",
                 e->default_seconds / e->seconds);
}

static int explore(tool *t, tune *u) {
    u->dev = tool_device_open(t, u->device, u->threads);
    if (u->dev == NULL) {
        return TOOL_NO_DEVICE;
    }
    u->machine_name = tool_device_machine(t, u->dev);
    u->tested = (conform_device){.device = u->dev, .vendor = tool_device_vendor(u->dev)};
    u->machine = strcmp(u->tested.vendor, "cpu") == 0 ? tg_machine_host()
                                                      : tg_machine_find(u->tested.vendor);
    if (u->machine == NULL) { /* a driver of several rows: the device says which it is */
        u->machine = tg_machine_find(tool_device_isa(u->dev));
    }
    if (u->machine == NULL) {
        tool_error(t, TG_D_TOOL, "no machine row describes %s", u->device);
        tool_device_close(u->dev);
        return TOOL_NO_DEVICE;
    }
    bench_lines lines;
    size_t left = 0;
    u->begin = tool_now();
    if (!lines_of(t, u, &lines)) {
        tool_error(t, TG_D_TOOL, "no kernel in %s", u->dir);
    } else {
        left = visit_all(t, u, &lines);
    }
    tool_device_close(u->dev);
    if (left > 0) {
        (void)printf("the budget ended before %zu of %zu shapes\n", left, lines.count);
    }
    if (!u->dry_run) {
        (void)printf("%d shapes on %s: %d gained, %.2f in the geometric mean; %d candidates or "
                     "shapes failed; %s\n",
                     u->lines, u->machine_name, u->gained,
                     u->lines > 0 ? exp(u->log_gain / u->lines) : 1, u->failed,
                     tuning_path(u->store));
    }
    return u->failed > 0 || t->failed ? TOOL_FAILED : TOOL_OK;
}

int cmd_tune(tool *t, int argc, char **argv) {
    tune u = {.dir = TEGULA_KERNELS_DIR,
              .device = "cpu",
              .points = 4096,
              .measured = 8,
              .rounds = 5,
              .seed = 1};
    int rc = TOOL_OK, entries = 0;
    if (!parse(t, argc, argv, &u)) {
        return TOOL_USAGE;
    }
    u.store = tuning_open(t, u.db, false);
    if (u.store == NULL) {
        return TOOL_FAILED;
    }
    if (u.import_from != NULL) {
        rc = tuning_import(t, u.store, u.import_from, &entries) ? TOOL_OK : TOOL_FAILED;
        (void)printf("%d entries taken into %s\n", entries, tuning_path(u.store));
    } else if (u.list) {
        rc = tuning_each(t, u.store, print_entry, NULL) ? TOOL_OK : TOOL_FAILED;
    } else if (u.export_to == NULL) {
        rc = explore(t, &u);
    }
    if (rc == TOOL_OK && u.export_to != NULL) {
        rc = tuning_export(t, u.store, u.export_to) ? TOOL_OK : TOOL_FAILED;
    }
    tuning_close(u.store);
    return rc;
}
