/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary tables: see tegula/rope.h. */
#include <tegula/rope.h>

#include <math.h>

enum { MAX_PAIRS = 256 };
static const double PI = 3.14159265358979323846;

static bool is_valid(const tgh_rope *r) {
    return r->dim > 0 && r->dim % 2 == 0 && r->dim / 2 <= MAX_PAIRS && r->theta > 0 &&
           r->factor > 0 && (r->factor == 1.0 || (r->theta != 1.0 && r->original > 0));
}

/* The pair that makes `turns` turns over the original positions. */
static double pair_of(const tgh_rope *r, double turns) {
    return r->dim * log(r->original / (turns * 2 * PI)) / (2 * log(r->theta));
}

static int32_t clamp(double v, int32_t lo, int32_t hi) {
    return v < lo ? lo : v > hi ? hi : (int32_t)v;
}

void tgh_rope_range(const tgh_rope *r, int32_t *low, int32_t *high) {
    bool standard = r->beta_fast == 0.0 && r->beta_slow == 0.0;
    *low = clamp(floor(pair_of(r, standard ? 32 : r->beta_fast)), 0, r->dim - 1);
    *high = clamp(ceil(pair_of(r, standard ? 1 : r->beta_slow)), 0, r->dim - 1);
}

/* f' = f / factor * ramp + f (1 - ramp), every step in f32 as published code has it. */
bool tgh_rope_frequencies(const tgh_rope *r, float *freq) {
    if (!is_valid(r)) {
        return false;
    }
    int32_t low = 0, high = 0;
    if (r->factor != 1.0) {
        tgh_rope_range(r, &low, &high);
    }
    for (int32_t i = 0; i < r->dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)r->dim;
        float f = 1.0F / (float)pow(r->theta, (double)exponent);
        if (r->factor != 1.0) {
            float width = high == low ? 0.001F : (float)(high - low);
            float ramp = ((float)i - (float)low) / width;
            ramp = ramp < 0.0F ? 0.0F : ramp > 1.0F ? 1.0F : ramp;
            float keep = 1.0F - ramp;
            f = f / (float)r->factor * ramp + f * keep;
        }
        freq[i] = f;
    }
    return true;
}

bool tgh_rope_table(const tgh_rope *r, int64_t first, int64_t step, int64_t n, float *table) {
    float freq[MAX_PAIRS];
    if (!tgh_rope_frequencies(r, freq)) {
        return false;
    }
    int32_t pairs = r->dim / 2;
    for (int64_t t = 0; t < n; t++) {
        float *row = table + t * r->dim;
        for (int32_t i = 0; i < pairs; i++) {
            float angle = (float)(first + t * step) * freq[i];
            row[i] = (float)cos((double)angle);
            row[pairs + i] = (float)sin((double)angle);
        }
    }
    return true;
}

double tgh_rope_scale(const tgh_rope *r, double mscale) {
    double m = r->factor > 1.0 ? 0.1 * mscale * log(r->factor) + 1 : 1;
    return m * m;
}
