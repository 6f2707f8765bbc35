/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of libtegula: the state of one compilation and the doors between its files.
 *
 *   compile.c    the pipeline: one flat list of stages, memory, results
 *   units.c      what to compile: targets, instances, their specialisations, merged into kernels
 *   stages.c     tile passes, lowering, code generation, blobs
 *   simt.c       the same stages of SIMT machines
 *   header.c     the C header for linked objects
 *   module.c     compile through the cache and load
 *   quirks.c     what a driver does against the rules, measured and kept
 *   probe*.c     the probes it is measured with
 */
#ifndef TG_COMPILER_H
#define TG_COMPILER_H

#include <tegula/compiler.h>

#include "backends/backend.h"
#include "backends/pack/package_write.h"
#include "backends/pack/simt_image.h"
#include "frontend/frontend.h"
#include "ir/passes.h"

/* One target of the compilation. */
typedef struct tgc_lane {
    const tg_machine *machine;
    tg_module *tile, *placed, *loop; /* placed: SIMT machines */
    const unsigned char *object;     /* of a CPU: ELF; of a SIMT machine: text or SPIR-V */
    size_t object_bytes;
    tg_blob blob;
} tgc_lane;

/* A kernel or op to compile and its settings. */
typedef struct tgc_job {
    const char *kernel;
    const tg_setting *settings;
    int n_settings;
    bool is_op;
    tg_span span;
} tgc_job;

/* A kernel of the package under construction. */
typedef struct tgc_unit {
    const char *name;      /* in the package */
    const char *func_name; /* in ops, for the kernels of an op; else NULL */
    int job;
    TG_LIST(tg_pack_variant) variants;
} tgc_unit;

/* A source read on the way: part of the cache key. */
typedef struct tgc_text {
    const char *name, *text;
    size_t n;
} tgc_text;

typedef struct tgc_state {
    tgc_options o;
    tg_env env;
    jmp_buf
        *frame; /* where memory failure comes back to; doors that set their own leave it wrong */
    tg_arena arena;   /* of everything */
    tg_arena scratch; /* of the running pass */
    tg_sink sink;
    tg_source source;
    tg_program *program;
    TG_LIST(tgc_text) texts;
    tgc_lane *lanes;
    int n_lanes;
    TG_LIST(tgc_job) jobs;
    TG_LIST(tgc_unit) units;
    const tg_hostop *ops;
    const char *ir; /* text for the package */
    size_t ir_bytes;
    const unsigned char *bytes; /* the result, in the arena */
    size_t n_bytes;
    bool done; /* the result is there: later stages do nothing */
    tgc_times times;
    tg_status status;
    /* Called when the sources are read and before anything is compiled; true ends with a hit. */
    bool (*lookup)(struct tgc_state *s, void *user);
    void *lookup_user;
} tgc_state;

/* Runs the pipeline. *out as in tgc_compile. */
tgr_status tgc_run(tgc_state *s, tgc_result *out);
/* Copies the options over zeros and sets up the state; false when struct_bytes is nonsense. */
bool tgc_state_init(tgc_state *s, const tgc_options *options);

/* Doors of the stages; each returns a status and reports to the sink. */
tg_status tgc_load(tgc_state *s);
tg_status tgc_choose_targets(tgc_state *s);
tg_status tgc_choose_jobs(tgc_state *s);
tg_status tgc_specialise(tgc_state *s);
tg_status tgc_read_ir(tgc_state *s);
tg_status tgc_tile_passes(tgc_state *s);
tg_status tgc_lower(tgc_state *s);
tg_status tgc_codegen(tgc_state *s);
/* stages.c: one lane's code through LLVM. */
tg_status tgc_llvm_codegen(tgc_state *s, tgc_lane *l);
tg_status tgc_make_blobs(tgc_state *s);
tg_status tgc_pack(tgc_state *s);
/* simt.c: a SIMT lane's part of lowering, code generation and packing. */
bool tgc_is_simt(const tgc_lane *l);
tg_status tgc_simt_lower(tgc_state *s, tgc_lane *l, bool first);
tg_status tgc_simt_codegen(tgc_state *s, tgc_lane *l);
tg_status tgc_simt_blob(tgc_state *s, tgc_lane *l);
/* module.c: ROW+QUIRK+QUIRK, as tgc_options takes it; room for a row with all quirks. */
enum { TGC_TARGET_BYTES = 512 };
void tgc_target_name(const tg_machine *m, unsigned quirks, char text[TGC_TARGET_BYTES]);
/* quirks.c: tg_simt_quirk bits of a SIMT device, measured once and kept in the cache (NULL: in the
 * one of the default place). */
unsigned tgc_device_quirks(tgr_device *device, tgr_cache *cache);
/* Keeps what was measured elsewhere. */
void tgc_keep_profile(tgr_device *device, tgr_cache *cache, unsigned quirks);
/* Appends the header text for the first lane. */
tg_status tgc_header(tgc_state *s, tg_sb *sb);
/* The package of the units; with_code false: signatures only. */
tg_status tgc_write_package(tgc_state *s, bool with_code, const unsigned char **out,
                            size_t *out_bytes);

/* Sets the result to a text, to a module's text. */
void tgc_set_module_text(tgc_state *s, const tg_module *m);
void tgc_set_text(tgc_state *s, const tg_sb *sb);
/* Gives the text after `pass` to the host, if it asked for it. */
void tgc_dump(tgc_state *s, const char *pass, const tg_func *f);
bool tgc_wants_stop(const tgc_state *s, const char *pass);
int64_t tgc_now_ns(void);

#endif
