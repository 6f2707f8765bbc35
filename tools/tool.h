/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sub-commands of `tegula` share: options, files, arrays, kernels made ready to launch,
 * comparison. Exit status of the command: 0 fine, 1 the program or check failed, 2 the command line
 * is wrong, 3 the device or target is not there.
 */
#ifndef TG_TOOL_H
#define TG_TOOL_H

#include <stdio.h>

#include "frontend/frontend.h"
#include "ir/interp.h"
#include "kernels/reference.h"

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2, TOOL_NO_DEVICE = 3 };

/* One compiler session of a command: environment, arena, diagnostics, options common to all. */
typedef struct tool {
    tg_env env;
    tg_arena arena;
    tg_sink sink;
    jmp_buf oom;
    bool json;                /* diagnostics and results as JSON lines */
    bool failed;              /* an error was printed */
    struct tool_stock *stock; /* the stock kernels by name, once asked for (stock.c) */
} tool;

/*
 * Runs fn with an initialised session; frees it. Out of memory becomes a message and TOOL_FAILED.
 * A wrong command line that fn has not explained gets the usage text.
 */
int tool_with_session(int (*fn)(tool *t, int argc, char **argv), const char *usage, int argc,
                      char **argv);
/* Prints and forgets the collected diagnostics: text on stderr, or JSON lines on stdout. */
void tool_flush_diagnostics(tool *t);
/* Reports a command-line or file problem (E08xx) to the sink. */
void tool_error(tool *t, tg_diag_id id, const char *fmt, ...) TG_PRINTF(3, 4);

/* ---- options (options.c) ----------------------------------------------------------------------
 */

/* Each reports what the option takes and returns false when text is something else. */
enum { TOOL_MAX_THREADS = 256 };
bool tool_option_u64(tool *t, const char *option, const char *text, uint64_t *out);
bool tool_option_int(tool *t, const char *option, const char *text, int least, int most, int *out);
bool tool_option_threads(tool *t, const char *text, int *out);
/* words ends with NULL; *out is the index. */
bool tool_option_word(tool *t, const char *option, const char *text, const char *const *words,
                      int *out);

/* ---- files (io.c, npy.c) ----------------------------------------------------------------------
 */

/* Reads a whole file ("-": standard input). NULL after reporting. */
const char *tool_read_file(tool *t, const char *path, size_t *out_bytes);
/* Writes aside and renames, so a failure leaves the old file ("-": standard output). */
bool tool_write_file(tool *t, const char *path, const void *data, size_t bytes);
const tg_source *tool_read_source(tool *t, const char *path);
/* tg_import_fn over files. */
const tg_source *tool_import(void *user, tg_arena *a, const char *path, const tg_source *from);
/* The same as tgc_options.import. */
int tool_import_text(void *user, const char *path, const char *from, const char **out_text,
                     size_t *out_bytes);

typedef struct tool_npy {
    char kind; /* 'f' 'i' 'u' 'b' */
    int item_bytes;
    int rank;
    int64_t extent[TG_MAX_RANK];
    const void *data; /* row-major, little endian */
    size_t bytes;
} tool_npy;
bool tool_npy_read(tool *t, const char *path, tool_npy *out);
bool tool_npy_write(tool *t, const char *path, const tool_npy *array);

/* ---- arrays (arrays.c) ------------------------------------------------------------------------
 */

/*
 * One argument of a launch. Tensors are row-major and dense unless made strided; each allocation
 * has canaries of TOOL_GUARD bytes on both sides.
 */
enum { TOOL_GUARD = 256 };
typedef struct tool_array {
    const tg_param *param;
    const char *name;
    tg_dtype dtype;
    int64_t elem_bytes; /* RECORD */
    int rank;           /* 0: scalar */
    int64_t extent[TG_MAX_RANK];
    int64_t stride_bytes[TG_MAX_RANK];
    int64_t row_bytes; /* of the innermost axis, dense */
    int64_t count;
    void *block;   /* malloc'd or mapped, with guards */
    size_t mapped; /* bytes of a mapped block, else 0 */
    unsigned char *data;
    size_t bytes; /* between the guards */
    uint64_t scalar;
} tool_array;

/* Without the gaps of padded rows. Types that NumPy lacks go as unsigned integers of their width,
 * sub-byte rows and records as bytes. */
bool tool_array_write_npy(tool *t, const tool_array *a, const char *path);

/* Row pitch padded by pad_rows_bytes when strided (gap bytes poisoned with 0xFF: NaN in every
 * float). TOOL_FAR: no gaps inside, but the outermost stride carries the last row beyond 2^32
 * bytes, in memory that exists only where it is touched. */
enum { TOOL_FAR = -1 };
bool tool_array_make(tool *t, tool_array *a, int64_t pad_row_bytes);
void tool_array_free(tool_array *a);
bool tool_array_guards_ok(const tool_array *a);
/* A launch writes it. */
bool tool_array_is_output(const tool_array *a);
/* Its values as doubles or integers (records: bytes); false after reporting. Free with
 * tool_args_free. */
bool tool_array_decode(tool *t, const tool_array *a, tgk_arg *out);
/* Address of the row holding linear element e and its position in it. */
unsigned char *tool_array_row(const tool_array *a, int64_t e, size_t *out_in_row);
unsigned char *tool_array_record(const tool_array *a, int64_t e); /* RECORD: its bytes */
double tool_array_get(const tool_array *a, int64_t e); /* floats and integers as double */
int64_t tool_array_get_int(const tool_array *a, int64_t e);
void tool_array_set(const tool_array *a, int64_t e, double v);
/* All elements of an array of floats, in order. */
void tool_array_get_floats(const tool_array *a, double *out);
void tool_array_set_floats(const tool_array *a, const double *from);
void tool_array_set_int(const tool_array *a, int64_t e, int64_t v);
bool tool_array_copy(tool *t, const tool_array *from,
                     tool_array *to); /* deep copy, guards included */

/* ---- kernels made ready (kernel.c) ------------------------------------------------------------
 */

/* A kernel or an op (then `op` is set and `func` NULL). */
typedef struct tool_kernel {
    tg_program *program;
    tg_module *module;
    tg_func *func;
    const tg_hostop *op;
    const char *name;
    const tg_sym *sym_names;
    int n_syms;
    const tg_setting *settings;
    int n_settings;
    int64_t *syms; /* n_syms values */
    tool_array *args;
    int n_args;
} tool_kernel;

/* Loads and parses a file and its imports. */
tg_program *tool_load_program(tool *t, const char *path);
/* Specialises for a target (NULL: no schedule) and binds dims from settings and from given extents.
 */
bool tool_kernel_make(tool *t, tg_program *p, const char *kernel, const tg_setting *settings,
                      int n_settings, const tg_target_query *target, tool_kernel *out);
/* Allocates the arguments not given yet; missing dims are an error that names them. */
bool tool_kernel_allocate(tool *t, tool_kernel *k, int64_t pad_row_bytes);
void tool_kernel_free(tool_kernel *k);
/* The same kernel on deep copies of the arguments. */
bool tool_kernel_copy(tool *t, const tool_kernel *k, tool_kernel *out);
/* Fills the inputs: the reference's own, or N(0,1) and integers by their facts. */
void tool_kernel_fill(tool *t, tool_kernel *k, const tgk_reference *ref, uint64_t seed);
/* Greatest lengths, for measuring. */
void tool_kernel_fill_full(tool *t, tool_kernel *k, const tgk_reference *ref, uint64_t seed);
/* Integers small enough that every float sum is exact in f32. */
void tool_kernel_fill_exact(tool *t, tool_kernel *k, const tgk_reference *ref, uint64_t seed);
bool tool_kernel_interpret(tool *t, tool_kernel *k, const tg_interp_options *options);
/* An op: its kernels launch after launch, by `launch`; temporaries in memory of their own. */
bool tool_op_run(tool *t, tool_kernel *k, bool (*launch)(tool *t, tool_kernel *k, void *user),
                 void *user);
/* The arguments as the interpreters take them; fills outputs that say `init`. */
tg_interp_arg *tool_kernel_interp_args(tool *t, const tool_kernel *k);
/* The reference on decoded copies of all arguments (k->n_args entries; free with tool_args_free).
 * Call before the launch when there are inout arguments. */
bool tool_kernel_reference(tool *t, const tool_kernel *k, const tgk_reference *ref,
                           tgk_arg *out_args);
void tool_args_free(tgk_arg *args, int n);

/* ---- stock kernels (stock.c) ------------------------------------------------------------------
 */

/* The file lies in the folder of the stock kernels. */
bool tool_is_stock(const char *file);
/* The reference that k, made from the file at path, may be judged by: k is a stock kernel, or has
 * the arguments of the one that is called like it. Else NULL, and *out_why tells people. */
const tgk_reference *tool_reference_of(tool *t, const char *path, const tool_kernel *k,
                                       const char **out_why);
/* Calls fn for every .tg file below dir, in order of names; how many there are. */
int tool_each_kernel_file(tool *t, const char *dir,
                          void (*fn)(tool *t, void *user, const char *path), void *user);

/* ---- devices through the runtime (device.c) ---------------------------------------------------
 */

typedef struct tool_device tool_device;
/* A runtime device by name, or "fake:FAULT" (fault.h); NULL after reporting. threads 0: all. */
tool_device *tool_device_open(tool *t, const char *name, int threads);
void tool_device_close(tool_device *d);
/* From now on every launch is captured and its graph replayed. */
void tool_device_replay(tool_device *d);
/* What failed last was the device itself: nothing more will run on it. */
bool tool_device_lost(const tool_device *d);
/* What failed last asks for more than the device has (TGR_E_UNSUPPORTED). */
bool tool_device_refused(const tool_device *d);
/* Launches take host memory as it is. */
bool tool_device_on_host(const tool_device *d);
/* Schedules for this vendor apply: "cpu", "opencl", ... */
const char *tool_device_vendor(const tool_device *d);
/* The row of the machine table that the device says it is; "" when it says none. */
const char *tool_device_isa(const tool_device *d);
int tool_device_threads(const tool_device *d);
/* What tuned schedules belong to: processor and threads, or driver and device. */
const char *tool_device_machine(tool *t, const tool_device *d);
typedef struct tool_code tool_code;
typedef struct tool_compile_options {
    bool no_schedule;
    bool no_cache;
    bool checked; /* verify data facts in every launch */
} tool_compile_options;
/* Compiles one kernel of a file for the device. NULL after reporting; compile_ms may be NULL. */
tool_code *tool_device_compile(tool *t, tool_device *d, const char *path, const char *kernel,
                               const tg_setting *settings, int n_settings,
                               const tool_compile_options *options, double *out_compile_ms);
void tool_code_free(tool_code *c);
/* Launches on k's arguments (dims that no tensor tells come from its syms) and waits. */
bool tool_code_launch(tool *t, tool_code *c, tool_kernel *k);
/* Devices with memory of their own: from now on arrays go over once and results stay there until
 * they are fetched, so that launches can be timed; false drops what is there. */
void tool_code_resident(tool_code *c, bool resident);
bool tool_code_fetch(tool *t, tool_code *c, tool_kernel *k);

/* ---- comparison (compare.c) -------------------------------------------------------------------
 */

typedef struct tool_verdict {
    bool pass;
    double max_ulp, max_abs, max_rel, metric; /* metric: calc_diff, cosine distance, ... */
    int64_t first_bad;                        /* linear index or -1 */
    const char *why;                          /* plain words when it failed */
} tool_verdict;

/* Judges output array a against the expected doubles (or int64 when `i` is used). */
tool_verdict tool_compare(tool *t, const tool_array *a, const tgk_arg *want, const tg_case *tol,
                          const tgk_output_rule *rule);
/* Bit for bit (any NaN equals any NaN); counts differing elements. */
int64_t tool_compare_bits(const tool_array *a, const tool_array *b, int64_t *out_first);
/* The same, any zero equals any zero: sums do not say which one they give. */
int64_t tool_compare_exact(const tool_array *a, const tool_array *b, int64_t *out_first);

/* ---- measurement (clock.c, limits.c) ----------------------------------------------------------
 */

double tool_now(void);     /* seconds, monotonic */
int tool_processors(void); /* that this process may use */

/* Appends a number, or null for what JSON has no number for. */
void tool_json_number(tg_sb *sb, double v);
/* Parses NAME=VALUE ... lists. */
bool tool_parse_setting(tool *t, const char *text, tg_setting *out);

#endif
