/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C header for hosts that link the object (`--emit obj` and `--emit header`): the signatures as
 * a package without code, the entry points, and the table that tgr_module_load_linked takes.
 */
#include "compiler/compiler.h"

#include <string.h>

static void put_identifier(tg_sb *sb, const char *name) {
    for (; *name; name++) {
        bool word = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                    (*name >= '0' && *name <= '9');
        tg_sb_addc(sb, word ? *name : '_');
    }
}

static int count_phases(const tgc_state *s, const char *prefix) {
    int n = 0;
    size_t len = strlen(prefix);
    for (const tg_func *f = s->lanes[0].loop->first_func; f; f = f->next) {
        n += strncmp(f->name, prefix, len) == 0 && strncmp(f->name + len, ".phase", 6) == 0;
    }
    return n < TG_CPU_MAX_PHASES ? n : TG_CPU_MAX_PHASES;
}

static void put_function(tg_sb *sb, const char *symbol, const char *part, bool plan) {
    tg_sb_add(sb, plan ? "int32_t tegula_" : "int32_t tegula_");
    put_identifier(sb, symbol);
    tg_sb_addf(
        sb, "_%s(%s) __asm__(\"%s.%s\");\n", part,
        plan ? "const int64_t *slots, tg_cpu_plan *out_plan"
             : "const int64_t *slots, int64_t begin, int64_t end, void *scratch, void *shared, "
               "struct tg_cpu_report *report",
        symbol, part);
}

static void put_bytes(tg_sb *sb, const unsigned char *bytes, size_t n) {
    tg_sb_add(sb, "static const unsigned char tegula_signatures[] = {");
    for (size_t i = 0; i < n; i++) {
        tg_sb_addf(sb, "%s%u,", i % 20 ? "" : "\n    ", bytes[i]);
    }
    tg_sb_add(sb, "\n};\n\n");
}

static void put_entry(tg_sb *sb, const tgc_unit *u, size_t variant, const char *symbol,
                      int phases) {
    tg_sb_addf(sb, "    {.kernel = \"%s\", .variant = %zu, .n_phases = %d, .plan = tegula_",
               u->name, variant, phases);
    put_identifier(sb, symbol);
    tg_sb_add(sb, "_plan, .phases = {");
    for (int i = 0; i < phases; i++) {
        tg_sb_add(sb, i ? ", tegula_" : "tegula_");
        put_identifier(sb, symbol);
        tg_sb_addf(sb, "_phase%d", i);
    }
    tg_sb_add(sb, "}},\n");
}

/* Walks all variants that the first target has code for: declarations, then table rows. */
static void put_variants(tgc_state *s, tg_sb *sb, bool table) {
    for (size_t i = 0; i < s->units.count; i++) {
        const tgc_unit *u = &s->units.data[i];
        for (size_t v = 0; v < u->variants.count; v++) {
            const char *symbol = u->variants.data[v].symbols[0];
            int phases = symbol ? count_phases(s, symbol) : 0;
            if (phases == 0) {
                continue;
            }
            if (table) {
                put_entry(sb, u, v, symbol, phases);
                continue;
            }
            put_function(sb, symbol, "plan", true);
            for (int p = 0; p < phases; p++) {
                put_function(sb, symbol, tg_arena_printf(&s->arena, "phase%d", p), false);
            }
        }
    }
}

tg_status tgc_header(tgc_state *s, tg_sb *sb) {
    const unsigned char *bytes;
    size_t n;
    tg_status st = tgc_write_package(s, false, &bytes, &n);
    if (st) {
        return st;
    }
    tg_sb_addf(
        sb,
        "/* Made by tegula for %s. Link the object made with the same options and load with\n"
        " * tgr_module_load_linked(device, tegula_signatures, sizeof tegula_signatures, NULL,\n"
        " *                        tegula_entries, TEGULA_N_ENTRIES, &module). */\n"
        "#ifndef TEGULA_LINKED_H\n#define TEGULA_LINKED_H\n\n#include <tegula/tegula.h>\n\n",
        s->lanes[0].machine->name);
    put_variants(s, sb, false);
    tg_sb_addc(sb, '\n');
    put_bytes(sb, bytes, n);
    tg_sb_add(sb, "static const tgr_linked_entry tegula_entries[] = {\n");
    put_variants(s, sb, true);
    tg_sb_add(sb, "};\n#define TEGULA_N_ENTRIES (sizeof tegula_entries / sizeof "
                  "tegula_entries[0])\n\n#endif\n");
    return TG_OK;
}
