/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SPIR-V module against a device. The compiler declares what its code uses; what the device lacks
 * is named here, before a driver gives an opaque error. Float controls are wishes: a module asks to
 * keep subnormals, signed zeros and rounding, and where the device does not offer that the request
 * is taken out (the machine table says what its kernels rely on).
 */
#include <string.h>

#include "drivers/vulkan/vk.h"

/* Numbers of the SPIR-V specification (section 3), as far as they matter here. */
enum {
    MAGIC = 0x07230203,
    HEADER_WORDS = 5,
    OP_CAPABILITY = 17,
    OP_EXECUTION_MODE = 16,
    OP_FUNCTION = 54,
    MODE_DENORM_PRESERVE = 4459,
    MODE_NAN_PRESERVE = 4461,
    MODE_RTE = 4462,
    CAP_DENORM_PRESERVE = 4464,
    CAP_NAN_PRESERVE = 4466,
    CAP_RTE = 4467
};

typedef struct need {
    uint32_t capability;
    const char *feature; /* Vulkan's name */
    size_t at;           /* of the bool in tgr_vk_abilities */
} need;

#define AT(member) offsetof(tgr_vk_abilities, member)

static const need needs[] = {{10, "shaderFloat64", AT(f64)},
                             {11, "shaderInt64", AT(int64)},
                             {12, "shaderBufferInt64Atomics", AT(atomic64)},
                             {22, "shaderInt16", AT(int16)},
                             {39, "shaderInt8", AT(int8)},
                             {4433, "storageBuffer16BitAccess", AT(storage16)},
                             {4448, "storageBuffer8BitAccess", AT(storage8)},
                             {5345, "vulkanMemoryModel", AT(memory_model)},
                             {5347, "bufferDeviceAddress", AT(address)},
                             {64, "ballots of sub-groups", AT(ballot)},
                             {65, "shuffles of sub-groups", AT(shuffle)}};

static bool has(const tgr_vk_abilities *a, size_t at) {
    return *(const bool *)((const char *)a + at);
}

static const char *missing(const tgr_vk_abilities *a, uint32_t capability) {
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (needs[i].capability == capability && !has(a, needs[i].at)) {
            return needs[i].feature;
        }
    }
    return NULL;
}

static bool keep_capability(const tgr_vk_abilities *a, uint32_t c) {
    return c == CAP_DENORM_PRESERVE ? a->denorm32 || a->denorm64
           : c == CAP_NAN_PRESERVE  ? a->nan32 || a->nan64
           : c == CAP_RTE           ? a->rte32 || a->rte64
                                    : true;
}

static bool keep_mode(const tgr_vk_abilities *a, uint32_t mode, uint32_t bits) {
    bool wide = bits == 64;
    return mode == MODE_DENORM_PRESERVE ? (wide ? a->denorm64 : a->denorm32)
           : mode == MODE_NAN_PRESERVE  ? (wide ? a->nan64 : a->nan32)
           : mode == MODE_RTE           ? (wide ? a->rte64 : a->rte32)
                                        : true;
}

tgr_status tgr_vk_module_fit(tgr_context *context, const tgr_vk_abilities *a, uint32_t *words,
                             size_t *n_words) {
    size_t n = *n_words, to = HEADER_WORDS;
    if (n < HEADER_WORDS || words[0] != MAGIC) {
        return tgr_fail(context, TGR_E_FORMAT, "the Vulkan code is no SPIR-V of this byte order");
    }
    for (size_t at = HEADER_WORDS; at < n;) {
        uint32_t length = words[at] >> 16, op = words[at] & 0xffff;
        if (length == 0 || length > n - at) {
            return tgr_fail(context, TGR_E_FORMAT, "the SPIR-V is cut off or damaged");
        }
        bool keep = true;
        if (op == OP_CAPABILITY && length == 2) {
            const char *feature = missing(a, words[at + 1]);
            if (feature) {
                return tgr_fail(context, TGR_E_UNSUPPORTED,
                                "this code needs %s, which the Vulkan device lacks", feature);
            }
            keep = keep_capability(a, words[at + 1]);
        } else if (op == OP_EXECUTION_MODE && length == 4) {
            keep = keep_mode(a, words[at + 2], words[at + 3]);
        }
        if (op == OP_FUNCTION) { /* nothing of interest follows */
            memmove(words + to, words + at, (n - at) * sizeof words[0]);
            to += n - at;
            break;
        }
        if (keep) {
            memmove(words + to, words + at, length * sizeof words[0]);
            to += length;
        }
        at += length;
    }
    *n_words = to;
    return TGR_OK;
}
