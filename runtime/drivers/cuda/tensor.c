/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of tensors for bulk copies (TMA). The library's answer to a map that cannot be is
 * "invalid argument" and nothing more, so what it wants (CUDA Driver API, cuTensorMapEncodeTiled)
 * is checked here, one by one, with the numbers that disagree.
 */
#include "drivers/cuda/cu.h"

enum { ADDRESS_ALIGN = 16, MAX_BOX = 256, MAX_RANK = 5 };

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

static tgr_status check_axis(tgr_context *context, const cu_tile *t, uint32_t i) {
    const uint64_t most_extent = (uint64_t)1 << 32, most_stride = (uint64_t)1 << 40;
    if (t->extents[i] == 0 || t->extents[i] > most_extent) {
        REFUSE("axis %u has %llu elements", i, (unsigned long long)t->extents[i]);
    }
    if (t->box[i] == 0 || t->box[i] > MAX_BOX) {
        REFUSE("a box of %u elements along axis %u; 256 are the most", t->box[i], i);
    }
    if (i > 0 && (t->strides[i] % ADDRESS_ALIGN || t->strides[i] >= most_stride)) {
        REFUSE("axis %u steps by %llu bytes, no multiple of 16 below 2^40", i,
               (unsigned long long)t->strides[i]);
    }
    return TGR_OK;
}

static tgr_status check_tile(tgr_context *context, const cu_tile *t) {
    if (t->rank < 1 || t->rank > MAX_RANK) {
        REFUSE("a tensor of %u axes", t->rank);
    }
    uint32_t row = t->box[0] * (uint32_t)tgr_dtype_bits(t->dtype) / 8;
    if (t->address % ADDRESS_ALIGN) {
        REFUSE("address 0x%llx is no multiple of 16", (unsigned long long)t->address);
    }
    if (row % ADDRESS_ALIGN || (t->swizzle && row > t->swizzle)) {
        REFUSE("rows of %u bytes with a swizzle of %u", row, t->swizzle);
    }
    tgr_status st = TGR_OK;
    for (uint32_t i = 0; i < t->rank && !st; i++) {
        st = check_axis(context, t, i);
    }
    return st;
}

tgr_status tgr_cu_tensor_encode(cu_state *s, const cu_tile *t, tgr_cu_tensor_map *out) {
    tgr_context *context = s->context;
    static const uint32_t steps[MAX_RANK] = {1, 1, 1, 1, 1};
    CUtensorMapDataType type;
    CUtensorMapSwizzle swizzle;
    if (!s->device->tensor_maps) {
        REFUSE("%s has none", s->device->name);
    }
    if (!type_of(t->dtype, &type) || !swizzle_of(t->swizzle, &swizzle)) {
        REFUSE("elements of type %u or a swizzle of %u bytes", (unsigned)t->dtype, t->swizzle);
    }
    tgr_status st = check_tile(context, t);
    if (st) {
        return st;
    }
    CUresult code = s->api->cuTensorMapEncodeTiled(
        out, type, t->rank, (void *)(uintptr_t)t->address, t->extents, t->strides + 1, t->box,
        steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return tgr_cu_check(s, code, "describing a tensor");
}
