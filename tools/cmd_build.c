/* SPDX-License-Identifier: Apache-2.0 */
/* build: source to package, object, header or a dump of any stage, through libtegula. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <tegula/compiler.h>

#include "backends/machine.h"
#include "tools/commands.h"
#include "tools/tuning.h"

typedef struct build {
    tgc_options options;
    const char *out;
    TG_LIST(tgr_setting) settings;
    TG_LIST(tgc_instance) instances;
    TG_LIST(const char *) targets;
    bool print_pipeline, tuned;
} build;

static bool parse_emit(tool *t, const char *name, uint32_t *out) {
    static const char *const names[] = {"package", "ast",    "tile",   "loop",   "llvm",  "asm",
                                        "obj",     "header", "placed", "opencl", "spirv", "ptx",
                                        "amdgcn",  "hsaco",  "hip",    "cuda",   NULL};
    int which = 0;
    bool ok = tool_option_word(t, "emit", name, names, &which);
    *out = (uint32_t)which;
    return ok;
}

static void split_targets(tool *t, build *b, const char *list) {
    for (const char *p = list; *p != '\0';) {
        size_t n = strcspn(p, ",");
        if (n > 0) {
            TG_LIST_PUSH(&t->arena, &b->targets, tg_arena_strndup(&t->arena, p, n));
        }
        p += n + (p[n] == ',');
    }
}

static bool parse(tool *t, int argc, char **argv, build *b) {
    static const struct option options[] = {{"kernel", required_argument, NULL, 'k'},
                                            {"target", required_argument, NULL, 't'},
                                            {"set", required_argument, NULL, 's'},
                                            {"emit", required_argument, NULL, 'e'},
                                            {"no-schedule", no_argument, NULL, 'n'},
                                            {"tuned", no_argument, NULL, 'T'},
                                            {"verify", no_argument, NULL, 'V'},
                                            {"remarks", no_argument, NULL, 'r'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"dump-after", required_argument, NULL, 'D'},
                                            {"stop-after", required_argument, NULL, 'A'},
                                            {"start-from", required_argument, NULL, 'F'},
                                            {"print-pipeline", no_argument, NULL, 'P'},
                                            {"debug", no_argument, NULL, 'g'},
                                            {0}};
    tg_setting s;
    int c;
    while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
        switch (c) {
        case 'o':
            b->out = optarg;
            break;
        case 'k':
            TG_LIST_PUSH(&t->arena, &b->instances, (tgc_instance){.kernel = optarg});
            break;
        case 't':
            split_targets(t, b, optarg);
            break;
        case 's':
            if (!tool_parse_setting(t, optarg, &s)) {
                return false;
            }
            TG_LIST_PUSH(&t->arena, &b->settings, (tgr_setting){.name = s.name, .value = s.value});
            break;
        case 'e':
            if (!parse_emit(t, optarg, &b->options.emit)) {
                return false;
            }
            break;
        case 'n':
            b->options.no_schedule = 1;
            break;
        case 'T':
            b->tuned = true;
            break;
        case 'V':
            b->options.verify_each = 1;
            break;
        case 'r':
            b->options.remarks = 1;
            break;
        case 'j':
            t->json = true;
            break;
        case 'g':
            b->options.debug_lines = 1;
            break;
        case 'D':
            b->options.dump_after = optarg;
            break;
        case 'A':
            b->options.stop_after = optarg;
            break;
        case 'F':
            b->options.start_from = optarg;
            break;
        case 'P':
            b->print_pipeline = true;
            break;
        default:
            return false;
        }
    }
    return true;
}

/* --dump-after takes "all", too. */
static bool known_pass(tool *t, const char *option, const char *name, bool all) {
    if (name == NULL || tgc_pipeline_doc(name) != NULL || (all && strcmp(name, "all") == 0)) {
        return true;
    }
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (const char *const *p = tgc_pipeline(); *p != NULL; p++) {
        tg_sb_addf(&sb, "%s%s", sb.len == 0 ? "" : " ", *p);
    }
    tool_error(t, TG_D_TOOL, "--%s takes the name of a pass%s, not `%s`: %s", option,
               all ? " or all" : "", name, sb.data);
    return false;
}

static void dump(void *user, const char *pass, const char *kernel, const char *text) {
    (void)user;
    (void)printf("// %s after %s\n%s\n", kernel, pass, text);
}

static bool is_text(uint32_t emit) {
    return emit != TGC_EMIT_PACKAGE && emit != TGC_EMIT_OBJECT && emit != TGC_EMIT_SPIRV &&
           emit != TGC_EMIT_HSACO;
}

static int compile(tool *t, build *b, const tg_source *src) {
    size_t n = strlen(src->name);
    b->options.source_name = src->name;
    b->options.source = src->text;
    b->options.source_bytes = src->len;
    b->options.from_ir = n > 5 && strcmp(src->name + n - 5, ".tgir") == 0;
    b->options.import = tool_import_text;
    b->options.import_user = t;
    b->options.settings = b->settings.data;
    b->options.n_settings = (int32_t)b->settings.count;
    b->options.instances = b->instances.count != 0 ? b->instances.data : NULL;
    b->options.n_instances = (int32_t)b->instances.count;
    b->options.targets = b->targets.count != 0 ? b->targets.data : NULL;
    b->options.n_targets = (int32_t)b->targets.count;
    b->options.json = t->json;
    b->options.dump = dump;
    tgc_result result;
    tgr_status s = tgc_compile(&b->options, &result);
    (void)fputs(result.diagnostics != NULL ? result.diagnostics : "", t->json ? stdout : stderr);
    bool ok = s == TGR_OK;
    if (ok && b->out != NULL) {
        ok = tool_write_file(t, b->out, result.bytes, result.n_bytes);
    } else if (ok && b->out == NULL) {
        ok = fwrite(result.bytes, 1, result.n_bytes, stdout) == result.n_bytes;
    } else if (result.errors == 0) {
        tool_error(t, TG_D_TOOL, "%s: %s", src->name, tgr_status_sentence(s));
    }
    tgc_result_fini(&result);
    return ok                                               ? TOOL_OK
           : s == TGR_E_UNSUPPORTED || s == TGR_E_NOT_FOUND ? TOOL_NO_DEVICE
                                                            : TOOL_FAILED;
}

/* What the tuner found for one kernel at the given settings, as settings of its instance; false
 * after reporting. */
static bool tune_instance(tool *t, const build *b, tuning *store, const char *machine,
                          tg_program *p, tgc_instance *instance) {
    int n = (int)b->settings.count, all;
    tg_setting *given = TG_NEW_ARRAY(&t->arena, tg_setting, n + 1);
    tg_target_query target = {.vendor = "cpu", .arch = ""};
    tool_kernel k;
    for (int i = 0; i < n; i++) {
        given[i] = (tg_setting){b->settings.data[i].name, b->settings.data[i].value};
    }
    if (!tool_kernel_make(t, p, instance->kernel, given, n, &target, &k)) {
        return false;
    }
    const tg_setting *found = tuning_apply(t, store, machine, p, &k, given, n, &all);
    tgr_setting *own = TG_NEW_ARRAY(&t->arena, tgr_setting, all - n + 1);
    for (int i = n; i < all; i++) {
        own[i - n] = (tgr_setting){.name = found[i].name, .value = found[i].value};
    }
    instance->settings = own;
    instance->n_settings = all - n;
    if (all == n) {
        (void)fprintf(stderr, "%s: nothing better than the default is known for %s\n",
                      instance->kernel, tuning_shape(t, p, &k, given, n));
    }
    return true;
}

/* Entries belong to a machine and a shape: this one, and what --set says. */
static bool tune_instances(tool *t, build *b, const char *path) {
    bool host =
        b->targets.count == 0 || (b->targets.count == 1 && strcmp(b->targets.data[0], "host") == 0);
    if (b->instances.count == 0 || !host || b->options.no_schedule) {
        tool_error(t, TG_D_TOOL, "--tuned needs --kernel, the target host, and no --no-schedule");
        return false;
    }
    tool_device *d = tool_device_open(t, "cpu", 0);
    tuning *store = d != NULL ? tuning_open(t, NULL, true) : NULL;
    tg_program *p = store != NULL ? tool_load_program(t, path) : NULL;
    bool ok = p != NULL;
    for (size_t i = 0; ok && i < b->instances.count; i++) {
        ok = tune_instance(t, b, store, tool_device_machine(t, d), p, &b->instances.data[i]);
    }
    tuning_close(store);
    if (d != NULL) {
        tool_device_close(d);
    }
    return ok;
}

int cmd_build(tool *t, int argc, char **argv) {
    build b = {.options = TGR_INIT(tgc_options)};
    if (!parse(t, argc, argv, &b)) {
        return TOOL_USAGE;
    }
    if (b.print_pipeline) {
        for (const char *const *p = tgc_pipeline(); *p != NULL; p++) {
            (void)printf("%-14s %s\n", *p, tgc_pipeline_doc(*p));
        }
        return TOOL_OK;
    }
    if (!known_pass(t, "dump-after", b.options.dump_after, true) ||
        !known_pass(t, "stop-after", b.options.stop_after, false) ||
        !known_pass(t, "start-from", b.options.start_from, false)) {
        return TOOL_USAGE;
    }
    for (size_t i = 0; i < b.targets.count; i++) {
        const char *name = b.targets.data[i];
        bool known = strcmp(name, "host") == 0 || tg_machine_model(name) != NULL ||
                     tg_machine_named(&t->arena, name) != NULL;
        if (!known) {
            tool_error(t, TG_D_TOOL, "there is no target '%s'; `tegula targets` lists them", name);
            return TOOL_NO_DEVICE;
        }
    }
    if (optind + 1 != argc) {
        tool_error(t, TG_D_TOOL, optind < argc ? "one FILE.tg at a time" : "which FILE.tg?");
        return TOOL_USAGE;
    }
    if (b.out == NULL && !is_text(b.options.emit)) {
        tool_error(t, TG_D_TOOL,
                   "where to? give -o FILE (--emit placed, loop, asm ... are text "
                   "and need none)");
        return TOOL_USAGE;
    }
    if (b.tuned && !tune_instances(t, &b, argv[optind])) {
        return TOOL_FAILED;
    }
    const tg_source *src = tool_read_source(t, argv[optind]);
    return src == NULL ? TOOL_FAILED : compile(t, &b, src);
}
