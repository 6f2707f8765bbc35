/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables behind the enumerations of ir.h: operations (ops.def), attribute keys (attrs.def) and
 * the printed names of enumerated attributes (enums.def). Each list exists once, in its .def file.
 */
#include "ir/ir.h"

#include <string.h>

/* ---- operations ----------------------------------------------------------------------------- */

/*
 * A(AXES, OPTIONAL, MASKED) becomes `n_required, n_attrs, {keys}`. The list is padded with a value
 * that is no key, so that the counts are constant expressions.
 */
#define KEY(x) (int)TG_ATTR_##x
#define TG_ATTR_PAD_ (-1)
#define REQ8(a, b, c, d, e, f, g, h)                                                               \
    (STOP(a)   ? 0                                                                                 \
     : STOP(b) ? 1                                                                                 \
     : STOP(c) ? 2                                                                                 \
     : STOP(d) ? 3                                                                                 \
     : STOP(e) ? 4                                                                                 \
     : STOP(f) ? 5                                                                                 \
     : STOP(g) ? 6                                                                                 \
               : 7)
#define STOP(x) (KEY(x) < 0 || KEY(x) == (int)TG_ATTR_OPTIONAL)
#define HAVE(x) (KEY(x) >= 0)
#define COUNT12(a, b, c, d, e, f, g, h, i, j, k, l)                                                \
    (HAVE(a) + HAVE(b) + HAVE(c) + HAVE(d) + HAVE(e) + HAVE(f) + HAVE(g) + HAVE(h) + HAVE(i) +     \
     HAVE(j) + HAVE(k) + HAVE(l))
#define AT(x) (KEY(x) < 0 ? TG_ATTR_OPTIONAL : (tg_attr_key)KEY(x))
#define LIST12(a, b, c, d, e, f, g, h, i, j, k, l)                                                 \
    {AT(a), AT(b), AT(c), AT(d), AT(e), AT(f), AT(g), AT(h), AT(i), AT(j), AT(k), AT(l)}
#define ATTRS12(a, b, c, d, e, f, g, h, i, j, k, l, ...)                                           \
    REQ8(a, b, c, d, e, f, g, h), COUNT12(a, b, c, d, e, f, g, h, i, j, k, l),                     \
        LIST12(a, b, c, d, e, f, g, h, i, j, k, l)
#define ATTRS(...)                                                                                 \
    ATTRS12(__VA_ARGS__, PAD_, PAD_, PAD_, PAD_, PAD_, PAD_, PAD_, PAD_, PAD_, PAD_, PAD_, PAD_)
#define A(...) ATTRS(__VA_ARGS__)

static const tg_op_info op_table[TG_OP_COUNT] = {
#define TG_OP(ident, name, levels, min, max, results, regions, flags, attrs, doc)                  \
    [TG_OP_##ident] = {name, levels, min, max, results, regions, flags, doc, attrs},
#include "ir/ops.def"
#undef TG_OP
};
#undef A

const tg_op_info *tg_op_info_get(tg_opcode code) { return &op_table[code]; }

static bool text_is(const char *text, const char *s, size_t len) {
    return strncmp(text, s, len) == 0 && text[len] == '\0';
}

bool tg_opcode_from_name(const char *name, size_t len, tg_opcode *out) {
    for (int i = 0; i < (int)TG_OP_COUNT; i++) {
        if (text_is(op_table[i].name, name, len)) {
            *out = (tg_opcode)i;
            return true;
        }
    }
    return false;
}

/* ---- attribute keys ------------------------------------------------------------------------- */

typedef struct attr_info {
    const char *name;
    char kind;
} attr_info;

static const attr_info attr_table[TG_ATTR_COUNT] = {
#define TG_ATTR(ident, name, kind) [TG_ATTR_##ident] = {name, kind},
#include "ir/attrs.def"
#undef TG_ATTR
};

const char *tg_attr_name(tg_attr_key key) { return attr_table[key].name; }
char tg_attr_kind(tg_attr_key key) { return attr_table[key].kind; }

bool tg_attr_from_name(const char *name, size_t len, tg_attr_key *out) {
    for (int i = (int)TG_ATTR_OPTIONAL + 1; i < (int)TG_ATTR_COUNT; i++) {
        if (text_is(attr_table[i].name, name, len)) {
            *out = (tg_attr_key)i;
            return true;
        }
    }
    return false;
}

/* ---- enumerated attributes ------------------------------------------------------------------ */

#define ENUM_MAX 16

static const char *const enum_table[TG_ATTR_COUNT][ENUM_MAX] = {
#define TG_ENUM(key, ...) [TG_ATTR_##key] = {__VA_ARGS__},
#include "ir/enums.def"
#undef TG_ENUM
};

const char *tg_enum_name(tg_attr_key key, int64_t v) {
    return v >= 0 && v < ENUM_MAX ? enum_table[key][v] : NULL;
}

bool tg_enum_value(tg_attr_key key, const char *name, size_t len, int64_t *out) {
    for (int64_t i = 0; i < ENUM_MAX && enum_table[key][i] != NULL; i++) {
        if (text_is(enum_table[key][i], name, len)) {
            *out = i;
            return true;
        }
    }
    return false;
}
