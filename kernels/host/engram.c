/* SPDX-License-Identifier: Apache-2.0 */
/* Engram's prime tables: see tegula/engram.h. Trial division: 16 million takes 2,000 steps. */
#include <tegula/engram.h>

#include <stddef.h>

const int64_t tgh_engram_multipliers_v41[2][4] = {
    {76632096046245, 4839876093313, 35959672319349, 73987337458391},
    {67716810739261, 51510806800915, 30921347202721, 82619226485591},
};

static bool is_prime(int64_t n) {
    if (n < 4 || n % 2 == 0) {
        return n == 2 || n == 3;
    }
    for (int64_t d = 3; d * d <= n; d += 2) {
        if (n % d == 0) {
            return false;
        }
    }
    return true;
}

bool tgh_engram_primes(int64_t above, int32_t layers, int32_t tables, int64_t *out_prime,
                       int64_t *out_offset, int64_t *out_rows) {
    if (layers < 0 || tables < 0 || above < 1 || above > (int64_t)1 << 40) {
        return false;
    }
    int64_t p = above;
    for (int32_t l = 0; l < layers; l++) {
        int64_t rows = 0;
        for (int32_t t = 0; t < tables; t++) {
            ptrdiff_t at = (ptrdiff_t)l * tables + t;
            do {
                p++;
            } while (!is_prime(p));
            out_prime[at] = p;
            if (out_offset != NULL) {
                out_offset[at] = rows;
            }
            rows += p;
        }
        if (out_rows != NULL) {
            out_rows[l] = rows;
        }
    }
    return true;
}
