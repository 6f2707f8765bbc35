/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a failure's folder that needs nothing of ours: a host program on OpenCL or Vulkan
 * (tools/bundle/), the code as the driver gets it, the launch in launch.h and the memory before it.
 * The launch is made once more, and what the driver is about to do is written down before it does.
 */
#include <string.h>

#include "tools/conform.h"
#include "tools/mirror.h"

typedef struct capture {
    tool *t;
    const char *dir;
    tool_code *code;
    const tool_kernel *k;
    bool opencl;
    int launches;
} capture;

const char *conform_launch_library(const tool_code *code) {
    const char *driver = tool_code_device(code).driver;
    return strcmp(driver, "opencl") == 0   ? "OpenCL"
           : strcmp(driver, "vulkan") == 0 ? "vulkan"
                                           : NULL;
}

static const char *in_dir(const capture *c, const char *name) {
    return tg_arena_printf(&c->t->arena, "%s/%s", c->dir, name);
}

static bool in_memory(const tool_array *a) { return a->rank > 0 && a->data != NULL; }

/* ---- memory ---------------------------------------------------------------------------------- */

/* The argument whose memory argument i is in: arguments may share theirs. */
static int buffer_of(const tool_kernel *k, int i) {
    int b = 0;
    for (int j = 0; j <= i; j++) {
        bool fresh = in_memory(&k->args[j]);
        for (int p = 0; p < j && fresh; p++) {
            fresh = !in_memory(&k->args[p]) || k->args[p].data != k->args[j].data;
        }
        if (in_memory(&k->args[j]) && k->args[j].data == k->args[i].data) {
            return b;
        }
        b += fresh;
    }
    return -1;
}

static void list_buffers(const capture *c, tg_sb *sb) {
    const tool_kernel *k = c->k;
    tg_sb_add(sb, "static const buffer buffers[] = {\n");
    for (int i = 0, n = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i];
        if (in_memory(a) && buffer_of(k, i) == n) {
            size_t bytes = a->bytes + 2 * (size_t)TOOL_GUARD;
            tg_sb_addf(sb, "    {\"%s\", %zu},\n", a->name, bytes);
            (void)tool_write_file(c->t,
                                  in_dir(c, tg_arena_printf(&c->t->arena, "buf_%s.bin", a->name)),
                                  (const char *)a->data - TOOL_GUARD, bytes);
            n++;
        }
    }
    tg_sb_add(sb, "};\n");
}

static bool can_be_read(tg_dtype t) {
    return t == TG_DT_F32 || t == TG_DT_F64 || t == TG_DT_F16 || t == TG_DT_BF16 ||
           (tg_dtype_is_int(t) && tg_dtype_bits(t) >= 8);
}

static void list_outputs(const capture *c, tg_sb *sb) {
    int n = 0;
    tg_sb_add(sb, "static const output outputs[] = {\n");
    for (int i = 0; i < c->k->n_args; i++) {
        const tool_array *a = &c->k->args[i];
        if (!in_memory(a) || !tool_array_is_output(a) || !can_be_read(a->dtype) || a->rank > 8) {
            continue;
        }
        tg_sb_addf(sb, "    {\"%s\", \"%s\", %d, %d, %d, {", a->name, tg_dtype_name(a->dtype),
                   buffer_of(c->k, i), a->rank, (int)TOOL_GUARD);
        for (int d = 0; d < a->rank; d++) {
            tg_sb_addf(sb, "%s%lld", d > 0 ? ", " : "", (long long)a->extent[d]);
        }
        tg_sb_add(sb, "}, {");
        for (int d = 0; d < a->rank; d++) {
            tg_sb_addf(sb, "%s%lld", d > 0 ? ", " : "", (long long)a->stride_bytes[d]);
        }
        tg_sb_add(sb, "}},\n");
        n++;
    }
    tg_sb_addf(sb, "    {0}};\nstatic const int n_outputs = %d;\n", n);
}

/* ---- the launch ------------------------------------------------------------------------------ */

static bool is_pointer(const tgr_trace *l, int32_t slot) {
    for (int32_t i = 0; i < l->n_pointers; i++) {
        if (l->pointers[i] == (uint32_t)slot) {
            return true;
        }
    }
    return false;
}

/* A slot as buffer and offset. The mirrors stand in the order of the buffers. Where addresses are
 * real nobody lists the slots that hold one: what lies in a buffer is an address. */
static void add_slot(const capture *c, const tgr_trace *l, int32_t slot, tg_sb *sb) {
    const tool_mirrors *m = tool_code_mirrors(c->code);
    uint64_t v = (uint64_t)l->slots[slot];
    for (size_t i = 0; i < m->all.count && v != 0 && (!c->opencl || is_pointer(l, slot)); i++) {
        uint64_t base = tgr_buffer_address(m->all.data[i].buffer);
        if (v >= base && v - base < tgr_buffer_bytes(m->all.data[i].buffer)) {
            tg_sb_addf(sb, "    {%zu, %llu},\n", i, (unsigned long long)(v - base));
            return;
        }
    }
    tg_sb_addf(sb, "    {-1, %lldLL},\n", (long long)v);
}

/* Device names of drivers end in what they are behind: the first word or two are enough. */
static const char *short_name(const capture *c) {
    const char *name = tool_code_device(c->code).name;
    return tg_arena_strndup(&c->t->arena, name, strcspn(name, "(\"\\"));
}

static void write_launch(void *user, const tgr_trace *l) {
    capture *c = user;
    tg_sb sb;
    if (c->launches++ > 0) {
        return; /* one kernel, one launch */
    }
    tg_sb_init(&sb, &c->t->arena);
    const char *name = short_name(c);
    size_t n = strlen(name);
    tg_sb_addf(&sb,
               "/* Kernel %s: the launch that failed. */\n"
               "static const char device_name[] = \"%.*s\", entry[] = \"%s\";\n",
               l->kernel, (int)(n > 0 && name[n - 1] == ' ' ? n - 1 : n), name, l->entry);
    if (c->opencl) {
        tg_sb_addf(&sb, "static const char build_options[] = \"%s\";\n", l->options);
        tg_sb_addf(&sb, "static const int n_pointers = %d;\nstatic const unsigned pointers[] = {",
                   (int)l->n_pointers);
        for (int32_t i = 0; i < l->n_pointers; i++) {
            tg_sb_addf(&sb, "%u, ", l->pointers[i]);
        }
        tg_sb_addf(&sb, "0};\nstatic const size_t lanes = %u;\n", l->lanes);
    }
    tg_sb_addf(
        &sb, "static const int64_t programs = %lld;\nstatic const uint64_t scratch_bytes = %llu;\n",
        (long long)l->programs, (unsigned long long)l->scratch_bytes);
    list_buffers(c, &sb);
    tg_sb_add(&sb, "static const slot slots[] = {\n");
    for (int32_t i = 0; i < l->n_slots; i++) {
        add_slot(c, l, i, &sb);
    }
    tg_sb_add(&sb, "};\n");
    list_outputs(c, &sb);
    (void)tool_write_file(c->t, in_dir(c, c->opencl ? "kernel.cl" : "kernel.spv"), l->code,
                          l->code_bytes);
    (void)tool_write_file(c->t, in_dir(c, "launch.h"), sb.data, sb.len);
}

static void copy_file(const capture *c, const char *from, const char *to) {
    size_t bytes;
    const char *path = tg_arena_printf(&c->t->arena, TEGULA_TOOLS_DIR "/bundle/%s", from);
    const char *text = tool_read_file(c->t, path, &bytes);
    if (text != NULL) {
        (void)tool_write_file(c->t, in_dir(c, to), text, bytes);
    }
}

void conform_launch_write(tool *t, const char *dir, tool_code *code, const tool_kernel *before) {
    tool_kernel k = {0};
    bool opencl = strcmp(conform_launch_library(code), "OpenCL") == 0;
    capture c = {.t = t, .dir = dir, .code = code, .k = &k, .opencl = opencl};
    copy_file(&c, opencl ? "opencl.c" : "vulkan.c", "main.c");
    copy_file(&c, "common.h", "common.h");
    if (tool_kernel_copy(t, before, &k)) {
        (void)tool_code_trace(t, code, &k, write_launch, &c);
    }
    tool_kernel_free(&k);
}
