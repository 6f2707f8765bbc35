/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments from DLPack tensors (github.com/dmlc/dlpack, ABI 0.8 and 1.x: the DLTensor structure is
 * the same in both). Only the layout is declared here, under names of our own, so that this header
 * stands beside any version of dlpack.h. The tensor's memory is borrowed, as for every argument.
 */
#ifndef TEGULA_DLPACK_H
#define TEGULA_DLPACK_H

#include "tegula.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tgr_dl_tensor {
    void *data;
    int32_t device_type, device_id; /* 1: CPU */
    int32_t ndim;
    uint8_t code, bits; /* DLDataTypeCode */
    uint16_t lanes;
    int64_t *shape;
    int64_t *strides; /* in elements; NULL: row-major */
    uint64_t byte_offset;
} tgr_dl_tensor;

/* Codes of DLDataTypeCode: X(code, bits, element type). */
/* clang-format off */
#define TGR_DL_TYPES(X)                                                                            \
    X(0,  8, TG_DT_I8)     X(0, 16, TG_DT_I16)      X(0, 32, TG_DT_I32)         X(0, 64, TG_DT_I64) \
    X(1,  8, TG_DT_U8)     X(1, 16, TG_DT_U16)      X(1, 32, TG_DT_U32)         X(1, 64, TG_DT_U64) \
    X(2, 16, TG_DT_F16)    X(2, 32, TG_DT_F32)      X(2, 64, TG_DT_F64)         X(4, 16, TG_DT_BF16) \
    X(6,  8, TG_DT_BOOL)   X(10, 8, TG_DT_F8E4M3)   X(11, 8, TG_DT_F8E4M3FNUZ)  X(12, 8, TG_DT_F8E5M2) \
    X(14, 8, TG_DT_F8E8M0)
/* clang-format on */

/*
 * Describes a DLTensor on the CPU as an argument. TGR_E_UNSUPPORTED: another device, vectors of
 * lanes, or a type the language does not have (packed 4-bit types travel as bytes); TGR_E_INVALID:
 * a rank beyond TG_MAX_RANK or strides too large.
 */
static inline tgr_status tgr_arg_from_dlpack(const void *dl_tensor, tgr_arg *out) {
    const tgr_dl_tensor *t = (const tgr_dl_tensor *)dl_tensor;
    tg_dtype dtype = TG_DT_NONE;
    int64_t strides[TG_MAX_RANK] = {0};
    if (!t || !out || t->ndim < 0 || t->ndim > TG_MAX_RANK || (t->ndim && !t->shape)) {
        return TGR_E_INVALID;
    }
#define TGR_X(c, b, d) dtype = t->code == (c) && t->bits == (b) ? (d) : dtype;
    TGR_DL_TYPES(TGR_X)
#undef TGR_X
    if (t->device_type != 1 || t->lanes != 1 || dtype == TG_DT_NONE) {
        return TGR_E_UNSUPPORTED;
    }
    char *data = (char *)t->data + (t->data ? t->byte_offset : 0);
    if (!t->strides) {
        *out = tgr_arg_tensor(data, dtype, t->ndim, t->shape);
        return TGR_OK;
    }
    for (int32_t i = 0; i < t->ndim; i++) {
        const int64_t most = INT64_MAX / 8;
        if (t->strides[i] > most || t->strides[i] < -most) {
            return TGR_E_INVALID;
        }
        strides[i] = t->strides[i] * (t->bits / 8);
    }
    *out = tgr_arg_tensor_strided(data, dtype, t->ndim, t->shape, strides);
    return TGR_OK;
}

#ifdef __cplusplus
}
#endif
#endif
