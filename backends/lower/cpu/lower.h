/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of one CPU lowering, shared by its files. A kernel's tile ops are walked in program order.
 * Scalars become loop scalars at once. A tile value is one of:
 *
 *   INLINE  computed where it is used, element by element (elementwise ops, views, constants)
 *   LAZY    a load read straight from the tensor where it is used
 *   BUFFER  kept in the thread's scratch (accumulators, reductions, carried tiles, shared work)
 *   DEAD    never needed
 *
 * Code is emitted by nests: loops over the axes of a destination whose body asks tg_elem for the
 * value at the loop coordinates. A nest has one builder per loop depth (level); tg_elem puts each
 * operation at the outermost level its inputs allow, so invariant work leaves the inner loop.
 */
#ifndef TG_CPU_LOWER_H
#define TG_CPU_LOWER_H

#include "backends/lower/cpu/cpu.h"

enum { TG_CPU_MAX_LEVEL = TG_MAX_RANK + 4, TG_CPU_ZERO_BYTES = 512 };

typedef enum tg_vkind {
    TG_V_NONE,
    TG_V_SCALAR,
    TG_V_INLINE,
    TG_V_LAZY,
    TG_V_BUFFER,
    TG_V_DEAD
} tg_vkind;

/* A tile of at most so many short rows has its vectors go through the rows themselves (nest.c);
 * plan.c counts on it. */
enum { NEST_FEW_ROWS = 16 };

/* Which positions of an axis matter to the consumers: none, those below a span's end, all. */
typedef struct tg_need {
    enum { TG_NEED_NONE, TG_NEED_SPAN, TG_NEED_FULL } kind;
    tg_value *span; /* canonical, for NEED_SPAN */
} tg_need;

/* Memory a tensor value (parameter or view) stands for. */
typedef struct tg_tensor {
    tg_value *base; /* ptr */
    tg_dtype dtype;
    int rank;
    int64_t elem_bytes;                /* 0 for sub-byte */
    int64_t const_stride[TG_MAX_RANK]; /* bytes, or -1: in `stride` */
    tg_value *stride[TG_MAX_RANK];
    tg_value *dim[TG_MAX_RANK]; /* i64 extents */
    const tg_dim *dims[TG_MAX_RANK];
    const tg_value *root; /* the parameter */
    int slot;             /* of the parameter's address */
    tg_value *stream;     /* large and aligned enough for stores past the caches; or NULL */
} tg_tensor;

/* What is known and decided about one tile-level value. */
typedef struct tg_vinfo {
    uint8_t kind;
    bool repeated;   /* evaluated more than once per element if it were inline */
    int first, last; /* op positions between which the buffer lives */
    tg_need need[TG_MAX_RANK];
    tg_value *home; /* carried argument or result whose buffer this value is written into */
    int64_t offset, bytes;
    int64_t stride[TG_MAX_RANK]; /* elements */
    int inner;                   /* buffer axis with stride 1 */
    bool of_product;             /* owner: some product is written here */
    unsigned read_axes;          /* owner: bit a: somebody reads along axis a */
    /* filled while emitting */
    tg_value *loop;          /* scalar value */
    tg_value *lo, *hi, *len; /* span */
    tg_tensor *tensor;
    tg_value *canon; /* span: first equal one */
} tg_vinfo;

typedef struct tg_opinfo {
    int pos, end;    /* preorder number, and that of the last op nested inside */
    bool done;       /* already emitted as part of an earlier op's code */
    int contract;    /* loop: its products run over the whole range at once */
    bool rereads;    /* load: an earlier one reads the same place */
    int last_reader; /* position of the last op that evaluates the result; INT_MAX: unknown */
    int first_pass;  /* load: the first pass that read through it; 0: none yet */
    tg_value *next;  /* load: bytes to the next program's element */
} tg_opinfo;

typedef struct tg_lower {
    tg_func *kernel;
    const tg_machine *mc;
    tg_module *out;
    tg_sink *sink;
    tg_arena *arena;
    tg_func *fn;      /* function being emitted */
    tg_builder b;     /* main stream */
    tg_builder entry; /* before everything: slots, strides */
    tg_vinfo *info;   /* by value id */
    size_t n_info;
    tg_value *scratch_base, *zeros; /* ptr */
    tg_value *slots, *report;
    tg_scratch scratch;
    int64_t static_bytes; /* scratch of buffers */
    TG_LIST(tg_value *) spans;
    TG_LIST(tg_value *) buffers;
    TG_LIST(tg_op *) ops; /* by position */
    int first_dim_slot;
    int lanes;    /* elements a nest handles at a time */
    int pass;     /* number of the nests' phases begun */
    int pass_end; /* position of the last op of the phase being emitted */
    tg_status status;
} tg_lower;

/* A position along one axis for all lanes: v + add + lane*l, or the vector `vec`. */
typedef struct tg_coord {
    tg_value *v; /* i64 or NULL */
    int64_t add, lane;
    tg_value *vec; /* i64 per lane; then the rest is unused */
    int level;
    int64_t align;   /* v + add is a multiple of this */
    int64_t v_align; /* v alone is a multiple of this (0: unknown); NULL v: anything */
    int64_t
        end; /* all lanes lie in [add, end) when v is NULL or runs inside one part; 0: unknown */
    tg_value *bound; /* canonical span below whose end it stays, or NULL */
} tg_coord;

/* An evaluated element (or `lanes` of them). */
typedef struct tg_ev {
    tg_value *v;
    int level;
    bool vec;
} tg_ev;

typedef struct tg_memo {
    tg_value *value;
    int rank, level, lanes;
    tg_coord c[TG_MAX_RANK];
    tg_ev ev;
} tg_memo;

/* Where expressions are being evaluated. */
typedef struct tg_ctx {
    tg_lower *L;
    int depth; /* innermost open level */
    tg_builder bl[TG_CPU_MAX_LEVEL];
    int lanes;
    TG_LIST(tg_memo) memo;
    tg_value *valid; /* i64: leading lanes that exist (ragged ends of products), or NULL */
    int64_t ahead; /* packed elements: asks for memory so many bytes behind each vector; 0: none */
} tg_ctx;

static inline tg_vinfo *tg_info(const tg_lower *L, const tg_value *v) { return &L->info[v->id]; }
static inline tg_opinfo *tg_opi(const tg_op *op) { return (tg_opinfo *)op->scratch; }
static inline bool tg_is_tile(const tg_value *v) {
    return v->type->kind == TG_TY_TILE && v->type->rank > 0;
}

/* ---- analysis ----------------------------------------------------------------------------------
 */

void tg_cpu_bounds(tg_lower *L); /* fills need of every tile value */
void tg_cpu_decide(tg_lower *L); /* fills kinds, homes, offsets */
/* The value whose buffer v lives in. */
tg_value *tg_buffer_owner(const tg_lower *L, tg_value *v);
/* Fills of_product and read_axes of v's owner; every value's, before the first is laid out. */
void tg_cpu_note_readers(tg_lower *L, tg_value *v);
/* Chooses inner, strides and bytes of an owner. */
void tg_cpu_lay_out(tg_lower *L, tg_value *v);
/* The axis along which a store runs through consecutive memory. */
int tg_store_inner(const tg_op *op);
/* Fills rereads and last_reader of every load. */
void tg_cpu_find_rereads(tg_lower *L);
/* Behind a load of `bytes` consecutive bytes at ptr: hints at the next program's in the last of
 * several passes. */
void tg_prefetch_next(tg_lower *L, tg_builder *b, tg_op *load, tg_value *ptr, int64_t bytes);
bool tg_prove_nonneg(const tg_value *v);
bool tg_prove_below(const tg_value *v, const tg_dim *dim);   /* v < dim */
bool tg_prove_at_most(const tg_value *v, const tg_dim *dim); /* v <= dim */
int64_t tg_known_multiple(const tg_value *v);                /* a power of two dividing v */
bool tg_span_is_full(const tg_value *span);                  /* all n positions present, always */
/* The span whose prefix mask this is (span_mask, or a broadcast of it along `axis`), or NULL. */
tg_value *tg_mask_span(const tg_lower *L, const tg_value *mask, int axis);
/* Operand coordinates of view-like ops in terms of the result's: axis r of `v`'s operand. */
bool tg_is_view(tg_opcode code);
/* Do two tensors (parameters or views) possibly share memory? */
bool tg_may_overlap(const tg_lower *L, const tg_value *a, const tg_value *b);
/* Do a load and a store name the same elements at the same coordinates? */
bool tg_same_place(const tg_op *load, const tg_op *store);
/* One index of a load or store: operand, and which result axes it takes (n_axes 0: scalar). */
typedef struct tg_index {
    tg_value *v;
    int n_axes;
    const int64_t *axes;
} tg_index;
int tg_indices(const tg_op *op, tg_index out[TG_MAX_RANK], tg_value **out_mask);
bool tg_index_proven(const tg_lower *L, const tg_op *op, int k, const tg_index *ix, bool bounded);
tg_tensor *tg_tensor_of(tg_lower *L, tg_value *tensor);

/* ---- evaluation ---------------------------------------------------------------------------------
 */

tg_ev tg_elem(tg_ctx *x, tg_value *v, const tg_coord *c);
tg_ev tg_eval_op(tg_ctx *x, tg_op *op, tg_value *v, const tg_coord *c);
/* Operations that evaluating v inline takes; a math function counts as ten. */
int tg_expression_size(tg_lower *L, const tg_value *v, int depth);
tg_value *tg_ev_vec(tg_ctx *x, tg_ev e); /* splat when uniform; scalar when lanes is 1 */
tg_value *tg_coord_scalar(tg_ctx *x, const tg_coord *c);
tg_value *tg_coord_vec(tg_ctx *x, const tg_coord *c); /* i64 per lane */
int tg_coord_level(const tg_coord *c, int n);
bool tg_coord_uniform(const tg_coord *c);
tg_ev tg_buffer_read(tg_ctx *x, tg_value *v, const tg_coord *c);
void tg_buffer_write(tg_ctx *x, tg_value *dest, const tg_coord *c, tg_ev e);
tg_ev tg_tensor_read(tg_ctx *x, tg_op *load, const tg_coord *c);
void tg_tensor_write(tg_ctx *x, tg_op *store, const tg_coord *c, tg_ev e);
tg_ev tg_atomic_at(tg_ctx *x, tg_op *op, const tg_coord *c);
tg_value *tg_buffer_ptr(tg_lower *L, tg_builder *b, const tg_value *v);
/* ptr to element c (lane 0) of a tensor access, and whether all of it lies inside (NULL: proven).
 */
const tg_type *tg_loop_type(const tg_lower *L, tg_dtype t, int lanes);
tg_value *tg_loop_const(tg_lower *L, tg_builder *b, const tg_op *op);
tg_value *tg_scalar(tg_lower *L, tg_value *v); /* loop value of an emitted scalar */
tg_value *tg_trip(tg_lower *L, int64_t extent, const tg_need *need); /* i64 at the main stream */

/* ctx at the main stream (depth 0). Copy ctx->bl[0] back with tg_ctx_end. */
tg_ctx tg_ctx_begin(tg_lower *L, int lanes);
void tg_ctx_end(tg_ctx *x);
/* Opens a loop at the current depth; carried are replaced by region args, and after close by
 * results. */
tg_op *tg_ctx_open(tg_ctx *x, tg_value *lo, tg_value *hi, int64_t step, int n_carried,
                   tg_value **carried, tg_value **out_iv);
void tg_ctx_close(tg_ctx *x, tg_op *loop, int n_carried, tg_value **carried);
void tg_memo_put(tg_ctx *x, tg_value *v, const tg_coord *c, tg_ev ev);

/* ---- emission
 * ------------------------------------------------------------------------------------ */

void tg_emit_region(tg_lower *L, tg_region *r);
/* Writes v into its buffer (or `dest`'s). */
void tg_emit_materialise(tg_lower *L, tg_value *v, tg_value *dest);
void tg_emit_copy(tg_lower *L, tg_value *from, tg_value *to);
/* As tg_emit_materialise, with 0 where `mask` (NULL, or rank 1 along `axis`) is false. */
void tg_emit_masked_copy(tg_lower *L, tg_value *v, tg_value *dest, tg_value *mask, int axis);
/* Emits a run of nest ops starting at op; marks the others done. */
void tg_emit_nests(tg_lower *L, tg_op *op);
bool tg_is_nest_op(const tg_lower *L, const tg_op *op);
/* Control flow, products, selections: no nest reaches past one, dead or not. Buffers of values on
 * its two sides may share their place. */
bool tg_ends_nest(const tg_op *op);
void tg_emit_column_reduce(tg_lower *L, tg_op *op);
void tg_emit_scalar_reduce_loop(tg_lower *L, tg_op *op); /* user, argmin, argmax: any layout */
void tg_emit_dot_op(tg_lower *L, tg_op *op);
/* A fresh buffer in dynamic scratch for a value of v's type; until L->scratch.used is reset. */
tg_value *tg_temp_buffer(tg_lower *L, tg_value *v, int inner);
/* The axis of v along which evaluating it reads consecutive memory, or -1. `own`: v is about to be
 * written to its buffer, so look at its definition. */
int tg_unit_axis(tg_lower *L, const tg_value *v, bool own);
/* code_table.c: an integer expression of one packed element of four bits, by its codes. */
typedef struct tg_code_values {
    tg_value *load;
    int64_t value[16];
    bool floats; /* floats are computed on the way */
} tg_code_values;
bool tg_code_table(tg_value *v, tg_code_values *out);
/* Bytes that an expression through floats makes of codes, looked up in a table; false: it is none.
 */
bool tg_code_lookup(tg_ctx *x, tg_op *op, const tg_coord *c, tg_ev *out);
/* What v, which takes its codes of four bits from `load` alone, is for each code; permutes in
 * between are seen through. */
bool tg_code_function(tg_value *v, const tg_op *load, double out[16]);
/* dot_codes_call.c: the codes that matrix v is made of, or NULL. need: of its rows and of k. */
const tg_dot_codes *tg_operand_codes(tg_lower *L, tg_value *v, int k_axis, const tg_need need[2]);
/* int_range.c: between which values a tile's integers are. */
tg_range tg_int_range(tg_value *v);
bool tg_contractible(tg_lower *L, tg_op *loop);
void tg_emit_contracted(tg_lower *L, tg_op *loop);
void tg_emit_select_op(tg_lower *L, tg_op *op);
bool tg_is_select_op(tg_opcode code);
/* Coordinates of a reshape's operand from its result's. */
void tg_map_reshape(tg_ctx *x, const tg_type *from, const tg_type *to, const tg_coord *c,
                    tg_coord *out);
/* Identity of a reduction over dtype t, in its working type (t's arithmetic type; i32 for counts).
 */
tg_value *tg_reduce_identity(tg_lower *L, tg_builder *b, tg_reduce_kind kind, tg_dtype t,
                             int lanes);
tg_value *tg_reduce_step(tg_lower *L, tg_builder *b, tg_reduce_kind kind, tg_dtype t, tg_value *acc,
                         tg_value *v);
void tg_unsupported(tg_lower *L, const tg_op *op, const char *what);

#endif
