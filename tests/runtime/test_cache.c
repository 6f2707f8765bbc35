/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache: hits, misses, damage of every byte healed, directories that are missing, read-only or
 * not ours, eviction, and processes that race.
 */
#include "tests/runtime/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void make_dir(char *dir, size_t n) {
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(dir, n, "%s/tegula-cache-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static void remove_dir(const char *dir) {
    DIR *d = opendir(dir);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.') {
            if (unlink(path) != 0) {
                remove_dir(path);
            }
        }
    }
    if (d) {
        (void)closedir(d);
    }
    (void)rmdir(dir);
}

static void key_of(int i, uint8_t key[16]) { tgr_hash128(&i, sizeof i, key); }

static bool get(tgr_cache *c, int i, const char *want) {
    uint8_t key[16];
    void *bytes = NULL;
    size_t n = 0;
    key_of(i, key);
    tgr_status st = tgr_cache_get(c, key, &bytes, &n);
    assert_true(st == TGR_OK || st == TGR_E_NOT_FOUND);
    if (st == TGR_OK) {
        assert_int_equal(n, strlen(want));
        assert_memory_equal(bytes, want, n);
        tgr_cache_free(c, bytes, n);
    }
    return st == TGR_OK;
}

static void put(tgr_cache *c, int i, const char *text) {
    uint8_t key[16];
    key_of(i, key);
    assert_int_equal(tgr_cache_put(c, key, text, strlen(text)), TGR_OK);
}

static void path_of(const char *dir, int i, char *path, size_t n) {
    uint8_t key[16];
    key_of(i, key);
    int at = snprintf(path, n, "%s/", dir);
    for (int k = 0; k < 16; k++) {
        at += snprintf(path + at, n - (size_t)at, "%02x", key[k]);
    }
    (void)snprintf(path + at, n - (size_t)at, ".tgc");
}

static int count_valid(void *user, const tgr_cache_entry *e) {
    int *counts = user;
    counts[e->valid != 0]++;
    return 0;
}

static void test_basics(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    char dir[256], sub[300];
    make_dir(dir, sizeof dir);
    (void)snprintf(sub, sizeof sub, "%s/a/b", dir);
    tgr_cache *c = NULL;
    rt_expect(&w, tgr_cache_open(w.context, sub, 0, &c), TGR_OK);
    assert_string_equal(tgr_cache_dir(c), sub);
    struct stat st;
    assert_int_equal(stat(sub, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_false(get(c, 1, ""));
    put(c, 1, "one");
    put(c, 2, "");
    assert_true(get(c, 1, "one"));
    assert_true(get(c, 2, ""));
    put(c, 1, "one");
    int counts[2] = {0};
    rt_expect(&w, tgr_cache_list(c, 1, count_valid, counts), TGR_OK);
    assert_int_equal(counts[1], 2);
    assert_int_equal(counts[0], 0);
    int64_t removed = 0;
    rt_expect(&w, tgr_cache_clear(c, &removed), TGR_OK);
    assert_int_equal(removed, 2);
    assert_false(get(c, 1, "one"));
    tgr_cache_release(c);
    remove_dir(dir);
    rt_close(&w);
}

static void test_damage(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    char dir[256], path[400];
    make_dir(dir, sizeof dir);
    tgr_cache *c = NULL;
    rt_expect(&w, tgr_cache_open(w.context, dir, 0, &c), TGR_OK);
    static const char text[] = "a kernel";
    size_t size = 48 + strlen(text);
    path_of(dir, 1, path, sizeof path);
    for (size_t i = 0; i < 2 * size; i++) {
        put(c, 1, text);
        if (i < size) { /* a flipped byte */
            int fd = open(path, O_RDWR);
            unsigned char b;
            assert_true(fd >= 0);
            assert_int_equal(pread(fd, &b, 1, (off_t)i), 1);
            b ^= 0x10;
            assert_int_equal(pwrite(fd, &b, 1, (off_t)i), 1);
            (void)close(fd);
        } else { /* cut short */
            assert_int_equal(truncate(path, (off_t)(i - size)), 0);
        }
        if (i % 2) {
            int counts[2] = {0};
            rt_expect(&w, tgr_cache_list(c, 1, count_valid, counts), TGR_OK);
            assert_int_equal(counts[0], 1);
        }
        assert_false(get(c, 1, text));
        assert_int_not_equal(access(path, F_OK), 0); /* the bad entry is gone */
    }
    put(c, 1, text); /* an entry under another key's name is damage too */
    char other[400];
    path_of(dir, 2, other, sizeof other);
    assert_int_equal(rename(path, other), 0);
    assert_false(get(c, 2, text));
    put(c, 1, text); /* as is a directory or link where a file should be */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_false(get(c, 1, text));
    tgr_cache_release(c);
    remove_dir(dir);
    rt_close(&w);
}

static void test_unusable(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    char dir[256], file[300];
    make_dir(dir, sizeof dir);
    tgr_cache *c = NULL;
    rt_expect(&w, tgr_cache_open(w.context, "/proc/no/such/dir", 0, &c), TGR_OK);
    assert_string_equal(tgr_cache_dir(c), "");
    put(c, 1, "x");
    assert_false(get(c, 1, "x"));
    tgr_cache_release(c);
    (void)snprintf(file, sizeof file, "%s/file", dir);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    rt_expect(&w, tgr_cache_open(w.context, file, 0, &c),
              TGR_OK); /* a file where a directory should be */
    put(c, 1, "x");
    assert_false(get(c, 1, "x"));
    tgr_cache_release(c);
    assert_int_equal(chmod(dir, 0777), 0); /* anyone could put code there */
    rt_expect(&w, tgr_cache_open(w.context, dir, 0, &c), TGR_OK);
    assert_string_equal(tgr_cache_dir(c), "");
    tgr_cache_release(c);
    assert_int_equal(chmod(dir, 0700), 0);
    rt_expect(&w, tgr_cache_open(w.context, dir, 0, &c), TGR_OK);
    put(c, 1, "x");
    assert_int_equal(chmod(dir, 0500), 0); /* read-only: reading works, writing is forgotten */
    assert_true(get(c, 1, "x"));
    put(c, 2, "y");
    assert_true(geteuid() == 0 || !get(c, 2, "y"));
    assert_int_equal(chmod(dir, 0700), 0);
    tgr_cache_release(c);
    remove_dir(dir);
    rt_close(&w);
}

static void test_environment(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    char dir[256], sub[300];
    make_dir(dir, sizeof dir);
    tgr_cache *c = NULL;
    assert_int_equal(setenv("TEGULA_CACHE_DIR", dir, 1), 0);
    rt_expect(&w, tgr_cache_open(w.context, NULL, 0, &c), TGR_OK);
    assert_string_equal(tgr_cache_dir(c), dir);
    tgr_cache_release(c);
    assert_int_equal(setenv("TEGULA_CACHE_DIR", "", 1), 0);
    rt_expect(&w, tgr_cache_open(w.context, NULL, 0, &c), TGR_OK);
    assert_string_equal(tgr_cache_dir(c), "");
    tgr_cache_release(c);
    assert_int_equal(unsetenv("TEGULA_CACHE_DIR"), 0);
    assert_int_equal(setenv("XDG_CACHE_HOME", dir, 1), 0);
    rt_expect(&w, tgr_cache_open(w.context, NULL, 0, &c), TGR_OK);
    (void)snprintf(sub, sizeof sub, "%s/tegula", dir);
    assert_string_equal(tgr_cache_dir(c), sub);
    tgr_cache_release(c);
    assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
    remove_dir(dir);
    rt_close(&w);
}

static void test_eviction(void **state) {
    (void)state;
    rt_world w;
    rt_open(&w, "null", 1, 0);
    char dir[256], path[400], text[1001];
    make_dir(dir, sizeof dir);
    memset(text, 'x', 1000);
    text[1000] = '\0';
    tgr_cache *c = NULL;
    rt_expect(&w, tgr_cache_open(w.context, dir, 10 * 1048, &c), TGR_OK); /* ten entries fit */
    for (int i = 0; i < 10; i++) {
        put(c, i, text);
        path_of(dir, i, path, sizeof path);
        struct timespec t[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
    }
    assert_true(get(c, 0, text)); /* used now: the youngest */
    for (int i = 10; i < 13; i++) {
        put(c, i, text);
    }
    for (int i = 0; i < 13; i++) {
        assert_int_equal(get(c, i, text), i == 0 || i > 3);
    }
    tgr_cache *tiny = NULL; /* an entry larger than the limit is not stored */
    rt_expect(&w, tgr_cache_open(w.context, dir, 100, &tiny), TGR_OK);
    put(tiny, 50, text);
    assert_false(get(tiny, 50, text));
    tgr_cache_release(tiny);
    tgr_cache_release(c);
    remove_dir(dir);
    rt_close(&w);
}

static int race(const char *dir, int seed) {
    tgr_context *context = NULL;
    tgr_cache *c = NULL;
    if (tgr_context_create(NULL, &context) || tgr_cache_open(context, dir, 30000, &c)) {
        return 1;
    }
    for (int i = 0; i < 300; i++) {
        int k = (i * 7 + seed) % 40;
        char text[1200];
        memset(text, 'a' + k % 26, sizeof text);
        uint8_t key[16];
        void *bytes = NULL;
        size_t n = 0;
        key_of(k, key);
        tgr_status st = tgr_cache_get(c, key, &bytes, &n);
        if (st == TGR_OK) {
            bool same = n == sizeof text && memcmp(bytes, text, n) == 0;
            tgr_cache_free(c, bytes, n);
            if (!same) {
                return 2;
            }
        } else if (st != TGR_E_NOT_FOUND || tgr_cache_put(c, key, text, sizeof text) != TGR_OK) {
            return 3;
        }
        if (i % 97 == 0 && tgr_cache_clear(c, NULL) != TGR_OK) {
            return 4;
        }
    }
    tgr_cache_release(c);
    tgr_context_release(context);
    return 0;
}

static void test_race(void **state) {
    (void)state;
    char dir[256];
    make_dir(dir, sizeof dir);
    pid_t child[4];
    for (int i = 0; i < 4; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] == 0) {
            _exit(race(dir, i));
        }
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    DIR *d = opendir(dir); /* no half-written file stays behind */
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        assert_int_not_equal(strncmp(e->d_name, "new-", 4), 0);
    }
    (void)closedir(d);
    remove_dir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basics),   cmocka_unit_test(test_damage),
        cmocka_unit_test(test_unusable), cmocka_unit_test(test_environment),
        cmocka_unit_test(test_eviction), cmocka_unit_test(test_race)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
