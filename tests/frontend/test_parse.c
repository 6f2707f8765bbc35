/* SPDX-License-Identifier: Apache-2.0 */
/* What parses, into which tree; what never crashes. Wrong programs are in wrong/. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "frontend/parser.h"

/* The tree of an expression. */
static void expr_is(const char *text, const char *tree) {
    tf t;
    tf_init(&t);
    const char *got = tf_tree(&t, tg_arena_printf(&t.arena, "const X = %s\n", text));
    const char *want = tg_arena_printf(&t.arena, "(const X %s)\n", tree);
    assert_string_equal(got, want);
    tf_fini(&t);
}

static void precedence(void **state) {
    (void)state;
    expr_is("a + b * c", "(+ a (* b c))");
    expr_is("a - b - c", "(- (- a b) c)");
    expr_is("a * b @ c", "(* a (@ b c))");
    expr_is("a @ b * c", "(* (@ a b) c)");
    expr_is("a @ b @ c", "(@ (@ a b) c)");
    expr_is("-a @ b", "(@ (- a) b)");
    expr_is("a as f32 @ b as f32", "(@ (as a (type f32)) (as b (type f32)))");
    expr_is("-x as i8", "(as (- x) (type i8))");
    expr_is("a as f32 * b", "(* (as a (type f32)) b)");
    expr_is("a & b == c", "(== (& a b) c)");
    expr_is("a | b ^ c & d << e + f", "(| a (^ b (& c (<< d (+ e f)))))");
    expr_is("(a < b) & !c", "(& (< a b) (! c))");
    expr_is("a + b else 0", "(else (+ a b) 0)");
    expr_is("a if c else b", "(else (present-if a c) b)");
    expr_is("a else b == c", "(else a (== b c))");
    expr_is("~-a.T", "(~ (- (.T a)))");
    expr_is("full f32[B] = a + b == c", "(full (type f32 (dims B)) (== (+ a b) c))");
}

static void suffixes(void **state) {
    (void)state;
    expr_is("x[i, :, 0:4, _, a:, :b]", "(index x i : 0:4 _ a: :b)");
    expr_is("a[i].b[j].c", "(.c (index (.b (index a i)) j))");
    expr_is("f[K = 3, T](x, axis 1, axis = 2, axis -1)",
            "(call f [K 3] [T] x (axis 1) (axis 2) (axis (- 1)))");
    expr_is("std.f(out x)", "(call std.f (out  x))");
    expr_is("span(lo .., 4)", "(call span (range lo) 4)");
    expr_is("span(a .. b + 1, N)", "(call span (range a (+ b 1)) N)");
    expr_is("x.reshape[2, N].permute[1, 0].in",
            "(.in (.permute (.reshape x (dims 2 N)) (dims 1 0)))");
    expr_is("axis - 1", "(- axis 1)");
    expr_is("f(axis - 1)", "(call f (- axis 1))");
    expr_is("(a, b)", "(tuple a b)");
    expr_is("a @ fast (b)", "(@ fast a b)");
    expr_is("x as f8e4m3 rtz sat", "(as x (type f8e4m3) rtz sat)");
    expr_is("atomic unordered cas(x[i], a, b, scope = device)",
            "(atomic unordered cas (index x i) a b (scope device))");
}

/* A parenthesis or bracket on a new line begins a statement; an operator continues one. */
static void lines(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    const char *tree = tf_tree(&t, "kernel k() {\n let a = b\n (c, d) = e\n let f = a\n - b\n x[i] "
                                   "= f\n if a { g(a\n , b) }\n}\n");
    assert_string_equal(
        tree,
        "(kernel k\n  (let (a b))\n  (= (tuple c d) e)\n  (let (f (- a b)))\n  (= (index x i) f)\n"
        "  (if a\n    (call g a b)))\n");
    tf_fini(&t);
}

static void store_mask(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    const char *tree = tf_tree(
        &t,
        "kernel k() { c[i] = v if m; c[i] = (v if m); x = v if m; disjoint c[i] = v else 0 if m }");
    assert_string_equal(tree, "(kernel k\n  (= (index c i) v (mask m))\n  (= (index c i) "
                              "(present-if v m))\n  (= x (present-if v m))\n"
                              "  (disjoint = (index c i) (else v 0) (mask m)))\n");
    tf_fini(&t);
}

static void corpus(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    int n;
    char **files = tf_list(&t, "corpus", &n);
    assert_true(n >= 2);
    for (int i = 0; i < n; i++) {
        (void)tf_tree(&t, tf_read(&t, files[i], NULL));
    }
    tf_fini(&t);
}

static void cases(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    tg_program *p;
    const char *text = "kernel k[T: f16 | f32, D = 4](x: T[N, D], s: f32, out y: T[N, D]) tune B = "
                       "8 tol ulp 2 grid i: N by B { }\n"
                       "case k [f16, 1_6] N = 33 s=-1.5e-3 tol abs 1e-3 rel 2e-3\nbench k [D = 8, "
                       "T=f32], N=0x10\ncase k N=1 tol gate\n";
    assert_int_equal(
        tg_program_load(&t.arena, &t.sink, tf_source(&t, "c.tg", text), NULL, NULL, &p), TG_OK);
    assert_int_equal(tg_program_n_kernels(p), 1);
    tg_kernel_info k = tg_program_kernel(p, 0);
    assert_string_equal(k.name, "k");
    assert_int_equal(k.n_compile, 2);
    assert_string_equal(k.compile_names[1], "D");
    assert_int_equal(tg_program_n_cases(p), 3);
    const tg_case *c = tg_program_case(p, 0);
    static const char *const want[][2] = {{"T", "f16"}, {"D", "16"}, {"N", "33"}, {"s", "-1.5e-3"}};
    assert_int_equal(c->n_settings, 4);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(c->settings[i].name, want[i][0]);
        assert_string_equal(c->settings[i].value, want[i][1]);
    }
    assert_true(c->tol == TG_TOL_ABS_REL && c->tol_a == 1e-3 && c->tol_b == 2e-3 && !c->is_bench);
    c = tg_program_case(p, 1);
    assert_true(c->is_bench && c->tol == TG_TOL_ULP && c->tol_a == 2);
    c = tg_program_case(p, 2);
    assert_true(c->tol == TG_TOL_GATE && c->tol_a == 5e-6 && c->tol_b == 0.03);
    tf_fini(&t);
}

static void imports(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    tg_program *p;
    tg_source *src = tf_source(&t, "m.tg",
                               "import \"lib.tg\"\nimport \"lib.tg\" as other\nimport std\nfn f(x) "
                               "{ return lib.twice(x) }\n");
    assert_int_equal(tg_program_load(&t.arena, &t.sink, src, tf_import, NULL, &p), TG_OK);
    tg_file *lib = tg_program_module(p, p->main, "lib");
    assert_non_null(lib);
    assert_ptr_equal(lib, tg_program_module(p, p->main, "other"));
    assert_non_null(tg_file_find(lib, "twice"));
    assert_null(tg_program_find(p, p->main, "twice"));
    assert_non_null(tg_program_find(p, p->main, "online_softmax"));
    assert_ptr_equal(tg_program_module(p, p->main, "std"), p->std);
    tf_fini(&t);
}

/* Every prefix of the corpus, and every prefix with a byte replaced, ends without a crash. */
static void prefixes(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    size_t len;
    char *text = tf_read(&t, "corpus/language.tg", &len);
    for (size_t i = 0; i < len; i += 7) {
        tf u;
        tf_init(&u);
        char *copy = tg_arena_strndup(&u.arena, text, i);
        (void)tf_parse(&u, copy);
        if (i > 0) {
            copy[i / 2] = "(){}[];=\"\n:.@if"[i % 15];
            (void)tf_parse(&u, copy);
        }
        tf_fini(&u);
    }
    tf_fini(&t);
}

static void repeated(const char *head, const char *part, int n, const char *tail, bool ok) {
    tf t;
    tf_init(&t);
    tg_sb sb;
    tg_sb_init(&sb, &t.arena);
    tg_sb_add(&sb, head);
    for (int i = 0; i < n; i++) {
        tg_sb_add(&sb, part);
    }
    tg_sb_add(&sb, tail);
    assert_int_equal(tf_parse(&t, sb.data)->has_errors, !ok);
    assert_true(ok || t.sink.errors > 0);
    tf_fini(&t);
}

static void depth(void **state) {
    (void)state;
    repeated("const X = ", "(", 100000, "", false);
    repeated("const X = ", "-", 100000, "1", false);
    repeated("const X = 1", "+ 1", 100000, "", false);
    repeated("const X = 1", "+ 1", 250, "", true);
    repeated("const X = x", ".T", 100000, "", false);
    repeated("const X = x", "[0]", 100000, "", false);
    repeated("const X = 1", " else 1", 100000, "", false);
    repeated("kernel k() {", "{", 100000, "", false);
    repeated("kernel k() {", "if a {", 100000, "", false);
    repeated("kernel k() { if a {}", "else if a {}", 100000, "}", false);
    repeated("kernel k() {", "f(", 100000, "", false);
    repeated("kernel k() {", "x = 1\n", 100000, "}", true);
    repeated("kernel k() {", "}", 100000, "}", false);
    repeated("const X = zeros f32[", "zeros f32[", 100000, "}", false);
    repeated("", "@", 100000, "", false);
    repeated("", "\xff\n", 100000, "", false);
}

static void too_big(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    size_t n = ((size_t)16 << 20) + 1;
    char *text = tg_arena_alloc(&t.arena, n + 1);
    memset(text, ' ', n);
    tg_strtab names;
    tg_strtab_init(&names, &t.arena);
    tg_parse_env env = {&t.arena, &t.sink, &names};
    tg_source src = {"big.tg", text, n};
    assert_true(tg_parse_file(&env, &src, "")->has_errors);
    assert_int_equal(t.sink.first->id, TG_D_SOURCE_TOO_BIG);
    tf_fini(&t);
}

/* Loading survives every point of failure of the allocator. */
static void out_of_memory(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    char *text = tf_read(&t, "corpus/language.tg", NULL);
    tg_source *src = tf_source(&t, "l.tg", text);
    bool done = false;
    for (size_t limit = 0; !done; limit += 8192) {
        tg_env env;
        tg_env_init(&env, tg_allocator_default(), limit == 0 ? 1 : limit);
        tg_arena arena;
        tg_arena_init(&arena, &env);
        tg_sink sink;
        tg_sink_init(&sink, &arena);
        tg_program *p;
        tg_status st = tg_program_load(&arena, &sink, src, NULL, NULL, &p);
        assert_true(st == TG_OK || st == TG_E_NOMEM);
        done = st == TG_OK;
        tg_arena_fini(&arena);
        assert_int_equal(env.used_bytes, 0);
    }
    tf_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precedence), cmocka_unit_test(suffixes),      cmocka_unit_test(lines),
        cmocka_unit_test(store_mask), cmocka_unit_test(corpus),        cmocka_unit_test(cases),
        cmocka_unit_test(imports),    cmocka_unit_test(prefixes),      cmocka_unit_test(depth),
        cmocka_unit_test(too_big),    cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
