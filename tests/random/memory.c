/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of a generated kernel: guarded memory, seeded data, comparison. See run.h. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/random/run.h"

/* ---- layout -------------------------------------------------------------------------------------
 */

static void layout(case_tensor *t, const tg_param *p, const gen_param *g, const int64_t *syms) {
    const tg_type *type = p->type;
    bool packed = tg_dtype_bits(type->dtype) == 4;
    int64_t elem =
        type->dtype == TG_DT_RECORD ? type->elem_bytes : (tg_dtype_bits(type->dtype) + 7) / 8;
    int64_t stride = elem;
    t->elem = elem;
    t->rank = type->rank;
    t->dtype = type->dtype;
    bool empty = false;
    for (int a = type->rank - 1; a >= 0; a--) {
        int64_t n = tg_dim_eval(type->dims[a], syms);
        bool innermost = a == type->rank - 1;
        if (innermost && (p->flags & TG_PARAM_STRIDED)) {
            stride *= 2;
        }
        t->extent[a] = n;
        t->stride[a] = innermost && packed ? 0 : stride;
        stride = innermost && packed ? (n + 1) / 2 : stride * n;
        stride += g->padded && innermost ? 3 * elem : 0;
        stride = stride == 0 ? elem : stride;
        empty |= n == 0;
    }
    t->bytes = empty ? 0 : (size_t)elem;
    for (int a = 0; a < type->rank && !empty; a++) {
        bool row = packed && a == type->rank - 1;
        t->bytes += row ? (size_t)((t->extent[a] + 1) / 2 - 1)
                        : (size_t)((t->extent[a] - 1) * t->stride[a]);
    }
}

static void map_tensor(case_tensor *t) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (t->bytes + page - 1) / page * page;
    t->map_bytes = body + 2 * page;
    t->map = mmap(NULL, t->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->map == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    (void)mprotect(t->map, page, PROT_NONE);
    (void)mprotect(t->map + page + body, page, PROT_NONE);
    size_t align = t->dtype == TG_DT_RECORD ? 8 : (size_t)t->elem;
    t->base = t->map + page + body - (t->bytes + align - 1) / align * align;
}

/* ---- data ---------------------------------------------------------------------------------------
 */

/* Small multiples of 1/2 (powers of two in f8e8m0): the generator's bounds count on them. */
static uint64_t random_float(tg_dtype t, uint64_t *rng, bool specials, bool subnormals) {
    uint64_t r = gen_random(rng);
    if (t == TG_DT_F8E8M0) {
        return 127 - 3 + r % 7;
    }
    if (subnormals && r / 64 % 4 == 0) { /* a few low bits, either sign */
        return (r >> 16 & 7) | (r >> 20 & 1) << (tg_dtype_bits(t) - 1);
    }
    if (specials && r % 16 == 0) {
        static const double odd[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -0.0};
        double v = odd[r / 16 % 4];
        bool saturates = t == TG_DT_F8E4M3 || t == TG_DT_F8E4M3FNUZ || t == TG_DT_F4E2M1;
        return tg_float_encode(t, saturates && isinf(v) ? 8.0 : v, TG_ROUND_RNE, false);
    }
    double v = (double)(int64_t)(r >> 8 & 31) / 2 - 8;
    return tg_float_encode(t, fabs(v) > 8 ? 0 : v, TG_ROUND_RNE, false);
}

static uint64_t random_element(tg_dtype t, const gen_param *g, uint64_t *rng) {
    if (g->data == GEN_DATA_OUTPUT) {
        return UINT64_C(0x5555555555555555);
    }
    if (g->data == GEN_DATA_INDEX) {
        return (uint64_t)((int64_t)(gen_random(rng) % (uint64_t)(g->index_limit + 6)) - 3);
    }
    if (tg_dtype_is_float(t)) {
        return random_float(t, rng, g->specials, g->subnormals);
    }
    uint64_t r = gen_random(rng);
    return t == TG_DT_BOOL ? r & 1 : r % 3 == 0 ? r >> 8 : (uint64_t)((int64_t)(r >> 8 & 15) - 5);
}

static void fill_field(const gen_field *f, int axis, char *at, const gen_param *g, uint64_t *rng) {
    if (axis == f->rank) {
        tg_bits_store(at, f->dtype, 0, random_element(f->dtype, g, rng));
        return;
    }
    bool packed = f->strides[axis] == 0;
    for (int64_t i = 0; i < f->dims[axis]; i++) {
        if (packed) {
            tg_bits_store(at, f->dtype, (size_t)i, random_element(f->dtype, g, rng));
        } else {
            fill_field(f, axis + 1, at + i * f->strides[axis], g, rng);
        }
    }
}

/* The elements of each field depend on where it lies alone, not on which other fields are known. */
static void fill_record(char *at, const gen_param *g, uint64_t *rng) {
    uint64_t own = gen_random(rng);
    for (int i = 0; i < g->n_fields; i++) {
        uint64_t field = own + (uint64_t)g->fields[i].offset * 0x9E3779B9u;
        fill_field(&g->fields[i], 0, at + g->fields[i].offset, g, &field);
    }
}

static void fill(const case_tensor *t, int axis, char *at, const gen_param *g, uint64_t *rng) {
    bool packed = tg_dtype_bits(t->dtype) == 4;
    for (int64_t i = 0; i < t->extent[axis]; i++) {
        if (axis < t->rank - 1) {
            fill(t, axis + 1, at + i * t->stride[axis], g, rng);
        } else if (t->dtype == TG_DT_RECORD) {
            fill_record(at + i * t->stride[axis], g, rng);
        } else {
            char *p = packed ? at : at + i * t->stride[axis];
            tg_bits_store(p, t->dtype, packed ? (size_t)i : 0, random_element(t->dtype, g, rng));
        }
    }
}

void memory_make(case_memory *m, const gen_case *c) {
    *m = (case_memory){.n = c->func->n_params};
    uint64_t rng = c->seed ^ 0xDA7A;
    for (int p = 0; p < m->n; p++) {
        const tg_param *param = &c->func->params[p];
        uint64_t own = gen_random(&rng);
        if (param->type->kind != TG_TY_TENSOR) {
            m->scalars[p] = random_element(param->type->dtype, &c->params[p], &own);
            int bits = tg_dtype_bits(param->type->dtype);
            m->scalars[p] &= bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
            continue;
        }
        case_tensor *t = &m->tensors[p];
        layout(t, param, &c->params[p], c->syms);
        map_tensor(t);
        memset(t->base, 0xA5, t->bytes);
        if (t->bytes > 0) {
            fill(t, 0, t->base, &c->params[p], &own);
        }
    }
}

void memory_spoil_outputs(case_memory *m, const gen_case *c) {
    uint64_t rng = c->seed ^ 0x5B01;
    gen_param any = {.data = GEN_DATA_ANY};
    for (int p = 0; p < m->n; p++) {
        const case_tensor *t = &m->tensors[p];
        if ((c->func->params[p].flags & TG_PARAM_OUT) != 0 && t->bytes > 0) {
            fill(t, 0, t->base, &any, &rng);
        }
    }
}

void memory_free(case_memory *m) {
    for (int p = 0; p < m->n; p++) {
        if (m->tensors[p].map != NULL) {
            (void)munmap(m->tensors[p].map, m->tensors[p].map_bytes);
        }
    }
}

/* ---- comparison ---------------------------------------------------------------------------------
 */

typedef struct comparison {
    const case_tensor *want, *got;
    const char *name;
    tg_arena *arena;
    int64_t at[TG_MAX_RANK];
    const char *text;
} comparison;

static bool same_bits(tg_dtype t, uint64_t a, uint64_t b) {
    if (a == b) {
        return true;
    }
    return tg_dtype_is_float(t) && isnan(tg_float_decode(t, a)) && isnan(tg_float_decode(t, b));
}

static double number(tg_dtype t, uint64_t bits) {
    return tg_dtype_is_float(t) ? tg_float_decode(t, bits) : (double)tg_int_decode(t, bits);
}

static void tell_difference(comparison *c, uint64_t want, uint64_t got) {
    tg_sb sb;
    tg_sb_init(&sb, c->arena);
    tg_sb_addf(&sb, "%s[", c->name);
    for (int a = 0; a < c->want->rank; a++) {
        tg_sb_addf(&sb, "%s%lld", a > 0 ? ", " : "", (long long)c->at[a]);
    }
    tg_sb_addf(&sb, "] is %g (%#llx), not %g (%#llx)", number(c->want->dtype, got),
               (unsigned long long)got, number(c->want->dtype, want), (unsigned long long)want);
    c->text = sb.data;
}

/* Also copies want's element over got's where they are equal, so that only other bytes differ
 * after. */
static void compare(comparison *c, int axis, char *want, char *got) {
    const case_tensor *t = c->want;
    bool packed = tg_dtype_bits(t->dtype) == 4;
    for (int64_t i = 0; i < t->extent[axis] && c->text == NULL; i++) {
        c->at[axis] = i;
        int64_t step = i * t->stride[axis];
        if (axis < t->rank - 1) {
            compare(c, axis + 1, want + step, got + step);
            continue;
        }
        size_t k = packed ? (size_t)i : 0;
        uint64_t x = tg_bits_load(want + (packed ? 0 : step), t->dtype, k);
        uint64_t y = tg_bits_load(got + (packed ? 0 : step), t->dtype, k);
        if (!same_bits(t->dtype, x, y)) {
            tell_difference(c, x, y);
        } else {
            tg_bits_store(got + (packed ? 0 : step), t->dtype, k, x);
        }
    }
}

const char *memory_compare(const case_memory *want, const case_memory *got, const gen_case *c,
                           tg_arena *a) {
    for (int p = 0; p < want->n; p++) {
        const case_tensor *w = &want->tensors[p], *g = &got->tensors[p];
        if (w->map == NULL || w->bytes == 0 || memcmp(w->base, g->base, w->bytes) == 0) {
            continue;
        }
        if (w->dtype == TG_DT_RECORD) {
            return tg_arena_printf(a, "the records of %s differ", c->func->params[p].name);
        }
        comparison cmp = {.want = w, .got = g, .name = c->func->params[p].name, .arena = a};
        compare(&cmp, 0, w->base, g->base);
        if (cmp.text != NULL) {
            return cmp.text;
        }
        if (memcmp(w->base, g->base, w->bytes) != 0) {
            return tg_arena_printf(a, "bytes between the elements of %s were written", cmp.name);
        }
    }
    return NULL;
}
