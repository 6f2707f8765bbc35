/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the SIMT lowering: placed IR in, what one lane executes out.
 *
 *   lower.c    entry functions, scalars, regions, control flow
 *   pos.c      where in a tile the code stands: coordinates by lane and register digits
 *   nest.c     runs of operations become loops over registers
 *   eval.c     the value of a tile at a position
 *   tensor.c   loads, stores, atomics: addresses and presence
 *   bulk.c     copies of boxes of tensors, and the waits for them
 *   buffer.c   buffers of the program, windows, put and get
 *   swizzle.c  buffers whose rows are cut into panels and xor-ed
 *   reduce.c   reductions: registers, then lanes through the exchange buffer
 *   shuffle.c  or through shuffles of a sub-group
 *   matrix.c   products on matrix units
 *   matrix_group.c  products on units that read shared memory by themselves
 *   late.c     loops that leave such a product under way
 *   ring.c     positions in rings; bounds.c: indices that stay below their axis' extent
 *   matrix_memory.c  products on units that keep their fragments to themselves
 *   dot.c      products: blocks of the accumulator in registers
 *   roles.c    roles as ranges of lanes, events as barriers in shared memory
 *   team*.c    algorithms of the whole program over buffers
 *
 * Scalars become loop scalars at once. A tile value is `lazy` (constants, views: computed where it
 * is used) or computed in a nest, a loop over the registers of a layout; if somebody outside of the
 * nest needs it, it is kept in a private array with one element per register. Neighbouring
 * registers of the innermost digit are handled as one vector.
 */
#ifndef TG_LOWER_SIMT_H
#define TG_LOWER_SIMT_H

#include "backends/backend.h"
#include "ir/build.h"
#include "ir/layout.h"

enum { TS_MAX_DIGITS = 12 };

/* Memory a tensor value (parameter or view) stands for. */
typedef struct ts_tensor {
    tg_value *base; /* ptr */
    tg_dtype dtype;
    int rank;
    int64_t elem_bytes;                /* 0 for sub-byte */
    int64_t const_stride[TG_MAX_RANK]; /* bytes, or -1: in `stride` */
    tg_value *stride[TG_MAX_RANK], *dim[TG_MAX_RANK];
    int slot;           /* launch slot of the address */
    int64_t from_bytes; /* of a view, behind it */
} ts_tensor;

/* A buffer or a window of one: element (c...) is element slot + offset + sum of c * stride. */
typedef struct ts_buf {
    tg_space space;
    tg_dtype dtype;        /* the language's */
    tg_value *memory;      /* array, or ptr for scratch memory */
    int64_t count, copies; /* elements of one copy of the base, copies in the ring */
    int rank;
    int64_t shape[TG_MAX_RANK], stride[TG_MAX_RANK], offset;
    tg_value *slot; /* i32, where the chosen copy of a ring begins; NULL: at 0 */
    int bar;        /* 1 + the first of the barriers on which its bulk copies complete; 0: none */
    /* Swizzled: places are those of dense rows until the memory is touched (swizzle.c). Bytes of a
     * panel's row (0: none), its elements, and columns and rows of one copy. */
    int64_t swizzle, width, columns, rows;
} ts_buf;

/* Barriers in shared memory that count the bytes of bulk copies, one for each copy of a ring. */
typedef struct ts_bulk {
    tg_value *bars; /* shared array of u64 */
    tg_value
        *phases; /* private array of one u32: bit i, the parity to wait for at barrier i next */
    int n;
    TG_LIST(struct ts_landing) landings; /* waited for; they land before what looks at them */
} ts_bulk;

typedef struct ts_landing {
    tg_value *bar; /* i32 */
} ts_landing;

/* What is known about one placed value. */
typedef struct ts_info {
    tg_value *scalar;
    tg_value *lo, *hi; /* span */
    ts_tensor *tensor;
    ts_buf *buf;
    tg_value *array;        /* private array that holds the tile */
    tg_value *home;         /* carried argument whose array this value may overwrite */
    struct ts_item *flight; /* token: the copy that has not landed */
    struct ts_event *event;
} ts_info;

/* Kept in op->scratch. */
typedef struct ts_opinfo {
    int nest; /* number of the nest it was emitted in; 0: not yet */
} ts_opinfo;

/* One operation of a nest. */
typedef struct ts_item {
    enum {
        TS_OP,
        TS_FILL,
        TS_COPY,
        TS_FETCH,
        TS_LAND,
        TS_REDUCE,
        TS_READ,
        TS_NIBBLE_EVEN,
        TS_NIBBLE_ODD
    } kind;
    tg_op *op;
    const tg_layout *layout;
    int rank;
    const int64_t *shape;
    tg_value *value;  /* FILL: the tile and where it goes */
    tg_value *array;  /* FILL; REDUCE: accumulators; FETCH, LAND: what is on its way */
    tg_value *array2; /* REDUCE: positions */
} ts_item;

typedef struct ts_nest {
    int id, n; /* digits, inner to outer */
    int64_t extent[TS_MAX_DIGITS], place[TS_MAX_DIGITS], regs;
    bool reads, writes;
    TG_LIST(ts_item) items;
} ts_nest;

typedef struct ts_lane_part {
    const tg_layout *layout;
    int axis;
    tg_value *v;
} ts_lane_part;

/* A loop that leaves its product under way (late.c): by signal, the barrier of the trip before. */
enum { TS_LATE_SIGNALS = 4 };
typedef struct ts_late {
    const tg_op *dot;                   /* NULL: there is none */
    tg_value *barrier[TS_LATE_SIGNALS]; /* arrays of one i32: of the trip before */
    bool kept[TS_LATE_SIGNALS];         /* the first trip has a signal to give, too */
    tg_op *start[TS_LATE_SIGNALS];      /* what stores the first */
    int n;                              /* signals lowered */
} ts_late;

/* Where in rings of n places a loop's trips stand (ring.c). */
typedef struct ts_ring {
    int64_t n;
    tg_value *array; /* of one i32 */
    tg_value *round; /* of one i32: 1 in every second round; NULL: nobody asked */
} ts_ring;

typedef struct ts_loop {
    const tg_op *placed;
    tg_op *made;
    tg_value *trip; /* i64, the number of the trip; NULL: the loop counts otherwise */
    struct ts_loop *outer;
    TG_LIST(ts_ring) rings;
} ts_loop;

typedef struct tg_simt {
    tg_func *kernel;
    const tg_machine *mc;
    tg_module *out;
    tg_sink *sink;
    tg_arena *arena;
    tg_func *fn;
    tg_builder b, entry; /* main stream; before everything */
    tg_simt_args args;   /* the lane: within the role */
    int64_t lanes;       /* of the role, or of the program */
    const tg_op *role;   /* being lowered; NULL: the program is one */
    tg_value *number;    /* i32, of the barrier of the role's lanes; NULL: they are a sub-group */
    tg_value *mbarriers; /* array of the events' */
    ts_bulk bulk;
    bool landing;  /* copies were waited for: they land before what looks at them */
    int64_t aloft; /* but for that many groups */
    ts_late late;
    ts_loop *loop; /* innermost of those being lowered */
    bool swizzled; /* some buffer is: units read what lanes wrote */
    bool fixed; /* registers are taken by constant numbers, so that they are none of local memory */
    tg_value *zero; /* i64 0 where loops over registers and products start */
    ts_info *info;  /* by value id */
    tg_value **syms;
    tg_status status;
    int next_nest;
    TG_LIST(ts_nest *) run; /* nests not yet emitted */
    TG_LIST(ts_lane_part) lane_parts;
} tg_simt;

/* A position along one axis: out + in + step * vector lane, or the vector `vec`. `out` is known
 * before the nest, `in` inside of it; NULL: 0. All i64. */
typedef struct ts_coord {
    tg_value *out, *in, *vec;
    int64_t step;
} ts_coord;

typedef struct ts_pos {
    int rank;
    ts_coord c[TG_MAX_RANK];
    int64_t (*num)[TG_MAX_RANK]; /* by register of the nest: what lane 0 holds */
} ts_pos;

/* A value at a position: the same for all vector lanes unless vec. */
typedef struct ts_ev {
    tg_value *v;
    bool vec;
} ts_ev;

typedef struct ts_memo {
    const tg_value *value;
    const ts_pos *pos; /* NULL: of the nest's own */
    ts_ev ev;
} ts_memo;

typedef struct ts_root {
    const tg_layout *layout;
    int rank;
    const ts_pos *pos;
} ts_root;

typedef struct ts_step {
    const tg_op *op;
    const ts_pos *from, *to;
} ts_step;

/* Where code of a nest is being built. */
typedef struct ts_ctx {
    tg_simt *S;
    const ts_nest *nest;
    tg_builder out, b; /* before the nest; its innermost body */
    int lanes;         /* vector lanes */
    bool inside;       /* everything the nest touches is known to be present */
    bool aligned;      /* and every vector of it a multiple of its size */
    tg_value *iv[TS_MAX_DIGITS];
    TG_LIST(ts_memo) memo;
    TG_LIST(ts_root) roots;
    TG_LIST(ts_step) steps;
    ts_pos none;
} ts_ctx;

/* Which vector lanes take part: `ok` for all of them and `mask` each; NULL: true. `all` with mask:
 * every lane of it. */
typedef struct ts_guard {
    tg_value *ok, *mask, *all;
} ts_guard;

static inline ts_info *ts_of(const tg_simt *S, const tg_value *v) { return &S->info[v->id]; }
static inline ts_opinfo *ts_opi(const tg_op *op) { return (ts_opinfo *)op->scratch; }
static inline bool ts_is_tile(const tg_value *v) {
    return v->type->kind == TG_TY_TILE && v->type->rank > 0;
}

/* ---- lower.c ----------------------------------------------------------------------------------
 */

void ts_unsupported(tg_simt *S, const tg_op *op, const char *what);
tg_value *ts_scalar(tg_simt *S, tg_value *v);
void ts_emit_region(tg_simt *S, tg_region *r);
const tg_type *ts_type(const tg_simt *S, tg_dtype t, int lanes);
tg_value *ts_const(tg_simt *S, tg_builder *b, const tg_op *op, int lanes);
/* A name in the module that is made; NULL stays. */
const char *ts_name(tg_simt *S, const char *name);
tg_value *ts_slot(tg_simt *S, int index, const tg_type *t);
int ts_param_slot(const tg_simt *S, int param);
tg_value *ts_sym(tg_simt *S, int sym);
tg_value *ts_array(tg_simt *S, tg_dtype t, int64_t n, const char *name);
tg_value *ts_lane_is(tg_simt *S, int64_t lane);
/* All lanes of the role meet: behind accesses to `of`; with that fence. */
void ts_barrier(tg_simt *S, const ts_buf *of);
void ts_meet(tg_simt *S, tg_fence fence);
bool ts_nonneg(const tg_value *v, int depth);
/* bounds.c: the placed scalar is in 0 .. extent whatever the launch. */
bool ts_is_below(const tg_simt *S, const tg_value *v, const tg_dim *extent);
/* i64 to i32, i32 sum with a constant. */
tg_value *ts_i32(tg_builder *b, tg_value *v);
tg_value *ts_bin(tg_builder *b, tg_opcode code, tg_value *x, int64_t y);
/* For lane-strided work: for (e = lane; e < count; e += lanes). Returns the loop; *e is i32. */
tg_op *ts_deal(tg_simt *S, int64_t count, tg_value **e);
void ts_end_deal(tg_simt *S, tg_op *loop);

/* ---- pos.c ------------------------------------------------------------------------------------
 */

int64_t ts_regs(const tg_layout *l);
/* Digits of l's registers, inner to outer. */
void ts_digits(const tg_layout *l, ts_nest *n);
bool ts_same_digits(const ts_nest *a, const ts_nest *b);
const ts_pos *ts_root_pos(ts_ctx *x, const tg_layout *l, int rank);
/* The operand's position for a lazy view at `pos`; x->lanes 0: numbers only. */
const ts_pos *ts_view_pos(ts_ctx *x, const tg_op *op, const ts_pos *pos);
/* Position of a tile operand that runs along `axes` of pos. */
const ts_pos *ts_axes_pos(ts_ctx *x, const ts_pos *pos, int rank, const int64_t *axes);
/* Register of l at the nest's registers: base + sum of digit * weight; false: no such form. */
bool ts_reg_map(ts_ctx *x, const ts_pos *pos, const tg_layout *l, int64_t *base, int64_t *weight);
/* Those registers one by one, where they are no linear form; NULL: an element is in none. */
const int64_t *ts_reg_list(ts_ctx *x, const ts_pos *pos, const tg_layout *l);
/* array[map[register of the nest]] */
ts_ev ts_array_pick(ts_ctx *x, tg_dtype t, tg_value *array, const int64_t *map);
bool ts_map_is_identity(const ts_nest *n, int64_t base, const int64_t *weight);
tg_value *ts_coord_scalar(ts_ctx *x, const ts_coord *c);
tg_value *ts_coord_vec(ts_ctx *x, const ts_coord *c);
bool ts_coord_uniform(const ts_ctx *x, const ts_coord *c);
/* i32 index base + digits * weights into a register array. */
tg_value *ts_reg_index(ts_ctx *x, int64_t base, const int64_t *weight);
/* Holders that count: inside the shape, and the first of replicas if `once`. */
/* 1 + the greatest coordinate of a layout along an axis. */
int64_t ts_reach(const tg_layout *l, int axis);
void ts_holders(ts_ctx *x, const tg_layout *l, int rank, const int64_t *shape, const ts_pos *pos,
                bool once, ts_guard *g);
/* A replica lane digit is 0 for this lane; NULL: there are none. */
tg_value *ts_first_replica(tg_simt *S, const tg_layout *l);
tg_value *ts_lane_coord(tg_simt *S, const tg_layout *l, int axis);
void ts_guard_ok(ts_ctx *x, ts_guard *g, tg_value *v);
void ts_guard_mask(ts_ctx *x, ts_guard *g, tg_value *mask, tg_value *all);
void ts_guard_ev(ts_ctx *x, ts_guard *g, ts_ev e);
/* c (out + in + lanes) below limit (i64, known before the nest), and not negative unless proven. */
void ts_guard_range(ts_ctx *x, ts_guard *g, const ts_coord *c, tg_value *limit, bool nonneg);
/* The guard as one bool vector (scalar if there is one lane); NULL: always. */
tg_value *ts_guard_mask_of(ts_ctx *x, const ts_guard *g);
/* The guard as one scalar: every vector lane; NULL: always. */
tg_value *ts_guard_all_of(ts_ctx *x, const ts_guard *g);

/* ---- eval.c --------------------------------------------------------------------------
 */

bool ts_is_lazy(const tg_value *v);
ts_ev ts_eval(ts_ctx *x, tg_value *v, const ts_pos *pos);
/* Computes a non-lazy op at its own position. */
ts_ev ts_compute(ts_ctx *x, tg_op *op, const ts_pos *pos);
tg_value *ts_vec(ts_ctx *x, ts_ev e);

/* ---- nest.c -----------------------------------------------------------------------------------
 */

bool ts_is_nestable(const tg_op *op);
/* for (i = 0; i < n; i++) over a lane's registers, built at b; *i is i64. */
tg_op *ts_each_register(const tg_simt *S, tg_builder *b, int64_t n, tg_value **i);
void ts_run_add(tg_simt *S, ts_item item);
void ts_run_flush(tg_simt *S);
/* dst[...] = src[...], n elements. */
void ts_array_copy(tg_simt *S, tg_value *dst, tg_value *src);
ts_ctx ts_ctx_flat(tg_simt *S); /* one register, no loop */
/* The array that holds v, filled if need be. */
tg_value *ts_materialise(tg_simt *S, tg_value *v);
/* array[...] = v, by registers of v's layout. */
void ts_fill(tg_simt *S, tg_value *v, tg_value *array);
bool ts_uses_done(tg_simt *S, const tg_value *v, int nest, const tg_op *except,
                  const tg_layout *layout);
void ts_array_store(ts_ctx *x, tg_value *array, int64_t base, const int64_t *weight, ts_ev e);
ts_ev ts_array_load(ts_ctx *x, tg_dtype t, tg_value *array, int64_t base, const int64_t *weight);

/* ---- tensor.c ---------------------------------------------------------------------------------
 */

ts_tensor *ts_tensor_of(tg_simt *S, tg_value *v);
ts_ev ts_load(ts_ctx *x, tg_op *op, const ts_pos *pos);
void ts_store(ts_ctx *x, tg_op *op, const tg_layout *l, const ts_pos *pos, int nibble);
ts_ev ts_atomic(ts_ctx *x, tg_op *op, const tg_layout *l, const ts_pos *pos);
void ts_emit_copy(ts_ctx *x, tg_op *op, const tg_layout *l, const ts_pos *pos);
/* Its two halves: memory to a private array, the array to the buffer. */
void ts_emit_fetch(ts_ctx *x, tg_op *op, tg_value *array, const ts_pos *pos);
void ts_emit_land(ts_ctx *x, tg_op *op, tg_value *array, const tg_layout *l, const ts_pos *pos);
/* Is everything that a copy reads there? Emitted at S->b; NULL: do not ask. */
tg_value *ts_copy_inside(tg_simt *S, const ts_item *item);
/* Do a copy's rows begin at multiples of 16 bytes? Emitted at S->b; NULL: nobody can say. */
tg_value *ts_copy_aligned(tg_simt *S, const ts_item *item);
/* Bytes that a lane copies at a time where all is aligned (ts_copies_wide). */
enum { TS_ACOPY_BYTES = 16 };
bool ts_is_async(const tg_simt *S);
bool ts_copies_wide(const tg_simt *S); /* 16 bytes of a lane at once, landing later or not */
bool ts_store_is_packed(const tg_op *op);

/* ---- bulk.c -----------------------------------------------------------------------------------
 */

/* Bytes of shared memory that the barriers take behind `shared_bytes` of others. */
int64_t ts_bulk_bytes(const tg_simt *S, int64_t shared_bytes);
/* Before the body: the barriers, at byte `offset`. */
void ts_bulk_begin(tg_simt *S, int64_t offset);
/* A copy as a box of its tensor where that can be; false: it is an ordinary one. */
bool ts_emit_bulk(tg_simt *S, tg_op *copy, const ts_item *item);
/* Copies of a role that signals with their token: how many signals a copy gives, one for each
 * replica of who waits; 0: some copy is no box that is known to be one before the launch. */
int64_t ts_bulk_signals(tg_simt *S, const tg_op *event);
/* Bool of the whole launch: all copies that the event tells of come by maps. */
tg_value *ts_bulk_all_ok(tg_simt *S, const tg_op *event);
/* Such a copy as a box that completes on barrier `bar` of `bars`. */
void ts_bulk_start(tg_simt *S, tg_op *copy, tg_value *bars, tg_value *bar);
/* A wait for it; false: for another. */
bool ts_bulk_wait(tg_simt *S, const tg_op *wait);
/* All that was waited for is here. */
void ts_bulk_land(tg_simt *S);

/* ---- buffer.c ---------------------------------------------------------------------------------
 */

void ts_emit_buffer(tg_simt *S, tg_op *op);
ts_buf *ts_buf_of(tg_simt *S, tg_value *v);
/* The view with `slot`'s copy of a ring chosen: element index to add, or NULL. */
tg_value *ts_buf_slot(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *slot);
/* Element at i32 index (in elements of the base), `lanes` consecutive ones. */
tg_value *ts_buf_read(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *index, int lanes);
void ts_buf_write(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *index, tg_value *v);
/* i32 index of element 0. */
tg_value *ts_buf_start(tg_builder *b, const ts_buf *u);
/* i32 index of coordinates (i32 scalars). */
tg_value *ts_buf_index(tg_builder *b, const ts_buf *u, tg_value *const *c);
/* i32 index of the vector lanes at a position, where they follow each other from a multiple of
 * `align` elements on; NULL: they do not. */
tg_value *ts_put_row(ts_ctx *x, const ts_buf *u, tg_value *slot, const ts_pos *pos, int64_t align);
void ts_put_at(ts_ctx *x, const ts_buf *u, tg_value *slot, const int64_t *offsets,
               const ts_pos *pos, const ts_guard *g, ts_ev e);
void ts_put(ts_ctx *x, tg_op *op, const tg_layout *l, const ts_pos *pos);
ts_ev ts_get(ts_ctx *x, tg_op *op, const ts_pos *pos);
/* The tile of type t from all of u. */
ts_ev ts_get_from(ts_ctx *x, const ts_buf *u, const tg_type *t, const ts_pos *pos);

/* ---- swizzle.c --------------------------------------------------------------------------------
 */

/* Reads the panels off a buffer's layout; false: it is another layout. */
bool ts_swizzle_of(const tg_type *t, ts_buf *u);
/* Where in its copy the element of dense rows lies, before the xor. */
int64_t ts_panel_place(const ts_buf *u, int64_t element);
/* i32 index in memory of an i32 index in dense rows. */
tg_value *ts_swizzled(tg_builder *b, const ts_buf *u, tg_value *index);
tg_value *ts_swizzled_read(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *index, int lanes);
void ts_swizzled_write(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *index, tg_value *v);

/* ---- reduce.c, dot.c, team.c ------------------------------------------------------------------
 */

void ts_reduce_begin(tg_simt *S, tg_op *op, ts_item *item);
void ts_reduce_item(ts_ctx *x, const ts_item *item, const ts_pos *pos);
void ts_reduce_end(tg_simt *S, tg_op *op, const ts_item *item);
/* shuffle.c: the reduction's `regs` parts of all those lanes combined, in every one of them. */
void ts_reduce_shuffle(tg_simt *S, const tg_op *op, const ts_item *item, int64_t regs);
tg_value *ts_combine(tg_builder *b, tg_reduce_kind kind, tg_value *x, tg_value *y);
tg_value *ts_identity(tg_simt *S, tg_builder *b, tg_reduce_kind kind, tg_dtype t, int lanes);
/* (value, index) better than (best, at) for argmin and argmax. */
tg_value *ts_better(tg_builder *b, bool max, tg_value *v, tg_value *i, tg_value *best,
                    tg_value *at);
void ts_emit_dot(tg_simt *S, tg_op *op);
/* The array a product works in: acc's own if nobody else wants it, else a copy. */
tg_value *ts_dot_accumulator(tg_simt *S, tg_op *op);
/* The same, but an accumulator that starts from 0 is not filled: *out_zero. */
tg_value *ts_dot_accumulator_or_zero(tg_simt *S, tg_op *op, bool *out_zero);
/* i64 end of a product's k where its mask is known to be a prefix; NULL: it has none, or is not. */
tg_value *ts_dot_end(tg_simt *S, const tg_op *dot);
/* matrix.c: on the matrix unit that the product names. */
void ts_emit_dot_unit(tg_simt *S, tg_op *op);
/* matrix_memory.c: on one that keeps its fragments to itself, the accumulator through shared memory
 * behind the buffers; false where the operands do not lie as it reads them. */
/* ring.c: i32 slot % n of a placed slot; at the end of a loop's body. */
tg_value *ts_ring_position(tg_simt *S, tg_builder *b, tg_value *slot, int64_t n);
void ts_ring_step(tg_simt *S, const ts_loop *loop);
/* i32: is an odd number of rounds behind the loop whose trips `slot` counts? For an op that each
 * trip does, of a loop entered once; NULL: it is none such. */
tg_value *ts_ring_round(tg_simt *S, const tg_op *op, tg_value *slot, int64_t n);
/* The placed value counts the loop's trips from 0. The loop is entered at most once in its role. */
bool ts_counts_trips(const tg_op *loop, const tg_value *v);
bool ts_entered_once(const tg_op *loop);
/* late.c: whether the loop leaves its product under way; behind the loop; a signal in it, which
 * then is given by a trip later (last: the barrier that starts empty for it; -1: none).
 * ts_late_keeps: the event's last semaphore starts empty, as the
 * first trip of such a loop fills it. */
bool ts_late_keeps(const tg_op *event);
bool ts_late_begin(tg_simt *S, const tg_op *loop);
void ts_late_end(tg_simt *S, const tg_op *loop);
bool ts_late_signal(tg_simt *S, const tg_op *signal, tg_value *barrier, int64_t last);
/* matrix_group.c: waits for the products whose sums (of type t) lie in the array. */
/* The fragment of operand a whose block's corner is (at.., k) of lane 0, out of the registers
 * `array` of a tile of layout l (matrix.c). */
tg_value *ts_held_fragment(tg_simt *S, const tg_matrix_unit *u, tg_value *array, const tg_layout *l,
                           const int64_t *at, int64_t k);
void ts_group_wait(tg_simt *S, const tg_matrix_unit *u, const tg_type *t, tg_value *array);
void ts_emit_dot_group(tg_simt *S, tg_op *op, const tg_matrix_unit *u);
bool ts_emit_dot_memory(tg_simt *S, tg_op *op, const tg_matrix_unit *u);
/* Bytes of shared memory that needs beyond the placed function's. */
int64_t ts_dot_memory_bytes(const tg_region *r);
void ts_emit_team(tg_simt *S, tg_op *op);

#endif
