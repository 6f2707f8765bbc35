/* SPDX-License-Identifier: Apache-2.0 */
/* The formatter: goldens, idempotence, equal trees, kept comments, line width. */
#include "support.h"

#include <string.h>

static const char *format(tf *t, const char *text) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_sb_add(&sb, "");
    assert_int_equal(tg_format_source(&t->arena, &t->sink, tf_source(t, "f.tg", text), &sb), TG_OK);
    return sb.data;
}

static void golden(const char *text, const char *want) {
    tf t;
    tf_init(&t);
    assert_string_equal(format(&t, text), want);
    assert_string_equal(format(&t, want), want);
    tf_fini(&t);
}

static void blanks(void **state) {
    (void)state;
    golden("const  X=1+2*-3\n\n\n\nconst Y = X   // why\n",
           "const X = 1 + 2 * -3\n\nconst Y = X  // why\n");
    golden("kernel k(x:f32[N],out y:f32[N])grid i:N by 64{y[i]=x[i]*f (2);y[i] = -x[i];}",
           "kernel k(x: f32[N], out y: f32[N]) grid i: N by 64 { y[i] = x[i] * f(2); y[i] = -x[i] "
           "}\n");
    golden("kernel k(){a=x[ 0 : 4,:, _ ];for i in 0..3{f(x,axis 1,axis -1)}}",
           "kernel k() { a = x[0:4, :, _]; for i in 0 .. 3 { f(x, axis 1, axis -1) } }\n");
    golden("schedule k for cpu==x86-64-v3 when M<=-1{a=b|c}",
           "schedule k for cpu == x86-64-v3 when M <= -1 { a = b | c }\n");
    golden("kernel k() {}\ncase k[f16]M = 33 s=-1 tol abs 1e-3 rel 1",
           "kernel k() {}\ncase k [f16] M=33 s=-1 tol abs 1e-3 rel 1\n");
}

static void signs(void **state) {
    (void)state;
    golden("const X = - - 1\nconst Y = 2- - -1\nconst Z = f(axis -1, axis - 1, !!a, ~-b)\n",
           "const X = - -1\nconst Y = 2 - - -1\nconst Z = f(axis -1, axis - 1, !!a, ~-b)\n");
}

static void blocks(void **state) {
    (void)state;
    golden("kernel k() { if a { b = 1;\nc = 2; } else { d() } }",
           "kernel k() {\n  if a {\n    b = 1\n    c = 2\n  } else { d() }\n}\n");
    golden("kernel k()\n// before\ntune B = 1\n{ // first\n  // second\n\n\n  x()\n // last\n}\n// "
           "end",
           "kernel k()\n  // before\n  tune B = 1\n{  // first\n  // second\n\n  x()\n  // "
           "last\n}\n// end\n");
}

static void long_lines(void **state) {
    (void)state;
    golden("kernel k() { for k: K by BK { accumulator += first_operand[i, k] @ second_operand[k, "
           "j]; n += count(z); e += count(q) } }",
           "kernel k() {\n  for k: K by BK {\n    accumulator += first_operand[i, k] @ "
           "second_operand[k, j]\n    n += count(z)\n    e += count(q)\n  }\n}\n");
}

static void needless_semicolons(void **state) {
    (void)state;
    golden(";;const X = 1;;\nconst Y = 2 ;\n;\nconst Z = 3",
           "const X = 1\nconst Y = 2\nconst Z = 3\n");
    golden("\n;;\n\n//\n\n//", "//\n\n//\n"); /* no empty line on top when they are gone */
    golden("kernel k() {; a = 1; ; b = 2;; }", "kernel k() { a = 1; b = 2 }\n");
    golden("kernel k() {; accumulator_number_one = first_value + second_value; ; "
           "accumulator_number_two = "
           "third_value;; }",
           "kernel k() {\n  accumulator_number_one = first_value + second_value\n"
           "  accumulator_number_two = third_value\n}\n");
}

/* Endless lines cost no squares, and come out the same the second time. */
static void endless_lines(void **state) {
    (void)state;
    static const char *const parts[][3] = {{"kernel k() { ", "x = a + b; ", "}"},
                                           {"kernel k() { f(", "a + b, ", "a) }"},
                                           {"kernel k() { ", "if a { ", ""},
                                           {"const X = 1 ", "// c\n", ""}};
    for (size_t i = 0; i < TG_COUNT_OF(parts); i++) {
        tf t;
        tf_init(&t);
        tg_sb sb;
        tg_sb_init(&sb, &t.arena);
        tg_sb_add(&sb, parts[i][0]);
        for (int k = 0; k < (i == 2 ? 150 : 20000); k++) {
            tg_sb_add(&sb, parts[i][1]);
        }
        for (int k = 0; k < (i == 2 ? 151 : 0); k++) {
            tg_sb_addc(&sb, '}');
        }
        tg_sb_add(&sb, parts[i][2]);
        const char *once = format(&t, sb.data);
        assert_string_equal(format(&t, once), once);
        tf_fini(&t);
    }
}

static void wrong_source(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    tg_sb sb;
    tg_sb_init(&sb, &t.arena);
    assert_int_equal(tg_format_source(&t.arena, &t.sink, tf_source(&t, "f.tg", "kernel k( {"), &sb),
                     TG_E_SOURCE);
    assert_int_equal(sb.len, 0);
    assert_true(t.sink.errors > 0);
    tf_fini(&t);
}

static int count(const char *text, const char *what) {
    int n = 0;
    for (const char *s = text; (s = strstr(s, what)) != NULL; s++) {
        n++;
    }
    return n;
}

static void check_width(const char *text) {
    for (const char *line = text; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        const char *comment = strstr(line, "//");
        size_t code = comment != NULL && comment < line + n ? (size_t)(comment - line) : n;
        assert_true(code <= 102);
        line += n + (line[n] == '\n');
    }
}

static void corpus(void **state) {
    (void)state;
    static const char *const folders[] = {"corpus", "../../frontend/std"};
    tf t;
    tf_init(&t);
    for (size_t k = 0; k < TG_COUNT_OF(folders); k++) {
        int n;
        char **files = tf_list(&t, folders[k], &n);
        for (int i = 0; i < n; i++) {
            const char *text = tf_read(&t, files[i], NULL);
            const char *once = format(&t, text);
            assert_string_equal(format(&t, once), once);
            assert_string_equal(tf_tree(&t, once), tf_tree(&t, text));
            assert_int_equal(count(once, "//"), count(text, "//"));
            check_width(once);
        }
    }
    tf_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks),        cmocka_unit_test(signs),
        cmocka_unit_test(blocks),        cmocka_unit_test(long_lines),
        cmocka_unit_test(wrong_source),  cmocka_unit_test(needless_semicolons),
        cmocka_unit_test(endless_lines), cmocka_unit_test(corpus)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
