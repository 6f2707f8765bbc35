/* SPDX-License-Identifier: Apache-2.0 */
/* run and interp: one kernel, arrays from and to .npy files. */
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"

typedef struct run_options {
    const char *file, *kernel, *device;
    TG_LIST(tg_setting) settings;
    TG_LIST(tg_setting) in, out; /* ARG=FILE */
    uint64_t seed;
    int repeat, threads;
    bool check, no_schedule, checked;
    tg_interp_options interp;
} run_options;

static bool add_setting(tool *t, run_options *o, int which, const char *text) {
    tg_setting s;
    if (!tool_parse_setting(t, text, &s)) {
        return false;
    }
    if (which == 's') {
        TG_LIST_PUSH(&t->arena, &o->settings, s);
    } else if (which == 'i') {
        TG_LIST_PUSH(&t->arena, &o->in, s);
    } else {
        TG_LIST_PUSH(&t->arena, &o->out, s);
    }
    return true;
}

static bool parse_mode(const char *text, tg_interp_options *o) {
    static const char *const names[] = {"f32", "f64", "exact"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            o->mode = (tg_interp_mode)i;
            return true;
        }
    }
    return false;
}

static bool parse_options(tool *t, int argc, char **argv, run_options *o) {
    static const struct option options[] = {{"kernel", required_argument, NULL, 'k'},
                                            {"device", required_argument, NULL, 'd'},
                                            {"set", required_argument, NULL, 's'},
                                            {"in", required_argument, NULL, 'i'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"seed", required_argument, NULL, 'S'},
                                            {"repeat", required_argument, NULL, 'r'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"check", no_argument, NULL, 'c'},
                                            {"no-schedule", no_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"mode", required_argument, NULL, 'm'},
                                            {"order", required_argument, NULL, 'O'},
                                            {"checked", no_argument, NULL, 'C'},
                                            {0}};
    int c;
    bool ok = true;
    while (ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'k':
            o->kernel = optarg;
            break;
        case 'd':
            o->device = optarg;
            break;
        case 's':
        case 'i':
        case 'o':
            ok = add_setting(t, o, c, optarg);
            break;
        case 'S':
            o->seed = strtoull(optarg, NULL, 0);
            break;
        case 'r':
            o->repeat = atoi(optarg);
            break;
        case 't':
            o->threads = atoi(optarg);
            break;
        case 'c':
            o->check = true;
            break;
        case 'n':
            o->no_schedule = true;
            break;
        case 'C':
            o->checked = true;
            break;
        case 'j':
            t->json = true;
            break;
        case 'm':
            ok = parse_mode(optarg, &o->interp);
            break;
        case 'O':
            o->interp.order_seed = strtoull(optarg, NULL, 0);
            break;
        default:
            ok = false;
            break;
        }
    }
    o->file = optind + 1 == argc ? argv[optind] : NULL;
    return ok && o->file != NULL && o->kernel != NULL;
}

static tool_array *find_array(tool *t, tool_kernel *k, const char *name) {
    for (int i = 0; i < k->n_args; i++) {
        if (strcmp(k->args[i].name, name) == 0) {
            return &k->args[i];
        }
    }
    tool_error(t, TG_D_TOOL, "%s has no parameter %s", k->func->name, name);
    return NULL;
}

/* Storage types that NumPy lacks travel as unsigned integers of their width, sub-byte rows as
 * bytes, records as bytes with one more axis. */
static bool npy_fits(const tool_array *a, const tool_npy *n) {
    int bits = tg_dtype_bits(a->dtype);
    if (a->dtype == TG_DT_RECORD) {
        return n->item_bytes == 1 && n->rank == a->rank + 1 && n->extent[a->rank] == a->elem_bytes;
    }
    if (n->rank != a->rank || n->item_bytes * 8 != (bits < 8 ? 8 : bits)) {
        return false;
    }
    bool plain_float = a->dtype == TG_DT_F16 || a->dtype == TG_DT_F32 || a->dtype == TG_DT_F64;
    return plain_float ? n->kind == 'f' || n->kind == 'u' : n->kind != 'f';
}

static bool read_input(tool *t, tool_kernel *k, const tg_setting *in) {
    tool_npy n;
    tool_array *a = find_array(t, k, in->name);
    if (a == NULL || !tool_npy_read(t, in->value, &n)) {
        return false;
    }
    if (!npy_fits(a, &n)) {
        tool_error(t, TG_D_TOOL, "%s does not hold a %s[rank %d] for %s", in->value,
                   tg_dtype_name(a->dtype), a->rank, in->name);
        return false;
    }
    if (a->rank == 0) {
        memcpy(&a->scalar, n.data, n.bytes);
        return true;
    }
    memcpy(a->extent, n.extent, sizeof a->extent);
    int bits = tg_dtype_bits(a->dtype);
    if (bits != 0 && bits < 8) {
        a->extent[a->rank - 1] *= 8 / bits; /* whole bytes only: the file cannot say more */
    }
    if (!tool_array_make(t, a, 0)) {
        return false;
    }
    memcpy(a->data, n.data, n.bytes);
    return true;
}

static bool write_output(tool *t, tool_kernel *k, const tg_setting *out) {
    tool_array *a = find_array(t, k, out->name);
    if (a == NULL) {
        return false;
    }
    int bits = tg_dtype_bits(a->dtype);
    tool_npy n = {.kind = 'u',
                  .item_bytes = a->dtype == TG_DT_RECORD || bits < 8 ? 1 : bits / 8,
                  .rank = a->rank,
                  .data = a->data,
                  .bytes = a->bytes};
    if (a->dtype == TG_DT_F16 || a->dtype == TG_DT_F32 || a->dtype == TG_DT_F64) {
        n.kind = 'f';
    } else if (tg_dtype_is_int(a->dtype) && tg_dtype_is_signed(a->dtype) && bits >= 8) {
        n.kind = 'i';
    }
    memcpy(n.extent, a->extent, sizeof n.extent);
    if (bits != 0 && bits < 8) {
        n.extent[a->rank - 1] = a->row_bytes;
    }
    if (a->dtype == TG_DT_RECORD) {
        n.extent[n.rank++] = a->elem_bytes;
    }
    return tool_npy_write(t, out->value, &n);
}

static bool prepare(tool *t, const run_options *o, tool_kernel *k) {
    static const tg_target_query cpu = {.vendor = "cpu", .arch = ""};
    tg_program *p = tool_load_program(t, o->file);
    if (p == NULL || !tool_kernel_make(t, p, o->kernel, o->settings.data, (int)o->settings.count,
                                       o->no_schedule ? NULL : &cpu, k)) {
        return false;
    }
    for (size_t i = 0; i < o->in.count; i++) {
        if (!read_input(t, k, &o->in.data[i])) {
            return false;
        }
    }
    /* Which arguments came from files: the random fill leaves them alone. */
    unsigned char **given = TG_NEW_ARRAY(&t->arena, unsigned char *, k->n_args + 1);
    uint64_t *scalars = TG_NEW_ARRAY(&t->arena, uint64_t, k->n_args + 1);
    for (int i = 0; i < k->n_args; i++) {
        scalars[i] = k->args[i].scalar;
        if (k->args[i].data != NULL) {
            given[i] = (unsigned char *)tg_arena_strndup(&t->arena, (const char *)k->args[i].data,
                                                         k->args[i].bytes);
        }
    }
    if (!tool_kernel_allocate(t, k, 0)) {
        return false;
    }
    tool_kernel_fill(t, k, tgk_reference_find(o->kernel), o->seed);
    for (int i = 0; i < k->n_args; i++) {
        if (given[i] != NULL) {
            memcpy(k->args[i].data, given[i], k->args[i].bytes);
        }
        for (size_t f = 0; f < o->in.count; f++) {
            if (k->args[i].rank == 0 && strcmp(o->in.data[f].name, k->args[i].name) == 0) {
                k->args[i].scalar = scalars[i];
            }
        }
    }
    return true;
}

/* The interpreter on copies of the arguments as they were before the launch. */
static bool interpret_copy(tool *t, const tool_kernel *k, const run_options *o, tool_kernel *out) {
    *out = *k;
    out->args = TG_NEW_ARRAY(&t->arena, tool_array, k->n_args + 1);
    for (int i = 0; i < k->n_args; i++) {
        if (!tool_array_copy(t, &k->args[i], &out->args[i])) {
            return false;
        }
    }
    return tool_kernel_interpret(t, out, &o->interp);
}

/* Without a tolerance in the source: integers equal, floats within 1e-5 by calc_diff and 2 ulp or
 * 1e-5 of the largest magnitude elementwise (interpreter and device differ in summation order
 * only). */
static bool compare_outputs(tool *t, const tool_kernel *k, const tool_kernel *want) {
    bool pass = true;
    for (int i = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i], *w = &want->args[i];
        if ((a->param->flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) == 0 || a->dtype == TG_DT_RECORD) {
            continue;
        }
        tgk_arg expect = {.count = a->count, .f = malloc(((size_t)a->count + 1) * sizeof(double))};
        double largest = 0;
        for (int64_t e = 0; expect.f != NULL && e < a->count; e++) {
            expect.f[e] = tool_array_get(w, e);
            largest =
                isfinite(expect.f[e]) && fabs(expect.f[e]) > largest ? fabs(expect.f[e]) : largest;
        }
        tgk_output_rule rule = {.name = a->name,
                                .tol = tg_dtype_is_float(a->dtype) ? TGK_TOL_ULP : TGK_TOL_EXACT,
                                .bound = 2,
                                .abs = 1e-5 * largest};
        tool_verdict v = tool_compare(t, a, &expect, NULL, &rule);
        free(expect.f);
        (void)printf(t->json
                         ? "{\"output\": \"%s\", \"pass\": %s, \"max_ulp\": %.3g, \"max_rel\": "
                           "%.3g, \"first_bad\": %lld}\n"
                         : "%s: %s  max ulp %.3g  max relative error %.3g  first bad index %lld\n",
                     a->name, t->json ? (v.pass ? "true" : "false") : (v.pass ? "ok" : v.why),
                     v.max_ulp, v.max_rel, (long long)v.first_bad);
        pass = pass && v.pass;
    }
    return pass;
}

static bool run_on_device(tool *t, const run_options *o, tool_kernel *k, double *out_best) {
    tool_device *d = tool_device_open(t, o->device, o->threads);
    if (d == NULL) {
        return false;
    }
    tool_compile_options options = {.no_schedule = o->no_schedule, .checked = o->checked};
    tool_code *code = tool_device_compile(t, d, o->file, o->kernel, o->settings.data,
                                          (int)o->settings.count, &options, NULL);
    bool ok = code != NULL;
    for (int r = 0; ok && r < (o->repeat > 0 ? o->repeat : 1); r++) {
        double begin = tool_now();
        ok = tool_code_launch(t, code, k);
        double took = tool_now() - begin;
        *out_best = r == 0 || took < *out_best ? took : *out_best;
    }
    tool_code_free(code);
    tool_device_close(d);
    return ok;
}

/* The first values of every output, when nobody asked for files. */
static void print_outputs(const tool_kernel *k) {
    enum { SHOWN = 8 };
    for (int i = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i];
        if ((a->param->flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) == 0 || a->dtype == TG_DT_RECORD) {
            continue;
        }
        (void)printf("%s: %s[", a->name, tg_dtype_name(a->dtype));
        for (int d = 0; d < a->rank; d++) {
            (void)printf("%s%lld", d == 0 ? "" : ", ", (long long)a->extent[d]);
        }
        (void)printf("] =");
        for (int64_t e = 0; e < a->count && e < SHOWN; e++) {
            (void)printf(" %.6g", tool_array_get(a, e));
        }
        (void)printf("%s\n", a->count > SHOWN ? " ..." : "");
    }
}

static int finish(tool *t, const run_options *o, tool_kernel *k, bool ok) {
    for (size_t i = 0; ok && i < o->out.count; i++) {
        ok = write_output(t, k, &o->out.data[i]);
    }
    for (int i = 0; ok && i < k->n_args; i++) {
        if (!tool_array_guards_ok(&k->args[i])) {
            tool_error(t, TG_D_TOOL, "memory around %s was written", k->args[i].name);
            ok = false;
        }
    }
    if (ok && o->out.count == 0 && !o->check && o->repeat == 0 && !t->json) {
        print_outputs(k);
    }
    return ok ? TOOL_OK : TOOL_FAILED;
}

static int run(tool *t, int argc, char **argv, const char *default_device) {
    run_options o = {
        .device = default_device,
        .seed = 1,
        .interp = {.check_races = true, .check_facts = true, .check_nan_birth = false}};
    if (!parse_options(t, argc, argv, &o)) {
        return TOOL_USAGE;
    }
    bool on_interp = strcmp(o.device, "interp") == 0;
    if (!on_interp && strcmp(o.device, "cpu") != 0 && strcmp(o.device, "null") != 0) {
        tool_error(t, TG_D_TOOL, "there is no device '%s' here; `tegula targets` lists them",
                   o.device);
        return TOOL_NO_DEVICE;
    }
    tool_kernel k = {0}, want = {0};
    tg_sb printed;
    tg_sb_init(&printed, &t->arena);
    o.interp.print_to = &printed;
    bool ok = prepare(t, &o, &k);
    bool checked = ok && o.check && !on_interp;
    ok = ok && (!checked || interpret_copy(t, &k, &o, &want));
    double best = 0;
    ok = ok &&
         (on_interp ? tool_kernel_interpret(t, &k, &o.interp) : run_on_device(t, &o, &k, &best));
    (void)fputs(printed.data, stdout);
    if (ok && !on_interp && o.repeat > 0) {
        (void)printf(t->json ? "{\"kernel\": \"%s\", \"best_us\": %.3f}\n" : "%s: %.3f us\n",
                     o.kernel, best * 1e6);
    }
    int rc = finish(t, &o, &k, ok && (!checked || compare_outputs(t, &k, &want)));
    tool_kernel_free(&k);
    tool_kernel_free(&want);
    return rc;
}

int cmd_run(tool *t, int argc, char **argv) { return run(t, argc, argv, "cpu"); }

int cmd_interp(tool *t, int argc, char **argv) { return run(t, argc, argv, "interp"); }
