/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, numbers (bit-exact against the C library), strings. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/lexer.h"

static void check_kinds(const char *text, const tg_token_kind *kinds, int n) {
    tf t;
    tf_init(&t);
    tg_lexer lx;
    tg_lexer_init(&lx, tf_source(&t, "test.tg", text), &t.sink);
    for (int i = 0; i < n; i++) {
        tg_token k = tg_lexer_next(&lx);
        assert_int_equal(k.kind, kinds[i]);
    }
    assert_int_equal(tg_lexer_next(&lx).kind, TG_TOK_END);
    assert_int_equal(tg_lexer_next(&lx).kind, TG_TOK_END);
    assert_int_equal(t.sink.errors, 0);
    tf_fini(&t);
}

static void ranges_and_numbers(void **state) {
    (void)state;
    check_kinds("1..5 1.5..2 a.b",
                (tg_token_kind[]){TG_TOK_INT, TG_TOK_DOT_DOT, TG_TOK_INT, TG_TOK_FLOAT,
                                  TG_TOK_DOT_DOT, TG_TOK_INT, TG_TOK_NAME, TG_TOK_DOT, TG_TOK_NAME},
                9);
    check_kinds("1e5 1E-5 0x1f 0b1_0 1_000",
                (tg_token_kind[]){TG_TOK_FLOAT, TG_TOK_FLOAT, TG_TOK_INT, TG_TOK_INT, TG_TOK_INT},
                5);
}

static void operators_longest_first(void **state) {
    (void)state;
    check_kinds("<<= << <= < -> - -= == =",
                (tg_token_kind[]){TG_TOK_SHL_SET, TG_TOK_SHL, TG_TOK_LE, TG_TOK_LT, TG_TOK_ARROW,
                                  TG_TOK_SUB, TG_TOK_SUB_SET, TG_TOK_EQ, TG_TOK_ASSIGN},
                9);
}

static void words(void **state) {
    (void)state;
    check_kinds("kernel kernels _ _x nan",
                (tg_token_kind[]){TG_TOK_KERNEL, TG_TOK_NAME, TG_TOK_UNDERSCORE, TG_TOK_NAME,
                                  TG_TOK_NOT_A_NUMBER},
                5);
}

static void comments_and_lines(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    tg_lexer lx;
    tg_lexer_init(&lx, tf_source(&t, "test.tg", "\xEF\xBB\xBF a // x ≤ y\n\r\n b c"), &t.sink);
    tg_token a = tg_lexer_next(&lx), b = tg_lexer_next(&lx), c = tg_lexer_next(&lx);
    assert_true(a.starts_line && b.starts_line && !c.starts_line && c.space_before);
    assert_int_equal(t.sink.errors, 0);
    tf_fini(&t);
}

static void same_double(const char *text) {
    double ours = tg_decimal_parse(text, strlen(text)), theirs = strtod(text, NULL);
    if (memcmp(&ours, &theirs, sizeof(double)) != 0) {
        print_error("%s: %a, should be %a\n", text, ours, theirs);
    }
    assert_memory_equal(&ours, &theirs, sizeof(double));
}

static void decimals_hard(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0",
        "0.0",
        "1",
        "0.1",
        "0.5",
        "1e22",
        "1e23",
        "9007199254740993",
        "9007199254740992.5",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e309",
        "1e-400",
        "123456789012345678901234567890",
        "0.000000000000000000000000000001",
        "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899",
        "8.5e-323",
        "1e0000005",
        "1.4426950408889634",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
        "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
        "342711559699508093042880",
        "6631236871469758276785396630275967242e-36",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126"};
    for (size_t i = 0; i < TG_COUNT_OF(texts); i++) {
        same_double(texts[i]);
    }
}

static void decimals_random(void **state) {
    (void)state;
    uint64_t s = 0x9E3779B97F4A7C15u;
    for (int i = 0; i < 3000; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        double v;
        uint64_t bits = s ^ (s >> 29);
        memcpy(&v, &bits, sizeof(v));
        if (!isfinite(v)) {
            continue;
        }
        char text[64];
        snprintf(text, sizeof(text), i % 2 ? "%.17g" : "%.11e", fabs(v));
        same_double(text);
    }
}

static void integers(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    const tg_source *src = tf_source(&t, "t", "18446744073709551615 0xffffffffffffffff 0b101 1_2");
    const uint64_t want[] = {UINT64_MAX, UINT64_MAX, 5, 12};
    tg_lexer lx;
    tg_lexer_init(&lx, src, &t.sink);
    for (size_t i = 0; i < TG_COUNT_OF(want); i++) {
        uint64_t v = 0;
        assert_true(tg_token_int(src, tg_lexer_next(&lx), &v));
        assert_true(v == want[i]);
    }
    tf_fini(&t);
}

static void strings(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    const tg_source *src = tf_source(&t, "t", "\"a\\n\\t\\\\\\\"\\x41é\"");
    tg_lexer lx;
    size_t n;
    tg_lexer_init(&lx, src, &t.sink);
    const char *s = tg_token_string(&t.arena, src, tg_lexer_next(&lx), &n);
    assert_string_equal(s, "a\n\t\\\"Aé");
    assert_int_equal(n, 8);
    tf_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_and_numbers),
        cmocka_unit_test(operators_longest_first),
        cmocka_unit_test(words),
        cmocka_unit_test(comments_and_lines),
        cmocka_unit_test(decimals_hard),
        cmocka_unit_test(decimals_random),
        cmocka_unit_test(integers),
        cmocka_unit_test(strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
