/* SPDX-License-Identifier: Apache-2.0 */
/* Dimension expressions and types of the IR text; see parse.h. */
#include "ir/layout.h"
#include "ir/parse.h"

#define MAX_DIM_NODES 1000 /* operators of one dimension expression */

/* ---- dimension expressions ------------------------------------------------------------------ */

static const tg_dim *parse_dim_level(tg_text_parser *p, int level);

const tg_dim *tg_text_dim(tg_text_parser *p) {
    p->dim_nodes = 0;
    return parse_dim_level(p, 1);
}

static const tg_dim *dim_name(tg_text_parser *p) {
    const char *name;
    if (!tg_text_name(p, &name)) {
        return NULL;
    }
    for (int i = 0; i < p->n_syms; i++) {
        if (p->syms[i].name == name) {
            return tg_dim_sym(p->m, i);
        }
    }
    tg_text_fail(p,
                 tg_arena_printf(p->arena, "`%s` is not a dimension name of this kernel,", name));
    return NULL;
}

static const tg_dim *dim_call(tg_text_parser *p, tg_dim_code code) {
    tg_text_advance(p);
    if (!tg_text_expect(p, "(")) {
        return NULL;
    }
    const tg_dim *a = parse_dim_level(p, 1);
    if (a == NULL || !tg_text_expect(p, ",")) {
        return NULL;
    }
    const tg_dim *b = parse_dim_level(p, 1);
    if (b == NULL || !tg_text_expect(p, ")")) {
        return NULL;
    }
    return tg_dim_binary(p->m, code, a, b);
}

static const tg_dim *dim_primary(tg_text_parser *p) {
    if (p->tok.kind == TOK_WORD && tg_text_char_at(p, tg_text_lex_at(p, p->tok.end).begin) == '(') {
        if (tg_text_at(p, "cdiv")) {
            return dim_call(p, TG_DIM_CDIV);
        }
        if (tg_text_at(p, "min")) {
            return dim_call(p, TG_DIM_MIN);
        }
        if (tg_text_at(p, "max")) {
            return dim_call(p, TG_DIM_MAX);
        }
    }
    if (p->tok.kind == TOK_WORD || p->tok.kind == TOK_STRING) {
        return dim_name(p);
    }
    if (tg_text_accept(p, "(")) {
        const tg_dim *d = parse_dim_level(p, 1);
        return d != NULL && tg_text_expect(p, ")") ? d : NULL;
    }
    int64_t v;
    return tg_text_i64(p, &v) ? tg_dim_const(p->m, v) : NULL;
}

typedef struct dim_operator {
    const char *text;
    int level;
    tg_dim_code code;
} dim_operator;

static const dim_operator dim_operators[] = {
    {"|", 1, TG_DIM_OR},  {"&", 2, TG_DIM_AND}, {"==", 3, TG_DIM_EQ}, {"!=", 3, TG_DIM_NE},
    {"<", 3, TG_DIM_LT},  {"<=", 3, TG_DIM_LE}, {"+", 4, TG_DIM_ADD}, {"-", 4, TG_DIM_SUB},
    {"*", 5, TG_DIM_MUL}, {"/", 5, TG_DIM_DIV}, {"%", 5, TG_DIM_MOD},
};

static const dim_operator *dim_operator_at(const tg_text_parser *p) {
    for (size_t i = 0; i < TG_COUNT_OF(dim_operators); i++) {
        if (tg_text_at(p, dim_operators[i].text)) {
            return &dim_operators[i];
        }
    }
    return NULL;
}

/* Precedence climbing: operators of at least `level`, left-associative. */
static const tg_dim *parse_dim_level(tg_text_parser *p, int level) {
    if (p->depth >= TG_TEXT_MAX_DEPTH) {
        tg_text_fail(p, "expression nested too deeply");
        return NULL;
    }
    p->depth++;
    const tg_dim *a = dim_primary(p);
    while (a != NULL) {
        const dim_operator *o = dim_operator_at(p);
        if (o == NULL || o->level < level) {
            break;
        }
        if (p->dim_nodes++ >= MAX_DIM_NODES) {
            tg_text_fail(p, "expression too long");
            a = NULL;
            break;
        }
        tg_text_advance(p);
        const tg_dim *b = parse_dim_level(p, o->level + 1);
        a = b == NULL ? NULL : tg_dim_binary(p->m, o->code, a, b);
    }
    p->depth--;
    return a;
}

bool tg_text_dims(tg_text_parser *p, const tg_dim **dims, int *out_rank) {
    int rank = 0;
    if (!tg_text_expect(p, "[")) {
        return false;
    }
    while (!tg_text_at(p, "]")) {
        if (rank == TG_MAX_RANK) {
            return tg_text_fail(p, "too many axes");
        }
        if (rank > 0 && !tg_text_expect(p, ",")) {
            return false;
        }
        dims[rank] = tg_text_dim(p);
        if (dims[rank++] == NULL) {
            return false;
        }
    }
    tg_text_advance(p);
    *out_rank = rank;
    return true;
}

/* ---- types ---------------------------------------------------------------------------------- */

bool tg_text_dtype(tg_text_parser *p, tg_dtype *out) {
    if (p->tok.kind != TOK_WORD ||
        !tg_dtype_from_name(tg_text_tok_text(p), tg_text_tok_len(p), out)) {
        return tg_text_fail(p, "expected an element type");
    }
    tg_text_advance(p);
    return true;
}

/* `f32` or `record(656)`. */
bool tg_text_element(tg_text_parser *p, tg_dtype *out, int64_t *out_bytes) {
    *out_bytes = 0;
    if (!tg_text_dtype(p, out)) {
        return false;
    }
    if (*out != TG_DT_RECORD) {
        return true;
    }
    return tg_text_expect(p, "(") && tg_text_i64(p, out_bytes) && tg_text_expect(p, ")");
}

static const tg_type *parse_tensor(tg_text_parser *p) {
    const tg_dim *dims[TG_MAX_RANK] = {0};
    tg_dtype dtype;
    int64_t bytes;
    int rank;
    tg_text_advance(p);
    if (!tg_text_expect(p, "<") || !tg_text_element(p, &dtype, &bytes) ||
        !tg_text_dims(p, dims, &rank)) {
        return NULL;
    }
    bool strided = tg_text_accept(p, ",");
    if ((strided && !tg_text_expect(p, "strided")) || !tg_text_expect(p, ">")) {
        return NULL;
    }
    return tg_type_tensor(p->m, dtype, bytes, rank, dims, strided);
}

/* `@"..."`, or nothing. */
static bool parse_layout(tg_text_parser *p, const tg_layout **out) {
    const char *text;
    *out = NULL;
    if (!tg_text_accept(p, "@")) {
        return true;
    }
    if (!tg_text_string(p, &text)) {
        return false;
    }
    *out = tg_layout_parse(p->m, text);
    return *out != NULL || tg_text_fail(p, "malformed layout before");
}

/* `f32[4, 8]`. */
static bool parse_shaped(tg_text_parser *p, tg_dtype *dtype, int *out_rank, const int64_t **shape) {
    size_t rank = 0;
    *shape = NULL;
    if (!tg_text_dtype(p, dtype)) {
        return false;
    }
    if (tg_text_at(p, "[") && !tg_text_int_list(p, shape, &rank)) {
        return false;
    }
    *out_rank = (int)rank;
    return rank <= TG_MAX_RANK || tg_text_fail(p, "too many axes before");
}

static const tg_type *parse_tile(tg_text_parser *p) {
    tg_dtype dtype;
    const int64_t *shape;
    int rank;
    const tg_layout *layout;
    if (!parse_shaped(p, &dtype, &rank, &shape) || !parse_layout(p, &layout)) {
        return NULL;
    }
    return tg_type_with_layout(p->m, tg_type_tile(p->m, dtype, rank, shape), layout);
}

/* After `buf`: `<shared, f32[4, 8], 1 @"...">`. */
static const tg_type *parse_buffer(tg_text_parser *p) {
    tg_dtype dtype;
    const int64_t *shape;
    int rank;
    int64_t space, depth;
    const tg_layout *layout;
    if (!tg_text_expect(p, "<")) {
        return NULL;
    }
    if (p->tok.kind != TOK_WORD ||
        !tg_enum_value(TG_ATTR_SPACE, tg_text_tok_text(p), tg_text_tok_len(p), &space)) {
        tg_text_fail(p, "expected a memory space");
        return NULL;
    }
    tg_text_advance(p);
    bool ok = tg_text_expect(p, ",") && parse_shaped(p, &dtype, &rank, &shape) &&
              tg_text_expect(p, ",") && tg_text_i64(p, &depth) && parse_layout(p, &layout) &&
              tg_text_expect(p, ">");
    return ok ? tg_type_buffer(p->m, (tg_space)space, dtype, rank, shape, depth, layout) : NULL;
}

const tg_type *tg_text_type(tg_text_parser *p) {
    int64_t n;
    tg_dtype dtype;
    if (tg_text_at(p, "tensor")) {
        return parse_tensor(p);
    }
    if (tg_text_accept(p, "buf")) {
        return parse_buffer(p);
    }
    if (tg_text_accept(p, "ptr")) {
        return tg_type_ptr(p->m);
    }
    if (tg_text_accept(p, "span")) {
        bool ok = tg_text_expect(p, "<") && tg_text_i64(p, &n) && tg_text_expect(p, ">");
        return ok ? tg_type_span(p->m, n) : NULL;
    }
    if (tg_text_accept(p, "vec")) {
        bool ok = tg_text_expect(p, "<") && tg_text_dtype(p, &dtype) && tg_text_expect(p, ",") &&
                  tg_text_i64(p, &n) && tg_text_expect(p, ">");
        return ok ? tg_type_vec(p->m, dtype, n) : NULL;
    }
    return parse_tile(p);
}
