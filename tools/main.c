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

int main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? TOOL_USAGE : TOOL_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("tegula %s\n", TEGULA_VERSION);
        return TOOL_OK;
    }
    if (strcmp(argv[1], "--completion") == 0) {
        return print_completion();
    }
    if (strcmp(argv[1], "--man") == 0) {
        return print_man();
    }
    for (size_t i = 0; i < TG_COUNT_OF(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0) {
            continue;
        }
        if (argc > 2 && strcmp(argv[2], "--help") == 0) {
            (void)printf("%s\n\n%s\n", commands[i].summary, commands[i].usage);
            return TOOL_OK;
        }
        return tool_with_session(commands[i].run, commands[i].usage, argc - 1, argv + 1);
    }
    (void)fprintf(stderr, "tegula: there is no command '%s'\n", argv[1]);
    print_help(stderr);
    return TOOL_USAGE;
}
