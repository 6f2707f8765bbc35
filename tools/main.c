/* SPDX-License-Identifier: Apache-2.0 */
/* The `tegula` command: picks the sub-command; each lives in its own cmd_*.c. */
#include "tools/commands.h"

#include <string.h>

typedef struct command {
    const char *name, *summary, *usage;
    int (*run)(tool *t, int argc, char **argv);
} command;

static const command commands[] = {
#define TOOL_COMMAND(name, summary, usage) {#name, summary, usage, cmd_##name},
#include "tools/commands.def"
#undef TOOL_COMMAND
};

static void print_help(FILE *to) {
    (void)fputs(
        "tegula compiles tile programs (.tg) and runs them.\n\nusage: tegula COMMAND ...\n\n", to);
    for (size_t i = 0; i < TG_COUNT_OF(commands); i++) {
        (void)fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
    }
    (void)fputs("\n`tegula COMMAND --help` shows a command's options.\n"
                "Exit status: 0 fine, 1 the program or check failed, 2 wrong command line, 3 no "
                "such device or target.\n",
                to);
}

/* `tegula --completion bash`: generated from the table. */
static int print_completion(void) {
    (void)printf("_tegula() {\n  local words=\"");
    for (size_t i = 0; i < TG_COUNT_OF(commands); i++) {
        (void)printf("%s%s", i == 0 ? "" : " ", commands[i].name);
    }
    (void)printf(
        "\"\n  if [ $COMP_CWORD = 1 ]; then COMPREPLY=($(compgen -W \"$words\" -- "
        "\"${COMP_WORDS[1]}\"));\n"
        "  elif [[ ${COMP_WORDS[COMP_CWORD]} == -* ]]; then\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < TG_COUNT_OF(commands); i++) {
        (void)printf("    %s) COMPREPLY=($(compgen -W \"", commands[i].name);
        for (const char *p = strstr(commands[i].usage, "--"); p != NULL; p = strstr(p + 2, "--")) {
            (void)printf("%.*s ", (int)(2 + strcspn(p + 2, " =[]|,\n.)")), p);
        }
        (void)printf("\" -- \"${COMP_WORDS[COMP_CWORD]}\"));;\n");
    }
    (void)printf(
        "    esac\n  else COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\")); fi\n}\n"
        "complete -o filenames -F _tegula tegula\n");
    return TOOL_OK;
}

/* `tegula --man`: a manual page from the same table. */
static int print_man(void) {
    (void)printf(
        ".TH TEGULA 1\n.SH NAME\ntegula \\- portable kernel compiler\n.SH SYNOPSIS\n.B tegula\n"
        ".I command\n[options]\n.SH COMMANDS\n");
    for (size_t i = 0; i < TG_COUNT_OF(commands); i++) {
        (void)printf(".TP\n.B %s\n%s\n.nf\n%s\n.fi\n", commands[i].name, commands[i].summary,
                     commands[i].usage);
    }
    (void)printf(".SH EXIT STATUS\n0 fine, 1 the program or check failed, 2 wrong command line, 3 "
                 "no such device or "
                 "target.\n");
    return TOOL_OK;
}

static const command *find_command(const char *name) {
    for (size_t i = 0; i < TG_COUNT_OF(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* Letters to add, drop or change that make b of a; words of commands are short. */
static size_t distance(const char *a, const char *b) {
    enum { MOST = 16 };
    size_t row[MOST + 1], n = strlen(b);
    if (n > MOST || strlen(a) > MOST) {
        return MOST;
    }
    for (size_t k = 0; k <= n; k++) {
        row[k] = k;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < n; k++) {
            size_t best = corner + (a[i] != b[k]);
            corner = row[k + 1];
            best = best < row[k] + 1 ? best : row[k] + 1;
            row[k + 1] = best < corner + 1 ? best : corner + 1;
        }
    }
    return row[n];
}

static int refuse_command(const char *name) {
    const command *near = NULL;
    size_t least = 3;
    for (size_t i = 0; i < TG_COUNT_OF(commands); i++) {
        size_t d = distance(name, commands[i].name);
        if (d < least && d < strlen(name)) {
            least = d;
            near = &commands[i];
        }
    }
    (void)fprintf(stderr, "tegula: there is no command '%s'", name);
    if (near != NULL) {
        (void)fprintf(stderr, "; did you mean '%s'?", near->name);
    }
    (void)fprintf(stderr, "\n`tegula --help` lists the commands\n");
    return TOOL_USAGE;
}

static int print_command_help(const char *name) {
    const command *c = find_command(name);
    if (c == NULL) {
        return refuse_command(name);
    }
    (void)printf("%s\n\n%s\n", c->summary, c->usage);
    return TOOL_OK;
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

int main(int argc, char **argv) {
    if (argc < 2 || (is_help(argv[1]) && argc == 2)) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? TOOL_USAGE : TOOL_OK;
    }
    if (is_help(argv[1])) {
        return print_command_help(argv[2]);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        (void)printf("tegula %s\n", TEGULA_VERSION);
        return TOOL_OK;
    }
    if (strcmp(argv[1], "--completion") == 0) {
        return print_completion();
    }
    if (strcmp(argv[1], "--man") == 0) {
        return print_man();
    }
    const command *c = find_command(argv[1]);
    if (c == NULL) {
        return refuse_command(argv[1]);
    }
    if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
        return print_command_help(argv[1]);
    }
    return tool_with_session(c->run, c->usage, argc - 1, argv + 1);
}
