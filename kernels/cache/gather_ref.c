/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: reading paged caches, copies by lists and the plan of a hot buffer (attention.md K16,
 * K17). Which record a cache is follows from its row bytes. Tables have junk behind a request's
 * pages; unused pages hold NaN bytes.
 */
#include "kernels/cache/cache_ref.h"
#include "kernels/rounding.h"

#include <string.h>

static double scaled(double code, double scale) { return tgk_to_bf16(code * scale); }

/* Row `slot` of a page of bs rows, by the bytes a row takes. */
static void read_row(const unsigned char *page, int64_t bs, int64_t slot, int64_t row_bytes,
                     double *out) {
    const unsigned char *p;
    switch (row_bytes) {
    case 656:
        p = page + slot * 656;
        for (int c = 0; c < 576; c++) {
            out[c] = c < 512 ? scaled(tgk_e4m3(p[c]), tgk_f32(p + 512 + c / 128 * 4))
                             : tgk_bf16(p + 528 + 2 * (c - 512));
        }
        break;
    case 584:
        p = page + slot * 576;
        for (int c = 0; c < 512; c++) {
            out[c] =
                c < 448 ? scaled(tgk_e4m3(p[c]), ldexp(1, page[bs * 576 + slot * 8 + c / 64] - 127))
                        : tgk_bf16(p + 448 + 2 * (c - 448));
        }
        break;
    case 528:
        for (int c = 0; c < 512; c++) {
            out[c] = scaled(tgk_e4m3(page[slot * 512 + c]),
                            ldexp(1, page[bs * 512 + slot * 16 + c / 32] - 127));
        }
        break;
    default: /* 288 */
        for (int c = 0; c < 512; c++) {
            unsigned pair = page[slot * 256 + c / 2];
            out[c] = scaled(tgk_e2m1(c % 2 == 0 ? pair & 15 : pair >> 4),
                            tgk_e4m3(page[bs * 256 + slot * 32 + c / 16]));
        }
        break;
    }
}

/* Bytes of a row: what divides a page, less its padding. */
static int64_t row_bytes_of(const tgk_arg *kv, int64_t bs) {
    static const int64_t known[] = {656, 584, 528, 288, 132, 68};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        int64_t page = kv->rank == 2 ? kv->elem_bytes : kv->elem_bytes / bs;
        if (page >= known[i]) { /* padding of pages of 2 makes V4 rows 864 and V4.1's 768 long */
            return page == 864 ? 584 : page == 768 ? 528 : known[i];
        }
    }
    return 0;
}

/* Physical row of row i of request b; -1: it has none, or no page. */
static int64_t row_of(const tgk_arg *a, int64_t bs, int64_t b, int64_t i) {
    const tgk_arg *table = &a[1], *cu = &a[2];
    int64_t page = table->i[b * table->extent[1] + i / bs];
    bool there = cu->i[b] + i < cu->i[b + 1] && page >= 0 && page < a[0].extent[0];
    return there ? page * bs + i % bs : -1;
}

/* gather_*(kv, table, cu, out y) */
bool tgc_gather(tgk_arg *a, int n) {
    int64_t bs = tgk_constant_of(a, "BS", 1), cap = a[1].extent[1] * bs, dim = a[3].extent[1];
    double row[576];
    if (n != 4) {
        return false;
    }
    memset(a[3].f, 0, (size_t)a[3].count * sizeof(double));
    for (int64_t b = 0; b < a[1].extent[0]; b++) {
        for (int64_t i = 0; i < cap; i++) {
            int64_t at = row_of(a, bs, b, i);
            if (at < 0) {
                continue;
            }
            const double *from = row;
            if (a[0].f != NULL) {
                from = a[0].f + at * dim;
            } else if (a[0].rank == 2) {
                read_row(a[0].bytes + at * 656, 1, 0, 656, row);
            } else {
                read_row(a[0].bytes + at / bs * a[0].elem_bytes, bs, at % bs,
                         row_bytes_of(&a[0], bs), row);
            }
            memcpy(a[3].f + (a[2].i[b] + i) * dim, from, (size_t)dim * sizeof(double));
        }
    }
    return true;
}

/* gather_index(kv, table, cu, out key, out scale or sf) */
bool tgc_gather_index(tgk_arg *a, int n) {
    int64_t bs = tgk_constant_of(a, "BS", 1), cap = a[1].extent[1] * bs;
    bool fp4 = a[0].elem_bytes / bs == 68;
    if (n != 5) {
        return false;
    }
    memset(a[3].f, 0, (size_t)a[3].count * sizeof(double));
    memset(a[4].f != NULL ? (void *)a[4].f : (void *)a[4].i, 0, (size_t)a[4].count * 8);
    for (int64_t b = 0; b < a[1].extent[0]; b++) {
        for (int64_t i = 0; i < cap; i++) {
            int64_t at = row_of(a, bs, b, i), to = a[2].i[b] + i, slot = at % bs;
            if (at < 0) {
                continue;
            }
            const unsigned char *page = a[0].bytes + at / bs * a[0].elem_bytes;
            for (int c = 0; c < 128; c++) {
                unsigned pair = page[slot * 64 + c / 2];
                a[3].f[to * 128 + c] = fp4 ? tgk_e2m1(c % 2 == 0 ? pair & 15 : pair >> 4)
                                           : tgk_e4m3(page[slot * 128 + c]);
            }
            if (fp4) {
                for (int g = 0; g < 4; g++) {
                    a[4].i[to * 4 + g] = page[bs * 64 + slot * 4 + g];
                }
            } else {
                a[4].f[to] = tgk_f32(page + bs * 128 + slot * 4);
            }
        }
    }
    return true;
}

/* copy_rows(from, src, dst, valid, inout to) */
bool tgc_copy_rows(tgk_arg *a, int n) {
    int64_t row = a[0].extent[1];
    for (int64_t i = 0; i < a[1].count && n == 5; i++) {
        int64_t s = a[1].i[i], d = a[2].i[i];
        if (a[3].i[i] != 0 && s >= 0 && s < a[0].extent[0] && d >= 0 && d < a[4].extent[0]) {
            memcpy(a[4].i + d * row, a[0].i + s * row, (size_t)row * sizeof(int64_t));
        }
    }
    return n == 5;
}

static int64_t find(const int64_t *list, int64_t n, int64_t v) {
    for (int64_t i = 0; i < n; i++) {
        if (list[i] == v) {
            return i;
        }
    }
    return -1;
}

/* plan_rows(want [B,K], inout held [B,KB], out slot, src, dst, valid) */
bool tgc_plan_rows(tgk_arg *a, int n) {
    if (n != 6) {
        return false;
    }
    int64_t k = a[0].extent[1], rows = a[1].extent[1];
    for (int64_t b = 0; b < a[0].extent[0]; b++) {
        const int64_t *want = a[0].i + b * k;
        int64_t *held = a[1].i + b * rows, free_row = 0;
        int64_t *before = malloc((size_t)rows * sizeof *before);
        if (before == NULL) {
            return false;
        }
        memcpy(before, held, (size_t)rows * sizeof *before);
        for (int64_t i = 0; i < k; i++) {
            int64_t at = want[i] < 0 ? -1 : find(before, rows, want[i]);
            bool miss = want[i] >= 0 && at < 0;
            if (miss) {
                while (before[free_row] >= 0 && find(want, k, before[free_row]) >= 0) {
                    free_row++;
                }
                at = free_row++;
                held[at] = want[i];
            }
            a[2].i[b * k + i] = at;
            a[3].i[b * k + i] = miss ? want[i] : -1;
            a[4].i[b * k + i] = miss ? b * rows + at : -1;
            a[5].i[b * k + i] = miss;
        }
        free(before);
    }
    return true;
}

/* ---- inputs --------------------------------------------------------------------------------- */

/* Bytes that are no NaN of any field (no byte 0x7f or 0xff) with scales of a modest range. */
static void fill_page(unsigned char *p, int64_t bytes, int64_t bs, int64_t row_bytes,
                      tgk_random *r) {
    for (int64_t i = 0; i < bytes; i++) {
        p[i] = (unsigned char)tgk_random_u64(r);
        p[i] = (p[i] & 0x7f) == 0x7f ? 0x55 : p[i];
    }
    int64_t from = row_bytes == 584 ? 576 * bs : row_bytes == 528 ? 512 * bs : bytes;
    for (int64_t i = from; i < bytes; i++) {
        p[i] = (unsigned char)(100 + p[i] % 40);
    }
    int64_t first = row_bytes == 656 ? 512 : row_bytes == 132 ? 128 * bs : bytes;
    for (int64_t i = first; i + 3 < bytes && (row_bytes != 656 || i < 528); i += 4) {
        p[i + 3] = 0x3e;
    }
}

static void fill_kv(tgk_arg *kv, int64_t bs, const bool *used, tgk_random *r) {
    int64_t row_bytes = row_bytes_of(kv, bs), per = kv->rank == 2 ? bs : 1;
    for (int64_t i = 0; i < kv->count && kv->bytes != NULL; i++) {
        unsigned char *p = kv->bytes + i * kv->elem_bytes;
        memset(p, 0xff, (size_t)kv->elem_bytes);
        if (used[i / per]) {
            fill_page(p, kv->elem_bytes, bs, row_bytes, r);
        }
    }
    int64_t page = kv->f != NULL ? kv->count / kv->extent[0] : 1;
    for (int64_t i = 0; i < kv->count && kv->f != NULL; i++) {
        kv->f[i] = used[i / page] ? tgk_random_normal(r) : NAN;
    }
}

/* Lengths: one full, one 0, one that ends on a page, any; as many as pages and output rows allow.
 */
void tgc_inputs_gather(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    static const int64_t junk[] = {2147480000, -1, -2147483647 - 1, 114514, 2147483647};
    int64_t bs = tgk_constant_of(a, "BS", 1), blocks = a[1].extent[1], pages = a[0].extent[0];
    int64_t left = a[3].extent[0], next = tgk_random_below(r, pages), taken = 0;
    bool *used = calloc((size_t)pages + 1, sizeof *used);
    if (used == NULL) {
        return;
    }
    a[2].i[0] = left > 2 ? 1 : 0; /* rows before the first request */
    left -= a[2].i[0];
    for (int64_t b = 0; b < a[1].extent[0]; b++) {
        int64_t room = (pages - taken < blocks ? pages - taken : blocks) * bs;
        int64_t len = b == 1 ? 0 : b == 0 ? room : tgk_random_below(r, room + 1);
        len = len > left / 2 && b != 0 ? left / 2 : len > left ? left : len;
        for (int64_t k = 0; k < blocks; k++) {
            bool mine = k * bs < len;
            int64_t page = (next + taken) % pages;
            bool lost = b == 2 && k == 0; /* rows without a page are zeros */
            a[1].i[b * blocks + k] = mine && !lost ? page : junk[tgk_random_below(r, 5)];
            used[page] = used[page] || (mine && !lost);
            taken += mine;
        }
        a[2].i[b + 1] = a[2].i[b] + len;
        left -= len;
    }
    fill_kv(&a[0], bs, used, r);
    free(used);
}

/* Destinations apart; sources any; what is not valid is junk. */
void tgc_inputs_copy(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    int64_t rows = a[4].extent[0], at = tgk_random_below(r, rows);
    for (int64_t i = 0; i < a[1].count; i++) {
        bool valid = i < rows && tgk_random_below(r, 4) != 0;
        a[1].i[i] = valid ? tgk_random_below(r, a[0].extent[0]) : 2147480000;
        a[2].i[i] = valid || i < rows ? (at + i) % rows : -123456;
        a[3].i[i] = valid;
    }
    for (int64_t i = 0; i < a[0].count; i++) {
        a[0].i[i] = tgk_random_below(r, 256);
    }
    for (int64_t i = 0; i < a[4].count; i++) {
        a[4].i[i] = tgk_random_below(r, 256);
    }
}

/* Wanted tokens without repeats and some of -1; some rows empty, about half hold what is wanted. */
void tgc_inputs_plan(tgk_arg *a, int n, tgk_random *r) {
    (void)n;
    int64_t k = a[0].extent[1], rows = a[1].extent[1];
    for (int64_t b = 0; b < a[0].extent[0]; b++) {
        int64_t base = tgk_random_below(r, 1000), step = 2 * tgk_random_below(r, 500) + 1;
        for (int64_t i = 0; i < k; i++) {
            a[0].i[b * k + i] = tgk_random_below(r, 6) == 0 ? -1 : (base + i * step) % 4096;
        }
        for (int64_t s = 0; s < rows; s++) {
            int64_t i = (s * 3 + b) % rows;
            int64_t other = 5000 + s;
            bool hit = rows % 3 != 0 && i < k && tgk_random_below(r, 2) == 0;
            a[1].i[b * rows + s] = tgk_random_below(r, 5) == 0     ? -1
                                   : hit && a[0].i[b * k + i] >= 0 ? a[0].i[b * k + i]
                                                                   : other;
        }
    }
}
