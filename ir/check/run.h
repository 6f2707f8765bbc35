/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the placed interpreter (tg_check_run):
 *
 *   run.c         programs, roles in random turns, events, the report
 *   run_memory.c  bytes that lanes share, and who touched them when
 *   run_tile.c    operations on held tiles: each lane's registers by themselves
 *   run_buffer.c  operations on buffers: put, get, copy, and the order between lanes
 *   run_dense.c   reductions, products and teams, evaluated by the tile interpreter
 *
 * A tile value is lanes * registers cells, cell lane * registers + register. An operation makes
 * each cell of its result from cells of the same lane alone, so an element that is not there is
 * missed.
 */
#ifndef TG_CHECK_RUN_H
#define TG_CHECK_RUN_H

#include "ir/check.h"
#include "ir/check/holders.h"
#include "ir/interp/loop_internal.h"

enum { TG_RUN_LANE_WORDS = 16, TG_RUN_NOBODY = -1, TG_RUN_ALL = -2 };

/* The last accesses to one byte. Readers follow in an array by thread. */
typedef struct tg_run_byte {
    int64_t program; /* what is recorded about an earlier one is void */
    uint32_t w_epoch;
    int16_t w_thread, w_lane; /* w_lane TG_RUN_ALL: see lanes */
    bool undefined, in_flight, atomic;
    uint64_t lanes[TG_RUN_LANE_WORDS / 4]; /* lanes below 256 that wrote it alike */
} tg_run_byte;

typedef struct tg_run_reader {
    uint32_t epoch;
    int16_t lane;
} tg_run_reader;

typedef struct tg_run_memory {
    const char *name;
    unsigned char *base;
    int64_t bytes;
    int fence;          /* 0 shared, 1 device */
    bool writable, own; /* own: of one program, undefined at its start */
    tg_run_byte *notes;
    tg_run_reader *readers; /* bytes x threads */
} tg_run_memory;

typedef struct tg_run_copy {
    const tg_op *op;
    int64_t token;
    int64_t slot;
    uint64_t *bits; /* by element, as read when it was issued */
    uint8_t *undefined;
} tg_run_copy;

typedef struct tg_run_semaphore {
    int64_t count, initial;
    uint32_t *seen; /* by thread: what is done when it is taken */
} tg_run_semaphore;

typedef struct tg_run_thread {
    int32_t pc;
    bool done, blocked;
    uint64_t *cells;
    uint8_t *undefined;
    uint32_t epoch, settled[2];
    uint32_t *seen;              /* by thread */
    TG_LIST(tg_run_copy) copies; /* issued, not waited for; oldest first */
} tg_run_thread;

typedef struct tg_run {
    tg_li_run base;  /* numbers, report, random */
    tg_interp tiles; /* views, grid, dense evaluation */
    tg_func *func;
    const int64_t *syms;
    tg_arena *arena;
    tg_li_code *code;
    tg_holder_cache holders;
    tg_run_memory *memories; /* shared, scratch, then one per tensor parameter */
    int n_memories;
    int *memory_of_param;
    tg_run_thread *threads;
    int n_threads, max_threads;
    int thread; /* the one that runs */
    TG_LIST(tg_run_semaphore) semaphores;
    int64_t next_token;
    int32_t n_cells;
} tg_run;

static inline tg_run_thread *tg_run_now(tg_run *r) { return &r->threads[r->thread]; }

/* Elements of a value as one lane sees them: a cell number, or -1 after a report. */
int32_t tg_run_cell(tg_run *r, const tg_op *op, const tg_value *v, int64_t lane, int64_t elem);
/* The register of a scalar; undefined ones are reported as `what`. */
int64_t tg_run_scalar(tg_run *r, const tg_op *op, const tg_value *v, const char *what);
int32_t tg_run_reg(const tg_run *r, const tg_value *v);

/* Zeroed memory until the running operation ends. */
void *tg_run_temp(tg_run *r, int64_t bytes);

/* ---- memory ---------------------------------------------------------------------------------- */

void tg_run_touch(tg_run *r, const tg_op *op, tg_run_memory *m, int64_t at, int64_t n, int lane,
                  tg_li_access access, const unsigned char *with, bool undefined,
                  bool *out_undefined);
void tg_run_barrier(tg_run *r, tg_fence fence);

/* Where the elements of a buffer value lie (windows looked through). */
typedef struct tg_run_buffer {
    tg_run_memory *memory;
    const tg_type *type; /* of the buffer itself */
    int64_t offset;
    const int64_t *places;
    int64_t copy_bytes;
    int rank; /* of the view */
    int64_t shape[TG_MAX_RANK];
    const int64_t *elems; /* by view element: element of the buffer */
} tg_run_buffer;
tg_run_buffer tg_run_buffer_of(tg_run *r, const tg_value *v);
/* Byte of element e of the view in copy `slot`. */
int64_t tg_run_byte_of(const tg_run_buffer *b, int64_t e, int64_t slot);

/* An element of a tensor; false when absent (out of range). */
typedef struct tg_run_element {
    unsigned char *address;
    int64_t packed; /* sub-byte: index in its row, whose start is address */
    tg_run_memory *memory;
} tg_run_element;

/* ---- operations; each true when it was its kind of operation ------------------------------------
 */

bool tg_run_tile_op(tg_run *r, const tg_li_ins *i);
bool tg_run_buffer_op(tg_run *r, const tg_li_ins *i);
bool tg_run_dense_op(tg_run *r, const tg_li_ins *i);

/* What a load of the operands from `first` on (tensor, indices, mask?) gives for an element of the
 * value, for one lane (TG_RUN_NOBODY: the engine of a copy). */
bool tg_run_find_element(tg_run *r, const tg_op *op, int first, const tg_type *value, int64_t elem,
                         int64_t lane, tg_run_element *out);
uint64_t tg_run_load_element(tg_run *r, const tg_op *op, const tg_run_element *e, tg_dtype t,
                             int lane, bool *undefined);

/* All elements of a held tile in order; replicas must agree. */
void tg_run_gather(tg_run *r, const tg_op *op, const tg_value *v, uint64_t *bits, uint8_t *undef);
void tg_run_spread(tg_run *r, const tg_value *v, const uint64_t *bits, const uint8_t *undef);

#endif
