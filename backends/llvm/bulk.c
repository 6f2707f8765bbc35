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

/* ---- copies -----------------------------------------------------------------------------------
 */

enum { SHARED = 3 };

/* Byte address of an element of a shared array (operands `array` and the index behind it). */
static LLVMValueRef shared_word(tg_emitter *e, const tg_op *op, int array) {
    const tg_type *t = op->operands[array].value->type;
    LLVMValueRef index = tg_emit_operand(e, op, array + 1);
    unsigned bits = t->dtype == TG_DT_BOOL ? 8 : (unsigned)tg_dtype_bits(t->dtype);
    LLVMValueRef p = LLVMBuildInBoundsGEP2(e->builder, tg_emit_int_type(e, bits),
                                           tg_emit_operand(e, op, array), &index, 1, "");
    p = LLVMBuildAddrSpaceCast(e->builder, p, LLVMPointerTypeInContext(e->context, SHARED), "");
    return LLVMBuildPtrToInt(e->builder, p, LLVMInt32TypeInContext(e->context), "");
}

/*
 * One lane's cp.async.bulk.tensor (PTX ISA 8.5, 9.7.8.24.10), behind a fence that tells the
 * asynchronous proxy of what was written before (9.7.12.4): memory is used again.
 * Operands: 0 where to, 1 the map, 2 the barrier, 3 who, 4... coordinates.
 */
static const char *copy_text(tg_emitter *e, int rank) {
    static const char *const coordinates[] = {"$4", "$4, $5", "$4, $5, $6", "$4, $5, $6, $7",
                                              "$4, $5, $6, $7, $8"};
    return tg_arena_printf(
        e->arena,
        "{ .reg .pred p; setp.ne.b32 p, $3, 0; @p fence.proxy.async.shared::cta; "
        "@p cp.async.bulk.tensor.%dd.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[$0], [$1, {%s}], [$2]; }",
        rank, coordinates[rank - 1]);
}

static void emit_copy(tg_emitter *e, tg_op *op) {
    enum { MAP, ARRAY, INDEX, BARS, BAR, WHO, FIRST, MOST = 9 };
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context), types[MOST];
    LLVMValueRef args[MOST];
    static const char constraints[] = "r,l,r,r,r,r,r,r,r";
    int rank = op->n_operands - FIRST;
    args[0] = shared_word(e, op, ARRAY);
    args[1] =
        LLVMBuildPtrToInt(e->builder, tg_emit_operand(e, op, MAP), tg_emit_int_type(e, 64), "");
    args[2] = shared_word(e, op, BARS);
    args[3] = LLVMBuildZExt(e->builder, tg_emit_operand(e, op, WHO), i32, "");
    for (int i = 0; i < rank; i++) {
        args[4 + i] = tg_emit_operand(e, op, FIRST + i);
    }
    for (int i = 0; i < 4 + rank; i++) {
        types[i] = LLVMTypeOf(args[i]);
    }
    const char *text = copy_text(e, rank);
    const char *names =
        tg_arena_printf(e->arena, "%.*s,~{memory}", 2 * (4 + rank) - 1, constraints);
    LLVMTypeRef type =
        LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, 4 + (unsigned)rank, 0);
    LLVMValueRef code = LLVMGetInlineAsm(type, text, strlen(text), names, strlen(names), 1, 0,
                                         LLVMInlineAsmDialectATT, 0);
    LLVMBuildCall2(e->builder, type, code, args, 4 + (unsigned)rank, "");
}

bool tg_emit_bulk(tg_emitter *e, tg_op *op, LLVMValueRef *out) {
    switch ((int)op->code) {
    case TG_OP_TMAP:
        *out = emit_map(e, op);
        return true;
    case TG_OP_TMAP_OK:
        *out = emit_ok(e, op);
        return true;
    case TG_OP_TCOPY:
        emit_copy(e, op);
        return true;
    }
    return false;
}
