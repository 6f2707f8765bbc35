/* SPDX-License-Identifier: Apache-2.0 */
/* run and interp: one kernel, arrays from and to .npy files. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/check.h"
#include "tools/commands.h"
#include "tools/sim.h"
#include "tools/tuning.h"

enum { MAX_REPEAT = 1000000000 };

typedef struct run_options {
    const char *file, *kernel, *device;
    bool only_interp; /* the command is interp */
    TG_LIST(tg_setting) settings;
    TG_LIST(tg_setting) in, out; /* ARG=FILE */
    uint64_t seed;
    int repeat, threads;
    bool check, no_schedule, tuned, checked;
    tg_interp_options interp;
    const char *interp_option; /* of --mode and --order, the one given */
} run_options;

/* What a run came to. */
typedef struct outcome {
    double compile_ms, best_us;
    tg_sb checks; /* JSON objects */
    bool ok;
} outcome;

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

static bool parse_mode(tool *t, const char *text, tg_interp_options *o) {
    static const char *const names[] = {"f32", "f64", "exact", NULL};
    int which = 0;
    bool ok = tool_option_word(t, "mode", text, names, &which);
    o->mode = (tg_interp_mode)which;
    return ok;
}

static const struct option run_table[] = {
    {"kernel", required_argument, NULL, 'k'}, {"set", required_argument, NULL, 's'},
    {"in", required_argument, NULL, 'i'},     {"out", required_argument, NULL, 'o'},
    {"seed", required_argument, NULL, 'S'},   {"check", no_argument, NULL, 'c'},
    {"no-schedule", no_argument, NULL, 'n'},  {"tuned", no_argument, NULL, 'T'},
    {"json", no_argument, NULL, 'j'},         {"mode", required_argument, NULL, 'm'},
    {"order", required_argument, NULL, 'O'},  {"device", required_argument, NULL, 'd'},
    {"repeat", required_argument, NULL, 'r'}, {"threads", required_argument, NULL, 't'},
    {"checked", no_argument, NULL, 'C'},      {0}};

static bool take_option(tool *t, run_options *o, int c) {
    switch (c) {
    case 'k':
        o->kernel = optarg;
        return true;
    case 'd':
        o->device = optarg;
        return true;
    case 's':
    case 'i':
    case 'o':
        return add_setting(t, o, c, optarg);
    case 'S':
        return tool_option_u64(t, "seed", optarg, &o->seed);
    case 'r':
        return tool_option_int(t, "repeat", optarg, 1, MAX_REPEAT, &o->repeat);
    case 't':
        return tool_option_threads(t, optarg, &o->threads);
    case 'c':
        o->check = true;
        return true;
    case 'n':
        o->no_schedule = true;
        return true;
    case 'T':
        o->tuned = true;
        return true;
    case 'C':
        o->checked = true;
        return true;
    case 'j':
        t->json = true;
        return true;
    case 'm':
        o->interp_option = "mode";
        return parse_mode(t, optarg, &o->interp);
    case 'O':
        o->interp_option = "order";
        return tool_option_u64(t, "order", optarg, &o->interp.order_seed);
    default:
        return false;
    }
}

static bool parse_options(tool *t, int argc, char **argv, run_options *o) {
    int c, at = 0;
    while ((c = getopt_long(argc, argv, "", run_table, &at)) != -1) {
        if (o->only_interp && strchr("drtCT", c) != NULL) {
            tool_error(t, TG_D_TOOL, "--%s is an option of `tegula run`", run_table[at].name);
            return false;
        }
        if (!take_option(t, o, c)) {
            return false;
        }
    }
    if (optind + 1 != argc) {
        tool_error(t, TG_D_TOOL, optind == argc ? "which FILE.tg?" : "one FILE.tg at a time");
        return false;
    }
    if (o->interp_option != NULL && strcmp(o->device, "interp") != 0) {
        tool_error(t, TG_D_TOOL, "--%s is an option of the interpreter (`--device interp`)",
                   o->interp_option);
        return false;
    }
    o->file = argv[optind];
    return true;
}

/* The kernel asked for, or the only one of the file; an error lists what there is. */
static bool choose_kernel(tool *t, run_options *o, const tg_program *p) {
    int n = tg_program_n_kernels(p), ops = 0;
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    const char *only = NULL;
    for (int i = 0; i < n; i++) {
        tg_kernel_info k = tg_program_kernel(p, i);
        if (o->kernel != NULL && strcmp(k.name, o->kernel) == 0) {
            return true;
        }
        ops += k.is_op;
        only = k.is_op ? only : k.name;
        tg_sb_addf(&sb, "%s%s", sb.len == 0 ? "" : ", ", k.name);
    }
    if (o->kernel == NULL && n - ops == 1) {
        o->kernel = only;
        return true;
    }
    if (n == 0) {
        tool_error(t, TG_D_TOOL, "%s has no kernel", o->file);
    } else if (o->kernel == NULL) {
        tool_error(t, TG_D_TOOL, "%s has several kernels; choose one with --kernel: %s", o->file,
                   sb.data);
    } else {
        tool_error(t, TG_D_TOOL, "%s has no kernel %s; it has %s", o->file, o->kernel, sb.data);
    }
    return false;
}

static tool_array *find_array(tool *t, tool_kernel *k, const char *name) {
    for (int i = 0; i < k->n_args; i++) {
        if (strcmp(k->args[i].name, name) == 0) {
            return &k->args[i];
        }
    }
    tool_error(t, TG_D_TOOL, "%s has no parameter %s", k->name, name);
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

/* What the file holds and what the parameter is. */
static void refuse_file(tool *t, const tool_array *a, const tool_npy *n, const tg_setting *in) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (int d = 0; d < n->rank; d++) {
        tg_sb_addf(&sb, "%s%lld", d > 0 ? ", " : "", (long long)n->extent[d]);
    }
    int bits = tg_dtype_bits(a->dtype);
    bool plain = a->dtype == TG_DT_F16 || a->dtype == TG_DT_F32 || a->dtype == TG_DT_F64 ||
                 tg_dtype_is_int(a->dtype) || a->dtype == TG_DT_BOOL;
    tg_diag *d = tg_error(&t->sink, TG_D_TOOL, (tg_span){0},
                          "%s holds %c%d[%s], %s is %s of rank %d", in->value, n->kind,
                          n->item_bytes * 8, sb.data, in->name, tg_dtype_name(a->dtype), a->rank);
    if (a->dtype == TG_DT_RECORD) {
        tg_note_add(&t->sink, d, (tg_span){0}, "records travel as u8[..., %lld]",
                    (long long)a->elem_bytes);
    } else if (!plain || bits < 8) {
        tg_note_add(&t->sink, d, (tg_span){0}, "%s travels as u%d", tg_dtype_name(a->dtype),
                    bits < 8 ? 8 : bits);
    }
}

static bool read_input(tool *t, tool_kernel *k, const tg_setting *in) {
    tool_npy n;
    tool_array *a = find_array(t, k, in->name);
    if (a == NULL || !tool_npy_read(t, in->value, &n)) {
        return false;
    }
    if (!npy_fits(a, &n)) {
        refuse_file(t, a, &n, in);
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
    return tool_array_write_npy(t, a, out->value);
}

static bool prepare(tool *t, const run_options *o, tg_program *p, tool_kernel *k) {
    const char *machine = tool_sim_device(o->device);
    tg_target_query target = {.vendor = machine != NULL ? tool_sim_vendor(t, machine) : "cpu",
                              .arch = ""};
    if (!tool_kernel_make(t, p, o->kernel, o->settings.data, (int)o->settings.count,
                          o->no_schedule ? NULL : &target, k)) {
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
    /* Inputs of the references are for the stock kernels, whatever else is called like one. */
    tool_kernel_fill(t, k, tool_is_stock(o->file) ? tgk_reference_find(o->kernel) : NULL, o->seed);
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

/* Those given, with --tuned what the database adds to them; NULL after reporting. */
static const tg_setting *chosen_settings(tool *t, const run_options *o, const tool_device *d,
                                         const tool_kernel *k, int *out_n) {
    static const tg_setting none[1];
    const tg_setting *given = o->settings.count > 0 ? o->settings.data : none;
    *out_n = (int)o->settings.count;
    if (!o->tuned) {
        return given;
    }
    tuning *store = tuning_open(t, NULL, true);
    const tg_setting *all = store != NULL ? tuning_apply(t, store, tool_device_machine(t, d),
                                                         k->program, k, given, *out_n, out_n)
                                          : NULL;
    tuning_close(store);
    return all;
}

static bool run_on_device(tool *t, const run_options *o, tool_kernel *k, outcome *out) {
    tool_device *d = tool_device_open(t, o->device, o->threads);
    if (d == NULL) {
        return false;
    }
    tool_compile_options options = {.no_schedule = o->no_schedule, .checked = o->checked};
    int n;
    const tg_setting *settings = chosen_settings(t, o, d, k, &n);
    tool_code *code = settings != NULL ? tool_device_compile(t, d, o->file, o->kernel, settings, n,
                                                             &options, &out->compile_ms)
                                       : NULL;
    bool ok = code != NULL;
    for (int r = 0; ok && r < (o->repeat > 0 ? o->repeat : 1); r++) {
        double begin = tool_now();
        ok = tool_code_launch(t, code, k);
        double took = 1e6 * (tool_now() - begin);
        out->best_us = r == 0 || took < out->best_us ? took : out->best_us;
    }
    tool_code_free(code);
    tool_device_close(d);
    return ok;
}

static bool run_interpreted(tool *t, const run_options *o, tool_kernel *k, outcome *out) {
    double begin = tool_now();
    const char *machine = tool_sim_device(o->device);
    tg_loop_options loops = {.seed = o->seed};
    bool ok = machine != NULL ? tool_kernel_simulate(t, k, machine, &loops, NULL)
                              : tool_kernel_interpret(t, k, &o->interp);
    out->best_us = 1e6 * (tool_now() - begin);
    return ok;
}

/* Launches and, if wanted, checks. On the interpreter itself the other side is double arithmetic.
 */
static bool launch(tool *t, const run_options *o, tool_kernel *k, bool on_interp, outcome *out) {
    tg_interp_options other = o->interp;
    tool_check check = {0};
    other.print_to = NULL;
    other.mode = on_interp ? TG_INTERP_F64 : TG_INTERP_F32;
    bool ok = !o->check || tool_check_begin(t, k, &other, &check);
    bool here = on_interp || tool_sim_device(o->device) != NULL;
    ok = ok && (here ? run_interpreted(t, o, k, out) : run_on_device(t, o, k, out));
    if (o->interp.print_to->len > 0) {
        (void)fputs(o->interp.print_to->data, t->json ? stderr : stdout);
    }
    out->ok = ok && (!o->check || tool_check_outputs(t, &check, k, &out->checks));
    tool_check_end(&check);
    return ok;
}

/* The first values of every output, when nobody asked for files. */
static void print_outputs(const tool_kernel *k) {
    enum { SHOWN = 8 };
    for (int i = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i];
        if (!tool_array_is_output(a) || a->dtype == TG_DT_RECORD) {
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

/* --json: one object for the whole run. */
static void print_json(tool *t, const run_options *o, const tool_kernel *k, const outcome *out) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_addf(&sb, "{\"kernel\": \"%s\", \"device\": \"%s\", \"ok\": %s, \"args\": [", o->kernel,
               o->device, out->ok ? "true" : "false");
    for (int i = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i];
        tg_sb_addf(&sb, "%s{\"name\": \"%s\", \"dtype\": \"%s\", \"out\": %s, \"shape\": [",
                   i == 0 ? "" : ", ", a->name,
                   a->dtype == TG_DT_RECORD ? "record" : tg_dtype_name(a->dtype),
                   tool_array_is_output(a) ? "true" : "false");
        for (int d = 0; d < a->rank; d++) {
            tg_sb_addf(&sb, "%s%lld", d == 0 ? "" : ", ", (long long)a->extent[d]);
        }
        tg_sb_add(&sb, "]}");
    }
    tg_sb_addf(&sb, "], \"compile_ms\": %.3f, \"best_us\": %.3f", out->compile_ms, out->best_us);
    if (o->check) {
        tg_sb_addf(&sb, ", \"check\": [%s]", out->checks.len > 0 ? out->checks.data : "");
    }
    (void)printf("%s}\n", sb.data);
}

/* Files are written whatever the check says: they show what is wrong. */
static void finish(tool *t, const run_options *o, tool_kernel *k, bool launched, outcome *out) {
    for (size_t i = 0; launched && i < o->out.count; i++) {
        out->ok = write_output(t, k, &o->out.data[i]) && out->ok;
    }
    for (int i = 0; launched && i < k->n_args; i++) {
        if (!tool_array_guards_ok(&k->args[i])) {
            tool_error(t, TG_D_TOOL, "memory around %s was written", k->args[i].name);
            out->ok = false;
        }
    }
    if (t->json) {
        print_json(t, o, k, out);
    } else if (launched && o->repeat > 0) {
        (void)printf("%s: %.3f us\n", o->kernel, out->best_us);
    } else if (launched && o->out.count == 0 && !o->check) {
        print_outputs(k);
    }
}

/* Says why not, when it is not there. */
static bool has_device(tool *t, const char *name) {
    if (strcmp(name, "cpu") == 0 || strcmp(name, "null") == 0) {
        return true;
    }
    tool_device *d = tool_device_open(t, name, 0);
    if (d == NULL) {
        return false;
    }
    tool_device_close(d);
    return true;
}

static int run(tool *t, int argc, char **argv, const char *default_device) {
    run_options o = {
        .device = default_device,
        .only_interp = strcmp(default_device, "interp") == 0,
        .seed = 1,
        .interp = {.check_races = true, .check_facts = true, .check_nan_birth = false}};
    if (!parse_options(t, argc, argv, &o)) {
        return TOOL_USAGE;
    }
    bool on_interp = strcmp(o.device, "interp") == 0;
    if (!on_interp && !(tool_sim_device(o.device) != NULL ? tool_sim_known(t, o.device)
                                                          : has_device(t, o.device))) {
        return TOOL_NO_DEVICE;
    }
    tg_program *p = tool_load_program(t, o.file);
    if (p == NULL) {
        return TOOL_FAILED;
    }
    if (!choose_kernel(t, &o, p)) {
        return TOOL_USAGE;
    }
    tool_kernel k = {0};
    tg_sb printed;
    outcome out = {0};
    tg_sb_init(&printed, &t->arena);
    tg_sb_init(&out.checks, &t->arena);
    o.interp.print_to = &printed;
    if (prepare(t, &o, p, &k)) {
        bool launched = launch(t, &o, &k, on_interp, &out);
        finish(t, &o, &k, launched, &out);
    }
    tool_kernel_free(&k);
    return out.ok ? TOOL_OK : TOOL_FAILED;
}

int cmd_run(tool *t, int argc, char **argv) { return run(t, argc, argv, "cpu"); }

int cmd_interp(tool *t, int argc, char **argv) { return run(t, argc, argv, "interp"); }
