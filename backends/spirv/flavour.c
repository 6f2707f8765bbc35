/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environments a module can be written for, one row each; the rest of the room asks the row.
 *
 * Vulkan: SPIR-V 1.5 with physical storage buffer addresses and the Vulkan memory model, in which
 * every access says that it may be seen by others (NonPrivatePointer). The five arguments of an
 * entry are push constants.
 *
 * OpenCL: SPIR-V 1.2 kernels with physical addressing. The arguments are the kernel's: three
 * pointers, taken as integers at once, and two numbers.
 */
#include <spirv/unified1/GLSL.std.450.h>
#include <spirv/unified1/OpenCL.std.h>

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

/* ---- OpenCL ---------------------------------------------------------------------------------- */

static bool is_number(uint32_t arg) { return arg == TG_SPV_ARG_FIRST || arg == TG_SPV_ARG_END; }

static uint32_t kernel_parameter(tg_spv *s, uint32_t arg) {
    return is_number(arg)
               ? tg_spv_type_int(s, 64)
               : tg_spv_type_pointer(s, SpvStorageClassCrossWorkgroup, tg_spv_type_int(s, 8));
}

static uint32_t kernel_type(tg_spv *s) {
    uint32_t types[TG_SPV_ARGS];
    for (uint32_t i = 0; i < TG_SPV_ARGS; i++) {
        types[i] = kernel_parameter(s, i);
    }
    return tg_spv_type_function(s, tg_spv_type_void(s), TG_SPV_ARGS, types);
}

static void kernel_parameters(tg_spv *s, uint32_t *args) {
    static const char *const names[TG_SPV_ARGS] = {"slots", "first", "end", "scratch", "report"};
    for (uint32_t i = 0; i < TG_SPV_ARGS; i++) {
        args[i] = tg_spv_id(s);
        TG_SPV(s, TG_SPV_HEAD, SpvOpFunctionParameter, kernel_parameter(s, i), args[i]);
        tg_spv_name(s, args[i], names[i]);
    }
}

static void kernel_arguments(tg_spv *s, uint32_t *args) {
    uint32_t word = tg_spv_type_int(s, 64);
    for (uint32_t i = 0; i < TG_SPV_ARGS; i++) {
        args[i] = is_number(i) ? args[i] : TG_SPV_VALUE(s, SpvOpConvertPtrToU, word, args[i]);
    }
}

static const SpvCapability opencl_base[] = {SpvCapabilityKernel, SpvCapabilityAddresses,
                                            SpvCapabilityInt64, SpvCapabilityMax};

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
     .widen_by_halves = true,
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
    {.emitter = TG_EMIT_SPIRV_OPENCL,
     .version = 0x00010200,
     .addressing = SpvAddressingModelPhysical64,
     .memory_model = SpvMemoryModelOpenCL,
     .execution = SpvExecutionModelKernel,
     .device = SpvStorageClassCrossWorkgroup,
     .base = opencl_base,
     .instructions = "OpenCL.std",
     .sqrt = OpenCLstd_Sqrt,
     .floor = OpenCLstd_Floor,
     .ceil = OpenCLstd_Ceil,
     .rint = OpenCLstd_Rint,
     .fma = OpenCLstd_Fma,
     .index_bits = 64,
     .device_semantics = SpvMemorySemanticsCrossWorkgroupMemoryMask,
     .device_scope = SpvScopeDevice,
     .parameters = kernel_parameters,
     .arguments = kernel_arguments,
     .function_type = kernel_type},
};

const tg_spv_flavour *tg_spv_flavour_find(tg_emitter_kind emitter) {
    for (size_t i = 0; i < TG_COUNT_OF(flavours); i++) {
        if (flavours[i].emitter == emitter) {
            return &flavours[i];
        }
    }
    return NULL;
}
