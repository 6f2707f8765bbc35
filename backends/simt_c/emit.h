/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the SIMT C printer: loop IR of SIMT functions in, C text of one dialect out.
 *
 *   emit.c     the door: kernels, their arguments, helpers, names
 *   control.c  statements: for, while, if, assignments, traps
 *   expr.c     arithmetic as expressions
 *   cast.c     conversions and constants
 *   memory.c   device memory, arrays, atomics, vectors
 *   range.c    intervals of integers: where plain signed arithmetic cannot overflow
 *   dialect.c  spellings of OpenCL C
 *   hip.c      of HIP C++
 *   cuda.c     of CUDA C++
 *   prelude/   what these lack of OpenCL C, printed in front
 *
 * A value used once becomes part of its user's expression where that keeps the order of memory
 * effects; others become variables. Index arithmetic (i64) whose interval fits in 32 bits is done
 * in `int`. Signed arithmetic that may overflow goes through the unsigned type.
 */
#ifndef TG_SIMT_C_EMIT_H
#define TG_SIMT_C_EMIT_H

#include "backends/backend.h"

/* Precedence of an expression's outermost operator, C's order. */
enum {
    TG_PREC_COND = 3,
    TG_PREC_LOR,
    TG_PREC_LAND,
    TG_PREC_OR,
    TG_PREC_XOR,
    TG_PREC_AND,
    TG_PREC_EQ,
    TG_PREC_REL,
    TG_PREC_SHIFT,
    TG_PREC_ADD,
    TG_PREC_MUL,
    TG_PREC_UNARY,
    TG_PREC_PRIMARY
};

/* How a dialect says things. */
typedef struct tg_c_dialect {
    const char *name, *file_head;
    const char *(*prelude)(void); /* NULL, or what the language lacks of OpenCL C */
    const char *kernels_head;     /* between the functions that kernels call and the kernels */
    const char *function;         /* before the type of a function that kernels call */
    const char *kernel_head;      /* printf format: lanes; what stands before a kernel's name */
    const char *device, *shared, *shared_pointer; /* qualifiers of memory; of pointers to it (with a
                                                     space behind, or nothing) */
    const char *list; /* printf format: vector type; what stands before a vector's elements */
    const char *file_end;
    bool subgroups; /* values pass between lanes: shfl_xor, ..., ballot */
    bool addresses; /* slots hold addresses; else buffers are arguments and slots offsets */
    const char *contract_off;
    const char *extension_f64, *extension_atomic64;
    const char *barrier_shared, *barrier_global, *barrier_all;
    const char *group_x, *group_y, *groups_x, *lane;
} tg_c_dialect;
const char *tg_c_hip_prelude(void), *tg_c_cuda_prelude(void); /* prelude/ */
extern const tg_c_dialect tg_c_opencl, tg_c_hip, tg_c_cuda;

typedef struct tg_c_expr {
    const char *text;
    int prec;
} tg_c_expr;

typedef struct tg_c_range {
    int64_t lo, hi;
    bool known;
} tg_c_range;

/* What is known and printed of one SSA value. */
typedef struct tg_c_value {
    tg_c_expr expr; /* text NULL: not yet */
    tg_c_range range;
    bool ranged;
    bool reads; /* the expression reads memory */
} tg_c_value;

typedef struct tg_c_emitter {
    const tg_c_dialect *dialect;
    tg_arena *arena;
    tg_sink *sink;
    tg_sb *out;
    tg_func *func;
    tg_c_value *values;            /* by tg_value.id */
    TG_LIST(const char *) names;   /* taken in this function */
    TG_LIST(const char *) helpers; /* names of helper functions already printed */
    tg_sb helper_text;
    int indent, last_line;
    bool on_cpu; /* for OpenCL devices that are CPUs */
    bool failed;
} tg_c_emitter;

/* emit.c */
void tg_c_refuse(tg_c_emitter *e, const tg_op *op, const char *fmt, ...) TG_PRINTF(3, 4);
const char *tg_c_text(tg_c_emitter *e, const char *fmt, ...) TG_PRINTF(2, 3);
/* Begins a vector of the type written out, whose elements and `)` follow. */
void tg_c_list(tg_c_emitter *e, tg_sb *sb, const char *type);
/* A free identifier like hint. */
const char *tg_c_name(tg_c_emitter *e, const char *hint, const tg_type *t);
/* Prints helper `name` (whole definition `text`) before the kernels, once. */
void tg_c_helper(tg_c_emitter *e, const char *name, const char *text);
tg_c_value *tg_c_value_of(tg_c_emitter *e, const tg_value *v);
/* The operand as text that may stand where `prec` binds: parenthesised when it binds less. */
const char *tg_c_at(tg_c_emitter *e, const tg_value *v, int prec);
const char *tg_c_paren(tg_c_emitter *e, tg_c_expr x, int prec);

/* Types: the C name of a dtype as carried (u8, u16 for storage floats), of a value, of memory. */
const char *tg_c_scalar(tg_dtype t);
const char *tg_c_type(tg_c_emitter *e, const tg_type *t);
/* Of a value: i64 whose interval fits 32 bits is int. */
const char *tg_c_value_type(tg_c_emitter *e, const tg_value *v);
bool tg_c_is_narrow(tg_c_emitter *e, const tg_value *v);
const char *tg_c_memory_type(tg_dtype t); /* bool is uchar */
static inline int64_t tg_c_lanes(const tg_type *t) {
    return t->kind == TG_TY_VEC ? t->shape[0] : 1;
}
const char *tg_c_lane(tg_c_emitter *e, const tg_value *v, int64_t lane); /* component */

/* range.c */
tg_c_range tg_c_range_of(tg_c_emitter *e, const tg_value *v);

/* expr.c, cast.c, memory.c: the expression of op's result; text NULL after a refusal. */
tg_c_expr tg_c_arith(tg_c_emitter *e, const tg_op *op);
tg_c_expr tg_c_constant(tg_c_emitter *e, const tg_op *op);
tg_c_expr tg_c_scalar_constant(tg_c_emitter *e, const tg_op *op); /* one lane's */
tg_c_expr tg_c_cast(tg_c_emitter *e, const tg_op *op);
tg_c_expr tg_c_bitcast(tg_c_emitter *e, const tg_op *op);
/* Minimum or maximum by ops.def, as a call of a helper made for the type. */
const char *tg_c_minmax(tg_c_emitter *e, bool max, const tg_type *t);
tg_c_expr tg_c_read(tg_c_emitter *e, const tg_op *op);
tg_c_expr tg_c_vector(tg_c_emitter *e, const tg_op *op);
void tg_c_write(tg_c_emitter *e, const tg_op *op);

/* control.c */
void tg_c_line(tg_c_emitter *e, const char *fmt, ...) TG_PRINTF(2, 3);
void tg_c_region(tg_c_emitter *e, const tg_region *r);
/* A barrier at the end of a region that has one: see control.c. */
void tg_c_close_barriers(tg_c_emitter *e, const tg_region *r);

#endif
