/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Swizzled buffers. Everywhere in the lowering an element of such a buffer has the place that it
 * would have in dense rows; only where memory is touched the place becomes the real one: rows are
 * cut into panels that lie one behind the other, then 16-byte chunks are xor-ed (ir/matrix.h). What
 * lies side by side in a chunk stays so.
 */
#include "backends/lower/expand/expand.h"
#include "backends/lower/simt/simt.h"
#include "ir/matrix.h"

enum { CHUNK = 16, ROWS_AT = 7, DEEP = 8 };

bool ts_swizzle_of(const tg_type *t, ts_buf *u) {
    const tg_layout *l = t->layout;
    int64_t bytes = tg_scratch_elem_bytes(t->dtype);
    if (t->space != TG_SPACE_SHARED || l->xor_chunk * bytes != CHUNK) {
        return false;
    }
    u->swizzle = l->xor_g * CHUNK;
    u->width = u->swizzle / bytes;
    u->columns = t->shape[t->rank - 1];
    u->rows = u->count / u->columns;
    return l->xor_q * l->xor_g * CHUNK == 1 << ROWS_AT && u->columns % u->width == 0;
}

int64_t ts_panel_place(const ts_buf *u, int64_t element) {
    int64_t row = element / u->columns, column = element % u->columns;
    return column / u->width * u->rows * u->width + row * u->width + column % u->width;
}

static bool is_power(int64_t n) { return (n & (n - 1)) == 0; }

/* Of numbers that are not negative. */
static tg_value *divided(tg_builder *b, tg_value *v, int64_t n) {
    return is_power(n) ? ts_bin(b, TG_OP_SHR, v, __builtin_ctzll((unsigned long long)n))
                       : ts_bin(b, TG_OP_DIV, v, n);
}

static tg_value *rest_of(tg_builder *b, tg_value *v, int64_t n) {
    return is_power(n) ? ts_bin(b, TG_OP_AND, v, n - 1) : ts_bin(b, TG_OP_REM, v, n);
}

/* copy * count + panel * rows * width + row * width + column of the panel. */
static tg_value *in_panels(tg_builder *b, const ts_buf *u, tg_value *index) {
    if (u->columns == u->width) {
        return index;
    }
    tg_value *row = divided(b, index, u->columns);
    tg_value *column = rest_of(b, index, u->columns);
    tg_value *panel = divided(b, column, u->width);
    tg_value *at = rest_of(b, column, u->width);
    if (u->copies > 1 || u->slot != NULL) {
        tg_value *copy = divided(b, row, u->rows);
        row = rest_of(b, row, u->rows);
        at = tg_build_binary(b, TG_OP_ADD, at, ts_bin(b, TG_OP_MUL, copy, u->count));
    }
    at = tg_build_binary(b, TG_OP_ADD, at, ts_bin(b, TG_OP_MUL, row, u->width));
    return tg_build_binary(b, TG_OP_ADD, at, ts_bin(b, TG_OP_MUL, panel, u->rows * u->width));
}

tg_value *ts_swizzled(tg_builder *b, const ts_buf *u, tg_value *index) {
    int64_t bytes = tg_scratch_elem_bytes(u->dtype), mask = u->swizzle / CHUNK - 1;
    tg_value *at = in_panels(b, u, index);
    tg_value *row = divided(b, at, (1 << ROWS_AT) / bytes);
    tg_value *chunk = ts_bin(b, TG_OP_MUL, ts_bin(b, TG_OP_AND, row, mask), CHUNK / bytes);
    return tg_build_binary(b, TG_OP_XOR, at, chunk);
}

/* v is known to be a multiple of n. */
static bool is_multiple(const tg_value *v, int64_t n, int depth) {
    int64_t c;
    if (n <= 1) {
        return true;
    }
    if (tg_value_const_int(v, &c)) {
        return c % n == 0;
    }
    if (depth == 0) {
        return false;
    }
    if (v->def == NULL) { /* a loop's variable */
        const tg_op *loop = v->region->parent;
        return loop != NULL && loop->code == TG_OP_FOR && v == v->region->args[0] &&
               is_multiple(loop->operands[0].value, n, depth - 1) &&
               is_multiple(loop->operands[2].value, n, depth - 1);
    }
    const tg_op *op = v->def;
    const tg_value *x = op->n_operands > 0 ? op->operands[0].value : NULL;
    const tg_value *y = op->n_operands > 1 ? op->operands[1].value : NULL;
    switch ((int)op->code) {
    case TG_OP_ADD:
    case TG_OP_SUB:
    case TG_OP_REM: /* of a multiple by a multiple */
        return is_multiple(x, n, depth - 1) && is_multiple(y, n, depth - 1);
    case TG_OP_MUL:
        if (tg_value_const_int(y, &c)) {
            return is_multiple(x, n / tg_gcd_i64(n, c), depth - 1);
        }
        return is_multiple(x, n, depth - 1) || is_multiple(y, n, depth - 1);
    case TG_OP_CAST:
        return is_multiple(x, n, depth - 1);
    case TG_OP_SELECT:
        return is_multiple(y, n, depth - 1) && is_multiple(op->operands[2].value, n, depth - 1);
    }
    return false;
}

/* Elements that are touched together: a chunk's at most, one where it is not known that they are
 * in one. */
static int step_of(const ts_buf *u, const tg_value *index, int lanes) {
    int most = (int)(CHUNK / tg_scratch_elem_bytes(u->dtype)), n = lanes < most ? lanes : most;
    return most % n == 0 && lanes % n == 0 && is_multiple(index, n, DEEP) ? n : 1;
}

static tg_value *part_at(tg_builder *b, const ts_buf *u, tg_value *index, int from) {
    return ts_swizzled(b, u, ts_bin(b, TG_OP_ADD, index, from));
}

tg_value *ts_swizzled_read(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *index, int lanes) {
    int n = step_of(u, index, lanes);
    if (n == lanes) {
        return tg_build_aload(b, ts_type(S, u->dtype, n), u->memory, ts_swizzled(b, u, index), n);
    }
    tg_value *v = NULL;
    for (int i = 0; i < lanes; i += n) {
        tg_value *x =
            tg_build_aload(b, ts_type(S, u->dtype, n), u->memory, part_at(b, u, index, i), n);
        for (int k = 0; k < n; k++) {
            tg_value *e = n > 1 ? tg_build_extract(b, x, k) : x;
            v = v == NULL ? tg_build_splat(b, e, lanes) : tg_build_insert(b, v, e, i + k);
        }
    }
    return v;
}

void ts_swizzled_write(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *index, tg_value *v) {
    int lanes = v->type->kind == TG_TY_VEC ? (int)v->type->shape[0] : 1;
    int n = step_of(u, index, lanes);
    if (n == lanes) {
        (void)tg_build_astore(b, u->memory, ts_swizzled(b, u, index), v, n);
        return;
    }
    for (int i = 0; i < lanes; i += n) {
        tg_value *part = tg_build_extract(b, v, i);
        for (int k = 1; k < n; k++) {
            part = k == 1 ? tg_build_splat(b, part, n) : part;
            part = tg_build_insert(b, part, tg_build_extract(b, v, i + k), k);
        }
        (void)tg_build_astore(b, u->memory, part_at(b, u, index, i), part, n);
    }
    (void)S;
}
