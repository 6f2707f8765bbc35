/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reproduces a failed case on another desk, in one folder:
 *
 *   README           what failed, the commands
 *   kernel.tg        the source
 *   in_X.npy, expected_X.npy, got_X.npy
 *   kernel.tile      tile IR;  kernel.code: OpenCL C, or loop IR elsewhere
 *   kernel.tgp       the package;  main.c: loads it, launches it, compares
 *
 * On OpenCL and Vulkan main.c launches on the vendor's interface (conform_launch.c) and the program
 * that takes the package is tegula.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/conform.h"
#include "tools/fault.h"
#include "tools/sim.h"

extern char **environ;

/* With the folders above it. */
static bool make_dir(tool *t, const char *path) {
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)mkdir(tg_arena_strndup(&t->arena, path, (size_t)(slash - path)), 0777);
    }
    if (mkdir(path, 0777) == 0 || errno == EEXIST) {
        return true;
    }
    tool_error(t, TG_D_TOOL, "%s: %s", path, strerror(errno));
    return false;
}

/* A name that is safe as a file's. */
static const char *slug(tool *t, const char *name) {
    char *s = tg_arena_strdup(&t->arena, name);
    for (char *c = s; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '=' || *c == '-';
        *c = plain ? *c : '_';
    }
    return s;
}

/* ---- arrays -----------------------------------------------------------------------------------
 */

static void write_expected(tool *t, const char *dir, const tgk_arg *w) {
    tool_npy n = {.kind = w->f != NULL ? 'f' : 'i', .item_bytes = 8, .rank = w->rank};
    n.data = w->f != NULL ? (const void *)w->f : (const void *)w->i;
    n.bytes = (size_t)w->count * 8;
    memcpy(n.extent, w->extent, sizeof n.extent);
    if (n.data != NULL) {
        (void)tool_npy_write(t, tg_arena_printf(&t->arena, "%s/expected_%s.npy", dir, w->name), &n);
    }
}

static void write_arrays(tool *t, const char *dir, const tool_kernel *before,
                         const tool_kernel *after, const tgk_arg *want) {
    for (int i = 0; i < before->n_args; i++) {
        const tool_array *a = &before->args[i];
        if (!(a->param->flags & TG_PARAM_OUT)) {
            (void)tool_array_write_npy(t, a,
                                       tg_arena_printf(&t->arena, "%s/in_%s.npy", dir, a->name));
        }
        if (tool_array_is_output(a)) {
            (void)tool_array_write_npy(t, &after->args[i],
                                       tg_arena_printf(&t->arena, "%s/got_%s.npy", dir, a->name));
            write_expected(t, dir, &want[i]);
        }
    }
}

/* ---- code -------------------------------------------------------------------------------------
 */

/* The target that the device's code is built for; NULL: the host. */
static const char *target_of(tool *t, const char *device) {
    device = tool_fault_device(device);
    if (tool_sim_device(device) != NULL) {
        return strchr(device, ':') + 1;
    }
    bool host = strncmp(device, "cpu", 3) == 0 || strncmp(device, "fake", 4) == 0 ||
                strcmp(device, "interp") == 0;
    return host ? NULL : tg_arena_strndup(&t->arena, device, strcspn(device, ":"));
}

/* Runs this program again: the emitted forms are those of `tegula build`. */
static void build(tool *t, const conform_case *c, const char *emit, const char *out) {
    char target_flag[] = "--target", emit_flag[] = "--emit", kernel_flag[] = "--kernel";
    char plain_flag[] = "--no-schedule", set_flag[] = "--set", out_flag[] = "-o", verb[] = "build",
         self[] = "tegula";
    char *argv[64] = {self, verb, tg_arena_strdup(&t->arena, c->path), kernel_flag,
                      tg_arena_strdup(&t->arena, c->line->kernel)};
    int n = 5;
    const char *target = target_of(t, c->device);
    if (strcmp(emit, "tile") != 0 && target != NULL) {
        argv[n++] = target_flag;
        argv[n++] = tg_arena_strdup(&t->arena, target);
    }
    if (c->no_schedule) {
        argv[n++] = plain_flag;
    }
    argv[n++] = emit_flag;
    argv[n++] = tg_arena_strdup(&t->arena, emit);
    argv[n++] = out_flag;
    argv[n++] = tg_arena_strdup(&t->arena, out);
    for (int i = 0; i < c->line->n_settings && n < 60; i++) {
        const tg_setting *s = &c->line->settings[i];
        argv[n++] = set_flag;
        argv[n++] = tg_arena_printf(&t->arena, "%s=%s", s->name, s->value);
    }
    pid_t pid;
    int status;
    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
}

/* ---- the C program ----------------------------------------------------------------------------
 */

static const char main_head[] =
    "/* Launches the failed case through the runtime and prints how far each output is from what "
    "was\n"
    " * expected. Build: cc THIS_FILE -ltegula-rt -lm && ./a.out */\n"
    "#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\n"
    "#include <tegula/tegula.h>\n\n"
    "/* Data of a .npy file (version 1, C order). */\n"
    "static void *npy(const char *path, size_t *bytes) {\n"
    "    unsigned char h[10];\n"
    "    FILE *f = fopen(path, \"rb\");\n"
    "    if (!f || fread(h, 1, 10, f) != 10) { perror(path); exit(1); }\n"
    "    long start = 10 + h[8] + 256 * h[9];\n"
    "    fseek(f, 0, SEEK_END);\n"
    "    *bytes = (size_t)(ftell(f) - start);\n"
    "    void *data = malloc(*bytes + 1);\n"
    "    fseek(f, start, SEEK_SET);\n"
    "    if (fread(data, 1, *bytes, f) != *bytes) { perror(path); exit(1); }\n"
    "    fclose(f);\n    return data;\n}\n\n"
    "static void check(tgr_status s, tgr_context *c) {\n"
    "    char text[512] = \"\";\n"
    "    if (s != TGR_OK) { tgr_context_message(c, text, sizeof text); fprintf(stderr, \"%s\\n\", "
    "text); exit(1); }\n}\n\n"
    "int main(void) {\n"
    "    tgr_context *context = NULL;\n    tgr_device *device = NULL;\n    tgr_queue *queue = "
    "NULL;\n"
    "    tgr_module *module = NULL;\n    tgr_kernel *kernel = NULL;\n    size_t bytes;\n"
    "    check(tgr_context_create(NULL, &context), context);\n";

static void main_argument(tg_sb *sb, const tool_array *a, int i) {
    bool out = (a->param->flags & TG_PARAM_OUT) != 0;
    if (a->rank == 0) {
        tg_sb_addf(sb, "    args[%d] = tgr_arg_bits(%d, %lluu);\n", i, (int)a->dtype,
                   (unsigned long long)a->scalar);
        return;
    }
    tg_sb_addf(sb, "    int64_t shape%d[] = {", i);
    for (int d = 0; d < a->rank; d++) {
        tg_sb_addf(sb, "%s%lld", d > 0 ? ", " : "", (long long)a->extent[d]);
    }
    tg_sb_addf(sb, "};\n    void *data%d = npy(\"%s_%s.npy\", &bytes);\n", i, out ? "got" : "in",
               a->name);
    if (out) {
        tg_sb_addf(sb, "    memset(data%d, 0xff, bytes);\n", i);
    }
    tg_sb_addf(sb, "    args[%d] = tgr_arg_tensor(data%d, %d, %d, shape%d);\n", i, i, (int)a->dtype,
               a->rank, i);
}

static void write_main(tool *t, const conform_case *c, const char *dir, const tool_kernel *k,
                       const char *file) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_add(&sb, main_head);
    tg_sb_addf(&sb,
               "    check(tgr_device_open(context, \"%s\", NULL, &device), context);\n"
               "    check(tgr_queue_create(device, 0, &queue), context);\n"
               "    tgr_load_options load = TGR_INIT(tgr_load_options);\n"
               "    load.flags = TGR_LOAD_TRUSTED;\n"
               "    check(tgr_module_load_file(device, \"kernel.tgp\", &load, &module), context);\n"
               "    check(tgr_module_find(module, \"%s\", NULL, 0, &kernel), context);\n"
               "    tgr_arg args[%d];\n",
               tool_fault_device(c->device), c->line->kernel, k->n_args + 1);
    for (int i = 0; i < k->n_args; i++) {
        main_argument(&sb, &k->args[i], i);
    }
    tg_sb_addf(&sb,
               "    check(tgr_launch(queue, kernel, args, %d, NULL), context);\n"
               "    check(tgr_queue_wait(queue), context);\n",
               k->n_args);
    for (int i = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i];
        if (tool_array_is_output(a) && a->rank > 0 &&
            (a->dtype == TG_DT_F32 || a->dtype == TG_DT_F64)) {
            const char *type = a->dtype == TG_DT_F32 ? "float" : "double";
            tg_sb_addf(&sb,
                       "    double *want%d = npy(\"expected_%s.npy\", &bytes), worst%d = 0;\n"
                       "    for (size_t i = 0; i < bytes / 8; i++)\n"
                       "        worst%d = fmax(worst%d, fabs(((%s *)data%d)[i] - want%d[i]));\n"
                       "    printf(\"%s: largest difference %%g\\n\", worst%d);\n",
                       i, a->name, i, i, i, type, i, i, a->name, i);
        }
    }
    tg_sb_add(&sb, "    return 0;\n}\n");
    (void)tool_write_file(t, tg_arena_printf(&t->arena, "%s/%s", dir, file), sb.data, sb.len);
}

static void write_readme(tool *t, const conform_case *c, const char *dir, const tool_row *row,
                         const char *library) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_addf(&sb,
               "%s on %s: %s\n%s\n\nRun it again:\n  tegula run kernel.tg --kernel %s --device %s",
               c->name, c->device, row->status, row->detail, c->line->kernel, c->device);
    for (int i = 0; i < c->line->n_settings; i++) {
        tg_sb_addf(&sb, " --set %s=%s", c->line->settings[i].name, c->line->settings[i].value);
    }
    tg_sb_addf(&sb, "%s --in X=in_X.npy ... --check\nSeed %llu, file %s\n",
               c->no_schedule ? " --no-schedule" : "", (unsigned long long)c->seed, c->path);
    if (library != NULL) {
        tg_sb_addf(&sb,
                   "\nWithout Tegula, on the vendor's interface alone:\n"
                   "  cc main.c -o main -l%s -lm && ./main\n"
                   "and through its runtime: cc tegula.c -ltegula-rt -lm && ./a.out\n",
                   library);
    }
    (void)tool_write_file(t, tg_arena_printf(&t->arena, "%s/README", dir), sb.data, sb.len);
}

void conform_bundle_write(tool *t, const conform_case *c, tool_code *code,
                          const tool_kernel *before, const tool_kernel *after, const tgk_arg *want,
                          const tool_row *row) {
    const char *dir = tg_arena_printf(&t->arena, "%s/%s", c->bundle, slug(t, c->name));
    const char *library = code != NULL && before->op == NULL ? conform_launch_library(code) : NULL;
    size_t bytes;
    if (!make_dir(t, c->bundle) || !make_dir(t, dir)) {
        return;
    }
    const char *source = tool_read_file(t, c->path, &bytes);
    if (source != NULL) {
        (void)tool_write_file(t, tg_arena_printf(&t->arena, "%s/kernel.tg", dir), source, bytes);
    }
    write_readme(t, c, dir, row, library);
    write_arrays(t, dir, before, after, want);
    write_main(t, c, dir, before, library != NULL ? "tegula.c" : "main.c");
    build(t, c, "tile", tg_arena_printf(&t->arena, "%s/kernel.tile", dir));
    const char *target = target_of(t, c->device);
    build(t, c, target != NULL && strncmp(target, "opencl", 6) == 0 ? "opencl" : "loop",
          tg_arena_printf(&t->arena, "%s/kernel.code", dir));
    build(t, c, "package", tg_arena_printf(&t->arena, "%s/kernel.tgp", dir));
    if (library != NULL) { /* last: the launch may be what kills */
        conform_launch_write(t, dir, code, before);
    }
}

void conform_bundle_inputs(tool *t, tg_program *p, const conform_case *c, tool_device *device,
                           const tool_row *row) {
    tool_kernel k = {0};
    const char *why;
    tool_compile_options options = {.no_schedule = c->no_schedule};
    tool_code *code = NULL;
    if (!tool_kernel_make(t, p, c->line->kernel, c->line->settings, c->line->n_settings, NULL,
                          &k)) {
        return;
    }
    const tgk_reference *ref = tool_reference_of(t, c->path, &k, &why);
    tgk_arg *want = TG_NEW_ARRAY(&t->arena, tgk_arg, k.n_args + 1);
    if (ref != NULL && tool_kernel_allocate(t, &k, 0)) {
        (c->exact ? tool_kernel_fill_exact : tool_kernel_fill)(t, &k, ref, c->seed);
        if (tool_kernel_reference(t, &k, ref, want)) {
            conform_bundle_write(t, c, NULL, &k, &k, want, row);
            code = device != NULL
                       ? tool_device_compile(t, device, c->path, c->line->kernel, c->line->settings,
                                             c->line->n_settings, &options, NULL)
                       : NULL;
            if (code != NULL) {
                conform_bundle_write(t, c, code, &k, &k, want, row);
                tool_code_free(code);
            }
        }
        tool_args_free(want, k.n_args);
    }
    tool_kernel_free(&k);
}
