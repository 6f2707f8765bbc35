/* SPDX-License-Identifier: Apache-2.0 */
/* check, fmt, explain: commands that read programs and run nothing. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"

/* One line of JSON a record: what a cache row or a schedule entry takes. */
static void print_records(tg_program *p) {
    tg_record_info *records;
    int n = tg_program_records(p, &records);
    for (int i = 0; i < n; i++) {
        (void)printf("{\"record\":\"%s\",\"bytes\":%lld}\n", records[i].name,
                     (long long)records[i].bytes);
    }
}

int cmd_check(tool *t, int argc, char **argv) {
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    int c, failed = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c != 'j') {
            return TOOL_USAGE;
        }
        t->json = true;
    }
    if (optind == argc) {
        return TOOL_USAGE;
    }
    for (; optind < argc; optind++) {
        tg_program *p = tool_load_program(t, argv[optind]);
        bool ok = p != NULL && tg_program_check(p) == TG_OK && t->sink.errors == 0;
        failed += !ok;
        tool_flush_diagnostics(t);
        if (ok && !t->json) {
            int kernels = tg_program_n_kernels(p), cases = tg_program_n_cases(p);
            (void)printf("%s: %d kernel%s, %d case%s, fine\n", argv[optind], kernels,
                         kernels == 1 ? "" : "s", cases, cases == 1 ? "" : "s");
        } else if (ok) {
            print_records(p);
        }
    }
    return failed != 0 ? TOOL_FAILED : TOOL_OK;
}

int cmd_fmt(tool *t, int argc, char **argv) {
    static const struct option options[] = {{"check", no_argument, NULL, 'c'}, {0}};
    bool only_check = false;
    int c, failed = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c != 'c') {
            return TOOL_USAGE;
        }
        only_check = true;
    }
    if (optind == argc) {
        return TOOL_USAGE;
    }
    for (; optind < argc; optind++) {
        const tg_source *src = tool_read_source(t, argv[optind]);
        tg_sb out;
        tg_sb_init(&out, &t->arena);
        if (src == NULL || tg_format_source(&t->arena, &t->sink, src, &out) != TG_OK) {
            failed++;
            tool_flush_diagnostics(t);
            continue;
        }
        bool same = out.len == src->len && memcmp(out.data, src->text, out.len) == 0;
        if (only_check && !same) {
            (void)printf("%s: not formatted\n", argv[optind]);
            failed++;
        } else if (!only_check && (!same || strcmp(argv[optind], "-") == 0)) {
            failed += !tool_write_file(t, argv[optind], out.data, out.len);
        }
    }
    return failed != 0 ? TOOL_FAILED : TOOL_OK;
}

int cmd_explain(tool *t, int argc, char **argv) {
    if (argc == 1) {
        for (size_t i = 0; tg_diag_number_at(i) != 0; i++) {
            (void)printf("E%04d  %s\n", tg_diag_number_at(i), tg_diag_title(tg_diag_number_at(i)));
        }
        return TOOL_OK;
    }
    if (argc != 2) {
        return TOOL_USAGE;
    }
    int number = atoi(argv[1] + (argv[1][0] == 'E' || argv[1][0] == 'e'));
    const char *page = tg_diag_page(number);
    if (page == NULL) {
        tool_error(t, TG_D_TOOL, "there is no diagnostic %s", argv[1]);
        return TOOL_FAILED;
    }
    (void)printf("E%04d: %s\n\n%s\n", number, tg_diag_title(number), page);
    return TOOL_OK;
}
