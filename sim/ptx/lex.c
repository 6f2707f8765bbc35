/* SPDX-License-Identifier: Apache-2.0 */
/* Words of PTX (4.1 to 4.5). Opcodes with all their modifiers are one word. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sim/ptx/sim.h"

static void skip_blank(sim_lexer *x) {
    while (x->p < x->end) {
        if (*x->p == '\n') {
            x->line++;
            x->p++;
        } else if (isspace((unsigned char)*x->p) || *x->p == '\0') {
            x->p++;
        } else if (x->end - x->p >= 2 && x->p[0] == '/' && x->p[1] == '/') {
            while (x->p < x->end && *x->p != '\n') {
                x->p++;
            }
        } else if (x->end - x->p >= 2 && x->p[0] == '/' && x->p[1] == '*') {
            for (x->p += 2; x->p < x->end && !(x->p[-1] == '*' && x->p[0] == '/'); x->p++) {
                x->line += *x->p == '\n';
            }
            x->p += x->p < x->end;
        } else {
            return;
        }
    }
}

static bool word_char(const sim_lexer *x, const char *p) {
    if (isalnum((unsigned char)*p) || strchr("_$%.", *p)) {
        return *p != '\0';
    }
    return *p == ':' && ((x->end - p >= 2 && p[1] == ':') || (p > x->p && p[-1] == ':'));
}

static void take_word(sim_lexer *x) {
    size_t n = 0;
    const char *p = x->p;
    while (p < x->end && word_char(x, p)) {
        if (n + 1 < sizeof x->text) {
            x->text[n++] = *p;
        }
        p++;
    }
    x->text[n] = '\0';
    x->p = p;
    x->kind = TOKEN_WORD;
}

static void take_string(sim_lexer *x) {
    size_t n = 0;
    for (x->p++; x->p < x->end && *x->p != '"' && *x->p != '\n'; x->p++) {
        if (n + 1 < sizeof x->text) {
            x->text[n++] = *x->p;
        }
    }
    x->text[n] = '\0';
    x->p += x->p < x->end;
    x->kind = TOKEN_STRING;
}

/* 0fXXXXXXXX and 0dXXXXXXXXXXXXXXXX are bits (4.5.2); 1.5 is of 64 bits. */
static void take_number(sim_lexer *x) {
    char text[64];
    size_t n = 0;
    const char *p = x->p;
    while (p < x->end && n + 1 < sizeof text &&
           (isalnum((unsigned char)*p) || *p == '.' ||
            ((*p == '-' || *p == '+') && n > 0 && !strchr(text, 'x') &&
             tolower((unsigned char)p[-1]) == 'e'))) {
        text[n++] = *p++;
        text[n] = '\0';
    }
    text[n] = '\0';
    x->p = p;
    x->kind = TOKEN_NUMBER;
    x->is_float = false;
    if (text[0] == '0' && (text[1] == 'f' || text[1] == 'F')) {
        x->value = strtoull(text + 2, NULL, 16);
        x->is_float = true;
    } else if (text[0] == '0' && (text[1] == 'd' || text[1] == 'D')) {
        x->value = strtoull(text + 2, NULL, 16);
    } else if (strchr(text, '.')) {
        x->value = sim_of_f64(strtod(text, NULL));
    } else if (text[0] == '0' && (text[1] == 'b' || text[1] == 'B')) {
        x->value = strtoull(text + 2, NULL, 2);
    } else {
        x->value = strtoull(text, NULL, 0);
    }
}

void sim_lex_next(sim_lexer *x) {
    skip_blank(x);
    x->text[0] = '\0';
    x->punct = '\0';
    if (x->p >= x->end) {
        x->kind = TOKEN_END;
    } else if (isdigit((unsigned char)*x->p)) {
        take_number(x);
    } else if (*x->p == '"') {
        take_string(x);
    } else if (word_char(x, x->p) && *x->p != ':') {
        take_word(x);
    } else {
        x->punct = *x->p++;
        x->kind = TOKEN_PUNCT;
    }
}
