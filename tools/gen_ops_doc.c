/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes docs/operations.md from the operation table (ir/ops.def), so that the reference cannot
 * disagree with the compiler. `gen_ops_doc > docs/operations.md`; a test holds the file against it.
 */
#include <stdio.h>
#include <string.h>

#include "ir/ir.h"

static const char *kind_words(char kind) {
    switch (kind) {
    case 'i':
        return "integer";
    case 'l':
        return "integers";
    case 'f':
        return "number";
    case 's':
        return "text";
    case 'b':
        return "true or false";
    case 't':
        return "type";
    default:
        return "";
    }
}

static void print_attr(tg_attr_key key, bool optional) {
    printf("`%s`", tg_attr_name(key));
    if (tg_attr_kind(key) == 'e') {
        printf(" (");
        for (int64_t i = 0; tg_enum_name(key, i) != NULL; i++) {
            printf("%s%s", i > 0 ? ", " : "", tg_enum_name(key, i));
        }
        printf(")");
    } else {
        printf(" (%s)", kind_words(tg_attr_kind(key)));
    }
    printf("%s", optional ? ", optional" : "");
}

static void print_count(const char *what, int min, int max) {
    if (max < 0) {
        printf("%d or more %ss", min, what);
    } else if (min == max) {
        printf("%d %s%s", min, what, min == 1 ? "" : "s");
    } else {
        printf("%d to %d %ss", min, max, what);
    }
}

static void print_op(const tg_op_info *info) {
    printf("### %s\n\n%s\n\n", info->name, info->doc);
    print_count("operand", info->min_operands, info->max_operands);
    printf("; ");
    if (info->n_results < 0) {
        printf("any number of results");
    } else {
        print_count("result", info->n_results, info->n_results);
    }
    if (info->n_regions > 0) {
        printf("; ");
        print_count("region", info->n_regions, info->n_regions);
    }
    printf(".");
    bool optional = false, any = false;
    for (int i = 0; i < info->n_attrs; i++) {
        if (info->attrs[i] == TG_ATTR_OPTIONAL) {
            optional = true;
            continue;
        }
        printf("%s", any ? "; " : " Attributes: ");
        print_attr(info->attrs[i], optional);
        any = true;
    }
    printf("%s\n", any ? "." : "");
    static const struct {
        unsigned flag;
        const char *word;
    } words[] = {{TG_OPF_PURE, "pure"},
                 {TG_OPF_ELEMENTWISE, "elementwise"},
                 {TG_OPF_COMMUTATIVE, "commutative"},
                 {TG_OPF_READ, "reads memory"},
                 {TG_OPF_WRITE, "has an effect"},
                 {TG_OPF_TERMINATOR, "ends a region"}};
    const char *separator = "\n_";
    for (size_t i = 0; i < TG_COUNT_OF(words); i++) {
        if ((info->flags & words[i].flag) != 0) {
            printf("%s%s", separator, words[i].word);
            separator = ", ";
        }
    }
    printf("%s\n", info->flags != 0 ? "_\n" : "");
}

static bool at_level(const tg_op_info *info, const char *levels) {
    bool tile = strchr(info->levels, 't') != NULL, loop = strchr(info->levels, 'l') != NULL;
    return tile == (strchr(levels, 't') != NULL) && loop == (strchr(levels, 'l') != NULL);
}

static void print_section(const char *title, const char *levels) {
    printf("## %s\n\n", title);
    for (int i = 0; i < (int)TG_OP_COUNT; i++) {
        const tg_op_info *info = tg_op_info_get((tg_opcode)i);
        if (at_level(info, levels)) {
            print_op(info);
        }
    }
}

int main(void) {
    printf(
        "# Operations\n\n"
        "Generated from `ir/ops.def` by `tools/gen_ops_doc.c`; do not edit. The text form is\n"
        "described in [ir.md](ir.md).\n\n"
        "Tiles have static extents and every element always holds a value; a scalar is a tile of\n"
        "rank 0. Presence is explicit: masks are bool tiles, passed to the operations that skip\n"
        "absent elements as their last operand and announced by the attribute `masked`. What an\n"
        "absent element holds matters to nobody.\n\n"
        "Integer arithmetic wraps. x/0 = 0, x%%0 = x, MIN/-1 wraps, MIN%%-1 = 0; shift counts are\n"
        "taken modulo the width. f32 and f64 arithmetic is IEEE 754, round to nearest even,\n"
        "subnormals kept, never contracted; smaller floats are storage and are cast first. min "
        "and\n"
        "max propagate NaN and order -0 below +0; comparisons with NaN are false, `ne` is "
        "true.\n\n");
    print_section("Both levels", "tl");
    print_section("Tile level", "t");
    print_section("Loop level", "l");
    return 0;
}
