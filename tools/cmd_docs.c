/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs: pages made from what is there. `docs catalogue` writes a page for every stock kernel and
 * op, with what its file says of it, its signature, cases and calls; `docs support` writes one
 * table from conformance reports (support.c). Nothing of the pages is written by hand, so nothing
 * gets old.
 */
#include <ctype.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <tegula/compiler.h>

#include "tools/commands.h"
#include "tools/report.h"
#include "tools/support.h"

/* ---- a kernel's text --------------------------------------------------------------------------
 */

typedef struct lines {
    const char *text;
    TG_LIST(const char *) at; /* beginning of each line */
} lines;

static void split(tool *t, const char *text, lines *out) {
    *out = (lines){.text = text};
    for (const char *p = text; *p != '\0'; p += *p == '\n') {
        TG_LIST_PUSH(&t->arena, &out->at, p);
        p += strcspn(p, "\n");
    }
}

static const char *line(tool *t, const lines *l, size_t i) {
    return tg_arena_strndup(&t->arena, l->at.data[i], strcspn(l->at.data[i], "\n"));
}

static size_t line_of(const lines *l, size_t offset) {
    size_t i = 0;
    while (i + 1 < l->at.count && (size_t)(l->at.data[i + 1] - l->text) <= offset) {
        i++;
    }
    return i;
}

static bool is_comment(const lines *l, size_t i) { return strncmp(l->at.data[i], "//", 2) == 0; }

/* Comment lines [from, to) without their slashes. */
static void add_comment(tool *t, tg_sb *sb, const lines *l, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        const char *s = line(t, l, i) + 2;
        if (strstr(s, "SPDX") == NULL) {
            tg_sb_addf(sb, "%s\n", s + (*s == ' '));
        }
    }
}

/* The signature: from the declaration to the brace that opens the body. */
static size_t add_signature(tool *t, tg_sb *sb, const lines *l, size_t from) {
    size_t i = from;
    for (; i < l->at.count && l->at.data[i][0] != '{'; i++) {
        const char *s = line(t, l, i);
        size_t n = strlen(s);
        bool opens = n > 1 && s[n - 1] == '{';
        tg_sb_addf(sb, "%.*s\n", (int)(opens ? n - 2 : n), s);
        if (opens) {
            return i;
        }
    }
    return i;
}

/* Lines of the body that are neither empty nor a comment. */
static int body_lines(const lines *l, size_t from, size_t open) {
    int n = 0;
    for (size_t i = from; i < l->at.count; i++) {
        const char *s = l->at.data[i] + strspn(l->at.data[i], " ");
        n += *s != '\n' && *s != '\0' && strncmp(s, "//", 2) != 0;
        if (i > open && l->at.data[i][0] == '}') {
            break;
        }
        if (i == open && strchr(s, '}') != NULL && strcspn(s, "}") < strcspn(s, "\n") &&
            l->at.data[i][0] == '{') {
            break;
        }
    }
    return n;
}

/* ---- the call from C --------------------------------------------------------------------------
 */

static void add_dim(tg_sb *sb, const tool_kernel *k, const tg_dim *d) {
    static const char *const infix[] = {[TG_DIM_ADD] = "+",
                                        [TG_DIM_SUB] = "-",
                                        [TG_DIM_MUL] = "*",
                                        [TG_DIM_DIV] = "/",
                                        [TG_DIM_MOD] = "%"};
    if (d->code == TG_DIM_CONST) {
        tg_sb_addf(sb, "%lld", (long long)d->value);
    } else if (d->code == TG_DIM_SYM) {
        tg_sb_add(sb, k->sym_names[d->value].name);
    } else if (d->code == TG_DIM_CDIV) {
        tg_sb_add(sb, "(");
        add_dim(sb, k, d->a);
        tg_sb_add(sb, " + ");
        add_dim(sb, k, d->b);
        tg_sb_add(sb, " - 1) / ");
        add_dim(sb, k, d->b);
    } else if (d->code <= TG_DIM_MOD) {
        bool sum = d->code == TG_DIM_ADD || d->code == TG_DIM_SUB;
        tg_sb_add(sb, sum ? "(" : "");
        add_dim(sb, k, d->a);
        tg_sb_addf(sb, " %s ", infix[d->code]);
        add_dim(sb, k, d->b);
        tg_sb_add(sb, sum ? ")" : "");
    } else {
        tg_sb_addf(sb, "%lld", (long long)tg_dim_eval(d, k->syms));
    }
}

static const char *dtype_enum(tool *t, tg_dtype d) {
    char *name = tg_arena_printf(&t->arena, "TG_DT_%s", tg_dtype_name(d));
    for (char *p = name; *p != '\0'; p++) {
        *p = (char)toupper((unsigned char)*p);
    }
    return name;
}

static const char *c_scalar(tg_dtype d) {
    return d == TG_DT_F32   ? "float"
           : d == TG_DT_F64 ? "double"
           : d == TG_DT_I64 ? "int64_t"
           : d == TG_DT_I32 ? "int32_t"
                            : "uint64_t";
}

static void add_c_arg(tool *t, tg_sb *sb, const tool_kernel *k, const tool_array *a) {
    if (a->rank > 0) {
        bool out = tool_array_is_output(a);
        tg_sb_addf(sb, "        tgr_arg_tensor(%s%s, %s, %d, (int64_t[]){", out ? "" : "(void *)",
                   a->name, dtype_enum(t, a->dtype), a->rank);
        for (int d = 0; d < a->rank; d++) {
            tg_sb_add(sb, d > 0 ? ", " : "");
            add_dim(sb, k, a->param->type->dims[d]);
        }
        tg_sb_add(sb, "}),\n");
    } else if (a->dtype == TG_DT_F32 || a->dtype == TG_DT_F64 || a->dtype == TG_DT_I32 ||
               a->dtype == TG_DT_I64) {
        tg_sb_addf(sb, "        tgr_arg_%s(%s),\n", tg_dtype_name(a->dtype), a->name);
    } else {
        tg_sb_addf(sb, "        tgr_arg_bits(%s, %s),\n", dtype_enum(t, a->dtype), a->name);
    }
}

static void add_c(tool *t, tg_sb *sb, const tool_kernel *k) {
    tg_sb_addf(sb,
               "```c\n#include <tegula/tegula.h>\n\ntgr_status call_%s(tgr_queue *queue, "
               "tgr_module *module",
               k->name);
    for (int i = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i];
        if (a->rank == 0) {
            tg_sb_addf(sb, ", %s %s", c_scalar(a->dtype), a->name);
        } else {
            tg_sb_addf(sb, ", %svoid *%s", tool_array_is_output(a) ? "" : "const ", a->name);
        }
    }
    for (int i = 0; i < k->n_syms; i++) {
        tg_sb_addf(sb, ", int64_t %s", k->sym_names[i].name);
    }
    tg_sb_addf(sb, ") {\n    tgr_arg args[] = {\n");
    for (int i = 0; i < k->n_args; i++) {
        add_c_arg(t, sb, k, &k->args[i]);
    }
    tg_sb_add(sb, "    };\n");
    if (k->n_syms > 0) {
        tg_sb_add(sb, "    tgr_dim_value dims[] = {");
        for (int i = 0; i < k->n_syms; i++) {
            tg_sb_addf(sb, "%s{.name = \"%s\", .value = %s}", i > 0 ? ", " : "",
                       k->sym_names[i].name, k->sym_names[i].name);
        }
        tg_sb_add(sb, "};\n");
    }
    tg_sb_add(sb, "    tgr_kernel *kernel;\n"
                  "    tgr_launch_options options = TGR_INIT(tgr_launch_options);\n");
    if (k->n_syms > 0) {
        tg_sb_addf(sb, "    options.dims = dims;\n    options.n_dims = %d;\n", k->n_syms);
    }
    tg_sb_addf(sb,
               "    tgr_status st = tgr_module_find(module, \"%s\", NULL, 0, &kernel);\n"
               "    return st ? st : tgr_launch(queue, kernel, args, %d, &options);\n}\n```\n",
               k->name, k->n_args);
}

/* ---- one page ---------------------------------------------------------------------------------
 */

typedef struct catalogue {
    const char *dir, *out;
    tg_sb index;
    const char *family; /* of the page before */
    TG_LIST(const char *) names;
    int pages, lines;
    bool ok;
} catalogue;

static const tg_case *first_case(const tg_program *p, const char *kernel) {
    for (int i = 0; i < tg_program_n_cases(p); i++) {
        const tg_case *c = tg_program_case(p, i);
        if (!c->is_bench && strcmp(c->kernel, kernel) == 0) {
            return c;
        }
    }
    return NULL;
}

/* The settings that the compiler needs: all but the extents. */
static void add_settings(tg_sb *sb, const tg_case *c, const tg_kernel_info *info, bool all) {
    for (int s = 0; s < c->n_settings; s++) {
        bool compile = all;
        for (int i = 0; i < info->n_compile; i++) {
            compile = compile || strcmp(info->compile_names[i], c->settings[s].name) == 0;
        }
        if (compile) {
            tg_sb_addf(sb, " --set %s=%s", c->settings[s].name, c->settings[s].value);
        }
    }
}

static void add_calls(tool *t, tg_sb *sb, catalogue *g, tg_program *p, const char *file,
                      const tg_kernel_info *info) {
    const tg_case *c = first_case(p, info->name);
    tool_kernel k;
    if (c == NULL) {
        tg_sb_add(sb, "It has no case of its own.\n");
        return;
    }
    tg_sb_addf(sb, "## From the command\n\n```\ntegula run   kernels/%s --kernel %s", file,
               info->name);
    add_settings(sb, c, info, true);
    tg_sb_addf(sb, " --check\ntegula build kernels/%s --kernel %s", file, info->name);
    add_settings(sb, c, info, false);
    tg_sb_addf(sb, " -o %s.tgp\n```\n\n## From C\n\n", info->name);
    g->ok = tool_kernel_make(t, p, info->name, c->settings, c->n_settings, NULL, &k) && g->ok;
    if (g->ok) {
        tg_sb_addf(
            sb, "Element types as in the first case; `module` is the package built above.%s\n\n",
            info->is_op ? " `tgr_kernel_workspace` says how much memory its temporaries need; "
                          "without a workspace of the host the queue keeps some."
                        : "");
        add_c(t, sb, &k);
    }
}

static void write_page(tool *t, catalogue *g, tg_program *p, const char *file, const lines *l,
                       const tg_kernel_info *info) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    size_t at = line_of(l, info->span.begin), from = at, head = 0;
    while (from > 0 && is_comment(l, from - 1)) {
        from--;
    }
    while (head < l->at.count && is_comment(l, head)) {
        head++;
    }
    tg_sb_addf(&sb, "# %s\n\n%s of [kernels/%s](../../kernels/%s#L%zu)", info->name,
               info->is_op ? "Op" : "Kernel", file, file, at + 1);
    tg_sb signature;
    tg_sb_init(&signature, &t->arena);
    size_t open = add_signature(t, &signature, l, at);
    tg_sb_addf(&sb, ", %d lines.\n\n", body_lines(l, at, open));
    add_comment(t, &sb, l, 0, head);
    if (from < at && from >= head) {
        tg_sb_add(&sb, "\n");
        add_comment(t, &sb, l, from, at);
    }
    tg_sb_addf(&sb, "\n```\n%s```\n\n", signature.data);
    tg_sb_add(&sb, "## Shapes\n\n```\n");
    for (size_t i = 0; i < l->at.count; i++) {
        const char *s = line(t, l, i);
        size_t word = strcspn(s, " ");
        bool shape = strncmp(s, "case ", 5) == 0 || strncmp(s, "bench ", 6) == 0;
        size_t n = strlen(info->name);
        const char *name = s + word + strspn(s + word, " ");
        if (shape && strncmp(name, info->name, n) == 0 && (name[n] == ' ' || name[n] == '\0')) {
            tg_sb_addf(&sb, "%s\n", s);
        }
    }
    tg_sb_add(&sb, "```\n\n");
    add_calls(t, &sb, g, p, file, info);
    const char *path = tg_arena_printf(&t->arena, "%s/%s.md", g->out, info->name);
    g->ok = tool_write_file(t, path, sb.data, sb.len) && g->ok;
    g->pages++;
}

/* Lines of a file that are program: not empty, no comment, no case, bench or schedule. */
static int program_lines(tool *t, const lines *l) {
    static const char *const not_counted[] = {"//", "case ", "bench ", "schedule ", "instantiate "};
    int n = 0;
    for (size_t i = 0; i < l->at.count; i++) {
        const char *s = line(t, l, i);
        s += strspn(s, " ");
        bool counts = *s != '\0';
        for (size_t w = 0; w < TG_COUNT_OF(not_counted); w++) {
            counts = counts && strncmp(s, not_counted[w], strlen(not_counted[w])) != 0;
        }
        n += counts;
    }
    return n;
}

/* What the comment above a declaration says first. */
static const char *first_sentence(tool *t, const lines *l, size_t at) {
    size_t from = at;
    while (from > 0 && is_comment(l, from - 1)) {
        from--;
    }
    if (from == at) {
        return "";
    }
    char *s = tg_arena_strdup(&t->arena, line(t, l, from) + 2);
    for (char *p = s; *p != '\0'; p++) {
        *p = *p == '|' ? '/' : *p;
    }
    return s + (*s == ' ');
}

/* One name is one kernel: references are found by it. */
static void take_name(tool *t, catalogue *g, const char *name) {
    for (size_t i = 0; i < g->names.count; i++) {
        if (strcmp(g->names.data[i], name) == 0) {
            tool_error(t, TG_D_TOOL, "two stock kernels are called %s", name);
            g->ok = false;
        }
    }
    TG_LIST_PUSH(&t->arena, &g->names, name);
}

static void begin_family(tool *t, catalogue *g, const char *file) {
    const char *slash = strchr(file, '/');
    const char *family =
        tg_arena_strndup(&t->arena, file, slash != NULL ? (size_t)(slash - file) : 0);
    if (g->family == NULL || strcmp(family, g->family) != 0) {
        tg_sb_addf(&g->index, "\n## %s\n\n| kernel | | lines |\n|---|---|---|\n", family);
        g->family = family;
    }
}

static void add_to_index(tool *t, catalogue *g, const lines *l, const tg_kernel_info *info) {
    size_t at = line_of(l, info->span.begin);
    tg_sb none;
    tg_sb_init(&none, &t->arena);
    tg_sb_addf(&g->index, "| [%s](%s.md)%s | %s | %d |\n", info->name, info->name,
               info->is_op ? " (op)" : "", first_sentence(t, l, at),
               body_lines(l, at, add_signature(t, &none, l, at)));
}

static void visit(tool *t, void *user, const char *path) {
    catalogue *g = user;
    tg_program *p = tool_load_program(t, path);
    size_t bytes;
    const char *text = p != NULL ? tool_read_file(t, path, &bytes) : NULL;
    const char *file = path + strlen(g->dir) + 1;
    lines l;
    if (text == NULL) {
        g->ok = false;
        return;
    }
    split(t, text, &l);
    g->lines += program_lines(t, &l);
    for (int i = 0; i < tg_program_n_kernels(p); i++) {
        tg_kernel_info info = tg_program_kernel(p, i);
        if (first_case(p, info.name) != NULL) {
            take_name(t, g, info.name);
            begin_family(t, g, file);
            add_to_index(t, g, &l, &info);
            write_page(t, g, p, file, &l, &info);
        }
    }
}

static int make_catalogue(tool *t, const char *out) {
    catalogue g = {.dir = TEGULA_KERNELS_DIR, .out = out, .ok = true};
    tg_sb_init(&g.index, &t->arena);
    tg_sb_add(&g.index,
              "# The stock kernels\n\nA page for each, made by `tegula docs catalogue`. Lines: "
              "signature and body, without comments.\n");
    (void)mkdir(out, 0777); /* writing tells when it is not there */
    (void)tool_each_kernel_file(t, g.dir, visit, &g);
    tg_sb_addf(&g.index,
               "\n%d kernels and ops in %d lines, shared functions and records among them.\n",
               g.pages, g.lines);
    const char *path = tg_arena_printf(&t->arena, "%s/README.md", out);
    g.ok = tool_write_file(t, path, g.index.data, g.index.len) && g.ok;
    if (g.ok) {
        (void)printf("%d pages in %s\n", g.pages, out);
    }
    return g.ok && g.pages > 0 ? TOOL_OK : TOOL_FAILED;
}

int cmd_docs(tool *t, int argc, char **argv) {
    static const struct option options[] = {{"out", required_argument, NULL, 'o'}, {0}};
    const char *out = NULL;
    int c;
    while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
        if (c != 'o') {
            return TOOL_USAGE;
        }
        out = optarg;
    }
    bool pages = optind < argc && strcmp(argv[optind], "catalogue") == 0;
    bool table = optind < argc && strcmp(argv[optind], "support") == 0;
    if (out == NULL || !(pages || table) || (pages && optind + 1 != argc) ||
        (table && optind + 1 == argc)) {
        return TOOL_USAGE;
    }
    return pages ? make_catalogue(t, out)
                 : tool_make_support(t, out, argv + optind + 1, argc - optind - 1);
}
