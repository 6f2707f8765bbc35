/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of sparse caches: see sparse_rows.h. */
#include "kernels/sparse/sparse_rows.h"
#include "kernels/rounding.h"

#include <math.h>
#include <string.h>

/* Pages round up to less than one row more, so their rows follow from their size. */
tgs_rows tgs_rows_of(const tgk_arg *arg, tgs_kind kind) {
    static const int64_t row_bytes[] = {0, 0, 656, 584, 528, 288};
    tgs_rows r = {.kind = kind, .arg = (tgk_arg *)arg, .pages = arg->extent[0], .dim = 512};
    switch (kind) {
    case TGS_DENSE:
        r.page = 1;
        r.dim = arg->extent[1];
        break;
    case TGS_PAGED:
        r.page = arg->extent[1];
        r.dim = arg->extent[2];
        break;
    case TGS_MLA:
        r.page = arg->extent[1];
        r.dim = 576;
        break;
    case TGS_V4:
    case TGS_V41_WINDOW:
    case TGS_V41_ENTRY:
        r.page = arg->elem_bytes / row_bytes[kind];
        break;
    }
    return r;
}

int64_t tgs_rows_count(const tgs_rows *r) { return r->page * r->pages; }

static void read_mla(const unsigned char *p, double *out) {
    for (int c = 0; c < 512; c++) {
        out[c] = tgk_to_bf16((double)(float)(tgk_e4m3(p[c]) * tgk_f32(p + 512 + c / 128 * 4)));
    }
    for (int c = 0; c < 64; c++) {
        out[512 + c] = tgk_bf16(p + 528 + 2 * c);
    }
}

static void read_v4(const unsigned char *row, const unsigned char *sf, double *out) {
    for (int c = 0; c < 448; c++) {
        out[c] = tgk_to_bf16(ldexp(tgk_e4m3(row[c]), sf[c / 64] - 127));
    }
    for (int c = 0; c < 64; c++) {
        out[448 + c] = tgk_bf16(row + 448 + 2 * c);
    }
}

bool tgs_row(const tgs_rows *r, int64_t at, double *out) {
    if (at < 0 || at >= tgs_rows_count(r)) {
        return false;
    }
    const tgk_arg *a = r->arg;
    const unsigned char *page = a->bytes + at / r->page * a->elem_bytes;
    int64_t slot = at % r->page;
    switch (r->kind) {
    case TGS_DENSE:
    case TGS_PAGED:
        memcpy(out, a->f + at * r->dim, (size_t)r->dim * sizeof *out);
        break;
    case TGS_MLA:
        read_mla(a->bytes + at * 656, out);
        break;
    case TGS_V4:
        read_v4(page + slot * 576, page + r->page * 576 + slot * 8, out);
        break;
    case TGS_V41_WINDOW:
        for (int c = 0; c < 512; c++) {
            out[c] = tgk_to_bf16(ldexp(tgk_e4m3(page[slot * 512 + c]),
                                       page[r->page * 512 + slot * 16 + c / 32] - 127));
        }
        break;
    case TGS_V41_ENTRY:
        for (int c = 0; c < 512; c++) {
            unsigned pair = page[slot * 256 + c / 2];
            out[c] = tgk_to_bf16(tgk_e2m1(c % 2 == 0 ? pair & 15 : pair >> 4) *
                                 tgk_e4m3(page[r->page * 256 + slot * 32 + c / 16]));
        }
        break;
    }
    return true;
}

/* Some rows between ones that hold numbers; never the first. */
bool tgs_row_is_poisoned(int64_t at) { return at % 5 == 3; }

void tgs_magnitudes(double *out, tgk_random *r) {
    double m = 1;
    for (int c = 0; c < 1024; c++) {
        m = c % 32 == 0 ? ldexp(1, (int)tgk_random_below(r, 3) - 1) : m;
        out[c] = m;
    }
}

/* e4m3 codes of magnitudes 1/4 to just below 4, and zeros. */
static unsigned char draw_e4m3(tgk_random *r) {
    uint64_t u = tgk_random_u64(r);
    return u % 37 == 0 ? 0 : (unsigned char)((0x28 + (u >> 8) % 0x20) | (u >> 33 & 0x80));
}

/* The scale byte of a tile of `step` columns: a magnitude is a power of two, and one step more or
 * less now and then keeps the rows apart. */
static int exponent_of(double magnitude, tgk_random *r) {
    return ilogb(magnitude) + (int)tgk_random_below(r, 3) - 1;
}

static void draw_codes(unsigned char *p, int n, tgk_random *r) {
    for (int c = 0; c < n; c++) {
        p[c] = draw_e4m3(r);
    }
}

static void draw_bf16(unsigned char *p, int n, const double *magnitude, tgk_random *r) {
    for (int c = 0; c < n; c++) {
        tgk_put_bf16(p + 2 * c, tgk_random_normal(r) * magnitude[c]);
    }
}

/* Tiles wider than 32 columns take the magnitude of their first. */
static void widen(double *magnitude, int tile, int columns) {
    for (int c = 0; c < columns; c++) {
        magnitude[c] = magnitude[c / tile * tile];
    }
}

static void fill_row(tgs_rows *rows, int64_t at, const double *m, tgk_random *r) {
    tgk_arg *a = rows->arg;
    unsigned char *page = a->bytes + at / rows->page * a->elem_bytes, *mla = a->bytes + at * 656;
    int64_t slot = at % rows->page;
    switch (rows->kind) {
    case TGS_DENSE:
    case TGS_PAGED:
        for (int64_t c = 0; c < rows->dim; c++) {
            a->f[at * rows->dim + c] = c == rows->dim - 1 ? 1 : tgk_random_normal(r) * m[c];
        }
        break;
    case TGS_MLA:
        draw_codes(mla, 512, r);
        for (int s = 0; s < 4; s++) {
            tgk_put_f32(mla + 512 + 4 * s, m[128 * s] * (0.6 + 0.7 * tgk_random_uniform(r)));
        }
        draw_bf16(mla + 528, 64, m + 512, r);
        tgk_put_bf16(mla + 528 + 126, 1);
        break;
    case TGS_V4: {
        unsigned char *sf = page + rows->page * 576 + slot * 8;
        draw_codes(page + slot * 576, 448, r);
        draw_bf16(page + slot * 576 + 448, 64, m + 448, r);
        tgk_put_bf16(page + slot * 576 + 448 + 126, 1);
        for (int s = 0; s < 7; s++) {
            sf[s] = (unsigned char)(127 + exponent_of(m[64 * s], r));
        }
        sf[7] = 0;
        break;
    }
    case TGS_V41_WINDOW:
        draw_codes(page + slot * 512, 512, r);
        for (int s = 0; s < 16; s++) {
            page[rows->page * 512 + slot * 16 + s] =
                (unsigned char)(127 + exponent_of(m[32 * s], r));
        }
        page[slot * 512 + 511] = 0x38;
        page[rows->page * 512 + slot * 16 + 15] = 127;
        break;
    case TGS_V41_ENTRY:
        for (int c = 0; c < 256; c++) {
            page[slot * 256 + c] = (unsigned char)tgk_random_u64(r);
        }
        for (int s = 0; s < 32; s++) { /* 2^e (1 + m / 8), a third or so of the magnitude */
            page[rows->page * 256 + slot * 32 + s] =
                (unsigned char)(((ilogb(m[16 * s]) - 2 + 7) << 3) | (int)tgk_random_below(r, 8));
        }
        page[slot * 256 + 255] = (unsigned char)((page[slot * 256 + 255] & 15) | 0x20);
        page[rows->page * 256 + slot * 32 + 31] = 0x38;
        break;
    }
}

void tgs_fill(tgs_rows *rows, const double magnitude[TGS_MAGNITUDES], tgk_random *r) {
    double m[TGS_MAGNITUDES];
    memcpy(m, magnitude, sizeof m);
    if (rows->kind == TGS_MLA) {
        widen(m, 128, 512);
    } else if (rows->kind == TGS_V4) {
        widen(m, 64, 448);
    }
    if (rows->arg->bytes != NULL) {
        memset(rows->arg->bytes, 0xff, (size_t)(rows->arg->count * rows->arg->elem_bytes));
    }
    for (int64_t at = 0; at < tgs_rows_count(rows); at++) {
        bool poisoned = rows->used != NULL ? rows->used[at] == 0 : tgs_row_is_poisoned(at);
        for (int64_t c = 0; c < rows->dim && rows->arg->f != NULL && poisoned; c++) {
            rows->arg->f[at * rows->dim + c] = NAN;
        }
        if (!poisoned) {
            fill_row(rows, at, m, r);
        }
    }
}
