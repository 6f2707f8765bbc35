/* SPDX-License-Identifier: Apache-2.0 */
/* The store of tuned schedules: see tuning.h. */
#include "tools/tuning.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <tegula/tegula.h>

static const char TEXT_HEAD[] = "tegula tuned schedules 1";
static const char SCHEMA[] =
    "PRAGMA user_version = 1;"
    "CREATE TABLE IF NOT EXISTS tuned (machine TEXT NOT NULL, kernel TEXT NOT NULL,"
    " shape TEXT NOT NULL, source TEXT NOT NULL, settings TEXT NOT NULL, seconds REAL NOT NULL,"
    " default_seconds REAL NOT NULL, PRIMARY KEY (machine, kernel, shape, source))";
enum { BUSY_MS = 5000, TEXT_FIELDS = 7, EXACT_DIM = 16 };

struct tuning {
    sqlite3 *db;
    const char *path;
};

/* ---- the file ----------------------------------------------------------------------------------
 */

static bool failed(tool *t, const tuning *d, const char *what) {
    tool_error(t, TG_D_TOOL, "%s: %s: %s", d->path, what,
               d->db != NULL ? sqlite3_errmsg(d->db) : "out of memory");
    return false;
}

static const char *default_path(tool *t) {
    const char *env = getenv("TEGULA_TUNING");
    if (env != NULL && *env != '\0') {
        return env;
    }
    tgr_context *context = NULL;
    tgr_cache *cache = NULL;
    const char *path = NULL;
    if (tgr_context_create(NULL, &context) == TGR_OK &&
        tgr_cache_open(context, NULL, 0, &cache) == TGR_OK && *tgr_cache_dir(cache) != '\0') {
        path = tg_arena_printf(&t->arena, "%s/tuning.sqlite", tgr_cache_dir(cache));
    }
    tgr_cache_release(cache);
    tgr_context_release(context);
    return path;
}

tuning *tuning_open(tool *t, const char *path, bool read_only) {
    tuning *d = TG_NEW(&t->arena, tuning);
    d->path = path != NULL ? path : default_path(t);
    if (d->path == NULL) {
        tool_error(t, TG_D_TOOL, "there is no folder for tuned schedules: name a file (--db)");
        return NULL;
    }
    bool none = read_only && access(d->path, F_OK) != 0; /* nothing was tuned yet */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    bool ok =
        sqlite3_open_v2(none ? ":memory:" : d->path, &d->db,
                        read_only && !none ? SQLITE_OPEN_READONLY : flags, NULL) == SQLITE_OK &&
        sqlite3_busy_timeout(d->db, BUSY_MS) == SQLITE_OK &&
        ((read_only && !none) || sqlite3_exec(d->db, SCHEMA, NULL, NULL, NULL) == SQLITE_OK);
    if (!ok) {
        failed(t, d, "no tuning database can be opened");
        tuning_close(d);
        return NULL;
    }
    return d;
}

void tuning_close(tuning *d) {
    if (d != NULL) {
        (void)sqlite3_close(d->db);
        d->db = NULL;
    }
}

const char *tuning_path(const tuning *d) { return d->path; }

/* A statement with its texts bound; NULL after reporting. */
static sqlite3_stmt *prepared(tool *t, tuning *d, const char *sql, const char *const *texts,
                              int n) {
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) == SQLITE_OK;
    for (int i = 0; ok && i < n; i++) {
        ok = sqlite3_bind_text(s, i + 1, texts[i], -1, SQLITE_STATIC) == SQLITE_OK;
    }
    if (!ok) {
        failed(t, d, "the tuning database cannot be used");
        (void)sqlite3_finalize(s);
        return NULL;
    }
    return s;
}

bool tuning_put(tool *t, tuning *d, const tuning_entry *e) {
    const char *const texts[] = {e->machine, e->kernel, e->shape, e->source, e->settings};
    sqlite3_stmt *s = prepared(t, d, "INSERT OR REPLACE INTO tuned VALUES (?, ?, ?, ?, ?, ?, ?)",
                               texts, TG_COUNT_OF(texts));
    bool ok = s != NULL && sqlite3_bind_double(s, 6, e->seconds) == SQLITE_OK &&
              sqlite3_bind_double(s, 7, e->default_seconds) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_DONE;
    if (s != NULL && !ok) {
        failed(t, d, "an entry cannot be written");
    }
    (void)sqlite3_finalize(s);
    return ok;
}

static const char *text_of(tool *t, sqlite3_stmt *s, int column) {
    const unsigned char *text = sqlite3_column_text(s, column);
    return text != NULL ? tg_arena_strdup(&t->arena, (const char *)text) : "";
}

static tuning_entry entry_of(tool *t, sqlite3_stmt *s) {
    return (tuning_entry){.machine = text_of(t, s, 0),
                          .kernel = text_of(t, s, 1),
                          .shape = text_of(t, s, 2),
                          .source = text_of(t, s, 3),
                          .settings = text_of(t, s, 4),
                          .seconds = sqlite3_column_double(s, 5),
                          .default_seconds = sqlite3_column_double(s, 6)};
}

bool tuning_find(tool *t, tuning *d, const char *machine, const char *kernel, const char *shape,
                 const char *source, tuning_entry *out) {
    const char *const texts[] = {machine, kernel, shape, source};
    sqlite3_stmt *s = prepared(
        t, d, "SELECT * FROM tuned WHERE machine = ? AND kernel = ? AND shape = ? AND source = ?",
        texts, TG_COUNT_OF(texts));
    int rc = s != NULL ? sqlite3_step(s) : SQLITE_DONE;
    if (rc == SQLITE_ROW) {
        *out = entry_of(t, s);
    } else if (rc != SQLITE_DONE) {
        failed(t, d, "the tuning database cannot be read");
    }
    (void)sqlite3_finalize(s);
    return rc == SQLITE_ROW;
}

bool tuning_each(tool *t, tuning *d, void (*fn)(tool *t, void *user, const tuning_entry *e),
                 void *user) {
    sqlite3_stmt *s =
        prepared(t, d, "SELECT * FROM tuned ORDER BY machine, kernel, shape, source", NULL, 0);
    int rc = s != NULL ? SQLITE_ROW : SQLITE_ERROR;
    while (s != NULL && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        tuning_entry e = entry_of(t, s);
        fn(t, user, &e);
    }
    if (s != NULL && rc != SQLITE_DONE) {
        failed(t, d, "the tuning database cannot be read");
    }
    (void)sqlite3_finalize(s);
    return rc == SQLITE_DONE;
}

/* ---- the text form -----------------------------------------------------------------------------
 */

static void add_line(tool *t, void *user, const tuning_entry *e) {
    (void)t;
    tg_sb_addf(user, "%s\t%s\t%s\t%s\t%s\t%.9g\t%.9g\n", e->machine, e->kernel, e->shape, e->source,
               e->settings, e->seconds, e->default_seconds);
}

bool tuning_export(tool *t, tuning *d, const char *path) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_addf(&sb, "%s\n", TEXT_HEAD);
    return tuning_each(t, d, add_line, &sb) && tool_write_file(t, path, sb.data, sb.len);
}

/* The next line, ended by NUL in place; *p goes on after it. NULL at the end. */
static char *next_line(char **p) {
    char *line = *p;
    if (*line == '\0') {
        return NULL;
    }
    size_t n = strcspn(line, "\n");
    *p = line + n + (line[n] == '\n');
    line[n] = '\0';
    return line;
}

static bool parse_number(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= 0;
}

static bool parse_line(char *line, tuning_entry *out) {
    char *field[TEXT_FIELDS];
    for (int i = 0; i < TEXT_FIELDS; i++) {
        field[i] = line;
        size_t n = strcspn(line, "\t");
        if ((line[n] == '\t') != (i + 1 < TEXT_FIELDS)) {
            return false;
        }
        line[n] = '\0';
        line += n + 1;
    }
    *out = (tuning_entry){.machine = field[0],
                          .kernel = field[1],
                          .shape = field[2],
                          .source = field[3],
                          .settings = field[4]};
    return *field[0] != '\0' && *field[1] != '\0' && parse_number(field[5], &out->seconds) &&
           parse_number(field[6], &out->default_seconds);
}

typedef TG_LIST(tuning_entry) entry_list;

static bool read_text(tool *t, const char *path, entry_list *out) {
    size_t bytes;
    const char *text = tool_read_file(t, path, &bytes);
    if (text == NULL) {
        return false;
    }
    char *at = tg_arena_strndup(&t->arena, text, bytes), *line = next_line(&at);
    if (line == NULL || strcmp(line, TEXT_HEAD) != 0) {
        tool_error(t, TG_D_TOOL, "%s is no list of tuned schedules: its first line is not `%s`",
                   path, TEXT_HEAD);
        return false;
    }
    for (int n = 2; (line = next_line(&at)) != NULL; n++) {
        tuning_entry e;
        if (!parse_line(line, &e)) {
            tool_error(t, TG_D_TOOL, "%s:%d: not an entry of tuned schedules", path, n);
            return false;
        }
        TG_LIST_PUSH(&t->arena, out, e);
    }
    return true;
}

bool tuning_import(tool *t, tuning *d, const char *path, int *out_entries) {
    entry_list list = {0};
    *out_entries = 0;
    if (!read_text(t, path, &list)) {
        return false;
    }
    bool ok = sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    ok = ok || failed(t, d, "no entry can be written");
    for (size_t i = 0; ok && i < list.count; i++) {
        ok = tuning_put(t, d, &list.data[i]);
    }
    if (sqlite3_exec(d->db, ok ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK && ok) {
        ok = failed(t, d, "the entries cannot be written");
    }
    *out_entries = ok ? (int)list.count : 0;
    return ok;
}

bool tuning_find_in_text(tool *t, const char *path, const tuning_entry *key, tuning_entry *out) {
    entry_list list = {0};
    if (!read_text(t, path, &list)) {
        return false;
    }
    for (size_t i = 0; i < list.count; i++) {
        const tuning_entry *e = &list.data[i];
        if (strcmp(e->machine, key->machine) == 0 && strcmp(e->kernel, key->kernel) == 0 &&
            strcmp(e->shape, key->shape) == 0 && strcmp(e->source, key->source) == 0) {
            *out = *e;
            return true;
        }
    }
    return false;
}

/* ---- keys --------------------------------------------------------------------------------------
 */

static bool is_tune(tg_program *p, const char *kernel, const char *name) {
    for (int i = 0; i < tg_program_n_tunes(p, kernel); i++) {
        if (strcmp(tg_program_tune(p, kernel, i).name, name) == 0) {
            return true;
        }
    }
    return strncmp(name, "schedule.", 9) == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const tg_setting *)a)->name, ((const tg_setting *)b)->name);
}

static bool is_runtime_dim(const tool_kernel *k, const char *name, int64_t *out) {
    for (int i = 0; i < k->n_syms; i++) {
        if (strcmp(k->sym_names[i].name, name) == 0) {
            *out = k->syms[i];
            return true;
        }
    }
    return false;
}

const char *tuning_shape(tool *t, tg_program *p, const tool_kernel *k, const tg_setting *settings,
                         int n) {
    tg_setting *sorted = TG_NEW_ARRAY(&t->arena, tg_setting, n + 1);
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    for (int i = 0; i < n; i++) {
        sorted[i] = settings[i];
    }
    qsort(sorted, (size_t)n, sizeof *sorted, by_name);
    for (int i = 0; i < n; i++) {
        int64_t dim, top = 1;
        if (is_tune(p, k->name, sorted[i].name)) {
            continue;
        }
        tg_sb_addf(&sb, "%s%s=", sb.len > 0 ? " " : "", sorted[i].name);
        if (is_runtime_dim(k, sorted[i].name, &dim) && dim > EXACT_DIM) {
            while (top < dim && top <= INT64_MAX / 2) {
                top *= 2;
            }
            tg_sb_addf(&sb, "<%lld", (long long)top);
        } else {
            tg_sb_add(&sb, sorted[i].value);
        }
    }
    return sb.len > 0 ? sb.data : "";
}

const char *tuning_source(tool *t, const tool_kernel *k) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_func_print(&sb, k->func);
    return tg_arena_printf(&t->arena, "%016llx", (unsigned long long)XXH3_64bits(sb.data, sb.len));
}

/* "BM=64 BN=128" as settings behind the n given ones. */
static const tg_setting *append(tool *t, const tg_setting *settings, int n, const char *more,
                                int *out_n) {
    TG_LIST(tg_setting) all = {0};
    for (int i = 0; i < n; i++) {
        TG_LIST_PUSH(&t->arena, &all, settings[i]);
    }
    for (const char *p = more; *p != '\0';) {
        size_t len = strcspn(p, " ");
        tg_setting s;
        if (len > 0 && !tool_parse_setting(t, tg_arena_strndup(&t->arena, p, len), &s)) {
            return NULL;
        }
        if (len > 0) {
            TG_LIST_PUSH(&t->arena, &all, s);
        }
        p += len + (p[len] == ' ');
    }
    *out_n = (int)all.count;
    return all.data;
}

const tg_setting *tuning_apply(tool *t, tuning *d, const char *machine, tg_program *p,
                               const tool_kernel *k, const tg_setting *settings, int n,
                               int *out_n) {
    *out_n = n;
    if (k->func == NULL) { /* an op's kernels have no tunes to set from outside */
        return settings;
    }
    for (int i = 0; i < n; i++) {
        if (is_tune(p, k->name, settings[i].name)) {
            return settings; /* who sets one means it */
        }
    }
    tuning_entry key = {.machine = machine,
                        .kernel = k->name,
                        .shape = tuning_shape(t, p, k, settings, n),
                        .source = tuning_source(t, k)};
    tuning_entry e;
    bool found = d != NULL && tuning_find(t, d, machine, k->name, key.shape, key.source, &e);
    found = found || tuning_find_in_text(t, TEGULA_KERNELS_DIR "/tuned.txt", &key, &e);
    const tg_setting *all = found ? append(t, settings, n, e.settings, out_n) : NULL;
    return all != NULL ? all : settings;
}
