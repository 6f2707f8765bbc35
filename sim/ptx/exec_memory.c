/* SPDX-License-Identifier: Apache-2.0 */
/* Loads, stores, atomics (9.7.9, 9.7.13) and non-bulk asynchronous copies (9.7.9.25). */
#include "sim/ptx/model.h"

#include <math.h>
#include <string.h>

/* ---- counting -------------------------------------------------------------------------------- */

static uint32_t distinct_sectors(const uint64_t address[LANES], uint32_t mask, uint32_t bytes) {
    uint64_t seen[LANES * 2];
    uint32_t n = 0;
    EACH_LANE(l, mask) {
        for (uint64_t s = address[l] / 32; s <= (address[l] + bytes - 1) / 32; s++) {
            uint32_t i = n;
            while (i > 0 && seen[i - 1] != s) {
                i--;
            }
            if (i == 0 && n < LANES * 2) {
                seen[n++] = s;
            }
        }
    }
    return n;
}

/* 32 banks of four bytes; 8 bytes a lane go by half warps, 16 by quarters. */
static uint32_t shared_waves(const uint64_t address[LANES], uint32_t mask, uint32_t bytes) {
    uint32_t words = (bytes + 3) / 4, lanes = LANES / words, waves = 0;
    for (uint32_t first = 0; first < LANES; first += lanes) {
        uint64_t seen[LANES];
        uint32_t n[LANES] = {0}, most = 0, total = 0;
        EACH_LANE(l, mask) {
            if (l < first || l >= first + lanes) {
                continue;
            }
            for (uint32_t k = 0; k < words; k++) {
                uint64_t word = address[l] / 4 + k;
                uint32_t i = total;
                while (i > 0 && seen[i - 1] != word) {
                    i--;
                }
                if (i == 0 && total < LANES) {
                    seen[total++] = word;
                    most = ++n[word % LANES] > most ? n[word % LANES] : most;
                }
            }
        }
        waves += most;
    }
    return waves;
}

void sim_count_access(sim_warp *w, sim_space space, const uint64_t address[LANES], uint32_t mask,
                      uint32_t bytes) {
    sim_counters *c = &w->run->report->counters;
    uint32_t first = (uint32_t)__builtin_ctz(mask);
    bool shared = space == SPACE_SHARED ||
                  (space == SPACE_GENERIC && (address[first] & WINDOW_MASK) == SHARED_WINDOW);
    if (shared) {
        c->shared_requests++;
        c->shared_waves += shared_waves(address, mask, bytes > 16 ? 16 : bytes);
    } else if (space == SPACE_GLOBAL || space == SPACE_GENERIC || space == SPACE_CONST) {
        c->global_requests++;
        c->global_sectors += distinct_sectors(address, mask, bytes > 32 ? 32 : bytes);
    }
}

/* ---- ld and st ------------------------------------------------------------------------------- */

static void addresses(const sim_warp *w, const sim_insn *in, int operand, uint32_t mask,
                      uint64_t out[LANES]) {
    memset(out, 0, LANES * sizeof *out);
    EACH_LANE(l, mask) { out[l] = sim_address(w, in, operand, (int)l); }
}

/* Row i of a list, or the register itself. */
static uint64_t *part(const sim_warp *w, const sim_operand *o, uint32_t i) {
    uint32_t row = o->kind == OPERAND_VECTOR ? w->parts[o->row + i] : o->row;
    return row == ROW_NONE ? NULL : sim_row(w, row);
}

static void ld(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t address[LANES];
    uint32_t size = sim_type_bytes((sim_type)in->type), n = in->vector;
    addresses(w, in, 1, mask, address);
    sim_count_access(w, (sim_space)in->space, address, mask, size * n);
    EACH_LANE(l, mask) {
        sim_place at =
            sim_resolve(w, (int)l, (sim_space)in->space, address[l], size * n, ACCESS_READ);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t v = 0, *d = part(w, &in->op[0], i);
            if (at.data) {
                memcpy(&v, at.data + (size_t)i * size, size);
            }
            if (d) {
                d[l] = sim_extended(v, (sim_type)in->type, in->op[0].width);
            }
        }
    }
}

static void st(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t address[LANES];
    uint32_t size = sim_type_bytes((sim_type)in->type), n = in->vector;
    addresses(w, in, 0, mask, address);
    sim_count_access(w, (sim_space)in->space, address, mask, size * n);
    EACH_LANE(l, mask) {
        uint8_t bytes[64];
        for (uint32_t i = 0; i < n; i++) {
            uint64_t v = part(w, &in->op[1], i)[l];
            memcpy(bytes + (size_t)i * size, &v, size);
        }
        w->storing = bytes;
        sim_place at =
            sim_resolve(w, (int)l, (sim_space)in->space, address[l], size * n, ACCESS_WRITE);
        w->storing = NULL;
        if (at.data) {
            memcpy(at.data, bytes, (size_t)size * n);
        }
    }
}

static sim_class class_of(sim_space s) {
    return s == SPACE_SHARED                                          ? SIM_CLASS_SHARED
           : s == SPACE_LOCAL || s == SPACE_PARAM || s == SPACE_CONST ? SIM_CLASS_LOCAL
                                                                      : SIM_CLASS_GLOBAL;
}

/* .param of a function lies in local memory; of an entry it is .param. */
static void settle_param(sim_insn *in, int operand) {
    const sim_operand *o = &in->op[operand];
    if (in->space == SPACE_PARAM && o->row == ROW_NONE && o->space == SPACE_LOCAL) {
        in->space = SPACE_LOCAL;
    }
}

static bool moves(sim_decoder *d, bool load) {
    static const char *const vectors[] = {"v2", "v4", "v8", NULL};
    sim_insn *in = d->in;
    in->space = (uint8_t)sim_took_space(d);
    sim_took_hints(d);
    in->vector = (uint8_t)(1u << sim_took_one(d, vectors));
    in->type = (uint8_t)sim_took_type(d);
    uint32_t bytes = in->vector * sim_type_bytes((sim_type)in->type);
    if (in->type == T_NONE || in->type == T_B128 || bytes > 32 ||
        !sim_operands(d, load ? "VA" : "Av")) {
        return false;
    }
    int value = load ? 0 : 1;
    if (sim_take_punct(d->p, ',')) { /* a cache policy */
        sim_lex_next(&d->p->lex);
    }
    settle_param(in, 1 - value);
    uint32_t n = in->op[value].kind == OPERAND_VECTOR ? in->op[value].n : 1;
    return n == in->vector && sim_execs(d, load ? ld : st, class_of((sim_space)in->space));
}
static bool ld_family(sim_decoder *d) { return moves(d, true); }
static bool st_family(sim_decoder *d) {
    return sim_took(d, "async") ? sim_words_family(d, false) : moves(d, false);
}

/* ---- atomics --------------------------------------------------------------------------------- */

typedef enum sim_atomic {
    A_ADD = 1,
    A_MIN,
    A_MAX,
    A_AND,
    A_OR,
    A_XOR,
    A_EXCH,
    A_CAS,
    A_INC,
    A_DEC
} sim_atomic;
static const char *const atomics[] = {"add",  "min", "max", "and", "or", "xor",
                                      "exch", "cas", "inc", "dec", NULL};

static uint16_t half_sum(bool bf, uint16_t a, uint16_t b) {
    return bf ? sim_f32_to_bf16(sim_bf16_to_f32(a) + sim_bf16_to_f32(b), ROUND_N)
              : sim_f32_to_f16(sim_f16_to_f32(a) + sim_f16_to_f32(b), ROUND_N);
}
static bool half_less(bool bf, uint16_t a, uint16_t b) {
    return bf ? sim_bf16_to_f32(a) < sim_bf16_to_f32(b) : sim_f16_to_f32(a) < sim_f16_to_f32(b);
}
static uint64_t float_sum(sim_type t, uint64_t a, uint64_t b) {
    switch ((int)t) {
    case T_F64:
        return sim_of_f64(sim_as_f64(a) + sim_as_f64(b));
    case T_F16:
    case T_BF16:
        return half_sum(t == T_BF16, (uint16_t)a, (uint16_t)b);
    case T_F16X2:
    case T_BF16X2:
        return half_sum(t == T_BF16X2, (uint16_t)a, (uint16_t)b) |
               (uint32_t)half_sum(t == T_BF16X2, (uint16_t)(a >> 16), (uint16_t)(b >> 16)) << 16;
    default:
        return sim_of_f32(sim_as_f32(a) + sim_as_f32(b));
    }
}
uint64_t sim_atomic_value(uint8_t op, sim_type t, uint64_t old, uint64_t b, uint64_t c) {
    uint32_t shift = 64 - 8 * sim_type_bytes(t);
    int64_t so = (int64_t)(old << shift) >> shift, sb = (int64_t)(b << shift) >> shift;
    uint64_t uo = old << shift >> shift, ub = b << shift >> shift;
    bool less = t == T_F16 || t == T_BF16 ? half_less(t == T_BF16, (uint16_t)old, (uint16_t)b)
                : sim_type_signed(t)      ? so < sb
                                          : uo < ub;
    switch (op) {
    case A_ADD:
        return t >= T_F16 ? float_sum(t, old, b) : old + b;
    case A_MIN:
        return less ? old : b;
    case A_MAX:
        return less ? b : old;
    case A_AND:
        return old & b;
    case A_OR:
        return old | b;
    case A_XOR:
        return old ^ b;
    case A_EXCH:
        return b;
    case A_CAS:
        return uo == ub ? c : old;
    case A_INC:
        return uo >= ub ? 0 : old + 1;
    default:
        return uo == 0 || uo > ub ? b : old - 1;
    }
}

/* atom: 0 d, 1 address, 2 b, 3 c; red: the same with _ for d. */
static void atom(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t address[LANES];
    uint32_t size = sim_type_bytes((sim_type)in->type);
    addresses(w, in, 1, mask, address);
    sim_count_access(w, (sim_space)in->space, address, mask, size * in->vector);
    EACH_LANE(l, mask) {
        for (uint32_t i = 0; i < in->vector; i++) {
            sim_place at = sim_resolve(w, (int)l, (sim_space)in->space, address[l] + i * size, size,
                                       ACCESS_ATOMIC);
            if (!at.data) {
                continue;
            }
            uint64_t old = 0, c = in->mode == A_CAS ? sim_in(w, in, 3)[l] : 0;
            memcpy(&old, at.data, size);
            uint64_t v =
                sim_atomic_value(in->mode, (sim_type)in->type, old, part(w, &in->op[2], i)[l], c);
            memcpy(at.data, &v, size);
            uint64_t *d = in->op[0].kind == OPERAND_SINK ? NULL : part(w, &in->op[0], i);
            if (d) {
                d[l] = old;
            }
        }
    }
}
int sim_took_atomic(sim_decoder *d) { return sim_took_one(d, atomics); }

static bool atom_family(sim_decoder *d) {
    static const char *const vectors[] = {"v2", "v4", "v8", NULL};
    sim_insn *in = d->in;
    bool red = d->op[0] == 'r';
    if (red && sim_took(d, "async")) {
        return sim_words_family(d, true);
    }
    in->space = (uint8_t)sim_took_space(d);
    in->mode = (uint8_t)sim_took_atomic(d);
    sim_took_hints(d);
    (void)sim_took(d, "noftz");
    in->vector = (uint8_t)(1u << sim_took_one(d, vectors));
    in->type = (uint8_t)sim_took_type(d);
    if (!in->mode || !in->type || in->type == T_B128 ||
        !sim_operands(d, red                 ? "Av"
                         : in->mode == A_CAS ? "VAvS"
                                             : "VAv")) {
        return false;
    }
    if (red) {
        in->op[2] = in->op[1];
        in->op[1] = in->op[0];
        in->op[0] = (sim_operand){.kind = OPERAND_SINK, .row = ROW_NONE};
        in->n = 3;
    }
    bool f = in->type >= T_F16;
    return !(f && in->mode != A_ADD) && sim_execs(d, atom, SIM_CLASS_ATOMIC);
}

/* ---- cp.async -------------------------------------------------------------------------------- */

static void copy_issue(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint64_t address[LANES];
    addresses(w, in, 1, mask, address);
    sim_count_access(w, SPACE_GLOBAL, address, mask, in->vector);
    EACH_LANE(l, mask) {
        uint32_t take = in->vector;
        if (in->op[3].kind == OPERAND_ROW) {
            uint32_t given = (uint32_t)sim_in(w, in, 3)[l];
            take = given < take ? given : take;
        }
        sim_copy c = {.from = address[l],
                      .to = sim_address(w, in, 0, (int)l),
                      .bytes = in->vector,
                      .take = take,
                      .group = GROUP_OPEN,
                      .insn = in,
                      .lane = (uint8_t)l,
                      .order = w->copy_order++,
                      .done_at = w->run->model ? sim_model_arrival(w) : 0};
        /* From now on nobody may use the place; what is there stays until somebody waits. */
        bool known = w->run->no_memory || c.to % c.bytes != 0 || c.to >= w->run->shared_bytes ||
                     c.bytes > w->run->shared_bytes - c.to;
        if (!known && !w->run->options->no_races) {
            sim_race_access(w, (int)l, w->block, (uint32_t)c.to, c.bytes, ACCESS_WRITE);
            sim_race_pending(w->block, (uint32_t)c.to, c.bytes, true);
        }
        if (!SIM_PUSH(&w->copies, c)) {
            w->run->no_memory = true;
        }
    }
}
static void copy_finish(sim_warp *w, const sim_copy *c) {
    const sim_insn *at = w->at;
    w->at = c->insn;
    if (c->to < w->run->shared_bytes && c->bytes <= w->run->shared_bytes - c->to &&
        !w->run->options->no_races) {
        sim_race_pending(w->block, (uint32_t)c->to, c->bytes, false);
    }
    sim_place to = sim_resolve(w, c->lane, SPACE_SHARED, c->to, c->bytes, ACCESS_WRITE);
    uint8_t bytes[16] = {0};
    bool ok = true;
    for (uint32_t i = 0; i < c->take && ok; i++) { /* part of a line: byte by byte */
        bool whole = c->take == c->bytes;
        sim_place from =
            sim_resolve(w, c->lane, SPACE_GLOBAL, c->from + i, whole ? c->bytes : 1, ACCESS_READ);
        ok = from.data != NULL;
        if (ok) {
            memcpy(bytes + i, from.data, whole ? c->bytes : 1);
        }
        i += whole ? c->bytes : 0;
    }
    if (to.data) {
        memcpy(to.data, bytes, c->bytes);
    }
    w->at = at;
}
/* Finishes the copies of the lanes that are older than their newest `in->shape[0]` groups; mode 1:
 * all, committed or not. */
static void copy_wait(sim_warp *w, const sim_insn *in, uint32_t mask) {
    size_t kept = 0;
    double latest = 0;
    uint32_t newest = in->mode ? 0 : (uint32_t)sim_in(w, in, 0)[0];
    for (size_t i = 0; i < w->copies.n; i++) {
        sim_copy c = w->copies.data[i];
        bool old = in->mode || (c.group != GROUP_OPEN && c.group + newest < w->groups[c.lane]);
        if (mask >> c.lane & 1 && old) {
            latest = c.done_at > latest ? c.done_at : latest;
            copy_finish(w, &c);
        } else {
            w->copies.data[kept++] = c;
        }
    }
    w->copies.n = kept;
    if (w->run->model) {
        sim_model_wait(w, latest, "waits for copies");
    }
}
static void copy_commit(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)in;
    for (size_t i = 0; i < w->copies.n; i++) {
        sim_copy *c = &w->copies.data[i];
        if (mask >> c->lane & 1 && c->group == GROUP_OPEN) {
            c->group = w->groups[c->lane];
        }
    }
    EACH_LANE(l, mask) { w->groups[l]++; }
}

void sim_copies_finish(sim_warp *w, uint32_t lane, uint32_t order) {
    size_t kept = 0;
    for (size_t i = 0; i < w->copies.n; i++) {
        sim_copy c = w->copies.data[i];
        if (c.lane == lane && c.order < order) {
            copy_finish(w, &c);
        } else {
            w->copies.data[kept++] = c;
        }
    }
    w->copies.n = kept;
}

static bool copy_family(sim_decoder *d) {
    sim_insn *in = d->in;
    bool reduces = sim_took(d, "reduce");
    if (!sim_took(d, "async")) {
        return false;
    }
    if (reduces || sim_took(d, "bulk")) {
        (void)sim_took(d, "bulk");
        return sim_bulk_family(d, reduces);
    }
    if (sim_took(d, "mbarrier")) {
        return sim_mbarrier_after_copies(d);
    }
    if (sim_took(d, "commit_group")) {
        return sim_operands(d, "") && sim_execs(d, copy_commit, SIM_CLASS_ASYNC);
    }
    if (sim_took(d, "wait_all")) {
        in->mode = 1;
        return sim_operands(d, "") && sim_execs(d, copy_wait, SIM_CLASS_ASYNC);
    }
    if (sim_took(d, "wait_group")) {
        return sim_operands(d, "S") && sim_execs(d, copy_wait, SIM_CLASS_ASYNC);
    }
    bool ca = sim_took(d, "ca"), cg = sim_took(d, "cg");
    bool shared = sim_took(d, "shared") || sim_took(d, "shared::cta");
    if (!(ca || cg) || !shared || !sim_took(d, "global")) {
        return false;
    }
    sim_took_hints(d);
    if (!sim_operands(d, "AAS?S?S") || !(in->op[2].row & ROW_CONSTANT)) {
        return false;
    }
    uint64_t bytes = d->p->module->constants.data[(size_t)(in->op[2].row & ROW_INDEX) * LANES];
    in->vector = (uint8_t)bytes;
    return (bytes == 4 || bytes == 8 || bytes == 16) && sim_execs(d, copy_issue, SIM_CLASS_ASYNC);
}

const sim_family_row sim_families_memory[] = {
    {"ld", ld_family},    {"ldu", ld_family},  {"st", st_family}, {"atom", atom_family},
    {"red", atom_family}, {"cp", copy_family}, {NULL, NULL}};
