/* SPDX-License-Identifier: Apache-2.0 */
/* Names and their scopes (5.4.5: a set of registers is declared by its prefix). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sim/ptx/sim.h"

static size_t hash(const char *s, size_t n) {
    size_t h = 5381;
    for (size_t i = 0; i < n; i++) {
        h = h * 33 + (unsigned char)s[i];
    }
    return h % N_BUCKETS;
}

bool sim_symbol_add(sim_parser *p, const sim_symbol *s) {
    sim_symbol own = *s;
    size_t h = hash(s->name, strlen(s->name));
    own.name = strdup(s->name);
    own.depth = p->depth;
    own.next = p->buckets[h];
    if (!own.name || !SIM_PUSH(&p->symbols, own)) {
        free(own.name);
        return sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
    }
    p->buckets[h] = p->symbols.n;
    return true;
}

void sim_symbol_leave(sim_parser *p) {
    while (p->symbols.n > 0 && p->symbols.data[p->symbols.n - 1].depth >= p->depth) {
        sim_symbol *s = &p->symbols.data[--p->symbols.n];
        p->buckets[hash(s->name, strlen(s->name))] = s->next;
        free(s->name);
    }
}

static const sim_symbol *lookup(const sim_parser *p, const char *name, size_t n, bool set) {
    for (size_t i = p->buckets[hash(name, n)]; i != 0; i = p->symbols.data[i - 1].next) {
        const sim_symbol *s = &p->symbols.data[i - 1];
        bool is_set = s->kind == SYMBOL_REGISTERS && s->n > 0;
        if (is_set == set && strlen(s->name) == n && memcmp(s->name, name, n) == 0) {
            return s;
        }
    }
    return NULL;
}

const sim_symbol *sim_symbol_find(sim_parser *p, const char *name, uint32_t *out_row) {
    size_t n = strlen(name), digits = n;
    const sim_symbol *s = lookup(p, name, n, false);
    if (s) {
        bool outer = s->kind == SYMBOL_SHARED && s->depth == 0 && s->offset < SHARED_DYNAMIC;
        p->module->shared_used |= outer && p->function != NULL;
        *out_row = s->row;
        return s;
    }
    while (digits > 0 && isdigit((unsigned char)name[digits - 1])) {
        digits--;
        unsigned long i = strtoul(name + digits, NULL, 10);
        s = n - digits < 9 ? lookup(p, name, digits, true) : NULL;
        if (s && i < s->n) {
            *out_row = s->row + (uint32_t)i;
            return s;
        }
    }
    return NULL;
}
