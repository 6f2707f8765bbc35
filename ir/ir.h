/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers every IR level shares: module, function, region, operation, value, type.
 *
 *   module ─ funcs ─ body region ─ ops ─ operands/results (values), attributes, nested regions
 *
 * SSA: a value is defined once, by an op or as a region argument. A region is one block; control
 * flow is structured (for, while, if with regions). Types, dimension expressions and strings are
 * interned per module: equal means pointer-equal. All memory belongs to the module's arena. Not
 * thread-safe; a module belongs to one thread at a time.
 */
#ifndef TG_IR_H
#define TG_IR_H

#include "ir/base/diag.h"
#include "ir/dtype.h"

typedef struct tg_module tg_module;
typedef struct tg_func tg_func;
typedef struct tg_region tg_region;
typedef struct tg_op tg_op;
typedef struct tg_value tg_value;
typedef struct tg_type tg_type;
typedef struct tg_dim tg_dim;
typedef struct tg_layout tg_layout; /* ir/layout.h */

/* ---- dimension expressions ------------------------------------------------------------------ */

/* Interned. Constants are folded and commutative operands ordered, so equal sums are pointer-equal.
 */
struct tg_dim {
    tg_dim_code code;
    int64_t value;       /* CONST; SYM: index into func->syms */
    const tg_dim *a, *b; /* operands of the rest */
    const tg_dim *next_hash;
};

/* ---- types ---------------------------------------------------------------------------------- */

typedef enum tg_type_kind {
    TG_TY_TILE,   /* dtype[shape], static extents; rank 0 = scalar. dtype is never RECORD */
    TG_TY_TENSOR, /* view of memory: dtype (or RECORD with elem_bytes), symbolic dims, runtime
                     strides */
    TG_TY_SPAN,   /* span<n>: positions lo .. min(hi, lo+n); shape[0] = n */
    TG_TY_VEC,    /* loop IR: short vector, shape[0] lanes */
    TG_TY_PTR,    /* loop IR: byte address */
    TG_TY_BUFFER  /* placed and loop IR: memory of one program or lane; loop: rank 1 */
} tg_type_kind;

/* Where a buffer lives. SHARED: on-chip memory of the program, SCRATCH: device memory of the
 * program (when nothing else holds it), PRIVATE: memory or registers of one lane. */
typedef enum tg_space { TG_SPACE_SHARED, TG_SPACE_SCRATCH, TG_SPACE_PRIVATE } tg_space;

struct tg_type {
    tg_type_kind kind;
    tg_dtype dtype;
    uint8_t rank;
    bool strided;                    /* TENSOR: innermost stride is free */
    tg_space space;                  /* BUFFER */
    int64_t depth;                   /* BUFFER: copies of the shape in a ring; 1 usually */
    const tg_layout *layout;         /* placed TILE: who holds which element (NULL at tile level and
                                        for scalars); placed BUFFER: element to memory (NULL: dense
                                        row-major) */
    int64_t elem_bytes;              /* TENSOR of RECORD: bytes of one record */
    int64_t shape[TG_MAX_RANK];      /* TILE extents, SPAN n, VEC lanes */
    const tg_dim *dims[TG_MAX_RANK]; /* TENSOR extents in elements */
    const tg_type *next_hash;
};

const tg_type *tg_type_scalar(tg_module *m, tg_dtype t);
const tg_type *tg_type_tile(tg_module *m, tg_dtype t, int rank, const int64_t *shape);
const tg_type *tg_type_tensor(tg_module *m, tg_dtype t, int64_t elem_bytes, int rank,
                              const tg_dim *const *dims, bool strided);
const tg_type *tg_type_span(tg_module *m, int64_t n);
const tg_type *tg_type_vec(tg_module *m, tg_dtype t, int64_t lanes);
const tg_type *tg_type_ptr(tg_module *m);
const tg_type *tg_type_buffer(tg_module *m, tg_space space, tg_dtype t, int rank,
                              const int64_t *shape, int64_t depth, const tg_layout *layout);
/* The same tile or buffer with another layout (NULL: none). */
const tg_type *tg_type_with_layout(tg_module *m, const tg_type *t, const tg_layout *layout);
/* Same kind and shape, other element type. */
const tg_type *tg_type_with_dtype(tg_module *m, const tg_type *t, tg_dtype dtype);
bool tg_type_is_scalar(const tg_type *t); /* rank-0 tile */
int64_t tg_type_count(const tg_type *t);  /* elements of a tile or vector */

const tg_dim *tg_dim_const(tg_module *m, int64_t v);
const tg_dim *tg_dim_sym(tg_module *m, int index);
const tg_dim *tg_dim_binary(tg_module *m, tg_dim_code code, const tg_dim *a, const tg_dim *b);
/* Evaluates with the given symbol values; overflow wraps. */
int64_t tg_dim_eval(const tg_dim *d, const int64_t *syms);
/* Appends the abi.h byte code of d. */
void tg_dim_encode(tg_sb *sb, const tg_dim *d);

/* ---- operations ----------------------------------------------------------------------------- */

typedef enum tg_level { TG_LEVEL_TILE, TG_LEVEL_PLACED, TG_LEVEL_LOOP } tg_level;

/*
 * Attribute keys: TG_ATTR(IDENT, "name", kind) with kind i (int64), l (int64 list), f (double),
 * s (string), b (bool), t (type), e (enum by table, printed by name).
 */
typedef enum tg_attr_key {
#define TG_ATTR(ident, name, kind) TG_ATTR_##ident,
#include "ir/attrs.def"
#undef TG_ATTR
    TG_ATTR_COUNT
} tg_attr_key;

typedef struct tg_attr {
    tg_attr_key key;
    int64_t i; /* i, b, e */
    double f;
    const char *s; /* interned */
    const tg_type *type;
    const int64_t *list;
    size_t n_list;
} tg_attr;

/*
 * One enumeration for the ops of all levels: TG_OP(IDENT, "name", level letters, min operands,
 * max operands (-1 any), results (-1 any), regions, flags, attribute list, "doc").
 */
typedef enum tg_opcode {
#define TG_OP(ident, ...) TG_OP_##ident,
#include "ir/ops.def"
#undef TG_OP
    TG_OP_COUNT
} tg_opcode;

typedef enum tg_op_flag {
    TG_OPF_PURE = 1,        /* no effect: CSE, DCE, hoisting are free */
    TG_OPF_READ = 2,        /* reads memory */
    TG_OPF_WRITE = 4,       /* writes memory or is otherwise observable */
    TG_OPF_ELEMENTWISE = 8, /* all operands and results have one shape */
    TG_OPF_COMMUTATIVE = 16,
    TG_OPF_TERMINATOR = 32
} tg_op_flag;

#define TG_OP_MAX_ATTRS 12

typedef struct tg_op_info {
    const char *name;
    const char *levels; /* subset of "tpl": tile, placed, loop */
    int min_operands, max_operands, n_results, n_regions;
    unsigned flags;
    const char *doc;
    int n_required, n_attrs;            /* n_attrs counts the TG_ATTR_OPTIONAL marker too */
    tg_attr_key attrs[TG_OP_MAX_ATTRS]; /* required first; optional ones follow TG_ATTR_OPTIONAL */
} tg_op_info;

const tg_op_info *tg_op_info_get(tg_opcode code);
bool tg_opcode_from_name(const char *name, size_t len, tg_opcode *out);

/* One operand slot; links into the used value's list. */
typedef struct tg_use {
    tg_value *value;
    tg_op *user;
    struct tg_use *prev, *next;
} tg_use;

struct tg_value {
    const tg_type *type;
    tg_op *def;        /* NULL for a region argument */
    tg_region *region; /* the region whose argument it is, else NULL */
    int index;         /* result or argument number */
    uint32_t id;       /* unique in the function; printing renumbers */
    const char *name;  /* hint for printing, or NULL */
    tg_use *uses;
};

struct tg_op {
    tg_opcode code;
    tg_span span;
    tg_func *func;
    tg_region *parent; /* NULL while unlinked */
    tg_op *prev, *next;
    tg_use *operands;
    int n_operands;
    tg_value *results; /* array */
    int n_results;
    tg_region **regions;
    int n_regions;
    tg_attr *attrs;
    int n_attrs;
    void *scratch; /* owned by the running pass; NULL between passes */
};

struct tg_region {
    tg_op *parent; /* NULL for a function's regions */
    tg_func *func;
    tg_value **args;
    int n_args;
    tg_op *first, *last;
};

/* ---- functions and modules ------------------------------------------------------------------ */

typedef struct tg_param {
    const char *name;
    const tg_type *type;               /* TENSOR or rank-0 TILE */
    unsigned flags;                    /* tg_param_flag */
    const tg_dim *range_lo, *range_hi; /* TG_PARAM_RANGE */
    double init;                       /* TG_PARAM_INIT */
    int64_t align_bytes;               /* required base alignment; 0: that of the element */
    tg_span span;
} tg_param;

/* A runtime dimension name. Solved at launch from the tensors' extents. */
typedef struct tg_sym {
    const char *name;
    tg_span span;
} tg_sym;

/* A compile-time binding of this specialisation, for names and keys: T=f16, BM=128. */
typedef struct tg_binding {
    const char *name, *value;
} tg_binding;

/*
 * A kernel at one level. `grid` (args = params) computes and yields one i64 extent per grid axis,
 * in elements; `body` (args = params, then one i64 block number per grid axis) is one program. Axis
 * a has cdiv(extent, by[a]) blocks. Loop level: no grid region; body args are the entry's own.
 */
struct tg_func {
    tg_module *module;
    const char *name;
    tg_level level;
    tg_param *params;
    int n_params;
    tg_sym *syms;
    int n_syms;
    const tg_dim **requires_; /* each must evaluate non-zero at launch */
    int n_requires;
    tg_binding *bindings;
    int n_bindings;
    const char **grid_names;
    int64_t *grid_by;
    int n_grid;
    tg_region *grid, *body;
    /* loop level: entry kind ("plan", "phase0"..., "simt") lives in role */
    const char *role;
    /* placed and SIMT loop functions: lanes of one program, bytes of shared memory and of scratch
     * that one program needs; 0 elsewhere */
    int64_t lanes, shared_bytes, scratch_bytes;
    uint32_t next_value_id;
    tg_span span;
    tg_func *next;
};

/* Host-level composition (`op`): temps and launches, run by the runtime. */
typedef struct tg_hostop_temp {
    const char *name;
    tg_dtype dtype;
    int64_t elem_bytes; /* RECORD */
    int rank;
    const tg_dim *dims[TG_MAX_RANK];
} tg_hostop_temp;

typedef struct tg_hostop_arg {
    enum { TG_ARG_PARAM, TG_ARG_TEMP, TG_ARG_DIM, TG_ARG_FLOAT } kind;
    int index;         /* PARAM, TEMP */
    const tg_dim *dim; /* DIM: an integer computed at launch */
    double value;      /* FLOAT */
} tg_hostop_arg;

typedef struct tg_hostop_launch {
    const char *kernel; /* a func of this module */
    tg_hostop_arg *args;
    int n_args;
    const tg_dim *when; /* NULL: always */
} tg_hostop_launch;

typedef struct tg_hostop {
    const char *name;
    tg_param *params;
    int n_params;
    tg_sym *syms;
    int n_syms;
    const tg_dim **requires_;
    int n_requires;
    tg_hostop_temp *temps;
    int n_temps;
    tg_hostop_launch *launches;
    int n_launches;
    tg_span span;
    struct tg_hostop *next;
} tg_hostop;

struct tg_module {
    tg_arena *arena;
    tg_strtab strings;
    tg_func *first_func, *last_func;
    tg_hostop *hostops;
    /* interning tables, private to ir.c */
    const tg_type **type_table;
    size_t n_types, type_cap;
    const tg_dim **dim_table;
    size_t n_dims, dim_cap;
    const tg_layout **layout_table;
    size_t n_layouts, layout_cap;
};

tg_module *tg_module_make(tg_arena *a);
tg_func *tg_func_make(tg_module *m, const char *name, tg_level level);
tg_func *tg_func_find(tg_module *m, const char *name);
tg_region *tg_region_make(tg_func *f, tg_op *parent);
tg_value *tg_region_add_arg(tg_region *r, const tg_type *type, const char *name);

/* Unlinked op with the given operands and result types; attributes are added by tg_op_set_*. */
tg_op *tg_op_make(tg_func *f, tg_opcode code, tg_span span, int n_operands,
                  tg_value *const *operands, int n_results, const tg_type *const *types,
                  int n_regions);
void tg_op_append(tg_region *r, tg_op *op); /* at the end */
void tg_op_insert_before(tg_op *at, tg_op *op);
void tg_op_unlink(tg_op *op); /* keeps it usable */
void tg_op_erase(tg_op *op);  /* unlinks, drops its uses; results must be unused */
tg_value *tg_operand(const tg_op *op, int i);
void tg_set_operand(tg_op *op, int i, tg_value *v);
void tg_replace_all_uses(tg_value *of, tg_value *with);
bool tg_value_is_used(const tg_value *v);
/* Deep copy of an op into `into` (appended), mapping operands through map (values without an entry
 * stay). */
typedef struct tg_value_map tg_value_map;
tg_value_map *tg_value_map_make(tg_arena *a);
void tg_value_map_put(tg_value_map *map, const tg_value *from, tg_value *to);
tg_value *tg_value_map_get(const tg_value_map *map, const tg_value *from); /* NULL if none */
tg_op *tg_op_clone(tg_op *op, tg_region *into, tg_value_map *map);

/* Printed name and kind letter of an attribute key, and back. */
const char *tg_attr_name(tg_attr_key key);
char tg_attr_kind(tg_attr_key key);
bool tg_attr_from_name(const char *name, size_t len, tg_attr_key *out);
const tg_attr *tg_attr_get(const tg_op *op, tg_attr_key key); /* NULL if absent */
double tg_attr_float(const tg_op *op, tg_attr_key key, double otherwise);
const char *tg_attr_str(const tg_op *op, tg_attr_key key); /* NULL if absent */
void tg_op_remove_attr(tg_op *op, tg_attr_key key);
int64_t tg_attr_int(const tg_op *op, tg_attr_key key, int64_t otherwise);
void tg_op_set_int(tg_op *op, tg_attr_key key, int64_t v);
void tg_op_set_float(tg_op *op, tg_attr_key key, double v);
void tg_op_set_str(tg_op *op, tg_attr_key key, const char *s);
void tg_op_set_list(tg_op *op, tg_attr_key key, const int64_t *v, size_t n);
void tg_op_set_type(tg_op *op, tg_attr_key key, const tg_type *t);

/* ---- enumerations used as attributes -------------------------------------------------------- */

/* TG_ENUM lists per key live in ir/enums.def; names are the printed form. */
typedef enum tg_cmp_pred {
    TG_CMP_EQ,
    TG_CMP_NE,
    TG_CMP_LT,
    TG_CMP_LE,
    TG_CMP_GT,
    TG_CMP_GE
} tg_cmp_pred;
typedef enum tg_reduce_kind {
    TG_RED_SUM,
    TG_RED_PROD,
    TG_RED_MIN,
    TG_RED_MAX,
    TG_RED_ANY,
    TG_RED_ALL,
    TG_RED_ARGMIN,
    TG_RED_ARGMAX,
    TG_RED_COUNT,
    TG_RED_USER
} tg_reduce_kind;
typedef enum tg_atomic_kind {
    TG_ATOMIC_ADD,
    TG_ATOMIC_MIN,
    TG_ATOMIC_MAX,
    TG_ATOMIC_CAS
} tg_atomic_kind;
typedef enum tg_math_fn {
    TG_MATH_EXP2,
    TG_MATH_EXP,
    TG_MATH_LOG,
    TG_MATH_LOG2,
    TG_MATH_SQRT,
    TG_MATH_RSQRT,
    TG_MATH_SIN,
    TG_MATH_COS,
    TG_MATH_TANH,
    TG_MATH_SIGMOID,
    TG_MATH_ERF,
    TG_MATH_FLOOR,
    TG_MATH_CEIL,
    TG_MATH_ROUND,
    TG_MATH_COUNT
} tg_math_fn;
typedef enum tg_fence { TG_FENCE_SHARED, TG_FENCE_GLOBAL, TG_FENCE_ALL } tg_fence;
typedef enum tg_shuffle_mode {
    TG_SHUFFLE_XOR,
    TG_SHUFFLE_INDEX,
    TG_SHUFFLE_UP,
    TG_SHUFFLE_DOWN
} tg_shuffle_mode;
typedef enum tg_team_fn {
    TG_TEAM_SCAN,
    TG_TEAM_SORT,
    TG_TEAM_TOPK,
    TG_TEAM_RANK_BY_KEY,
    TG_TEAM_COMPRESS,
    TG_TEAM_HISTOGRAM,
    TG_TEAM_SCATTER_ADD,
    TG_TEAM_FOLD
} tg_team_fn;
typedef enum tg_dot_numeric { TG_DOT_EXACT, TG_DOT_FAST, TG_DOT_TF32 } tg_dot_numeric;
/* Printed name of value v of an enum attribute, or NULL; and back. */
const char *tg_enum_name(tg_attr_key key, int64_t v);
bool tg_enum_value(tg_attr_key key, const char *name, size_t len, int64_t *out);

/* ---- text form, verifier -------------------------------------------------------------------- */

/* Appends the versioned text form; reads back to an equal module (tests hold this). */
void tg_module_print(tg_sb *sb, const tg_module *m);
void tg_func_print(tg_sb *sb, const tg_func *f);
/* f gives the dimension names; NULL prints sym(i). */
void tg_type_print(tg_sb *sb, const tg_type *t, const tg_func *f);
void tg_dim_print(tg_sb *sb, const tg_dim *d, const tg_func *f);
/* Parses IR text; any bytes. TG_E_SOURCE with diagnostics in sink when malformed. */
tg_status tg_module_parse(const tg_source *src, tg_arena *a, tg_sink *sink,
                          tg_module **out) TG_MUST_USE;
/* Checks every invariant of every op; TG_E_INTERNAL or TG_E_SOURCE with diagnostics. Never crashes.
 */
tg_status tg_module_verify(tg_module *m, tg_sink *sink) TG_MUST_USE;
tg_status tg_func_verify(tg_func *f, tg_sink *sink) TG_MUST_USE;

#endif
