/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts: interning, text form, the algebra; see layout.h. */
#include "ir/layout.h"

#include <string.h>

static bool layout_equal(const tg_layout *a, const tg_layout *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

const tg_layout *tg_layout_intern(tg_module *m, const tg_layout *l) {
    for (size_t i = 0; i < m->n_layouts; i++) {
        if (layout_equal(m->layout_table[i], l)) {
            return m->layout_table[i];
        }
    }
    if (m->n_layouts == m->layout_cap) {
        size_t cap = m->layout_cap == 0 ? 16 : m->layout_cap * 2;
        const tg_layout **table = TG_NEW_ARRAY(m->arena, const tg_layout *, cap);
        for (size_t i = 0; i < m->n_layouts; i++) {
            table[i] = m->layout_table[i];
        }
        m->layout_table = table;
        m->layout_cap = cap;
    }
    tg_layout *copy = TG_NEW(m->arena, tg_layout);
    memcpy(copy, l, sizeof *l);
    m->layout_table[m->n_layouts++] = copy;
    return copy;
}

void tg_layout_print(tg_sb *sb, const tg_layout *l) {
    static const char *const names[TG_RES_COUNT] = {"reg", "lane", "mem"};
    for (int i = 0; i < l->n_modes; i++) {
        const tg_layout_mode *d = &l->modes[i];
        tg_sb_add(sb, i > 0 ? " " : "");
        if (d->axis < 0) {
            tg_sb_addc(sb, 'r');
        } else {
            tg_sb_addf(sb, "%d", d->axis);
        }
        tg_sb_addf(sb, ":%lld*%lld@%s*%lld", (long long)d->extent, (long long)d->stride,
                   names[d->resource], (long long)d->place);
    }
    if (l->xor_g != 0) {
        tg_sb_addf(sb, " xor(%lld,%lld,%lld)", (long long)l->xor_q, (long long)l->xor_g,
                   (long long)l->xor_chunk);
    }
}

const tg_layout *tg_layout_parse(tg_module *m, const char *text) {
    (void)m;
    (void)text;
    return NULL;
}
