/* SPDX-License-Identifier: Apache-2.0 */
/* The parser's ground floor: token window, expectations, recovery, whole files. See parser.h. */
#include "frontend/parser.h"

#include <string.h>

/* ---- tokens --------------------------------------------------------------------------------- */

/* Malformed tokens were reported by the lexer: the declaration is broken. The parser never sees
 * them, except literals, which keep their place as BAD. */
static tg_token read_token(tg_parser *p) {
    tg_token t = tg_lexer_next(&p->lexer);
    bool starts_line = t.starts_line;
    while (t.kind == TG_TOK_BAD) {
        p->broken = true;
        p->file->has_errors = true;
        char c = p->src->text[t.begin];
        if (c == '"' || (c >= '0' && c <= '9')) {
            break;
        }
        t = tg_lexer_next(&p->lexer);
        starts_line |= t.starts_line;
        t.after_bad = true;
    }
    t.starts_line = starts_line;
    return t;
}

void tg_parser_advance(tg_parser *p) {
    p->prev_end = p->tok.end;
    p->tok = p->ahead[0];
    p->ahead[0] = p->ahead[1];
    p->ahead[1] = read_token(p);
}

bool tg_parser_at(const tg_parser *p, tg_token_kind k) { return p->tok.kind == k; }

bool tg_parser_at_word(const tg_parser *p, const char *word) {
    size_t n = strlen(word);
    return p->tok.kind == TG_TOK_NAME && p->tok.end - p->tok.begin == n &&
           memcmp(p->src->text + p->tok.begin, word, n) == 0;
}

bool tg_parser_accept(tg_parser *p, tg_token_kind k) {
    if (p->tok.kind != k) {
        return false;
    }
    tg_parser_advance(p);
    return true;
}

bool tg_parser_accept_word(tg_parser *p, const char *word) {
    if (!tg_parser_at_word(p, word)) {
        return false;
    }
    tg_parser_advance(p);
    return true;
}

bool tg_parser_same_line(const tg_parser *p) { return !p->tok.starts_line || p->brackets > 0; }

const char *tg_parser_text(const tg_parser *p, tg_token t) {
    return tg_intern(p->names, p->src->text + t.begin, t.end - t.begin);
}

/* ---- spans ---------------------------------------------------------------------------------- */

tg_span tg_parser_here(const tg_parser *p) { return (tg_span){p->src, p->tok.begin, p->tok.end}; }

tg_span tg_parser_since(const tg_parser *p, uint32_t begin) {
    return (tg_span){p->src, begin, p->prev_end > begin ? p->prev_end : begin};
}

tg_span tg_parser_gap(const tg_parser *p) {
    if (p->tok.starts_line || p->tok.kind == TG_TOK_END) {
        return (tg_span){p->src, p->prev_end, p->prev_end};
    }
    return tg_parser_here(p);
}

const char *tg_parser_found(const tg_parser *p) {
    if (p->tok.kind == TG_TOK_END) {
        return tg_token_text(TG_TOK_END);
    }
    if (p->tok.kind == TG_TOK_BAD || p->tok.kind == TG_TOK_STRING) {
        return tg_token_text(p->tok.kind);
    }
    int n = (int)(p->tok.end - p->tok.begin);
    const char *s = p->src->text + p->tok.begin;
    const char *kind = tg_token_is_keyword(p->tok.kind) ? "the reserved word " : "";
    return tg_arena_printf(p->arena, "%s`%.*s%s`", kind, n > 40 ? 40 : n, s, n > 40 ? "..." : "");
}

/* ---- errors --------------------------------------------------------------------------------- */

static tg_diag *report(tg_parser *p, tg_diag_id id, tg_span span, const char *fmt, va_list ap) {
    p->broken = true;
    bool echo = p->tok.after_bad || p->tok.kind == TG_TOK_BAD; /* the lexer has said it */
    if (p->panic || echo) {
        return NULL;
    }
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    tg_sb_addv(&sb, fmt, ap);
    return tg_error(p->sink, id, span, "%s", sb.data);
}

tg_diag *tg_parser_fail(tg_parser *p, tg_diag_id id, tg_span span, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tg_diag *d = report(p, id, span, fmt, ap);
    va_end(ap);
    p->panic = true;
    return d;
}

tg_diag *tg_parser_complain(tg_parser *p, tg_diag_id id, tg_span span, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tg_diag *d = report(p, id, span, fmt, ap);
    va_end(ap);
    return d;
}

void tg_parser_note(tg_parser *p, tg_diag *d, tg_span span, const char *text) {
    if (d != NULL) {
        tg_note_add(p->sink, d, span, "%s", text);
    }
}

void tg_parser_note_fix(tg_parser *p, tg_diag *d, tg_span span, const char *fix, const char *text) {
    if (d != NULL) {
        tg_note_fix(p->sink, d, span, fix, "%s", text);
    }
}

bool tg_parser_expect(tg_parser *p, tg_token_kind k, const char *where) {
    if (p->panic) {
        return false;
    }
    if (tg_parser_accept(p, k)) {
        return true;
    }
    tg_parser_fail(p, TG_D_EXPECTED_TOKEN, tg_parser_gap(p), "expected `%s` %s, found %s",
                   tg_token_text(k), where, tg_parser_found(p));
    return false;
}

bool tg_parser_close(tg_parser *p, tg_token_kind k, tg_span open) {
    if (p->panic) {
        return false;
    }
    if (tg_parser_accept(p, k)) {
        return true;
    }
    tg_diag *d = tg_parser_fail(p, TG_D_UNCLOSED, tg_parser_gap(p), "expected `%s`, found %s",
                                tg_token_text(k), tg_parser_found(p));
    tg_parser_note(p, d, open, "to close the bracket opened here");
    return false;
}

tg_ident tg_parser_name(tg_parser *p, const char *what) {
    if (p->panic) {
        return (tg_ident){.span = tg_parser_here(p)};
    }
    if (tg_parser_at(p, TG_TOK_NAME)) {
        tg_ident id = {tg_parser_text(p, p->tok), tg_parser_here(p)};
        tg_parser_advance(p);
        return id;
    }
    if (tg_token_is_keyword(p->tok.kind) && !tg_parser_at_decl(p)) {
        tg_diag *d = tg_parser_fail(p, TG_D_RESERVED_WORD, tg_parser_here(p),
                                    "`%s` is a reserved word and cannot be the name of %s",
                                    tg_token_text(p->tok.kind), what);
        tg_parser_note(p, d, (tg_span){0}, "choose another name");
    } else {
        tg_parser_fail(p, TG_D_EXPECTED_NAME, tg_parser_gap(p), "expected the name of %s, found %s",
                       what, tg_parser_found(p));
    }
    return (tg_ident){.span = tg_parser_here(p)};
}

tg_ident tg_parser_word(tg_parser *p, const char *what) {
    if (!p->panic && tg_token_is_keyword(p->tok.kind)) {
        tg_ident id = {tg_parser_text(p, p->tok), tg_parser_here(p)};
        tg_parser_advance(p);
        return id;
    }
    return tg_parser_name(p, what);
}

bool tg_parser_enter(tg_parser *p) {
    p->depth++;
    if (p->depth <= TG_PARSE_MAX_DEPTH) {
        return true;
    }
    tg_parser_fail(p, TG_D_TOO_DEEP, tg_parser_here(p), "nested too deeply: more than %d levels",
                   TG_PARSE_MAX_DEPTH);
    return false;
}

void tg_parser_leave(tg_parser *p) { p->depth--; }

/* ---- recovery ------------------------------------------------------------------------------- */

static bool is_decl_keyword(tg_token_kind k) { return k >= TG_TOK_KERNEL && k <= TG_TOK_CONST; }

bool tg_parser_at_decl(const tg_parser *p) {
    bool fast = tg_parser_at_word(p, "fast") && p->ahead[0].kind == TG_TOK_FN;
    return p->tok.starts_line && (is_decl_keyword(p->tok.kind) || fast);
}

/*
 * The next statement begins behind `;`, at a `}` that closes our block, at a `{` (a body whose
 * header was wrong is parsed for its own errors), or on a new line outside the brackets skipped
 * here.
 */
void tg_parser_sync_stmt(tg_parser *p) {
    int open = 0;
    for (bool first = true; !tg_parser_at(p, TG_TOK_END); first = false) {
        tg_token_kind k = p->tok.kind;
        if (tg_parser_at_decl(p) || k == TG_TOK_LBRACE || k == TG_TOK_RBRACE) {
            break;
        }
        if (!first && p->tok.starts_line && open <= 0) {
            break;
        }
        if (k == TG_TOK_SEMI) {
            tg_parser_advance(p);
            break;
        }
        open += k == TG_TOK_LPAREN || k == TG_TOK_LBRACKET;
        open -= k == TG_TOK_RPAREN || k == TG_TOK_RBRACKET;
        tg_parser_advance(p);
    }
    p->panic = false;
    p->brackets = 0;
}

static void sync_file(tg_parser *p) {
    while (!tg_parser_at(p, TG_TOK_END) && !tg_parser_at_decl(p)) {
        tg_parser_advance(p);
    }
    p->panic = false;
    p->brackets = 0;
    p->depth = 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

static void parse_all(tg_parser *p) {
    TG_LIST(tg_decl *) decls = {0};
    while (!tg_parser_at(p, TG_TOK_END)) {
        uint32_t begin = p->tok.begin;
        p->broken = false;
        tg_decl *d = tg_parse_decl(p);
        if (d != NULL) {
            d->file = p->file;
            d->broken = p->broken;
            d->span = tg_parser_since(p, begin);
            TG_LIST_PUSH(p->arena, &decls, d);
        }
        p->file->has_errors |= p->broken;
        if (p->panic || p->tok.begin == begin) {
            if (p->tok.begin == begin && p->tok.kind != TG_TOK_END) {
                tg_parser_advance(p);
            }
            sync_file(p);
        }
        p->depth = 0;
        p->brackets = 0;
    }
    p->file->decls = decls.data;
    p->file->n_decls = (int)decls.count;
}

tg_file *tg_parse_file(tg_parse_env *env, const tg_source *src, const char *module) {
    tg_file *f = TG_NEW(env->arena, tg_file);
    f->source = src;
    f->module = module;
    if (src->len > TG_SOURCE_MAX_BYTES) {
        tg_error(env->sink, TG_D_SOURCE_TOO_BIG, (tg_span){src, 0, 0},
                 "the source has %zu bytes; at most %zu are read", src->len, TG_SOURCE_MAX_BYTES);
        f->has_errors = true;
        return f;
    }
    tg_parser *p = TG_NEW(env->arena, tg_parser);
    *p = (tg_parser){
        .arena = env->arena, .sink = env->sink, .names = env->names, .src = src, .file = f};
    tg_lexer_init(&p->lexer, src, env->sink);
    p->tok = read_token(p);
    p->ahead[0] = read_token(p);
    p->ahead[1] = read_token(p);
    f->has_errors = p->broken;
    parse_all(p);
    return f;
}
