/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dimension expressions of signatures: postfix byte code over int64 (abi.h). Checked once when a
 * package is read; evaluation afterwards trusts it. Undoing an expression walks from its root to
 * the one place where the wanted symbol stands; operands are contiguous runs of the code, so they
 * are evaluated where they lie.
 */
#include "internal.h"

#include <inttypes.h>

/* Codes longer than this are checked but never solved for a symbol. */
enum { INVERT_MAX_BYTES = 128 };

static int64_t read_i64(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return (int64_t)v;
}

static uint32_t read_u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static size_t item_bytes(uint8_t op) { return op == TG_DIM_CONST ? 9 : op == TG_DIM_SYM ? 3 : 1; }

bool tgr_dim_valid(const uint8_t *code, size_t n, uint32_t n_syms) {
    int depth = 0;
    for (size_t i = 0; i < n;) {
        uint8_t op = code[i];
        size_t step = item_bytes(op);
        if (op < TG_DIM_CONST || op > TG_DIM_OR || step > n - i) {
            return false;
        }
        if (op == TG_DIM_SYM && read_u16(code + i + 1) >= n_syms) {
            return false;
        }
        depth += op == TG_DIM_CONST || op == TG_DIM_SYM ? 1 : -1;
        if (depth < 1 || depth > TG_PACK_CODE_DEPTH) {
            return false;
        }
        i += step;
    }
    return depth == 1;
}

tgr_dim tgr_dim_make(const uint8_t *code, size_t n) {
    tgr_dim d = {.kind = TGR_DIM_IS_NONE, .n = (uint32_t)n, .code = code};
    if (n == 0) {
        return d;
    }
    d.kind = TGR_DIM_IS_CODE;
    if (code[0] == TG_DIM_CONST && n == 9) {
        d.kind = TGR_DIM_IS_CONST;
        d.value = read_i64(code + 1);
    } else if (code[0] == TG_DIM_SYM && n == 3) {
        d.kind = TGR_DIM_IS_SYM;
        d.value = read_u16(code + 1);
    }
    return d;
}

/* ---- evaluation ----------------------------------------------------------------------------- */

static int64_t divide(int64_t a, int64_t b) {
    return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t remainder_of(int64_t a, int64_t b) { return b == 0 ? a : b == -1 ? 0 : a % b; }

static int64_t divide_up(int64_t a, int64_t b) {
    int64_t q = divide(a, b);
    bool exact = b == 0 || remainder_of(a, b) == 0;
    return exact || (a < 0) != (b < 0) ? q : q + 1;
}

static int64_t apply(tg_dim_code op, int64_t a, int64_t b) {
    switch (op) {
    case TG_DIM_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case TG_DIM_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case TG_DIM_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case TG_DIM_DIV:
        return divide(a, b);
    case TG_DIM_CDIV:
        return divide_up(a, b);
    case TG_DIM_MOD:
        return remainder_of(a, b);
    case TG_DIM_MIN:
        return a < b ? a : b;
    case TG_DIM_MAX:
        return a > b ? a : b;
    case TG_DIM_EQ:
        return a == b;
    case TG_DIM_NE:
        return a != b;
    case TG_DIM_LT:
        return a < b;
    case TG_DIM_LE:
        return a <= b;
    case TG_DIM_AND:
        return a && b;
    case TG_DIM_OR:
        return a || b;
    case TG_DIM_CONST:
    case TG_DIM_SYM:
        break;
    }
    return 0;
}

static int64_t evaluate(const uint8_t *code, size_t n, const int64_t *syms) {
    int64_t stack[TG_PACK_CODE_DEPTH] = {0};
    int top = 0;
    for (size_t i = 0; i < n; i += item_bytes(code[i])) {
        if (code[i] == TG_DIM_CONST) {
            stack[top++] = read_i64(code + i + 1);
        } else if (code[i] == TG_DIM_SYM) {
            stack[top++] = syms[read_u16(code + i + 1)];
        } else {
            top--;
            stack[top - 1] = apply((tg_dim_code)code[i], stack[top - 1], stack[top]);
        }
    }
    return stack[0];
}

int64_t tgr_dim_value_of(const tgr_dim *d, const int64_t *syms) {
    switch (d->kind) {
    case TGR_DIM_IS_CONST:
        return d->value;
    case TGR_DIM_IS_SYM:
        return syms[d->value];
    case TGR_DIM_IS_CODE:
        return evaluate(d->code, d->n, syms);
    case TGR_DIM_IS_NONE:
        break;
    }
    return 0;
}

static uint64_t syms_of(const uint8_t *code, size_t n) {
    uint64_t set = 0;
    for (size_t i = 0; i < n; i += item_bytes(code[i])) {
        if (code[i] == TG_DIM_SYM) {
            set |= 1ull << (read_u16(code + i + 1) & 63);
        }
    }
    return set;
}

uint64_t tgr_dim_syms(const tgr_dim *d) { return syms_of(d->code, d->n); }

/* ---- structure ------------------------------------------------------------------------------ */

/* Splits a code whose last item is a binary op: left operand [0, *out_right), right one up to n-1.
 */
static void split(const uint8_t *code, size_t n, size_t *out_right) {
    size_t starts[TG_PACK_CODE_DEPTH] = {0};
    int top = 0;
    for (size_t i = 0; i + 1 < n; i += item_bytes(code[i])) {
        if (code[i] == TG_DIM_CONST || code[i] == TG_DIM_SYM) {
            starts[top++] = i;
        } else {
            top--;
        }
    }
    *out_right = starts[top - 1];
}

static int occurrences(const uint8_t *code, size_t n, uint32_t s) {
    int count = 0;
    for (size_t i = 0; i < n; i += item_bytes(code[i])) {
        count += code[i] == TG_DIM_SYM && read_u16(code + i + 1) == s;
    }
    return count;
}

/* One step of undoing `want = left op right`; the unknown is in left or right. */
static bool undo(tg_dim_code op, bool unknown_left, int64_t known, int64_t want, int64_t *out) {
    if (op == TG_DIM_ADD) {
        return !__builtin_sub_overflow(want, known, out);
    }
    if (op == TG_DIM_SUB) {
        return unknown_left ? tgr_add_i64(want, known, out)
                            : !__builtin_sub_overflow(known, want, out);
    }
    if (op == TG_DIM_MUL && known != 0 && remainder_of(want, known) == 0) {
        *out = divide(want, known);
        return true;
    }
    return false;
}

static bool invert(const uint8_t *code, size_t n, uint32_t s, int64_t want, const int64_t *syms,
                   int64_t *out) {
    while (n > 3) { /* a lone symbol is 3 bytes; the unknown side is never a constant */
        tg_dim_code op = (tg_dim_code)code[n - 1];
        size_t right;
        split(code, n, &right);
        bool left = occurrences(code, right, s) == 1;
        const uint8_t *other = left ? code + right : code;
        size_t other_bytes = left ? n - 1 - right : right;
        int64_t known = syms ? evaluate(other, other_bytes, syms) : 1;
        if (syms ? !undo(op, left, known, want, &want)
                 : op != TG_DIM_ADD && op != TG_DIM_SUB && op != TG_DIM_MUL) {
            return false;
        }
        code = left ? code : code + right;
        n = left ? right : n - 1 - right;
    }
    *out = want;
    return true;
}

bool tgr_dim_invertible(const tgr_dim *d, uint32_t s) {
    int64_t ignored;
    return d->kind != TGR_DIM_IS_NONE && d->n <= INVERT_MAX_BYTES &&
           occurrences(d->code, d->n, s) == 1 && invert(d->code, d->n, s, 0, NULL, &ignored);
}

bool tgr_dim_invert(const tgr_dim *d, uint32_t s, int64_t extent, const int64_t *syms,
                    int64_t *out) {
    return invert(d->code, d->n, s, extent, syms, out);
}

/* ---- text ----------------------------------------------------------------------------------- */

typedef struct op_text {
    const char *text;
    int level; /* binding strength; 0: a call */
} op_text;

static op_text text_of(tg_dim_code op) {
    static const op_text table[] = {
        [TG_DIM_ADD] = {" + ", 4}, [TG_DIM_SUB] = {" - ", 4},   [TG_DIM_MUL] = {" * ", 5},
        [TG_DIM_DIV] = {" / ", 5}, [TG_DIM_CDIV] = {"cdiv", 0}, [TG_DIM_MOD] = {" % ", 5},
        [TG_DIM_MIN] = {"min", 0}, [TG_DIM_MAX] = {"max", 0},   [TG_DIM_EQ] = {" == ", 3},
        [TG_DIM_NE] = {" != ", 3}, [TG_DIM_LT] = {" < ", 3},    [TG_DIM_LE] = {" <= ", 3},
        [TG_DIM_AND] = {" & ", 2}, [TG_DIM_OR] = {" | ", 1},
    };
    return table[op];
}

static void print(tgr_text *out, const uint8_t *code, size_t n, const char *const *syms,
                  int outer) {
    uint8_t last = code[0];
    if (n == item_bytes(last) && last == TG_DIM_CONST) {
        tgr_text_add(out, "%" PRId64, read_i64(code + 1));
        return;
    }
    if (n == item_bytes(last) && last == TG_DIM_SYM) {
        tgr_text_add(out, "%s", syms[read_u16(code + 1)]);
        return;
    }
    size_t right;
    split(code, n, &right);
    op_text t = text_of((tg_dim_code)code[n - 1]);
    bool call = t.level == 0, paren = !call && t.level < outer;
    tgr_text_add(out, "%s", call ? t.text : "");
    tgr_text_add(out, "%s", call || paren ? "(" : "");
    print(out, code, right, syms, call ? 0 : t.level);
    tgr_text_add(out, "%s", call ? ", " : t.text);
    print(out, code + right, n - 1 - right, syms, call ? 0 : t.level + 1);
    tgr_text_add(out, "%s", call || paren ? ")" : "");
}

void tgr_dim_text(tgr_text *out, const tgr_dim *d, const char *const *syms) {
    if (d->kind != TGR_DIM_IS_NONE) {
        print(out, d->code, d->n, syms, 0);
    }
}
