/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver of a device does against the rules: measured by kernels when a device is first
 * compiled for, kept in the cache under the device's and its driver's name, and answered with the
 * machine row that has the quirk.
 */
#include "compiler/compiler.h"

#include <string.h>

/* More trips than the budgets we know (65,535), in a loop that nothing can shorten. */
enum { TRIPS = 70000, LANES = 64 };
static const char counting[] = "kernel counting(n: i64, x: i64[N], out y: i64[N])\n"
                               "  grid i: N by 64\n"
                               "{\n"
                               "  var c = x[i] else 0\n"
                               "  for t in 0 .. n {\n"
                               "    c = (c * 3) ^ t\n"
                               "  }\n"
                               "  y[i] = c\n"
                               "}\n";

static uint64_t counted(uint64_t c) {
    for (uint64_t t = 0; t < TRIPS; t++) {
        c = (c * 3) ^ t;
    }
    return c;
}

static tgr_status run_counting(tgr_queue *queue, tgr_device *device, tgr_module *m,
                               uint64_t *words) {
    tgr_buffer *x = NULL, *y = NULL;
    int64_t n = LANES;
    size_t bytes = LANES * sizeof *words;
    tgr_status st = tgr_buffer_create(device, bytes, 0, &x);
    st = st ? st : tgr_buffer_create(device, bytes, 0, &y);
    st = st ? st : tgr_buffer_write(queue, x, 0, words, bytes);
    if (!st) {
        tgr_arg args[] = {tgr_arg_i64(TRIPS), tgr_arg_buffer(x, 0, TG_DT_I64, 1, &n),
                          tgr_arg_buffer(y, 0, TG_DT_I64, 1, &n)};
        st = tgr_launch(queue, tgr_module_kernel(m, 0), args, 3, NULL);
    }
    st = st ? st : tgr_buffer_read(queue, y, 0, words, bytes);
    tgr_buffer_release(x);
    tgr_buffer_release(y);
    return st;
}

/* False when it could not be found out. */
static bool measure(tgr_device *device, const char *target, unsigned *out) {
    tgc_options o = TGR_INIT(tgc_options);
    tgr_module *m = NULL;
    tgr_queue *queue = NULL;
    char *text = NULL;
    uint64_t words[LANES];
    for (uint64_t i = 0; i < LANES; i++) {
        words[i] = i;
    }
    o.source = counting;
    o.source_bytes = sizeof counting - 1;
    o.source_name = "quirks";
    o.targets = &target;
    o.n_targets = 1;
    tgr_status st = tgr_module_from_source(device, &o, NULL, NULL, &m, &text);
    tgc_text_free(&o, text);
    st = st ? st : tgr_queue_create(device, 0, &queue);
    st = st ? st : run_counting(queue, device, m, words);
    tgr_queue_release(queue);
    tgr_module_release(m);
    *out = 0;
    for (uint64_t i = 0; !st && i < LANES; i++) {
        *out |= words[i] != counted(i) ? TG_QUIRK_SHORT_LOOPS : 0;
    }
    return st == TGR_OK;
}

static void profile_key(const tgr_device_info *info, uint8_t key[16]) {
    char text[512] = "tegula quirks 1";
    const char *parts[] = {info->driver, info->name, info->version};
    for (int i = 0; i < 3; i++) {
        size_t at = strlen(text);
        text[at] = '|';
        (void)strncpy(text + at + 1, parts[i] ? parts[i] : "", 120);
    }
    tgr_hash128(text, sizeof text, key);
}

const tg_machine *tgc_machine_with(const tg_machine *m, unsigned quirks) {
    for (size_t i = 0; i < tg_machine_count(); i++) {
        const tg_machine *row = tg_machine_at(i);
        if (row->class_ == TG_MACHINE_SIMT && row->isa_id == m->isa_id && row->quirks == quirks) {
            return row;
        }
    }
    return m;
}

unsigned tgc_device_quirks(tgr_device *device, tgr_cache *cache) {
    tgr_device_info info;
    uint8_t key[16];
    void *hit = NULL;
    size_t n = 0;
    unsigned quirks = 0;
    tgr_device_get_info(device, &info);
    const tg_machine *m = info.isa ? tg_machine_find(info.isa) : NULL;
    if (!m || tgc_machine_with(m, ~m->quirks & TG_QUIRK_SHORT_LOOPS) == m) {
        return m ? m->quirks : 0; /* no row to choose */
    }
    profile_key(&info, key);
    if (cache && tgr_cache_get(cache, key, &hit, &n) == TGR_OK) {
        quirks = n == 1 ? *(const unsigned char *)hit : 0;
        tgr_cache_free(cache, hit, n);
        return quirks;
    }
    unsigned char byte = 0;
    if (measure(device, m->name, &quirks) && cache) {
        byte = (unsigned char)quirks;
        /* A cache that takes nothing costs the next measurement. */
        quirks = tgr_cache_put(cache, key, &byte, 1) == TGR_OK ? byte : quirks;
    }
    return quirks;
}
