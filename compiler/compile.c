/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler's pipeline, from source text to a package, as one flat list:
 *
 *   load ─ specialise ─ tile passes ─ lower ─ codegen ─ blob ─ pack
 *
 * `stages` below is that list; each stage looks at the state, does its part, and may finish early
 * when the dump asked for is what it made. All memory is in the environment's arenas: when it ends,
 * control comes back to tgc_run, which frees everything.
 */
#define _GNU_SOURCE
#include "compiler/compiler.h"

#include <tegula/package_format.h>

#include <link.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#ifndef TEGULA_VERSION
#define TEGULA_VERSION "0"
#endif
#ifndef TEGULA_LLVM_VERSION
#define TEGULA_LLVM_VERSION "none"
#endif

int64_t tgc_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- reading the source --------------------------------------------------------------------- */

static const tg_source *keep_source(tgc_state *s, tg_arena *a, const char *name, const char *text,
                                    size_t n) {
    tg_source *src = TG_NEW(a, tg_source);
    src->name = tg_arena_strdup(a, name);
    src->text = tg_arena_strndup(a, text, n);
    src->len = n;
    TG_LIST_PUSH(&s->arena, &s->texts, (tgc_text){.name = src->name, .text = src->text, .n = n});
    return src;
}

static bool path_is_safe(const char *path) {
    return path[0] != '\0' && path[0] != '/' && strcmp(path, "..") != 0 &&
           strncmp(path, "../", 3) != 0 && strstr(path, "/../") == NULL;
}

static const tg_source *import_file(tgc_state *s, tg_arena *a, const char *path) {
    if (!s->o.import_dir || !path_is_safe(path)) {
        return NULL;
    }
    const char *full = tg_arena_printf(a, "%s/%s", s->o.import_dir, path);
    FILE *f = fopen(full, "rb");
    if (!f) {
        return NULL;
    }
    enum { MAX_SOURCE = 1 << 24 };
    const tg_source *src = NULL;
    long n = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    char *text = n >= 0 && n <= MAX_SOURCE
                     ? s->o.allocator.fn(s->o.allocator.user, NULL, 0, (size_t)n + 1)
                     : NULL;
    bool good = text && fseek(f, 0, SEEK_SET) == 0 && fread(text, 1, (size_t)n, f) == (size_t)n;
    (void)fclose(f);
    if (good) {
        char *copy = NULL;
        jmp_buf *outer = s->env.oom, here;
        if (TG_ENV_GUARD(&s->env, here)) { /* give the file's bytes back before leaving further */
            (void)s->o.allocator.fn(s->o.allocator.user, text, (size_t)n + 1, 0);
            s->env.oom = outer;
            longjmp(*outer, 1);
        }
        copy = tg_arena_strndup(a, text, (size_t)n);
        s->env.oom = outer;
        src = keep_source(s, a, path, copy, (size_t)n);
    }
    if (text) {
        (void)s->o.allocator.fn(s->o.allocator.user, text, (size_t)n + 1, 0);
    }
    return src;
}

/* A module's name is where it lies, so that one file imported over two ways is one module, and its
 * own imports are looked up beside it. */
static const tg_source *import(void *user, tg_arena *a, const char *path, const tg_source *from) {
    tgc_state *s = user;
    if (!s->o.import) { /* the main source lies at the top of import_dir */
        bool main = !from || from == &s->source;
        return import_file(s, a, main ? path : tg_path_beside(a, from->name, path));
    }
    const char *text = NULL;
    size_t n = 0;
    if (!s->o.import(s->o.import_user, path, from ? from->name : "", &text, &n) || !text) {
        return NULL;
    }
    return keep_source(s, a, tg_path_beside(a, from ? from->name : "", path), text, n);
}

tg_status tgc_load(tgc_state *s) {
    if (s->o.from_ir) {
        return tgc_read_ir(s);
    }
    tg_status st = tg_program_load(&s->arena, &s->sink, &s->source, import, s, &s->program);
    if (!st && s->o.emit == TGC_EMIT_AST) {
        tg_sb sb;
        tg_sb_init(&sb, &s->arena);
        tg_program_print_ast(s->program, &sb);
        tgc_set_text(s, &sb);
    }
    return st;
}

/* ---- the list ------------------------------------------------------------------------------- */

typedef struct stage {
    tg_status (*run)(tgc_state *s);
    size_t time; /* offset of its int64_t in tgc_times */
} stage;

static tg_status look_up(tgc_state *s) {
    s->done = s->done || (s->lookup && s->lookup(s, s->lookup_user));
    return TG_OK;
}

static const stage stages[] = {
    {tgc_choose_targets, offsetof(tgc_times, parse)},
    {tgc_load, offsetof(tgc_times, parse)},
    {look_up, offsetof(tgc_times, parse)},
    {tgc_choose_jobs, offsetof(tgc_times, specialise)},
    {tgc_specialise, offsetof(tgc_times, specialise)},
    {tgc_tile_passes, offsetof(tgc_times, passes)},
    {tgc_lower, offsetof(tgc_times, lower)},
    {tgc_codegen, offsetof(tgc_times, emit)},
    {tgc_make_blobs, offsetof(tgc_times, pack)},
    {tgc_pack, offsetof(tgc_times, pack)},
};

/* What --print-pipeline shows: the names that stop-after, start-from and dump-after take. */
typedef struct stage_doc {
    const char *name, *doc;
} stage_doc;

static const stage_doc docs[] = {
    {"load", "source text to syntax tree, imports read"},
    {"specialise", "kernels checked and specialised: tile IR"},
    {"canonicalise", "tile: constants folded, redundant presence and identities removed"},
    {"cse", "tile: common subexpressions merged"},
    {"dce", "tile: unused values removed"},
    {"index", "tile: scalars and spans found inside index tiles"},
    {"licm", "tile: loop-invariant values moved out"},
    {"bounds", "tile: extent and divisibility analysis removes checks"},
    {"canonicalise.2", "tile: clean-up once more"},
    {"cse.2", "tile: clean-up once more"},
    {"dce.2", "tile: clean-up once more"},
    {"place", "tile IR to placed IR: layouts, buffers, barriers; SIMT machines only"},
    {"lower", "tile IR (CPU) or placed IR (SIMT) to loop IR for one machine"},
    {"codegen", "loop IR through LLVM to an object; to C text or SPIR-V for SIMT machines"},
    {"blob", "object or code to an image of the package"},
    {"pack", "signatures, images and IR text to a package"},
};

/* A pass that runs again has a number. tests/compiler holds this list against tg_tile_pipeline. */
static const char *const stage_names[] = {
    "load",  "specialise", "canonicalise",   "cse",   "dce",   "index",
    "licm",  "bounds",     "canonicalise.2", "cse.2", "dce.2", "place",
    "lower", "codegen",    "blob",           "pack",  NULL};

const char *const *tgc_pipeline(void) { return stage_names; }

const char *tgc_pipeline_doc(const char *name) {
    for (size_t i = 0; name && i < TG_COUNT_OF(docs); i++) {
        if (strcmp(docs[i].name, name) == 0) {
            return docs[i].doc;
        }
    }
    return NULL;
}

/* ---- helpers of the stages ------------------------------------------------------------------ */

void tgc_set_text(tgc_state *s, const tg_sb *sb) {
    s->bytes = (const unsigned char *)(sb->data ? sb->data : "");
    s->n_bytes = sb->len;
    s->done = true;
}

void tgc_dump(tgc_state *s, const char *pass, const tg_func *f) {
    const char *wanted = s->o.dump_after;
    if (!s->o.dump || !wanted || (strcmp(wanted, "all") != 0 && strcmp(wanted, pass) != 0)) {
        return;
    }
    tg_sb sb;
    tg_sb_init(&sb, &s->arena);
    tg_sb_add(&sb, "tegula-ir 1\n\n"); /* so that a dump can be read again */
    tg_func_print(&sb, f);
    s->o.dump(s->o.dump_user, pass, f->name, sb.data);
}

bool tgc_wants_stop(const tgc_state *s, const char *pass) {
    return s->o.stop_after && strcmp(s->o.stop_after, pass) == 0;
}

/* ---- one compilation ------------------------------------------------------------------------ */

static void *default_allocate(void *user, void *pointer, size_t old_bytes, size_t new_bytes) {
    tg_allocator a = tg_allocator_default();
    (void)user;
    return a.fn(a.user, pointer, old_bytes, new_bytes);
}

bool tgc_state_init(tgc_state *s, const tgc_options *options) {
    memset(s, 0, sizeof *s);
    uint32_t n = options ? options->struct_bytes : 0;
    if (n < sizeof n) {
        return false;
    }
    memcpy(&s->o, options, n < sizeof s->o ? n : sizeof s->o);
    if (!s->o.allocator.fn) {
        s->o.allocator = (tgr_allocator){.fn = default_allocate};
    }
    bool counts = s->o.n_instances >= 0 && s->o.n_settings >= 0 && s->o.n_targets >= 0 &&
                  (s->o.instances || !s->o.n_instances) && (s->o.settings || !s->o.n_settings) &&
                  (s->o.targets || !s->o.n_targets);
    bool names = (!s->o.stop_after || tgc_pipeline_doc(s->o.stop_after)) &&
                 (!s->o.start_from || tgc_pipeline_doc(s->o.start_from)) &&
                 (!s->o.dump_after || strcmp(s->o.dump_after, "all") == 0 ||
                  tgc_pipeline_doc(s->o.dump_after));
    return counts && names && s->o.emit <= TGC_EMIT_CUDA && (s->o.source || !s->o.source_bytes);
}

static void run_stages(tgc_state *s) {
    s->source = (tg_source){.name = s->o.source_name ? s->o.source_name : "<source>",
                            .len = s->o.source_bytes};
    s->source.text = tg_arena_strndup(&s->arena, s->o.source ? s->o.source : "", s->o.source_bytes);
    for (size_t i = 0; i < TG_COUNT_OF(stages) && !s->status && !s->done; i++) {
        int64_t begin = tgc_now_ns();
        s->status = stages[i].run(s);
        *(int64_t *)(void *)((char *)&s->times + stages[i].time) += tgc_now_ns() - begin;
    }
    if (!s->status && s->sink.errors) {
        s->status = TG_E_SOURCE;
    }
}

/* The frame that memory failure comes back to. */
static void run_guarded(tgc_state *s) {
    jmp_buf frame;
    if (TG_ENV_GUARD(&s->env, frame)) {
        s->status = TG_E_NOMEM;
    } else {
        s->frame = &frame;
        run_stages(s);
    }
    s->frame = NULL;
    s->env.oom = NULL;
}

static void *copy_out(const tgr_allocator *a, const void *bytes, size_t n) {
    char *p = a->fn(a->user, NULL, 0, n + 1);
    if (p) {
        memcpy(p, bytes, n);
        p[n] = '\0';
    }
    return p;
}

static void render(tgc_state *s, tgc_result *out) {
    jmp_buf frame;
    if (s->sink.first && !TG_ENV_GUARD(&s->env, frame)) {
        tg_sb sb;
        tg_sb_init(&sb, &s->arena);
        for (const tg_diag *d = s->sink.first; d; d = d->next) {
            if (d->severity == TG_SEV_REMARK && !s->o.remarks) {
                continue;
            }
            if (s->o.json) {
                tg_diag_render_json(&sb, d);
            } else {
                tg_diag_render(&sb, d);
            }
        }
        out->diagnostics = sb.len ? copy_out(&s->o.allocator, sb.data, sb.len) : NULL;
        out->diagnostics_bytes = out->diagnostics ? sb.len : 0;
    }
    s->env.oom = NULL;
}

static tgr_status public_status(tg_status st) {
    switch (st) {
    case TG_OK:
        return TGR_OK;
    case TG_E_NOMEM:
        return TGR_E_NOMEM;
    case TG_E_SOURCE:
        return TGR_E_SOURCE;
    case TG_E_UNSUPPORTED:
        return TGR_E_UNSUPPORTED;
    case TG_E_IO:
        return TGR_E_IO;
    case TG_E_FORMAT:
        return TGR_E_FORMAT;
    case TG_E_INVALID:
        return TGR_E_INVALID;
    case TG_E_INTERNAL:
        break;
    }
    return TGR_E_INTERNAL;
}

tgr_status tgc_run(tgc_state *s, tgc_result *out) {
    int64_t begin = tgc_now_ns();
    memset(out, 0, sizeof *out);
    out->allocator = s->o.allocator;
    tg_allocator alloc = {.fn = s->o.allocator.fn, .user = s->o.allocator.user};
    tg_env_init(&s->env, alloc, (size_t)s->o.limit_bytes);
    tg_arena_init(&s->arena, &s->env);
    tg_arena_init(&s->scratch, &s->env);
    tg_sink_init(&s->sink, &s->arena);
    run_guarded(s);
    out->peak_bytes = s->env.used_bytes;
    if (s->status == TG_OK && s->bytes) {
        out->bytes = copy_out(&s->o.allocator, s->bytes, s->n_bytes);
        out->n_bytes = out->bytes ? s->n_bytes : 0;
        s->status = out->bytes ? TG_OK : TG_E_NOMEM;
    }
    out->errors = s->sink.errors;
    out->warnings = s->sink.warnings;
    render(s, out);
    tg_arena_fini(&s->scratch);
    tg_arena_fini(&s->arena);
    s->times.total = tgc_now_ns() - begin;
    out->times = s->times;
    return public_status(s->status);
}

tgr_status tgc_compile(const tgc_options *options, tgc_result *out) {
    tgc_state s;
    if (!out) {
        return TGR_E_INVALID;
    }
    memset(out, 0, sizeof *out);
    return tgc_state_init(&s, options) ? tgc_run(&s, out) : TGR_E_INVALID;
}

void tgc_result_fini(tgc_result *result) {
    if (result && result->allocator.fn) {
        tgr_allocator a = result->allocator;
        if (result->bytes) {
            (void)a.fn(a.user, result->bytes, result->n_bytes + 1, 0);
        }
        if (result->diagnostics) {
            (void)a.fn(a.user, result->diagnostics, result->diagnostics_bytes + 1, 0);
        }
        memset(result, 0, sizeof *result);
    }
}

/* ---- identity ------------------------------------------------------------------------------- */

typedef struct build_note {
    uintptr_t inside; /* an address of the library */
    char hex[64];
} build_note;

static void note_hex(build_note *b, const unsigned char *id, size_t n) {
    for (size_t i = 0; i < n && 2 * i + 2 < sizeof b->hex; i++) {
        (void)snprintf(b->hex + 2 * i, 3, "%02x", id[i]);
    }
}

/* Finds the linker's build id in the notes of the object that holds this code. */
static int find_note(struct dl_phdr_info *info, size_t size, void *user) {
    build_note *b = user;
    bool ours = false;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        ours |= info->dlpi_phdr[i].p_type == PT_LOAD && b->inside >= at &&
                b->inside - at < info->dlpi_phdr[i].p_memsz;
    }
    for (int i = 0; ours && i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_NOTE) {
            continue;
        }
        const unsigned char *p =
            (const unsigned char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        size_t left = info->dlpi_phdr[i].p_memsz;
        while (left >= 12) {
            uint32_t head[3];
            memcpy(head, p, sizeof head);
            size_t name = (head[0] + 3u) & ~(size_t)3, desc = (head[1] + 3u) & ~(size_t)3;
            if (name + desc > left - 12) {
                break;
            }
            if (head[2] == NT_GNU_BUILD_ID && head[0] == 4 && memcmp(p + 12, "GNU", 4) == 0) {
                note_hex(b, p + 12 + name, head[1]);
            }
            p += 12 + name + desc;
            left -= 12 + name + desc;
        }
    }
    return ours;
}

size_t tgc_build_id(char *text, size_t size) {
    build_note note = {.hex = ""};
    tgr_status (*here)(const tgc_options *, tgc_result *) = tgc_compile;
    memcpy(&note.inside, &here, sizeof here);
    (void)dl_iterate_phdr(find_note, &note);
    int n =
        snprintf(text, text ? size : 0, "tegula %s, LLVM %s, package %u, ABI %u, build %s",
                 TEGULA_VERSION, TEGULA_LLVM_VERSION, TG_PACK_VERSION, TG_ABI_VERSION, note.hex);
    return n > 0 ? (size_t)n : 0;
}

tgr_status tgc_target(int32_t index, tgc_target_info *out) {
    if (!out || index < 0 || (size_t)index >= tg_machine_count()) {
        return TGR_E_NOT_FOUND;
    }
    const tg_machine *m = tg_machine_at((size_t)index), *host = tg_machine_host();
    *out = (tgc_target_info){
        .name = m->name, .vendor = m->vendor, .label = m->label, .triple = m->triple};
    out->is_host = host && strcmp(host->triple, m->triple) == 0 && m->isa_id <= host->isa_id;
    return TGR_OK;
}
