/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a module: sections that are joined at the end, result ids, types and constants each
 * declared once, capabilities declared when something first needs them.
 */
#include <string.h>

#include "backends/spirv/spirv.h"

uint32_t tg_spv_id(tg_spv *s) { return s->next_id++; }

static void push(tg_spv *s, tg_spv_section section, uint32_t word) {
    TG_LIST_PUSH(s->arena, &s->section[section], word);
}

static uint32_t first_word(SpvOp op, size_t n_words) {
    return (uint32_t)(n_words << SpvWordCountShift) | (uint32_t)op;
}

void tg_spv_put(tg_spv *s, tg_spv_section section, SpvOp op, size_t n, const uint32_t *words) {
    push(s, section, first_word(op, n + 1));
    for (size_t i = 0; i < n; i++) {
        push(s, section, words[i]);
    }
}

uint32_t tg_spv_emit_value(tg_spv *s, SpvOp op, uint32_t type, size_t n, const uint32_t *words) {
    uint32_t id = tg_spv_id(s);
    push(s, TG_SPV_BODY, first_word(op, n + 3));
    push(s, TG_SPV_BODY, type);
    push(s, TG_SPV_BODY, id);
    for (size_t i = 0; i < n; i++) {
        push(s, TG_SPV_BODY, words[i]);
    }
    return id;
}

static void keep_apart(tg_spv *s, uint32_t id) {
    if (s->flavour->no_contraction) {
        TG_SPV(s, TG_SPV_DECORATION, SpvOpDecorate, id, SpvDecorationNoContraction);
    }
}

uint32_t tg_spv_float_op(tg_spv *s, SpvOp op, uint32_t type, uint32_t x, uint32_t y) {
    uint32_t id = TG_SPV_VALUE(s, op, type, x, y);
    keep_apart(s, id);
    return id;
}

uint32_t tg_spv_ext(tg_spv *s, uint32_t type, uint32_t number, uint32_t x) {
    return TG_SPV_VALUE(s, SpvOpExtInst, type, s->import, number, x);
}

void tg_spv_capability(tg_spv *s, SpvCapability c) {
    for (size_t i = 0; i < s->capabilities.count; i++) {
        if (s->capabilities.data[i] == (uint32_t)c) {
            return;
        }
    }
    TG_LIST_PUSH(s->arena, &s->capabilities, (uint32_t)c);
    TG_SPV(s, TG_SPV_CAPABILITY, SpvOpCapability, (uint32_t)c);
}

void tg_spv_put_string(tg_spv *s, tg_spv_section section, SpvOp op, size_t n_lead,
                       const uint32_t *lead, const char *text, size_t n_tail,
                       const uint32_t *tail) {
    size_t len = strlen(text), words = len / 4 + 1;
    push(s, section, first_word(op, 1 + n_lead + words + n_tail));
    for (size_t i = 0; i < n_lead; i++) {
        push(s, section, lead[i]);
    }
    for (size_t w = 0; w < words; w++) { /* little-endian in the word, whatever the host */
        uint32_t v = 0;
        for (size_t b = 0; b < 4 && w * 4 + b < len; b++) {
            v |= (uint32_t)(unsigned char)text[w * 4 + b] << (8 * b);
        }
        push(s, section, v);
    }
    for (size_t i = 0; i < n_tail; i++) {
        push(s, section, tail[i]);
    }
}

void tg_spv_name(tg_spv *s, uint32_t id, const char *name) {
    if (name && name[0]) {
        tg_spv_put_string(s, TG_SPV_NAME, SpvOpName, 1, &id, name, 0, NULL);
    }
}

/* ---- declared once ----------------------------------------------------------------------------
 */

/* Position of the result id in a declaration: behind the type in constants. */
static size_t id_at(SpvOp op) {
    return op == SpvOpConstant || op == SpvOpConstantTrue || op == SpvOpConstantFalse ? 2 : 1;
}

static bool same(const uint32_t *have, SpvOp op, size_t n, const uint32_t *words) {
    if (have[0] != first_word(op, n + 2)) {
        return false;
    }
    size_t skip = id_at(op), at = 1;
    for (size_t i = 0; i < n; i++, at++) {
        at += at == skip ? 1 : 0;
        if (have[at] != words[i]) {
            return false;
        }
    }
    return true;
}

static uint64_t hash_of(SpvOp op, size_t n, const uint32_t *words) {
    return tg_hash_bytes(words, n * sizeof(words[0]), (uint64_t)op + 1);
}

static uint64_t hash_at(const uint32_t *have) {
    SpvOp op = (SpvOp)(have[0] & SpvOpCodeMask);
    size_t total = have[0] >> SpvWordCountShift, skip = id_at(op), n = 0;
    uint32_t words[TG_SPV_ARGS + 4];
    for (size_t at = 1; at < total && n < TG_COUNT_OF(words); at++) {
        if (at != skip) {
            words[n++] = have[at];
        }
    }
    return hash_of(op, n, words);
}

static void grow_table(tg_spv *s) {
    size_t cap = s->interned.cap ? s->interned.cap * 2 : 256;
    uint32_t *bigger = TG_NEW_ARRAY(s->arena, uint32_t, cap);
    for (size_t i = 0; i < s->interned.cap; i++) {
        uint32_t entry = s->interned.at[i];
        if (entry) {
            size_t at = hash_at(&s->section[TG_SPV_GLOBAL].data[entry - 1]) & (cap - 1);
            while (bigger[at]) {
                at = (at + 1) & (cap - 1);
            }
            bigger[at] = entry;
        }
    }
    s->interned.at = bigger;
    s->interned.cap = cap;
}

/* The declaration of GLOBAL with these operands (its id left out), made when new. At most
 * TG_SPV_ARGS + 4 operands. */
static uint32_t intern(tg_spv *s, SpvOp op, size_t n, const uint32_t *words) {
    if (s->interned.count * 2 >= s->interned.cap) {
        grow_table(s);
    }
    size_t mask = s->interned.cap - 1, at = hash_of(op, n, words) & mask;
    for (; s->interned.at[at]; at = (at + 1) & mask) {
        const uint32_t *have = &s->section[TG_SPV_GLOBAL].data[s->interned.at[at] - 1];
        if (same(have, op, n, words)) {
            return have[id_at(op)];
        }
    }
    s->interned.at[at] = (uint32_t)s->section[TG_SPV_GLOBAL].count + 1;
    s->interned.count++;
    uint32_t id = tg_spv_id(s);
    push(s, TG_SPV_GLOBAL, first_word(op, n + 2));
    for (size_t i = 0; i < n; i++) {
        if (i + 1 == id_at(op)) {
            push(s, TG_SPV_GLOBAL, id);
        }
        push(s, TG_SPV_GLOBAL, words[i]);
    }
    if (n + 1 == id_at(op)) {
        push(s, TG_SPV_GLOBAL, id);
    }
    return id;
}

#define INTERN(s, op, ...)                                                                         \
    intern((s), (op), sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),                        \
           (const uint32_t[]){__VA_ARGS__})

uint32_t tg_spv_type_int(tg_spv *s, int bits) {
    if (bits != 32) {
        tg_spv_capability(s, bits == 8    ? SpvCapabilityInt8
                             : bits == 16 ? SpvCapabilityInt16
                                          : SpvCapabilityInt64);
    }
    return INTERN(s, SpvOpTypeInt, (uint32_t)bits, 0);
}

uint32_t tg_spv_type_float(tg_spv *s, int bits) {
    if (bits == 64) {
        tg_spv_capability(s, SpvCapabilityFloat64);
    }
    return INTERN(s, SpvOpTypeFloat, (uint32_t)bits);
}

uint32_t tg_spv_type_bool(tg_spv *s) { return intern(s, SpvOpTypeBool, 0, NULL); }
uint32_t tg_spv_type_void(tg_spv *s) { return intern(s, SpvOpTypeVoid, 0, NULL); }

uint32_t tg_spv_type_of(tg_spv *s, SpvOp op, size_t n, const uint32_t *words) {
    return intern(s, op, n, words);
}

uint32_t tg_spv_type_vector(tg_spv *s, uint32_t element, int n) {
    return INTERN(s, SpvOpTypeVector, element, (uint32_t)n);
}

uint32_t tg_spv_type_array(tg_spv *s, uint32_t element, uint32_t n) {
    return INTERN(s, SpvOpTypeArray, element, tg_spv_const(s, 32, n));
}

uint32_t tg_spv_type_pointer(tg_spv *s, SpvStorageClass storage, uint32_t to) {
    return INTERN(s, SpvOpTypePointer, (uint32_t)storage, to);
}

uint32_t tg_spv_type_function(tg_spv *s, uint32_t result, size_t n, const uint32_t *params) {
    uint32_t words[1 + TG_SPV_ARGS] = {result};
    for (size_t i = 0; i < n && i < TG_SPV_ARGS; i++) {
        words[1 + i] = params[i];
    }
    return intern(s, SpvOpTypeFunction, n + 1, words);
}

uint32_t tg_spv_const(tg_spv *s, int bits, uint64_t v) {
    uint32_t type = tg_spv_type_int(s, bits);
    if (bits == 64) {
        return INTERN(s, SpvOpConstant, type, (uint32_t)v, (uint32_t)(v >> 32));
    }
    uint32_t mask = bits == 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1;
    return INTERN(s, SpvOpConstant, type, (uint32_t)v & mask);
}

uint32_t tg_spv_const_f32(tg_spv *s, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return INTERN(s, SpvOpConstant, tg_spv_type_float(s, 32), bits);
}

uint32_t tg_spv_const_f64(tg_spv *s, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return INTERN(s, SpvOpConstant, tg_spv_type_float(s, 64), (uint32_t)bits,
                  (uint32_t)(bits >> 32));
}

uint32_t tg_spv_const_bool(tg_spv *s, bool v) {
    return INTERN(s, v ? SpvOpConstantTrue : SpvOpConstantFalse, tg_spv_type_bool(s));
}

uint32_t tg_spv_global(tg_spv *s, SpvStorageClass storage, uint32_t type) {
    uint32_t pointer = tg_spv_type_pointer(s, storage, type), id = tg_spv_id(s);
    TG_SPV(s, TG_SPV_GLOBAL, SpvOpVariable, pointer, id, (uint32_t)storage);
    return id;
}

/* Before 1.4 an interface is inputs only. */
enum { VERSION_WITH_ALL = 0x00010400 };

void tg_spv_interface(tg_spv *s, uint32_t variable, SpvStorageClass storage) {
    if (storage != SpvStorageClassInput && s->flavour->version < VERSION_WITH_ALL) {
        return;
    }
    for (size_t i = 0; i < s->interface.count; i++) {
        if (s->interface.data[i] == variable) {
            return;
        }
    }
    TG_LIST_PUSH(s->arena, &s->interface, variable);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Tools that write SPIR-V are registered by number; ours is not: 0. */
enum { GENERATOR = 0, HEADER_WORDS = 5 };

void tg_spv_finish(tg_spv *s, const unsigned char **out, size_t *out_bytes) {
    size_t n = HEADER_WORDS;
    for (int i = 0; i < TG_SPV_HEAD; i++) {
        n += s->section[i].count;
    }
    uint32_t *words = TG_NEW_ARRAY(s->arena, uint32_t, n);
    const uint32_t header[HEADER_WORDS] = {SpvMagicNumber, s->version, GENERATOR, s->next_id, 0};
    memcpy(words, header, sizeof header);
    size_t at = HEADER_WORDS;
    for (int i = 0; i < TG_SPV_HEAD; i++) {
        if (s->section[i].count > 0) {
            memcpy(words + at, s->section[i].data, s->section[i].count * sizeof(uint32_t));
            at += s->section[i].count;
        }
    }
    *out = (const unsigned char *)words;
    *out_bytes = n * sizeof(uint32_t);
}
