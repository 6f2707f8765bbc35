/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of tensors for bulk copies (TMA). The library's answer to a map that cannot be is
 * "invalid argument" and nothing more, so what it wants is checked before (core/tile.c).
 */
#include "drivers/cuda/cu.h"

static bool type_of(tg_dtype t, CUtensorMapDataType *out) {
    static const CUtensorMapDataType types[TG_DT_COUNT] = {
        [TG_DT_BOOL] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT8,
        [TG_DT_I8] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT8,
        [TG_DT_U8] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT8,
        [TG_DT_F8E4M3] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT8,
        [TG_DT_F8E4M3FNUZ] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT8,
        [TG_DT_F8E5M2] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT8,
        [TG_DT_F8E8M0] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT8,
        [TG_DT_I16] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT16,
        [TG_DT_U16] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT16,
        [TG_DT_I32] = 1 + CU_TENSOR_MAP_DATA_TYPE_INT32,
        [TG_DT_U32] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT32,
        [TG_DT_I64] = 1 + CU_TENSOR_MAP_DATA_TYPE_INT64,
        [TG_DT_U64] = 1 + CU_TENSOR_MAP_DATA_TYPE_UINT64,
        [TG_DT_F16] = 1 + CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
        [TG_DT_BF16] = 1 + CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
        [TG_DT_F32] = 1 + CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        [TG_DT_F64] = 1 + CU_TENSOR_MAP_DATA_TYPE_FLOAT64};
    *out = (unsigned)t < TG_DT_COUNT && types[t] ? types[t] - 1 : 0;
    return (unsigned)t < TG_DT_COUNT && types[t];
}

static bool swizzle_of(uint32_t bytes, CUtensorMapSwizzle *out) {
    *out = bytes == 32    ? CU_TENSOR_MAP_SWIZZLE_32B
           : bytes == 64  ? CU_TENSOR_MAP_SWIZZLE_64B
           : bytes == 128 ? CU_TENSOR_MAP_SWIZZLE_128B
                          : CU_TENSOR_MAP_SWIZZLE_NONE;
    return bytes == 0 || *out != CU_TENSOR_MAP_SWIZZLE_NONE;
}

#define REFUSE(...) return tgr_fail(context, TGR_E_UNSUPPORTED, "no bulk copy: " __VA_ARGS__)

static CUresult encode(const cu_state *s, const tgr_tile *t, CUtensorMapDataType type,
                       CUtensorMapSwizzle swizzle, tgr_cu_tensor_map *out) {
    static const uint32_t steps[TG_SIMT_MAP_RANK] = {1, 1, 1, 1, 1};
    return s->api->cuTensorMapEncodeTiled(
        out, type, t->rank, (void *)(uintptr_t)t->address, t->extents, t->strides + 1, t->box,
        steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

tgr_status tgr_cu_tensor_encode(cu_state *s, const tgr_tile *t, tgr_cu_tensor_map *out) {
    tgr_context *context = s->context;
    CUtensorMapDataType type;
    CUtensorMapSwizzle swizzle;
    if (!s->device->tensor_maps) {
        REFUSE("%s has none", s->device->name);
    }
    if (!type_of(t->dtype, &type) || !swizzle_of(t->swizzle, &swizzle)) {
        REFUSE("elements of type %u or a swizzle of %u bytes", (unsigned)t->dtype, t->swizzle);
    }
    char words[128] = "";
    tgr_text why = {.data = words, .size = sizeof words};
    if (!tgr_tile_allowed(t, &why)) {
        REFUSE("%s", words);
    }
    return tgr_cu_check(s, encode(s, t, type, swizzle, out), "describing a tensor");
}

/* Refusals of the library are no failures: it may want more than we know of. */
tgr_status tgr_cu_tensor_maps(cu_state *s, const tgr_run *run, const tgr_simt_entry *e,
                              tgr_cu_tensor_map *out, uint64_t *out_there) {
    *out_there = 0;
    for (uint32_t i = 0; i < e->n_maps; i++) {
        tgr_tile t;
        CUtensorMapDataType type;
        CUtensorMapSwizzle swizzle;
        memset(&out[i], 0, sizeof out[i]);
        if (!s->device->tensor_maps || !tgr_simt_tile(&e->maps[i], run->slots, &t) ||
            !type_of(t.dtype, &type) || !swizzle_of(t.swizzle, &swizzle)) {
            continue;
        }
        CUresult code = encode(s, &t, type, swizzle, &out[i]);
        if (code != CUDA_SUCCESS && code != CUDA_ERROR_INVALID_VALUE &&
            code != CUDA_ERROR_NOT_SUPPORTED) {
            return tgr_cu_check(s, code, run->name);
        }
        *out_there |= code == CUDA_SUCCESS ? (uint64_t)1 << i : 0;
    }
    return TGR_OK;
}
