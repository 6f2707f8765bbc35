/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profile of a device: which quirks its driver has (backends/quirks.def), measured by probes
 * when a device is first compiled for, kept in the cache under the names and versions of device and
 * driver and noted on the open device.
 *
 * A driver may die of a probe. Before each one, what is known and the probe's number go into the
 * cache; a later process that finds them unfinished and their process gone tries that probe once
 * more, and after a second death takes it as failed and goes on behind it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/compiler.h"
#include "compiler/probe.h"

enum { DONE = -1, DEATHS = 2 };

/* What the cache holds. */
typedef struct record {
    uint32_t quirks;
    int32_t at;     /* the probe under way, or DONE */
    int32_t deaths; /* of processes that ran it */
    int32_t process;
    char host[48];
} record;

/* ---- the cache ------------------------------------------------------------------------------- */

static void add(char *text, size_t cap, const char *part) {
    size_t n = strlen(text), k = strlen(part);
    k = n + 1 + k < cap ? k : cap - n - 2;
    text[n] = '|';
    memcpy(text + n + 1, part, k);
}

/* Names and versions, and the probes that are run. */
static void profile_key(const tgr_device_info *info, uint8_t key[16]) {
    char text[4096] = "tegula profile 2";
    const char *parts[] = {info->driver, info->name, info->version};
    for (size_t i = 0; i < TG_COUNT_OF(parts); i++) {
        add(text, sizeof text, parts[i] ? parts[i] : "");
    }
    for (int i = 0; tgc_probe_at(i); i++) {
        if (tgc_probe_at(i)->first) {
            add(text, sizeof text, tgc_probe_at(i)->name);
        }
    }
    tgr_hash128(text, sizeof text, key);
}

static bool load(tgr_cache *cache, const uint8_t key[16], record *out) {
    void *hit = NULL;
    size_t n = 0;
    bool found = cache && tgr_cache_get(cache, key, &hit, &n) == TGR_OK;
    bool whole = found && n == sizeof *out;
    if (whole) {
        memcpy(out, hit, sizeof *out);
        whole = !(out->quirks & ~(uint32_t)TG_QUIRK_ALL) && memchr(out->host, 0, sizeof out->host);
    }
    if (found) {
        tgr_cache_free(cache, hit, n);
    }
    return whole;
}

/* A cache that takes nothing costs the next measurement. */
static bool store(tgr_cache *cache, const uint8_t key[16], const record *r) {
    return cache && tgr_cache_put(cache, key, r, sizeof *r) == TGR_OK;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static void here(record *r) {
    memset(r->host, 0, sizeof r->host);
    (void)gethostname(r->host, sizeof r->host - 1);
    r->process = (int32_t)getpid();
}

/* The process that left the record is of this machine and no more. */
static bool died(const record *r) {
    record mine;
    here(&mine);
    return strcmp(r->host, mine.host) == 0 && kill((pid_t)r->process, 0) != 0 && errno == ESRCH;
}

typedef struct measurement {
    tgr_cache *cache;
    uint8_t key[16];
    record r;
} measurement;

static void measure(tgc_prober *p, measurement *m) {
    for (int i = m->r.at; tgc_probe_at(i); i++) {
        const tgc_probe *q = tgc_probe_at(i);
        tg_sb note;
        tg_sb_init(&note, p->arena);
        if (!q->first || (m->r.quirks & q->quirks) == q->quirks) {
            continue;
        }
        m->r.deaths = m->r.at == i ? m->r.deaths : 0;
        m->r.at = i;
        (void)store(m->cache, m->key, &m->r);
        tgc_verdict v = tgc_probe_run(p, q, &note);
        if (v == TGC_PROBE_GONE) {
            return;
        }
        m->r.quirks |= v == TGC_PROBE_WRONG || v == TGC_PROBE_BROKEN ? q->quirks : 0;
    }
    m->r.at = DONE;
    (void)store(m->cache, m->key, &m->r);
}

/* Where to begin: at the first probe, or where others died. */
static void resume(measurement *m, bool found) {
    if (!found || !died(&m->r)) {
        m->r = (record){0};
    } else if (++m->r.deaths >= DEATHS) {
        const tgc_probe *q = tgc_probe_at(m->r.at);
        m->r.quirks |= q ? q->quirks : 0;
        m->r.at = m->r.at + 1;
        m->r.deaths = 0;
    }
    here(&m->r);
}

static void run_probes(tgr_device *device, measurement *m) {
    tg_env env;
    tg_arena arena;
    jmp_buf frame;
    tg_env_init(&env, tg_allocator_default(), 0);
    tg_arena_init(&arena, &env);
    tgc_prober *p = calloc(1, sizeof *p); /* outlives a jump out of the probes */
    if (p && !TG_ENV_GUARD(&env, frame) && tgc_prober_init(p, device, &arena)) {
        measure(p, m);
    }
    if (p) {
        tgc_prober_fini(p);
    }
    free(p);
    tg_arena_fini(&arena);
}

unsigned tgc_device_quirks(tgr_device *device, tgr_cache *cache) {
    uint64_t noted;
    if (tgr_device_get_profile(device, &noted)) {
        return (unsigned)noted;
    }
    tgr_device_info info;
    tgr_cache *own = NULL;
    measurement m = {.cache = cache};
    tgr_device_get_info(device, &info);
    if (!cache && tgr_cache_open(tgr_device_context(device), NULL, 0, &own) == TGR_OK) {
        m.cache = own;
    }
    profile_key(&info, m.key);
    bool found = load(m.cache, m.key, &m.r);
    if (!found || m.r.at != DONE) {
        resume(&m, found);
        run_probes(device, &m);
    }
    if (own) {
        tgr_cache_release(own);
    }
    if (m.r.at == DONE) { /* else memory ran out, or the device is lost: another time */
        tgr_device_set_profile(device, m.r.quirks);
    }
    return m.r.quirks;
}

void tgc_keep_profile(tgr_device *device, tgr_cache *cache, unsigned quirks) {
    tgr_device_info info;
    measurement m = {.cache = cache, .r = {.quirks = quirks, .at = DONE}};
    tgr_device_get_info(device, &info);
    profile_key(&info, m.key);
    here(&m.r);
    (void)store(cache, m.key, &m.r);
    tgr_device_set_profile(device, quirks);
}
