/* SPDX-License-Identifier: Apache-2.0 */
/* Rendering: carets, notes, fixes, long and odd lines, JSON; the table of explanations. */
#include "support.h"

#include <string.h>

static const char *render(tf *t, const tg_diag *d) {
    tg_sb sb;
    tg_sb_init(&sb, &t->arena);
    tg_diag_render(&sb, d);
    return sb.data;
}

static void carets_notes_fixes(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    const tg_source *src = tf_source(&t, "f.tg", "let a = 1\n\tlet é = b + c\n");
    tg_diag *d = tg_error(&t.sink, TG_D_SYNTAX, (tg_span){src, 20, 25}, "wrong %d", 7);
    tg_note_add(&t.sink, d, (tg_span){0}, "without a place");
    tg_note_fix(&t.sink, d, (tg_span){src, 4, 5}, "x", "rename");
    assert_string_equal(render(&t, d), "f.tg:2:11: error[E0100]: wrong 7\n"
                                       "      2 | \tlet é = b + c\n"
                                       "        | \t        ^~~~~\n"
                                       "note: without a place\n"
                                       "f.tg:1:5: note: rename\n"
                                       "      1 | let a = 1\n"
                                       "        |     ^\n"
                                       "        = fix: `x`\n");
    tf_fini(&t);
}

static void odd_places(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    char text[600];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    const tg_source *src = tf_source(&t, "f.tg", text);
    const char *s = render(&t, tg_error(&t.sink, TG_D_SYNTAX, (tg_span){src, 500, 510}, "far"));
    assert_non_null(strstr(s, "f.tg:1:501:"));
    assert_true(strlen(s) < 500);
    s = render(&t, tg_error(&t.sink, TG_D_SYNTAX, (tg_span){src, 599, 5000}, "end"));
    assert_non_null(strstr(s, "^\n"));
    s = render(&t,
               tg_error(&t.sink, TG_D_SYNTAX, (tg_span){tf_source(&t, "e", ""), 0, 0}, "empty"));
    assert_non_null(strstr(s, "e:1:1: error"));
    s = render(&t, tg_error(&t.sink, TG_D_SYNTAX,
                            (tg_span){tf_source(&t, "c", "a\x01\x7f b\r\nz"), 0, 9}, "control"));
    assert_non_null(strstr(s, "| a?? b\n"));
    assert_string_equal(render(&t, tg_error(&t.sink, TG_D_SYNTAX, (tg_span){0}, "nowhere")),
                        "error[E0100]: nowhere\n");
    tf_fini(&t);
}

static void json(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    tg_sb sb;
    tg_sb_init(&sb, &t.arena);
    const tg_source *src = tf_source(&t, "a\"b\xff.tg", "x\nyz");
    tg_diag *d = tg_report(&t.sink, TG_SEV_WARNING, TG_D_SYNTAX, (tg_span){src, 2, 4}, "é \x01");
    tg_note_fix(&t.sink, d, (tg_span){src, 0, 1}, "q", "n");
    tg_diag_render_json(&sb, d);
    assert_string_equal(
        sb.data,
        "{\"id\":\"E0100\",\"severity\":\"warning\",\"file\":\"a\\\"b\\ufffd.tg\",\"line\":2,"
        "\"col\":1,"
        "\"end_line\":2,\"end_col\":3,\"text\":\"é "
        "\\u0001\",\"notes\":[{\"file\":\"a\\\"b\\ufffd.tg\","
        "\"line\":1,\"col\":1,\"end_line\":1,\"end_col\":2,\"text\":\"n\",\"fix\":\"q\"}]}\n");
    assert_int_equal(t.sink.warnings, 1);
    tf_fini(&t);
}

static void limit_and_repeats(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    const tg_source *src = tf_source(&t, "f.tg", "abc");
    for (int i = 0; i < 50; i++) {
        tg_error(&t.sink, TG_D_SYNTAX, (tg_span){src, 0, 1}, "e%d", i);
        tg_error(&t.sink, TG_D_SYNTAX, (tg_span){src, 0, 1}, "e%d", i < 20 ? i : 0);
    }
    int listed = 0;
    for (const tg_diag *d = t.sink.first; d != NULL; d = d->next) {
        listed++;
    }
    assert_int_equal(t.sink.errors, 100);
    assert_int_equal(listed, 20);
    tf_fini(&t);
}

/* What one round has said of a place, a later one does not repeat in other words. */
static void rounds(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    tg_span at = {tf_source(&t, "f.tg", "abc"), 0, 1};
    tg_error(&t.sink, TG_D_SYNTAX, at, "zero");
    t.sink.round = 1;
    tg_error(&t.sink, TG_D_SYNTAX, at, "f16[3]");
    tg_error(&t.sink, TG_D_SYNTAX, at, "and more");
    t.sink.round = 2;
    tg_error(&t.sink, TG_D_SYNTAX, at, "bf16[3]");
    tg_error(&t.sink, TG_D_BAD_BYTE, at, "another rule");
    assert_int_equal(t.sink.errors, 5);
    assert_int_equal(t.sink.listed_errors, 4);
    tf_fini(&t);
}

/* Every id: found by number, unique, with a title and a page. */
static void table(void **state) {
    (void)state;
    int n;
    for (size_t i = 0; (n = tg_diag_number_at(i)) != 0; i++) {
        assert_true(strlen(tg_diag_title(n)) > 5);
        assert_true(strlen(tg_diag_page(n)) > 20);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(tg_diag_number_at(k), n);
        }
    }
    assert_null(tg_diag_title(99999));
    assert_null(tg_diag_page(99999));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(carets_notes_fixes),
                                       cmocka_unit_test(odd_places),
                                       cmocka_unit_test(json),
                                       cmocka_unit_test(limit_and_repeats),
                                       cmocka_unit_test(rounds),
                                       cmocka_unit_test(table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
