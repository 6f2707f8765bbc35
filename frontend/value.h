/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the elaborator computes with. Elaboration is one walk of a kernel's syntax tree for concrete
 * compile-time bindings: compile-time values fold, runtime values become tile IR, and only here a
 * runtime tile also has
 *   - an identity per axis (the span it came from), for the alignment rule R3;
 *   - presence: a conjunction of predicates, each over a set of its axes (R1..R10);
 *   - a symbolic form of its integer elements, for the documented proofs (docs/presence.md).
 * Nothing of the three reaches the IR but as mask operands.
 *
 * Values are immutable once made; everything lives in the program's arena.
 */
#ifndef TG_FRONTEND_VALUE_H
#define TG_FRONTEND_VALUE_H

#include "frontend/program.h"
#include "ir/build.h"

/*
 * Symbolic integers are dimension expressions (interned, sums in normal form). Symbols below
 * TG_ATOM_BASE are the kernel's runtime dimension names; the others are the elaborator's atoms.
 */
#define TG_ATOM_BASE 0x10000

typedef enum tg_atom_kind {
    TG_ATOM_SCALAR, /* scalar parameter */
    TG_ATOM_GRID,   /* first position of a program along a grid axis */
    TG_ATOM_LOOP,   /* loop variable, or first position of a loop's span */
    TG_ATOM_POS,    /* position along an axis of a span, a range or an iota */
    TG_ATOM_READ,   /* element of a tensor that the launch does not write */
    TG_ATOM_VALUE   /* any other runtime value */
} tg_atom_kind;

#define TG_ATOM_BOUNDS 4

typedef struct tg_atom {
    tg_atom_kind kind;
    int index; /* SCALAR, READ: parameter (READ below 0: a computed tile); GRID: axis */
    int axis;  /* POS: axis of the tile that it runs along */
    const struct tg_identity *span; /* POS */
    const void *key;                /* VALUE: what it stands for */
    const tg_dim **at;              /* READ: the indices, one per tensor axis */
    int n_at;
    const tg_dim *lower[TG_ATOM_BOUNDS], *upper[TG_ATOM_BOUNDS]; /* inclusive */
    int n_lower, n_upper;
    int64_t step; /* GRID: distance to the next program */
} tg_atom;

/*
 * What a span is: positions start .. min(start + n, hi). Two axes are aligned when they have one
 * identity. A constant range and `:` share the type; they name no axis (`is_range`).
 */
typedef struct tg_identity {
    const char *name; /* as written; NULL for an expression */
    tg_span where;
    int64_t n;
    const tg_dim *start;        /* first position of this block */
    const tg_dim *lo, *hi;      /* of the whole range */
    tg_value *ir_start, *ir_hi; /* i64; NULL when start/hi are launch constants */
    tg_value *ir;               /* the span; NULL: rebuilt where used */
    bool full;                  /* every position is present (proven) */
    bool is_range;              /* `a:b` or `:`: anonymous axis */
    int grid_axis;              /* -1: none */
    int loop;                   /* number of the loop that it belongs to; -1 */
} tg_identity;

typedef enum tg_pred_kind {
    TG_PRED_SPAN,  /* position + shift below hi, and inside [0, extent) unless extent is NULL */
    TG_PRED_INDEX, /* 0 <= index < extent */
    TG_PRED_MASK   /* a bool value */
} tg_pred_kind;

struct tg_preds_of {
    const struct tg_pred **items;
    int n;
};

/* One predicate of presence. Mask axis m belongs to tile axis axes[m]. */
typedef struct tg_pred {
    tg_pred_kind kind;
    bool chosen; /* the author's `if`: R9 passes it as a store mask */
    bool soft;   /* of a lone scalar read: seen by else and exists only */
    int n_axes;
    uint8_t axes[TG_MAX_RANK];
    const tg_identity *span; /* SPAN */
    tg_value *ir_shift;      /* SPAN: NULL when shift is a launch constant */
    const tg_dim *shift;     /* SPAN */
    tg_value *index;         /* INDEX, MASK */
    const tg_dim *index_sym; /* INDEX of a scalar: its symbolic value */
    const tg_dim *extent;    /* SPAN, INDEX */
    tg_span where;           /* what was indexed */
    const struct tg_pred
        *split_from; /* MASK: this predicate of one axis, which a reshape cut into these axes */
    struct tg_preds_of leaves; /* MASK of where(c, x, y): it follows from these together */
} tg_pred;

typedef struct tg_preds_of tg_preds;

typedef enum tg_val_kind {
    TG_VAL_ERROR, /* reported; silent from here on */
    TG_VAL_INT,   /* compile-time, adapts to the other operand's type */
    TG_VAL_FLOAT,
    TG_VAL_BOOL,
    TG_VAL_STRING,
    TG_VAL_TYPE,
    TG_VAL_FN,
    TG_VAL_DIM, /* runtime dimension: an i64 scalar made where it is used (sym) */
    TG_VAL_TUPLE,
    TG_VAL_TILE, /* runtime; rank 0 is a scalar */
    TG_VAL_SPAN,
    TG_VAL_REF, /* a tensor, or a record element of one, indexed so far */
    TG_VAL_VOID
} tg_val_kind;

typedef struct tg_val tg_val;
typedef struct tg_record tg_record;

/* One index of a reference. */
typedef enum tg_at_kind { TG_AT_SCALAR, TG_AT_SPAN, TG_AT_TILE, TG_AT_RANGE } tg_at_kind;
typedef struct tg_at {
    tg_at_kind kind;
    const tg_val *val;       /* SCALAR, TILE */
    const tg_identity *span; /* SPAN, RANGE */
    const tg_dim *shift;     /* SPAN: positions are shifted by this much */
    tg_value *ir_shift;      /* SPAN: NULL when shift is a launch constant */
    const tg_dim *sym;       /* generic element, POS atoms along axis 0.. of the index itself */
    tg_span where;
} tg_at;

typedef struct tg_ref {
    int param;               /* parameter number */
    tg_value *tensor;        /* IR: the parameter or a view of it */
    const tg_record *record; /* of the current element, or NULL */
    int n_at;                /* indices given so far; the rest of the axes is taken whole */
    bool indexed;            /* some index was given */
    tg_at at[TG_MAX_RANK];
    const tg_dim *dims[TG_MAX_RANK]; /* all extents of `tensor` */
    int rank;
} tg_ref;

struct tg_val {
    tg_val_kind kind;
    tg_span where;
    int64_t i;                /* INT, BOOL */
    double f;                 /* FLOAT */
    const char *s;            /* STRING */
    tg_dtype dtype;           /* TYPE */
    const tg_record *record;  /* TYPE of a record */
    const tg_decl *decl;      /* FN */
    const tg_val **items;     /* TUPLE */
    const char *const *names; /* TUPLE: field names or NULL */
    int n;
    tg_value *ir;                       /* TILE */
    const tg_identity *id[TG_MAX_RANK]; /* TILE: NULL is anonymous */
    tg_preds preds;                     /* TILE */
    tg_preds implies;                   /* bool TILE: predicates that hold wherever it is true */
    const tg_dim *sym; /* integer TILE: symbolic element; bool scalar: the comparison; or NULL */
    bool adapts;       /* TILE: a runtime dimension; meets floats as a constant does */
    const tg_identity *span; /* SPAN */
    const tg_ref *ref;       /* REF */
};

/* A record's layout for given parameters. */
typedef struct tg_record_field {
    const char *name;
    tg_dtype dtype; /* RECORD: nested */
    const tg_record *record;
    int64_t offset_bytes, elem_bytes; /* elem_bytes: of a nested record */
    int rank;
    int64_t dims[TG_MAX_RANK];
    int64_t strides[TG_MAX_RANK]; /* bytes; 0 for the packed axis of a sub-byte type */
    int64_t bytes;
} tg_record_field;

struct tg_record {
    const tg_decl *decl;
    const int64_t *args;
    int n_args;
    tg_record_field *fields;
    int n_fields;
    int64_t bytes;
    const tg_record *next;
};

/* ---- the elaborator's state ----------------------------------------------------------------- */

typedef struct tg_slot { /* one name */
    const char *name;
    const tg_val *val;
    bool is_var;
    tg_span where;
    struct tg_slot *next;
} tg_slot;

typedef struct tg_scope {
    tg_slot *first;
    struct tg_scope *up;
} tg_scope;

typedef struct tg_access { /* one read or write of a parameter, for the race and cover proofs */
    int param;
    bool write, disjoint, atomic;
    int n_at;
    const tg_dim *sym[TG_MAX_RANK]; /* symbolic index or NULL */
    int rank;                       /* of the value */
    int64_t shape[TG_MAX_RANK];
    const tg_identity *span[TG_MAX_RANK]; /* unshifted span or range, else NULL */
    tg_span where;
} tg_access;

typedef struct tg_loop { /* enclosing runtime loops and conditions */
    tg_region *region;
    const tg_dim *lo, *hi; /* NULL: a condition or `while` */
    const tg_dim *atom;
    struct tg_loop *up;
} tg_loop;

/* A box of an output that is certainly written: per axis the whole extent or [lo, hi). */
typedef struct tg_box {
    int param;
    int n_at;
    bool all[TG_MAX_RANK];
    int64_t lo[TG_MAX_RANK], hi[TG_MAX_RANK];
} tg_box;

typedef struct tg_dims_env { /* dimension names of a kernel or op */
    TG_LIST(tg_sym) syms;
} tg_dims_env;

typedef struct tg_elab {
    tg_program *p;
    tg_arena *a;
    tg_sink *sink;
    tg_module *m;
    tg_func *f;
    tg_builder b;
    tg_decl *decl;       /* the kernel */
    const tg_file *file; /* where names are looked up now */
    tg_scope *scope;
    tg_scope *root; /* the kernel's compile-time names and parameters */
    tg_ast_param *ast_params;
    int n_params;
    tg_param *params;
    tg_value **args;                 /* values of the parameters in the current region */
    const tg_record **param_records; /* NULL where a parameter holds no records */
    bool *written;                   /* parameter is stored to somewhere in the body */
    tg_dims_env dims;
    TG_LIST(const tg_dim *) facts; /* requires */
    TG_LIST(tg_atom *) atoms;
    TG_LIST(tg_identity *) ranges; /* interned constant ranges */
    TG_LIST(tg_access) accesses;
    TG_LIST(tg_box) boxes;
    TG_LIST(tg_record *) records;
    tg_loop *loops;
    int n_loops;
    const tg_dim *grid_extent[TG_MAX_RANK];
    const tg_dim *grid_atom[TG_MAX_RANK];
    int n_grid;
    int fn_depth, expr_depth;
    int64_t steps;
    int n_elements;          /* tiles that tg_sy_element named */
    int errors;              /* errors of this kernel, repeats included */
    bool fast;               /* inside a `fast fn` */
    bool in_grid;            /* elaborating the grid's extents */
    const tg_val **returned; /* where `return` leaves its value */
    const tg_setting *settings;
    int n_settings;
    const tg_target_query *target;
} tg_elab;

/* ---- values (elab_value.c) ------------------------------------------------------------------ */

extern const tg_val tg_val_error, tg_val_void;
tg_val *tg_el_new(tg_elab *e, tg_val_kind kind, tg_span where);
const tg_val *tg_el_int(tg_elab *e, int64_t v, tg_span where);
const tg_val *tg_el_float(tg_elab *e, double v, tg_span where);
const tg_val *tg_el_bool(tg_elab *e, bool v, tg_span where);
/* A runtime value without identity or presence. */
tg_val *tg_el_tile(tg_elab *e, tg_value *ir, tg_span where);
tg_val *tg_el_copy(tg_elab *e, const tg_val *v);
const tg_val *tg_el_tuple(tg_elab *e, int n, const tg_val *const *items, const char *const *names,
                          tg_span where);
/* Whether a tile of this shape is small enough; reports when it is not. */
bool tg_el_fits(tg_elab *e, int rank, const int64_t *shape, tg_span where);
bool tg_el_is_error(const tg_val *v);
bool tg_el_is_const(const tg_val *v); /* INT, FLOAT, BOOL */
/* "f32[64, 128]", "a span", ...: for messages. */
const char *tg_el_describe(tg_elab *e, const tg_val *v);
/* The runtime form: spans become positions, references load, constants stay. NULL after an error.
 */
const tg_val *tg_el_rvalue(tg_elab *e, const tg_val *v);
/* As rvalue, and constants become scalars: int i64, float f32, bool. */
const tg_val *tg_el_runtime(tg_elab *e, const tg_val *v);
/* A constant as a scalar of a type; reports when it does not fit. NULL after an error. */
const tg_val *tg_el_adapt(tg_elab *e, const tg_val *v, tg_dtype t);
int tg_el_rank(const tg_val *v);
int64_t tg_el_extent(const tg_val *v, int axis);
tg_dtype tg_el_dtype(const tg_val *v);
tg_diag *tg_el_error(tg_elab *e, tg_diag_id id, tg_span where, const char *fmt, ...)
    TG_PRINTF(4, 5);
const char *tg_el_text(tg_elab *e, const tg_expr *x);
/* Erases an op with everything in its regions. */
void tg_el_erase(tg_op *op);

/* ---- symbolic integers (symbolic.c) --------------------------------------------------------- */

const tg_dim *tg_sy_int(tg_elab *e, int64_t v);
/* NULL when an operand is. */
const tg_dim *tg_sy_bin(tg_elab *e, tg_dim_code code, const tg_dim *a, const tg_dim *b);
tg_atom *tg_sy_atom_new(tg_elab *e, tg_atom_kind kind, const tg_dim **out);
const tg_atom *tg_sy_atom(const tg_elab *e, const tg_dim *d); /* NULL: not an atom */
/* exact: the read is known to lie inside (elsewhere a scalar read gives 0). */
const tg_dim *tg_sy_read(tg_elab *e, int param, const tg_dim *const *at, int n_at, bool exact);
/* Generic element of a computed integer tile, between lo and hi; not to be repeated for one tile.
 */
const tg_dim *tg_sy_element(tg_elab *e, int rank, const int64_t *shape, int64_t lo, int64_t hi,
                            tg_span where);
const tg_dim *tg_sy_scalar(tg_elab *e, int param);
const tg_dim *tg_sy_value(tg_elab *e, const void *key);
const tg_dim *tg_sy_pos(tg_elab *e, const tg_identity *span, int axis);
/* Takes a condition that holds from here on; facts.count undoes it. */
void tg_sy_assume(tg_elab *e, const tg_dim *d, bool holds);
void tg_sy_lower(tg_elab *e, tg_atom *a, const tg_dim *bound);
void tg_sy_upper(tg_elab *e, tg_atom *a, const tg_dim *bound);
/* Replaces atom `from` by `to` everywhere, inside reads too. */
const tg_dim *tg_sy_subst(tg_elab *e, const tg_dim *d, const tg_dim *from, const tg_dim *to);
/* Renames POS atoms' axes: axis a becomes map[a]; map[a] < 0 or a missing axis gives NULL. */
const tg_dim *tg_sy_remap(tg_elab *e, const tg_dim *d, const int *map, int n);
bool tg_sy_has_pos(const tg_elab *e, const tg_dim *d);
/* d = coef * atom + rest with rest free of the atom; false when it is not linear in it. */
bool tg_sy_linear(tg_elab *e, const tg_dim *d, const tg_dim *atom, int64_t *coef,
                  const tg_dim **rest);
/* True when the launch alone decides it: no atoms. */
bool tg_sy_launch(const tg_elab *e, const tg_dim *d);
bool tg_sy_const(const tg_dim *d, int64_t *out);

#define TG_SY_MAX 16
typedef struct tg_sy_set {
    const tg_dim *items[TG_SY_MAX];
    int n;
} tg_sy_set;
/* Which atoms a bound may still mention; kept(user, atom) true. */
typedef struct tg_sy_keep {
    bool (*fn)(const struct tg_sy_keep *self, const tg_elab *e, const tg_atom *a);
    unsigned grid; /* bit per grid axis that stays */
} tg_sy_keep;
/* Inclusive bounds of d free of atoms that keep refuses (keep NULL: none stays but reads). */
void tg_sy_bounds(tg_elab *e, const tg_dim *d, bool upper, const tg_sy_keep *keep, tg_sy_set *out);
/* d >= 0 for every value of its names: runtime dims are >= 0, facts are used. */
bool tg_sy_nonneg(tg_elab *e, const tg_dim *d);
/* Some bound shows 0 <= d; some bound shows d < extent. */
bool tg_sy_at_least_0(tg_elab *e, const tg_dim *d);
bool tg_sy_below(tg_elab *e, const tg_dim *d, const tg_dim *extent);
/* Factors are so small that nothing wraps at 64 bits. */
bool tg_sy_small(const tg_dim *d);
bool tg_sy_divisible(tg_elab *e, const tg_dim *d, int64_t n);

/* ---- presence (presence.c) ------------------------------------------------------------------ */

void tg_pr_add(tg_elab *e, tg_preds *to, const tg_pred *p);
void tg_pr_join(tg_elab *e, tg_preds *to, const tg_preds *from);
bool tg_pr_implied(tg_elab *e, const tg_preds *by, const tg_pred *p); /* p follows from one of by */
bool tg_pr_mentions(const tg_pred *p, int axis);
/* Copy with axes renamed (map[a] >= 0 for all its axes). */
const tg_pred *tg_pr_remap(tg_elab *e, const tg_pred *p, const int *map);
/* The predicate's mask, of rank n_axes, built here. extents: of the tile it belongs to. */
tg_value *tg_pr_mask(tg_elab *e, const tg_pred *p, const int64_t *extents);
const tg_pred *tg_pr_from_mask(tg_elab *e, tg_value *mask, int n_axes, const int *axes,
                               tg_span where);
/* Conjunction as a bool tile of the shape; NULL when there is none. */
tg_value *tg_pr_conj(tg_elab *e, const tg_preds *ps, int rank, const int64_t *shape);
/* Predicate of a span index (NULL: proven present). */
const tg_pred *tg_pr_span(tg_elab *e, const tg_identity *span, const tg_dim *shift,
                          tg_value *ir_shift, const tg_dim *extent, int axis, tg_span where);
const tg_pred *tg_pr_index(tg_elab *e, const tg_val *index, const tg_dim *extent, const int *axes,
                           tg_span where);
/* True when the predicate uses something defined inside the region. */
bool tg_pr_inside(const tg_pred *p, const tg_region *r);
bool tg_el_value_inside(const tg_value *v, const tg_region *r);
/* R4: presence of where(c, x, y); all already of one shape. */
void tg_pr_where(tg_elab *e, tg_val *result, const tg_val *c, const tg_val *x, const tg_val *y);
/* "where x[i - 1] does not exist": words for a predicate. */
const char *tg_pr_words(tg_elab *e, const tg_pred *p);

/* ---- spans (elab_index.c) ------------------------------------------------------------------- */

/* A span as the author names it. */
const char *tg_el_span_name(tg_elab *e, const tg_identity *s);
tg_identity *tg_el_identity(tg_elab *e, const char *name, tg_span where, int64_t n);
const tg_identity *tg_el_range(tg_elab *e, const tg_dim *lo, const tg_dim *hi, int64_t n,
                               tg_span where);
tg_value *tg_el_span_ir(tg_elab *e, const tg_identity *s, const tg_dim *shift, tg_value *ir_shift);
const tg_val *tg_el_positions(tg_elab *e, const tg_identity *s, tg_span where);
const tg_val *tg_el_index(tg_elab *e, const tg_val *x, const tg_index *items, int n, tg_span where);
const tg_val *tg_el_field(tg_elab *e, const tg_val *x, tg_ident name, tg_span where);
const tg_val *tg_el_load(tg_elab *e, const tg_ref *ref, tg_span where);
void tg_el_store(tg_elab *e, const tg_ref *ref, const tg_val *value, const tg_val *mask,
                 bool disjoint, tg_span where);
typedef struct tg_atomic_args {
    tg_atomic_kind kind;
    const tg_val *value, *expected;
    bool unordered;
    const char *scope;
} tg_atomic_args;
const tg_val *tg_el_atomic(tg_elab *e, const tg_ref *ref, const tg_atomic_args *args,
                           tg_span where);
bool tg_el_ref_empty(tg_elab *e, const tg_ref *ref);

/* ---- tile operations (elab_tile.c) ---------------------------------------------------------- */

/* Rows of operands brought to one shape (R3). */
bool tg_el_align(tg_elab *e, int n, const tg_val **vals, tg_span where);
/* The common arithmetic type of operands, constants adapted; movement: small floats keep theirs. */
bool tg_el_promote(tg_elab *e, int n, const tg_val **vals, bool movement, tg_span where);
const tg_val *tg_el_binary(tg_elab *e, tg_binop op, const tg_val *a, const tg_val *b,
                           tg_span where);
const tg_val *tg_el_unary(tg_elab *e, tg_unop op, const tg_val *a, tg_span where);
const tg_val *tg_el_minmax(tg_elab *e, bool max, const tg_val *a, const tg_val *b, tg_span where);
const tg_val *tg_el_matmul(tg_elab *e, const tg_val *a, const tg_val *b, const tg_val *acc,
                           tg_dot_numeric numeric, tg_span where);
bool tg_el_matmul_acc_ok(const tg_val *a, const tg_val *b, const tg_val *acc);
const tg_val *tg_el_cast(tg_elab *e, const tg_val *a, tg_dtype to, tg_round round, bool sat,
                         tg_span where);
const tg_val *tg_el_where(tg_elab *e, const tg_val *c, const tg_val *x, const tg_val *y,
                          tg_span where);
const tg_val *tg_el_else(tg_elab *e, const tg_val *x, const tg_val *v, tg_span where);
const tg_val *tg_el_if(tg_elab *e, const tg_val *x, const tg_val *c, tg_span where);
const tg_val *tg_el_exists(tg_elab *e, const tg_val *x, tg_span where);
/* Value made of ir with identity, presence and nothing symbolic taken from the aligned operands. */
tg_val *tg_el_result(tg_elab *e, tg_value *ir, int n, const tg_val *const *from, tg_span where);
/* Drops the predicates that only else and exists may see. */
const tg_val *tg_el_harden(tg_elab *e, const tg_val *v);

/* ---- shape (elab_shape.c) ------------------------------------------------------------------- */

const tg_val *tg_el_reshape(tg_elab *e, const tg_val *x, int rank, const int64_t *shape,
                            tg_span where);
const tg_val *tg_el_permute(tg_elab *e, const tg_val *x, const int *perm, tg_span where);
const tg_val *tg_el_broadcast(tg_elab *e, const tg_val *x, int rank, const int64_t *shape,
                              tg_span where);
const tg_val *tg_el_tile_index(tg_elab *e, const tg_val *x, const tg_index *items, int n,
                               tg_span where);
const tg_val *tg_el_concat(tg_elab *e, int n, const tg_val *const *xs, int axis, tg_span where);
/* Adds extent-1 axes in front or as listed: new_axes bit r set: result axis r is new. */
const tg_val *tg_el_new_axes(tg_elab *e, const tg_val *x, unsigned new_axes, tg_span where);
/* Drops the extent-1 axis. */
const tg_val *tg_el_squeeze(tg_elab *e, const tg_val *x, int axis, tg_span where);

/* ---- along an axis (elab_reduce.c) ---------------------------------------------------------- */

const tg_val *tg_el_reduce(tg_elab *e, tg_reduce_kind kind, const tg_val *x, int axis,
                           tg_span where);
/* Mask operand for an op along `axis`, or NULL; *keep gets the predicates that stay. */
tg_value *tg_el_axis_mask(tg_elab *e, const tg_val *x, int axis, bool rank1, tg_preds *keep);
const tg_val *tg_el_reduce_all(tg_elab *e, tg_reduce_kind kind, const tg_val *x, tg_span where);
const tg_val *tg_el_mean(tg_elab *e, const tg_val *x, int axis, tg_span where);
const tg_val *tg_el_scan(tg_elab *e, tg_reduce_kind kind, const tg_val *x, int axis, bool exclusive,
                         tg_span where);
const tg_val *tg_el_sort(tg_elab *e, int n, const tg_val *const *xs, int axis, bool desc,
                         tg_span where);
const tg_val *tg_el_topk(tg_elab *e, const tg_val *x, int64_t k, int axis, tg_span where);
const tg_val *tg_el_rank_by_key(tg_elab *e, const tg_val *key, int64_t n, tg_span where);
const tg_val *tg_el_compress(tg_elab *e, const tg_val *x, const tg_val *mask, tg_span where);
const tg_val *tg_el_histogram(tg_elab *e, const tg_val *bin, const tg_val *weight, int64_t n,
                              tg_span where);
const tg_val *tg_el_scatter_add(tg_elab *e, const tg_val *t, const tg_val *i, const tg_val *v,
                                tg_span where);
const tg_val *tg_el_user_reduce(tg_elab *e, const tg_val *x, const tg_decl *fn, const tg_val *init,
                                int axis, tg_span where);

/* ---- calls (elab_call.c) -------------------------------------------------------------------- */

const tg_val *tg_el_call(tg_elab *e, const tg_expr *x);
const tg_val *tg_el_call_fn(tg_elab *e, const tg_decl *fn, const tg_expr *x);
const tg_val *tg_el_inline(tg_elab *e, const tg_decl *fn, int n, const tg_val *const *args,
                           tg_span where);
typedef struct tg_call_args { /* evaluated arguments of a built-in */
    const tg_expr *call;
    const tg_val **pos;
    const tg_expr **pos_expr;
    int n_pos;
    bool has_axis;
    int64_t axis;
    const tg_val *desc; /* `desc = true` */
    bool keep;          /* `keep = true`: the combined axis stays, with extent 1 */
    tg_span where;
} tg_call_args;

bool tg_el_is_builtin(const char *name);
/* Every name in a function's body means something (names.c). */
void tg_el_check_names(tg_program *p, const tg_decl *fn);

/* ---- expressions and statements ------------------------------------------------------------- */

const tg_val *tg_el_expr(tg_elab *e, const tg_expr *x);  /* may be a span, tensor, type ... */
const tg_val *tg_el_value(tg_elab *e, const tg_expr *x); /* rvalue of it */
const tg_val *tg_el_soft(tg_elab *e, const tg_expr *x);  /* rvalue, soft predicates kept */
bool tg_el_const_int(tg_elab *e, const tg_expr *x, const char *what, int64_t *out);
bool tg_el_type(tg_elab *e, const tg_type_expr *t, tg_dtype *dtype, const tg_record **record);
/* Element type and constant extents of a tile type. */
bool tg_el_tile_type(tg_elab *e, const tg_type_expr *t, tg_dtype *dtype, int *rank, int64_t *shape);
/* An i64 scalar; NULL after an error. */
const tg_val *tg_el_index_scalar(tg_elab *e, const tg_expr *x, const char *what);
void tg_el_block(tg_elab *e, const tg_block *b);
void tg_el_push(tg_elab *e);
void tg_el_pop(tg_elab *e);
tg_slot *tg_el_bind(tg_elab *e, const char *name, const tg_val *v, bool is_var, tg_span where);
tg_slot *tg_el_lookup(tg_elab *e, const char *name);
/* A name's meaning when no local has it: dims, constants, types, functions. NULL: unknown. */
const tg_val *tg_el_global(tg_elab *e, tg_ident name);

/* ---- dimension expressions (elab_dims.c) ---------------------------------------------------- */

/* Over compile-time integers and runtime dimension names; NULL after an error. A name that is
 * unknown becomes a new runtime dimension when `declare`. */
const tg_dim *tg_el_dim(tg_elab *e, const tg_expr *x, bool declare);
/* As tg_el_dim for what must be a condition (require, when); an extent must not be one. */
const tg_dim *tg_el_condition(tg_elab *e, const tg_expr *x, bool declare);
bool tg_el_is_condition(const tg_expr *x);
const tg_val *tg_el_dim_value(tg_elab *e, const tg_dim *d,
                              tg_span where); /* i64 in the body, or INT */
bool tg_el_setting_value(tg_elab *e, const char *text, tg_span where, const tg_val **out);
const char *tg_el_setting(const tg_elab *e, const char *name);
/* Deduces nothing: binds the compile-time parameters from the settings. False after an error. */
bool tg_el_bind_ct(tg_elab *e, const tg_ct_params *ct);
bool tg_el_params(tg_elab *e, const tg_ast_params *ps);

/* ---- records, schedules, proofs ------------------------------------------------------------- */

const tg_record *tg_el_record(tg_elab *e, const tg_decl *d, const tg_expr_list *args,
                              tg_span where);
const tg_record_field *tg_el_record_field(const tg_record *r, const char *name);
/* True when the record takes parameters. */
int tg_el_record_params(const tg_decl *d);
/* The record that a type names, of this file or of a module; NULL when it is none. */
const tg_decl *tg_el_record_named(tg_elab *e, const tg_type_expr *t);

/* Chosen values of tunes and other schedule keys, for variant `variant` of n (n-1: no runtime
 * guard). */
typedef struct tg_plan_set {
    const char *name, *value;
    const tg_val *val;
    bool is_tune;
} tg_plan_set;
typedef struct tg_plan {
    TG_LIST(tg_plan_set) sets;
} tg_plan;
/* Schedules of a kernel that match the target; runtime guards in *guards (one more variant than
 * guards). */
bool tg_el_schedule(tg_elab *e, int variant, tg_plan *out, const tg_dim **guard, int *n_variants);

void tg_el_check_races(tg_elab *e);
void tg_el_check_cover(tg_elab *e);

tg_elab *tg_elab_make(tg_program *p, tg_module *m);
tg_status tg_elab_kernel(tg_elab *e, tg_decl *d, const char *func_name, const tg_setting *settings,
                         int n_settings, const tg_target_query *target, int variant, tg_func **out,
                         const tg_dim **guard, int *n_variants);
tg_status tg_elab_hostop(tg_program *p, tg_decl *d, const tg_setting *settings, int n_settings,
                         const tg_target_query *target, tg_module *m);

#endif
