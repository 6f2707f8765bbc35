/* SPDX-License-Identifier: Apache-2.0 */
/* place_print FILE.tg KERNEL MACHINE [PASSES] [NAME=VALUE...]: prints the placed function. */
#include "backends/place/place.h"
#include "backends/place/walk.h"
#include "tests/place/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    place_test t;
    tg_setting settings[64];
    int n = 0, at = 4;
    size_t passes = tg_place_pipeline_count;
    if (argc < 4) {
        (void)fprintf(stderr, "place_print FILE.tg KERNEL MACHINE [PASSES] [NAME=VALUE...]\n");
        return 2;
    }
    if (at < argc && strchr(argv[at], '=') == NULL) {
        passes = (size_t)strtoul(argv[at++], NULL, 10);
    }
    for (; at < argc && n < 64; at++) {
        char *eq = strchr(argv[at], '=');
        if (eq != NULL) {
            *eq = '\0';
            settings[n++] = (tg_setting){.name = argv[at], .value = eq + 1};
        }
    }
    place_test_init(&t);
    const tg_source *src = place_test_read(&t, argv[1]);
    const tg_machine *machine = tg_machine_find(argv[3]);
    if (strcmp(argv[3], "two-roles") == 0) {
        machine = place_test_two_roles();
    }
    tg_program *p = src == NULL ? NULL : place_test_program(&t, src);
    tg_module *m = tg_module_make(&t.arena), *out = tg_module_make(&t.arena);
    tg_func *f = NULL;
    int rc = 1;
    if (p != NULL && machine != NULL &&
        tg_program_specialise(p, argv[2], settings, n, NULL, m, &f) == TG_OK && f != NULL) {
        place_test_optimise(&t, f);
        rc = tg_place_prefix(f, machine, passes, out, &t.sink) == TG_OK ? 0 : 1;
        tg_op *where;
        int64_t bytes = tg_place_pressure(out->first_func, &t.arena, &where);
        (void)fputs(place_test_print(&t, out), stdout);
        (void)fprintf(stderr, "%lld bytes of registers a lane at most\n", (long long)bytes);
        rc |= tg_module_verify(out, &t.sink) == TG_OK ? 0 : 1;
    }
    (void)fputs(t.sink.first == NULL ? "" : place_test_messages(&t), stderr);
    place_test_fini(&t);
    return rc;
}
