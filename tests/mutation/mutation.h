/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels as text and changes to them: see mutation.c. */
#ifndef TG_TESTS_MUTATION_H
#define TG_TESTS_MUTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct source_file {
    char *path; /* below the kernels' folder */
    char *text;
} source_file;

typedef struct files {
    source_file *file;
    int n;
} files;

/* Every .tg below dir, in the order of their names. False: nothing there, or no memory. */
bool files_read(const char *dir, files *out);
void files_free(files *f);
/* The whole file, or NULL; malloc'd. */
char *read_text(const char *path);

uint64_t draw(uint64_t *state); /* splitmix64 */

/* One change: `length` bytes at `at` of a file become `after`. */
typedef struct mutant {
    int file;
    size_t at, length;
    char kernel[96];
    const char *what;             /* of random ones: the kind of change */
    char before[256], after[256]; /* of random ones with the words around, for people */
    char put[256];
} mutant;

/* The file's text with the change; malloc'd. */
char *mutant_text(const source_file *f, const mutant *m);
/* `kernel [in FILE] | what | before | after`, split in place; false: no such kernel or not one such place. */
bool mutant_named(const files *tree, char *line, mutant *out, const char **out_what);
/* A change at a random place of a random kernel's body; false: that place has none. */
bool mutant_random(const files *tree, uint64_t *state, mutant *out);

#endif
