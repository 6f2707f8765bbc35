/* SPDX-License-Identifier: Apache-2.0 */
/* hsaco_link OBJECT OUT: the writer of code objects as a command, for objects of other compilers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "backends/backend.h"

static unsigned char *read_all(const char *path, size_t *n) {
    enum { MOST = 1 << 24 };
    FILE *f = fopen(path, "rb");
    unsigned char *bytes = malloc(MOST);
    *n = f != NULL && bytes != NULL ? fread(bytes, 1, MOST, f) : 0;
    if (f != NULL) {
        (void)fclose(f);
    }
    return bytes;
}

int main(int argc, char **argv) {
    tg_env env;
    tg_arena arena;
    tg_sink sink;
    jmp_buf oom;
    const unsigned char *out = NULL;
    size_t n = 0, n_out = 0;
    if (argc != 3) {
        return 2;
    }
    unsigned char *obj = read_all(argv[1], &n);
    tg_env_init(&env, tg_allocator_default(), (size_t)256 << 20);
    if (TG_ENV_GUARD(&env, oom)) {
        return 1;
    }
    tg_arena_init(&arena, &env);
    tg_sink_init(&sink, &arena);
    tg_status st = tg_hsaco_link(obj, n, &arena, &sink, &out, &n_out);
    if (st != TG_OK) {
        (void)fprintf(stderr, "%s\n", sink.first != NULL ? sink.first->text : "failed");
    }
    FILE *f = st == TG_OK ? fopen(argv[2], "wb") : NULL;
    bool ok = f != NULL && fwrite(out, 1, n_out, f) == n_out && fclose(f) == 0;
    tg_arena_fini(&arena);
    free(obj);
    return ok ? 0 : 1;
}
