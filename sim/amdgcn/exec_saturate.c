/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector instructions on whole numbers with the clamp bit (CDNA3 ISA 6.2.3): what is beyond the
 * type's range becomes its end. An instruction that is not here and has the bit is refused.
 */
#include "sim/amdgcn/amd.h"

typedef enum saturated_kind {
    ADD,
    SUBTRACT,
    SUBTRACT_FROM,
    MULTIPLY_ADD,
    DIFFERENCE
} saturated_kind;

static const struct {
    uint16_t op;
    uint8_t kind, bits, taken; /* of the result; of the factors */
    bool is_signed;
} rows[] = {{AMD_V_ADD_U32, ADD, 32, 32, false},
            {AMD_V_SUB_U32, SUBTRACT, 32, 32, false},
            {AMD_V_SUBREV_U32, SUBTRACT_FROM, 32, 32, false},
            {AMD_V_ADD_I32, ADD, 32, 32, true},
            {AMD_V_SUB_I32, SUBTRACT, 32, 32, true},
            {AMD_V_ADD_U16, ADD, 16, 16, false},
            {AMD_V_SUB_U16, SUBTRACT, 16, 16, false},
            {AMD_V_SUBREV_U16, SUBTRACT_FROM, 16, 16, false},
            {AMD_V_ADD_NC_U16_E64, ADD, 16, 16, false},
            {AMD_V_SUB_NC_U16_E64, SUBTRACT, 16, 16, false},
            {AMD_V_ADD_I16, ADD, 16, 16, true},
            {AMD_V_SUB_I16, SUBTRACT, 16, 16, true},
            {AMD_V_MAD_U16, MULTIPLY_ADD, 16, 16, false},
            {AMD_V_MAD_I16, MULTIPLY_ADD, 16, 16, true},
            {AMD_V_MAD_U32_U24, MULTIPLY_ADD, 32, 24, false},
            {AMD_V_MAD_I32_I24, MULTIPLY_ADD, 32, 24, true},
            {AMD_V_MAD_U32_U16, MULTIPLY_ADD, 32, 16, false},
            {AMD_V_MAD_I32_I16, MULTIPLY_ADD, 32, 16, true},
            {AMD_V_SAD_U32, DIFFERENCE, 32, 32, false}};

static int64_t number(uint32_t v, int bits, bool is_signed) {
    int up = 64 - bits;
    uint64_t top = (uint64_t)v << up;
    return is_signed ? (int64_t)top >> up : (int64_t)(top >> up);
}

int64_t amd_saturated(int64_t v, int bits, bool is_signed) {
    int64_t most = (INT64_C(1) << (is_signed ? bits - 1 : bits)) - 1,
            least = is_signed ? -most - 1 : 0;
    return v < least ? least : v > most ? most : v;
}

bool amd_exec_saturated(amd_wave *w, const amd_insn *in) {
    uint32_t ra[LANES], rb[LANES], rc[LANES], d[LANES] = {0};
    size_t r = 0, n = sizeof rows / sizeof *rows;
    while (r < n && rows[r].op != in->op) {
        r++;
    }
    if (r == n) {
        return false;
    }
    const uint32_t *a = amd_source(w, in, 0, ra), *b = amd_source(w, in, 1, rb),
                   *c = amd_source(w, in, 2, rc);
    for (int l = 0; l < w->run->wave_lanes; l++) {
        int64_t x = number(a[l], rows[r].taken, rows[r].is_signed),
                y = number(b[l], rows[r].taken, rows[r].is_signed),
                z = number(c[l], rows[r].bits, rows[r].is_signed), v = 0;
        switch ((saturated_kind)rows[r].kind) {
        case ADD:
            v = x + y;
            break;
        case SUBTRACT:
            v = x - y;
            break;
        case SUBTRACT_FROM:
            v = y - x;
            break;
        case MULTIPLY_ADD:
            v = x * y + z;
            break;
        case DIFFERENCE:
            v = (x > y ? x - y : y - x) + z;
            break;
        }
        d[l] = (uint32_t)amd_saturated(v, rows[r].bits, rows[r].is_signed) &
               (rows[r].bits == 16 ? 0xffff : UINT32_MAX);
    }
    amd_result(w, in, d, amd_active(w, in));
    return true;
}
