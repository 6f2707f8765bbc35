/* SPDX-License-Identifier: Apache-2.0 */
/* targets, cache, pack: what is there. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tegula/compiler.h>

#include "tools/commands.h"
#include "tools/probe.h"

static int list_devices(const tool *t) {
    tgr_context *context = NULL;
    if (tgr_context_create(NULL, &context) != TGR_OK) {
        return TOOL_FAILED;
    }
    for (int32_t i = 0; i < tgr_device_count(context); i++) {
        tgr_device_info d;
        if (tgr_device_describe(context, i, &d) == TGR_OK) {
            (void)printf(
                t->json
                    ? "{\"device\": \"%s\", \"name\": \"%s\", \"isa\": \"%s\", \"threads\": %d}\n"
                    : "device %-15s %s %s, %d threads\n",
                d.driver, d.name, d.isa, d.max_threads);
        }
    }
    tgr_context_release(context);
    return fflush(stdout) == 0 ? TOOL_OK : TOOL_FAILED;
}

enum { LIST_SECONDS = 60 };

/* Drivers are other people's code, which may abort: they are asked in a process of their own. */
static bool list_apart(tool *t) {
    int status = 0;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(LIST_SECONDS); /* they may hang, too */
        _exit(list_devices(t));
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE) {
        (void)raise(
            SIGPIPE); /* nobody reads on, as in `tegula targets | grep -q cpu`: so ends this */
    } else if (child > 0 && WIFSIGNALED(status)) {
        tool_error(t, TG_D_TOOL, "a device driver died while it was asked for its devices: %s",
                   strsignal(WTERMSIG(status)));
        return false;
    }
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == TOOL_OK;
}

int cmd_targets(tool *t, int argc, char **argv) {
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"probe", required_argument, NULL, 'p'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"deadline", required_argument, NULL, 'D'},
                                            {0}};
    const char *probed = NULL, *only = NULL;
    int deadline = 60;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        bool known = c == 'j' || c == 'p' || c == 'o' || c == 'D';
        if (!known || (c == 'D' && !tool_option_int(t, "deadline", optarg, 1, 86400, &deadline))) {
            return TOOL_USAGE;
        }
        only = c == 'o' ? optarg : only;
        t->json = t->json || c == 'j';
        probed = c == 'p' ? optarg : probed;
    }
    if (probed != NULL) {
        return tool_probe_device(t, probed, only, deadline) ? TOOL_OK : TOOL_FAILED;
    }
    tgc_target_info info;
    for (int32_t i = 0; tgc_target(i, &info) == TGR_OK; i++) {
        (void)printf(t->json ? "{\"target\": \"%s\", \"vendor\": \"%s\", \"label\": \"%s\", "
                               "\"triple\": \"%s\", \"host\": %s}\n"
                             : "%-22s %-6s %-12s %-26s %s\n",
                     info.name, info.vendor, info.label, info.triple,
                     t->json ? (info.is_host ? "true" : "false")
                             : (info.is_host ? "runs here" : ""));
    }
    bool ok = list_apart(t);
    (void)printf(t->json ? "{\"device\": \"interp\", \"name\": \"reference interpreter\", \"isa\": "
                           "\"\", \"threads\": 1}\n"
                         : "device interp          the reference interpreter\n");
    return ok ? TOOL_OK : TOOL_FAILED;
}

/* ---- cache ------------------------------------------------------------------------------------
 */

typedef struct listing {
    int64_t entries, bytes, bad;
} listing;

static int list_entry(void *user, const tgr_cache_entry *e) {
    listing *l = user;
    for (int i = 0; i < 16; i++) {
        (void)printf("%02x", e->key[i]);
    }
    (void)printf("  %10llu bytes%s\n", (unsigned long long)e->bytes,
                 e->valid ? "" : "  damaged, removed");
    l->entries++;
    l->bytes += (int64_t)e->bytes;
    l->bad += !e->valid;
    return 0;
}

int cmd_cache(tool *t, int argc, char **argv) {
    tgr_context *context = NULL;
    tgr_cache *cache = NULL;
    if (argc != 2 || (strcmp(argv[1], "ls") != 0 && strcmp(argv[1], "verify") != 0 &&
                      strcmp(argv[1], "clear") != 0)) {
        return TOOL_USAGE;
    }
    if (tgr_context_create(NULL, &context) != TGR_OK ||
        tgr_cache_open(context, NULL, 0, &cache) != TGR_OK) {
        tool_error(t, TG_D_TOOL, "the cache cannot be opened");
        tgr_context_release(context);
        return TOOL_FAILED;
    }
    int rc = TOOL_OK;
    const char *dir = tgr_cache_dir(cache);
    if (dir[0] == '\0') {
        (void)printf("the cache is off: its directory is missing or not writable\n");
    } else if (strcmp(argv[1], "clear") == 0) {
        int64_t removed = 0;
        rc = tgr_cache_clear(cache, &removed) == TGR_OK ? TOOL_OK : TOOL_FAILED;
        (void)printf("%s: %lld entries removed\n", dir, (long long)removed);
    } else {
        listing l = {0};
        rc = tgr_cache_list(cache, strcmp(argv[1], "verify") == 0, list_entry, &l) == TGR_OK
                 ? TOOL_OK
                 : TOOL_FAILED;
        (void)printf("%s: %lld entries, %lld bytes, %lld damaged\n", dir, (long long)l.entries,
                     (long long)l.bytes, (long long)l.bad);
        rc = l.bad > 0 ? TOOL_FAILED : rc;
    }
    tgr_cache_release(cache);
    tgr_context_release(context);
    return rc;
}

/* ---- packages ---------------------------------------------------------------------------------
 */

static tgr_package *open_package(tool *t, tgr_context *context, const char *path) {
    size_t bytes;
    const char *data = tool_read_file(t, path, &bytes);
    tgr_package *p = NULL;
    char why[512];
    if (data != NULL && tgr_package_open(context, data, bytes, &p) != TGR_OK) {
        (void)tgr_context_message(context, why, sizeof why);
        tool_error(t, TG_D_TOOL, "%s: %s", path, why);
        p = NULL;
    }
    return p;
}

static void print_signature(tg_sb *sb, const tgr_kernel *k) {
    tgr_kernel_info info;
    tgr_kernel_get_info(k, &info);
    tg_sb_addf(sb, "%s %s", info.is_op ? "op" : "kernel", info.name);
    for (int32_t i = 0; i < info.n_bindings; i++) {
        tgr_setting s;
        if (tgr_kernel_get_binding(k, i, &s) == TGR_OK) {
            tg_sb_addf(sb, "%s%s=%s", i == 0 ? " [" : ", ", s.name, s.value);
        }
    }
    tg_sb_add(sb, info.n_bindings > 0 ? "](" : "(");
    for (int32_t i = 0; i < info.n_params; i++) {
        tgr_param_info p;
        if (tgr_kernel_get_param(k, i, &p) != TGR_OK) {
            continue;
        }
        tg_sb_addf(sb, "%s%s%s: %s", i == 0 ? "" : ", ",
                   (p.flags & TG_PARAM_OUT) != 0     ? "out "
                   : (p.flags & TG_PARAM_INOUT) != 0 ? "inout "
                                                     : "",
                   p.name, p.dtype == TG_DT_RECORD ? "record" : tgr_dtype_name(p.dtype));
        for (int32_t a = 0; a < p.rank; a++) {
            char text[128];
            (void)tgr_kernel_extent_text(k, i, a, text, sizeof text);
            tg_sb_addf(sb, "%s%s%s", a == 0 ? "[" : ", ", text, a + 1 == p.rank ? "]" : "");
        }
    }
    tg_sb_add(sb, ")\n");
}

static void print_package(tg_sb *sb, const tgr_package *p) {
    for (int32_t i = 0; i < tgr_package_section_count(p); i++) {
        tgr_section_info s;
        if (tgr_package_section(p, i, &s) == TGR_OK) {
            tg_sb_addf(sb, "section %-10s %8llu bytes, %llu stored\n", s.name,
                       (unsigned long long)s.raw_bytes, (unsigned long long)s.stored_bytes);
        }
    }
    for (int32_t i = 0; i < tgr_package_kernel_count(p); i++) {
        const tgr_kernel *k = tgr_package_kernel(p, i);
        tgr_kernel_info info;
        tgr_kernel_get_info(k, &info);
        print_signature(sb, k);
        for (int32_t v = 0; v < info.n_variants; v++) {
            char guard[256];
            (void)tgr_kernel_guard_text(k, v, guard, sizeof guard);
            tg_sb_addf(sb, "  variant %d when %s  schedule {%s}  code:", v, guard,
                       tgr_kernel_schedule(k, v));
            for (int32_t c = 0; c < tgr_kernel_code_count(k, v); c++) {
                tgr_code_info code;
                if (tgr_kernel_code(k, v, c, &code) == TGR_OK) {
                    tg_sb_addf(sb, " %s", code.isa);
                }
            }
            tg_sb_addc(sb, '\n');
        }
    }
}

int cmd_pack(tool *t, int argc, char **argv) {
    bool diff = argc == 4 && strcmp(argv[1], "diff") == 0,
         ls = argc == 3 && strcmp(argv[1], "ls") == 0;
    if (!diff && !ls && !(argc == 3 && strcmp(argv[1], "verify") == 0)) {
        return TOOL_USAGE;
    }
    tgr_context *context = NULL;
    if (tgr_context_create(NULL, &context) != TGR_OK) {
        return TOOL_FAILED;
    }
    tgr_package *a = open_package(t, context, argv[2]),
                *b = diff ? open_package(t, context, argv[3]) : NULL;
    int rc = a == NULL || (diff && b == NULL) ? TOOL_FAILED : TOOL_OK;
    tg_sb x, y;
    tg_sb_init(&x, &t->arena);
    tg_sb_init(&y, &t->arena);
    if (rc == TOOL_OK) {
        print_package(&x, a);
    }
    if (rc == TOOL_OK && diff) {
        print_package(&y, b);
        rc = strcmp(x.data, y.data) == 0 ? TOOL_OK : TOOL_FAILED;
        (void)printf(rc == TOOL_OK ? "the packages list alike\n" : "--- %s\n%s+++ %s\n%s", argv[2],
                     x.data, argv[3], y.data);
    } else if (rc == TOOL_OK && ls) {
        (void)fputs(x.data, stdout);
    } else if (rc == TOOL_OK) {
        (void)printf("%s: every section is whole\n", argv[2]);
    }
    tgr_package_release(a);
    tgr_package_release(b);
    tgr_context_release(context);
    return rc;
}
