/* SPDX-License-Identifier: Apache-2.0 */
/* The image of a SIMT module; the format is in tegula/package_format.h. */
#include "backends/pack/simt_image.h"

#include <string.h>

#include <tegula/tegula.h>

#include "backends/pack/package_sig.h"
#include "ir/tensor_map.h"

enum { ALIGN = 16 };

/* ---- names and plans ------------------------------------------------------------------------ */

static size_t stem_bytes(const char *name, const char *suffix) {
    size_t n = strlen(name), k = strlen(suffix);
    return n > k && strcmp(name + n - k, suffix) == 0 ? n - k : 0;
}

static tg_func *kernel_of(tg_module *tile, const char *loop_name, const char *suffix) {
    size_t n = stem_bytes(loop_name, suffix);
    for (tg_func *f = tile->first_func; f && n; f = f->next) {
        if (strlen(f->name) == n && strncmp(f->name, loop_name, n) == 0) {
            return f;
        }
    }
    return NULL;
}

void tg_simt_drop_plans(tg_module *loop, tg_module *tile) {
    tg_sb axes[TG_MAX_RANK];
    tg_func *last = NULL;
    for (tg_func *f = loop->first_func; f; f = f->next) {
        tg_func *kernel = kernel_of(tile, f->name, ".plan");
        if (!kernel || !tg_simt_grid_code(kernel, loop->arena, axes)) {
            last = f;
        } else if (last) {
            last->next = f->next;
        } else {
            loop->first_func = f->next;
        }
    }
    loop->last_func = last;
}

const char *tg_simt_entry_in_code(const tg_func *f, const tg_machine *machine, tg_arena *a) {
    bool dots =
        machine->emitter == TG_EMIT_SPIRV_VULKAN || machine->emitter == TG_EMIT_SPIRV_OPENCL;
    return dots ? f->name : tg_simt_entry_name(a, f);
}

/* ---- what a function asks for --------------------------------------------------------------- */

static uint64_t type_needs(const tg_type *t) {
    switch ((int)t->dtype) {
    case TG_DT_F64:
        return TGR_SIMT_F64;
    case TG_DT_I8:
    case TG_DT_U8:
        return TGR_SIMT_INT8;
    case TG_DT_I16:
    case TG_DT_U16:
        return TGR_SIMT_INT16;
    case TG_DT_I64:
    case TG_DT_U64:
        return TGR_SIMT_INT64;
    default:
        return 0;
    }
}

static uint64_t op_needs(const tg_op *op, const tg_machine *m) {
    uint64_t needs = 0;
    for (int i = 0; i < op->n_results; i++) {
        needs |= type_needs(op->results[i].type);
    }
    bool f32 = op->n_results == 1 && op->results[0].type->dtype == TG_DT_F32;
    bool root = op->code == TG_OP_MATH && tg_attr_int(op, TG_ATTR_FN, -1) == TG_MATH_SQRT;
    if (f32 && (op->code == TG_OP_DIV || root) && m->simt & TG_SIMT_DIV) {
        needs |= TGR_SIMT_DIV;
    }
    if (f32 && op->code == TG_OP_FMA && m->simt & TG_SIMT_FMA) {
        needs |= TGR_SIMT_FMA;
    }
    bool atomic = op->code == TG_OP_ATOMICM || op->code == TG_OP_AATOMIC;
    if (atomic && tg_dtype_bits(op->results[0].type->dtype) == 64) {
        needs |= TGR_SIMT_ATOMIC64;
    }
    if (op->code == TG_OP_SHFL || op->code == TG_OP_BALLOT || op->code == TG_OP_MMA) {
        needs |= TGR_SIMT_SUBGROUPS;
    }
    if (op->code == TG_OP_MMA && m->emitter == TG_EMIT_SPIRV_VULKAN) {
        needs |= TGR_SIMT_MATRIX;
    }
    return needs;
}

static uint64_t region_needs(const tg_region *r, const tg_machine *m) {
    uint64_t needs = 0;
    for (const tg_op *op = r ? r->first : NULL; op; op = op->next) {
        needs |= op_needs(op, m);
        for (int i = 0; i < op->n_regions; i++) {
            needs |= region_needs(op->regions[i], m);
        }
    }
    return needs;
}

uint64_t tg_simt_needs(const tg_func *f, const tg_machine *machine) {
    return region_needs(f->body, machine) | TGR_SIMT_INT64;
}

/* Sets bit s for every slot that is read as an address. */
static void mark_pointers(const tg_region *r, uint64_t *marks) {
    for (const tg_op *op = r ? r->first : NULL; op; op = op->next) {
        int64_t slot = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
        if (op->code == TG_OP_SLOT && op->results[0].type->kind == TG_TY_PTR &&
            slot < (int64_t)TG_PACK_MAX_SLOTS) {
            marks[slot / 64] |= 1ull << (slot % 64);
        }
        for (int i = 0; i < op->n_regions; i++) {
            mark_pointers(op->regions[i], marks);
        }
    }
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void put_text(tg_sb *sb, const char *text, size_t n) {
    tg_pack_u32(sb, (uint32_t)n);
    tg_sb_addn(sb, text, n);
}

/* f may be NULL. */
static void put_pointers(tg_sb *sb, const tg_func *f, const tg_machine *m) {
    uint64_t marks[TG_PACK_MAX_SLOTS / 64] = {0};
    uint32_t n = 0;
    if (f && m->emitter == TG_EMIT_OPENCL_C) {
        mark_pointers(f->body, marks);
    }
    for (unsigned s = 0; s < TG_PACK_MAX_SLOTS; s++) {
        n += marks[s / 64] >> (s % 64) & 1;
    }
    tg_pack_u32(sb, n);
    for (unsigned s = 0; s < TG_PACK_MAX_SLOTS; s++) {
        if (marks[s / 64] >> (s % 64) & 1) {
            tg_pack_u32(sb, s);
        }
    }
}

static void put_grid(tg_sb *sb, const tg_func *kernel, const tg_sb *axes, bool coded) {
    tg_pack_u32(sb, coded ? (uint32_t)kernel->n_grid : 0);
    for (int i = 0; coded && i < kernel->n_grid; i++) {
        put_text(sb, axes[i].data, axes[i].len);
        tg_pack_u64(sb, (uint64_t)kernel->grid_by[i]);
    }
}

/* ---- tensor maps ---------------------------------------------------------------------------- */

/* Of what the verifier lets a map be made of: slots, constants, a slot and a constant. */
static void put_code(tg_sb *sb, const tg_value *v) {
    const tg_op *op = v->def;
    int64_t bytes = 0;
    if (op->code == TG_OP_GEP) {
        const tg_op *more = op->operands[1].value->def;
        bytes = tg_attr_int(more, TG_ATTR_VALUE_I, 0) * tg_attr_int(op, TG_ATTR_BYTES, 1);
        put_code(sb, op->operands[0].value);
    } else if (op->code == TG_OP_SLOT) {
        tg_sb_addc(sb, TG_DIM_SYM);
        tg_pack_u16(sb, (uint16_t)tg_attr_int(op, TG_ATTR_VALUE_I, 0));
        return;
    } else {
        bytes = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
    }
    tg_sb_addc(sb, TG_DIM_CONST);
    tg_pack_u64(sb, (uint64_t)bytes);
    if (op->code == TG_OP_GEP) {
        tg_sb_addc(sb, TG_DIM_ADD);
    }
}

static void put_value(tg_sb *sb, tg_arena *a, const tg_value *v) {
    tg_sb code;
    tg_sb_init(&code, a);
    put_code(&code, v);
    put_text(sb, code.data, code.len);
}

static void put_map(tg_sb *sb, tg_arena *a, const tg_op *op) {
    tg_tensor_map m;
    tg_tensor_map_of(op, &m);
    tg_sb_addc(sb, (char)m.dtype);
    tg_sb_addc(sb, (char)m.rank);
    tg_pack_u16(sb, (uint16_t)m.swizzle);
    put_value(sb, a, m.address);
    for (int i = 0; i < m.rank; i++) {
        put_value(sb, a, m.extents[i]);
    }
    for (int i = 1; i < m.rank; i++) {
        put_value(sb, a, m.strides[i]);
    }
    for (int i = 0; i < m.rank; i++) {
        tg_pack_u32(sb, (uint32_t)m.box[i]);
    }
}

static void put_maps(tg_sb *sb, tg_arena *a, const tg_func *f) {
    const tg_op *maps[TG_MAX_MAPS];
    int n = tg_tensor_maps(f, maps, TG_MAX_MAPS);
    tg_pack_u32(sb, (uint32_t)n);
    for (int i = 0; i < n && i < TG_MAX_MAPS; i++) {
        put_map(sb, a, maps[i]);
    }
}

static void put_record(tg_sb *sb, const tg_func *f, const tg_func *plan, tg_func *kernel,
                       const tg_machine *m, tg_arena *a) {
    tg_sb axes[TG_MAX_RANK];
    bool coded = !plan && tg_simt_grid_code(kernel, a, axes);
    const char *name = tg_simt_entry_in_code(f, m, a);
    const char *plan_name = plan ? tg_simt_entry_in_code(plan, m, a) : "";
    uint64_t needs = tg_simt_needs(f, m) | (plan ? tg_simt_needs(plan, m) : 0);
    tg_pack_str(sb, name);
    tg_pack_str(sb, plan_name);
    tg_pack_u32(sb, (uint32_t)f->lanes);
    tg_pack_u32(sb, needs & TGR_SIMT_SUBGROUPS ? (uint32_t)m->subgroup : 0);
    tg_pack_u64(sb, needs);
    tg_pack_u64(sb, (uint64_t)f->shared_bytes);
    tg_pack_u64(sb, (uint64_t)f->scratch_bytes);
    put_pointers(sb, f, m);
    put_pointers(sb, plan, m);
    put_grid(sb, kernel, axes, coded);
}

typedef struct maker {
    bool maps; /* of any kernel */
    tg_module *loop, *tile;
    const tg_machine *machine;
    tg_arena *arena;
    tg_sb records;
    tg_blob_symbol *symbols;
    size_t n_symbols;
    uint32_t n_entries;
} maker;

static void add_entry(maker *k, const tg_func *f, tg_func *kernel) {
    const char *plan_name = tg_arena_printf(k->arena, "%s.plan", kernel->name);
    const tg_func *plan = tg_func_find(k->loop, plan_name);
    uint64_t at = TG_SIMT_HEADER_BYTES + k->records.len;
    k->symbols[k->n_symbols++] = (tg_blob_symbol){.name = f->name, .offset = at};
    k->symbols[k->n_symbols++] = (tg_blob_symbol){.name = plan_name, .offset = at};
    put_record(&k->records, f, plan, kernel, k->machine, k->arena);
    if (k->maps) {
        put_maps(&k->records, k->arena, f);
    }
    k->n_entries++;
}

static tg_status add_entries(maker *k, tg_sink *sink) {
    size_t n = 0;
    for (const tg_func *f = k->loop->first_func; f; f = f->next) {
        n++;
        k->maps |= tg_tensor_maps(f, NULL, 0) > 0;
    }
    k->symbols = TG_NEW_ARRAY(k->arena, tg_blob_symbol, 2 * n + 1);
    for (const tg_func *f = k->loop->first_func; f; f = f->next) {
        tg_func *kernel = kernel_of(k->tile, f->name, ".phase0");
        bool plan = kernel_of(k->tile, f->name, ".plan") != NULL;
        if (kernel && f->lanes > 0) {
            add_entry(k, f, kernel);
        } else if (!plan) {
            tg_error(sink, TG_D_BACKEND, f->span, "`%s` is no function of a SIMT kernel", f->name);
            return TG_E_INTERNAL;
        }
    }
    return TG_OK;
}

tg_status tg_simt_image_make(tg_module *loop, tg_module *tile, const tg_machine *machine,
                             const unsigned char *code, size_t code_bytes, tg_arena *a,
                             tg_sink *sink, tg_blob *out) {
    maker k = {.loop = loop, .tile = tile, .machine = machine, .arena = a};
    tg_sb_init(&k.records, a);
    tg_status st = add_entries(&k, sink);
    if (st) {
        return st;
    }
    size_t at = (TG_SIMT_HEADER_BYTES + k.records.len + ALIGN - 1) / ALIGN * ALIGN;
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_pack_u32(&sb, k.maps ? TG_SIMT_MAGIC_MAPS : TG_SIMT_MAGIC);
    tg_pack_u32(&sb, k.n_entries);
    tg_pack_u64(&sb, at);
    tg_pack_u64(&sb, code_bytes);
    tg_sb_addn(&sb, k.records.data ? k.records.data : "", k.records.len);
    while (sb.len < at) {
        tg_sb_addc(&sb, '\0');
    }
    tg_sb_addn(&sb, (const char *)code, code_bytes);
    *out = (tg_blob){.bytes = (const unsigned char *)sb.data,
                     .n_bytes = sb.len,
                     .symbols = k.symbols,
                     .n_symbols = k.n_symbols};
    return TG_OK;
}
