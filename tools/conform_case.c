/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One conformance case on one device. It runs twice, dense and with padded rows whose gaps hold
 * NaN; the outputs must meet the tolerance, repeat bit for bit and leave the memory around every
 * buffer alone. Exact mode: inputs for which every value is exact, and the device must equal the
 * interpreter bit for bit. Either at any number of schedule points.
 */
#include <math.h>
#include <string.h>

#include "tools/check.h"
#include "tools/conform.h"
#include "tools/sim.h"
#include "tools/work.h"

static bool passes(const tool_row *row) { return strcmp(row->status, "PASS") == 0; }

/* What the diagnostics said, and forgets them. */
static const char *reason(tool *t, const char *otherwise) {
    const tg_diag *d = t->sink.first;
    while (d != NULL && d->severity != TG_SEV_ERROR) {
        d = d->next;
    }
    const char *text = d != NULL ? tg_arena_strdup(&t->arena, d->text) : otherwise;
    tg_sink_init(&t->sink, &t->arena);
    return text;
}

static bool launch(tool *t, conform_device *d, tool_code *code, tool_kernel *k) {
    tg_interp_options interp = {.check_races = true, .check_facts = true};
    tg_loop_options loops = {.seed = 1};
    if (d->machine != NULL) {
        return tool_kernel_simulate(t, k, d->machine, &loops, NULL);
    }
    return d->device == NULL ? tool_kernel_interpret(t, k, &interp) : tool_code_launch(t, code, k);
}

static void launch_failed(tool *t, conform_device *d, tool_row *row) {
    d->lost = d->device != NULL && tool_device_lost(d->device);
    row->status = d->lost ? "DEVICE_LOST" : "FAIL_LAUNCH";
    row->detail = reason(t, "the launch failed");
}

/* Whatever else is wrong: a write beside the arguments is told first. */
static void judge_guards(tool *t, const tool_kernel *k, tool_row *row) {
    for (int i = 0; i < k->n_args; i++) {
        if (!tool_array_guards_ok(&k->args[i])) {
            row->status = "FAIL_OOB";
            row->detail =
                tg_arena_printf(&t->arena, "memory around %s was written", k->args[i].name);
            return;
        }
    }
}

/* What is right: the reference's values, or, where the kernel has no reference, the interpreter's
 * within what the language lets a device err (tools/check.h). */
typedef struct expected {
    const tgk_reference *ref;
    tgk_arg *want;
    tool_check *check; /* in place of ref */
    const tg_case *line;
} expected;

/* An array in the place of output i. */
static tool_verdict verdict_of(tool *t, const expected *e, const tool_array *a, int i) {
    if (e->check != NULL) {
        return tool_check_judge(t, e->check, a, i);
    }
    /* A case's `tol` speaks of results; memory that a launch updates keeps its own rule. */
    bool own = e->line->tol == TG_TOL_NONE || (a->param->flags & TG_PARAM_INOUT) != 0;
    return tool_compare(t, a, &e->want[i], own ? NULL : e->line, tgk_rule_find(e->ref, a->name));
}

/* Judges all outputs of k; fills row. `before`: the arguments as they were. */
static void judge(tool *t, const tool_kernel *k, const tool_kernel *before, const expected *e,
                  tool_row *row) {
    for (int i = 0; i < k->n_args && passes(row); i++) {
        const tool_array *a = &k->args[i];
        int64_t first;
        if (!tool_array_is_output(a)) {
            continue;
        }
        tool_verdict v = verdict_of(t, e, a, i);
        row->max_ulp = fmax(row->max_ulp, v.max_ulp);
        row->max_rel = fmax(row->max_rel, v.max_rel);
        row->metric = fmax(row->metric, v.metric);
        if (v.pass) {
            continue;
        }
        bool stale = tool_compare_bits(a, &before->args[i], &first) == 0;
        row->status = stale ? "FAIL_STALE" : "FAIL_NUMERIC";
        row->detail =
            stale ? tg_arena_printf(&t->arena, "%s still holds what was there before the launch",
                                    a->name)
                  : tg_arena_printf(&t->arena, "%s: %s (first bad index %lld, max ulp %.3g)",
                                    a->name, v.why, (long long)v.first_bad, v.max_ulp);
    }
}

/* The same value everywhere. */
static void make_constant(const tool_array *a, double v) {
    for (int64_t e = 0; e < a->count; e++) {
        tool_array_set(a, e, v);
    }
}

/* What is right is not constant (then a constant is what is right). */
static bool varies(const tgk_arg *want) {
    for (int64_t e = 1; e < want->count; e++) {
        if (want->f != NULL ? !(want->f[e] == want->f[0]) : want->i[e] != want->i[0]) {
            return true;
        }
    }
    return false;
}

/* A case that zeros, or its first right value everywhere, would pass proves nothing. */
static void judge_trust(tool *t, const tool_kernel *k, const expected *e, tool_row *row) {
    for (int i = 0; i < k->n_args && passes(row); i++) {
        const tool_array *a = &k->args[i];
        tool_array fake;
        if (!tool_array_is_output(a) || a->dtype == TG_DT_RECORD || a->rank == 0 ||
            !varies(&e->want[i]) || !tool_array_copy(t, a, &fake)) {
            continue;
        }
        double tries[] = {0, e->want[i].f != NULL ? e->want[i].f[0] : (double)e->want[i].i[0]};
        for (size_t v = 0; v < TG_COUNT_OF(tries) && passes(row); v++) {
            make_constant(&fake, tries[v]);
            if (verdict_of(t, e, &fake, i).pass) {
                row->status = "MISTRUSTED";
                row->detail = tg_arena_printf(&t->arena, "%s: the constant %.6g would pass, too",
                                              a->name, tries[v]);
            }
        }
        tool_array_free(&fake);
    }
}

/* Runs again on fresh copies: the bits must be the same. */
static void judge_repeat(tool *t, conform_device *d, tool_code *code, tool_kernel *k,
                         tool_kernel *again, tool_row *row) {
    if (!launch(t, d, code, again)) {
        launch_failed(t, d, row);
        return;
    }
    for (int i = 0; i < k->n_args; i++) {
        int64_t first;
        if (tool_array_is_output(&k->args[i]) &&
            tool_compare_bits(&k->args[i], &again->args[i], &first) != 0) {
            row->status = "FAIL_NONDET";
            row->detail =
                tg_arena_printf(&t->arena, "%s differs between two launches at index %lld",
                                k->args[i].name, (long long)first);
            return;
        }
    }
}

static void compare_exact(tool *t, const tool_kernel *k, const tool_kernel *oracle,
                          const tool_kernel *before, tool_row *row) {
    for (int i = 0; i < k->n_args && passes(row); i++) {
        int64_t first, same;
        if (!tool_array_is_output(&k->args[i]) ||
            tool_compare_exact(&k->args[i], &oracle->args[i], &first) == 0) {
            continue;
        }
        bool stale = tool_compare_bits(&k->args[i], &before->args[i], &same) == 0;
        row->status = stale ? "FAIL_STALE" : "FAIL_NUMERIC";
        row->detail = tg_arena_printf(&t->arena, "%s differs from the interpreter at index %lld",
                                      k->args[i].name, (long long)first);
    }
}

/* The case as it stands on the device; memory of one layout of the arguments. */
typedef struct run {
    tool *t;
    conform_device *d;
    const conform_case *c;
    const tgk_reference *ref; /* NULL: the interpreter judges, and `note` says why */
    const char *note;
    tool_kernel k;
    tool_code *code;
    bool dense;   /* the layout at hand has no gaps */
    bool refused; /* the settings break a `require` of the kernel */
    tool_row *row;
    /* Exact mode: the interpreter's outputs at the first point, which are right for every layout
     * and point whose arguments have the same extents. args is NULL before. */
    tool_kernel oracle;
} run;

static void decode_outputs(run *r, const tool_kernel *k, tgk_arg *want, bool *ok) {
    for (int i = 0; i < k->n_args; i++) {
        *ok = tool_array_decode(r->t, &k->args[i], &want[i]) && *ok;
    }
}

/* What is right for the arguments at hand; false after a diagnostic. */
static bool expect(run *r, expected *e) {
    tg_interp_options interp = {.check_races = true, .check_facts = true};
    if (r->ref != NULL) {
        return tool_kernel_reference(r->t, &r->k, r->ref, e->want);
    }
    e->check = TG_NEW(&r->t->arena, tool_check);
    bool ok = tool_check_begin(r->t, &r->k, &interp, e->check);
    if (ok) {
        decode_outputs(r, &e->check->want, e->want, &ok);
    }
    return ok;
}

static void launch_and_judge(run *r, tool_kernel *before, const expected *e) {
    double begin = tool_now();
    bool ok = launch(r->t, r->d, r->code, &r->k);
    double seconds = tool_now() - begin;
    tool_work work = tool_work_of(&r->k);
    r->row->best_us = 1e6 * seconds;
    if (r->d->limits.fma_gflops > 0) {
        r->row->share = tool_work_limit(&work, &r->d->limits) / seconds;
    }
    if (!ok) {
        launch_failed(r->t, r->d, r->row);
    } else {
        judge(r->t, &r->k, before, e, r->row);
    }
    if (passes(r->row) && r->dense) { /* says something of the case, not of the layout */
        judge_trust(r->t, &r->k, e, r->row);
    }
    if (passes(r->row)) {
        judge_repeat(r->t, r->d, r->code, &r->k, before, r->row);
        judge_guards(r->t, before, r->row);
    }
    judge_guards(r->t, &r->k, r->row);
}

static void run_tolerance(run *r) {
    tool_kernel before = {0};
    expected e = {.ref = r->ref,
                  .want = TG_NEW_ARRAY(&r->t->arena, tgk_arg, r->k.n_args + 1),
                  .line = r->c->line};
    tool_kernel_fill(r->t, &r->k, r->ref, r->c->seed);
    if (!tool_kernel_copy(r->t, &r->k, &before) || !expect(r, &e)) {
        r->row->status = "FAIL_LAUNCH";
        r->row->detail = reason(r->t, "the reference failed");
    } else {
        launch_and_judge(r, &before, &e);
    }
    if (!passes(r->row) && r->c->bundle != NULL) {
        conform_bundle_write(r->t, r->c, r->code, &before, &r->k, e.want, r->row);
    }
    tool_args_free(e.want, r->k.n_args);
    if (e.check != NULL) {
        tool_check_end(e.check);
    }
    tool_kernel_free(&before);
}

/* What is expected is what the interpreter gave. */
static void bundle_exact(run *r, const tool_kernel *before, const tool_kernel *oracle) {
    tgk_arg *want = TG_NEW_ARRAY(&r->t->arena, tgk_arg, r->k.n_args + 1);
    bool ok = true;
    decode_outputs(r, oracle, want, &ok);
    if (ok) {
        conform_bundle_write(r->t, r->c, r->code, before, &r->k, want, r->row);
    }
    tool_args_free(want, r->k.n_args);
}

/* The outputs at hand have the extents of the oracle. */
static bool oracle_fits(const run *r) {
    if (r->oracle.args == NULL || r->oracle.n_args != r->k.n_args) {
        return false;
    }
    for (int i = 0; i < r->k.n_args; i++) {
        const tool_array *a = &r->k.args[i], *o = &r->oracle.args[i];
        if (a->rank != o->rank || a->dtype != o->dtype || a->elem_bytes != o->elem_bytes ||
            memcmp(a->extent, o->extent, (size_t)a->rank * sizeof *a->extent) != 0) {
            return false;
        }
    }
    return true;
}

/* The interpreter's outputs for the arguments `before`, in place of the oracle; false, and the row
 * says why, when some value was rounded. */
static bool make_oracle(run *r, const tool_kernel *before) {
    tg_interp_options exact = {.mode = TG_INTERP_EXACT, .check_facts = true};
    if (r->oracle.args != NULL) {
        tool_kernel_free(&r->oracle);
        r->oracle = (tool_kernel){0};
    }
    if (!tool_kernel_copy(r->t, before, &r->oracle) ||
        !tool_kernel_interpret(r->t, &r->oracle, &exact)) {
        r->row->status = "SKIP";
        r->row->detail = reason(r->t, "not exact");
        return false;
    }
    return true;
}

/* What was launched must equal the oracle. An oracle of another point is asked first: where it
 * differs, the interpreter's word on this one counts. */
static void judge_exact(run *r, const tool_kernel *before, bool own) {
    compare_exact(r->t, &r->k, &r->oracle, before, r->row);
    if (!passes(r->row) && !own) {
        r->row->status = "PASS";
        r->row->detail = "";
        if (make_oracle(r, before)) {
            compare_exact(r->t, &r->k, &r->oracle, before, r->row);
        }
    }
}

static void run_exact(run *r) {
    tool_kernel before = {0};
    bool own = !oracle_fits(r);
    tool_kernel_fill_exact(r->t, &r->k, r->ref, r->c->seed);
    if (!tool_kernel_copy(r->t, &r->k, &before)) {
        r->row->status = "FAIL_LAUNCH";
        r->row->detail = reason(r->t, "the arguments could not be made");
    } else if (own && !make_oracle(r, &before)) {
        /* the row says why */
    } else if (!launch(r->t, r->d, r->code, &r->k)) {
        launch_failed(r->t, r->d, r->row);
    } else {
        judge_exact(r, &before, own);
        judge_guards(r->t, &r->k, r->row);
    }
    bool failed = !passes(r->row) && strcmp(r->row->status, "SKIP") != 0;
    if (failed && r->c->bundle != NULL && r->oracle.args != NULL) {
        bundle_exact(r, &before, &r->oracle);
    }
    tool_kernel_free(&before);
}

/* One layout of the arguments: dense, or rows padded by `pad` bytes of NaN. */
static void run_layout(run *r, int64_t pad) {
    for (int i = 0; i < r->k.n_args; i++) {
        r->k.args[i].data = NULL;
        r->k.args[i].block = NULL;
    }
    if (!tool_kernel_allocate(r->t, &r->k, pad)) {
        r->row->status = "FAIL_LAUNCH";
        r->row->detail = reason(r->t, "the arguments could not be made");
        return;
    }
    r->dense = pad == 0;
    (r->c->exact ? run_exact : run_tolerance)(r);
    tool_kernel_free(&r->k);
}

/* Compiles the case with `settings` and runs both layouts. */
static void run_settings(run *r, tg_program *p, const tg_setting *settings, int n) {
    tool_compile_options options = {.no_schedule = r->c->no_schedule, .checked = true};
    tg_target_query target = {.vendor = r->d->vendor, .arch = ""};
    r->k = (tool_kernel){0};
    r->code = NULL;
    if (!tool_kernel_make(r->t, p, r->c->line->kernel, settings, n,
                          r->c->no_schedule ? NULL : &target, &r->k)) {
        r->refused = r->t->sink.first != NULL && r->t->sink.first->id == TG_D_REQUIRE;
        r->row->status = "COMPILE_FAIL";
        r->row->detail = reason(r->t, "the kernel does not compile");
        return;
    }
    r->ref = tool_reference_of(r->t, r->c->path, &r->k, &r->note);
    if (r->ref == NULL && tool_is_stock(r->c->path)) {
        r->row->status = "UNSUPPORTED";
        r->row->detail = r->note;
        return;
    }
    if (r->d->device != NULL) {
        double ms = 0;
        r->code = tool_device_compile(r->t, r->d->device, r->c->path, r->c->line->kernel, settings,
                                      n, &options, &ms);
        r->row->compile_ms = ms;
        if (r->code == NULL) {
            bool limit = tool_device_refused(r->d->device);
            r->row->status = limit ? "UNSUPPORTED" : "COMPILE_FAIL";
            r->row->detail = reason(r->t, "the kernel does not compile");
            return;
        }
    }
    run_layout(r, 0);
    if (passes(r->row)) {
        run_layout(r, 64);
    }
    if (passes(r->row) && r->d->device != NULL && tool_device_on_host(r->d->device)) {
        run_layout(r, TOOL_FAR);
    }
    tool_code_free(r->code);
    if (passes(r->row) && r->ref == NULL) {
        r->row->detail = tg_arena_printf(&r->t->arena, "judged by the interpreter (%s)", r->note);
    }
}

static const char *describe_point(tool *t, const tg_setting *point, int n) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (int i = 0; i < n; i++) {
        tg_sb_addf(&sb, "%s%s=%s", i > 0 ? " " : "", point[i].name, point[i].value);
    }
    return sb.len > 0 ? sb.data : "default";
}

/* Every drawn schedule point must be right. */
static void run_points(run *r, tg_program *p) {
    tool *t = r->t;
    const conform_case *whole = r->c;
    const tg_case *line = whole->line;
    const tg_setting **points;
    int *sizes, done = 0;
    int n =
        conform_schedules(t, p, line, r->d->vendor, r->c->schedules, r->c->seed, &points, &sizes);
    for (int i = 0; i < n && passes(r->row); i++) {
        int total = line->n_settings + sizes[i];
        tg_setting *all = TG_NEW_ARRAY(&t->arena, tg_setting, total + 1);
        memcpy(all, line->settings, (size_t)line->n_settings * sizeof *all);
        memcpy(all + line->n_settings, points[i], (size_t)sizes[i] * sizeof *all);
        tg_case line_here = *line;
        conform_case here = *whole; /* what a failure's bundle is made of */
        line_here.settings = all;
        line_here.n_settings = total;
        here.line = &line_here;
        r->c = &here;
        r->refused = false;
        run_settings(r, p, all, total);
        r->c = whole;
        if (r->refused && i > 0) { /* no point of this kernel */
            r->row->status = "PASS";
            continue;
        }
        done += passes(r->row);
        if (!passes(r->row)) {
            r->row->detail = tg_arena_printf(&t->arena, "%s [schedule %s]", r->row->detail,
                                             describe_point(t, points[i], sizes[i]));
        }
    }
    if (passes(r->row)) {
        r->row->detail = tg_arena_printf(&t->arena, "%d schedule points", done);
    }
}

static bool may_pass_again(const char *status) {
    static const char *const names[] = {"FAIL_NUMERIC", "FAIL_STALE", "FAIL_OOB", "FAIL_LAUNCH"};
    for (size_t i = 0; i < TG_COUNT_OF(names); i++) {
        if (strcmp(status, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* A failure that does not come again is told as such. */
static void run_twice(run *r, tg_program *p) {
    const tg_case *line = r->c->line;
    run_settings(r, p, line->settings, line->n_settings);
    if (r->d->device == NULL || r->d->lost || !may_pass_again(r->row->status)) {
        return;
    }
    tool_row first = *r->row;
    *r->row = (tool_row){.name = first.name, .status = "PASS", .detail = ""};
    run_settings(r, p, line->settings, line->n_settings);
    if (!passes(r->row)) {
        *r->row = first;
        return;
    }
    r->row->status = "FLAKY";
    r->row->detail = tg_arena_printf(&r->t->arena, "%s at first (%s), then it passed", first.status,
                                     first.detail);
}

void conform_case_run(tool *t, conform_device *d, tg_program *p, const conform_case *c,
                      tool_row *row) {
    run r = {.t = t, .d = d, .c = c, .row = row};
    double begin = tool_now();
    *row = (tool_row){.name = c->name, .status = "PASS", .detail = ""};
    if (c->schedules > 0) {
        run_points(&r, p);
    } else {
        run_twice(&r, p);
    }
    if (r.oracle.args != NULL) {
        tool_kernel_free(&r.oracle);
    }
    row->seconds = tool_now() - begin;
}
