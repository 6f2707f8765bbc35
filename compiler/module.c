/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules from source: compile for the device and load, through the cache. The key covers
 * everything that the code depends on: the compiler's build, the texts (imports too, which is why
 * the lookup happens after the source has been read), kernels, settings, targets and options.
 */
#include "compiler/compiler.h"

#include <string.h>

typedef struct lookup {
    tgr_cache *cache;
    uint8_t key[16];
    void *hit;
    size_t hit_bytes;
} lookup;

/* ---- key ------------------------------------------------------------------------------------ */

static void put_n(tg_sb *sb, uint64_t v) { tg_sb_addn(sb, (const char *)&v, sizeof v); }

static void put_text(tg_sb *sb, const char *text, size_t n) {
    put_n(sb, n);
    tg_sb_addn(sb, text, n);
}

static void put_word(tg_sb *sb, const char *text) {
    put_text(sb, text ? text : "", text ? strlen(text) : 0);
}

static void put_settings(tg_sb *sb, const tgr_setting *s, int32_t n) {
    put_n(sb, (uint64_t)n);
    for (int32_t i = 0; i < n; i++) {
        put_word(sb, s[i].name);
        put_word(sb, s[i].value);
    }
}

static void make_key(tgc_state *s, uint8_t key[16]) {
    tg_sb sb;
    tg_sb_init(&sb, &s->arena);
    char build[256] = "";
    (void)tgc_build_id(build, sizeof build);
    put_word(&sb, build);
    put_text(&sb, s->source.text, s->source.len);
    for (size_t i = 0; i < s->texts.count; i++) {
        put_word(&sb, s->texts.data[i].name);
        put_text(&sb, s->texts.data[i].text, s->texts.data[i].n);
    }
    for (int i = 0; i < s->n_lanes; i++) {
        put_word(&sb, s->lanes[i].machine->name);
    }
    put_settings(&sb, s->o.settings, s->o.n_settings);
    put_n(&sb, (uint64_t)s->o.n_instances);
    for (int32_t i = 0; i < s->o.n_instances; i++) {
        put_word(&sb, s->o.instances[i].kernel);
        put_settings(&sb, s->o.instances[i].settings, s->o.instances[i].n_settings);
    }
    put_word(&sb, s->o.arch);
    put_word(&sb, s->o.start_from);
    put_n(&sb, (uint64_t)(int64_t)s->o.opt_level);
    put_n(&sb, (uint64_t)(s->o.no_schedule != 0) | (uint64_t)(s->o.debug_lines != 0) << 1 |
                   (uint64_t)(s->o.from_ir != 0) << 2 | (uint64_t)(s->o.no_ir != 0) << 3);
    tgr_hash128(sb.data, sb.len, key);
}

static bool find(tgc_state *s, void *user) {
    lookup *l = user;
    make_key(s, l->key);
    return tgr_cache_get(l->cache, l->key, &l->hit, &l->hit_bytes) == TGR_OK;
}

/* ---- loading -------------------------------------------------------------------------------- */

/* The machine code is our own, or lay in the user's own cache under its checksum: it is trusted. */
static tgr_status load(tgr_device *device, const void *bytes, size_t n,
                       const tgr_load_options *given, tgr_module **out) {
    tgr_load_options o = TGR_INIT(tgr_load_options);
    if (given) {
        memcpy(&o, given, given->struct_bytes < sizeof o ? given->struct_bytes : sizeof o);
        o.struct_bytes = sizeof o;
    }
    o.flags |= TGR_LOAD_TRUSTED;
    return tgr_module_load(device, bytes, n, &o, out);
}

static tgr_status compile_and_load(tgr_device *device, tgc_state *s, lookup *l,
                                   const tgr_load_options *options, tgr_module **out,
                                   char **out_diagnostics) {
    tgc_result r;
    tgr_status st = tgc_run(s, &r);
    if (!st && l->hit) {
        st = load(device, l->hit, l->hit_bytes, options, out);
        tgr_cache_free(l->cache, l->hit, l->hit_bytes);
    } else if (!st) {
        st = load(device, r.bytes, r.n_bytes, options, out);
        if (!st && l->cache) {
            st = tgr_cache_put(l->cache, l->key, r.bytes, r.n_bytes);
        }
    }
    if (out_diagnostics) {
        *out_diagnostics = r.diagnostics; /* the text's size is its length: tgc_text_free */
        r.diagnostics = NULL;
    }
    tgc_result_fini(&r);
    return st;
}

void tgc_target_name(const tg_machine *m, unsigned quirks, char text[TGC_TARGET_BYTES]) {
    size_t n = strlen(m->name);
    memcpy(text, m->name, n + 1);
    for (size_t i = 0; tg_quirk_at(i); i++) {
        size_t k = strlen(tg_quirk_at(i)->name);
        if ((quirks & tg_quirk_at(i)->bit) && n + k + 2 < TGC_TARGET_BYTES) {
            text[n] = '+';
            memcpy(text + n + 1, tg_quirk_at(i)->name, k + 1);
            n += k + 1;
        }
    }
}

/* The row of m's kind whose sub-groups are the device's; m where there is none. */
static const tg_machine *with_subgroups(const tg_machine *m, const tgr_device_info *info) {
    for (size_t i = 0; info->features & TGR_SIMT_SUBGROUPS && i < tg_machine_count(); i++) {
        const tg_machine *row = tg_machine_at(i);
        if (row->class_ == TG_MACHINE_SIMT && row->isa_id == m->isa_id &&
            row->matrix == m->matrix && row->subgroup == info->subgroup && info->subgroup > 0) {
            return row;
        }
    }
    return m;
}

/* The row of m's kind for devices whose shared memory has no banks; m where there is none. */
static const tg_machine *without_banks(const tg_machine *m, const tgr_device_info *info) {
    for (size_t i = 0; info->features & TGR_SIMT_FLAT && i < tg_machine_count(); i++) {
        const tg_machine *row = tg_machine_at(i);
        if (row->class_ == TG_MACHINE_SIMT && row->isa_id == m->isa_id &&
            row->subgroup == m->subgroup && row->banks == 0) {
            return row;
        }
    }
    return m;
}

/* Without targets: what the device says it runs, when that is a machine we know. */
static void choose_target(tgc_state *s, tgr_device *device, tgr_cache *cache,
                          char text[TGC_TARGET_BYTES], const char **out_name) {
    tgr_device_info info;
    tgr_device_get_info(device, &info);
    const tg_machine *m = info.isa ? tg_machine_find(info.isa) : NULL;
    if (s->o.n_targets == 0 && m) {
        bool simt = m->class_ == TG_MACHINE_SIMT;
        m = simt ? without_banks(with_subgroups(m, &info), &info) : m;
        tgc_target_name(m, simt ? tgc_device_quirks(device, cache) : 0, text);
        *out_name = text;
        s->o.targets = out_name;
        s->o.n_targets = 1;
    }
}

tgr_status tgr_module_from_source(tgr_device *device, const tgc_options *options, tgr_cache *cache,
                                  const tgr_load_options *load_options, tgr_module **out,
                                  char **out_diagnostics) {
    if (out_diagnostics) {
        *out_diagnostics = NULL;
    }
    if (!device || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgc_state s;
    if (!tgc_state_init(&s, options) || s.o.emit != TGC_EMIT_PACKAGE || s.o.stop_after) {
        return TGR_E_INVALID;
    }
    lookup l = {.cache = cache};
    char text[TGC_TARGET_BYTES];
    const char *target;
    choose_target(&s, device, cache, text, &target);
    if (cache && !s.o.dump_after && !s.o.remarks) {
        s.lookup = find;
        s.lookup_user = &l;
    } else {
        l.cache = NULL;
    }
    return compile_and_load(device, &s, &l, load_options, out, out_diagnostics);
}

void tgc_text_free(const tgc_options *options, char *text) {
    tgc_state s;
    if (text && tgc_state_init(&s, options)) {
        (void)s.o.allocator.fn(s.o.allocator.user, text, strlen(text) + 1, 0);
    }
}
