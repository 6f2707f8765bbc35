/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people read of a benchmark: a line a row while it runs, a summary, and one HTML page with a
 * roofline for each number of threads and all rows as ratios. The roofline is drawn as SVG: the
 * slanted roof is the bandwidth, the flat one the FMA peak, both as measured in the best round;
 * rows without arithmetic have no place under it and stand in the table alone.
 */
#include <math.h>
#include <string.h>

#include "tools/bench.h"

/* Figures of r's own rate: GFLOP/s under the flat roof, GB/s under the slanted one. */
static double rate_of(const bench_result *r) {
    return r->us > 0 ? (r->computes ? r->flops : r->bytes) / r->us / 1e3 : 0;
}

static const char *unit_of(const bench_result *r) { return r->computes ? "GFLOP/s" : "GB/s"; }

void bench_print_row(const bench_result *r) {
    const bench_peer *peer = bench_best_peer(r);
    if (r->work[0] != '\0') {
        (void)printf("%s: ", r->work);
    }
    (void)printf("%s %s, %d thread%s: ", r->kernel, r->shape, r->threads,
                 r->threads == 1 ? "" : "s");
    if (strcmp(r->status, "PASS") != 0) {
        (void)printf("%s %s\n", r->status, r->detail != NULL ? r->detail : "");
        (void)fflush(stdout);
        return;
    }
    (void)printf("%.1f us", r->us);
    if (r->share > 0) { /* a launch has no work of its own */
        (void)printf(", %.1f %s, %.1f %% %c", rate_of(r), unit_of(r), 100 * r->share,
                     r->computes ? 'F' : 'D');
    }
    if (r->goal > 0) {
        (void)printf(" (goal %.0f)", 100 * r->goal);
    }
    if (peer != NULL) {
        (void)printf(", %s %.1f %% x%.2f", peer->name, 100 * r->share * r->us / peer->us,
                     bench_ratio(r));
    }
    if (r->times > 1) {
        (void)printf(" (goal x%g)", r->times);
    }
    (void)printf("%s", r->times > 0 ? bench_at_goal(r) ? ", reached" : ", MISSED" : "");
    if (r->limits.instructions != NULL) {
        (void)printf(", %s, compiled in %.0f ms", r->limits.instructions, r->compile_ms);
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

/* The numbers of threads that occur, rising; at most `most`. */
static int thread_counts(const bench_results *r, int *out, int most) {
    int n = 0;
    for (int threads = 1; threads <= TOOL_MAX_THREADS && n < most; threads++) {
        for (size_t i = 0; i < r->rows.count; i++) {
            if (r->rows.data[i].threads == threads) {
                out[n++] = threads;
                break;
            }
        }
    }
    return n;
}

static tool_limits best_limits(const bench_results *r, int threads) {
    tool_limits best = {.threads = threads, .instructions = ""};
    for (size_t i = 0; i < r->rows.count; i++) {
        const tool_limits *l = &r->rows.data[i].limits;
        if (r->rows.data[i].threads == threads && l->fma_gflops > 0) {
            best.fma_gflops = fmax(best.fma_gflops, l->fma_gflops);
            best.bf16_gflops = fmax(best.bf16_gflops, l->bf16_gflops);
            best.int8_gops = fmax(best.int8_gops, l->int8_gops);
            best.read_gbs = fmax(best.read_gbs, l->read_gbs);
            best.far_gbs = fmax(best.far_gbs, l->far_gbs);
            best.copy_gbs = fmax(best.copy_gbs, l->copy_gbs);
            best.instructions = l->instructions;
        }
    }
    return best;
}

static const char *summary_text(tool *t, const bench_results *r, int threads) {
    bench_summary s = bench_sum_up(r, threads);
    tool_limits l = best_limits(r, threads);
    const char *units = "";
    if (l.bf16_gflops > 0) {
        units = tg_arena_printf(&t->arena, " (bf16 %.1f)", l.bf16_gflops);
    }
    if (l.int8_gops > 0) {
        units = tg_arena_printf(&t->arena, "%s (8-bit integers %.1f)", units, l.int8_gops);
    }
    return tg_arena_printf(
        &t->arena,
        "%d thread%s, %s: %.1f GFLOP/s f32 FMA%s, %.1f GB/s read (%.1f of large arrays), %.1f GB/s "
        "copy at best; %d rows "
        "with goals: %d at goal, %d behind a peer, geometric mean %.1f %% of the limit; %d failed",
        threads, threads == 1 ? "" : "s", l.instructions, l.fma_gflops, units, l.read_gbs,
        l.far_gbs, l.copy_gbs, s.rows, s.at_goal, s.behind, 100 * s.mean, s.failed);
}

enum { MOST_COUNTS = 8 };

void bench_print_summary(tool *t, const bench_results *r) {
    int counts[MOST_COUNTS], n = thread_counts(r, counts, MOST_COUNTS);
    (void)printf("%s\n", r->processor);
    for (int i = 0; i < n; i++) {
        if (best_limits(r, counts[i]).fma_gflops > 0) {
            (void)printf("%s\n", summary_text(t, r, counts[i]));
        }
    }
}

/* ---- the page -----------------------------------------------------------------------------------
 */

static const char *html(tool *t, const char *s) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (; s != NULL && *s != '\0'; s++) {
        if (*s == '<' || *s == '>' || *s == '&' || *s == '"') {
            tg_sb_addf(&sb, "&#%d;", *s);
        } else {
            tg_sb_addc(&sb, *s);
        }
    }
    return sb.data != NULL ? sb.data : "";
}

/* The plot in user units: x log2 of FLOP a byte from -3 to 11, y log2 of GFLOP/s downwards from
 * `top`. */
enum { WIDTH = 860, HEIGHT = 420, LEFT = 60, BOTTOM = 40, DECADES_Y = 10 };
static const double X_FIRST = -3, X_LAST = 11;

typedef struct plot {
    double top; /* log2 of GFLOP/s */
} plot;

static double x_of(double intensity) {
    double v = fmin(fmax(log2(intensity), X_FIRST), X_LAST);
    return LEFT + (v - X_FIRST) / (X_LAST - X_FIRST) * (WIDTH - LEFT - 10);
}

static double y_of(const plot *p, double gflops) {
    double v = fmin(fmax(p->top - log2(fmax(gflops, 1e-6)), 0), DECADES_Y);
    return 10 + v / DECADES_Y * (HEIGHT - BOTTOM - 10);
}

static void axes(tg_sb *sb, const plot *p) {
    for (int e = (int)X_FIRST; e <= (int)X_LAST; e += 2) {
        double x = x_of(exp2(e));
        tg_sb_addf(sb,
                   "<line class=g x1=%.0f y1=10 x2=%.0f y2=%d /><text x=%.0f y=%d "
                   "text-anchor=middle>%g</text>",
                   x, x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 16, exp2(e));
    }
    for (int e = 0; e <= DECADES_Y; e += 2) {
        double gflops = exp2(floor(p->top) - e), y = y_of(p, gflops);
        tg_sb_addf(sb,
                   "<line class=g x1=%d y1=%.0f x2=%d y2=%.0f /><text x=%d y=%.0f "
                   "text-anchor=end>%.3g</text>",
                   LEFT, y, WIDTH - 10, y, LEFT - 6, y + 4, gflops);
    }
    tg_sb_addf(sb,
               "<text x=%d y=%d text-anchor=middle>FLOP a byte</text><text x=%d y=%d>GFLOP/s"
               "</text>",
               WIDTH / 2, HEIGHT - 4, 4, 22);
}

static void roofline(tool *t, tg_sb *sb, const bench_results *r, int threads) {
    tool_limits l = best_limits(r, threads);
    if (l.fma_gflops <= 0 || l.read_gbs <= 0) {
        return;
    }
    plot p = {.top = log2(l.fma_gflops) + 0.5};
    double ridge = l.fma_gflops / l.read_gbs, first = exp2(X_FIRST), last = exp2(X_LAST);
    tg_sb_addf(sb, "<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"roofline\">", WIDTH, HEIGHT);
    axes(sb, &p);
    tg_sb_addf(sb, "<path class=roof d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1f\"/>", x_of(first),
               y_of(&p, first * l.read_gbs), x_of(ridge), y_of(&p, l.fma_gflops), x_of(last),
               y_of(&p, l.fma_gflops));
    for (size_t i = 0; i < r->rows.count; i++) {
        const bench_result *w = &r->rows.data[i];
        if (w->threads != threads || w->flops <= 0 || w->bytes <= 0 || w->us <= 0) {
            continue;
        }
        tg_sb_addf(sb,
                   "<circle class=%s cx=%.1f cy=%.1f r=4><title>%s %s: %.1f %%</title></circle>",
                   w->times <= 0      ? "p"
                   : bench_at_goal(w) ? "p1"
                                      : "p0",
                   x_of(w->flops / w->bytes), y_of(&p, w->flops / w->us / 1e3), html(t, w->kernel),
                   html(t, w->shape), 100 * w->share);
    }
    tg_sb_add(sb, "</svg>\n");
}

static void cells_of_peers(tool *t, tg_sb *sb, const bench_result *w) {
    const bench_peer *best = bench_best_peer(w);
    if (best == NULL) {
        tg_sb_add(sb, "<td></td><td class=t>no peer</td>");
        return;
    }
    tg_sb_addf(sb, "<td class=%s>x%.2f</td><td class=t>", bench_ratio(w) < 1 ? "bad" : "ok",
               bench_ratio(w));
    for (int i = 0; i < w->n_peers; i++) {
        bool is = &w->peers[i] == best;
        tg_sb_addf(sb, "%s%s%s %.1f %%%s", i > 0 ? ", " : "", is ? "<b>" : "",
                   html(t, w->peers[i].name), 100 * w->share * w->us / w->peers[i].us,
                   is ? "</b>" : "");
    }
    tg_sb_add(sb, "</td>");
}

static void row_of(tool *t, tg_sb *sb, const bench_result *w) {
    tg_sb_addf(sb, "<tr><td>%s</td><td class=t>%s</td><td class=t>%s</td><td>%d</td>",
               html(t, w->work), html(t, w->kernel), html(t, w->shape), w->threads);
    if (strcmp(w->status, "PASS") != 0) {
        tg_sb_addf(sb, "<td class=\"t %s\" colspan=8>%s %s</td></tr>\n",
                   strcmp(w->status, "SKIP") == 0 ? "" : "bad", html(t, w->status),
                   html(t, w->detail));
        return;
    }
    tg_sb_addf(sb,
               "<td>%.1f</td><td>%.1f %s</td><td class=t><span class=bar><i style=\"width:%.0f%%\">"
               "</i></span> %.1f %% %c</td>",
               w->us, rate_of(w), unit_of(w), fmin(100, 100 * w->share), 100 * w->share,
               w->computes ? 'F' : 'D');
    if (w->times > 0) {
        tg_sb_addf(sb, "<td class=%s>", bench_at_goal(w) ? "ok" : "bad");
        if (w->goal > 0) {
            tg_sb_addf(sb, "%.0f %%", 100 * w->goal);
        } else {
            tg_sb_addf(sb, "x%g", w->times);
        }
        tg_sb_add(sb, "</td>");
    } else {
        tg_sb_add(sb, "<td></td>");
    }
    cells_of_peers(t, sb, w);
    tg_sb_addf(sb, "<td class=t>%s</td><td>%.0f</td></tr>\n", html(t, w->limits.instructions),
               w->compile_ms);
}

static const char head[] =
    "<!doctype html><html lang=en><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width\"><title>Tegula: benchmark</title><style>"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:100rem;margin:2rem auto;padding:0 "
    "1rem;color:#1c2430}table{border-collapse:collapse}th,td{padding:.2rem .6rem;border-bottom:1px "
    "solid #dde3ea;text-align:right}td.t,th.t,td:first-child,th:first-child{text-align:left}"
    ".bad{color:#b00020;font-weight:600}.ok{color:#0a6b3d}.bar{background:#e8edf2;height:.7rem;"
    "width:7rem;display:inline-block;vertical-align:middle}.bar i{display:block;height:100%;"
    "background:#2b6cb0}svg{max-width:54rem;display:block;font:11px system-ui}.g{stroke:#e3e8ee}"
    ".roof{fill:none;stroke:#1c2430;stroke-width:2}.p{fill:#8a98a8}.p1{fill:#0a6b3d}"
    ".p0{fill:#b00020}</style>";

bool bench_html(tool *t, const bench_results *r, const char *path) {
    tg_sb sb;
    int counts[MOST_COUNTS], n = thread_counts(r, counts, MOST_COUNTS);
    tg_sb_init(&sb, &t->arena);
    tg_sb_addf(&sb, "%s<h1>Benchmark</h1><p>%s</p>", head, html(t, r->processor));
    tg_sb_add(&sb, "<p>F: the f32 FMA peak is the limit; D: the DRAM bandwidth is. Limits, Tegula "
                   "and peers were measured beside each other in every row's own rounds; peers are "
                   "in % of the same limit.</p>");
    for (int i = 0; i < n; i++) {
        tg_sb_addf(&sb, "<p>%s</p>", html(t, summary_text(t, r, counts[i])));
        roofline(t, &sb, r, counts[i]);
    }
    tg_sb_add(&sb, "<table><tr><th>work</th><th class=t>kernel</th><th class=t>shape</th>"
                   "<th>threads</th><th>us</th><th>rate</th><th class=t>of the limit</th>"
                   "<th>goal</th><th>best peer</th><th class=t>peers, of the limit</th>"
                   "<th class=t>instructions</th><th>compile ms</th></tr>\n");
    for (size_t i = 0; i < r->rows.count; i++) {
        row_of(t, &sb, &r->rows.data[i]);
    }
    tg_sb_add(&sb, "</table>\n");
    return tool_write_file(t, path, sb.data, sb.len);
}
