/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decimal text to double, correctly rounded and independent of the host's locale (strtod reads
 * `1,5` in some). value = D * 10^e with D a big integer: for e >= 0 the product is rounded; for e <
 * 0 a quotient of at least 66 bits is developed by long division and rounded with its remainder as
 * the sticky bit. At most MAX_DIGITS digits are kept, the rest only count as "not exactly"
 * (sticky).
 */
#include "frontend/lexer.h"

#include <math.h>
#include <string.h>

enum { MAX_DIGITS = 800, LIMBS = 220, EXP_LIMIT = 1300 };

/* Little-endian base 2^32; n limbs used. LIMBS holds 10^(MAX_DIGITS + EXP_LIMIT) with 66 bits to
 * spare. */
typedef struct big {
    uint32_t limb[LIMBS];
    int n;
} big;

static void big_mul_add(big *b, uint32_t mul, uint32_t add) {
    uint64_t carry = add;
    for (int i = 0; i < b->n; i++) {
        uint64_t v = (uint64_t)b->limb[i] * mul + carry;
        b->limb[i] = (uint32_t)v;
        carry = v >> 32;
    }
    if (carry != 0 && b->n < LIMBS) {
        b->limb[b->n++] = (uint32_t)carry;
    }
}

static void big_pow10(big *b, int e) {
    for (; e >= 9; e -= 9) {
        big_mul_add(b, 1000000000u, 0);
    }
    for (; e > 0; e--) {
        big_mul_add(b, 10, 0);
    }
}

static int big_bits(const big *b) {
    if (b->n == 0) {
        return 0;
    }
    int bits = (b->n - 1) * 32;
    for (uint32_t top = b->limb[b->n - 1]; top != 0; top >>= 1) {
        bits++;
    }
    return bits;
}

static void big_shl(big *b, int bits) {
    for (int words = bits / 32; words > 0 && b->n < LIMBS && b->n > 0; words--) {
        memmove(b->limb + 1, b->limb, (size_t)b->n * sizeof(uint32_t));
        b->limb[0] = 0;
        b->n++;
    }
    if (bits % 32 != 0) {
        big_mul_add(b, 1u << (bits % 32), 0);
    }
}

static int big_compare(const big *a, const big *b) {
    if (a->n != b->n) {
        return a->n < b->n ? -1 : 1;
    }
    for (int i = a->n - 1; i >= 0; i--) {
        if (a->limb[i] != b->limb[i]) {
            return a->limb[i] < b->limb[i] ? -1 : 1;
        }
    }
    return 0;
}

/* a -= b, a >= b */
static void big_sub(big *a, const big *b) {
    int64_t borrow = 0;
    for (int i = 0; i < a->n; i++) {
        int64_t v = (int64_t)a->limb[i] - (i < b->n ? b->limb[i] : 0) + borrow;
        a->limb[i] = (uint32_t)v;
        borrow = v >> 32;
    }
    while (a->n > 0 && a->limb[a->n - 1] == 0) {
        a->n--;
    }
}

/* m * 2^e with sticky bits below, m's top bit set: rounds to nearest, ties to even. */
static double round_scaled(uint64_t m, int e, bool sticky) {
    int keep = 53, top = e + 64; /* value < 2^top */
    if (top < -1021) {
        keep = 53 - (-1021 - top); /* subnormal */
    }
    if (keep < 0) {
        return 0.0;
    }
    int drop = 64 - keep;
    uint64_t kept = drop < 64 ? m >> drop : 0, rest = drop < 64 ? m << keep : m;
    uint64_t half = (uint64_t)1 << 63;
    if (keep == 0) {
        rest = m; /* just below the smallest subnormal: m is the fraction of one unit */
    }
    if (rest > half || (rest == half && (sticky || (kept & 1) != 0))) {
        kept++;
    }
    return ldexp((double)kept, e + drop);
}

/* The top 64 bits of b (b > 0), its scale, and whether anything was below. */
static double big_to_double(const big *b, int scale, bool sticky) {
    int bits = big_bits(b);
    uint64_t m = 0;
    for (int i = 0; i < 64; i++) {
        int at = bits - 1 - i;
        uint64_t bit = at >= 0 ? b->limb[at / 32] >> (at % 32) & 1u : 0;
        m = m << 1 | bit;
    }
    for (int at = bits - 65; at >= 0 && !sticky; at--) {
        sticky = (b->limb[at / 32] >> (at % 32) & 1u) != 0;
    }
    return round_scaled(m, bits - 64 + scale, sticky);
}

static double divide(big *num, const big *den, bool sticky) {
    int shift = big_bits(den) - big_bits(num) + 66;
    if (shift > 0) {
        big_shl(num, shift);
    } else {
        shift = 0;
    }
    big quotient = {.n = 0}, part = *den;
    int steps = big_bits(num) - big_bits(den);
    big_shl(&part, steps);
    for (int i = 0; i <= steps; i++) {
        bool one = big_compare(num, &part) >= 0;
        if (one) {
            big_sub(num, &part);
        }
        big_mul_add(&quotient, 2, one);
        if (quotient.n == 0 && one) {
            quotient.limb[quotient.n++] = 1;
        }
        for (int k = 0; k < part.n; k++) { /* part >>= 1 */
            uint32_t above = k + 1 < part.n ? part.limb[k + 1] << 31 : 0;
            part.limb[k] = part.limb[k] >> 1 | above;
        }
        while (part.n > 0 && part.limb[part.n - 1] == 0) {
            part.n--;
        }
    }
    return big_to_double(&quotient, -shift, sticky || num->n > 0);
}

typedef struct decimal {
    big digits;
    int exponent; /* of ten */
    bool sticky;
} decimal;

static int read_exponent(const char *s, const char *end) {
    bool negative = false;
    int e = 0;
    if (s < end && (*s == '+' || *s == '-')) {
        negative = *s++ == '-';
    }
    for (; s < end; s++) {
        if (*s >= '0' && *s <= '9' && e < 100000) {
            e = e * 10 + (*s - '0');
        }
    }
    return negative ? -e : e;
}

static void read_decimal(const char *s, size_t len, decimal *d) {
    const char *end = s + len;
    int kept = 0;
    bool fraction = false;
    for (; s < end && *s != 'e' && *s != 'E'; s++) {
        if (*s == '.') {
            fraction = true;
        } else if (*s != '_') {
            uint32_t digit = (uint32_t)(*s - '0');
            bool room = kept < MAX_DIGITS;
            if (room) {
                big_mul_add(&d->digits, 10, digit);
                kept += d->digits.n > 0;
            }
            d->sticky |= !room && digit != 0;
            int step = room ? (fraction ? -1 : 0) : (fraction ? 0 : 1);
            d->exponent += step;
        }
    }
    if (s < end) {
        d->exponent += read_exponent(s + 1, end);
    }
}

double tg_decimal_parse(const char *text, size_t len) {
    decimal d = {.exponent = 0};
    read_decimal(text, len, &d);
    if (d.digits.n == 0) {
        return 0.0;
    }
    int magnitude = (int)(big_bits(&d.digits) * 0.30103) + d.exponent; /* about log10 */
    if (magnitude > 320) {
        return HUGE_VAL;
    }
    if (magnitude < -340) {
        return 0.0;
    }
    if (d.exponent >= 0) {
        big_pow10(&d.digits, d.exponent);
        return big_to_double(&d.digits, 0, d.sticky);
    }
    big den = {.limb = {1}, .n = 1};
    big_pow10(&den, -d.exponent);
    return divide(&d.digits, &den, d.sticky);
}
