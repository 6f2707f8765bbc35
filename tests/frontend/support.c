/* SPDX-License-Identifier: Apache-2.0 */
/* See support.h. */
#include "support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tf_init(tf *t) {
    tg_env_init(&t->env, tg_allocator_default(), 0);
    t->env.oom = &t->oom;
    if (setjmp(t->oom) != 0) {
        abort(); /* no limit was set: the machine itself is out of memory */
    }
    tg_arena_init(&t->arena, &t->env);
    tg_sink_init(&t->sink, &t->arena);
}

void tf_fini(tf *t) { tg_arena_fini(&t->arena); }

char *tf_read(tf *t, const char *path, size_t *out_len) {
    char *name = tg_arena_printf(&t->arena, "%s/%s", TG_TEST_DIR, path);
    FILE *f = fopen(name, "rb");
    if (f == NULL) {
        return NULL;
    }
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_add(&sb, "");
    char buf[4096];
    for (size_t n; (n = fread(buf, 1, sizeof(buf), f)) > 0;) {
        tg_sb_addn(&sb, buf, n);
    }
    fclose(f);
    if (out_len != NULL) {
        *out_len = sb.len;
    }
    return sb.data;
}

tg_source *tf_source(tf *t, const char *name, const char *text) {
    tg_source *s = TG_NEW(&t->arena, tg_source);
    *s = (tg_source){name, text, strlen(text)};
    return s;
}

tg_file *tf_parse(tf *t, const char *text) {
    tg_strtab *names = TG_NEW(&t->arena, tg_strtab);
    tg_strtab_init(names, &t->arena);
    tg_parse_env env = {&t->arena, &t->sink, names};
    return tg_parse_file(&env, tf_source(t, "test.tg", text), "");
}

const char *tf_tree(tf *t, const char *text) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_add(&sb, "");
    tg_file *f = tf_parse(t, text);
    if (f->has_errors && t->sink.first != NULL) {
        tg_sb_init(&sb, &t->arena);
        tg_diag_render(&sb, t->sink.first);
        print_error("%s", sb.data);
    }
    assert_false(f->has_errors);
    tg_ast_print_file(f, &sb);
    return sb.data;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **tf_list(tf *t, const char *folder, int *out_n) {
    TG_LIST(char *) names = {0};
    DIR *d = opendir(tg_arena_printf(&t->arena, "%s/%s", TG_TEST_DIR, folder));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (n > 3 && strcmp(e->d_name + n - 3, ".tg") == 0) {
            TG_LIST_PUSH(&t->arena, &names, tg_arena_printf(&t->arena, "%s/%s", folder, e->d_name));
        }
    }
    closedir(d);
    qsort(names.data, names.count, sizeof(char *), by_name);
    *out_n = (int)names.count;
    return names.data;
}

const tg_source *tf_import(void *user, tg_arena *a, const char *path, const tg_source *from) {
    static const char *const files[][2] = {
        {"lib.tg",
         "fn twice(x) { return x * 2 }\nrecord Pair { a: f32; b: f32 }\nconst SEVEN = 7\n"},
        {"broken.tg", "fn f(x) { return }\n"},
        {"circle.tg", "import \"circle2.tg\"\n"},
        {"circle2.tg", "import \"circle.tg\"\n"},
    };
    (void)user;
    (void)from;
    for (size_t i = 0; i < TG_COUNT_OF(files); i++) {
        if (strcmp(files[i][0], path) == 0) {
            tg_source *s = TG_NEW(a, tg_source);
            *s = (tg_source){files[i][0], files[i][1], strlen(files[i][1])};
            return s;
        }
    }
    return NULL;
}
