/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes of a device and its profile. Workers run them, a few to a process, so that a driver
 * that dies or hangs in one costs that one; it then counts as failed. The profile is put into the
 * cache, where the compiler looks for it.
 */
#include "tools/probe.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/compiler.h"
#include "compiler/probe.h"
#include "tools/supervise.h"

enum { BATCH = 16, MOST_PROBES = 256 };

typedef struct probing {
    tool *t;
    const char *device;
    int todo[MOST_PROBES]; /* job ▶ probe */
    /* of a worker */
    tgr_context *context;
    tgr_device *open;
    tgc_prober prober;
    /* of the supervisor */
    char name[256];
    uint64_t features;
    int wrong, marked, left_out, ran;
    bool found;
    unsigned quirks;
} probing;

static const char *const verdict_names[] = {"right", "WRONG", "left out", "BROKEN",
                                            "GONE",  "CRASH", "HANG"};
enum { CRASHED = 5, HUNG = 6 };

/* ---- in the worker --------------------------------------------------------------------------- */

static bool open_device(probing *p) {
    tgr_status st = tgr_context_create(NULL, &p->context);
    st = st ? st : tgr_device_open(p->context, p->device, NULL, &p->open);
    if (st) {
        char text[512] = "";
        (void)tgr_context_message(p->context, text, sizeof text);
        (void)fprintf(stderr, "%s: %s\n", p->device, text);
    } else if (!tgc_prober_init(&p->prober, p->open, &p->t->arena)) {
        (void)fprintf(stderr, "%s takes no code that this build writes\n", p->device);
        st = TGR_E_UNSUPPORTED;
    }
    return st == TGR_OK;
}

static void start(void *user) {
    if (!open_device(user)) {
        _Exit(TOOL_NO_DEVICE);
    }
}

static const char *describe(void *user, int job, bool *out_last) {
    probing *p = user;
    (void)job;
    *out_last = true;
    return tg_arena_printf(&p->t->arena, "%llu %s", (unsigned long long)p->prober.info.features,
                           p->prober.info.name);
}

static const char *run_one(void *user, int job, bool *out_last) {
    probing *p = user;
    tg_sb note;
    (void)out_last;
    tg_sb_init(&note, &p->t->arena);
    tgc_verdict v = tgc_probe_run(&p->prober, tgc_probe_at(p->todo[job]), &note);
    return tg_arena_printf(&p->t->arena, "%d %s", (int)v, note.len ? note.data : "");
}

/* ---- in the supervisor ----------------------------------------------------------------------- */

static void described(void *user, int job, const supervise_result *r) {
    probing *p = user;
    unsigned long long features;
    (void)job;
    (void)fputs(r->errors, stderr);
    p->found =
        r->end == SUPERVISE_DONE && sscanf(r->text, "%llu %255[^\n]", &features, p->name) == 2;
    p->features = p->found ? features : 0;
    if (r->end == SUPERVISE_CRASHED) {
        (void)fprintf(stderr, "the driver died of signal %d while the device was opened\n",
                      r->code);
    } else if (r->end == SUPERVISE_HUNG) {
        (void)fprintf(stderr, "the driver hung while the device was opened\n");
    }
}

/* A probe that fails for want of what the device does not claim is news for nobody; a quirk is gone
 * around or refused. */
static const char *mark_of(const probing *p, const tgc_probe *q) {
    return p->features == UINT64_MAX                   ? "" /* a CPU: nothing is gone around */
           : q->quirks                                 ? " (the compiler goes around it or refuses)"
           : q->feature && (q->feature & ~p->features) ? " (the device does not claim it)"
                                                       : "";
}

static void print(probing *p, const tgc_probe *q, int v, bool marked, const char *note) {
    if (p->t->json) {
        tg_sb text;
        tg_sb_init(&text, &p->t->arena);
        for (const char *c = note; *c; c++) {
            tg_sb_addc(&text, *c == '"' || *c == '\\' || (unsigned char)*c < ' ' ? ' ' : *c);
        }
        (void)printf("{\"probe\": \"%s\", \"verdict\": \"%s\", \"marked\": %s, \"note\": \"%s\"}\n",
                     q->name, verdict_names[v], marked ? "true" : "false",
                     text.data ? text.data : "");
    } else {
        (void)printf("%-20s %-8s %s%s%s%s\n", q->name, verdict_names[v], q->what,
                     marked ? mark_of(p, q) : "", *note ? ": " : "", note);
    }
    (void)fflush(stdout);
}

static void took(void *user, int job, const supervise_result *r) {
    probing *p = user;
    const tgc_probe *q = tgc_probe_at(p->todo[job]);
    int v = TGC_PROBE_BROKEN, at = 0;
    const char *note = "";
    if (r->end == SUPERVISE_DONE && sscanf(r->text, "%d %n", &v, &at) == 1 && v >= 0 &&
        v < CRASHED) {
        note = r->text + at;
    } else if (r->end == SUPERVISE_HUNG) {
        v = HUNG;
        note = "no answer; the process was killed";
    } else {
        v = CRASHED;
        note = r->end == SUPERVISE_CRASHED
                   ? tg_arena_printf(&p->t->arena, "died of %s", strsignal(r->code))
                   : "the process left";
    }
    bool failed = v != TGC_PROBE_RIGHT && v != TGC_PROBE_LEFT_OUT;
    bool marked = failed && *mark_of(p, q) != '\0';
    p->quirks |= failed && v != TGC_PROBE_GONE ? q->quirks : 0;
    p->marked += marked;
    p->left_out += v == TGC_PROBE_LEFT_OUT;
    p->wrong += failed && !marked;
    p->ran++;
    print(p, q, v, marked, note);
}

/* ---- the profile ----------------------------------------------------------------------------- */

/* In a worker, too: opening the device may be what kills. */
static const char *keep(void *user, int job, bool *out_last) {
    probing *p = user;
    tgr_cache *cache = NULL;
    (void)job;
    *out_last = true;
    if (tgr_cache_open(p->context, NULL, 0, &cache) != TGR_OK) {
        return "";
    }
    tgc_keep_profile(p->open, cache, p->quirks);
    tgr_cache_release(cache);
    return "kept";
}

static void kept(void *user, int job, const supervise_result *r) {
    (void)user;
    (void)job;
    (void)fputs(r->errors, stderr);
}

static void print_profile(const probing *p) {
    tg_sb names;
    tg_sb_init(&names, &p->t->arena);
    for (size_t i = 0; tg_quirk_at(i); i++) {
        if (p->quirks & tg_quirk_at(i)->bit) {
            const tg_quirk_row *q = tg_quirk_at(i);
            if (!p->t->json) {
                (void)printf("quirk %s: %s; the compiler %s\n", q->name, q->fault, q->answer);
            }
            tg_sb_addf(&names, p->t->json ? "%s\"%s\"" : "%s%s", names.len ? ", " : "", q->name);
        }
    }
    (void)printf(p->t->json ? "{\"device\": \"%s\", \"probes\": %d, \"wrong\": %d, \"marked\": %d, "
                              "\"left_out\": %d, \"quirks\": [%s]}\n"
                            : "%s: %d probes, %d wrong, %d more marked, %d left out; quirks: %s\n",
                 p->name, p->ran, p->wrong, p->marked, p->left_out,
                 names.len    ? names.data
                 : p->t->json ? ""
                              : "none");
}

/* The jobs; how many. */
static int choose(probing *p, const char *only) {
    int n = 0;
    for (int i = 0; tgc_probe_at(i) != NULL && n < MOST_PROBES; i++) {
        if (only == NULL || fnmatch(only, tgc_probe_at(i)->name, 0) == 0) {
            p->todo[n++] = i;
        }
    }
    return n;
}

bool tool_probe_device(tool *t, const char *device, const char *only, int deadline) {
    probing *p = TG_NEW(&t->arena, probing);
    *p = (probing){.t = t, .device = device};
    int n = choose(p, only);
    supervise_work look = {1, 1, deadline, p, start, describe, described};
    supervise_work probes = {n, BATCH, deadline, p, start, run_one, took};
    supervise_work profile = {1, 1, deadline, p, start, keep, kept};
    if (n == 0) {
        tool_error(t, TG_D_TOOL, "there is no probe '%s'", only);
        return false;
    }
    if (!tool_supervise(t, &look) || !p->found) {
        tool_error(t, TG_D_TOOL, "there is no device '%s' here that takes probes", device);
        return false;
    }
    bool ok = tool_supervise(t, &probes) && (only != NULL || tool_supervise(t, &profile));
    print_profile(p);
    return ok && p->wrong == 0;
}
