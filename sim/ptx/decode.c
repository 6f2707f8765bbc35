/* SPDX-License-Identifier: Apache-2.0 */
/* Operands and modifiers (chapters 6 and 8): what all instructions share. */
#include "sim/ptx/async.h"

#include <stdlib.h>
#include <string.h>

/* ---- types ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint8_t bytes;
    bool is_signed;
} types[N_TYPES] = {[T_PRED] = {"pred", 1, false},    [T_B8] = {"b8", 1, false},
                    [T_B16] = {"b16", 2, false},      [T_B32] = {"b32", 4, false},
                    [T_B64] = {"b64", 8, false},      [T_B128] = {"b128", 16, false},
                    [T_U8] = {"u8", 1, false},        [T_U16] = {"u16", 2, false},
                    [T_U32] = {"u32", 4, false},      [T_U64] = {"u64", 8, false},
                    [T_S8] = {"s8", 1, true},         [T_S16] = {"s16", 2, true},
                    [T_S32] = {"s32", 4, true},       [T_S64] = {"s64", 8, true},
                    [T_U16X2] = {"u16x2", 4, false},  [T_S16X2] = {"s16x2", 4, false},
                    [T_F16] = {"f16", 2, false},      [T_BF16] = {"bf16", 2, false},
                    [T_F32] = {"f32", 4, false},      [T_F64] = {"f64", 8, false},
                    [T_F16X2] = {"f16x2", 4, false},  [T_BF16X2] = {"bf16x2", 4, false},
                    [T_TF32] = {"tf32", 4, false},    [T_E4M3] = {"e4m3", 1, false},
                    [T_E5M2] = {"e5m2", 1, false},    [T_E4M3X2] = {"e4m3x2", 2, false},
                    [T_E5M2X2] = {"e5m2x2", 2, false}};

uint32_t sim_type_bytes(sim_type t) { return types[t].bytes; }
bool sim_type_signed(sim_type t) { return types[t].is_signed; }

uint64_t sim_extended(uint64_t v, sim_type t, uint32_t width) {
    uint32_t shift = 64 - 8 * sim_type_bytes(t);
    if (!sim_type_signed(t)) {
        return v;
    }
    v = (uint64_t)((int64_t)(v << shift) >> shift);
    return width == 8 ? v : width == 2 ? (uint16_t)v : width == 1 ? (uint8_t)v : (uint32_t)v;
}

sim_type sim_type_named(const char *text, size_t n) {
    for (int t = T_PRED; t < N_TYPES; t++) {
        if (strlen(types[t].name) == n && memcmp(types[t].name, text, n) == 0) {
            return (sim_type)t;
        }
    }
    return T_NONE;
}

/* ---- modifiers ------------------------------------------------------------------------------- */

bool sim_took(sim_decoder *d, const char *modifier) {
    for (int i = 0; i < d->n; i++) {
        if (!d->used[i] && strcmp(d->modifier[i], modifier) == 0) {
            return d->used[i] = true;
        }
    }
    return false;
}

int sim_took_one(sim_decoder *d, const char *const *words) {
    for (int i = 0; words[i]; i++) {
        if (sim_took(d, words[i])) {
            return i + 1;
        }
    }
    return 0;
}

sim_type sim_took_type(sim_decoder *d) {
    for (int i = 0; i < d->n; i++) {
        sim_type t = d->used[i] ? T_NONE : sim_type_named(d->modifier[i], strlen(d->modifier[i]));
        if (t != T_NONE) {
            d->used[i] = true;
            return t;
        }
    }
    return T_NONE;
}

sim_space sim_took_space(sim_decoder *d) {
    static const char *const words[] = {"global",      "shared", "shared::cta", "shared::cluster",
                                        "local",       "const",  "param",       "param::entry",
                                        "param::func", NULL};
    static const sim_space spaces[] = {SPACE_GENERIC, SPACE_GLOBAL, SPACE_SHARED, SPACE_SHARED,
                                       SPACE_SHARED,  SPACE_LOCAL,  SPACE_CONST,  SPACE_PARAM,
                                       SPACE_PARAM,   SPACE_LOCAL};
    return spaces[sim_took_one(d, words)];
}

void sim_took_round(sim_decoder *d) {
    static const char *const words[] = {"rn",  "rz",  "rm",  "rp",  "rna",
                                        "rni", "rzi", "rmi", "rpi", NULL};
    static const sim_round rounds[] = {ROUND_NONE, ROUND_N, ROUND_Z, ROUND_M, ROUND_P,
                                       ROUND_A,    ROUND_N, ROUND_Z, ROUND_M, ROUND_P};
    d->in->round = (uint8_t)rounds[sim_took_one(d, words)];
}

static uint8_t order_of(const char *word) {
    static const char *const words[] = {"relaxed", "volatile", "mmio", "acquire",
                                        "release", "acq_rel",  "sc"};
    static const uint8_t orders[] = {ORDER_STRONG,
                                     ORDER_STRONG,
                                     ORDER_STRONG,
                                     ORDER_ACQUIRE,
                                     ORDER_RELEASE,
                                     ORDER_ACQUIRE | ORDER_RELEASE,
                                     ORDER_ACQUIRE | ORDER_RELEASE};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i], word) == 0) {
            return orders[i];
        }
    }
    return 0;
}

void sim_took_hints(sim_decoder *d) {
    static const char *const exact[] = {"ca",      "cg",      "cs",      "lu",   "cv",
                                        "wb",      "wt",      "nc",      "weak", "relaxed",
                                        "acquire", "release", "acq_rel", "sc",   "volatile",
                                        "mmio",    "cta",     "cluster", "gpu",  "sys"};
    for (int i = 0; i < d->n; i++) {
        bool hint =
            strncmp(d->modifier[i], "L1::", 4) == 0 || strncmp(d->modifier[i], "L2::", 4) == 0;
        for (size_t e = 0; e < sizeof exact / sizeof *exact; e++) {
            hint = hint || strcmp(d->modifier[i], exact[e]) == 0;
        }
        if (!d->used[i]) {
            d->in->order |= order_of(d->modifier[i]);
        }
        d->used[i] = d->used[i] || hint;
    }
}

bool sim_refuse(sim_decoder *d, const char *what) {
    return sim_parse_fail(d->p, SIM_E_UNSUPPORTED, "%s: `%.100s`", what, d->op);
}

bool sim_execs(sim_decoder *d, sim_exec exec, sim_class class_) {
    d->in->exec = exec;
    d->in->class_ = (uint8_t)class_;
    return exec != NULL || sim_refuse(d, "this type of instruction is not simulated");
}

/* ---- operands -------------------------------------------------------------------------------- */

uint32_t sim_parse_constant(sim_parser *p, uint64_t value) {
    sim_module *m = p->module;
    size_t h = (size_t)(value * 0x9e3779b97f4a7c15ull >> 52);
    uint64_t at = p->constant_index[h];
    if (at && m->constants.data[(at - 1) * LANES] == value) {
        return ROW_CONSTANT | (uint32_t)(at - 1);
    }
    size_t n = m->constants.n;
    for (int l = 0; l < LANES; l++) {
        if (!SIM_PUSH(&m->constants, value)) {
            (void)sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
            return ROW_CONSTANT;
        }
    }
    p->constant_index[h] = n / LANES + 1;
    return ROW_CONSTANT | (uint32_t)(n / LANES);
}

static const struct {
    const char *name;
    sim_special row;
} specials[] = {{"%tid.x", SR_TID_X},
                {"%tid.y", SR_TID_Y},
                {"%tid.z", SR_TID_Z},
                {"%ntid.x", SR_NTID_X},
                {"%ntid.y", SR_NTID_Y},
                {"%ntid.z", SR_NTID_Z},
                {"%ctaid.x", SR_CTAID_X},
                {"%ctaid.y", SR_CTAID_Y},
                {"%ctaid.z", SR_CTAID_Z},
                {"%nctaid.x", SR_NCTAID_X},
                {"%nctaid.y", SR_NCTAID_Y},
                {"%nctaid.z", SR_NCTAID_Z},
                {"%laneid", SR_LANEID},
                {"%warpid", SR_WARPID},
                {"%nwarpid", SR_NWARPID},
                {"%lanemask_eq", SR_LANEMASK_EQ},
                {"%lanemask_le", SR_LANEMASK_LE},
                {"%lanemask_lt", SR_LANEMASK_LT},
                {"%lanemask_ge", SR_LANEMASK_GE},
                {"%lanemask_gt", SR_LANEMASK_GT},
                {"%clusterid.x", SR_CLUSTERID_X},
                {"%clusterid.y", SR_CLUSTERID_Y},
                {"%clusterid.z", SR_CLUSTERID_Z},
                {"%nclusterid.x", SR_NCLUSTERID_X},
                {"%nclusterid.y", SR_NCLUSTERID_Y},
                {"%nclusterid.z", SR_NCLUSTERID_Z},
                {"%cluster_ctaid.x", SR_CLUSTER_CTAID_X},
                {"%cluster_ctaid.y", SR_CLUSTER_CTAID_Y},
                {"%cluster_ctaid.z", SR_CLUSTER_CTAID_Z},
                {"%cluster_nctaid.x", SR_CLUSTER_NCTAID_X},
                {"%cluster_nctaid.y", SR_CLUSTER_NCTAID_Y},
                {"%cluster_nctaid.z", SR_CLUSTER_NCTAID_Z},
                {"%cluster_ctarank", SR_CLUSTER_CTARANK},
                {"%cluster_nctarank", SR_CLUSTER_NCTARANK},
                {"%smid", SR_SMID},
                {"%nsmid", SR_NSMID},
                {"%gridid", SR_GRIDID},
                {"%clock", SR_CLOCK},
                {"%clock64", SR_CLOCK},
                {"%globaltimer", SR_CLOCK},
                {"%dynamic_smem_size", SR_DYNAMIC_SMEM},
                {"%total_smem_size", SR_TOTAL_SMEM}};

static bool special(sim_parser *p, sim_operand *o) {
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        if (strcmp(specials[i].name, p->lex.text) == 0) {
            *o = (sim_operand){.kind = OPERAND_ROW, .row = specials[i].row};
            return true;
        }
    }
    return sim_parse_fail(p, SIM_E_UNSUPPORTED, "the name `%.80s`", p->lex.text);
}

/* Windows of a variable's address as mov sees it: its offset in its own space (6.4.1). */
static bool named(sim_parser *p, sim_operand *o, size_t insn, int index) {
    uint32_t row;
    const sim_symbol *s = sim_symbol_find(p, p->lex.text, &row);
    if (p->lex.text[0] == '%' && !s) {
        return special(p, o);
    }
    if (!s || s->kind == SYMBOL_LABEL) {
        *o = (sim_operand){.kind = OPERAND_LABEL, .offset = s ? (int64_t)s->offset : 0};
        return s || sim_parse_patch(p, insn, index, p->lex.text);
    }
    if (s->kind == SYMBOL_REGISTERS) {
        *o = (sim_operand){
            .kind = OPERAND_ROW, .row = row, .width = (uint8_t)sim_type_bytes(s->type)};
        return true;
    }
    if (s->kind == SYMBOL_TABLE) {
        *o = (sim_operand){.kind = OPERAND_LABEL, .row = s->row, .offset = s->n};
        return true;
    }
    *o = (sim_operand){.kind = OPERAND_ADDRESS, .row = ROW_NONE, .offset = (int64_t)s->offset};
    o->space = s->kind == SYMBOL_SHARED  ? SPACE_SHARED
               : s->kind == SYMBOL_LOCAL ? SPACE_LOCAL
               : s->kind == SYMBOL_PARAM ? SPACE_PARAM
                                         : SPACE_GLOBAL;
    return true;
}

static bool plus(sim_parser *p, sim_operand *o) {
    while (sim_is_punct(p, '+') || sim_is_punct(p, '-')) {
        bool minus = sim_take_punct(p, '-');
        (void)(!minus && sim_take_punct(p, '+'));
        minus = minus != sim_take_punct(p, '-');
        if (p->lex.kind != TOKEN_NUMBER) {
            return sim_parse_fail(p, SIM_E_SYNTAX, "a number expected");
        }
        o->offset += minus ? -(int64_t)p->lex.value : (int64_t)p->lex.value;
        sim_lex_next(&p->lex);
    }
    return true;
}

/* Is the register of 32 bits? It then holds an offset of shared memory, say, that must not carry.
 */
static bool is_narrow(sim_parser *p, const char *name) {
    uint32_t row;
    const sim_symbol *s = sim_symbol_find(p, name, &row);
    return s && s->kind == SYMBOL_REGISTERS && sim_type_bytes(s->type) == 4;
}

/* [a], [a+4], [a, {x, y}], [a], [b] are left to the families that know them. */
static bool address(sim_parser *p, sim_operand *o, size_t insn, int index) {
    if (!sim_expect(p, '[')) {
        return false;
    }
    if (p->lex.kind == TOKEN_NUMBER) {
        *o = (sim_operand){
            .kind = OPERAND_ADDRESS, .row = ROW_NONE, .offset = (int64_t)p->lex.value};
        sim_lex_next(&p->lex);
    } else if (p->lex.kind == TOKEN_WORD) {
        bool narrow = is_narrow(p, p->lex.text);
        if (!named(p, o, insn, index)) {
            return false;
        }
        if (o->kind == OPERAND_LABEL) {
            return sim_parse_fail(p, SIM_E_SYNTAX, "no variable `%.80s`", p->lex.text);
        }
        o->kind = OPERAND_ADDRESS;
        o->narrow = narrow;
        sim_lex_next(&p->lex);
    } else {
        return sim_parse_fail(p, SIM_E_SYNTAX, "an address expected");
    }
    o->is_place = true;
    return plus(p, o) && (sim_is_punct(p, ',') || sim_expect(p, ']'));
}

static bool constant(sim_parser *p, sim_operand *o) {
    bool minus = sim_take_punct(p, '-');
    (void)(!minus && sim_take_punct(p, '+'));
    if (p->lex.kind != TOKEN_NUMBER) {
        return sim_parse_fail(p, SIM_E_SYNTAX, "an operand expected at `%.60s`", p->lex.text);
    }
    *o = (sim_operand){.kind = OPERAND_ROW,
                       .row = sim_parse_constant(p, minus ? 0 - p->lex.value : p->lex.value)};
    sim_lex_next(&p->lex);
    return true;
}

static bool scalar(sim_parser *p, sim_operand *o, size_t insn, int index) {
    if (sim_take_punct(p, '!')) {
        bool ok = scalar(p, o, insn, index);
        o->negate = true;
        return ok;
    }
    if (p->lex.kind != TOKEN_WORD) {
        return constant(p, o);
    }
    if (strcmp(p->lex.text, "_") == 0) {
        *o = (sim_operand){.kind = OPERAND_SINK, .row = ROW_NONE};
    } else if (strcmp(p->lex.text, "WARP_SZ") == 0) {
        *o = (sim_operand){.kind = OPERAND_ROW, .row = sim_parse_constant(p, LANES)};
    } else if (!named(p, o, insn, index)) {
        return false;
    }
    sim_lex_next(&p->lex);
    if (o->kind == OPERAND_ADDRESS) { /* a variable's address as a value */
        if (!plus(p, o)) {
            return false;
        }
        sim_space space = (sim_space)o->space;
        bool dynamic = space == SPACE_SHARED && (uint64_t)o->offset >= SHARED_DYNAMIC;
        *o = (sim_operand){.kind = dynamic ? OPERAND_ADDRESS : OPERAND_ROW,
                           .space = (uint8_t)space,
                           .row = dynamic ? ROW_NONE : sim_parse_constant(p, (uint64_t)o->offset),
                           .offset = o->offset};
    }
    return true;
}

/* sinks: `_` may stand in the list. */
static bool vector(sim_parser *p, sim_operand *o, bool sinks) {
    sim_operand part;
    *o = (sim_operand){.kind = OPERAND_VECTOR, .row = (uint32_t)p->module->parts.n};
    uint32_t rows[256];
    int n = 0;
    do {
        if (n == 256 || !scalar(p, &part, 0, 0)) {
            return sim_parse_fail(p, SIM_E_SYNTAX, "no vector");
        }
        if (part.kind != OPERAND_ROW && !(part.kind == OPERAND_SINK && sinks)) {
            return sim_parse_fail(p, SIM_E_SYNTAX, "no register in a vector");
        }
        rows[n++] = part.kind == OPERAND_SINK ? ROW_NONE : part.row;
        o->width = part.width ? part.width : o->width;
    } while (sim_take_punct(p, ','));
    for (int i = 0; i < n; i++) {
        if (!SIM_PUSH(&p->module->parts, rows[i])) {
            return sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
        }
    }
    o->n = (uint8_t)n;
    return sim_expect(p, '}');
}

static bool one(sim_decoder *d, char letter, int index) {
    sim_parser *p = d->p;
    sim_operand *o = &d->in->op[index];
    size_t insn = p->module->code.n; /* where the instruction will stand */
    bool list = (letter == 'V' || letter == 'W' || letter == 'v') && sim_take_punct(p, '{');
    bool ok = list                             ? vector(p, o, letter == 'V')
              : letter == 'A' || letter == 'M' ? address(p, o, insn, index)
                                               : scalar(p, o, insn, index);
    if (!ok) {
        return false;
    }
    bool writes = letter == 'D' || letter == 'T' || letter == 'V' || letter == 'W';
    bool bad = (letter == 'L') != (o->kind == OPERAND_LABEL);
    bad =
        bad || (writes && o->kind == OPERAND_ROW && (o->row & ROW_CONSTANT || o->row < N_SPECIAL));
    bad = bad || (!writes && o->kind == OPERAND_SINK) || (letter != 'P' && o->negate);
    o->writes = writes;
    return !bad || sim_parse_fail(p, SIM_E_SYNTAX, "operand %d of `%.60s` cannot be that",
                                  index + 1, d->op);
}

/* , {x, y}] behind the address of a tensor map. */
static bool coordinates(sim_decoder *d, int index) {
    sim_parser *p = d->p;
    return sim_expect(p, ',') && sim_expect(p, '{') && vector(p, &d->in->op[index], false) &&
           sim_expect(p, ']');
}

bool sim_operands(sim_decoder *d, const char *letters) {
    sim_parser *p = d->p;
    bool optional = false;
    int index = 0;
    for (const char *c = letters; *c; c++) {
        if (*c == '?') {
            optional = true;
            continue;
        }
        bool first = index == 0;
        if (index + (*c == 'T' || *c == 'M') >= MAX_OPERANDS) {
            return sim_refuse(d, "too many operands");
        }
        if (optional && !(first ? !sim_is_punct(p, ';') : sim_is_punct(p, ','))) {
            d->in->op[index++] = (sim_operand){.kind = OPERAND_NONE, .row = ROW_NONE};
            continue;
        }
        if ((!first && !sim_expect(p, ',')) || !one(d, *c, index++)) {
            return false;
        }
        if (*c == 'M' && !coordinates(d, index++)) {
            return false;
        }
        if (*c == 'T') {
            d->in->op[index] = (sim_operand){.kind = OPERAND_SINK, .row = ROW_NONE};
            if (sim_take_punct(p, '|') && !one(d, 'D', index)) {
                return false;
            }
            index++;
        }
    }
    d->in->n = (uint8_t)index;
    return true;
}

/* ---- instructions ---------------------------------------------------------------------------- */

static sim_family family_of(const char *op) {
    const sim_family_row *const tables[] = {
        sim_families_integer, sim_families_float,  sim_families_move,     sim_families_memory,
        sim_families_warp,    sim_families_matrix, sim_families_mbarrier, sim_families_tensor,
        sim_families_wgmma,   sim_families_fence};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        for (const sim_family_row *r = tables[t]; r->op; r++) {
            if (strcmp(r->op, op) == 0) {
                return r->decode;
            }
        }
    }
    return NULL;
}

/* "ld.global.L1::x.v4" into op and modifiers, in place. */
static bool split(sim_decoder *d, char *text) {
    d->op = text;
    for (char *dot = strchr(text, '.'); dot; dot = strchr(dot + 1, '.')) {
        *dot = '\0';
        if (d->n == MAX_MODIFIERS) {
            return sim_refuse(d, "too many modifiers");
        }
        d->modifier[d->n++] = dot + 1;
    }
    return true;
}

bool sim_decode(sim_parser *p, uint32_t guard, bool guard_not) {
    char text[sizeof p->lex.text];
    sim_insn in = {.guard = guard, .guard_not = guard_not, .line = p->lex.line, .source = p->loc};
    sim_decoder d = {.p = p, .in = &in};
    if (p->lex.kind != TOKEN_WORD || !p->function) {
        return sim_parse_fail(p, SIM_E_SYNTAX, "an instruction expected");
    }
    memcpy(text, p->lex.text, sizeof text);
    sim_family decode = split(&d, text) ? family_of(d.op) : NULL;
    if (!decode) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "the instruction `%.80s`", p->lex.text);
    }
    char whole[sizeof text];
    memcpy(whole, p->lex.text, sizeof whole);
    sim_lex_next(&p->lex);
    if (!decode(&d)) {
        return sim_parse_fail(p, SIM_E_UNSUPPORTED, "`%.120s` is not simulated", whole);
    }
    for (int i = 0; i < d.n; i++) {
        if (!d.used[i]) {
            return sim_parse_fail(p, SIM_E_UNSUPPORTED, "`.%.40s` of `%.120s`", d.modifier[i],
                                  whole);
        }
    }
    if (!SIM_PUSH(&p->module->code, in)) {
        return sim_parse_fail(p, SIM_E_NOMEM, "out of memory");
    }
    return sim_expect(p, ';');
}
