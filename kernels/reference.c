/* SPDX-License-Identifier: Apache-2.0 */
/* The table of references, the test-value stream and the decoding helpers: see reference.h. */
#include "kernels/reference.h"

#include <math.h>
#include <string.h>

uint64_t tgk_random_u64(tgk_random *r) {
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double tgk_random_uniform(tgk_random *r) { return (double)(tgk_random_u64(r) >> 11) * 0x1p-53; }

double tgk_random_normal(tgk_random *r) {
    if (r->has_spare) {
        r->has_spare = false;
        return r->spare;
    }
    double u, v, s;
    do {
        u = 2 * tgk_random_uniform(r) - 1;
        v = 2 * tgk_random_uniform(r) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    double k = sqrt(-2 * log(s) / s);
    r->spare = v * k;
    r->has_spare = true;
    return u * k;
}

int64_t tgk_drawn(const tgk_arg *a, const tgk_random *r) {
    enum { MOST = 8 * 131071 }; /* odd rows: no two begin alike */
    return r->full && a->count > MOST ? MOST : a->count;
}

void tgk_repeat(tgk_arg *a, int64_t drawn) {
    for (int64_t i = drawn; i < a->count; i++) {
        if (a->f != NULL) {
            a->f[i] = a->f[i - drawn];
        } else if (a->i != NULL) {
            a->i[i] = a->i[i - drawn];
        }
    }
}

int64_t tgk_random_below(tgk_random *r, int64_t n) {
    return n <= 0 ? 0 : (int64_t)(tgk_random_u64(r) % (uint64_t)n);
}

tgk_arg *tgk_find(tgk_arg *args, int n_args, const char *name) {
    for (int i = 0; i < n_args; i++) {
        if (strcmp(args[i].name, name) == 0) {
            return &args[i];
        }
    }
    return NULL;
}

int64_t tgk_constant_of(const tgk_arg *args, const char *name, int64_t otherwise) {
    for (const tgk_constant *c = args[0].constants; c != NULL && c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c->value;
        }
    }
    return otherwise;
}

double tgk_float(const tgk_arg *a) { return a->f[0]; }

int64_t tgk_int(const tgk_arg *a) { return a->i[0]; }

/* OCP FP8 e4m3: bias 7, no infinity, 0x7f and 0xff NaN. */
double tgk_e4m3(uint8_t code) {
    int e = (code >> 3) & 15, m = code & 7;
    if (e == 15 && m == 7) {
        return NAN;
    }
    double v = e == 0 ? ldexp(m, -9) : ldexp(8 + m, e - 10);
    return (code & 0x80) != 0 ? -v : v;
}

uint8_t tgk_e4m3_code(double v) {
    uint8_t c = 0;
    while (c < 0x7e && tgk_e4m3(c) != fabs(v)) {
        c++;
    }
    return (uint8_t)(c | (signbit(v) ? 0x80 : 0));
}

static const double e2m1_magnitude[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

double tgk_e2m1(unsigned code) {
    return (code & 8) != 0 ? -e2m1_magnitude[code & 7] : e2m1_magnitude[code & 7];
}

unsigned tgk_e2m1_code(double v) {
    unsigned c = 0;
    while (c < 7 && e2m1_magnitude[c] != fabs(v)) {
        c++;
    }
    return c | (signbit(v) ? 8U : 0U);
}

double tgk_bf16(const unsigned char *p) {
    uint32_t bits = ((uint32_t)p[1] << 24) | ((uint32_t)p[0] << 16);
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

double tgk_f32(const unsigned char *p) {
    uint32_t bits = ((uint32_t)p[3] << 24) | ((uint32_t)p[2] << 16) | ((uint32_t)p[1] << 8) | p[0];
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

void tgk_put_f32(unsigned char *p, double v) {
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)(bits >> (8 * i));
    }
}

void tgk_put_bf16(unsigned char *p, double v) {
    unsigned char f[4];
    tgk_put_f32(f, v);
    p[0] = f[2];
    p[1] = f[3];
}

static const tgk_reference *const families[] = {
#define TGK_FAMILY(name) tgk_##name##_references,
#include "kernels/families.def"
#undef TGK_FAMILY
};

const tgk_output_rule *tgk_rule_find(const tgk_reference *ref, const char *output) {
    for (int r = 0; r < TGK_MAX_OUTPUTS && ref->outputs[r].name != NULL; r++) {
        if (strcmp(ref->outputs[r].name, output) == 0) {
            return &ref->outputs[r];
        }
    }
    return NULL;
}

const tgk_reference *tgk_reference_find(const char *kernel) {
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        for (const tgk_reference *r = families[f]; r->kernel != NULL; r++) {
            if (strcmp(r->kernel, kernel) == 0) {
                return r;
            }
        }
    }
    return NULL;
}
