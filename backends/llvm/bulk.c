/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk copies for NVPTX. Tensor maps are parameters of the entry by value (core/simt.h), marked as
 * grid constants: without the mark LLVM would copy them to local memory, where no copy finds them.
 */
#include <string.h>

#include "backends/llvm/emit.h"
#include "ir/tensor_map.h"

enum { WORDS = 5, MAP_BYTES = 128, MAP_ALIGN = 64 };

/* ---- maps -------------------------------------------------------------------------------------
 */

static LLVMTypeRef map_type(tg_emitter *e) {
    return LLVMArrayType2(tg_emit_int_type(e, 8), MAP_BYTES);
}

/* A word that says which maps are there, then the maps. */
unsigned tg_emit_map_types(tg_emitter *e, int n_maps, LLVMTypeRef *params) {
    if (n_maps == 0) {
        return WORDS;
    }
    params[WORDS] = tg_emit_int_type(e, 64);
    for (int i = 0; i < n_maps; i++) {
        params[WORDS + 1 + i] = LLVMPointerTypeInContext(e->context, 0);
    }
    return WORDS + 1 + (unsigned)n_maps;
}

static void attribute(tg_emitter *e, unsigned parameter, LLVMAttributeRef a) {
    LLVMAddAttributeAtIndex(e->function, parameter + 1, a);
}

/* !{ptr @f, !"grid_constant", !{i32 number of the parameter, from 1...}} */
static void annotate_constants(tg_emitter *e, int n_maps) {
    LLVMMetadataRef numbers[TG_MAX_MAPS];
    for (int i = 0; i < n_maps; i++) {
        numbers[i] = LLVMValueAsMetadata(LLVMConstInt(LLVMInt32TypeInContext(e->context),
                                                      (unsigned long long)(WORDS + 2 + i), 0));
    }
    static const char name[] = "grid_constant";
    LLVMMetadataRef parts[3] = {LLVMValueAsMetadata(e->function),
                                LLVMMDStringInContext2(e->context, name, sizeof name - 1),
                                LLVMMDNodeInContext2(e->context, numbers, (size_t)n_maps)};
    LLVMAddNamedMetadataOperand(
        e->module, "nvvm.annotations",
        LLVMMetadataAsValue(e->context, LLVMMDNodeInContext2(e->context, parts, 3)));
}

void tg_emit_map_attributes(tg_emitter *e, int n_maps) {
    unsigned byval = LLVMGetEnumAttributeKindForName("byval", 5);
    unsigned align = LLVMGetEnumAttributeKindForName("align", 5);
    for (int i = 0; i < n_maps; i++) {
        unsigned at = WORDS + 1 + (unsigned)i;
        attribute(e, at, LLVMCreateTypeAttribute(e->context, byval, map_type(e)));
        attribute(e, at, LLVMCreateEnumAttribute(e->context, align, MAP_ALIGN));
    }
    if (n_maps > 0) {
        annotate_constants(e, n_maps);
    }
}

/* Number of the map in the launch. */
static int number_of(const tg_op *map) {
    const tg_op *maps[TG_MAX_MAPS];
    int n = tg_tensor_maps(map->func, maps, TG_MAX_MAPS), i = 0;
    while (i < n && maps[i] != map) {
        i++;
    }
    return i;
}

static LLVMValueRef emit_map(tg_emitter *e, const tg_op *op) {
    return LLVMGetParam(e->function, WORDS + 1 + (unsigned)number_of(op));
}

static LLVMValueRef emit_ok(tg_emitter *e, const tg_op *op) {
    LLVMBuilderRef b = e->builder;
    LLVMValueRef there = LLVMGetParam(e->function, WORDS);
    LLVMTypeRef word = LLVMTypeOf(there);
    uint64_t bit = (uint64_t)1 << number_of(op->operands[0].value->def);
    LLVMValueRef own = LLVMBuildAnd(b, there, LLVMConstInt(word, bit, 0), "");
    return LLVMBuildICmp(b, LLVMIntNE, own, LLVMConstNull(word), "");
}

bool tg_emit_bulk(tg_emitter *e, tg_op *op, LLVMValueRef *out) {
    switch ((int)op->code) {
    case TG_OP_TMAP:
        *out = emit_map(e, op);
        return true;
    case TG_OP_TMAP_OK:
        *out = emit_ok(e, op);
        return true;
    }
    return false;
}
