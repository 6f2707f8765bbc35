/* SPDX-License-Identifier: Apache-2.0 */
/* Values of command-line options: whole numbers within a range, and one of a list of words. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

/* Digits only (decimal, 0x... or 0...), so that neither blanks nor signs slip through. */
static bool parse_unsigned(const char *text, uint64_t *out) {
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 0);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

bool tool_option_u64(tool *t, const char *option, const char *text, uint64_t *out) {
    if (parse_unsigned(text, out)) {
        return true;
    }
    tool_error(t, TG_D_TOOL, "--%s takes a whole number in 0 .. %" PRIu64 ", not `%s`", option,
               UINT64_MAX, text);
    return false;
}

bool tool_option_int(tool *t, const char *option, const char *text, int least, int most, int *out) {
    uint64_t v;
    if (parse_unsigned(text, &v) && v <= (uint64_t)most && (int64_t)v >= least) {
        *out = (int)v;
        return true;
    }
    tool_error(t, TG_D_TOOL, "--%s takes a whole number in %d .. %d, not `%s`", option, least, most,
               text);
    return false;
}

bool tool_option_threads(tool *t, const char *text, int *out) {
    return tool_option_int(t, "threads", text, 0, TOOL_MAX_THREADS, out);
}

bool tool_option_word(tool *t, const char *option, const char *text, const char *const *words,
                      int *out) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return true;
        }
        const char *before = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
        tg_sb_addf(&sb, "%s%s", before, words[i]);
    }
    tool_error(t, TG_D_TOOL, "--%s takes %s, not `%s`", option, sb.data, text);
    return false;
}
