/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tegula's compiler as a library (libtegula): source text in, a package or a dump of any stage out.
 *
 * No global state; thread-safe: each call has its own memory and its own LLVM context. Any input of
 * any bytes gives diagnostics, never a crash; memory failure gives TGR_E_NOMEM.
 */
#ifndef TEGULA_COMPILER_H
#define TEGULA_COMPILER_H

#include "tegula.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Gives an imported module's text: `path` as written in `import`, `from` the name of the importing
 * source: source_name, or the path under which an import lies beside its own importer. Returns 0
 * when it does not exist. The text must stay until tgc_compile returns.
 */
typedef int (*tgc_import_fn)(void *user, const char *path, const char *from, const char **out_text,
                             size_t *out_bytes);

typedef enum tgc_emit {
    TGC_EMIT_PACKAGE = 0,
    TGC_EMIT_AST,    /* text */
    TGC_EMIT_TILE,   /* tile IR text after the machine-independent passes */
    TGC_EMIT_LOOP,   /* loop IR text */
    TGC_EMIT_LLVM,   /* LLVM IR text */
    TGC_EMIT_ASM,    /* assembly text */
    TGC_EMIT_OBJECT, /* relocatable object of the first target */
    TGC_EMIT_HEADER, /* C header: signature package bytes and a tgr_linked_entry table for the
                        object */
    TGC_EMIT_PLACED, /* placed IR text of a SIMT target */
    TGC_EMIT_OPENCL, /* OpenCL C of a SIMT target whose code is that */
    TGC_EMIT_SPIRV,  /* SPIR-V words of a SIMT target whose code is that */
    TGC_EMIT_PTX,    /* PTX text of a SIMT target whose code is that */
    TGC_EMIT_AMDGCN, /* AMD's assembly of a SIMT target whose code is that */
    TGC_EMIT_HSACO,  /* AMD's code object, an ELF file */
    TGC_EMIT_HIP,    /* HIP C++ of a SIMT target whose code is that */
    TGC_EMIT_CUDA    /* CUDA C++ of a SIMT target whose code is that */
} tgc_emit;

/* One kernel or op to compile with the bindings it gets. */
typedef struct tgc_instance {
    const char *kernel;
    const tgr_setting *settings;
    int32_t n_settings;
    int32_t reserved;
} tgc_instance;

/* Called with the text of a dump after each pass asked for. */
typedef void (*tgc_dump_fn)(void *user, const char *pass, const char *kernel, const char *text);

typedef struct tgc_options {
    uint32_t struct_bytes;
    uint32_t emit;           /* tgc_emit */
    tgr_allocator allocator; /* fn NULL: the C library */
    uint64_t limit_bytes;    /* of compiler memory; 0: none */
    const char *source_name; /* for diagnostics; NULL: "<source>" */
    const char *source;      /* any bytes */
    size_t source_bytes;
    tgc_import_fn import; /* NULL: import_dir */
    void *import_user;
    const char *import_dir;        /* imports are files below it; NULL: no imports but std */
    const tgc_instance *instances; /* what to compile; NULL: every kernel that the source's
                                      `instantiate` lines or its own completeness allow */
    int32_t n_instances;
    int32_t n_settings;
    const tgr_setting *settings; /* for every instance as well */
    const char *const *targets;  /* machine names ("x86-64-v3", "host", "opencl"); NULL: host, or
                                    with a device what the device runs */
    int32_t n_targets;
    int32_t opt_level;      /* of code generation, 0: default (2), 1..3, -1: none */
    uint32_t no_schedule;   /* not 0: ignore every schedule */
    uint32_t debug_lines;   /* not 0: DWARF lines in objects */
    uint32_t json;          /* diagnostics as JSON lines instead of text */
    uint32_t remarks;       /* what passes removed, as remarks */
    uint32_t verify_each;   /* verify after each pass */
    uint32_t from_ir;       /* the source is tile IR text, not a program */
    const char *stop_after; /* pass name: emit what there is after it */
    const char *start_from; /* pass name: skip the passes before it */
    const char *dump_after; /* pass name or "all"; NULL: none */
    tgc_dump_fn dump;
    void *dump_user;
    const char *arch; /* schedule matching; NULL: the target's name */
    uint32_t no_ir;   /* not 0: leave the IR text out of the package */
    uint32_t reserved;
} tgc_options;

/* Where the time went, in ns. */
typedef struct tgc_times {
    int64_t parse, specialise, passes, lower, emit, pack, total;
} tgc_times;

typedef struct tgc_result {
    void *bytes; /* package, object or text; text is NUL-terminated beyond n_bytes */
    size_t n_bytes;
    char *diagnostics; /* rendered text or JSON lines, NUL-terminated; NULL when there are none */
    size_t diagnostics_bytes;
    int32_t errors, warnings;
    size_t peak_bytes; /* compiler memory, LLVM's own excluded */
    tgc_times times;
    tgr_allocator allocator; /* what frees the above */
} tgc_result;

/*
 * Compiles. TGR_OK, TGR_E_SOURCE (diagnostics say why), TGR_E_UNSUPPORTED (the target cannot),
 * TGR_E_NOMEM, TGR_E_INVALID, TGR_E_INTERNAL. *out is always initialised, also on failure; free it
 * with tgc_result_fini.
 */
TGR_API tgr_status tgc_compile(const tgc_options *options, tgc_result *out) TGR_MUST_USE;
TGR_API void tgc_result_fini(tgc_result *result);

/* Names of the stages in order, NULL-terminated: the pipeline in one list (`--print-pipeline`). */
TGR_API const char *const *tgc_pipeline(void);
/* One line of what a stage does; NULL for an unknown name. */
TGR_API const char *tgc_pipeline_doc(const char *stage);
/* Identifies compiler build, LLVM and formats: part of every cache key. As tgr_context_message. */
TGR_API size_t tgc_build_id(char *text, size_t size);

/* The target machines this build compiles for; NULL past the end. */
typedef struct tgc_target_info {
    const char *name, *vendor, *label, *triple;
    int32_t is_host; /* this processor runs it */
} tgc_target_info;
TGR_API tgr_status tgc_target(int32_t index, tgc_target_info *out) TGR_MUST_USE;

/*
 * Compiles for the device and loads the result, through the cache (NULL: none). On TGR_E_SOURCE
 * *out_diagnostics (may be NULL) gets the text; free it with tgc_text_free.
 */
TGR_API tgr_status tgr_module_from_source(tgr_device *device, const tgc_options *options,
                                          tgr_cache *cache, const tgr_load_options *load,
                                          tgr_module **out, char **out_diagnostics) TGR_MUST_USE;
TGR_API void tgc_text_free(const tgc_options *options, char *text);

#ifdef __cplusplus
}
#endif
#endif
