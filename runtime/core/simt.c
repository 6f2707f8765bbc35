/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIMT images and plans; see simt.h. An image comes from a package and may hold any bytes: sizes
 * and counts are checked before they are believed.
 */
#include "simt.h"

#include <inttypes.h>

#include "cursor.h"

enum { MAX_NAME = 1024, CODE_ALIGN = 16 };

/* ---- reading -------------------------------------------------------------------------------- */

static tgr_status broken(tgr_context *context, const char *what) {
    return tgr_fail(context, TGR_E_FORMAT, "package: a SIMT image %s", what);
}

/* NULL and not bad: there is no memory, as for all that reads a part of a record. */
static const char *read_name(tgr_zone *zone, tgr_cursor *c) {
    uint32_t n = tgr_cursor_count(c, 1, MAX_NAME);
    const uint8_t *b = tgr_cursor_bytes(c, n);
    if (!b || memchr(b, 0, n)) {
        c->bad = true;
        return NULL;
    }
    return tgr_zone_text(zone, b, n);
}

static bool read_pointers(tgr_zone *zone, tgr_cursor *c, tgr_simt_entry *e, uint32_t *out_n,
                          uint32_t **out) {
    uint32_t n = tgr_cursor_count(c, 4, TGR_SIMT_MAX_POINTERS);
    uint32_t *slots = tgr_zone_alloc(zone, n, sizeof *slots);
    for (uint32_t i = 0; slots && i < n; i++) {
        slots[i] = tgr_cursor_u32(c);
        c->bad |= slots[i] >= TG_PACK_MAX_SLOTS || (i > 0 && slots[i] <= slots[i - 1]);
        e->n_slots = slots[i] < e->n_slots ? e->n_slots : slots[i] + 1;
    }
    *out_n = n;
    *out = slots;
    return slots && !c->bad;
}

/* One more than the highest slot that the byte code reads. */
static uint32_t slots_of(const uint8_t *code, size_t n) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i += code[i] == TG_DIM_CONST ? 9 : code[i] == TG_DIM_SYM ? 3 : 1) {
        if (code[i] == TG_DIM_SYM) {
            uint32_t s = (uint32_t)code[i + 1] | (uint32_t)code[i + 2] << 8;
            most = s < most ? most : s + 1;
        }
    }
    return most;
}

/* A value over the slots; the code may not be empty. */
static bool read_code(tgr_zone *zone, tgr_cursor *c, tgr_simt_entry *e, tgr_dim *out) {
    uint32_t n = tgr_cursor_count(c, 1, TG_PACK_MAX_CODE);
    const uint8_t *code = tgr_cursor_bytes(c, n);
    if (!code || !tgr_dim_valid(code, n, TG_PACK_MAX_SLOTS)) {
        c->bad = true;
        return false;
    }
    uint8_t *copy = tgr_zone_alloc(zone, n, 1);
    if (!copy) {
        return false;
    }
    memcpy(copy, code, n);
    uint32_t slots = slots_of(copy, n);
    e->n_slots = slots > e->n_slots ? slots : e->n_slots;
    *out = tgr_dim_make(copy, n);
    return true;
}

static bool read_axes(tgr_zone *zone, tgr_cursor *c, tgr_simt_entry *e) {
    e->n_axes = tgr_cursor_count(c, 12, TG_MAX_RANK);
    e->axes = tgr_zone_alloc(zone, e->n_axes, sizeof *e->axes);
    for (uint32_t i = 0; e->axes && !c->bad && i < e->n_axes; i++) {
        if (!read_code(zone, c, e, &e->axes[i].extent)) {
            return false;
        }
        uint64_t by = tgr_cursor_u64(c);
        c->bad |= by == 0 || by > INT64_MAX;
        e->axes[i].by = (int64_t)by;
    }
    return e->axes && !c->bad;
}

static bool read_map(tgr_zone *zone, tgr_cursor *c, tgr_simt_entry *e, tgr_simt_map *m) {
    m->fixed.dtype = (tg_dtype)tgr_cursor_u8(c);
    m->fixed.rank = tgr_cursor_u8(c);
    m->fixed.swizzle = tgr_cursor_u16(c);
    c->bad |= m->fixed.rank < 1 || m->fixed.rank > TG_SIMT_MAP_RANK ||
              m->fixed.dtype >= TG_DT_COUNT || m->fixed.swizzle > 128;
    bool read = !c->bad && read_code(zone, c, e, &m->address);
    for (uint32_t i = 0; read && i < m->fixed.rank; i++) {
        read = read_code(zone, c, e, &m->extents[i]);
    }
    for (uint32_t i = 1; read && i < m->fixed.rank; i++) {
        read = read_code(zone, c, e, &m->strides[i]);
    }
    for (uint32_t i = 0; read && i < m->fixed.rank; i++) {
        m->fixed.box[i] = tgr_cursor_u32(c);
        c->bad |= m->fixed.box[i] < 1 || m->fixed.box[i] > TG_SIMT_MAP_BOX;
    }
    return read && !c->bad;
}

/* Code of other devices than NVIDIA's has no parameters for maps. */
static bool read_maps(tgr_zone *zone, tgr_cursor *c, uint32_t isa, tgr_simt_entry *e) {
    e->n_maps = tgr_cursor_count(c, 24, TG_SIMT_MAX_MAPS);
    e->maps = tgr_zone_alloc(zone, e->n_maps, sizeof *e->maps);
    bool ptx = isa >= TG_ISA_PTX_SM_80 && isa < TG_ISA_GFX906;
    c->bad |= !ptx && e->n_maps > 0;
    bool read = e->maps && !c->bad;
    for (uint32_t i = 0; read && i < e->n_maps; i++) {
        read = read_map(zone, c, e, &e->maps[i]);
    }
    return read;
}

static bool read_entry(tgr_zone *zone, tgr_cursor *c, tgr_simt_entry *e) {
    e->offset = tgr_cursor_at(c);
    e->name = read_name(zone, c);
    e->plan = e->name ? read_name(zone, c) : NULL;
    if (!e->name || !e->plan) {
        return false;
    }
    e->plan = e->plan[0] ? e->plan : NULL;
    e->lanes = tgr_cursor_u32(c);
    e->subgroup = tgr_cursor_u32(c);
    e->features = tgr_cursor_u64(c);
    e->shared_bytes = tgr_cursor_u64(c);
    e->scratch_bytes = tgr_cursor_u64(c);
    c->bad |= e->lanes == 0 || e->lanes > 65536 || e->shared_bytes > UINT32_MAX ||
              e->scratch_bytes > (uint64_t)1 << 40;
    return !c->bad && read_pointers(zone, c, e, &e->n_pointers, &e->pointers) &&
           read_pointers(zone, c, e, &e->n_plan_pointers, &e->plan_pointers) &&
           read_axes(zone, c, e);
}

static tgr_status read_image(tgr_context *context, const tgr_image_desc *desc, tgr_simt_image *m) {
    tgr_cursor c = tgr_cursor_make(desc->image, (size_t)desc->image_bytes);
    uint32_t magic = tgr_cursor_u32(&c);
    m->n_entries = tgr_cursor_count(&c, 52, TG_SIMT_MAX_ENTRIES);
    uint64_t at = tgr_cursor_u64(&c), n = tgr_cursor_u64(&c);
    bool known = magic == TG_SIMT_MAGIC || magic == TG_SIMT_MAGIC_MAPS;
    if (c.bad || !known || desc->n_imports || desc->bss_bytes) {
        return broken(context, "has a head that cannot be read");
    }
    if (at % CODE_ALIGN || at > desc->image_bytes || n != desc->image_bytes - at || n == 0) {
        return broken(context, "holds no code where it should be");
    }
    m->entries = tgr_zone_alloc(&m->zone, m->n_entries, sizeof *m->entries);
    uint8_t *code = tgr_zone_alloc(&m->zone, (size_t)n + CODE_ALIGN + 1, 1);
    if (!m->entries || !code) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory reading a SIMT image");
    }
    code += -(uintptr_t)code & (CODE_ALIGN - 1);
    memcpy(code, desc->image + at, (size_t)n);
    m->code = code;
    m->code_bytes = (size_t)n;
    for (uint32_t i = 0; i < m->n_entries; i++) {
        tgr_simt_entry *e = &m->entries[i];
        bool read = read_entry(&m->zone, &c, e) &&
                    (magic == TG_SIMT_MAGIC || read_maps(&m->zone, &c, desc->isa, e));
        if (!read && !c.bad) {
            return tgr_fail(context, TGR_E_NOMEM, "out of memory reading a SIMT image");
        }
        if (!read || tgr_cursor_at(&c) > at) {
            return broken(context, "has an entry that cannot be read");
        }
    }
    return TGR_OK;
}

tgr_status tgr_simt_image_read(tgr_context *context, const tgr_image_desc *desc,
                               tgr_simt_image *out) {
    memset(out, 0, sizeof *out);
    out->zone.context = context;
    out->isa = desc->isa;
    tgr_status st = read_image(context, desc, out);
    if (st) {
        tgr_simt_image_fini(out);
    }
    return st;
}

void tgr_simt_image_fini(tgr_simt_image *image) {
    if (image->zone.context) {
        tgr_zone_fini(&image->zone);
    }
    memset(image, 0, sizeof *image);
}

tgr_simt_entry *tgr_simt_image_find(tgr_simt_image *image, uint64_t offset) {
    for (uint32_t i = 0; i < image->n_entries; i++) {
        if (image->entries[i].offset == offset) {
            return &image->entries[i];
        }
    }
    return NULL;
}

void tgr_simt_image_entry(tgr_simt_image *image, void *object, const uint64_t *phases,
                          uint32_t n_phases, tgr_entry *out) {
    *out = (tgr_entry){.n_phases = n_phases};
    out->simt = n_phases == 1 ? tgr_simt_image_find(image, phases[0]) : NULL;
    out->image = out->simt ? object : NULL; /* no record there: no code */
}

/* ---- against the device --------------------------------------------------------------------- */

static const char *feature_name(uint64_t f) {
    switch (f) {
    case TGR_SIMT_F64:
        return "f64 arithmetic";
    case TGR_SIMT_INT8:
        return "8-bit integers";
    case TGR_SIMT_INT16:
        return "16-bit integers";
    case TGR_SIMT_INT64:
        return "64-bit integers";
    case TGR_SIMT_ATOMIC64:
        return "64-bit atomics";
    case TGR_SIMT_FMA:
        return "an fma that rounds once";
    case TGR_SIMT_SUBGROUPS:
        return "sub-groups";
    case TGR_SIMT_SUBNORMALS:
        return "f32 subnormals";
    case TGR_SIMT_MATRIX:
        return "cooperative matrices";
    case TGR_SIMT_DIV:
        return "correctly rounded f32 division";
    default:
        return "something this runtime does not know";
    }
}

tgr_status tgr_simt_check(tgr_context *context, const tgr_device_info *d, const tgr_simt_entry *e) {
    /* Division within the device's own bound is marked, not refused: docs/targets.md. */
    uint64_t lacks = e->features & ~d->features & ~(uint64_t)TGR_SIMT_DIV;
    if (lacks) {
        return tgr_fail(context, TGR_E_UNSUPPORTED, "kernel `%s` needs %s, which %s lacks", e->name,
                        feature_name(lacks & -lacks), d->name);
    }
    if (d->max_lanes && e->lanes > (uint32_t)d->max_lanes) {
        return tgr_fail(context, TGR_E_UNSUPPORTED,
                        "kernel `%s` runs %u lanes a program; %s has work-groups of at most %d",
                        e->name, e->lanes, d->name, d->max_lanes);
    }
    if (e->shared_bytes > (uint64_t)d->shared_bytes) {
        return tgr_fail(context, TGR_E_UNSUPPORTED,
                        "kernel `%s` needs %" PRIu64 " bytes of shared memory; %s has %" PRId64,
                        e->name, e->shared_bytes, d->name, d->shared_bytes);
    }
    if (e->subgroup && e->subgroup != (uint32_t)d->subgroup) {
        return tgr_fail(context, TGR_E_UNSUPPORTED,
                        "kernel `%s` was made for sub-groups of %u lanes; those of %s have %d",
                        e->name, e->subgroup, d->name, d->subgroup);
    }
    return TGR_OK;
}

tgr_status tgr_simt_admit(tgr_context *context, const tgr_device_info *d, const tgr_run *run,
                          const tgr_simt_entry *e) {
    if (e->n_slots > run->n_slots) {
        return tgr_fail(context, TGR_E_FORMAT, "kernel `%s`: its code reads slots it has not",
                        run->name);
    }
    return tgr_simt_check(context, d, e);
}

void tgr_context_set_trace(tgr_context *context, tgr_trace_fn fn, void *user) {
    context->trace = fn;
    context->trace_user = user;
}

void tgr_simt_trace(tgr_context *context, const tgr_run *run, const tgr_simt_entry *e,
                    const void *code, size_t code_bytes, const char *options) {
    tgr_trace t = {.kernel = run->name,
                   .entry = e->name,
                   .code = code,
                   .code_bytes = code_bytes,
                   .options = options,
                   .slots = run->slots,
                   .pointers = e->pointers,
                   .n_slots = (int32_t)run->n_slots,
                   .n_pointers = (int32_t)e->n_pointers,
                   .lanes = e->lanes,
                   .programs = run->programs,
                   .scratch_bytes = e->scratch_bytes};
    if (context->trace) {
        context->trace(context->trace_user, &t);
    }
}

/* ---- plans ---------------------------------------------------------------------------------- */

static const int64_t max_programs = (int64_t)1 << 62;

static tgr_status no_grid(tgr_context *context, const tgr_run *run) {
    return tgr_fail(context, TGR_E_TRAP,
                    "kernel `%s`: the grid is too large or has a negative extent", run->name);
}

tgr_status tgr_simt_programs(tgr_context *context, const tgr_run *run, const tgr_simt_entry *entry,
                             int64_t *out_programs) {
    *out_programs = 0;
    int64_t n = 1;
    for (uint32_t i = 0; i < entry->n_axes; i++) {
        int64_t extent = tgr_dim_value_of(&entry->axes[i].extent, run->slots);
        int64_t by = entry->axes[i].by;
        if (extent < 0) {
            return no_grid(context, run);
        }
        int64_t blocks = extent / by + (extent % by != 0);
        if (!tgr_mul_i64(n, blocks, &n) || n > max_programs) {
            return no_grid(context, run);
        }
    }
    *out_programs = n;
    return TGR_OK;
}

tgr_status tgr_simt_planned(tgr_context *context, const tgr_run *run, const tg_cpu_plan *plan,
                            const uint32_t report[TGR_SIMT_REPORT_WORDS], int64_t *out_programs) {
    *out_programs = 0;
    tgr_status st = tgr_simt_trapped(context, run, report);
    if (st) {
        return st;
    }
    if (plan->n_phases < 0 || plan->n_phases > 1 ||
        (plan->n_phases == 1 && (plan->programs[0] < 0 || plan->programs[0] > max_programs))) {
        return tgr_fail(context, TGR_E_INTERNAL, "kernel `%s`: its plan cannot be", run->name);
    }
    *out_programs = plan->n_phases ? plan->programs[0] : 0;
    return TGR_OK;
}

int64_t tgr_simt_slice(const tgr_device_info *d, uint64_t scratch_bytes, int64_t programs,
                       int64_t most_groups) {
    int64_t n = programs < most_groups ? programs : most_groups;
    if (scratch_bytes) {
        uint64_t cap = (uint64_t)256 << 20, share = (uint64_t)d->memory_bytes / 8;
        cap = d->memory_bytes > 0 && share < cap ? share : cap;
        uint64_t fit = cap / scratch_bytes;
        n = fit < (uint64_t)n ? (int64_t)fit : n;
    }
    return n > 0 ? n : 1;
}

static const char *trap_text(uint32_t trap) {
    switch (trap) {
    case TG_CPU_TRAP_ASSERT:
        return "an assertion failed";
    case TG_CPU_TRAP_LIMIT:
        return "a `while` went past its `max`";
    case TG_CPU_TRAP_GRID:
        return "the grid is too large or has a negative extent";
    case TG_CPU_TRAP_LOOP:
        return "the device's driver ended a loop before its time";
    default:
        return "the code gave up";
    }
}

tgr_status tgr_simt_trapped(tgr_context *context, const tgr_run *run,
                            const uint32_t report[TGR_SIMT_REPORT_WORDS]) {
    if (report[0] == TG_CPU_TRAP_NONE) {
        return TGR_OK;
    }
    uint64_t program = (uint64_t)report[3] << 32 | report[2];
    tgr_status st = report[0] == TG_CPU_TRAP_LOOP ? TGR_E_UNSUPPORTED : TGR_E_TRAP;
    if (report[1]) {
        return tgr_fail(context, st, "kernel `%s`, line %u: %s (program %" PRIu64 ")", run->name,
                        report[1], trap_text(report[0]), program);
    }
    return tgr_fail(context, st, "kernel `%s`: %s", run->name, trap_text(report[0]));
}
