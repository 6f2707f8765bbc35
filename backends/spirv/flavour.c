/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environments a module can be written for, one row each; the rest of the room asks the row.
 *
 * Vulkan: SPIR-V 1.5 with physical storage buffer addresses and the Vulkan memory model, in which
 * every access says that it may be seen by others (NonPrivatePointer). The five arguments of an
 * entry are push constants.
 */
#include <spirv/unified1/GLSL.std.450.h>

#include "backends/spirv/spirv.h"

/* ---- Vulkan ---------------------------------------------------------------------------------- */

static uint32_t push_block(tg_spv *s) {
    if (s->push) {
        return s->push;
    }
    uint32_t word = tg_spv_type_int(s, 64), block = tg_spv_id(s);
    TG_SPV(s, TG_SPV_GLOBAL, SpvOpTypeStruct, block, word, word, word, word, word);
    TG_SPV(s, TG_SPV_DECORATION, SpvOpDecorate, block, SpvDecorationBlock);
    for (uint32_t i = 0; i < TG_SPV_ARGS; i++) {
        TG_SPV(s, TG_SPV_DECORATION, SpvOpMemberDecorate, block, i, SpvDecorationOffset, 8 * i);
    }
    s->push = tg_spv_global(s, SpvStorageClassPushConstant, block);
    tg_spv_name(s, s->push, "launch");
    return s->push;
}

static void push_arguments(tg_spv *s, uint32_t *args) {
    uint32_t word = tg_spv_type_int(s, 64), block = push_block(s);
    uint32_t pointer = tg_spv_type_pointer(s, SpvStorageClassPushConstant, word);
    tg_spv_interface(s, block, SpvStorageClassPushConstant);
    for (uint32_t i = 0; i < TG_SPV_ARGS; i++) {
        uint32_t at = TG_SPV_VALUE(s, SpvOpAccessChain, pointer, block, tg_spv_const(s, 32, i));
        args[i] = TG_SPV_VALUE(s, SpvOpLoad, word, at);
    }
}

static uint32_t no_parameters(tg_spv *s) {
    return tg_spv_type_function(s, tg_spv_type_void(s), 0, NULL);
}

static const SpvCapability vulkan_base[] = {
    SpvCapabilityShader, SpvCapabilityPhysicalStorageBufferAddresses,
    SpvCapabilityVulkanMemoryModel, SpvCapabilityInt64, SpvCapabilityMax};

/* ---- the rows -------------------------------------------------------------------------------- */

static const tg_spv_flavour flavours[] = {
    {.emitter = TG_EMIT_SPIRV_VULKAN,
     .version = 0x00010500,
     .addressing = SpvAddressingModelPhysicalStorageBuffer64,
     .memory_model = SpvMemoryModelVulkan,
     .execution = SpvExecutionModelGLCompute,
     .device = SpvStorageClassPhysicalStorageBuffer,
     .base = vulkan_base,
     .narrow_storage = true,
     .float_controls = true,
     .no_contraction = true,
     .instructions = "GLSL.std.450",
     .sqrt = GLSLstd450Sqrt,
     .floor = GLSLstd450Floor,
     .ceil = GLSLstd450Ceil,
     .rint = GLSLstd450RoundEven,
     .fma = GLSLstd450Fma,
     .index_bits = 32,
     .access = SpvMemoryAccessNonPrivatePointerMask,
     .visible = SpvMemorySemanticsMakeAvailableMask | SpvMemorySemanticsMakeVisibleMask,
     .device_semantics = SpvMemorySemanticsUniformMemoryMask,
     .device_scope = SpvScopeQueueFamily,
     .arguments = push_arguments,
     .function_type = no_parameters},
};

const tg_spv_flavour *tg_spv_flavour_find(tg_emitter_kind emitter) {
    for (size_t i = 0; i < TG_COUNT_OF(flavours); i++) {
        if (flavours[i].emitter == emitter) {
            return &flavours[i];
        }
    }
    return NULL;
}
