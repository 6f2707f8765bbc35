/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements. A value that is used once, in its own region, with nothing in between that it could
 * disturb, waits as text and becomes part of its user; every other value is a variable. Carried
 * values are variables assigned at the end of the body.
 */
#include <string.h>

#include "backends/simt_c/emit.h"
#include "ir/build.h"

enum { MAX_INLINE = 90 };

void tg_c_line(tg_c_emitter *e, const char *fmt, ...) {
    for (int i = 0; i < e->indent; i++) {
        tg_sb_add(e->out, "    ");
    }
    va_list ap;
    va_start(ap, fmt);
    tg_sb_addv(e->out, fmt, ap);
    va_end(ap);
    tg_sb_addc(e->out, '\n');
}

/* "// name.tg:12" where the source line changes. */
static void source_line(tg_c_emitter *e, const tg_op *op) {
    int line = 0, col;
    if (op->span.source == NULL) {
        return;
    }
    tg_source_position(op->span.source, op->span.begin, &line, &col);
    if (line != e->last_line) {
        const char *name = strrchr(op->span.source->name, '/');
        e->last_line = line;
        tg_c_line(e, "// %s:%d", name != NULL ? name + 1 : op->span.source->name, line);
    }
}

/* ---- what waits and what is a variable --------------------------------------------------------
 */

static bool disturbs(const tg_op *op) {
    return op->n_regions > 0 || (tg_op_info_get(op->code)->flags & TG_OPF_WRITE) != 0;
}

/* The only user, in the same region, that is not a loop; else NULL. */
static const tg_op *only_user(const tg_op *op) {
    const tg_use *u = op->results[0].uses;
    if (u == NULL || u->next != NULL || u->user->parent != op->parent) {
        return NULL;
    }
    bool loop = u->user->code == TG_OP_FOR || u->user->code == TG_OP_WHILE;
    return loop || u->user->code == TG_OP_INSERT ? NULL : u->user;
}

static bool undisturbed(const tg_op *from, const tg_op *user) {
    for (const tg_op *op = from->next; op != NULL && op != user; op = op->next) {
        if (disturbs(op)) {
            return false;
        }
    }
    return true;
}

static bool reads_memory(tg_c_emitter *e, const tg_op *op) {
    bool reads = (tg_op_info_get(op->code)->flags & TG_OPF_READ) != 0;
    for (int i = 0; i < op->n_operands; i++) {
        reads = reads || tg_c_value_of(e, tg_operand(op, i))->reads;
    }
    return reads;
}

/* A name for the value, declared with its expression. */
static void declare(tg_c_emitter *e, const tg_value *v, const char *text) {
    const char *name = tg_c_name(e, v->name, v->type);
    const char *type = tg_c_value_type(e, v), *gap = type[strlen(type) - 1] == '*' ? "" : " ";
    tg_c_line(e, "%s%s%s = %s;", type, gap, name, text);
    tg_c_value *c = tg_c_value_of(e, v);
    c->expr = (tg_c_expr){name, TG_PREC_PRIMARY};
    c->reads = false;
}

static bool is_name(const char *s) {
    bool word = !(*s >= '0' && *s <= '9');
    for (const char *c = s; *c != '\0'; c++) {
        word = word && tg_simt_word_char(*c);
    }
    return word;
}

static void give(tg_c_emitter *e, const tg_op *op, tg_c_expr x) {
    tg_c_value *v = tg_c_value_of(e, &op->results[0]);
    const tg_op *user = only_user(op);
    bool reads = reads_memory(e, op);
    bool alias = x.prec == TG_PREC_PRIMARY && is_name(x.text); /* another value's variable */
    bool constant = alias || op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT;
    bool wait = user != NULL && strlen(x.text) <= MAX_INLINE && (!reads || undisturbed(op, user));
    v->expr = x;
    v->reads = reads;
    if (!constant && !wait) {
        declare(e, &op->results[0], x.text);
    }
}

/* ---- loops and branches -----------------------------------------------------------------------
 */

static const char *variable(tg_c_emitter *e, tg_value *v, const char *hint) {
    const char *name = tg_c_name(e, v->name != NULL ? v->name : hint, v->type);
    tg_c_value_of(e, v)->expr = (tg_c_expr){name, TG_PREC_PRIMARY};
    return name;
}

static void declare_variable(tg_c_emitter *e, const tg_value *v, const char *name,
                             const char *init) {
    const char *type = tg_c_value_type(e, v), *gap = type[strlen(type) - 1] == '*' ? "" : " ";
    tg_c_line(e, init != NULL ? "%s%s%s = %s;" : "%s%s%s;", type, gap, name, init);
}

static bool mentions(const char *text, const char *name) {
    size_t n = strlen(name);
    for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name)) {
        bool before = at > text && tg_simt_word_char(at[-1]);
        if (!before && !tg_simt_word_char(at[n])) {
            return true;
        }
    }
    return false;
}

/* to[i] = operand `first + i` of yield, as if all at once. */
static void assign(tg_c_emitter *e, const tg_op *yield, int first, const char *const *to, int n) {
    const char **text = TG_NEW_ARRAY(e->arena, const char *, n + 1);
    for (int i = 0; i < n; i++) {
        text[i] = tg_c_at(e, tg_operand(yield, first + i), 0);
    }
    for (int i = 0; i < n; i++) {
        bool late = false; /* reads a variable that is assigned before */
        for (int j = 0; j < i; j++) {
            late = late || (strcmp(text[j], to[j]) != 0 && mentions(text[i], to[j]));
        }
        if (late) {
            const tg_value *v = tg_operand(yield, first + i);
            const char *name = tg_c_name(e, "next", v->type);
            tg_c_line(e, "%s %s = %s;", tg_c_value_type(e, v), name, text[i]);
            text[i] = name;
        }
    }
    for (int i = 0; i < n; i++) {
        if (strcmp(text[i], to[i]) != 0) {
            tg_c_line(e, "%s = %s;", to[i], text[i]);
        }
    }
}

/* The counter's step, which must not run past the greatest long. */
static const char *advance_of(tg_c_emitter *e, const tg_op *op, const char *iv) {
    int64_t step;
    const char *by = tg_c_at(e, tg_operand(op, 2), 0);
    bool known = tg_value_const_int(tg_operand(op, 2), &step);
    if (known && step == 1) {
        return tg_c_text(e, "%s++", iv);
    }
    if (known && tg_c_range_of(e, tg_operand(op, 1)).hi <= INT64_MAX - step) {
        return tg_c_text(e, "%s += %s", iv, by);
    }
    tg_c_helper(e, "next_long",
                "/* i + step, at most end */\nlong next_long(long i, long step, long end) {\n"
                "    return (ulong)end - (ulong)i > (ulong)step ? i + step : end;\n}\n");
    return tg_c_text(e, "%s = next_long(%s, %s, %s)", iv, iv, by, tg_c_at(e, tg_operand(op, 1), 0));
}

static void emit_for(tg_c_emitter *e, const tg_op *op) {
    tg_region *body = op->regions[0];
    int n = op->n_operands - 3;
    const char **carried = TG_NEW_ARRAY(e->arena, const char *, n + 1);
    for (int i = 0; i < n; i++) {
        const char *init = tg_c_at(e, tg_operand(op, 3 + i), 0);
        carried[i] = variable(e, body->args[1 + i], op->results[i].name);
        declare_variable(e, body->args[1 + i], carried[i], init);
        tg_c_value_of(e, &op->results[i])->expr = (tg_c_expr){carried[i], TG_PREC_PRIMARY};
    }
    const char *iv = variable(e, body->args[0], "i");
    const char *type = tg_c_value_type(e, body->args[0]);
    int64_t unroll = tg_attr_int(op, TG_ATTR_UNROLL, 0);
    if (unroll > 1) {
        tg_c_line(e, "#pragma unroll %lld", (long long)unroll);
    }
    const char *advance = advance_of(e, op, iv);
    tg_c_line(e, "for (%s %s = %s; %s < %s; %s) {", type, iv, tg_c_at(e, tg_operand(op, 0), 0), iv,
              tg_c_at(e, tg_operand(op, 1), TG_PREC_SHIFT), advance);
    e->indent++;
    tg_c_region(e, body);
    assign(e, body->last, 0, carried, n);
    e->indent--;
    tg_c_line(e, "}");
}

/* The statement that reports a failure. */
static const char *trap_call(tg_c_emitter *e, const tg_op *op, long long code) {
    int line = 0, col;
    if (op->span.source != NULL) {
        tg_source_position(op->span.source, op->span.begin, &line, &col);
    }
    tg_c_helper(e, "trap",
                tg_c_text(e,
                          "/* the first failure of the launch is kept */\n"
                          "void trap(%suint *report, uint code, uint line, long program) {\n"
                          "    if (atomic_cmpxchg((volatile %suint *)report, 0u, code) == 0u) {\n"
                          "        report[1] = line;\n        report[2] = (uint)program;\n"
                          "        report[3] = (uint)((ulong)program >> 32);\n    }\n}\n",
                          e->dialect->device, e->dialect->device));
    bool plan = e->func->role != NULL && strcmp(e->func->role, "plan") == 0;
    return tg_c_text(e, "trap(report, %lld, %d, %s);", code, line, plan ? "first" : "program");
}

static void emit_trap(tg_c_emitter *e, const tg_op *op, const char *cond, long long code) {
    tg_c_line(e, "if (%s)", cond);
    tg_c_line(e, "    %s", trap_call(e, op, code));
}

/* Region 0 yields the condition and the values that region 1, or what follows, sees. */
static void emit_while(tg_c_emitter *e, const tg_op *op) {
    tg_region *test = op->regions[0], *body = op->regions[1];
    int n = op->n_operands;
    const char **carried = TG_NEW_ARRAY(e->arena, const char *, n + 1);
    const char **seen = TG_NEW_ARRAY(e->arena, const char *, n + 1);
    for (int i = 0; i < n; i++) {
        const char *init = tg_c_at(e, tg_operand(op, i), 0);
        carried[i] = variable(e, test->args[i], op->results[i].name);
        declare_variable(e, test->args[i], carried[i], init);
    }
    for (int i = 0; i < n; i++) {
        seen[i] = variable(e, &op->results[i], "seen");
        declare_variable(e, &op->results[i], seen[i], NULL);
        tg_c_value_of(e, body->args[i])->expr = (tg_c_expr){seen[i], TG_PREC_PRIMARY};
    }
    static const tg_type counter = {.kind = TG_TY_TILE, .dtype = TG_DT_I64};
    const char *trips = tg_c_name(e, "trips", &counter);
    tg_c_line(e, "for (long %s = 0;; %s++) {", trips, trips);
    e->indent++;
    tg_c_region(e, test);
    assign(e, test->last, 1, seen, n);
    tg_c_line(e, "if (!%s)", tg_c_at(e, tg_operand(test->last, 0), TG_PREC_UNARY));
    tg_c_line(e, "    break;");
    long long max = (long long)tg_attr_int(op, TG_ATTR_MAX, 0);
    tg_c_line(e, "if (%s >= %lldl) {", trips, max);
    tg_c_line(e, "    %s", trap_call(e, op, TG_CPU_TRAP_LIMIT));
    tg_c_line(e, "    break;");
    tg_c_line(e, "}");
    tg_c_region(e, body);
    assign(e, body->last, 0, carried, n);
    e->indent--;
    tg_c_line(e, "}");
}

static bool is_empty(const tg_region *r) {
    return r->first == NULL || r->first->code == TG_OP_YIELD;
}

static bool has_barrier(const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        bool here = op->code == TG_OP_BARRIER;
        for (int i = 0; i < op->n_regions && !here; i++) {
            here = has_barrier(op->regions[i]);
        }
        if (here) {
            return true;
        }
    }
    return false;
}

/*
 * A branch or a function with a barrier ends with one: PoCL 3.1 runs what follows the last barrier
 * of a branch in a loop, and guarded stores behind the last one of a function, with the values of
 * its first lane (docs/targets.md has the reproducer).
 */
void tg_c_close_barriers(tg_c_emitter *e, const tg_region *r) {
    if (has_barrier(r)) {
        tg_c_line(e, "%s", e->dialect->barrier_shared);
    }
}

static void emit_if(tg_c_emitter *e, const tg_op *op) {
    const char *cond = tg_c_at(e, tg_operand(op, 0), 0);
    const char **names = TG_NEW_ARRAY(e->arena, const char *, op->n_results + 1);
    for (int i = 0; i < op->n_results; i++) {
        names[i] = variable(e, &op->results[i], "chosen");
        declare_variable(e, &op->results[i], names[i], NULL);
    }
    tg_c_line(e, "if (%s) {", cond);
    for (int branch = 0; branch < 2; branch++) {
        const tg_region *r = op->regions[branch];
        if (branch == 1 && is_empty(r) && op->n_results == 0) {
            break;
        }
        if (branch == 1) {
            tg_c_line(e, "} else {");
        }
        e->indent++;
        tg_c_region(e, r);
        assign(e, r->last, 0, names, op->n_results);
        tg_c_close_barriers(e, r);
        e->indent--;
    }
    tg_c_line(e, "}");
}

/* ---- one operation ----------------------------------------------------------------------------
 */

/*
 * PoCL 3.1 drops or misplaces a loop right behind a barrier. A statement between them makes it
 * right, if no compiler can leave it out; a branch there makes PoCL take minutes.
 */
static void keep_loops(tg_c_emitter *e) {
    if (e->on_cpu) {
        tg_c_line(e, "kept = 0;");
    }
}

static void emit_barrier(tg_c_emitter *e, const tg_op *op) {
    int64_t fence = tg_attr_int(op, TG_ATTR_FENCE, TG_FENCE_ALL);
    const tg_c_dialect *d = e->dialect;
    int64_t n = tg_attr_int(op, TG_ATTR_N, 0);
    if (n > 0 && n != e->func->lanes) {
        tg_c_refuse(e, op, "a barrier of some of the lanes");
    }
    tg_c_line(e, "%s",
              fence == TG_FENCE_SHARED   ? d->barrier_shared
              : fence == TG_FENCE_GLOBAL ? d->barrier_global
                                         : d->barrier_all);
    keep_loops(e);
}

static void emit_insert(tg_c_emitter *e, const tg_op *op) {
    const tg_value *r = &op->results[0];
    const tg_value *from = tg_operand(op, 0);
    bool chain = from->def != NULL && from->def->code == TG_OP_INSERT && from->uses->next == NULL &&
                 from->def->parent == op->parent;
    if (chain) { /* nobody else looks at the vector before */
        tg_c_value_of(e, r)->expr = tg_c_value_of(e, from)->expr;
    } else {
        declare(e, r, tg_c_at(e, from, 0));
    }
    const char *x = tg_c_at(e, tg_operand(op, 1), 0);
    x = r->type->dtype == TG_DT_BOOL ? tg_c_text(e, "-(int)(%s)", x) : x;
    tg_c_line(e, "%s = %s;", tg_c_lane(e, r, tg_attr_int(op, TG_ATTR_VALUE_I, 0)), x);
}

static void emit_array(tg_c_emitter *e, tg_op *op) {
    const tg_type *t = op->results[0].type;
    const char *hint = tg_attr_str(op, TG_ATTR_NAME), *type = tg_c_memory_type(t->dtype);
    const char *name = tg_c_name(e, hint != NULL ? hint : op->results[0].name, t);
    tg_c_value_of(e, &op->results[0])->expr = (tg_c_expr){name, TG_PREC_PRIMARY};
    if (t->space == TG_SPACE_PRIVATE) {
        tg_c_line(e, "%s %s[%lld];", type, name, (long long)t->shape[0]);
        return;
    }
    tg_c_line(e, "%s%s *%s = (%s%s *)(shared + %lld); // %lld elements", e->dialect->shared_pointer,
              type, name, e->dialect->shared_pointer, type,
              (long long)tg_attr_int(op, TG_ATTR_OFFSET, 0), (long long)t->shape[0]);
}

/* Lanes pass values at this very place: never inside another expression, which may be conditional.
 */
static void emit_lanes(tg_c_emitter *e, const tg_op *op) {
    static const char *const modes[] = {[TG_SHUFFLE_XOR] = "xor",
                                        [TG_SHUFFLE_INDEX] = "index",
                                        [TG_SHUFFLE_UP] = "up",
                                        [TG_SHUFFLE_DOWN] = "down"};
    const tg_value *x = tg_operand(op, 0);
    if (!e->dialect->subgroups || x->type->kind == TG_TY_VEC) {
        tg_c_refuse(e, op, "this dialect has no sub-groups");
        return;
    }
    if (op->code == TG_OP_BALLOT) {
        declare(e, &op->results[0], tg_c_text(e, "ballot(%s)", tg_c_at(e, x, 0)));
        return;
    }
    const char *cast = tg_c_is_narrow(e, x) ? "(long)" : "";
    const char *text =
        tg_c_text(e, "shfl_%s(%s%s, %s)", modes[tg_attr_int(op, TG_ATTR_SHUFFLE, TG_SHUFFLE_XOR)],
                  cast, tg_c_at(e, x, TG_PREC_UNARY), tg_c_at(e, tg_operand(op, 1), 0));
    declare(e, &op->results[0], text);
}

static void emit_op(tg_c_emitter *e, tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_YIELD:
        return;
    case TG_OP_FOR:
        emit_for(e, op);
        return;
    case TG_OP_WHILE:
        emit_while(e, op);
        return;
    case TG_OP_IF:
        emit_if(e, op);
        return;
    case TG_OP_ARRAY:
        emit_array(e, op);
        return;
    case TG_OP_BARRIER:
        emit_barrier(e, op);
        return;
    case TG_OP_INSERT:
        emit_insert(e, op);
        return;
    case TG_OP_TRAP:
        emit_trap(e, op, tg_c_at(e, tg_operand(op, 0), 0),
                  (long long)tg_attr_int(op, TG_ATTR_VALUE_I, 0));
        return;
    case TG_OP_ASSERT:
        emit_trap(e, op, tg_c_text(e, "!%s", tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY)),
                  TG_CPU_TRAP_ASSERT);
        return;
    case TG_OP_ATOMICM:
    case TG_OP_AATOMIC: {
        const char *text = tg_c_read(e, op).text;
        if (op->results[0].uses == NULL) {
            tg_c_line(e, "%s;", text);
        } else {
            declare(e, &op->results[0], text);
        }
        return;
    }
    case TG_OP_SHFL:
    case TG_OP_BALLOT:
        emit_lanes(e, op);
        return;
    }
    if (op->n_results == 0) {
        tg_c_write(e, op);
        return;
    }
    if (op->results[0].uses == NULL) {
        return; /* nothing here is observable */
    }
    bool elementwise = (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0 ||
                       op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT;
    give(e, op, elementwise ? tg_c_arith(e, op) : tg_c_read(e, op));
}

void tg_c_region(tg_c_emitter *e, const tg_region *r) {
    for (tg_op *op = r->first; op != NULL && !e->failed; op = op->next) {
        if (op->code != TG_OP_YIELD && op->code != TG_OP_CONST_INT &&
            op->code != TG_OP_CONST_FLOAT && (op->n_results == 0 || op->n_regions > 0)) {
            source_line(e, op);
        }
        emit_op(e, op);
    }
}
