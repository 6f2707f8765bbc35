/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The syntax tree: what the parser makes and the checker reads. docs/language.md has the grammar.
 *
 * Every node lives in the program's arena and carries the span of its text. Names are interned in
 * the program's string table: equal names are equal pointers. Lists are arrays with a count; a list
 * is never NULL when its count is above zero. A node that could not be parsed is an EXPR_ERROR
 * (already reported): whoever meets one stays silent.
 *
 * Scalar type names (f32, bf16, ...) and built-in functions are ordinary names here; the checker
 * gives them meaning.
 */
#ifndef TG_AST_H
#define TG_AST_H

#include "ir/base/diag.h"

typedef struct tg_expr tg_expr;
typedef struct tg_stmt tg_stmt;
typedef struct tg_decl tg_decl;
typedef struct tg_file tg_file;

/* A name with its place. name NULL: absent. `_` in a pattern has the name "_". */
typedef struct tg_ident {
    const char *name;
    tg_span span;
} tg_ident;

typedef struct tg_expr_list {
    tg_expr **items;
    int n;
} tg_expr_list;

/* { statements }; span covers the braces. */
typedef struct tg_block {
    tg_stmt **items;
    int n;
    tg_span span;
} tg_block;

/* ---- types ---------------------------------------------------------------------------------- */

/*
 * f32 | T | Rec | mod.Rec, then [args] and [dims]:
 *   f32            scalar                      has_dims false
 *   T[M, K]        tensor or tile              dims
 *   Page[64][P]    parameterised record        has_args, args = {64}; dims = {P}
 * With one bracket group it is always `dims` (a parameterised record with one group and no tensor
 * axes, as a nested record field, also arrives as dims: the checker knows the record's parameters).
 */
typedef struct tg_type_expr {
    tg_span span;
    tg_ident module; /* name NULL without `mod.` */
    tg_ident name;
    bool has_args, has_dims;
    tg_expr_list args, dims;
} tg_type_expr;

/* One entry of a compile-time parameter list [T: f16 | bf16, D, E = 64]. */
typedef struct tg_ct_param {
    tg_ident name;
    tg_type_expr *alts; /* type alternatives; n_alts 0: an integer (or, deduced, anything) */
    int n_alts;
    tg_expr *def; /* default value or NULL */
    tg_span span;
} tg_ct_param;

typedef struct tg_ct_params {
    tg_ct_param *items;
    int n;
    tg_span span; /* of the brackets; empty when absent */
} tg_ct_params;

/* A value for a compile-time parameter in `f[...]`: positional when name.name is NULL. The value is
 * an expression; a type is an EXPR_NAME (f16, T, Rec). */
typedef struct tg_ct_arg {
    tg_ident name;
    tg_expr *value;
} tg_ct_arg;

typedef struct tg_ct_args {
    tg_ct_arg *items;
    int n;
    tg_span span;
} tg_ct_args;

typedef enum tg_arg_mode { TG_MODE_IN, TG_MODE_OUT, TG_MODE_INOUT } tg_arg_mode;

/* `[out|inout] name [: type] facts...`. In a fn the type may be missing: any value. */
typedef struct tg_ast_param {
    tg_arg_mode mode;
    tg_ident name;
    bool has_type;
    tg_type_expr type;
    bool sorted, unique, strided, alias;
    tg_expr *range_lo, *range_hi; /* `in lo .. hi`, half open; both or none */
    tg_expr *init;                /* `init v`: elements that no program writes hold v */
    tg_expr *align;               /* `align n` bytes */
    tg_expr *def;                 /* `= v`, fn parameters only: default of an omitted argument */
    tg_span facts;                /* the facts' text, empty when there are none */
    tg_span span;
} tg_ast_param;

typedef struct tg_ast_params {
    tg_ast_param *items;
    int n;
    tg_span span;
} tg_ast_params;

/* ---- expressions ---------------------------------------------------------------------------- */

typedef enum tg_unop { TG_UN_NEG, TG_UN_NOT, TG_UN_BITNOT } tg_unop; /* - ! ~ */

typedef enum tg_binop {
    TG_BIN_NONE, /* plain `=` in an assignment */
    TG_BIN_ADD,
    TG_BIN_SUB,
    TG_BIN_MUL,
    TG_BIN_DIV,
    TG_BIN_REM,
    TG_BIN_AND,
    TG_BIN_OR,
    TG_BIN_XOR,
    TG_BIN_SHL,
    TG_BIN_SHR,
    TG_BIN_EQ,
    TG_BIN_NE,
    TG_BIN_LT,
    TG_BIN_LE,
    TG_BIN_GT,
    TG_BIN_GE
} tg_binop;
const char *tg_unop_text(tg_unop op);
const char *tg_binop_text(tg_binop op); /* "+", "<<", ...; "" for NONE */

typedef enum tg_mat_mode { TG_MAT_DEFAULT, TG_MAT_EXACT, TG_MAT_FAST, TG_MAT_TF32 } tg_mat_mode;

/* Modifiers after `as T`. */
typedef enum tg_as_round { TG_AS_DEFAULT, TG_AS_RNE, TG_AS_RTZ, TG_AS_UP, TG_AS_DOWN } tg_as_round;
typedef enum tg_as_range { TG_AS_RANGE_DEFAULT, TG_AS_SAT, TG_AS_WRAP } tg_as_range;

typedef enum tg_atomic_op { TG_AT_ADD, TG_AT_MIN, TG_AT_MAX, TG_AT_CAS } tg_atomic_op;

/* One item of an index list x[...]. */
typedef enum tg_index_kind {
    TG_INDEX_EXPR,  /* scalar, span or integer tile: lo */
    TG_INDEX_SLICE, /* lo:hi, constants; lo and/or hi NULL for an open end; both NULL: `:` */
    TG_INDEX_NEW    /* `_`: new axis of extent 1 */
} tg_index_kind;
typedef struct tg_index {
    tg_index_kind kind;
    tg_expr *lo, *hi;
    tg_span span;
} tg_index;

/* One argument of a call: [out|inout] [name =] value; `axis 1` arrives as name "axis". Value may be
 * an EXPR_RANGE (span(lo .. hi, N)). out/inout: arguments of kernels and ops launched by an op. */
typedef struct tg_arg {
    tg_arg_mode mode;
    tg_ident name;
    tg_expr *value;
    tg_span span;
} tg_arg;

typedef enum tg_expr_kind {
    TG_EXPR_ERROR,
    TG_EXPR_INT,    /* 12, 0xff, 0b1010, 1_000 */
    TG_EXPR_FLOAT,  /* 1.5, 1e-6, inf, nan */
    TG_EXPR_BOOL,   /* true, false */
    TG_EXPR_STRING, /* only in print, assert, assume */
    TG_EXPR_NAME,
    TG_EXPR_TUPLE, /* (a, b): two or more items, or none */
    TG_EXPR_UNARY,
    TG_EXPR_BINARY, /* comparisons are never chained: the parser rejects a < b < c */
    TG_EXPR_MATMUL, /* a @ b, a @ fast b */
    TG_EXPR_AS,     /* x as T rtz sat */
    TG_EXPR_ELSE,   /* x else v */
    TG_EXPR_IF,     /* x if c */
    TG_EXPR_INDEX,  /* x[i, :, 0:4, _] */
    TG_EXPR_FIELD,  /* x.name: .T, .start/.end/.len, record field, result name, module member */
    TG_EXPR_SHAPE,  /* x.reshape[..], x.permute[..], x.broadcast[..] */
    TG_EXPR_CALL,   /* f(..), mod.f(..), f[ct](..) */
    TG_EXPR_ATOMIC, /* atomic add(x[i], v) */
    TG_EXPR_RANGE,  /* lo .. hi; only as a call argument; hi NULL: `lo ..` */
    TG_EXPR_ZEROS,  /* zeros f32[M, N] */
    TG_EXPR_FULL    /* full f32[M] = v */
} tg_expr_kind;

typedef enum tg_shape_method {
    TG_SHAPE_RESHAPE,
    TG_SHAPE_PERMUTE,
    TG_SHAPE_BROADCAST
} tg_shape_method;

struct tg_expr {
    tg_expr_kind kind;
    bool paren; /* written in parentheses; span includes them */
    int height; /* of the tree below; at most TG_EXPR_MAX_HEIGHT (parser.h) */
    tg_span span;
    union {
        uint64_t int_value; /* a minus sign is an EXPR_UNARY around it */
        double float_value;
        bool bool_value;
        struct {
            const char *text; /* escapes resolved; NUL-terminated */
            size_t len;
        } string;
        tg_ident name;
        tg_expr_list tuple;
        struct {
            tg_unop op;
            tg_expr *x;
        } unary;
        struct {
            tg_binop op;
            tg_expr *a, *b;
            tg_span op_span;
        } binary;
        struct {
            tg_mat_mode mode;
            tg_expr *a, *b;
            tg_span op_span; /* `@` and its modifier */
        } matmul;
        struct {
            tg_expr *x;
            tg_type_expr type; /* a scalar type name */
            tg_as_round round;
            tg_as_range range;
        } as;
        struct {
            tg_expr *x;
            tg_expr *v; /* ELSE: the value; IF: the condition */
        } choose;
        struct {
            tg_expr *x;
            tg_index *items;
            int n;
        } index;
        struct {
            tg_expr *x;
            tg_ident name;
        } field;
        struct {
            tg_expr *x;
            tg_shape_method method;
            tg_expr_list dims;
        } shape;
        struct {
            tg_ident module; /* name NULL without `mod.` */
            tg_ident name;
            tg_ct_args ct; /* f[...](..) */
            tg_arg *args;
            int n;
        } call;
        struct {
            tg_atomic_op op;
            bool unordered;
            tg_expr *target; /* an EXPR_INDEX, or NULL after an error */
            tg_arg *args;    /* after the target: value, or expected and new value; named: scope */
            int n;
        } atomic;
        struct {
            tg_expr *lo, *hi;
        } range;
        struct {
            tg_type_expr type;
            tg_expr *value; /* FULL only */
        } fill;
    } u;
};

/* ---- statements ----------------------------------------------------------------------------- */

/* One binding of let/var: `x = e`, `x: T[..] = e`, `(a, b, _) = e`. */
typedef struct tg_let_item {
    tg_ident *names;
    int n_names;
    bool is_tuple;
    bool has_type; /* single names only */
    tg_type_expr type;
    tg_expr *init;
    tg_span span;
} tg_let_item;

typedef struct tg_temp {
    tg_ident name;
    tg_type_expr type;
    tg_expr *init; /* or NULL */
} tg_temp;

typedef enum tg_stmt_kind {
    TG_STMT_ERROR,
    TG_STMT_LET,    /* let/var */
    TG_STMT_ASSIGN, /* x = e, x += e, c[i] = e if m, (a, c[i]) = e, disjoint ... */
    TG_STMT_EXPR,   /* a call or an atomic */
    TG_STMT_IF,
    TG_STMT_FOR,
    TG_STMT_WHILE,
    TG_STMT_RETURN, /* last statement of a fn's body (parser's guarantee) */
    TG_STMT_PRINT,
    TG_STMT_ASSERT,
    TG_STMT_ASSUME,
    TG_STMT_TEMP, /* op bodies only (parser's guarantee) */
    TG_STMT_BLOCK
} tg_stmt_kind;

typedef enum tg_for_kind {
    TG_FOR_IN,  /* for x in lo .. hi: scalar x */
    TG_FOR_SPAN /* for k: hi by n (lo NULL) | for k: lo .. hi by n; n NULL: scalar positions */
} tg_for_kind;

struct tg_stmt {
    tg_stmt_kind kind;
    tg_span span;
    union {
        struct {
            bool is_var;
            tg_let_item *items;
            int n;
        } let;
        struct {
            tg_expr_list targets; /* EXPR_NAME, EXPR_INDEX, EXPR_FIELD; `_` drops a tuple item */
            bool is_tuple;
            bool disjoint;
            tg_span disjoint_span;
            tg_binop op; /* NONE for `=`, else the operator of `op=` */
            tg_span op_span;
            tg_expr *value;
            tg_expr
                *mask; /* `c[i] = v if mask`: only for a single indexed target, outermost `if` */
        } assign;
        tg_expr *expr;
        struct {
            tg_expr *cond;
            tg_block then;
            bool has_else;
            tg_block els; /* `else if` is a block that holds one STMT_IF */
        } if_;
        struct {
            tg_for_kind kind;
            tg_ident var;
            tg_expr *lo, *hi, *by;
            tg_block body;
        } for_;
        struct {
            tg_expr *cond;
            tg_expr *max; /* never NULL (parser's guarantee; EXPR_ERROR when it was missing) */
            tg_block body;
        } while_;
        tg_expr_list ret;
        struct {
            tg_expr_list args; /* PRINT: strings and values; ASSERT/ASSUME: condition [, string] */
        } report;
        struct {
            tg_temp *items;
            int n;
        } temp;
        tg_block block;
    } u;
};

/* ---- declarations --------------------------------------------------------------------------- */

/* tune BM = 128 in {64, 128} */
typedef struct tg_tune {
    tg_ident name;
    tg_expr *def;
    tg_expr_list values; /* n 0: any value may be set */
    tg_span span;
} tg_tune;

/* grid i: M by BM; by NULL: a scalar axis */
typedef struct tg_grid_axis {
    tg_ident name;
    tg_expr *extent;
    tg_expr *by;
    tg_span span;
} tg_grid_axis;

/* nvidia >= sm90 */
typedef struct tg_target_expr {
    tg_ident vendor;
    tg_binop rel; /* NONE, EQ, GE, LE, GT, LT */
    tg_ident arch;
    tg_span span;
} tg_target_expr;

/* name = value in a schedule, case, bench or instantiate. In schedules value is an expression; in
 * the others `text` is the literal (or type) as written, without underscores. */
typedef struct tg_set {
    tg_ident name; /* name NULL: positional, from [...] of a case */
    tg_expr *value;
    const char *text;
    tg_span span;
} tg_set;

/* One record item. */
typedef enum tg_field_kind { TG_FIELD_DATA, TG_FIELD_PAD, TG_FIELD_ALIGN } tg_field_kind;
typedef struct tg_field {
    tg_field_kind kind;
    tg_ident name;     /* DATA */
    tg_type_expr type; /* DATA */
    tg_expr *amount;   /* PAD: bytes; ALIGN: bytes */
    tg_span span;
} tg_field;

typedef enum tg_tol_kind { /* the order of tg_case.tol in frontend.h */
                           TG_TOLK_NONE,
                           TG_TOLK_EXACT,
                           TG_TOLK_ABS_REL,
                           TG_TOLK_CALC_DIFF,
                           TG_TOLK_ULP,
                           TG_TOLK_NMSE,
                           TG_TOLK_GATE
} tg_tol_kind;
typedef struct tg_tol {
    tg_tol_kind kind;
    double a, b;
    tg_span span;
} tg_tol;

typedef enum tg_decl_kind {
    TG_DECL_KERNEL,
    TG_DECL_OP,
    TG_DECL_FN,
    TG_DECL_RECORD,
    TG_DECL_CONST,
    TG_DECL_SCHEDULE,
    TG_DECL_CASE,
    TG_DECL_BENCH,
    TG_DECL_INSTANTIATE,
    TG_DECL_IMPORT
} tg_decl_kind;

struct tg_decl {
    tg_decl_kind kind;
    tg_span span;  /* the whole declaration */
    tg_span head;  /* keyword to the end of the signature: for messages about all of it */
    tg_ident name; /* SCHEDULE, CASE, BENCH, INSTANTIATE: the kernel's; IMPORT: the module's */
    tg_file *file; /* where it stands */
    bool broken;   /* its syntax was wrong: do not check it */
    union {
        struct { /* KERNEL, OP */
            tg_ct_params ct;
            tg_ast_params params;
            tg_tune *tunes;
            int n_tunes;
            tg_expr_list
                requires;
            tg_grid_axis *grid;
            int n_grid; /* 0: one program (kernels), always 0 in ops */
            tg_tol tol;
            tg_block body;
        } kernel;
        struct {
            tg_ct_params ct;
            tg_ast_params params;
            tg_type_expr *results; /* `-> f32[M], i32`; has_results false: inferred */
            int n_results;
            bool has_results;
            bool fast;      /* fast fn: reassociation and contraction allowed inside */
            bool is_extern; /* extern fn ... for target = "symbol" { portable body } */
            tg_target_expr target;
            const char *symbol;
            tg_expr_list
                requires;
            tg_block body; /* the last statement is a RETURN when the fn gives values */
        } fn;
        struct {
            tg_ct_params ct;
            tg_field *fields;
            int n;
        } record;
        struct {
            bool has_type;
            tg_type_expr type;
            tg_expr *value;
        } constant;
        struct {
            tg_ct_args ct; /* schedule matmul[f16] for ... */
            tg_target_expr target;
            tg_expr *when; /* or NULL */
            tg_set *sets;
            int n;
        } schedule;
        struct { /* CASE, BENCH, INSTANTIATE */
            tg_set *sets;
            int n;
            tg_tol tol;
        } example;
        struct {
            const char *path;
            tg_span path_span;
            tg_file *file; /* NULL when it could not be loaded */
        } import;
    } u;
};

/* One source file. */
struct tg_file {
    const tg_source *source;
    const char *module; /* "std", or the name it is imported under; "" for the main file */
    tg_decl **decls;    /* in source order */
    int n_decls;
    tg_decl *
        *table; /* by name: open addressing, filled by program.c; table_cap 0 or a power of two */
    size_t table_cap;
    bool has_errors;
    bool loading; /* its imports are being loaded: importing it again is a circle */
};

/* Parses one file: always returns a tree, marking what is broken. */
typedef struct tg_parse_env {
    tg_arena *arena;
    tg_sink *sink;
    tg_strtab *names;
} tg_parse_env;
tg_file *tg_parse_file(tg_parse_env *env, const tg_source *src, const char *module);

/* Appends a file, declaration or expression as an indented S-expression without positions: equal
 * text means equal meaning. */
void tg_ast_print_file(const tg_file *f, tg_sb *out);
void tg_ast_print_decl(const tg_decl *d, tg_sb *out);
/* One line, in source syntax, for messages: `a[i, k] @ b`. */
void tg_expr_text(const tg_expr *e, tg_sb *out);

#endif
