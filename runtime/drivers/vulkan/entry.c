/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry of a SPIR-V module of several. An op's kernels come as one module; a pipeline needs one
 * of them, and the specification counts the shared memory of all that a shader module declares
 * against the device's limit (VUID-RuntimeSpirv-Workgroup-06530), not that of the entry alone. So
 * the driver is given a module without the other entries, their functions, modes, names and
 * decorations, and without shared variables that the entry does not name in its interface.
 *
 * Instructions are not decoded further than that: the result of one in a function, if it has one,
 * is its second operand (a label's is the first). An operand that is taken for a result belongs to
 * the same function or to the module, so nothing of the entry is lost by it.
 */
#include <string.h>

#include "drivers/vulkan/vk.h"

/* Numbers of the SPIR-V specification (section 3). */
enum {
    HEADER_WORDS = 5,
    VERSION_WITH_ALL = 0x00010400, /* from here on an interface names shared variables, too */
    MOST_IDS = 0x3fffff,
    OP_UNDEF = 1,
    OP_NAME = 5,
    OP_MEMBER_NAME = 6,
    OP_STRING = 7,
    OP_LINE = 8,
    OP_IMPORT = 11,
    OP_ENTRY_POINT = 15,
    OP_EXECUTION_MODE = 16,
    OP_TYPE_FIRST = 19,
    OP_TYPE_LAST = 39,
    OP_CONSTANT_FIRST = 41,
    OP_CONSTANT_LAST = 52,
    OP_FUNCTION = 54,
    OP_CALL = 57,
    OP_VARIABLE = 59,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72,
    OP_SELECTION_MERGE = 247,
    OP_LABEL = 248,
    OP_EXECUTION_MODE_ID = 331,
    OP_DECORATE_ID = 332,
    OP_TYPE_MATRIX = 4456,
    CLASS_SHARED = 4
};

/* What is known of an id. */
enum { OF_MODULE = 1, OF_ENTRY = 2, OF_OTHERS = 4, NOT_NAMED = 8, NAMED = 16 };

typedef struct cutter {
    const uint32_t *words;
    size_t n;
    const char *entry;
    uint8_t *ids;
    uint32_t bound, function; /* of the entry; 0: not found */
    int entries;
    bool calls;
} cutter;

static void mark(cutter *c, uint32_t id, uint8_t what) {
    if (id < c->bound) {
        c->ids[id] |= what;
    }
}

static bool is(const cutter *c, uint32_t id, uint8_t what) {
    return id < c->bound && (c->ids[id] & what) != 0;
}

static bool is_named(const uint32_t *w, uint32_t length, const char *name) {
    size_t bytes = (length - 3) * sizeof w[0], n = strlen(name);
    return n < bytes && memcmp(w + 3, name, n + 1) == 0;
}

/* An entry's interface stands behind its name. */
static void take_entry(cutter *c, const uint32_t *w, uint32_t length) {
    c->entries++;
    if (length < 4 || !is_named(w, length, c->entry)) {
        return;
    }
    c->function = w[2];
    for (uint32_t i = 3 + (uint32_t)strlen(c->entry) / 4 + 1; i < length; i++) {
        mark(c, w[i], NAMED);
    }
}

static void take_of_module(cutter *c, const uint32_t *w, uint32_t op, uint32_t length) {
    bool type = (op >= OP_TYPE_FIRST && op <= OP_TYPE_LAST) || op == OP_TYPE_MATRIX;
    bool constant = (op >= OP_CONSTANT_FIRST && op <= OP_CONSTANT_LAST) || op == OP_UNDEF;
    if (op == OP_ENTRY_POINT) {
        take_entry(c, w, length);
    } else if ((type || op == OP_IMPORT || op == OP_STRING) && length > 1) {
        mark(c, w[1], OF_MODULE);
    } else if ((constant || op == OP_VARIABLE) && length > 2) {
        mark(c, w[2], OF_MODULE);
    }
    if (op == OP_VARIABLE && length > 3 && w[3] == CLASS_SHARED && !is(c, w[2], NAMED)) {
        mark(c, w[2], NOT_NAMED);
    }
}

/* False when the words are no instructions. */
static bool look(cutter *c) {
    bool inside = false;
    uint8_t whose = OF_OTHERS;
    for (size_t at = HEADER_WORDS; at < c->n;) {
        const uint32_t *w = c->words + at;
        uint32_t length = w[0] >> 16, op = w[0] & 0xffff;
        if (length == 0 || length > c->n - at) {
            return false;
        }
        inside = inside || op == OP_FUNCTION;
        c->calls = c->calls || op == OP_CALL;
        if (op == OP_FUNCTION && length > 2) {
            whose = w[2] == c->function ? OF_ENTRY : OF_OTHERS;
        }
        if (!inside) {
            take_of_module(c, w, op, length);
        } else if (length > 2 && op != OP_LINE && op != OP_SELECTION_MERGE) {
            mark(c, w[2], whose); /* those two have a plain number there */
        } else if (op == OP_LABEL && length > 1) {
            mark(c, w[1], whose);
        }
        at += length;
    }
    return true;
}

/* Names and decorations of what goes. */
static bool goes(const cutter *c, uint32_t id) {
    return is(c, id, NOT_NAMED) || (is(c, id, OF_OTHERS) && !is(c, id, OF_ENTRY | OF_MODULE));
}

static bool keeps(const cutter *c, const uint32_t *w, uint32_t op, uint32_t length) {
    switch (op) {
    case OP_ENTRY_POINT:
        return length > 2 && w[2] == c->function;
    case OP_EXECUTION_MODE:
    case OP_EXECUTION_MODE_ID:
        return length > 1 && w[1] == c->function;
    case OP_NAME:
    case OP_MEMBER_NAME:
    case OP_DECORATE:
    case OP_MEMBER_DECORATE:
    case OP_DECORATE_ID:
        return length > 1 && !goes(c, w[1]);
    case OP_VARIABLE:
        return length < 3 || !is(c, w[2], NOT_NAMED);
    default:
        return true;
    }
}

static size_t cut(const cutter *c, uint32_t *out) {
    bool keep = true, inside = false;
    size_t to = HEADER_WORDS;
    memcpy(out, c->words, HEADER_WORDS * sizeof out[0]);
    for (size_t at = HEADER_WORDS; at < c->n;) {
        const uint32_t *w = c->words + at;
        uint32_t length = w[0] >> 16, op = w[0] & 0xffff;
        if (op == OP_FUNCTION) {
            inside = true;
            keep = length > 2 && w[2] == c->function;
        }
        if (inside ? keep : keeps(c, w, op, length)) {
            memcpy(out + to, w, length * sizeof out[0]);
            to += length;
        }
        at += length;
    }
    return to;
}

uint32_t *tgr_vk_entry_alone(tgr_context *context, const uint32_t *words, size_t n_words,
                             const char *entry, size_t *out_words) {
    cutter c = {.words = words, .n = n_words, .entry = entry};
    uint32_t *out = NULL;
    if (n_words < HEADER_WORDS || words[1] < VERSION_WITH_ALL || words[3] > MOST_IDS) {
        return NULL;
    }
    c.bound = words[3];
    c.ids = tgr_alloc(context, (size_t)c.bound + 1);
    if (c.ids && look(&c) && c.function != 0 && c.entries > 1 && !c.calls) {
        out = tgr_alloc_raw(context, n_words * sizeof out[0]);
        *out_words = out ? cut(&c, out) : 0;
    }
    if (c.ids) {
        tgr_free(context, c.ids, (size_t)c.bound + 1);
    }
    return out;
}
