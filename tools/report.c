/* SPDX-License-Identifier: Apache-2.0 */
/* Report files: see report.h. The HTML page needs nothing but itself. */
#include "tools/report.h"

#include <string.h>

void tool_report_init(tool_report *r, const char *title, const char *device) {
    *r = (tool_report){.title = title, .device = device};
}

void tool_report_add(tool *t, tool_report *r, const tool_row *row) {
    tool_row copy = *row;
    copy.detail = copy.detail != NULL ? copy.detail : "";
    copy.shape = copy.shape != NULL ? copy.shape : "";
    TG_LIST_PUSH(&t->arena, &r->rows, copy);
}

/* Escapes for XML and HTML text, or for a JSON string. */
static const char *escape(tool *t, const char *s, bool json) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (; *s != '\0'; s++) {
        if (json && (*s == '"' || *s == '\\')) {
            tg_sb_addf(&sb, "\\%c", *s);
        } else if ((unsigned char)*s < 0x20) {
            tg_sb_add(&sb, json ? "\\n" : " ");
        } else if (!json && (*s == '<' || *s == '>' || *s == '&' || *s == '"')) {
            tg_sb_addf(&sb, "&#%d;", *s);
        } else {
            tg_sb_addc(&sb, *s);
        }
    }
    return sb.data;
}

bool tool_report_json(tool *t, const tool_report *r, const char *path) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (size_t i = 0; i < r->rows.count; i++) {
        const tool_row *w = &r->rows.data[i];
        tg_sb_addf(&sb,
                   "{\"name\": \"%s\", \"shape\": \"%s\", \"device\": \"%s\", \"status\": \"%s\", "
                   "\"detail\": \"%s\", ",
                   escape(t, w->name, true), escape(t, w->shape, true), r->device, w->status,
                   escape(t, w->detail, true));
        tg_sb_addf(&sb, "\"max_ulp\": %.6g, \"max_rel\": %.6g, \"metric\": %.6g, \"seconds\": %.6f",
                   w->max_ulp, w->max_rel, w->metric, w->seconds);
        if (w->unit == NULL && w->best_us > 0) {
            tg_sb_addf(&sb, ", \"compile_ms\": %.2f, \"launch_us\": %.3f, \"share\": %.4g",
                       w->compile_ms, w->best_us, w->share);
        }
        if (w->unit != NULL) {
            tg_sb_addf(&sb,
                       ", \"compile_ms\": %.2f, \"best_us\": %.3f, \"rate\": %.3f, \"unit\": "
                       "\"%s\", \"share\": %.4f, \"peer\": \"%s\", \"peer_share\": %.4f",
                       w->compile_ms, w->best_us, w->rate, w->unit, w->share,
                       w->peer != NULL ? w->peer : "", w->peer_share);
        }
        tg_sb_add(&sb, "}\n");
    }
    return tool_write_file(t, path, sb.data, sb.len);
}

bool tool_report_junit(tool *t, const tool_report *r, const char *path) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_addf(&sb, "<?xml version=\"1.0\"?>\n<testsuite name=\"%s on %s\" tests=\"%zu\">\n",
               r->title, r->device, r->rows.count);
    for (size_t i = 0; i < r->rows.count; i++) {
        const tool_row *w = &r->rows.data[i];
        const char *tag = strcmp(w->status, "PASS") == 0   ? NULL
                          : strcmp(w->status, "SKIP") == 0 ? "skipped"
                                                           : "failure";
        tg_sb_addf(&sb, "  <testcase name=\"%s\" time=\"%.4f\"", escape(t, w->name, false),
                   w->seconds);
        if (tag == NULL) {
            tg_sb_add(&sb, "/>\n");
        } else {
            tg_sb_addf(&sb, "><%s message=\"%s: %s\"/></testcase>\n", tag, w->status,
                       escape(t, w->detail, false));
        }
    }
    tg_sb_add(&sb, "</testsuite>\n");
    return tool_write_file(t, path, sb.data, sb.len);
}

static const char page_head[] =
    "<!doctype html><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width\"><style>"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 "
    "1rem;color:#1c2430}"
    "table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;border-bottom:1px solid "
    "#dde3ea;text-align:right}"
    "th:first-child,td:first-child,td.t,th.t{text-align:left}.bad{color:#b00020;font-weight:600}."
    "ok{color:#0a6b3d}"
    ".bar{background:#e8edf2;height:.7rem;width:9rem;display:inline-block;vertical-align:middle}"
    ".bar "
    "i{display:block;height:100%;background:#2b6cb0}pre{background:#f4f6f8;padding:.8rem;white-"
    "space:pre-wrap}</style>";

bool tool_report_html(tool *t, const tool_report *r, const char *path) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    bool speed = r->rows.count > 0 && r->rows.data[0].unit != NULL;
    tg_sb_addf(&sb, "%s<title>Tegula: %s</title><h1>%s</h1><p>Device: %s</p>", page_head, r->title,
               r->title, escape(t, r->device, false));
    if (r->preamble != NULL) {
        tg_sb_addf(&sb, "<pre>%s</pre>", escape(t, r->preamble, false));
    }
    if (!speed && r->rows.count > 0) {
        tool_report_matrix(t, r, &sb);
    }
    tg_sb_add(&sb, "<table><tr><th>kernel</th><th class=t>status</th>");
    tg_sb_add(
        &sb, speed ? "<th class=t>shape</th><th>error</th><th>compile ms</th><th>best "
                     "us</th><th>rate</th><th class=t>of the limit</th><th class=t>peer</th></tr>"
                   : "<th>max ulp</th><th>max rel</th><th>metric</th><th>compile ms</th><th>launch "
                     "us</th><th>of the limit</th><th>ms</th><th "
                     "class=t>detail</th></tr>");
    for (size_t i = 0; i < r->rows.count; i++) {
        const tool_row *w = &r->rows.data[i];
        tg_sb_addf(&sb, "<tr><td>%s</td><td class=\"t %s\">%s</td>", escape(t, w->name, false),
                   strcmp(w->status, "PASS") == 0 || strcmp(w->status, "SKIP") == 0 ? "ok" : "bad",
                   w->status);
        if (speed) {
            tg_sb_addf(
                &sb,
                "<td class=t>%s</td><td>%.2g</td><td>%.1f</td><td>%.1f</td><td>%.1f %s</td><td "
                "class=t><span class=bar><i style=\"width:%.0f%%\"></i></span> %.0f %%</td>",
                escape(t, w->shape, false), w->metric > 0 ? w->metric : w->max_rel, w->compile_ms,
                w->best_us, w->rate, w->unit, w->share > 1 ? 100 : 100 * w->share, 100 * w->share);
            tg_sb_addf(&sb, "<td class=t>%s", w->peer != NULL ? escape(t, w->peer, false) : "");
            if (w->peer != NULL) {
                tg_sb_addf(&sb, " %.0f %%", 100 * w->peer_share);
            }
            tg_sb_add(&sb, "</td></tr>\n");
        } else {
            tg_sb_addf(&sb,
                       "<td>%.3g</td><td>%.2g</td><td>%.2g</td><td>%.1f</td><td>%.0f</td><td>%.1f "
                       "%%</td><td>%.1f</td><td class=t>%s</td></tr>\n",
                       w->max_ulp, w->max_rel, w->metric, w->compile_ms, w->best_us, 100 * w->share,
                       1e3 * w->seconds, escape(t, w->detail, false));
        }
    }
    tg_sb_add(&sb, "</table>\n");
    return tool_write_file(t, path, sb.data, sb.len);
}
