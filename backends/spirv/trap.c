/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traps. A failure does not end a lane, which others may wait for at a barrier. It is kept in one
 * variable, the first one of a lane, and goes into the report at the function's end (u32 code,
 * line, program low, high; the code's compare-exchange decides whose failure it is): what a place
 * that may fail costs is a compare and a select, no branch, no access to device memory.
 */
#include "backends/spirv/spirv.h"

enum { LINE_BITS = 24 }; /* of the variable: below the code */

static uint32_t variable(tg_spv *s) {
    uint32_t i32 = tg_spv_type_int(s, 32);
    if (!s->trapped) {
        uint32_t pointer = tg_spv_type_pointer(s, SpvStorageClassFunction, i32);
        s->trapped = tg_spv_id(s);
        TG_SPV(s, TG_SPV_LOCAL, SpvOpVariable, pointer, s->trapped, SpvStorageClassFunction,
               tg_spv_const(s, 32, 0));
        tg_spv_name(s, s->trapped, "trapped");
    }
    return s->trapped;
}

void tg_spv_trap_if(tg_spv *s, uint32_t cond, tg_span span, int64_t code) {
    uint32_t i32 = tg_spv_type_int(s, 32), truth = tg_spv_type_bool(s), at = variable(s);
    int line = 0, col = 0;
    if (span.source) {
        tg_source_position(span.source, span.begin, &line, &col);
    }
    uint64_t most = (UINT64_C(1) << LINE_BITS) - 1;
    uint64_t place = (uint64_t)code << LINE_BITS | ((uint64_t)line < most ? (uint64_t)line : most);
    uint32_t old = TG_SPV_VALUE(s, SpvOpLoad, i32, at);
    uint32_t none = TG_SPV_VALUE(s, SpvOpIEqual, truth, old, tg_spv_const(s, 32, 0));
    uint32_t first = TG_SPV_VALUE(s, SpvOpLogicalAnd, truth, cond, none);
    uint32_t kept = TG_SPV_VALUE(s, SpvOpSelect, i32, first, tg_spv_const(s, 32, place), old);
    TG_SPV(s, TG_SPV_BODY, SpvOpStore, at, kept);
}

/* Address of 32-bit word i of the report. */
static uint32_t report_word(tg_spv *s, int64_t i) {
    uint32_t at = tg_spv_offset(s, s->args[TG_SPV_ARG_REPORT], 4 * i);
    return tg_spv_pointer(s, at, tg_spv_type_int(s, 32));
}

static void report_store(tg_spv *s, int64_t i, uint32_t value) {
    TG_SPV(s, TG_SPV_BODY, SpvOpStore, report_word(s, i), value,
           SpvMemoryAccessAlignedMask | s->flavour->access, 4);
}

void tg_spv_trap_report(tg_spv *s) {
    if (!s->trapped) {
        return;
    }
    uint32_t i32 = tg_spv_type_int(s, 32), i64 = tg_spv_type_int(s, 64);
    uint32_t zero = tg_spv_const(s, 32, 0), truth = tg_spv_type_bool(s);
    uint32_t kept = TG_SPV_VALUE(s, SpvOpLoad, i32, s->trapped);
    uint32_t merge = tg_spv_then(s, TG_SPV_VALUE(s, SpvOpINotEqual, truth, kept, zero));
    uint32_t code =
        TG_SPV_VALUE(s, SpvOpShiftRightLogical, i32, kept, tg_spv_const(s, 32, LINE_BITS));
    uint32_t line = TG_SPV_VALUE(s, SpvOpBitwiseAnd, i32, kept,
                                 tg_spv_const(s, 32, (UINT64_C(1) << LINE_BITS) - 1));
    uint32_t device = tg_spv_const(s, 32, (uint64_t)s->flavour->device_scope);
    uint32_t old = TG_SPV_VALUE(s, SpvOpAtomicCompareExchange, i32, report_word(s, 0), device, zero,
                                zero, code, zero);
    uint32_t inner = tg_spv_then(s, TG_SPV_VALUE(s, SpvOpIEqual, truth, old, zero));
    uint32_t high =
        TG_SPV_VALUE(s, SpvOpShiftRightLogical, i64, s->program, tg_spv_const(s, 64, 32));
    report_store(s, 1, line);
    report_store(s, 2, tg_spv_resize(s, 64, 32, false, s->program));
    report_store(s, 3, tg_spv_resize(s, 64, 32, false, high));
    tg_spv_end(s, inner);
    tg_spv_end(s, merge);
}
