/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules: directives, variables, functions and their scopes (chapters 5, 7 and 11). Debug sections
 * are skipped, .loc is kept. What is not simulated (textures, aliases, indirect calls) is refused
 * by name.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/ptx/sim.h"

bool sim_parse_fail(sim_parser *p, sim_status st, const char *format, ...) {
    if (p->status == SIM_OK) {
        va_list args;
        p->status = st;
        int n = snprintf(p->message, 256, "line %d: ", p->lex.line);
        va_start(args, format);
        (void)vsnprintf(p->message + n, 256 - (size_t)n, format, args);
        va_end(args);
    }
    return false;
}

/* ---- words ----------------------------------------------------------------------------------- */

bool sim_is_punct(const sim_parser *p, char c) {
    return p->lex.kind == TOKEN_PUNCT && p->lex.punct == c;
}

bool sim_take_punct(sim_parser *p, char c) {
    bool is = sim_is_punct(p, c);
    if (is) {
        sim_lex_next(&p->lex);
    }
    return is;
}

static const char *shown(const sim_parser *p) {
    static const char *const ends[] = {"the end"};
    return p->lex.kind == TOKEN_END ? ends[0] : p->lex.text;
}

bool sim_expect(sim_parser *p, char c) {
    return sim_take_punct(p, c) ||
           sim_parse_fail(p, SIM_E_SYNTAX, "`%c` expected at `%.60s%.1s`", c, shown(p),
                          p->lex.kind == TOKEN_PUNCT ? &p->lex.punct : "");
}

static bool is_word(const sim_parser *p, const char *word) {
    return p->lex.kind == TOKEN_WORD && strcmp(p->lex.text, word) == 0;
}

static bool take_word(sim_parser *p, const char *word) {
    bool is = is_word(p, word);
    if (is) {
        sim_lex_next(&p->lex);
    }
    return is;
}

static bool take_name(sim_parser *p, char out[512]) {
    if (p->lex.kind != TOKEN_WORD) {
        return sim_parse_fail(p, SIM_E_SYNTAX, "a name expected");
    }
    memcpy(out, p->lex.text, sizeof p->lex.text);
    sim_lex_next(&p->lex);
    return true;
}

static bool take_number(sim_parser *p, uint64_t *out) {
    bool negative = sim_take_punct(p, '-');
    if (p->lex.kind != TOKEN_NUMBER) {
        return sim_parse_fail(p, SIM_E_SYNTAX, "a number expected");
    }
    *out = negative ? 0 - p->lex.value : p->lex.value;
    sim_lex_next(&p->lex);
    return true;
}

static void skip_past(sim_parser *p, char c) {
    while (p->lex.kind != TOKEN_END && !sim_take_punct(p, c)) {
        sim_lex_next(&p->lex);
    }
}

/* ---- labels ---------------------------------------------------------------------------------- */

bool sim_parse_patch(sim_parser *p, size_t insn, int operand, const char *label) {
    sim_patch patch = {insn, operand, strdup(label), p->depth, p->lex.line};
    if (!patch.label || !SIM_PUSH(&p->patches, patch)) {
        free(patch.label);
        return sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
    }
    return true;
}

static void apply(sim_parser *p, const sim_patch *patch, uint64_t target) {
    if (patch->operand < 0) {
        p->module->parts.data[patch->insn] = (uint32_t)target;
    } else {
        p->module->code.data[patch->insn].op[patch->operand].offset = (int64_t)target;
    }
}

/* Labels are known in the whole of the scope that they stand in. */
static bool resolve(sim_parser *p) {
    size_t kept = 0;
    for (size_t i = 0; i < p->patches.n; i++) {
        sim_patch *patch = &p->patches.data[i];
        uint32_t row;
        const sim_symbol *s =
            patch->depth >= p->depth ? sim_symbol_find(p, patch->label, &row) : NULL;
        if (s && s->kind == SYMBOL_LABEL) {
            apply(p, patch, s->offset);
            free(patch->label);
            continue;
        }
        if (patch->depth >= p->depth) {
            patch->depth = p->depth - 1;
        }
        if (p->depth <= 1) {
            p->lex.line = patch->line;
            (void)sim_parse_fail(p, SIM_E_SYNTAX, "no label `%.80s`", patch->label);
        }
        p->patches.data[kept++] = *patch;
    }
    p->patches.n = kept;
    return p->status == SIM_OK;
}

static bool leave(sim_parser *p) {
    bool ok = resolve(p);
    sim_symbol_leave(p);
    p->depth--;
    return ok;
}

/* ---- variables (5.4) ------------------------------------------------------------------------- */

typedef struct variable {
    char name[512];
    sim_type type;
    uint32_t align;
    uint64_t count; /* elements; 0: [] */
    uint32_t bytes;
} variable;

static bool attributes(sim_parser *p, variable *v) {
    for (;;) {
        uint64_t n;
        if (take_word(p, ".align")) {
            if (!take_number(p, &n) || n == 0 || n > 4096) {
                return sim_parse_fail(p, SIM_E_SYNTAX, "no alignment");
            }
            v->align = (uint32_t)n;
        } else if (take_word(p, ".ptr")) {
            while (is_word(p, ".global") || is_word(p, ".shared") || is_word(p, ".const") ||
                   is_word(p, ".local") || is_word(p, ".generic")) {
                sim_lex_next(&p->lex);
            }
            if (take_word(p, ".align") && !take_number(p, &n)) { /* of what it points to */
                return false;
            }
        } else if (take_word(p, ".attribute")) {
            skip_past(p, ')');
        } else if (is_word(p, ".v2") || is_word(p, ".v4")) {
            v->count *= (uint64_t)(p->lex.text[2] - '0');
            v->align = v->align < 16 ? 16 : v->align;
            sim_lex_next(&p->lex);
        } else {
            return true;
        }
    }
}

/* .align 4 .b8 name[16]; what follows the name is left. */
static bool take_variable(sim_parser *p, variable *v) {
    *v = (variable){.count = 1};
    if (!attributes(p, v)) {
        return false;
    }
    v->type = p->lex.kind == TOKEN_WORD && p->lex.text[0] == '.'
                  ? sim_type_named(p->lex.text + 1, strlen(p->lex.text + 1))
                  : T_NONE;
    if (v->type == T_NONE) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "variables of type `%.60s`", p->lex.text);
    }
    uint32_t size = sim_type_bytes(v->type);
    sim_lex_next(&p->lex);
    if (!attributes(p, v) || !take_name(p, v->name)) {
        return false;
    }
    while (sim_take_punct(p, '[')) {
        uint64_t n = 0;
        if (!sim_is_punct(p, ']') && !take_number(p, &n)) {
            return false;
        }
        if (!sim_expect(p, ']')) {
            return false;
        }
        v->count = n > (1u << 30) ? (1u << 30) : v->count * n;
    }
    v->align = v->align ? v->align : size;
    if (v->count * size > (1u << 30)) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "`%.60s` is too large", v->name);
    }
    v->bytes = (uint32_t)(v->count * size);
    return true;
}

static uint32_t place(uint32_t *top, const variable *v) {
    uint32_t at = (*top + v->align - 1) / v->align * v->align;
    *top = at + v->bytes;
    return at;
}

static bool add_variable(sim_parser *p, const variable *v, sim_symbol_kind kind, uint64_t offset) {
    sim_symbol s = {.name = (char *)(uintptr_t)v->name,
                    .kind = kind,
                    .type = v->type,
                    .offset = offset,
                    .bytes = v->bytes};
    return sim_symbol_add(p, &s);
}

/* = value, or { list } of numbers; nested braces are the rows of an array. */
static bool initialiser(sim_parser *p, const variable *v, uint64_t address) {
    uint32_t size = sim_type_bytes(v->type), at = 0, depth = 0;
    uint8_t *bytes = calloc(1, v->bytes + 8);
    bool ok = bytes != NULL || sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
    do {
        uint64_t value;
        if (sim_take_punct(p, '{')) {
            depth++;
            continue;
        }
        if (sim_take_punct(p, '}')) {
            depth--;
            (void)(depth > 0 && sim_take_punct(p, ','));
            continue;
        }
        if (p->lex.kind == TOKEN_WORD) {
            uint32_t row;
            const sim_symbol *s = sim_symbol_find(p, p->lex.text, &row);
            ok = ok &&
                 ((s && s->kind == SYMBOL_GLOBAL) ||
                  sim_parse_fail(p, SIM_E_UNSUPPORTED, "the initialiser `%.60s`", p->lex.text));
            value = s ? s->offset : 0;
            sim_lex_next(&p->lex);
            uint64_t more = 0;
            ok = ok && (!sim_take_punct(p, '+') || take_number(p, &more));
            value += more;
        } else {
            ok = ok && take_number(p, &value);
        }
        if (ok && at + size > v->bytes) {
            ok = sim_parse_fail(p, SIM_E_SYNTAX, "too many values for `%.60s`", v->name);
        }
        if (ok) {
            memcpy(bytes + at, &value, size);
            at += size;
        }
        (void)sim_take_punct(p, ',');
    } while (ok && depth > 0);
    ok = ok && sim_memory_write(p->module->machine, address, bytes, v->bytes);
    free(bytes);
    return ok;
}

/* .global and .const outside of functions and in them: one place in the machine's memory. */
static bool global(sim_parser *p) {
    variable v;
    if (!take_variable(p, &v)) {
        return false;
    }
    uint64_t address = sim_memory_alloc(p->module->machine, v.bytes ? v.bytes : 1);
    char *name = strdup(v.name);
    if (!address || !name || !SIM_PUSH(&p->module->globals, address) ||
        !SIM_PUSH(&p->module->global_names, name)) {
        return sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
    }
    bool set = sim_take_punct(p, '=');
    if (!set && v.bytes) { /* 5.4.4: zero */
        uint8_t *zero = calloc(1, v.bytes);
        (void)(zero && sim_memory_write(p->module->machine, address, zero, v.bytes));
        free(zero);
    }
    return (!set || initialiser(p, &v, address)) && add_variable(p, &v, SYMBOL_GLOBAL, address) &&
           sim_expect(p, ';');
}

static bool shared(sim_parser *p) {
    variable v;
    if (!take_variable(p, &v)) {
        return false;
    }
    uint32_t *top = p->function ? &p->function->shared_bytes : &p->module->shared_bytes;
    if (p->function && *top < p->module->shared_bytes) {
        *top = p->module->shared_bytes;
    }
    /* [] is what the launch adds: it begins where everything else ends (see launch.c). */
    uint64_t at = v.count == 0 ? SHARED_DYNAMIC : place(top, &v);
    if (v.count == 0 && v.align > p->module->dynamic_align) {
        p->module->dynamic_align = v.align;
    }
    return add_variable(p, &v, SYMBOL_SHARED, at) && sim_expect(p, ';');
}

/* Variables of a thread: .local, and the .param of calls, which lie there too. */
static bool local(sim_parser *p, sim_symbol_kind kind) {
    do {
        variable v;
        if (!take_variable(p, &v) || !add_variable(p, &v, kind, place(&p->local, &v))) {
            return false;
        }
    } while (sim_take_punct(p, ','));
    return sim_expect(p, ';');
}

/* .reg .b32 %r<9>, a; */
static bool registers(sim_parser *p) {
    if (p->lex.kind != TOKEN_WORD || p->lex.text[0] != '.') {
        return sim_parse_fail(p, SIM_E_SYNTAX, "a type expected");
    }
    sim_type type = sim_type_named(p->lex.text + 1, strlen(p->lex.text + 1));
    if (type == T_NONE) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "registers of type `%.60s`", p->lex.text);
    }
    sim_lex_next(&p->lex);
    do {
        char name[512];
        uint64_t n = 0;
        if (!take_name(p, name)) {
            return false;
        }
        if (sim_take_punct(p, '<') && (!take_number(p, &n) || !sim_expect(p, '>'))) {
            return false;
        }
        uint32_t rows = (uint32_t)(n ? n : 1) * (type == T_B128 ? 2 : 1);
        if (n > (1u << 20) || (p->rows & ROW_INDEX) + rows > (1u << 22)) {
            return sim_parse_fail(p, SIM_E_UNSUPPORTED, "more registers than 2^20");
        }
        sim_symbol s = {
            .name = name, .kind = SYMBOL_REGISTERS, .type = type, .n = (uint32_t)n, .row = p->rows};
        p->rows += rows;
        if (!sim_symbol_add(p, &s)) {
            return false;
        }
    } while (sim_take_punct(p, ','));
    return sim_expect(p, ';');
}

/* ---- functions (11.1) ------------------------------------------------------------------------ */

sim_kernel *sim_function_named(sim_parser *p, const char *name) {
    for (size_t i = 0; i < p->module->functions.n; i++) {
        if (strcmp(p->module->functions.data[i]->name, name) == 0) {
            return p->module->functions.data[i];
        }
    }
    return NULL;
}

/* ( .param ... ): of an entry they lie in .param space, of a function in its local memory. */
static bool params(sim_parser *p, sim_kernel *k, sim_param **list, uint32_t *n) {
    uint32_t cap = 0;
    uint32_t *top = k->entry ? &k->param_bytes : &p->local;
    if (!sim_expect(p, '(')) {
        return false;
    }
    while (!sim_take_punct(p, ')')) {
        variable v;
        if (is_word(p, ".reg")) {
            return sim_parse_fail(p, SIM_E_UNSUPPORTED, "parameters in registers");
        }
        if (!take_word(p, ".param") || !take_variable(p, &v)) {
            return sim_parse_fail(p, SIM_E_SYNTAX, "a parameter expected");
        }
        uint32_t at = place(top, &v);
        if (*n == cap) {
            cap = cap ? 2 * cap : 8;
            sim_param *more = realloc(*list, cap * sizeof *more);
            if (!more) {
                return sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
            }
            *list = more;
        }
        (*list)[(*n)++] = (sim_param){at, v.bytes};
        if (!add_variable(p, &v, k->entry ? SYMBOL_PARAM : SYMBOL_LOCAL, at)) {
            return false;
        }
        (void)sim_take_punct(p, ',');
    }
    return true;
}

static bool tuning(sim_parser *p, sim_kernel *k) {
    static const char *const known[] = {
        ".maxntid",           ".minnctapersm",         ".maxnreg",
        ".reqntid",           ".maxnctapersm",         ".noreturn",
        ".reqnctapercluster", ".explicitcluster",      ".maxclusterrank",
        ".abi_preserve",      ".abi_preserve_control", ".pragma",
        ".blocksareclusters"};
    while (p->lex.kind == TOKEN_WORD) {
        bool ok = false;
        uint32_t *required = is_word(p, ".reqntid")             ? k->needs_block
                             : is_word(p, ".reqnctapercluster") ? k->needs_cluster
                                                                : NULL;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            ok = ok || is_word(p, known[i]);
        }
        if (!ok) {
            return sim_parse_fail(p, SIM_E_UNSUPPORTED, "the directive `%.60s`", p->lex.text);
        }
        sim_lex_next(&p->lex);
        for (int i = 0; p->lex.kind == TOKEN_NUMBER; i++) {
            if (required && i < 3) {
                required[i] = (uint32_t)p->lex.value;
            }
            sim_lex_next(&p->lex);
            (void)sim_take_punct(p, ',');
        }
        (void)(p->lex.kind == TOKEN_STRING && (sim_lex_next(&p->lex), sim_take_punct(p, ';')));
    }
    return true;
}

static bool statement(sim_parser *p);

static bool label(sim_parser *p, const char *name) {
    sim_symbol s = {
        .name = (char *)(uintptr_t)name, .kind = SYMBOL_LABEL, .offset = p->module->code.n};
    if (take_word(p, ".branchtargets")) {
        s.kind = SYMBOL_TABLE;
        s.row = (uint32_t)p->module->parts.n;
        do {
            char target[512];
            if (!take_name(p, target) || !sim_parse_patch(p, p->module->parts.n, -1, target) ||
                !SIM_PUSH(&p->module->parts, 0)) {
                return sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
            }
            s.n++;
        } while (sim_take_punct(p, ','));
        return sim_expect(p, ';') && sim_symbol_add(p, &s);
    }
    if (is_word(p, ".callprototype") || is_word(p, ".calltargets")) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "indirect calls");
    }
    return sim_symbol_add(p, &s);
}

/* @p, @!p */
static bool guarded(sim_parser *p) {
    uint32_t row = ROW_NONE;
    bool negate = sim_take_punct(p, '!');
    const sim_symbol *s = p->lex.kind == TOKEN_WORD ? sim_symbol_find(p, p->lex.text, &row) : NULL;
    if (!s || s->kind != SYMBOL_REGISTERS || s->type != T_PRED) {
        return sim_parse_fail(p, SIM_E_SYNTAX, "no predicate: `%.60s`", p->lex.text);
    }
    sim_lex_next(&p->lex);
    return sim_decode(p, row, negate);
}

static void take_loc(sim_parser *p) {
    int32_t line = p->lex.line;
    sim_lex_next(&p->lex); /* file */
    sim_lex_next(&p->lex);
    p->loc = (int32_t)p->lex.value;
    while (p->lex.kind != TOKEN_END && p->lex.line == line) {
        sim_lex_next(&p->lex);
    }
}

static bool block(sim_parser *p) {
    p->depth++;
    while (p->status == SIM_OK && !sim_take_punct(p, '}')) {
        if (p->lex.kind == TOKEN_END) {
            return sim_parse_fail(p, SIM_E_SYNTAX, "the text ends inside of a function");
        }
        if (!statement(p)) {
            return false;
        }
    }
    return p->status == SIM_OK && leave(p);
}

static bool statement(sim_parser *p) {
    if (sim_take_punct(p, ';')) {
        return true;
    }
    if (sim_take_punct(p, '{')) {
        return block(p);
    }
    if (sim_take_punct(p, '@')) {
        return guarded(p);
    }
    if (is_word(p, ".loc")) {
        take_loc(p);
        return true;
    }
    if (take_word(p, ".pragma")) {
        skip_past(p, ';');
        return true;
    }
    if (take_word(p, ".reg")) {
        return registers(p);
    }
    if (take_word(p, ".local")) {
        return local(p, SYMBOL_LOCAL);
    }
    if (take_word(p, ".param")) {
        return local(p, SYMBOL_LOCAL);
    }
    if (take_word(p, ".shared") || take_word(p, ".shared::cta")) {
        return shared(p);
    }
    if (take_word(p, ".global") || take_word(p, ".const")) {
        return global(p);
    }
    if (p->lex.kind != TOKEN_WORD) {
        return sim_parse_fail(p, SIM_E_SYNTAX, "an instruction expected");
    }
    const char *q = p->lex.p;
    while (q < p->lex.end && (*q == ' ' || *q == '\t')) {
        q++;
    }
    bool is_label = p->lex.text[0] != '.' && q < p->lex.end && *q == ':';
    if (is_label) {
        char name[512];
        return take_name(p, name) && sim_expect(p, ':') && label(p, name);
    }
    return sim_decode(p, ROW_NONE, false);
}

/* Dynamic shared memory begins behind what the entry declares. */
static bool settle_dynamic(sim_parser *p, const sim_kernel *k) {
    for (uint32_t i = k->first; i < k->end; i++) {
        sim_insn *in = &p->module->code.data[i];
        for (int o = 0; o < in->n; o++) {
            sim_operand *a = &in->op[o];
            if (a->space != SPACE_SHARED || a->offset < SHARED_DYNAMIC) {
                continue;
            }
            if (!k->entry) {
                return sim_parse_fail(p, SIM_E_UNSUPPORTED,
                                      "dynamic shared memory in the function `%.60s`", k->name);
            }
            uint32_t align = p->module->dynamic_align,
                     begin = (k->shared_bytes + align - 1) / align * align;
            a->offset += begin - (int64_t)SHARED_DYNAMIC;
            if (!a->is_place) {
                *a = (sim_operand){.kind = OPERAND_ROW,
                                   .row = sim_parse_constant(p, (uint64_t)a->offset)};
            }
        }
    }
    return p->status == SIM_OK;
}

/* Rows of a function begin behind those of all entries; until then they are marked. */
static void settle(sim_parser *p) {
    sim_module *m = p->module;
    uint32_t base = N_SPECIAL + m->entry_rows;
    for (size_t f = 0; f < m->functions.n; f++) {
        sim_kernel *k = m->functions.data[f];
        k->rows = base + m->function_rows;
        k->local_bytes = m->entry_local + m->function_local;
        if (m->shared_used && k->shared_bytes < m->shared_bytes) {
            k->shared_bytes = m->shared_bytes;
        }
        k->return_row = base + (k->return_row & ROW_INDEX);
        if (!settle_dynamic(p, k)) {
            return;
        }
    }
    for (size_t i = 0; i < m->code.n; i++) {
        sim_insn *in = &m->code.data[i];
        if (in->guard != ROW_NONE && in->guard & ROW_FUNCTION) {
            in->guard = base + (in->guard & ROW_INDEX);
        }
        for (int o = 0; o < in->n; o++) {
            sim_operand *a = &in->op[o];
            bool row = a->kind == OPERAND_ROW || a->kind == OPERAND_ADDRESS;
            if (row && a->row != ROW_NONE && a->row & ROW_FUNCTION) {
                a->row = base + (a->row & ROW_INDEX);
            }
        }
    }
    for (size_t i = 0; i < m->parts.n; i++) {
        if (m->parts.data[i] != ROW_NONE && m->parts.data[i] & ROW_FUNCTION) {
            m->parts.data[i] = base + (m->parts.data[i] & ROW_INDEX);
        }
    }
}

static bool body(sim_parser *p, sim_kernel *k) {
    sim_module *m = p->module;
    uint32_t *rows = k->entry ? &m->entry_rows : &m->function_rows;
    if (k->defined) {
        return sim_parse_fail(p, SIM_E_SYNTAX, "`%.60s` has two bodies", k->name);
    }
    k->defined = true;
    k->first = (uint32_t)m->code.n;
    p->function = k;
    p->rows = k->entry ? N_SPECIAL : ROW_FUNCTION | m->function_rows;
    if (!k->entry) {
        k->return_row = p->rows++;
    }
    bool ok = block(p);
    sim_insn last = {.control = k->entry ? CONTROL_EXIT : CONTROL_RETURN,
                     .class_ = SIM_CLASS_CONTROL,
                     .guard = ROW_NONE,
                     .line = p->lex.line};
    ok = ok && (SIM_PUSH(&m->code, last) || sim_parse_fail(p, SIM_E_NOMEM, "out of memory"));
    k->end = (uint32_t)m->code.n;
    uint32_t used = k->entry ? p->rows - N_SPECIAL : (p->rows & ROW_INDEX);
    *rows = used > *rows ? used : *rows;
    uint32_t *local_top = k->entry ? &m->entry_local : &m->function_local;
    uint32_t local_used = p->local - (k->entry ? 0 : FUNCTION_LOCAL);
    if (k->entry && p->local > FUNCTION_LOCAL) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "more than 1 MiB of local memory in `%.60s`",
                              k->name);
    }
    *local_top = local_used > *local_top ? local_used : *local_top;
    p->function = NULL;
    return ok;
}

static sim_kernel *make_function(sim_parser *p, const char *name, bool entry) {
    sim_kernel *k = sim_function_named(p, name);
    if (k) {
        free(k->params);
        free(k->results);
        k->params = k->results = NULL;
        k->n_params = k->n_results = k->param_bytes = 0;
        return k;
    }
    k = calloc(1, sizeof *k);
    char *own = strdup(name);
    if (!k || !own || !SIM_PUSH(&p->module->functions, k)) {
        free(k);
        free(own);
        (void)sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
        return NULL;
    }
    k->name = own;
    k->entry = entry;
    k->module = p->module;
    return k;
}

/* Scope of the parameters: one around the body. A .func lies in local memory behind other
 * functions' variables, since any may call it. */
static bool function(sim_parser *p, bool entry) {
    char name[512];
    sim_lexer results = p->lex;
    bool has_results = sim_is_punct(p, '(');
    p->depth++;
    if (has_results) {
        skip_past(p, ')');
    }
    sim_kernel *k = take_name(p, name) ? make_function(p, name, entry) : NULL;
    if (!k) {
        return false;
    }
    p->local = entry ? 0 : FUNCTION_LOCAL + p->module->function_local;
    if (has_results) {
        sim_lexer here = p->lex;
        p->lex = results;
        if (!params(p, k, &k->results, &k->n_results)) {
            return false;
        }
        p->lex = here;
    }
    if (sim_is_punct(p, '(') && !params(p, k, &k->params, &k->n_params)) {
        return false;
    }
    bool ok = tuning(p, k) && (sim_take_punct(p, ';') || (sim_expect(p, '{') && body(p, k)));
    p->depth++;
    return ok && (p->depth--, leave(p));
}

/* ---- the module ------------------------------------------------------------------------------ */

static bool target(sim_parser *p) {
    int sm = strncmp(p->lex.text, "sm_", 3) == 0 ? (int)strtol(p->lex.text + 3, NULL, 10) : 0;
    bool exact = sm > 0 && p->lex.text[strlen(p->lex.text) - 1] == 'a';
    int have = p->module->machine->sm;
    if (sm == 0 || sm > have || (exact && sm != have)) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "code for `%.30s` on a machine of sm_%d",
                              p->lex.text, have);
    }
    sim_lex_next(&p->lex);
    while (sim_take_punct(p, ',')) {
        sim_lex_next(&p->lex);
    }
    return true;
}

static bool directive(sim_parser *p) {
    static const char *const linking[] = {".visible", ".extern", ".weak", ".common"};
    for (size_t i = 0; i < sizeof linking / sizeof *linking; i++) {
        if (take_word(p, linking[i])) {
            return true;
        }
    }
    if (take_word(p, ".version")) {
        sim_lex_next(&p->lex);
        return true;
    }
    if (take_word(p, ".target")) {
        return target(p);
    }
    if (take_word(p, ".address_size")) {
        uint64_t n;
        return take_number(p, &n) &&
               (n == 64 || sim_parse_fail(p, SIM_E_UNSUPPORTED, "addresses of 32 bits"));
    }
    if (take_word(p, ".entry")) {
        return function(p, true);
    }
    if (take_word(p, ".func")) {
        return function(p, false);
    }
    if (take_word(p, ".global") || take_word(p, ".const")) {
        return global(p);
    }
    if (take_word(p, ".shared")) {
        return shared(p);
    }
    if (take_word(p, ".file")) {
        int32_t line = p->lex.line;
        while (p->lex.kind != TOKEN_END && p->lex.line == line) {
            sim_lex_next(&p->lex);
        }
        return true;
    }
    if (take_word(p, ".section")) {
        skip_past(p, '}');
        return true;
    }
    if (take_word(p, ".pragma")) {
        skip_past(p, ';');
        return true;
    }
    return sim_parse_fail(p, SIM_E_UNSUPPORTED, "the directive `%.60s`", p->lex.text);
}

bool sim_parse_module(sim_parser *p) {
    sim_lex_next(&p->lex);
    while (p->status == SIM_OK && p->lex.kind != TOKEN_END) {
        if (!directive(p)) {
            return false;
        }
    }
    settle(p);
    return p->status == SIM_OK;
}
