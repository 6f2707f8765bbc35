/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conform: every case of every stock kernel on a device. A case runs twice, dense and with padded
 * rows whose gaps hold NaN; the outputs must meet the tolerance, repeat bit for bit and leave the
 * memory around every buffer alone. --exact: inputs for which every value is exact, and the device
 * must equal the interpreter bit for bit.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/report.h"

typedef struct conform {
    const char *device, *filter, *dir, *json, *html, *junit;
    uint64_t seed;
    int threads;
    bool exact, no_schedule;
    tool_device *dev;
    tool_report report;
    int passed, failed, skipped;
} conform;

static bool parse(tool *t, int argc, char **argv, conform *c) {
    static const struct option options[] = {{"device", required_argument, NULL, 'd'},
                                            {"filter", required_argument, NULL, 'f'},
                                            {"kernels", required_argument, NULL, 'k'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"exact", no_argument, NULL, 'e'},

                                            {"json", required_argument, NULL, 'j'},
                                            {"html", required_argument, NULL, 'h'},
                                            {"junit", required_argument, NULL, 'J'},
                                            {"no-schedule", no_argument, NULL, 'n'},
                                            {0}};
    int o;
    bool ok = true;
    while (ok && (o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (o) {
        case 'd':
            c->device = optarg;
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
        case 'n':
            c->no_schedule = true;
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
    return ok && optind == argc;
}

static const char *describe(tool *t, const tg_case *c) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_add(&sb, c->kernel);
    for (int i = 0; i < c->n_settings; i++) {
        tg_sb_addf(&sb, " %s=%s", c->settings[i].name, c->settings[i].value);
    }
    return sb.data;
}

static bool is_output(const tool_array *a) {
    return (a->param->flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) != 0;
}

static tool_array *copy_args(tool *t, const tool_kernel *k) {
    tool_array *copy = TG_NEW_ARRAY(&t->arena, tool_array, k->n_args + 1);
    for (int i = 0; i < k->n_args; i++) {
        if (!tool_array_copy(t, &k->args[i], &copy[i])) {
            return NULL;
        }
    }
    return copy;
}

static bool launch(tool *t, conform *c, tool_code *code, tool_kernel *k) {
    tg_interp_options interp = {.check_races = true, .check_facts = true};
    return c->dev == NULL ? tool_kernel_interpret(t, k, &interp) : tool_code_launch(t, code, k);
}

static const char *first_broken_guard(const tool_kernel *k) {
    for (int i = 0; i < k->n_args; i++) {
        if (!tool_array_guards_ok(&k->args[i])) {
            return k->args[i].name;
        }
    }
    return NULL;
}

/* Judges all outputs of k against the reference; fills row. */
static void judge(tool *t, const tool_kernel *k, const tgk_reference *ref, const tgk_arg *want,
                  const tg_case *cs, tool_row *row) {
    row->status = "PASS";
    for (int i = 0; i < k->n_args; i++) {
        const tgk_output_rule *rule = NULL;
        if (!is_output(&k->args[i]) || k->args[i].dtype == TG_DT_RECORD) {
            continue;
        }
        for (int r = 0; r < TGK_MAX_OUTPUTS && ref->outputs[r].name != NULL; r++) {
            if (strcmp(ref->outputs[r].name, k->args[i].name) == 0) {
                rule = &ref->outputs[r];
            }
        }
        tool_verdict v =
            tool_compare(t, &k->args[i], &want[i], cs->tol != TG_TOL_NONE ? cs : NULL, rule);
        row->max_ulp = fmax(row->max_ulp, v.max_ulp);
        row->max_rel = fmax(row->max_rel, v.max_rel);
        row->metric = fmax(row->metric, v.metric);
        if (!v.pass) {
            row->status = "FAIL_NUMERIC";
            row->detail =
                tg_arena_printf(&t->arena, "%s: %s (first bad index %lld, max ulp %.3g)",
                                k->args[i].name, v.why, (long long)v.first_bad, v.max_ulp);
            return;
        }
    }
}

/* Runs again on fresh copies: the bits must be the same. */
static void judge_repeat(tool *t, conform *c, tool_code *code, tool_kernel *k, tool_array *before,
                         tool_row *row) {
    tool_kernel again = *k;
    again.args = before;
    if (!launch(t, c, code, &again)) {
        row->status = "FAIL_NONDET";
        row->detail = "the second launch failed";
        return;
    }
    for (int i = 0; i < k->n_args; i++) {
        int64_t first;
        if (is_output(&k->args[i]) && k->args[i].dtype != TG_DT_RECORD &&
            tool_compare_bits(&k->args[i], &before[i], &first) != 0) {
            row->status = "FAIL_NONDET";
            row->detail =
                tg_arena_printf(&t->arena, "%s differs between two launches at index %lld",
                                k->args[i].name, (long long)first);
            return;
        }
    }
}

/* Device against interpreter, bit for bit, where the interpreter proves every value exact. */
static void judge_exact(tool *t, conform *c, tool_code *code, tool_kernel *k, tool_row *row) {
    tool_kernel oracle = *k;
    tg_interp_options exact = {.mode = TG_INTERP_EXACT, .check_facts = true};
    oracle.args = copy_args(t, k);
    row->status = "PASS";
    if (oracle.args == NULL || !tool_kernel_interpret(t, &oracle, &exact)) {
        row->status = "SKIP";
        row->detail =
            t->sink.first != NULL ? tg_arena_strdup(&t->arena, t->sink.first->text) : "not exact";
        tg_sink_init(&t->sink, &t->arena);
    } else if (!launch(t, c, code, k)) {
        row->status = "COMPILE_FAIL";
    }
    for (int i = 0; i < k->n_args && strcmp(row->status, "PASS") == 0; i++) {
        int64_t first;
        if (is_output(&k->args[i]) && k->args[i].dtype != TG_DT_RECORD &&
            tool_compare_bits(&k->args[i], &oracle.args[i], &first) != 0) {
            row->status = "FAIL_NUMERIC";
            row->detail =
                tg_arena_printf(&t->arena, "%s differs from the interpreter at index %lld",
                                k->args[i].name, (long long)first);
        }
    }
    for (int i = 0; oracle.args != NULL && i < k->n_args; i++) {
        tool_array_free(&oracle.args[i]);
    }
}

static void run_layout(tool *t, conform *c, tool_code *code, tool_kernel *k,
                       const tgk_reference *ref, const tg_case *cs, int64_t pad, tool_row *row) {
    for (int i = 0; i < k->n_args; i++) {
        k->args[i].data = NULL;
        k->args[i].block = NULL;
    }
    if (!tool_kernel_allocate(t, k, pad)) {
        row->status = "FAIL_NUMERIC";
        row->detail = "the arguments could not be made";
        return;
    }
    if (c->exact) {
        tool_kernel_fill_exact(t, k, ref, c->seed);
        judge_exact(t, c, code, k, row);
    } else {
        tool_kernel_fill(t, k, ref, c->seed);
        tgk_arg *want = TG_NEW_ARRAY(&t->arena, tgk_arg, k->n_args + 1);
        tool_array *before = copy_args(t, k);
        if (before == NULL || !tool_kernel_reference(t, k, ref, want) || !launch(t, c, code, k)) {
            row->status = "FAIL_NUMERIC";
            row->detail = t->sink.first != NULL ? tg_arena_strdup(&t->arena, t->sink.first->text)
                                                : "the launch failed";
        } else {
            judge(t, k, ref, want, cs, row);
            if (strcmp(row->status, "PASS") == 0) {
                judge_repeat(t, c, code, k, before, row);
            }
        }
        tool_args_free(want, k->n_args);
        for (int i = 0; before != NULL && i < k->n_args; i++) {
            tool_array_free(&before[i]);
        }
    }
    const char *broken = first_broken_guard(k);
    if (broken != NULL) {
        row->status = "FAIL_OOB";
        row->detail = tg_arena_printf(&t->arena, "memory around %s was written", broken);
    }
    tool_kernel_free(k);
}

static void run_case(tool *t, conform *c, tg_program *p, const char *path, const tg_case *cs) {
    static const tg_target_query cpu = {.vendor = "cpu", .arch = ""};
    tool_row row = {.name = describe(t, cs), .status = "PASS", .detail = ""};
    const tgk_reference *ref = tgk_reference_find(cs->kernel);
    tool_kernel k = {0};
    tool_code *code = NULL;
    tool_compile_options options = {
        .no_schedule = c->no_schedule, .no_cache = false, .checked = true};
    double begin = tool_now();
    if (ref == NULL) {
        row.status = "UNSUPPORTED";
        row.detail = "the kernel has no reference";
    } else if (!tool_kernel_make(t, p, cs->kernel, cs->settings, cs->n_settings,
                                 c->no_schedule ? NULL : &cpu, &k)) {
        row.status = "COMPILE_FAIL";
    } else if (c->dev != NULL &&
               (code = tool_device_compile(t, c->dev, path, cs->kernel, cs->settings,
                                           cs->n_settings, &options, NULL)) == NULL) {
        row.status = "COMPILE_FAIL";
    } else {
        run_layout(t, c, code, &k, ref, cs, 0, &row);
        if (strcmp(row.status, "PASS") == 0) {
            run_layout(t, c, code, &k, ref, cs, 64, &row);
        }
    }
    tool_code_free(code);
    row.seconds = tool_now() - begin;
    tool_flush_diagnostics(t);
    bool pass = strcmp(row.status, "PASS") == 0, skip = strcmp(row.status, "SKIP") == 0;
    c->passed += pass;
    c->skipped += skip;
    c->failed += !pass && !skip;
    (void)printf("%-13s %s%s%s\n", row.status, row.name, row.detail[0] != '\0' ? ": " : "",
                 row.detail);
    (void)fflush(stdout);
    tool_report_add(t, &c->report, &row);
}

static void run_file(tool *t, conform *c, const char *path) {
    tg_program *p = tool_load_program(t, path);
    for (int i = 0; p != NULL && i < tg_program_n_cases(p); i++) {
        const tg_case *cs = tg_program_case(p, i);
        if (!cs->is_bench && (c->filter == NULL || fnmatch(c->filter, cs->kernel, 0) == 0)) {
            run_case(t, c, p, path, cs);
        }
    }
    if (p == NULL) {
        c->failed++;
        tool_flush_diagnostics(t);
    }
}

int tool_each_kernel_file(tool *t, const char *dir,
                          void (*fn)(tool *t, void *user, const char *path), void *user) {
    struct dirent **names;
    int n = scandir(dir, &names, NULL, alphasort), found = 0;
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name, *dot = strrchr(name, '.');
        const char *path = tg_arena_printf(&t->arena, "%s/%s", dir, name);
        if (name[0] != '.' && names[i]->d_type == DT_DIR) {
            found += tool_each_kernel_file(t, path, fn, user);
        } else if (dot != NULL && strcmp(dot, ".tg") == 0) {
            fn(t, user, path);
            found++;
        }
        free(names[i]);
    }
    if (n >= 0) {
        free(names);
    }
    return found;
}

static void visit(tool *t, void *user, const char *path) { run_file(t, user, path); }

int cmd_conform(tool *t, int argc, char **argv) {
    conform c = {.device = "cpu", .dir = TEGULA_KERNELS_DIR, .seed = 1};
    if (!parse(t, argc, argv, &c)) {
        return TOOL_USAGE;
    }
    if (strcmp(c.device, "interp") != 0) {
        c.dev = strcmp(c.device, "cpu") == 0 ? tool_device_open(t, c.device, c.threads) : NULL;
        if (c.dev == NULL) {
            tool_error(t, TG_D_TOOL, "there is no device '%s' here", c.device);
            return TOOL_NO_DEVICE;
        }
    }
    tool_report_init(&c.report, "Conformance", c.device);
    if (tool_each_kernel_file(t, c.dir, visit, &c) == 0) {
        tool_error(t, TG_D_TOOL, "no .tg file below %s", c.dir);
        return TOOL_FAILED;
    }
    (void)printf("%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped);
    bool ok = c.failed == 0 && c.passed > 0;
    ok = (c.json == NULL || tool_report_json(t, &c.report, c.json)) && ok;
    ok = (c.html == NULL || tool_report_html(t, &c.report, c.html)) && ok;
    ok = (c.junit == NULL || tool_report_junit(t, &c.report, c.junit)) && ok;
    if (c.dev != NULL) {
        tool_device_close(c.dev);
    }
    return ok ? TOOL_OK : TOOL_FAILED;
}
