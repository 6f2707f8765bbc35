/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formatter. It works on the token stream, comments included, and decides two things for every
 * gap between tokens: a line break (the author's are kept, more are added where a line is too long)
 * and the blanks. Indentation follows from the breaks alone, so formatting twice changes nothing.
 * The result is parsed again and compared with the source's tree before it is handed out.
 *
 *   tokens ─▶ mark context (brackets, unary signs, slices) ─▶ break long lines ─▶ print
 *
 * Long lines are broken where the nesting is least: a block is put on lines of its own, else behind
 * a comma, else behind an operator. A break behind an operator or comma never ends a statement.
 */
#include "frontend/lexer.h"
#include "frontend/program.h"

#include <string.h>

/* REACH: how many tokens ahead a break is looked for: keeps endless lines from costing squares. */
enum { WIDTH = 100, STEP = 2, CONTINUE = 4, REACH = 1000 };

typedef enum bracket_kind { B_NONE, B_PAREN, B_INDEX, B_CT, B_CHOICES, B_BLOCK } bracket_kind;

typedef struct ftok {
    tg_token t;
    bool brk;        /* a line break stands before it */
    bool blank;      /* ... and an empty line */
    bool unary;      /* a sign, not an operator */
    bool drop;       /* a semicolon at a line's end: not printed */
    bool tight;      /* no blank before it whatever the rules say (x86-64-v3) */
    bool example;    /* in a case, bench or instantiate line */
    bool header;     /* in a signature, before the body's brace */
    bracket_kind in; /* innermost bracket around it; of a bracket: its own kind */
    int prev;        /* index of the token before it that is no comment; -1 */
    int line;        /* line of the source, long blocks opened */
    int match;       /* closing: index of the opening one; opening: of the closing one; else -1 */
} ftok;

typedef struct fmt {
    tg_arena *arena;
    const tg_source *src;
    ftok *toks;
    int n;
    TG_LIST(int) open; /* indices of open brackets */
    int *line_indent;  /* indentation of the line each token stands on */
    tg_sb *out;
} fmt;

/* ---- tokens and context --------------------------------------------------------------------- */

static bool is_word(const fmt *f, int i, const char *word) {
    size_t n = strlen(word);
    const tg_token *t = &f->toks[i].t;
    return i >= 0 && t->kind == TG_TOK_NAME && t->end - t->begin == n &&
           memcmp(f->src->text + t->begin, word, n) == 0;
}

/* Contextual words that behave like keywords before a sign or a parenthesis. */
static bool is_soft_word(const fmt *f, int i) {
    static const char *const words[] = {"by",   "max",   "when", "init", "align",
                                        "axis", "exact", "fast", "tf32", "pad"};
    for (size_t k = 0; i >= 0 && k < TG_COUNT_OF(words); k++) {
        if (is_word(f, i, words[k])) {
            return true;
        }
    }
    return false;
}

static bool ends_operand(tg_token_kind k) {
    return k == TG_TOK_NAME || k == TG_TOK_INT || k == TG_TOK_FLOAT || k == TG_TOK_STRING ||
           k == TG_TOK_RPAREN || k == TG_TOK_RBRACKET || k == TG_TOK_TRUE || k == TG_TOK_FALSE ||
           k == TG_TOK_INF || k == TG_TOK_NOT_A_NUMBER || k == TG_TOK_UNDERSCORE;
}

static int prev_code(const fmt *f, int i) { return i >= 0 ? f->toks[i].prev : -1; }

static void read_tokens(fmt *f) {
    TG_LIST(ftok) toks = {0};
    tg_lexer lx;
    tg_lexer_init(&lx, f->src, NULL);
    lx.keep_comments = true;
    uint32_t end = 0;
    int code = -1;
    for (;;) {
        tg_token t = tg_lexer_next(&lx);
        if (t.kind == TG_TOK_END) {
            break;
        }
        int newlines = 0;
        for (uint32_t i = end; i < t.begin; i++) {
            newlines += f->src->text[i] == '\n';
        }
        ftok x = {.t = t,
                  .brk = newlines > 0 && toks.count > 0,
                  .blank = newlines > 1 && toks.count > 0,
                  .prev = code,
                  .match = -1};
        code = t.kind == TG_TOK_COMMENT ? code : (int)toks.count;
        TG_LIST_PUSH(f->arena, &toks, x);
        end = t.end;
    }
    f->toks = toks.data;
    f->n = (int)toks.count;
}

static bool is_decl_keyword(tg_token_kind k) { return k >= TG_TOK_KERNEL && k <= TG_TOK_CONST; }

static bool is_example(tg_token_kind k) {
    return k == TG_TOK_CASE || k == TG_TOK_BENCH || k == TG_TOK_INSTANTIATE;
}

static bracket_kind bracket_of(const fmt *f, int i) {
    tg_token_kind k = f->toks[i].t.kind;
    int p = prev_code(f, i), pp = p >= 0 ? prev_code(f, p) : -1;
    if (k == TG_TOK_LPAREN) {
        return B_PAREN;
    }
    if (k == TG_TOK_LBRACKET) {
        tg_token_kind d = pp >= 0 ? f->toks[pp].t.kind : TG_TOK_END;
        bool ct = d == TG_TOK_KERNEL || d == TG_TOK_FN || d == TG_TOK_OP || d == TG_TOK_RECORD;
        return ct ? B_CT : B_INDEX;
    }
    if (k == TG_TOK_LBRACE) {
        return p >= 0 && f->toks[p].t.kind == TG_TOK_IN ? B_CHOICES : B_BLOCK;
    }
    return B_NONE;
}

static bool is_close(tg_token_kind k) {
    return k == TG_TOK_RPAREN || k == TG_TOK_RBRACKET || k == TG_TOK_RBRACE;
}

static void mark_brackets(fmt *f) {
    TG_LIST(int) open = {0};
    for (int i = 0; i < f->n; i++) {
        ftok *x = &f->toks[i];
        bracket_kind kind = bracket_of(f, i);
        int top = open.count > 0 ? open.data[open.count - 1] : -1;
        x->in = top >= 0 ? f->toks[top].in : B_NONE;
        if (kind != B_NONE) {
            x->in = kind;
            TG_LIST_PUSH(f->arena, &open, i);
        } else if (is_close(x->t.kind) && top >= 0) {
            x->match = top;
            f->toks[top].match = i;
            open.count--;
        }
    }
}

static bool has_body(tg_token_kind k) {
    return k == TG_TOK_KERNEL || k == TG_TOK_OP || k == TG_TOK_FN || k == TG_TOK_EXTERN ||
           k == TG_TOK_RECORD || k == TG_TOK_SCHEDULE;
}

static bool is_relation(tg_token_kind k) {
    return k == TG_TOK_GE || k == TG_TOK_LE || k == TG_TOK_GT || k == TG_TOK_LT || k == TG_TOK_EQ;
}

/* Marks signatures, case lines and architecture names, which follow their declaration's keyword. */
static void mark_declarations(fmt *f) {
    tg_token_kind decl = TG_TOK_END;
    bool arch = false, header = false;
    int depth = 0;
    for (int i = 0; i < f->n; i++) {
        ftok *x = &f->toks[i];
        tg_token_kind k = x->t.kind;
        if (depth == 0 && is_decl_keyword(k)) {
            decl = k == TG_TOK_FN && decl == TG_TOK_EXTERN && header ? decl : k;
            header = has_body(decl);
            arch = false;
        }
        x->example = depth == 0 && is_example(decl);
        x->header = header && depth == 0;
        if (x->in == B_BLOCK && k == TG_TOK_LBRACE) {
            depth++;
            header = false;
        } else if (k == TG_TOK_RBRACE && x->match >= 0 && f->toks[x->match].in == B_BLOCK) {
            depth--;
        }
        int p = prev_code(f, i);
        bool after_rel = p >= 0 && is_relation(f->toks[p].t.kind);
        bool target = header && (decl == TG_TOK_SCHEDULE || decl == TG_TOK_EXTERN);
        int target_for = after_rel ? prev_code(f, prev_code(f, p)) : -1;
        if (target && after_rel && target_for >= 0 && f->toks[target_for].t.kind == TG_TOK_FOR) {
            arch = true;
        } else if (arch) {
            arch = !x->t.space_before;
            x->tight = arch;
        }
    }
}

static void mark_unary(fmt *f) {
    for (int i = 0; i < f->n; i++) {
        ftok *x = &f->toks[i];
        int p = prev_code(f, i);
        tg_token_kind k = x->t.kind;
        x->unary = k == TG_TOK_NOT || k == TG_TOK_TILDE;
        if (k == TG_TOK_SUB && !x->tight) {
            bool next_glued = i + 1 < f->n && !f->toks[i + 1].t.space_before;
            bool soft = p >= 0 && is_soft_word(f, p) && x->t.space_before && next_glued &&
                        !f->toks[p].tight;
            x->unary = p < 0 || !ends_operand(f->toks[p].t.kind) || soft;
        }
    }
}

/* ---- blanks --------------------------------------------------------------------------------- */

static bool tight_colon(const ftok *x) { return x->t.kind == TG_TOK_COLON && x->in == B_INDEX; }

static bool space_before_open(const fmt *f, int i) {
    const ftok *x = &f->toks[i], *p = &f->toks[i - 1];
    bool callee =
        p->t.kind == TG_TOK_NAME || p->t.kind == TG_TOK_RBRACKET || p->t.kind == TG_TOK_RPAREN;
    if (x->t.kind == TG_TOK_LBRACKET && x->example) {
        return true;
    }
    if (callee && is_soft_word(f, i - 1)) {
        return x->t.space_before;
    }
    return !callee && p->t.kind != TG_TOK_LPAREN && p->t.kind != TG_TOK_LBRACKET && !p->unary &&
           !tight_colon(p) && p->t.kind != TG_TOK_DOT;
}

/* Does a blank stand between token i-1 and token i, both on one line? */
static bool space_between(const fmt *f, int i) {
    const ftok *x = &f->toks[i], *p = &f->toks[i - 1];
    tg_token_kind a = p->t.kind, b = x->t.kind;
    if (p->unary && a == TG_TOK_SUB && b == TG_TOK_SUB) {
        return true; /* `- -x`: `--` would be another token */
    }
    if (x->tight || p->unary || a == TG_TOK_DOT || b == TG_TOK_DOT || b == TG_TOK_COMMA ||
        b == TG_TOK_SEMI) {
        return false;
    }
    if (a == TG_TOK_LBRACE || b == TG_TOK_RBRACE) {
        const ftok *brace = a == TG_TOK_LBRACE ? p : &f->toks[x->match >= 0 ? x->match : i];
        return brace->in == B_BLOCK && !(a == TG_TOK_LBRACE && b == TG_TOK_RBRACE);
    }
    if (b == TG_TOK_LPAREN || b == TG_TOK_LBRACKET) {
        return space_before_open(f, i);
    }
    if (a == TG_TOK_LPAREN || a == TG_TOK_LBRACKET || b == TG_TOK_RPAREN || b == TG_TOK_RBRACKET) {
        return false;
    }
    if (tight_colon(x) || tight_colon(p)) {
        return a == TG_TOK_COMMA;
    }
    if (b == TG_TOK_COLON) {
        return false;
    }
    bool tight_set = (x->example && b == TG_TOK_ASSIGN) || (p->example && a == TG_TOK_ASSIGN);
    return !tight_set;
}

/* ---- indentation ---------------------------------------------------------------------------- */

static bool wants_more(const ftok *p) {
    switch ((int)p->t.kind) {
    case TG_TOK_COMMA:
    case TG_TOK_AS:
    case TG_TOK_IN:
    case TG_TOK_LET:
    case TG_TOK_VAR:
    case TG_TOK_RETURN:
    case TG_TOK_TEMP:
    case TG_TOK_PRINT:
    case TG_TOK_ASSERT:
    case TG_TOK_ASSUME:
    case TG_TOK_DISJOINT:
    case TG_TOK_COLON:
        return true;
    default:
        return p->t.kind >= TG_TOK_SHL_SET && !is_close(p->t.kind) && p->t.kind != TG_TOK_LBRACE &&
               p->t.kind != TG_TOK_SEMI;
    }
}

static bool continues(const ftok *x) {
    tg_token_kind k = x->t.kind;
    bool opens =
        k == TG_TOK_LPAREN || k == TG_TOK_LBRACKET || k == TG_TOK_LBRACE || k == TG_TOK_SEMI;
    return (k >= TG_TOK_SHL_SET && !opens && k != TG_TOK_RBRACE) || k == TG_TOK_AS;
}

/* Where the line that token i begins is indented; f->open are the brackets open before it. */
static int indent_of(const fmt *f, int i) {
    const ftok *x = &f->toks[i];
    int top = f->open.count > 0 ? f->open.data[f->open.count - 1] : -1;
    int block = (int)f->open.count - 1;
    while (block >= 0 && f->toks[f->open.data[block]].in != B_BLOCK) {
        block--;
    }
    int base = block >= 0 ? f->line_indent[f->open.data[block]] + STEP : 0;
    if (top >= 0 && f->toks[top].in != B_BLOCK) {
        return is_close(x->t.kind) ? base : base + CONTINUE;
    }
    if (x->t.kind == TG_TOK_RBRACE && block >= 0) {
        return base - STEP;
    }
    if (block < 0) {
        bool clause = x->t.kind == TG_TOK_TUNE || x->t.kind == TG_TOK_GRID ||
                      x->t.kind == TG_TOK_REQUIRE || is_word(f, i, "tol") ||
                      x->t.kind == TG_TOK_COMMENT;
        int p = prev_code(f, i);
        bool middle = p >= 0 && (wants_more(&f->toks[p]) || continues(x));
        bool starts = p < 0 || is_decl_keyword(x->t.kind) || is_word(f, i, "fast") ||
                      x->t.kind == TG_TOK_LBRACE || !(x->header || x->example || middle);
        bool outside =
            x->t.kind == TG_TOK_COMMENT && !(p >= 0 && f->toks[p].header && !f->toks[p].example);
        return starts || outside ? 0 : clause ? STEP : CONTINUE;
    }
    int p = prev_code(f, i);
    bool middle = p >= 0 && p != top && (wants_more(&f->toks[p]) || continues(x)) &&
                  x->t.kind != TG_TOK_COMMENT;
    return middle ? base + CONTINUE : base;
}

static int token_width(const ftok *x) { return x->drop ? 0 : (int)(x->t.end - x->t.begin); }

/* A semicolon at a line's end says nothing. */
static bool drop_semi(const fmt *f, int i) {
    int next = i + 1;
    if (f->toks[i].t.kind != TG_TOK_SEMI) {
        return false;
    }
    while (next < f->n && f->toks[next].t.kind == TG_TOK_COMMENT) {
        next++;
    }
    return next >= f->n || f->toks[next].brk || f->toks[next].t.kind == TG_TOK_RBRACE;
}

/* Takes out those of the source, and those behind `;`, `{` or nothing at all; links the rest. */
static void remove_semis(fmt *f) {
    int n = 0, code = -1;
    bool brk = false, blank = false;
    for (int i = 0; i < f->n; i++) {
        ftok x = f->toks[i];
        tg_token_kind before = code >= 0 ? f->toks[code].t.kind : TG_TOK_SEMI;
        bool idle = before == TG_TOK_SEMI || before == TG_TOK_LBRACE;
        x.brk = (x.brk || brk) && n > 0; /* nothing stands before the first that stays */
        x.blank = (x.blank || blank) && n > 0;
        bool drop = x.t.kind == TG_TOK_SEMI && (idle || drop_semi(f, i));
        brk = drop && x.brk;
        blank = drop && x.blank;
        if (!drop) {
            x.prev = code;
            code = x.t.kind == TG_TOK_COMMENT ? code : n;
            f->toks[n++] = x;
        }
    }
    f->n = n;
}

static void drop_semis(fmt *f, int from, int to) {
    for (int i = from; i < to; i++) {
        if (!f->toks[i].drop && drop_semi(f, i)) {
            f->toks[i].drop = true;
        }
    }
}

/* ---- breaking lines ------------------------------------------------------------------------- */

static void mark_lines(fmt *f) {
    for (int i = 0, line = 0; i < f->n; i++) {
        line += f->toks[i].brk;
        f->toks[i].line = line;
    }
}

/* End of the line that token i begins, looking at most `reach` tokens ahead. */
static int line_end(const fmt *f, int i, int reach) {
    int j = i + 1, last = reach < f->n - i ? i + reach : f->n;
    while (j < last && !f->toks[j].brk) {
        j++;
    }
    return j;
}

/* Columns of tokens [i, j) at an indentation, without a trailing comment; counted until too many.
 */
static int line_width(const fmt *f, int i, int j, int indent) {
    int w = indent;
    for (int k = i; k < j && w <= WIDTH && f->toks[k].t.kind != TG_TOK_COMMENT; k++) {
        w += token_width(&f->toks[k]) + (k > i && space_between(f, k));
    }
    return w;
}

/* Puts the block opened at token i on lines of its own. */
static void explode(fmt *f, int i) {
    int end = f->toks[i].match;
    f->toks[i + 1].brk = true;
    f->toks[end].brk = true;
    for (int k = i + 1, depth = 0; k < end; k++) {
        tg_token_kind kind = f->toks[k].t.kind;
        depth += kind == TG_TOK_LBRACE || kind == TG_TOK_LPAREN || kind == TG_TOK_LBRACKET;
        depth -= is_close(kind);
        if (kind == TG_TOK_SEMI && depth == 0 && k + 1 < end) {
            f->toks[k + 1].brk = true;
        }
    }
}

/* A block of several lines has its braces at the line's end and on a line of their own. */
static void open_long_blocks(fmt *f) {
    for (int i = 0; i < f->n; i++) {
        int end = f->toks[i].match;
        bool several = false;
        if (f->toks[i].t.kind != TG_TOK_LBRACE || f->toks[i].in != B_BLOCK || end < 0) {
            continue;
        }
        for (int k = i + 1; k <= end && !several; k++) {
            several = f->toks[k].brk;
        }
        if (several && end > i + 1) {
            f->toks[i + 1].brk |= f->toks[i + 1].t.kind != TG_TOK_COMMENT;
            f->toks[end].brk = true;
        }
    }
}

/* The whole block is on the author's line (nothing breaks inside it before it is opened) and not
 * opened yet. */
static bool can_explode(const fmt *f, int i) {
    const ftok *x = &f->toks[i];
    return x->t.kind == TG_TOK_LBRACE && x->in == B_BLOCK && x->match > i + 1 &&
           f->toks[x->match].line == x->line && !f->toks[i + 1].brk;
}

/* Cost of a break before token k at `depth`, or -1 when none may stand there. */
static int break_cost(const fmt *f, int k, int depth) {
    const ftok *p = &f->toks[k - 1], *x = &f->toks[k];
    tg_token_kind a = p->t.kind;
    if (x->t.kind == TG_TOK_COMMENT || x->tight || p->unary || x->example || a == TG_TOK_DOT ||
        a == TG_TOK_DOT_DOT) {
        return -1;
    }
    if (a == TG_TOK_COMMA) {
        return depth * 10 + 1;
    }
    bool clause =
        x->t.kind == TG_TOK_TUNE || x->t.kind == TG_TOK_GRID || x->t.kind == TG_TOK_REQUIRE;
    if (clause || (a == TG_TOK_SEMI && depth == 0)) {
        return 0;
    }
    bool op = a >= TG_TOK_EQ && a <= TG_TOK_GE;
    op |= a >= TG_TOK_LT && a <= TG_TOK_XOR;
    if (op) {
        return depth * 10 + 4;
    }
    return a == TG_TOK_ASSIGN ? depth * 10 + 8 : -1;
}

/* Breaks the overlong line [i, j) once; false when it cannot be broken. */
static bool break_line(fmt *f, int i, int j, int indent) {
    int best = -1, best_cost = 0, depth = 0, w = indent;
    for (int k = i; k < j && f->toks[k].t.kind != TG_TOK_COMMENT; k++) {
        tg_token_kind kind = f->toks[k].t.kind;
        if (k > i) {
            depth -= is_close(kind);
            int cost = break_cost(f, k, depth < 0 ? 0 : depth);
            bool fits = w <= WIDTH;
            if (cost >= 0 && (best < 0 || cost < best_cost || (cost == best_cost && fits))) {
                best = k;
                best_cost = cost;
            }
        }
        if (can_explode(f, k) && (best < 0 || depth * 10 + 2 < best_cost)) {
            explode(f, k);
            return true;
        }
        depth += kind == TG_TOK_LPAREN || kind == TG_TOK_LBRACKET || kind == TG_TOK_LBRACE;
        w += token_width(&f->toks[k]) + (k > i && space_between(f, k));
    }
    if (best >= 0) {
        f->toks[best].brk = true;
    }
    return best >= 0;
}

/* Pushes and pops the brackets of tokens [i, j), which stand on one line. */
static void pass_line(fmt *f, int i, int j, int indent) {
    for (int k = i; k < j; k++) {
        tg_token_kind kind = f->toks[k].t.kind;
        f->line_indent[k] = f->toks[k].header ? 0 : indent;
        if (kind == TG_TOK_LPAREN || kind == TG_TOK_LBRACKET || kind == TG_TOK_LBRACE) {
            TG_LIST_PUSH(f->arena, &f->open, k);
        } else if (is_close(kind) && f->open.count > 0) {
            f->open.count--;
        }
    }
}

/* ---- output --------------------------------------------------------------------------------- */

static void print_line(fmt *f, int i, int j, int indent) {
    if (f->toks[i].blank) {
        tg_sb_addc(f->out, '\n');
    }
    for (int k = 0; k < indent; k++) {
        tg_sb_addc(f->out, ' ');
    }
    for (int k = i; k < j; k++) {
        const ftok *x = &f->toks[k];
        bool comment = x->t.kind == TG_TOK_COMMENT;
        if (k > i) {
            tg_sb_add(f->out, comment ? "  " : space_between(f, k) ? " " : "");
        }
        uint32_t end = x->drop ? x->t.begin : x->t.end;
        while (comment && end > x->t.begin && strchr(" \t\r", f->src->text[end - 1]) != NULL) {
            end--;
        }
        tg_sb_addn(f->out, f->src->text + x->t.begin, end - x->t.begin);
    }
    tg_sb_addc(f->out, '\n');
}

static void format_tokens(fmt *f) {
    f->line_indent = TG_NEW_ARRAY(f->arena, int, f->n + 1);
    for (int i = 0; i < f->n;) {
        int indent = indent_of(f, i), j = line_end(f, i, REACH);
        while (line_width(f, i, j, indent) > WIDTH && break_line(f, i, j, indent)) {
            j = line_end(f, i, REACH);
            drop_semis(f, i, j);
        }
        j = line_end(f, i, f->n);
        drop_semis(f, i, j);
        print_line(f, i, j, indent);
        pass_line(f, i, j, indent);
        i = j;
    }
}

/* The tree of a text, or NULL when it is wrong. */
static const char *tree_of(tg_arena *a, tg_sink *sink, const tg_source *src) {
    tg_strtab names;
    tg_strtab_init(&names, a);
    tg_parse_env env = {a, sink, &names};
    const tg_file *file = tg_parse_file(&env, src, "");
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_sb_add(&sb, "");
    tg_ast_print_file(file, &sb);
    return file->has_errors ? NULL : sb.data != NULL ? sb.data : "";
}

static tg_status format(tg_arena *a, tg_sink *sink, const tg_source *src, tg_sb *out) {
    const char *before = tree_of(a, sink, src);
    if (before == NULL) {
        return TG_E_SOURCE;
    }
    tg_sb text;
    tg_sb_init(&text, a);
    tg_sb_add(&text, "");
    fmt f = {.arena = a, .src = src, .out = &text};
    read_tokens(&f);
    remove_semis(&f);
    mark_brackets(&f);
    mark_declarations(&f);
    mark_unary(&f);
    open_long_blocks(&f);
    mark_lines(&f);
    drop_semis(&f, 0, f.n);
    format_tokens(&f);
    tg_source result = {src->name, text.data != NULL ? text.data : "", text.len};
    tg_sink quiet;
    tg_sink_init(&quiet, a);
    const char *after = tree_of(a, &quiet, &result);
    if (after == NULL || strcmp(before, after) != 0) {
        return TG_E_INTERNAL;
    }
    tg_sb_addn(out, result.text, result.len);
    return TG_OK;
}

tg_status tg_format_source(tg_arena *a, tg_sink *sink, const tg_source *src, tg_sb *out) {
    jmp_buf *outer = a->env->oom;
    jmp_buf buf;
    if (TG_ENV_GUARD(a->env, buf)) {
        a->env->oom = outer;
        return TG_E_NOMEM;
    }
    tg_status st = format(a, sink, src, out);
    a->env->oom = outer;
    return st;
}
