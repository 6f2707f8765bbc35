/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout algebra against brute force, to rank 3: families of layouts (blocked three ways, an
 * inner digit of 3, matrix-instruction fragments, one lane or all, row-major, padded and swizzled
 * memory) on all shapes of a list. Every holder of every layout is enumerated, and what the algebra
 * says about equality, lanes, permutation, projection, reshape and composition must be what the
 * enumeration says.
 */
#include "tests/ir/irtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/layout.h"

enum { MAX_FAMILIES = 24, MAX_HOLDERS = 1 << 13 };

typedef struct shape {
    int rank;
    int64_t n[3];
} shape;

/* What a layout says, spelled out: the linear element of every holder, -1 for padding and gaps. */
typedef struct table {
    int64_t lanes, regs;
    int64_t *element; /* [lane * regs + reg] */
} table;

static int64_t linear(const shape *s, const int64_t *c) {
    int64_t at = 0;
    for (int a = 0; a < s->rank; a++) {
        if (c[a] < 0 || c[a] >= s->n[a]) {
            return -1;
        }
        at = at * s->n[a] + c[a];
    }
    return at;
}

static int64_t count(const shape *s) {
    return (s->rank > 0 ? s->n[0] : 1) * (s->rank > 1 ? s->n[1] : 1) * (s->rank > 2 ? s->n[2] : 1);
}

static bool is_memory(const tg_layout *l) {
    return l->n_modes > 0 && l->modes[0].resource == TG_RES_MEM;
}

static table tabulate(tg_arena *a, const tg_layout *l, const shape *s) {
    bool memory = is_memory(l);
    table t = {.lanes = memory ? 1 : tg_layout_size(l, TG_RES_LANE),
               .regs = tg_layout_size(l, memory ? TG_RES_MEM : TG_RES_REG)};
    assert_true(t.lanes * t.regs <= MAX_HOLDERS);
    t.element = TG_NEW_ARRAY(a, int64_t, t.lanes *t.regs);
    for (int64_t lane = 0; lane < t.lanes; lane++) {
        for (int64_t reg = 0; reg < t.regs; reg++) {
            int64_t c[TG_MAX_RANK];
            tg_layout_coords(l, lane, reg, c);
            t.element[lane * t.regs + reg] = linear(s, c);
        }
    }
    return t;
}

static int64_t element_at(const table *t, int64_t lane, int64_t reg) {
    return lane < t->lanes && reg < t->regs ? t->element[lane * t->regs + reg] : -1;
}

static bool tables_equal(const table *a, const table *b) {
    for (int64_t lane = 0; lane < a->lanes || lane < b->lanes; lane++) {
        for (int64_t reg = 0; reg < a->regs || reg < b->regs; reg++) {
            if (element_at(a, lane, reg) != element_at(b, lane, reg)) {
                return false;
            }
        }
    }
    return true;
}

static bool lane_has(const table *t, int64_t lane, int64_t element) {
    for (int64_t reg = 0; reg < t->regs; reg++) {
        if (element_at(t, lane, reg) == element) {
            return true;
        }
    }
    return element < 0;
}

static bool same_lanes(const table *a, const table *b) {
    for (int64_t lane = 0; lane < a->lanes || lane < b->lanes; lane++) {
        for (int64_t reg = 0; reg < a->regs || reg < b->regs; reg++) {
            if (!lane_has(b, lane, element_at(a, lane, reg)) ||
                !lane_has(a, lane, element_at(b, lane, reg))) {
                return false;
            }
        }
    }
    return true;
}

/* Some register of a holds, in every lane, what register r of b holds. */
static bool has_static_source(const table *a, const table *b, int64_t r) {
    for (int64_t reg = 0; reg < a->regs; reg++) {
        bool all = true;
        for (int64_t lane = 0; lane < b->lanes && all; lane++) {
            int64_t e = element_at(b, lane, r);
            all = e < 0 || element_at(a, lane, reg) == e;
        }
        if (all) {
            return true;
        }
    }
    return false;
}

/* ---- families ------------------------------------------------------------------------------- */

static const tg_layout *parsed(tg_module *m, const char *text) {
    const tg_layout *l = tg_layout_parse(m, text);
    assert_non_null(l);
    return l;
}

/* Fragments of 16x8 (C of mma), 16x16 (A of mma) and 32x32 (MFMA) repeated over the tile, with
 * every stated register digit inside; the outer axis in registers. */
static const tg_layout *fragment(tg_module *m, const shape *s, int kind) {
    static const char *const base[] = {
        "%d; %d:2*1@reg*1 %d:4*2@lane*1 %d:%d*8@reg*4 %d:8*1@lane*4 %d:2*8@reg*2 %d:%d*16@reg*%d",
        "%d; %d:2*1@reg*1 %d:4*2@lane*1 %d:2*8@reg*4 %d:8*1@lane*4 %d:2*8@reg*2 %d:%d*16@reg*8",
    };
    char text[512];
    int r = s->rank, n = r - 1, k = r - 2;
    int up = (int)tg_cdiv_i64(s->n[n], kind == 0 ? 8 : 16), down = (int)tg_cdiv_i64(s->n[k], 16);
    if (kind == 0) {
        (void)snprintf(text, sizeof text, base[0], r, n, n, n, up, k, k, k, down, 4 * up);
    } else {
        (void)snprintf(text, sizeof text, base[1], r, n, n, n, k, k, k, down);
        char more[96];
        (void)snprintf(more, sizeof more, " %d:%d*16@reg*%d", n, up, 8 * down);
        strcat(text, more);
    }
    if (r == 3) {
        int used = kind == 0 ? 4 * up * down : 8 * down * up;
        char more[96];
        (void)snprintf(more, sizeof more, " 0:%d*1@reg*%d", (int)s->n[0], used);
        strcat(text, more);
    }
    return tg_layout_tidy(m, parsed(m, text), s->n);
}

/* An inner digit of 3: lanes and registers over thirds of the last axis. */
static const tg_layout *inner_three(tg_module *m, const shape *s) {
    int64_t inner[3] = {1, 1, 1}, lanes[3] = {1, 1, 1};
    inner[s->rank - 1] = 3;
    lanes[s->rank - 1] = 4;
    return tg_layout_grid(m, s->rank, s->n, inner, lanes, 8);
}

static int families(tg_module *m, const shape *s, const tg_layout **out) {
    int n = 0, r = s->rank;
    out[n++] = tg_layout_blocked(m, r, s->n, 4, 1);
    out[n++] = tg_layout_blocked(m, r, s->n, 8, 2);
    out[n++] = tg_layout_blocked(m, r, s->n, 32, 4);
    out[n++] = tg_layout_blocked(m, r, s->n, 32, 1);
    out[n++] = inner_three(m, s);
    out[n++] = tg_layout_everywhere(m, r, s->n, 8);
    if (r >= 2) {
        out[n++] = tg_layout_tile2d(m, r, s->n, 4, 8, 2, 2);
        out[n++] = tg_layout_tile2d(m, r, s->n, 8, 4, 1, 1);
        out[n++] = fragment(m, s, 0);
        out[n++] = fragment(m, s, 1);
    }
    return n;
}

static int memories(tg_module *m, const shape *s, const tg_layout **out) {
    int n = 0;
    out[n++] = tg_layout_memory(m, s->rank, s->n, 0);
    out[n++] = tg_layout_memory(m, s->rank, s->n, s->n[s->rank - 1] + 3);
    return n;
}

/* ---- shapes --------------------------------------------------------------------------------- */

static const int64_t extents1[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 48, 61, 64, 96};
static const int64_t extents2[] = {1, 2, 3, 4, 6, 8, 12, 16, 24};
static const int64_t extents3[] = {1, 2, 3, 4, 6, 8};

typedef void shape_fn(irtest *t, const shape *s);

/* Calls fn with a fresh module for every shape. */
static void each_shape(shape_fn *fn) {
    for (int rank = 1; rank <= 3; rank++) {
        const int64_t *list = rank == 1 ? extents1 : rank == 2 ? extents2 : extents3;
        int n = (int)(rank == 1   ? TG_COUNT_OF(extents1)
                      : rank == 2 ? TG_COUNT_OF(extents2)
                                  : TG_COUNT_OF(extents3));
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < (rank > 1 ? n : 1); j++) {
                for (int k = 0; k < (rank > 2 ? n : 1); k++) {
                    irtest t;
                    irtest_init(&t);
                    shape s = {.rank = rank, .n = {list[i], list[j], list[k]}};
                    fn(&t, &s);
                    irtest_fini(&t);
                }
            }
        }
    }
}

/* ---- maps and text --------------------------------------------------------------------------- */

static void check_maps(irtest *t, tg_module *m, const tg_layout *l, const shape *s) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_layout_print(&sb, l);
    assert_true(tg_layout_is_sound(l));
    assert_ptr_equal(tg_layout_parse(m, sb.data), l);
    assert_true(tg_layout_covers(l, s->n));
    int64_t c[3] = {0};
    for (int64_t e = 0; e < count(s); e++) {
        int64_t rest = e, lane, reg, back[TG_MAX_RANK];
        for (int a = s->rank - 1; a >= 0; a--) {
            c[a] = rest % s->n[a];
            rest /= s->n[a];
        }
        assert_true(tg_layout_find(l, c, &lane, &reg));
        tg_layout_coords(l, lane, reg, back);
        assert_int_equal(linear(s, back), e);
    }
}

static void shape_maps(irtest *t, const shape *s) {
    const tg_layout *all[MAX_FAMILIES];
    tg_module *m = tg_module_make(&t->arena);
    int n = families(m, s, all);
    n += memories(m, s, all + n);
    for (int i = 0; i < n; i++) {
        check_maps(t, m, all[i], s);
    }
}

static void test_maps(void **state) {
    (void)state;
    each_shape(shape_maps);
}

/* ---- equality, lanes, plans ------------------------------------------------------------------ */

static void check_pair(irtest *t, tg_module *m, const tg_layout *a, const tg_layout *b,
                       const shape *s) {
    table x = tabulate(&t->arena, a, s), y = tabulate(&t->arena, b, s);
    bool equal = tables_equal(&x, &y);
    assert_int_equal(tg_layout_equal(a, b, s->n), equal);
    assert_int_equal(tg_layout_canonical(m, a, s->n) == tg_layout_canonical(m, b, s->n), equal);
    if (is_memory(a) || is_memory(b)) {
        return;
    }
    bool same = same_lanes(&x, &y);
    assert_int_equal(tg_layout_same_lanes(a, b, s->n), same);
    tg_layout_plan plan = tg_layout_convert_plan(a, b, s->n);
    assert_int_equal(plan == TG_LAYOUT_SAME, equal);
    assert_int_equal(plan == TG_LAYOUT_SAME || plan == TG_LAYOUT_RENAME, same);
    for (int64_t r = 0; r < y.regs && plan == TG_LAYOUT_RENAME; r++) {
        assert_true(has_static_source(&x, &y, r));
    }
}

static void shape_pairs(irtest *t, const shape *s) {
    const tg_layout *all[MAX_FAMILIES];
    tg_module *m = tg_module_make(&t->arena);
    int n = families(m, s, all);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) {
            check_pair(t, m, all[i], all[k], s);
        }
        const tg_layout *tidy = tg_layout_tidy(m, all[i], s->n);
        assert_true(tg_layout_equal(tidy, all[i], s->n));
    }
}

static void test_equal(void **state) {
    (void)state;
    each_shape(shape_pairs);
}

/* ---- permute, project, reshape ----------------------------------------------------------------
 */

static void check_permute(irtest *t, tg_module *m, const tg_layout *l, const shape *s) {
    static const int64_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 6; i++) {
        int64_t axes[3], seen = 0;
        for (int a = 0, at = 0; a < 3; a++) {
            if (orders[i][a] < s->rank) {
                axes[at++] = orders[i][a];
                seen++;
            }
        }
        assert_int_equal(seen, s->rank);
        const tg_layout *p = tg_layout_permute(m, l, s->rank, axes);
        table x = tabulate(&t->arena, l, s);
        for (int64_t lane = 0; lane < x.lanes; lane++) {
            for (int64_t reg = 0; reg < x.regs; reg++) {
                int64_t c[TG_MAX_RANK], d[TG_MAX_RANK];
                tg_layout_coords(l, lane, reg, c);
                tg_layout_coords(p, lane, reg, d);
                for (int a = 0; a < s->rank; a++) {
                    assert_int_equal(d[a], c[axes[a]]);
                }
            }
        }
    }
}

/* Every lane holds in the projection what it needs of the kept axes, once each. */
static void check_project(irtest *t, tg_module *m, const tg_layout *l, const shape *s, int drop) {
    shape kept = {.rank = s->rank - 1};
    for (int a = 0, at = 0; a < s->rank; a++) {
        if (a != drop) {
            kept.n[at++] = s->n[a];
        }
    }
    const tg_layout *p = tg_layout_drop(m, l, drop);
    table x = tabulate(&t->arena, l, s), y = tabulate(&t->arena, p, &kept);
    assert_int_equal(x.lanes, y.lanes);
    for (int64_t lane = 0; lane < x.lanes; lane++) {
        for (int64_t reg = 0; reg < x.regs; reg++) {
            int64_t c[TG_MAX_RANK], k[3];
            tg_layout_coords(l, lane, reg, c);
            if (linear(s, c) < 0) {
                continue;
            }
            for (int a = 0, at = 0; a < s->rank; a++) {
                if (a != drop) {
                    k[at++] = c[a];
                }
            }
            assert_true(lane_has(&y, lane, linear(&kept, k)));
        }
        for (int64_t reg = 0; reg < y.regs; reg++) {
            for (int64_t other = 0; other < reg; other++) {
                int64_t e = element_at(&y, lane, reg);
                assert_true(e < 0 || e != element_at(&y, lane, other));
            }
        }
    }
}

static int reshapes_made, reshapes_free;

static void check_reshape(irtest *t, tg_module *m, const tg_layout *l, const shape *from,
                          const shape *to) {
    const tg_layout *r = tg_layout_reshape(m, l, from->rank, from->n, to->rank, to->n);
    reshapes_made++;
    if (r == NULL) {
        return;
    }
    reshapes_free++;
    table x = tabulate(&t->arena, l, from), y = tabulate(&t->arena, r, to);
    if (!tables_equal(&x, &y)) {
        tg_sb sb;
        tg_sb_init(&sb, &t->arena);
        tg_layout_print(&sb, l);
        tg_sb_add(&sb, " and ");
        tg_layout_print(&sb, r);
        fail_msg("[%d: %d %d %d] to [%d: %d %d %d]: %s", from->rank, (int)from->n[0],
                 (int)from->n[1], (int)from->n[2], to->rank, (int)to->n[0], (int)to->n[1],
                 (int)to->n[2], sb.data);
    }
}

static void shape_axes(irtest *t, const shape *s) {
    const tg_layout *all[MAX_FAMILIES];
    tg_module *m = tg_module_make(&t->arena);
    int n = families(m, s, all);
    int64_t c = count(s);
    for (int i = 0; i < n; i++) {
        check_permute(t, m, all[i], s);
        for (int a = 0; a < s->rank; a++) {
            check_project(t, m, all[i], s, a);
        }
        check_reshape(t, m, all[i], s, &(shape){.rank = 1, .n = {c}});
        for (int64_t d = 1; d <= c; d++) {
            if (c % d != 0) {
                continue;
            }
            check_reshape(t, m, all[i], s, &(shape){.rank = 2, .n = {d, c / d}});
            for (int64_t e = 1; e <= c / d; e++) {
                if (c / d % e == 0) {
                    check_reshape(t, m, all[i], s, &(shape){.rank = 3, .n = {d, e, c / d / e}});
                }
            }
        }
    }
}

static void test_axes(void **state) {
    (void)state;
    each_shape(shape_axes);
    assert_true(reshapes_free * 4 > reshapes_made); /* most powers of two are free */
}

/* Splitting 512 columns into 4 x 128 costs nothing in every family but an inner three. */
static void test_free_reshape(void **state) {
    irtest t;
    (void)state;
    irtest_init(&t);
    tg_module *m = tg_module_make(&t.arena);
    for (int64_t rows = 1; rows <= 64; rows *= 2) {
        int64_t from[2] = {rows, 512}, to[3] = {rows, 4, 128};
        for (int64_t vec = 1; vec <= 8; vec *= 2) {
            const tg_layout *l = tg_layout_blocked(m, 2, from, 64, vec);
            const tg_layout *r = tg_layout_reshape(m, l, 2, from, 3, to);
            assert_non_null(r);
            assert_non_null(tg_layout_reshape(m, r, 3, to, 2, from));
        }
    }
    irtest_fini(&t);
}

/* ---- memory: compose, swizzle ------------------------------------------------------------------
 */

static void shape_compose(irtest *t, const shape *s) {
    const tg_layout *all[MAX_FAMILIES], *mem[4];
    tg_module *m = tg_module_make(&t->arena);
    int n = families(m, s, all), k = memories(m, s, mem), made = 0;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < k; j++) {
            const tg_layout *c = tg_layout_compose(m, all[i], mem[j]);
            table x = tabulate(&t->arena, all[i], s);
            if (c == NULL) {
                continue;
            }
            made++;
            for (int64_t lane = 0; lane < x.lanes; lane++) {
                for (int64_t reg = 0; reg < x.regs; reg++) {
                    int64_t at[TG_MAX_RANK], coords[TG_MAX_RANK], none, index;
                    tg_layout_coords(all[i], lane, reg, coords);
                    if (linear(s, coords) < 0) {
                        continue;
                    }
                    tg_layout_coords(c, lane, reg, at);
                    assert_true(tg_layout_find(mem[j], coords, &none, &index));
                    assert_int_equal(at[0], index);
                }
            }
        }
    }
    assert_true(made > 0);
}

static void test_compose(void **state) {
    (void)state;
    each_shape(shape_compose);
}

static void test_swizzle(void **state) {
    irtest t;
    (void)state;
    irtest_init(&t);
    tg_module *m = tg_module_make(&t.arena);
    const tg_layout *l = parsed(m, "2; 1:64*1@mem*1 0:16*1@mem*64 xor(1,8,8)");
    shape s = {.rank = 2, .n = {16, 64}};
    check_maps(&t, m, l, &s);
    const tg_layout *plain = parsed(m, "2; 1:64*1@mem*1 0:16*1@mem*64");
    assert_false(tg_layout_equal(l, plain, s.n));
    assert_null(
        tg_layout_parse(m, "2; 1:60*1@mem*1 0:16*1@mem*64 xor(1,8,8)")); /* leaves the row */
    irtest_fini(&t);
}

static void test_malformed(void **state) {
    static const char *const bad[] = {
        "",
        "2",
        "2; 0:4",
        "2; 0:4*1@reg",
        "1; 1:4*1@reg*1",
        "9;",
        "1; 0:0*1@reg*1",
        "1; 0:4*1@gpu*1",
        "1; 0:4*0@reg*1",
        "1; r:4*1@lane*1",
        "1; 0:4*1@reg*1 0:4*2@lane*1",
        "1; 0:4*1@reg*1 0:4*4@reg*2",
        "1; 0:4*1@reg*1 ",
        "1; 0:99999999999999999999*1@reg*1",
        "1; 0:4*1@reg*1 0:4*4@mem*1",
        "1; xor(1,2,1)",
    };
    irtest t;
    (void)state;
    irtest_init(&t);
    tg_module *m = tg_module_make(&t.arena);
    for (size_t i = 0; i < TG_COUNT_OF(bad); i++) {
        if (tg_layout_parse(m, bad[i]) != NULL) {
            fail_msg("`%s` was read", bad[i]);
        }
    }
    assert_non_null(tg_layout_parse(m, "0;"));
    irtest_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps),      cmocka_unit_test(test_equal),
        cmocka_unit_test(test_axes),      cmocka_unit_test(test_free_reshape),
        cmocka_unit_test(test_compose),   cmocka_unit_test(test_swizzle),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
