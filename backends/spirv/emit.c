/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of the SPIR-V writer and the frame of an entry: arguments, the program this group runs,
 * the lane, source lines.
 *
 *   program = first + group x + group y * groups x;  if (program < end) { body }
 *
 * The groups beyond the end exist because a launch larger than a device's limit along x is folded
 * into rows.
 */
#include <string.h>

#include "backends/spirv/spirv.h"

/* ---- values ---------------------------------------------------------------------------------- */

int tg_spv_lanes(const tg_type *t) { return t->kind == TG_TY_VEC ? (int)t->shape[0] : 1; }

int tg_spv_bits(const tg_type *t) {
    return t->kind == TG_TY_PTR ? 64 : t->dtype == TG_DT_BOOL ? 8 : tg_dtype_bits(t->dtype);
}

bool tg_spv_is_float(const tg_type *t) {
    return t->kind != TG_TY_PTR && (t->dtype == TG_DT_F32 || t->dtype == TG_DT_F64);
}

static bool is_bool(const tg_type *t) { return t->kind != TG_TY_PTR && t->dtype == TG_DT_BOOL; }

/* Sub-byte elements stand alone in a byte. */
static int register_bits(const tg_type *t) {
    int bits = tg_spv_bits(t);
    return bits < 8 ? 8 : bits;
}

uint32_t tg_spv_memory_type(tg_spv *s, const tg_type *t) {
    return tg_spv_is_float(t) ? tg_spv_type_float(s, tg_spv_bits(t))
                              : tg_spv_type_int(s, register_bits(t));
}

uint32_t tg_spv_type(tg_spv *s, const tg_type *t) {
    return is_bool(t) ? tg_spv_type_bool(s) : tg_spv_memory_type(s, t);
}

uint32_t tg_spv_to_memory(tg_spv *s, const tg_type *t, uint32_t x) {
    if (!is_bool(t)) {
        return x;
    }
    return TG_SPV_VALUE(s, SpvOpSelect, tg_spv_type_int(s, 8), x, tg_spv_const(s, 8, 1),
                        tg_spv_const(s, 8, 0));
}

uint32_t tg_spv_from_memory(tg_spv *s, const tg_type *t, uint32_t x) {
    if (!is_bool(t)) {
        return x;
    }
    return TG_SPV_VALUE(s, SpvOpINotEqual, tg_spv_type_bool(s), x, tg_spv_const(s, 8, 0));
}

uint32_t tg_spv_as_bits(tg_spv *s, const tg_type *t, uint32_t x) {
    if (tg_spv_is_float(t)) {
        return TG_SPV_VALUE(s, SpvOpBitcast, tg_spv_type_int(s, tg_spv_bits(t)), x);
    }
    return tg_spv_to_memory(s, t, x);
}

uint32_t tg_spv_from_bits(tg_spv *s, const tg_type *t, uint32_t x) {
    if (tg_spv_is_float(t)) {
        return TG_SPV_VALUE(s, SpvOpBitcast, tg_spv_type(s, t), x);
    }
    return tg_spv_from_memory(s, t, x);
}

/*
 * Sign extension of 32 bits as two halves. lavapipe 22.3 compares an OpSConvert to 64 bits with a
 * constant wrongly (`lt` is always false); of halves put together it knows nothing.
 */
static uint32_t widen_by_halves(tg_spv *s, uint32_t x) {
    uint32_t i32 = tg_spv_type_int(s, 32), pair = tg_spv_type_vector(s, i32, 2);
    uint32_t high = TG_SPV_VALUE(s, SpvOpShiftRightArithmetic, i32, x, tg_spv_const(s, 32, 31));
    uint32_t both = TG_SPV_VALUE(s, SpvOpCompositeConstruct, pair, x, high);
    return TG_SPV_VALUE(s, SpvOpBitcast, tg_spv_type_int(s, 64), both);
}

uint32_t tg_spv_resize(tg_spv *s, int from, int to, bool sign, uint32_t x) {
    if (from == to) {
        return x;
    }
    if (sign && from == 32 && to == 64 && s->flavour->widen_by_halves) {
        return widen_by_halves(s, x);
    }
    return TG_SPV_VALUE(s, sign && to > from ? SpvOpSConvert : SpvOpUConvert,
                        tg_spv_type_int(s, to), x);
}

tg_spv_value tg_spv_row(tg_spv *s, int n) {
    return (tg_spv_value){.id = TG_NEW_ARRAY(s->arena, uint32_t, n), .n = n};
}

tg_spv_value tg_spv_get(tg_spv *s, const tg_value *v) { return s->values[v->id]; }

tg_spv_value tg_spv_operand(tg_spv *s, const tg_op *op, int i) {
    return tg_spv_get(s, tg_operand(op, i));
}

void tg_spv_set(tg_spv *s, const tg_value *v, tg_spv_value x) {
    s->values[v->id] = x;
    if (v->name && x.n == 1) {
        tg_spv_name(s, x.id[0], v->name);
    }
}

/* After a refusal emission goes on, with zeros, so that all refusals of a module are told. */
void tg_spv_refuse(tg_spv *s, const tg_op *op, const char *why) {
    s->failed = true;
    tg_error(s->sink, TG_D_BACKEND, op->span, "`%s` cannot be written as SPIR-V for %s: %s",
             tg_op_info_get(op->code)->name, s->machine->name, why);
}

/* ---- source lines ---------------------------------------------------------------------------- */

static uint32_t file_string(tg_spv *s, const tg_source *source) {
    for (int i = 0; i < s->n_files; i++) {
        if (s->files[i].source == source) {
            return s->files[i].string;
        }
    }
    if (s->n_files == (int)TG_COUNT_OF(s->files)) {
        return 0;
    }
    uint32_t id = tg_spv_id(s);
    tg_spv_put_string(s, TG_SPV_STRING, SpvOpString, 1, &id, source->name, 0, NULL);
    s->files[s->n_files].source = source;
    s->files[s->n_files++].string = id;
    return id;
}

void tg_spv_line(tg_spv *s, tg_span span) {
    if (!span.source) {
        return;
    }
    int line = 1, col = 1;
    tg_source_position(span.source, span.begin, &line, &col);
    if (line == s->line && span.source == s->line_source) {
        return;
    }
    uint32_t file = file_string(s, span.source);
    if (file) {
        TG_SPV(s, TG_SPV_BODY, SpvOpLine, file, (uint32_t)line, (uint32_t)col);
        s->line = line;
        s->line_source = span.source;
    }
}

/* ---- entries --------------------------------------------------------------------------------- */

/* The built-in numbers, in the order of tg_spv_builtin_id. */
static const struct {
    SpvBuiltIn which;
    bool vector; /* three of them */
} builtins[TG_SPV_INS] = {{SpvBuiltInWorkgroupId, true},
                          {SpvBuiltInNumWorkgroups, true},
                          {SpvBuiltInLocalInvocationId, true},
                          {SpvBuiltInSubgroupLocalInvocationId, false},
                          {SpvBuiltInSubgroupSize, false}};

uint32_t tg_spv_builtin(tg_spv *s, tg_spv_builtin_id i) {
    bool vector = builtins[i].vector;
    uint32_t word = tg_spv_type_int(s, vector ? s->flavour->index_bits : 32);
    uint32_t type = vector ? tg_spv_type_vector(s, word, 3) : word;
    if (!s->builtins[i]) {
        s->builtins[i] = tg_spv_global(s, SpvStorageClassInput, type);
        TG_SPV(s, TG_SPV_DECORATION, SpvOpDecorate, s->builtins[i], SpvDecorationBuiltIn,
               (uint32_t)builtins[i].which);
    }
    tg_spv_interface(s, s->builtins[i], SpvStorageClassInput);
    return TG_SPV_VALUE(s, SpvOpLoad, type, s->builtins[i]);
}

static uint32_t axis(tg_spv *s, uint32_t vector, uint32_t i) {
    int bits = s->flavour->index_bits;
    uint32_t x = TG_SPV_VALUE(s, SpvOpCompositeExtract, tg_spv_type_int(s, bits), vector, i);
    return tg_spv_resize(s, bits, 64, false, x);
}

/* first + group x + group y * groups x */
static uint32_t program_number(tg_spv *s) {
    uint32_t i64 = tg_spv_type_int(s, 64);
    uint32_t group = tg_spv_builtin(s, TG_SPV_IN_GROUP);
    uint32_t count = tg_spv_builtin(s, TG_SPV_IN_GROUPS);
    uint32_t row = TG_SPV_VALUE(s, SpvOpIMul, i64, axis(s, group, 1), axis(s, count, 0));
    row = TG_SPV_VALUE(s, SpvOpIAdd, i64, row, axis(s, group, 0));
    return TG_SPV_VALUE(s, SpvOpIAdd, i64, s->args[TG_SPV_ARG_FIRST], row);
}

/* The local id along x: entries have one row of lanes. */
static uint32_t lane_number(tg_spv *s) {
    int bits = s->flavour->index_bits;
    uint32_t local = tg_spv_builtin(s, TG_SPV_IN_LANE);
    uint32_t x = TG_SPV_VALUE(s, SpvOpCompositeExtract, tg_spv_type_int(s, bits), local, 0);
    return tg_spv_resize(s, bits, 32, false, x);
}

/* scratch + (program - first) * bytes */
static uint32_t own_scratch(tg_spv *s, const tg_func *f) {
    uint32_t i64 = tg_spv_type_int(s, 64);
    uint32_t n = TG_SPV_VALUE(s, SpvOpISub, i64, s->program, s->args[TG_SPV_ARG_FIRST]);
    uint32_t bytes = tg_spv_const(s, 64, (uint64_t)f->scratch_bytes);
    uint32_t skip = TG_SPV_VALUE(s, SpvOpIMul, i64, n, bytes);
    return TG_SPV_VALUE(s, SpvOpIAdd, i64, s->args[TG_SPV_ARG_SCRATCH], skip);
}

static void set_argument(tg_spv *s, const tg_func *f, int i, uint32_t id) {
    tg_spv_value x = tg_spv_row(s, 1);
    x.id[0] = id;
    tg_spv_set(s, f->body->args[i], x);
}

/* Role simt: slots, program, lane, scratch, report. */
static void simt_body(tg_spv *s, tg_func *f) {
    s->program = program_number(s);
    tg_spv_name(s, s->program, "program");
    uint32_t inside =
        TG_SPV_VALUE(s, SpvOpSLessThan, tg_spv_type_bool(s), s->program, s->args[TG_SPV_ARG_END]);
    uint32_t lane = lane_number(s), scratch = own_scratch(s, f);
    uint32_t merge = tg_spv_then(s, inside);
    set_argument(s, f, 0, s->args[TG_SPV_ARG_SLOTS]);
    set_argument(s, f, 1, s->program);
    set_argument(s, f, 2, lane);
    set_argument(s, f, 3, scratch);
    set_argument(s, f, 4, s->args[TG_SPV_ARG_REPORT]);
    tg_spv_region(s, f->body);
    tg_spv_trap_report(s);
    tg_spv_end(s, merge);
}

/* Role plan: slots, plan; one lane, the plan lies where scratch would. */
static void plan_body(tg_spv *s, tg_func *f) {
    s->program = tg_spv_const(s, 64, 0);
    set_argument(s, f, 0, s->args[TG_SPV_ARG_SLOTS]);
    set_argument(s, f, 1, s->args[TG_SPV_ARG_SCRATCH]);
    tg_spv_region(s, f->body);
    tg_spv_trap_report(s);
}

static void mode(tg_spv *s, uint32_t entry, SpvExecutionMode m, SpvCapability c, uint32_t bits) {
    tg_spv_capability(s, c);
    TG_SPV(s, TG_SPV_MODE, SpvOpExecutionMode, entry, (uint32_t)m, bits);
}

/* What the device lacks of these the driver takes out again (runtime/drivers/vulkan/module.c). */
static void float_modes(tg_spv *s, uint32_t entry) {
    for (uint32_t bits = 32; bits <= 64; bits += 32) {
        mode(s, entry, SpvExecutionModeDenormPreserve, SpvCapabilityDenormPreserve, bits);
        mode(s, entry, SpvExecutionModeSignedZeroInfNanPreserve,
             SpvCapabilitySignedZeroInfNanPreserve, bits);
        mode(s, entry, SpvExecutionModeRoundingModeRTE, SpvCapabilityRoundingModeRTE, bits);
    }
}

static void modes(tg_spv *s, uint32_t entry, const tg_func *f) {
    uint32_t lanes = f->lanes > 0 ? (uint32_t)f->lanes : 1;
    TG_SPV(s, TG_SPV_MODE, SpvOpExecutionMode, entry, SpvExecutionModeLocalSize, lanes, 1, 1);
    if (s->flavour->float_controls) {
        float_modes(s, entry);
    }
    if (!s->flavour->no_contraction) {
        TG_SPV(s, TG_SPV_MODE, SpvOpExecutionMode, entry, SpvExecutionModeContractionOff);
    }
}

/* The finished function goes behind the others, its variables first in its first block. */
static void join(tg_spv *s) {
    for (int part = TG_SPV_HEAD; part < TG_SPV_SECTIONS; part++) {
        for (size_t i = 0; i < s->section[part].count; i++) {
            TG_LIST_PUSH(s->arena, &s->section[TG_SPV_FUNCTIONS], s->section[part].data[i]);
        }
        s->section[part].count = 0;
    }
}

static void declare_entry(tg_spv *s, uint32_t entry, const tg_func *f) {
    const uint32_t lead[2] = {(uint32_t)s->flavour->execution, entry};
    tg_spv_put_string(s, TG_SPV_ENTRY, SpvOpEntryPoint, 2, lead, f->name, s->interface.count,
                      s->interface.data);
    tg_spv_name(s, entry, f->name);
    modes(s, entry, f);
}

static void emit_function(tg_spv *s, tg_func *f, bool plan) {
    uint32_t none = tg_spv_type_void(s), type = s->flavour->function_type(s);
    uint32_t entry = tg_spv_id(s);
    s->func = f;
    s->values = TG_NEW_ARRAY(s->arena, tg_spv_value, f->next_value_id + 1);
    s->arrays.count = s->interface.count = 0;
    s->marks = s->trapped = 0;
    s->copied = 0;
    TG_SPV(s, TG_SPV_HEAD, SpvOpFunction, none, entry, SpvFunctionControlMaskNone, type);
    if (s->flavour->parameters) {
        s->flavour->parameters(s, s->args);
    }
    s->block = tg_spv_id(s);
    TG_SPV(s, TG_SPV_HEAD, SpvOpLabel, s->block);
    s->line = 0;
    if (s->flavour->arguments) {
        s->flavour->arguments(s, s->args);
    }
    tg_spv_arrays(s, f);
    if (plan) {
        plan_body(s, f);
    } else {
        simt_body(s, f);
    }
    tg_spv_put(s, TG_SPV_BODY, SpvOpReturn, 0, NULL);
    tg_spv_put(s, TG_SPV_BODY, SpvOpFunctionEnd, 0, NULL);
    join(s);
    declare_entry(s, entry, f);
}

static bool check_entry(tg_spv *s, const tg_func *f, bool plan) {
    bool good = f->level == TG_LEVEL_LOOP && f->body && f->body->n_args == (plan ? 2 : 5) &&
                f->lanes <= s->machine->max_lanes;
    if (!good) {
        tg_error(s->sink, TG_D_BACKEND, f->span,
                 "%s is not an entry for %s: role %s, %d arguments, %lld lanes", f->name,
                 s->machine->name, f->role ? f->role : "none", f->body ? f->body->n_args : 0,
                 (long long)f->lanes);
    }
    return good;
}

static void begin_module(tg_spv *s) {
    for (const SpvCapability *c = s->flavour->base; *c != SpvCapabilityMax; c++) {
        tg_spv_capability(s, *c);
    }
    s->import = tg_spv_id(s);
    tg_spv_put_string(s, TG_SPV_IMPORT, SpvOpExtInstImport, 1, &s->import, s->flavour->instructions,
                      0, NULL);
    TG_SPV(s, TG_SPV_MODEL, SpvOpMemoryModel, (uint32_t)s->flavour->addressing,
           (uint32_t)s->flavour->memory_model);
}

tg_status tg_spirv_emit(tg_module *loop, const tg_machine *machine, tg_arena *a, tg_sink *sink,
                        const unsigned char **out, size_t *out_bytes) {
    const tg_spv_flavour *flavour = machine ? tg_spv_flavour_find(machine->emitter) : NULL;
    if (!loop || !flavour || machine->class_ != TG_MACHINE_SIMT || !out || !out_bytes) {
        return TG_E_INVALID;
    }
    tg_spv *s = TG_NEW(a, tg_spv);
    s->flavour = flavour;
    s->version = flavour->version;
    s->machine = machine;
    s->arena = a;
    s->sink = sink;
    s->next_id = 1;
    begin_module(s);
    for (tg_func *f = loop->first_func; f; f = f->next) {
        bool plan = f->role && strcmp(f->role, "plan") == 0;
        if (!check_entry(s, f, plan)) {
            return TG_E_INTERNAL;
        }
        emit_function(s, f, plan);
    }
    if (s->failed) {
        return TG_E_UNSUPPORTED;
    }
    tg_spv_finish(s, out, out_bytes);
    return TG_OK;
}
