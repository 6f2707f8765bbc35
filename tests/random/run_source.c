/* SPDX-License-Identifier: Apache-2.0 */
/* Random programs in the language: see run.h and source.h. */
#include <stdio.h>
#include <string.h>

#include "frontend/frontend.h"
#include "tests/random/run.h"

typedef struct tunes {
    const char *bm, *bn, *bk;
} tunes;

static const tunes choices[] = {{"4", "8", "4"},    {"1", "1", "1"},   {"16", "5", "7"},
                                {"32", "32", "32"}, {"3", "16", "64"}, {"8", "1", "3"},
                                {"2", "13", "16"}};

static const char *first_text(const tg_sink *sink, tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    if (sink->first != NULL) {
        tg_diag_render(&sb, sink->first);
    }
    return sb.data != NULL ? sb.data : "no diagnostic";
}

static tg_program *load(const char *text, tg_sink *sink, tg_arena *a) {
    tg_source *src = TG_NEW(a, tg_source);
    tg_program *p = NULL;
    *src = (tg_source){.name = "random.tg", .text = text, .len = strlen(text)};
    return tg_program_load(a, sink, src, NULL, NULL, &p) == TG_OK ? p : NULL;
}

static tg_status specialise(tg_program *p, const tunes *t, gen_case *c, tg_arena *a) {
    const tg_setting settings[] = {{"BM", t->bm}, {"BN", t->bn}, {"BK", t->bk}};
    c->module = tg_module_make(a);
    return tg_program_specialise(p, "r", settings, 3, NULL, c->module, &c->func);
}

/* Data by the names of the parameters, extents by the seed: the same for every choice of tunes. */
static void describe(gen_case *c, uint64_t seed) {
    static const int64_t extents[] = {1, 2, 3, 5, 7, 8, 12, 16, 17, 19, 31, 33};
    uint64_t rng = seed ^ 0xD1D1;
    int64_t by_name[3] = {0};
    for (int i = 0; i < 3; i++) {
        uint64_t r = gen_random(&rng);
        by_name[i] = r % 23 == 0 ? 0 : extents[r / 64 % TG_COUNT_OF(extents)];
    }
    bool specials = gen_random(&rng) % 6 == 0, padded = gen_random(&rng) % 3 == 0;
    for (int s = 0; s < c->func->n_syms; s++) {
        char n = c->func->syms[s].name[0];
        c->syms[s] = by_name[n == 'M' ? 0 : n == 'N' ? 1 : 2];
    }
    for (int p = 0; p < c->func->n_params && p < GEN_MAX_PARAMS; p++) {
        const tg_param *q = &c->func->params[p];
        bool out = (q->flags & TG_PARAM_OUT) != 0;
        bool index = strncmp(q->name, "index", 5) == 0;
        c->params[p] = (gen_param){.data = out     ? GEN_DATA_OUTPUT
                                           : index ? GEN_DATA_INDEX
                                                   : GEN_DATA_ANY,
                                   .specials = specials,
                                   .padded = padded};
        if (index) {
            c->params[p].index_limit = by_name[q->name[5] == 'i' ? 0 : q->name[5] == 'j' ? 1 : 2];
        }
    }
    gen_find_fields(c);
    c->seed = seed;
}

static const char *check_format(const char *text, tg_sb *out, tg_arena *a) {
    tg_sink sink;
    tg_sb again;
    tg_sink_init(&sink, a);
    tg_sb_init(out, a);
    tg_sb_init(&again, a);
    tg_source one = {.name = "random.tg", .text = text, .len = strlen(text)};
    if (tg_format_source(a, &sink, &one, out) != TG_OK) {
        return "does not format";
    }
    tg_source two = {.name = "random.tg", .text = out->data, .len = out->len};
    if (tg_format_source(a, &sink, &two, &again) != TG_OK || strcmp(again.data, out->data) != 0) {
        return "formatting twice changes the text";
    }
    return NULL;
}

static const char *ir_text(const gen_case *c, tg_arena *a) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_func_print(&sb, c->func);
    return sb.data;
}

/* The failing kernel as a file that can be replayed and reduced. */
static void save_kernel(const gen_case *c, const char *text, const char *wrong,
                        const char *folder) {
    char path[400];
    snprintf(path, sizeof path, "%s/source_%llu.ir", folder, (unsigned long long)c->seed);
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        return;
    }
    fputs("//", f);
    for (int i = 0; i < c->func->n_syms; i++) {
        fprintf(f, " %s = %lld", c->func->syms[i].name, (long long)c->syms[i]);
    }
    fprintf(f, "\n// %s\ntegula-ir 1\n%s", wrong, text);
    fclose(f);
}

static const char *check_choice(tg_program *p, const tunes *t, uint64_t seed,
                                const case_memory *want, const run_options *o, tg_arena *a) {
    gen_case c = {0};
    case_memory got;
    if (specialise(p, t, &c, a) != TG_OK) {
        return "another choice of tunes is refused";
    }
    describe(&c, seed);
    const char *original = ir_text(&c, a);
    if (o->verbose) {
        printf("---- BM=%s BN=%s BK=%s\n%s", t->bm, t->bn, t->bk, ir_text(&c, a));
        fflush(stdout);
    }
    const char *wrong = run_reference(&c, &got, a);
    if (wrong == NULL) {
        wrong = memory_compare(want, &got, &c, a);
    }
    memory_free(&got);
    if (wrong == NULL) {
        wrong = run_case(&c, o, a);
    }
    if (wrong != NULL && o->save != NULL) {
        save_kernel(&c, original, wrong, o->save);
    }
    return wrong == NULL ? NULL
                         : tg_arena_printf(a, "BM=%s BN=%s BK=%s: %s", t->bm, t->bn, t->bk, wrong);
}

const char *run_source(const char *text, uint64_t seed, const run_options *o, bool *out_refused,
                       tg_arena *a) {
    tg_sink sink;
    tg_sb formatted;
    gen_case c = {0}, f = {0};
    case_memory want;
    tg_sink_init(&sink, a);
    tg_program *p = load(text, &sink, a);
    if (p == NULL || specialise(p, &choices[0], &c, a) != TG_OK) {
        *out_refused = true;
        return first_text(&sink, a);
    }
    const char *wrong = check_format(text, &formatted, a);
    tg_program *q = wrong == NULL ? load(formatted.data, &sink, a) : NULL;
    if (wrong != NULL || q == NULL || specialise(q, &choices[0], &f, a) != TG_OK ||
        strcmp(ir_text(&c, a), ir_text(&f, a)) != 0) {
        return wrong != NULL ? wrong : "formatting changes the meaning";
    }
    describe(&c, seed);
    if (c.func->n_params > GEN_MAX_PARAMS) {
        return "too many parameters";
    }
    wrong = run_reference(&c, &want, a);
    wrong = wrong == NULL ? run_poisoned(&c, &want, true, a) : wrong;
    uint64_t rng = seed;
    for (int i = 0; i < 3 && wrong == NULL; i++) {
        const tunes *t = &choices[i == 0 ? 0 : gen_random(&rng) % TG_COUNT_OF(choices)];
        wrong = check_choice(p, t, seed, &want, o, a);
    }
    memory_free(&want);
    return wrong;
}

const char *run_mutant(const char *text, uint64_t seed, bool *out_accepted, tg_arena *a) {
    tg_sink sink;
    gen_case c = {0};
    case_memory want;
    tg_sink_init(&sink, a);
    tg_program *p = load(text, &sink, a);
    uint64_t rng = seed;
    const tunes *t = &choices[gen_random(&rng) % TG_COUNT_OF(choices)];
    *out_accepted = false;
    if (p == NULL || specialise(p, t, &c, a) != TG_OK || c.func->n_syms > GEN_MAX_SYMS ||
        c.func->n_params > GEN_MAX_PARAMS) {
        return NULL;
    }
    describe(&c, seed);
    *out_accepted = true;
    const char *wrong = run_reference(&c, &want, a);
    /* Extents that no longer fit together and endless loops are told by the launch, not before. */
    if (wrong != NULL && (strstr(wrong, "binding") != NULL || strstr(wrong, "gave up") != NULL ||
                          strstr(wrong, "turns") != NULL)) {
        wrong = NULL;
    } else if (wrong == NULL) {
        wrong = run_poisoned(&c, &want, true, a);
    }
    memory_free(&want);
    return wrong;
}
