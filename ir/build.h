/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builders: append one op at an insertion point and return its result. Result types are inferred
 * where the op decides them. Operand rules are those of ops.def; builders do not check, the
 * verifier does. Trivial folding (constants, x+0, x*1, select on constants, casts to the same type)
 * is done on the way, so hand-written lowering need not.
 */
#ifndef TG_BUILD_H
#define TG_BUILD_H

#include "ir/ir.h"
#include "ir/matrix.h"

typedef struct tg_builder {
    tg_func *func;
    tg_module *module;
    tg_region *region; /* appended at its end ... */
    tg_op *before;     /* ... or before this op, if not NULL */
    tg_span span;      /* given to every op built */
} tg_builder;

tg_builder tg_builder_at_end(tg_region *r);
tg_builder tg_builder_before(tg_op *op);
/* Raw: any op, explicit result types. Attributes may be set on the result afterwards. */
tg_op *tg_build_op(tg_builder *b, tg_opcode code, int n_operands, tg_value *const *operands,
                   int n_results, const tg_type *const *types, int n_regions);
/* One result. */
tg_value *tg_build1(tg_builder *b, tg_opcode code, const tg_type *type, int n_operands, ...);

tg_value *tg_build_int(tg_builder *b, const tg_type *t,
                       int64_t v); /* tile, scalar or vec constant */
tg_value *tg_build_float(tg_builder *b, const tg_type *t, double v);
tg_value *tg_build_index(tg_builder *b, int64_t v); /* i64 scalar */
tg_value *tg_build_bool(tg_builder *b, bool v);
bool tg_value_const_int(const tg_value *v, int64_t *out); /* is a CONST_INT */
bool tg_value_const_float(const tg_value *v, double *out);

tg_value *tg_build_binary(tg_builder *b, tg_opcode code, tg_value *x, tg_value *y);
tg_value *tg_build_unary(tg_builder *b, tg_opcode code, tg_value *x);
tg_value *tg_build_fma(tg_builder *b, tg_value *x, tg_value *y, tg_value *z);
tg_value *tg_build_cmp(tg_builder *b, tg_cmp_pred p, tg_value *x, tg_value *y);
tg_value *tg_build_select(tg_builder *b, tg_value *c, tg_value *x, tg_value *y);
tg_value *tg_build_math(tg_builder *b, tg_math_fn fn, tg_value *x);
tg_value *tg_build_cast(tg_builder *b, tg_value *x, tg_dtype to); /* RNE, default saturation */
tg_value *tg_build_cast_as(tg_builder *b, tg_value *x, tg_dtype to, tg_round r, bool sat);
tg_value *tg_build_bitcast(tg_builder *b, tg_value *x, tg_dtype to);

/* Loop-building: *out_iv and carried[i] are the region's arguments; b moves into the region. End
 * with tg_build_end_for, which appends the yield, moves b behind the loop and overwrites carried
 * with results. */
tg_op *tg_build_for(tg_builder *b, tg_value *lo, tg_value *hi, tg_value *step, int n_carried,
                    tg_value **carried, tg_value **out_iv);
void tg_build_end_for(tg_builder *b, tg_op *loop, int n_carried, tg_value **carried);
/* if: build then-region, call tg_build_else, build else-region, call tg_build_end_if. */
tg_op *tg_build_if(tg_builder *b, tg_value *cond, int n_results, const tg_type *const *types);
void tg_build_else(tg_builder *b, tg_op *op, int n, tg_value *const *yields);
void tg_build_end_if(tg_builder *b, tg_op *op, int n, tg_value *const *yields);

/* Tile level. */
tg_value *tg_build_sym(tg_builder *b, int sym);
tg_value *tg_build_dim(tg_builder *b, tg_value *tensor, int axis);
tg_value *tg_build_dim_expr(tg_builder *b, const tg_dim *d); /* expands to arithmetic on sym */
tg_value *tg_build_span(tg_builder *b, tg_value *lo, tg_value *hi, int64_t n);
tg_value *tg_build_span_mask(tg_builder *b, tg_value *span);
tg_value *tg_build_present(tg_builder *b, tg_value *index, tg_value *extent);
tg_value *tg_build_iota(tg_builder *b, tg_dtype t, int64_t n);
tg_value *tg_build_broadcast(tg_builder *b, tg_value *x, int rank, const int64_t *shape,
                             const int64_t *axes);
tg_value *tg_build_splat_tile(tg_builder *b, tg_value *scalar, int rank, const int64_t *shape);
tg_value *tg_build_reshape(tg_builder *b, tg_value *x, int rank, const int64_t *shape);
tg_value *tg_build_permute(tg_builder *b, tg_value *x, const int64_t *axes);
tg_value *tg_build_slice(tg_builder *b, tg_value *x, const int64_t *offsets, const int64_t *shape);
tg_value *tg_build_concat(tg_builder *b, int n, tg_value *const *xs, int axis);
tg_value *tg_build_local_gather(tg_builder *b, tg_value *x, tg_value *i, int axis);
/* n_axes entries of axes, concatenated over the indices; shape is the result's. mask may be NULL.
 */
tg_value *tg_build_load(tg_builder *b, tg_value *tensor, int n_index, tg_value *const *index,
                        int rank, const int64_t *shape, int n_axes, const int64_t *axes,
                        tg_value *mask);
tg_op *tg_build_store(tg_builder *b, tg_value *tensor, tg_value *value, int n_index,
                      tg_value *const *index, int n_axes, const int64_t *axes, tg_value *mask);
tg_value *tg_build_reduce(tg_builder *b, tg_reduce_kind kind, tg_value *x, int axis,
                          tg_value *mask);
tg_value *tg_build_dot(tg_builder *b, tg_value *a, tg_value *c, tg_value *acc, int batch,
                       tg_dot_numeric numeric, tg_value *kmask);

/* Loop level. */
tg_value *tg_build_gep(tg_builder *b, tg_value *base, tg_value *index, int64_t bytes);
tg_value *tg_build_loadm(tg_builder *b, const tg_type *t, tg_value *ptr, int64_t align);
tg_op *tg_build_storem(tg_builder *b, tg_value *ptr, tg_value *v, int64_t align);
tg_value *tg_build_splat(tg_builder *b, tg_value *scalar, int64_t lanes);
tg_value *tg_build_extract(tg_builder *b, tg_value *vec, int64_t lane);
tg_value *tg_build_insert(tg_builder *b, tg_value *vec, tg_value *scalar, int64_t lane);
tg_value *tg_build_shuffle(tg_builder *b, tg_value *x, tg_value *y, int64_t lanes,
                           const int64_t *mask);
tg_value *tg_build_reducev(tg_builder *b, tg_reduce_kind kind, tg_value *vec);
tg_value *tg_build_pmask(tg_builder *b, tg_value *n, int64_t lanes);
/* u64: bit l is lane l of a bool vector. */
tg_value *tg_build_maskbits(tg_builder *b, tg_value *mask);

/* SIMT functions. tg_build_array appends at the top of the function's body whatever the insertion
 * point is; offset is that of shared memory (ignored for private arrays); name may be NULL. Indices
 * are i32; `align` in elements (0 or 1: none). */
tg_value *tg_build_array(tg_builder *b, tg_space space, tg_dtype t, int64_t n, int64_t offset,
                         const char *name);
tg_value *tg_build_aload(tg_builder *b, const tg_type *t, tg_value *array, tg_value *index,
                         int64_t align);
tg_op *tg_build_astore(tg_builder *b, tg_value *array, tg_value *index, tg_value *v, int64_t align);
/* expected: of CAS, else NULL. */
tg_value *tg_build_aatomic(tg_builder *b, tg_atomic_kind kind, tg_value *array, tg_value *index,
                           tg_value *v, tg_value *expected);
/* lanes: of the role; 0: all of the program. */
tg_op *tg_build_barrier(tg_builder *b, tg_fence fence, int64_t lanes);
/* Those `lanes` that name the i32 id; NULL: as above, or, at the loop level, sub-groups of `lanes`.
 */
tg_op *tg_build_named_barrier(tg_builder *b, tg_fence fence, int64_t lanes, tg_value *id);
tg_value *tg_build_shfl(tg_builder *b, tg_shuffle_mode mode, tg_value *x, tg_value *which);
tg_value *tg_build_ballot(tg_builder *b, tg_value *x, tg_dtype mask); /* mask: u32 or u64 */
/* A machine instruction by name (backends/llvm/intrinsics.def). */
tg_value *tg_build_intrinsic(tg_builder *b, const char *name, const tg_type *type, int n,
                             tg_value **args);
/* Asynchronous copies: `bytes` from ptr to array[index]; the end of a group; all but n landed. */
tg_op *tg_build_acopy(tg_builder *b, tg_value *array, tg_value *index, tg_value *ptr,
                      int64_t bytes);
tg_op *tg_build_agroup(tg_builder *b);
tg_op *tg_build_aland(tg_builder *b, int64_t n);
/* Barriers in shared memory: element i32 index of a shared u64 array. `who` and parity: ir/ops.def.
 */
tg_op *tg_build_mbar_init(tg_builder *b, tg_value *array, tg_value *index, int64_t n);
tg_op *tg_build_mbar_arrive(tg_builder *b, tg_value *array, tg_value *index, tg_value *who);
tg_op *tg_build_mbar_expect(tg_builder *b, tg_value *array, tg_value *index, tg_value *bytes,
                            tg_value *who);
tg_op *tg_build_mbar_copied(tg_builder *b, tg_value *array, tg_value *index);
tg_op *tg_build_mbar_wait(tg_builder *b, tg_value *array, tg_value *index, tg_value *parity);
tg_op *tg_build_setregs(tg_builder *b, int64_t n, bool fewer);
/* A map of a tensor: extents of `rank` axes, strides of all but the first, box; innermost first. */
tg_value *tg_build_tmap(tg_builder *b, tg_dtype t, int rank, tg_value *address,
                        tg_value *const *extents, tg_value *const *strides, const int64_t *box,
                        int64_t swizzle);
tg_value *tg_build_tmap_ok(tg_builder *b, tg_value *map);
/* at: i32, one an axis of the map. */
tg_op *tg_build_tcopy(tg_builder *b, tg_value *map, tg_value *array, tg_value *index,
                      tg_value *bars, tg_value *bar, tg_value *who, tg_value *const *at);
/* Fragments of a matrix unit's parts; strides of rows and columns in elements. */
tg_value *tg_build_fragload(tg_builder *b, const tg_matrix_unit *u, tg_matrix_part part,
                            tg_value *array, tg_value *index, const int64_t strides[2],
                            int64_t align);
tg_op *tg_build_fragstore(tg_builder *b, const tg_matrix_unit *u, tg_matrix_part part,
                          tg_value *array, tg_value *index, tg_value *v, const int64_t strides[2]);
tg_value *tg_build_mma(tg_builder *b, const tg_matrix_unit *u, tg_value *x, tg_value *y,
                       tg_value *acc);
tg_op *tg_build_pfence(tg_builder *b);
tg_op *tg_build_gfence(tg_builder *b);
tg_op *tg_build_gcommit(tg_builder *b);
/* values[i] becomes what it is behind the wait for all but n groups. */
tg_op *tg_build_gwait(tg_builder *b, int64_t n, int count, tg_value **values);
/* a: array with a_index, or (a_index NULL) a fragment; acc NULL: 0, `type` the accumulator's. */
tg_value *tg_build_gmma(tg_builder *b, const tg_matrix_unit *u, const tg_type *type, tg_value *a,
                        tg_value *a_index, tg_value *b_array, tg_value *b_index, tg_value *acc,
                        const tg_gmma_operand how[2]);
/* What a SIMT function starts from: a tg_func of role "simt" with its five body arguments in the
 * order of docs/placed.md. */
typedef struct tg_simt_args {
    tg_value *slots, *program, *lane, *scratch, *report;
} tg_simt_args;
tg_func *tg_build_simt_func(tg_module *m, const char *name, int64_t lanes, tg_simt_args *out);

#endif
