/* SPDX-License-Identifier: Apache-2.0 */
/* See irrun.h. */
#include "tests/ir/irrun.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/interp.h"

enum { MAX_BYTES = 1 << 24 };

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Small integers and, rarely, the values that catch careless identities. */
static double random_float(uint64_t *seed) {
    static const double special[] = {0.0, -0.0, 1e30, -1e30, 0.5};
    uint64_t r = next_random(seed);
    return r % 16 == 0 ? special[r / 16 % TG_COUNT_OF(special)] : (double)(int64_t)(r % 41) - 20;
}

static void fill(const tg_type *t, void *data, size_t count, uint64_t *seed) {
    if (t->dtype == TG_DT_RECORD) {
        for (size_t i = 0; i < count * (size_t)t->elem_bytes; i++) {
            ((unsigned char *)data)[i] = (unsigned char)next_random(seed);
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = next_random(seed) % 24;
        if (tg_dtype_is_float(t->dtype)) {
            bits = tg_float_encode(t->dtype, random_float(seed), TG_ROUND_RNE, true);
        } else if (t->dtype == TG_DT_BOOL) {
            bits &= 1;
        } else if (tg_dtype_is_signed(t->dtype)) {
            bits -= 4;
        }
        tg_bits_store(data, t->dtype, i, bits);
    }
}

/* Lays out a tensor: contiguous, each row of a sub-byte type on whole bytes. Returns its bytes. */
static size_t lay_out(const tg_type *t, const int64_t *syms, tg_interp_arg *arg) {
    int64_t bytes = t->dtype == TG_DT_RECORD ? t->elem_bytes : tg_dtype_bits(t->dtype) / 8;
    bool packed = bytes == 0;
    int64_t stride = packed ? 1 : bytes;
    for (int a = t->rank - 1; a >= 0; a--) {
        int64_t n = tg_dim_eval(t->dims[a], syms);
        if (n < 0 || n > MAX_BYTES) {
            return SIZE_MAX;
        }
        bool innermost = a == t->rank - 1;
        arg->extent[a] = n;
        arg->stride_bytes[a] = packed && innermost ? 0 : stride;
        stride = packed && innermost ? (n * tg_dtype_bits(t->dtype) + 7) / 8 : stride * n;
        if (stride > MAX_BYTES) {
            return SIZE_MAX;
        }
    }
    return (size_t)(t->rank == 0 ? (packed ? 1 : bytes) : stride);
}

typedef struct launch {
    tg_interp_arg *args;
    size_t *bytes;
} launch;

static bool make_args(tg_arena *arena, const tg_func *f, const int64_t *syms, uint64_t seed,
                      launch *l) {
    l->args = TG_NEW_ARRAY(arena, tg_interp_arg, f->n_params + 1);
    l->bytes = TG_NEW_ARRAY(arena, size_t, f->n_params + 1);
    for (int i = 0; i < f->n_params; i++) {
        const tg_type *type = f->params[i].type;
        if (type->kind != TG_TY_TENSOR) {
            fill(type, &l->args[i].scalar, 1, &seed);
            continue;
        }
        l->bytes[i] = lay_out(type, syms, &l->args[i]);
        if (l->bytes[i] == SIZE_MAX) {
            return false;
        }
        l->args[i].data = tg_arena_alloc(arena, l->bytes[i] + 8);
        size_t elem = type->dtype == TG_DT_RECORD ? (size_t)type->elem_bytes
                                                  : (size_t)tg_dtype_bits(type->dtype);
        size_t count = type->dtype == TG_DT_RECORD ? l->bytes[i] / elem : l->bytes[i] * 8 / elem;
        fill(type, l->args[i].data, count, &seed);
    }
    return true;
}

static launch copy_args(tg_arena *arena, const tg_func *f, const launch *from) {
    launch l = {.bytes = from->bytes};
    l.args = TG_NEW_ARRAY(arena, tg_interp_arg, f->n_params + 1);
    for (int i = 0; i < f->n_params; i++) {
        l.args[i] = from->args[i];
        if (from->args[i].data != NULL) {
            l.args[i].data = tg_arena_alloc(arena, from->bytes[i] + 8);
            memcpy(l.args[i].data, from->args[i].data, from->bytes[i]);
        }
    }
    return l;
}

static tg_status run(tg_arena *arena, tg_func *f, const launch *l, const int64_t *syms,
                     tg_sink *sink) {
    tg_interp_options options = {.mode = TG_INTERP_F32, .max_steps = 20000000};
    tg_sink_init(sink, arena);
    return tg_interp_run(f, l->args, syms, &options, arena, sink);
}

/* Equal bits, except that any NaN equals any NaN: its bits are the target's choice. */
static bool same_data(const tg_type *t, const void *a, const void *b, size_t bytes) {
    if (memcmp(a, b, bytes) == 0) {
        return true;
    }
    if (t->dtype == TG_DT_RECORD || !tg_dtype_is_float(t->dtype)) {
        return false;
    }
    size_t count = bytes * 8 / (size_t)tg_dtype_bits(t->dtype);
    for (size_t i = 0; i < count; i++) {
        uint64_t x = tg_bits_load(a, t->dtype, i), y = tg_bits_load(b, t->dtype, i);
        if (x != y &&
            !(isnan(tg_float_decode(t->dtype, x)) && isnan(tg_float_decode(t->dtype, y)))) {
            return false;
        }
    }
    return true;
}

static bool compare(tg_arena *arena, tg_func *before, tg_func *after, const int64_t *syms,
                    uint64_t seed, bool *out_ran, const char **out_why) {
    launch a;
    tg_sink sink;
    int64_t *solved = TG_NEW_ARRAY(arena, int64_t, before->n_syms + 1);
    if (!make_args(arena, before, syms, seed, &a)) {
        return true;
    }
    tg_sink_init(&sink, arena);
    if (tg_interp_bind(before, a.args, solved, &sink) != TG_OK) {
        return true;
    }
    launch b = copy_args(arena, before, &a);
    tg_status sa = run(arena, before, &a, solved, &sink);
    bool silent = sink.errors == 0;
    tg_status sb = run(arena, after, &b, solved, &sink);
    bool limit = sa != TG_OK && sb == TG_OK; /* less work may end before the step limit */
    if (limit) {
        return true;
    }
    if (sa != sb || silent != (sink.errors == 0)) {
        *out_why = "one ends with an error, the other does not";
        return false;
    }
    *out_ran = sa == TG_OK;
    /* A run that stopped (the step limit) leaves outputs half written: nothing to compare. */
    for (int i = 0; *out_ran && i < before->n_params; i++) {
        if (a.args[i].data != NULL &&
            !same_data(before->params[i].type, a.args[i].data, b.args[i].data, a.bytes[i])) {
            *out_why = before->params[i].name;
            return false;
        }
    }
    return true;
}

bool irrun_equal(irtest *t, tg_func *before, tg_func *after, const int64_t *syms, uint64_t seed,
                 bool *out_ran, const char **out_why) {
    /* Each run leaves much behind in its arena: one arena a comparison. */
    tg_arena arena;
    tg_arena_init(&arena, &t->env);
    *out_why = "";
    bool equal = compare(&arena, before, after, syms, seed, out_ran, out_why);
    tg_arena_fini(&arena);
    return equal;
}

tg_func *irrun_copy(irtest *t, const tg_func *f) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_add(&sb, "tegula-ir 1\n");
    tg_func_print(&sb, f);
    return irtest_parse(t, sb.data)->first_func;
}
