/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the command: whole-file reads, atomic writes, imports, .npy arrays' carrier functions.
 */
#include "tools/tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SOURCE_BYTES = 16 << 20 };

const char *tool_read_file(tool *t, const char *path, size_t *out_bytes) {
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (f == NULL) {
        tool_error(t, TG_D_TOOL, "cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    char chunk[1 << 16];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        tg_sb_addn(&sb, chunk, n);
    }
    bool bad = ferror(f) != 0;
    int why = errno;
    if (f != stdin) {
        (void)fclose(f);
    }
    if (bad) {
        tool_error(t, TG_D_TOOL, "cannot read %s: %s", path, strerror(why));
        return NULL;
    }
    *out_bytes = sb.len;
    return sb.data;
}

bool tool_write_file(tool *t, const char *path, const void *data, size_t bytes) {
    if (strcmp(path, "-") == 0) {
        return fwrite(data, 1, bytes, stdout) == bytes && fflush(stdout) == 0;
    }
    /* Devices and pipes are written in place: renaming over them would replace them. */
    struct stat st;
    bool in_place = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    const char *target =
        in_place ? path : tg_arena_printf(&t->arena, "%s.tmp%ld", path, (long)getpid());
    FILE *f = fopen(target, "wb");
    bool ok = f != NULL && fwrite(data, 1, bytes, f) == bytes;
    ok = f != NULL && fclose(f) == 0 && ok;
    ok = ok && (in_place || rename(target, path) == 0);
    if (!ok) {
        tool_error(t, TG_D_TOOL, "cannot write %s: %s", path, strerror(errno));
        if (!in_place) {
            (void)remove(target);
        }
    }
    return ok;
}

const tg_source *tool_read_source(tool *t, const char *path) {
    size_t bytes;
    const char *text = tool_read_file(t, path, &bytes);
    if (text == NULL) {
        return NULL;
    }
    if (bytes > MAX_SOURCE_BYTES) {
        tool_error(t, TG_D_TOOL, "%s is larger than 16 MiB", path);
        return NULL;
    }
    tg_source *src = TG_NEW(&t->arena, tg_source);
    *src = (tg_source){.name = tg_arena_strdup(&t->arena, path), .text = text, .len = bytes};
    return src;
}

/* Imports are looked up beside the importing file; `.tg` is added when missing. */
const tg_source *tool_import(void *user, tg_arena *a, const char *path, const tg_source *from) {
    tool *t = user;
    size_t n = strlen(path);
    bool has_suffix = n > 3 && strcmp(path + n - 3, ".tg") == 0;
    const char *file = has_suffix ? path : tg_arena_printf(a, "%s.tg", path);
    const char *full = tg_path_beside(a, from->name, file);
    return access(full, R_OK) == 0 ? tool_read_source(t, full) : NULL;
}

int tool_import_text(void *user, const char *path, const char *from, const char **out_text,
                     size_t *out_bytes) {
    tool *t = user;
    tg_source importer = {.name = from};
    const tg_source *src = tool_import(t, &t->arena, path, &importer);
    if (src != NULL) {
        *out_text = src->text;
        *out_bytes = src->len;
    }
    return src != NULL;
}
