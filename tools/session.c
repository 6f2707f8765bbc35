/* SPDX-License-Identifier: Apache-2.0 */
/* A command's session: memory with an exit for the time it runs out, diagnostics and their
 * printing. */
#include "tools/tool.h"

#include <math.h>
#include <string.h>

int tool_with_session(int (*fn)(tool *t, int argc, char **argv), const char *usage, int argc,
                      char **argv) {
    static tool session;
    tool *t = &session;
    *t = (tool){0};
    tg_env_init(&t->env, tg_allocator_default(), 0);
    tg_arena_init(&t->arena, &t->env);
    if (TG_ENV_GUARD(&t->env, t->oom)) {
        (void)fputs("tegula: out of memory\n", stderr);
        tg_arena_fini(&t->arena);
        return TOOL_FAILED;
    }
    tg_sink_init(&t->sink, &t->arena);
    int rc = fn(t, argc, argv);
    tool_flush_diagnostics(t);
    if (rc == TOOL_USAGE) {
        (void)fprintf(stderr, "%s%s%s\n", t->failed ? "`tegula " : usage, t->failed ? argv[0] : "",
                      t->failed ? " --help` shows the options" : "");
    }
    tg_arena_fini(&t->arena);
    return rc == TOOL_OK && t->failed ? TOOL_FAILED : rc;
}

void tool_flush_diagnostics(tool *t) {
    int shown = 0;
    for (const tg_diag *d = t->sink.first; d != NULL; d = d->next) {
        if (d->severity == TG_SEV_REMARK) { /* `build --remarks` shows them */
            continue;
        }
        tg_sb sb;
        tg_sb_init(&sb, &t->arena);
        if (t->json) {
            tg_diag_render_json(&sb, d);
        } else {
            tg_diag_render(&sb, d);
        }
        (void)fputs(sb.data, t->json ? stdout : stderr);
        shown += d->severity == TG_SEV_ERROR;
    }
    int more = t->sink.errors - shown;
    if (more > 0 && !t->json) {
        (void)fprintf(stderr, "and %d more error%s\n", more, more == 1 ? "" : "s");
    }
    t->failed = t->failed || t->sink.errors > 0;
    tg_sink_init(&t->sink, &t->arena);
}

void tool_error(tool *t, tg_diag_id id, const char *fmt, ...) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    va_list ap;
    va_start(ap, fmt);
    tg_sb_addv(&sb, fmt, ap);
    va_end(ap);
    (void)tg_error(&t->sink, id, (tg_span){0}, "%s", sb.data);
}

bool tool_parse_setting(tool *t, const char *text, tg_setting *out) {
    const char *eq = strchr(text, '=');
    if (eq == NULL || eq == text) {
        tool_error(t, TG_D_TOOL, "'%s' is not NAME=VALUE", text);
        return false;
    }
    *out = (tg_setting){.name = tg_arena_strndup(&t->arena, text, (size_t)(eq - text)),
                        .value = tg_arena_strdup(&t->arena, eq + 1)};
    return true;
}

void tool_json_number(tg_sb *sb, double v) {
    if (isfinite(v)) {
        tg_sb_addf(sb, "%.6g", v);
    } else {
        tg_sb_add(sb, "null");
    }
}
